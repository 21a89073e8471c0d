"""Offsets in characters, UTF-16 code units and bytes, given or detected, against Python's codecs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_errors import check, raises

from tagger.corpus.brat import read_brat, write_brat
from tagger.corpus.files import FORMATS
from tagger.corpus.jsonl import read_jsonl
from tagger.corpus.offsets import Ruler, measure
from tagger.corpus.placement import TextSpan, documents
from tagger.corpus.reading import Reading, Writing
from tagger.corpus.records import read_record

SIZE = {
    "characters": len,
    "utf16": lambda text: len(text.encode("utf-16-le")) // 2,
    "bytes": lambda text: len(text.encode()),
}
TEXTS = st.text(st.sampled_from("aé漢😀 \u0301"), max_size=12)
MARKED = "😀 Ana Silva flew to Oslo. 😀 Bo left."
SPANS = ((2, 11, "PER"), (20, 24, "LOC"), (28, 30, "PER"))


def counted(text, spans, unit):
    """Return the spans with offsets in another unit."""
    return [[SIZE[unit](text[:start]), SIZE[unit](text[:end]), label] for start, end, label in spans]


def read(*records, **reading):
    """Read records as one file. Return the words of its spans, the errors and the warnings."""
    errors, warnings = [], []
    folder = reading.pop("folder")
    path = folder / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    result = list(read_jsonl(path, Reading(**reading, on_error=errors.append, warn=warnings.append)))
    words = [
        one.text[span.start_char - one.text_start : span.end_char - one.text_start]
        for one in result
        for span in one.spans.get("ner", ())
    ]
    return words, errors, [one.removeprefix(f"{path}") for one in warnings]


@given(TEXTS, st.integers(-2, 14), st.integers(-2, 14), st.sampled_from([*SIZE]))
def test_conversion_matches_the_codecs(text, start, end, unit):
    for place in range(len(text) + 1):
        assert measure(text, unit)(place) == SIZE[unit](text[:place])
    borders = {SIZE[unit](text[:place]): place for place in range(len(text) + 1)}
    whole = SIZE[unit](text)
    span = TextSpan(start, end, "X", where="f:1")

    def expected(place):
        return place if place < 0 else len(text) + place - whole if place > whole else borders.get(place)

    if None in (expected(start), expected(end)):
        with raises("corpus.offsets", line=1, option="--offsets", mentions="inside a character"):
            Ruler(text, unit).convert([span])
    else:
        (converted,) = Ruler(text, unit).convert([span])
        assert (converted.start, converted.end) == (expected(start), expected(end))


@pytest.mark.parametrize("unit", SIZE)
def test_a_requested_unit_is_used(folder, unit):
    record = {"text": MARKED, "label": counted(MARKED, SPANS, unit)}
    assert read(record, offsets=unit, folder=folder) == (["Ana Silva", "Oslo", "Bo"], [], [])


@pytest.mark.parametrize("unit", SIZE)
def test_the_unit_is_detected_from_the_texts_of_spans(folder, unit):
    spans = [
        {"start": start, "end": end, "label": label, "text": MARKED[first:last]}
        for (start, end, label), (first, last, _) in zip(counted(MARKED, SPANS, unit), SPANS, strict=True)
    ]
    words, errors, warnings = read({"text": MARKED, "spans": spans}, folder=folder)
    assert (words, errors) == (["Ana Silva", "Oslo", "Bo"], [])
    assert len(warnings) == (unit != "characters")


def test_the_unit_is_detected_if_characters_would_cut_words(folder):
    record = {"text": MARKED, "label": counted(MARKED, SPANS, "utf16")}
    words, errors, warnings = read(record, record, folder=folder)
    assert (words, errors) == (2 * ["Ana Silva", "Oslo", "Bo"], [])
    assert warnings == [
        ":1: the offsets are read as UTF-16 code units, because offsets in characters would leave the text "
        "or cut words."
    ]


CHINESE = {"text": "😀 我在成都见到王芳了", "label": [[5, 7, "LOC"], [9, 11, "PER"]]}


def test_ambiguous_offsets_are_read_as_characters_with_one_warning(folder):
    words, errors, warnings = read(CHINESE, CHINESE, folder=folder)
    assert (words, errors) == (2 * ["都见", "芳了"], [])
    assert len(warnings) == 1
    assert "could be UTF-16 code units. Set the unit with --offsets" in warnings[0]
    assert read(CHINESE, offsets="utf16", folder=folder) == (["成都", "王芳"], [], [])
    assert read(CHINESE, offsets="characters", folder=folder) == (["都见", "芳了"], [], [])


def test_a_detected_unit_applies_to_later_texts_and_contradicts_earlier_ones(folder):
    telling = {"text": MARKED, "label": counted(MARKED, SPANS, "utf16")}
    assert read(telling, CHINESE, folder=folder)[0][3:] == ["成都", "王芳"]
    _, errors, _ = read(CHINESE, telling, folder=folder)
    (error,) = errors
    check(error, "corpus.offsets", line=2, option="--offsets", mentions="a.jsonl:1")
    assert "--offsets utf16" in str(error)


def test_the_unit_is_detected_from_tokens():
    text = "😀 Ana left"
    tokens = [("😀", 0, 1), ("Ana", 2, 5), ("left", 6, 10)]
    record = {
        "text": text,
        "tokens": [
            {"text": form, "start": SIZE["utf16"](text[:start]), "end": SIZE["utf16"](text[:end])}
            for form, start, end in tokens
        ],
        "spans": [{"start": 3, "end": 6, "label": "PER"}],
    }
    (sentence,) = read_record(record, Reading(), "f:1")
    assert sentence.tags["ner"] == ("O", "B-PER", "O")
    assert [(one, *place) for one, place in zip(sentence.tokens, sentence.offsets, strict=True)] == tokens


def test_an_offset_inside_a_character_is_an_error(folder):
    record = {"text": MARKED, "label": [[1, 3, "X"]]}
    _, errors, _ = read(record, offsets="utf16", folder=folder)
    check(errors[0], "corpus.offsets", line=1, option="--offsets", mentions="inside a character")
    with raises("option.unknown", option="--offsets", mentions="auto, characters, utf16, bytes"):
        read_record(record, Reading(offsets="utf-16"), "f:1")


@pytest.mark.parametrize("name", ["doccano", "labelstudio", "brat"])
@pytest.mark.parametrize("unit", SIZE)
def test_offsets_round_trip_in_each_unit(tmp_path, name, unit):
    record = {"text": MARKED, "label": [list(span) for span in SPANS]}
    sentences = read_record(record, Reading(offsets="characters"), "f:1")
    path = tmp_path / "out"
    writing = Writing(tasks=("ner",), offsets=unit)
    if name == "brat":
        path.mkdir()
        write_brat(sentences, path, writing)
        assert f"PER {SIZE[unit]('😀 ')} " in next(path.glob("*.ann")).read_text(encoding="utf-8")
        assert list(read_brat(path, Reading())) == list(read_brat(path, Reading(offsets=unit)))
    else:
        with path.open("w", encoding="utf-8") as file:
            FORMATS[name].write(sentences, file, writing)
        assert f"{SIZE[unit](MARKED[:28])}" in path.read_text(encoding="utf-8")
    (again,) = documents(FORMATS[name].read(path, Reading(offsets=unit)), ["ner"])
    assert [(one.start, one.end, one.label) for one in again.spans["ner"]] == list(SPANS)
