"""Options of the readers and writers of all formats: ``Reading`` and ``Writing``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tagger.errors import OnError, Warn, ignore, raise_error
from tagger.text.sentence import Sentence
from tagger.text.tokenizer import Tokenizer

OnMisaligned = Literal["error", "expand", "trim", "skip"]
OffsetUnit = Literal["characters", "utf16", "bytes"]
Offsets = Literal["auto", OffsetUnit]
Unit = Literal["document", "sentence"]


@lru_cache(maxsize=1)
def _tokenizer() -> Tokenizer:
    return Tokenizer()


def _tokenize(text: str) -> Sequence[Sentence]:
    return _tokenizer().tokenize(text)  # built on first use: compiling its patterns takes a while


@dataclass(frozen=True, slots=True)
class Reading:
    """Options for reading a corpus file. Each reader uses those that apply to its format.

    Attributes:
        columns: Names of the file's columns (see ``corpus.columns.parse_columns``). By default the format
            decides.
        tasks: The tasks that every sentence must have tags for. An empty sequence reads all tasks.
        tokenize: Splits running text into sentences and tokens, for formats without tokens.
        on_misaligned: How to handle a span whose boundaries are not token boundaries: report an error, expand
            it to whole tokens, trim it to the whole tokens inside, or skip it. White space at its ends is
            always stripped.
        offsets: The unit of span offsets. ``auto`` infers it from the text of the spans (see
            ``corpus.offsets.OffsetUnits``).
        label_names: Tag names of integer tags, in the order of the integers from 0.
        on_error: Receives each error. If it returns instead of raising, the reader skips the line or
            record and continues.
        warn: Receives a warning for everything that the reader changes, skips or reads in an unusual way, as
            ``file:line: message``. Frequent warnings come once per file, as ``file: message`` with a count.
    """

    columns: str | None = None
    tasks: Sequence[str] = ("ner",)
    tokenize: Callable[[str], Sequence[Sentence]] = _tokenize
    on_misaligned: OnMisaligned = "error"
    offsets: Offsets = "auto"
    label_names: Sequence[str] = ()
    on_error: OnError = raise_error
    warn: Warn = ignore


@dataclass(frozen=True, slots=True)
class Writing:
    """Options for writing sentences.

    Attributes:
        tasks: The tasks to write, in order. If a sentence has ``spans`` for a task and the format supports
            spans, the writer writes the spans.
        unit: The text of one record, in formats of running text: a document or a sentence.
        separator: The column separator of CoNLL files. A tab allows spaces in tokens and tags.
        has_texts: True if CoNLL files get a ``# text`` comment for sentences whose white space is not a
            single space between tokens.
        offsets: The unit of span offsets, in formats of running text.
    """

    tasks: Sequence[str] = ()
    unit: Unit = "document"
    separator: Literal[" ", "\t"] = " "
    has_texts: bool = False
    offsets: OffsetUnit = "characters"
