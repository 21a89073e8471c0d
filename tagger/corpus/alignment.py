"""Align the tokens of a file with the sentence's original text, if the file provides it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tagger.text.sentence import Offset, Sentence

_TEXT_COMMENT = re.compile(r"# ?text *= ?(.*)")
MISMATCH = "the comment # text does not match the tokens. The text is rebuilt from the tokens."
_APOSTROPHES = str.maketrans("’‘`´ʼ＇", "''''''")


def text_comment(comments: Iterable[str]) -> str | None:
    """Return the text of a comment ``# text = …``, or None without such a comment."""
    for comment in comments:
        match = _TEXT_COMMENT.fullmatch(comment)
        if match:
            return match[1]
    return None


def has_other_spaces(sentence: Sentence) -> bool:
    """Return True if the text is not the tokens joined by single spaces."""
    return sentence.text != " ".join(sentence.tokens)


def fits_comment(sentence: Sentence) -> bool:
    """Return True if the tokens and a comment ``# text = …`` determine the text and offsets."""
    if "\n" in sentence.text or "\r" in sentence.text:
        return False
    offsets = locate(sentence.tokens, sentence.text)
    start = sentence.text_start
    return offsets == [(first - start, last - start) for first, last in sentence.offsets]


def locate(forms: Iterable[str], text: str) -> list[Offset] | None:
    """Return the offsets of forms in a text that consists of the forms in this order and white space.

    Returns:
        Half-open character ranges, or None if the text does not match the forms.
    """
    offsets = []
    position = 0
    for form in forms:
        while text[position : position + 1].isspace() and not text.startswith(form, position):
            position += 1
        if not text.startswith(form, position):
            return None
        offsets.append((position, position + len(form)))
        position += len(form)
    return None if text[position:].strip() else offsets


def join(forms: Sequence[str], has_space_after: Sequence[bool]) -> tuple[str, list[Offset]]:
    """Join forms into a text, with a space after each form that has one, except after the last."""
    offsets = []
    pieces = []
    position = 0
    for form, is_spaced in zip(forms, has_space_after, strict=True):
        offsets.append((position, position + len(form)))
        pieces.append(f"{form} " if is_spaced else form)
        position += len(pieces[-1])
    text = "".join(pieces)
    return (text[:-1] if has_space_after and has_space_after[-1] else text), offsets


def divide(surface: str, words: Sequence[str]) -> list[Offset]:
    """Return the offsets of words inside their surface form (``don't``: ``do``, ``n't``).

    Case and the kind of apostrophe may differ. If the words do not concatenate to the surface form (``au``:
    ``à``, ``le``), each word covers all of it.
    """
    together = "".join(words)
    if len(together) != len(surface) or not all(map(_is_same, together, surface)):
        return [(0, len(surface))] * len(words)
    return join(words, [False] * len(words))[1]


def _is_same(first: str, second: str) -> bool:
    return first == second or first.translate(_APOSTROPHES).lower() == second.translate(_APOSTROPHES).lower()
