"""Handling of SIGINT and SIGTERM: end a command at any moment, except in protected sections."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_RETRY_SECONDS = 0.01  # delay before a dropped interruption is raised again
_STARTING, _WORKING, _ENDING = range(3)


class _State:
    """State of the signal handling, one per process.

    Attributes:
        phase: While a program starts, a signal ends the process at once: there is nothing to clean up, and an
            interrupted import can fail with any error. At the end of a program, signals are ignored.
        received: The first signal that interrupted the command; 0 if there was none.
        deferring: Number of callers that currently defer interruptions.
    """

    phase = _WORKING
    received = 0
    deferring = 0


def exit_code(code: int) -> int:
    """Return the exit code of a command; after a signal, 128 plus its number, as in shells."""
    return 128 + _State.received if _State.received else code


@contextmanager
def signals_handled(*, is_program: bool) -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGINT and SIGTERM, unless they already have custom handlers.

    Args:
        is_program: True if the process runs only this command. Signals then end the process at once until
            ``begin_work``, and are ignored after the end of the command.
    """
    _State.received, _State.deferring = 0, 0
    _State.phase = _STARTING if is_program else _WORKING
    if threading.current_thread() is not threading.main_thread():  # only the main thread can set handlers
        yield
        return
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    earlier = {number: signal.getsignal(number) for number in SIGNALS}
    earlier = {number: handler for number, handler in earlier.items() if handler in defaults}
    for number in earlier:
        signal.signal(number, _receive)
    hook, sys.unraisablehook = sys.unraisablehook, _raise_again
    try:
        yield
    finally:
        _State.phase = _ENDING
        sys.unraisablehook = hook
        for number, handler in () if is_program else earlier.items():
            signal.signal(number, handler)


def begin_work() -> None:
    """End the start phase of a program: from now on, signals raise KeyboardInterrupt."""
    if _State.phase == _STARTING:
        _State.phase = _WORKING


def _receive(number: int, frame: FrameType | None) -> None:
    if _State.phase == _STARTING:
        os._exit(128 + number)
    if _State.phase == _WORKING:
        _State.received = _State.received or number
        if not _State.deferring:
            raise KeyboardInterrupt


def _raise_again(dropped: Any) -> None:
    """Interrupt again shortly after Python dropped the exception, as it does in a destructor."""
    if not (_State.received and issubclass(dropped.exc_type, KeyboardInterrupt)):
        sys.__unraisablehook__(dropped)
        return
    signal.signal(signal.SIGALRM, lambda *_: _receive(_State.received, None))
    signal.setitimer(signal.ITIMER_REAL, _RETRY_SECONDS)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Defer signals until the end of the block, e.g. for the import of a compiled module."""
    with _blocked(SIGNALS):
        yield


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Start processes that never receive Ctrl-C, which terminals send to all processes of a command.

    Child processes inherit the blocked signals, so Ctrl-C does not reach them even while they import modules.
    SIGTERM still ends child processes. This process defers it until the end of the block, since otherwise a
    child process that is just starting would be orphaned.
    """
    from multiprocessing import resource_tracker  # imported late: few commands start processes

    resource_tracker.ensure_running()  # else the first child process would start it, which unblocks signals
    with _blocked({signal.SIGINT}):
        yield


@contextmanager
def _blocked(numbers: Collection[signal.Signals]) -> Iterator[None]:
    """Block signals in this thread and new ones, and defer interruptions by signals to other threads."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    earlier = _State.received
    _State.deferring += 1
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _State.deferring -= 1
    if _State.received != earlier and not _State.deferring:
        raise KeyboardInterrupt
