"""``Sentence``: JSON values and back without loss, and its display in notebooks."""

import json
import re
from dataclasses import replace

import pytest
from bundles import make_bundle
from hypothesis import given
from hypothesis import strategies as st
from input_errors import raises

from tagger import Sentence, Span, Tagger
from tagger.corpus.jsonl import read_jsonl
from tagger.corpus.reading import Reading
from tagger.runtime.json_lines import sentence_lines
from tagger.runtime.options import TagOptions
from tagger.text.sentence import Alternative, from_tokens

TAGGER = Tagger(make_bundle()[1])
TEXT = "Mira met Tom. Glasgow lost 2-0, she said!\n\nNew Ayr   was quiet."
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
SCORES = st.floats(0, 1)
TASKS = st.sampled_from(["ner", "pos", "chunk"])


@st.composite
def sentences(draw):
    """Draw a sentence with every field; tokens may be empty or overlap, as in CoNLL-U."""
    text, start = draw(WORDS), draw(st.integers(0, 9))
    edges = st.integers(start, start + len(text))
    offsets = tuple(tuple(sorted(pair)) for pair in draw(st.lists(st.tuples(edges, edges), max_size=5)))
    offsets = tuple(sorted(offsets))
    size = len(offsets)

    def each(values):
        return st.lists(values, min_size=size, max_size=size).map(tuple)

    def by_task(values):
        return draw(st.dictionaries(TASKS, values, max_size=2))

    indices = st.tuples(st.integers(0, max(0, size - 1)), st.integers(1, max(1, size)))
    spans = st.builds(
        lambda pair, label, score: Span(
            *pair, label, score, offsets[pair[0]][0], offsets[pair[1] - 1][1], "not compared"
        ),
        indices.filter(lambda pair: pair[0] < pair[1]),
        WORDS,
        st.none() | SCORES,
    )
    span_lists = st.lists(spans, max_size=3 if size else 0).map(tuple)
    return Sentence(
        draw(each(WORDS)),
        offsets,
        text,
        start,
        by_task(each(WORDS)),
        by_task(span_lists),
        draw(st.booleans()),
        draw(WORDS),
        draw(st.booleans()),
        draw(st.lists(WORDS, max_size=2).map(tuple)),
        draw(st.lists(st.tuples(st.integers(0, size), WORDS), max_size=2).map(tuple)),
        draw(WORDS),
        by_task(each(SCORES)),
        by_task(st.lists(st.builds(Alternative, each(WORDS), SCORES), max_size=2).map(tuple)),
        by_task(span_lists),
        by_task(each(SCORES)),
    )


@given(sentences())
def test_json_values_lose_nothing(sentence):
    values = sentence.to_dict()
    read = Sentence.from_dict(json.loads(json.dumps(values)))
    assert read == sentence
    assert (read.has_token_lines, read.outside_scores) == (sentence.has_token_lines, sentence.outside_scores)
    assert read.to_dict() == values


def test_spans_without_characters_get_those_of_their_tokens():
    sentence = replace(from_tokens(["New", "Ayr"]), spans={"ner": (Span(0, 2, "LOC"),)})
    (span,) = Sentence.from_dict(sentence.to_dict()).spans["ner"]
    assert span == Span(0, 2, "LOC", None, 0, 7)
    assert span.text == "New Ayr"


def test_the_values_are_those_of_a_jsonl_line(tmp_path):
    found = TAGGER.tag(TEXT, scores=True, n_best=2, candidates=0.2)
    options = TagOptions(tasks=TAGGER.tasks)
    lines = [json.loads(line) for line in sentence_lines(found, options)]
    for sentence, line in zip(found, lines, strict=True):
        values = sentence.to_dict()
        assert values.keys() - line.keys() == {"outside_scores"}
        assert list(values)[: len(line)] == list(line)
        for name in ("text", "start", "tokens", "tags"):
            assert values[name] == line[name]
        assert Sentence.from_dict(line).tags == sentence.tags
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(sentence.to_dict()) + "\n" for sentence in found))
    read = list(read_jsonl(path, Reading(tasks=("ner", "pos"))))
    assert [replace(one, source="") for one in read] == [replace(one, candidates={}) for one in found]


def test_a_span_has_its_text():
    sentences = TAGGER.tag(TEXT, candidates=0.2)
    spans = [span for one in sentences for span in (*one.spans["ner"], *one.candidates["ner"])]
    assert spans
    assert [span.text for span in spans] == [TEXT[span.start_char : span.end_char] for span in spans]


def test_a_span_from_a_corpus_has_its_text(write_file):
    path = write_file('{"text": "Dr. Ada Lund sang.", "label": [[4, 12, "PER"]]}\n', "a.jsonl")
    (sentence,) = read_jsonl(path, Reading())
    assert [span.text for span in sentence.spans["ner"]] == ["Ada Lund"]


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.pop("text"),
        lambda values: values.update(tokens=None),
        lambda values: values.update(tokens=[1]),
        lambda values: values.update(text=3),
        lambda values: values["spans"].update(ner=[{"start": 1, "end": 4, "label": "PER", "score": None}]),
        lambda values: values["spans"].update(ner=[{"start": 0, "end": 4, "label": 3, "score": None}]),
        lambda values: values.update(extra_lines=[1]),
        lambda values: values.update(n_best={"ner": [{}]}),
    ],
)
def test_malformed_values(change):
    values = from_tokens(["Mira", "met"]).to_dict()
    change(values)
    with raises("argument.value", file="Sentence.from_dict", mentions="Sentence.to_dict"):
        Sentence.from_dict(values)


@pytest.mark.parametrize("values", [None, "{}", [1]])
def test_values_of_a_wrong_type(values):
    with pytest.raises(TypeError, match=r"^values must be a mapping \(got "):
        Sentence.from_dict(values)


def test_notebooks_show_marked_spans_and_escape_everything():
    hostile = ["<b>Mira</b>", "&amp;", '"Ayr"']
    sentence = replace(
        from_tokens(hostile),
        spans={"<n>": (Span(0, 1, "<i>"), Span(0, 2, "lost"), Span(2, 3, '"'))},
        tags={"pos": ("N",) * 3},
    )
    html = sentence._repr_html_()
    assert set(re.findall(r"<(/?\w+)", html)) == {"div", "/div", "mark", "/mark", "b", "/b"}
    assert "&lt;b&gt;Mira&lt;/b&gt;" in html
    assert html.count("<mark") == 2  # the overlapping span is left out
    assert "lost" not in html
    tagged = replace(sentence, spans={}, tags={"p": ("<", "N", "V"), "q": ("N", "O", "N")})._repr_html_()
    assert tagged.count("<ruby>") == 5
    assert "<rt>&lt;</rt>" in tagged
    assert from_tokens(["<b>"])._repr_html_() == '<div style="white-space:pre-wrap">&lt;b&gt;</div>'


def test_notebooks_show_text_within_a_document():
    second = TAGGER.tag("Rain fell.\n\nMira met Glasgow.")[1]
    plain = re.sub("<b [^>]*>.*?</b>|<[^>]*>", "", second._repr_html_())
    assert plain == second.text
