"""Stream sentences from long raw text with bounded memory and offsets into the whole document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from tagger.text.sentence import Sentence
from tagger.text.splitting import LINES_AROUND

# Sentences that end within this many characters of the end of the input are held back: more text may change
# them.
_MARGIN = 256
# Number of lines before a line break that may decide if it is a boundary: the lines around it, and the lines
# around those.
_LINES = 2 * LINES_AROUND + 1
WINDOW_CHARACTERS = 8192  # maximum size of a document window in characters
WINDOW_TOKENS = 8192  # maximum size of a document window in tokens


def stream_sentences(
    lines: Iterable[str], tokenize: Callable[[str], Sequence[Sentence]], *, window: int = 65_536
) -> Iterator[Sentence]:
    """Split a document that is read in pieces into sentences, in order.

    The document is the concatenation of the pieces; lines must keep their line ends, as in an open file. The
    function holds at most one piece and two windows of characters. With ``Tokenizer.tokenize`` the sentences
    equal those of the whole document. The exception is text with more than ``window`` characters between
    blank lines: a sentence longer than a quarter of the window may be split there, and line breaks may be
    read differently if 33 lines exceed a quarter of the window.

    Args:
        lines: The document's lines, or any other pieces of it.
        tokenize: Function that splits a text into sentences, with offsets from the start of the text:
            ``Tokenizer.tokenize`` or a custom function. It must end a sentence at a blank line, and its
            result must not depend on distant text.
        window: Number of characters without a blank line to tokenise at a time, at least 2,048.

    Yields:
        Sentences with offsets from the start of the document. The first one has ``starts_document``.
    """
    is_first = True
    for sentence in _stream(lines, tokenize, window):
        if sentence.starts_document != is_first:
            sentence = replace(sentence, starts_document=is_first)
        yield sentence
        is_first = False


def _stream(
    lines: Iterable[str], tokenize: Callable[[str], Sequence[Sentence]], window: int
) -> Iterator[Sentence]:
    window = max(window, 8 * _MARGIN)
    pieces: list[str] = []
    size = 0
    start = done = 0  # positions in the document: start of the held text, end of the yielded text
    for piece in lines:
        # A blank line at the start or after another one ends no sentence: skip it, even a million of them.
        if is_blank_line(piece, pieces):
            if pieces:
                yield from _shifted(tokenize("".join(pieces)), start, done)
            start += size + len(piece)
            pieces, size = [], 0
            continue
        pieces.append(piece)
        size += len(piece)
        if size < 2 * window:
            continue
        text = "".join(pieces)
        position = 0
        while len(text) - position >= 2 * window:
            stop = _window_end(text, position, window)
            sentences = list(_shifted(tokenize(text[position:stop]), start + position, done))
            final = _final(sentences, start + _lines_before(text, stop, window // 2, _MARGIN))
            yield from final
            if len(final) == len(sentences):  # the window's end split the last one, if any
                position, done = stop, start + stop
            else:
                done = final[-1].text_start + len(final[-1].text)
                position = _lines_before(text, done - start, window // 4, 0)
        pieces, size = [text[position:]], len(text) - position
        start += position
    yield from _shifted(tokenize("".join(pieces)), start, done)


def cut_document_windows(sentences: Iterable[Sentence]) -> Iterator[list[Sentence]]:
    """Split a stream of sentences into documents, and long documents into document windows.

    A new window begins at the start of a document, at each multiple of ``WINDOW_CHARACTERS`` characters of a
    document, and before a window exceeds ``WINDOW_TOKENS`` tokens. The multiples count from the start of the
    document, not of the stream. If the stream raises an error, the sentences before it are yielded first.
    """
    held: list[Sentence] = []
    tokens = 0
    try:
        for sentence in sentences:
            if held and (
                sentence.starts_document
                or sentence.text_start // WINDOW_CHARACTERS != held[0].text_start // WINDOW_CHARACTERS
                or tokens + len(sentence) > WINDOW_TOKENS
            ):
                yield held
                held, tokens = [], 0
            held.append(sentence)
            tokens += len(sentence)
    except Exception:
        if held:
            yield held
        raise
    if held:
        yield held


def is_blank_line(piece: str, before: Sequence[str]) -> bool:
    """Return True if a piece is the end of a blank line, given the pieces before it."""
    return piece.isspace() and "\n" in piece and (not before or before[-1].endswith("\n"))


def _window_end(text: str, position: int, window: int) -> int:
    """Return the end of the window that begins at ``position``: after a line or word if possible."""
    stop = position + window
    for space in "\n ":
        last = text.rfind(space, position + window // 2, stop)
        if last >= 0:
            return last + 1
    return stop


def _lines_before(text: str, position: int, reach: int, margin: int) -> int:
    """Return the start of the line ``_LINES`` line breaks before ``position``, at least ``margin`` before it.

    The result is ``position - margin`` if that line is not within ``reach`` characters.
    """
    line_break = position
    for _ in range(_LINES):
        line_break = text.rfind("\n", max(0, position - reach), line_break)
        if line_break < 0:
            return position - margin
    return min(line_break + 1, position - margin)


def _final(sentences: Sequence[Sentence], limit: int) -> Sequence[Sentence]:
    """Return the sentences that end before ``limit``: at least one, the last one only if it is alone."""
    count = sum(sentence.text_start + len(sentence.text) <= limit for sentence in sentences[:-1])
    return sentences[: max(1, count)] if len(sentences) > 1 else sentences


def _shifted(sentences: Iterable[Sentence], shift: int, done: int) -> Iterator[Sentence]:
    """Yield the sentences with offsets into the document, without the text before ``done``."""
    for sentence in sentences:
        if shift:
            sentence = sentence.shifted(shift)
        if sentence.text_start >= done:
            yield sentence
        elif sentence.text_start + len(sentence.text) > done:
            # The window began within a sentence and has no boundary where the previous window had one.
            first = sum(start < done for start, _ in sentence.offsets)
            text = sentence.text[done - sentence.text_start :]
            yield Sentence(sentence.tokens[first:], sentence.offsets[first:], text, done)
