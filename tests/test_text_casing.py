"""Case augmentation of sentences, compared with the recased text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.text.casing import RECASINGS, recase
from tagger.text.sentence import from_tokens
from tagger.text.tokenizer import Tokenizer


@pytest.mark.parametrize(
    ("casing", "expected"),
    [
        ("lower", ["i", "do", "n't", "know", "o'brien", "(", "of", "ibm", ")", "in", "new-york", "."]),
        ("upper", ["I", "DO", "N'T", "KNOW", "O'BRIEN", "(", "OF", "IBM", ")", "IN", "NEW-YORK", "."]),
        ("title", ["I", "Do", "n't", "Know", "O'brien", "(", "Of", "Ibm", ")", "In", "New-york", "."]),
    ],
)
def test_a_sentence_in_each_casing(casing, expected):
    (sentence,) = Tokenizer().tokenize("I don't know O'Brien (of IBM) in New-York.")
    assert list(recase(sentence, casing)) == expected


def test_every_plain_token_begins_a_word():
    assert recase(from_tokens(["do", "n't", "'s", "McDonald"]), "title") == ("Do", "N't", "'s", "Mcdonald")


@given(st.text("aBcÉß'., 1", max_size=30))
def test_tokens_match_the_recased_text(text):
    for sentence in Tokenizer().tokenize(text):
        assert "".join(recase(sentence, "lower")) == re.sub(r"\s", "", sentence.text.lower())
        assert "".join(recase(sentence, "upper")) == re.sub(r"\s", "", sentence.text.upper())
        for casing in RECASINGS:
            recased = recase(sentence, casing)
            assert len(recased) == len(sentence)
            assert "".join(recased).casefold() == "".join(sentence.tokens).casefold()
