"""Progress bar on standard error for commands that take longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from math import inf
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, TypeVar

from tagger.cli.output import before_messages
from tagger.storage import reads_observed
from tagger.text.sentence import Sentence

Item = TypeVar("Item")

FIRST_SECONDS = 1.0  # time until the bar appears
NEXT_SECONDS = 0.25  # time between two updates
_BAR_WIDTH = 30
_MEGABYTE = 1_000_000


class ProgressBar:
    """Context manager: show on a terminal how much of its files a command has processed.

    The bar appears on standard error after ``FIRST_SECONDS``. Messages are printed above it. It disappears
    at the end, also after an error or Ctrl-C. Nothing is shown, and rich is not imported, if standard error
    is not a terminal, or if sentences are written to standard output at the same time and it is a terminal.

    Args:
        action: What the command does, e.g. ``checking``.
        files: The files that it reads. If all are regular files, the bar shows the share of their bytes.
        n_passes: How often it reads them. Files with labels without prefix may be read once more; the bar is
            full meanwhile.
        writes_output: True if sentences are written to standard output at the same time.
        unit: What ``track`` counts.
    """

    def __init__(
        self,
        action: str,
        files: Sequence[Path],
        *,
        n_passes: int = 1,
        writes_output: bool = False,
        unit: str = "sentences",
    ) -> None:
        self._action = action
        self._unit = unit
        self._is_on = sys.stderr.isatty() and not (writes_output and sys.stdout.isatty())
        are_regular = self._is_on and all(path.is_file() for path in files)
        self._size = n_passes * sum(path.stat().st_size for path in files) if are_regular else 0
        self._n_bytes = self._n_sentences = self._total = self._pass = 0
        self._n_read = self._n_tagged = self._n_text_bytes = 0  # characters read and tagged, bytes read
        self._next = 0.0
        self._exits = ExitStack()
        self._note: Callable[[], str] | None = None
        self._progress: Any = None  # rich.progress.Progress, imported when the bar appears
        self._is_visible = False

    def __enter__(self) -> ProgressBar:
        if self._is_on:
            self._next = monotonic() + FIRST_SECONDS
            self._exits.enter_context(reads_observed(self._count_bytes))
            self._exits.enter_context(before_messages(self.hide))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()
        self._next = inf  # a file that is still open may be read later
        self.hide()

    def track(
        self, sentences: Iterable[Item], *, total: int = 0, note: Callable[[], str] | None = None
    ) -> Iterator[Item]:
        """Yield sentences, and count them.

        Args:
            sentences: The sentences.
            total: Their number; the bar then shows their share instead of the bytes. 0 if it is unknown.
            note: Returns what the bar shows after the number.
        """
        self._n_sentences, self._total, self._note = 0, total, note
        self._pass += 1
        for sentence in sentences:
            yield sentence
            if self._is_on:
                self._n_sentences += 1
                self._update()

    def count_text(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines of a text, and count their characters; ``advance`` then counts those tagged."""
        for line in lines:
            if self._is_on:
                self._n_read += len(line)
                self._n_text_bytes += len(line) if line.isascii() else len(line.encode(errors="replace"))
            yield line

    def track_text(self, sentences: Iterable[Sentence]) -> Iterator[Sentence]:
        """Yield tagged sentences, and count the characters up to their ends, in each document."""
        position = 0
        for sentence in self.track(sentences):
            yield sentence
            end = sentence.text_start + len(sentence.text)
            self._n_tagged += end - position if end >= position else end
            position = end

    def advance(self, n_characters: int) -> None:
        """Count tagged characters."""
        if self._is_on:
            self._n_tagged += n_characters
            self._update()

    def hide(self) -> None:
        """Erase the bar until the next update, so that a message can be printed."""
        if self._progress and self._is_visible:
            self._progress.stop()
            self._is_visible = False

    def _count_bytes(self, count: int) -> None:
        self._n_bytes += count
        self._update()

    def _update(self) -> None:
        now = monotonic()
        if now < self._next:
            return
        self._next = now + NEXT_SECONDS
        self._progress = self._progress or self._make_progress()
        completed, total, facts = self._facts()
        self._progress.update(self._progress.task_ids[0], completed=completed, total=total, facts=facts)
        if self._is_visible:
            self._progress.refresh()
        elif not self._progress.disable:
            self._is_visible = True  # before it starts: Ctrl-C may interrupt the start
            self._progress.start()

    def _make_progress(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=_BAR_WIDTH),
            TextColumn("{task.fields[facts]}"),
            console=Console(stderr=True, highlight=False, emoji=False),
            auto_refresh=False,  # no thread: the bar moves when a sentence or block of bytes has been read
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        progress.disable = not progress.console.is_interactive  # a terminal that cannot erase a line
        progress.add_task(self._action, total=None, facts="")
        return progress

    def _facts(self) -> tuple[int, int | None, str]:
        """Return the completed amount, the whole amount or None, and both in words."""
        if self._total:
            again = f", pass {self._pass}" if self._pass > 1 else ""
            facts = f"{self._n_sentences:,} of {self._total:,} {self._unit}{again}"
            facts += f", {self._note()}" if self._note else ""
            return self._n_sentences, self._total, facts
        if self._n_bytes and self._size:
            done = self._n_bytes
            if self._n_read:  # reading runs ahead of tagging
                done = self._n_tagged * self._n_text_bytes // self._n_read
            done = min(done, self._size)
            facts = f"{done / self._size:.0%} of {self._size / _MEGABYTE:,.1f} MB"
            return done, self._size, facts
        if self._n_sentences:
            return 0, None, f"{self._n_sentences:,} {self._unit}"
        return 0, None, f"{self._n_bytes / _MEGABYTE:,.1f} MB"
