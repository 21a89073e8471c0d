"""The tags of all prefixes of a text, against tagging each prefix alone."""

import pytest
from bundles import make_bundle, random_sentences
from hypothesis import given, settings
from hypothesis import strategies as st
from input_errors import raises

from tagger.runtime.options import TagOptions
from tagger.runtime.tagger import Tagger
from tagger.serving.next_words import (
    MOST_CHARACTERS,
    MOST_PREFIX_WORDS,
    MOST_WORDS,
    make_prefixes,
    prefix_values,
    split_sentences,
)

TEXT = "Mira met Tom in New Ayr.  Rain fell 😀 on Mira Lang!\r\nAyr lost 2-0."


@pytest.fixture(scope="module", params=["sentence", "document"])
def tagger(request):
    return Tagger(make_bundle(context=request.param)[1], threads=1)


def values_of(tagger, text):
    sentences = split_sentences(tagger, text)
    return prefix_values(sentences, tagger.annotate(make_prefixes(sentences), TagOptions(has_scores=True)))


def check_prefixes(tagger, text):
    values = values_of(tagger, text)
    assert [one["text"] for one in values] == [one.text for one in tagger.tag(text)]
    for sentence in values:
        tokens = [token["text"] for token in sentence["tokens"]]
        assert tokens == [text[token["start"] : token["end"]] for token in sentence["tokens"]]
        assert len(sentence["prefixes"]) == len(tokens)
        for end, prefix in enumerate(sentence["prefixes"], start=1):
            [alone] = tagger.tag_tokens([tokens[:end]], scores=True)
            assert prefix["tags"] == {task: list(tags) for task, tags in alone.tags.items()}
            for task, scores in alone.tag_scores.items():
                assert prefix["scores"][task] == pytest.approx(scores, abs=1e-4)


def test_prefixes_equal_sentences_tagged_alone(tagger):
    check_prefixes(tagger, TEXT)


@settings(max_examples=15)
@given(
    words=st.sampled_from([*random_sentences(make_bundle()[1].vocabulary), ["."]]), text=st.text(max_size=9)
)
def test_prefixes_of_any_text_equal_sentences_tagged_alone(tagger, words, text):
    check_prefixes(tagger, f"{' '.join(words)} {text}")


@given(start=st.integers(1, 8), rest=st.lists(st.sampled_from(["Mira", "Ayr", "lost", ",", "x"]), max_size=6))
@settings(max_examples=15)
def test_no_later_word_changes_a_prefix(tagger, start, rest):
    words = ["Ayr", "and", "Mira", "met", "Tom", "in", "New", "York"][:start]
    before, after = (values_of(tagger, " ".join(text)) for text in (words, [*words, *rest]))
    assert after[0]["prefixes"][:start] == before[0]["prefixes"]


def test_a_text_without_words_has_no_prefixes(tagger):
    assert values_of(tagger, "") == values_of(tagger, " \n ") == []


def test_long_texts_are_rejected(tagger):
    sentence = " ".join(["a"] * MOST_WORDS)
    assert len(split_sentences(tagger, sentence)[0]) == MOST_WORDS
    count = MOST_PREFIX_WORDS // (MOST_WORDS * (MOST_WORDS + 1) // 2)
    assert len(split_sentences(tagger, "\n\n".join([sentence] * count))) == count
    for text in (sentence + " a", "\n\n".join([sentence] * (count + 1)), "a" * (MOST_CHARACTERS + 1)):
        with raises("input.size", file="text"):
            split_sentences(tagger, text)
