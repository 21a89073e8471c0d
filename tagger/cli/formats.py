"""Output formats of ``tagger tag``: ``FORMATS`` maps the name of a format to the functions that write it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO

from tagger.corpus.conll import token_line, write_conll
from tagger.errors import InputError, OnError, printable, printable_lines
from tagger.reports.page import PAGE_END, hue_rules, page_head
from tagger.runtime.json_lines import sentence_line, sentence_lines
from tagger.runtime.live_text import Tagged, word_lines
from tagger.runtime.options import TagOptions
from tagger.text.markup import escape, label_hues
from tagger.text.sentence import Sentence

Tag = Callable[[Iterable[str]], Iterator[Sentence]]
Mark = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Document:
    """One document to tag.

    Attributes:
        name: The file name, or the path if two files share a name.
        lines: The text in pieces; joined, they are the whole text.
    """

    name: str
    lines: Iterable[str]


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


def jsonl_pieces(
    documents: Sequence[Document], tag: Tag, options: TagOptions, on_error: OnError
) -> Iterator[str]:
    """Yield one JSON line per sentence, with offsets into its document; name several documents."""
    for document in documents:
        name = document.name if len(documents) > 1 else None
        yield from sentence_lines(tag(document.lines), options, name)


def _jsonl_sentence(
    sentence: Sentence, options: TagOptions, on_error: OnError, name: str | None, number: int, is_first: bool
) -> str:
    return sentence_line(sentence, options, name, is_first=is_first)


def conll_pieces(
    documents: Sequence[Document], tag: Tag, options: TagOptions, on_error: OnError
) -> Iterator[str]:
    """Yield one line per token with a column for each task, and an empty line after each sentence.

    Each document but the first begins with ``-DOCSTART-``. If tags have scores, a score column follows the
    column of each task. Sentences that CoNLL cannot hold are passed to ``on_error``; the others are written.
    """
    for number, document in enumerate(documents):
        for index, sentence in enumerate(tag(document.lines)):
            yield _conll_sentence(sentence, options, on_error, None, number, index == 0)


def _conll_sentence(
    sentence: Sentence, options: TagOptions, on_error: OnError, name: str | None, number: int, is_first: bool
) -> str:
    block = StringIO()
    columns, tags = list(options.task_names), dict(sentence.tags)
    if sentence.tag_scores:
        columns = [column for task in options.task_names for column in (task, f"score of {task}")]
        for task in options.task_names:
            tags[f"score of {task}"] = tuple(f"{p:.6f}" for p in sentence.tag_scores[task])
    starts_document = number > 0 if is_first else sentence.starts_document
    marked = replace(sentence, starts_document=starts_document, tags=tags)
    try:
        write_conll([marked], block, columns=columns, separator=options.separator)
    except InputError as error:
        on_error(error)
        return ""
    return block.getvalue()


def text_pieces(
    documents: Sequence[Document], tag: Tag, options: TagOptions, on_error: OnError
) -> Iterator[str]:
    """Yield the text of the documents with marked spans, in colours or as ``[Jordan|PER]``.

    Each document begins on a new line.
    """
    mark: Mark = _slash
    if options.labels:
        mark = _painter(options.labels) if options.is_coloured else _bracket
    plain: Callable[[str], str] = printable_lines if options.is_terminal else str

    def marked(text: str, label: str) -> str:
        return mark(plain(text), label)

    last = "\n"
    for document in documents:
        if not last.endswith("\n"):
            last = "\n"
            yield last
        for piece in _marked(document, tag, options, plain, marked):
            last = piece or last
            yield piece


def html_pieces(
    documents: Sequence[Document], tag: Tag, options: TagOptions, on_error: OnError
) -> Iterator[str]:
    """Yield one self-contained page with the text of the documents and their marked spans."""
    hues = label_hues(options.labels)
    yield page_head("Tagged text", style=_STYLE + hue_rules(hues.values()))
    if hues:
        items = "".join(
            f'<li><mark class="h{hue}">{escape(label)}</mark></li>' for label, hue in hues.items()
        )
        yield f'<ul class="legend" aria-label="Labels of {escape(options.text_task.name)}">{items}</ul>\n'
    for document in documents:
        yield f'<article>\n<h2>{escape(document.name)}</h2>\n<div class="text">'
        yield from _marked(document, tag, options, escape, _html_marker(hues))
        yield "</div>\n</article>\n"
    yield PAGE_END


def conll_lines(tagged: Tagged, options: TagOptions) -> Iterator[str]:
    """Yield one line per token with a column for each task, and an empty line after each sentence."""
    is_first = True
    for one in tagged:
        if one is None:
            yield "\n"
        else:
            token, tags = one
            cells = [token.text, *(tags[task] for task in options.task_names)]
            yield token_line(cells, options.separator, is_first=is_first)
        is_first = one is None


DocumentsWriter = Callable[[Sequence[Document], Tag, TagOptions, OnError], Iterator[str]]
SentenceWriter = Callable[[Sentence, TagOptions, OnError, str | None, int, bool], str]
StreamWriter = Callable[[Tagged, TagOptions], Iterator[str]]


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """The functions that write one format.

    Attributes:
        write: Yields the output for all documents. Errors of single sentences go to ``on_error``.
        write_sentence: Returns the output for one sentence, given the name of its document if there are
            several, the document's index, and True for the document's first sentence. None if the output for
            a sentence depends on its neighbours.
        write_stream: Yields one line per word; None if the format cannot be streamed.
    """

    write: DocumentsWriter
    write_sentence: SentenceWriter | None = None
    write_stream: StreamWriter | None = None


FORMATS = {
    "jsonl": OutputFormat(jsonl_pieces, _jsonl_sentence, word_lines),
    "conll": OutputFormat(conll_pieces, _conll_sentence, conll_lines),
    "text": OutputFormat(text_pieces),
    "html": OutputFormat(html_pieces),
}
BY_SENTENCE = tuple(name for name, one in FORMATS.items() if one.write_sentence)
STREAMED = tuple(name for name, one in FORMATS.items() if one.write_stream)


def _marked(
    document: Document,
    tag: Tag,
    options: TagOptions,
    plain: Callable[[str], str],
    mark: Mark,
) -> Iterator[str]:
    """Yield the text of a document in pieces, with its spans marked."""
    source = SourceText()
    for sentence in tag(source.record(document.lines)):
        for start, end, label in _marks(sentence, options):
            yield plain(source.take(start))
            yield mark(source.take(end), label)
        yield plain(source.take(sentence.text_start + len(sentence.text)))  # keeps the buffer small
    yield plain(source.take())


def _marks(sentence: Sentence, options: TagOptions) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and label of each span, or of each token if the task has no spans."""
    if options.labels:
        for span in sentence.spans[options.text_task.name]:
            yield span.start_char, span.end_char, span.label
    else:
        for (start, end), tag in zip(sentence.offsets, sentence.tags[options.text_task.name], strict=True):
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
