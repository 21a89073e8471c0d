"""``tagger tag --text-column``: tag the texts of a table and write the table with columns of spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import typer

from tagger.cli.output import open_output, print_message
from tagger.cli.progress_bar import ProgressBar
from tagger.cli.sources import Source
from tagger.corpus.table_writing import error_line, write_parquet_table, write_text_table
from tagger.corpus.text_tables import SUFFIXES, TableFormat, TextRow, TextTable, open_table, table_format
from tagger.errors import InputError
from tagger.runtime.options import TagOptions
from tagger.runtime.tagged_tables import TextCells, tag_rows, tag_texts
from tagger.runtime.tagger import Tagger
from tagger.storage import replace_file

_ONLY_TABLES = ("id_column", "spans_column", "errors_file")
_WITH_TABLES = ("files", "model", "task", "min_score", "workers", "precision", "output", "text_column")


def require_table_options(context: typer.Context) -> None:
    """Check that all given options apply to tables, or none of them to tables only.

    Raises:
        InputError: An option needs ``--text-column``, or excludes it.
    """
    is_table = context.params["text_column"] is not None
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        option = parameter.opts[0]
        if name in _ONLY_TABLES and not is_table:
            message = f"{option} needs --text-column. Pass both, or leave {option} out."
        elif is_table and name not in (*_ONLY_TABLES, *_WITH_TABLES):
            message = f"{option} cannot be combined with --text-column, which writes spans. Leave one out."
        else:
            continue
        raise InputError(message, code="option.conflict", option=option)


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table to tag, and the files to write.

    Attributes:
        table: The table.
        format: The format to write.
        output: The file to write, or None for standard output.
        errors: The file of rows that cannot be tagged; None if the first of them is an error.
    """

    table: TextTable
    format: TableFormat
    output: Path | None
    errors: Path | None

    def write(self, tagger: Tagger, options: TagOptions, workers: int) -> None:
        """Tag the table and write it.

        Args:
            tagger: The model.
            options: The tasks and the score threshold.
            workers: Number of processes.

        Raises:
            Exit: With code 1, after rows that cannot be tagged were written to the file of errors.
            InputError: A row cannot be tagged and there is no file for it, the output cannot be written, or
                the table cannot be read.
        """
        n_errors = 0

        def tag_blocks(blocks: Iterable[list[str]]) -> Iterator[list[TextCells]]:
            if workers > 1:
                from tagger.cli.workers import map_in_workers, tag_texts_in_worker  # rarely needed

                calls = ((texts,) for texts in blocks)
                for _, cells in map_in_workers(tag_texts_in_worker, calls, options, workers):
                    yield cells
            else:
                for texts in blocks:
                    yield tag_texts(tagger, texts, options.tasks, options.min_score)

        bar = ProgressBar("tagging", [self.table.path], writes_output=self.output is None, unit="rows")
        with ExitStack() as stack:
            stack.enter_context(bar)
            errors = stack.enter_context(open_output(self.errors)) if self.errors else None

            def report(row: TextRow) -> None:
                nonlocal n_errors
                n_errors += 1
                assert row.problem
                if errors is None:
                    raise _without_errors_file(row.problem)
                errors.write(error_line(row, self.table))

            columns = self.table.new_columns
            rows = bar.track(tag_rows(self.table.rows(), columns, tag_blocks, report))
            if self.format == "parquet":
                assert self.output
                with replace_file(self.output) as path:
                    write_parquet_table(rows, self.table, path)
            else:
                with open_output(self.output) as file:
                    write_text_table(rows, self.table, file, self.format)
        if n_errors:
            what = "1 row was" if n_errors == 1 else f"{n_errors:,} rows were"
            print_message(f"{what} not tagged; {self.errors} lists the reasons.")
            raise typer.Exit(1)


def open_table_file(
    sources: Sequence[Source],
    output: Path | None,
    errors: Path | None,
    text: str | None,
    id: str | None,
    new_columns: Sequence[str],
) -> TableFile | None:
    """Check the files of ``tagger tag --text-column``.

    Args:
        sources: The inputs; there must be one file.
        output: The value of ``--output``, whose suffix names the format to write.
        errors: The value of ``--errors``.
        text: The column of texts; None if the inputs are no tables.
        id: The column that identifies rows, or None.
        new_columns: The names of the columns to add.

    Raises:
        InputError: There is not exactly one regular file, a suffix names no format, two files are the same,
            or a column is missing or exists already.
    """
    if text is None:
        return None
    path = sources[0].path
    if len(sources) != 1 or not path.is_file():
        raise InputError(
            f"--text-column needs one table (got {len(sources)} files or a stream). Name one regular file.",
            code="option.conflict",
            option="--text-column",
        )
    format: TableFormat | None = "jsonl" if output is None else table_format(output)
    if format is None:
        raise InputError(
            f"the suffix must be one of {', '.join(SUFFIXES)}, to name the format. Use another --output.",
            code="option.value",
            where=output,
            option="--output",
        )
    for other in (path, output):
        if (
            errors
            and other
            and (errors == other or (errors.is_file() and other.is_file() and errors.samefile(other)))
        ):
            raise InputError(
                "--errors would overwrite this file. Name another file.",
                code="option.conflict",
                where=other,
                option="--errors",
            )
    return TableFile(open_table(path, text, id, new_columns), format, output, errors)


def _without_errors_file(problem: InputError) -> InputError:
    return InputError(
        f"{problem.message} Or pass --errors FILE to leave such rows out.",
        code=problem.code,
        where=problem.where,
        option="--errors",
    )
