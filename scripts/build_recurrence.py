"""Write tagger/runtime/recurrence.onnx, the graph that reads sentences with LSTMs; needs the `onnx` package.

    python scripts/build_recurrence.py [OUTPUT]

One graph serves every model: weights are inputs, and no size is fixed. tagger/runtime/recurrence.py says what
goes in and comes out. The file is kept with the code so that tagging does not need `onnx`.
"""

import sys
from pathlib import Path

from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, checker
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

OUTPUT = Path(__file__).resolve().parent.parent / "tagger" / "runtime" / "recurrence.onnx"
OPSET, IR_VERSION = 18, 9  # what every onnxruntime that knows numpy 2 reads


def value(name: str, *shape: str | int, kind: int = TensorProto.FLOAT) -> ValueInfoProto:
    return make_tensor_value_info(name, kind, shape)


def make_step() -> GraphProto:
    """One step of D directions and B lanes; torch's order of gates: input, forget, cell, output."""
    nodes = [
        make_node("Mul", ["state", "keep"], ["state_kept"]),
        make_node("Mul", ["cell", "keep"], ["cell_kept"]),
        make_node("MatMul", ["state_kept", "hidden_weights"], ["recurrent"]),
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


def make_recurrence() -> ModelProto:
    nodes = [
        make_node(
            "Scan",
            ["state", "cell", "rows", "keep"],
            ["last_state", "last_cell", "states"],
            num_scan_inputs=2,
            body=make_step(),
        ),
        make_node("MatMul", ["states", "heads"], ["scores"]),
    ]
    inputs = [
        value("table", "N", "G"),
        value("rows", "T", "D", "B", kind=TensorProto.INT64),
        value("keep", "T", "D", "B", 1),
        value("state", "D", "B", "H"),
        value("cell", "D", "B", "H"),
        value("hidden_weights", "D", "H", "G"),
        value("heads", "D", "H", "C"),
    ]
    outputs = [
        value("states", "T", "D", "B", "H"),
        value("scores", "T", "D", "B", "C"),
        value("last_state", "D", "B", "H"),
        value("last_cell", "D", "B", "H"),
    ]
    graph = make_graph(nodes, "recurrence", inputs, outputs)
    model = make_model(graph, opset_imports=[make_opsetid("", OPSET)], producer_name="tagger")
    model.ir_version = IR_VERSION
    checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT
    output.write_bytes(make_recurrence().SerializeToString(deterministic=True))
