"""Arguments of the Python API: errors name wrong values, and a failed call leaves the state unchanged."""

from dataclasses import replace

import numpy as np
import pytest
from bundles import make_bundle

from tagger import InputError, Sentence, Span, StreamingTagger, Tagger
from tagger.text.sentence import from_tokens

NAN = float("nan")
BUNDLE = make_bundle()[1]
TAGGER = Tagger(BUNDLE)
WORDS = ["Mira", "met", "Glasgow", "Tom", "in", "Ayr"]


def generated(*items):
    yield from items


@pytest.mark.parametrize(
    "text", [None, NAN, 3, b"Mira", ["Mira", "met"], ("Mira",), {"text": "Mira"}, {"Mira"}]
)
def test_a_text_that_is_not_a_string(text):
    with pytest.raises(TypeError, match=r"^text must be a str \(got .*\)\. (Pass|Decode) .*\.$"):
        TAGGER.tag(text)


@pytest.mark.parametrize(
    ("sentences", "kind", "message"),
    [
        (None, TypeError, r"^sentences must be an iterable of token lists \(got None\)\. Pass"),
        (NAN, TypeError, r"^sentences must be .* \(got float nan\)\."),
        (7, TypeError, r"^sentences must be .* \(got int 7\)\."),
        (np.array("Mira"), TypeError, r"^sentences must be .* \(got ndarray\)\."),
        (b"Mira met", TypeError, r"^sentences must be .* \(got bytes b'Mira met'\)\."),
        ({"Mira": 1}, TypeError, r"^sentences must be .* \(got dict\)\."),
        ({("Mira", "met")}, TypeError, r"^sentences must be .* \(got set\)\."),
        (
            "Mira met Tom",
            InputError,
            r"^sentences must be .* \(got str 'Mira met Tom'\)\. Pass a list of tokens",
        ),
        (["Mira", "met"], InputError, r"^sentences\[0\] must be a list of tokens \(got str 'Mira'\)\."),
        ([["Mira"], None], TypeError, r"^sentences\[1\] must be a list of tokens \(got None\)\."),
        ([["Mira"], NAN], TypeError, r"^sentences\[1\] must be a list of tokens \(got float nan\)\."),
        ([["Mira"], {"Mira": "PER"}], TypeError, r"^sentences\[1\] must be a list of tokens \(got dict\)\."),
        ([["Mira"], {"Mira"}], TypeError, r"^sentences\[1\] must be a list of tokens \(got set\)\."),
        ([b"Mira"], TypeError, r"^sentences\[0\] must be a list of tokens \(got bytes b'Mira'\)\."),
        (
            [from_tokens(["Mira"])],
            TypeError,
            r"^sentences\[0\] must be .* \(got Sentence\)\. .*tag_sentences\.$",
        ),
        ([["Mira"], ["met", None]], TypeError, r"^sentences\[1\]\[1\] must be a str \(got None\)\. Pass"),
        ([["Mira", NAN]], TypeError, r"^sentences\[0\]\[1\] must be a str \(got float nan\)\."),
        ([["Mira", b"met"]], TypeError, r"^sentences\[0\]\[1\] must be a str \(got bytes b'met'\)\."),
        ([("Mira", 2)], TypeError, r"^sentences\[0\]\[1\] must be a str \(got int 2\)\."),
        ([[["Mira", "met"]]], TypeError, r"^sentences\[0\]\[0\] must be a str \(got list\)\."),
        (generated(["Mira"], generated("met", None)), TypeError, r"^sentences\[1\]\[1\] must be a str"),
    ],
)
def test_tokens_of_a_wrong_type(sentences, kind, message):
    with pytest.raises(kind, match=message):
        TAGGER.tag_tokens(sentences)


def test_tokens_can_be_any_sequence_or_iterator():
    expected = [one.tags for one in TAGGER.tag_tokens([["Mira", "met"], ["Tom"]])]
    for sentences in (
        (("Mira", "met"), ("Tom",)),
        generated(generated("Mira", "met"), iter(["Tom"])),
        [np.array(["Mira", "met"]), np.array(["Tom"], object)],
        {1: ["Mira", "met"], 2: ["Tom"]}.values(),
    ):
        assert [one.tags for one in TAGGER.tag_tokens(sentences)] == expected


def test_an_error_of_the_callers_iterator_is_raised_unchanged():
    def broken():
        yield "Mira"
        raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        TAGGER.tag_tokens([broken()])


@pytest.mark.parametrize(
    ("sentences", "kind", "message"),
    [
        (None, TypeError, r"^sentences must be an iterable of Sentence objects \(got None\)\."),
        (from_tokens(["Mira"]), TypeError, r"^sentences must be .* \(got Sentence\)\."),
        ("Mira", InputError, r"^sentences must be .* \(got str 'Mira'\)\."),
        ({from_tokens(["Mira"]).text: 1}, TypeError, r"\(got dict\)"),
        ([from_tokens(["Mira"]), ["Mira"]], TypeError, r"^sentences\[1\] must be a Sentence \(got list\)\."),
        (["Mira"], TypeError, r"^sentences\[0\] must be a Sentence \(got str 'Mira'\)\. Pass raw text to"),
        (
            [replace(from_tokens(["a", "b"]), tokens=("a", None))],
            TypeError,
            r"^sentences\[0\]\.tokens\[1\] must",
        ),
        ([Sentence(("a", "b"), ((0, 1),), "a b")], InputError, r"^sentences\[0\] .* \(got 1 and 2\)\. Pass"),
    ],
)
def test_sentences_of_a_wrong_type(sentences, kind, message):
    with pytest.raises(kind, match=message):
        list(TAGGER.tag_sentences(sentences))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, r"^tokenizer\(text\) must be an iterable of Sentence objects \(got None\)\."),
        (["Mira", "met"], r"^tokenizer\(text\)\[0\] must be a Sentence \(got str 'Mira'\)\."),
        ([["Mira", "met"]], r"^tokenizer\(text\)\[0\] must be a Sentence \(got list\)\."),
        ("Mira met", r"^tokenizer\(text\) must be .* \(got str 'Mira met'\)\."),
    ],
)
def test_a_tokenizer_with_a_wrong_return_type(returned, message):
    with pytest.raises((TypeError, InputError), match=message):
        Tagger(BUNDLE, tokenizer=lambda text: returned).tag("Mira met")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"n_best": -1}, InputError, r"^n_best must be from 0 to 1000 \(got -1\)\."),
        ({"n_best": 2.0}, TypeError, r"^n_best must be an int \(got float 2\.0\)\."),
        ({"n_best": None}, TypeError, r"^n_best must be an int \(got None\)\."),
        ({"n_best": True}, TypeError, r"^n_best must be an int \(got bool True\)\."),
        ({"n_best": "3"}, TypeError, r"^n_best must be an int \(got str '3'\)\."),
        ({"min_score": "0.5"}, TypeError, r"^min_score must be a number .*\(got str '0\.5'\)\."),
        ({"min_score": None}, TypeError, r"^min_score must be a number .*\(got None\)\."),
        ({"min_score": True}, TypeError, r"^min_score must be a number .*\(got bool True\)\."),
        ({"min_score": NAN}, InputError, r"^min_score must be from 0 to 1 \(got nan\)\."),
        ({"min_score": [0.5]}, TypeError, r"^min_score must be a number .*\(got list\)\."),
    ],
)
def test_options_of_tagging(arguments, kind, message):
    for call in (
        lambda: TAGGER.tag("Mira", **arguments),
        lambda: TAGGER.tag_tokens([["Mira"]], **arguments),
        lambda: TAGGER.tag_sentences([], **arguments),
    ):
        with pytest.raises(kind, match=message):
            call()


def test_numpy_numbers_are_accepted():
    expected = TAGGER.tag_tokens([WORDS], n_best=2, min_score=0.5)
    assert TAGGER.tag_tokens([WORDS], n_best=np.int64(2), min_score=np.float32(0.5)) == expected


SETTINGS = [
    ({"threads": -1}, InputError, r"^threads must be at least 1 \(got -1\)\. Pass None"),
    ({"threads": 0}, InputError, r"^threads must be at least 1 \(got 0\)\."),
    ({"threads": 1.5}, TypeError, r"^threads must be an int \(got float 1\.5\)\."),
    ({"threads": "2"}, TypeError, r"^threads must be an int \(got str '2'\)\."),
    ({"cache_megabytes": -5}, InputError, r"^cache_megabytes must be at least 0 \(got -5\)\."),
    ({"cache_megabytes": 0.5}, TypeError, r"^cache_megabytes must be an int \(got float 0\.5\)\."),
    ({"cache_megabytes": None}, TypeError, r"^cache_megabytes must be an int \(got None\)\."),
    ({"precision": "f8"}, InputError, r"^precision must be f32, int8 or auto \(got 'f8'\)\."),
    ({"precision": None}, TypeError, r"^precision must be a str \(got None\)\."),
    ({"precision": 8}, TypeError, r"^precision must be a str \(got int 8\)\."),
    ({"scheme": None}, TypeError, r"^scheme must be a str \(got None\)\."),
    ({"scheme": b"IOB2"}, TypeError, r"^scheme must be a str \(got bytes"),
    ({"tokenizer": "spacy"}, TypeError, r"^tokenizer must be a function \(got str 'spacy'\)\."),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), SETTINGS)
def test_settings_of_a_tagger(model, arguments, kind, message):
    with pytest.raises(kind, match=message):
        Tagger(BUNDLE, **arguments)
    with pytest.raises(kind, match=message):
        Tagger.load(model, **arguments)


@pytest.mark.parametrize("path", [None, 3, NAN, b"en", ["en"], {"en"}])
def test_a_model_of_a_wrong_type(path):
    with pytest.raises(TypeError, match=r"^path must be a str or Path \(got \w+\)\. Pass"):
        Tagger.load(path)
    with pytest.raises(TypeError, match=r"^bundle must be a Bundle \(got .*\)\. Use Tagger\.load"):
        Tagger(path)
    with pytest.raises(TypeError, match=r"^model must be a Tagger or a path \(got .*\)\. Pass"):
        StreamingTagger(path, lookahead=1)


@pytest.mark.parametrize(
    ("lookahead", "kind", "got"),
    [
        (None, TypeError, "None"),
        (1.0, TypeError, r"float 1\.0"),
        (float("inf"), TypeError, "float inf"),
        ("2", TypeError, "str '2'"),
        (True, TypeError, "bool True"),
        (-1, InputError, "-1"),
    ],
)
def test_an_invalid_lookahead(lookahead, kind, got):
    with pytest.raises(kind, match=rf"^lookahead must be .* \(got {got}\)\. Pass 0"):
        StreamingTagger(TAGGER, lookahead=lookahead)


@pytest.mark.parametrize(
    ("temperatures", "kind", "message"),
    [
        (None, TypeError, r"^temperatures must be a mapping \(got None\)\."),
        ({"ner": "hot"}, TypeError, r"^temperatures\['ner'\] must be a number \(got str 'hot'\)\."),
        ({"ner": NAN}, InputError, r"^temperatures\['ner'\] must be .* \(got nan\)\."),
        ({"ner": 0}, InputError, r"^temperatures\['ner'\] must be .* \(got 0\)\."),
        ({"chunk": 1.0}, InputError, "no task 'chunk'\\. Its tasks are ner, pos"),
    ],
)
def test_temperatures(temperatures, kind, message):
    with pytest.raises(kind, match=message):
        TAGGER.with_temperatures(temperatures)


@pytest.mark.parametrize("wrong", [None, NAN, 3, b"met", ["met"], {"met"}, ("met",)])
@pytest.mark.parametrize("lookahead", [0, 2])
def test_a_failed_push_leaves_the_state_unchanged(lookahead, wrong):
    expected = list(StreamingTagger(TAGGER, lookahead=lookahead).tag(WORDS))
    streaming, found = StreamingTagger(TAGGER, lookahead=lookahead), []
    for word in WORDS:
        with pytest.raises(TypeError, match=r"^token must be a str \(got .*\)\. Pass each token"):
            streaming.push(wrong)
        found += streaming.push(word)
        with pytest.raises((TypeError, InputError), match=r"^tokens must be an iterable of tokens \(got "):
            streaming.tag({"met"} if isinstance(wrong, tuple | list | set) else wrong)
    assert found + streaming.end_sentence() == expected


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("lookahead", [0, 2])
def test_a_push_with_invalid_scores_leaves_the_state_unchanged(monkeypatch, lookahead, layers):
    tagger = Tagger(make_bundle(layers=layers, context="sentence")[1])
    expected = list(StreamingTagger(tagger, lookahead=lookahead).tag(WORDS))
    streaming, found = StreamingTagger(tagger, lookahead=lookahead), []

    def fail(encoded):
        raise InputError("not finite")

    for number, word in enumerate([*WORDS, None]):
        call = streaming.end_sentence if word is None else lambda: streaming.push(word)  # noqa: B023
        with monkeypatch.context() as patch:
            patch.setattr(tagger.engine, "score", fail)
            if number >= lookahead and (word or lookahead):
                for _ in range(2):
                    with pytest.raises(InputError, match="not finite"):
                        call()
        found += call()
    assert found == expected


def test_an_invalid_token_is_named_and_ends_the_sentence():
    streaming = StreamingTagger(TAGGER, lookahead=1)
    with pytest.raises(TypeError, match=r"^tokens\[2\] must be a str \(got None\)\."):
        list(streaming.tag(["Mira", "met", None]))
    assert list(streaming.tag(WORDS)) == list(StreamingTagger(TAGGER, lookahead=1).tag(WORDS))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: Sentence("Mira", ((0, 4),), "Mira"),
            TypeError,
            r"^Sentence: tokens must be a tuple \(got str\)",
        ),
        (lambda: Sentence(None, (), ""), TypeError, r"^Sentence: tokens must be a tuple \(got NoneType\)"),
        (
            lambda: Sentence(("a",), {0: 1}, "a"),
            TypeError,
            r"^Sentence: offsets must be a tuple \(got dict\)",
        ),
        (lambda: Sentence(("a",), ((0, 1),), None), TypeError, r"^Sentence: text must be a str"),
        (lambda: from_tokens(["a"]).with_tags({"ner": "O"}), InputError, r"^Sentence: tags must"),
        (lambda: Span("0", 1, "PER"), TypeError, r"^Span: start must be an int \(got str\)\."),
        (lambda: Span(0, None, "PER"), TypeError, r"^Span: end must be an int \(got NoneType\)\."),
        (lambda: Span(0, 1.0, "PER"), TypeError, r"^Span: end must be an int \(got float\)\."),
        (lambda: Span(0, 1, None), TypeError, r"^Span: label must be a str \(got NoneType\)\."),
    ],
)
def test_constructors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_constructors_accept_compatible_types():
    assert Span(np.int64(0), np.int32(1), np.str_("PER")) == Span(0, 1, "PER")
    assert Sentence(["a"], [(0, 1)], "a").tokens == ["a"]
