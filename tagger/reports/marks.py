"""Render a sentence as HTML with its gold or predicted spans or tags marked, and errors outlined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from tagger.evaluation.confusion import Outcome
from tagger.reports.page import escape
from tagger.text.sentence import Sentence

AROUND = 40  # tokens to show before and after an error

Side = Literal["gold", "predicted"]
SIDES: tuple[Side, ...] = ("gold", "predicted")


def mark_side(
    sentence: Sentence,
    outcomes: Sequence[Outcome],
    side: Side,
    *,
    seen: Sequence[bool],
    hues: Mapping[str, int],
) -> Iterator[str]:
    """Yield a sentence with the gold or predicted annotations, without words far from any error.

    Args:
        sentence: The sentence.
        outcomes: The outcomes of its spans or tags.
        side: Gold or predicted.
        seen: For each token, True if the train split contains the word; other words are underlined.
        hues: The colours of span labels; empty for tasks without spans, whose tags are shown above the words.
    """
    near = _mark_near(len(sentence), (outcome for outcome in outcomes if outcome.kind != "right"))
    starts = {span.start: (span, one) for one in outcomes if (span := getattr(one, side))}
    index, is_cut = 0, False
    while index < len(sentence):
        span, outcome = starts.get(index, (None, None))
        stop = span.end if span else index + 1
        if any(near[index:stop]):
            words = _words(sentence, index, stop, seen)
            yield _space(sentence, index)
            yield _mark(words, span.label, outcome, hues) if span and outcome else words
            is_cut = False
        elif not is_cut:
            yield ' <span class="gap">[…]</span> '
            is_cut = True
        index = stop


def _mark_near(length: int, outcomes: Iterable[Outcome]) -> list[bool]:
    """Return a mask of the tokens near an outcome."""
    near = [False] * length
    for outcome in outcomes:
        first, stop = max(0, outcome.start - AROUND), min(length, outcome.end + AROUND)
        near[first:stop] = [True] * (stop - first)
    return near


def _words(sentence: Sentence, start: int, stop: int, seen: Sequence[bool]) -> str:
    """Join tokens with their white space; underline words that are not in the train split."""
    pieces = []
    for index in range(start, stop):
        token = escape(sentence.tokens[index])
        pieces.append(_space(sentence, index) if index > start else "")
        pieces.append(token if seen[index] else f"<u>{token}</u>")
    return "".join(pieces)


def _space(sentence: Sentence, index: int) -> str:
    """Return the separator before a token: a space or nothing."""
    is_apart = index > 0 and sentence.offsets[index - 1][1] < sentence.offsets[index][0]
    return " " if is_apart else ""


def _mark(words: str, label: str, outcome: Outcome, hues: Mapping[str, int]) -> str:
    is_right = outcome.kind == "right"
    if not hues:  # a task without spans
        ruby = f"<ruby>{words}<rt>{escape(label)}</rt></ruby>"
        return ruby if is_right else f'<mark class="tag bad">{ruby}</mark>'
    if is_right:
        return f'<mark class="h{hues[label]}">{words}<b>{escape(label)}</b></mark>'
    name = f"<b>{escape(label)}</b><i>{outcome.kind}</i>"
    return f'<mark class="h{hues[label]} bad">{words}{name}</mark>'
