"""TensorBoard events of a run."""

from __future__ import annotations

from pathlib import Path

from tagger.training.loop import EpochRecord, StepRecord
from tagger.training.processes import Processes

TENSORBOARD = "tensorboard"  # subfolder of the model folder for TensorBoard's event files
STEPS_BETWEEN_EVENTS = 20


def remove_events(output: Path) -> None:
    """Remove the events of an earlier run: TensorBoard would mix its curves with those of the new run."""
    folder = output / TENSORBOARD
    for events in () if folder.is_symlink() else folder.glob("events.out.tfevents.*"):
        events.unlink()


def log_record(record: StepRecord | EpochRecord, processes: Processes) -> None:
    """Log a record to TensorBoard."""
    if isinstance(record, EpochRecord):
        scores = {
            f"dev/{task}/{key}": values[key]
            for task, values in record.dev.items()
            for key in ("f1", "accuracy")
            if key in values
        }
        rates = {"train/loss": record.loss, "train/learning_rate": record.learning_rate}
        processes.log({**rates, "train/tokens_per_second": record.tokens_per_second, **scores}, record.epoch)
    elif record.step % STEPS_BETWEEN_EVENTS == 0:
        done = (record.epoch - 1) * record.steps + record.step
        processes.log({"train/loss_so_far": record.loss}, done)
