"""brat's standoff format: a text ``NAME.txt`` and its spans in ``NAME.ann``.

See https://brat.nlplab.org/standoff.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from tagger.corpus.lines import LONGEST_LINE, numbered_lines
from tagger.corpus.offsets import OffsetUnits, Ruler, measure
from tagger.corpus.placement import Document, TextSpan, documents_of_one_task, place_spans
from tagger.corpus.reading import Reading, Unit, Writing
from tagger.corpus.records import NO_TOKEN, require_no_columns
from tagger.corpus.tokens import flat_task
from tagger.corpus.values import label
from tagger.errors import InputError
from tagger.storage import read_input
from tagger.text.sentence import Offset, Sentence

CONFIGURATION = "annotation.conf"
_SPAN_LINE = re.compile(r"T\S*\t(\S.*?) (\d{1,15} \d{1,15}(?:;\d{1,15} \d{1,15})*)\t(.*)", re.DOTALL)
_OTHER_LINES = {
    "R": "relation",
    "E": "event",
    "A": "attribute",
    "M": "attribute",
    "N": "normalisation",
    "#": "note",
    "*": "equivalence",
}
_BREAKS = re.compile(r"[\r\n]+")
_IDENTIFIERS = {
    unit: re.compile(rf"# *{name} *= *([A-Za-z0-9][A-Za-z0-9_.-]{{0,99}})\s*")
    for unit, name in (("document", "newdoc id"), ("sentence", "sent_id"))
}
_BRAT_LABEL = re.compile(r"[A-Za-z0-9_-]+")


def read_brat(path: str | Path, reading: Reading) -> Iterator[Sentence]:
    r"""Read sentences from documents with standoff spans, one document at a time.

    Offsets count the characters of the ``.txt`` as they are (``\r\n`` is two), unless ``reading.offsets``
    or the texts of the spans show another unit. The spans are those of the only task asked for, or ``ner``.
    A span in several parts with more than line breaks between them is treated as a misaligned one; it is
    widened to all from its first part to its last. Relations, events, attributes, normalisations and notes
    have no place in a sentence; each is told to ``reading.note``, and so is a text without an ``.ann``.

    Args:
        path: A folder, whose ``.txt`` files are read in the order of their names, or one file of a pair.
        reading: The task; how to tokenise; what becomes of problems.

    Raises:
        InputError: If columns or several tasks are asked for; while reading, if a file cannot be read.
            Whatever else is wrong goes to ``reading.refuse``.
    """
    require_no_columns(reading, path)
    task = flat_task(reading, path)
    units = OffsetUnits(reading, path)
    is_empty = True
    for text_path in _text_paths(Path(path), reading):
        for sentence in _read_pair(text_path, task, units, reading):
            is_empty = False
            yield sentence
    if is_empty:
        reading.refuse(f"{path}: there is no sentence; give a folder of .txt and .ann files.")


def write_brat(sentences: Iterable[Sentence], folder: Path, writing: Writing) -> None:
    """Write a ``.txt`` and an ``.ann`` for each document or sentence, and the labels for brat to know.

    Files are called by their number and, where a comment ``# newdoc id = …`` or ``# sent_id = …`` gives one
    that is plain enough, by the identifier. A span is cut at line breaks, as brat cuts it.

    Raises:
        InputError: If there is not one task, or a sentence has no spans for it.
    """
    labels: dict[str, None] = {}  # a set that keeps its order
    own = documents_of_one_task(sentences, writing, "A brat folder")
    for number, (document, spans) in enumerate(own, 1):
        labels.update(dict.fromkeys(span.label for span in spans))
        at = measure(document.text, writing.offsets)
        lines = [_span_line(place, span, document.text, at) for place, span in enumerate(spans, 1)]
        name = _file_name(document, number, writing.unit)
        _write(folder / f"{name}.txt", document.text)
        _write(folder / f"{name}.ann", "".join(lines))
    known = [name for name in labels if _BRAT_LABEL.fullmatch(name)]
    sections = ("[entities]", *known, "", "[relations]", "", "[events]", "", "[attributes]", "")
    _write(folder / CONFIGURATION, "\n".join(sections))


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of an ``.ann``: a span's label, the ranges of its parts, and the text that they should have."""

    label: str
    parts: Sequence[Offset]
    text: str


def _text_paths(path: Path, reading: Reading) -> list[Path]:
    """Return the texts to read, in order; an ``.ann`` that has none is refused."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder; check the path.")
    try:
        paths = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError as error:
        raise InputError(f"{path}: the folder cannot be read ({error.strerror or error}).") from None
    texts = []
    for one in paths:
        text_path = one.with_suffix(".txt")
        if one.suffix == ".ann" and not text_path.exists():
            reading.refuse(f"{one}: there is no {text_path.name} beside it; add the text.")
        elif one.suffix in (".ann", ".txt"):
            texts.append(text_path)
    return list(dict.fromkeys(texts))


def _read_pair(path: Path, task: str, units: OffsetUnits, reading: Reading) -> Iterator[Sentence]:
    """Read the sentences of one ``.txt``, each with the line where it begins."""
    ann_path = path.with_suffix(".ann")
    try:
        text = _read_text(path)
        spans = list(_read_spans(ann_path, text, units, reading)) if ann_path.exists() else []
    except InputError as error:
        reading.refuse(str(error))
        return
    if not ann_path.exists():
        reading.note(f"{path}: there is no {ann_path.name}; it is read as a text without spans.")
    sentences = place_spans(text, {task: spans}, reading, str(path))
    if not sentences:
        reading.note(f"{path}: {NO_TOKEN}")
    line, place = 1, 0
    for sentence in sentences:
        line, place = line + text.count("\n", place, sentence.text_start), sentence.text_start
        yield replace(sentence, source=f"{path}:{line}")


def _read_text(path: Path) -> str:
    try:
        return read_input(path, most=LONGEST_LINE).decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        place = error.start - error.object.rfind(b"\n", 0, error.start)
        raise InputError(
            f"{path}:{line}: byte {place} of the line (0x{error.object[error.start]:02x}) is not UTF-8; "
            "convert the file to UTF-8, for instance with iconv."
        ) from None
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; check the path.") from None
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read ({error.strerror or error}).") from None


def _read_spans(path: Path, text: str, units: OffsetUnits, reading: Reading) -> Iterator[TextSpan]:
    lines: list[tuple[str, _Line]] = []
    for number, line in numbered_lines(path, refuse=reading.refuse):
        if not line or line.isspace():
            continue
        where = f"{path}:{number}"
        if line[0] in _OTHER_LINES:
            kind = _OTHER_LINES[line[0]]
            reading.note(f"{where}: the {kind} {line.split()[0]} was left out; no sentence holds it.")
            continue
        try:
            lines.append((where, _parse(line, where)))
        except InputError as error:
            reading.refuse(str(error))
    unit = units.choose(text, [part for where, one in lines for part in _part_spans(one, where)], str(path))
    ruler = Ruler(text, unit)
    for where, annotation in lines:
        try:
            parts = [(part.start, part.end) for part in ruler.convert(_part_spans(annotation, where))]
            span = _text_span(replace(annotation, parts=parts), where, text, reading)
        except InputError as error:
            reading.refuse(str(error))
            continue
        if span:
            yield span


def _part_spans(line: _Line, where: str) -> list[TextSpan]:
    """The parts of a span, with its text where there is one part only."""
    text = line.text if len(line.parts) == 1 else None
    return [TextSpan(start, end, line.label, where=where, text=text) for start, end in line.parts]


def _parse(line: str, where: str) -> _Line:
    match = _SPAN_LINE.fullmatch(line)
    if match is None:
        raise InputError(
            f"{where}: {line!r:.60} is no line of brat; write an identifier, a tab, label start end, a tab "
            "and the text, as in T1<tab>PER 0 5<tab>Maria."
        )
    ranges = [part.split(" ") for part in match[2].split(";")]
    return _Line(label(match[1], where), [(int(start), int(end)) for start, end in ranges], match[3])


def _text_span(line: _Line, where: str, text: str, reading: Reading) -> TextSpan | None:
    """Return the span of a line; None if its parts cannot be one span and are to be left out."""
    parts = sorted(line.parts)
    span = TextSpan(parts[0][0], max(end for _, end in parts), line.label, where=where)
    there = " ".join(text[start:end] for start, end in line.parts)
    if span.end <= len(text) and _BREAKS.sub(" ", there) != _BREAKS.sub(" ", line.text):
        raise InputError(
            f"{where}: the span {_name(line)} should be {line.text!r}, but the text has {there!r} there; "
            "correct the offsets, line breaks among them, or say what they count with --offsets."
        )
    gaps = [text[end:start] for (_, end), (start, _) in pairwise(parts)]
    if all(gap.isspace() and _BREAKS.search(gap) for gap in gaps):
        return span
    message = f"{where}: the span {_name(line)} {there!r} is in several parts"
    if reading.on_misaligned == "error":
        reading.refuse(
            f"{message}; mark one stretch, or say --on-misaligned expand (takes all from the first part to "
            "the last) or skip (leaves it out)."
        )
        return None
    if reading.on_misaligned in ("skip", "trim"):
        reading.note(f"{message}; it was left out.")
        return None
    reading.note(f"{message}; it was widened to [{span.start}, {span.end}).")
    return span


def _name(line: _Line) -> str:
    return ";".join(f"[{start}, {end})" for start, end in line.parts) + f" ({line.label})"


def _span_line(number: int, span: TextSpan, text: str, at: Callable[[int], int]) -> str:
    """Write a span in parts between the line breaks in it, as brat does."""
    breaks = [match.span() for match in _BREAKS.finditer(text, span.start, span.end)]
    borders = [span.start, *(place for one in breaks for place in one), span.end]
    parts = list(zip(borders[::2], borders[1::2], strict=True))
    if any(start == end for start, end in parts):  # a token begins or ends with a line break
        parts = [(span.start, span.end)]
    ranges = ";".join(f"{at(start)} {at(end)}" for start, end in parts)
    words = " ".join(text[start:end] for start, end in parts)
    return f"T{number}\t{span.label} {ranges}\t{_BREAKS.sub(' ', words)}\n"


def _file_name(document: Document, number: int, unit: Unit) -> str:
    name = f"{number:07}"  # first, so that the order of the names is that of the documents
    match = next(filter(None, map(_IDENTIFIERS[unit].fullmatch, document.comments)), None)
    return f"{name}-{match[1]}" if match else name


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8", newline="")
