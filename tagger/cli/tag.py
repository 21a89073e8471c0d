"""``tagger tag``: tag raw text or pretokenized sentences."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from tagger.cli.formats import FORMATS, Document
from tagger.cli.input import LONGEST_LINE, STDIN, before_errors, read_tokens, split_names
from tagger.cli.output import open_output
from tagger.cli.progress_bar import ProgressBar
from tagger.cli.sources import (
    COLUMN_INPUTS,
    InputFormat,
    OutputStyle,
    default_format,
    find_sources,
    require_format,
    require_input,
)
from tagger.cli.stream_output import write_stream
from tagger.cli.table_files import open_table_file, require_table_options
from tagger.cli.tag_checks import (
    require_min_score,
    require_scores_format,
    require_sources,
    require_spans,
    require_stream,
    require_workers,
)
from tagger.cli.thresholds import (
    CandidatesOption,
    MinScoreOption,
    parse_min_score,
    require_candidates_option,
    resolve_min_score,
)
from tagger.errors import InputError
from tagger.included import DEFAULT, default_model, find_model
from tagger.runtime.arguments import MOST_ALTERNATIVES
from tagger.runtime.live_text import LOOKAHEAD
from tagger.runtime.options import TagOptions
from tagger.runtime.sentence_tagger import select_tasks
from tagger.runtime.tagged_tables import span_columns
from tagger.runtime.tagger import Tagger
from tagger.text.documents import stream_sentences
from tagger.text.schemes import SCHEMES
from tagger.text.sentence import Sentence

CACHE_MEGABYTES = 48  # smaller than the default of the library, to limit memory

EXAMPLES = """Examples:

tagger tag --text "Jordan scored twice for Chicago."

tagger tag -m runs/news letter.txt

tagger tag -m runs/news --format jsonl < letter.txt > letter.jsonl

tagger tag -m runs/news --format html --output page.html a.txt b.txt

tagger tag -m runs/news --input conll test.conll | perl conlleval

tagger tag -m runs/news --stream --lookahead 1

tagger tag articles.csv --text-column body --output tagged.parquet"""

ModelName = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="Model folder written by `tagger train`, or name of an included model (en) or of one on the "
        "Hugging Face hub (user/name).",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="Model folder written by `tagger train`, or name of an included model or of one on the hub; "
        f"{DEFAULT} by default.",
    ),
]
PrecisionOption = Annotated[
    Literal["f32", "int8", "auto"],
    typer.Option(
        help="Precision of the LSTM weights. int8 is faster on most processors; auto times both and uses "
        "the faster one.",
    ),
]


def tag_command(
    context: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE|-",
            help="UTF-8 files; - is standard input, which is also the default.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="Tag this text instead of files.")
    ] = None,
    format: Annotated[
        OutputStyle | None,
        typer.Option(help="Output format; by default text on a terminal, else jsonl. conllu needs --input."),
    ] = None,
    input: Annotated[
        InputFormat | None,
        typer.Option(
            help="Input format: running text, CoNLL columns or CoNLL-U. Column files are written back with "
            "predicted tags."
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="With --input conll: column names, e.g. token,pos,ner; detected by default."
        ),
    ] = None,
    pretokenized: Annotated[
        bool,
        typer.Option(
            "--pretokenized",
            help="Read one sentence per line, tokens separated by spaces or tabs. Lines are split after "
            f"{LONGEST_LINE:,} tokens. With --stream, an empty line ends a sentence.",
        ),
    ] = False,
    scheme: Annotated[
        str,
        typer.Option(
            metavar="SCHEME",  # a joined list of names would wrap inside a name
            help=f"Tag scheme of the output: {', '.join(SCHEMES)}.",
            autocompletion=lambda: list(SCHEMES),
        ),
    ] = "IOB2",
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Tasks to write; all by default (repeatable, or with commas)."),
    ] = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Write the probability of each tag (jsonl, conll).")
    ] = False,
    n_best: Annotated[
        int,
        typer.Option(
            metavar="K",
            help=f"Write the K most probable tag sequences (jsonl); at most {MOST_ALTERNATIVES}.",
        ),
    ] = 0,
    min_score: MinScoreOption = None,
    candidates: CandidatesOption = 0.0,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Tag words as they arrive; write one line per word (conll, jsonl)."),
    ] = False,
    lookahead: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help=f"With --stream: decide the tags of a word after K more words; {LOOKAHEAD} by default.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(metavar="N", help="Number of processes (jsonl, conll, tables). The order is kept."),
    ] = 1,
    precision: PrecisionOption = "f32",
    text_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Tag the texts in this column of a table (.jsonl, .csv, .tsv, .parquet) and write the table "
            "with a column of spans, in the format that the suffix of --output names; JSONL by default.",
            show_default=False,
        ),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --text-column: column that identifies a row in --errors."),
    ] = None,
    spans_column: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="With --text-column: name of the new column. With several tasks, NAME_TASK for each.",
        ),
    ] = "spans",
    errors_file: Annotated[
        Path | None,
        typer.Option(
            "--errors",
            metavar="FILE",
            help="With --text-column: write rows that cannot be tagged to this JSONL file and exit with 1; "
            "by default the first one is an error.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to a file instead of standard output.")
    ] = None,
    color: Annotated[
        bool | None,
        typer.Option("--color/--no-color", help="Colour the text format; by default only on a terminal."),
    ] = None,
) -> None:
    """Tag raw text or pretokenized sentences with the English model or your own.

    Each FILE is one document. Offsets count its characters, including a byte
    order mark. The formats text and html show one task: the first with spans.
    With --stream, an empty line ends a sentence; without --pretokenized, the
    tokenizer ends sentences too.
    """
    require_table_options(context)
    style = format or default_format(input, output, is_stream=stream)
    require_format(style, input)
    thresholds = parse_min_score(min_score)
    require_min_score(thresholds, is_stream=stream)
    sources = find_sources(files or [], text)
    require_stream(
        stream,
        lookahead,
        style,
        has_scores=bool(n_best or scores or candidates),
        has_one_source=len(sources) == 1,
    )
    require_scores_format(style, scores=scores, n_best=n_best)
    require_candidates_option(candidates, style)
    require_workers(workers, style, is_stream=stream)
    if stream and precision != "f32":
        raise InputError(
            f"--precision must be f32 with --stream (got {precision}). Leave --precision out.",
            code="option.conflict",
            option="--precision",
        )
    is_known = input is not None or text_column is not None
    require_sources(sources, output, has_input_option=is_known, is_pretokenized=pretokenized)
    others = {"--pretokenized": pretokenized, "--stream": stream, "--workers": workers > 1}
    require_input(input, columns, sources, others=others)
    tasks = split_names(task)
    table_file = open_table_file(
        sources, output, errors_file, text_column, id_column, span_columns(spans_column, tasks)
    )
    folder = default_model() if model is None else find_model(model)
    tagger = Tagger.load(folder, scheme=scheme, precision=precision, cache_megabytes=CACHE_MEGABYTES)
    gc.freeze()  # the model lives as long as the process: exclude it from garbage collection
    options = TagOptions(
        tasks=select_tasks(tagger, tasks),
        n_best=n_best,
        has_scores=scores,
        min_score=resolve_min_score(thresholds, tagger.labels),
        candidates=candidates,
        format=style,
        is_coloured=_is_coloured(color, output),
        is_terminal=_is_terminal(output),
        is_pretokenized=pretokenized,
        lookahead=LOOKAHEAD if lookahead is None else lookahead,
        model=folder,
        scheme=tagger.scheme,
        precision=tagger.precision,
        cache_megabytes=CACHE_MEGABYTES,
    )
    if stream:
        write_stream(tagger, sources[0], output, options)
        return
    if table_file:
        table_file.write(tagger, options if tasks else replace(options, tasks=(options.text_task,)), workers)
        return
    require_spans(options)

    paths = [source.path for source in sources]
    files_read = [source.path for source in sources if source.text is None]
    bar = ProgressBar("tagging", files_read, writes_output=output is None)

    def tag_all(sentences: Iterable[Sentence]) -> Iterator[Sentence]:
        return bar.track(tagger.annotate(sentences, options))

    def tag(lines: Iterable[str]) -> Iterator[Sentence]:
        sentences = read_tokens(lines) if pretokenized else stream_sentences(lines, tagger.tokenizer)
        return bar.track_text(tagger.annotate(sentences, options))

    names = document_names(paths)
    if input in COLUMN_INPUTS:
        from tagger.cli.column_files import open_columns, write_columns  # slow import

        named = dict(zip(paths, names, strict=True))
        column_files = [
            open_columns(path, str(input), columns, style, name if len(named) > 1 else None)
            for path, name in named.items()
        ]
        with bar:
            write_columns(column_files, output, tag_all, options)
        return
    errors: list[InputError] = []
    documents = [
        Document(name, bar.count_text(before_errors(source.lines(), errors)))
        for name, source in zip(names, sources, strict=True)
    ]
    skipped: list[InputError] = []
    with bar, open_output(output) as file:
        if workers > 1:
            from tagger.cli.workers import tag_in_workers  # rarely needed

            file.writelines(
                tag_in_workers(
                    documents, options, workers, tagger.tokenizer, skipped.append, on_block=bar.advance
                )
            )
        else:
            file.writelines(FORMATS[style].write(documents, tag, options, skipped.append))
        errors += skipped
        if errors:  # readable text has been tagged; an existing output file stays unchanged
            file.flush()
            raise errors[0]


def document_names(paths: Sequence[Path]) -> list[str]:
    """Return the file names, or the full paths if two files share a name."""
    names = {path: "standard input" if path == STDIN else path.name for path in paths}
    is_unique = len(set(names.values())) == len(names)
    return [names[path] if is_unique or path == STDIN else str(path) for path in paths]


def _is_coloured(option: bool | None, output: Path | None) -> bool:
    if option is not None:
        return option
    is_allowed = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return is_allowed and _is_terminal(output)


def _is_terminal(output: Path | None) -> bool:
    return output is None and sys.stdout.isatty()
