"""A sentence of a page with the spans or tags of one side marked, and what is wrong outlined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from tagger.evaluation.confusion import Outcome
from tagger.reports.page import escape
from tagger.text.sentence import Sentence

AROUND = 40  # tokens that are shown before and after an error

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
    """One side's tagging of a sentence, without the words that are far from every error.

    Args:
        sentence: The sentence.
        outcomes: What became of its spans or tags.
        side: Whose tagging.
        seen: For each token whether train has the word; the others are underlined.
        hues: The colours of span labels; empty for tags that mark no spans, which stand over their words.
    """
    near = _mark_near(len(sentence), (outcome for outcome in outcomes if outcome.kind != "right"))
    starts = {span.start: (span, one) for one in outcomes if (span := getattr(one, side))}
    place, is_cut = 0, False
    while place < len(sentence):
        span, outcome = starts.get(place, (None, None))
        stop = span.end if span else place + 1
        if any(near[place:stop]):
            words = _words(sentence, place, stop, seen)
            yield _space(sentence, place)
            yield _mark(words, span.label, outcome, hues) if span and outcome else words
            is_cut = False
        elif not is_cut:
            yield ' <span class="gap">[…]</span> '
            is_cut = True
        place = stop


def _mark_near(length: int, outcomes: Iterable[Outcome]) -> list[bool]:
    """For each token whether it stands near one of these."""
    near = [False] * length
    for outcome in outcomes:
        first, stop = max(0, outcome.start - AROUND), min(length, outcome.end + AROUND)
        near[first:stop] = [True] * (stop - first)
    return near


def _words(sentence: Sentence, start: int, stop: int, seen: Sequence[bool]) -> str:
    """Tokens with the white space between them, those that train lacks underlined."""
    parts = []
    for place in range(start, stop):
        token = escape(sentence.tokens[place])
        parts.append(_space(sentence, place) if place > start else "")
        parts.append(token if seen[place] else f"<u>{token}</u>")
    return "".join(parts)


def _space(sentence: Sentence, place: int) -> str:
    """What separates a token from the one before it: a space or nothing."""
    is_apart = place > 0 and sentence.offsets[place - 1][1] < sentence.offsets[place][0]
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
