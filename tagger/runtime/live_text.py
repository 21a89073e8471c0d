"""Tag text as it arrives, word by word."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from tagger.corpus.jsonl import json_line
from tagger.corpus.lines import BOM
from tagger.runtime.document_pipe import TextTokenizer
from tagger.runtime.options import TagOptions
from tagger.runtime.stream import StreamingTagger

LOOKAHEAD = 2  # words, by default
LONGEST_WORD = 65_536  # longer words, in characters, are emitted in pieces
# Placeholder of the next, unknown word. It looks like a name, so that the tokenizer ends the sentence only
# after unambiguous punctuation.
_NEXT = " Xyz"
_PARAGRAPH_END = "\u2029"  # equivalent to an empty line
SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word between white space, or one of its tokens.

    Attributes:
        text: Its characters.
        start: Character offset of its start in the text.
        is_last: True if the text ends with it.
        starts_line: True if it is the first word of a line.
    """

    text: str
    start: int
    is_last: bool = False
    starts_line: bool = field(default=False, compare=False)

    @property
    def end(self) -> int:
        """Character offset of its end in the text, exclusive."""
        return self.start + len(self.text)


Tagged = Iterable[tuple[Word, Mapping[str, str]] | None]  # a token with its tags; None at a sentence end


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


def word_lines(tagged: Tagged, options: TagOptions) -> Iterator[str]:
    """Yield one JSON line per token, with character offsets and a sentence number starting at 0."""
    number = 0
    for one in tagged:
        if one is None:
            number += 1
        else:
            token, tags = one
            yield json_line(
                {
                    "text": token.text,
                    "start": token.start,
                    "end": token.end,
                    "sentence": number,
                    "tags": {task: tags[task] for task in options.task_names},
                }
            )
