"""Damaged, foreign and hostile model folders: one-line errors, never a partial load."""

import json
import re
import struct
from typing import Any

import numpy as np
import pytest
from bundles import JSON_FILES, edit, edit_tensors, is_same, load_error
from command_line import run, run_error

from tagger import Tagger
from tagger.bundle import load_bundle
from tagger.errors import InputError

NESTED = b'{"a":' * 100_000


# Cut off


@pytest.mark.parametrize("name", [*JSON_FILES, "model.safetensors"])
def test_a_file_cut_anywhere_is_refused(bundle, name):
    (bundle / "metrics.json").write_text(json.dumps({"epoch": 3, "dev": {"ner": {"f1": 0.5}}}))
    path = bundle / name
    expected, content = load_bundle(bundle), path.read_bytes()
    cuts = set(range(len(content)))
    if name == "model.safetensors":
        header = 8 + struct.unpack("<Q", content[:8])[0]
        cuts &= {*range(64), *range(header - 8, header + 64), *range(0, len(content), 31), len(content) - 1}
    for cut in cuts:
        path.write_bytes(content[:cut])
        with pytest.raises(InputError) as caught:
            load_bundle(bundle)
        message = str(caught.value)
        assert message.startswith(f"{bundle}"), cut
        assert message.isprintable(), cut
        assert name in message, cut
    path.write_bytes(content)
    assert is_same(load_bundle(bundle), expected)


def test_a_card_cut_anywhere_leaves_the_same_model(bundle):
    expected = load_bundle(bundle)
    content = "# Modèle 東京\n".encode()
    for cut in range(len(content)):
        (bundle / "README.md").write_bytes(content[:cut])
        assert is_same(load_bundle(bundle), expected)


# Invalid JSON


@pytest.mark.parametrize("name", JSON_FILES)
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, NESTED, b'{"a": ' + b"9" * 5000 + b"}", b"\0" * 99, b'{"a": "\xff"}'],
    ids=["empty", "open", "nested lists", "nested objects", "long number", "zeros", "not UTF-8"],
)
def test_invalid_json_is_an_error(bundle, name, content):
    (bundle / name).write_bytes(content)
    assert (
        load_error(bundle) == f"{name}: not valid JSON. The file is damaged: copy or train the model again."
    )


@pytest.mark.parametrize("name", JSON_FILES)
def test_repeated_keys_and_non_finite_numbers_are_errors(bundle, name):
    content = (bundle / name).read_text().rstrip()
    for more in ('"x": 1, "x": 1', '"x": NaN', '"x": -Infinity', '"x": {"y": 1, "y": 2}'):
        (bundle / name).write_text(content[:-1] + ("," if len(content) > 2 else "") + more + "}")
        assert load_error(bundle).startswith(f"{name}: not valid JSON")
    (bundle / name).write_text("[]")
    assert load_error(bundle).startswith(f"{name}: must be a JSON object")


def test_an_output_folder_with_invalid_json_is_an_error(corpus, tmp_path):
    (tmp_path / "config.json").write_bytes(NESTED)
    message = run_error("train", "--train", corpus / "train.conll", "--output", tmp_path)
    assert (
        message
        == f"{tmp_path}: the folder has a config.json that belongs to no model. Name another --output."
    )
    assert (tmp_path / "config.json").read_bytes() == NESTED


# Invalid values


CONFIG = [
    (
        ("format",),
        "other",
        ": config.json must be that of a tagger model. Pass a folder that `tagger train` wrote.",
    ),
    (("format",), ["tagger"], ": config.json must be that of a tagger model"),
    (("format_version",), 4, ": the format version must be at most 3 (got 4). Install a matching"),
    (("format_version",), "1", ": the format version must be at most 3 (got '1')"),
    (("format_version",), True, ": the format version must be at most 3 (got True)"),
    (("format_version",), None, ": the format version must be at most 3 (got None)"),
    (("identity",), ["x"], ": the files are of different models. Copy the whole folder again."),
    (("identity",), None, ": the files are of different models"),
    (
        ("tokenizer",),
        {"path": "/etc/passwd"},
        ": config.json has invalid tokenizer settings (got {'path': '/etc/passwd'})",
    ),
    (("temperatures",), [], "config.json: temperatures must be an object of numbers by task (got [])"),
    (("temperatures",), None, "config.json: temperatures must be an object of numbers by task (got None)"),
    (("temperatures",), {"chunk": 1.5}, "config.json: temperatures.chunk must be one of the model's tasks"),
    (("temperatures",), {"ner": 0}, "config.json: temperatures.ner must be from 0.1 to 10.0 (got 0)"),
    (("temperatures",), {"ner": -1.5}, "config.json: temperatures.ner must be from 0.1 to 10.0 (got -1.5)"),
    (
        ("temperatures",),
        {"ner": 1e300},
        "config.json: temperatures.ner must be from 0.1 to 10.0 (got 1e+300)",
    ),
    (("temperatures",), {"ner": 10**30}, "config.json: temperatures.ner must be from 0.1 to 10.0 (got 1000"),
    (("temperatures",), {"ner": True}, "config.json: temperatures.ner must be from 0.1 to 10.0 (got True)"),
    (("temperatures",), {"ner": "1.5"}, "config.json: temperatures.ner must be from 0.1 to 10.0 (got '1.5')"),
    (("temperatures",), {"pos": None}, "config.json: temperatures.pos must be from 0.1 to 10.0 (got None)"),
    (("model", "hidden_size"), 0, "config.json: model.hidden_size must be greater than or equal to 1"),
    (("model", "hidden_size"), "5", "config.json: model.hidden_size must be a valid integer (got '5')"),
    (("model", "hidden_size"), True, "config.json: model.hidden_size must be a valid integer (got True)"),
    (
        ("model", "hidden_size"),
        10**30,
        "config.json: model.hidden_size must be less than or equal to 10000 (got",
    ),
    (
        ("model", "hidden_size"),
        6,
        ": the model's tensor encoder.layers.0.forward_lstm.weight_ih_l0 must have shape",
    ),
    (
        ("model", "layers"),
        10**9,
        "config.json: model.layers must be less than or equal to 100 (got 1000000000)",
    ),
    (
        ("model", "layers"),
        2,
        ": the model's tensor encoder.layers.1.forward_lstm.weight_ih_l0 must have shape (20, 10) (got none)",
    ),
    (
        ("model", "direction"),
        "up",
        "config.json: model.direction must be 'forward', 'backward' or 'bidirectional'",
    ),
    (
        ("model", "vocabulary_file"),
        "../../x",
        "config.json: model.vocabulary_file is invalid: Extra inputs are",
    ),
    (("model",), [], "config.json: model must be a valid dictionary"),
    (("weights",), "/etc/passwd", "config.json: weights is invalid: Extra inputs are not permitted"),
    (("train", "seed"), -1, "config.json: train.seed must be greater than or equal to 0 (got -1)"),
    (("data", "tasks"), ["ner"], "vocab.json: the tasks must be those of config.json"),
]
VOCABULARY = [
    (("words",), "abc", "vocab.json: words must be a list of strings"),
    (("words", 5), None, "vocab.json: words must be a list of strings"),
    (("words", 5), "tom", "vocab.json: 'tom' occurs twice in the words"),
    (("words", 0), "tom", "vocab.json: words and characters do not begin with"),
    (("fixed_words", 0), "tom", "vocab.json: 'tom' occurs twice in the words"),
    (("words",), ["<padding>", "<unknown>"], "vocab.json: frequent must be a number of words"),
    (("fixed_words",), [], ": the model's tensor words.fixed must have shape (0, 4) (got (2, 4))"),
    (("characters", 3), "xy", "vocab.json: an entry of characters is not a single character"),
    (("characters", 3), "o", "vocab.json: 'o' occurs twice in the characters"),
    (("lowercase",), "no", "vocab.json: lowercase must be true or false"),
    (("fold_digits",), 1, "vocab.json: fold_digits must be true or false"),
    (("path",), "/etc/passwd", "vocab.json: its entries are"),
    (("tasks",), [], "vocab.json: tasks must be a non-empty list"),
    (("tasks",), "ner", "vocab.json: tasks must be a non-empty list"),
    (("tasks", 0), 1, "vocab.json: a task must have the entries name, tags and scheme"),
    (("tasks", 0, "path"), "../x", "vocab.json: a task must have the entries name, tags and scheme"),
    (("tasks", 0, "name"), None, "vocab.json: a task has no name"),
    (("tasks", 0, "name"), "pos", "vocab.json: 'pos' occurs twice in the tasks"),
    (("tasks", 0, "name"), "../../x", "vocab.json: the tasks must be those of config.json"),
    (("tasks", 0, "scheme"), "BIX", "vocab.json: the task 'ner' has the scheme 'BIX'"),
    (("tasks", 0, "scheme"), [], "vocab.json: the task 'ner' has the scheme []"),
    (("tasks", 0, "scheme"), "IOB2", "vocab.json: the tags of the task 'ner' do not match its scheme"),
    (("tasks", 0, "tags", 0), "X", "vocab.json: the tags of the task 'ner' do not match its scheme"),
    (("tasks", 0, "tags", 1), "O", "vocab.json: 'O' occurs twice in the tags of 'ner'"),
    (("tasks", 0, "tags", 2), "Q-LOC", "vocab.json: the tags of the task 'ner' do not match its scheme"),
    (("tasks", 0, "tags"), ["O"], "vocab.json: the tags of the task 'ner' do not match its scheme"),
    (("tasks", 1, "tags", 0), 5, "vocab.json: tags of 'pos' must be a list of strings"),
    (("tasks", 1, "tags", 0), "", "vocab.json: the tags of the task 'pos' do not match its scheme"),
    (("tasks", 1, "tags"), ["N"], ": the model's tensor heads.1.projection.weight must have shape"),
    (("tasks", 1, "scheme"), "BIOES", "vocab.json: the tags of the task 'pos' do not match its scheme"),
]
CASES = [("config.json", *case) for case in CONFIG] + [("vocab.json", *case) for case in VOCABULARY]


@pytest.mark.parametrize(
    ("name", "keys", "value", "message"), CASES, ids=[f"{n} {p} {v!r}"[:60] for n, p, v, _ in CASES]
)
def test_an_invalid_value_is_named(bundle, name, keys, value, message):
    def change(values: Any) -> None:
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    edit(bundle / name, change)
    assert load_error(bundle).startswith(message)


def test_metrics_of_another_kind_do_not_stop_tagging_and_are_named_by_info(bundle):
    for metrics in ({"data": 5}, {"data": {"train": 5}}, {"dev": {"ner": {}}}, {"dev": {"ner": {"f1": "x"}}}):
        (bundle / "metrics.json").write_text(json.dumps(metrics))
        assert run("tag", bundle, stdin=b"Mira met Tom.")[0] == 0
        assert run_error("info", bundle).startswith(
            f"{bundle}/metrics.json: contains no training facts. Copy"
        )
        assert run("info", bundle, "--json")[0] == 0


# Tensors


TENSORS = [
    ("transposed", lambda one: one.T, "must have shape"),
    ("flat", lambda one: one.reshape(-1), "must have shape"),
    ("empty", lambda one: one[:0], "must have shape"),
    ("NaN", lambda one: np.full_like(one, np.nan), "contains a value that is not finite"),
    ("one infinity", lambda one: np.where(np.arange(one.size) == 3, np.inf, one.flat).astype(one.dtype)
     .reshape(one.shape), "contains a value that is not finite"),
    ("double", lambda one: one.astype(np.float64), r"must have type float\d\d \(got float64\)"),
    ("integers", lambda one: one.astype(np.int32), r"must have type float\d\d \(got int32\)"),
]  # fmt: skip
NAMES = ("words.trained.weight", "words.fixed", "encoder.layers.0.backward_lstm.weight_hh_l0")


@pytest.mark.parametrize(
    ("tensor", "change", "message"),
    [
        pytest.param(name, change, message, id=f"{name}-{what}")
        for name in NAMES
        for what, change, message in TENSORS
        if name != "words.fixed" or "not finite" not in message  # see the test after this one
    ],
)
def test_an_invalid_tensor_is_named(bundle, tensor, change, message):
    edit_tensors(bundle, lambda tensors: tensors.update({tensor: change(tensors[tensor])}))
    found = load_error(bundle)
    assert found.startswith(": the model's tensor ")
    assert re.search(message, found)
    # The size of words is that of this tensor, so the error can name another tensor.
    assert tensor in found or (tensor == "words.trained.weight" and message == "must have shape")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_frozen_vector_that_is_not_finite_is_an_error_when_its_word_is_used(bundle, value):
    edit_tensors(bundle, lambda tensors: tensors.update({"words.fixed": np.full((2, 4), value, np.float16)}))
    tagger = Tagger.load(bundle)
    assert tagger.tag("Mira met Tom.")
    with pytest.raises(InputError, match=r"words\.fixed contains a value that is not finite"):
        tagger.tag("Glasgow")
    assert "words.fixed contains a value" in run_error("tag", bundle, stdin=b"Mira met Tom in Glasgow.")


def test_missing_and_extra_tensors_are_named(bundle):
    edit_tensors(bundle, lambda tensors: tensors.update(extra=np.zeros(3, np.float32)))
    assert load_error(bundle).startswith(
        ": the model's tensor extra must have shape none (got (3,)). Copy or"
    )
    edit_tensors(bundle, lambda tensors: (tensors.pop("extra"), tensors.pop("words.fixed")))
    assert load_error(bundle).startswith(": the model's tensor words.fixed must have shape (2, 4) (got none)")


def test_names_with_line_ends_are_escaped_in_errors(bundle):
    edit(bundle / "config.json", lambda values: values["model"].update({"a\nb": 1}))
    assert load_error(bundle).startswith(
        "config.json: model.a\\nb is invalid: Extra inputs are not permitted"
    )
    edit(bundle / "config.json", lambda values: values["model"].pop("a\nb"))
    edit_tensors(bundle, lambda tensors: tensors.update({"a\rb": np.zeros(3, np.float32)}))
    assert load_error(bundle).startswith(
        "model.safetensors: a tensor's name contains a non-printable character."
    )
    path = bundle / "model.safetensors"
    header = b'{"a\\rb":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    assert "a\\rb" in load_error(bundle)


HEADERS = {
    "shape": lambda header, name: header[name].update(shape=[10**9, 10**9]),
    "negative": lambda header, name: header[name].update(shape=[-1, 4]),
    "beyond": lambda header, name: header[name].update(data_offsets=[0, 10**15]),
    "short": lambda header, name: header[name].update(data_offsets=[0, 4]),
    "moved": lambda header, name: header[name].update(
        data_offsets=[offset - 4 for offset in header[name]["data_offsets"]]
    ),
    "type": lambda header, name: header[name].update(dtype="BF16"),
    "unknown type": lambda header, name: header[name].update(dtype="pickle"),
    "metadata": lambda header, _: header.update(__metadata__={"identity": 5}),
}


@pytest.mark.parametrize("change", HEADERS)
def test_a_wrong_header_is_an_error(bundle, change):
    path = bundle / "model.safetensors"
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    HEADERS[change](header, "words.trained.weight")
    changed = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + size :])
    assert load_error(bundle).startswith("model.safetensors: ")


@pytest.mark.parametrize("size", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_a_header_of_wrong_length_is_an_error(bundle, size):
    path = bundle / "model.safetensors"
    path.write_bytes(struct.pack("<Q", size) + path.read_bytes()[8:])
    assert load_error(bundle).startswith("model.safetensors: ")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2"])
def test_types_that_numpy_lacks_are_an_error(bundle, dtype):
    path = bundle / "model.safetensors"
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    data = content[8 + size :]
    header["extra"] = {"dtype": dtype, "shape": [4], "data_offsets": [len(data), len(data) + 4]}
    if dtype == "BF16":
        header["extra"]["shape"] = [2]
    changed = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + data + bytes(4))
    # If another package has added bfloat16 to numpy, the tensor is loaded, and then is an extra tensor.
    assert load_error(bundle).startswith(
        ("model.safetensors: ", ": the model's tensor extra must have shape")
    )
