"""Tag the tokens of column files and write the files back with predicted tags."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import tee
from pathlib import Path

from tagger.cli.output import open_output, print_message
from tagger.corpus.columns import PARTS_OF_SPEECH
from tagger.corpus.conll import DOCUMENT_START, write_conll
from tagger.corpus.conllu import write_conllu
from tagger.corpus.conllu_columns import FIELDS, plus_columns
from tagger.corpus.detection import Detected, detect
from tagger.corpus.lines import numbered_lines
from tagger.corpus.reading import Reading
from tagger.corpus.table_header import find_header
from tagger.corpus.tags import line_of
from tagger.errors import InputError
from tagger.runtime.json_lines import sentence_line
from tagger.runtime.options import TagOptions
from tagger.text.sentence import Sentence

TagSentences = Callable[[Iterable[Sentence]], Iterator[Sentence]]


@dataclass(frozen=True, slots=True)
class ColumnFile:
    """A file of tokens to tag.

    Attributes:
        detected: Its format and columns.
        style: The format to write: ``conll``, ``conllu`` or ``jsonl``.
        name: The document name, if there are several documents.
    """

    detected: Detected
    style: str
    name: str | None = None


def open_columns(path: Path, format: str, columns: str | None, style: str, name: str | None) -> ColumnFile:
    """Detect the columns of a file to tag.

    Raises:
        InputError: The path is no regular file, the columns cannot be detected, or the output format cannot
            hold them.
    """
    if not path.is_file():
        raise InputError(
            f"--input {format} needs a regular file (got a stream). Save it to a file.",
            code="file.kind",
            where=path,
            option="--input",
        )
    first = next((line for _, line in numbered_lines(path)), "")
    header = find_header(first) if format == "conll" else None
    if header and header.is_certain:
        raise InputError(
            f"this is a table with a header (got {first!r:.60}). Convert it first, as with `tagger convert "
            f"{path.name} tokens.conll`.",
            code="corpus.format",
            where=f"{path}:1",
        )
    detected = detect(path, format=format, columns=columns)
    if detected.problem:
        raise detected.problem
    if style == "conllu" and format != "conllu":
        raise InputError(
            f"--format conllu needs --input conllu (got --input {format}). Pass both.",
            code="option.conflict",
            where=path,
            option="--format",
        )
    if style == "conllu" and plus_columns(first) is not None:
        raise InputError(
            "the extra columns of CoNLL-U Plus cannot be written. Pass --format conll or jsonl.",
            code="corpus.output",
            where=path,
            option="--format",
        )
    return ColumnFile(detected, style, name)


def write_columns(
    files: Sequence[ColumnFile], output: Path | None, tag: TagSentences, options: TagOptions
) -> None:
    """Tag column files, write them one after another, and print on standard error how they were read.

    Raises:
        InputError: A file is malformed (see ``column_pieces``), or the output cannot be written.
    """
    with open_output(output) as target:
        for file in files:
            target.writelines(column_pieces(file, tag, options))
    for file in files:
        print_message(file.detected.describe())


def column_pieces(file: ColumnFile, tag: TagSentences, options: TagOptions) -> Iterator[str]:
    """Tag the tokens of a file and yield the output in pieces.

    The format ``conll`` keeps all lines and appends a column for each task: predicted tags follow the gold
    tags, as ``conlleval`` expects. In ``conllu``, predicted parts of speech replace those of the file, and
    other tags go to MISC.

    Args:
        file: The file.
        tag: Function that tags sentences.
        options: The tasks to write.

    Raises:
        InputError: The file is malformed; raised during iteration.
    """
    detected = file.detected
    sentences = detected.read(Reading(tasks=detected.tasks))
    if file.style == "jsonl":
        for sentence in tag(sentences):
            yield sentence_line(sentence, options, file.name)
    elif detected.format == "conllu":
        yield from _conllu_pieces(file, sentences, tag, options)
    else:
        yield from _conll_pieces(detected, tag(sentences), options)


def _conll_pieces(detected: Detected, tagged: Iterable[Sentence], options: TagOptions) -> Iterator[str]:
    required = options.separator
    has_one_column = len((detected.columns or "").split(",")) == 1
    separator = "\t" if detected.is_tabbed else " "
    if required == "\t" and separator == " ":
        if not has_one_column:
            raise InputError(
                "model labels contain spaces, but columns are separated by spaces. Separate them with tabs, "
                "or pass --format jsonl.",
                code="corpus.output",
                where=detected.path,
                option="--format",
            )
        separator = required
    filler = ["-X-" if name in PARTS_OF_SPEECH else "O" for name in options.task_names]
    lines = numbered_lines(detected.path)
    for sentence in tagged:
        predicted = [_column(sentence, name) for name in options.task_names]
        token_index = {int(line_of(sentence, i).rpartition(":")[2]): i for i in range(len(sentence))}
        last = max(token_index)
        for number, line in lines:
            cells = [column[token_index[number]] for column in predicted] if number in token_index else None
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
    if cells is None and (line[:1] == "#" or DOCUMENT_START not in line.split()):
        return f"{line}\n"
    return separator.join([line.rstrip(" \t"), *(filler if cells is None else cells)]) + "\n"


def _conllu_pieces(
    file: ColumnFile, sentences: Iterable[Sentence], tag: TagSentences, options: TagOptions
) -> Iterator[str]:
    """Write predicted tags into the CoNLL-U columns, or next to the gold tags as CoNLL columns."""
    gold, copies = tee(sentences)
    gold_tasks = [name for name in options.task_names if name in file.detected.tasks]
    for before, after in zip(gold, tag(copies), strict=True):
        block = StringIO()
        if file.style == "conllu":
            merged = replace(
                after, tags={**before.tags, **{name: after.tags[name] for name in options.task_names}}
            )
            write_conllu([merged], block, misc=[name for name in options.task_names if name not in FIELDS])
        else:
            predicted = {f"predicted {name}": after.tags[name] for name in options.task_names}
            merged = replace(after, tags={**{name: before.tags[name] for name in gold_tasks}, **predicted})
            columns = [*gold_tasks, *predicted]
            write_conll([merged], block, columns=columns, separator="\t")
        yield block.getvalue()
