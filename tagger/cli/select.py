"""``tagger select``: choose the sentences of a pool that are worth annotating next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from tagger.annotation.annotation_cost import PRIOR, AnnotationCost, require_cost
from tagger.annotation.selection import Choice, select
from tagger.annotation.strategies import STRATEGIES, StrategyName
from tagger.cli.evaluate import check_outputs
from tagger.cli.output import Notes, open_output, print_message
from tagger.cli.progress_bar import ProgressBar
from tagger.cli.tag import ModelOption
from tagger.corpus.detection import detect
from tagger.corpus.files import find_format
from tagger.corpus.jsonl import json_line
from tagger.corpus.loading import write_corpus
from tagger.corpus.reading import Reading
from tagger.corpus.records import NO_SPANS
from tagger.errors import InputError, Warn, ignore
from tagger.included import default_model, find_model
from tagger.runtime.document_pipe import TextTokenizer
from tagger.runtime.json_lines import SCORE_DIGITS
from tagger.runtime.options import TagOptions
from tagger.runtime.sentence_tagger import select_tasks
from tagger.runtime.tagger import Tagger
from tagger.text.sentence import Sentence, sentence_values

EXAMPLES = """Examples:

tagger select pool.jsonl -m runs/news --tokens 2000 --output batch.jsonl

tagger select pool.jsonl --sentences 50 --exclude labelled.jsonl --output batch.conll"""


def select_command(
    pool: Annotated[
        Path,
        typer.Argument(metavar="POOL", help="Texts to choose from: a file in any format of `convert`."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="File to write, in the format of its suffix; only JSON lines hold arm and priority.",
        ),
    ],
    model: ModelOption = None,
    tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Number of tokens to annotate.", show_default=False)
    ] = None,
    sentences: Annotated[
        int | None, typer.Option(metavar="N", help="Number of sentences to annotate.", show_default=False)
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Task to annotate; by default the first one with spans."),
    ] = None,
    strategy: Annotated[
        StrategyName,
        typer.Option(
            metavar="|".join(STRATEGIES),
            help="uncertainty of the least certain tokens per second of work; mnlp, the probability of the "
            "best tags per token; random; or longest.",
        ),
    ] = "uncertainty",
    random_share: Annotated[
        float,
        typer.Option(metavar="X", help="Share of the batch that is drawn at random, from 0 to 1."),
    ] = 0.2,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random order of POOL.")] = 1,
    exclude: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Labelled sentences to leave out (repeatable)."),
    ] = None,
    seconds: Annotated[
        str,
        typer.Option(metavar="A,B", help="Cost of annotation: seconds of a sentence, and of a token."),
    ] = f"{PRIOR.per_sentence:g},{PRIOR.per_token:g}",
) -> None:
    """Choose sentences to annotate, and write them with the model's proposals.

    Each line of JSON has the proposed spans with their probabilities, the
    arm (chosen or random), the strategy, the priority, and the sentence's
    index in POOL (id). Near-duplicates are left out of the chosen arm.
    """
    cost = _parse_cost(seconds)
    _require_file(pool)
    check_outputs([pool, *(exclude or ())], [output])
    style = find_format(output)
    tagger = Tagger.load(default_model() if model is None else find_model(model))
    options = TagOptions(tasks=select_tasks(tagger, [task] if task else None))
    notes = Notes()
    with ProgressBar("ranking", [pool], n_passes=3) as bar:
        choices = select(
            Pool(pool, tagger.tokenizer, notes),
            tagger,
            task=options.text_task.name,
            n_tokens=tokens,
            n_sentences=sentences,
            strategy=strategy,
            random_share=random_share,
            seed=seed,
            cost=cost,
            excluded=chain.from_iterable(Pool(path, tagger.tokenizer, ignore) for path in exclude or ()),
            watch=bar.track,
        )
    _write(choices, output, style, options.text_task.name)
    notes.close()
    _report(choices, cost, tokens=tokens, sentences=sentences)


class Pool:
    """The sentences of a file, which is read again at each iteration. Tags in it are not used.

    Args:
        path: The file.
        tokenize: Splits running text.
        warn: Receives the warnings of the first iteration.
    """

    def __init__(self, path: Path, tokenize: TextTokenizer, warn: Warn) -> None:
        self._detected = detect(path)
        if self._detected.problem:
            raise self._detected.problem
        self._tokenize = tokenize
        self._warn = warn

    def __iter__(self) -> Iterator[Sentence]:
        warn, self._warn = self._warn, ignore

        def warn_of_others(message: str) -> None:
            if not message.endswith(NO_SPANS):
                warn(message)

        reading = Reading(tasks=(), tokenize=self._tokenize, on_misaligned="skip", warn=warn_of_others)
        yield from self._detected.read(reading)


def _parse_cost(text: str) -> AnnotationCost:
    try:
        cost = AnnotationCost(*map(float, text.split(",")))
    except (TypeError, ValueError):
        raise InputError(
            f"--seconds must be two numbers (got {text!r}). Write {PRIOR.per_sentence:g},"
            f"{PRIOR.per_token:g} for the default.",
            code="option.type",
            option="--seconds",
        ) from None
    return require_cost(cost, "--seconds")


def _require_file(pool: Path) -> None:
    if str(pool) == "-" or (pool.exists() and not pool.is_file() and not pool.is_dir()):
        raise InputError(
            "not a regular file, but POOL is read several times. Save it to a file.",
            code="file.kind",
            where=pool,
        )


def _write(choices: Sequence[Choice], output: Path, style: str, task: str) -> None:
    if style != "jsonl":
        write_corpus((choice.sentence for choice in choices), output, task=task)
        return
    with open_output(output) as file:
        for choice in choices:
            values = sentence_values(choice.sentence, [task], digits=SCORE_DIGITS)
            values |= {
                "id": choice.index,
                "source": choice.sentence.source,
                "arm": choice.arm,
                "strategy": choice.strategy,
                "priority": choice.priority,
            }
            file.write(json_line(values))


def _report(
    choices: Sequence[Choice], cost: AnnotationCost, *, tokens: int | None, sentences: int | None
) -> None:
    """Print on standard error what was chosen."""
    lengths = [len(choice.sentence) for choice in choices]
    arms = Counter(choice.arm for choice in choices)
    minutes = sum(map(cost.seconds, lengths)) / 60
    print_message(
        f"{len(lengths):,} sentences, {sum(lengths):,} tokens: {arms['chosen']:,} chosen, {arms['random']:,} "
        f"at random; about {minutes:,.0f} minutes of annotation"
    )
    if sum(lengths) < (tokens or 0) or len(lengths) < (sentences or 0):
        print_message("POOL has no other sentences that are not nearly equal to these or excluded")
