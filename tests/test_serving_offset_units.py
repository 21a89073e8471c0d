"""Offsets in UTF-16 code units and bytes: slices of the encoded text are the texts of tokens and spans."""

import json

import pytest
from bundles import make_bundle
from hypothesis import example, given
from hypothesis import strategies as st

from tagger import Tagger
from tagger.corpus.offsets import measure
from tagger.serving.offset_units import convert_document
from tagger.text.sentence import from_tokens, sentence_values

ENCODINGS = {"characters": "utf-32-le", "utf16": "utf-16-le", "bytes": "utf-8"}
SIZES = {"characters": 4, "utf16": 2, "bytes": 1}  # bytes per unit
PARTS = [
    "Mira Lang met Tom in New Ayr.",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",  # four emoji joined to a family
    "\U0001f1e9\U0001f1ea",  # a flag, two regional indicators
    "\U0001f44d\U0001f3fd",  # a thumb with a skin tone
    "1\ufe0f\u20e3",  # a keycap
    "\U00010400\U0001d504",  # letters outside the basic plane
    "\U00020000\U0002a6d6",  # ideographs outside the basic plane
    "Zu\u0308rich e\u0301\u0323",  # combining marks
    "\u0e01\u0e33 \u0627\u064e",
    "\r\n",
    "\n\n",
    " ",
    "\u2028",
    "\ufeff",
    "\x00",
    "Ärger",
    "€",
    "\uffff",
]
TEXTS = st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=12).map("".join)


@pytest.fixture(scope="module")
def tagger():
    return Tagger(make_bundle()[1], threads=1)


def cut(text, unit, start, end):
    """Slice the encoded text."""
    size = SIZES[unit]
    return text.encode(ENCODINGS[unit])[start * size : end * size].decode(ENCODINGS[unit])


@pytest.mark.parametrize("unit", ENCODINGS)
@given(text=TEXTS)
@example(text="".join(PARTS))
def test_a_slice_of_the_encoded_text_is_the_text_of_the_token_or_span(tagger, unit, text):
    sentences = tagger.tag(text, candidates=0.01)
    plain = [sentence_values(one, ["ner", "pos"], has_candidates=True) for one in sentences]
    before = json.dumps(plain)
    converted = list(convert_document(text, plain, unit))
    assert json.dumps(plain) == before
    ranges = 0
    for values in converted:
        length = len(values["text"].encode(ENCODINGS[unit])) // SIZES[unit]
        assert cut(text, unit, values["start"], values["start"] + length) == values["text"]
        for name in ("spans", "candidates"):
            for spans in values.get(name, {}).values():
                ranges += len(spans)
                for one in spans:
                    assert cut(text, unit, one["start"], one["end"]) == one["text"]
        for token in values["tokens"]:
            assert cut(text, unit, token["start"], token["end"]) == token["text"]
    if text == "".join(PARTS):
        assert ranges > 5
    if unit == "characters" or text.isascii():
        assert converted == plain


@pytest.mark.parametrize(("unit", "starts"), [("utf16", [[0, 3], [5]]), ("bytes", [[0, 5], [8]])])
def test_pretokenized_sentences_have_the_offsets_of_lines(unit, starts):
    first, second = from_tokens(["\U0001f600", "ä"]), from_tokens(["b"]).shifted(4)
    values = [sentence_values(one, []) for one in (first, second)]
    converted = convert_document(f"{first.text}\n{second.text}", values, unit)
    assert [[token["start"] for token in one["tokens"]] for one in converted] == starts


@given(text=TEXTS)
def test_positions_agree_with_the_encoded_prefixes(text):
    for unit, encoding in ENCODINGS.items():
        at = measure(text, unit)
        for position in range(len(text) + 1):
            assert at(position) == len(text[:position].encode(encoding)) // SIZES[unit]


@given(text=st.text(st.characters(categories=["Cs"]) | st.sampled_from("aé€\U0001f600"), max_size=8))
def test_a_lone_surrogate_counts_as_a_replacement_character(text):
    for unit in ("utf16", "bytes"):
        replaced = "".join("\ufffd" if "\ud800" <= one <= "\udfff" else one for one in text)
        positions = range(len(text) + 1)
        assert [*map(measure(text, unit), positions)] == [*map(measure(replaced, unit), positions)]
