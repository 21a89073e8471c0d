"""Unusable corpora, vectors and settings: one line with the error, its location and what to do."""

import gzip
import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import SMALL, input_error, run, train
from input_errors import check

from tagger.errors import InputError

GOOD = "Ada B-PER\nsang O\n\nOslo B-LOC\nsleeps O\n"
RUBBISH = random.Random(1).randbytes(5000)


@pytest.fixture
def train_error(tmp_path):
    """Return a function that trains on unusable input and returns the error. It must write nothing."""

    def fail(*arguments: object, data: str | bytes = GOOD, **files: str | bytes) -> InputError:
        words = []
        for option, content in {"train": data, **files}.items():
            path = tmp_path / f"{option}.txt"
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            words += [f"--{option}", path]
        before = sorted(tmp_path.iterdir())
        others = [setting for setting in SMALL if not any(f"{setting}=" in str(one) for one in arguments)]
        small = [word for key in others for word in ("--set", f"{key}={SMALL[key]}")]
        error = input_error("train", *small, *words, "--output", tmp_path / "model", *arguments)
        assert sorted(tmp_path.iterdir()) == before
        advice = r"; |\. [A-Z]|does not fit|for instance"
        assert re.search(advice, str(error)), "nothing says what to do"
        return error

    return fail


@pytest.fixture
def train_message(train_error, tmp_path):
    """Return a function as ``train_error`` that returns the text of the error, with relative paths."""
    return lambda *arguments: str(train_error(*arguments)).replace(f"{tmp_path}/", "")


# Invalid contents of a split: the code, the line and what the error mentions. `tagger evaluate` rejects the
# same files.
CORPORA = [
    ("empty", "", "corpus.empty", None, ""),
    ("blank lines", "\n \n\t\n", "corpus.empty", None, ""),
    ("comments", "# a\n\n-DOCSTART- O\n", "corpus.empty", None, ""),
    ("a column more", "Ada B-PER\nsang a O\n", "corpus.columns", 2, "got 3"),
    ("a column less", "Ada B-PER\n\nsang\n", "corpus.columns", 3, "got 1"),
    ("one column", "Ada\nsang\n", "corpus.columns", 1, "only one column"),
    ("no UTF-8", b"Ada B-PER\nsa\xffng O\n", "corpus.encoding", 2, "byte 3 of the line (0xff)"),
    ("UTF-16", GOOD.encode("utf-16"), "corpus.encoding", 1, "byte 1 of the line (0xff)"),
    ("a tag outside", "Ada B-PER\nsang Q-PER\n", "corpus.scheme", 2, "'Q-PER' of 'sang'"),
    ("a word for a tag", "Ada B-PER\nsang sang\n", "corpus.scheme", 2, "'sang' of 'sang'"),
    ("gzip, cut", gzip.compress(GOOD.encode() * 99)[:-9], "file.unreadable", None, "gzip"),
    ("gzip, rubbish", b"\x1f\x8b" + RUBBISH, "file.unreadable", None, "gzip"),
    ("zeros", bytes(9999), "corpus.columns", 1, "only one column"),
]


@pytest.mark.parametrize(
    ("content", "code", "line", "value"), [case[1:] for case in CORPORA], ids=[case[0] for case in CORPORA]
)
def test_unusable_corpora_are_reported_with_their_line(
    train_error, model, tmp_path, content, code, line, value
):
    check(train_error(data=content), code, file=tmp_path / "train.txt", line=line, mentions=value)
    check(train_error(dev=content), code, file=tmp_path / "dev.txt", line=line, mentions=value)
    gold = tmp_path / "gold.txt"
    gold.write_bytes(content if isinstance(content, bytes) else content.encode())
    error = input_error("evaluate", model, gold, "--task", "ner", "--columns", "token=0,ner=-1")
    # The columns are named here, so a file of one column has a tag.
    if value != "only one column":
        check(error, code, file=gold, line=line, mentions=value)


@pytest.mark.parametrize("option", ["train", "dev"])
def test_a_corpus_without_spans_is_an_error(train_error, option):
    content = {"data" if option == "train" else "dev": "Ada O\nsang O\n"}
    error = train_error(**content)
    check(error, "corpus.empty", file=f"{option}.txt", option="--columns", mentions="'ner'")


@pytest.mark.parametrize("option", ["train", "dev"])
def test_missing_files_and_folders_are_reported(corpus, tmp_path, option):
    files = {"train": corpus / "train.conll", "dev": corpus / "dev.conll"}
    for wrong, code in (("missing", "file.missing"), ("", "file.kind")):
        words = [
            word
            for name, path in (files | {option: tmp_path / wrong}).items()
            for word in (f"--{name}", path)
        ]
        error = input_error("train", *words, "--columns", "token,pos,ner", "--output", tmp_path / "model")
        check(error, code, file=tmp_path / wrong)
    assert list(tmp_path.iterdir()) == []


# Tags that only dev has


def test_a_dev_label_missing_in_train_is_reported_with_its_line(train_error):
    error = train_error(dev="Ada B-PER\n\nthe O\nBank B-ORG\nof I-ORG\n")
    values = {"file": "dev.txt", "option": "data.unseen_tags"}
    check(error, "corpus.labels", **values, line=4, mentions="label 'ORG' of 'Bank'")
    assert "data.unseen_tags=count" in str(error)
    error = train_error("--task", "pos", data="Ada N\nsang V\n", dev="Ada N\nsang X\n")
    check(error, "corpus.labels", **values, line=2, mentions="tag 'X' of 'sang'")


def test_a_dev_prefix_missing_in_train_is_valid(tmp_path):
    (tmp_path / "train.txt").write_text("Ada B-PER\nsang O\n")
    (tmp_path / "dev.txt").write_text("Ada B-PER\nLovelace I-PER\n")
    files = ("--train", tmp_path / "train.txt", "--dev", tmp_path / "dev.txt")
    assert train(*files, "--output", tmp_path / "model")[0] == 0


def test_dev_labels_missing_in_train_are_counted_on_request(tmp_path):
    (tmp_path / "train.txt").write_text(GOOD)
    (tmp_path / "dev.txt").write_text("Ada B-PER\n\nBank B-ORG\nof I-ORG\nOslo B-LOC\n")
    files = ("--train", tmp_path / "train.txt", "--dev", tmp_path / "dev.txt", "--output", tmp_path / "model")
    code, output, error = train(*files, "--set", "data.unseen_tags=count")
    assert (code, error) == (0, "")
    assert "          2 tags in dev do not occur in train and count as errors\n" in output
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text())
    assert metrics["data"]["dev"]["unseen_tags"] == {"ner": 2}
    assert metrics["dev"]["ner"]["by_label"]["ORG"]["recall"] == 0.0
    assert "In dev 2 ner tags do not occur in train" in (tmp_path / "model" / "README.md").read_text()


def test_evaluate_lists_the_labels_that_the_model_lacks(model, tmp_path):
    gold = tmp_path / "gold.conll"
    gold.write_text("Ada PROPN B-PER\n\nBank XX B-ORG\nof ADP I-ORG\nLife XX I-ORG\nWar XX B-EVT\n")
    result = json.loads(run("evaluate", model, gold, "--json")[1])
    assert result["unseen_tags"] == {"pos": {"XX": 3}, "ner": {"ORG": 3, "EVT": 1}}
    assert result["tasks"]["ner"]["by_label"]["ORG"]["recall"] == 0.0
    code, output, error = run("evaluate", model, gold)
    assert (code, error) == (0, "")
    assert "gold tags unknown to the model, counted as errors: ORG (3), EVT (1)\n" in output
    gold.write_text("Ada PROPN B-PER\n")
    assert json.loads(run("evaluate", model, gold, "--json")[1])["unseen_tags"] == {"pos": {}, "ner": {}}
    assert "unknown to the model" not in run("evaluate", model, gold)[1]


# Vectors


VECTORS = [
    ("empty", "", "v.txt: the vectors file is empty. Pass a GloVe, word2vec or fastText file."),
    ("blank lines", "\n\n", "v.txt:1: expected a word and its values, separated by spaces"),
    ("two widths", "ada 1 2\nsang 1 2 3\n", "v.txt:2: expected a word and 2 values, got 3 values"),
    ("NaN", "the 1 2\nada 1 nan\n", "v.txt:2: a value of the vector is not a finite number"),
    ("infinity", "ada inf 1\n", "v.txt:1: a value of the vector is not a finite number"),
    ("too large", "ada 1e60 1\n", "v.txt:1: a value of the vector is not a finite number"),
    ("a corpus", GOOD, "v.txt:1: a value of the vector is not a finite number"),
    ("decimal commas", "ada 0,5 0,25\n", "v.txt:1: it is not clear where the word ends"),
    ("decimal commas, tabs", "ada\t0,5\t0,25\n", "v.txt:1: it is not clear where the word ends"),
    ("one number or two", "ada 0,5\n", "v.txt:1: it is not clear where the word ends"),
    ("an index", "0,ada,0.5,0.25\n", "v.txt:1: "),
    ("a tab later on", "ada 1 2\nsang\t9 1 2\n", "v.txt:2: expected a word and 2 values, got 4 values"),
    ("spaces later on", "ada\t1 2\nsang 1 2\n", "v.txt:2: expected a word and 2 values, separated as in"),
    ("a number in a word", "ada 1 2\nsang 9 x 1 2\n", "v.txt:2: expected a word and 2 values, got 4 values"),
    ("two separators", "ada 0.1,0.2 0.3\n", "v.txt:1: a value of the vector is not a finite number"),
    ("other separators", "ada:0.1:0.2\n", "v.txt:1: expected a word and its values, separated by spaces"),
    ("unquoted number", "ada,0.1,0.2\n1,000,0.1,0.2\n", "v.txt:2: expected a word and 2 values"),
    ("header alone", "5 300\n", "v.txt:2: expected a word and 300 values, as the first line says"),
    ("too few", "3 2\nada 1 2\n", "v.txt: the first line says 3 vectors, but 1 follow. Download it again"),
    ("absurd width", "3 9999999999\nada 1\n", "v.txt:1: the first line gives a count or size that no"),
    ("absurd count", f"{'9' * 5000} 2\nada 1 2\n", "v.txt:1: the first line gives a count or size that no"),
    ("cut", b"2 2\nada " + np.ones(2, "<f4").tobytes() + b"a \xff", "v.txt: the file ends within vector 2"),
    ("NaN, binary", b"1 2\nada " + np.full(2, np.nan, "<f4").tobytes(), "v.txt: vector 1 ('ada') has a"),
    ("zeros", bytes(9999), "v.txt:1: expected a word and its values, separated by spaces"),
    ("gzip, cut", gzip.compress(b"ada 1 2\n" * 999)[:-9], "v.txt: the vectors cannot be read ("),
]


@pytest.mark.parametrize(
    ("content", "message"), [case[1:] for case in VECTORS], ids=[case[0] for case in VECTORS]
)
def test_unusable_vectors_are_reported_with_their_row(tmp_path, train_message, content, message):
    path = tmp_path / "v.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert train_message("--vectors", path).startswith(message)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_not_a_vectors_file(tmp_path, train_message, seed):
    path = tmp_path / "v.txt"
    path.write_bytes(random.Random(seed).randbytes(3000))
    assert re.match(r"v\.txt(:\d+)?: ", train_message("--vectors", path))


def test_duplicate_and_missing_words_of_vectors_are_counted(tmp_path):
    (tmp_path / "train.txt").write_text(GOOD)
    (tmp_path / "v.txt").write_text("ada 1 2\nada 3 4\nsang 1 2\nada 5 6\nbergen 0 1\n")
    files = ("--train", tmp_path / "train.txt", "--vectors", tmp_path / "v.txt")
    code, output, error = train(*files, "--output", tmp_path / "model")
    assert (code, error) == (0, "")
    assert "v.txt, 2 dimensions: 2 of 4 train words found (50.0%), 1 more kept for tagging" in output
    assert "          2 vectors of repeated words skipped\n" in output


def test_vectors_of_other_words_are_a_warning(tmp_path):
    (tmp_path / "train.txt").write_text(GOOD)
    (tmp_path / "v.txt").write_text("katze 1 2\nhund 3 4\n")
    files = ("--train", tmp_path / "train.txt", "--vectors", tmp_path / "v.txt")
    code, _, error = train(*files, "--output", tmp_path / "model")
    warning = "v.txt: WARNING: only 0 of train's 4 distinct words have a vector (got 0.0%). Check the file's"
    assert code == 0
    assert warning in error
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text())
    assert metrics["data"]["vectors"]["warning"].startswith(warning)


# Settings


SETTINGS = [
    ("model.hidden_size=[]", "settings: model.hidden_size must be a valid integer (got []). Correct"),
    ("model.hidden_size=", "settings: model.hidden_size must be a valid integer, unable to"),
    ("model.hidden_size=nan", "settings: model.hidden_size must be a finite number (got nan)"),
    ("model.hidden_size=2.5", "settings: model.hidden_size must be a valid integer, got a number with a"),
    ("model.hidden_size=99999999999", "settings: model.hidden_size must be less than or equal to 10000 (got"),
    ("model.layers=1000000000", "settings: model.layers must be less than or equal to 100 (got 1000000000)"),
    (f"model.layers={'9' * 5000}", "settings: model.layers must be a valid integer (got"),
    (f"model.layers={'[' * 5000}", "settings: model.layers must be a valid integer, unable to"),
    ("model.layers=1\nmodel.head=5", "settings: model.layers must be a valid integer, unable to"),
    ("train.seed=1979-05-27", "settings: train.seed must be a valid integer (got datetime.date("),
    ("data.tasks={}", "settings: data.tasks must be a list (got {})"),
    ("data.tokenizer=3", "settings: data.tokenizer must contain named values (got 3)"),
    ("data.unseen_tags=maybe", "settings: data.unseen_tags must be 'error' or 'count' (got 'maybe')"),
    ("model=3", "settings: there is no option 'model'; did you mean model.head?"),
    ("=3", "--set must be key=value, for instance model.hidden_size=100 (got '=3')"),
]


@pytest.mark.parametrize(("setting", "message"), SETTINGS, ids=[case[0][:20] for case in SETTINGS])
def test_settings_of_invalid_types_name_the_option(train_message, setting, message):
    assert train_message("--set", setting).startswith(message)


CONFIGS = [
    ("wrong type", '[model]\nlayers = "x"\n', "c.toml: model.layers must be a valid integer"),
    ("twice", "[model]\nlayers = 1\nlayers = 2\n", "c.toml: not a valid TOML file (Cannot overwrite a value"),
    ("section twice", "[model]\n[model]\n", "c.toml: not a valid TOML file (Cannot declare ('model',) twice"),
    ("no section", "layers = 1\n", "c.toml: there is no option 'layers'; did you mean model.layers?"),
    ("no table", "model = 3\n", "c.toml: there is no option 'model'; did you mean model.head?"),
    ("a table", "[model.layers]\nx = 1\n", "c.toml: model.layers must be a valid integer (got {'x': 1})"),
    ("JSON", '{"model": 1}', "c.toml: not a valid TOML file (Invalid statement (at line 1, column 1)). C"),
    ("Latin-1", b'[model]\nhead="\xe9"\n', "c.toml:2: byte 7 of the line (0xe9) is not UTF-8. Convert"),
    ("UTF-16", "[model]".encode("utf-16"), "c.toml:1: byte 1 of the line (0xff) is not UTF-8. Convert"),
    ("NUL", "a='\0'", "c.toml: not a valid TOML file ("),
    ("nested", "a=" + "[" * 9999, "c.toml: a number is too long or a value is nested too deeply. Corr"),
    (
        "long number",
        f"a={'9' * 9999}",
        "c.toml: a number is too long or a value is nested too deeply. Corr",
    ),
]


@pytest.mark.parametrize(
    ("content", "message"), [case[1:] for case in CONFIGS], ids=[case[0] for case in CONFIGS]
)
def test_unusable_configs_are_reported(tmp_path, train_message, content, message):
    path = tmp_path / "c.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert train_message(path).startswith(message)
    assert train_message(tmp_path).startswith(f"{tmp_path}: the config cannot be read (Is a directory)")


@pytest.mark.slow
def test_a_config_may_begin_with_a_byte_order_mark(corpus, tmp_path):
    (tmp_path / "c.toml").write_bytes(b"\xef\xbb\xbf[model]\nhidden_size = 3\n[train]\nepochs = 1\n")
    files = ("--train", corpus / "train.conll", "--output", tmp_path / "model")
    assert run("train", tmp_path / "c.toml", *files)[0] == 0
    assert json.loads(Path(tmp_path / "model" / "config.json").read_text())["model"]["hidden_size"] == 3
