"""LSTMs over many sentences at once: one onnxruntime graph for all models, with the weights as inputs.

Sentences are concatenated in packed slots: B sequences of T steps, each with several sentences one after
another. All slots advance together, so that each step is one matrix product. The reset mask sets a slot's
state to zero where a sentence begins. Only the ends of slots are padded, not the sentences.

The graph (written by ``scripts/build_recurrence.py``) takes the first layer's input projections as a table
with a row per distinct word, since they are linear in the word's vector. Only the recurrence is computed per
token.
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
from tagger.signals import interrupts_deferred

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Precision = Literal["f32", "int8"]
PROJECTION = Path(__file__).with_name("projection.onnx")
GRAPHS: dict[Precision, Path] = {
    name: Path(__file__).with_name(f"recurrence_{name}.onnx") for name in ("f32", "int8")
}
# A product of matrices with one row rounds differently from one with several rows: with at least two slots,
# a sentence has the same scores, bit for bit, whatever other sentences the network reads with it.
MIN_SLOTS = 2
MAX_SLOTS = 256
# Maximum values per output array of the graph (float32: 4 MB); longer slots are read in several calls.
_OUTPUT_BUDGET = 1 << 20
# Maximum values of a block's projected inputs if some tokens have additional inputs (float32: 8 MB).
_INPUT_BUDGET = 1 << 21


@dataclass(frozen=True, slots=True)
class PackedSlots:
    """N tokens of S sentences packed into B slots of T steps.

    Attributes:
        steps: T, the length of each slot.
        count: B, the number of slots.
        indices: (N,) ``step * B + slot`` of each token, in the order of the sentences.
        begins: (S,) the index of each sentence's first token.
        ends: (S,) the index of each sentence's last token.
    """

    steps: int
    count: int
    indices: Ints
    begins: Ints
    ends: Ints

    @classmethod
    def pack(cls, lengths: Ints) -> PackedSlots:
        """Distribute S sentences of ``lengths`` (S,), at least 1 each, over slots of similar length.

        Each step puts the longest remaining sentence into the shortest slot (Graham 1969, "Bounds on
        multiprocessing timing anomalies"). The number of slots is at most N divided by the longest length,
        but at least ``MIN_SLOTS``.
        """
        total, longest = int(lengths.sum()), int(lengths.max(initial=1))
        count = max(MIN_SLOTS, min(MAX_SLOTS, total // longest))
        slots = [(0, slot) for slot in range(count)]
        begins = np.empty(len(lengths), np.int64)
        sizes = lengths.tolist()
        for sentence in np.argsort(-lengths, kind="stable").tolist():
            used, slot = slots[0]
            begins[sentence] = used * count + slot
            heapq.heapreplace(slots, (used + sizes[sentence], slot))
        within = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        indices = np.repeat(begins, lengths) + within * count
        return cls(max(used for used, _ in slots), count, indices, begins, begins + (lengths - 1) * count)

    def rows(self, tokens: Ints, is_backward: tuple[bool, ...]) -> Ints:
        """Return the table row (T, D, B) of each step for words (N,): ``word * D + d`` in direction d."""
        directions = len(is_backward)
        return self.scatter(tokens * directions, is_backward, 0) + np.arange(directions)[:, None]

    def scatter(self, values: Ints, is_backward: tuple[bool, ...], padding: int) -> Ints:
        """Scatter token values (N,) to steps (T, D, B); steps without a token get ``padding``."""
        flat = np.full(self.steps * self.count, padding)
        flat[self.indices] = values
        grid = flat.reshape(self.steps, self.count)
        return np.stack([grid[::-1] if back else grid for back in is_backward], axis=1)

    def reset_mask(self, is_backward: tuple[bool, ...]) -> Floats:
        """Return the reset mask (T, D, B, 1): 0 where a sentence begins in reading order, else 1."""
        mask = np.ones((self.steps, len(is_backward), self.count, 1), np.float32)
        for d, back in enumerate(is_backward):
            flat = np.ones(self.steps * self.count, np.float32)
            flat[self.ends if back else self.begins] = 0.0
            grid = flat.reshape(self.steps, self.count)
            mask[:, d, :, 0] = grid[::-1] if back else grid
        return mask

    def gather(self, outputs: Floats, direction: int, *, is_backward: bool) -> Floats:
        """Gather one direction's token outputs (N, X) from (T, D, B, X) in reading order."""
        steps, directions, count, width = outputs.shape
        step, slot = np.divmod(self.indices, self.count)
        if is_backward:
            step = steps - 1 - step
        indices = (step * directions + direction) * count + slot
        gathered: Floats = outputs.reshape(-1, width)[indices]
        return gathered


@dataclass(frozen=True, slots=True)
class HiddenWeights:
    """Recurrent weights of D directions, in float32 or quantized to int8.

    Attributes:
        values: (D, H, 4H) float32 or int8 weights, the gates in torch's order.
        scales: (D, 1, 4H) float32 scale of each column; None for float32 weights.
    """

    values: NDArray[Any]
    scales: Floats | None = None

    def quantized(self) -> HiddenWeights:
        """Quantize to int8 with one scale per column of weights; the graph quantizes the state by 1/127.

        Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
        inference", section 2.1, without zero points. Weights use 7 of the 8 bits: on processors that add
        pairs of products in 16 bits, larger sums would saturate.
        """
        scales = np.maximum(np.abs(self.values).max(axis=1, keepdims=True), np.float32(1e-30)) / 63
        return HiddenWeights(np.round(self.values / scales).astype(np.int8), scales.astype(np.float32))


class TokenInputs(NamedTuple):
    """Additional inputs of single tokens.

    Attributes:
        rows: The row of ``features`` to add for each of N tokens or, once they are packed into slots, at each
            step (T, D, B); -1 for none.
        features: (M, F) features.
        weights: (D, F, 4H) projections of the features to the gates of each direction.
    """

    rows: Ints
    features: Floats
    weights: Floats


def project(inputs: Floats, weights: Floats, bias: Floats) -> Floats:
    """Project inputs (N, E) with weights (E, G) and bias (G,) to (N, G).

    Uses onnxruntime: numpy's BLAS starts a thread per core, which slows the threads that run the network.
    """
    rows = np.repeat(inputs, 2, axis=0) if len(inputs) == 1 else inputs  # see ``MIN_SLOTS``
    result: Floats = _session(PROJECTION).run(None, {"inputs": rows, "weights": weights, "bias": bias})[0]
    return result[: len(inputs)]


def read(
    table: Floats,
    rows: Ints,
    reset_mask: Floats,
    weights: HiddenWeights,
    heads: Floats | None,
    additions: TokenInputs | None = None,
) -> Floats:
    """Run the LSTMs over all steps of packed slots.

    Args:
        table: (N, 4H) projected inputs, the gates in torch's order.
        rows: (T, D, B) row of the table at each step.
        reset_mask: (T, D, B, 1) factor of the state before each step: 0 at the beginning of a sentence.
        weights: The recurrent weights.
        heads: (D, H, C) output projections of each direction, or None.
        additions: Additional inputs of single steps, with ``rows`` (T, D, B). They are projected in
            blocks; all at once would take as much memory as a window of distinct words.

    Returns:
        (T, D, B, C) the outputs projected by ``heads``, or (T, D, B, H) the outputs.
    """
    steps, directions, count = rows.shape
    size = weights.values.shape[1]
    state = np.zeros((directions, count, size), np.float32)
    inputs = {"table": table, "hidden_weights": weights.values, "state": state, "cell": state}
    if weights.scales is not None:
        inputs["weight_steps"] = weights.scales
    inputs["heads"] = np.zeros((directions, size, 0), np.float32) if heads is None else heads
    session = _session(GRAPHS["f32" if weights.scales is None else "int8"])
    output_names = ["states" if heads is None else "scores", "last_state", "last_cell"]
    outputs = []
    block_steps = max(1, _OUTPUT_BUDGET // max(1, directions * count * size))
    if additions is not None:
        block_steps = max(1, min(steps, block_steps, _INPUT_BUDGET // (directions * count * table.shape[1])))
        buffer = np.empty((block_steps * directions * count, table.shape[1]), np.float32)
    for begin in range(0, steps, block_steps):
        block = slice(begin, begin + block_steps)
        inputs["rows"], inputs["keep"] = rows[block], reset_mask[block]
        if additions is not None:
            block_inputs = additions._replace(rows=additions.rows[block])
            inputs["table"], inputs["rows"] = _add_inputs(table, rows[block], block_inputs, buffer)
        output, inputs["state"], inputs["cell"] = session.run(output_names, inputs)
        outputs.append(output)
    return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)


def _add_inputs(table: Floats, rows: Ints, additions: TokenInputs, buffer: Floats) -> tuple[Floats, Ints]:
    """Return a block's table (in ``buffer``) with the additional inputs added, and its rows (T, D, B)."""
    table_rows, feature_rows = rows.reshape(-1), additions.rows.reshape(-1)
    is_plain = additions.rows < 0
    # Steps without additional inputs share a row per word.
    is_used = np.zeros(len(table), np.bool_)
    is_used[rows[is_plain]] = True
    distinct = np.flatnonzero(is_used)
    block_row = np.empty(len(table), np.int64)  # of each used row of the table
    block_row[distinct] = np.arange(len(distinct))
    block_rows = block_row[table_rows]
    steps = np.arange(rows.size).reshape(rows.shape)
    steps_by_direction = [steps[:, d][~is_plain[:, d]] for d in range(rows.shape[1])]
    begin = len(distinct)
    block_table = buffer[: begin + sum(map(len, steps_by_direction))]
    # With the default mode, which checks bounds, numpy would first copy the output array.
    word_rows = np.concatenate([distinct, table_rows[np.concatenate(steps_by_direction)]])
    np.take(table, word_rows, 0, block_table, "clip")
    no_bias = np.zeros(table.shape[1], np.float32)
    for added, weights in zip(steps_by_direction, additions.weights, strict=True):
        if len(added):
            end = begin + len(added)
            block_table[begin:end] += project(additions.features[feature_rows[added]], weights, no_bias)
            block_rows[added] = np.arange(begin, end)
            begin = end
    return block_table, block_rows.reshape(rows.shape)


def choose_precision(name: str, hidden_size: int = 100) -> Precision:
    """Return the named precision; ``auto`` selects the faster one in a short trial on this machine.

    Args:
        name: ``f32``, ``int8`` or ``auto``.
        hidden_size: Units per direction, for the trial.

    Raises:
        InputError: The name is unknown, or onnxruntime lacks the precision.
    """
    if name == "auto":
        return "int8" if 1.05 * _seconds("int8", hidden_size) < _seconds("f32", hidden_size) else "f32"
    if name == "bf16":
        raise InputError(
            "precision must not be bf16: onnxruntime lacks it on CPUs. Use f32, int8 or auto.",
            code="argument.value",
            option="precision",
        )
    for known in GRAPHS:
        if name == known:
            return known
    message = f"precision must be f32, int8 or auto (got {name!r})."
    raise InputError(message, code="option.unknown", option="precision")


def _seconds(
    precision: Precision, hidden_size: int, slots: int = 64, steps: int = 4, trials: int = 5
) -> float:
    """Return the minimum time of a few steps with random weights."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(2, hidden_size, 4 * hidden_size)).astype(np.float32)
    weights = HiddenWeights(values).quantized() if precision == "int8" else HiddenWeights(values)
    table = generator.normal(size=(2, 4 * hidden_size)).astype(np.float32)
    rows = np.zeros((steps, 2, slots), np.int64)
    reset_mask = np.ones((*rows.shape, 1), np.float32)
    times = []
    for _ in range(trials + 1):  # the first trial loads the graph and is not counted
        start = perf_counter()
        read(table, rows, reset_mask, weights, None)
        times.append(perf_counter() - start)
    return min(times[1:])


@cache
def _session(path: Path) -> Any:
    """Return the session of a graph, loaded once per process; thread-safe, one core per calling thread."""
    return open_graph(path)


def open_graph(graph: Path | bytes) -> Any:
    """Open an onnxruntime session that runs a graph in the calling thread."""
    with interrupts_deferred():  # an interrupted import can fail with another error
        import onnxruntime  # imported late: it takes longer than the rest of `import tagger`

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
