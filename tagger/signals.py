"""SIGINT and SIGTERM: how they end a command at any moment, and what must not be interrupted."""

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
_AGAIN_SECONDS = 0.01
_STARTING, _WORKING, _ENDING = range(3)


class _State:
    """What the process knows of signals, which are its own as a whole.

    Attributes:
        phase: While a program starts there is nothing to clean up, and an import that is interrupted may fail
            in any way: a signal ends the process at once. At its end signals are ignored.
        received: The first signal that asked the command to end; 0 if there was none.
        held: How many callers hold interruptions back.
    """

    phase = _WORKING
    received = 0
    held = 0


def exit_code(code: int) -> int:
    """The exit code of a command; after a signal 128 and its number, by the shells' convention."""
    return 128 + _State.received if _State.received else code


@contextmanager
def signals_handled(*, is_program: bool) -> Iterator[None]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt, unless somebody else has decided what they do.

    Args:
        is_program: True if the command is all that the process does: then signals end it at once until
            ``begin_work``, and are ignored after the end.
    """
    _State.received, _State.held = 0, 0
    _State.phase = _STARTING if is_program else _WORKING
    if threading.current_thread() is not threading.main_thread():  # others may not set handlers
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
    """End the start of a program: from here on signals raise KeyboardInterrupt."""
    if _State.phase == _STARTING:
        _State.phase = _WORKING


def _receive(number: int, frame: FrameType | None) -> None:
    if _State.phase == _STARTING:
        os._exit(128 + number)
    if _State.phase == _WORKING:
        _State.received = _State.received or number
        if not _State.held:
            raise KeyboardInterrupt


def _raise_again(found: Any) -> None:
    """Interrupt a moment later where Python drops the exception, as in a destructor."""
    if not (_State.received and issubclass(found.exc_type, KeyboardInterrupt)):
        sys.__unraisablehook__(found)
        return
    signal.signal(signal.SIGALRM, lambda *_: _receive(_State.received, None))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let signals wait until the end: for what cannot be interrupted, as the import of a compiled module."""
    with _blocked(SIGNALS):
        yield


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Let processes that are started within never receive Ctrl-C, which reaches all: the caller decides.

    They inherit what is blocked here, so that it holds also while they still import what they need. SIGTERM
    ends them; here it waits until the end, as a process that is half started would be left alone.
    """
    from multiprocessing import resource_tracker  # here, since few commands start processes

    resource_tracker.ensure_running()  # else the first start would start it, which unblocks what is blocked
    with _blocked({signal.SIGINT}):
        yield


@contextmanager
def _blocked(numbers: Collection[signal.Signals]) -> Iterator[None]:
    """Block these for this thread and new ones, and hold back what signals of other threads would raise."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    earlier = _State.received
    _State.held += 1
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _State.held -= 1
    if _State.received != earlier and not _State.held:
        raise KeyboardInterrupt
