"""Models with random weights, and folders of them for a test to damage."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import run_error
from safetensors import safe_open
from safetensors.numpy import save_file

from tagger import Tagger
from tagger.bundle import Bundle
from tagger.config import Config
from tagger.errors import InputError, escape_line
from tagger.features.vectors import Vectors
from tagger.features.vocab import Vocabulary, build_vocabulary
from tagger.network.model import TaggingModel
from tagger.text.sentence import from_tokens

CORPUS = [
    ("Mira/PER met/O Tom/PER in/O New/LOC Ayr/LOC ./O", "N V N P N N X"),
    ("Ayr/ORG lost/O 2-0/O ./O", "N V N X"),
    ("Rain/O fell/O on/O Mira/PER Lang/PER and/O her/O dog/O ./O", "N V P N N C D N X"),
]


def corpus_sentences():
    for text, pos in CORPUS:
        pairs = [item.rsplit("/", 1) for item in text.split()]
        ner = [label if label == "O" else f"I-{label}" for _, label in pairs]
        yield from_tokens([token for token, _ in pairs]).with_tags({"ner": ner, "pos": pos.split()})


def make_bundle(seed: int = 0, **model: object) -> tuple[TaggingModel, Bundle]:
    """Return a model with random weights, large enough to predict all tags, and its bundle."""
    settings = {"hidden_size": 5, "word_size": 4, "character_size": 3, "character_hidden": 4} | model
    config = Config.model_validate({"model": settings, "data": {"tasks": ["ner", "pos"]}})
    vocabulary, _ = build_vocabulary(
        list(corpus_sentences()),
        {"ner": "IO", "pos": None},
        scheme=config.model.scheme,
        lowercase=True,
        fold_digits=False,
        affix_min_words=config.model.affix_threshold,
        has_shapes=config.model.has_linear,
    )
    vocabulary = vocabulary.with_frozen_words(["glasgow", "river"])
    frozen = np.random.default_rng(seed).normal(size=(2, 4)).astype(np.float16)
    vectors = Vectors({"rain": np.ones(4, np.float32)}, ("glasgow", "river"), frozen, 4, 0)
    torch.manual_seed(seed)
    network = TaggingModel(config.model, vocabulary, vectors).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.8)
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return network, Bundle(config, vocabulary, {}, tensors, {}, "")


def random_sentences(vocabulary: Vocabulary, seed: int = 0, count: int = 12) -> list[list[str]]:
    generator = np.random.default_rng(seed)
    words = [*vocabulary.words[2:], "Glasgow", "river", "unseen-WORD", "3", "Ärger", "x" * 90]
    return [list(generator.choice(words, size=generator.integers(1, 9))) for _ in range(count)]


def every_legal_path(task, length, transitions, emissions):
    """Enumerate all legal tag sequences with their probabilities."""
    paths, scores = [], []
    for path in itertools.product(range(len(task.tags)), repeat=length):
        score = transitions.start[path[0]] + transitions.end[path[-1]]
        score += sum(emissions[step, tag] for step, tag in enumerate(path))
        score += sum(transitions.scores[a, b] for a, b in itertools.pairwise(path))
        if np.isfinite(score):
            paths.append(path)
            scores.append(score)
    weights = np.exp(np.array(scores, np.float64) - max(scores))
    return paths, weights / weights.sum()


JSON_FILES = ("config.json", "vocab.json", "metrics.json")


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Edit the values of a JSON file in place."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def edit_tensors(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    path = folder / "model.safetensors"
    with safe_open(path, framework="np") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in list(file.keys())}
    change(tensors)
    # A new file: loaded models map the earlier one, and safetensors before 0.8 writes into it.
    new = path.with_suffix(".new")
    save_file({name: np.ascontiguousarray(one) for name, one in tensors.items()}, new, metadata=metadata)
    new.replace(path)


def convert_to_version(folder: Path, version: int) -> None:
    """Convert a saved model to an earlier format: 1 and 2 for full-size models, 3 for shrunk ones."""

    def convert_config(values: Any) -> None:
        assert values.pop("is_shrunk") == (version == 3)
        values["format_version"] = version
        values["train"]["recased"] = values["train"].pop("case_augmentation")
        if version == 1:
            assert values["model"].pop("context") == "sentence"
            del values["temperatures"]

    def convert_vocabulary(values: Any) -> None:
        values["fixed_words"] = values.pop("frozen_words")
        values["frequent"] = values.pop("n_frequent")
        if version == 1:
            del values["frequent"]

    def convert_metrics(values: Any) -> None:
        vectors = values["data"]["vectors"]
        vectors["found"], vectors["kept"] = vectors.pop("covered"), vectors.pop("frozen")
        if version == 3:
            values["shrunk"]["fixed_words"] = values["shrunk"].pop("frozen_words")

    def convert_tensors(tensors: dict[str, np.ndarray]) -> None:
        for name in list(tensors):
            earlier = name.replace("words.frozen", "words.fixed").replace("words.trainable", "words.trained")
            tensors[earlier.replace("filters.0", "filters") if version == 1 else earlier] = tensors.pop(name)

    edit(folder / "config.json", convert_config)
    edit(folder / "vocab.json", convert_vocabulary)
    edit(folder / "metrics.json", convert_metrics)
    edit_tensors(folder, convert_tensors)


def load_error(folder: Path) -> InputError:
    """Return the error for a folder, which must be the same in all commands and the library."""
    with pytest.raises(InputError) as caught:
        Tagger.load(folder)
    for words in (("tag", "-m", folder), ("info", folder)):
        assert run_error(*words, stdin=b"Mira met Tom.") == escape_line(str(caught.value))
    message = str(caught.value)
    assert message.startswith(str(folder))
    assert message.isprintable()
    assert re.search(r"(\. [A-Z]|; )[^;]+\.$", message), "the message does not say what to do"
    return caught.value


def damaged_file(folder: Path) -> str:
    """Return the name of the file that the error for a damaged folder names."""
    error = load_error(folder)
    assert error.code == "bundle.damaged"
    return str(Path(error.file).relative_to(folder))


def is_same(actual: Bundle, expected: Bundle) -> bool:
    return (
        (actual.config, actual.vocabulary, actual.tokenizer, actual.metrics)
        == (expected.config, expected.vocabulary, expected.tokenizer, expected.metrics)
        and actual.tensors.keys() == expected.tensors.keys()
        and all(np.array_equal(actual.tensors[name], one) for name, one in expected.tensors.items())
    )
