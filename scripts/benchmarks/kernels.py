"""Bare bidirectional LSTMs with the sizes of a model, as an upper bound on its speed.

They read random vectors in batches of 64 sentences of similar length and discard their outputs: no word
lookup, no characters, no decoding. The speed of a tagger as a share of theirs shows the cost of everything
else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import load_bundle

BATCH_SENTENCES = 64
SPREAD = 0.1  # standard deviation of weights and inputs; small, so that no unit saturates
Kernel = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of one bidirectional layer: input width, and hidden size per direction."""

    inputs: int
    hidden: int


@dataclass(frozen=True, slots=True)
class Inputs:
    """One batch: (T, B, inputs) float32 vectors, and (B,) lengths."""

    vectors: NDArray[np.float32]
    lengths: NDArray[np.int32]


def sizes_of(model: Path) -> Sizes:
    """Return the sizes of the first layer of a model."""
    gates, inputs = load_bundle(model).tensors["encoder.layers.0.forward_lstm.weight_ih_l0"].shape
    return Sizes(inputs, gates // 4)


def make_inputs(lengths: Sequence[int], width: int) -> list[Inputs]:
    """Make batches of random vectors for sentences of these lengths, sorted by length to minimise padding."""
    ordered = sorted(lengths)
    generator = np.random.default_rng(1)
    vectors = generator.normal(0, SPREAD, (ordered[-1], BATCH_SENTENCES, width)).astype(np.float32)
    batches = []
    for start in range(0, len(ordered), BATCH_SENTENCES):
        group = np.array(ordered[start : start + BATCH_SENTENCES], np.int32)
        batches.append(Inputs(np.ascontiguousarray(vectors[: group[-1], : len(group)]), group))
    return batches


def onnxruntime_lstm(sizes: Sizes, batches: Sequence[Inputs], threads: int) -> Kernel:
    """Run the ONNX operator ``LSTM`` in onnxruntime, float32, with weights as graph constants.

    Raises:
        ImportError: ``onnx`` or ``onnxruntime`` is not installed.
    """
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    generator = np.random.default_rng(2)
    hidden = sizes.hidden
    shapes = {"W": (2, 4 * hidden, sizes.inputs), "R": (2, 4 * hidden, hidden), "B": (2, 8 * hidden)}
    weights = [
        numpy_helper.from_array(generator.normal(0, SPREAD, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    graph = helper.make_graph(
        [
            helper.make_node(
                "LSTM",
                ["X", "W", "R", "B", "lengths"],
                ["Y"],
                hidden_size=hidden,
                direction="bidirectional",
            )
        ],
        "lstm",
        [
            helper.make_tensor_value_info("X", TensorProto.FLOAT, ["T", "B", sizes.inputs]),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["B"]),
        ],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["T", 2, "B", hidden])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def run() -> None:
        for batch in batches:
            session.run(None, {"X": batch.vectors, "lengths": batch.lengths})

    return run


def torch_lstm(sizes: Sizes, batches: Sequence[Inputs], threads: int) -> Kernel:
    """Run ``torch.nn.LSTM`` in float32 on padded batches; packed sequences would be slower.

    Raises:
        ImportError: torch is not installed.
    """
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(2)
    lstm = torch.nn.LSTM(sizes.inputs, sizes.hidden, bidirectional=True).eval()
    tensors = [torch.from_numpy(batch.vectors) for batch in batches]

    def run() -> None:
        with torch.inference_mode():
            for tensor in tensors:
                lstm(tensor)

    return run


KERNELS = {"onnxruntime LSTM": onnxruntime_lstm, "torch nn.LSTM": torch_lstm}
