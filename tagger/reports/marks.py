"""Split a sentence into pieces for display: annotations, errors, and gaps far from errors."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tagger.evaluation.confusion import Outcome
from tagger.text.sentence import Sentence

AROUND = 40  # tokens to show before and after an error

Side = Literal["gold", "predicted"]
SIDES: tuple[Side, ...] = ("gold", "predicted")


@dataclass(frozen=True, slots=True)
class Token:
    """Text, the space before it in its piece, and True if the train split contains its words."""

    text: str
    space: str
    is_seen: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive tokens with one annotation or none, or a gap. The template ``marks.html`` displays it.

    Attributes:
        tokens: The tokens; a gap has none.
        space: The space before the piece.
        label: The label of the span, or the tag; None without annotation.
        hue: The hue of the span's colour in degrees; None for a tag, which is shown above its word.
        error: The kind of the error; "" if the annotation is correct.
    """

    tokens: Sequence[Token] = ()
    space: str = ""
    label: str | None = None
    hue: int | None = None
    error: str = ""

    @property
    def is_gap(self) -> bool:
        """True if the piece replaces omitted words."""
        return not self.tokens


def split_sentence(
    sentence: Sentence,
    outcomes: Sequence[Outcome],
    side: Side,
    *,
    seen: Sequence[bool],
    hues: Mapping[str, int],
) -> Iterator[Piece]:
    """Yield the pieces of a sentence with the gold or predicted annotations; gaps replace distant words.

    Args:
        sentence: The sentence.
        outcomes: The outcomes of its spans or tags.
        side: Gold or predicted.
        seen: For each token, True if the train split contains the word.
        hues: The hue of each span label; empty for tasks without spans.
    """
    near = _mark_near(len(sentence), (outcome for outcome in outcomes if outcome.kind != "right"))
    starts = {span.start: (span, outcome) for outcome in outcomes if (span := getattr(outcome, side))}
    index, is_cut = 0, False
    while index < len(sentence):
        span, outcome = starts.get(index, (None, None))
        stop = span.end if span else _end_of_plain(index, near, starts)
        if any(near[index:stop]):
            tokens = _tokens(sentence, index, stop, seen)
            space = _space(sentence, index)
            if span and outcome:
                error = "" if outcome.kind == "right" else outcome.kind
                hue = hues[span.label] if hues else None
                yield Piece(tokens, space, span.label, hue, error)
            else:
                yield Piece(tokens, space)
            is_cut = False
        elif not is_cut:
            yield Piece()
            is_cut = True
        index = stop


def _end_of_plain(index: int, near: Sequence[bool], starts: Container[int]) -> int:
    """Return the end of the run of unannotated tokens from ``index`` on, all near an error or all far."""
    stop = index + 1
    while stop < len(near) and stop not in starts and near[stop] == near[index]:
        stop += 1
    return stop


def _mark_near(length: int, outcomes: Iterable[Outcome]) -> list[bool]:
    """Return a mask of the tokens near an outcome."""
    near = [False] * length
    for outcome in outcomes:
        first, stop = max(0, outcome.start - AROUND), min(length, outcome.end + AROUND)
        near[first:stop] = [True] * (stop - first)
    return near


def _tokens(sentence: Sentence, start: int, stop: int, seen: Sequence[bool]) -> list[Token]:
    """Return tokens; consecutive words that train contains are joined, which makes rendering faster."""
    tokens: list[Token] = []
    for index in range(start, stop):
        space = _space(sentence, index) if index > start else ""
        if tokens and tokens[-1].is_seen and seen[index]:
            tokens[-1] = replace(tokens[-1], text=f"{tokens[-1].text}{space}{sentence.tokens[index]}")
        else:
            tokens.append(Token(sentence.tokens[index], space, seen[index]))
    return tokens


def _space(sentence: Sentence, index: int) -> str:
    """Return the separator before a token: a space or nothing."""
    is_apart = index > 0 and sentence.offsets[index - 1][1] < sentence.offsets[index][0]
    return " " if is_apart else ""
