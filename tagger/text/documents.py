"""Long raw text, read in pieces, to sentences: bounded memory, offsets into the whole document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from tagger.text.sentence import Sentence
from tagger.text.splitting import LINES_AROUND

# Sentences that end so close to the end of what was read are held back, for what follows may change them.
_MARGIN = 256
# Whether a line break is a boundary is told by lines around it, each judged by the lines around it again.
_LINES = 2 * LINES_AROUND + 1
STRETCH_CHARACTERS = 8192  # of a document whose sentences are looked at together
STRETCH_TOKENS = 8192
_READY = 500  # sentences that ``cut_chunks`` gives out together


def stream_sentences(
    lines: Iterable[str], tokenize: Callable[[str], Sequence[Sentence]], *, window: int = 65_536
) -> Iterator[Sentence]:
    """Cut a document that is read in pieces into sentences, in order.

    The document is the pieces one after the other; lines must keep their line ends, as an open file gives
    them. A piece and two windows of characters are held at a time. With ``Tokenizer.tokenize`` the sentences
    are those of the whole document, unless more than ``window`` characters hold no blank line, and within
    them either a sentence is longer than a quarter of the window, which then may be cut, or the lines are so
    long that 33 of them fill a quarter of the window, whose breaks then may be read otherwise.

    Args:
        lines: The document's lines, or any other pieces of it.
        tokenize: Makes sentences of a text, with offsets that count from the text's beginning:
            ``Tokenizer.tokenize`` or a function of the user's. A blank line must end a sentence for it, and
            what it does must not depend on far-away text.
        window: How many characters without a blank line are tokenised at a time, at least 2,048.

    Yields:
        Sentences whose offsets count from the beginning of the document.
    """
    window = max(window, 8 * _MARGIN)
    pieces: list[str] = []
    size = 0
    start = done = 0  # in the document: of what is held; of what was not yielded yet
    for piece in lines:
        # A blank line after another one or at the beginning ends nothing: a million of them are passed over.
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
            certain = _certain(sentences, start + _lines_before(text, stop, window // 2, _MARGIN))
            yield from certain
            if len(certain) == len(sentences):  # the last one was cut by the window's end, if there is one
                position, done = stop, start + stop
            else:
                done = certain[-1].text_start + len(certain[-1].text)
                position = _lines_before(text, done - start, window // 4, 0)
        pieces, size = [text[position:]], len(text) - position
        start += position
    yield from _shifted(tokenize("".join(pieces)), start, done)


def cut_stretches(sentences: Iterable[Sentence]) -> Iterator[list[Sentence]]:
    """Cut a stream of sentences at the borders of documents, and long documents into stretches.

    A new stretch begins where a sentence starts a document, where one begins behind a multiple of
    ``STRETCH_CHARACTERS`` of its document's text, which does not depend on where the stream begins, and
    before more than ``STRETCH_TOKENS`` tokens. What came before an error in the stream is given out first.
    """
    held: list[Sentence] = []
    tokens = 0
    try:
        for sentence in sentences:
            if held and (
                sentence.starts_document
                or sentence.text_start // STRETCH_CHARACTERS != held[0].text_start // STRETCH_CHARACTERS
                or tokens + len(sentence) > STRETCH_TOKENS
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
class Chunk:
    """A stretch of a document, with what stands around it.

    Attributes:
        text: The stretch and its surroundings.
        start: Position of ``text`` in the document, in characters.
        own: Which characters of ``text`` are the stretch.
    """

    text: str
    start: int
    own: slice


def cut_chunks(
    pieces: Iterable[str],
    tokenize: Callable[[str], Sequence[Sentence]],
    *,
    size: int = 1 << 18,
    around: int = 2 * STRETCH_CHARACTERS,
    has_lines: bool = False,
) -> Iterator[Chunk | list[Sentence]]:
    """Cut a document into parts whose sentences can be found one part at a time.

    Args:
        pieces: The document's lines, or any other pieces of it.
        tokenize: As for ``stream_sentences``.
        size: Characters of a chunk's own, at least.
        around: Characters before and after it that are shown with it.
        has_lines: Whether every line is a sentence.

    Yields:
        Chunks that end after a blank line, which ends a sentence in any case, or where lines are sentences
        after any line. From where no blank line comes for eight times ``size`` on, sentences that are ready,
        whole stretches of them (see ``cut_stretches``); the first of these lists goes back to where its
        stretch begins. In this order they are the document.
    """
    held: list[str] = []
    start = begin = position = 0  # in the document: of what is held, of the next chunk's own; what was read
    border = -1  # where that chunk can end, once it is known
    source = iter(pieces)
    for piece in source:
        position += len(piece)
        if border < 0 and position - begin >= size:
            is_border = piece.endswith("\n") if has_lines else _is_blank_line(piece, held)
            border = position if is_border else -1
        held.append(piece)
        if 0 <= border <= position - around:
            text = "".join(held)
            yield Chunk(text, start, slice(begin - start, border - start))
            cut = max(0, border - around - start)
            held, start, begin, border = [text[cut:]], start + cut, border, -1
        elif border < 0 and position - begin >= 8 * size and not has_lines:
            yield from _ready_sentences(chain(held, source), tokenize, start, begin)
            return
    if begin < position:
        yield Chunk("".join(held), start, slice(begin - start, position - start))


def _ready_sentences(
    pieces: Iterable[str], tokenize: Callable[[str], Sequence[Sentence]], start: int, begin: int
) -> Iterator[list[Sentence]]:
    """The sentences from ``begin`` on of a document whose text before ``start`` is not there any more."""
    first = begin - begin % STRETCH_CHARACTERS
    shifted = (sentence.shifted(start) for sentence in stream_sentences(pieces, tokenize))
    found: list[Sentence] = []
    for stretch in cut_stretches(one for one in shifted if one.text_start >= first):
        found += stretch
        if len(found) >= _READY:
            yield found
            found = []
    if found:
        yield found


def chunk_stretches(chunk: Chunk, sentences: Iterable[Sentence]) -> Iterator[Sentence]:
    """Yield those of a chunk's sentences whose stretch holds one of its own (see ``cut_stretches``).

    Args:
        chunk: What is shown with it is as wide as two stretches, so that they are whole.
        sentences: All sentences of its text; their offsets count from the document's beginning.
    """
    first, last = chunk.start + chunk.own.start, chunk.start + chunk.own.stop - 1
    for sentence in sentences:
        if (
            first // STRETCH_CHARACTERS
            <= sentence.text_start // STRETCH_CHARACTERS
            <= last // STRETCH_CHARACTERS
        ):
            yield sentence


def _is_blank_line(piece: str, before: Sequence[str]) -> bool:
    """Whether a piece ends a line that holds nothing, by the pieces that stand before it."""
    return piece.isspace() and "\n" in piece and (not before or before[-1].endswith("\n"))


def _window_end(text: str, position: int, window: int) -> int:
    """Return where the window that begins at ``position`` ends: after a line or word, if there is one."""
    stop = position + window
    for space in "\n ":
        found = text.rfind(space, position + window // 2, stop)
        if found >= 0:
            return found + 1
    return stop


def _lines_before(text: str, place: int, reach: int, margin: int) -> int:
    """Return the start of the line that is far enough before ``place`` to judge line breaks.

    If it is not within ``reach`` characters, ``place`` less ``margin`` has to do.
    """
    found = place
    for _ in range(_LINES):
        found = text.rfind("\n", max(0, place - reach), found)
        if found < 0:
            return place - margin
    return min(found + 1, place - margin)


def _certain(sentences: Sequence[Sentence], limit: int) -> Sequence[Sentence]:
    """Return the sentences that end before ``limit``: at least one, the last one only if it is alone."""
    count = sum(sentence.text_start + len(sentence.text) <= limit for sentence in sentences[:-1])
    return sentences[: max(1, count)] if len(sentences) > 1 else sentences


def _shifted(sentences: Iterable[Sentence], shift: int, done: int) -> Iterator[Sentence]:
    """Yield the sentences moved to their place in the document, without what stands before ``done``."""
    for sentence in sentences:
        if shift:
            sentence = sentence.shifted(shift)
        if sentence.text_start >= done:
            yield sentence
        elif sentence.text_start + len(sentence.text) > done:
            # A window began within a sentence and showed no boundary where the last window did.
            first = sum(start < done for start, _ in sentence.offsets)
            text = sentence.text[done - sentence.text_start :]
            yield Sentence(sentence.tokens[first:], sentence.offsets[first:], text, done)
