"""Tag schemes, compared with seqeval and brute force, and in round trips."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_errors import raises
from seqeval.metrics.sequence_labeling import get_entities

from tagger.corpus.conll import read_conll
from tagger.errors import InputError
from tagger.text.scheme_detection import detect_scheme
from tagger.text.schemes import (
    SCHEMES,
    allowed_transitions,
    belongs_to,
    convert_next_tag,
    convert_tags,
    is_span_tag,
    normalise_scheme,
    spans_to_tags,
    split_tag,
    tags_to_spans,
    violations,
)
from tagger.text.sentence import Span

HOLDING_SCHEMES = [scheme for scheme in SCHEMES if scheme != "IO"]
LABELS = ["PER", "product-car", "B", "_"]


@st.composite
def span_lists(draw, max_length=12):
    """A sentence's length and spans that do not overlap; half of them are adjacent to the previous one."""
    spans, position = [], 0
    for _ in range(draw(st.integers(0, 5))):
        start = position + draw(st.sampled_from([0, 0, 1, 2]))
        end = start + draw(st.integers(1, 4))
        if end > max_length:
            break
        spans.append(Span(start, end, draw(st.sampled_from(LABELS))))
        position = end
    return position + draw(st.integers(0, 2)), spans


def any_tags(prefixes="BIES", labels=("PER", "product-car")):
    tags = ["O", *prefixes, *(f"{prefix}-{label}" for prefix in prefixes for label in labels)]
    return st.lists(st.sampled_from(tags), max_size=10)


def triples(tags, scheme="IOB2", **options):
    return [(span.label, span.start, span.end) for span in tags_to_spans(tags, scheme, **options)]


# Names and tags


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("IOB1", "IOB1"),
        ("iob2", "IOB2"),
        ("IOB-2", "IOB2"),
        ("BIO", "IOB2"),
        ("IOB", "IOB2"),
        ("BIO1", "IOB1"),
        ("BIOES", "BIOES"),
        ("IOBES", "BIOES"),
        ("bilou", "BILOU"),
        ("BIOUL", "BILOU"),
        ("BMES", "BMES"),
        ("BMEOS", "BMES"),
        ("IO", "IO"),
    ],
)
def test_names(name, canonical):
    assert normalise_scheme(name) == canonical


def test_unknown_name_suggests_the_closest():
    with raises("option.unknown", mentions="'BILOX' (did you mean BILOU?)"):
        normalise_scheme("BILOX")


def test_tags_of_a_scheme():
    assert [belongs_to(tag, "BIO") for tag in ("O", "B-PER", "I", "E-PER", "NN")] == [True] * 3 + [False] * 2
    for tag in ("O", "B-PER"):
        with raises("option.unknown", mentions="'XYZ'"):
            belongs_to(tag, "XYZ")


def test_split_tag_at_the_first_hyphen():
    assert split_tag("B-product-car") == ("B", "product-car")
    assert split_tag("I-PER") == ("I", "PER")
    assert split_tag("O") == ("O", "")
    assert split_tag("S") == ("S", "_")


def test_span_tags_are_recognised():
    assert all(is_span_tag(tag) for tag in ["O", "B-PER", "M", "L-x", "U-a-b", "S"])
    assert not any(is_span_tag(tag) for tag in ["NN", "b-PER", "X-PER", "PER", "-", "_", "", "O-PER", "BPER"])


# Reading


@given(any_tags())
def test_repair_agrees_with_seqeval(tags):
    expected = [(label, first, last + 1) for label, first, last in get_entities(tags)]
    for scheme in SCHEMES:
        assert triples(tags, scheme) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["I-PER", "I-LOC"], [("PER", 0, 1), ("LOC", 1, 2)]),
        (["I-PER", "B-PER"], [("PER", 0, 1), ("PER", 1, 2)]),
        (["I-PER", "I-PER"], [("PER", 0, 2)]),
        (["I-a-b", "I-a-c"], [("a-b", 0, 1), ("a-c", 1, 2)]),
    ],
)
def test_iob1_neighbours(tags, expected):
    assert triples(tags, "IOB1", mode="strict") == expected


@pytest.mark.parametrize(
    ("scheme", "letters"),
    [
        ("BIOES", "BIE BE O S"),
        ("BILOU", "BIL BL O U"),
        ("BMES", "BME BE O S"),
        ("IOB2", "BII BI O B"),
        ("IOB1", "III II O I"),
        ("IOE1", "III II O I"),
        ("IOE2", "IIE IE O E"),
        ("IO", "III II O I"),
    ],
)
def test_every_alphabet_means_the_same(scheme, letters):
    person, place, _, single = letters.split()
    tags = [
        *(f"{letter}-PER" for letter in person),
        *(f"{letter}-LOC" for letter in place),
        *("O", f"{single}-PER"),
    ]
    assert triples(tags, scheme, mode="strict") == [("PER", 0, 3), ("LOC", 3, 5), ("PER", 6, 7)]


def test_bare_tags_are_spans_of_the_label_underscore():
    words = ["B", "M", "E", "S", "B", "E"]
    assert triples(words, "BMES", mode="strict") == [("_", 0, 3), ("_", 3, 4), ("_", 4, 6)]
    assert convert_tags(words, "BMES", "IOB2") == ["B", "I", "I", "B", "B", "I"]
    assert convert_tags(words, "BMES", "BMES") == words


def test_other_tags_count_as_outside_and_as_violations():
    assert triples(["B-PER", "0", "I-PER"]) == [("PER", 0, 1), ("PER", 2, 3)]
    assert violations(["B-PER", "0", "I-PER"], "IOB2") == [1, 2]


def test_strict_names_sentence_token_and_tag():
    tags, tokens = ["O", "I-PER", "O"], ["dear", "Ada", "!"]
    with raises("corpus.scheme", file="dev.conll", line=7, mentions="token 1 ('Ada') has the tag 'I-PER'"):
        tags_to_spans(tags, "IOB2", mode="strict", tokens=tokens, where="dev.conll:7")
    with raises("corpus.scheme", mentions="token 1 has the tag 'I-PER'"):
        convert_tags(tags, "IOB2", "BIOES", mode="strict")


@pytest.mark.parametrize(
    ("tags", "scheme", "illegal"),
    [
        ("O I-PER I-PER", "IOB2", [1]),
        ("B-PER I-LOC", "IOB2", [1]),
        ("I-PER B-PER O B-PER", "IOB1", [3]),
        ("I-PER B-LOC", "IOB1", [1]),
        ("B-PER O I-PER", "BIOES", [0, 2]),
        ("B-PER B-PER E-PER", "BIOES", [0]),
        ("B-PER I-PER", "BIOES", [1]),
        ("U-PER", "BIOES", [0]),
        ("S-PER", "BILOU", [0]),
        ("B-PER", "IO", [0]),
        ("I-PER E-PER E-PER O I-PER", "IOE2", [4]),
        ("I-PER E-PER I-PER O E-PER", "IOE1", [4]),
        ("", "BIOES", []),
    ],
)
def test_violations(tags, scheme, illegal):
    assert violations(tags.split(), scheme) == illegal


@given(any_tags("BIESLUM"), st.sampled_from(SCHEMES))
def test_strict_rejects_exactly_sequences_with_violations(tags, scheme):
    if violations(tags, scheme):
        with pytest.raises(InputError):
            tags_to_spans(tags, scheme, mode="strict")
    else:
        assert triples(tags, scheme, mode="strict") == triples(tags, scheme)


# Round trips


@given(span_lists(), st.sampled_from(HOLDING_SCHEMES))
def test_spans_to_tags_to_spans(sentence, scheme):
    length, spans = sentence
    tags = spans_to_tags(spans, length, scheme)
    assert len(tags) == length
    assert tags_to_spans(tags, scheme, mode="strict") == spans


@given(span_lists(), st.sampled_from(HOLDING_SCHEMES), st.sampled_from(HOLDING_SCHEMES))
def test_conversion_round_trip(sentence, one, other):
    length, spans = sentence
    tags = spans_to_tags(spans, length, one)
    assert convert_tags(convert_tags(tags, one, other), other, one, mode="strict") == tags


@given(any_tags("BIESLUM"), st.sampled_from(SCHEMES), st.sampled_from(HOLDING_SCHEMES))
def test_conversion_repairs_once(tags, source, target):
    repaired = convert_tags(tags, source, target)
    assert violations(repaired, target) == []
    assert tags_to_spans(repaired, target) == tags_to_spans(tags, source)


@given(span_lists(), st.sampled_from(HOLDING_SCHEMES), st.sampled_from(SCHEMES))
def test_converting_tag_by_tag_equals_converting_the_sequence(sentence, source, target):
    length, spans = sentence
    tags = spans_to_tags(spans, length, source)
    ends = ("BIOES", "BILOU", "BMES", "IOE2")
    if (target in ends and source not in ends) or (target == "IOE1" != source):
        with raises("argument.value", mentions=f"{source} cannot become {target}"):
            convert_next_tag("O", "O", source, target)
        return
    result = [
        convert_next_tag(before, tag, source, target) for before, tag in itertools.pairwise(["O", *tags])
    ]
    assert result == convert_tags(tags, source, target)


@given(any_tags("BIES"), st.sampled_from(["IOB1", "IOB2", "IO"]))
def test_converting_illegal_tags_one_by_one_to_schemes_without_ends(tags, target):
    result = [
        convert_next_tag(before, tag, "BIOES", target) for before, tag in itertools.pairwise(["O", *tags])
    ]
    assert result == convert_tags(tags, "BIOES", target)


def test_converting_tag_by_tag_accepts_scheme_aliases():
    assert convert_next_tag("O", "U-PER", "bilou", "IOBES") == "S-PER"
    assert convert_next_tag("O", "B-PER", "IOBES", "bilou") == "B-PER"


@given(any_tags("I"))
def test_io_round_trip(tags):
    assert convert_tags(tags, "IO", "IO", mode="strict") == tags


def test_io_merges_adjacent_spans_of_one_label():
    assert convert_tags(["B-PER", "B-PER", "B-LOC"], "IOB2", "IO") == ["I-PER", "I-PER", "I-LOC"]


@pytest.mark.parametrize(
    ("spans", "values"),
    [
        ([Span(0, 2, "PER"), Span(1, 3, "LOC")], "LOC [1, 3) overlaps"),
        ([Span(2, 4, "PER")], "PER [2, 4) must lie inside the sentence (got 3 tokens"),
        ([Span(-1, 1, "PER")], "PER [-1, 1) must lie inside"),
        ([Span(1, 1, "PER")], "PER [1, 1) must lie inside"),
    ],
)
def test_invalid_spans(spans, values):
    with raises("argument.value", mentions=values):
        spans_to_tags(spans, 3, "IOB2")


# Transitions


def inventory(scheme):
    """All the tags that the scheme writes for two labels."""
    spans = [Span(0, 1, "A"), Span(1, 2, "A"), Span(2, 5, "A")]
    one = spans_to_tags(spans, 6, scheme)
    return sorted({*one, *(tag.replace("-A", "-B-b") for tag in one)})


def all_span_lists(length, start=0):
    yield []
    for first in range(start, length):
        for end in range(first + 1, length + 1):
            for label in ("A", "B-b"):
                for rest in all_span_lists(length, end):
                    yield [Span(first, end, label), *rest]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_transitions_allow_exactly_the_encodings_of_spans(scheme):
    tags = inventory(scheme)
    after, start, end = allowed_transitions(tags, scheme)
    for length in range(1, 5):
        allowed, legal = set(), set()
        for ids in itertools.product(range(len(tags)), repeat=length):
            sequence = tuple(tags[i] for i in ids)
            pairs = all(after[i][j] for i, j in itertools.pairwise(ids))
            if start[ids[0]] and pairs and end[ids[-1]]:
                allowed.add(sequence)
            if not violations(sequence, scheme):
                legal.add(sequence)
        written = {tuple(spans_to_tags(spans, length, scheme)) for spans in all_span_lists(length)}
        assert allowed == written
        assert legal == written


def test_foreign_tags_are_never_allowed():
    after, start, end = allowed_transitions(["O", "S-A", "NN"], "IOB2")
    assert after == [[True, False, False], [False] * 3, [False] * 3]
    assert start == [True, False, False]
    assert end == [True, False, False]


def test_no_scheme_allows_everything():
    after, start, end = allowed_transitions(["NN", "VB"], None)
    assert after == [[True, True], [True, True]]
    assert start == end == [True, True]


# Detection


@given(st.lists(span_lists(), min_size=1, max_size=5), st.sampled_from(HOLDING_SCHEMES))
def test_detected_scheme_reads_the_same_spans(sentences, scheme):
    written = [spans_to_tags(spans, length, scheme) for length, spans in sentences]
    result = detect_scheme(iter(written))
    assert result is not None
    for tags, (_, spans) in zip(written, sentences, strict=True):
        assert tags_to_spans(tags, result, mode="strict") == spans


@pytest.mark.parametrize("scheme", HOLDING_SCHEMES)
def test_detection_of_an_informative_sentence(scheme):
    spans = [Span(0, 1, "A"), Span(1, 4, "A"), Span(5, 6, "B")]
    assert detect_scheme([spans_to_tags(spans, 7, scheme)]) == scheme


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [
        ([["O", "O"], ["O"]], "IOB2"),
        ([], "IOB2"),
        ([["I-PER", "I-PER", "O"]], "IOB1"),
        ([["I-PER", "E-PER", "O", "E-PER", "E-LOC"]], "IOE2"),
        ([["I-PER", "E-PER", "I-PER", "O", "I-LOC"]], "IOE1"),
        ([["B-PER", "O"]], "IOB2"),
        ([["B-PER", "I-PER", "O"], ["B-LOC", "I-LOC"], ["O", "I-LOC"]], "IOB2"),
        ([["S-PER", "O", "B-LOC", "E-LOC"], ["B-LOC", "O"]], "BIOES"),
        ([["B", "E", "S"], ["B", "M", "E"]], "BMES"),
        ([["B-PER", "I-PER", "0"]], "IOB2"),
        ([["NOUN", "VERB", "O", "B"]], None),
        ([["O", "O", "O", "PERSON"]], None),
    ],
)
def test_detection(sequences, expected):
    assert detect_scheme(sequences) == expected


@pytest.mark.parametrize(
    ("name", "sentences", "tokens", "entities", "illegal"),
    # The training file has two B-MISC after O, as distributed by the shared task.
    [("eng.train", 14_041, 203_621, 23_499, 2), ("eng.testa", 3_250, 51_362, 5_942, 0)],
)
def test_conll2003(corpora, name, sentences, tokens, entities, illegal):
    read = list(read_conll(corpora / "conll2003" / name))
    assert len(read) == sentences
    assert sum(map(len, read)) == tokens
    tags = [sentence.tags["ner"] for sentence in read]
    assert detect_scheme(tags) == "IOB1"
    assert sum(len(tags_to_spans(one, "IOB1")) for one in tags) == entities
    assert sum(len(violations(one, "IOB1")) for one in tags) == illegal
