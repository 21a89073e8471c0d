"""Case augmentation: rewrite sentences in lower, upper or title case."""

from __future__ import annotations

from tagger.text.sentence import Sentence

RECASINGS = ("lower", "upper", "title")


def recase(sentence: Sentence, casing: str) -> tuple[str, ...]:
    """Return the tokens of a sentence in another casing.

    Title case capitalises the first letter after white space or punctuation and lowers all others. The
    ``n't`` of ``don't`` follows a letter and stays in lower case.

    Args:
        sentence: The sentence; its offsets determine which tokens begin a word.
        casing: One of ``RECASINGS``.
    """
    if casing == "lower":
        return tuple(token.lower() for token in sentence.tokens)
    if casing == "upper":
        return tuple(token.upper() for token in sentence.tokens)
    ends = [-1, *(end for _, end in sentence.offsets)]
    tokens = ["", *sentence.tokens]
    return tuple(
        token.lower() if start == end and before[-1:].isalnum() else token.capitalize()
        for token, before, end, (start, _) in zip(
            sentence.tokens, tokens, ends, sentence.offsets, strict=False
        )
    )
