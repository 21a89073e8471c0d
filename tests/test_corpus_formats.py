"""All ``FORMATS``: the declared content survives a round trip, and other content is reported as lost."""

import re
import shutil
from itertools import accumulate, pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.corpus.conversion import Conversion, survey
from tagger.corpus.files import FORMATS, Content
from tagger.corpus.placement import documents
from tagger.corpus.reading import Reading, Writing
from tagger.text.schemes import spans_to_tags, tags_to_spans
from tagger.text.sentence import UNKNOWN_TAG, Alternative, Sentence, Span

TASKS = ("pos", "ner")
COLUMNS = {"conll": "token,pos,ner"}
TOKENS = st.sampled_from(["a", "Bé", "n't", "’s", "_", "漢", "x\u00a0y", "#1", "10 000", "🌊", "-"])
GAPS = st.sampled_from(["", " ", "  ", "\u00a0"])
BETWEEN = st.sampled_from([" ", "\n"])
PROBABILITIES = st.floats(0, 1)
COMMENTS = st.lists(st.sampled_from(["# sent_id = 1", "# note of someone"]), max_size=2, unique=True)


def each_of(values, count):
    return st.lists(values, min_size=count, max_size=count).map(tuple)


@st.composite
def spans_of(draw, offsets):
    """Draw spans without overlaps, some with a score."""
    borders = sorted(draw(st.sets(st.integers(0, len(offsets)), max_size=4)))
    return tuple(
        Span(start, end, label, score, offsets[start][0], offsets[end - 1][1])
        for start, end in pairwise(borders)
        for label, score in [
            draw(st.tuples(st.sampled_from(["PER", "product-car", "full name"]), st.none() | PROBABILITIES))
        ]
        if draw(st.booleans())
    )


@st.composite
def sentences(draw):
    """Draw the sentences of a few documents, with every field of a sentence."""
    made, end = [], 0
    for number in range(draw(st.integers(1, 4))):
        starts = not made or draw(st.booleans())
        before = "" if starts else draw(BETWEEN)
        start = 0 if starts else end + len(before)
        tokens = draw(st.lists(TOKENS, min_size=1, max_size=5))
        text, offsets = "", []
        for token, gap in zip(tokens, draw(each_of(GAPS, len(tokens))), strict=True):
            offsets.append((start + len(text), start + len(text) + len(token)))
            text += token + gap
        text = text[: offsets[-1][1] - start]
        end = start + len(text)
        spans = draw(spans_of(offsets))
        tags = {
            "pos": draw(each_of(st.sampled_from(["NOUN", "VERB"]), len(tokens))),
            "ner": tuple(
                draw(st.sampled_from(["O", "O", UNKNOWN_TAG])) if tag == "O" else tag
                for tag in spans_to_tags(spans, len(tokens), "IOB2")
            ),
        }
        rows = [(place, f"{place}.1" + "\t_" * 9) for place in (0, len(tokens))]
        made.append(
            Sentence(
                tuple(tokens),
                tuple(offsets),
                text,
                start,
                tags,
                {"ner": spans},
                starts_document=starts,
                source=f"f:{number}",
                comments=tuple(draw(COMMENTS)),
                extra_lines=tuple(draw(st.lists(st.sampled_from(rows), max_size=1))),
                text_before=before,
                tag_scores=draw(st.sampled_from([{}, {"ner": draw(each_of(PROBABILITIES, len(tokens)))}])),
                alternatives=draw(st.sampled_from([{}, {"ner": (Alternative(tags["ner"], 0.5),)}])),
            )
        )
    return made


def spans_in(read):
    """Return all spans of a file in order, by the non-space characters before and inside them."""
    texts = ["".join(one.text.split()) for one in read]
    sizes = [0, *accumulate(map(len, texts))]
    for one, size in zip(read, sizes, strict=False):
        for span in one.spans.get("ner", tags_to_spans(one.tags["ner"], "IOB2")):
            start, end = one.offsets[span.start][0], one.offsets[span.end - 1][1]
            begin, inside = (
                one.text[: start - one.text_start],
                one.text[start - one.text_start : end - one.text_start],
            )
            yield size + len("".join(begin.split())), "".join(inside.split()), span


def is_no_writers(comment):
    """Return True if a comment is not one that writers add."""
    return not re.match(r"# text = |# newdoc$", comment)


def by_sentence(values):
    """Return all values with the number of their sentence."""
    return [(number, value) for number, its in enumerate(values) for value in its]


VIEWS = {
    "tokens": lambda read: [one.tokens for one in read],
    "sentences": lambda read: ["".join(one.text.split()) for one in read],
    "documents": lambda read: ["".join(one.text.split()) for one in documents(read, ())],
    "tags": lambda read: by_sentence(one.tags.get("pos", ()) for one in read),
    "unknown tags": lambda read: by_sentence(
        [index for index, tag in enumerate(one.tags["ner"]) if tag == UNKNOWN_TAG] for one in read
    ),
    "spans": lambda read: [(place, words, span.label) for place, words, span in spans_in(read)],
    "comments": lambda read: by_sentence(filter(is_no_writers, one.comments) for one in read),
    "extra lines": lambda read: by_sentence(one.extra_lines for one in read),
    "span scores": lambda read: [(place, span.score) for place, _, span in spans_in(read)],
    "tag scores": lambda read: by_sentence(one.tag_scores.items() for one in read),
    "alternatives": lambda read: by_sentence(one.alternatives.items() for one in read),
}
"""The value of each content of a file, independent of the other contents."""
TOLD = {
    "tokens": "token boundaries",
    "sentences": "sentence boundaries",
    "documents": "document boundaries",
    "tags": "tags of pos",
    "unknown tags": "unknown tags",
    "comments": "comments",
    "extra lines": "lines without a token",
    "span scores": "probabilities of spans",
    "tag scores": "probabilities of tags",
    "alternatives": "alternatives",
}
"""The name of each lost content. Every format supports spans and text."""


def texts(read, holds):
    """Return the texts, with white space between sentences if only documents are separated."""
    if "sentences" in holds:
        return [
            (one.text, [(first - one.text_start, end - one.text_start) for first, end in one.offsets])
            for one in read
        ]
    return [one.text for one in documents(read, ())]


def characters(text):
    """Return each non-space character as a token, so that every span is aligned."""
    offsets = tuple((place, place + 1) for place, sign in enumerate(text) if not sign.isspace())
    return [Sentence(tuple(text[start:end] for start, end in offsets), offsets, text)]


def write(name, made, path, writing):
    """Write a file, folder or database in a format."""
    if FORMATS[name].write:
        with path.open("w", encoding="utf-8", newline="") as file:
            FORMATS[name].write(made, file, writing)
    elif FORMATS[name].write_database:
        path.unlink(missing_ok=True)
        FORMATS[name].write_database(made, path, writing)
    else:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        FORMATS[name].write_folder(made, path, writing)


def test_every_content_is_covered():
    assert {*VIEWS, "text"} == set(get_args(Content)) == {*TOLD, "spans", "text"}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@given(made=sentences())
@settings(max_examples=40)
def test_supported_content_is_preserved_and_other_content_is_reported(name, folder, made):
    holds = FORMATS[name].holds
    source = folder / "source.jsonl"  # preserves every field of a sentence
    write("jsonl", made, source, Writing(tasks=TASKS))
    conversion = Conversion(survey(source), name)
    path = folder / f"there-{name}"
    write(name, conversion.sentences(), path, conversion.writing)
    tasks = TASKS if "tags" in holds else ("ner",)
    reading = Reading(columns=COLUMNS.get(name), tasks=tasks, tokenize=characters)
    read = list(FORMATS[name].read(path, reading))
    assert texts(read, holds) == texts(made, holds)
    lost = +conversion.tally.lost
    for content, view in VIEWS.items():
        comes_back = view(read) == view(made)
        assert comes_back or content not in holds
        assert comes_back or lost[TOLD[content]]
        assert content not in holds or not lost[TOLD.get(content)]
