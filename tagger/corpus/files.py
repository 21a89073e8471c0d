"""The reader that fits a file."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tagger.corpus.conll import read_conll
from tagger.corpus.conllu import read_conllu
from tagger.errors import InputError
from tagger.text.sentence import Sentence

READERS: dict[str, Callable[..., Iterator[Sentence]]] = {".conll": read_conll, ".conllu": read_conllu}
"""The reader of each suffix; a format's name is its suffix without the dot."""


def read_sentences(
    path: str | Path,
    *,
    columns: str | None = None,
    tasks: Sequence[str] = ("ner",),
    format: str | None = None,
) -> Iterator[Sentence]:
    """Read a file with the reader of its format, one sentence at a time.

    Args:
        path: The file; may be packed with gzip.
        columns: Names of its columns, see ``read_conll``.
        tasks: The tags that every sentence has to have; None at all reads tokens only.
        format: ``conll`` or ``conllu``. By default the suffix says it (before ``.gz``); other suffixes than
            those of ``READERS`` are read as CoNLL columns.

    Raises:
        InputError: If there is no such format; if the arguments do not fit it; while reading, if the file is
            missing, empty or malformed.
    """
    reader = READERS[f".{find_format(path, format)}"]
    return reader(path, columns=columns, tasks=tasks)


def find_format(path: str | Path, format: str | None = None) -> str:
    """The format that a file is read in: the one asked for, else what its suffix says.

    Raises:
        InputError: If there is no such format.
    """
    if format is None:
        suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() != ".gz"]
        return (suffixes[-1] if suffixes and suffixes[-1] in READERS else ".conll").removeprefix(".")
    if f".{format}" not in READERS:
        names = [suffix.removeprefix(".") for suffix in READERS]
        near = difflib.get_close_matches(format, names, n=1, cutoff=0.0)[0]
        raise InputError(f"There is no format {format!r}; did you mean {near} (of {', '.join(names)})?")
    return format
