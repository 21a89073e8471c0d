"""Annotation projects for tests: pools, stores, and a PostgreSQL server that belongs to the tests."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa

from tagger.annotation.project_records import Arm, Decision
from tagger.annotation.store import AnnotationStore
from tagger.corpus.project_documents import ProjectSettings
from tagger.text.sentence import Sentence, from_tokens

SETTINGS = ProjectSettings("ner", ("PER", "LOC"))
_FOLDERS = "/usr/lib/postgresql"
_OWNER = "nobody"  # PostgreSQL refuses to run as root


def pool(n_documents: int, sentences_each: int = 1) -> list[Sentence]:
    """Return documents of three-token sentences that all differ."""
    return [
        from_tokens(["Ada", f"met{document}", f"Bob{number}"], starts_document=not number)
        for document in range(n_documents)
        for number in range(sentences_each)
    ]


def annotate_corpus(store: AnnotationStore, sentences: Iterable[Sentence], *, random_every: int = 3) -> None:
    """Add sentences to the pool, each as a document of its own, and accept their tags in three seconds.

    Args:
        store: The project.
        sentences: Labelled sentences that differ.
        random_every: Each sentence of this number belongs to the random arm; the others are chosen.
    """
    for number, sentence in enumerate(sentences):
        alone = replace(sentence, starts_document=True)
        if store.add_pool([alone]):
            identifier = store.progress().sentences
            arm: Arm = "chosen" if number % random_every else "random"
            lease = store.lease("ada", identifier, arm=arm)
            assert lease is not None
            store.record(lease.key, Decision(tuple(sentence.tags[store.settings.task]), 3.0))


def find_postgres() -> tuple[Path | None, str]:
    """Return the folder of PostgreSQL's server programs; without one, None and the reason."""
    if find_spec("psycopg") is None:
        return None, "psycopg is not installed"
    folders = sorted(Path(_FOLDERS).glob("*/bin"))
    if shutil.which("pg_config"):
        done = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=False)
        folders.append(Path(done.stdout.strip()))
    for folder in reversed(folders):
        if (folder / "initdb").is_file():
            if os.getuid() == 0 and not shutil.which("setpriv"):
                return None, "PostgreSQL does not run as root, and there is no setpriv"
            return folder, ""
    return None, "PostgreSQL is not installed"


@contextmanager
def postgres_server(programs: Path) -> Iterator[str]:
    """Run a PostgreSQL server on a free port, and yield the URL of its first database.

    Args:
        programs: The result of ``find_postgres``.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        yield from _run_server(programs, Path(folder))


def new_database(url: str) -> str:
    """Create a database on a server, and return its URL."""
    name = f"project_{secrets.token_hex(4)}"
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return f"{url.rpartition('/')[0]}/{name}"


def _run_server(programs: Path, folder: Path) -> Iterator[str]:
    as_owner: list[str] = []
    if os.getuid() == 0:
        owner = pwd.getpwnam(_OWNER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        as_owner = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data = folder / "data"

    def call(program: str, *options: str) -> None:
        command = [*as_owner, str(programs / program), "-D", str(data), *options]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)

    call("initdb", "-U", "tests", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale")
    options = f"-p {port} -k '{folder}' -c listen_addresses=127.0.0.1 -c max_connections=200"
    call("pg_ctl", "-w", "-t", "100", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql://tests@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-m", "immediate", "stop")
