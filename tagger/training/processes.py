"""Data-parallel training in the processes that ``torchrun`` or ``accelerate launch`` start.

Each process computes the gradients of its share of every batch; their sum updates the weights of all. Usually
there is a single process. The model is not wrapped in ``DistributedDataParallel``, so that a process may be
idle if a batch has fewer sentences than there are processes.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from tagger.errors import InputError
from tagger.storage import make_own_folder, writing


class Processes:
    """The group of training processes, and the collective operations among them.

    Args:
        tensorboard: Folder for TensorBoard's event files, or None.

    Raises:
        InputError: A TensorBoard folder is given but TensorBoard is not installed.
    """

    def __init__(self, tensorboard: Path | None = None) -> None:
        if tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise InputError(
                "train.tensorboard needs the package tensorboard. Install the extra `tensorboard`.",
                code="package.missing",
                option="train.tensorboard",
            )
        self._events = tensorboard
        self._accelerator = Accelerator(
            # Without a GPU, accelerate forms a process group only if cpu=True.
            cpu=not (is_alone() or torch.cuda.is_available()),
            log_with="tensorboard" if tensorboard else None,
            project_dir=tensorboard,
        )

    @property
    def count(self) -> int:
        """Number of processes."""
        return int(self._accelerator.num_processes)

    @property
    def is_main(self) -> bool:
        """True for rank 0, the only process that writes files and prints."""
        return bool(self._accelerator.is_main_process)

    @property
    def device(self) -> torch.device:
        """Device of this process's model."""
        device: torch.device = self._accelerator.device
        return device

    def share(self, items: Sequence[Any]) -> Sequence[Any]:
        """Return this process's share of a list; the shares of all processes make up the list."""
        return items[self._accelerator.process_index :: self.count]

    def sum_gradients(self, parameters: Sequence[Tensor], loss: float) -> float:
        """Replace each gradient with its sum over all processes; return the sum of the losses.

        A missing gradient counts as zero: a batch may not use a parameter, for instance the document context
        if no word repeats. Fused SGD fails unless all parameters get their first gradient in the same step.
        """
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        if self.count == 1:
            for parameter, gradient in zip(parameters, own, strict=True):
                parameter.grad = gradient
            return loss
        flat = torch.cat([gradient.flatten() for gradient in own] + [own[0].new_tensor([loss])])
        total = self._sum(flat)
        summed = torch.split(total[:-1], [parameter.numel() for parameter in parameters])
        for parameter, gradient in zip(parameters, summed, strict=True):
            parameter.grad = gradient.view_as(parameter)
        return float(total[-1])

    def agree(self, *flags: bool) -> list[bool]:
        """Combine each flag over all processes with a logical or; all must call this at the same step."""
        if self.count == 1:
            return list(flags)
        return [count > 0 for count in self._sum(torch.tensor(flags, dtype=torch.float32)).tolist()]

    def gather(self, values: list[Any]) -> list[Any]:
        """Concatenate the lists of all processes in rank order."""
        if self.count == 1:
            return values
        with self._connection_errors():
            gathered: list[Any] = gather_object(values)
        return gathered

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values to TensorBoard if it is enabled; the first call creates its folder.

        Raises:
            InputError: The event files cannot be written.
        """
        if self._events is None or not self.is_main:
            return
        with writing(self._events):
            if not self._accelerator.trackers:
                make_own_folder(self._events)
                self._accelerator.init_trackers("")
            self._accelerator.log(dict(values), step=step)

    def close(self) -> None:
        """Flush TensorBoard's event files and leave the process group.

        Raises:
            InputError: The event files cannot be written.
        """
        if self._accelerator.trackers or self.count > 1:
            with writing(self._events) if self._events else nullcontext():
                self._accelerator.end_training()

    def _sum(self, values: Tensor) -> Tensor:
        with self._connection_errors():
            total: Tensor = self._accelerator.reduce(values.to(self.device), "sum")
        return total

    @contextmanager
    def _connection_errors(self) -> Iterator[None]:
        """Convert gloo's and nccl's RuntimeError after another process ended to an ``InputError``."""
        try:
            yield
        except RuntimeError as error:
            # gloo puts its source location before the reason, and advice after it.
            reason = re.sub(r"^\[[^]]*\] ", "", str(error).splitlines()[0]).partition(". ")[0]
            raise InputError(
                f"Process {self._accelerator.process_index} of {self.count} lost contact with the others "
                f"({reason}). Check why a process ended, then resume from the last checkpoint with --resume.",
                code="run.failed",
                option="--resume",
            ) from None


def is_alone() -> bool:
    """Return True if the launcher started a single process; needs no process group."""
    return os.environ.get("WORLD_SIZE", "1") == "1"


def is_main_process() -> bool:
    """Return True for rank 0 and for a single process; needs no process group."""
    return os.environ.get("RANK", "0") == "0"
