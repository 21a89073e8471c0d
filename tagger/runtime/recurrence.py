"""LSTMs over many sentences at once: an onnxruntime graph for every model, with the weights as its inputs.

Sentences lie one behind another in lanes. All lanes of a direction take a step together, so that a step is
one matrix product; where a sentence begins, the lane's state is set to zero. No sentence has to be as long as
another, and none is padded: only the ends of lanes are.

The graph (written by ``scripts/build_recurrence.py``) takes the first layer's input projections as a table
with a row for each distinct word, since they are linear in the word's vector. What is left to do a token is
the recurrence alone.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tagger.errors import InputError
from tagger.signals import interrupts_held

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Precision = Literal["f32", "int8"]
PROJECTION = Path(__file__).with_name("projection.onnx")
GRAPHS: dict[Precision, Path] = {
    name: Path(__file__).with_name(f"recurrence_{name}.onnx") for name in ("f32", "int8")
}
MOST_LANES = 256
# Numbers that the graph puts out at once (float32: 4 MB); longer lanes are read in several calls.
_OUTPUT_BUDGET = 1 << 20
# Numbers of a block's projected inputs where some tokens have inputs of their own (float32: 8 MB).
_INPUT_BUDGET = 1 << 21


@dataclass(frozen=True, slots=True)
class Lanes:
    """N tokens of several sentences laid out in B lanes of T steps.

    Attributes:
        steps: T.
        count: B.
        places: (N,) ``step * B + lane`` of each token, in the order of the sentences.
        begins: (S,) the same of each sentence's first token.
        ends: (S,) the same of each sentence's last token.
    """

    steps: int
    count: int
    places: Ints
    begins: Ints
    ends: Ints

    @classmethod
    def arrange(cls, lengths: Ints) -> Lanes:
        """Lay S sentences out, each at least one token long, so that no lane is much longer than another.

        The longest sentence that is left goes to the shortest lane (Graham 1969, "Bounds on multiprocessing
        timing anomalies"). There are no more lanes than the longest sentence leaves room for.
        """
        total, longest = int(lengths.sum()), int(lengths.max(initial=1))
        count = max(1, min(MOST_LANES, total // longest))
        lanes = [(0, lane) for lane in range(count)]
        begins = np.empty(len(lengths), np.int64)
        sizes = lengths.tolist()
        for place in np.argsort(-lengths, kind="stable").tolist():
            filled, lane = lanes[0]
            begins[place] = filled * count + lane
            heapq.heapreplace(lanes, (filled + sizes[place], lane))
        within = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        places = np.repeat(begins, lengths) + within * count
        return cls(max(filled for filled, _ in lanes), count, places, begins, begins + (lengths - 1) * count)

    def rows(self, tokens: Ints, is_backward: tuple[bool, ...]) -> Ints:
        """(T, D, B) row of the table for each step, of (N,) words: row ``word * D + d`` in direction d."""
        directions = len(is_backward)
        return self.spread(tokens * directions, is_backward, 0) + np.arange(directions)[:, None]

    def spread(self, values: Ints, is_backward: tuple[bool, ...], padding: int) -> Ints:
        """(T, D, B) the value of each step's token, of (N,) values; ``padding`` where there is none."""
        flat = np.full(self.steps * self.count, padding)
        flat[self.places] = values
        grid = flat.reshape(self.steps, self.count)
        return np.stack([grid[::-1] if back else grid for back in is_backward], axis=1)

    def keep(self, is_backward: tuple[bool, ...]) -> Floats:
        """(T, D, B, 1) 0 where a sentence begins in the direction's own order of reading, else 1."""
        found = np.ones((self.steps, len(is_backward), self.count, 1), np.float32)
        for d, back in enumerate(is_backward):
            flat = np.ones(self.steps * self.count, np.float32)
            flat[self.ends if back else self.begins] = 0.0
            grid = flat.reshape(self.steps, self.count)
            found[:, d, :, 0] = grid[::-1] if back else grid
        return found

    def pick(self, outputs: Floats, direction: int, *, is_backward: bool) -> Floats:
        """(N, X) what one direction put out for each token, of (T, D, B, X) in its own order of reading."""
        steps, directions, count, width = outputs.shape
        step, lane = np.divmod(self.places, self.count)
        if is_backward:
            step = steps - 1 - step
        places = (step * directions + direction) * count + lane
        picked: Floats = outputs.reshape(-1, width)[places]
        return picked


@dataclass(frozen=True, slots=True)
class HiddenWeights:
    """What the state of D directions is multiplied with before each step.

    Attributes:
        values: (D, H, 4H) float32, the gates in torch's order, or whole numbers (int8) of steps.
        steps: (D, 1, 4H) float32 size of a step in each column; None where the values are no whole numbers.
    """

    values: NDArray[Any]
    steps: Floats | None = None

    def rounded(self) -> HiddenWeights:
        """The same in whole numbers, with a step for each column of weights; the state has steps of 1/127.

        Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
        inference", section 2.1, without zero points. Weights have 7 of the 8 bits: processors that add up
        pairs of products in 16 bits would cut larger sums off.
        """
        steps = np.maximum(np.abs(self.values).max(axis=1, keepdims=True), np.float32(1e-30)) / 63
        return HiddenWeights(np.round(self.values / steps).astype(np.int8), steps.astype(np.float32))


class TokenInputs(NamedTuple):
    """Inputs of single tokens in addition to those of their words.

    Attributes:
        rows: (T, D, B) the row of ``features`` that each step adds, -1 for none.
        features: (M, F).
        weights: (D, F, 4H) project features to the gates of each direction.
    """

    rows: Ints
    features: Floats
    weights: Floats


def project(inputs: Floats, weights: Floats, bias: Floats) -> Floats:
    """(N, E) inputs, (E, G) weights and (G,) bias to (N, G).

    Not numpy's product: its BLAS starts a thread on every core, which gets in the way of those that read.
    """
    found: Floats = _session(PROJECTION).run(None, {"inputs": inputs, "weights": weights, "bias": bias})[0]
    return found


def read(
    table: Floats,
    rows: Ints,
    keep: Floats,
    weights: HiddenWeights,
    heads: Floats | None,
    own: TokenInputs | None = None,
) -> Floats:
    """Read lanes to their ends.

    Args:
        table: (N, 4H) projected inputs, the gates in torch's order.
        rows: (T, D, B) which row of the table each step reads.
        keep: (T, D, B, 1) what the state before the step is multiplied with.
        weights: What it is multiplied with next.
        heads: (D, H, C) what each direction's outputs are multiplied with, or None.
        own: Inputs of single tokens. They are projected block by block, since all of them together would
            take as much memory as a window of distinct words.

    Returns:
        (T, D, B, C) the products with ``heads``, or (T, D, B, H) the outputs themselves.
    """
    steps, directions, count = rows.shape
    size = weights.values.shape[1]
    state = np.zeros((directions, count, size), np.float32)
    given = {"table": table, "hidden_weights": weights.values, "state": state, "cell": state}
    if weights.steps is not None:
        given["weight_steps"] = weights.steps
    given["heads"] = np.zeros((directions, size, 0), np.float32) if heads is None else heads
    session = _session(GRAPHS["f32" if weights.steps is None else "int8"])
    wanted = ["states" if heads is None else "scores", "last_state", "last_cell"]
    found = []
    at_once = max(1, _OUTPUT_BUDGET // max(1, directions * count * size))
    if own is not None:
        at_once = max(1, min(steps, at_once, _INPUT_BUDGET // (directions * count * table.shape[1])))
        space = np.empty((at_once * directions * count, table.shape[1]), np.float32)
    for begin in range(0, steps, at_once):
        block = slice(begin, begin + at_once)
        given["rows"], given["keep"] = rows[block], keep[block]
        if own is not None:
            part = own._replace(rows=own.rows[block])
            given["table"], given["rows"] = _add_inputs(table, rows[block], part, space)
        output, given["state"], given["cell"] = session.run(wanted, given)
        found.append(output)
    return found[0] if len(found) == 1 else np.concatenate(found)


def _add_inputs(table: Floats, rows: Ints, own: TokenInputs, space: Floats) -> tuple[Floats, Ints]:
    """Return a block's table (in ``space``) with the tokens' own inputs added, and its rows (T, D, B)."""
    wanted, chosen = rows.reshape(-1), own.rows.reshape(-1)
    found = np.empty(len(wanted), np.int64)
    is_plain = chosen < 0
    # Words without inputs of their own share a row.
    distinct, found[is_plain] = np.unique(wanted[is_plain], return_inverse=True)
    added = [
        np.flatnonzero(~is_plain & (np.arange(len(wanted)) // rows.shape[2] % rows.shape[1] == direction))
        for direction in range(rows.shape[1])
    ]
    begin = len(distinct)
    kept = space[: begin + sum(map(len, added))]
    # Without a mode that needs no checks numpy would make a copy of the output first.
    np.take(table, np.concatenate([distinct, *(wanted[one] for one in added)]), 0, kept, "clip")
    no_bias = np.zeros(table.shape[1], np.float32)
    for steps, weights in zip(added, own.weights, strict=True):
        if len(steps):
            end = begin + len(steps)
            kept[begin:end] += project(own.features[chosen[steps]], weights, no_bias)
            found[steps] = np.arange(begin, end)
            begin = end
    return kept, found.reshape(rows.shape)


def choose_precision(name: str, hidden_size: int = 100) -> Precision:
    """The precision of this name; for ``auto`` the faster one, by a short trial on this machine.

    Args:
        name: ``f32``, ``int8`` or ``auto``.
        hidden_size: Units a direction, for the trial.

    Raises:
        InputError: There is no such precision, or not here.
    """
    if name == "auto":
        return "int8" if 1.05 * _seconds("int8", hidden_size) < _seconds("f32", hidden_size) else "f32"
    if name == "bf16":
        raise InputError("onnxruntime has no products of bf16 for processors; use f32, int8 or auto.")
    for known in GRAPHS:
        if name == known:
            return known
    raise InputError(f"There is no precision {name!r}; use f32, int8 or auto.")


def _seconds(
    precision: Precision, hidden_size: int, lanes: int = 64, steps: int = 4, trials: int = 5
) -> float:
    """The least time that some steps of random lanes take."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(2, hidden_size, 4 * hidden_size)).astype(np.float32)
    weights = HiddenWeights(values).rounded() if precision == "int8" else HiddenWeights(values)
    table = generator.normal(size=(2, 4 * hidden_size)).astype(np.float32)
    rows = np.zeros((steps, 2, lanes), np.int64)
    keep = np.ones((*rows.shape, 1), np.float32)
    found = []
    for _ in range(trials + 1):  # the first one makes the graph ready
        begun = perf_counter()
        read(table, rows, keep, weights, None)
        found.append(perf_counter() - begun)
    return min(found[1:])


@cache
def _session(path: Path) -> Any:
    """A graph, loaded once a process; threads may run it at the same time, each on a core of its own."""
    return open_graph(path)


def open_graph(graph: Path | bytes) -> Any:
    """An onnxruntime session of a graph, which runs in the thread that calls it."""
    with interrupts_held():  # an import that is broken off would be an error of its own
        import onnxruntime  # here, since it takes longer than the rest of `import tagger`

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
