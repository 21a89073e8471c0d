"""The page of label errors: parsed and compared with the suspicions, with hostile words, and in a browser."""

import re
from collections import Counter
from dataclasses import replace

import pytest
from error_analysis import NER, POS, WORDS
from pages import Page, watch_page

from tagger.evaluation.confusion import match_task
from tagger.reports.label_error_page import KINDS, label_errors_page, write_label_errors
from tagger.runtime.label_errors import Suspicion
from tagger.text.sentence import from_tokens

SCHEMES = {"ner": "IOB2", "pos": None}
NASTY = ["</script><script>alert(1)</script>", "\"'&amp;", "word" * 40, "\u202eabc", "x" * 300]


def make_suspicions(words, tasks, source="a"):
    """Return the sentences, and a suspicion for each difference between gold and predicted tags."""
    sentences = [
        replace(from_tokens(own), source=f"{source}:{n}").with_tags(
            {name: gold[n - 1] for name, (gold, _, _) in tasks.items()}
        )
        for n, own in enumerate(words, start=1)
    ]
    suspicions = [
        Suspicion(name, outcome, 0.01, 0.9, n, sentence.source, sentence.tokens[outcome.start : outcome.end])
        for name, (gold, predicted, scheme) in tasks.items()
        for n, (sentence, outcomes) in enumerate(
            zip(sentences, match_task(gold, predicted, scheme=scheme), strict=True)
        )
        for outcome in outcomes
        if outcome.kind != "right"
    ]
    return suspicions, sentences


SUSPICIONS, SENTENCES = make_suspicions(WORDS, {"ner": NER, "pos": POS})


def page_of(suspicions, sentences, schemes=SCHEMES, **names):
    pieces = label_errors_page(suspicions, sentences, schemes, **{"model": "m", "file": "f", **names})
    return Page("".join(pieces))


def test_each_suspicion_has_an_article_with_both_labels():
    page = page_of(SUSPICIONS, SENTENCES)
    articles = page.find("article")
    assert [one["attributes"]["id"] for one in articles] == [f"s{n + 1}" for n in range(len(SUSPICIONS))]
    chips = [one for one in page.elements if "data-error" in one["attributes"]]
    for article, chip, suspicion in zip(articles, chips, SUSPICIONS, strict=True):
        assert suspicion.source in article["text"]
        assert suspicion.kind in chip["text"]
        assert all(label in chip["text"] for label in suspicion.outcome.labels if label)
        assert "gold: 0.0100" in article["text"]
        assert "predicted: 0.9000" in article["text"]
    assert {one.kind for one in SUSPICIONS} == {
        "wrong type",
        "wrong borders",
        "spurious",
        "missing",
        "wrong tag",
    }


def test_the_proposal_replaces_the_gold_spans_that_it_overlaps():
    page = page_of(SUSPICIONS, SENTENCES)
    sides = {name: [one["text"] for one in page.find("p", class_=name)][:3] for name in ("gold", "predicted")}
    assert sides["gold"] == [
        "AdaPERspurious saw New LimaLOC",
        "AdaPER saw New LimaLOCwrong borders",
        "In LimaLOCwrong type",
    ]
    assert sides["predicted"] == [
        "Ada saw New LimaLOC",
        "AdaPER saw New LimaLOCwrong borders",
        "In LimaPERwrong type",
    ]
    joint = replace(SUSPICIONS[0], outcome=replace(SUSPICIONS[0].outcome, predicted=None))
    assert page_of([joint], SENTENCES).find("p", class_="predicted")[0]["text"] == "Ada saw New LimaLOC"


def test_filters_know_all_labels():
    page = page_of(SUSPICIONS, SENTENCES)
    values = {one["attributes"]["value"] for one in page.find("option")}
    for one in page.elements:
        if "data-error" in one["attributes"]:
            kind, *labels = one["attributes"]["data-error"].split(".")
            assert KINDS[int(kind)] in one["text"]
            assert set(labels) <= values


@pytest.mark.parametrize("scheme", ["IOB2", None])
def test_words_labels_and_names_are_escaped(tmp_path, scheme):
    prefix = "B-" if scheme else ""
    gold = [[prefix + nasty for nasty in NASTY]]
    predicted = [[gold[0][-1], *gold[0][:-1]]]
    suspicions, sentences = make_suspicions([NASTY], {"<i>": (gold, predicted, scheme)}, source="</code>")
    path = tmp_path / "page.html"
    write_label_errors(
        suspicions, sentences, {"<i>": scheme}, path, model="<img>", file="</title><img src=x>"
    )
    content = path.read_text(encoding="utf-8")
    page = Page(content)
    assert len(page.find("script")) == 1
    assert not page.find("img")
    assert len(page.find("article")) == len(NASTY)
    assert not re.search(r"\son\w+=|url\(|https?:", content)


def test_a_page_without_suspicions():
    page = page_of([], SENTENCES)
    assert not page.find("article")
    assert page.find("p", class_="quiet")[0]["text"].startswith("0 places")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_readable_filters_and_requests_nothing(browser, tmp_path, width):
    tags = [["B-" + "L" * 60, "O", "B-PER", "I-PER", "O"]]
    more, long_sentences = make_suspicions(
        [NASTY], {"ner": (tags, [["O", "B-X", "O", "O", "B-<b>"]], "IOB2")}
    )
    sentences = [*SENTENCES, *[replace(one, tags={**one.tags, "pos": ["N"] * 5}) for one in long_sentences]]
    suspicions = [*SUSPICIONS, *[replace(one, sentence=len(SENTENCES)) for one in more]]
    path = tmp_path / "page.html"
    write_label_errors(suspicions, sentences, SCHEMES, path, model="m", file="f")
    page = watch_page(browser, path.as_uri(), viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("article:visible").count() == len(suspicions)
    for kind, count in Counter(one.kind for one in suspicions).items():
        for other in page.locator("input[name=kind]").all():
            other.set_checked(int(other.get_attribute("value")) == KINDS.index(kind))
        assert page.locator("article:visible").count() == count
    page.locator("article:visible input[type=checkbox]").first.check()
    assert page.requests == [path.as_uri()]
    assert page.problems == []
    page.close()
