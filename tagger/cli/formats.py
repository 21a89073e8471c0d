"""What ``tagger tag`` writes: for each format a function from documents to pieces of output, as a stream."""

from __future__ import annotations

import html
import json
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO

from tagger.corpus.conll import write_conll
from tagger.text.sentence import Sentence

Tag = Callable[[Iterable[str]], Iterator[Sentence]]
Mark = Callable[[str, str], str]
HUES = tuple(range(0, 360, 30))  # degrees of the colour circle
HUE_SEED = 1030  # with it the labels of the usual corpora (PER, LOC, ...; NP, VP, ...) get hues far apart


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
    """

    tasks: Sequence[str]
    shown: str
    labels: Sequence[str]
    is_coloured: bool = False


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
        name = {"document": document.name} if len(documents) > 1 else {}
        for sentence in tag(document.lines):
            yield json.dumps(sentence_values(sentence, view.tasks) | name, ensure_ascii=False) + "\n"


def sentence_values(sentence: Sentence, tasks: Sequence[str]) -> dict[str, object]:
    """A sentence as JSON values; scores and alternatives are among them if it has them."""
    values: dict[str, object] = {
        "text": sentence.text,
        "tokens": [
            {"text": token, "start": start, "end": end}
            for token, (start, end) in zip(sentence.tokens, sentence.offsets, strict=True)
        ],
        "tags": {task: list(sentence.tags[task]) for task in tasks},
        "spans": {
            task: [
                {
                    "start": span.start_char,
                    "end": span.end_char,
                    "label": span.label,
                    "text": _cut(sentence, span.start_char, span.end_char),
                    "score": None if span.score is None else round(span.score, 6),
                }
                for span in sentence.spans[task]
            ]
            for task in tasks
            if task in sentence.spans
        },
    }
    if sentence.tag_scores:
        values["scores"] = {task: [round(p, 6) for p in sentence.tag_scores[task]] for task in tasks}
    if sentence.alternatives:
        values["n_best"] = {
            task: [
                # Six digits, not six decimals: a sequence of many tags has a small probability.
                {"tags": list(one.tags), "probability": float(f"{one.probability:.6g}")}
                for one in sentence.alternatives[task]
            ]
            for task in tasks
        }
    return values


def conll_pieces(documents: Sequence[Document], tag: Tag, view: View) -> Iterator[str]:
    """A line a token: the token and a column for each task; a blank line after each sentence.

    The second and later documents begin with ``-DOCSTART-``. Where tags have scores, a column of them stands
    after each task's.
    """
    for number, document in enumerate(documents):
        starts_document = number > 0
        for sentence in tag(document.lines):
            block = StringIO()
            columns, tags = list(view.tasks), dict(sentence.tags)
            if sentence.tag_scores:
                columns = [column for task in view.tasks for column in (task, f"score of {task}")]
                for task in view.tasks:
                    tags[f"score of {task}"] = tuple(f"{p:.6f}" for p in sentence.tag_scores[task])
            marked = replace(sentence, starts_document=starts_document, tags=tags)
            write_conll([marked], block, columns=columns)
            yield block.getvalue()
            starts_document = False


def text_pieces(documents: Sequence[Document], tag: Tag, view: View) -> Iterator[str]:
    """The documents themselves with their spans marked, by colours or as ``[Jordan|PER]``.

    Each document begins on a line of its own.
    """
    mark: Mark = _slash
    if view.labels:
        mark = _painter(view.labels) if view.is_coloured else _bracket
    last = "\n"
    for document in documents:
        if not last.endswith("\n"):
            last = "\n"
            yield last
        for piece in _marked(document, tag, view, str, mark):
            last = piece or last
            yield piece


def html_pieces(documents: Sequence[Document], tag: Tag, view: View) -> Iterator[str]:
    """One page that needs nothing else, with the documents' text and their spans marked."""
    hues = label_hues(view.labels)
    yield _PAGE_HEAD % "".join(f".h{hue}{{--h:{hue}}}" for hue in sorted(set(hues.values())))
    if hues:
        items = "".join(
            f'<li><mark class="h{hue}">{_escape(label)}</mark></li>' for label, hue in hues.items()
        )
        yield f'<ul class="legend" aria-label="Labels of {_escape(view.shown)}">{items}</ul>\n'
    for document in documents:
        yield f'<article>\n<h2>{_escape(document.name)}</h2>\n<div class="text">'
        yield from _marked(document, tag, view, _escape, _html_marker(hues))
        yield "</div>\n</article>\n"
    yield "</body>\n</html>\n"


Pieces = Callable[[Sequence[Document], Tag, View], Iterator[str]]
FORMATS: dict[str, Pieces] = {
    "jsonl": jsonl_pieces,
    "conll": conll_pieces,
    "text": text_pieces,
    "html": html_pieces,
}


def label_hues(labels: Iterable[str]) -> dict[str, int]:
    """For each label a hue in degrees, by a hash of its name; of two with one hue the later moves on."""
    hues: dict[str, int] = {}
    for label in sorted(set(labels)):
        place = zlib.crc32(label.encode(), HUE_SEED) % len(HUES)
        free = (HUES[(place + step) % len(HUES)] for step in range(len(HUES)))
        hues[label] = next((hue for hue in free if hue not in hues.values()), HUES[place])
    return hues


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


def _cut(sentence: Sentence, start: int, end: int) -> str:
    return sentence.text[start - sentence.text_start : end - sentence.text_start]


def _bracket(text: str, label: str) -> str:
    return f"[{text}|{label}]"


def _slash(text: str, label: str) -> str:
    return f"{text}/{label}"


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
        return "\n".join(lines) + after.render(f" {label}", color_system=ColorSystem.EIGHT_BIT)

    return paint


def _html_marker(hues: Mapping[str, int]) -> Mark:
    def mark(text: str, label: str) -> str:
        if label not in hues:
            return f"<ruby>{_escape(text)}<rt>{_escape(label)}</rt></ruby>"
        return f'<mark class="h{hues[label]}">{_escape(text)}<b>{_escape(label)}</b></mark>'

    return mark


def _escape(text: str) -> str:
    # HTML has no NUL, and its parsers turn a carriage return into a line feed.
    return html.escape(text).replace("\0", "\ufffd").replace("\r", "&#13;")


_PAGE_HEAD = """\
<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Tagged text</title>
<style>
:root{color-scheme:light dark;--page:#fff;--ink:#1b1b1b;--quiet:#5c5c5c;--sat:85%%;--light:86%%;--edge:62%%}
@media(prefers-color-scheme:dark){
:root{--page:#15171a;--ink:#e8e8e8;--quiet:#a5a5a5;--sat:45%%;--light:27%%;--edge:48%%}}
body{background:var(--page);color:var(--ink);font:1.05rem/1.75 system-ui,sans-serif;
max-width:48rem;margin:0 auto;padding:1rem}
h2{font-size:1rem;color:var(--quiet);overflow-wrap:anywhere}
.text{white-space:pre-wrap;overflow-wrap:anywhere}
mark{color:inherit;background:hsl(var(--h) var(--sat) var(--light));
border-bottom:2px solid hsl(var(--h) var(--sat) var(--edge));border-radius:.25em;padding:.08em .25em;
-webkit-box-decoration-break:clone;box-decoration-break:clone}
mark b{font-size:.68em;letter-spacing:.03em;margin-left:.4em;user-select:none;-webkit-user-select:none}
rt{font-size:.6em;color:var(--quiet);user-select:none;-webkit-user-select:none}
ruby{margin-right:.15em}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.4rem;margin:0;padding:.5rem 0;
position:sticky;top:0;background:var(--page)}
.legend mark{font-size:.85em}
%s
</style>
</head>
<body>
"""
