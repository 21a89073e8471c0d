"""``tagger tag --stream``: tag words as they arrive, with a bounded lookahead."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

from tagger.cli.formats import FORMATS, Word
from tagger.cli.input import BORDER_FILLERS, before_errors, note_byte_order_mark
from tagger.cli.output import open_output
from tagger.cli.sources import Source
from tagger.corpus.conll import DOCUMENT_START
from tagger.corpus.lines import BOM
from tagger.errors import InputError
from tagger.runtime.document_pipe import TextTokenizer
from tagger.runtime.options import TagOptions
from tagger.runtime.stream import StreamingTagger
from tagger.runtime.tagger import Tagger

LOOKAHEAD = 2  # words, by default
LONGEST_WORD = 65_536  # longer words, in characters, are emitted in pieces
# Placeholder of the next, unknown word. It looks like a name, so that the tokenizer ends the sentence only
# after unambiguous punctuation.
_NEXT = " Xyz"
_PARAGRAPH_END = "\u2029"  # equivalent to an empty line
_SPACE = re.compile(r"\s+")
_ASCII_SPACE = re.compile(r"[ \t\n\r\f\v]+")  # a token may contain a no-break space


def write_stream(tagger: Tagger, source: Source, output: Path | None, options: TagOptions) -> None:
    """Tag a text word by word; write the line of each word as soon as its tags are decided.

    Args:
        tagger: The model.
        source: The text.
        output: The file to write, or None for standard output.
        options: The tasks to write, and the lookahead. If the text is pretokenized, words are tokens and only
            empty lines end sentences.

    Raises:
        InputError: The text cannot be read, the output cannot be written, or ``StreamingTagger`` rejects
            the lookahead.
    """
    errors: list[InputError] = []
    words = read_words(
        before_errors(source.lines(is_live=True), errors),
        _ASCII_SPACE if options.is_pretokenized else _SPACE,
    )
    tokens = drop_borders(words) if options.is_pretokenized else cut_words(words, tagger.tokenizer)
    streaming = StreamingTagger(tagger, lookahead=options.lookahead)
    write = FORMATS[options.format].write_stream
    assert write is not None
    with open_output(output, is_growing=True) as file:
        for line in write(tag_words(tokens, streaming), options):
            file.write(line)
            file.flush()
        if errors:
            raise errors[0]


def read_words(pieces: Iterable[str], space: re.Pattern[str]) -> Iterator[Word | None]:
    """Split a text at white space.

    A word of more than ``LONGEST_WORD`` characters may be split.

    Args:
        pieces: The text as it arrives.
        space: The pattern of white space.

    Yields:
        Each word, once white space or the end of the text follows; None if an empty line or a paragraph
        separator ends a sentence.
    """
    pending, position = "", 0  # text to yield, and its character offset
    line_ends, starts_line = 0, True  # since the last word
    for piece in pieces:
        pending += piece
        if position == 0 and pending.startswith(BOM):  # not part of the first word
            pending, position = pending[1:], 1
        begin = 0
        for gap in space.finditer(pending):
            if gap.start() > begin:
                yield Word(pending[begin : gap.start()], position + begin, starts_line=starts_line)
                line_ends, starts_line = 0, False
            starts_line = starts_line or "\n" in gap[0]
            is_open = line_ends < 2
            line_ends += gap[0].count("\n") + 2 * gap[0].count(_PARAGRAPH_END)
            if is_open and line_ends >= 2:
                yield None
            begin = gap.end()
        pending, position = pending[begin:], position + begin
        if len(pending) > LONGEST_WORD:
            yield Word(pending, position, starts_line=starts_line)
            pending, position = "", position + len(pending)
            line_ends, starts_line = 0, False
    if pending:
        yield Word(pending, position, is_last=True, starts_line=starts_line)


def drop_borders(words: Iterable[Word | None]) -> Iterator[Word | None]:
    """End a sentence at each ``-DOCSTART-`` line; drop its fillers, and byte order marks at line starts."""
    is_border = False
    for word in words:
        if word is not None and word.starts_line:
            if word.text.startswith(BOM):
                note_byte_order_mark(word.text[1:])
                word = replace(word, text=word.text[1:], start=word.start + 1)
            is_border = word.text == DOCUMENT_START
            if is_border:
                yield None
                continue
        if word is None or (word.text and not (is_border and word.text in BORDER_FILLERS)):
            yield word


def cut_words(words: Iterable[Word | None], tokenize: TextTokenizer) -> Iterator[Word | None]:
    """Tokenize words as the tokenizer does within a text, without waiting for the next word.

    Args:
        words: The words; None at a sentence end.
        tokenize: Function that splits a text into tokenized sentences.

    Yields:
        The tokens, and None at a sentence end: at once if the sentence would end before a name, else after
        the next word confirms it.
    """
    before = ""  # the previous word of the same sentence, and a space
    for word in words:
        if word is None:
            yield None
            before = ""
            continue
        text = before + word.text
        shift = word.start - len(before)
        open_from = len(before)
        sentences = tokenize(text if word.is_last else text + _NEXT)
        for number, sentence in enumerate(sentences, start=1):
            for token, (start, end) in zip(sentence.tokens, sentence.offsets, strict=True):
                if len(before) <= start and end <= len(text):
                    yield Word(token, shift + start)
            if number < len(sentences):
                yield None
                open_from = max(open_from, sentence.text_start + len(sentence.text))
        before = f"{text[open_from:]} ".lstrip()


def tag_words(
    tokens: Iterable[Word | None], streaming: StreamingTagger
) -> Iterator[tuple[Word, Mapping[str, str]] | None]:
    """Yield each token with its tags once they are decided, and None after each sentence."""
    open_tokens: deque[Word] = deque()
    has_words = False
    for token in chain(tokens, [None]):
        if token is not None:
            has_words = True
            open_tokens.append(token)
        decided = streaming.end_sentence() if token is None else streaming.push(token.text)
        for one in decided:
            yield open_tokens.popleft(), one.tags
        if token is None and has_words:
            has_words = False
            yield None
