"""Annotation projects as a corpus format, on SQLite and PostgreSQL, and databases that cannot be used."""

import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from annotation_projects import SETTINGS, new_database, pool
from command_line import OPTIONS, run, run_error
from input_errors import raises

from tagger.annotation.project_records import Decision
from tagger.annotation.store import AnnotationStore
from tagger.corpus import project_database
from tagger.corpus.files import FORMATS, find_format, read_sentences
from tagger.corpus.loading import read_corpus, write_corpus
from tagger.corpus.reading import Reading

DECISIONS = {5: ("B-PER", "?", "O"), 2: ("O", "O", "B-LOC"), 3: None, 6: ("B-PER", "I-PER", "O")}
NOBODY = 65534


def annotate(database, decisions=DECISIONS):
    with AnnotationStore.create(database, SETTINGS) as store:
        store.add_pool(pool(3, 2))
        for sentence, tags in decisions.items():
            store.record(store.lease("ada", sentence).key, Decision(tags))


@contextmanager
def unprivileged() -> Iterator[Path]:
    """Yield a folder, and run the block as its owner, whom permissions bind."""
    with tempfile.TemporaryDirectory() as folder:
        is_root = os.geteuid() == 0
        if is_root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            Path(folder).chmod(0o700)
            if is_root:
                os.seteuid(0)


def test_a_project_is_the_corpus_of_its_accepted_sentences(database):
    annotate(database)
    read = read_corpus(database)
    made = pool(3, 2)
    assert [(one.tokens, one.tags["ner"]) for one in read] == [
        (made[number - 1].tokens, DECISIONS[number]) for number in (2, 5, 6)
    ]
    assert [one.starts_document for one in read] == [True, True, False]
    assert [one.source.rpartition(":")[2] for one in read] == ["2", "5", "6"]
    assert find_format(Path(database)) == "project"


@pytest.mark.slow
def test_commands_accept_a_project_as_any_corpus(database, tmp_path):
    annotate(database)
    model = tmp_path / "model"
    for words in (
        ("check", database),
        ("convert", database, tmp_path / "out.jsonl"),
        ("train", "--train", database, "--dev", database, "--output", model, *OPTIONS),
        ("evaluate", model, database),
    ):
        code, _, error = run(*words)
        assert code == 0, error
    assert [one.tags["ner"] for one in read_corpus(tmp_path / "out.jsonl")] == [
        one.tags["ner"] for one in read_corpus(database)
    ]


def test_a_task_without_spans_is_exported(tmp_path):
    path = tmp_path / "pos.db"
    settings = replace(SETTINGS, task="pos", labels=("NOUN", "VERB"), scheme=None)
    with AnnotationStore.create(path, settings) as store:
        store.add_pool(pool(1))
        store.record(store.lease("ada", 1).key, Decision(("NOUN", "VERB", "?")))
    assert run("convert", path, tmp_path / "pos.conllu")[0] == 0
    assert [one.tags["pos"] for one in read_corpus(tmp_path / "pos.conllu", task="pos")] == [
        ("NOUN", "VERB", "_")
    ]
    write_corpus(read_corpus(path), tmp_path / "copy.db")
    with AnnotationStore(tmp_path / "copy.db") as store:
        assert store.settings == settings


def test_reading_sees_one_state_while_others_annotate(database):
    annotate(database)
    with AnnotationStore(database) as store:
        sentences = read_sentences(database)
        first = next(sentences)
        store.record(store.lease("bob", 1).key, Decision(("O", "O", "O")))
        assert [first.source[-2:], *(one.source[-2:] for one in sentences)] == [":2", ":5", ":6"]
        assert len(read_corpus(database)) == 4


def test_existing_annotations_are_never_overwritten(tmp_path):
    annotate(tmp_path / "case.db")
    sentences = read_corpus(tmp_path / "case.db")
    with raises("file.unwritable", file="case.db"):
        write_corpus(sentences, tmp_path / "case.db")
    write_corpus(sentences, tmp_path / "copy.db")
    assert [one.tags for one in read_corpus(tmp_path / "copy.db")] == [one.tags for one in sentences]
    with AnnotationStore(tmp_path / "copy.db") as store:
        assert (store.settings.labels, store.settings.scheme) == (("LOC", "PER"), "IOB2")


def test_a_project_that_cannot_be_written_leaves_no_file(tmp_path):
    untagged = pool(1)
    with raises("corpus.output", file="A sentence", mentions="'ner'"):
        write_corpus(untagged, tmp_path / "new.db", task="ner")
    assert not list(tmp_path.iterdir())
    with raises("corpus.output", option="--task", mentions="A project holds exactly one task"):
        write_corpus(untagged, tmp_path / "new.db")
    with raises("file.unwritable", file="new.db"):
        write_corpus(read_corpus(_tagged(tmp_path)), tmp_path / "none" / "new.db")


def _tagged(folder):
    (folder / "a.conll").write_text("Ada B-PER\n", encoding="utf-8")
    return folder / "a.conll"


def test_other_tasks_and_empty_projects_are_errors(tmp_path):
    path = tmp_path / "case.db"
    annotate(path, {1: None})
    with raises("corpus.empty", file="case.db"):
        read_corpus(path)
    with raises("corpus.task", file="case.db", option="--task", mentions="'pos'"):
        read_corpus(path, task="pos")
    with raises("corpus.columns", file="case.db", option="--columns"):
        read_corpus(path, columns="token,ner")
    errors = []
    assert not list(read_sentences(path, reading=Reading(on_error=errors.append)))
    assert [error.code for error in errors] == ["corpus.empty"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"Ada B-PER\n", "corpus.format"),
        (b"", "corpus.format"),
        ("table", "corpus.format"),
        (None, "file.missing"),
    ],
)
def test_a_database_that_is_no_project_is_an_error_and_stays_unchanged(tmp_path, content, code):
    path = tmp_path / "other.db"
    if content == "table":
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE notes (text)")
        content = path.read_bytes()
    elif content is not None:
        path.write_bytes(content)
    with raises(code, file="other.db"):
        AnnotationStore(path)
    with raises(code, file="other.db"):
        read_corpus(path)
    if content:
        with raises(code, file="other.db"):
            AnnotationStore.create(path, SETTINGS)
    assert content is None or path.read_bytes() == content


def test_a_folder_is_no_project(tmp_path):
    (tmp_path / "folder.db").mkdir()
    with raises("file.kind", file="folder.db"):
        AnnotationStore(tmp_path / "folder.db")


@pytest.mark.slow
def test_a_server_database_that_is_no_project_is_an_error(postgres):
    url = new_database(postgres)
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE settings (other text)")
    engine.dispose()
    for open_it in (AnnotationStore, lambda location: AnnotationStore.create(location, SETTINGS)):
        with raises("corpus.format", file=url):
            open_it(url)
    missing = url.rpartition("/")[0] + "/missing"
    with raises("file.unreadable", file=missing, mentions='database "missing" does not exist'):
        AnnotationStore(missing)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql://ada:secret@127.0.0.1/x", "argument.value"),
        ("postgresql://127.0.0.1/x?password=secret", "argument.value"),
        ("postgresql://127.0.0.1:secret/x", "argument.value"),
        ("postgresql+nothing://127.0.0.1/x", "package.missing"),
        ("postgresql://127.0.0.1:1/x", "file.unreadable"),
    ],
)
def test_a_url_that_cannot_be_used_is_an_error_without_its_password(url, code):
    for location in (url, Path(url)):
        with raises(code, file="") as caught:
            AnnotationStore(location)
        assert "secret" not in str(caught.value)
    message = run_error("convert", url, "out.conll")
    assert "secret" not in message


def test_projects_of_other_versions(database, monkeypatch):
    annotate(database)
    expected = read_corpus(database)
    monkeypatch.setattr(project_database, "VERSION", 2)
    monkeypatch.setattr(project_database, "UPGRADES", {1: ["ALTER TABLE documents ADD COLUMN topic text"]})
    if not database.startswith("postgresql"):
        with raises("corpus.format", file="case.db", mentions="an older version"):
            read_corpus(database)
    for _ in range(2):
        AnnotationStore(database).close()
        assert read_corpus(database) == expected
    monkeypatch.setattr(project_database, "VERSION", 1)
    for open_it in (AnnotationStore, read_corpus):
        with raises("corpus.format", mentions="a newer version") as caught:
            open_it(database)
        assert caught.value.file == database


def test_a_damaged_project_is_an_error(tmp_path):
    write_corpus([one.with_tags({"ner": ["O"] * 3}) for one in pool(200, 2)], tmp_path / "whole.db")
    whole = (tmp_path / "whole.db").read_bytes()
    generator = random.Random(1)
    codes = set()
    for _ in range(60):
        content = bytearray(whole)
        start = generator.randrange(len(content))
        content[start : start + 3000] = generator.randbytes(min(3000, len(content) - start))
        path = tmp_path / "damaged.db"
        path.write_bytes(content)
        errors = []
        list(read_sentences(path, reading=Reading(on_error=errors.append)))
        codes.update(error.code for error in errors)
    assert "file.unreadable" in codes


def test_a_read_only_project_is_read_but_not_written():
    with unprivileged() as folder:
        path = folder / "case.db"
        annotate(path)
        expected = read_corpus(path)
        for left in folder.glob("case.db-*"):
            left.unlink()
        path.chmod(0o444)
        with AnnotationStore(path) as store, raises("file.unwritable", file="case.db"):
            store.lease("ada", 1)
        for left in folder.glob("case.db-*"):
            left.unlink()
        folder.chmod(0o555)
        assert read_corpus(path) == expected


def test_a_full_disk_keeps_what_was_acknowledged(tmp_path):
    path = tmp_path / "case.db"
    annotate(path, {})
    decision = Decision(("O", "O", "O"), proposed=("O" * 5000,) * 3)

    def limit(connection, _):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 10}")

    with AnnotationStore(path) as store:
        keys = [store.lease("bob", number).key for number in range(1, 7)]
    sa.event.listen(sa.Engine, "connect", limit)
    try:
        with AnnotationStore(path) as store:
            with raises("file.unwritable", file="case.db", mentions="the disk is full"):
                for key in keys:
                    store.record(key, decision)
            recorded = [annotation.id for annotation in store.annotations()]
    finally:
        sa.event.remove(sa.Engine, "connect", limit)
    assert recorded == [1, 2]
    with AnnotationStore(path) as store:
        assert [store.record(key, decision) for key in keys] == [1, 2, 3, 4, 5, 6]


def test_a_writer_that_never_ends_is_an_error(tmp_path, monkeypatch):
    path = tmp_path / "case.db"
    annotate(path)
    monkeypatch.setattr(project_database, "LOCK_SECONDS", 0.0)
    with AnnotationStore(path) as store, AnnotationStore(path) as other, store.writing():
        with raises("run.exists", file="case.db"):
            other.lease_next("ada")
        assert other.progress().sentences == 6


def test_without_sqlalchemy_other_formats_work(tmp_path):
    code = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from importlib import util; find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'sqlalchemy' else find(name, *more)\n"
        "from tagger.corpus.loading import read_corpus\n"
        f"print(len(read_corpus({str(_tagged(tmp_path))!r})))\n"
        "try: read_corpus('case.db')\n"
        "except ValueError as error: print(error.code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "package.missing"]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "datasets"])
def test_a_project_is_exported_to_every_format(tmp_path, name):
    path = tmp_path / "case.db"
    annotate(path, {5: ("B-PER", "O", "O"), 6: ("O", "O", "B-LOC")})
    assert run("convert", path, tmp_path / "out", "--to", name, "--unit", "sentence")[0] == 0
    read = list(read_sentences(tmp_path / "out", format=name))
    assert [one.tags["ner"] for one in read] == [("B-PER", "O", "O"), ("O", "O", "B-LOC")]
