"""``tagger.train``: data in memory gives the same weights as files; options, callbacks and interruption."""

import json
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from input_errors import check

from tagger import EpochRecord, InputError, Sentence, Tagger, evaluate, read_corpus, train, write_corpus
from tagger.config import Config
from tagger.config_loading import load_config
from tagger.corpus.files import read_sentences

ROWS = [
    (["Ada", "met", "Bo", "in", "Oslo"], ["B-PER", "O", "B-PER", "O", "B-LOC"]),
    (["Bo", "left", "."], ["B-PER", "O", "O"]),
    (["New", "York", "is", "far"], ["B-LOC", "I-LOC", "O", "O"]),
    (["Ada", "sang", "."], ["B-PER", "O", "O"]),
] * 3
SIZES = {
    "hidden_size": 4, "word_size": 4, "character_hidden": 3, "context_size": 2, "epochs": 2, "min_steps": 0,
    "batch_size": 4,
}  # fmt: skip


def tensors(model: Tagger) -> dict[str, np.ndarray]:
    return dict(model.bundle.tensors)


def assert_equal_weights(model: Tagger, other: Tagger) -> None:
    assert model.bundle.vocabulary == other.bundle.vocabulary
    assert tensors(model).keys() == tensors(other).keys()
    for name, weights in tensors(model).items():
        assert np.array_equal(weights, tensors(other)[name]), name


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("api") / "train.conll"
    blocks = ("".join(f"{token} {tag}\n" for token, tag in zip(*row, strict=True)) for row in ROWS)
    file.write_text("\n".join(blocks))
    return file


@pytest.fixture(scope="module")
def from_file(path) -> Tagger:
    return train(path, dev=path, **SIZES)


def token_rows() -> dict[str, list[object]]:
    """One row per token, with a sentence id."""
    rows = [(n, *pair) for n, row in enumerate(ROWS) for pair in zip(*row, strict=True)]
    columns = zip(*rows, strict=True)
    return dict(zip(("sentence_id", "token", "ner"), map(list, columns), strict=True))


def sentence_rows() -> dict[str, list[object]]:
    """One row per sentence, with lists."""
    tokens, tags = zip(*ROWS, strict=True)
    return {"tokens": list(tokens), "ner_tags": list(tags)}


FORMS: dict[str, Callable[[Path], object]] = {
    "several paths": lambda path: [path],
    "a path as a string": str,
    "sentences": lambda path: list(read_sentences(path)),
    "a generator": lambda path: iter(read_sentences(path)),
    "pairs": lambda path: ROWS,
    "pairs of arrays": lambda path: [tuple(map(np.array, row)) for row in ROWS],
    "pairs with tasks": lambda path: [(tokens, {"ner": tags}) for tokens, tags in ROWS],
    "records": lambda path: [{"tokens": tokens, "ner_tags": tags} for tokens, tags in ROWS],
    "an HF dataset": lambda path: datasets.Dataset.from_dict(sentence_rows()),
    "pandas, a row a sentence": lambda path: pd.DataFrame(sentence_rows()),
    "pandas, a row a token": lambda path: pd.DataFrame(token_rows(), index=range(100, 145)),
    "polars, a row a sentence": lambda path: pl.DataFrame(sentence_rows()),
    "polars, a row a token": lambda path: pl.DataFrame(token_rows()),
    "pyarrow, a row a sentence": lambda path: pa.table(sentence_rows()),
    "pyarrow, a row a token": lambda path: pa.table(token_rows()),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_data_gives_the_weights_of_a_file(form, path, from_file):
    assert_equal_weights(train(form(path), dev=form(path), **SIZES), from_file)


def test_a_dataset_dict_has_both_splits(path, from_file):
    rows = datasets.Dataset.from_dict(sentence_rows())
    assert_equal_weights(train(datasets.DatasetDict(train=rows, validation=rows), **SIZES), from_file)


def test_text_with_spans_gives_the_weights_of_a_jsonl_file(tmp_path):
    records = [
        {"text": "Ada met Bo in Oslo.", "spans": [{"start": 0, "end": 3, "label": "PER"}]},
        {"text": "Bo is here. Ada left.", "spans": [{"start": 0, "end": 2, "label": "PER"}]},
    ]
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    expected = train(file, **SIZES)
    assert_equal_weights(train(records, **SIZES), expected)
    pairs = [(record["text"], {"entities": [(0, len(name), "PER")]}) for record, name in
             zip(records, ("Ada", "Bo"), strict=True)]  # fmt: skip
    assert_equal_weights(train(pairs, **SIZES), expected)


@pytest.mark.parametrize(
    ("item", "code", "words"),
    [
        ((["Ada", "sang"], ["O"]), "corpus.record", "2"),
        ((["Ada", 3], ["O", "O"]), "corpus.record", "3"),
        ((["Ada"], ["PER"], 1), "corpus.record", "(tokens, tags)"),
        (7, "corpus.record", "7"),
        ("Ada sang.", "corpus.record", "Ada"),
        ({"tokens": ["Ada"]}, "corpus.task", "ner"),
        ({"text": "Ada", "spans": [{"start": 0, "end": 9, "label": "PER"}]}, "corpus.offsets", "9"),
        (Sentence(("Ada",), ((0, 3),), "Ada"), "corpus.task", "ner"),
        (Sentence(("Ada",), ((0, 3),), "Ada", tags={"ner": ()}), "corpus.record", "ner"),
        (Sentence(("Ada",), ((0, 3),), "Ada", tags={"ner": ("",)}), "corpus.record", "''"),
        (Sentence(("Ada",), ((0, 3),), "Ada", tags={"ner": (3,)}), "corpus.record", "3"),
    ],
)
def test_an_invalid_item_is_an_error_with_its_index(item, code, words):
    with pytest.raises(InputError) as error:
        train([*ROWS, item], **SIZES)
    assert (error.value.code, words in str(error.value)) == (code, True)
    assert error.value.where.startswith(f"train_data[{len(ROWS)}]")


@pytest.mark.parametrize("data", ["", 3, b"Ada", None, {"a": 1}])
def test_other_types_are_rejected(data):
    with pytest.raises((TypeError, InputError)) as error:
        train(data, **SIZES)
    assert "train_data" in str(error.value) or "file" in str(error.value)


def test_data_without_sentences_is_an_error():
    for empty in ([], iter(()), pd.DataFrame({"tokens": [], "ner": []}), [([], [])]):
        with pytest.raises(InputError) as error:
            train(empty, **SIZES)
        check(error.value, "corpus.empty")


def test_token_rows_need_a_sentence_column():
    with pytest.raises(InputError) as error:
        train(pd.DataFrame(token_rows()).drop(columns="sentence_id"), **SIZES)
    check(error.value, "corpus.columns", mentions="sentence_id")


def test_options_in_every_form_give_the_same_config(path, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("[model]\nhidden_size = 4\n[train]\nepochs = 2\n")
    sizes = {name: SIZES[name] for name in SIZES if name not in ("hidden_size", "epochs")}
    nested = {"model": {"hidden_size": 4}, "train": {"epochs": 2}}
    dotted = {"model.hidden_size": 4, "train.epochs": 2}
    plain = {"hidden_size": 4, "epochs": 2}
    configs = [file, str(file), nested, dotted, plain, load_config(None, dotted)]
    models = [train(path, config=config, **sizes) for config in configs]
    assert len({model.bundle.config.model_dump_json() for model in models}) == 1
    assert models[0].bundle.config.model.hidden_size == 4
    assert train(path, config=file, epochs=1, **sizes).bundle.config.train.epochs == 1
    with pytest.raises(TypeError):
        train(path, config=3)


@pytest.mark.parametrize("options", [{"lerning_rate": 1}, {"config": {"model.hidden_sise": 4}}])
def test_an_unknown_option_suggests_the_nearest(options):
    with pytest.raises(InputError, match=r"did you mean (train\.learning_rate|model\.hidden_size)") as error:
        train(ROWS, **options)
    assert error.value.code == "option.unknown"


def test_two_tasks(path):
    data = [(tokens, {"ner": tags, "pos": ["X"] * len(tags)}) for tokens, tags in ROWS]
    model = train(data, task=["pos", "ner"], **SIZES)
    assert [task.name for task in model.tasks] == ["pos", "ner"]
    with pytest.raises(InputError) as error:
        train(ROWS, task=["pos", "ner"], **SIZES)
    check(error.value, "corpus.task")


def test_callbacks_see_every_record_and_cannot_change_the_result(path, from_file):
    records = []

    def disturb(record: object) -> str:
        records.append(record)
        np.random.seed(0)
        return "not True"

    assert_equal_weights(train(path, dev=path, callbacks=[disturb], **SIZES), from_file)
    epochs = [record for record in records if isinstance(record, EpochRecord)]
    assert [record.epoch for record in epochs] == [1, 2]
    assert all(record.weights is None for record in epochs)
    assert len(records) == 2 + 2 * len(ROWS) // SIZES["batch_size"]


def test_a_callback_stops_the_run_and_it_can_be_resumed(path, tmp_path, from_file):
    def stop(record: object) -> bool:
        return isinstance(record, EpochRecord)

    stopped = train(path, dev=path, output=tmp_path / "run", callbacks=[stop], **SIZES)
    assert stopped.bundle.metrics["epoch"] == 1
    resumed = train(path, dev=path, output=tmp_path / "run", resume=True, **SIZES)
    assert_equal_weights(resumed, from_file)
    with pytest.raises(InputError) as error:
        train(path, callbacks=[lambda record: True], **SIZES)
    check(error.value, "run.failed", option="callbacks")


def test_an_interruption_keeps_the_best_epoch(path):
    def interrupt(after: type) -> Callable[[object], None]:
        def callback(record: object) -> None:
            if isinstance(record, after):
                raise KeyboardInterrupt

        return callback

    with pytest.warns(UserWarning, match="interrupted"):
        model = train(path, dev=path, callbacks=[interrupt(EpochRecord)], **SIZES)
    assert model.bundle.metrics["epoch"] == 1
    with pytest.raises(KeyboardInterrupt):
        train(path, callbacks=[interrupt(object)], **SIZES)


def test_the_progress_bar_does_not_change_the_result(path, from_file, capsys):
    assert_equal_weights(train(path, dev=path, progress=True, **SIZES), from_file)
    assert "epoch 2/2" in capsys.readouterr().out


def test_a_run_without_output_leaves_no_files(path, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    model = train(path, **SIZES)
    assert not list(tmp_path.glob("tagger-*"))
    assert pickle.loads(pickle.dumps(model)).tag("Ada met Bo.") == model.tag("Ada met Bo.")


def test_no_warning_for_clean_data(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(path, config=Config(), **SIZES)


@pytest.mark.parametrize("name", ["a.conll", "a.conll.gz", "a.conllu", "a.jsonl", "a.csv", "a.parquet"])
def test_a_corpus_is_written_and_read(path, tmp_path, name):
    sentences = read_corpus(path)
    assert [sentence.tags["ner"] for sentence in sentences] == [tuple(tags) for _, tags in ROWS]
    if name == "a.parquet":
        write_corpus(sentences, tmp_path / "a", format="datasets")
        again = read_corpus(tmp_path / "a", task="ner")
    else:
        write_corpus(sentences, tmp_path / name)
        again = read_corpus(tmp_path / name, task="ner")
    assert [(one.tokens, one.tags["ner"]) for one in again] == [
        (one.tokens, one.tags["ner"]) for one in sentences
    ]


def test_labels_without_prefix_are_read_as_spans(tmp_path):
    file = tmp_path / "bare.conll"
    file.write_text("Ada PER\nsang O\n\nNew LOC\nYork LOC\n")
    first, second = read_corpus(file, task="ner", scheme="bare")
    assert (first.tags["ner"], second.tags["ner"]) == (("I-PER", "O"), ("I-LOC", "I-LOC"))
    assert read_corpus(file, task="ner", scheme="none")[1].tags["ner"] == ("LOC", "LOC")
    with pytest.raises(InputError) as error:
        read_corpus(file, task=["pos", "ner"])
    check(error.value, "corpus.task", file=file, option="--columns", mentions="pos")


def test_training_without_torch_is_an_error_that_names_the_extra():
    """Scoring works without it."""
    code = (
        "import sys; sys.modules['torch'] = None; import tagger\n"
        "try: tagger.train\n"
        "except tagger.InputError as error: print(error.code, error)\n"
        "print(tagger.evaluate.__name__, tagger.measure_forgetting.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "package.missing tagger.train needs the package torch. Install the extra `train` (see README).",
        "evaluate measure_forgetting",
    ]


def test_evaluate_takes_a_model_or_its_folder(from_file, path, tmp_path):
    from_file.save(tmp_path / "model")
    expected = from_file.evaluate(path)
    assert evaluate(from_file, ROWS).ner.f1 == evaluate(tmp_path / "model", path).ner.f1 == expected.ner.f1
    assert evaluate(from_file, path, min_score=1.0).ner.recall == 0.0


def test_a_notebook_gets_a_progress_bar(path, monkeypatch, capsys):
    """A Jupyter kernel has an IPython shell of this class; a terminal's shell has another one."""
    shells = {name: type(name, (), {})() for name in ("ZMQInteractiveShell", "TerminalInteractiveShell")}
    for name, shell in shells.items():
        module = SimpleNamespace(get_ipython=lambda shell=shell: shell, version_info=(9, 0))
        monkeypatch.setitem(sys.modules, "IPython", module)
        train(path, **SIZES)
        assert ("epoch 2/2" in capsys.readouterr().out) == (name == "ZMQInteractiveShell")
