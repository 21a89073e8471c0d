"""Texts with replaced words: neighbours are the nearest, everything but the words stays."""

import re

import numpy as np
from english_neighbours import NEIGHBOURS, find_neighbours, match_case, rewrite
from hypothesis import given
from hypothesis import strategies as st

from tagger.text.tokenizer import Tokenizer

TEXT = 'Ada met Otto in Oslo (Norway). He said: "It\'s a NEW day" — twice! 12 of them left,\nand Mia stayed.'
SENTENCES = Tokenizer().tokenize(TEXT)


def test_neighbours_are_the_nearest_by_brute_force():
    generator = np.random.default_rng(1)
    words = [*(f"w{letter}{other}" for letter in "abcdefgh" for other in "abcdefgh"), "12", "A-Team"]
    vectors = generator.normal(size=(len(words), 10)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = find_neighbours(words, vectors, {"waa", "wab", "wdd", "12", "unknown"}, kept=3)
    assert found.keys() == {"wdd"}  # the others are frequent, no plain words, or unknown
    similarities = vectors @ vectors[words.index("wdd")]
    ranked = [words[number] for number in np.argsort(-similarities)]
    ranked = [word for word in ranked if word not in ("wdd", "12", "A-Team")]
    assert len(found["wdd"]) == NEIGHBOURS
    assert set(found["wdd"]) <= set(ranked[: NEIGHBOURS + 1])


def test_rewriting_changes_only_words_that_have_neighbours():
    neighbours = {"ada": ["eve", "kim"], "new": ["old"], "left": ["fled"], "day": ["night"]}
    texts = list(rewrite(SENTENCES * 8, neighbours, passes=2, seed=1))
    assert texts == list(rewrite(SENTENCES * 8, neighbours, passes=2, seed=1))
    choices = {"Ada": "Ada|Eve|Kim", "NEW": "NEW|OLD", "left": "left|fled", "day": "day|night"}
    pattern = "|".join(choices)
    seen = set()
    for sentence, text in zip(SENTENCES * 16, "\n\n".join(texts).split("\n\n"), strict=True):
        parts = re.split(f"({pattern})", sentence.text.replace("\n", " "))
        expected = "".join(f"({choices[part]})" if part in choices else re.escape(part) for part in parts)
        match = re.fullmatch(expected, text)
        assert match, text
        seen |= set(match.groups())
    assert seen == set("|".join(choices.values()).split("|"))


@given(st.from_regex(r"[a-z]{1,8}", fullmatch=True))
def test_words_take_the_casing_of_the_replaced_word(word):
    assert match_case(word, "NASA") == word.upper()
    assert match_case(word, "Nasa") == match_case(word, "I") == word.capitalize()
    assert match_case(word, "nasa") == word
