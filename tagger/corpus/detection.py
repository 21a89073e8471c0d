"""What a corpus file is, told by its name and content: its format, and what its columns hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from tagger.corpus.columns import TOKEN, parse_columns
from tagger.corpus.conll import BORDER, split_fields
from tagger.corpus.conllu import ALL_TAGS, FIELDS, misc_attributes
from tagger.corpus.files import FORMATS, by_content, find_format
from tagger.corpus.lines import numbered_lines
from tagger.corpus.offsets import require_offsets
from tagger.corpus.reading import Offsets, Reading
from tagger.text.schemes import detect_scheme, is_span_tag, split_tag
from tagger.text.sentence import Sentence

HEAD_SENTENCES = 2_000  # what guesses are made from

_OF_LINES = [name for name, known in FORMATS.items() if known.has_token_lines]
_CONLLU_COLUMNS, _MISC = 10, FIELDS["misc"]
_CONLLU_NUMBER = re.compile(r"[1-9]\d*|\d+[-.]\d+")
_UPOS = "ADJ ADP ADV AUX CCONJ CONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
# The Penn Treebank's (Marcus et al. 1993), with those that UD EWT and OntoNotes add.
_PENN = (
    "CC CD DT EX FW IN JJ JJR JJS LS MD NN NNS NNP NNPS PDT POS PRP PRP$ RB RBR RBS RP SYM TO UH VB VBD VBG "
    "VBN VBP VBZ WDT WP WP$ WRB ADD AFX GW HYPH NFP NN|SYM XX . , : ; ( ) `` '' \" # $ -LRB- -RRB-"
)
_PARTS_OF_SPEECH = frozenset(f"{_UPOS} {_PENN}".split())
# The phrases of CoNLL-2000 (Tjong Kim Sang and Buchholz 2000).
_PHRASES = frozenset(["NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"])


@dataclass(frozen=True, slots=True)
class Detected:
    """What a file is.

    Attributes:
        path: The file.
        format: A key of ``FORMATS``.
        columns: Names of its columns as ``parse_columns`` reads them; None if the format names them itself.
        tasks: The tags that its head holds; empty if the format names those of each record itself.
        is_tabbed: Whether tabs separate its columns, in a CoNLL file.
        offsets: What the offsets of its spans count; ``auto`` leaves that to ``read``.
        label_names: Names of the tags that it gives as numbers; none leaves that to ``read``.
        problem: Why it cannot be read as that, as ``file: message``; None if nothing speaks against it.
    """

    path: str | Path
    format: str
    columns: str | None = None
    tasks: tuple[str, ...] = ()
    is_tabbed: bool = False
    problem: str | None = None
    offsets: Offsets = "auto"
    label_names: Sequence[str] = ()

    def read(self, reading: Reading) -> Iterator[Sentence]:
        """Read the file's sentences as what it is; the columns of ``reading`` are not looked at.

        Args:
            reading: How. No tasks means all.
        """
        return FORMATS[self.format].read(
            self.path,
            replace(
                reading,
                columns=self.columns,
                tasks=reading.tasks or self.tasks,
                offsets=reading.offsets if self.offsets == "auto" else self.offsets,
                label_names=self.label_names or reading.label_names,
            ),
        )


def detect(
    path: str | Path,
    *,
    format: str | None = None,
    columns: str | None = None,
    offsets: Offsets = "auto",
    label_names: Sequence[str] = (),
) -> Detected:
    """Find out what a file is, and read it as ``offsets`` and ``label_names`` say; see ``_detect``.

    Args:
        path: The file, or what else the format reads.
        format: A key of ``FORMATS``.
        columns: Names of the columns, if they are known and the format has any.
        offsets: What the offsets of spans count.
        label_names: Names of the tags that the file gives as numbers, in the order of the numbers.

    Raises:
        InputError: If there is no such format or unit, or the columns cannot be read.
    """
    require_offsets(offsets)
    detected = _detect(path, format=format, columns=columns)
    return replace(detected, offsets=offsets, label_names=tuple(label_names))


def _detect(path: str | Path, *, format: str | None, columns: str | None) -> Detected:
    """Tell what a file is from its name and its first sentences; what is wrong in it is passed over.

    The format is the one asked for; else what the content shows, if it is JSON or CoNLL-U in a file whose
    suffix says neither; else what the suffix says. Columns get the name ``token`` (the first that does not
    just count), ``pos`` (most values are tags of UD or the Penn Treebank), ``chunk`` and ``ner`` (tags of a
    scheme, with phrases or other labels), a further one of a kind ``ner2``; what says nothing known is
    ``column3``, counted from 1.

    Args:
        path: The file, or what else the format reads.
        format: A key of ``FORMATS``.
        columns: Names of the columns, if they are known and the format is conll.

    Raises:
        InputError: If there is no such format, or the columns cannot be read.
    """
    name = find_format(path, format)
    if format is None:
        name = by_content(path, name)
    if name not in _OF_LINES or not Path(path).is_file():
        return Detected(path, name, columns if FORMATS[name].has_columns else None)
    blocks = list(islice(_blocks(path), HEAD_SENTENCES))
    if format is None:
        name = _format_of(blocks, name)
    if name == "conllu":
        return Detected(path, name, tasks=(*ALL_TAGS, *_span_attributes(blocks)))
    is_tabbed = "\t" in blocks[0][0].rstrip(" \t") if blocks else False
    rows = [[split_fields(line, is_tabbed) for line in block] for block in blocks]
    widths = Counter(len(row) for block in rows for row in block)
    width, count = widths.most_common(1)[0] if widths else (1, 0)
    guessed = ",".join(_column_names([[row for row in block if len(row) == width] for block in rows]))
    parsed = parse_columns(columns or guessed)
    problem = None
    if 2 * count < widths.total():
        problem = (
            f"{path}: the lines have from {min(widths)} to {max(widths)} columns, and no number of "
            "columns is that of half of them; give a file of columns, or say its format."
        )
    elif blocks and parsed.count not in (None, width):
        problem = (
            f"{path}: {count} of the first {widths.total()} lines have {width} columns but "
            f"{parsed.count} were named ({', '.join(parsed.places)}); name all of them in order, "
            "with _ for those to skip."
        )
    return Detected(path, name, columns or guessed, tuple(parsed.tags), is_tabbed, problem)


def _blocks(path: str | Path) -> Iterator[list[str]]:
    """Lines that stand together, without the comments and borders before them."""
    block: list[str] = []
    for _, line in numbered_lines(path, refuse=lambda _: None):
        if not line or line.isspace():
            if block:
                yield block
            block = []
        elif block or not line.startswith(("#", BORDER)):
            block.append(line)
    if block:
        yield block


def _format_of(blocks: Sequence[Sequence[str]], named: str) -> str:
    """The format that the first line of data shows, else the named one."""
    first = blocks[0][0] if blocks else ""
    fields = first.split("\t")
    if len(fields) == _CONLLU_COLUMNS and _CONLLU_NUMBER.fullmatch(fields[0]):
        return "conllu"
    return named


def _column_names(blocks: Sequence[Sequence[Sequence[str]]]) -> list[str]:
    """Name the columns of sentences whose lines all have as many fields."""
    columns = [
        [[row[place] for row in block] for block in blocks]
        for place in range(max((len(row) for block in blocks for row in block), default=1))
    ]
    names: list[str] = []
    for place, column in enumerate(columns, 1):
        if TOKEN not in names:
            is_count = place < len(columns) and all(map(_is_count, column))
            names.append("_" if is_count else TOKEN)
            continue
        kind = _kind(column) or f"column{place}"
        same = sum(name.rstrip("0123456789") == kind for name in names)
        names.append(f"{kind}{same + 1}" if same else kind)
    return names


def _is_count(values: Sequence[str]) -> bool:
    """Whether a sentence's values number its tokens, from 0 or 1."""
    first = values[0] if values else "1"
    return first in ("0", "1") and all(
        value == str(number) for number, value in enumerate(values, int(first))
    )


def _kind(column: Sequence[Sequence[str]]) -> str | None:
    """What a column beside the tokens holds: ``pos``, ``chunk``, ``ner``, or None for nothing known."""
    counts = Counter(value for values in column for value in values)
    if 2 * sum(count for value, count in counts.items() if value in _PARTS_OF_SPEECH) > counts.total():
        return "pos"
    if not counts or detect_scheme(column) is None:
        return None
    labels = Counter({split_tag(tag)[1]: count for tag, count in counts.items() if tag != "O"})
    phrases = sum(count for label, count in labels.items() if label in _PHRASES)
    return "chunk" if 2 * phrases > labels.total() else "ner"


def _span_attributes(blocks: Sequence[Sequence[str]]) -> list[str]:
    """Names of the attributes in MISC that hold nothing but tags of spans, as in ``ner=B-PER``."""
    values: dict[str, set[str]] = {}
    for block in blocks:
        for line in block:
            fields = line.split("\t")
            if len(fields) == _CONLLU_COLUMNS and "=" in fields[_MISC]:
                for name, value in misc_attributes(fields[_MISC]).items():
                    values.setdefault(name, set()).add(value)
    return [
        name
        for name, found in values.items()
        if name not in FIELDS and all(tag == "O" or ("-" in tag and is_span_tag(tag)) for tag in found)
    ]
