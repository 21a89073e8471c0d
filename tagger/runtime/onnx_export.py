"""Export a model as an ONNX graph from word vectors to emissions, for other runtimes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker
from onnx.helper import (
    make_graph,
    make_model,
    make_node,
    make_opsetid,
    make_tensor_value_info,
    set_model_props,
)
from onnx.numpy_helper import from_array

from tagger.bundle import Bundle
from tagger.config_loading import reject_encoder
from tagger.errors import InputError
from tagger.features.batching import Batch, WordTable
from tagger.features.vectors import Vectors
from tagger.network.model import restore_model
from tagger.runtime.engine import Engine
from tagger.runtime.recurrence import open_graph
from tagger.runtime.weights import directions_of
from tagger.shrinking import restore_bundle
from tagger.storage import replace_file

OPSET, IR_VERSION = 18, 9
TOLERANCE = 1e-4
_DIRECTIONS = {("forward",): "forward", ("backward",): "reverse", ("forward", "backward"): "bidirectional"}
_BIASES = ("ih", "hh")
_MERGES = {"sum": "Add", "mul": "Mul", "ave": "Mean"}

Tensors = Mapping[str, NDArray[Any]]


def export_model(bundle: Bundle, path: Path) -> float:
    """Export a model as ONNX, after checking that the graph's emissions equal those of torch.

    The inputs are ``vectors`` (B, T, D), the encoder's inputs (see ``WordInputs.inputs``), and ``lengths``
    (B,) int32. The outputs are ``emissions_TASK`` (B, T, C) for each task; padding has arbitrary values. B
    and T are dynamic. The file's properties contain, as JSON, the tags, scheme, transition scores and
    temperature of each task, which decoding needs.

    Returns:
        The largest difference from torch, over random sentences of the model's words.

    Raises:
        InputError: The file cannot be written, or the graph's emissions differ from those of torch.
    """
    reject_encoder(bundle.config.model, "an exported graph needs a model")
    if bundle.config.model.has_linear:
        raise InputError(
            "an exported graph needs a model without a linear part, which reads words and not their vectors. "
            "Train one without model.linear.",
            code="option.conflict",
            option="model.linear",
        )
    engine = Engine(bundle)
    content = build_graph(bundle, engine).SerializeToString(deterministic=True)
    difference = _difference(bundle, engine, content)
    if not difference <= TOLERANCE:
        raise InputError(
            f"the emissions must equal those of torch (got a difference of {difference:.1e}). "
            "Report this as a bug.",
            code="bundle.output",
            where=path,
        )
    with replace_file(path) as temporary:
        temporary.write_bytes(content)
    return difference


def build_graph(bundle: Bundle, engine: Engine) -> ModelProto:
    """Build the graph that ``export_model`` writes."""
    config = bundle.config.model
    directions = directions_of(config)
    inputs, constants = "steps", []
    nodes = [make_node("Transpose", ["vectors"], [inputs], perm=[1, 0, 2])]  # ONNX reads (T, B, D)
    for number in range(config.layers):
        inputs, layer, tensors = _layer(bundle.tensors, number, inputs, directions, config.merge_mode)
        nodes += layer
        constants += [from_array(tensor, name) for name, tensor in tensors.items()]
    outputs = []
    for number, task in enumerate(bundle.vocabulary.tasks):
        name = f"emissions_{task.name}"
        weight, bias = (bundle.tensors[f"heads.{number}.projection.{kind}"] for kind in ("weight", "bias"))
        constants += [from_array(weight.T.copy(), f"weight_{name}"), from_array(bias, f"bias_{name}")]
        nodes += [
            make_node("MatMul", [inputs, f"weight_{name}"], [f"product_{name}"]),
            make_node("Add", [f"product_{name}", f"bias_{name}"], [f"steps_{name}"]),
            make_node("Transpose", [f"steps_{name}"], [name], perm=[1, 0, 2]),
        ]
        outputs.append(make_tensor_value_info(name, TensorProto.FLOAT, ["B", "T", len(task.tags)]))
    graph_inputs = [
        make_tensor_value_info("vectors", TensorProto.FLOAT, ["B", "T", engine.words.input_size]),
        make_tensor_value_info("lengths", TensorProto.INT32, ["B"]),
    ]
    graph = make_graph(nodes, "tagger", graph_inputs, outputs, constants)
    model = make_model(graph, opset_imports=[make_opsetid("", OPSET)], producer_name="tagger")
    model.ir_version = IR_VERSION
    set_model_props(model, {"tasks": json.dumps(_describe_tasks(bundle, engine))})
    checker.check_model(model, full_check=True)
    return model


def _layer(
    tensors: Tensors, number: int, inputs: str, directions: Sequence[str], merge_mode: str
) -> tuple[str, list[NodeProto], dict[str, NDArray[Any]]]:
    """Return the name of a layer's outputs (T, B, E), its nodes, and its constants."""
    names = [f"encoder.layers.{number}.{way}_lstm" for way in directions]
    weights, hidden, biases = f"weights_{number}", f"hidden_{number}", f"biases_{number}"
    constants = {
        weights: np.stack([_gates(tensors[f"{one}.weight_ih_l0"]) for one in names]),
        hidden: np.stack([_gates(tensors[f"{one}.weight_hh_l0"]) for one in names]),
        biases: np.stack(
            [
                np.concatenate([_gates(tensors[f"{one}.bias_{kind}_l0"]) for kind in ("ih", "hh")])
                for one in names
            ]
        ),
    }
    size = constants[hidden].shape[2]
    merged = f"outputs_{number}"
    sides = [f"{way}_{number}" for way in directions]
    nodes = [
        make_node(
            "LSTM",
            [inputs, weights, hidden, biases, "lengths"],
            [f"read_{number}"],
            hidden_size=size,
            direction=_DIRECTIONS[tuple(directions)],
        ),
        make_node(
            "Split", [f"read_{number}"], [f"{one}_apart" for one in sides], axis=1, num_outputs=len(sides)
        ),
        *(make_node("Squeeze", [f"{one}_apart", f"axis_{number}"], [one]) for one in sides),
    ]
    constants[f"axis_{number}"] = np.array([1])
    if len(sides) == 1:
        nodes.append(make_node("Identity", sides, [merged]))
    elif merge_mode == "concat":
        nodes.append(make_node("Concat", sides, [merged], axis=2))
    else:
        nodes.append(make_node(_MERGES[merge_mode], sides, [merged]))
    return merged, nodes, constants


def _gates(tensor: NDArray[Any]) -> NDArray[Any]:
    """Reorder the gates of a tensor (4H, …) from torch's order (input, forget, cell, output) to ONNX's."""
    input_gate, forget_gate, cell, output_gate = np.split(tensor, 4)
    return np.concatenate([input_gate, output_gate, forget_gate, cell])


def _describe_tasks(bundle: Bundle, engine: Engine) -> dict[str, Any]:
    """Return the decoding data of each task; forbidden transitions are null."""

    def values(scores: NDArray[np.float32]) -> Any:
        if scores.ndim == 2:
            return [values(row) for row in scores]
        return [score if np.isfinite(score) else None for score in scores.tolist()]

    return {
        task.name: {
            "tags": list(task.tags),
            "scheme": task.scheme,
            "transitions": values(engine.transitions[task.name].scores),
            "start": values(engine.transitions[task.name].start),
            "end": values(engine.transitions[task.name].end),
            "temperature": bundle.temperature(task.name),
        }
        for task in bundle.vocabulary.tasks
    }


def _difference(bundle: Bundle, engine: Engine, content: bytes) -> float:
    """Return the largest difference between the graph's emissions and those of torch."""
    bundle = restore_bundle(bundle)
    vocabulary, frozen = bundle.vocabulary, bundle.tensors["words.frozen"]
    vectors = Vectors({}, vocabulary.frozen_words, np.array(frozen), frozen.shape[1], 0)
    network = restore_model(bundle.config.model, vocabulary, vectors, bundle.tensors)
    session, largest = open_graph(content), 0.0
    for batch in _random_batches(bundle):
        expected = network.emissions(batch)
        is_token = batch.mask
        for task, emissions in run_graph(session, engine, batch).items():
            difference = np.abs(emissions[is_token] - expected[task][is_token])
            largest = float(np.maximum(largest, difference.max()))  # NaN stays NaN
    return largest


def run_graph(session: Any, engine: Engine, batch: Batch) -> dict[str, NDArray[np.float32]]:
    """Compute each task's emissions (B, T, C) for a batch with an exported graph."""
    vectors = engine.words.inputs(batch)
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(names, {"vectors": vectors, "lengths": batch.lengths.astype(np.int32)})
    return {name.removeprefix("emissions_"): one for name, one in zip(names, outputs, strict=True)}


def _random_batches(bundle: Bundle) -> Iterator[Batch]:
    """Yield batches of random sentences of various lengths, with known and unknown words."""
    generator = np.random.default_rng(1)
    known = bundle.vocabulary.words[2:2000] + bundle.vocabulary.frozen_words[:2000]
    words = [*known, "Unknown-7", "é"]
    table = WordTable(bundle.vocabulary)
    for longest in (1, 7, 60):
        lengths = generator.integers(1, longest + 1, size=16)
        yield table.batch(
            [table.rows([words[n] for n in generator.integers(len(words), size=k)]) for k in lengths]
        )
