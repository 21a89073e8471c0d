"""Import ``huggingface_hub`` when it is used, keep it quiet, and turn its errors into one sentence.

Data sets (``corpus``), models (``model_hub``) and uploads (``integrations``) share this module, which is
therefore below all of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tagger.errors import Code, InputError

_LONGEST_REASON = 400  # characters


def import_hub() -> Any:
    """Import huggingface_hub.

    Raises:
        InputError: It is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError(
            "models of the hub need the package huggingface_hub. Install the extra `train` (see README).",
            code="package.missing",
        ) from error
    return huggingface_hub


@contextmanager
def silence(*packages: Any) -> Iterator[None]:
    """Turn off logs and progress bars of huggingface_hub or datasets; restore them at the end."""
    with ExitStack() as stack:
        for package in packages:
            logging, bars = package.logging, package.utils
            stack.callback(logging.set_verbosity, logging.get_verbosity())
            logging.set_verbosity(logging.CRITICAL)
            if not bars.are_progress_bars_disabled():
                stack.callback(bars.enable_progress_bars)
                bars.disable_progress_bars()
        yield


def short_reason(error: BaseException) -> str:
    """Return the message of another library's error as one line without a final stop."""
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return reason[:_LONGEST_REASON]


@contextmanager
def hub_requests(where: object, code: Code) -> Iterator[Any]:
    """Yield huggingface_hub for requests about a model; its errors become one sentence.

    Args:
        where: The model's name, for errors.
        code: The code of an error of the network or the server.

    Raises:
        InputError: huggingface_hub is not installed, or anything fails.
    """
    hub = import_hub()
    with silence(hub), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield hub
        except InputError:
            raise
        except Exception as error:  # of huggingface_hub, httpx or requests, yaml and the file system
            raise _explain(error, where, code, hub.errors) from None


def _explain(error: BaseException, where: object, code: Code, kinds: Any) -> InputError:
    # A download that falls back to the cache, and an upload in a thread, wrap the error.
    if isinstance(error, kinds.LocalEntryNotFoundError | RuntimeError) and error.__cause__:
        error = error.__cause__
    # A missing or wrong token is status 401, and a RepositoryNotFoundError unless the repository is public.
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, kinds.RevisionNotFoundError):
        code = "bundle.missing"
        message = "the hub has no such revision of this model. Correct the part after @, or leave it out."
    elif isinstance(error, kinds.RepositoryNotFoundError):
        code = "bundle.missing"
        message = (
            f"the hub has no such model, or it is private (status {status}). Check the name; for a private "
            "model, log in with `hf auth login`."
        )
    elif isinstance(error, kinds.HFValidationError):
        code = "argument.value"
        message = "the hub does not accept this name. Write USER/NAME or USER/NAME@REVISION."
    elif status in (401, 403):
        message = (
            f"the hub denies access (status {status}). Log in with `hf auth login` and a suitable token."
        )
    elif status is not None:
        message = f"the hub answers with an error (status {status}). Try again later."
    elif isinstance(error, kinds.OfflineModeIsEnabled):
        code = "bundle.missing"
        message = "HF_HUB_OFFLINE forbids requests. Unset it, or use a model that was pulled before."
    elif isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
        code = "file.unwritable"
        message = (
            f"the hub's cache cannot be written ({error.strerror}). Free space, or set HF_HOME to another "
            "folder; models that were pulled before are unchanged."
        )
    else:
        message = (
            f"the request to the hub failed ({short_reason(error)}). Check the network and try again; files "
            "that are complete are not transferred again."
        )
    return InputError(message, code=code, where=where)
