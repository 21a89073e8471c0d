"""Detect the columns of a CoNLL file from its first sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from tagger.corpus.columns import PARTS_OF_SPEECH, TOKEN, is_span_column, parse_columns
from tagger.corpus.conll import split_fields
from tagger.text.scheme_detection import detect_scheme
from tagger.text.schemes import is_span_tag, split_tag
from tagger.text.sentence import UNKNOWN_TAG
from tagger.text.spelling import (
    are_bare_labels,
    are_parts_of_speech,
    find_outside,
    find_respelling,
    mixes_prefixes,
)

SKIPPED = "_"
# The phrases of CoNLL-2000 (Tjong Kim Sang and Buchholz 2000), and those of TreeTagger in German CoNLL-2003.
_PHRASES = frozenset(
    (
        *("NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"),
        *("NC", "VC", "PC", "ADVC", "ADJC", "CONJC", "INTC"),
    )
)
_JOINING = "/|_,;:\\"  # between a token and its tag
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?")
_SPACES = re.compile(r"[ \t]+")
_FEW_LINES = 3  # too few to tell a separator from a space inside a token

Blocks = Sequence[Sequence[str]]
Rows = Sequence[Sequence[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Layout:
    """How the lines of a CoNLL file are split, and the content of their columns.

    Attributes:
        names: A name for each column: ``token``, ``_`` for one that numbers tokens or sentences, ``pos``,
            ``chunk``, ``ner``, and ``column3`` (counted from 1) for unknown content.
        is_tabbed: True if tabs separate the columns.
        problem: Why the file does not consist of columns, and what to do. None if it does.
        doubt: Why the columns must be named, and what to do. None if they need not be.
        numbers: Indices of columns that contain only numbers, such as offsets and scores.
    """

    names: tuple[str, ...]
    is_tabbed: bool
    problem: str | None = None
    doubt: str | None = None
    numbers: tuple[int, ...] = ()

    def assign(self, tasks: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Assign task names to columns of their kind, where only one column qualifies.

        ``ner`` and ``chunk`` require a column of spans, ``pos`` any other column except numbers. Other tasks
        may be any column.

        Returns:
            The names of the columns, and the tasks without one.
        """
        names = list(self.names)
        missing = []
        for task in tasks:
            if task in names:
                continue
            free = [index for index, name in enumerate(names) if name not in (TOKEN, SKIPPED, *tasks)]
            if task in ("ner", "chunk", *PARTS_OF_SPEECH):
                free = [index for index in free if is_span_column(names[index]) is is_span_column(task)]
                free = [index for index in free if index not in self.numbers]
            if len(free) == 1:
                names[free[0]] = task
            else:
                missing.append(task)
        return tuple(names), tuple(missing)


def find_layout(blocks: Blocks) -> Layout:
    """Detect the columns of a file from the lines of its first sentences.

    Args:
        blocks: The lines of each sentence, without comments and document boundaries.
    """
    if not blocks:
        return Layout((TOKEN,), is_tabbed=False)
    is_tabbed = "\t" in blocks[0][0].rstrip(" \t")
    rows = [[split_fields(line, is_tabbed) for line in block] for block in blocks]
    widths = Counter(len(row) for block in rows for row in block)
    width, count = widths.most_common(1)[0]
    rows = [[row for row in block if len(row) == width] for block in rows]
    names = tuple(_column_names(rows))
    problem = None
    if is_tabbed and _mixes_separators(blocks, width):
        problem = (
            "the lines separate columns by tabs and by spaces. Use one of them, "
            r"for instance: sed -E 's/^[ \t]+//; s/[ \t]+/\t/g'."
        )
    elif joined := _find_joined(blocks):
        problem = (
            f"each field joins a token and its tag (got {joined!r}). Write one token per line, with its tag "
            "in a separate column."
        )
    elif 2 * count < widths.total():
        problem = (
            f"the lines have from {min(widths)} to {max(widths)} columns, and no number of "
            "columns occurs in at least half of them. Pass a column file, or choose its format."
        )
    columns = [[row[index] for block in rows for row in block] for index in range(width)]
    numbers = tuple(index for index, column in enumerate(columns) if all(map(_NUMBER.fullmatch, column)))
    return Layout(names, is_tabbed, problem, _find_merged(rows, names), numbers)


def find_mismatch(layout: Layout, blocks: Blocks, columns: str) -> str | None:
    """Return why named columns do not match the lines, and what to do. None if they match.

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
    """Return True if blanks divide all lines of a tabbed file into the same, larger number of columns.

    A blank inside the first column belongs to a token, unless the lines begin with a tab.
    """
    lines = list(chain.from_iterable(blocks))
    widths = {len(split_fields(line, is_tabbed=False)) for line in lines}
    starts_empty = all(line.startswith("\t") for line in lines)
    has_spaced_tokens = not starts_empty and any(" " in line.partition("\t")[0].strip() for line in lines)
    is_even = len(widths) == 1 and len(lines) >= _FEW_LINES and not has_spaced_tokens
    return is_even and (widths.pop() > width or starts_empty)


def _find_joined(blocks: Blocks) -> str | None:
    """Return a field such as ``Oslo/B-LOC`` or ``sings_VBZ`` if all fields join a token and its tag."""
    fields = [field for block in blocks for line in block for field in _SPACES.split(line.strip())]
    for separator in _JOINING if len(fields) >= _FEW_LINES else "":
        tags = Counter(field.rpartition(separator)[2] for field in fields if separator in field[1:])
        if tags.total() == len(fields) and "" not in tags:
            are_spans = all(map(is_span_tag, tags)) and any("-" in tag for tag in tags)
            if are_spans or all(are_parts_of_speech({tag: 1}) for tag in tags):
                return fields[0]
    return None


def _column_names(blocks: Rows) -> list[str]:
    """Name the columns of sentences whose lines have equal numbers of fields."""
    width = max((len(row) for block in blocks for row in block), default=1)
    columns = [[[row[index] for row in block] for block in blocks] for index in range(width)]
    names: list[str] = []
    for number, column in enumerate(columns, 1):
        is_last = number == len(columns)
        if TOKEN not in names:
            is_skipped = not is_last and _is_not_token(column, columns[number:])
            if is_skipped or is_last or not _are_tags(column):
                names.append(SKIPPED if is_skipped else TOKEN)
                continue
        kind = _kind(column) or f"column{number}"
        same = sum(name.rstrip("0123456789") == kind for name in names)
        names.append(f"{kind}{same + 1}" if same else kind)
    return names


def _find_merged(blocks: Rows, names: Sequence[str]) -> str | None:
    """Return why sentences are not separated if a column before the tokens has several ids per block."""
    for index in range(names.index(TOKEN)):
        column = [[row[index] for row in block] for block in blocks]
        merged = next((values for values in column if len(set(values)) > 1), None)
        if names[index] == SKIPPED and merged and _has_sentence_ids(column):
            first, last = min(merged), max(merged)
            return (
                f"column {index + 1} names the sentences, but no blank line divides them (got {first!r} and "
                f"{last!r} in one). Put a blank line between sentences, or write a header, as "
                "sentence,token,ner, and pass --format csv."
            )
    return None


def _is_not_token(column: Sequence[Sequence[str]], others: Sequence[Sequence[Sequence[str]]]) -> bool:
    """Return True for token numbers, ids of sentences or documents, and text positions.

    Args:
        column: The values of each sentence.
        others: The columns after it.
    """
    if _counts_tokens(column) or _is_constant(column):
        return True
    return (_are_numbers(column) or _has_sentence_ids(column)) and any(map(_may_be_tokens, others))


def _are_tags(column: Sequence[Sequence[str]]) -> bool:
    """Return True if all values are span tags. Older WNUT files have them before the tokens."""
    distinct = {value for values in column for value in values}
    return len(distinct) > 1 and all(map(is_span_tag, distinct)) and any("-" in tag for tag in distinct)


def _are_numbers(column: Sequence[Sequence[str]]) -> bool:
    """Return True if all values are integers that never decrease within a sentence, such as offsets."""
    values = list(chain.from_iterable(column))
    if len(values) < _FEW_LINES or not all(value.isascii() and value.isdecimal() for value in values):
        return False
    return all(int(before) <= int(after) for block in column for before, after in pairwise(block))


def _has_sentence_ids(column: Sequence[Sequence[str]]) -> bool:
    """Return True if several consecutive tokens share each value, and no value returns later."""
    values = list(chain.from_iterable(column))
    runs = [value for index, value in enumerate(values) if index == 0 or value != values[index - 1]]
    return len(values) >= 2 * len(runs) > 2 and len(set(runs)) == len(runs)


def _may_be_tokens(column: Sequence[Sequence[str]]) -> bool:
    """Return True if a column contains words: neither numbers nor tags of a known kind."""
    distinct = {value for values in column for value in values}
    return len(distinct) > 2 and not all(map(str.isdecimal, distinct)) and _kind(column) is None


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
    counts = Counter(value for values in column for value in values if value != UNKNOWN_TAG)
    if are_parts_of_speech(counts):
        return "pos"
    if are_bare_labels(counts):
        labels = Counter({tag: count for tag, count in counts.items() if tag != "O"})
    elif find_respelling(counts) or find_outside(counts) or mixes_prefixes(counts):
        return "ner"
    elif not counts or detect_scheme(column) is None:
        return None
    else:
        labels = Counter({split_tag(tag)[1]: count for tag, count in counts.items() if tag != "O"})
    phrases = sum(count for label, count in labels.items() if label in _PHRASES)
    return "chunk" if 2 * phrases > labels.total() else "ner"
