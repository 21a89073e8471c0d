"""Targets for options and bundles: each is rejected or usable, and loading accesses no other files."""

from __future__ import annotations

import codecs
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from inputs import Choices, as_text, attempt

from tagger.bundle import FILES, Bundle, load_bundle, save_bundle
from tagger.config import Config
from tagger.config_loading import load_config, parse_setting
from tagger.features.vocab import Task, Vocabulary
from tagger.runtime.tagger import Tagger
from tagger.runtime.weights import tensor_shapes
from tagger.text.tokenizer import Tokenizer

NETWORKS: tuple[dict[str, object], ...] = (
    {},
    {"characters": "lstm", "direction": "backward", "head": "softmax", "layers": 2},
    {"characters": "none", "casing_size": 0, "merge_mode": "sum", "constrain": False, "fold_digits": True},
)
SIZES = {"hidden_size": 2, "word_size": 2, "character_size": 2, "character_hidden": 2, "casing_size": 1}
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 1_000_000_000, 10**30, 0.5, -0.0, 1e999, float("nan"), [], {}, ""),
    *("O", "B-", "E-PER", "F64", "I8", "BF16", "lstm", "../../../etc/passwd", "/dev/zero", "\ud800", "a\nb"),
    *([[]], [0], [2, 2], ["a"], [0, 1 << 62], {"a": 1}, [None], "x" * 300),
)
TEXT = "Ann's 2 dogs\tsaw O\u0301slo.\n\n\ud800 \x00 \u200d 😀 " + "y" * 100
# Audit events of Python for running code or programs and for network access.
FORBIDDEN = ("exec", "compile", "pickle.", "marshal.", "os.system", "os.exec", "subprocess.", "socket.")

watched: list[Path] = []


def config(data: bytes, folder: Path) -> None:
    """Read a TOML file, and its lines as settings: accepted options are valid and round-trip."""
    path = folder / "config.toml"
    path.write_bytes(data)
    loaded = attempt(load_config, path, {})
    if loaded is not None:
        check_config(loaded)
    for line in as_text(data).split("\n")[:8]:
        setting = attempt(parse_setting, line)
        if setting is None:
            continue
        assert setting[0] == line.partition("=")[0].strip()
        loaded = attempt(load_config, None, dict([setting]))
        if loaded is not None:
            check_config(loaded)


def check_config(loaded: Config) -> None:
    assert Config.model_validate(json.loads(loaded.model_dump_json())) == loaded


def bundle(data: bytes, folder: Path) -> None:
    """Load damaged files, including those of an interrupted save: the model is rejected or can tag."""
    choices = Choices(data)
    files = dict(choices.pick(bundles()))
    complete = folder / ".complete"
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    pending = FILES[choices.number(2 * len(FILES)) :]  # empty for half of the choices
    while choices:
        name = choices.pick(FILES)
        files[name] = choices.pick(EDITS)(files[name], choices)
    for name, content in files.items():
        if name in pending:
            complete.mkdir(exist_ok=True)
        (complete if name in pending else folder).joinpath(name).write_bytes(content)
    with nothing_outside(folder):
        loaded = attempt(load_bundle, folder)
        tagger = attempt(Tagger, loaded) if loaded is not None else None
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    if loaded is not None and tagger is not None:
        check_tagging(loaded, tagger)


def check_tagging(loaded: Bundle, tagger: Tagger) -> None:
    """Check that tags belong to the model, match the number of tokens, and that scores are probabilities."""
    sentences = attempt(tagger.tag, TEXT)
    for sentence in sentences or ():
        assert sentence.tokens == tuple(TEXT[start:end] for start, end in sentence.offsets)
        for task in loaded.vocabulary.tasks:
            tags = sentence.tags[task.name]
            assert len(tags) == len(sentence)
            assert task.scheme is not None or set(tags) <= set(task.tags)
        for span in (span for spans in sentence.spans.values() for span in spans):
            assert span.score is not None
            assert 0 <= span.score <= 1


@cache
def bundles() -> tuple[dict[str, bytes], ...]:
    """Make the files of intact, minimal bundles of networks that differ in every layer."""
    return tuple(make_bundle(network) for network in NETWORKS)


def make_bundle(network: dict[str, object]) -> dict[str, bytes]:
    config = Config.model_validate({"model": SIZES | network, "data": {"tasks": ["ner", "pos"]}})
    vocabulary = Vocabulary(
        words=("<padding>", "<unknown>", "ann", "saw"),
        characters=("<padding>", "<unknown>", "a", "s"),
        tasks=(
            Task("ner", ("O", "B-PER", "I-PER", "E-PER", "S-PER"), "BIOES"),
            Task("pos", ("NOUN", "VERB"), None),
        ),
        lowercase=config.model.lowercase,
        fold_digits=config.model.fold_digits,
        frozen_words=("oslo",),
    )
    generator = np.random.default_rng(1)
    tensors = {
        name: generator.normal(size=shape).astype(np.float16 if name == "words.frozen" else np.float32)
        for name, shape in tensor_shapes(config.model, vocabulary, 2).items()
    }
    parts = (config, vocabulary, Tokenizer().settings(), tensors, {"score": 0.5}, "# A model\n")
    whole = Bundle(*parts, temperatures={"ner": 1.5} if network else {})
    with tempfile.TemporaryDirectory() as folder:
        save_bundle(whole, Path(folder))
        check_tagging(whole, Tagger(load_bundle(Path(folder))))
        return {name: (Path(folder) / name).read_bytes() for name in FILES}


def _flip(content: bytes, choices: Choices) -> bytes:
    position = choices.number(len(content) + 1)
    return content[:position] + choices.take(1) + content[position + 1 :]


def _cut(content: bytes, choices: Choices) -> bytes:
    return content[: choices.number(len(content) + 1)]


def _insert(content: bytes, choices: Choices) -> bytes:
    position = choices.number(len(content) + 1)
    return content[:position] + choices.take(choices.number(256)) + content[position:]


def _change_json(content: bytes, choices: Choices) -> bytes:
    """Change a value in a JSON file, or in the JSON header of a safetensors file."""
    start, stop = 0, len(content)
    if content[8:9] == b"{":
        start, stop = 8, 8 + int.from_bytes(content[:8], "little")
    try:
        values = json.loads(content[start:stop])
    except (ValueError, RecursionError):
        return content
    changed = json.dumps(_changed(values, choices)).encode()
    return (len(changed).to_bytes(8, "little") if start else b"") + changed + content[stop:]


def _changed(values: Any, choices: Choices) -> Any:
    if not isinstance(values, (dict, list)) or not values or choices.number(8) == 7:
        return choices.pick(VALUES)
    key = choices.pick(list(values) if isinstance(values, dict) else range(len(values)))
    way = choices.number(16)
    if way == 15:
        del values[key]
    elif way == 14 and isinstance(values, dict):
        values[as_text(choices.take(4))] = values[key]
    elif way == 14:
        values += [values[key]]
    else:
        values[key] = _changed(values[key], choices)
    return values


EDITS: tuple[Callable[[bytes, Choices], bytes], ...] = (_change_json, _flip, _cut, _insert)


@contextmanager
def nothing_outside(folder: Path) -> Iterator[None]:
    """Fail if the block runs code or programs, or opens a file outside the folder."""
    bundles()  # triggers late imports
    for encoding in ("utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be", "utf-32-le"):
        codecs.lookup(encoding)  # JSON files can use these encodings
    codecs.lookup("unicode_escape")  # used in errors
    _install_hook()
    watched.append(folder.resolve())
    try:
        yield
    finally:
        watched.clear()


@cache
def _install_hook() -> None:
    sys.addaudithook(_check_event)  # an audit hook cannot be removed


def _check_event(event: str, arguments: tuple[object, ...]) -> None:
    if not watched:
        return
    assert not event.startswith(FORBIDDEN), f"{event} {arguments}"
    if event in ("open", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"):
        path = arguments[0]
        assert isinstance(path, (str, Path)), f"{event} {arguments}"
        assert Path(path).resolve().is_relative_to(watched[0]), f"{event} {arguments}"
