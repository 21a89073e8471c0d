"""How a sentence looks in another casing: as it is typed in haste, shouted, or set as a headline."""

from __future__ import annotations

from tagger.text.sentence import Sentence

RECASINGS = ("lower", "upper", "title")


def recase(sentence: Sentence, casing: str) -> tuple[str, ...]:
    """The tokens of a sentence in another casing.

    In title case the first letter after white space or a sign is a capital and all others are small; the
    ``n't`` of ``don't`` follows a letter and stays small.

    Args:
        sentence: Its offsets say which tokens begin a word.
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
