"""``tagger evaluate``: what a model scores on a file with gold tags."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

import typer

from tagger.cli.tag import split_names
from tagger.corpus.files import find_format, read_sentences
from tagger.runtime.evaluation import choose_tasks, evaluate
from tagger.runtime.tagger import Tagger

EXAMPLES = """Examples:

tagger evaluate runs/news data/test.conll

tagger evaluate runs/news data/test.conll --json > scores.json"""


def evaluate_command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that `tagger train` wrote.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Corpus file with gold tags.")],
    json: Annotated[bool, typer.Option("--json", help="Write JSON; scores are fractions of 1.")] = False,
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="The file's columns, as token,pos,ner; by default the model's."),
    ] = None,
    format: Annotated[
        str | None, typer.Option(metavar="conll|conllu", help="The file's format; by default its suffix.")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only these of the model's tasks (repeatable, or with commas)."),
    ] = None,
) -> None:
    """Score a model on a file with gold tags.

    Spans are scored by seqeval in the mode that imitates conlleval, also apart
    for words that train has and lacks, and in strict mode.
    """
    from tagger.cli.console import make_console, require_extra, scores_table

    require_extra("evaluate", "seqeval")
    tagger = Tagger.load(model)
    data = tagger.bundle.config.data
    tasks = choose_tasks(tagger, split_names(task))
    format = format or data.format
    if columns is None and find_format(file, format) != "conllu":  # whose columns have names of their own
        columns = data.columns
    sentences = read_sentences(file, columns=columns, tasks=tasks, format=format)
    result = evaluate(tagger, sentences, tasks=tasks)
    if json:
        typer.echo(json_format.dumps(result, indent=2))
        return
    console = make_console()
    for name, scores in result["tasks"].items():
        console.print(scores_table(name, scores))
        if scores.get("repairs"):
            console.print(f"{scores['repairs']:,} gold tags were broken, and read as conlleval reads them")
        unseen = result["unseen_tags"][name]
        if unseen:
            labels = ", ".join(f"{label} ({count:,})" for label, count in unseen.items())
            console.print(f"gold tags that the model does not know, and so misses: {labels}", soft_wrap=True)
    console.print(
        f"{result['sentences']:,} sentences, {result['tokens']:,} tokens, "
        f"{result['tokens_per_second']:,.0f} tokens/s"
    )
