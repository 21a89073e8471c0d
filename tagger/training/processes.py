"""The processes that train one model together, as ``torchrun`` or ``accelerate launch`` start them.

Each takes its share of every batch, gradients are added up, and all make the same step; usually there is one.
The model is not wrapped, as ``DistributedDataParallel`` does: so a process may have nothing to do for a batch
that is smaller than the number of processes.
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
    """What one process knows of all, and how they agree.

    Args:
        tensorboard: Folder for TensorBoard's event files, or None.

    Raises:
        InputError: TensorBoard is asked for and not installed.
    """

    def __init__(self, tensorboard: Path | None = None) -> None:
        if tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise InputError(
                "train.tensorboard needs the package tensorboard; install the extra `tensorboard`."
            )
        self._events = tensorboard
        self._accelerator = Accelerator(
            # accelerate joins processes without a GPU only where it is told that they have none.
            cpu=not (is_alone() or torch.cuda.is_available()),
            log_with="tensorboard" if tensorboard else None,
            project_dir=tensorboard,
        )

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._accelerator.num_processes)

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes files and speaks to the user."""
        return bool(self._accelerator.is_main_process)

    @property
    def device(self) -> torch.device:
        """Where this process's model belongs."""
        device: torch.device = self._accelerator.device
        return device

    def share(self, items: Sequence[Any]) -> Sequence[Any]:
        """This process's part of a list; the parts of all make up the list."""
        return items[self._accelerator.process_index :: self.count]

    def sum_gradients(self, parameters: Sequence[Tensor], loss: float) -> float:
        """Replace each gradient by the sum over all processes; return the sum of their losses.

        A missing gradient counts as zero: a batch may not use a parameter, for instance the context's if it
        repeats no word. Fused SGD fails unless all parameters get their first gradient in the same step.
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

    def agree(self, *wishes: bool) -> list[bool]:
        """For each wish whether any process has it; all processes have to call this at the same step."""
        if self.count == 1:
            return list(wishes)
        return [count > 0 for count in self._sum(torch.tensor(wishes, dtype=torch.float32)).tolist()]

    def gather(self, values: list[Any]) -> list[Any]:
        """The values of all processes in their order."""
        if self.count == 1:
            return values
        with self._watching():
            gathered: list[Any] = gather_object(values)
        return gathered

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Give values to TensorBoard, if it was asked for; the first call makes its folder.

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
        """Write out what TensorBoard still holds, and part from the other processes.

        Raises:
            InputError: The event files cannot be written.
        """
        if self._accelerator.trackers or self.count > 1:
            with writing(self._events) if self._events else nullcontext():
                self._accelerator.end_training()

    def _sum(self, values: Tensor) -> Tensor:
        with self._watching():
            total: Tensor = self._accelerator.reduce(values.to(self.device), "sum")
        return total

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Say in one sentence that another process is gone, of which gloo and nccl tell by a RuntimeError."""
        try:
            yield
        except RuntimeError as error:
            # gloo adds where in its code that was before, and advice after, the reason.
            reason = re.sub(r"^\[[^]]*\] ", "", str(error).splitlines()[0]).partition(". ")[0]
            raise InputError(
                f"Process {self._accelerator.process_index} of {self.count} lost the others ({reason}); see "
                f"why one ended, and go on from the last checkpoint with --resume."
            ) from None


def is_alone() -> bool:
    """Whether this process was started to train by itself, told before any have joined."""
    return os.environ.get("WORLD_SIZE", "1") == "1"


def is_main_process() -> bool:
    """Whether this process is the only one or the first, told before they have joined."""
    return os.environ.get("RANK", "0") == "0"
