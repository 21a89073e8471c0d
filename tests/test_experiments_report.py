"""Reports of comparisons: their contents match the findings, and hostile or missing names do no harm."""

import inspect
import json
import re
from dataclasses import replace
from typing import get_args

import pytest
from comparisons import TEXTS, UNSEEN, make_comparison
from large_findings import NASTY, make_large
from pages import Page

from tagger.config import HeadKind, Match, MergeMode
from tagger.errors import InputError
from tagger.evaluation.significance import estimate, randomisation_test
from tagger.experiments.contrasts import GroupKind
from tagger.experiments.findings import Findings, summarise
from tagger.experiments.report import MAX_EXAMPLES, make_sections, write_report
from tagger.experiments.report_charts import STYLES
from tagger.experiments.report_tables import GROUP_TITLES
from tagger.experiments.report_text import (
    HEADS,
    MATCH_TEXTS,
    MEASURES,
    TEST_NOTE,
    describe_backward_gain,
    describe_crf,
    describe_lookahead,
    describe_setup,
    format_gain,
    format_interval,
    format_p,
)
from tagger.experiments.results import Measure

pytestmark = pytest.mark.slow

PAGES = ("results.json", "report.md", "report.html")


def report(comparison, findings, folder, **options):
    write_report(comparison, findings, folder, **options)
    results, markdown, page = ((folder / name).read_text(encoding="utf-8") for name in PAGES)
    return json.loads(results), markdown, page


@pytest.fixture(scope="module", params=["spans", "tags"])
def made(request, tmp_path_factory):
    comparison = make_comparison(request.param)
    findings = summarise(comparison)
    return comparison, findings, report(comparison, findings, tmp_path_factory.mktemp("report"))


def test_results_hold_every_run_and_all_findings(made):
    comparison, findings, (results, _, _) = made
    assert results["runs"] == json.loads(json.dumps([run.values() for run in comparison.runs]))
    assert [row["scores"]["dev"]["mean"] for row in results["rows"]] == [
        row.scores["dev"].mean for row in findings.rows
    ]
    assert [gain["p_corrected"] for gain in results["gains"]] == [gain.p_corrected for gain in findings.gains]
    assert [one["gained"] for one in results["contrasts"]] == [len(one.gained) for one in findings.contrasts]
    assert len(results["contrasts"][0]["origins"]) == len(findings.contrasts[0].groups)
    assert [curve["half"] for curve in results["lookahead"]] == [curve.half for curve in findings.lookahead]


def test_every_number_of_the_tables_is_on_the_page_and_in_markdown(made):
    _, findings, (_, markdown, page) = made
    cells = [one["text"] for one in Page(page).find("td")]
    for row in findings.rows:
        line = next(line for line in markdown.splitlines() if line.startswith(f"| {row.variant.title} |"))
        for score in row.scores.values():
            assert f"{100 * score.mean:.2f}" in cells
            assert f"| {100 * score.mean:.2f} | {100 * score.deviation:.2f} |" in line
    for gain in findings.gains:
        sign = f"{100 * gain.difference.mean:+.2f}".replace("-", "−")
        assert sign in cells
        assert f"| {gain.split} | {sign} |" in markdown
    for contrast in findings.contrasts:
        for group in contrast.groups:
            assert f"| {group.bucket} | {group.support:,} | {100 * group.base.mean:.2f} |" in markdown
    assert f"{findings.rows[0].parameters['all']:,}" in cells


def test_only_a_page_with_visible_words_quotes_sentences(made, tmp_path):
    comparison, findings, (results, markdown, page) = made
    _, _, hidden = report(comparison, findings, tmp_path, hide_words=True)
    examples = [one for contrast in findings.contrasts for one in (*contrast.gained, *contrast.lost)]
    assert examples
    shown = [one["text"] for one in Page(page).find("p", class_="gold")]
    labels = [text.split("<b>")[0] for text in shown]
    assert len(shown) == len(examples)
    for one, text in zip(examples, labels, strict=True):
        assert all(token in text for token in one.tokens)
        assert one.source in page
        assert one.source in hidden
    words = {piece.strip("[").partition("/")[0] for piece in TEXTS.split() if len(piece) > 10} | UNSEEN
    words -= {"Holm", "scored", "missed"}  # the report's own texts use these
    written = json.dumps(results) + markdown + hidden
    assert not [word for word in words if re.search(rf"\b{word}\b", written)]


def test_labels_of_confusions_are_plain_text_in_markdown(made):
    _, findings, (_, markdown, _) = made
    confusions = [one for contrast in findings.contrasts for one in contrast.confusions]
    replaced = next(one for one in confusions if None not in (one.gold, one.predicted))
    assert (
        f"| {' → '.join(dict.fromkeys((replaced.gold, replaced.predicted)))}, {replaced.kind} |" in markdown
    )
    assert "\ufffd" not in markdown


def test_token_numbers_replace_hidden_words(tmp_path):
    comparison = make_comparison()
    findings = summarise(comparison)
    contrast = findings.contrasts[0]
    example = replace(
        contrast.gained[0],
        tokens=list("abcde"),
        gold=["B-PER", "I-PER", "O", "B-LOC", "O"],
        wrong=replace(contrast.gained[0].wrong, tags=["B-PER", "O", "O", "B-LOC", "B-ORG"]),
    )
    only = replace(findings, contrasts=[replace(contrast, gained=[example], lost=[])])
    page = Page(report(comparison, only, tmp_path, hide_words=True)[2])
    assert [one["text"] for one in page.find("p", class_="gold")] == ["1–2PER 4LOC"]
    assert [one["text"] for one in page.find("p", class_="predicted")] == ["1PER 4LOC 5ORG"]
    wrong = [one["text"] for one in page.find("mark") if "bad" in one["attributes"]["class"]]
    assert wrong == ["1–2PER", "1PER", "5ORG"]


def test_names_are_escaped_and_folders_are_omitted(tmp_path):
    comparison, findings = make_large(sentences=80)
    _, markdown, text = report(comparison, findings, tmp_path)
    page = Page(text)
    assert not page.find("script")
    assert not page.find("img")
    assert not page.find("link")
    assert "<script" not in markdown
    assert "http:" not in text
    assert "url(" not in text
    assert not re.search(r"<[^>]*\son\w+=", text)
    assert NASTY[0] in page.find("h1")[0]["text"]
    assert "/a/folder" not in text
    summaries = [one["text"] for one in page.find("summary")]
    assert summaries[2].startswith("80 sentences")
    assert summaries[2].endswith(f"The first {MAX_EXAMPLES} of them are shown.")
    tables = [block.splitlines() for block in markdown.split("\n\n") if block.startswith("|")]
    assert len(tables) > 10
    for lines in tables:  # an unescaped bar would add a cell
        assert len({len(re.split(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_empty_sections_are_omitted(tmp_path):
    one_way = make_comparison(directions=("forward",), heads=("crf",), seeds=(1,), has_test=False)
    findings = summarise(one_way)
    sections = [section.anchor for section in make_sections(one_way, findings, hide_words=False)]
    assert sections == ["scores", "curves", "cost"]
    assert "do not show" in describe_backward_gain(one_way, findings)
    _, markdown, page = report(one_way, findings, tmp_path)
    assert "Merge" not in markdown + page
    assert "None" not in markdown + page
    one_mode = make_comparison(merge_modes=("sum",), heads=("softmax",), has_lookahead=False)
    sections = make_sections(one_mode, summarise(one_mode), hide_words=False)
    assert [one.anchor for one in sections] == ["scores", "groups", "examples", "curves", "cost"]
    empty = Findings((), (), (), ())
    assert make_sections(one_way, empty, hide_words=False)[0].anchor == "scores"


def test_one_seed_has_no_interval(tmp_path):
    comparison = make_comparison(seeds=(1,), heads=("softmax",))
    findings = summarise(comparison)
    assert "one seed, so no interval" in describe_backward_gain(comparison, findings)
    _, _, page = report(comparison, findings, tmp_path)
    assert 'class="whisker"' not in page
    assert "1 seed each" in describe_setup(comparison, findings)


def test_the_answer_names_gain_interval_and_p(made):
    comparison, findings, (_, markdown, page) = made
    text = describe_backward_gain(comparison, findings)
    assert text in markdown
    assert Page(page).find("p", class_="answer")[0]["text"] == text
    for gain in findings.gains:
        if gain.base.direction == "forward" and gain.split == "dev":
            assert f"{100 * gain.difference.mean:.2f} points" in text
            assert format_interval(gain.difference, is_gain=True) in text
            assert format_p(gain.p_corrected) in text
            assert format_gain(gain.difference.mean) in describe_crf(findings)
    loss = replace(findings.gains[0], difference=estimate([-0.011, -0.013]), p_corrected=0.4)
    negative = describe_backward_gain(comparison, replace(findings, gains=[loss]))
    assert f"lowers {'F1' if comparison.measure == 'f1' else 'accuracy'} on dev by 1.20 points" in negative
    assert "so it may be due to chance" in negative


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("hidden", "100 LSTM units per direction"),
        ("width", "100 units per direction"),
        ("parameters", "about the same number"),
    ],
)
def test_the_setup_names_the_matched_size(made, match, expected):
    comparison, findings, _ = made
    text = describe_setup(replace(comparison, match=match), findings)
    assert expected in text
    assert f"--match {match}" in text


def test_lookahead_texts_name_the_smallest_sufficient_lookahead(made):
    _, findings, _ = made
    curve = findings.lookahead[0]
    whole = curve.points[-1]
    lines = describe_lookahead(
        [
            replace(curve, half=1, most=4),
            replace(curve, half=0, most=None, points=[replace(whole, share=0.95)]),
            replace(curve, half=None, most=None, points=[replace(whole, words=8, share=0.3)]),
            replace(curve, half=None, most=None, points=[replace(whole, share=None)]),
        ]
    )
    assert "half of the backward gain with k = 1 and nine tenths with k = 4." in lines[0]
    assert "half of the backward gain with k = 0 and nine tenths only with whole sentences." in lines[1]
    assert "half of the backward gain at no tested lookahead and nine tenths at no tested" in lines[2]
    assert "no gain" in lines[3]


@pytest.mark.parametrize(
    ("gain", "text"), [(0.0231, "+2.31"), (-0.001, "−0.10"), (0.00001, "0.00"), (-0.00001, "0.00")]
)
def test_gains_have_signs(gain, text):
    assert format_gain(gain) == text


@pytest.mark.parametrize(
    ("table", "choices"),
    [
        (HEADS, HeadKind),
        (MEASURES, Measure),
        (MATCH_TEXTS, Match),
        (GROUP_TITLES, GroupKind),
        ({name: STYLES[name] for name in STYLES if name in get_args(MergeMode)}, MergeMode),
    ],
)
def test_every_choice_has_an_entry(table, choices):
    assert table.keys() == set(get_args(choices))


def test_small_p_values_are_bounded():
    assert format_p(0.00005) == "< 0.0001"
    assert format_p(0.04321) == "0.0432"


def test_the_report_states_the_actual_number_of_trials():
    trials = inspect.signature(randomisation_test).parameters["trials"].default
    assert f"({trials:,} trials" in TEST_NOTE


def test_an_error_names_the_report_that_cannot_be_written(made, tmp_path):
    comparison, findings, _ = made
    with pytest.raises(InputError, match=r"results\.json: cannot be written"):
        write_report(comparison, findings, tmp_path / "no")
