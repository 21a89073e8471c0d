"""The model card: data, scores, usage and settings of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tagger.config import Config
from tagger.errors import printable
from tagger.features.vocab import Vocabulary
from tagger.text.schemes import split_tag

CURVES = "learning_curves.svg"
Row = tuple[str, str, str, str, str]


def score_rows(scores: Mapping[str, Any]) -> tuple[tuple[str, ...], list[Row]]:
    """Format the scores of one task as a table.

    Args:
        scores: Scores from ``evaluation.tasks.score_task``.

    Returns:
        The column headers, and the rows: overall, by label, strict mode, seen and unseen words.
    """
    if "f1" not in scores:
        subsets = {"all tokens": scores, "seen in train": scores["seen"], "unseen in train": scores["unseen"]}
        rows = [
            (name, "", "", _number(subset["accuracy"], subset["support"]), str(subset["support"]))
            for name, subset in subsets.items()
        ]
        rows += [_row(label, label_scores) for label, label_scores in scores["by_label"].items()]
        return ("tags", "precision", "recall", "accuracy / F1", "gold"), rows
    strict = scores["strict"]
    rows = [_row("all (conlleval mode)", scores)]
    rows += [_row(label, label_scores) for label, label_scores in scores["by_label"].items()]
    rows.append(_row(f"all (strict mode, {strict['scheme']})", {**strict, "support": scores["support"]}))
    rows.append(_row("words seen in train", scores["seen"]))
    rows.append(_row("with an unseen word", scores["unseen"]))
    return ("spans", "precision", "recall", "F1", "gold"), rows


def task_labels(vocabulary: Vocabulary) -> dict[str, list[str]]:
    """Return the labels of each task: the types of its spans, or its tags."""
    return {
        task.name: sorted({split_tag(tag)[1] for tag in task.tags if tag != "O"})
        if task.scheme
        else sorted(task.tags)
        for task in vocabulary.tasks
    }


def write_card(
    config: Config,
    vocabulary: Vocabulary,
    tokenizer: Mapping[str, Any],
    metrics: Mapping[str, Any],
    temperatures: Mapping[str, float] | None = None,
) -> str:
    """Format the model card as Markdown.

    Args:
        config: The options of the run.
        vocabulary: Words and tasks.
        tokenizer: Settings of the tokenizer.
        metrics: The values of ``metrics.json`` (see ``training.run_folder``).
        temperatures: Fitted temperature of each task; None if not calibrated.
    """
    lines = ["# A sequence labelling model", "", _summary(config, vocabulary), ""]
    lines += ["## Data", "", *_data(metrics["data"]), ""]
    lines += ["## Scores", "", *_scores(metrics), *_calibration(temperatures or {}), ""]
    lines += [f"![Loss and dev scores over epochs]({CURVES})", ""]
    lines += ["## Use", "", *_usage(vocabulary), ""]
    lines += ["## Settings", "", "| option | value |", "|---|---|"]
    for section, values in config.model_dump(mode="json").items():
        lines += [f"| {section}.{key} | {cell(value)} |" for key, value in values.items()]
    lines += ["", "## Tokenizer", "", "Learned from the train split; used for raw text.", ""]
    lines += ["| setting | value |", "|---|---|"]
    lines += [f"| {key} | {cell(value)} |" for key, value in tokenizer.items()]
    return "\n".join(lines) + "\n"


def card_metadata(
    name: str, config: Config, metrics: Mapping[str, Any], dataset: str | None = None
) -> dict[str, Any]:
    """Return the metadata of a model card on the Hugging Face hub, without the licence.

    The ``model-index`` has the scores of each task on dev, with the seed of the run. See
    https://github.com/huggingface/hub-docs/blob/main/modelcard.md.

    Args:
        name: The model's name.
        config: The options of the run.
        metrics: The values of ``metrics.json``; without scores, there is no ``model-index``.
        dataset: The name of the dev data; by default, that of its file.

    Raises:
        AttributeError, KeyError, TypeError: The metrics are not those of a training run.
    """
    metadata: dict[str, Any] = {
        "pipeline_tag": "token-classification",
        "library_name": "tagger",
        "tags": ["sequence-labelling", "bilstm-crf", *(metrics.get("dev") or {})],
    }
    # One result for all tasks: readers merge results for the same data, and take the name of the first task.
    values = [
        {
            "type": key,
            "name": f"{task} {key}",
            "value": float(scores[key]),
            "args": {"seed": config.train.seed},
        }
        for task, scores in (metrics.get("dev") or {}).items()
        for key in ("f1", "precision", "recall", "accuracy")
        if key in scores
    ]
    if values:
        source = dataset or printable(metrics["data"]["dev"]["file"])
        result = {
            "task": {"type": "token-classification"},
            "dataset": {"type": source, "name": source, "split": "dev"},
            "metrics": values,
        }
        metadata["model-index"] = [{"name": name, "results": [result]}]
    return metadata


def _summary(config: Config, vocabulary: Vocabulary) -> str:
    model = config.model
    reading = f"bidirectional ({model.merge_mode})" if model.direction == "bidirectional" else model.direction
    tasks = "; ".join(
        f"{cell(name)} ({len(labels)} labels: {cell(', '.join(labels))})"
        for name, labels in task_labels(vocabulary).items()
    )
    head = "CRF" if model.head == "crf" else model.head
    return f"A {reading} LSTM with a {head} head, trained with `tagger`. Tasks: {tasks}."


def _data(data: Mapping[str, Any]) -> Iterator[str]:
    yield from ("| split | file | sentences | tokens |", "|---|---|---|---|")
    for name in ("train", "dev"):
        split = data[name]
        if split:
            yield f"| {name} | {cell(split['file'])} | {split['sentences']:,} | {split['tokens']:,} |"
    for name in ("train", "dev"):
        for task, count in (data[name] or {"repairs": {}})["repairs"].items():
            if count:
                yield ""
                yield f"In {name} {count:,} {cell(task)} tags were illegal and repaired as conlleval does."
    for task, count in (data["dev"] or {"unseen_tags": {}})["unseen_tags"].items():
        if count:
            yield ""
            yield f"In dev {count:,} {cell(task)} tags do not occur in train and count as wrong."
    vectors = data["vectors"]
    if vectors:
        yield ""
        yield (
            f"Word vectors: {cell(vectors['file'])}, {vectors['size']} dimensions. They cover "
            f"{vectors['covered']:,} of {vectors['words']:,} words of train; the model has "
            f"{vectors['frozen']:,} more for tagging."
        )


def _scores(metrics: Mapping[str, Any]) -> Iterator[str]:
    if not metrics["dev"]:
        yield f"Trained without a dev split, for {metrics['epoch']} epochs; there are no scores."
        return
    yield f"Scores on dev after epoch {metrics['epoch']} of at most {metrics['epochs']}, the best epoch."
    for task, scores in metrics["dev"].items():
        head, rows = score_rows(scores)
        yield from ("", f"### {cell(task)}", "", f"| {' | '.join(head)} |", "|---|---:|---:|---:|---:|")
        yield from (f"| {' | '.join(map(cell, row))} |" for row in rows)


def _calibration(temperatures: Mapping[str, float]) -> Iterator[str]:
    if temperatures:
        fitted = ", ".join(f"{cell(task)} {value:g}" for task, value in temperatures.items())
        yield from ("", f"Probabilities are calibrated on dev; temperatures: {fitted}.")


def _usage(vocabulary: Vocabulary) -> Iterator[str]:
    spans = [task.name for task in vocabulary.tasks if task.scheme]
    yield from ("```python", "from tagger import Tagger", "", 'tagger = Tagger.load("this/folder")')
    yield 'for sentence in tagger.tag("Jordan scored twice for Chicago."):'
    if spans:
        yield f"    for span in sentence.spans[{spans[0]!r}]:"
        yield "        print(span.start_char, span.end_char, span.label, span.score)"
    else:
        yield f"    print(sentence.tokens, sentence.tags[{vocabulary.tasks[0].name!r}])"
    yield from ("```", "", "On the command line: `tagger tag -m this/folder text.txt`.")


def _row(name: str, scores: Mapping[str, Any]) -> Row:
    precision, recall, f1 = (_number(scores[key], scores["support"]) for key in ("precision", "recall", "f1"))
    return name, precision, recall, f1, str(scores["support"])


def _number(score: float, support: int) -> str:
    """Format a score; a dash if there are no gold spans or tags."""
    return f"{score:.4f}" if support else "-"


def cell(value: object) -> str:
    """Escape a value for a cell of a Markdown table."""
    line = printable(" ".join(str(value).splitlines()))
    return line.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
