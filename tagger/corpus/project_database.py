"""Open, create and upgrade the database of an annotation project, and explain its errors.

SQLite holds a project in one file with write-ahead logging (https://www.sqlite.org/wal.html); PostgreSQL
holds one project per database.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from json import JSONDecodeError
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from tagger.corpus import project_tables as tables
from tagger.errors import Code, InputError

VERSION = 1  # of the tables; a change of them adds an entry to UPGRADES
APPLICATION_ID = int.from_bytes(b"tagr", "big")  # of SQLite files, https://www.sqlite.org/fileformat.html
LOCK_SECONDS = 60.0  # maximum wait for the end of another process's transaction
UPGRADES: Mapping[int, Sequence[str]] = {}
"""For each old version, the statements that change its tables to those of the next version."""

_SERVER_URL = re.compile(r"postgresql(\+\w+)?:/+(?P<rest>.*)", re.DOTALL)
_DRIVER = "postgresql+psycopg"
_READ_ONLY_MODE = "mode=ro"


def project_name(location: str | Path) -> str:
    """Return the location for messages; ``Path`` has joined the slashes of a URL from the command line."""
    match = _SERVER_URL.fullmatch(str(location))
    return f"postgresql://{match['rest']}" if match else str(location)


def open_project(location: str | Path, *, is_read_only: bool = False) -> sa.Engine:
    """Open a project, and upgrade its tables if an older version created them.

    Args:
        location: The SQLite file, or the URL of a PostgreSQL database, ``postgresql://user@host/database``.
        is_read_only: True to open SQLite without write access, so that nothing is created or upgraded.

    Returns:
        The engine, for ``reading`` and ``writing``. Call ``dispose`` on it at the end.

    Raises:
        InputError: There is no such file or server, it holds no project, or one of a newer version, or its
            driver is not installed.
    """
    _require_file(location)
    engine = _engine(location, options=_READ_ONLY_MODE if is_read_only else "mode=rw")
    try:
        with reading(engine, location) as connection:
            version = _version(connection)
        _require_version(version, location, is_read_only=is_read_only)
        if version != VERSION:
            with writing(engine, location) as connection:
                lock_project(connection)
                _upgrade(connection)
        if not is_read_only and engine.dialect.name == "sqlite":
            with _errors(location), closing(engine.raw_connection()) as raw:
                raw.cursor().execute("PRAGMA journal_mode = WAL")  # stored in the file; a no-op from then on
    except BaseException:
        engine.dispose()
        raise
    return engine


def create_project(location: str | Path) -> sa.Engine:
    """Create the tables of a project in a new or empty database, or open the project that it holds.

    Several processes may do so at the same time.

    Args:
        location: As for ``open_project``.

    Raises:
        InputError: As for ``open_project``, or the database holds other tables or cannot be created.
    """
    if os.path.lexists(location):
        _require_file(location)
    engine = _engine(location, options="mode=rwc")
    try:
        with writing(engine, location) as connection:
            lock_project(connection)
            if _version(connection) is None and not sa.inspect(connection).get_table_names():
                tables.METADATA.create_all(connection)
                _set_version(connection, VERSION)
    finally:
        engine.dispose()
    return open_project(location)


@contextmanager
def reading(engine: sa.Engine, location: str | Path) -> Iterator[sa.Connection]:
    """Open a transaction that reads one state of the database; writers do not wait for it.

    Raises:
        InputError: The database cannot be read.
    """
    if engine.dialect.name == "postgresql":  # SQLite has no other isolation
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with _errors(location), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: sa.Engine, location: str | Path) -> Iterator[sa.Connection]:
    """Open a transaction that is on disk when the block ends, and has no effect if the block raises.

    SQLite has one such transaction at a time; the others wait.

    Raises:
        InputError: The database cannot be written.
    """
    with _errors(location), engine.execution_options(is_write=True).begin() as connection:
        yield connection


def lock_project(connection: sa.Connection) -> None:
    """Wait for other transactions that have called this, and let later ones wait until this one ends.

    For changes that two processes must not make at the same time: of the tables, and of the pool.
    """
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(APPLICATION_ID)))


def _engine(location: str | Path, *, options: str) -> sa.Engine:
    if match := _SERVER_URL.fullmatch(str(location)):
        try:
            return sa.create_engine(
                _server_url(match),
                isolation_level="READ COMMITTED",
                pool_pre_ping=True,
                pool_timeout=LOCK_SECONDS,
            )
        except (ImportError, SQLAlchemyError) as error:
            raise InputError(
                f"the database needs a driver that is not installed ({error}). Install psycopg.",
                code="package.missing",
                where=project_name(location),
            ) from None
    engine = sa.create_engine(
        "sqlite://",
        creator=partial(_connect, location, options),
        poolclass=sa.QueuePool,
        pool_timeout=LOCK_SECONDS,
    )
    sa.event.listen(engine, "begin", _begin)
    return engine


def _connect(location: str | Path, options: str) -> sqlite3.Connection:
    path = os.path.abspath(location)  # noqa: PTH100 - it does not follow links
    connection = sqlite3.connect(
        f"file:{quote(path)}?{options}",
        uri=True,
        timeout=LOCK_SECONDS,
        isolation_level=None,  # `_begin` begins transactions
        check_same_thread=False,  # the pool gives a connection to one thread at a time
    )
    try:
        connection.execute("PRAGMA trusted_schema = OFF")  # the file may be another person's
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # an acknowledged annotation survives a power cut
        connection.execute("PRAGMA user_version")
    except sqlite3.Error as error:
        connection.close()
        # A reader needs files next to the database, and cannot create them in a folder of somebody else.
        # Without a log of changes, nobody writes, and the file can be read alone.
        is_foreign = error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY"))
        is_foreign = is_foreign and not os.path.exists(f"{path}-wal")  # noqa: PTH110
        if options == _READ_ONLY_MODE and is_foreign:
            return _connect(location, f"{options}&immutable=1")
        raise
    return connection


def _begin(connection: sa.Connection) -> None:
    """Begin a transaction of SQLite; one that begins as a reader could not wait for the lock to write."""
    is_write = connection.get_execution_options().get("is_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def _server_url(match: re.Match[str]) -> URL:
    try:
        url = sa.make_url(f"postgresql{match[1] or ''}://{match['rest']}")
    except (ArgumentError, ValueError) as error:
        raise InputError(
            "the URL of the database is malformed. Write postgresql://USER@HOST:PORT/DATABASE.",
            code="argument.value",
            where="postgresql",
        ) from error
    if url.password or "password" in url.query:
        raise InputError(
            "the URL of the database contains a password, which would be shown in messages and stored with "
            "models. Remove it, and set PGPASSWORD or write it to ~/.pgpass.",
            code="argument.value",
            where="postgresql",
        )
    return url if match[1] else url.set(drivername=_DRIVER)


def _require_file(location: str | Path) -> None:
    """Raise InputError if the location is neither a URL nor an existing file."""
    if _SERVER_URL.fullmatch(str(location)):
        return
    path = Path(location)
    if not os.path.lexists(path):
        raise InputError("there is no such file. Check the path.", code="file.missing", where=location)
    if not path.is_file():
        raise InputError(
            "not a regular file. Name the database of a project.", code="file.kind", where=location
        )


def _version(connection: sa.Connection) -> int | None:
    """Return the version of the project's tables; None if the database holds no project."""
    if connection.dialect.name == "sqlite":
        if connection.exec_driver_sql("PRAGMA application_id").scalar_one() != APPLICATION_ID:
            return None
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    inspector = sa.inspect(connection)
    if not inspector.has_table("settings"):
        return None
    if {column["name"] for column in inspector.get_columns("settings")} != {"name", "value"}:
        return None
    value = connection.execute(
        sa.select(tables.settings.c.value).where(tables.settings.c.name == "version")
    ).scalar()
    return value if isinstance(value, int) else None


def _set_version(connection: sa.Connection, version: int) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {version}")
        return
    connection.execute(sa.delete(tables.settings).where(tables.settings.c.name == "version"))
    connection.execute(sa.insert(tables.settings).values(name="version", value=version))


def _upgrade(connection: sa.Connection) -> None:
    version = _version(connection) or VERSION
    for number in range(version, VERSION):
        for statement in UPGRADES[number]:
            connection.exec_driver_sql(statement)
    _set_version(connection, VERSION)


def _require_version(version: int | None, location: str | Path, *, is_read_only: bool) -> None:
    """Raise InputError if this program cannot use tables of a version."""
    if version is None:
        problem = "the database is no annotation project. Name one that `tagger annotate` created."
    elif version > VERSION:
        problem = (
            f"a newer version of tagger wrote the project (tables {version}, this one knows {VERSION}). "
            "Update tagger."
        )
    elif version < VERSION and is_read_only:
        problem = (
            f"an older version of tagger wrote the project (tables {version}, this one reads {VERSION}). "
            "Open it with `tagger annotate` once, which upgrades it."
        )
    else:
        return
    raise InputError(problem, code="corpus.format", where=project_name(location))


_Problem = tuple[Code, str]
_DAMAGED: _Problem = (
    "file.unreadable",
    "the database is damaged ({reason}). Restore a copy, or recover it with `sqlite3 FILE .recover`.",
)
_FULL: _Problem = (
    "file.unwritable",
    "the disk is full, so nothing was saved by this step; all earlier work is. Free space and repeat it.",
)
_READ_ONLY: _Problem = (
    "file.unwritable",
    "the database cannot be written ({reason}). Change its permissions or name another project.",
)
_PROBLEMS: Mapping[str, _Problem] = {
    # https://www.sqlite.org/rescode.html; extended codes begin with these
    "SQLITE_NOTADB": (
        "corpus.format",
        "the file is no annotation project ({reason}). Name one that `tagger annotate` created.",
    ),
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_FULL": _FULL,
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_BUSY": (
        "run.exists",
        f"another process has been writing for {LOCK_SECONDS:.0f} seconds. Try again when it has finished.",
    ),
    # https://www.postgresql.org/docs/current/errcodes-appendix.html
    "53100": _FULL,
    "25006": _READ_ONLY,
    "42501": _READ_ONLY,
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
}
_OTHER: _Problem = (
    "file.unreadable",
    "the database cannot be used ({reason}). Check the location and its permissions.",
)


@contextmanager
def _errors(location: str | Path) -> Iterator[None]:
    """Convert errors of the database to InputErrors."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, JSONDecodeError, UnicodeDecodeError) as error:
        cause = (error.orig if isinstance(error, DBAPIError) else None) or error
        name = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
        default = _DAMAGED if isinstance(error, ValueError) else _OTHER
        code, text = next((known for start, known in _PROBLEMS.items() if name.startswith(start)), default)
        reason = " ".join(str(cause).split("\n")[0].split())
        raise InputError(text.format(reason=reason), code=code, where=project_name(location)) from None
