"""Offsets in UTF-16 code units and bytes: slices of the encoded text are the texts of tokens and spans."""

import json

import pytest
from bundles import make_bundle
from hypothesis import example, given, settings
from hypothesis import strategies as st
from servers import make_served_model, request, serve

from tagger import Tagger
from tagger.corpus.offsets import measure
from tagger.serving.http_app import make_gate
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


@pytest.fixture(scope="module")
def server():
    with serve(make_gate([make_served_model()])) as address:
        yield address


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


def ranges_of(sentence):
    """Return the values of the tokens, spans and candidates of a sentence."""
    groups = [sentence["tokens"], *sentence["spans"].values(), *sentence.get("candidates", {}).values()]
    return [one for group in groups for one in group]


def without_offsets(sentence):
    """Return the values of a sentence without its offsets."""
    ranges = [{**one, "start": 0, "end": 0} for one in ranges_of(sentence)]
    return sentence["text"], sentence["tags"], ranges


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["utf16", "bytes"])
@settings(max_examples=40)
@given(texts=st.lists(TEXTS, min_size=1, max_size=3))
def test_the_server_answers_in_the_requested_unit(server, unit, texts):
    forms = [({"text": text}, [text]) for text in texts] + [({"texts": texts}, texts)]
    tokens = [words for text in texts if (words := text.split())]
    if tokens:
        forms.append(({"tokens": tokens}, ["\n".join(map(" ".join, tokens))]))
    for form, documents in forms:
        answers = []
        for offsets in ({}, {"offsets": unit}):
            status, answer = request(server, "/tag", {**form, **offsets, "candidates": 0.01})
            assert status == 200
            answers.append([one["sentences"] for one in answer.get("documents", [answer])])
        for document, *both in zip(documents, *answers, strict=True):
            for plain, converted in zip(*both, strict=True):
                assert without_offsets(converted) == without_offsets(plain)
                ranges = [
                    converted["tokens"],
                    *converted["spans"].values(),
                    *converted["candidates"].values(),
                ]
                for one in (one for some in ranges for one in some):
                    assert cut(document, unit, one["start"], one["end"]) == one["text"]


def test_lines_have_the_requested_unit(server):
    text = "\U0001f600 Mira met Tom.\r\n\r\nÄ lost."
    lines = {"Accept": "application/x-ndjson"}
    for unit, size in (("codepoints", len(text)), ("utf16", len(text) + 1), ("bytes", len(text.encode()))):
        status, answer = request(server, "/tag", {"text": text, "offsets": unit}, lines)
        assert status == 200
        assert max(one["end"] for line in answer.splitlines() for one in json.loads(line)["tokens"]) == size
