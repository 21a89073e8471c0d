"""``tagger tag --stream``: tag words as they arrive, with a bounded lookahead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tagger.cli.formats import FORMATS
from tagger.cli.input import BORDER_FILLERS, before_errors, note_byte_order_mark
from tagger.cli.output import open_output
from tagger.cli.sources import Source
from tagger.corpus.conll import DOCUMENT_START
from tagger.corpus.lines import BOM
from tagger.errors import InputError
from tagger.runtime.live_text import SPACE, Word, cut_words, read_words, tag_words
from tagger.runtime.options import TagOptions
from tagger.runtime.stream import StreamingTagger
from tagger.runtime.tagger import Tagger

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
        _ASCII_SPACE if options.is_pretokenized else SPACE,
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
