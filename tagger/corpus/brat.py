"""brat's standoff format: a text ``NAME.txt`` and its spans ``NAME.ann``.

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

    Offsets count the characters of the unchanged ``.txt`` (``\r\n`` counts as two), unless
    ``reading.offsets`` names another unit or the texts of the spans reveal one. The spans belong to the only
    requested task, by default ``ner``. A discontinuous span whose gaps are not line breaks is treated as
    misaligned; expanded, it reaches from its first fragment to its last. Sentences have no field for
    relations, events, attributes, normalisations and notes; the reader reports each of them to
    ``reading.warn``, and each text without an ``.ann``.

    Args:
        path: A folder, whose ``.txt`` files are read in the order of their names, or one file of a pair.
        reading: The reader options.

    Raises:
        InputError: If columns or several tasks are requested; while reading, if a file cannot be read.
            All other errors go to ``reading.on_error``.
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
        reading.on_error(
            InputError(
                "the folder has no sentences. Pass a folder of .txt and .ann files.",
                code="corpus.empty",
                where=path,
            )
        )


def write_brat(sentences: Iterable[Sentence], folder: Path, writing: Writing) -> None:
    """Write a ``.txt`` and an ``.ann`` for each document or sentence, and brat's label configuration.

    Files are named by their number, and by the identifier of a comment ``# newdoc id = …`` or
    ``# sent_id = …`` if it is a plain name. Spans are split at line breaks, as brat splits them.

    Raises:
        InputError: If there is not exactly one task, or a sentence has no spans for the task.
    """
    labels: dict[str, None] = {}  # an ordered set
    documents = documents_of_one_task(sentences, writing, "A brat folder")
    for number, (document, spans) in enumerate(documents, 1):
        labels.update(dict.fromkeys(span.label for span in spans))
        at = measure(document.text, writing.offsets)
        lines = [_span_line(index, span, document.text, at) for index, span in enumerate(spans, 1)]
        name = _file_name(document, number, writing.unit)
        _write(folder / f"{name}.txt", document.text)
        _write(folder / f"{name}.ann", "".join(lines))
    known = [name for name in labels if _BRAT_LABEL.fullmatch(name)]
    sections = ("[entities]", *known, "", "[relations]", "", "[events]", "", "[attributes]", "")
    _write(folder / CONFIGURATION, "\n".join(sections))


@dataclass(frozen=True, slots=True)
class _Line:
    """A span line of an ``.ann``: the label, the ranges of the fragments, and their declared text."""

    label: str
    fragments: Sequence[Offset]
    text: str


def _text_paths(path: Path, reading: Reading) -> list[Path]:
    """Return the texts to read, in order, and report each ``.ann`` without a text."""
    if not path.exists():
        raise InputError("there is no such file or folder. Check the path.", code="file.missing", where=path)
    try:
        paths = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError as error:
        raise InputError(
            f"the folder cannot be read ({error.strerror or error}).", code="file.unreadable", where=path
        ) from None
    texts = []
    for entry in paths:
        text_path = entry.with_suffix(".txt")
        if entry.suffix == ".ann" and not text_path.exists():
            reading.on_error(
                InputError(
                    f"there is no {text_path.name} next to it. Add the text.",
                    code="file.missing",
                    where=entry,
                )
            )
        elif entry.suffix in (".ann", ".txt"):
            texts.append(text_path)
    return list(dict.fromkeys(texts))


def _read_pair(path: Path, task: str, units: OffsetUnits, reading: Reading) -> Iterator[Sentence]:
    """Read the sentences of one ``.txt``, each with its first line number."""
    ann_path = path.with_suffix(".ann")
    try:
        text = _read_text(path)
        spans = list(_read_spans(ann_path, text, units, reading)) if ann_path.exists() else []
    except InputError as error:
        reading.on_error(error)
        return
    if not ann_path.exists():
        reading.warn(f"{path}: there is no {ann_path.name}; it is read as text without spans.")
    sentences = place_spans(text, {task: spans}, reading, str(path))
    if not sentences:
        reading.warn(f"{path}: {NO_TOKEN}")
    line, position = 1, 0
    for sentence in sentences:
        line, position = line + text.count("\n", position, sentence.text_start), sentence.text_start
        yield replace(sentence, source=f"{path}:{line}")


def _read_text(path: Path) -> str:
    try:
        return read_input(path, max_bytes=LONGEST_LINE).decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.start - error.object.rfind(b"\n", 0, error.start)
        raise InputError(
            f"byte {byte} of the line (0x{error.object[error.start]:02x}) is not UTF-8. "
            "Convert the file to UTF-8, for instance with iconv.",
            code="corpus.encoding",
            where=f"{path}:{line}",
        ) from None
    except FileNotFoundError:
        raise InputError("there is no such file. Check the path.", code="file.missing", where=path) from None
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror or error}).", code="file.unreadable", where=path
        ) from None


def _read_spans(path: Path, text: str, units: OffsetUnits, reading: Reading) -> Iterator[TextSpan]:
    lines: list[tuple[str, _Line]] = []
    for number, line in numbered_lines(path, on_error=reading.on_error):
        if not line or line.isspace():
            continue
        where = f"{path}:{number}"
        if line[0] in _OTHER_LINES:
            kind = _OTHER_LINES[line[0]]
            reading.warn(
                f"{where}: the {kind} {line.split()[0]} was skipped; sentences have no field for it."
            )
            continue
        try:
            lines.append((where, _parse(line, where)))
        except InputError as error:
            reading.on_error(error)
    evidence = [span for where, annotation in lines for span in _fragment_spans(annotation, where)]
    ruler = Ruler(text, units.choose(text, evidence, str(path)))
    for where, annotation in lines:
        try:
            converted = ruler.convert(_fragment_spans(annotation, where))
            fragments = [(fragment.start, fragment.end) for fragment in converted]
            span = _text_span(replace(annotation, fragments=fragments), where, text, reading)
        except InputError as error:
            reading.on_error(error)
            continue
        if span:
            yield span


def _fragment_spans(line: _Line, where: str) -> list[TextSpan]:
    """Return the fragments of a span, with its text if there is only one fragment."""
    text = line.text if len(line.fragments) == 1 else None
    return [TextSpan(start, end, line.label, where=where, text=text) for start, end in line.fragments]


def _parse(line: str, where: str) -> _Line:
    match = _SPAN_LINE.fullmatch(line)
    if match is None:
        raise InputError(
            f"{line!r:.60} is not a brat annotation. Write an identifier, a tab, label start end, a "
            "tab and the text, as in T1<tab>PER 0 5<tab>Maria.",
            code="corpus.record",
            where=where,
        )
    ranges = [fragment.split(" ") for fragment in match[2].split(";")]
    return _Line(label(match[1], where), [(int(start), int(end)) for start, end in ranges], match[3])


def _text_span(line: _Line, where: str, text: str, reading: Reading) -> TextSpan | None:
    """Return the span of a line, or None if its fragments do not form one span and it is skipped."""
    fragments = sorted(line.fragments)
    span = TextSpan(fragments[0][0], max(end for _, end in fragments), line.label, where=where)
    covered = " ".join(text[start:end] for start, end in line.fragments)
    if span.end <= len(text) and _BREAKS.sub(" ", covered) != _BREAKS.sub(" ", line.text):
        raise InputError(
            f"the span {_name(line)} should cover {line.text!r} (got {covered!r}). "
            "Correct the offsets (line breaks count), or set their unit with --offsets.",
            code="corpus.offsets",
            where=where,
            option="--offsets",
        )
    gaps = [text[end:start] for (_, end), (start, _) in pairwise(fragments)]
    if all(gap.isspace() and _BREAKS.search(gap) for gap in gaps):
        return span
    problem = f"the span {_name(line)} {covered!r} is discontinuous"
    if reading.on_misaligned == "error":
        reading.on_error(
            InputError(
                f"{problem}. Mark a contiguous span, or pass --on-misaligned expand (the span then reaches "
                "from its first fragment to its last) or skip.",
                code="corpus.offsets",
                where=where,
                option="--on-misaligned",
            )
        )
        return None
    if reading.on_misaligned in ("skip", "trim"):
        reading.warn(f"{where}: {problem}; it was skipped.")
        return None
    reading.warn(f"{where}: {problem}; it was expanded to [{span.start}, {span.end}).")
    return span


def _name(line: _Line) -> str:
    return ";".join(f"[{start}, {end})" for start, end in line.fragments) + f" ({line.label})"


def _span_line(number: int, span: TextSpan, text: str, at: Callable[[int], int]) -> str:
    """Return the line of a span, split into fragments at its line breaks, as brat does."""
    breaks = [match.span() for match in _BREAKS.finditer(text, span.start, span.end)]
    borders = [span.start, *(position for line_break in breaks for position in line_break), span.end]
    fragments = list(zip(borders[::2], borders[1::2], strict=True))
    if any(start == end for start, end in fragments):  # a token begins or ends with a line break
        fragments = [(span.start, span.end)]
    ranges = ";".join(f"{at(start)} {at(end)}" for start, end in fragments)
    words = " ".join(text[start:end] for start, end in fragments)
    return f"T{number}\t{span.label} {ranges}\t{_BREAKS.sub(' ', words)}\n"


def _file_name(document: Document, number: int, unit: Unit) -> str:
    name = f"{number:07}"  # first, so that names sort in document order
    match = next(filter(None, map(_IDENTIFIERS[unit].fullmatch, document.comments)), None)
    return f"{name}-{match[1]}" if match else name


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8", newline="")
