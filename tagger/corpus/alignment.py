"""Where the tokens of a file stand in the sentence's own text, if the file tells it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tagger.text.sentence import Offset, Sentence

_TEXT_COMMENT = re.compile(r"# ?text *= ?(.*)")
MISMATCH = "the comment # text is not the text of its tokens. The text is rebuilt from the tokens."
_APOSTROPHES = str.maketrans("’‘`´ʼ＇", "''''''")


def text_comment(comments: Iterable[str]) -> str | None:
    """Return the text that a comment ``# text = …`` gives, None if there is none."""
    for comment in comments:
        match = _TEXT_COMMENT.fullmatch(comment)
        if match:
            return match[1]
    return None


def has_other_spaces(sentence: Sentence) -> bool:
    """Whether the text is anything else than the tokens joined by single spaces."""
    return sentence.text != " ".join(sentence.tokens)


def fits_comment(sentence: Sentence) -> bool:
    """Whether text and offsets can be told from the tokens and a comment ``# text = …``."""
    if "\n" in sentence.text or "\r" in sentence.text:
        return False
    places = locate(sentence.tokens, sentence.text)
    start = sentence.text_start
    return places == [(first - start, last - start) for first, last in sentence.offsets]


def locate(forms: Iterable[str], text: str) -> list[Offset] | None:
    """Return the places of forms in a text that holds them in this order and nothing else but white space.

    Returns:
        Half-open character ranges, or None if the text does not fit the forms.
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
    """Build a text from forms with a single space after those that have one; the last has none."""
    offsets = []
    parts = []
    position = 0
    for form, is_spaced in zip(forms, has_space_after, strict=True):
        offsets.append((position, position + len(form)))
        parts.append(f"{form} " if is_spaced else form)
        position += len(parts[-1])
    text = "".join(parts)
    return (text[:-1] if has_space_after and has_space_after[-1] else text), offsets


def divide(surface: str, words: Sequence[str]) -> list[Offset]:
    """Return the places of the words that a surface form stands for (``don't``: ``do``, ``n't``) inside it.

    Case and the kind of apostrophe may differ. Where the words do not make up the surface form (``au``:
    ``à``, ``le``) each takes all of it.
    """
    together = "".join(words)
    if len(together) != len(surface) or not all(map(_is_same, together, surface)):
        return [(0, len(surface))] * len(words)
    return join(words, [False] * len(words))[1]


def _is_same(one: str, other: str) -> bool:
    return one == other or one.translate(_APOSTROPHES).lower() == other.translate(_APOSTROPHES).lower()
