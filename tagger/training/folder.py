"""What a run keeps in its folder: the model, a line an epoch, the checkpoint, the learning curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tagger.bundle import FILES, Bundle, holds_bundle, load_bundle, save_bundle
from tagger.config import Config
from tagger.corpus.loading import name_files
from tagger.errors import InputError
from tagger.network.model import restore_model
from tagger.storage import temporary_folder, write_whole, writing
from tagger.training.card import CURVES, write_card
from tagger.training.checkpoint import Checkpoint, save_checkpoint
from tagger.training.curves import draw_curves
from tagger.training.loop import EpochRecord
from tagger.training.preparation import Part, Preparation, warn_of_vectors
from tagger.training.progress import Progress, make_bundle
from tagger.training.temperatures import fit_temperatures

METRICS = "metrics.jsonl"


class ModelFolder:
    """The folder of one run; each of its files is replaced by one rename, so that none is ever half written.

    Args:
        path: The folder.
        config: The options of the run.
        preparation: The data.
        data: The data as ``describe_data`` describes them.
        run: The run as ``checkpoint.describe_run`` describes it.
        epochs: What earlier calls made of the run.

    Attributes:
        epochs: The epochs so far, without their weights.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        preparation: Preparation,
        data: Mapping[str, Any],
        run: Mapping[str, str],
        epochs: Sequence[EpochRecord] = (),
    ) -> None:
        self.path = path
        self.epochs = list(epochs)
        self._config = config
        self._preparation = preparation
        self._data = data
        self._run = run
        self._drawn = 0  # epochs in the picture

    @property
    def seconds(self) -> float:
        """Training time of the epochs so far."""
        return sum(record.seconds for record in self.epochs)

    def begin(self) -> None:
        """Drop from the folder what an interrupted run wrote after its last checkpoint.

        Raises:
            InputError: The folder cannot be written.
        """
        if self.epochs:
            self._write_metrics()

    def keep(self, record: EpochRecord) -> None:
        """Add an epoch, and its model if it is the best so far.

        Raises:
            InputError: The folder cannot be written; an earlier model stays whole.
        """
        if record.weights is not None:
            save_bundle(self._make_bundle(record, record.weights), self.path)
        # Added now, so that no picture is drawn of a model that could not be written; without its weights,
        # which are not held any longer than needed.
        self.epochs.append(replace(record, weights=None))
        self._write_metrics()

    def calibrate(self) -> None:
        """Fit the temperatures of the model that is kept, and save it with them; nothing without dev.

        Done once, when no better epoch is to come: it reads all of dev. The weights alone decide what comes
        out, so that a run that was broken off ends with the same.

        Raises:
            InputError: The folder cannot be written; the model stays whole, without temperatures.
        """
        preparation = self._preparation
        if preparation.dev is None or not self.epochs:  # without an epoch the folder's model is another run's
            return
        bundle = load_bundle(self.path)
        # The best epoch may be one that was trained before the run got more epochs.
        metrics = {**bundle.metrics, "epochs": self._config.train.epochs}
        bundle = replace(bundle, config=self._config, metrics=metrics)
        shape, vocabulary = bundle.config.model, bundle.vocabulary
        model = restore_model(shape, vocabulary, preparation.vectors, bundle.tensors)
        temperatures = fit_temperatures(model, preparation.dev)
        card = write_card(bundle.config, vocabulary, bundle.tokenizer, bundle.metrics, temperatures)
        save_bundle(replace(bundle, temperatures=temperatures, card=card), self.path)

    def save(self, progress: Progress | None) -> None:
        """Write a checkpoint of the run's beginning (None) or of its progress; all processes have to call it.

        Raises:
            InputError: The folder cannot be written; the earlier checkpoint stays whole.
        """
        is_finished = progress is not None and progress.is_finished
        snapshot = progress.capture() if progress else None  # also at the end: a later call may add epochs
        epochs = [epoch_values(record) for record in self.epochs]
        if progress is None or progress.processes.is_main:
            save_checkpoint(Checkpoint(self._run, epochs, snapshot, is_finished), self.path)

    def draw(self) -> None:
        """Draw the learning curves, if there are any and they are not drawn yet.

        Raises:
            InputError: The picture cannot be written.
        """
        if len(self.epochs) > self._drawn:
            draw_curves(self.epochs, self.path / CURVES)
            self._drawn = len(self.epochs)

    def _write_metrics(self) -> None:
        lines = (json.dumps(epoch_values(record), ensure_ascii=False) + "\n" for record in self.epochs)
        write_whole(self.path / METRICS, "".join(lines).encode())

    def _make_bundle(self, record: EpochRecord, weights: Mapping[str, Any]) -> Bundle:
        vocabulary, tokenizer = self._preparation.vocabulary, self._preparation.tokenizer.settings()
        metrics = {
            "epoch": record.epoch,
            "epochs": self._config.train.epochs,
            "training_seconds": self.seconds + record.seconds,
            "loss": record.loss,
            "score": record.score,
            "dev": dict(record.dev),
            "data": dict(self._data),
        }
        card = write_card(self._config, vocabulary, tokenizer, metrics)
        return make_bundle(self._preparation, self._config, weights, metrics=metrics, card=card)


def require_usable(output: Path) -> None:
    """Refuse a folder that is none, that cannot be written or made, or that holds files of something else.

    Raises:
        InputError: It is one of these.
    """
    nearest = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise InputError(f"{nearest}: this is a file; name a folder with --output.")
    with writing(output), temporary_folder(nearest, "saving"):
        pass  # only this tells: permissions do not show file systems that take no folders
    present = [name for name in (*FILES, METRICS, CURVES) if (output / name).exists()]
    if present and not holds_bundle(output):
        raise InputError(f"{output}: holds a {present[0]} that is no model's; name another --output.")


def describe_data(
    preparation: Preparation,
    train_files: Sequence[Path],
    dev_files: Sequence[Path],
    vectors_file: Path | None,
) -> dict[str, Any]:
    """What was read, as JSON values: of each part the file's name, sentences, tokens, schemes and repairs."""
    vectors, words = preparation.vectors, len(preparation.vocabulary.words) - 2  # without padding and unknown
    warning = warn_of_vectors(Path(vectors_file.name), vectors, words) if vectors and vectors_file else None
    return {
        "train": _describe_part(preparation.train, train_files),
        "dev": _describe_part(preparation.dev, dev_files) if preparation.dev else None,
        "vectors": {
            "file": vectors_file.name,
            "size": vectors.size,
            "words": words,
            "found": len(vectors.trained),
            "kept": len(vectors.fixed_words),
            "duplicates": vectors.duplicates,
            **({"warning": warning} if warning else {}),
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


def _describe_part(part: Part, paths: Sequence[Path]) -> dict[str, Any]:
    return {
        "file": name_files(paths),
        "sentences": len(part.sentences),
        "tokens": sum(part.lengths),
        "schemes": dict(part.schemes),
        "repairs": dict(part.repairs),
        "unseen_tags": dict(part.unseen_tags),
    }
