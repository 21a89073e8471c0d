"""Plans and shards of bulk runs: the outputs depend on plan, model and inputs only."""

import csv
import io
import json
import random

import pyarrow
import pytest
from bundles import make_bundle
from input_errors import raises
from pyarrow import parquet

from tagger import Tagger
from tagger.bundle import save_bundle
from tagger.corpus.text_tables import open_table
from tagger.errors import InputError
from tagger.runtime import bulk_shards
from tagger.runtime.bulk_plan import PLAN, fingerprint, make_plan, missing_shards
from tagger.runtime.bulk_shards import tag_shard

TEXTS = [
    "Mira met Tom in New Ayr.",
    None,
    "Rain fell\non Mira Lang",
    "",
    "Ayr lost, 2-0. Glasgow river unseen-WORD",
]


@pytest.fixture
def model(tmp_path):
    save_bundle(make_bundle()[1], tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def tables(tmp_path):
    """Write a JSONL, a CSV and a Parquet table; one JSONL row in ten is bad."""
    texts = [f"{text} {number}" if text else text for number in range(12) for text in TEXTS]
    lines = [json.dumps({"id": n, "body": text}) if n % 10 != 9 else "{" for n, text in enumerate(texts)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    content = io.StringIO()
    csv.writer(content).writerows([["id", "body"], *enumerate(texts)])
    (tmp_path / "b.csv").write_text(content.getvalue(), newline="")
    parquet.write_table(pyarrow.table({"body": texts}), tmp_path / "c.parquet", row_group_size=7)
    return [
        open_table(tmp_path / name, "body", new_columns=["spans"])
        for name in ("a.jsonl", "b.csv", "c.parquet")
    ]


def plan_of(folder, model, tables, *, is_resumed=False, **options):
    folder.mkdir(exist_ok=True)
    fingerprints = fingerprint(model, tables, {"text_column": "body"} | options)
    return make_plan(folder, tables, fingerprints, shard_bytes=500, is_resumed=is_resumed)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def tag_all(folder, tables, shards, tagger):
    return [tag_shard(tagger, tables[shard.table], shard, folder, tagger.tasks[:1]) for shard in shards]


def test_shards_in_order_are_the_tagged_tables(tmp_path, model, tables):
    plan = plan_of(tmp_path / "out", model, tables)
    counts = tag_all(tmp_path / "out", tables, plan.shards, Tagger.load(model))
    assert len(plan.shards) > 10
    assert not list(missing_shards(plan, tables, tmp_path / "out"))
    assert sum(one.n_errors for one in counts) == 6
    assert sum(one.n_rows for one in counts) == 3 * 60 - 6
    names = [one.file_name(tables[one.table]) for one in plan.shards]
    assert names == sorted(names)
    whole = [
        json.loads(line)
        for name in names
        if name.endswith(".jsonl")
        for line in (tmp_path / "out" / name).read_text().splitlines()
    ]
    assert [row["id"] for row in whole] == [n for n in range(60) if n % 10 != 9]
    rows = [
        row
        for name in names
        if name.endswith(".parquet")
        for row in parquet.read_table(tmp_path / "out" / name).to_pylist()
    ]
    assert [row["body"] for row in rows] == [row.text for row in tables[2].rows()]
    errors = [
        json.loads(line)
        for path in sorted((tmp_path / "out").glob("*.errors.jsonl"))
        for line in path.read_text().splitlines()
    ]
    assert [row["row"] for row in errors] == list(range(10, 61, 10))
    heads = {
        (tmp_path / "out" / name).read_text().partition("\n")[0] for name in names if name.endswith(".csv")
    }
    assert heads == {"id,body,spans"}


def test_order_and_processes_do_not_change_the_bytes(tmp_path, model, tables):
    plan = plan_of(tmp_path / "out", model, tables)
    tag_all(tmp_path / "out", tables, plan.shards, Tagger.load(model))
    again = plan_of(tmp_path / "again", model, tables)
    shards = list(again.shards)
    random.Random(0).shuffle(shards)
    taggers = [Tagger.load(model), Tagger.load(model)]
    for index, shard in enumerate(shards):
        tag_all(tmp_path / "again", tables, [shard], taggers[index % 3 == 0])
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


@pytest.mark.parametrize("seed", range(8))
def test_an_interrupted_run_resumes_to_the_same_bytes(tmp_path, model, tables, seed, monkeypatch):
    expected = plan_of(tmp_path / "out", model, tables)
    tagger = Tagger.load(model)
    tag_all(tmp_path / "out", tables, expected.shards, tagger)
    generator = random.Random(seed)
    folder = tmp_path / "broken"
    plan = plan_of(folder, model, tables)
    last = [0]

    def interrupt(*arguments):
        last[0] -= 1
        if not last[0]:
            raise KeyboardInterrupt
        return tag_texts(*arguments)

    tag_texts = bulk_shards.tag_texts
    monkeypatch.setattr(bulk_shards, "tag_texts", interrupt)
    for _ in range(3):
        last[0] = generator.randint(1, 4)
        with pytest.raises(KeyboardInterrupt):
            tag_all(folder, tables, missing_shards(plan, tables, folder), tagger)
        plan = plan_of(folder, model, tables, is_resumed=True)
    last[0] = -1
    tag_all(folder, tables, missing_shards(plan, tables, folder), tagger)
    assert contents(folder) == contents(tmp_path / "out")


def test_a_change_is_refused(tmp_path, model, tables):
    folder = tmp_path / "out"
    plan = plan_of(folder, model, tables)
    assert plan_of(folder, model, tables, is_resumed=True) == plan
    with raises("run.exists", file=folder, option="--resume"):
        plan_of(folder, model, tables)
    with raises("run.mismatch", file=PLAN, option="--resume", mentions="option min_score"):
        plan_of(folder, model, tables, is_resumed=True, min_score=0.5)
    with raises("run.mismatch", file=PLAN, option="--resume", mentions="input 3"):
        plan_of(folder, model, tables[:2], is_resumed=True)
    with tables[0].path.open("a") as file:
        file.write("\n")
    with raises("run.mismatch", file=PLAN, option="--resume", mentions="input 1"):
        plan_of(folder, model, tables, is_resumed=True)
    (tmp_path / "other").mkdir()
    save_bundle(make_bundle(seed=1)[1], tmp_path / "other" / "model")
    with raises("run.mismatch", file=PLAN, option="--resume", mentions="model"):
        plan_of(folder, tmp_path / "other" / "model", tables, is_resumed=True)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "fingerprints": 1, "shards": [[0, [1]]]}']
)
def test_a_damaged_plan(tmp_path, model, tables, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / PLAN).write_text(content)
    with pytest.raises(InputError) as caught:
        plan_of(tmp_path / "out", model, tables, is_resumed=True)
    assert caught.value.code == "run.damaged"
