"""``Tagger.tag_table``: a column of spans for pandas, polars and pyarrow tables."""

import pytest
from bundles import make_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from input_errors import raises

from tagger import Tagger

TAGGER = Tagger(make_bundle()[1])
TEXTS = ["Mira met Tom.\n\nRain fell.", None, "", "Glasgow lost 2-0.", None, "Mira met Tom.\n\nRain fell."]


def expected(texts, task="ner", **options):
    """Return the cells of a column by tagging each text alone."""
    cells = []
    for text in texts:
        tagged = [] if text is None else TAGGER.tag(text, **options)
        spans = [span for sentence in tagged for span in sentence.spans[task]]
        keys = ("start_char", "end_char", "label", "score")
        cells.append(None if text is None else [tuple(getattr(span, key) for key in keys) for span in spans])
    return cells


def check(cells, others):
    """Compare cells; batches may change scores by rounding."""
    assert len(cells) == len(others)
    for cell, other in zip(cells, others, strict=True):
        assert (cell is None) == (other is None)
        for struct, values in zip(cell or (), other or (), strict=True):
            assert list(struct) == ["start", "end", "label", "score"]
            *places, score = struct.values()
            assert places == list(values[:-1])
            assert score == pytest.approx(values[-1], abs=1e-5)


@pytest.fixture(params=["pandas", "polars", "pyarrow", "batch"])
def make_table(request):
    """Return functions that build a table, return a column as a list, and return the column names."""
    name = "pyarrow" if request.param == "batch" else request.param
    library = pytest.importorskip(name, reason=f"{name} is not installed")
    if name != "pyarrow":
        return (
            library.DataFrame,
            lambda frame, column: frame[column].to_list(),
            lambda frame: list(frame.columns),
        )
    cls = library.RecordBatch if request.param == "batch" else library.Table
    return (
        cls.from_pydict,
        lambda frame, column: frame.column(column).to_pylist(),
        lambda frame: frame.schema.names,
    )


def test_a_table_gets_one_column_of_spans(make_table):
    make, values, names = make_table
    frame = make({"id": list(range(6)), "body": TEXTS})
    found = TAGGER.tag_table(frame, text="body")
    assert type(found) is type(frame)
    cells = values(found, "spans")
    check(cells, expected(TEXTS))
    assert any(cells)
    assert values(found, "id") == list(range(6))
    assert names(found) == ["id", "body", "spans"]
    assert names(frame) == ["id", "body"]
    again = TAGGER.tag_table(found, "body", column="sure", min_score=0.5)
    check(values(again, "sure"), expected(TEXTS, min_score=0.5))


def test_tables_without_rows_or_texts(make_table):
    make, values, _ = make_table
    for texts in ([], [None, None]):
        frame = make({"body": texts})
        assert values(TAGGER.tag_table(frame, text="body"), "spans") == texts


def test_the_column_has_a_type():
    polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    fields = {"start": polars.Int64, "end": polars.Int64, "label": polars.String, "score": polars.Float64}
    for texts in ([], [None], TEXTS):
        frame = polars.DataFrame({"body": polars.Series(texts, dtype=polars.String)})
        assert TAGGER.tag_table(frame, text="body").schema["spans"] == polars.List(polars.Struct(fields))
        table = pyarrow.table({"body": pyarrow.chunked_array([texts[:2], texts[2:]], pyarrow.string())})
        table = table.replace_schema_metadata({"origin": "mine"})
        found = TAGGER.tag_table(table, text="body")
        kind = found.schema.field("spans").type.value_type
        names = [kind.field(index).name for index in range(kind.num_fields)]
        assert names == ["start", "end", "label", "score"]
        assert found.schema.metadata == {b"origin": b"mine"}


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([*TEXTS[:4], float("nan")])), max_size=6))
@settings(max_examples=30)
def test_pandas_keeps_any_index_type_and_attributes(rows):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")

    class Own(pandas.DataFrame):
        @property
        def _constructor(self):
            return Own

    texts = [text for _, text in rows]
    index = pandas.Index([key for key, _ in rows], name="key", dtype=object)  # with duplicates, not sorted
    frame = Own({"body": pandas.Series(texts, index=index, dtype=object), 7: range(len(rows))}, index=index)
    frame.attrs["origin"] = "mine"
    found = TAGGER.tag_table(frame, text="body")
    assert type(found) is Own
    assert found.attrs == {"origin": "mine"}
    assert found.index.equals(frame.index)
    assert list(frame.columns) == ["body", 7]
    assert found.drop(columns="spans").equals(frame)
    check(list(found["spans"]), expected([text if isinstance(text, str) else None for text in texts]))


def test_a_task_without_spans_has_one_struct_per_token():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    found = TAGGER.tag_table(pandas.DataFrame({"body": TEXTS[:1]}), text="body", task="pos")
    tagged = TAGGER.tag(TEXTS[0])
    assert [one["label"] for one in found["spans"][0]] == [tag for one in tagged for tag in one.tags["pos"]]
    assert [one["start"] for one in found["spans"][0]] == [
        start for one in tagged for start, _ in one.offsets
    ]


def test_wrong_arguments(make_table):
    make, _, _ = make_table
    frame = make({"id": [1], "body": ["Mira"]})
    with raises("argument.value", option="text", mentions="id, body"):
        TAGGER.tag_table(frame, text="text")
    with raises("argument.value", option="column", mentions="'id'"):
        TAGGER.tag_table(frame, text="body", column="id")
    with raises("corpus.task", mentions="'chunk'"):
        TAGGER.tag_table(frame, text="body", task="chunk")
    with pytest.raises(TypeError, match=r"^id\[0\] must be a str \(got int 1\)"):
        TAGGER.tag_table(frame, text="id")


def test_a_value_that_is_no_table():
    for frame in (None, {"body": ["Mira"]}, [["Mira"]], "Mira"):
        with pytest.raises(TypeError, match=r"^frame must be a pandas or polars DataFrame or a pyarrow "):
            TAGGER.tag_table(frame, text="body")
    polars = pytest.importorskip("polars", reason="polars is not installed")
    lazy = polars.DataFrame({"body": ["Mira"]}).lazy()
    with pytest.raises(TypeError, match=r"\(got LazyFrame\)\. Collect it first\.$"):
        TAGGER.tag_table(lazy, text="body")
