"""What ``tagger tag`` writes: for each format a function from documents to pieces of output, as a stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import Literal

from tagger.corpus.conll import write_conll
from tagger.corpus.jsonl import json_line
from tagger.corpus.records import sentence_values
from tagger.errors import InputError, printable, printable_lines
from tagger.features.vocab import Task
from tagger.reports.page import PAGE_END, escape, hue_rules, label_hues, page_head
from tagger.text.sentence import Sentence, Span

Tag = Callable[[Iterable[str]], Iterator[Sentence]]
Mark = Callable[[str, str], str]
BOM = "\ufeff"
SCORE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Document:
    """One text to be tagged.

    Attributes:
        name: The file's name, or its path where two files have the same name.
        lines: The text, in pieces; put together they are all of it.
    """

    name: str
    lines: Iterable[str]


@dataclass(frozen=True, slots=True)
class View:
    """What of the tags is shown, and how.

    Attributes:
        tasks: The tasks that are written, in order.
        shown: The task that is shown in running text.
        labels: The types of its spans; empty if its tags mark no spans.
        is_coloured: Whether running text is coloured for a terminal.
        is_terminal: True if running text is printed on a terminal, which then gets no escape sequences of it.
        separator: What separates columns; a tab where a tag may hold a space.
        errors: Sentences that the format cannot hold; the others are written.
    """

    tasks: Sequence[str]
    shown: str
    labels: Sequence[str]
    is_coloured: bool = False
    is_terminal: bool = False
    separator: str = " "
    errors: list[InputError] = field(default_factory=list)


class SourceText:
    """The text between what was read and what was written, so that a document is shown as it is."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()
        self._used = 0  # characters of the first piece that were taken
        self._place = 0

    def record(self, pieces: Iterable[str]) -> Iterator[str]:
        """Pass pieces on and remember them."""
        for piece in pieces:
            self._pieces.append(piece)
            yield piece

    def take(self, end: int | None = None) -> str:
        """The characters from where the last call ended up to ``end`` in the document, or all the rest."""
        parts = []
        while self._pieces and (end is None or self._place < end):
            first = self._pieces[0]
            stop = len(first) if end is None else min(len(first), self._used + end - self._place)
            parts.append(first[self._used : stop])
            self._place += stop - self._used
            self._used = stop
            if stop == len(first):
                self._pieces.popleft()
                self._used = 0
        return "".join(parts)


def jsonl_pieces(documents: Sequence[Document], tag: Tag, view: View) -> Iterator[str]:
    """A line of JSON a sentence; all offsets count characters of the document, named if there are several."""
    for document in documents:
        name = document.name if len(documents) > 1 else None
        for number, sentence in enumerate(tag(document.lines)):
            starts_document = number == 0 or sentence.starts_document
            yield jsonl_line(sentence, view, name, starts_document=starts_document)


def jsonl_line(sentence: Sentence, view: View, name: str | None, *, starts_document: bool) -> str:
    """The line of one sentence; ``name`` is that of its document, where there are several."""
    if sentence.starts_document != starts_document:
        sentence = replace(sentence, starts_document=starts_document)
    values = sentence_values(sentence, view.tasks, digits=SCORE_DIGITS)
    if sentence.candidates:
        values["candidates"] = {
            task: [_candidate_values(span, sentence) for span in sentence.candidates[task]]
            for task in view.tasks
            if task in sentence.candidates
        }
    return json_line(values if name is None else values | {"document": name})


def _candidate_values(span: Span, sentence: Sentence) -> dict[str, object]:
    start, end = span.start_char, span.end_char
    text = sentence.text[start - sentence.text_start : end - sentence.text_start]
    score = None if span.score is None else round(span.score, SCORE_DIGITS)
    return {"start": start, "end": end, "label": span.label, "text": text, "score": score}


def conll_pieces(documents: Sequence[Document], tag: Tag, view: View) -> Iterator[str]:
    """A line a token: the token and a column for each task; a blank line after each sentence.

    The second and later documents begin with ``-DOCSTART-``. Where tags have scores, a column of them stands
    after each task's.
    """
    for number, document in enumerate(documents):
        for place, sentence in enumerate(tag(document.lines)):
            yield conll_block(
                sentence, view, starts_document=sentence.starts_document if place else number > 0
            )


def conll_block(sentence: Sentence, view: View, *, starts_document: bool) -> str:
    """Return the lines of one sentence; none, and an error in the view, if a CoNLL file cannot hold it."""
    block = StringIO()
    columns, tags = list(view.tasks), dict(sentence.tags)
    if sentence.tag_scores:
        columns = [column for task in view.tasks for column in (task, f"score of {task}")]
        for task in view.tasks:
            tags[f"score of {task}"] = tuple(f"{p:.6f}" for p in sentence.tag_scores[task])
    marked = replace(sentence, starts_document=starts_document, tags=tags)
    try:
        write_conll([marked], block, columns=columns, separator=view.separator)
    except InputError as error:
        view.errors.append(error)
        return ""
    return block.getvalue()


def column_separator(tasks: Iterable[Task]) -> Literal[" ", "\t"]:
    """Return what separates the columns of these tasks' tags: a tab if one of them holds a space."""
    return "\t" if any(" " in tag for task in tasks for tag in task.tags) else " "


def text_pieces(documents: Sequence[Document], tag: Tag, view: View) -> Iterator[str]:
    """The documents themselves with their spans marked, by colours or as ``[Jordan|PER]``.

    Each document begins on a line of its own.
    """
    mark: Mark = _slash
    if view.labels:
        mark = _painter(view.labels) if view.is_coloured else _bracket
    plain: Callable[[str], str] = printable_lines if view.is_terminal else str

    def marked(text: str, label: str) -> str:
        return mark(plain(text), label)

    last = "\n"
    for document in documents:
        if not last.endswith("\n"):
            last = "\n"
            yield last
        for piece in _marked(document, tag, view, plain, marked):
            last = piece or last
            yield piece


def html_pieces(documents: Sequence[Document], tag: Tag, view: View) -> Iterator[str]:
    """One page that needs nothing else, with the documents' text and their spans marked."""
    hues = label_hues(view.labels)
    yield page_head("Tagged text", style=_STYLE + hue_rules(hues.values()))
    if hues:
        items = "".join(
            f'<li><mark class="h{hue}">{escape(label)}</mark></li>' for label, hue in hues.items()
        )
        yield f'<ul class="legend" aria-label="Labels of {escape(view.shown)}">{items}</ul>\n'
    for document in documents:
        yield f'<article>\n<h2>{escape(document.name)}</h2>\n<div class="text">'
        yield from _marked(document, tag, view, escape, _html_marker(hues))
        yield "</div>\n</article>\n"
    yield PAGE_END


Pieces = Callable[[Sequence[Document], Tag, View], Iterator[str]]
FORMATS: dict[str, Pieces] = {
    "jsonl": jsonl_pieces,
    "conll": conll_pieces,
    "text": text_pieces,
    "html": html_pieces,
}
BY_SENTENCE = ("jsonl", "conll")
"""Formats in which a sentence is written without what stands around it."""


def _marked(
    document: Document,
    tag: Tag,
    view: View,
    plain: Callable[[str], str],
    mark: Mark,
) -> Iterator[str]:
    """The document's own text, piece by piece, with what is marked in it."""
    source = SourceText()
    for sentence in tag(source.record(document.lines)):
        for start, end, label in _marks(sentence, view):
            yield plain(source.take(start))
            yield mark(source.take(end), label)
        yield plain(source.take(sentence.text_start + len(sentence.text)))  # so that no text is held longer
    yield plain(source.take())


def _marks(sentence: Sentence, view: View) -> Iterator[tuple[int, int, str]]:
    """Where the document is marked, and as what: its spans, or each token if the task has none."""
    if view.labels:
        for span in sentence.spans[view.shown]:
            yield span.start_char, span.end_char, span.label
    else:
        for (start, end), tag in zip(sentence.offsets, sentence.tags[view.shown], strict=True):
            yield start, end, tag


def _bracket(text: str, label: str) -> str:
    return f"[{text}|{printable(label)}]"


def _slash(text: str, label: str) -> str:
    return f"{text}/{printable(label)}"


def _painter(labels: Iterable[str]) -> Mark:
    """Black on a light colour of the label's own, which is readable on light and dark terminals."""
    from colorsys import hls_to_rgb

    from rich.color import Color, ColorSystem
    from rich.style import Style

    def style(hue: int, *, bold: bool) -> Style:
        red, green, blue = (round(255 * part) for part in hls_to_rgb(hue / 360, 0.8, 0.75))
        background = Color.from_rgb(red, green, blue)
        return Style(color=Color.from_ansi(16), bgcolor=background, bold=bold)

    styles = {
        label: (style(hue, bold=False), style(hue, bold=True)) for label, hue in label_hues(labels).items()
    }

    def paint(text: str, label: str) -> str:
        inside, after = styles[label]
        # A colour that runs over a line's end would fill the rest of the terminal's line.
        lines = (inside.render(line, color_system=ColorSystem.EIGHT_BIT) for line in text.split("\n"))
        return "\n".join(lines) + after.render(f" {printable(label)}", color_system=ColorSystem.EIGHT_BIT)

    return paint


def _html_marker(hues: Mapping[str, int]) -> Mark:
    def mark(text: str, label: str) -> str:
        if label not in hues:
            return f"<ruby>{escape(text)}<rt>{escape(label)}</rt></ruby>"
        return f'<mark class="h{hues[label]}">{escape(text)}<b>{escape(label)}</b></mark>'

    return mark


_STYLE = """\
h2{font-size:1rem;color:var(--quiet);overflow-wrap:anywhere}
.text{white-space:pre-wrap;overflow-wrap:anywhere}
h2,.text,.legend li{unicode-bidi:plaintext}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.4rem;margin:0;padding:.5rem 0;
position:sticky;top:0;background:var(--page)}
.legend mark{font-size:.85em}
"""
