"""``tagger info``: describe a model."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tagger.bundle import FILES, MAPPED, SCALES
from tagger.cli.tag import ModelName
from tagger.errors import InputError
from tagger.included import find_model
from tagger.runtime.tagger import Tagger
from tagger.training.card import task_labels

EXAMPLES = """Examples:

tagger info runs/news

tagger info runs/news --json

tagger info en"""

MOST_NAMED = 200  # most labels of a task to list


def info_command(
    model: ModelName,
    json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Show the tasks, labels, network, training data and scores of a model."""
    folder = find_model(model)
    description = describe_model(folder)
    if json:
        typer.echo(json_format.dumps(description, indent=2))
        return
    from tagger.cli.console import facts_table, make_console, scores_table

    try:
        tables = [facts_table(_facts(description))]
        dev = description["dev"]
        tables += [scores_table(f"dev, {name}", dev[name]) for name in description["tasks"] if name in dev]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(
            "contains no training facts. Copy or train the model again.",
            code="bundle.damaged",
            where=folder / "metrics.json",
        ) from None
    console = make_console()
    for table in tables:
        console.print(table)


def describe_model(folder: Path) -> dict[str, Any]:
    """Return the description of a model as JSON values.

    Raises:
        InputError: The folder is not a valid model.
    """
    bundle = Tagger.load(folder).bundle  # loads as `tagger tag` does: rejects models that cannot tag
    vocabulary = bundle.vocabulary
    labels = task_labels(vocabulary)
    sizes = {name: int(tensor.size) for name, tensor in bundle.tensors.items()}
    sizes.pop(MAPPED + SCALES, None)  # scales of 8-bit vectors are a storage detail
    frozen_count = sizes.get(MAPPED, 0)
    return {
        "tasks": {
            task.name: {"scheme": task.scheme, "labels": labels[task.name], "tags": len(task.tags)}
            for task in vocabulary.tasks
        },
        "parameters": sum(sizes.values()) - frozen_count,
        "frozen_parameters": frozen_count,
        "words": len(vocabulary.words),
        "frozen_words": len(vocabulary.frozen_words),
        "characters": len(vocabulary.characters),
        "config": bundle.config.model_dump(mode="json"),
        "tokenizer": dict(bundle.tokenizer),
        "temperatures": {task.name: bundle.temperature(task.name) for task in vocabulary.tasks},
        "epoch": bundle.metrics.get("epoch"),
        "data": bundle.metrics.get("data") or {},
        "dev": bundle.metrics.get("dev") or {},
        "files": {name: (folder / name).stat().st_size for name in FILES if (folder / name).exists()},
    }


def _facts(description: Mapping[str, Any]) -> dict[str, str]:
    model = description["config"]["model"]
    facts = {}
    for name, task in description["tasks"].items():
        kind = f"spans, learnt as {task['scheme']}" if task["scheme"] else "one tag per token"
        labels = task["labels"]
        more = f" and {len(labels) - MOST_NAMED:,} more" if len(labels) > MOST_NAMED else ""
        facts[f"task {name}"] = f"{kind}; {len(labels)} labels: {', '.join(labels[:MOST_NAMED])}{more}"
    merged = f" ({model['merge_mode']})" if model["direction"] == "bidirectional" else ""
    facts["network"] = (
        f"{model['direction']}{merged}, {model['layers']} x {model['hidden_size']} LSTM units per direction, "
        f"{model['head']} head, characters: {model['characters']}"
    )
    facts["parameters"] = f"{description['parameters']:,} trainable"
    if description["frozen_parameters"]:
        facts["parameters"] += f", {description['frozen_parameters']:,} of frozen vectors"
    facts["vocabulary"] = (
        f"{description['words']:,} words of train, {description['frozen_words']:,} more with frozen vectors, "
        f"{description['characters']:,} characters"
    )
    facts.update(_data_facts(description["data"]))
    facts["tokenizer"] = ", ".join(f"{key}={value}" for key, value in description["tokenizer"].items())
    calibrated = {name: value for name, value in description["temperatures"].items() if value != 1}
    facts["calibration"] = (
        ", ".join(f"temperature of {name} {value:g}" for name, value in calibrated.items()) or "none"
    )
    if description["epoch"]:
        facts["epoch"] = str(description["epoch"])
    for name, size in description["files"].items():
        facts[name] = f"{size:,} bytes"
    return facts


def _data_facts(data: Mapping[str, Any]) -> dict[str, str]:
    facts = {}
    for split in ("train", "dev"):
        counts = data.get(split)
        if counts:
            facts[split] = f"{counts['file']}: {counts['sentences']:,} sentences, {counts['tokens']:,} tokens"
    vectors = data.get("vectors")
    if vectors:
        facts["vectors"] = (
            f"{vectors['file']}, {vectors['size']} dimensions: {vectors['covered']:,} of "
            f"{vectors['words']:,} train words found, {vectors['frozen']:,} more kept"
        )
    return facts
