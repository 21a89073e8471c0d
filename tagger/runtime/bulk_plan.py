"""Plan of a bulk run: numbered shards of tables, and fingerprints of all that determines the output.

A shard's output file depends on the plan only, and is complete when it exists, so that order, exactly-once
and resuming follow from names. How shards are distributed to processes or machines does not matter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagger.bundle import FILES
from tagger.corpus.table_lines import TablePart
from tagger.corpus.text_tables import TextTable
from tagger.errors import InputError
from tagger.storage import open_input, read_input, write_whole

PLAN = "plan.json"
SHARD_BYTES = 4_000_000  # of input; about 750,000 words, some ten seconds of a core
SHARD_STEM = r"\.part-\d{6,}\..*"  # of the names of temporary files
_VERSION = 1
_LARGEST_PLAN = 1 << 30
_SUFFIXES = {"jsonl": ".jsonl", "csv": ".csv", "tsv": ".tsv", "parquet": ".parquet"}


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a table, which is tagged as a whole.

    Attributes:
        number: Its number in the plan, from 0.
        table: The index of its table.
        part: The rows; None for the whole table.
    """

    number: int
    table: int
    part: TablePart | None

    def file_name(self, table: TextTable) -> str:
        """Return the name of the output file; it has the format of the table."""
        return f"part-{self.number:06d}{_SUFFIXES[table.format]}"


@dataclass(frozen=True, slots=True)
class BulkPlan:
    """The plan of a bulk run.

    Attributes:
        fingerprints: For ``model``, ``options`` and each input what determines the output, as JSON values.
        shards: The shards; their outputs in this order are the tagged tables.
    """

    fingerprints: Mapping[str, Any]
    shards: Sequence[Shard]


def fingerprint(model: Path, tables: Sequence[TextTable], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fingerprints of a run: digests of the model and of the inputs, and the options.

    The folders of model and inputs do not matter, so that both may be moved.

    Args:
        model: The model folder.
        tables: The inputs.
        options: All options that can change the output, as JSON values.

    Raises:
        InputError: A file cannot be read.
    """
    files = [model / name for name in FILES if (model / name).is_file()]
    return {
        "model": {path.name: _digest(path) for path in files},
        "options": dict(options),
        **{f"input {number}": [one.path.name, _digest(one.path)] for number, one in enumerate(tables, 1)},
    }


def make_plan(
    folder: Path,
    tables: Sequence[TextTable],
    fingerprints: Mapping[str, Any],
    *,
    shard_bytes: int = SHARD_BYTES,
    is_resumed: bool = False,
) -> BulkPlan:
    """Cut tables into shards and write the plan to ``folder/plan.json``, or read the plan of an earlier run.

    Args:
        folder: The output folder.
        tables: The inputs.
        fingerprints: The result of ``fingerprint``.
        shard_bytes: Size of a shard of the input, see ``TextTable.parts``; unused for an earlier plan.
        is_resumed: True if the folder may hold a plan.

    Raises:
        InputError: The folder has a plan that must not be resumed, or one with other fingerprints, or a
            file cannot be read or written.
    """
    path = folder / PLAN
    if path.exists():
        if not is_resumed:
            raise InputError(
                "the folder holds an earlier run. Pass --resume to continue it, or another --output.",
                code="run.exists",
                where=folder,
                option="--resume",
            )
        plan = _read_plan(path)
        _require_equal(path, plan.fingerprints, fingerprints)
        return plan
    parts = ((index, part) for index, table in enumerate(tables) for part in table.parts(shard_bytes))
    plan = BulkPlan(fingerprints, [Shard(number, *item) for number, item in enumerate(parts)])
    values = {
        "version": _VERSION,
        "fingerprints": fingerprints,
        "shards": [[shard.table, shard.part and list(shard.part)] for shard in plan.shards],
    }
    write_whole(path, json.dumps(values).encode())
    return plan


def missing_shards(plan: BulkPlan, tables: Sequence[TextTable], folder: Path) -> Iterator[Shard]:
    """Yield the shards whose output does not exist yet, in order."""
    return (one for one in plan.shards if not (folder / one.file_name(tables[one.table])).exists())


def _read_plan(path: Path) -> BulkPlan:
    try:
        values = json.loads(read_input(path, max_bytes=_LARGEST_PLAN))
        if values["version"] != _VERSION:
            raise ValueError(f"version {values['version']}")
        items = [(int(table), part and TablePart(*map(int, part))) for table, part in values["shards"]]
        return BulkPlan(
            dict(values["fingerprints"]), [Shard(number, *item) for number, item in enumerate(items)]
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(
            f"the plan cannot be used ({' '.join(str(error).split()):.100}). Use another --output.",
            code="run.damaged",
            where=path,
        ) from None


def _require_equal(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    changed = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
    if "options" in changed and isinstance(old.get("options"), dict):
        options = {**old["options"], **new["options"]}
        names = [key for key in options if old["options"].get(key) != new["options"].get(key)]
        changed[changed.index("options")] = f"option {', '.join(names)}"
    if changed:
        raise InputError(
            f"the earlier run differs in: {'; '.join(changed)}. Use the same model, options and inputs, or "
            "another --output.",
            code="run.mismatch",
            where=path,
            option="--resume",
        )


def _digest(path: Path) -> str:
    try:
        with open_input(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror or error}). Check it.",
            code="file.unreadable",
            where=path,
        ) from None
