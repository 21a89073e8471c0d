"""Split a document into blocks that several processes can tag independently."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from tagger.text.documents import WINDOW_CHARACTERS, cut_document_windows, is_blank_line, stream_sentences
from tagger.text.sentence import Sentence

_YIELD_SIZE = 500  # minimum number of sentences in a block of sentences


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a document: the sentences that begin between two positions.

    Attributes:
        begin: Position of the block in the document, in characters.
        end: Position after the block.
        text: The block and its surrounding text; empty if ``sentences`` are given.
        text_start: Position of ``text`` in the document.
        sentences: Tokenised sentences that include those of the block; None if the text must be tokenised.
    """

    begin: int
    end: int
    text: str = ""
    text_start: int = 0
    sentences: Sequence[Sentence] | None = None

    @property
    def size(self) -> int:
        """Number of characters of the block itself."""
        return self.end - self.begin

    @property
    def own_text(self) -> str:
        """The text of the block itself."""
        return self.text[self.begin - self.text_start : self.end - self.text_start]

    def select(self, sentences: Iterable[Sentence]) -> Iterator[Sentence]:
        """Yield the sentences of all document windows that overlap the block (see ``cut_document_windows``).

        Args:
            sentences: All sentences of ``text``, with offsets from the start of the document. The surrounding
                text must be as wide as two windows, so that the windows are complete.
        """
        first, last = self.begin // WINDOW_CHARACTERS, (self.end - 1) // WINDOW_CHARACTERS
        for sentence in sentences:
            if first <= sentence.text_start // WINDOW_CHARACTERS <= last:
                yield sentence


def cut_blocks(
    pieces: Iterable[str],
    tokenize: Callable[[str], Sequence[Sentence]],
    *,
    size: int = 1 << 18,
    around: int = 2 * WINDOW_CHARACTERS,
    has_lines: bool = False,
) -> Iterator[Block]:
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
        document follows as blocks of sentences, each of whole document windows (see
        ``cut_document_windows``). The first of them starts at the beginning of its window, so it may overlap
        the previous block.
    """
    held: list[str] = []
    # Positions in the document: start of the held text, start of the next block, end of the text read.
    start = begin = position = 0
    block_end = -1  # end of the next block, or -1 until it is known
    source = iter(pieces)
    for piece in source:
        position += len(piece)
        if block_end < 0 and position - begin >= size:
            is_block_end = piece.endswith("\n") if has_lines else is_blank_line(piece, held)
            block_end = position if is_block_end else -1
        held.append(piece)
        if 0 <= block_end <= position - around:
            text = "".join(held)
            yield Block(begin, block_end, text, start)
            cut = max(0, block_end - around - start)
            held, start, begin, block_end = [text[cut:]], start + cut, block_end, -1
        elif block_end < 0 and position - begin >= 8 * size and not has_lines:
            yield from _stream_rest(chain(held, source), tokenize, start, begin)
            return
    if begin < position:
        yield Block(begin, position, "".join(held), start)


def _stream_rest(
    pieces: Iterable[str], tokenize: Callable[[str], Sequence[Sentence]], start: int, begin: int
) -> Iterator[Block]:
    """Yield blocks of sentences, from the first sentence of the document window that contains ``begin``.

    Args:
        pieces: The rest of the document; it begins at ``start``.
        tokenize: As for ``stream_sentences``.
        start: Position of the first piece in the document.
        begin: Position after the previous block.
    """
    first = begin - begin % WINDOW_CHARACTERS
    shifted = (sentence.shifted(start) for sentence in stream_sentences(pieces, tokenize))
    batch: list[Sentence] = []
    for window in cut_document_windows(sentence for sentence in shifted if sentence.text_start >= first):
        batch += window
        if len(batch) >= _YIELD_SIZE:
            yield Block(begin, sys.maxsize, sentences=batch)
            batch = []
    if batch:
        yield Block(begin, sys.maxsize, sentences=batch)
