"""What readers and writers of all formats are told, one record each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tagger.errors import Refuse, refuse
from tagger.text.sentence import Sentence
from tagger.text.tokenizer import Tokenizer

OnMisaligned = Literal["error", "expand", "trim", "skip"]
OffsetUnit = Literal["characters", "utf16", "bytes"]
Offsets = Literal["auto", OffsetUnit]
Unit = Literal["document", "sentence"]


def _ignore(_: str) -> None:
    pass


@lru_cache(maxsize=1)
def _tokenizer() -> Tokenizer:
    return Tokenizer()


def _tokenize(text: str) -> Sequence[Sentence]:
    return _tokenizer().tokenize(text)  # made when it is needed: its patterns take a while to compile


@dataclass(frozen=True, slots=True)
class Reading:
    """How a corpus file is read; each reader looks at what concerns its format.

    Attributes:
        columns: Names of the file's columns (see ``corpus.columns.parse_columns``), None to go by the format.
        tasks: The tags that every sentence must have; none at all takes what there is.
        tokenize: Makes sentences of running text, in formats that hold no tokens.
        on_misaligned: What becomes of a span that does not fit the tokens: it is refused, widened to whole
            tokens, narrowed to the whole tokens in it, or left out. White space at its ends is trimmed.
        offsets: What the offsets of spans count; ``auto`` goes by the text that spans are said to cover (see
            ``corpus.offsets.OffsetUnits``).
        label_names: Names of the tags that a file gives as numbers, in the order of the numbers from 0.
        refuse: What is told of a problem; it raises, or the reader goes on without the line or record.
        note: Receives everything that was changed, left out or read in an unusual way, as ``file:line:
            message`` or, where there may be thousands, once a file as ``file: message`` with a count.
    """

    columns: str | None = None
    tasks: Sequence[str] = ("ner",)
    tokenize: Callable[[str], Sequence[Sentence]] = _tokenize
    on_misaligned: OnMisaligned = "error"
    offsets: Offsets = "auto"
    label_names: Sequence[str] = ()
    refuse: Refuse = refuse
    note: Callable[[str], object] = _ignore


@dataclass(frozen=True, slots=True)
class Writing:
    """How sentences are written.

    Attributes:
        tasks: The tags to write, in order. A task that a sentence has ``spans`` for is written as spans where
            the format holds spans.
        unit: What becomes one record, in formats that hold running text.
        separator: What stands between columns, in CoNLL files; a tab lets tokens and tags hold spaces.
        has_texts: Whether CoNLL files get a comment with the text where its white space says something.
        offsets: What offsets of spans count, in formats of running text.
    """

    tasks: Sequence[str] = ()
    unit: Unit = "document"
    separator: Literal[" ", "\t"] = " "
    has_texts: bool = False
    offsets: OffsetUnit = "characters"
