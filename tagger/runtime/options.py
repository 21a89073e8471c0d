"""``TagOptions``: the options of ``tagger tag``, from the command line to the tagger and the output."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tagger.features.vocab import Task
from tagger.runtime.min_score import MinScore
from tagger.text.schemes import split_tag


@dataclass(frozen=True, kw_only=True)
class TagOptions:
    """Options of one run of ``tagger tag``; other callers set those that they need.

    The command line, its worker processes, ``Tagger`` and the output formats receive the same record.

    Attributes:
        n_best: Number of alternatives per task, see ``Tagger.tag_sentences``.
        has_scores: True to compute the probability of each tag.
        min_score: Score threshold of the returned spans, for all labels or per label.
        candidates: Probability threshold of candidate spans, 0 for none.
        tasks: The tasks to write, in order.
        format: The output format, a key of ``cli.formats.FORMATS``.
        is_coloured: True to colour running text for a terminal.
        is_terminal: True if running text is printed on a terminal; control characters are then replaced.
        is_pretokenized: True if each line of the input is a pretokenized sentence.
        lookahead: Number of words after a word that a stream reads before it tags the word.
        model: The model folder, for processes that load the model themselves.
        scheme: Scheme of the tags of span tasks, see ``Tagger``.
        precision: Precision of the recurrent weights, see ``Tagger``.
        cache_megabytes: Size of the word cache, see ``Tagger``.
    """

    n_best: int = 0
    has_scores: bool = False
    min_score: MinScore = 0.0
    candidates: float = 0.0
    tasks: tuple[Task, ...] = ()
    format: str = "jsonl"
    is_coloured: bool = False
    is_terminal: bool = False
    is_pretokenized: bool = False
    lookahead: int = 0
    model: Path = Path()
    scheme: str = "IOB2"
    precision: str = "f32"
    cache_megabytes: int = 0

    @cached_property
    def task_names(self) -> tuple[str, ...]:
        """The names of the tasks to write."""
        return tuple(task.name for task in self.tasks)

    @cached_property
    def text_task(self) -> Task:
        """The task to mark in running text (formats text and html): the first with spans, if there is one."""
        return next((task for task in self.tasks if task.scheme), self.tasks[0])

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The span labels of ``text_task``, sorted; empty if it has no spans."""
        if not self.text_task.scheme:
            return ()
        return tuple(sorted({split_tag(tag)[1] for tag in self.text_task.tags if tag != "O"}))

    @cached_property
    def separator(self) -> str:
        """The column separator: a tab if a tag contains a space, else a space."""
        return "\t" if any(" " in tag for task in self.tasks for tag in task.tags) else " "
