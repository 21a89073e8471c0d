"""``tagger select``: the batch equals that of the library, can be read back, and options are checked."""

import json
import os
from itertools import chain
from typing import Any

import pytest
from command_line import input_error, rows, run
from input_errors import check

from tagger import Tagger, read_corpus
from tagger.annotation.annotation_cost import AnnotationCost
from tagger.annotation.project_records import Decision
from tagger.annotation.selection import select
from tagger.annotation.store import AnnotationStore
from tagger.corpus.project_documents import ProjectSettings

TEXTS = (
    "Ada met Otto in Oslo. In Lima Mia sang!",
    "",
    "Otto saw the sea near Bonn.",
    "The New Lima ship left.\n\nÉmile met Ada in Bonn.",
    "Rain fell. Nobody sang near the ship.",
)


@pytest.fixture(scope="module")
def pool(folder):
    path = folder / "pool.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tagger(model):
    return Tagger.load(model)


def choose(pool, model, output, *more) -> list[dict[str, Any]]:
    code, printed, _ = run("select", pool, "-m", model, "--output", output, *more)
    assert (code, printed) == (0, "")
    return rows(output.read_text(encoding="utf-8"))


def sentences_of(tagger):
    return list(chain.from_iterable(map(tagger.tokenizer, TEXTS)))


@pytest.mark.parametrize("strategy", ["uncertainty", "mnlp", "random", "longest"])
def test_the_batch_is_that_of_the_library(pool, model, tagger, tmp_path, strategy):
    more = ("--tokens", 20, "--strategy", strategy, "--seed", 4, "--random-share", 0.3, "--seconds", "9,2")
    found = choose(pool, model, tmp_path / "batch.jsonl", *more)
    expected = select(
        sentences_of(tagger),
        tagger,
        task="ner",
        n_tokens=20,
        strategy=strategy,
        random_share=0.3,
        seed=4,
        cost=AnnotationCost(9, 2),
    )
    assert len(found) > 2
    for record, choice in zip(found, expected, strict=True):
        assert (record["id"], record["arm"], record["strategy"]) == (
            choice.index,
            choice.arm,
            choice.strategy,
        )
        assert record["priority"] == choice.priority
        assert record["text"] == choice.sentence.text
        assert record["source"].startswith(f"{pool}:")
        for values, span in zip(record["spans"]["ner"], choice.sentence.spans["ner"], strict=True):
            assert (values["start"], values["end"]) == (span.start_char, span.end_char)
            assert values["label"] == span.label
            assert values["score"] == pytest.approx(span.score, abs=1e-4)


def test_a_task_without_spans(pool, model, tagger, tmp_path):
    found = choose(pool, model, tmp_path / "batch.jsonl", "--sentences", 3, "--task", "pos")
    expected = select(sentences_of(tagger), tagger, task="pos", n_sentences=3)
    assert [record["id"] for record in found] == [choice.index for choice in expected]
    assert all(list(record["tags"]) == ["pos"] for record in found)


@pytest.mark.parametrize("name", ["batch.jsonl", "batch.jsonl.gz", "batch.conll", "batch.csv", "batch.json"])
def test_the_batch_can_be_read_as_a_corpus(pool, model, tagger, tmp_path, name):
    code, _, error = run("select", pool, "-m", model, "--output", tmp_path / name, "--tokens", 20)
    assert code == 0
    expected = select(sentences_of(tagger), tagger, task="ner", n_tokens=20)
    tokens = sum(len(choice.sentence) for choice in expected)
    assert f"{len(expected)} sentences, {tokens} tokens: " in error
    read = read_corpus(tmp_path / name, task="ner")
    assert [(one.tokens, one.tags["ner"]) for one in read] == [
        (choice.sentence.tokens, choice.sentence.tags["ner"]) for choice in expected
    ]


def test_batches_exclude_earlier_ones_until_the_pool_is_empty(pool, model, tmp_path):
    found, files = [], []
    for number in range(3):
        files.append(tmp_path / f"{number}.jsonl")
        excluded = [word for path in files[:-1] for word in ("--exclude", path)]
        found += choose(pool, model, files[-1], "--sentences", 3, *excluded)
    ids = [record["id"] for record in found]
    assert sorted(ids) == list(range(7))
    code, _, error = run("select", pool, "-m", model, "--output", tmp_path / "9.jsonl", "--tokens", 900)
    assert code == 0
    assert "POOL has no other sentences" in error


def test_accepted_sentences_of_a_project_are_excluded(pool, model, tmp_path, database):
    batch = choose(pool, model, tmp_path / "batch.jsonl", "--sentences", 4)
    with AnnotationStore.create(database, ProjectSettings("ner", ("PER", "LOC"))) as store:
        store.add_pool(read_corpus(tmp_path / "batch.jsonl"))
        for number, sentence in list(store.unannotated())[:3]:
            store.record(store.lease("ada", number).key, Decision(("O",) * len(sentence)))
        store.record(store.lease("ada", 4).key, Decision(None))  # skipped: it has no labels
    labelled = tmp_path / "labelled.jsonl"
    labelled.write_text("".join(json.dumps(record) + "\n" for record in batch[:3]), encoding="utf-8")
    options = ("--sentences", 9, "--exclude")
    found = choose(pool, model, tmp_path / "next.jsonl", *options, database)
    assert found == choose(pool, model, tmp_path / "same.jsonl", *options, labelled)
    assert {one["id"] for one in batch[:3]}.isdisjoint(one["id"] for one in found)
    assert batch[3]["id"] in {one["id"] for one in found}


def test_gold_tags_and_warnings_about_spans_do_not_matter(corpus, model, tmp_path):
    code, _, error = run(
        "select", corpus / "dev.conll", "-m", model, "--output", tmp_path / "batch.jsonl", "--tokens", 30
    )
    assert code == 0
    assert error.count("\n") == 1
    (tmp_path / "texts.jsonl").write_text('{"text": "Ada sang.", "relations": [1]}\n')
    arguments = ("-m", model, "--output", tmp_path / "batch.jsonl", "--tokens", 2)
    code, _, error = run("select", tmp_path / "texts.jsonl", *arguments)
    assert code == 0
    assert error.count("relations") == 1
    assert "no list of spans" not in error


@pytest.mark.parametrize(
    ("options", "code", "option"),
    [
        ((), "option.value", "--tokens"),
        (("--tokens", 5, "--sentences", 5), "option.value", "--tokens"),
        (("--tokens", 0), "option.value", "--tokens"),
        (("--tokens", 5, "--random-share", 2), "option.value", "--random-share"),
        (("--tokens", 5, "--seconds", "1"), "option.type", "--seconds"),
        (("--tokens", 5, "--seconds", "1,x"), "option.type", "--seconds"),
        (("--tokens", 5, "--seconds", "1,-1"), "option.value", "--seconds"),
        (("--tokens", 5, "--task", "chunk"), "corpus.task", ""),
    ],
)
def test_invalid_options_are_rejected(pool, model, tmp_path, options, code, option):
    error = input_error("select", pool, "-m", model, "--output", tmp_path / "x.jsonl", *options)
    check(error, code, option=option)
    assert not (tmp_path / "x.jsonl").exists()


def test_files_are_checked(pool, model, tmp_path):
    def fail(path, output):
        return input_error("select", path, "-m", model, "--output", output, "--tokens", 5)

    check(fail("-", tmp_path / "x.jsonl"), "file.kind", file="-")
    check(fail(pool, pool), "option.conflict", file=pool)
    check(fail(tmp_path / "none.jsonl", tmp_path / "x.jsonl"), "file.missing", file="none.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    check(fail(tmp_path / "pipe.jsonl", tmp_path / "x.jsonl"), "file.kind", file="pipe.jsonl")
    assert not (tmp_path / "x.jsonl").exists()
