"""The file of a finished run: what decided it, what came of it, and its predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tagger.errors import InputError
from tagger.experiments.results import Lookahead, Run, Variant
from tagger.storage import read_input, write_whole
from tagger.training.checkpoint import differences

FORMAT = "tagger comparison run 1"
LARGEST_FILE = 1 << 30  # bytes of a run with its predictions


def save_run(run: Run, description: Mapping[str, str], folder: Path) -> None:
    """Write a run's file; the run is finished once it is there.

    Args:
        run: The run.
        description: All that decided what came out.
        folder: Where runs are kept.

    Raises:
        InputError: It cannot be written.
    """
    values = {
        "format": FORMAT,
        "description": dict(description),
        "run": run.values(),
        "predictions": {part: list(map(list, tags)) for part, tags in run.predictions.items()},
    }
    content = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    write_whole(folder / f"{run.name}.json", content.encode(errors="surrogatepass"))


def load_run(name: str, description: Mapping[str, str], folder: Path) -> Run | None:
    """Read a run that an earlier call has finished, if there is one.

    Args:
        name: The run's name.
        description: All that would decide what comes out of it now.
        folder: Where runs are kept.

    Raises:
        InputError: The file is damaged, or of a run that other data or options decided.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    try:
        values = json.loads(
            read_input(path, most=LARGEST_FILE, is_stored=True).decode(errors="surrogatepass")
        )
        if values["format"] != FORMAT:
            raise ValueError(f"expected the format {FORMAT!r}")
        run, earlier = _restore(values["run"], values["predictions"]), dict(values["description"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: is no run of this program or damaged ({error}); delete it and call again."
        ) from None
    different = differences(description, earlier)
    if different:
        raise InputError(
            f"{path}: this run was made with something else ({'; '.join(different)}); name another --output, "
            "or delete it."
        )
    return run


def _restore(values: Mapping[str, Any], predictions: Mapping[str, Any]) -> Run:
    fields = {key: value for key, value in values.items() if key != "name"}
    fields["variant"] = Variant(**fields["variant"])
    fields["lookahead"] = {words: Lookahead(**scores) for words, scores in fields["lookahead"].items()}
    return Run(**fields, predictions=predictions)
