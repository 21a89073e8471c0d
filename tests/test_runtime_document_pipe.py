"""``Tagger.pipe``: many texts as documents of their own, lazily, with the tags of ``tag``."""

from dataclasses import replace
from itertools import chain, count, islice

import pytest
from bundles import make_bundle
from hypothesis import given
from hypothesis import strategies as st

from tagger import InputError, Tagger
from tagger.text.sentence import from_tokens

BUNDLE = make_bundle()[1]
TAGGER = Tagger(BUNDLE, threads=2)
WORDS = ["Mira", "met", "Tom", "in", "New", "Ayr", ".", "\n\n", "  ", "Glasgow lost 2-0.", "river"]
TEXTS = st.lists(
    st.one_of(st.sampled_from(["", " \n", "Ayr"]), st.lists(st.sampled_from(WORDS)).map(" ".join))
)


def by_bars(text):
    """Tokenize at bars, without marking the start of the document."""
    return [from_tokens(part.split()) for part in text.split("|") if part.strip()]


def check(piped, expected):
    """Compare texts; batches may change probabilities by rounding in float64."""
    assert len(piped) == len(expected)
    for sentences, others in zip(piped, expected, strict=True):
        assert [[replace(span, score=None) for span in one.spans["ner"]] for one in sentences] == [
            [replace(span, score=None) for span in one.spans["ner"]] for one in others
        ]
        assert [replace(one, spans={}, tag_scores={}, alternatives={}) for one in sentences] == [
            replace(one, spans={}, tag_scores={}, alternatives={}) for one in others
        ]
        for one, other in zip(sentences, others, strict=True):
            assert one.tag_scores.keys() == other.tag_scores.keys()
            for task, scores in one.tag_scores.items():
                assert scores == pytest.approx(other.tag_scores[task], abs=1e-9)
            assert [span.score for span in one.spans["ner"]] == pytest.approx(
                [span.score for span in other.spans["ner"]], abs=1e-9
            )


@given(TEXTS, st.integers(1, 9), st.booleans())
def test_the_result_is_that_of_each_text_alone(texts, batch_size, scores):
    check(
        list(TAGGER.pipe(iter(texts), batch_size=batch_size, scores=scores)),
        [TAGGER.tag(text, scores=scores) for text in texts],
    )


def test_options_apply_to_every_text():
    texts = ["Mira met Tom.", "", "Rain fell on Mira Lang."]
    for options in ({"n_best": 2}, {"min_score": {"PER": 0.9}}, {"candidates": 0.1}):
        piped = [sentence for one in TAGGER.pipe(texts, **options) for sentence in one]
        alone = [sentence for text in texts for sentence in TAGGER.tag(text, **options)]
        assert [one.tags for one in piped] == [one.tags for one in alone]
        assert [[[one.tags for one in s.alternatives.get("ner", ())]] for s in piped] == [
            [[one.tags for one in s.alternatives.get("ner", ())]] for s in alone
        ]
        assert [len(one.candidates.get("ner", ())) for one in piped] == [
            len(one.candidates.get("ner", ())) for one in alone
        ]


def test_chained_texts_remain_documents_of_their_own():
    texts = ["Mira met Tom.\n\nGlasgow lost.", "", "Rain fell on Glasgow.\n\nTom met Mira.", "Glasgow"]
    chained = chain.from_iterable(map(TAGGER.tokenizer, texts))
    expected = [sentence for text in texts for sentence in TAGGER.tag(text, scores=True)]
    tagged = list(TAGGER.tag_sentences(chained, scores=True))
    assert [one.starts_document for one in tagged] == [True, False, True, False, True]
    check([tagged], [expected])
    joined = [replace(one, starts_document=False) for one in expected]
    (last,) = TAGGER.tag("Glasgow", scores=True)
    changed = list(TAGGER.tag_sentences(joined, scores=True))[-1]
    assert changed.tag_scores["ner"] != pytest.approx(last.tag_scores["ner"], abs=1e-3)


def test_a_custom_tokenizer_need_not_mark_documents():
    own = Tagger(BUNDLE, tokenizer=by_bars)
    texts = ["Mira met Ayr | Ayr lost", "Ayr fell | Mira met Ayr"]
    assert [[one.starts_document for one in sentences] for sentences in own.pipe(texts)] == [
        [True, False]
    ] * 2
    check(list(own.pipe(texts)), [own.tag(text) for text in texts])
    returned = Tagger(BUNDLE, tokenizer=lambda text: iter(by_bars(text))).tag(texts[0])
    assert [one.starts_document for one in returned] == [True, False]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_an_endless_iterator_is_read_in_batches(batch_size):
    read = []

    def texts():
        for number in count():
            read.append(number)
            yield f"Mira met Tom {number}."

    piped = TAGGER.pipe(texts(), batch_size=batch_size)
    assert read == []
    for number in range(7):
        (sentence,) = next(piped)
        assert str(number) in sentence.text
        assert len(read) <= number + batch_size
    assert len(list(islice(piped, 5))) == 5


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 100])
def test_an_error_follows_the_texts_before_it(batch_size):
    def texts():
        yield from ["Mira met Tom.", "", "Ayr lost."]
        raise OSError("mine")

    piped = TAGGER.pipe(texts(), batch_size=batch_size)
    assert [len(next(piped)) for _ in range(3)] == [1, 0, 1]
    with pytest.raises(OSError, match=r"^mine$"):
        next(piped)


def test_a_text_that_cannot_be_tagged_follows_those_before_it(monkeypatch):
    monkeypatch.setattr("tagger.runtime.labeller.MOST_POINTERS", 12 * max(len(t.tags) for t in TAGGER.tasks))
    piped = TAGGER.pipe(["Mira met Tom", "Ayr lost.\n\n" + "Rain " * 9, "Mira"], n_best=2)
    assert len(next(piped)) == 1
    with pytest.raises(InputError, match="n_best"):
        next(piped)
