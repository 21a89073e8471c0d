"""Tag a column of a pandas, polars or pyarrow table. The libraries are imported when a table is passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from tagger.corpus.parquet_tables import spans_type
from tagger.corpus.table_writing import Cell
from tagger.errors import InputError
from tagger.runtime.arguments import describe, require_text
from tagger.runtime.entity_pipeline import choose_task, spans_of_texts
from tagger.runtime.min_score import MinScore
from tagger.runtime.sentence_tagger import SentenceTagger

Frame = TypeVar("Frame")


class TableKind(NamedTuple):
    """Functions for one library.

    Attributes:
        types: The names of its supported classes.
        names: Returns the names of a table's columns.
        read: Returns the values of a column, None for nulls.
        append: Returns the table with a new column of spans.
    """

    types: tuple[str, ...]
    names: Callable[[Any], Sequence[object]]
    read: Callable[[Any, str], list[object]]
    append: Callable[[Any, str, list[Cell]], Any]


def tag_table(
    tagger: SentenceTagger,
    frame: Frame,
    text: str,
    *,
    column: str = "spans",
    task: str | None = None,
    min_score: MinScore = 0.0,
) -> Frame:
    """Tag each text of a column, as a document of its own, and add a column with its spans.

    A cell of the new column is a list of structs (in pandas, of dictionaries) with the keys ``start`` and
    ``end`` (characters of the text), ``label`` and ``score``. It is null where the text is null.

    Args:
        tagger: The model.
        frame: A pandas or polars ``DataFrame``, or a pyarrow ``Table`` or ``RecordBatch``. It is not changed.
        text: The name of the column of texts.
        column: The name of the new column.
        task: The task, by default the first with spans. In a task without spans, each token is a span.
        min_score: Score threshold of the spans, see ``Tagger.tag_sentences``.

    Returns:
        A table of the same type, with the same rows, index and other columns.

    Raises:
        TypeError: The frame is no such table, a text is not a string, or another argument has a wrong type.
        InputError: The frame lacks the column of texts or has the new column, the model lacks the task, or
            ``min_score`` is invalid.
    """
    kind = _find_kind(frame)
    chosen = choose_task(tagger, task)
    names = list(kind.names(frame))
    if names.count(text) != 1:
        listed = ", ".join(map(str, names)) or "no columns"
        raise InputError(
            f"text must name one column of the table (got {text!r}). Its columns are {listed}.",
            code="argument.value",
            option="text",
        )
    if column in names:
        raise InputError(
            f"column must be a new name (got {column!r}). Pass another one, or drop this column first.",
            code="argument.value",
            option="column",
        )
    texts = kind.read(frame, text)
    spans = spans_of_texts(tagger, _only_texts(texts, text), chosen, min_score)
    cells: list[Cell] = [
        None
        if value is None
        else [
            {"start": one.start_char, "end": one.end_char, "label": one.label, "score": one.score}
            for one in next(spans)
        ]
        for value in texts
    ]
    result: Frame = kind.append(frame, column, cells)
    return result


def _find_kind(frame: object) -> TableKind:
    for cls in type(frame).__mro__:  # a subclass, such as a GeoDataFrame, belongs to another library
        kind = KINDS.get(cls.__module__.partition(".")[0])
        if kind and cls.__name__ in kind.types:
            return kind
    hint = "Collect it first." if type(frame).__name__ == "LazyFrame" else "Convert it to one of them."
    raise TypeError(
        f"frame must be a pandas or polars DataFrame or a pyarrow Table (got {describe(frame)}). {hint}"
    )


def _only_texts(values: list[object], name: str) -> Iterator[str]:
    for row, value in enumerate(values):
        if value is not None:
            yield require_text(value, f"{name}[{row}]")


def _read_pandas(frame: Any, name: str) -> list[object]:
    series = frame[name]
    return [None if is_null else value for value, is_null in zip(series, series.isna(), strict=True)]


def _append_pandas(frame: Any, name: str, cells: list[Cell]) -> Any:
    import pandas

    result = frame.copy(deep=False)
    result[name] = pandas.Series(cells, index=frame.index, dtype=object)
    return result


def _append_polars(frame: Any, name: str, cells: list[Cell]) -> Any:
    import polars

    span = polars.Struct(
        {"start": polars.Int64, "end": polars.Int64, "label": polars.String, "score": polars.Float64}
    )
    return frame.with_columns(polars.Series(name, cells, dtype=polars.List(span)))


def _append_pyarrow(frame: Any, name: str, cells: list[Cell]) -> Any:
    import pyarrow

    kind = spans_type()
    return frame.append_column(pyarrow.field(name, kind), pyarrow.array(cells, type=kind))


KINDS = {
    "pandas": TableKind(("DataFrame",), lambda frame: list(frame.columns), _read_pandas, _append_pandas),
    "polars": TableKind(
        ("DataFrame",), lambda frame: list(frame.columns), lambda f, name: f[name].to_list(), _append_polars
    ),
    "pyarrow": TableKind(
        ("Table", "RecordBatch"),
        lambda frame: frame.schema.names,
        lambda frame, name: frame.column(name).to_pylist(),
        _append_pyarrow,
    ),
}
"""The libraries, by the name of their package."""
