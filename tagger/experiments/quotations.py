"""Render example sentences: gold tags next to wrong predictions, with words or with token numbers only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from tagger.evaluation.confusion import Outcome, match_task
from tagger.experiments.findings import Contrast, Evidence
from tagger.experiments.prose import count_evidence
from tagger.experiments.results import Variant
from tagger.reports.marks import SIDES, Side, mark_side
from tagger.reports.page import escape
from tagger.text.sentence import from_tokens

SHOWN = 60  # maximum number of sentences of either kind


def quote_evidence(
    contrast: Contrast, hues: Mapping[str, int], *, has_spans: bool, hide_words: bool
) -> Iterator[str]:
    """Yield the HTML of the sentences that only one variant gets right, in collapsed blocks.

    Args:
        contrast: Both variants and the sentences.
        hues: Colours of span labels; empty for tags that mark no spans.
        has_spans: True if tags mark spans.
        hide_words: Show token numbers instead of words.
    """
    counts = count_evidence(contrast)
    base, other = contrast.base, contrast.other
    folds = ((contrast.gained, counts[0], base, other), (contrast.lost, counts[1], other, base))
    for examples, summary, wrong, right in folds:
        if not examples:
            yield f"<p>{escape(summary)}.</p>\n"
            continue
        more = f" The first {SHOWN} of them are shown." if len(examples) > SHOWN else ""
        yield f"<details>\n<summary>{escape(summary)}.{more}</summary>\n"
        for example in examples[:SHOWN]:
            heads = _heads(example, right, wrong, contrast.seeds)
            yield from _article(example, heads, hues, has_spans=has_spans, hide_words=hide_words)
        yield "</details>\n"


def _heads(example: Evidence, right: Variant, wrong: Variant, seeds: int) -> Mapping[Side, str]:
    """Return the heading of either side."""
    return {
        "gold": f"gold and {right.direction}",
        "predicted": f"{wrong.direction}, {example.wrong.runs} of {seeds} seed{'s' * (seeds != 1)}",
    }


def _article(
    example: Evidence,
    heads: Mapping[Side, str],
    hues: Mapping[str, int],
    *,
    has_spans: bool,
    hide_words: bool,
) -> Iterator[str]:
    scheme = "IOB2" if has_spans else None
    (outcomes,) = match_task([example.gold], [example.wrong.tags], scheme=scheme)
    # The page shows the file name only: it must not disclose the folders of the machine.
    source = escape(PurePath(example.source).name)
    yield f'<article>\n<header><code>{source}</code></header>\n<div class="sides">\n'
    for side in SIDES:
        if hide_words:
            content = " ".join(_mark_token_numbers(outcomes, side, hues)) or "nothing"
        else:
            sentence, seen = from_tokens(example.tokens), [True] * len(example.tokens)
            content = "".join(mark_side(sentence, outcomes, side, seen=seen, hues=hues))
        yield f'<div><h4>{heads[side]}</h4><p class="{side}" lang="" dir="auto">{content}</p></div>\n'
    yield "</div>\n</article>\n"


def _mark_token_numbers(outcomes: Sequence[Outcome], side: Side, hues: Mapping[str, int]) -> Iterator[str]:
    """Mark the spans of a side, or its wrong tags, by token numbers counted from 1."""
    for outcome in outcomes:
        span = outcome.gold if side == "gold" else outcome.predicted
        is_right = outcome.kind == "right"
        if span is None or (is_right and not hues):
            continue
        last = "" if span.end == span.start + 1 else f"–{span.end}"
        colour, wrong = (f"h{hues[span.label]}" if hues else "plain"), "" if is_right else " bad"
        yield f'<mark class="{colour}{wrong}">{span.start + 1}{last}<b>{escape(span.label)}</b></mark>'
