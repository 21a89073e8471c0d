"""Checks of the options of ``tagger tag`` that depend on each other. All raise InputError."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tagger.cli.formats import BY_SENTENCE, STREAMED
from tagger.cli.input import STDIN
from tagger.cli.sources import Source, reject_column_file
from tagger.errors import InputError
from tagger.runtime.arguments import MOST_ALTERNATIVES
from tagger.runtime.options import TagOptions


def require_scores_format(style: str, *, scores: bool, n_best: int) -> None:
    """Check the bounds of ``--n-best``, and that the format can hold the scores."""
    if not 0 <= n_best <= MOST_ALTERNATIVES:
        raise InputError(
            f"--n-best must be from 0 to {MOST_ALTERNATIVES} (got {n_best}). Use such a number.",
            code="option.value",
            option="--n-best",
        )
    if n_best and style != "jsonl":
        raise InputError(
            f"--n-best needs --format jsonl (got {style}). Pass --format jsonl.",
            code="option.conflict",
            option="--n-best",
        )
    if scores and style not in ("jsonl", "conll"):
        raise InputError(
            f"--scores needs --format jsonl or conll (got {style}). Pass one of them.",
            code="option.conflict",
            option="--scores",
        )


def require_stream(
    is_stream: bool, lookahead: int | None, style: str, *, has_scores: bool, has_one_source: bool
) -> None:
    """Check that all options support ``--stream``, and that ``--lookahead`` is used only with it."""
    if not is_stream:
        if lookahead is not None:
            raise InputError(
                f"--lookahead needs --stream (got --lookahead {lookahead} only). Pass both or neither.",
                code="option.conflict",
                option="--lookahead",
            )
    elif style not in STREAMED:
        raise InputError(
            f"--stream needs --format {' or '.join(STREAMED)} (got {style}). Pass one of them.",
            code="option.conflict",
            option="--stream",
        )
    elif has_scores:
        raise InputError(
            "--stream writes tags only. Leave out --n-best, --scores and --candidates.",
            code="option.conflict",
            option="--stream",
        )
    elif not has_one_source:
        raise InputError(
            "--stream reads one text (got several). Give one FILE, or none for standard input.",
            code="option.conflict",
            option="--stream",
        )


def require_min_score(thresholds: Mapping[str, float], *, is_stream: bool) -> None:
    """Check that no score threshold is combined with ``--stream``."""
    if is_stream and any(thresholds.values()):
        raise InputError(
            "--stream writes the first tag of a span before its score is known. Leave --min-score out.",
            code="option.conflict",
            option="--min-score",
        )


def require_spans(options: TagOptions) -> None:
    """Check that a task has spans, for ``--candidates``."""
    if options.candidates and not options.labels:
        raise InputError(
            f"--candidates needs a task with spans (got {', '.join(options.task_names)}). Leave the option "
            "out.",
            code="option.conflict",
            option="--candidates",
        )


def require_workers(workers: int, style: str, *, is_stream: bool) -> None:
    """Check the number of processes, and that the output format supports several."""
    if workers < 1:
        raise InputError(
            f"--workers must be at least 1 (got {workers}). Use 1 to tag in this process only.",
            code="option.value",
            option="--workers",
        )
    if workers > 1 and is_stream:
        raise InputError(
            f"--workers must be 1 with --stream (got {workers}). Leave --workers out.",
            code="option.conflict",
            option="--workers",
        )
    if workers > 1 and style not in BY_SENTENCE:
        raise InputError(
            f"--workers needs --format {' or '.join(BY_SENTENCE)} (got {style}). Pass one of them.",
            code="option.conflict",
            option="--workers",
        )


def require_sources(
    sources: Sequence[Source], output: Path | None, *, has_input_option: bool, is_pretokenized: bool
) -> None:
    """Check all sources; without ``--input``, also reject column and record files."""
    if sources.count(Source(STDIN)) > 1:
        raise InputError(
            "Standard input (-) can be read only once (got it twice). Leave one out.",
            code="option.conflict",
        )
    for source in sources:
        _require_readable(source, output)
        if not has_input_option and source.text is None:
            reject_column_file(source.path, has_tokens=is_pretokenized)


def _require_readable(source: Source, output: Path | None) -> None:
    """Check a source before the first line is written."""
    path = source.path
    if path == STDIN:
        if sys.stdin is None:
            raise InputError(
                "Standard input is closed. Name a file, or use a pipe.",
                code="file.missing",
            )
        return
    if source.text is not None:
        return
    if not path.exists():
        raise InputError("there is no such file. Check the path.", code="file.missing", where=path)
    if output is not None and output.is_file() and output.samefile(path):
        raise InputError(
            "the output would overwrite the input. Use another --output.",
            code="option.conflict",
            where=output,
            option="--output",
        )
