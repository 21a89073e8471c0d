"""``tagger tag --stream``: words are tagged as they come, each after a bounded number of further words."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from tagger.cli.formats import BOM, column_separator
from tagger.cli.input import before_errors
from tagger.cli.output import open_output
from tagger.cli.sources import Source
from tagger.corpus.conll import token_line
from tagger.corpus.jsonl import json_line
from tagger.errors import InputError
from tagger.runtime.stream import StreamingTagger
from tagger.runtime.tagger import Tagger, TextTokenizer

LOOKAHEAD = 2  # words, when not said
LONGEST_WORD = 65_536  # characters of a word that are waited for
# Stands for the word that is not known yet: a name, which begins a sentence only where the mark before it
# leaves no doubt.
_NEXT = " Xyz"
_PARAGRAPH_END = "\u2029"  # says what an empty line says
_SPACE = re.compile(r"\s+")
_ASCII_SPACE = re.compile(r"[ \t\n\r\f\v]+")  # a ready token may hold a no-break space


@dataclass(frozen=True, slots=True)
class Word:
    """What stands between white space, or a token of it.

    Attributes:
        text: Its characters.
        start: The place of its first character in the text.
        is_last: Whether the text ends with it.
    """

    text: str
    start: int
    is_last: bool = False

    @property
    def end(self) -> int:
        """The place after its last character."""
        return self.start + len(self.text)


Tagged = Iterable[tuple[Word, Mapping[str, str]] | None]  # a token with its tags; None where a sentence ends


def write_stream(
    tagger: Tagger,
    source: Source,
    output: Path | None,
    *,
    lookahead: int,
    tasks: Sequence[str],
    style: str,
    is_pretokenized: bool,
) -> None:
    """Tag a text word by word and write a line for each as soon as its tags are decided.

    Args:
        tagger: The model.
        source: The text.
        output: The file to write, or None for standard output.
        lookahead: How many words after a word are known when its tags are decided.
        tasks: The tasks to write.
        style: ``conll`` or ``jsonl``.
        is_pretokenized: Whether words are tokens, and only empty lines end sentences.

    Raises:
        InputError: The text cannot be read, the output cannot be written, or ``StreamingTagger`` refuses.
    """
    errors: list[InputError] = []
    words = read_words(
        before_errors(source.lines(as_it_comes=True), errors),
        _ASCII_SPACE if is_pretokenized else _SPACE,
    )
    tokens = words if is_pretokenized else cut_words(words, tagger.tokenizer)
    streaming = StreamingTagger(tagger, lookahead=lookahead)
    with open_output(output, is_growing=True) as file:
        write = STYLES[style]
        if style == "conll":
            shown = (task for task in tagger.tasks if task.name in tasks)
            write = partial(conll_lines, separator=column_separator(shown))
        for line in write(tag_words(tokens, streaming), tasks):
            file.write(line)
            file.flush()
        if errors:
            raise errors[0]


def read_words(pieces: Iterable[str], space: re.Pattern[str]) -> Iterator[Word | None]:
    """Divide a text at white space.

    A word of more than ``LONGEST_WORD`` characters may come in parts.

    Args:
        pieces: The text as it comes.
        space: The white space.

    Yields:
        Each word as soon as white space follows or the text ends, and None where an empty line or a
        paragraph separator ends a sentence.
    """
    held, position, line_ends = "", 0, 0  # what is not yielded yet, its place, and line ends before it
    for piece in pieces:
        held += piece
        if position == 0 and held.startswith(BOM):  # it is none of the first word's characters
            held, position = held[1:], 1
        begin = 0
        for gap in space.finditer(held):
            if gap.start() > begin:
                yield Word(held[begin : gap.start()], position + begin)
                line_ends = 0
            is_open = line_ends < 2
            line_ends += gap[0].count("\n") + 2 * gap[0].count(_PARAGRAPH_END)
            if is_open and line_ends >= 2:
                yield None
            begin = gap.end()
        held, position = held[begin:], position + begin
        if len(held) > LONGEST_WORD:
            yield Word(held, position)
            held, position, line_ends = "", position + len(held), 0
    if held:
        yield Word(held, position, is_last=True)


def cut_words(words: Iterable[Word | None], tokenize: TextTokenizer) -> Iterator[Word | None]:
    """Cut words as a tokenizer cuts them within a text, without waiting for the word that follows.

    Args:
        words: The words; None where a sentence ends.
        tokenize: Makes sentences of a text.

    Yields:
        The tokens, and None where a sentence ends: at once where it does so before a name, and later where
        the word that followed shows it.
    """
    before = ""  # the word before, if it is of the same sentence, and a space
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
    """Yield tokens with their tags as they are decided, and None after each sentence."""
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


def conll_lines(tagged: Tagged, tasks: Sequence[str], *, separator: str = " ") -> Iterator[str]:
    """A line a token: the token and a column for each task; an empty line after each sentence."""
    is_first = True
    for one in tagged:
        if one is None:
            yield "\n"
        else:
            token, tags = one
            yield token_line([token.text, *(tags[task] for task in tasks)], separator, is_first=is_first)
        is_first = one is None


def jsonl_lines(tagged: Tagged, tasks: Sequence[str]) -> Iterator[str]:
    """A line of JSON a token; places count characters of the text, and sentences are numbered from 0."""
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
                    "tags": {task: tags[task] for task in tasks},
                }
            )


STYLES: dict[str, Callable[[Tagged, Sequence[str]], Iterator[str]]] = {
    "conll": conll_lines,
    "jsonl": jsonl_lines,
}
