"""The model folder of a run: model, metrics per epoch, checkpoint and learning curves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tagger.bundle import FILES, Bundle, holds_bundle, load_bundle, save_bundle
from tagger.config import Config
from tagger.corpus.loading import name_files
from tagger.corpus.memory import Source
from tagger.errors import InputError
from tagger.network.model import restore_model
from tagger.storage import temporary_folder, write_whole, writing
from tagger.training.card import CURVES, write_card
from tagger.training.checkpoint import Checkpoint, save_checkpoint
from tagger.training.curves import draw_curves
from tagger.training.encoded_split import EncodedSplit
from tagger.training.encoder_states import states_of
from tagger.training.loop import EpochRecord
from tagger.training.preparation import Preparation, coverage_warning
from tagger.training.progress import Progress, make_bundle, stored_config
from tagger.training.temperatures import calibrate_on_split

METRICS = "metrics.jsonl"
SECONDS_BETWEEN_PLOTS = 30.0  # of training; drawing a plot takes less than a second


class RunFolder:
    """The folder of one run; a rename replaces each file atomically, so no file is ever partially written.

    Args:
        path: The folder.
        config: The options of the run.
        preparation: The encoded data.
        data: Facts about the data, from ``summarise_data``.
        run: Description of the run, from ``checkpoint.describe_run``.
        epochs: Epochs that earlier calls trained.

    Attributes:
        path: The folder.
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
        self._drawn_epochs = 0  # epochs in the saved plot
        self._drawn_seconds = self.seconds  # training time at the latest plot

    @property
    def seconds(self) -> float:
        """Training time of the epochs so far."""
        return sum(record.seconds for record in self.epochs)

    def begin(self) -> None:
        """Discard metrics that an interrupted run wrote after its last checkpoint.

        Raises:
            InputError: The folder cannot be written.
        """
        if self.epochs:
            self._write_metrics()

    def keep(self, record: EpochRecord) -> None:
        """Save the metrics of an epoch, and its model if it is the best so far.

        Raises:
            InputError: The folder cannot be written; an earlier model stays intact.
        """
        if record.weights is not None:
            save_bundle(self._make_bundle(record, record.weights), self.path)
        # Append after saving, so that no plot shows a model that could not be saved. Drop the weights to free
        # memory.
        self.epochs.append(replace(record, weights=None))
        self._write_metrics()

    def calibrate(self) -> None:
        """Calibrate the saved model on dev and save it again; does nothing without a dev split.

        The model gets its temperatures, and ``metrics.json`` the precision and recall of score thresholds.

        Called once, after the last epoch, because it needs a pass over dev. The result depends on the weights
        only, so that a resumed run ends with the same temperatures.

        Raises:
            InputError: The folder cannot be written; the model stays intact, without temperatures.
        """
        preparation = self._preparation
        if preparation.dev is None or not self.epochs:  # without epochs, the model belongs to another run
            return
        bundle = load_bundle(self.path)
        # A resumed run may have more epochs than the config that was saved with the best model.
        metrics = {**bundle.metrics, "epochs": self._config.train.epochs}
        bundle = replace(bundle, config=stored_config(preparation, self._config), metrics=metrics)
        vocabulary = bundle.vocabulary
        model = restore_model(
            bundle.config.model, vocabulary, preparation.vectors, bundle.tensors, states_of(bundle.encoder)
        )
        fitted, thresholds = calibrate_on_split(model, preparation.dev)
        temperatures = {**bundle.temperatures, **fitted}
        card = write_card(bundle.config, vocabulary, bundle.tokenizer, bundle.metrics, temperatures)
        metrics["thresholds"] = thresholds
        save_bundle(replace(bundle, temperatures=temperatures, metrics=metrics, card=card), self.path)

    def save(self, progress: Progress | None) -> None:
        """Write a checkpoint; all processes must call this if there is training progress.

        Args:
            progress: The training state, or None to mark the beginning of the run.

        Raises:
            InputError: The folder cannot be written; the earlier checkpoint stays intact.
        """
        is_finished = progress is not None and progress.is_finished
        snapshot = progress.capture() if progress else None  # also if finished: a later call may add epochs
        epochs = [epoch_values(record) for record in self.epochs]
        if progress is None or progress.processes.is_main:
            save_checkpoint(Checkpoint(self._run, epochs, snapshot, is_finished), self.path)

    def draw(self, *, is_forced: bool) -> None:
        """Draw the learning curves if there are new epochs and the latest plot is old.

        Args:
            is_forced: True to draw new epochs even if the latest plot is recent.

        Raises:
            InputError: The file cannot be written.
        """
        is_due = is_forced or self.seconds - self._drawn_seconds >= SECONDS_BETWEEN_PLOTS
        if is_due and len(self.epochs) > self._drawn_epochs:
            draw_curves(self.epochs, self.path / CURVES)
            self._drawn_epochs, self._drawn_seconds = len(self.epochs), self.seconds

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
        temperatures = self._initial_temperatures()
        card = write_card(self._config, vocabulary, tokenizer, metrics, temperatures)
        bundle = make_bundle(self._preparation, self._config, weights, metrics=metrics, card=card)
        return replace(bundle, temperatures=temperatures)

    def _initial_temperatures(self) -> dict[str, float]:
        """Return the temperatures of the initial model for all tasks that the run does not train."""
        initial = self._preparation.initial
        trained = self._preparation.train.schemes if self._config.train.epochs else {}
        return {t: value for t, value in initial.temperatures.items() if t not in trained} if initial else {}


def require_usable(output: Path) -> None:
    """Check that a run can write its model to a folder.

    Raises:
        InputError: The path is a file, the folder cannot be created or written, or it has files that would be
            overwritten and do not belong to a model.
    """
    nearest = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise InputError(
            "this is a file. Name a folder with --output.",
            code="file.kind",
            where=nearest,
            option="--output",
        )
    with writing(output), temporary_folder(nearest, "saving"):
        pass  # try it: permission bits do not reveal a read-only file system
    present = [name for name in (*FILES, METRICS, CURVES) if (output / name).exists()]
    if present and not holds_bundle(output):
        raise InputError(
            f"the folder has a {present[0]} that belongs to no model. Name another --output.",
            code="run.exists",
            where=output,
            option="--output",
        )


def summarise_data(
    preparation: Preparation,
    train_files: Sequence[Source],
    dev_files: Sequence[Source],
    vectors_file: Path | None,
) -> dict[str, Any]:
    """Describe the data as JSON values.

    Returns:
        For train and dev the file name and counts of sentences, tokens, repairs and unseen tags; for the
        vectors file its name, size and coverage of train.
    """
    vectors, words = preparation.vectors, len(preparation.vocabulary.words) - 2  # without padding and UNK
    warning = coverage_warning(Path(vectors_file.name), vectors, words) if vectors and vectors_file else None
    return {
        "train": _describe_split(preparation.train, train_files),
        "dev": _describe_split(preparation.dev, dev_files) if preparation.dev else None,
        "vectors": {
            "file": vectors_file.name,
            "size": vectors.size,
            "words": words,
            "covered": len(vectors.trainable),
            "frozen": len(vectors.frozen_words),
            "duplicates": vectors.duplicates,
            **({"warning": warning} if warning else {}),
        }
        if vectors and vectors_file
        else None,
    }


def epoch_values(record: EpochRecord) -> dict[str, Any]:
    """Convert a record to the values of a line of ``metrics.jsonl``: everything but the weights."""
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


def _describe_split(split: EncodedSplit, paths: Sequence[Source]) -> dict[str, Any]:
    return {
        "file": name_files(paths),
        "sentences": len(split.sentences),
        "tokens": sum(split.lengths),
        "schemes": dict(split.schemes),
        "repairs": dict(split.repairs),
        "unseen_tags": dict(split.unseen_tags),
    }
