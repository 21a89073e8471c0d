"""HF datasets. The oracles: files that `datasets` writes for reading, and what it loads for writing."""

import gzip
from pathlib import Path

import datasets
import pytest
from command_line import OPTIONS, run
from corpus_builders import EXPECTED, FEATURES, LABELS, NAMES, NUMBERS, ROWS, STRINGS, make, parquet, read
from input_errors import check, raises

from tagger.corpus.files import find_format, read_sentences
from tagger.corpus.hub import read_dataset
from tagger.corpus.reading import Reading
from tagger.errors import InputError

pytestmark = pytest.mark.slow


def test_a_parquet_file(here):
    sentences = list(read_sentences(parquet()))
    assert [(s.tokens, s.tags["ner"]) for s in sentences] == EXPECTED
    assert [s.source for s in sentences] == ["x.parquet:train:1", "x.parquet:train:2"]
    assert [s.starts_document for s in sentences] == [True, False]
    assert sentences[0].text == "Ada Byron wrote"
    assert sentences[0].offsets == ((0, 3), (4, 9), (10, 15))
    assert read("x.parquet:train") == EXPECTED


def test_rows_of_running_text_and_spans(here):
    span = {
        "start": datasets.Value("int32"),
        "end": datasets.Value("int32"),
        "label": datasets.Value("string"),
    }
    rows = {
        "id": [1, 2, 3],
        "text": ["Ada Byron wrote. Yes.", "No.", "Ada"],
        "spans": [[{"start": 0, "end": 9, "label": "PER"}], [], [{"start": 0, "end": 2, "label": "PER"}]],
    }
    features = {"id": datasets.Value("int32"), "text": datasets.Value("string"), "spans": datasets.List(span)}
    errors: list[InputError] = []
    result = list(read_dataset(parquet(rows, features), Reading(on_error=errors.append)))
    assert [(one.tokens, one.tags["ner"], one.starts_document) for one in result] == [
        (("Ada", "Byron", "wrote", "."), ("B-PER", "I-PER", "O", "O"), True),
        (("Yes", "."), ("O", "O"), False),
        (("No", "."), ("O", "O"), True),
        (("Ada",), ("O",), True),
    ]
    (error,) = errors
    values = {"file": "x.parquet:train", "line": 3, "option": "--on-misaligned"}
    check(error, "corpus.offsets", **values, mentions="[0, 2) 'Ad' (PER)")


def test_a_folder_of_column_files_is_not_a_dataset(here):
    Path("news").mkdir()
    Path("news/a.conll").write_text("Ada B-PER\n")
    with raises("file.kind", file="news"):
        read("news")


def test_file_names_with_glob_characters(here):
    assert read(parquet(name="a[1]*b?.parquet")) == EXPECTED


def test_a_file_has_no_configurations(here):
    with raises("argument.value", file="x.parquet", mentions="configuration 'en'"):
        read(parquet() + ":en:train")


def test_json_lines_and_arrow_files(here):
    rows = {"words": ROWS["tokens"], "ner": [[NAMES[tag] for tag in row] for row in ROWS["ner_tags"]]}
    make(rows, {"words": STRINGS, "ner": STRINGS}).to_json("x.jsonl")
    assert read("x.jsonl") == EXPECTED
    Path("x.jsonl.gz").write_bytes(gzip.compress(Path("x.jsonl").read_bytes()))
    assert read("x.jsonl.gz") == EXPECTED
    make().save_to_disk("saved")
    (file,) = Path("saved").glob("*.arrow")
    assert read(file) == EXPECTED


def test_folders_by_split(here):
    for split in ("train", "validation"):
        parquet(name=f"news/data/{split}-00000-of-00001.parquet")
    for path in ("news:train", "news:validation", "news/:train", here / "news:train"):
        assert find_format(path) == "datasets"
        assert read(path) == EXPECTED
    with raises("argument.value", file="news", mentions="(train, validation)"):
        read("news")
    with raises("corpus.empty", file="news", mentions="'test'; the splits are: train, validation"):
        read("news:test")


def test_a_folder_of_one_split_may_have_the_name_of_a_builder(here):
    parquet(name="json/data/test-00000-of-00001.parquet")
    assert read("json") == EXPECTED


def test_folders_from_save_to_disk(here):
    make().save_to_disk("one")
    datasets.DatasetDict(dev=make(), test=make()).save_to_disk("two")
    assert read("one") == read("one:train") == read("two:test") == EXPECTED
    with raises("argument.value", file="two", mentions="(dev, test)"):
        read("two")


def test_label_sequences_of_older_releases(here):
    """Files of releases before 4 name the type Sequence in their metadata."""
    import pyarrow.parquet as pq

    table = pq.read_table(parquet())
    metadata = table.schema.metadata[b"huggingface"].replace(b'"List"', b'"Sequence"')
    assert b"Sequence" in metadata
    pq.write_table(table.replace_schema_metadata({b"huggingface": metadata}), "old.parquet")
    assert read("old.parquet") == EXPECTED


@pytest.mark.parametrize("name", ["ner", "ner_tags", "ner_tag", "ner_labels"])
@pytest.mark.parametrize("tokens", ["tokens", "words", "token", "form"])
def test_names_of_features(here, name, tokens):
    rows = {tokens: ROWS["tokens"], name: ROWS["ner_tags"]}
    assert read(parquet(rows, {tokens: STRINGS, name: LABELS})) == EXPECTED


def test_columns_name_the_features(here):
    path = parquet({"w": ROWS["tokens"], "mine": ROWS["ner_tags"]}, {"w": STRINGS, "mine": LABELS})
    assert read(path, columns="token=w, ner=mine") == EXPECTED


def test_columns_of_a_conll_file_name_the_tags_to_read(here):
    assert read(parquet(), columns="token,_,ner") == EXPECTED


def test_without_tasks_every_list_of_tags_is_a_task(here):
    rows = ROWS | {"pos": [["N", "N", "V"], ["X"]], "id": ["1", "2"], "heads": [[1, 2, 0], [0]]}
    path = parquet(rows, FEATURES | {"pos": STRINGS, "id": datasets.Value("string"), "heads": NUMBERS})
    first, _ = read_dataset(path, Reading(tasks=()))
    assert first.tags == {"ner": ("B-PER", "I-PER", "O"), "pos": ("N", "N", "V")}


@pytest.mark.parametrize("name", ["document_id", "doc_id", "newdoc"])
def test_a_document_begins_where_its_name_changes(here, name):
    rows = {"tokens": [["a"]] * 5, name: ["x", "x", "y", "y", "x"]}
    path = parquet(rows, {"tokens": STRINGS, name: datasets.Value("string")})
    starts = [s.starts_document for s in read_dataset(path, Reading(tasks=()))]
    assert starts == [True, False, True, False, True]


def test_a_text_that_contains_the_tokens_is_kept(here):
    rows = {"tokens": [["Ada", "!"], ["Ada"]], "text": [" Ada!", "other"]}
    one, other = read_dataset(
        parquet(rows, {"tokens": STRINGS, "text": datasets.Value("string")}), Reading(tasks=())
    )
    assert (one.text, one.offsets) == (" Ada!", ((1, 4), (4, 5)))
    assert other.text == "Ada"


def test_features_with_a_known_name_and_another_type_are_ignored(here):
    others = {
        "text": STRINGS,
        "starts_document": NUMBERS,
        "token_offsets": NUMBERS,
        "conll_comments": NUMBERS,
    }
    rows = ROWS | {key: [[7], [7]] for key in ("starts_document", "token_offsets", "conll_comments")}
    assert read(parquet(rows | {"text": [["a"], ["b"]]}, FEATURES | others)) == EXPECTED


@pytest.mark.parametrize("offsets", [[[0, 1]], [[0, 3], [3, 9]], [[0, 3], [3, None]], [[0, 3], None]])
def test_invalid_offsets(here, offsets):
    rows = {"tokens": [["Ada", "!"]], "text": ["Ada!"], "token_offsets": [offsets]}
    features = {"text": datasets.Value("string"), "token_offsets": datasets.List(NUMBERS)}
    with raises("corpus.offsets", line=1, mentions="token_offsets"):
        list(read_dataset(parquet(rows, features | {"tokens": STRINGS}), Reading(tasks=())))


def test_an_empty_row_gives_a_warning_and_the_next_begins_its_document(here):
    warnings: list[str] = []
    path = parquet({"tokens": [[], ["a"]], "ner_tags": [[], [0]]})
    (sentence,) = read_dataset(path, Reading(warn=warnings.append))
    assert sentence.starts_document
    assert sentence.source == "x.parquet:train:2"
    assert warnings == ["x.parquet:train:1: the row has no tokens and was skipped"]


BAD_ROWS = {
    "ragged": ({"tokens": ["a", "b"], "ner": [0]}, "corpus.record", "got 1 tags for 2 tokens"),
    "no label": ({"tokens": ["a"], "ner": [-1]}, "corpus.labels", "tag -1, outside its 3 labels"),
    "None for a tag": ({"tokens": ["a"], "ner": [None]}, "corpus.record", "a tag of ner"),
    "None for tags": ({"tokens": ["a"], "ner": None}, "corpus.record", "a tag of ner"),
    "None for a token": ({"tokens": [None], "ner": [0]}, "corpus.record", "a token"),
    "None for tokens": ({"tokens": None, "ner": []}, "corpus.record", "a token"),
    "an empty token": ({"tokens": [""], "ner": [0]}, "corpus.record", "a token"),
}


@pytest.mark.parametrize(("row", "code", "value"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_rows_are_reported_and_the_others_read(here, row, code, value):
    rows = {"tokens": [["x"], row["tokens"], ["y"]], "ner": [[0], row["ner"], [1]]}
    path = parquet(rows, {"tokens": STRINGS, "ner": LABELS})
    with raises(code, file="x.parquet:train", line=2, mentions=value):
        list(read_dataset(path, Reading()))
    errors: list[InputError] = []
    rest = read(path, on_error=errors.append)
    assert rest == [(("x",), ("O",)), (("y",), ("B-PER",))]
    assert len(errors) == 1


BAD_FEATURES = {
    "plain numbers": ({"tokens": STRINGS, "ner": NUMBERS}, None, "corpus.labels", "--label-names", "'ner'"),
    "no tags": ({"tokens": STRINGS}, None, "corpus.task", "--columns", "'ner'"),
    "no tokens": ({"ner": LABELS}, None, "corpus.columns", "--columns", "the list features are: ner"),
    "numbers for tokens": (
        {"tokens": LABELS, "ner": LABELS},
        None,
        "corpus.columns",
        "--columns",
        "no feature 'tokens'",
    ),
    "text only": ({"text": datasets.Value("string")}, None, "corpus.columns", "", "no tokens and no spans"),
    "a feature that is not there": (
        {"tokens": STRINGS, "ner": LABELS},
        "ner=x",
        "corpus.task",
        "--columns",
        "'x'",
    ),
    "a column's number": ({"tokens": STRINGS}, "token=0,ner=-1", "corpus.columns", "--columns", "number 0"),
    "a name twice": ({"tokens": STRINGS}, "ner=a,ner=b", "corpus.columns", "--columns", "'ner' twice"),
    "an empty name": ({"tokens": STRINGS}, "token=,ner", "corpus.columns", "--columns", "empty name"),
}


@pytest.mark.parametrize(
    ("features", "columns", "code", "option", "value"), BAD_FEATURES.values(), ids=BAD_FEATURES
)
def test_invalid_features(here, features, columns, code, option, value):
    rows = {name: ["x"] if name == "text" else [[]] for name in features}
    with raises(code, option=option, mentions=value):
        list(read_dataset(parquet(rows, features), Reading(columns=columns)))


def test_damaged_and_empty_files(here):
    whole = Path(parquet()).read_bytes()
    for size in (0, 7, len(whole) // 2, len(whole) - 1):
        Path("cut.parquet").write_bytes(whole[:size])
        with raises("file.unreadable", file="cut.parquet"):
            read("cut.parquet")
    Path("cut.jsonl").write_text('{"tokens": ["a"], "ner": ["O"]}\n{"tokens": ["a",\n')
    with raises("file.unreadable", file="cut.jsonl:train"):
        read("cut.jsonl")
    with raises("corpus.empty", file="x.parquet:train"):
        read(parquet({"tokens": [], "ner_tags": []}))


def test_a_model_is_trained_and_scored_on_splits(here):
    for split in ("train", "validation"):
        parquet(name=f"news/{split}.parquet")
    parts = ("--train", "news:train", "--dev", "news:validation")
    for command in (("train", *parts, "--output", "m", *OPTIONS), ("evaluate", "m", "news:validation")):
        code, output, errors = run(*command)
        assert (code, errors) == (0, "")
        assert "PER" in output


def test_integer_tags_require_names(here):
    rows = ROWS | {"ner_tags": [[1, 2, 0], [0]]}
    rows.pop("ner", None)
    features = {name: kind for name, kind in FEATURES.items() if name != "ner"} | {"ner_tags": NUMBERS}
    path = parquet(rows, features)
    for tasks, columns in ((("ner",), None), ((), None), ((), "token=tokens,ner=ner_tags")):
        with raises("corpus.labels", option="--label-names", mentions="'ner_tags'"):
            list(read_dataset(path, Reading(tasks=tasks, columns=columns)))
        names = ("O", "B-PER", "I-PER")
        first, _ = read_dataset(path, Reading(tasks=tasks, columns=columns, label_names=names))
        assert first.tags == {"ner": ("B-PER", "I-PER", "O")}


def test_ignored_features_are_reported(here):
    warnings: list[str] = []
    rows = ROWS | {"id": ["1", "2"], "heads": [[1, 2, 0], [0]]}
    path = parquet(rows, FEATURES | {"id": datasets.Value("string"), "heads": NUMBERS})
    list(read_dataset(path, Reading(warn=warnings.append)))
    assert warnings == [
        "x.parquet:train: the features id, heads were ignored; sentences have no field for them."
    ]


def test_text_rows_that_are_not_gold_are_skipped(here):
    warnings: list[str] = []
    span = {
        "start": datasets.Value("int64"),
        "end": datasets.Value("int64"),
        "label": datasets.Value("string"),
    }
    rows = {
        "text": ["Ada left", "Bo left"],
        "spans": [[{"start": 0, "end": 3, "label": "PER"}], []],
        "answer": ["accept", "reject"],
    }
    features = {
        "text": datasets.Value("string"),
        "spans": datasets.List(span),
        "answer": datasets.Value("string"),
    }
    (sentence,) = read_dataset(parquet(rows, features), Reading(warn=warnings.append))
    assert sentence.tags["ner"] == ("B-PER", "O")
    assert [one for one in warnings if '1 record with answer "reject" skipped' in one]
