"""Arguments of the Python API: errors name wrong values, and a failed call leaves the state unchanged."""

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def raises(kind: type[Exception], expected: str) -> Iterator[None]:
    """Expect a TypeError with this message (a pattern), or an InputError about this argument."""
    with pytest.raises(kind, match=expected if kind is TypeError else None) as raised:
        yield
    if kind is InputError:
        assert (raised.value.code, raised.value.option) == ("argument.value", expected)
        assert expected in str(raised.value)


def generated(*items):
    yield from items


@pytest.mark.parametrize(
    "text", [None, NAN, 3, b"Mira", ["Mira", "met"], ("Mira",), {"text": "Mira"}, {"Mira"}]
)
def test_a_text_that_is_not_a_string(text):
    with pytest.raises(TypeError, match=r"^text must be a str \(got .*\)\. (Pass|Decode) .*\.$"):
        TAGGER.tag(text)
    with pytest.raises(TypeError, match=r"^text must be a str \(got .*\)\. Pass one document at a time\.$"):
        TAGGER.tokenizer(text)
    texts = iter(["Mira", text, "met"])
    piped = TAGGER.pipe(texts)
    assert [one.tokens for one in next(piped)] == [("Mira",)]
    with pytest.raises(TypeError, match=r"^texts\[1\] must be a str \(got .*\)\. (Pass|Decode) .*\.$"):
        next(piped)
    assert list(texts) == ["met"]


@pytest.mark.parametrize("texts", ["one string", None, 3, b"Mira", {"text": "Mira"}, {"Mira"}])
def test_texts_that_are_no_iterable_of_strings(texts):
    with pytest.raises(TypeError, match=r"^texts must be an iterable of strings \(got .*\)\. Pass one text"):
        TAGGER.pipe(texts)


@pytest.mark.parametrize(
    ("batch_size", "kind", "message"),
    [
        (0, InputError, "batch_size"),
        (1.5, TypeError, r"^batch_size must be an int"),
        (None, TypeError, r"^batch_size must"),
    ],
)
def test_a_wrong_batch_size(batch_size, kind, message):
    with raises(kind, message):
        TAGGER.pipe([], batch_size=batch_size)


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
        ("Mira met Tom", TypeError, r"^sentences must be .* \(got str 'Mira met Tom'\)\. Pass a list of"),
        (["Mira met"], TypeError, r"^sentences\[0\] must be a list of tokens \(got str 'Mira met'\)\."),
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
    with raises(kind, message):
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
        ("Mira", TypeError, r"^sentences must be .* \(got str 'Mira'\)\. Pass raw text to Tagger\.tag"),
        ({from_tokens(["Mira"]).text: 1}, TypeError, r"\(got dict\)"),
        ([from_tokens(["Mira"]), ["Mira"]], TypeError, r"^sentences\[1\] must be a Sentence \(got list\)\."),
        (["Mira"], TypeError, r"^sentences\[0\] must be a Sentence \(got str 'Mira'\)\. Pass raw text to"),
        (
            [replace(from_tokens(["a", "b"]), tokens=("a", None))],
            TypeError,
            r"^sentences\[0\]\.tokens\[1\] must",
        ),
        ([Sentence(("a", "b"), ((0, 1),), "a b")], InputError, "sentences[0]"),
    ],
)
def test_sentences_of_a_wrong_type(sentences, kind, message):
    with raises(kind, message):
        list(TAGGER.tag_sentences(sentences))


@pytest.mark.parametrize(
    ("returned", "kind", "message"),
    [
        (None, TypeError, r"^tokenizer\(text\) must be an iterable of Sentence objects \(got None\)\."),
        (["Mira", "met"], TypeError, r"^tokenizer\(text\)\[0\] must be a Sentence \(got str 'Mira'\)\."),
        ([["Mira", "met"]], TypeError, r"^tokenizer\(text\)\[0\] must be a Sentence \(got list\)\."),
        ("Mira met", TypeError, r"^tokenizer\(text\) must be an iterable of Sentence objects \(got str"),
    ],
)
def test_a_tokenizer_with_a_wrong_return_type(returned, kind, message):
    with raises(kind, message):
        Tagger(BUNDLE, tokenizer=lambda text: returned).tag("Mira met")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"n_best": -1}, InputError, "n_best"),
        ({"n_best": 2.0}, TypeError, r"^n_best must be an int \(got float 2\.0\)\."),
        ({"n_best": None}, TypeError, r"^n_best must be an int \(got None\)\."),
        ({"n_best": True}, TypeError, r"^n_best must be an int \(got bool True\)\."),
        ({"n_best": "3"}, TypeError, r"^n_best must be an int \(got str '3'\)\."),
        ({"min_score": "0.5"}, TypeError, r"^min_score must be a number .*\(got str '0\.5'\)\."),
        ({"min_score": None}, TypeError, r"^min_score must be a number .*\(got None\)\."),
        ({"min_score": True}, TypeError, r"^min_score must be a number .*\(got bool True\)\."),
        ({"min_score": NAN}, InputError, "min_score"),
        ({"min_score": [0.5]}, TypeError, r"^min_score must be a number .*\(got list\)\."),
    ],
)
def test_options_of_tagging(arguments, kind, message):
    for call in (
        lambda: TAGGER.tag("Mira", **arguments),
        lambda: TAGGER.pipe(["Mira"], **arguments),
        lambda: TAGGER.tag_tokens([["Mira"]], **arguments),
        lambda: TAGGER.tag_sentences([], **arguments),
    ):
        with raises(kind, message):
            call()


def test_numpy_numbers_are_accepted():
    expected = TAGGER.tag_tokens([WORDS], n_best=2, min_score=0.5)
    assert TAGGER.tag_tokens([WORDS], n_best=np.int64(2), min_score=np.float32(0.5)) == expected


SETTINGS = [
    ({"threads": -1}, InputError, "threads"),
    ({"threads": 0}, InputError, "threads"),
    ({"threads": 1.5}, TypeError, r"^threads must be an int \(got float 1\.5\)\."),
    ({"threads": "2"}, TypeError, r"^threads must be an int \(got str '2'\)\."),
    ({"cache_megabytes": -5}, InputError, "cache_megabytes"),
    ({"cache_megabytes": 0.5}, TypeError, r"^cache_megabytes must be an int \(got float 0\.5\)\."),
    ({"cache_megabytes": None}, TypeError, r"^cache_megabytes must be an int \(got None\)\."),
    ({"precision": None}, TypeError, r"^precision must be a str \(got None\)\."),
    ({"precision": 8}, TypeError, r"^precision must be a str \(got int 8\)\."),
    ({"scheme": None}, TypeError, r"^scheme must be a str \(got None\)\."),
    ({"scheme": b"IOB2"}, TypeError, r"^scheme must be a str \(got bytes"),
    ({"tokenizer": "spacy"}, TypeError, r"^tokenizer must be a function \(got str 'spacy'\)\."),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), SETTINGS)
def test_settings_of_a_tagger(model, arguments, kind, message):
    with raises(kind, message):
        Tagger(BUNDLE, **arguments)
    with raises(kind, message):
        Tagger.load(model, **arguments)


@pytest.mark.parametrize(("precision", "code"), [("f8", "option.unknown"), ("bf16", "argument.value")])
def test_an_unknown_precision(model, precision, code):
    for call in (
        lambda: Tagger(BUNDLE, precision=precision),
        lambda: Tagger.load(model, precision=precision),
    ):
        with pytest.raises(InputError, match=precision) as error:
            call()
        assert (error.value.code, error.value.option) == (code, "precision")


@pytest.mark.parametrize("path", [None, 3, NAN, b"en", ["en"], {"en"}])
def test_a_model_of_a_wrong_type(path):
    with pytest.raises(TypeError, match=r"^path must be a str or Path \(got \w+\)\. Pass"):
        Tagger.load(path)
    with pytest.raises(TypeError, match=r"^bundle must be a Bundle \(got .*\)\. Use Tagger\.load"):
        Tagger(path)
    with pytest.raises(TypeError, match=r"^model must be a Tagger or a path \(got .*\)\. Pass"):
        StreamingTagger(path, lookahead=1)


@pytest.mark.parametrize(
    ("lookahead", "kind", "message"),
    [
        (None, TypeError, r"^lookahead must be .* \(got None\)\. Pass 0"),
        (1.0, TypeError, r"^lookahead must be .* \(got float 1\.0\)\. Pass 0"),
        (float("inf"), TypeError, r"^lookahead must be .* \(got float inf\)\. Pass 0"),
        ("2", TypeError, r"^lookahead must be .* \(got str '2'\)\. Pass 0"),
        (True, TypeError, r"^lookahead must be .* \(got bool True\)\. Pass 0"),
        (-1, InputError, "lookahead"),
    ],
)
def test_an_invalid_lookahead(lookahead, kind, message):
    with raises(kind, message):
        StreamingTagger(TAGGER, lookahead=lookahead)


@pytest.mark.parametrize(
    ("temperatures", "kind", "message"),
    [
        (None, TypeError, r"^temperatures must be a mapping \(got None\)\."),
        ({"ner": "hot"}, TypeError, r"^temperatures\['ner'\] must be a number \(got str 'hot'\)\."),
        ({"ner": NAN}, InputError, "temperatures['ner']"),
        ({"ner": 0}, InputError, "temperatures['ner']"),
    ],
)
def test_temperatures(temperatures, kind, message):
    with raises(kind, message):
        TAGGER.with_temperatures(temperatures)


def test_a_temperature_of_an_unknown_task():
    with pytest.raises(InputError, match="'chunk'") as error:
        TAGGER.with_temperatures({"chunk": 1.0})
    assert error.value.code == "corpus.task"


@pytest.mark.parametrize("wrong", [None, NAN, 3, b"met", ["met"], {"met"}, ("met",)])
@pytest.mark.parametrize("lookahead", [0, 2])
def test_a_failed_push_leaves_the_state_unchanged(lookahead, wrong):
    expected = list(StreamingTagger(TAGGER, lookahead=lookahead).tag(WORDS))
    streaming, found = StreamingTagger(TAGGER, lookahead=lookahead), []
    for word in WORDS:
        with pytest.raises(TypeError, match=r"^token must be a str \(got .*\)\. Pass each token"):
            streaming.push(wrong)
        found += streaming.push(word)
        with raises(TypeError, r"^tokens must be an iterable of tokens \(got "):
            streaming.tag({"met"} if isinstance(wrong, tuple | list | set) else wrong)
    assert found + streaming.end_sentence() == expected


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("lookahead", [0, 2])
def test_a_push_with_invalid_scores_leaves_the_state_unchanged(monkeypatch, lookahead, layers):
    tagger = Tagger(make_bundle(layers=layers, context="sentence")[1])
    expected = list(StreamingTagger(tagger, lookahead=lookahead).tag(WORDS))
    streaming, found = StreamingTagger(tagger, lookahead=lookahead), []

    def fail(encoded):
        raise InputError("not finite", code="bundle.damaged")

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
    ("call", "message"),
    [
        (
            lambda: Sentence("Mira", ((0, 4),), "Mira"),
            r"^Sentence: tokens must be a tuple \(got str\)",
        ),
        (lambda: Sentence(None, (), ""), r"^Sentence: tokens must be a tuple \(got NoneType\)"),
        (
            lambda: Sentence(("a",), {0: 1}, "a"),
            r"^Sentence: offsets must be a tuple \(got dict\)",
        ),
        (lambda: Sentence(("a",), ((0, 1),), None), r"^Sentence: text must be a str"),
        (lambda: Span("0", 1, "PER"), r"^Span: start must be an int \(got str\)\."),
        (lambda: Span(0, None, "PER"), r"^Span: end must be an int \(got NoneType\)\."),
        (lambda: Span(0, 1.0, "PER"), r"^Span: end must be an int \(got float\)\."),
        (lambda: Span(0, 1, None), r"^Span: label must be a str \(got NoneType\)\."),
    ],
)
def test_constructors(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_a_string_of_tags():
    with pytest.raises(InputError, match=r"^Sentence: tags must"):
        from_tokens(["a"]).with_tags({"ner": "O"})


def test_constructors_accept_compatible_types():
    assert Span(np.int64(0), np.int32(1), np.str_("PER")) == Span(0, 1, "PER")
    assert Sentence(["a"], [(0, 1)], "a").tokens == ["a"]
