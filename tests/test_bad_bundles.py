"""Damaged, foreign and hostile model folders: one-line errors, never a partial load."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import JSON_FILES, damaged_file, edit, edit_tensors, is_same, load_error
from command_line import run, run_error

from tagger import Tagger
from tagger.bundle import load_bundle
from tagger.errors import InputError

pytestmark = pytest.mark.slow

NESTED = b'{"a":' * 100_000
Case = tuple[tuple[str | int, ...], object, str]  # keys of a value, its replacement, a fragment of the error


# Cut off


@pytest.mark.parametrize("name", [*JSON_FILES, "model.safetensors"])
def test_a_file_cut_anywhere_is_an_error(bundle, name):
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
        assert caught.value.file == str(path), cut
        assert caught.value.code == "bundle.damaged", cut
        assert str(caught.value).isprintable(), cut
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
    error = load_error(bundle)
    assert (error.code, error.file) == ("bundle.damaged", str(bundle / name))
    assert "not valid JSON" in error.message


@pytest.mark.parametrize("name", JSON_FILES)
def test_repeated_keys_and_non_finite_numbers_are_errors(bundle, name):
    content = (bundle / name).read_text().rstrip()
    for more in ('"x": 1, "x": 1', '"x": NaN', '"x": -Infinity', '"x": {"y": 1, "y": 2}'):
        (bundle / name).write_text(content[:-1] + ("," if len(content) > 2 else "") + more + "}")
        assert damaged_file(bundle) == name
        assert "not valid JSON" in str(load_error(bundle))
    (bundle / name).write_text("[]")
    assert damaged_file(bundle) == name
    assert "JSON object" in str(load_error(bundle))


def test_an_output_folder_with_invalid_json_is_an_error(corpus, tmp_path):
    (tmp_path / "config.json").write_bytes(NESTED)
    message = run_error("train", "--train", corpus / "train.conll", "--output", tmp_path)
    assert message.startswith(f"{tmp_path}: the folder has a config.json that belongs to no model")
    assert (tmp_path / "config.json").read_bytes() == NESTED


# Invalid values


HEADER: list[Case] = [
    (("format",), "other", "config.json must be that of a tagger model"),
    (("format",), ["tagger"], "config.json must be that of a tagger model"),
    (("format_version",), 5, "at most 4 (got 5)"),
    (("format_version",), "1", "at most 4 (got '1')"),
    (("format_version",), True, "at most 4 (got True)"),
    (("format_version",), None, "at most 4 (got None)"),
    (("identity",), ["x"], "different models"),
    (("identity",), None, "different models"),
]
CONFIG: list[Case] = [
    (("tokenizer",), {"path": "/etc/passwd"}, "tokenizer must be settings of the tokenizer, but 'path'"),
    (("tokenizer",), {"longest": 0}, "tokenizer must be settings of the tokenizer: "),
    (("tokenizer",), {"longest": "many"}, "tokenizer must be settings of the tokenizer, but 'longest'"),
    (("temperatures",), [], "temperatures must contain named values (got [])"),
    (("temperatures",), None, "temperatures must contain named values (got None)"),
    (
        ("temperatures",),
        {"chunk": 1.5},
        "must be those of the tasks ('ner', 'pos') (got 'chunk')",
    ),
    (("temperatures",), {"ner": 0}, "temperatures.ner must be greater than or equal to 0.1 (got 0)"),
    (("temperatures",), {"ner": -1.5}, "temperatures.ner must be greater than or equal to 0.1 (got -1.5)"),
    (("temperatures",), {"ner": 1e300}, "temperatures.ner must be less than or equal to 10 (got 1e+300)"),
    (("temperatures",), {"ner": 10**30}, "temperatures.ner must be less than or equal to 10 (got 1000"),
    (("temperatures",), {"ner": True}, "temperatures.ner must be a valid number (got True)"),
    (("temperatures",), {"ner": "1.5"}, "temperatures.ner must be a valid number (got '1.5')"),
    (("temperatures",), {"pos": None}, "temperatures.pos must be a valid number (got None)"),
    (("is_shrunk",), 1, "is_shrunk must be a valid boolean (got 1)"),
    (("model", "hidden_size"), 0, "model.hidden_size must be greater than or equal to 1"),
    (("model", "hidden_size"), "5", "model.hidden_size must be a valid integer (got '5')"),
    (("model", "hidden_size"), True, "model.hidden_size must be a valid integer (got True)"),
    (("model", "hidden_size"), 10**30, "model.hidden_size must be less than or equal to 10000 (got"),
    (("model", "layers"), 10**9, "model.layers must be less than or equal to 100 (got 1000000000)"),
    (("model", "direction"), "up", "model.direction must be 'forward', 'backward' or 'bidirectional'"),
    (("model", "vocabulary_file"), "../../x", "model.vocabulary_file is unknown (got '../../x')"),
    (("model",), [], "model must contain named values (got [])"),
    (("weights",), "/etc/passwd", "weights is unknown (got '/etc/passwd')"),
    (("x\ud800",), 1, "the content must be valid Unicode"),
    (("model", "x\ud800"), 1, "model must be valid Unicode"),
    (
        ("temperatures",),
        {"x\ud800": 1},
        "must be those of the tasks ('ner', 'pos') (got 'x\\ud800')",
    ),
    (("temperatures",), {"a\nb": 1}, "must be those of the tasks ('ner', 'pos') (got 'a\\nb')"),
    (("tokenizer",), {"x\ud800": 1}, "tokenizer must be settings of the tokenizer, but 'x\\ud800': 1"),
    (("train", "seed"), -1, "train.seed must be greater than or equal to 0 (got -1)"),
]
VOCABULARY: list[Case] = [
    (("words",), "abc", "words must be a list (got 'abc')"),
    (("words", 5), None, "words.5 must be a valid string (got None)"),
    (("words", 5), "tom", "words and frozen_words must contain 'tom' only once"),
    (("words", 0), "tom", "words must begin with <padding> and <unknown>"),
    (("frozen_words", 0), "tom", "words and frozen_words must contain 'tom' only once"),
    (("words",), ["<padding>", "<unknown>"], "n_frequent must be at most the number of words"),
    (("characters", 3), "xy", "characters must be single characters"),
    (("characters", 3), "o", "characters must contain 'o' only once"),
    (("lowercase",), "no", "lowercase must be a valid boolean (got 'no')"),
    (("fold_digits",), 1, "fold_digits must be a valid boolean (got 1)"),
    (("n_frequent",), "1", "n_frequent must be a valid integer (got '1')"),
    (("path",), "/etc/passwd", "path is unknown (got '/etc/passwd')"),
    (("tasks",), [], "tasks must have at least 1 item"),
    (("tasks",), "ner", "tasks must be a list (got 'ner')"),
    (("tasks", 0), 1, "tasks.0 must contain named values (got 1)"),
    (("tasks", 0, "path"), "../x", "tasks.0.path is unknown (got '../x')"),
    (("tasks", 0, "name"), None, "tasks.0.name must be a valid string (got None)"),
    (("tasks", 0, "name"), "", "tasks.0.name must have at least 1 character"),
    (("tasks", 0, "name"), "pos", "tasks must have different names"),
    (("tasks", 0, "name"), "../../x", "the tasks must be those of config.json"),
    (("tasks", 0, "scheme"), "BIX", "tasks.0 must have the scheme BIOES, IOB2 or null"),
    (("tasks", 0, "scheme"), [], "tasks.0.scheme must be a valid string (got [])"),
    (("tasks", 0, "scheme"), "IOB2", "tasks.0 must have tags that match its scheme"),
    (("tasks", 0, "tags", 0), "X", "tasks.0 must have tags that match its scheme"),
    (("tasks", 0, "tags", 1), "O", "tasks.0.tags must contain 'O' only once"),
    (("tasks", 0, "tags", 2), "Q-LOC", "tasks.0 must have tags that match its scheme"),
    (("tasks", 0, "tags"), ["O"], "tasks.0 must have tags that match its scheme"),
    (("tasks", 1, "tags", 0), 5, "tasks.1.tags.0 must be a valid string (got 5)"),
    (("tasks", 1, "tags", 0), "", "tasks.1 must have tags that match its scheme"),
    (("tasks", 1, "scheme"), "BIOES", "tasks.1 must have tags that match its scheme"),
]
# Values that are valid, but do not match the tensors.
UNMATCHED: list[tuple[str, *Case]] = [
    ("config.json", ("data", "tasks"), ["ner"], "the tasks must be those of config.json"),
    (
        "config.json",
        ("model", "hidden_size"),
        6,
        "encoder.layers.0.forward_lstm.weight_ih_l0 must have shape",
    ),
    ("config.json", ("model", "layers"), 2, "weight_ih_l0 must have shape (20, 10) (got none)"),
    ("vocab.json", ("frozen_words",), [], "words.frozen must have shape (0, 4) (got (2, 4))"),
    ("vocab.json", ("tasks", 1, "tags"), ["N"], "heads.1.projection.weight must have shape"),
]
HEADER_CODES = {"format": "bundle.missing", "format_version": "bundle.version", "identity": "bundle.damaged"}
CASES = [
    *(("config.json", *case, HEADER_CODES[case[0][0]], "") for case in HEADER),
    *(("config.json", *case, "bundle.damaged", "config.json") for case in CONFIG),
    *(("vocab.json", *case, "bundle.damaged", "vocab.json") for case in VOCABULARY),
]


def change_value(path: Path, keys: tuple[str | int, ...], value: object) -> None:
    def change(values: Any) -> None:
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    edit(path, change)


@pytest.mark.parametrize(
    ("name", "keys", "value", "fragment", "code", "where"),
    CASES,
    ids=[f"{name} {keys} {value!r}"[:60] for name, keys, value, *_ in CASES],
)
def test_an_invalid_value_is_named(bundle, name, keys, value, fragment, code, where):
    change_value(bundle / name, keys, value)
    error = load_error(bundle)
    assert (error.code, Path(error.where)) == (code, bundle / where)
    assert fragment in error.message


@pytest.mark.parametrize(("name", "keys", "value", "fragment"), UNMATCHED)
def test_values_that_do_not_match_the_tensors_are_an_error(bundle, name, keys, value, fragment):
    change_value(bundle / name, keys, value)
    assert fragment in str(load_error(bundle))


def test_metrics_of_another_kind_do_not_stop_tagging_and_are_named_by_info(bundle):
    for metrics in ({"data": 5}, {"data": {"train": 5}}, {"dev": {"ner": {}}}, {"dev": {"ner": {"f1": "x"}}}):
        (bundle / "metrics.json").write_text(json.dumps(metrics))
        assert run("tag", "-m", bundle, stdin=b"Mira met Tom.")[0] == 0
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
NAMES = ("words.trainable.weight", "words.frozen", "encoder.layers.0.backward_lstm.weight_hh_l0")


@pytest.mark.parametrize(
    ("tensor", "change", "message"),
    [
        pytest.param(name, change, message, id=f"{name}-{what}")
        for name in NAMES
        for what, change, message in TENSORS
        if name != "words.frozen" or "not finite" not in message  # see the test after this one
    ],
)
def test_an_invalid_tensor_is_named(bundle, tensor, change, message):
    edit_tensors(bundle, lambda tensors: tensors.update({tensor: change(tensors[tensor])}))
    error = str(load_error(bundle)).removeprefix(str(bundle))
    assert error.startswith(": the model's tensor ")
    assert re.search(message, error)
    # The size of words is that of this tensor, so the error can name another tensor.
    assert tensor in error or (tensor == "words.trainable.weight" and message == "must have shape")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_frozen_vector_that_is_not_finite_is_an_error_when_its_word_is_used(bundle, value):
    edit_tensors(bundle, lambda tensors: tensors.update({"words.frozen": np.full((2, 4), value, np.float16)}))
    tagger = Tagger.load(bundle)
    assert tagger.tag("Mira met Tom.")
    with pytest.raises(InputError, match=r"words\.frozen contains a value that is not finite"):
        tagger.tag("Glasgow")
    assert "words.frozen contains a value" in run_error(
        "tag", "-m", bundle, stdin=b"Mira met Tom in Glasgow."
    )


def test_missing_and_extra_tensors_are_named(bundle):
    edit_tensors(bundle, lambda tensors: tensors.update(extra=np.zeros(3, np.float32)))
    assert "tensor extra must have shape none (got (3,))" in str(load_error(bundle))
    edit_tensors(bundle, lambda tensors: (tensors.pop("extra"), tensors.pop("words.frozen")))
    assert "tensor words.frozen must have shape (2, 4) (got none)" in str(load_error(bundle))


def test_names_with_line_ends_are_escaped_in_errors(bundle):
    edit(bundle / "config.json", lambda values: values["model"].update({"a\nb": 1}))
    assert "model.a\\nb is unknown" in str(load_error(bundle))
    edit(bundle / "config.json", lambda values: values["model"].pop("a\nb"))
    edit_tensors(bundle, lambda tensors: tensors.update({"a\rb": np.zeros(3, np.float32)}))
    assert damaged_file(bundle) == "model.safetensors"
    path = bundle / "model.safetensors"
    header = b'{"a\\rb":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    assert "a\\rb" in str(load_error(bundle))


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
    HEADERS[change](header, "words.trainable.weight")
    changed = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + size :])
    assert damaged_file(bundle) == "model.safetensors"


@pytest.mark.parametrize("size", [0, 1, 2**31, 2**63, 2**64 - 1])
def test_a_header_of_wrong_length_is_an_error(bundle, size):
    path = bundle / "model.safetensors"
    path.write_bytes(struct.pack("<Q", size) + path.read_bytes()[8:])
    assert damaged_file(bundle) == "model.safetensors"


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
    error = load_error(bundle)
    assert error.file == str(bundle / "model.safetensors") or "tensor extra must have shape" in str(error)
