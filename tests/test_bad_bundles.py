"""Model folders that are damaged, foreign or hostile: refused in one line, never half loaded."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import refusal, run
from safetensors import safe_open
from safetensors.numpy import save_file
from test_runtime import make_bundle

from tagger import Tagger
from tagger.bundle import Bundle, load_bundle, save_bundle
from tagger.errors import InputError

JSON_FILES = ("config.json", "vocab.json", "metrics.json")
NESTED = b'{"a":' * 100_000


@pytest.fixture
def bundle(tmp_path) -> Path:
    """A model folder of its own for the test to damage: two tasks, two fixed words."""
    folder = tmp_path / "model"
    save_bundle(make_bundle()[1], folder)
    return folder


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change the values of a JSON file in place."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def edit_tensors(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    path = folder / "model.safetensors"
    with safe_open(path, framework="np") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in list(file.keys())}
    change(tensors)
    save_file({name: np.ascontiguousarray(one) for name, one in tensors.items()}, path, metadata=metadata)


def refused(folder: Path) -> str:
    """What every command says of the folder, and the library too."""
    with pytest.raises(InputError) as caught:
        Tagger.load(folder)
    message = refusal("tag", folder, stdin=b"Mira met Tom.")
    assert message == str(caught.value)
    assert refusal("info", folder) == message
    assert message.startswith(str(folder))
    assert "; " in message, "nothing says what to do"
    return message.replace(f"{folder}/", "").replace(str(folder), "")


def is_same(found: Bundle, expected: Bundle) -> bool:
    return (
        (found.config, found.vocabulary, found.tokenizer, found.metrics)
        == (expected.config, expected.vocabulary, expected.tokenizer, expected.metrics)
        and found.tensors.keys() == expected.tensors.keys()
        and all(np.array_equal(found.tensors[name], one) for name, one in expected.tensors.items())
    )


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


# JSON that is none, or goes too far


@pytest.mark.parametrize("name", JSON_FILES)
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, NESTED, b'{"a": ' + b"9" * 5000 + b"}", b"\0" * 99, b'{"a": "\xff"}'],
    ids=["empty", "open", "nested lists", "nested objects", "long number", "zeros", "no UTF-8"],
)
def test_rubbish_for_json_is_refused(bundle, name, content):
    (bundle / name).write_bytes(content)
    assert refused(bundle) == f"{name}: not valid JSON; the file is damaged, copy or train the model again."


@pytest.mark.parametrize("name", JSON_FILES)
def test_json_has_each_key_once_and_only_numbers_for_numbers(bundle, name):
    content = (bundle / name).read_text().rstrip()
    for more in ('"x": 1, "x": 1', '"x": NaN', '"x": -Infinity', '"x": {"y": 1, "y": 2}'):
        (bundle / name).write_text(content[:-1] + ("," if len(content) > 2 else "") + more + "}")
        assert refused(bundle).startswith(f"{name}: not valid JSON")
    (bundle / name).write_text("[]")
    assert refused(bundle).startswith(f"{name}: expected a JSON object")


def test_a_folder_to_train_into_is_judged_without_a_crash(corpus, tmp_path):
    (tmp_path / "config.json").write_bytes(NESTED)
    message = refusal("train", "--train", corpus / "train.conll", "--output", tmp_path)
    assert (
        message
        == f"{tmp_path}: the folder has a config.json that belongs to no model. Name another --output."
    )
    assert (tmp_path / "config.json").read_bytes() == NESTED


# Values out of place


CONFIG = [
    (("format",), "other", ": config.json is not that of a tagger model; give a folder that train wrote."),
    (("format",), ["tagger"], ": config.json is not that of a tagger model"),
    (("format_version",), 4, ": the model has format version 4, this program reads up to 3; install a"),
    (("format_version",), "1", ": the model has format version '1', this program reads up to 3"),
    (("format_version",), True, ": the model has format version True"),
    (("format_version",), None, ": the model has format version None"),
    (("identity",), ["x"], ": the files are of different models; copy the whole folder again."),
    (("identity",), None, ": the files are of different models"),
    (("tokenizer",), {"path": "/etc/passwd"}, ": config.json's tokenizer {'path': '/etc/passwd'} is none"),
    (("temperatures",), [], "config.json: temperatures = [] are no numbers by tasks"),
    (("temperatures",), None, "config.json: temperatures = None are no numbers by tasks"),
    (("temperatures",), {"chunk": 1.5}, "config.json: temperatures.chunk is of none of the model's tasks"),
    (("temperatures",), {"ner": 0}, "config.json: temperatures.ner = 0 is no number from 0.1 to 10.0"),
    (("temperatures",), {"ner": -1.5}, "config.json: temperatures.ner = -1.5 is no number"),
    (("temperatures",), {"ner": 1e300}, "config.json: temperatures.ner = 1e+300 is no number"),
    (("temperatures",), {"ner": 10**30}, "config.json: temperatures.ner = 1000"),
    (("temperatures",), {"ner": True}, "config.json: temperatures.ner = True is no number"),
    (("temperatures",), {"ner": "1.5"}, "config.json: temperatures.ner = '1.5' is no number"),
    (("temperatures",), {"pos": None}, "config.json: temperatures.pos = None is no number"),
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
        ": the model's tensor encoder.layers.0.forward_lstm.weight_ih_l0 has shape",
    ),
    (
        ("model", "layers"),
        10**9,
        "config.json: model.layers must be less than or equal to 100 (got 1000000000)",
    ),
    (
        ("model", "layers"),
        2,
        ": the model's tensor encoder.layers.1.forward_lstm.weight_ih_l0 has shape none",
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
    (("data", "tasks"), ["ner"], "vocab.json: its tasks are not those of config.json"),
]
VOCABULARY = [
    (("words",), "abc", "vocab.json: words is no list of strings"),
    (("words", 5), None, "vocab.json: words is no list of strings"),
    (("words", 5), "tom", "vocab.json: 'tom' is twice among the words"),
    (("words", 0), "tom", "vocab.json: words and characters do not begin with"),
    (("fixed_words", 0), "tom", "vocab.json: 'tom' is twice among the words"),
    (("words",), ["<padding>", "<unknown>"], "vocab.json: frequent is no number of words"),
    (("fixed_words",), [], ": the model's tensor words.fixed has shape (2, 4), expected (0, 4)"),
    (("characters", 3), "xy", "vocab.json: a character is longer than one"),
    (("characters", 3), "o", "vocab.json: 'o' is twice among the characters"),
    (("lowercase",), "no", "vocab.json: lowercase is neither true nor false"),
    (("fold_digits",), 1, "vocab.json: fold_digits is neither true nor false"),
    (("path",), "/etc/passwd", "vocab.json: its entries are"),
    (("tasks",), [], "vocab.json: tasks is no list of them"),
    (("tasks",), "ner", "vocab.json: tasks is no list of them"),
    (("tasks", 0), 1, "vocab.json: a task has other entries than name, tags and scheme"),
    (("tasks", 0, "path"), "../x", "vocab.json: a task has other entries than name, tags and scheme"),
    (("tasks", 0, "name"), None, "vocab.json: a task has no name"),
    (("tasks", 0, "name"), "pos", "vocab.json: 'pos' is twice among the tasks"),
    (("tasks", 0, "name"), "../../x", "vocab.json: its tasks are not those of config.json"),
    (("tasks", 0, "scheme"), "BIX", "vocab.json: the task 'ner' has the scheme 'BIX'"),
    (("tasks", 0, "scheme"), [], "vocab.json: the task 'ner' has the scheme []"),
    (("tasks", 0, "scheme"), "IOB2", "vocab.json: the tags of the task 'ner' are not those of its scheme"),
    (("tasks", 0, "tags", 0), "X", "vocab.json: the tags of the task 'ner' are not those of its scheme"),
    (("tasks", 0, "tags", 1), "O", "vocab.json: 'O' is twice among the tags of 'ner'"),
    (("tasks", 0, "tags", 2), "Q-LOC", "vocab.json: the tags of the task 'ner' are not those of its scheme"),
    (("tasks", 0, "tags"), ["O"], "vocab.json: the tags of the task 'ner' are not those of its scheme"),
    (("tasks", 1, "tags", 0), 5, "vocab.json: tags of 'pos' is no list of strings"),
    (("tasks", 1, "tags", 0), "", "vocab.json: the tags of the task 'pos' are not those of its scheme"),
    (("tasks", 1, "tags"), ["N"], ": the model's tensor heads.1.projection.weight has shape"),
    (("tasks", 1, "scheme"), "BIOES", "vocab.json: the tags of the task 'pos' are not those of its scheme"),
]
CASES = [("config.json", *case) for case in CONFIG] + [("vocab.json", *case) for case in VOCABULARY]


@pytest.mark.parametrize(
    ("name", "place", "value", "message"), CASES, ids=[f"{n} {p} {v!r}"[:60] for n, p, v, _ in CASES]
)
def test_a_value_that_does_not_fit_is_named(bundle, name, place, value, message):
    def change(values: Any) -> None:
        for key in place[:-1]:
            values = values[key]
        values[place[-1]] = value

    edit(bundle / name, change)
    assert refused(bundle).startswith(message)


def test_metrics_of_another_kind_do_not_stop_tagging_and_are_named_by_info(bundle):
    for metrics in ({"data": 5}, {"data": {"train": 5}}, {"dev": {"ner": {}}}, {"dev": {"ner": {"f1": "x"}}}):
        (bundle / "metrics.json").write_text(json.dumps(metrics))
        assert run("tag", bundle, stdin=b"Mira met Tom.")[0] == 0
        assert refusal("info", bundle).startswith(
            f"{bundle}/metrics.json: holds no facts of a training; copy"
        )
        assert run("info", bundle, "--json")[0] == 0


# Tensors


TENSORS = [
    ("turned", lambda one: one.T, "has shape"),
    ("flat", lambda one: one.reshape(-1), "has shape"),
    ("nothing", lambda one: one[:0], "has shape"),
    ("NaN", lambda one: np.full_like(one, np.nan), "holds a value that is not finite"),
    ("one infinity", lambda one: np.where(np.arange(one.size) == 3, np.inf, one.flat).astype(one.dtype)
     .reshape(one.shape), "holds a value that is not finite"),
    ("double", lambda one: one.astype(np.float64), "has type float64, expected float"),
    ("integers", lambda one: one.astype(np.int32), "has type int32, expected float"),
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
def test_a_tensor_that_does_not_fit_is_named(bundle, tensor, change, message):
    edit_tensors(bundle, lambda tensors: tensors.update({tensor: change(tensors[tensor])}))
    found = refused(bundle)
    assert found.startswith(": the model's tensor ")
    assert message in found
    # Words' width is told from the tensor itself, so that another one then does not fit.
    assert tensor in found or (tensor == "words.trained.weight" and message == "has shape")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_fixed_vector_that_is_not_finite_is_named_when_its_word_is_met(bundle, value):
    edit_tensors(bundle, lambda tensors: tensors.update({"words.fixed": np.full((2, 4), value, np.float16)}))
    tagger = Tagger.load(bundle)
    assert tagger.tag("Mira met Tom.")
    with pytest.raises(InputError, match=r"words\.fixed holds a value that is not finite"):
        tagger.tag("Glasgow")
    assert "words.fixed holds a value" in refusal("tag", bundle, stdin=b"Mira met Tom in Glasgow.")


def test_tensors_too_many_or_too_few_are_named(bundle):
    edit_tensors(bundle, lambda tensors: tensors.update(extra=np.zeros(3, np.float32)))
    assert refused(bundle).startswith(": the model's tensor extra has shape (3,), expected none; copy or")
    edit_tensors(bundle, lambda tensors: (tensors.pop("extra"), tensors.pop("words.fixed")))
    assert refused(bundle).startswith(": the model's tensor words.fixed has shape none, expected (2, 4)")


def test_names_of_two_lines_are_told_in_one(bundle):
    edit(bundle / "config.json", lambda values: values["model"].update({"a\nb": 1}))
    assert refused(bundle).startswith("config.json: model.a\\nb is invalid: Extra inputs are not permitted")
    edit(bundle / "config.json", lambda values: values["model"].pop("a\nb"))
    edit_tensors(bundle, lambda tensors: tensors.update({"a\rb": np.zeros(3, np.float32)}))
    assert refused(bundle).startswith("model.safetensors: a tensor's name holds what cannot be printed;")
    path = bundle / "model.safetensors"
    header = b'{"a\\rb":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    assert "a\\rb" in refused(bundle)


HEADERS = {
    "shape": lambda header, name: header[name].update(shape=[10**9, 10**9]),
    "negative": lambda header, name: header[name].update(shape=[-1, 4]),
    "beyond": lambda header, name: header[name].update(data_offsets=[0, 10**15]),
    "short": lambda header, name: header[name].update(data_offsets=[0, 4]),
    "moved": lambda header, name: header[name].update(
        data_offsets=[place - 4 for place in header[name]["data_offsets"]]
    ),
    "type": lambda header, name: header[name].update(dtype="BF16"),
    "unknown type": lambda header, name: header[name].update(dtype="pickle"),
    "metadata": lambda header, _: header.update(__metadata__={"identity": 5}),
}


@pytest.mark.parametrize("lie", HEADERS)
def test_a_header_that_lies_is_refused(bundle, lie):
    path = bundle / "model.safetensors"
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    HEADERS[lie](header, "words.trained.weight")
    changed = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + size :])
    assert refused(bundle).startswith("model.safetensors: ")


@pytest.mark.parametrize("size", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_a_header_of_another_length_is_refused(bundle, size):
    path = bundle / "model.safetensors"
    path.write_bytes(struct.pack("<Q", size) + path.read_bytes()[8:])
    assert refused(bundle).startswith("model.safetensors: ")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2"])
def test_types_that_numpy_lacks_are_refused(bundle, dtype):
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
    # Where another package has given numpy a bfloat16, the tensor is read, and then is one too many.
    assert refused(bundle).startswith(("model.safetensors: ", ": the model's tensor extra has shape"))
