"""``tagger train``: corpus files in, a model folder out."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from tagger.cli.tag import split_names
from tagger.config import Config, load_config, parse_setting
from tagger.errors import InputError
from tagger.features.vocab import Vocabulary
from tagger.training.card import task_labels

EXAMPLES = """Examples:

tagger train --train train.conll --dev dev.conll --output runs/news

tagger train recipe.toml --train train.conll --dev dev.conll --output runs/2

tagger train --train t.conll --columns token,pos,ner --task pos,ner --output m

tagger train --train t.conll --set model.layers=2 --direction forward --output m"""

EXTRA = ("torch", "torchcrf", "accelerate", "seqeval", "matplotlib")
Scores = Mapping[str, Any]


def train_command(
    train: Annotated[Path, typer.Option(metavar="FILE", help="Corpus file to learn from.")],
    output: Annotated[
        str, typer.Option(metavar="DIR", help="Where the model goes; an earlier one there is replaced.")
    ],
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG.toml", help="Options, in sections data, model, train.")
    ] = None,
    dev: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Corpus file that chooses the best epoch; without it none is scored and the last is kept.",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Column to learn (repeatable, or pos,ner); ner by default."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Names of the file's columns, as token,pos,chunk,ner; by default the first is the token "
            "and the last the task.",
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option(metavar="conll|conllu", help="Of the files; by default their suffix.")
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Word vectors: GloVe, word2vec or fastText.")
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option(
            metavar="forward|backward|bidirectional",
            help="Which way the encoder reads.",
            autocompletion=lambda: ["forward", "backward", "bidirectional"],
        ),
    ] = None,
    merge_mode: Annotated[
        str | None,
        typer.Option(
            metavar="concat|sum|mul|ave",
            help="How two directions become one vector.",
            autocompletion=lambda: ["concat", "sum", "mul", "ave"],
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="crf|softmax", help="What scores the tags.", autocompletion=lambda: ["crf", "softmax"]
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over train at most.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of weights, order and dropout.")] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Any option, as model.hidden_size=100 (repeatable).",
            autocompletion=lambda: [f"{name}=" for name in _option_names()],
        ),
    ] = None,
) -> None:
    """Train a model on a corpus file.

    The folder gets the model of the best epoch on dev, metrics.jsonl with a
    line an epoch, learning curves and a model card. A flag outweighs
    CONFIG.toml, and --set outweighs a flag.
    """
    if not output:  # as a path it would be the current folder
        raise InputError("--output is empty; name a folder.")
    flags: dict[str, Any] = {
        "data.tasks": tuple(split_names(task)) or None,
        "data.columns": columns,
        "data.format": format,
        "model.direction": direction,
        "model.merge_mode": merge_mode,
        "model.head": head,
        "train.epochs": epochs,
        "train.seed": seed,
    }
    changes = {key: value for key, value in flags.items() if value is not None}
    changes.update(map(parse_setting, set or ()))
    options = load_config(config, changes)
    _train(options, Path(output), train, dev, vectors)


def _train(config: Config, output: Path, train: Path, dev: Path | None, vectors: Path | None) -> None:
    """Run the training and show it."""
    from tagger.cli.console import TrainingDisplay, require_extra, scores_table

    require_extra("train", *EXTRA)
    from tagger.training.loop import EpochRecord, StepRecord
    from tagger.training.run import DataRecord, epoch_values, run_training

    display = TrainingDisplay(config.train.epochs)
    best: dict[str, Any] | None = None
    records = run_training(config, output, train_file=train, dev_file=dev, vectors_file=vectors)
    try:
        with closing(records), display:
            for record in records:
                if isinstance(record, DataRecord):
                    for line in _data_lines(record.data, record.preparation.vocabulary, config):
                        display.print(line)
                elif isinstance(record, StepRecord):
                    display.advance(
                        epoch=record.epoch,
                        share=record.step / record.steps,
                        loss=record.loss,
                        tokens_per_second=record.tokens_per_second,
                        best=best["score"] if best else None,
                    )
                elif isinstance(record, EpochRecord):
                    values = epoch_values(record)
                    best = values if record.is_best else best
                    display.print(
                        _epoch_text(values, config.train.epochs), style="bold" if record.is_best else ""
                    )
    except KeyboardInterrupt:
        kept = f"; {output} holds the model of epoch {best['epoch']}" if best else ", before the first epoch"
        display.print(f"interrupted{kept}")
        raise typer.Exit(130) from None
    assert best is not None
    display.print(f"\n{_best_text(best) or 'the last epoch is kept: there was no dev to choose by'}")
    for name, scores in best["dev"].items():
        display.print(scores_table(f"dev, {name}", scores))
    folder = shlex.quote(str(output))
    display.print(f"model: {folder}\ntag with it: tagger tag {folder} text.txt")


def _option_names() -> list[str]:
    from tagger.config import option_names

    return option_names()


def _data_lines(data: Mapping[str, Any], vocabulary: Vocabulary, config: Config) -> Iterator[str]:
    """What was read, a fact a line."""
    for part in ("train", "dev"):
        read = data[part]
        if read is None:
            yield "dev       none: nothing is scored, and the model of the last epoch is kept"
            continue
        yield f"{part:<9} {read['file']}: {read['sentences']:,} sentences, {read['tokens']:,} tokens"
    labels = task_labels(vocabulary)
    for task in vocabulary.tasks:
        scheme = data["train"]["schemes"][task.name]
        learnt = f"spans in {scheme}, learnt as {task.scheme}" if task.scheme else "one tag a token"
        names = ", ".join(labels[task.name])
        yield f"{task.name:<9} {learnt}; {len(labels[task.name])} labels: {names}"
        for part in ("train", "dev"):
            count = data[part]["repairs"].get(task.name) if data[part] else 0
            if count:
                yield f"          {count:,} tags of {part} were illegal, and read as conlleval reads them"
        unseen = data["dev"]["unseen_tags"].get(task.name) if data["dev"] else 0
        if unseen:
            yield f"          {unseen:,} tags of dev are unknown to train, and scored as wrong"
    vectors = data["vectors"]
    if vectors:
        share = vectors["found"] / max(1, vectors["words"])
        yield (
            f"vectors   {vectors['file']}, {vectors['size']} wide: found {vectors['found']:,} of "
            f"{vectors['words']:,} words of train ({share:.1%}), keep {vectors['kept']:,} more for tagging"
        )
        if vectors["duplicates"]:
            yield f"          {vectors['duplicates']:,} rows repeated a word and were left out"
    model = config.model
    merged = f" ({model.merge_mode})" if model.direction == "bidirectional" else ""
    yield f"model     {model.direction}{merged}, {model.head} head\n"


def _epoch_text(values: Mapping[str, Any], epochs: int) -> str:
    """An epoch in one line."""
    parts = [f"epoch {values['epoch']:>{len(str(epochs))}}/{epochs}", f"loss {values['loss']:.4f}"]
    parts += [_main_score(name, scores) for name, scores in values["dev"].items()]
    parts += [f"{values['tokens_per_second']:,.0f} tokens/s", f"{values['seconds']:.1f} s"]
    if values["dev"] and values["is_best"]:
        parts.append("best so far")
    return "  ".join(parts)


def _main_score(task: str, scores: Scores) -> str:
    return f"{task} F1 {scores['f1']:.4f}" if "f1" in scores else f"{task} accuracy {scores['accuracy']:.4f}"


def _best_text(best: Mapping[str, Any] | None) -> str:
    if not best or best["score"] is None:
        return ""
    scores = ", ".join(_main_score(name, task) for name, task in best["dev"].items())
    return f"best: epoch {best['epoch']}, {scores}"
