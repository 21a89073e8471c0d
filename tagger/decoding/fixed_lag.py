"""Fixed-lag Viterbi: tags of a sentence that is still growing, each decided a few tokens later."""

from __future__ import annotations

import numpy as np

from tagger.decoding.viterbi import FloatArray, IntArray, Transitions, check_shapes, viterbi


def decode_window(
    emissions: FloatArray, transitions: Transitions, before: IntArray | None = None, *, is_end: bool
) -> IntArray:
    """Return the best path of every window, beginning from the tag that was given out before it.

    A window is the tokens whose tags are not given out yet. While the sentence grows, only a path's first tag
    is given out, and the window moves on by one token; the others may still change. Beginning from what was
    given out keeps the whole a sequence that the transitions allow. The end scores count only where the
    sentence ends: a window that is a whole sentence is decoded as ``viterbi`` decodes it.

    This is Viterbi with its paths cut to a fixed length (Forney 1973, "The Viterbi algorithm", on truncation
    of survivors), except that later paths keep to what was decided. A window for which nothing legal exists
    gets the best tag of each token by itself, as in ``viterbi``.

    Args:
        emissions: (B, W, C) float32, of B windows of W tokens each.
        transitions: Scores of the C tags.
        before: (B,) the tags given out last; None at the sentences' beginning, where the start scores count.
        is_end: Whether the sentences end with their windows.

    Returns:
        (B, W) int64 tag ids.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    count, width, tag_count = emissions.shape
    check_shapes(emissions, np.full(count, width), transitions)
    free = Transitions.free(tag_count)
    start = transitions.start if before is None else free.start
    end = transitions.end if is_end else free.end
    window = Transitions(transitions.scores, start, end)
    if before is None:
        return viterbi(emissions, np.full(count, width), window)
    # The tag before stands as a first step of its own, at which all others are forbidden.
    known = np.full((count, 1, tag_count), -np.inf, np.float32)
    known[np.arange(count), 0, before] = 0.0
    return viterbi(np.concatenate([known, emissions], axis=1), np.full(count, width + 1), window)[:, 1:]
