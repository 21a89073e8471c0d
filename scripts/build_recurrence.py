"""Write the LSTM graphs in tagger/runtime/*.onnx; needs `onnx`.

    python scripts/build_recurrence.py [FOLDER]

One graph serves every model: weights are inputs, and all sizes are symbolic. tagger/runtime/recurrence.py
documents inputs and outputs. The repository contains the graph files, so that tagging does not need `onnx`.
"""

import sys
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto, checker
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
from onnx.numpy_helper import from_array

FOLDER = Path(__file__).resolve().parent.parent / "tagger" / "runtime"
PRECISIONS = ("f32", "int8")
OPSET, IR_VERSION = 18, 9  # supported by every onnxruntime that supports numpy 2


def value(name: str, *shape: str | int, kind: int = TensorProto.FLOAT) -> ValueInfoProto:
    return make_tensor_value_info(name, kind, shape)


def make_product(precision: str) -> list[NodeProto]:
    """Multiply the state by the hidden weights; int8 uses a fixed scale, as states lie in (-1, 1)."""
    if precision == "f32":
        return [make_node("MatMul", ["state_kept", "hidden_weights"], ["recurrent"])]
    whole = ["state_kept", "state_step", "state_zero"]
    factors = ["state_whole", "hidden_weights", "state_step", "weight_steps", "state_zero"]
    return [
        make_node("QuantizeLinear", whole, ["state_whole"]),
        make_node("MatMulIntegerToFloat", factors, ["recurrent"], domain="com.microsoft"),
    ]


def make_step(precision: str) -> GraphProto:
    """Build one time step for D directions and B packed slots.

    The gates are in torch's order: input, forget, cell, output.
    """
    nodes = [
        make_node("Mul", ["state", "keep"], ["state_kept"]),
        make_node("Mul", ["cell", "keep"], ["cell_kept"]),
        *make_product(precision),
        make_node("Gather", ["table", "rows"], ["projected"], axis=0),
        make_node("Add", ["recurrent", "projected"], ["gates"]),
        make_node("Split", ["gates"], ["input", "forget", "update", "output"], axis=-1, num_outputs=4),
        make_node("Sigmoid", ["input"], ["input_gate"]),
        make_node("Sigmoid", ["forget"], ["forget_gate"]),
        make_node("Tanh", ["update"], ["candidate"]),
        make_node("Sigmoid", ["output"], ["output_gate"]),
        make_node("Mul", ["forget_gate", "cell_kept"], ["remembered"]),
        make_node("Mul", ["input_gate", "candidate"], ["learnt"]),
        make_node("Add", ["remembered", "learnt"], ["next_cell"]),
        make_node("Tanh", ["next_cell"], ["shown"]),
        make_node("Mul", ["output_gate", "shown"], ["next_state"]),
        make_node("Identity", ["next_state"], ["put_out"]),
    ]
    inputs = [
        value("state", "D", "B", "H"),
        value("cell", "D", "B", "H"),
        value("rows", "D", "B", kind=TensorProto.INT64),
        value("keep", "D", "B", 1),
    ]
    outputs = [value(name, "D", "B", "H") for name in ("next_state", "next_cell", "put_out")]
    return make_graph(nodes, "step", inputs, outputs)


def make_projection() -> ModelProto:
    """Project (N, E) inputs to (N, G) in onnxruntime: numpy's BLAS would start its own additional threads."""
    inputs = [value("inputs", "N", "E"), value("weights", "E", "G"), value("bias", "G")]
    nodes = [make_node("Gemm", ["inputs", "weights", "bias"], ["projected"])]
    graph = make_graph(nodes, "projection", inputs, [value("projected", "N", "G")])
    return finish(graph, [make_opsetid("", OPSET)])


def finish(graph: GraphProto, domains: list[OperatorSetIdProto]) -> ModelProto:
    model = make_model(graph, opset_imports=domains, producer_name="tagger")
    model.ir_version = IR_VERSION
    checker.check_model(model, full_check=True)
    return model


def make_recurrence(precision: str) -> ModelProto:
    is_whole = precision == "int8"
    nodes = [
        make_node(
            "Scan",
            ["state", "cell", "rows", "keep"],
            ["last_state", "last_cell", "states"],
            num_scan_inputs=2,
            body=make_step(precision),
        ),
        make_node("MatMul", ["states", "heads"], ["scores"]),
    ]
    inputs = [
        value("table", "N", "G"),
        value("rows", "T", "D", "B", kind=TensorProto.INT64),
        value("keep", "T", "D", "B", 1),
        value("state", "D", "B", "H"),
        value("cell", "D", "B", "H"),
        value("hidden_weights", "D", "H", "G", kind=TensorProto.INT8 if is_whole else TensorProto.FLOAT),
        *([value("weight_steps", "D", 1, "G")] if is_whole else []),
        value("heads", "D", "H", "C"),
    ]
    outputs = [
        value("states", "T", "D", "B", "H"),
        value("scores", "T", "D", "B", "C"),
        value("last_state", "D", "B", "H"),
        value("last_cell", "D", "B", "H"),
    ]
    constants = [from_array(np.float32(1 / 127), "state_step"), from_array(np.uint8(128), "state_zero")]
    graph = make_graph(nodes, "recurrence", inputs, outputs, constants if is_whole else [])
    domains = [make_opsetid("", OPSET), *([make_opsetid("com.microsoft", 1)] if is_whole else [])]
    return finish(graph, domains)


def make_all() -> dict[str, ModelProto]:
    """Build all graphs, by file name without suffix."""
    return {
        "projection": make_projection(),
        **{f"recurrence_{precision}": make_recurrence(precision) for precision in PRECISIONS},
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name, model in make_all().items():
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
