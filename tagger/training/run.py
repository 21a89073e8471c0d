"""One whole training run: files in, a model folder out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tagger.bundle import FILES, Bundle, holds_bundle, save_bundle
from tagger.config import Config
from tagger.errors import InputError
from tagger.training.card import CURVES, write_card
from tagger.training.curves import draw_curves
from tagger.training.loop import EpochRecord, StepRecord, train
from tagger.training.preparation import Part, Preparation, prepare

METRICS = "metrics.jsonl"
SECONDS_BETWEEN_PICTURES = 30.0  # of training; a picture takes a part of a second


@dataclass(frozen=True)
class DataRecord:
    """What was read, before the first step.

    Attributes:
        data: Files, sentences, tokens, schemes, repairs and unseen tags of each part, and how many words have
            vectors; as ``metrics.json`` keeps it.
        preparation: The data themselves.
    """

    data: Mapping[str, Any]
    preparation: Preparation


def run_training(
    config: Config,
    output: Path,
    *,
    train_file: Path,
    dev_file: Path | None = None,
    vectors_file: Path | None = None,
) -> Generator[DataRecord | StepRecord | EpochRecord, None, None]:
    """Train a model and keep its best epoch in a folder.

    After every epoch the folder holds a whole model (the best so far; without dev the latest) and a line
    more in ``metrics.jsonl``, so a run may be stopped at any time; the learning curves are drawn at the end,
    also when the generator is closed or interrupted, and now and then before. An earlier model in the folder
    is replaced.

    Args:
        config: All options.
        output: The folder; made if it is not there.
        train_file: The corpus file to learn from.
        dev_file: The corpus file to choose the best epoch by, or None.
        vectors_file: Static word vectors, or None.

    Yields:
        First what was read, then a record after each step and each epoch (already saved).

    Raises:
        InputError: A file cannot be used, or the folder cannot be written.
    """
    # Looked at before the long part, so that a wrong path does not show after the first epoch only.
    _require_writable(output)
    preparation = prepare(config, train_file, dev_file, vectors_file)
    data = describe_data(preparation, train_file, dev_file, vectors_file)
    with _writing(output):
        output.mkdir(parents=True, exist_ok=True)
    yield DataRecord(data, preparation)
    epochs: list[EpochRecord] = []
    try:
        yield from _train(preparation, config, data, output, epochs)
    finally:
        if epochs:
            with _writing(output / CURVES):
                draw_curves(epochs, output / CURVES)


def _train(
    preparation: Preparation,
    config: Config,
    data: Mapping[str, Any],
    output: Path,
    epochs: list[EpochRecord],
) -> Generator[StepRecord | EpochRecord, None, None]:
    """Train, save what is to be kept, and add each epoch to ``epochs``."""
    seconds = drawn = 0.0
    for record in train(preparation, config):
        if isinstance(record, EpochRecord):
            seconds += record.seconds
            if record.weights is not None:
                metrics = _summarise(record, config, data, seconds)
                save_bundle(_make_bundle(record.weights, preparation, config, metrics), output)
            _write_metrics(record, output / METRICS, is_first=not epochs)
            # The weights of a past epoch are not held any longer than needed.
            epochs.append(replace(record, weights=None))
            if seconds - drawn >= SECONDS_BETWEEN_PICTURES:
                with _writing(output / CURVES):
                    draw_curves(epochs, output / CURVES)
                drawn = seconds
        yield record


def describe_data(
    preparation: Preparation, train_file: Path, dev_file: Path | None, vectors_file: Path | None
) -> dict[str, Any]:
    """What was read, as JSON values: of each part the file's name, sentences, tokens, schemes and repairs."""
    vectors = preparation.vectors
    return {
        "train": _describe_part(preparation.train, train_file),
        "dev": _describe_part(preparation.dev, dev_file) if preparation.dev and dev_file else None,
        "vectors": {
            "file": vectors_file.name,
            "size": vectors.size,
            "words": len(preparation.vocabulary.words) - 2,  # without padding and unknown
            "found": len(vectors.trained),
            "kept": len(vectors.fixed_words),
            "duplicates": vectors.duplicates,
        }
        if vectors and vectors_file
        else None,
    }


def epoch_values(record: EpochRecord) -> dict[str, Any]:
    """What a line of ``metrics.jsonl`` holds: the record without its weights."""
    return {
        "epoch": record.epoch,
        "loss": record.loss,
        "learning_rate": record.learning_rate,
        "seconds": record.seconds,
        "tokens_per_second": record.tokens_per_second,
        "score": record.score,
        "is_best": record.is_best,
        "dev": record.dev,
    }


def _write_metrics(record: EpochRecord, path: Path, *, is_first: bool) -> None:
    """Add a line; the first replaces the file of an earlier model."""
    line = json.dumps(epoch_values(record), ensure_ascii=False) + "\n"
    with _writing(path):
        if is_first:
            temporary = path.with_name(f".{path.name}.new")
            temporary.write_text(line, encoding="utf-8")
            temporary.replace(path)
        else:
            with path.open("a", encoding="utf-8") as file:
                file.write(line)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Name the path when it cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); free space or use another --output."
        ) from None


def _describe_part(part: Part, path: Path) -> dict[str, Any]:
    return {
        "file": path.name,
        "sentences": len(part.sentences),
        "tokens": sum(part.lengths),
        "schemes": dict(part.schemes),
        "repairs": dict(part.repairs),
        "unseen_tags": dict(part.unseen_tags),
    }


def _summarise(
    record: EpochRecord, config: Config, data: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    return {
        "epoch": record.epoch,
        "epochs": config.train.epochs,
        "training_seconds": seconds,
        "loss": record.loss,
        "score": record.score,
        "dev": dict(record.dev),
        "data": dict(data),
    }


def _make_bundle(
    weights: Mapping[str, Any], preparation: Preparation, config: Config, metrics: Mapping[str, Any]
) -> Bundle:
    tokenizer = preparation.tokenizer.settings()
    return Bundle(
        config=config,
        vocabulary=preparation.vocabulary,
        tokenizer=tokenizer,
        tensors={name: tensor.cpu().numpy() for name, tensor in weights.items()},
        metrics=metrics,
        card=write_card(config, preparation.vocabulary, tokenizer, metrics),
    )


def _require_writable(output: Path) -> None:
    """Refuse a folder that is none, that cannot be written or made, or that holds files of something else."""
    nearest = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise InputError(f"{nearest}: this is a file; name a folder with --output.")
    with _writing(output), tempfile.TemporaryDirectory(dir=nearest, prefix=".saving-"):
        pass  # only this tells: permissions do not show file systems that take no folders
    present = [name for name in (*FILES, METRICS, CURVES) if (output / name).exists()]
    if present and not holds_bundle(output):
        raise InputError(f"{output}: holds a {present[0]} that is no model's; name another --output.")
