"""Tag the tokens of column files and write them back with predicted columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import tee
from pathlib import Path

from tagger.cli.formats import View, column_separator, jsonl_line
from tagger.cli.output import open_output, say
from tagger.corpus.conll import BORDER, write_conll
from tagger.corpus.conllu import write_conllu
from tagger.corpus.conllu_columns import FIELDS, plus_columns
from tagger.corpus.csv_tables import find_header
from tagger.corpus.detection import Detected, detect
from tagger.corpus.lines import numbered_lines
from tagger.corpus.reading import Reading
from tagger.corpus.tags import line_of
from tagger.errors import InputError
from tagger.features.vocab import Task
from tagger.text.sentence import Sentence

_PARTS_OF_SPEECH = ("pos", "upos", "xpos")

TagSentences = Callable[[Iterable[Sentence]], Iterator[Sentence]]


@dataclass(frozen=True, slots=True)
class ColumnFile:
    """A file of tokens to tag.

    Attributes:
        detected: Its format and columns.
        style: The format to write: ``conll``, ``conllu`` or ``jsonl``.
        name: The document's name, where there are several.
    """

    detected: Detected
    style: str
    name: str | None = None


def open_columns(path: Path, format: str, columns: str | None, style: str, name: str | None) -> ColumnFile:
    """Detect the columns of a file whose tokens are to be tagged.

    Raises:
        InputError: It is not a regular file, or not one of columns; or the format to write cannot hold them.
    """
    if not path.is_file():
        raise InputError(f"{path}: --input {format} reads files only (got no regular file). Save it to one.")
    first = next((line for _, line in numbered_lines(path)), "")
    header = find_header(first) if format == "conll" else None
    if header and header.is_certain:
        raise InputError(
            f"{path}:1: this is a table with a header (got {first!r:.60}). Convert it first, as with `tagger "
            f"convert {path.name} tokens.conll`."
        )
    detected = detect(path, format=format, columns=columns)
    if detected.problem:
        raise InputError(detected.problem)
    if style == "conllu" and format != "conllu":
        raise InputError(f"{path}: only --input conllu is written as conllu (got --input {format}).")
    if style == "conllu" and plus_columns(first) is not None:
        raise InputError(
            f"{path}: further columns of CoNLL-U Plus cannot be written. Pass --format conll or jsonl."
        )
    return ColumnFile(detected, style, name)


def write_columns(
    files: Sequence[ColumnFile], output: Path | None, tag: TagSentences, view: View, tasks: Sequence[Task]
) -> None:
    """Tag files of tokens, write them one after another, and say on standard error how they were read.

    Raises:
        InputError: As ``column_pieces``, or the output cannot be written.
    """
    by_name = {task.name: task for task in tasks}
    with open_output(output) as target:
        for file in files:
            target.writelines(column_pieces(file, tag, view, by_name))
    for file in files:
        say(file.detected.describe())


def column_pieces(
    file: ColumnFile, tag: TagSentences, view: View, tasks: Mapping[str, Task]
) -> Iterator[str]:
    """Tag the tokens of a file and write it back, piece by piece.

    In ``conll`` the lines stay and get a column for each task, predicted tags next to gold ones, as
    ``conlleval`` reads them. In ``conllu`` predicted parts of speech replace those of the file, and other
    tags go to MISC.

    Args:
        file: The file.
        tag: Tags sentences.
        view: The tasks to write.
        tasks: The model's tasks by name.

    Raises:
        InputError: While reading, if the file is malformed.
    """
    detected = file.detected
    sentences = detected.read(Reading(tasks=detected.tasks))
    if file.style == "jsonl":
        for sentence in tag(sentences):
            yield jsonl_line(sentence, view, file.name, starts_document=sentence.starts_document)
    elif detected.format == "conllu":
        yield from _conllu_pieces(file, sentences, tag, view)
    else:
        yield from _conll_pieces(detected, tag(sentences), view, tasks)


def _conll_pieces(
    detected: Detected, tagged: Iterable[Sentence], view: View, tasks: Mapping[str, Task]
) -> Iterator[str]:
    needed = column_separator(tasks[name] for name in view.tasks)
    has_one_column = len((detected.columns or "").split(",")) == 1
    separator = "\t" if detected.is_tabbed else " "
    if needed == "\t" and separator == " ":
        if not has_one_column:
            raise InputError(
                f"{detected.path}: the model's labels hold spaces, which columns separated by spaces cannot. "
                "Separate them by tabs, or pass --format jsonl."
            )
        separator = needed
    filler = ["-X-" if name in _PARTS_OF_SPEECH else "O" for name in view.tasks]
    lines = numbered_lines(detected.path)
    for sentence in tagged:
        scored = [_column(sentence, name) for name in view.tasks]
        rows = {int(line_of(sentence, place).rpartition(":")[2]): place for place in range(len(sentence))}
        last = max(rows)
        for number, line in lines:
            cells = [column[rows[number]] for column in scored] if number in rows else None
            yield _with_cells(line, cells, filler, separator)
            if number == last:
                break
    for _, line in lines:
        yield _with_cells(line, None, filler, separator)


def _column(sentence: Sentence, task: str) -> Sequence[str]:
    if not sentence.tag_scores:
        return sentence.tags[task]
    scores = sentence.tag_scores[task]
    return [f"{tag} {score:.6f}" for tag, score in zip(sentence.tags[task], scores, strict=True)]


def _with_cells(line: str, cells: Sequence[str] | None, filler: Sequence[str], separator: str) -> str:
    if cells is None and (line[:1] == "#" or BORDER not in line.split()):
        return f"{line}\n"
    return separator.join([line.rstrip(" \t"), *(filler if cells is None else cells)]) + "\n"


def _conllu_pieces(
    file: ColumnFile, sentences: Iterable[Sentence], tag: TagSentences, view: View
) -> Iterator[str]:
    """Write predicted tags into their columns, or next to the file's own in columns of CoNLL."""
    gold, copies = tee(sentences)
    own = [name for name in view.tasks if name in file.detected.tasks]
    for before, after in zip(gold, tag(copies), strict=True):
        block = StringIO()
        if file.style == "conllu":
            merged = replace(after, tags={**before.tags, **{name: after.tags[name] for name in view.tasks}})
            write_conllu([merged], block, misc=[name for name in view.tasks if name not in FIELDS])
        else:
            predicted = {f"predicted {name}": after.tags[name] for name in view.tasks}
            merged = replace(after, tags={**{name: before.tags[name] for name in own}, **predicted})
            columns = [*own, *predicted]
            write_conll([merged], block, columns=columns, separator="\t")
        yield block.getvalue()
