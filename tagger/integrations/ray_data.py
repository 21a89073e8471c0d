"""Distribute the shards of a bulk run to a Ray cluster, with a pool of actors of Ray Data.

Ray (Moritz et al. 2018, "Ray: a distributed framework for emerging AI applications") restarts the actors of a
dead process or node and repeats their shards. A shard is a function of plan, model and input, so repeating
one writes the same file; Ray's results are used for the progress only.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from tagger.corpus.text_tables import TextTable
from tagger.errors import InputError
from tagger.runtime.bulk_plan import Shard
from tagger.runtime.bulk_shards import ShardCounts, load_tagger, tag_shard
from tagger.runtime.options import TagOptions

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send usage statistics to its authors
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Ray repairs most errors that it logs
try:
    import ray
    import ray.data
    from ray.exceptions import RayError, RayTaskError
except ImportError as error:
    raise InputError(
        "--engine ray needs the package ray. Install the extra `ray` (see README).",
        code="package.missing",
        option="--engine",
    ) from error

LOCAL = "local"  # Ray's address of a new cluster on this machine
CONNECT_SECONDS = 10
OBJECT_STORE_BYTES = 100_000_000  # of a local cluster, which passes shard numbers and counts only


class ShardActor:
    """A process that holds the model and tags one shard after the other.

    Args:
        options: The options of the run.
        tables: The inputs.
        shards: The shards to tag.
        folder: The output folder.
    """

    def __init__(
        self, options: TagOptions, tables: Sequence[TextTable], shards: Sequence[Shard], folder: Path
    ) -> None:
        self._tagger = load_tagger(options)
        self._options = options
        self._tables = tables
        self._shards = shards
        self._folder = folder

    def __call__(self, row: dict[str, int]) -> dict[str, tuple[int, ...]]:
        """Tag the shard of this index, see ``tag_shard``."""
        shard = self._shards[row["item"]]
        table, options = self._tables[shard.table], self._options
        counts = tag_shard(self._tagger, table, shard, self._folder, options.tasks, options.min_score)
        return {"counts": astuple(counts)}


def tag_in_actors(
    tables: Sequence[TextTable], shards: Iterable[Shard], folder: Path, options: TagOptions, workers: int
) -> Iterator[ShardCounts]:
    """Tag shards on the cluster of ``RAY_ADDRESS``, else on a new one on this machine; yield their counts.

    Model, inputs and output folder must have the same path on each node, for example on a shared file system.

    Args:
        tables: The inputs.
        shards: The shards to tag.
        folder: The output folder.
        options: The options of the run.
        workers: Number of actors, each of one CPU.

    Raises:
        InputError: ``tag_shard`` rejects a shard, or the cluster cannot be reached or has ended.
    """
    todo = list(shards)
    if not todo:
        return
    absolute = [replace(table, path=table.path.absolute()) for table in tables]
    options = replace(options, model=options.model.absolute())
    actor: Any = ShardActor  # Ray declares instances, not classes
    with _errors_named(), _cluster(workers):
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.raise_original_map_exception = True  # else the cause is lost
        # One block per shard: Ray repeats a whole block, and hands blocks to idle actors.
        results = ray.data.from_items(list(range(len(todo))), override_num_blocks=len(todo)).map(
            actor,
            fn_constructor_args=(options, absolute, todo, folder.absolute()),
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        )
        for row in results.iter_rows():
            yield ShardCounts(*map(int, row["counts"]))


@contextmanager
def _cluster(workers: int) -> Iterator[None]:
    """Connect to a Ray cluster, or start one on this machine."""
    address = os.environ.get("RAY_ADDRESS", LOCAL)
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon:  # Ray itself would try for a quarter of an hour
        with socket.create_connection((host, int(port) if port.isdecimal() else 0), CONNECT_SECONDS):
            pass
    own: dict[str, Any] = {
        "num_cpus": max(workers, os.cpu_count() or 1),
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address,
            logging_level=logging.CRITICAL,
            log_to_driver=False,
            **(own if address == LOCAL else {}),
        )
        signal.signal(signal.SIGTERM, handler)  # Ray's handler would leave no time to clean up
        yield
    finally:
        ray.shutdown()


@contextmanager
def _errors_named() -> Iterator[None]:
    """Raise the InputError of an actor, and any error of Ray as one."""
    try:
        yield
    except RayTaskError as error:
        cause: BaseException | None = error
        while cause and not isinstance(cause, InputError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if cause is None:
            raise
        raise cause from None
    except (RayError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"the Ray cluster failed ({reason:.200}). Check it and RAY_ADDRESS, and continue with --resume.",
            code="run.failed",
            option="--engine",
        ) from None
