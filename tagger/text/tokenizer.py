"""Raw text to sentences of tokens with exact character offsets, and the convention learnt from a corpus."""

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
    """A convention of cutting text into tokens and sentences.

    URLs, e-mail addresses, host and file names, numbers, versions (``v1.2.3``), dates, times, abbreviations,
    acronyms, emoji, smileys, hashtags, mentions and runs of one punctuation mark are one token each;
    brackets, quotes and other punctuation stand alone. Combining marks stay with their letters. Chinese,
    Japanese (Han and Kana), Thai, Lao, Khmer and Burmese are cut into single characters, each with its
    combining marks. Every character but white space, controls and invisible format characters is in some
    token.

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
        split_numbering: The ``1.`` before an item of a list is two tokens.
        split_final_stop: An abbreviation at the end of a sentence gives up its full stop.
        newlines: What a line break means, "wrapped", "boundary" or "space"; see ``sentence_ranges``.
        longest: Tokens of a sentence at most; a longer one is cut there.

    Raises:
        InputError: ``newlines`` or ``longest`` is none of these.
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
                f"The tokenizer's newlines is {self.newlines!r}; use 'wrapped', 'boundary' or 'space'."
            )
        if self.longest < 1:
            raise InputError(f"The tokenizer's longest sentence is {self.longest} tokens; use at least 1.")

    def tokenize(self, text: str, *, start: int = 0) -> list[Sentence]:
        """Cut a text into sentences of tokens.

        Args:
            text: A document or a part of one.
            start: Position of the text's first character in the document; it is added to every offset.
        """
        find = _pattern(self).finditer
        span = re.Match.span
        sentences = []
        for first, last in sentence_ranges(text, newlines=self.newlines):
            offsets = tuple(map(span, find(text, first, last)))
            if not offsets:
                continue
            tokens = tuple([text[a:b] for a, b in offsets])
            if start:
                offsets = tuple([(a + start, b + start) for a, b in offsets])
            sentence = Sentence(tokens, offsets, text[first:last], first + start)
            if len(tokens) <= self.longest:
                sentences.append(sentence)
            else:
                sentences.extend(_cut(sentence, self.longest))
        return sentences

    def words(self, text: str) -> list[str]:
        """Return the tokens of a text, taken as one sentence."""
        return _pattern(self).findall(text)

    def settings(self) -> dict[str, bool | str | int]:
        """Return the options as JSON can hold them; ``Tokenizer(**settings)`` is the same tokenizer."""
        return dataclasses.asdict(self)


@lru_cache(maxsize=16)
def _pattern(tokenizer: Tokenizer) -> re.Pattern[str]:
    names = [field.name for field in dataclasses.fields(tokenizer) if field.name.startswith("split_")]
    return token_pattern(**{name: getattr(tokenizer, name) for name in names})


def _cut(sentence: Sentence, length: int) -> Iterator[Sentence]:
    for first in range(0, len(sentence), length):
        offsets = sentence.offsets[first : first + length]
        start, end = offsets[0][0], offsets[-1][1]
        text = sentence.text[start - sentence.text_start : end - sentence.text_start]
        yield Sentence(sentence.tokens[first : first + length], offsets, text, start)


def align(text: str, tokens: Sequence[str], *, start: int = 0) -> Sentence:
    """Make a sentence of a text and the tokens that another tokenizer found in it, in order.

    Args:
        text: The sentence's text.
        tokens: Its tokens; each must occur in the text after the one before.
        start: Position of the text's first character in the document.

    Raises:
        InputError: A token is empty or not found.
    """
    offsets = []
    position = 0
    for number, token in enumerate(tokens, 1):
        place = text.find(token, position)
        if place < 0 or not token:
            raise InputError(
                f"Token {number}, {token!r}, is not in the text from character {start + position} on; give "
                "the tokens in order and as the text writes them."
            )
        position = place + len(token)
        offsets.append((start + place, start + position))
    return Sentence(tuple(tokens), tuple(offsets), text, start)


# Learning a convention.

_WORD = r"[^\W\d_]+"
_PREFIX = "|".join(sorted(lexicon.PREFIXES))
_SUFFIX = "|".join(sorted(lexicon.SUFFIXES))
_CLITIC = r"['’](?:s|m|d|ll|re|ve)"
_UNIT = "|".join(sorted(lexicon.UNITS))
# A token that shows that something was left whole; the group's name is the option.
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
_TELLING_WORDS = frozenset(
    [*_FUSED, *(right for _, right in _HALVES), *(unit.lower() for unit in lexicon.UNITS)]
)
_CLITIC_TOKEN = re.compile(rf"{_CLITIC}|n['’]t", re.IGNORECASE)
_BETWEEN_WORDS = {"-": "split_hyphens", "\u2010": "split_hyphens", "/": "split_slashes"}
_NUMBERING = re.compile(r"\d{1,3}\.?")
# What may lose its full stop at the end of a sentence and is no word without it.
_STOPPED = re.compile(r"(?:[^\W\d_](?:\.[^\W\d_])+|etc|Inc|Corp|Ltd|Jr|Sr)\.?")
_CLOSERS = frozenset(["''", *"\"'”’)]}»"])


def learn_convention(sentences: Iterable[Sentence], *, least: int = 3) -> Tokenizer:
    """Learn from tokenised sentences how their corpus cuts words.

    Each ``split_`` option is decided by a majority: tokens that hold what the option would have split against
    neighbouring tokens that were split there. Tokens count as neighbours if no space is between them in the
    sentence's text; in a sentence with spaces everywhere, as a file makes it that does not tell, all do.

    Args:
        sentences: The train part; it is read once.
        least: An option with fewer cases than this keeps its default, as it does in a tie.
    """
    votes: Counter[tuple[str, bool]] = Counter()
    for sentence in sentences:
        votes.update(_votes(sentence))
        votes.update(_stop_votes(sentence.tokens))
    learnt: dict[str, bool] = {}
    for option in {option for option, _ in votes}:
        split, whole = votes[option, True], votes[option, False]
        if split + whole >= least and split != whole:
            learnt[option] = split > whole
    return dataclasses.replace(Tokenizer(), **learnt)  # type: ignore[arg-type]


def _votes(sentence: Sentence) -> Iterator[tuple[str, bool]]:
    """Yield an option's name and whether it seems to be on, for each token that tells."""
    tokens, offsets = sentence.tokens, sentence.offsets
    is_near = [left[1] == right[0] for left, right in pairwise(offsets)]
    is_spaced = not any(is_near)
    for place, token in enumerate(tokens):
        if token.isalpha() and token.lower() not in _TELLING_WORDS:
            continue
        whole = _WHOLE.fullmatch(token)
        option = whole.lastgroup if whole else _FUSED.get(token.lower())
        if option:
            yield option, False
        left = tokens[place - 1] if place and (is_spaced or is_near[place - 1]) else ""
        right = tokens[place + 1] if place < len(is_near) and (is_spaced or is_near[place]) else ""
        option = _split_option(token, left, right)
        # "5 pm" is also written with a space, so only a text that shows spaces tells.
        if option and not (is_spaced and option == "split_units"):
            yield option, True


def _split_option(token: str, left: str, right: str) -> str | None:
    """Return the option that parted a token from its neighbours, if one did."""
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
    """Yield what the number at a sentence's beginning and the abbreviation at its end tell."""
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
        if _STOPPED.fullmatch(tokens[end - 2]) and not tokens[end - 2].endswith("."):
            yield "split_final_stop", True
    elif tokens[end - 1].endswith(".") and _STOPPED.fullmatch(tokens[end - 1]):
        yield "split_final_stop", False
