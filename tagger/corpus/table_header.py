"""Find the roles of a table's columns in its header."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tagger.corpus.columns import TOKEN, parse_features
from tagger.corpus.records import SPAN_LISTS
from tagger.corpus.token_records import is_tag_name

_DELIMITERS = (",", ";", "\t")
_TOKEN_NAMES = ("token", "tokens", "word", "words", "form")
_SENTENCE_NAMES = ("sentence", "sentence #", "sentence_id", "sentence_idx", "sent_id", "sentence id")
_DOCUMENT_NAMES = ("document", "document_id", "doc_id", "doc")
_INDEX_NAMES = ("", "unnamed: 0", "index", "id", "token_id", "word_id")
TEXT = "text"


@dataclass(frozen=True, slots=True)
class Header:
    """The roles of a table's columns.

    Attributes:
        delimiter: The column delimiter.
        names: All column names, as spelled in the file.
        tokens: Index of the token column. None if each row is a text with its spans.
        sentence: Index of the column of sentence ids. None if blank rows separate sentences.
        document: Index of the column of document ids, or None.
        text: Index of the column of texts, or None.
        spans: Index of the column of spans, or None.
    """

    delimiter: str
    names: tuple[str, ...]
    tokens: int | None
    sentence: int | None
    document: int | None
    text: int | None
    spans: int | None

    @property
    def is_certain(self) -> bool:
        """True if a column in addition to the tokens has a known name."""
        known = {*_SENTENCE_NAMES, *_DOCUMENT_NAMES}
        others = [name.strip().lower() for index, name in enumerate(self.names) if index != self.tokens]
        return any(name in known or is_tag_name(name) for name in others)

    @property
    def tags(self) -> dict[str, int]:
        """The indices of columns that may hold tags, by name."""
        others = {self.tokens, self.sentence, self.document, self.text, self.spans}
        return {
            name: index
            for index, name in enumerate(self.names)
            if index not in others and name.strip().lower() not in _INDEX_NAMES
        }


def find_header(line: str, columns: str | None = None) -> Header | None:
    """Find the roles of a table's columns. None if its first line is not a header.

    A header names a column of tokens (``token``, ``word``, ``form``), or a column of texts and one of their
    spans (``text`` and ``entities``, ``spans``, ``label``), delimited by commas, semicolons or tabs.

    Args:
        line: The first line.
        columns: Other column names, as ``token=Wort,ner=Klasse``.

    Raises:
        InputError: If the columns cannot be parsed.
    """
    for delimiter in _DELIMITERS:
        names = split_cells(line, delimiter) if delimiter in line else None
        header = find_roles(names, columns, delimiter) if names else None
        if header:
            return header
    return None


def find_roles(names: Sequence[str], columns: str | None = None, delimiter: str = ",") -> Header | None:
    """Find the roles of columns by their names (see ``find_header``). None if none holds tokens or spans.

    Args:
        names: The names.
        columns: Other column names, as in ``find_header``.
        delimiter: The column delimiter of the file, if they come from one.

    Raises:
        InputError: If ``columns`` cannot be parsed.
    """
    named = parse_features(columns) if columns else {}
    token = named.get(TOKEN)
    lower = [name.strip().lower() for name in names]

    def index(known: Iterable[str]) -> int | None:
        return next((lower.index(name) for name in known if name in lower), None)

    tokens = index([token.lower()] if token else _TOKEN_NAMES)
    text, spans = index([TEXT]), index(SPAN_LISTS)
    if tokens is None and (text is None or spans is None or TOKEN in named):
        return None
    sentence, document = index(_SENTENCE_NAMES), index(_DOCUMENT_NAMES)
    spans = spans if tokens is None else None
    return Header(delimiter, tuple(names), tokens, sentence, document, text, spans)


def split_cells(line: str, delimiter: str) -> list[str] | None:
    """Split a line into cells. None if a quotation mark is not closed."""
    try:
        rows = list(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if rows else []
