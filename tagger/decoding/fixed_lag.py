"""Fixed-lag Viterbi: decode a token stream, deciding each tag a few tokens later."""

from __future__ import annotations

import numpy as np

from tagger.decoding.viterbi import FloatArray, IntArray, Transitions, check_shapes, viterbi


def decode_window(
    emissions: FloatArray, transitions: Transitions, before: IntArray | None = None, *, is_end: bool
) -> IntArray:
    """Return the best path of every window, given the last emitted tag before it.

    A window holds the tokens without an emitted tag. While the sentence grows, the caller emits only the
    first tag of a path and moves the window by one token; the other tags may still change. Starting from the
    last emitted tag ensures that the transitions allow the whole sequence. The end transitions apply only at
    the end of a sentence. A window that is a whole sentence has the same result as ``viterbi``.

    This is Viterbi with truncated paths (Forney 1973, "The Viterbi algorithm", on truncation of survivors),
    except that later paths must agree with the emitted tags. A window without a legal path gets the best tag
    of each token independently, as in ``viterbi``.

    Args:
        emissions: (B, W, C) float32, for B windows of W tokens each.
        transitions: Scores of the C tags.
        before: (B,) the last emitted tags; None at the start of sentences, where the start transitions apply.
        is_end: True if the sentences end with their windows.

    Returns:
        (B, W) int64 tag ids.

    Raises:
        ValueError: The shapes do not match.
    """
    count, width, tag_count = emissions.shape
    check_shapes(emissions, np.full(count, width), transitions)
    free = Transitions.free(tag_count)
    start = transitions.start if before is None else free.start
    end = transitions.end if is_end else free.end
    window = Transitions(transitions.scores, start, end)
    if before is None:
        return viterbi(emissions, np.full(count, width), window)
    # Prepend a step that allows only the last emitted tag.
    known = np.full((count, 1, tag_count), -np.inf, np.float32)
    known[np.arange(count), 0, before] = 0.0
    return viterbi(np.concatenate([known, emissions], axis=1), np.full(count, width + 1), window)[:, 1:]
