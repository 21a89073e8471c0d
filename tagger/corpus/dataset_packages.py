"""Import the optional packages that read and write HF datasets, and keep them quiet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from tagger.errors import InputError
from tagger.hub_client import import_hub, short_reason, silence

_TRIES = 2  # attempts to open or read a file of the hub; datasets itself retries 20 times, for minutes


class Packages(NamedTuple):
    """The optional packages, imported when a dataset is read or written."""

    datasets: Any
    hub: Any
    arrow: Any


def import_packages() -> Packages:
    """Import the packages.

    Raises:
        InputError: If one is not installed.
    """
    try:
        import datasets
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            "HF datasets need the package datasets. Install the extra `train` (see README).",
            code="package.missing",
        ) from error
    return Packages(datasets, import_hub(), pyarrow)


@contextmanager
def quiet(where: object, failed: str) -> Iterator[None]:
    """Silence datasets and limit its retries. The user's settings are restored afterwards.

    Raises:
        InputError: If anything fails, as one sentence that begins with ``where`` and ``failed``.
    """
    datasets, hub, _ = import_packages()
    with ExitStack() as stack:
        stack.enter_context(silence(datasets, hub))
        for setting in ("STREAMING_OPEN_MAX_RETRIES", "STREAMING_READ_MAX_RETRIES"):
            stack.callback(setattr, datasets.config, setting, getattr(datasets.config, setting))
            setattr(datasets.config, setting, _TRIES)
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # datasets does not wrap errors of pyarrow, fsspec, httpx and yaml
            raise InputError(
                f"{failed} ({short_reason(error)}). Check the name and the files.",
                code="file.unreadable",
                where=where,
            ) from None
