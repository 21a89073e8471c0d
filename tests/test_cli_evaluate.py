"""``tagger evaluate``: error output, the error page, plots and option errors."""

import json
import re
import sys
from dataclasses import replace

import pytest
from command_line import input_error, run
from error_analysis import make_evaluation

from tagger import Tagger
from tagger.cli.console import mistake_lines
from tagger.corpus.files import FORMATS, read_sentences
from tagger.errors import printable
from tagger.evaluation.confusion import count_confusion, match_task
from tagger.evaluation.tasks import SPAN_METRICS, TAG_METRICS, SpanTaskScores, TagTaskScores, score_task
from tagger.runtime.model_evaluation import evaluate
from tagger.training.schema import SavedSpanScores, SavedTagScores


@pytest.fixture(scope="module")
def corpus_with_errors(corpus, folder):
    """Return the dev split with repeated sentences that the model cannot tag correctly."""
    text = (corpus / "dev.conll").read_text(encoding="utf-8")
    hard = "Bonn PROPN B-ORG\nsang VERB O\nnear ADP B-MISC\nthe DET I-MISC\nsea NOUN O\n\n"
    path = folder / "hard.conll"
    path.write_text(text + hard * 3, encoding="utf-8")
    return path


@pytest.mark.parametrize("to", ["conllu", "jsonl", "doccano", "labelstudio", "brat", "datasets"])
def test_scores_do_not_depend_on_the_file_format(model, corpus, tmp_path, to):
    path = tmp_path / "dev.out"
    assert run("convert", corpus / "dev.conll", path, "--to", to)[0] == 0
    expected = run("evaluate", model, corpus / "dev.conll", "--task", "ner", "--json")
    result = run("evaluate", model, path, "--format", to, "--task", "ner", "--json")
    assert result[0] == 0, result[2]
    scores = [json.loads(output)["tasks"] for _, output, _ in (expected, result)]
    assert scores[0] == scores[1]


def test_evaluation_has_scores_outcomes_and_confusion(model, corpus_with_errors):
    tagger = Tagger.load(model)
    sentences = list(read_sentences(corpus_with_errors, columns="token,pos,ner"))
    evaluation = evaluate(tagger, sentences)
    tagged = list(tagger.tag_sentences(sentences))
    seen = tagger.bundle.vocabulary.mark_seen(sentences)
    for name, scheme in (("pos", None), ("ner", "IOB2")):
        sides = [[sentence.tags[name] for sentence in side] for side in (sentences, tagged)]
        outcomes = match_task(*sides, scheme=scheme)
        assert evaluation.tasks[name].outcomes == outcomes
        assert evaluation.tasks[name].confusion == count_confusion(
            (one for own in outcomes for one in own), has_spans=scheme is not None
        )
        assert evaluation.scores[name] == score_task(*sides, scheme=scheme, seen=seen)


def test_a_metric_in_the_table_is_in_json_and_may_be_saved(model, corpus_with_errors, monkeypatch):
    before = json.loads(run("evaluate", model, corpus_with_errors, "--json")[1])["tasks"]
    for table in (SPAN_METRICS, TAG_METRICS):
        monkeypatch.setitem(table, "n_sentences", lambda tags: len(tags.gold))
    after = json.loads(run("evaluate", model, corpus_with_errors, "--json")[1])["tasks"]
    count = len(list(read_sentences(corpus_with_errors, columns="token,pos,ner")))
    assert after == {name: {**scores, "n_sentences": count} for name, scores in before.items()}
    assert SavedTagScores.model_validate(after["pos"])
    assert SavedSpanScores.model_validate(after["ner"])


@pytest.mark.parametrize(
    ("table", "declared", "saved"),
    [(SPAN_METRICS, SpanTaskScores, SavedSpanScores), (TAG_METRICS, TagTaskScores, SavedTagScores)],
)
def test_every_declared_score_has_a_metric(table, declared, saved):
    assert declared.__annotations__.keys() | saved.model_fields.keys() <= table.keys()


def test_json_has_the_confusion_and_every_error(model, corpus_with_errors):
    code, output, error = run("evaluate", model, corpus_with_errors, "--json")
    assert (code, error) == (0, "")
    values = json.loads(output)
    for name, scores in values["tasks"].items():
        confusion, mistakes = values["confusion"][name], values["mistakes"][name]
        assert sum(confusion["kinds"].values()) - confusion["kinds"]["right"] == len(mistakes) > 0
        frequent = values["frequent"][name]
        assert sum(group["count"] for group in frequent) == len(mistakes)
        assert all(len(group["examples"]) <= 3 for group in frequent)
        assert frequent[0]["count"] >= 3
        total = sum(map(sum, confusion["matrix"]))
        spurious = confusion["kinds"].get("spurious", 0)
        assert total - spurious == scores["support"]
    sources = {mistake["source"] for mistake in values["mistakes"]["ner"]}
    last = len(corpus_with_errors.read_text(encoding="utf-8").splitlines()) - 5
    assert f"{corpus_with_errors}:{last}" in sources


@pytest.mark.parametrize("columns", [80, 100])
def test_errors_are_printed_with_example_sentences(model, corpus_with_errors, monkeypatch, columns):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(corpus_with_errors.parent)
    code, output, _ = run("evaluate", model, "hard.conll", terminal=True, encoding="utf-8")
    assert code == 0
    assert max(map(len, output.splitlines())) <= columns
    values = json.loads(run("evaluate", model, "hard.conll", "--json")[1])
    for name in ("pos", "ner"):
        for group in values["frequent"][name][:10]:
            labels = " → ".join(dict.fromkeys(filter(None, (group["gold"], group["predicted"]))))
            assert f"{group['count']:>5} × {group['text']}  {labels}  {group['kind']}" in output
            assert f"{group['examples'][0]['source']}: " in output
    assert re.search(r"hard\.conll:\d+: .*\[Bonn\] sang near the sea", output)
    kinds = values["confusion"]["ner"]["kinds"]
    assert re.search(r"^ *all +" + " +".join(map(str, kinds.values())), output, re.MULTILINE)
    matrix = values["confusion"]["ner"]
    row = "LOC +" + " +".join(str(count or r"\.") for count in matrix["matrix"][0])
    assert re.search(row, output)


def test_a_wide_matrix_is_replaced_by_the_most_confused_labels(model, corpus, tmp_path):
    labels = [f"LABEL-{number}" for number in range(30)]
    lines = [f"Ada PROPN B-{label}\n" for label in labels for _ in range(len(label))]
    (tmp_path / "wide.conll").write_text("\n".join(lines) + "\n")
    code, output, _ = run("evaluate", model, tmp_path / "wide.conll", "--task", "ner")
    assert code == 0
    shown = output.partition("ner: most confused")[2].partition("ner: most frequent")[0]
    assert len(re.findall(r"LABEL-\d+ ", shown)) == 10
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.slow
def test_page_and_plots_are_written(model, corpus_with_errors, tmp_path):
    page, picture = tmp_path / "errors.html", tmp_path / "a.svg"
    (tmp_path / "errors.html").write_text("old")
    arguments = ("--errors", page, "--picture", picture)
    plain = run("evaluate", model, corpus_with_errors)[1]
    code, output, error = run("evaluate", model, corpus_with_errors, *arguments)
    assert (code, error) == (0, "")
    speed = re.compile(r"[\d,]+ tokens/s")
    assert speed.sub("", output) == speed.sub("", plain)
    assert {path.name for path in tmp_path.iterdir()} == {"errors.html", "a.svg"}
    values = json.loads(run("evaluate", model, corpus_with_errors, "--json")[1])
    content = page.read_text(encoding="utf-8")
    assert content.count("data-error=") == sum(map(len, values["mistakes"].values()))
    assert f"Errors of <bdi>{model.name}</bdi> on <bdi>hard.conll</bdi>" in content
    assert picture.read_text(encoding="utf-8").startswith("<?xml")
    assert run("evaluate", model, corpus_with_errors, "--picture", tmp_path / "a.png")[0] == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "code", "fragment"),
    [
        ("--errors {file}", "option.conflict", "overwrite"),
        ("--errors {folder}/link.conll", "option.conflict", "overwrite"),
        ("--picture {folder}", "option.value", ".svg or .png"),
        ("--errors {folder}", "file.kind", ""),
        ("--errors {folder}/no/x.html", "file.unwritable", ""),
        ("--picture {folder}/x.gif", "option.value", ".svg or .png"),
        ("--errors {folder}/x.svg --picture {folder}/x.svg", "option.conflict", "two outputs"),
    ],
)
def test_invalid_outputs_are_rejected_before_the_work(
    corpus_with_errors, tmp_path, arguments, code, fragment
):
    before = corpus_with_errors.read_bytes()
    (tmp_path / "link.conll").symlink_to(corpus_with_errors)
    words = [word.format(file=corpus_with_errors, folder=tmp_path) for word in arguments.split()]
    # The model does not exist: the error comes before it is loaded.
    error = input_error("evaluate", tmp_path / "none", corpus_with_errors, *words)
    assert error.code == code
    assert fragment in error.message
    assert error.file == words[1]
    assert error.option in ("", words[0])
    assert corpus_with_errors.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["link.conll"]


@pytest.mark.parametrize(
    ("package", "option", "other"),
    [("matplotlib", "--picture", "--errors"), ("jinja2", "--errors", "--picture")],
)
def test_plots_need_matplotlib_and_pages_jinja2(
    model, corpus_with_errors, tmp_path, monkeypatch, package, option, other
):
    monkeypatch.setitem(sys.modules, package, None)
    error = input_error("evaluate", model, corpus_with_errors, option, tmp_path / "a.svg")
    assert f"evaluate {option}` needs the package {package}" in error.message
    assert run("evaluate", model, corpus_with_errors, other, tmp_path / "b.svg")[0] == 0


def test_a_full_disk_is_reported_in_one_line(model, corpus_with_errors, tmp_path):
    code, _, error = run("evaluate", model, corpus_with_errors, "--errors", "/dev/full")
    assert code == 2
    assert error.startswith("tagger: /dev/full: cannot be written (No space left on device).")


@pytest.mark.parametrize("choice", ["expand", "trim", "skip"])
def test_running_text_is_tokenized_by_the_model(model, tmp_path, monkeypatch, choice):
    """Readers of running text receive the model's tokenizer; their notes are printed and counted."""

    def read(path, reading):
        assert reading.on_misaligned == choice
        for number in (1, 2):
            reading.warn(f"{path}:{number}: a span did not fit")
        for sentence in reading.tokenize("Ada met Otto."):
            yield sentence.with_tags(dict.fromkeys(reading.tasks, ["O"] * len(sentence)))

    monkeypatch.setitem(FORMATS, "conll", replace(FORMATS["conll"], read=read))
    path = tmp_path / "text.conll"
    code, output, error = run("evaluate", model, path, "--task", "ner", "--json", "--on-misaligned", choice)
    assert code == 0
    assert error.splitlines() == [
        f"tagger: {path}:1: a span did not fit",
        f"tagger: {path}:2: a span did not fit",
        "tagger: notes on changed or skipped data: 2",
    ]
    tokens = [len(sentence) for sentence in Tagger.load(model).tokenizer("Ada met Otto.")]
    assert json.loads(output)["tokens"] == sum(tokens)


def test_wide_characters_fit_the_console():
    words = ["東京"] * 30
    gold, predicted = [["O"] * 30], [["O"] * 15 + ["B-LOC"] + ["O"] * 14]
    evaluation = make_evaluation([words], {"ner": (gold, predicted, "IOB2")}, source="長い名前.conll")
    lines = list(mistake_lines("ner", evaluation.tasks["ner"], evaluation.sentences, 80))
    assert 70 < max(line.cell_len for line in lines) <= 80
    assert "[東京]" in lines[-1].plain
    assert lines[-1].plain.endswith("…")


def test_printed_text_has_no_control_characters():
    assert printable("a\x1b[2Jb\u202ec\n\ud800") == "a\ufffd[2Jb\ufffdc\ufffd\ufffd"
    for text in ("Émile", "東京", "می‌خواهم", "👩‍🚀", "e\u0301"):
        assert printable(text) == text
