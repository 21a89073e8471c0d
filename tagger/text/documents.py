"""Stream sentences from long raw text with bounded memory and offsets into the whole document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from tagger.text.sentence import Sentence
from tagger.text.splitting import LINES_AROUND

# Sentences that end within this many characters of the end of the input are held back: more text may change
# them.
_MARGIN = 256
# Number of lines that may decide if a line break is a boundary: its neighbours, and their neighbours.
_LINES = 2 * LINES_AROUND + 1
WINDOW_CHARACTERS = 8192  # maximum size of a document window in characters
WINDOW_TOKENS = 8192  # maximum size of a document window in tokens
_YIELD_SIZE = 500  # minimum number of sentences in a list that ``cut_blocks`` yields


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
        Sentences with offsets from the start of the document.
    """
    window = max(window, 8 * _MARGIN)
    pieces: list[str] = []
    size = 0
    start = done = 0  # positions in the document: start of the held text, end of the yielded text
    for piece in lines:
        # A blank line at the start or after another one ends no sentence: skip it, even a million of them.
        if _is_blank_line(piece, pieces):
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


@dataclass(frozen=True, slots=True)
class TextBlock:
    """A block of a document with its surrounding text.

    Attributes:
        text: The block and its surrounding text.
        start: Position of ``text`` in the document, in characters.
        own: Slice of ``text`` that is the block itself.
    """

    text: str
    start: int
    own: slice


def cut_blocks(
    pieces: Iterable[str],
    tokenize: Callable[[str], Sequence[Sentence]],
    *,
    size: int = 1 << 18,
    around: int = 2 * WINDOW_CHARACTERS,
    has_lines: bool = False,
) -> Iterator[TextBlock | list[Sentence]]:
    """Split a document into blocks that can be tokenised and tagged independently.

    Args:
        pieces: The document's lines, or any other pieces of it.
        tokenize: As for ``stream_sentences``.
        size: Minimum size of a block in characters.
        around: Number of characters of surrounding text on either side.
        has_lines: True if every line is a sentence.

    Yields:
        Blocks in document order. A block ends after a blank line, which always ends a sentence, or after any
        line if lines are sentences. If no blank line follows within eight times ``size``, the rest of the
        document follows as lists of sentences, each of whole document windows (see ``cut_document_windows``).
        The first list starts at the beginning of its window, so it may overlap the previous block.
    """
    held: list[str] = []
    # Positions in the document: start of the held text, start of the next block, end of the text read.
    start = begin = position = 0
    block_end = -1  # end of the next block, or -1 if it is not known yet
    source = iter(pieces)
    for piece in source:
        position += len(piece)
        if block_end < 0 and position - begin >= size:
            is_end = piece.endswith("\n") if has_lines else _is_blank_line(piece, held)
            block_end = position if is_end else -1
        held.append(piece)
        if 0 <= block_end <= position - around:
            text = "".join(held)
            yield TextBlock(text, start, slice(begin - start, block_end - start))
            cut = max(0, block_end - around - start)
            held, start, begin, block_end = [text[cut:]], start + cut, block_end, -1
        elif block_end < 0 and position - begin >= 8 * size and not has_lines:
            yield from _stream_rest(chain(held, source), tokenize, start, begin)
            return
    if begin < position:
        yield TextBlock("".join(held), start, slice(begin - start, position - start))


def _stream_rest(
    pieces: Iterable[str], tokenize: Callable[[str], Sequence[Sentence]], start: int, begin: int
) -> Iterator[list[Sentence]]:
    """Yield the sentences from ``begin`` on of a document whose text before ``start`` is no longer held."""
    first = begin - begin % WINDOW_CHARACTERS
    shifted = (sentence.shifted(start) for sentence in stream_sentences(pieces, tokenize))
    batch: list[Sentence] = []
    for window in cut_document_windows(one for one in shifted if one.text_start >= first):
        batch += window
        if len(batch) >= _YIELD_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch


def window_sentences(block: TextBlock, sentences: Iterable[Sentence]) -> Iterator[Sentence]:
    """Yield the sentences of all document windows that overlap a block (see ``cut_document_windows``).

    Args:
        block: The block. Its surrounding text must be as wide as two windows, so that the windows are
            complete.
        sentences: All sentences of its text, with offsets from the start of the document.
    """
    first, last = block.start + block.own.start, block.start + block.own.stop - 1
    for sentence in sentences:
        if (
            first // WINDOW_CHARACTERS
            <= sentence.text_start // WINDOW_CHARACTERS
            <= last // WINDOW_CHARACTERS
        ):
            yield sentence


def _is_blank_line(piece: str, before: Sequence[str]) -> bool:
    """True if a piece is the end of a blank line, given the pieces before it."""
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
