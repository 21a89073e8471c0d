"""CoNLL columns: one token and its tags per line, a blank line after each sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from tagger.corpus.alignment import MISMATCH, fits_comment, has_other_spaces, join, locate, text_comment
from tagger.corpus.columns import PARTS_OF_SPEECH, TOKEN, Columns, choose_columns
from tagger.corpus.lines import BOM, numbered_lines
from tagger.errors import Counted, InputError, OnError, Warn, ignore, raise_error
from tagger.text.sentence import Sentence

DOCUMENT_START = "-DOCSTART-"
_DOCUMENT_START_LINE = re.compile(rf"{DOCUMENT_START}(?:[ \t]|$)")
_NEW_DOCUMENT = re.compile(r"# +newdoc(?: |$)|#begin document\b")
# Comments even if they have as many fields as a line of data: "# sent_id = 7", "# newpar".
_KNOWN_COMMENT = re.compile(
    r"# *[\w.:-]+ +=(?: |$)|# +(?:newdoc|newpar|global\.columns|id|sent_id|text)(?: |$)"
    r"|#(?:begin|end) document"
)
_SEPARATORS = re.compile(r"[ \t]+")
_LONG_SENTENCE = 200  # tokens; a file that is one longer sentence probably lacks blank lines

Line = tuple[int, str]


def is_document_start(line: str) -> bool:
    """Return True if a line marks the start of a document."""
    return line.startswith(DOCUMENT_START) and _DOCUMENT_START_LINE.match(line) is not None


def read_conll(
    path: str | Path,
    *,
    columns: str | None = None,
    tasks: Sequence[str] = ("ner",),
    on_error: OnError = raise_error,
    warn: Warn = ignore,
) -> Iterator[Sentence]:
    """Read sentences from a column file, one at a time.

    Tabs separate columns if the first line of data contains one (tokens may then contain spaces); otherwise
    runs of spaces and tabs do. All lines have as many columns as the first. The file is UTF-8 with Unix or
    Windows line ends, optionally with a byte order mark or compressed with gzip. A line of white space ends a
    sentence.

    Two kinds of lines are not tokens:

    - Document starts. ``-DOCSTART-``, as the first field or the token, starts a document, even without a
      blank line before it. So do the start of the file and a comment ``# newdoc`` or ``#begin document``
      before a sentence's first token.
    - Comments. A line that begins with ``#`` is a comment if its number of fields or its separator (a tab in
      a file that spaces separate) differs from the lines of data, or if it reads ``# key = value``, ``# id
      …``, ``# sent_id …``, ``# text …``, ``# newdoc``, ``# newpar``, ``# global.columns``, ``#begin
      document`` or ``#end document``. Otherwise its token begins with ``#`` (``# # B-NP``). After a
      sentence's first token, every line is a token.

    A comment ``# text = …`` that matches the tokens becomes the sentence's text. Otherwise the text is the
    tokens joined by single spaces.

    Args:
        path: The file.
        columns: Names of the columns (see ``parse_columns``); all of them become tags. By default the first
            column is the token and the last the only task's tag.
        tasks: The required columns. An empty sequence reads tokens only.
        on_error: Receives each error. If it returns, the line becomes one of the sentence's
            ``extra_lines`` and reading continues; it stops if the columns cannot be determined.
        warn: Receives a warning about document starts inside a sentence, byte order marks at the starts of
            lines, and ``# text`` comments that do not match the tokens.

    Yields:
        Sentences with ``tags`` by column name.

    Raises:
        InputError: If the columns do not match the tasks (immediately); while reading, with file and line, if
            the file cannot be read, has no sentences, or has a line with a different number of columns or an
            empty column.
    """
    return _read(path, choose_columns(columns, tasks), on_error, warn)


def write_conll(
    sentences: Iterable[Sentence],
    file: TextIO,
    *,
    columns: Sequence[str],
    separator: str = " ",
    has_texts: bool = False,
) -> None:
    """Write sentences in the format that ``read_conll`` reads, tokens first.

    Each document begins with a ``-DOCSTART-`` line, unless a comment of its first sentence starts it.
    Comments are kept. A comment that would be read as a token is written as ``# comment = …``.

    Args:
        sentences: The sentences to write.
        file: The file to write to.
        columns: Names of the tags to write after the token, ``_`` if a sentence lacks them.
        separator: One space or one tab.
        has_texts: True to add a comment ``# text = …`` if the text is not the tokens joined by single spaces,
            no comment gives it and it can be written on one line.

    Raises:
        InputError: If a token or tag cannot be written: it is empty, contains the separator or a line break,
            or is a sentence's first token and would be read as a document start or comment.
    """
    is_tabbed = separator == "\t" and len(columns) > 0  # readers split a file without tabs at spaces
    filler = ["-X-" if name in PARTS_OF_SPEECH else "O" for name in columns]
    for sentence in sentences:
        comments = [_safe_comment(comment, len(columns) + 1, is_tabbed) for comment in sentence.comments]
        if sentence.starts_document and not any(map(_NEW_DOCUMENT.match, comments)):
            file.write(separator.join([DOCUMENT_START, *filler]) + "\n\n")
        file.writelines(f"{comment}\n" for comment in comments)
        if has_texts and has_other_spaces(sentence) and text_comment(sentence.comments) is None:
            file.write(f"# text = {sentence.text}\n" if fits_comment(sentence) else "")
        absent = ("_",) * len(sentence)
        rows = list(zip(sentence.tokens, *(sentence.tags.get(name, absent) for name in columns), strict=True))
        # In plain lines only the first can be misread, as a document start or comment.
        checked = 1 if _are_plain(rows, separator) else len(rows)
        for index, row in enumerate(rows[:checked]):
            file.write(token_line(row, separator, is_first=index == 0, source=sentence.source))
        file.write("".join([separator.join(row) + "\n" for row in rows[checked:]]) + "\n")


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the lines of one file are split into fields.

    Attributes:
        path: The file, for error messages.
        count: The number of fields per line; 0 if the file has no line of data.
        is_tabbed: True if a single tab separates fields.
        indices: The indices of the columns to read, by name.
        on_error: Receives an error for each invalid line.
        warn: Receives warnings.
    """

    path: str | Path
    count: int
    is_tabbed: bool
    indices: Mapping[str, int]
    on_error: OnError
    warn: Warn

    def split(self, number: int, line: str) -> list[str] | None:
        """Split a line of data into its ``count`` fields. None if it is invalid and ``on_error`` returns."""
        if self.is_tabbed:
            fields = line.rstrip(" ").split("\t")
            while len(fields) > self.count and not fields[-1]:
                fields.pop()
        else:
            fields = line.split(" ")
            if len(fields) != self.count or "" in fields or "\t" in line:
                fields = split_fields(line, is_tabbed=False)
        if len(fields) != self.count:
            kind = "tabs" if self.is_tabbed else "spaces"
            self.on_error(
                InputError(
                    f"expected {self.count} columns separated by {kind}, like the first line of data, got "
                    f"{len(fields)}. Correct the line, or put a blank line between sentences.",
                    code="corpus.columns",
                    where=f"{self.path}:{number}",
                )
            )
            return None
        if "" in fields:
            for name, index in self.indices.items():
                if not fields[index]:
                    self.on_error(
                        InputError(
                            f"the column {name} is empty. Write _ for no value.",
                            code="corpus.record",
                            where=f"{self.path}:{number}",
                        )
                    )
                    return None
        return fields


@dataclass(frozen=True, slots=True)
class _Block:
    """The lines of one sentence: its first token's line number, its tokens' fields, and the comments before.

    ``dropped`` holds the invalid lines, each with the index of the token that follows.
    """

    number: int
    rows: list[list[str]]
    comments: tuple[str, ...]
    starts_document: bool
    dropped: tuple[tuple[int, str], ...]


def _read(path: str | Path, columns: Columns, on_error: OnError, warn: Warn) -> Iterator[Sentence]:
    counted = Counted(on_error)
    lines = numbered_lines(path, on_error=counted, warn=warn)
    head = _read_head(lines)
    layout = _find_layout(path, head, columns, counted, warn)
    if layout is None:
        return
    n_sentences = n_tokens = 0
    for block in _blocks(chain(head, lines), layout):
        n_sentences, n_tokens = n_sentences + 1, n_tokens + len(block.rows)
        yield _sentence(block, layout)
    if n_sentences == 1 and n_tokens > _LONG_SENTENCE:
        warn(f"{path}: no blank line divides the tokens, so all {n_tokens:,} form one sentence.")
    if not n_sentences and not counted.count:
        on_error(
            InputError(
                "the file has no sentences. Pass a file with one token per line.",
                code="corpus.empty",
                where=path,
            )
        )


def _read_head(lines: Iterator[Line]) -> list[Line]:
    """Read up to and including the first line that is certainly data."""
    head = []
    for number, line in lines:
        head.append((number, line))
        if line and not line.isspace() and line[0] != "#" and not is_document_start(line):
            break
    return head


def _find_layout(
    path: str | Path, head: list[Line], columns: Columns, on_error: OnError, warn: Warn
) -> _Layout | None:
    """Determine the layout from the last line of the head, the first line of data.

    If its number of columns contradicts the named columns, the line is reported and removed from the head,
    and the names determine the layout. Returns None if they are not sufficient.
    """
    number, line = head[-1] if head else (0, "")
    if not line or line.isspace() or line[0] == "#" or is_document_start(line):  # the file has no other lines
        last = next((line for _, line in reversed(head) if line and not line.isspace()), "")
        is_tabbed = "\t" in last  # earlier comments may contain tabs
        return _Layout(path, columns.count or 0, is_tabbed, columns.indices, on_error, warn)
    is_tabbed = "\t" in line.rstrip(" \t")  # not strip(): the token may be white space itself
    count = len(split_fields(line, is_tabbed))
    if columns.count is not None and columns.count != count:
        on_error(
            InputError(
                f"the line has {count} columns but {columns.count} were named "
                f"({', '.join(columns.indices)}). Name all of them in order, with _ for those to skip.",
                code="corpus.columns",
                where=f"{path}:{number}",
                option="--columns",
            )
        )
        head.pop()
        return _Layout(path, columns.count, is_tabbed, columns.indices, on_error, warn)
    problem = _find_mismatch(line, count, columns, is_tabbed=is_tabbed)
    if problem:
        on_error(InputError(problem, code="corpus.columns", where=f"{path}:{number}"))
        return None
    return _Layout(path, count, is_tabbed, columns.indices, on_error, warn)


def _find_mismatch(line: str, count: int, columns: Columns, *, is_tabbed: bool) -> str | None:
    """Return why columns without a fixed number do not match the first line of data, or None."""
    for name, index in columns.indices.items():
        if not -count <= index < count:
            return f"there is no column {index} for {name}; the line has {count}."
    if count == 10 and is_tabbed and columns.count is None and columns.indices[TOKEN] == 0 and line[0] == "1":
        return "the file looks like CoNLL-U. Choose the format conllu, or name the columns."
    if count == 1 and len(columns.indices) > 1:
        return "the line has only one column. Pass a file with tokens and tags."
    return None


def _blocks(lines: Iterable[Line], layout: _Layout) -> Iterator[_Block]:
    first, starts_document = 0, True
    comments: list[str] = []
    rows: list[list[str]] = []
    dropped: list[tuple[int, str]] = []
    for number, line in lines:
        fields = None
        is_blank = not line or line.isspace()
        ends_document = is_document_start(line)
        if not ends_document and not is_blank:
            if not rows and not dropped and _is_comment(line, layout.count, layout.is_tabbed):
                comments.append(line)
                starts_document = starts_document or _NEW_DOCUMENT.match(line) is not None
                continue
            fields = layout.split(number, line)
            ends_document = fields is not None and fields[layout.indices[TOKEN]] == DOCUMENT_START
        if ends_document or is_blank:
            if rows:
                yield _Block(first, rows, tuple(comments), starts_document, tuple(dropped))
                starts_document = False
            if rows or dropped:
                if ends_document:
                    layout.warn(
                        f"{layout.path}:{number}: {DOCUMENT_START} inside a sentence ends it and the "
                        "document."
                    )
                rows, comments, dropped = [], [], []
            starts_document = starts_document or ends_document
            continue
        if fields is None:
            dropped.append((len(rows), line))
            continue
        first = first if rows else number
        rows.append(fields)
    if rows:
        yield _Block(first, rows, tuple(comments), starts_document, tuple(dropped))


def _sentence(block: _Block, layout: _Layout) -> Sentence:
    fields = list(zip(*block.rows, strict=True))
    values = {name: fields[index] for name, index in layout.indices.items()}
    tokens = values.pop(TOKEN)
    text = text_comment(block.comments) if block.comments else None
    offsets = locate(tokens, text) if text else None
    if text is None or offsets is None:
        if text is not None:
            layout.warn(f"{layout.path}:{block.number}: {MISMATCH}")
        text, offsets = join(tokens, [True] * len(tokens))
    return Sentence(
        tokens=tokens,
        offsets=tuple(offsets),
        text=text,
        tags=values,
        starts_document=block.starts_document,
        source=f"{layout.path}:{block.number}",
        has_token_lines=True,
        comments=block.comments,
        extra_lines=block.dropped,
    )


def split_fields(line: str, is_tabbed: bool) -> list[str]:
    """Split a line at every tab, or at runs of spaces and tabs."""
    # Never str.split(): tokens may contain no-break spaces and other Unicode separators.
    return line.rstrip(" \t").split("\t") if is_tabbed else _SEPARATORS.split(line.strip(" \t"))


def _is_comment(line: str, count: int, is_tabbed: bool) -> bool:
    if not line.startswith("#"):
        return False
    if "\t" in line.rstrip(" \t") and not is_tabbed:  # a comment without tabs in a tabbed file has one field
        return True
    return len(split_fields(line, is_tabbed)) != count or _KNOWN_COMMENT.match(line) is not None


def _safe_comment(comment: str, count: int, is_tabbed: bool) -> str:
    if _is_comment(comment, count, is_tabbed):
        return comment
    text = text_comment([comment])
    return "# comment = " + comment.lstrip("# \t") if text is None else f"# text = {text}"


def _are_plain(rows: Sequence[Sequence[str]], separator: str) -> bool:
    """Return True if no field is empty or contains white space that readers might split or drop."""
    text = "\n" + "\n".join(map(separator.join, rows)) + "\n"
    return (
        text.count(separator) == sum(map(len, rows)) - len(rows)
        and text.count("\n") == len(rows) + 1
        and "\n\n" not in text
        and not any(mark in text for mark in (separator * 2, f"\n{separator}", f"{separator}\n", "\r"))
        and (" " if separator == "\t" else "\t") not in text
        and not any("".join(row).isspace() for row in rows)
        and DOCUMENT_START not in text
        and BOM not in text
    )


def token_line(row: Sequence[str], separator: str = " ", *, is_first: bool, source: str = "") -> str:
    """Return the line of a token and its tags, after checking that readers read it unchanged.

    Args:
        row: The token and its tags.
        separator: One space or one tab.
        is_first: True if the token begins its sentence.
        source: The sentence's source, for the error message.

    Raises:
        InputError: See ``write_conll``.
    """
    line = separator.join(row)
    is_tabbed = separator == "\t" and len(row) > 1
    is_valid = split_fields(line, is_tabbed) == list(row) and all(row) and not re.search("[\r\n]", line)
    if is_document_start(line) or (is_first and _is_comment(line, len(row), is_tabbed)):
        is_valid = False
    if not is_valid or line.isspace():
        raise InputError(
            f"the line {line!r} cannot be written as CoNLL columns: readers would misread it. "
            "Leave the sentence out or write another format.",
            code="corpus.output",
            where=source,
        )
    # Readers drop a byte order mark at the start of a line: a second one preserves the token's own.
    return (BOM if line.startswith(BOM) else "") + line + "\n"
