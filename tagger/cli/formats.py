"""Output formats of ``tagger tag``: one function per format, from documents to a stream of output."""

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
SCORE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Document:
    """One document to tag.

    Attributes:
        name: The file name, or the path if two files share a name.
        lines: The text in pieces; joined, they are the whole text.
    """

    name: str
    lines: Iterable[str]


@dataclass(frozen=True, slots=True)
class View:
    """Output options: which tasks to write, and how.

    Attributes:
        tasks: The tasks to write, in order.
        text_task: The task to mark in running text (formats text and html).
        labels: The span labels of ``text_task``; empty if it has no spans.
        is_coloured: True to colour running text for a terminal.
        is_terminal: True if running text is printed on a terminal; control characters are then replaced.
        separator: The column separator; a tab if a tag contains a space.
        errors: One error for each sentence that the format cannot hold; the others are written.
    """

    tasks: Sequence[str]
    text_task: str
    labels: Sequence[str]
    is_coloured: bool = False
    is_terminal: bool = False
    separator: str = " "
    errors: list[InputError] = field(default_factory=list)


class SourceText:
    """Buffer between reading and writing, so that a document is reproduced exactly."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()
        self._used = 0  # characters of the first piece already taken
        self._position = 0  # character offset in the document

    def record(self, pieces: Iterable[str]) -> Iterator[str]:
        """Yield the pieces and buffer them."""
        for piece in pieces:
            self._pieces.append(piece)
            yield piece

    def take(self, end: int | None = None) -> str:
        """Return the text from the end of the last call to offset ``end``, or all remaining text."""
        parts = []
        while self._pieces and (end is None or self._position < end):
            first = self._pieces[0]
            stop = len(first) if end is None else min(len(first), self._used + end - self._position)
            parts.append(first[self._used : stop])
            self._position += stop - self._used
            self._used = stop
            if stop == len(first):
                self._pieces.popleft()
                self._used = 0
        return "".join(parts)


def jsonl_pieces(documents: Sequence[Document], tag: Tag, view: View) -> Iterator[str]:
    """Yield one JSON line per sentence, with offsets into its document; name several documents."""
    for document in documents:
        name = document.name if len(documents) > 1 else None
        for number, sentence in enumerate(tag(document.lines)):
            starts_document = number == 0 or sentence.starts_document
            yield jsonl_line(sentence, view, name, starts_document=starts_document)


def jsonl_line(sentence: Sentence, view: View, name: str | None, *, starts_document: bool) -> str:
    """Return the JSON line of a sentence; ``name`` is the document name if there are several."""
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
    """Yield one line per token with a column for each task, and an empty line after each sentence.

    Each document but the first begins with ``-DOCSTART-``. If tags have scores, a score column follows the
    column of each task.
    """
    for number, document in enumerate(documents):
        for index, sentence in enumerate(tag(document.lines)):
            yield conll_block(
                sentence, view, starts_document=sentence.starts_document if index else number > 0
            )


def conll_block(sentence: Sentence, view: View, *, starts_document: bool) -> str:
    """Return the lines of a sentence, or "" after adding an error to the view if CoNLL cannot hold it."""
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
    """Return the column separator: a tab if a tag of these tasks contains a space, else a space."""
    return "\t" if any(" " in tag for task in tasks for tag in task.tags) else " "


def text_pieces(documents: Sequence[Document], tag: Tag, view: View) -> Iterator[str]:
    """Yield the text of the documents with marked spans, in colours or as ``[Jordan|PER]``.

    Each document begins on a new line.
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
    """Yield one self-contained page with the text of the documents and their marked spans."""
    hues = label_hues(view.labels)
    yield page_head("Tagged text", style=_STYLE + hue_rules(hues.values()))
    if hues:
        items = "".join(
            f'<li><mark class="h{hue}">{escape(label)}</mark></li>' for label, hue in hues.items()
        )
        yield f'<ul class="legend" aria-label="Labels of {escape(view.text_task)}">{items}</ul>\n'
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
"""Formats that write each sentence independently of its neighbours."""


def _marked(
    document: Document,
    tag: Tag,
    view: View,
    plain: Callable[[str], str],
    mark: Mark,
) -> Iterator[str]:
    """Yield the text of a document in pieces, with its spans marked."""
    source = SourceText()
    for sentence in tag(source.record(document.lines)):
        for start, end, label in _marks(sentence, view):
            yield plain(source.take(start))
            yield mark(source.take(end), label)
        yield plain(source.take(sentence.text_start + len(sentence.text)))  # keeps the buffer small
    yield plain(source.take())


def _marks(sentence: Sentence, view: View) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and label of each span, or of each token if the task has no spans."""
    if view.labels:
        for span in sentence.spans[view.text_task]:
            yield span.start_char, span.end_char, span.label
    else:
        for (start, end), tag in zip(sentence.offsets, sentence.tags[view.text_task], strict=True):
            yield start, end, tag


def _bracket(text: str, label: str) -> str:
    return f"[{text}|{printable(label)}]"


def _slash(text: str, label: str) -> str:
    return f"{text}/{printable(label)}"


def _painter(labels: Iterable[str]) -> Mark:
    """Return a marker: black on a light colour per label, readable on light and dark terminals."""
    from colorsys import hls_to_rgb

    from rich.color import Color, ColorSystem
    from rich.style import Style

    def style(hue: int, *, bold: bool) -> Style:
        red, green, blue = (round(255 * channel) for channel in hls_to_rgb(hue / 360, 0.8, 0.75))
        background = Color.from_rgb(red, green, blue)
        return Style(color=Color.from_ansi(16), bgcolor=background, bold=bold)

    styles = {
        label: (style(hue, bold=False), style(hue, bold=True)) for label, hue in label_hues(labels).items()
    }

    def paint(text: str, label: str) -> str:
        inside, after = styles[label]
        # A background colour must end before each line end, or it fills the rest of the line.
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
