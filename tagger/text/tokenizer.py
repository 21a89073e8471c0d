"""Tokenize raw text with exact character offsets, and learn the tokenization of a corpus."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from tagger.errors import InputError
from tagger.text import lexicon
from tagger.text.patterns import token_pattern
from tagger.text.sentence import Sentence
from tagger.text.splitting import Newlines, sentence_ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenizer:
    """Split text into sentences and tokens by configurable rules.

    URLs, e-mail addresses, host and file names, numbers, versions (``v1.2.3``), dates, times, abbreviations,
    acronyms, emoji, smileys, hashtags, mentions and runs of one punctuation mark are one token each;
    each bracket, quote and other punctuation mark is a token. Combining marks stay with their letters.
    Chinese, Japanese (Han and Kana), Thai, Lao, Khmer and Burmese are split into single characters, each with
    its combining marks. Tokens cover every character except white space, control characters and invisible
    format characters.

    Attributes:
        split_hyphens: ``U.S.-based`` is three tokens. Affixes (``e-mail``), dates and telephone numbers stay
            whole.
        split_slashes: ``and/or`` is three tokens.
        split_clitics: ``don't`` is ``do n't`` and ``Ann's`` is ``Ann 's``.
        split_bare_clitics: ``dont`` is ``do nt``.
        split_fused: ``cannot`` is ``can not`` and ``gonna`` is ``gon na``.
        split_currency: ``$20`` is two tokens.
        split_percent: ``5%`` is two tokens.
        split_units: ``5pm`` and ``10kg`` are two tokens.
        split_numbering: The ``1.`` before a list item is two tokens.
        split_final_stop: The full stop of an abbreviation at the end of a sentence is a token of its own.
        newlines: How to read a line break: "wrapped", "boundary" or "space"; see ``sentence_ranges``.
        longest: Maximum number of tokens of a sentence; longer ones are split there.

    Raises:
        InputError: ``newlines`` or ``longest`` is invalid.
    """

    split_hyphens: bool = False
    split_slashes: bool = True
    split_clitics: bool = True
    split_bare_clitics: bool = False
    split_fused: bool = True
    split_currency: bool = True
    split_percent: bool = True
    split_units: bool = False
    split_numbering: bool = True
    split_final_stop: bool = True
    newlines: Newlines = "wrapped"
    longest: int = 1000

    def __post_init__(self) -> None:
        if self.newlines not in ("wrapped", "boundary", "space"):
            raise InputError(
                f"newlines must be 'wrapped', 'boundary' or 'space' (got {self.newlines!r}).",
                code="argument.value",
                where="Tokenizer",
            )
        if self.longest < 1:
            raise InputError(
                f"longest must be at least 1 token (got {self.longest}).",
                code="argument.value",
                where="Tokenizer",
            )

    def tokenize(self, text: str, *, start: int = 0) -> list[Sentence]:
        """Split a text into tokenised sentences; the first one starts the document unless ``start`` is given.

        Args:
            text: A document or a section of one.
            start: Position of the text's first character in the document, added to every offset.

        Raises:
            TypeError: ``text`` is not a string.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a str (got {type(text).__name__}). Pass one document at a time.")
        find = _pattern(self).finditer
        span = re.Match.span
        sentences: list[Sentence] = []
        for first, last in sentence_ranges(text, newlines=self.newlines):
            offsets = tuple(map(span, find(text, first, last)))
            if not offsets:
                continue
            tokens = tuple([text[a:b] for a, b in offsets])
            if start:
                offsets = tuple([(a + start, b + start) for a, b in offsets])
            starts_document = not (sentences or start)
            sentence = Sentence(
                tokens, offsets, text[first:last], first + start, starts_document=starts_document
            )
            if len(tokens) <= self.longest:
                sentences.append(sentence)
            else:
                sentences.extend(_split_long(sentence, self.longest))
        return sentences

    def words(self, text: str) -> list[str]:
        """Return the tokens of a text, read as one sentence."""
        return _pattern(self).findall(text)

    def settings(self) -> dict[str, bool | str | int]:
        """Return the options as JSON values; ``Tokenizer(**settings)`` builds an equal tokenizer."""
        return dataclasses.asdict(self)


@lru_cache(maxsize=16)
def _pattern(tokenizer: Tokenizer) -> re.Pattern[str]:
    names = [field.name for field in dataclasses.fields(tokenizer) if field.name.startswith("split_")]
    return token_pattern(**{name: getattr(tokenizer, name) for name in names})


def _split_long(sentence: Sentence, length: int) -> Iterator[Sentence]:
    for first in range(0, len(sentence), length):
        offsets = sentence.offsets[first : first + length]
        start, end = offsets[0][0], offsets[-1][1]
        text = sentence.text[start - sentence.text_start : end - sentence.text_start]
        tokens = sentence.tokens[first : first + length]
        starts_document = sentence.starts_document and not first
        yield Sentence(tokens, offsets, text, start, starts_document=starts_document)


def align(text: str, tokens: Sequence[str], *, start: int = 0) -> Sentence:
    """Build a sentence from a text and the tokens of another tokenizer.

    Args:
        text: The sentence's text.
        tokens: Its tokens in the order of the text.
        start: Position of the text's first character in the document.

    Raises:
        InputError: A token is empty or not in the text.
    """
    offsets = []
    position = 0
    for number, token in enumerate(tokens, 1):
        first = text.find(token, position)
        if first < 0 or not token:
            raise InputError(
                f"Token {number}, {token!r}, is not in the text from character {start + position} on. Pass "
                "the tokens unchanged and in the order of the text.",
                code="argument.value",
            )
        position = first + len(token)
        offsets.append((start + first, start + position))
    return Sentence(tuple(tokens), tuple(offsets), text, start)


# Learning the tokenization of a corpus.

_WORD = r"[^\W\d_]+"
_PREFIX = "|".join(sorted(lexicon.PREFIXES))
_SUFFIX = "|".join(sorted(lexicon.SUFFIXES))
_CLITIC = r"['’](?:s|m|d|ll|re|ve)"
_UNIT = "|".join(sorted(lexicon.UNITS))
# A token that an option would have split; the group's name is the option.
_WHOLE = re.compile(
    rf"(?P<split_hyphens>(?!(?:{_PREFIX})-){_WORD}(?:\.{_WORD})*\.?-(?!(?:{_SUFFIX})\Z){_WORD}(?:-{_WORD})*)"
    rf"|(?P<split_slashes>[^\W\d_]{{2,}}/[^\W\d_]{{2,}})"
    rf"|(?P<split_clitics>{_WORD}(?:{_CLITIC}|[nN]['’]t))"
    r"|(?P<split_currency>[A-Z]{0,3}[$£€¥]\d[\d.,]*)"
    r"|(?P<split_percent>\d[\d.,]*%)"
    rf"|(?P<split_units>\d[\d.,:]*(?:{_UNIT}))"
)
_HALVES = {
    tuple(pair.split("|")): option
    for option, pairs in (("split_fused", lexicon.FUSED), ("split_bare_clitics", lexicon.BARE_CLITICS))
    for pair in pairs
}
_FUSED = {left + right: option for (left, right), option in _HALVES.items()}
_INFORMATIVE_WORDS = frozenset(
    [*_FUSED, *(right for _, right in _HALVES), *(unit.lower() for unit in lexicon.UNITS)]
)
_CLITIC_TOKEN = re.compile(rf"{_CLITIC}|n['’]t", re.IGNORECASE)
_BETWEEN_WORDS = {"-": "split_hyphens", "\u2010": "split_hyphens", "/": "split_slashes"}
_NUMBERING = re.compile(r"\d{1,3}\.?")
# Abbreviations that may lose their full stop at the end of a sentence and are not words without it.
_ABBREVIATION = re.compile(r"(?:[^\W\d_](?:\.[^\W\d_])+|etc|Inc|Corp|Ltd|Jr|Sr)\.?")
_CLOSERS = frozenset(["''", *"\"'”’)]}»"])


def learn_convention(sentences: Iterable[Sentence], *, min_votes: int = 3) -> Tokenizer:
    """Learn the options of a tokenizer from tokenised sentences.

    A majority decides each ``split_`` option: unsplit tokens that the option would split, against pairs of
    adjacent tokens that it would produce. Tokens are adjacent if the sentence's text has no space between
    them. If the text has spaces between all tokens, as in files without spacing information, all neighbours
    count as adjacent.

    Args:
        sentences: The training set; it is read once.
        min_votes: An option with fewer votes, or with a tie, keeps its default.
    """
    votes: Counter[tuple[str, bool]] = Counter()
    for sentence in sentences:
        votes.update(_votes(sentence))
        votes.update(_stop_votes(sentence.tokens))
    learnt: dict[str, bool] = {}
    for option in {option for option, _ in votes}:
        split, whole = votes[option, True], votes[option, False]
        if split + whole >= min_votes and split != whole:
            learnt[option] = split > whole
    return dataclasses.replace(Tokenizer(), **learnt)  # type: ignore[arg-type]


def _votes(sentence: Sentence) -> Iterator[tuple[str, bool]]:
    """Yield votes: an option's name, and True if a token was split, False if it was not."""
    tokens, offsets = sentence.tokens, sentence.offsets
    is_adjacent = [left[1] == right[0] for left, right in pairwise(offsets)]
    is_spaced = not any(is_adjacent)
    for index, token in enumerate(tokens):
        if token.isalpha() and token.lower() not in _INFORMATIVE_WORDS:
            continue
        whole = _WHOLE.fullmatch(token)
        option = whole.lastgroup if whole else _FUSED.get(token.lower())
        if option:
            yield option, False
        left = tokens[index - 1] if index and (is_spaced or is_adjacent[index - 1]) else ""
        right = tokens[index + 1] if index < len(is_adjacent) and (is_spaced or is_adjacent[index]) else ""
        option = _split_option(token, left, right)
        # "5 pm" is also written with a space, so it counts only if the text has spacing information.
        if option and not (is_spaced and option == "split_units"):
            yield option, True


def _split_option(token: str, left: str, right: str) -> str | None:
    """Return the option that would split a token from its neighbours, if there is one."""
    if left[-1:].isalpha():
        if _CLITIC_TOKEN.fullmatch(token):
            return "split_clitics"
        if right[:1].isalpha() and token in _BETWEEN_WORDS:
            return _BETWEEN_WORDS[token]
    if left[-1:].isdigit():
        if token == "%":
            return "split_percent"
        if token in lexicon.UNITS:
            return "split_units"
    if token.endswith(("$", "£", "€", "¥")) and right[:1].isdigit():
        return "split_currency"
    return _HALVES.get((left.lower(), token.lower()))


def _stop_votes(tokens: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Yield votes of a number at the start of a sentence and an abbreviation at its end."""
    if len(tokens) > 2 and _NUMBERING.fullmatch(tokens[0]):
        if tokens[0].endswith("."):
            yield "split_numbering", False
        elif tokens[1] == ".":
            yield "split_numbering", True
    end = len(tokens)
    while end > 1 and tokens[end - 1] in _CLOSERS:
        end -= 1
    if end < 2:
        return
    if tokens[end - 1] == ".":
        if _ABBREVIATION.fullmatch(tokens[end - 2]) and not tokens[end - 2].endswith("."):
            yield "split_final_stop", True
    elif tokens[end - 1].endswith(".") and _ABBREVIATION.fullmatch(tokens[end - 1]):
        yield "split_final_stop", False
