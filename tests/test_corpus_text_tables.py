"""Reading and writing tables of texts, with the csv module, pandas, json and pyarrow as oracles."""

import csv
import gzip
import io
import json
import sys
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pandas
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from input_errors import check, raises
from pyarrow import parquet

from tagger.corpus import parquet_tables
from tagger.corpus.table_writing import write_parquet_table, write_text_table
from tagger.corpus.text_tables import DELIMITERS, SUFFIXES, open_table, table_format

SPANS = [{"start": 0, "end": 2, "label": "PER", "score": 0.5}]
CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")
TEXTS = st.text(CHARACTERS | st.sampled_from(',;\t|"\r\n \ufeffé🌊'), max_size=12)
NAMES = st.text(st.sampled_from('ab,"\n é'), min_size=1, max_size=4).filter(lambda name: name != "body")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda one: st.lists(one, max_size=2) | st.dictionaries(TEXTS, one, max_size=2), max_leaves=4
)


def rewrite(path, output, text="body", **options):
    """Copy a table with a column of spans: None for a null text, else ``SPANS``. Return its bad rows."""
    table = open_table(path, text, new_columns=["spans"], **options)
    bad = []

    def tagged():
        for row in table.rows():
            if row.problem:
                bad.append(row)
            else:
                yield row, {"spans": None if row.text is None else SPANS}

    if table_format(output) == "parquet":
        write_parquet_table(tagged(), table, output)
    else:
        with output.open("w", encoding="utf-8", newline="") as file:
            write_text_table(tagged(), table, file, table_format(output))
    return bad


def read_csv(path, delimiter=","):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_the_suffix_names_the_format():
    for suffix, format in SUFFIXES.items():
        assert table_format(Path(f"a.b{suffix}")) == table_format(Path(f"A{suffix.upper()}")) == format
        assert table_format(Path(f"a{suffix}.gz")) == (None if format == "parquet" else format)
    for name in ("a.json", "a.txt", "csv", "a.gz", ".csv", "a"):
        assert table_format(Path(name)) is None
    with raises("corpus.format", file="a.json", mentions=".parquet"):
        open_table(Path("a.json"), "body")


@given(
    names=st.lists(NAMES, unique=True, min_size=1, max_size=3),  # one column has no delimiter
    cells=st.lists(st.lists(TEXTS, min_size=4, max_size=4), max_size=4),
    delimiter=st.sampled_from(DELIMITERS),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    has_bom=st.booleans(),
)
@settings(max_examples=60)
def test_csv_dialects(tmp_path_factory, names, cells, delimiter, line_end, quoting, has_bom):
    header = ["body", *names]
    rows = [row[: len(header)] for row in cells]
    content = io.StringIO()
    # Python's own writer leaves carriage returns unquoted unless its lines end with them.
    writer = csv.writer(content, delimiter=delimiter, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    if line_end == "\r\n":
        writer = csv.writer(content, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerows([header, *rows])
    folder = tmp_path_factory.mktemp("csv")
    path = folder / ("a.tsv" if delimiter == "\t" else "a.csv")
    path.write_bytes(("\ufeff" * has_bom + content.getvalue()).encode())
    output = path.with_stem("b")
    assert rewrite(path, output) == []
    encoded = json.dumps(SPANS)
    assert read_csv(output, delimiter) == [[*header, "spans"], *([*row, encoded] for row in rows)]
    frame = pandas.read_csv(output, sep=delimiter, dtype=str, keep_default_na=False)
    assert frame["body"].tolist() == [row[0] for row in rows] or "\r" in content.getvalue()
    rewrite(path, folder / "b.jsonl")
    expected = [dict(zip([*header, "spans"], [*row, SPANS], strict=True)) for row in rows]
    assert read_lines(folder / "b.jsonl") == expected
    rewrite(path, folder / "b.parquet")
    assert parquet.read_table(folder / "b.parquet").to_pylist() == expected


@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=4), st.data())
@settings(max_examples=60)
def test_json_records_keep_their_characters(tmp_path_factory, records, data):
    folder = tmp_path_factory.mktemp("jsonl")
    lines = []
    for record in records:
        record["body"] = data.draw(st.none() | TEXTS)
        lines.append(json.dumps(record, ensure_ascii=data.draw(st.booleans())))
    path = folder / "a.jsonl"
    path.write_text("".join(f" {line}  \r\n\n" for line in lines), encoding="utf-8", newline="")
    assert rewrite(path, folder / "b.jsonl") == []
    written = (folder / "b.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert len(written) == len(lines)
    for line, old, record in zip(written, lines, records, strict=True):
        assert line.startswith(old[:-1])
        assert json.loads(line) == {**record, "spans": None if record["body"] is None else SPANS}
    rewrite(path, folder / "b.csv")
    header, *rows = read_csv(folder / "b.csv")
    assert set(header) == {"spans", *(name for record in records for name in record)}
    for row, record in zip(rows, records, strict=True):
        for name, cell in zip(header[:-1], row, strict=False):
            value = record.get(name)
            assert (
                cell == (value or "")
                if value is None or isinstance(value, str)
                else json.loads(cell) == value
            )


def test_numbers_and_repeated_keys_of_json_are_unchanged(tmp_path):
    line = '{"n": 1.50, "big": 123456789012345678901234567890, "body": null, "n": 1e5 }'
    (tmp_path / "a.jsonl").write_text(line)
    rewrite(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert (tmp_path / "b.jsonl").read_text() == line[:-2] + ', "spans": null}\n'


def arrow_table():
    return pyarrow.table(
        {
            "body": pyarrow.array(["Ada", None, "", "Otto\n"], pyarrow.large_string()),
            "day": pyarrow.array([date(2026, 1, 2), None, None, None]),
            "at": pyarrow.array([datetime(2026, 1, 2, 3, tzinfo=UTC)] * 4, pyarrow.timestamp("ns", "UTC")),
            "price": pyarrow.array([Decimal("1.10"), None, Decimal("2.00"), None]),
            "raw": pyarrow.array([b"\xff", None, b"", b"a"]),
            "kind": pyarrow.array(["a", "b", "a", None]).dictionary_encode(),
            "nested": pyarrow.array([{"a": [1]}, None, {"a": []}, {"a": None}]),
            "score": pyarrow.array([float("nan"), 1.5, None, float("inf")], pyarrow.float32()),
            "small": pyarrow.array([1, None, 3, 4], pyarrow.int8()),
        }
    ).replace_schema_metadata({"origin": "mine"})


@pytest.mark.parametrize("group", [1, 3, 100])
def test_parquet_keeps_types_metadata_and_nulls(tmp_path, group):
    table = arrow_table()
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=group)
    assert rewrite(tmp_path / "a.parquet", tmp_path / "b.parquet") == []
    found = parquet.read_table(tmp_path / "b.parquet")
    assert found.column("spans").to_pylist() == [SPANS, None, SPANS, SPANS]
    assert found.schema.metadata[b"origin"] == b"mine"
    found, original = found.drop_columns("spans"), parquet.read_table(tmp_path / "a.parquet")
    assert found.schema.equals(original.schema, check_metadata=True)
    assert str(found.to_pylist()) == str(original.to_pylist())  # NaN is not equal to itself


def test_parquet_values_become_json_values(tmp_path):
    parquet.write_table(arrow_table(), tmp_path / "a.parquet")
    rewrite(tmp_path / "a.parquet", tmp_path / "b.jsonl")
    first, second, _, last = read_lines(tmp_path / "b.jsonl")
    assert first == {
        "body": "Ada",
        "day": "2026-01-02",
        "at": "2026-01-02T03:00:00+00:00",
        "price": "1.10",
        "raw": "/w==",
        "kind": "a",
        "nested": {"a": [1]},
        "score": None,
        "small": 1,
        "spans": SPANS,
    }
    assert [name for name, value in second.items() if value is not None] == ["at", "kind", "score"]
    assert (last["score"], last["nested"]) == (None, {"a": None})
    rewrite(tmp_path / "a.parquet", tmp_path / "b.csv")
    header, *rows = read_csv(tmp_path / "b.csv")
    assert rows[1][:2] == ["", ""]
    assert dict(zip(header, rows[0], strict=True))["nested"] == '{"a": [1]}'
    assert [row[-1] for row in rows] == [json.dumps(SPANS), "", json.dumps(SPANS), json.dumps(SPANS)]


@given(
    st.lists(
        st.fixed_dictionaries(
            {"body": st.none() | TEXTS},
            optional={
                "n": st.none() | st.integers(-(2**63), 2**63 - 1),
                "x": st.none() | st.floats(allow_nan=False),
                "list": st.lists(st.integers(0, 9), max_size=2),
                "map": st.fixed_dictionaries({"a": st.none() | TEXTS}),
            },
        ),
        max_size=7,
    )
)
@settings(max_examples=40)
def test_json_records_become_typed_columns(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("typed")
    finite = [
        {key: value for key, value in one.items() if value not in (float("inf"), float("-inf"))}
        for one in records
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in finite))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_tables, "BATCH_ROWS", 2)  # keys that appear late, types that are null at first
        rewrite(folder / "a.jsonl", folder / "b.parquet")
    found = parquet.read_table(folder / "b.parquet")
    for row, record in zip(found.to_pylist(), finite, strict=True):
        assert row.pop("spans") == (None if record["body"] is None else SPANS)
        assert {key: value for key, value in row.items() if value is not None} == {
            key: value for key, value in record.items() if value is not None
        }


@pytest.mark.parametrize("values", [[1, "a"], [{"a": 1}, "a"], [2**70], [{}], [[1], 1]])
def test_records_that_parquet_cannot_hold(tmp_path, values):
    lines = [json.dumps({"body": "Ada", "n": value}) + "\n" for value in values]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    with raises("corpus.output", file=".parquet" if values == [{}] else "'n'", option="--output"):
        rewrite(tmp_path / "a.jsonl", tmp_path / "b.parquet")


def test_bad_lines_are_reported_with_their_place(write_file):
    lines = [
        b'{"body": "Ada", "k": 1}',
        b"",
        b'{"body": "Ada"',
        b"[1]",
        b'{"body": 3, "k": "x"}',
        b'{"text": "Ada"}',
        b'{"body": "\xff"}',
        b'{"body": "\\ud800"}',
        b'{"body": "", "spans": 1}',
        b'{"body": NaN}',
        b'{"body": "last"}',
    ]
    path = write_file(b"\n".join(lines), "a.jsonl")
    table = open_table(path, "body", "k", ["spans"])
    rows = list(table.rows())
    assert [row.number for row in rows] == [1, *range(3, 12)]
    codes = ["corpus.record"] * 4 + ["corpus.encoding"] * 2 + ["corpus.columns", "corpus.record"]
    assert [row.problem and row.problem.code for row in rows] == [None, *codes, None]
    for row in rows[1:-1]:
        assert (row.problem.line, row.text) == (row.number, None)
    assert [row.id for row in rows[:4]] == [1, None, None, "x"]


def test_bad_rows_of_csv_are_reported_with_their_place(write_file):
    content = b'id,body\n1,"two\nlines"\n2\n\n3,a,b\n4,\xff\n5,"a"b\n6,last\n7,"open\nto the end'
    rows = list(open_table(write_file(content, "a.csv"), "body", "id").rows())
    assert [row.text for row in rows] == ["two\nlines", None, None, None, None, "last", None]
    assert [row.problem and row.problem.line for row in rows] == [None, 4, 6, 7, 8, None, 10]
    assert [row.number for row in rows] == list(range(1, 8))
    assert [row.id for row in rows[:4]] == ["1", "2", "3", "4"]


def test_bad_rows_of_parquet_are_reported(tmp_path):
    raw = pyarrow.array([b"Ada", b"\xff", b"\xff"])
    strings = pyarrow.StringArray.from_buffers(3, *raw.buffers()[1:])
    other = pyarrow.array(["a", "b", "c"])
    parquet.write_table(pyarrow.table({"body": strings, "id": other, "raw": strings}), tmp_path / "a.parquet")
    first, second, _ = open_table(tmp_path / "a.parquet", "body", "id").rows()
    assert (first.text, first.problem) == ("Ada", None)
    check(second.problem, "corpus.encoding", mentions="row 2")
    assert second.id == "b"
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no")
    with raises("file.unreadable", file="b.parquet"):
        open_table(tmp_path / "b.parquet", "body")
    with raises("corpus.columns", file="a.parquet", option="--text-column", mentions="int64"):
        parquet.write_table(pyarrow.table({"body": [1]}), tmp_path / "a.parquet")
        open_table(tmp_path / "a.parquet", "body")


def test_pyarrow_is_optional(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("body\nAda\n")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert rewrite(tmp_path / "a.csv", tmp_path / "b.jsonl") == []
    with raises("package.missing", mentions="pyarrow"):
        rewrite(tmp_path / "a.csv", tmp_path / "b.parquet")


def test_columns_are_checked_first(write_file):
    path = write_file("id;body;spans\n", "a.csv")
    with raises("corpus.columns", file=path, option="--text-column", mentions="id, body, spans"):
        open_table(path, "text")
    with raises("corpus.columns", file=path, option="--id-column"):
        open_table(path, "body", "key")
    with raises("corpus.columns", file=path, option="--spans-column"):
        open_table(path, "body", new_columns=["spans"])
    with raises("corpus.columns", mentions="'a' twice"):
        open_table(write_file("a,a,body\n", "b.csv"), "body")
    with raises("corpus.empty", file="b.tsv"):
        open_table(write_file("\n", "b.tsv"), "body")
    with raises("corpus.encoding", file="b.csv", line=1):
        open_table(write_file("body\n".encode("utf-16"), "b.csv"), "body")
    assert open_table(path, "body").delimiter == ";"


def test_a_long_cell_and_a_compressed_file(tmp_path):
    text = "Ada, met Otto. " * 20_000
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f'body\n"{text}"\n'.encode()))
    limit = csv.field_size_limit()
    (row,) = open_table(tmp_path / "a.csv.gz", "body").rows()
    assert row.text == text
    assert csv.field_size_limit() == limit


def same_rows(table, size):
    """Cut a table into parts, compare their rows with those of the whole table, and return the parts."""
    parts = list(table.parts(size))
    rows = [row for part in parts for row in table.rows(part)]
    whole = list(table.rows())
    assert [(row.number, row.where, row.text, row.id) for row in rows] == [
        (row.number, row.where, row.text, row.id) for row in whole
    ]
    assert [str(row.problem) for row in rows] == [str(row.problem) for row in whole]
    return parts


@given(
    st.lists(st.lists(TEXTS, min_size=2, max_size=3), max_size=6),
    st.integers(1, 60),
    st.sampled_from(["", "\ufeff"]),
    st.sampled_from(["\n", "\r\n", '\n\n"', " "]),
)
@settings(max_examples=60)
def test_the_rows_of_parts_are_those_of_the_table(tmp_path_factory, cells, size, start, end):
    folder = tmp_path_factory.mktemp("parts")
    content = io.StringIO()
    csv.writer(content).writerows([["id", "body"], *cells])  # rows of three cells are errors
    (folder / "a.csv").write_text(start + content.getvalue() + end, encoding="utf-8", newline="")
    same_rows(open_table(folder / "a.csv", "body", "id"), size)
    lines = [json.dumps({"id": 1, "body": row[0]}) + end for row in cells]
    (folder / "a.jsonl").write_text(start + "".join(lines), encoding="utf-8", newline="")
    same_rows(open_table(folder / "a.jsonl", "body", "id"), size)


def test_parts_of_parquet_and_of_compressed_files(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"body": [f"text {n}" for n in range(10)]}), path, row_group_size=3)
    table = open_table(path, "body")
    assert [tuple(part) for part in same_rows(table, 1)] == [
        (0, 1, 0, 0),
        (1, 2, 0, 3),
        (2, 3, 0, 6),
        (3, 4, 0, 9),
    ]
    assert len(same_rows(table, 1 << 20)) == 1
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"body": "Ada"}\n' * 9))
    assert same_rows(open_table(tmp_path / "a.jsonl.gz", "body"), 1) == [None]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "target"),
    [(".jsonl", ".csv"), (".csv", ".jsonl"), (".jsonl", ".parquet"), (".parquet", ".parquet")],
)
def test_memory_does_not_grow_with_the_table(tmp_path, suffix, target, monkeypatch):
    monkeypatch.setattr(parquet_tables, "GROUP_BYTES", 100_000)
    text = "Ada met Otto. " * 20
    peaks = []
    for count in (2_000, 10_000):
        path = tmp_path / f"a{suffix}"
        if suffix == ".parquet":
            schema = pyarrow.schema([("n", pyarrow.int64()), ("body", pyarrow.string())])
            with parquet.ParquetWriter(path, schema) as writer:
                for start in range(0, count, 1000):
                    numbers = range(start, start + 1000)
                    writer.write_table(pyarrow.table([numbers, [text] * 1000], schema=schema))
        else:
            with path.open("w") as file:
                file.writelines(["n,body\n"] if suffix == ".csv" else [])
                line = f'%d,"{text}"\n' if suffix == ".csv" else json.dumps({"n": 0, "body": text}) + "\n"
                file.writelines(line % n if suffix == ".csv" else line for n in range(count))
        tracemalloc.start()
        before = pyarrow.total_allocated_bytes()
        rewrite(path, tmp_path / f"b{target}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert pyarrow.total_allocated_bytes() <= before + 1_000_000
    assert peaks[1] < 1.3 * peaks[0] + 500_000
