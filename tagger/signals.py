"""Ctrl-C, which reaches every process of a terminal, where one of them decides for all."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait until the end: for what cannot be broken off, as the import of a compiled module."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Let processes that are started within never hear of Ctrl-C, which reaches all: the caller decides.

    They take over what is blocked here, so that it holds also while they still import what they need.
    """
    from multiprocessing import resource_tracker  # here, since few commands start processes

    resource_tracker.ensure_running()  # else the first start would start it, which unblocks what is blocked
    with interrupts_held():
        yield
