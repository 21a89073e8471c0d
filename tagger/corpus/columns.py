"""Parse column specifications: ``token,pos,chunk,ner`` or ``token=1,ner=-1``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tagger.errors import InputError

TOKEN = "token"
PARTS_OF_SPEECH = ("pos", "upos", "xpos")  # usual names of such columns
_OF_SPANS = re.compile(r"(?:ner|chunk)\d*")
_SKIPPED = ("_", "-")
_EXAMPLE = "Write, for instance, token,pos,chunk,ner or token=0,ner=-1"


@dataclass(frozen=True, slots=True)
class Columns:
    """Indices of named columns.

    Attributes:
        indices: Index of each name, ``token`` included, counted from 0, or from -1 at the end.
        count: The required number of columns. None if the names leave it open.
    """

    indices: Mapping[str, int]
    count: int | None

    @property
    def tags(self) -> dict[str, int]:
        """The indices of all columns except the token's."""
        return {name: index for name, index in self.indices.items() if name != TOKEN}


def parse_columns(spec: str) -> Columns:
    """Parse a comma-separated list of columns.

    The list holds either names in the file's order, where ``_`` or ``-`` skips a column, or ``name=index``
    for the requested columns, counted from 0, or from -1 at the end.

    Raises:
        InputError: If the list is empty, mixes both forms, repeats a name or has no ``token``.
    """
    items = [item.strip() for item in spec.split(",")]
    pairs = [item.partition("=") for item in items]
    if len({equals for _, equals, _ in pairs}) > 1:
        raise InputError(
            f"The columns {spec!r} mix names with and without indices. {_EXAMPLE}.",
            code="corpus.columns",
            option="--columns",
        )
    if pairs[0][1]:
        named = [(name.strip(), _number(index, spec)) for name, _, index in pairs]
    else:
        named = [(name, index) for index, name in enumerate(items) if name not in _SKIPPED]
    names = [name for name, _ in named]
    if "" in names:
        raise InputError(
            f"The columns {spec!r} contain an empty name. {_EXAMPLE}.",
            code="corpus.columns",
            option="--columns",
        )
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise InputError(
            f"The columns {spec!r} name {repeated[0]!r} twice. Use _ to skip a column.",
            code="corpus.columns",
            option="--columns",
        )
    if TOKEN not in names:
        raise InputError(
            f"The columns {spec!r} have no token column. {_EXAMPLE}.",
            code="corpus.columns",
            option="--columns",
        )
    return Columns(dict(named), None if pairs[0][1] else len(items))


def choose_columns(spec: str | None, tasks: Sequence[str]) -> Columns:
    """Return the columns to read. By default the first is the token and the last the task's tag.

    Raises:
        InputError: If the list cannot be parsed, if a task is not among its columns, is empty or is named
            ``token``, or if several tasks are requested without a list.
    """
    for task in tasks:
        if task in ("", TOKEN):
            raise InputError(
                f"A task cannot be named {task!r}. Pass the name of a tag column, such as ner.",
                code="corpus.task",
            )
    if spec is None:
        if len(tasks) > 1:
            example = ",".join((TOKEN, *tasks))
            raise InputError(
                f"Reading {' and '.join(tasks)} requires column names. "
                f"Name the columns in the file's order, for instance {example}.",
                code="corpus.columns",
                option="--columns",
            )
        return Columns({TOKEN: 0, **dict.fromkeys(tasks, -1)}, None)
    columns = parse_columns(spec)
    for task in tasks:
        if task not in columns.tags:
            known = ", ".join(columns.tags) or "none"
            raise InputError(
                f"The columns {spec!r} have no {task!r}; the tag columns are: {known}.",
                code="corpus.task",
                option="--columns",
            )
    return columns


def parse_features(spec: str) -> dict[str, str | None]:
    """Parse the features of a dataset: ``token=words,ner=my_feature``, or only names to read.

    Returns:
        The feature of each name, None for a name without a feature. ``_`` and ``-`` are skipped, so that a
        list of file columns remains valid.

    Raises:
        InputError: If the list contains an empty name, repeats one or gives a number for a feature.
    """
    example = "Write, for instance, token=words,ner=ner_tags"
    features: dict[str, str | None] = {}
    for item in spec.split(","):
        name, equals, feature = (part.strip() for part in item.partition("="))
        if not name or (equals and not feature):
            raise InputError(
                f"The columns {spec!r} contain an empty name. {example}.",
                code="corpus.columns",
                option="--columns",
            )
        if re.fullmatch(r"-?\d+", feature):
            raise InputError(
                f"The columns {spec!r} contain the number {feature}, but features of a dataset have names. "
                f"{example}.",
                code="corpus.columns",
                option="--columns",
            )
        if name in features:
            raise InputError(
                f"The columns {spec!r} name {name!r} twice. {example}.",
                code="corpus.columns",
                option="--columns",
            )
        if name not in _SKIPPED:
            features[name] = feature or None
    return features


def _number(index: str, spec: str) -> int:
    try:
        return int(index)
    except ValueError:
        raise InputError(
            f"The columns {spec!r} have a non-integer index {index!r}. {_EXAMPLE}.",
            code="corpus.columns",
            option="--columns",
        ) from None


def is_span_column(name: str) -> bool:
    """Return True for usual names of columns of spans: ``ner`` or ``chunk``, optionally with a number."""
    return _OF_SPANS.fullmatch(name) is not None
