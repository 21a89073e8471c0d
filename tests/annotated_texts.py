"""Hypothesis strategies for annotated texts: spans that are aligned or not, nested, empty or out of range."""

from dataclasses import replace

from hypothesis import strategies as st

from tagger.corpus.placement import TextSpan, documents, place_spans
from tagger.corpus.reading import Reading

WORDS = (
    "Ada",
    "ran.",
    "U.S.",
    "don't",
    "$20",
    "to",
    "Oslo!",
    "é🌊",
    "e\u0301",
    "日本",
    "\u200b",
    "x\x00y",
    "a-b",
    "'",
    "",
)
BREAKS = (" ", "", "  ", "\n", "\r\n", "\n\n", "\t", "\u2028", " \\n ")

texts = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(BREAKS)), max_size=12).map(
    lambda pairs: "".join(word + end for word, end in pairs)
)


@st.composite
def annotated_texts(draw):
    """A text and any spans, a few of them outside it."""
    text = draw(texts)
    place = st.integers(-1, len(text) + 2)
    spans = st.builds(
        TextSpan, place, place, st.sampled_from(["PER", "B-x", "É", "full name"]), where=st.just("f:1")
    )
    return text, draw(st.lists(spans, max_size=6))


@st.composite
def sentences(draw, tasks=("ner",)):
    """The sentences of one or more documents, with spans and tags of these tasks and scores."""
    found = []
    for text in draw(st.lists(texts, min_size=1, max_size=3)):
        its = {task: draw(st.lists(_inside(text), max_size=4)) for task in tasks}
        found += place_spans(text, its, Reading(on_misaligned="expand"), "f:1")
    return found


def _inside(text):
    place = st.integers(0, len(text))
    score = st.none() | st.floats(0, 1)
    return st.builds(
        TextSpan, place, place, st.sampled_from(["PER", "B-x", "É", "full name"]), score, st.just("f:1")
    )


def without_place(sentences):
    """The sentences without the file and line that they were read from."""
    return [replace(sentence, source="") for sentence in sentences]


def content_of(sentences):
    """The texts of the documents and the places and labels of the names in them."""
    return [
        (one.text, [(span.start, span.end, span.label) for span in one.spans["ner"]])
        for one in documents(sentences, ["ner"])
    ]
