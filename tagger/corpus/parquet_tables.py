"""Read and write Parquet tables of texts with pyarrow, which is imported when a file is opened."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, time
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

from tagger.errors import InputError
from tagger.storage import open_input

BATCH_ROWS = 1000  # rows that are read or converted at once
GROUP_BYTES = 32_000_000  # approximate size of a written row group in memory


class ArrowRow(Mapping[str, Any]):
    """One row of an Arrow batch; a cell is converted to a JSON value when it is read.

    Dates and times become ISO 8601 strings, decimals strings, binary data base64, and NaN null.

    Attributes:
        batch: The batch.
        index: The row in the batch.
    """

    __slots__ = ("batch", "index")

    def __init__(self, batch: Any, index: int) -> None:
        self.batch = batch
        self.index = index

    def __getitem__(self, name: str) -> Any:
        column = self.batch.schema.get_field_index(name)
        if column < 0:
            raise KeyError(name)
        cell = self.batch.column(column)[self.index]
        try:
            return _json_value(cell.as_py())
        except UnicodeDecodeError:  # pyarrow does not check strings
            return cell.as_buffer().to_pybytes().decode(errors="replace")
        except ValueError:  # nanoseconds, without pandas
            return str(cell)

    def __iter__(self) -> Iterator[str]:
        return iter(self.batch.schema.names)

    def __len__(self) -> int:
        return int(self.batch.num_columns)


def _json_value(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _json_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):  # a map is a list of pairs
        return [_json_value(one) for one in value]
    return str(value)


def import_pyarrow() -> Any:
    """Import pyarrow with its Parquet module.

    Raises:
        InputError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            "Parquet files need the package pyarrow. Install it, e.g. with `pip install pyarrow`.",
            code="package.missing",
        ) from error
    return pyarrow


@contextmanager
def open_parquet(path: Path) -> Iterator[Any]:
    """Open a Parquet file as a ``pyarrow.parquet.ParquetFile``.

    Raises:
        InputError: pyarrow is not installed, or the file cannot be read or is damaged.
    """
    pyarrow = import_pyarrow()
    try:
        with open_input(path) as file, pyarrow.parquet.ParquetFile(file) as opened:
            yield opened
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(
            f"the file cannot be read as Parquet ({' '.join(str(error).split())[:200]}). Check it.",
            code="file.unreadable",
            where=path,
        ) from None


def parquet_columns(path: Path, text: str) -> tuple[str, ...]:
    """Return the names of the columns of a Parquet file, and check the type of the column of texts.

    Args:
        path: The file.
        text: The name of the column of texts, if the file has it.

    Raises:
        InputError: See ``open_parquet``, or the texts are not strings.
    """
    with open_parquet(path) as file:
        names = tuple(file.schema_arrow.names)
        kind = str(file.schema_arrow.field(text).type) if names.count(text) == 1 else "string"
    if "string" not in kind or kind.startswith(("list", "struct", "map")):
        raise InputError(
            f"the column {text!r} must hold strings (got {kind}). Pass another --text-column.",
            code="corpus.columns",
            where=path,
            option="--text-column",
        )
    return names


def parquet_group_sizes(path: Path) -> list[tuple[int, int]]:
    """Return the number of rows and the uncompressed size in bytes of each row group.

    Raises:
        InputError: See ``open_parquet``.
    """
    with open_parquet(path) as file:
        groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
        return [(group.num_rows, group.total_byte_size) for group in groups]


def parquet_rows(
    path: Path, text: str, row_groups: tuple[int, int] | None = None
) -> Iterator[tuple[ArrowRow, str]]:
    """Yield the rows of a Parquet file; at most one row group is in memory.

    Args:
        path: The file.
        text: The name of the column of texts.
        row_groups: The half-open range of row groups to read, by default all.

    Yields:
        The row, and "" or why its text cannot be read.

    Raises:
        InputError: See ``open_parquet``.
    """
    with open_parquet(path) as file:
        groups = ([group] for group in range(*(row_groups or (0, file.num_row_groups))))
        for batch in chain.from_iterable(file.iter_batches(BATCH_ROWS, group) for group in groups):
            texts = batch.column(batch.schema.get_field_index(text))
            for index in range(batch.num_rows):
                problem = ""
                try:
                    texts[index].as_py()
                except UnicodeDecodeError as error:
                    problem = f"byte {error.start + 1} of the text (0x{error.object[error.start]:02x})"
                yield ArrowRow(batch, index), problem


def spans_type() -> Any:
    """Return the Arrow type of a column of spans: a list of structs."""
    pyarrow = import_pyarrow()
    fields = [("start", pyarrow.int64()), ("end", pyarrow.int64())]
    fields += [("label", pyarrow.string()), ("score", pyarrow.float64())]
    return pyarrow.list_(pyarrow.struct(fields))


def infer_schema(rows: Iterable[Mapping[str, Any]], where: object) -> Any:
    """Return the Arrow schema of JSON records, with the keys of all of them in the order of appearance.

    Args:
        rows: The records, of which ``BATCH_ROWS`` at a time are in memory.
        where: Their file, for messages.

    Raises:
        InputError: The values of a key have several types, or an integer has more than 64 bits.
    """
    pyarrow = import_pyarrow()
    schema = pyarrow.schema([])
    for block in _blocks(rows):
        names = dict.fromkeys(name for row in block for name in row)
        for name in names:
            with _writable(f"{where}: the column {name!r}"):
                kind = pyarrow.array([row.get(name) for row in block]).type
                found = pyarrow.schema([(name, kind)])
                schema = pyarrow.unify_schemas([schema, found], promote_options="permissive")
    return schema


def write_parquet_rows(
    rows: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]],
    path: Path,
    schema: Any,
    new_columns: Sequence[str],
) -> None:
    """Write rows with columns of spans to a Parquet file. Row groups have about ``GROUP_BYTES`` in memory.

    The cells of an ``ArrowRow`` are copied without conversion.

    Args:
        rows: The cells of the table and those of the new columns, by name.
        path: The file.
        schema: The Arrow schema of the table.
        new_columns: The names of the new columns.

    Raises:
        InputError: A cell does not match the schema, or Parquet cannot hold it.
    """
    pyarrow = import_pyarrow()
    full = schema
    for name in new_columns:
        full = full.append(pyarrow.field(name, spans_type()))
    group: list[Any] = []
    with _writable(path), pyarrow.parquet.ParquetWriter(path, full) as writer:

        def flush() -> None:
            writer.write_table(pyarrow.Table.from_batches(group, full).unify_dictionaries())
            group.clear()

        for block in _blocks(rows):
            spans = [[new[name] for _, new in block] for name in new_columns]
            arrays = [pyarrow.array(cells, spans_type()) for cells in spans]
            for batch in _batches([old for old, _ in block], schema):
                columns = [*batch.columns, *(array.slice(0, batch.num_rows) for array in arrays)]
                arrays = [array.slice(batch.num_rows) for array in arrays]
                group.append(pyarrow.RecordBatch.from_arrays(columns, schema=full))
            if sum(batch.nbytes for batch in group) > GROUP_BYTES:
                flush()
        if group:
            flush()


def _blocks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while block := list(islice(iterator, BATCH_ROWS)):
        yield block


def _batches(rows: Sequence[Mapping[str, Any]], schema: Any) -> Iterator[Any]:
    """Yield the rows as Arrow batches; consecutive rows of one Arrow batch are taken from it."""
    pyarrow = import_pyarrow()
    for batch, group in groupby(rows, key=lambda row: row.batch if isinstance(row, ArrowRow) else None):
        members = list(group)
        if batch is None:
            arrays = [pyarrow.array([row.get(one.name) for row in members], one.type) for one in schema]
            yield pyarrow.RecordBatch.from_arrays(arrays, schema=schema)
        else:
            yield batch.take(pyarrow.array([row.index for row in members if isinstance(row, ArrowRow)]))


@contextmanager
def _writable(where: object) -> Iterator[None]:
    pyarrow = import_pyarrow()
    try:
        yield
    except (pyarrow.ArrowException, OverflowError, UnicodeEncodeError) as error:
        raise InputError(
            f"Parquet cannot hold the values ({' '.join(str(error).split())[:200]}). Write a .jsonl or .csv "
            "file instead.",
            code="corpus.output",
            where=where,
            option="--output",
        ) from None
