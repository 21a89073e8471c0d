"""``tagger tag``: raw text in, tags out, as a stream."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from tagger.cli.formats import BY_SENTENCE, FORMATS, Document, View, column_separator
from tagger.cli.input import LONGEST_LINE, STDIN, before_errors, read_tokens
from tagger.cli.output import open_output
from tagger.cli.sources import (
    COLUMN_INPUTS,
    INPUTS,
    Source,
    choose_model,
    find_sources,
    refuse_columns,
    require_format,
    require_input,
    usual_format,
    warn_of_word,
)
from tagger.cli.stream_output import LOOKAHEAD, STYLES, write_stream
from tagger.cli.thresholds import (
    CandidatesOption,
    MinScoreOption,
    parse_min_score,
    require_candidates_option,
    resolve_min_score,
)
from tagger.errors import InputError
from tagger.features.vocab import Task
from tagger.included import DEFAULT, default_model, find_model
from tagger.runtime.arguments import MOST_ALTERNATIVES
from tagger.runtime.tagger import Tagger, choose_tasks
from tagger.text.documents import stream_sentences
from tagger.text.schemes import SCHEMES
from tagger.text.sentence import Sentence
from tagger.training.card import task_labels

CACHE_MEGABYTES = 48  # a quarter of what the library takes: memory is to stay small

EXAMPLES = """Examples:

tagger tag "Jordan scored twice for Chicago."

tagger tag runs/news letter.txt

tagger tag runs/news --format jsonl < letter.txt > letter.jsonl

tagger tag runs/news --format html --output page.html a.txt b.txt

tagger tag runs/news --input conll test.conll | perl conlleval

tagger tag runs/news --stream --lookahead 1"""

ModelName = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="Folder that `tagger train` wrote, or the name of a model in the package (en)."
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        metavar="f32|int8|auto",
        help="Of the recurrent weights; int8 is faster on most processors, auto takes what a trial finds so.",
    ),
]


def tag_command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL] FILE...|-|TEXT",
            help="Files in UTF-8 or a text in quotes; standard input when none is given. The first may be a "
            "model.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Folder that `tagger train` wrote, or the name of a model in the package; "
            f"{DEFAULT} when not said.",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(FORMATS),
            help="What is written; text on a terminal, else jsonl.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = None,
    input: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(INPUTS),
            help="What FILEs are: running text, or a token a line in CoNLL columns or CoNLL-U, which are "
            "written back with predicted tags.",
            autocompletion=lambda: list(INPUTS),
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="With --input conll: the columns, as token,pos,ner; else detected."
        ),
    ] = None,
    pretokenized: Annotated[
        bool,
        typer.Option(
            "--pretokenized",
            help=f"A sentence a line, tokens separated by spaces or tabs; cut after {LONGEST_LINE:,} tokens. "
            "With --stream a sentence ends at an empty line.",
        ),
    ] = False,
    scheme: Annotated[
        str,
        typer.Option(
            metavar="SCHEME",  # the names joined would be cut anywhere
            help=f"How tags of spans are written: {', '.join(SCHEMES)}.",
            autocompletion=lambda: list(SCHEMES),
        ),
    ] = "IOB2",
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only these of the model's tasks (repeatable, or with commas)."),
    ] = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Write each tag's probability, in jsonl and conll.")
    ] = False,
    n_best: Annotated[
        int,
        typer.Option(
            metavar="K",
            help=f"Write the K likeliest tag sequences, in jsonl; at most {MOST_ALTERNATIVES}.",
        ),
    ] = 0,
    min_score: MinScoreOption = None,
    candidates: CandidatesOption = 0.0,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Tag words as they come and write a line for each: conll or jsonl."),
    ] = False,
    lookahead: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help=f"With --stream: decide a word's tags after K further words; {LOOKAHEAD} when not said.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(metavar="N", help="Tag with N processes, in jsonl and conll; the order is kept."),
    ] = 1,
    precision: PrecisionOption = "f32",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to a file, not to standard output.")
    ] = None,
    color: Annotated[
        bool | None,
        typer.Option("--color/--no-color", help="Colours in the text format; by default on a terminal."),
    ] = None,
) -> None:
    """Tag raw text (or ready tokens) with the English model, or one of your own.

    The first word is the model if it is a folder or the name of a model in the
    package. A word that names no file is itself the text, unless it looks like a path.

    Each FILE is a document of its own: offsets count its characters (a byte
    order mark is one). Text and html show one task, the first that has spans.
    With --stream a sentence ends at an empty line or, unless tokens are ready,
    where the tokenizer ends it.
    """
    style = format or usual_format(input, output, is_stream=stream)
    require_format(style, input)
    thresholds = parse_min_score(min_score)
    _require_min_score(thresholds, is_stream=stream)
    name, inputs = choose_model(words or [], model)
    is_text_likely = model is not None or len(inputs) == len(words or [])
    sources = find_sources(inputs, is_text_likely=is_text_likely)
    _require_stream(
        stream, lookahead, style, has_more=bool(n_best or scores or candidates), is_one=len(sources) == 1
    )
    _require_room(style, scores=scores, n_best=n_best)
    require_candidates_option(candidates, style)
    _require_workers(workers, style, is_stream=stream)
    if stream and precision != "f32":
        raise InputError("--stream reads in f32; leave --precision out.")
    _require_sources(sources, output, is_decided=input is not None, is_pretokenized=pretokenized)
    others = {"--pretokenized": pretokenized, "--stream": stream, "--workers": workers > 1}
    require_input(input, columns, sources, others=others)
    is_default = model is None and len(inputs) == len(words or [])
    folder = default_model() if is_default else find_model(name)
    if model is None:
        warn_of_word(words or [], sources)
    tagger = Tagger.load(folder, scheme=scheme, precision=precision, cache_megabytes=CACHE_MEGABYTES)
    gc.freeze()  # the model stays as long as the process: it need not be looked through again and again
    if stream:
        write_stream(
            tagger,
            sources[0],
            output,
            lookahead=LOOKAHEAD if lookahead is None else lookahead,
            tasks=choose_tasks(tagger, split_names(task)),
            style=style,
            is_pretokenized=pretokenized,
        )
        return
    view = make_view(
        tagger, split_names(task), is_coloured=_is_coloured(color, output), is_terminal=_is_terminal(output)
    )
    least = resolve_min_score(thresholds, tagger.labels)
    _require_spans(candidates, view)

    def tag_all(sentences: Iterable[Sentence]) -> Iterator[Sentence]:
        return tagger.tag_sentences(
            sentences, n_best=n_best, scores=scores, min_score=least, candidates=candidates
        )

    def tag(lines: Iterable[str]) -> Iterator[Sentence]:
        return tag_all(read_tokens(lines) if pretokenized else stream_sentences(lines, tagger.tokenizer))

    names = document_names([source.path for source in sources])
    if input in COLUMN_INPUTS:
        from tagger.cli.column_files import open_columns, write_columns  # here, with the readers of corpora

        paths = dict(zip([source.path for source in sources], names, strict=True))
        files = [
            open_columns(path, str(input), columns, style, name if len(paths) > 1 else None)
            for path, name in paths.items()
        ]
        write_columns(files, output, tag_all, view, tagger.tasks)
        return
    errors: list[InputError] = []
    documents = [
        Document(name, before_errors(source.lines(), errors))
        for name, source in zip(names, sources, strict=True)
    ]
    with open_output(output) as file:
        if workers > 1:
            from tagger.cli.workers import Job, tag_in_workers  # here, since few texts need processes

            written = (tagger.scheme, tagger.precision, view, style)
            job = Job(folder, *written, pretokenized, scores, n_best, least, candidates, CACHE_MEGABYTES)
            file.writelines(tag_in_workers(documents, job, workers, tagger.tokenizer))
        else:
            file.writelines(FORMATS[style](documents, tag, view))
        errors += view.errors
        if errors:  # all that could be read has been tagged; a file is left as it was
            file.flush()
            raise errors[0]


def document_names(paths: Sequence[Path]) -> list[str]:
    """The files' names, or whole paths if different files have one name."""
    named = {path: "standard input" if path == STDIN else path.name for path in paths}
    is_clear = len(set(named.values())) == len(named)
    return [named[path] if is_clear or path == STDIN else str(path) for path in paths]


def split_names(values: Iterable[str] | None) -> list[str]:
    """Return the names that ``--task`` gives, repeated or with commas.

    Raises:
        InputError: A name is given twice.
    """
    names = [name.strip() for value in values or () for name in value.split(",") if name.strip()]
    repeated = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if repeated:
        raise InputError(f"--task {repeated} is given twice. Give it once.")
    return names


def make_view(tagger: Tagger, tasks: Sequence[str], *, is_coloured: bool, is_terminal: bool) -> View:
    """What is shown of a model's tags.

    Args:
        tagger: The model.
        tasks: Names of the tasks to show; all when empty.
        is_coloured: Whether running text is coloured for a terminal.
        is_terminal: True if running text is printed on a terminal.

    Raises:
        InputError: A task is none of the model's.
    """
    names = choose_tasks(tagger, tasks)
    by_name: dict[str, Task] = {one.name: one for one in tagger.tasks}
    with_spans = [name for name in names if by_name[name].scheme]
    labels = task_labels(tagger.bundle.vocabulary)[with_spans[0]] if with_spans else []
    separator = column_separator(by_name[name] for name in names)
    return View(names, (with_spans or names)[0], labels, is_coloured, is_terminal, separator)


def _require_room(style: str, *, scores: bool, n_best: int) -> None:
    """Refuse a number that is out of bounds, and what the format does not hold."""
    if not 0 <= n_best <= MOST_ALTERNATIVES:
        raise InputError(f"--n-best is {n_best}; use 0 for no alternatives, or at most {MOST_ALTERNATIVES}.")
    if n_best and style != "jsonl":
        raise InputError(f"The format {style} does not hold --n-best sequences; use --format jsonl.")
    if scores and style not in ("jsonl", "conll"):
        raise InputError(f"The format {style} does not hold --scores; use --format jsonl or conll.")


def _require_stream(
    is_stream: bool, lookahead: int | None, style: str, *, has_more: bool, is_one: bool
) -> None:
    """Refuse what cannot be had word by word, and a lookahead where whole sentences are read."""
    if not is_stream:
        if lookahead is not None:
            raise InputError("--lookahead is for --stream; without it every tag sees its whole sentence.")
    elif style not in STYLES:
        raise InputError(f"--stream does not write the format {style}; use --format {' or '.join(STYLES)}.")
    elif has_more:
        raise InputError(
            "--stream writes each word's tags alone; leave --n-best, --scores and --candidates out."
        )
    elif not is_one:
        raise InputError("--stream reads one text; give one FILE, or none for standard input.")


def _require_min_score(thresholds: Mapping[str, float], *, is_stream: bool) -> None:
    if is_stream and any(thresholds.values()):
        raise InputError(
            "--stream gives out a span's first tag before its score is known; leave --min-score out."
        )


def _require_spans(candidates: float, view: View) -> None:
    if candidates and not view.labels:
        raise InputError(
            f"--candidates: a task must have spans (got {', '.join(view.tasks)}). Leave the option out."
        )


def _require_workers(workers: int, style: str, *, is_stream: bool) -> None:
    if workers < 1:
        raise InputError(f"--workers is {workers}; use 1 (this process alone) or more.")
    if workers > 1 and is_stream:
        raise InputError("--stream reads one text word by word; leave --workers out.")
    if workers > 1 and style not in BY_SENTENCE:
        raise InputError(
            f"--workers does not write the format {style}; use --format {' or '.join(BY_SENTENCE)}."
        )


def _require_sources(
    sources: Sequence[Source], output: Path | None, *, is_decided: bool, is_pretokenized: bool
) -> None:
    """Find wrong names, and files of columns or records unless the user decided what they are."""
    if sources.count(Source(STDIN)) > 1:
        raise InputError("Standard input (-) is named twice but can be read once; leave one out.")
    for source in sources:
        _require_readable(source, output)
        if not is_decided and source.text is None:
            refuse_columns(source.path, has_tokens=is_pretokenized)


def _require_readable(source: Source, output: Path | None) -> None:
    """Find a wrong name before the first line is written."""
    path = source.path
    if path == STDIN:
        if sys.stdin is None:
            raise InputError("Standard input is closed; name a file or give a pipe.")
        return
    if source.text is not None:
        return
    if not path.exists():
        raise InputError(f"{path}: there is no such file; check the path.")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name a file in it.")
    if output is not None and output.is_file() and output.samefile(path):
        raise InputError(f"{output}: the output would overwrite the text; use another --output.")


def _is_coloured(wish: bool | None, output: Path | None) -> bool:
    if wish is not None:
        return wish
    is_wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return is_wanted and _is_terminal(output)


def _is_terminal(output: Path | None) -> bool:
    return output is None and sys.stdout.isatty()
