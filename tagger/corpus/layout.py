"""Detect the columns of a CoNLL file from its first sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from tagger.corpus.columns import TOKEN, parse_columns
from tagger.corpus.conll import split_fields
from tagger.text.scheme_detection import detect_scheme
from tagger.text.schemes import is_span_tag, split_tag
from tagger.text.spelling import are_bare_labels, are_parts_of_speech, find_respelling, mixes_prefixes

SKIPPED = "_"
# Phrase labels of CoNLL-2000 (Tjong Kim Sang and Buchholz 2000).
_PHRASES = frozenset(["NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"])
_SPANS = ("ner", "chunk")
_PARTS_OF_SPEECH = ("pos", "upos", "xpos")
_FEW_LINES = 3  # fewer lines cannot tell a separator from a space inside a token

Blocks = Sequence[Sequence[str]]
Rows = Sequence[Sequence[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the lines of a CoNLL file are split, and the content of their columns.

    Attributes:
        names: A name for each column: ``token``, ``_`` for one that numbers tokens or sentences, ``pos``,
            ``chunk``, ``ner``, and ``column3`` (counted from 1) for unknown content.
        is_tabbed: True if tabs separate the columns.
        problem: Why it is not a column file, as a clause and what to do, or None.
    """

    names: tuple[str, ...]
    is_tabbed: bool
    problem: str | None = None

    def assign(self, tasks: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Assign task names to columns of their kind, where only one column qualifies.

        ``ner`` and ``chunk`` qualify for columns of spans, ``pos`` for other columns, other names for any.

        Returns:
            The names of the columns, and the tasks without one.
        """
        names = list(self.names)
        missing = []
        for task in tasks:
            if task in names:
                continue
            free = [index for index, name in enumerate(names) if name not in (TOKEN, SKIPPED, *tasks)]
            if task in _SPANS or task in _PARTS_OF_SPEECH:
                free = [index for index in free if _is_of_spans(names[index]) is (task in _SPANS)]
            if len(free) == 1:
                names[free[0]] = task
            else:
                missing.append(task)
        return tuple(names), tuple(missing)


def find_layout(blocks: Blocks) -> Layout:
    """Detect the columns of a file from the lines of its first sentences.

    Args:
        blocks: The lines of each sentence, without comments and borders.
    """
    if not blocks:
        return Layout((TOKEN,), is_tabbed=False)
    is_tabbed = "\t" in blocks[0][0].rstrip(" \t")
    rows = [[split_fields(line, is_tabbed) for line in block] for block in blocks]
    widths = Counter(len(row) for block in rows for row in block)
    width, count = widths.most_common(1)[0]
    names = tuple(_column_names([[row for row in block if len(row) == width] for block in rows]))
    problem = None
    if is_tabbed and _mixes_separators(blocks, width):
        problem = (
            "the lines separate columns by tabs and by spaces. Use one of them, "
            r"for instance: sed -E 's/^[ \t]+//; s/[ \t]+/\t/g'."
        )
    elif 2 * count < widths.total():
        problem = (
            f"the lines have from {min(widths)} to {max(widths)} columns, and no number of "
            "columns occurs in at least half of them. Give a column file, or choose its format."
        )
    return Layout(names, is_tabbed, problem)


def find_mismatch(layout: Layout, blocks: Blocks, columns: str) -> str | None:
    """Return why named columns do not match the lines, as a clause and what to do, or None if they match.

    Args:
        layout: The detected layout.
        blocks: The lines of each sentence.
        columns: The names, as ``parse_columns`` reads them.

    Raises:
        InputError: If the names cannot be parsed.
    """
    parsed = parse_columns(columns)
    if not blocks or parsed.count in (None, len(layout.names)):
        return None
    total = sum(map(len, blocks))
    count = sum(
        len(split_fields(line, layout.is_tabbed)) == len(layout.names) for block in blocks for line in block
    )
    return (
        f"{count} of the first {total} lines have {len(layout.names)} columns but {parsed.count} were named "
        f"({', '.join(parsed.indices)}). Name all of them in order, with _ for those to skip."
    )


def _mixes_separators(blocks: Blocks, width: int) -> bool:
    """Return True if splitting a tabbed file at blanks gives each line the same, larger number of columns."""
    widths = {len(split_fields(line, is_tabbed=False)) for line in chain.from_iterable(blocks)}
    n_lines = sum(map(len, blocks))
    starts_empty = all(line.startswith("\t") for line in chain.from_iterable(blocks))
    return len(widths) == 1 and n_lines >= _FEW_LINES and (widths.pop() > width or starts_empty)


def _column_names(blocks: Rows) -> list[str]:
    """Name the columns of sentences whose lines have equal numbers of fields."""
    width = max((len(row) for block in blocks for row in block), default=1)
    columns = [[[row[index] for row in block] for block in blocks] for index in range(width)]
    names: list[str] = []
    for index, column in enumerate(columns, 1):
        is_last = index == len(columns)
        if TOKEN not in names and (is_last or not _precedes_tokens(column)):
            names.append(TOKEN)
            continue
        if TOKEN not in names and (_counts_tokens(column) or _is_constant(column)):
            names.append(SKIPPED)
            continue
        kind = _kind(column) or f"column{index}"
        same = sum(name.rstrip("0123456789") == kind for name in names)
        names.append(f"{kind}{same + 1}" if same else kind)
    return names


def _precedes_tokens(column: Sequence[Sequence[str]]) -> bool:
    """Return True for token numbers, sentence or document ids, and span tags."""
    distinct = {value for values in column for value in values}
    are_tags = len(distinct) > 1 and all(map(is_span_tag, distinct)) and any("-" in tag for tag in distinct)
    return _counts_tokens(column) or _is_constant(column) or are_tags


def _counts_tokens(column: Sequence[Sequence[str]]) -> bool:
    """Return True if the values count tokens from 0 or 1, per sentence or through the file."""
    if not column or not all(value.isascii() and value.isdecimal() for values in column for value in values):
        return False
    numbers = [[int(value) for value in values] for values in column]
    if any(after != before + 1 for values in numbers for before, after in pairwise(values)):
        return False
    firsts = [values[0] for values in numbers if values]
    if all(first in (0, 1) for first in firsts):
        return True
    flat = list(chain.from_iterable(numbers))
    return flat == list(range(firsts[0], firsts[0] + len(flat))) and firsts[0] in (0, 1)


def _is_constant(column: Sequence[Sequence[str]]) -> bool:
    """Return True if each sentence has a single value, and at least half of them have several tokens."""
    n_longer = sum(len(values) > 1 for values in column)
    return all(len(set(values)) <= 1 for values in column) and 2 * n_longer >= len(column) > 0 < n_longer


def _kind(column: Sequence[Sequence[str]]) -> str | None:
    """Return the content of a column after the tokens: ``pos``, ``chunk``, ``ner``, or None if unknown."""
    counts = Counter(value for values in column for value in values)
    if are_parts_of_speech(counts):
        return "pos"
    if are_bare_labels(counts):
        labels = Counter({tag: count for tag, count in counts.items() if tag != "O"})
    elif find_respelling(counts) or mixes_prefixes(counts):
        return "ner"
    elif not counts or detect_scheme(column) is None:
        return None
    else:
        labels = Counter({split_tag(tag)[1]: count for tag, count in counts.items() if tag != "O"})
    phrases = sum(count for label, count in labels.items() if label in _PHRASES)
    return "chunk" if 2 * phrases > labels.total() else "ner"


def _is_of_spans(name: str) -> bool:
    return re.fullmatch(r"(?:ner|chunk)\d*", name) is not None
