"""The regular expression that matches the tokens of a text.

It is a list of alternatives, tried in order at each token's first character. The first few match most tokens
of running text quickly, and match nothing that later ones would match differently. Every repetition is
possessive or bounded, and so is everything that can fail after a repetition. The run time is therefore linear
in the length of any text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from tagger.text import lexicon

# Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Kana and Han.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3041-\u3096\u309d-\u309f"
    "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W\d_{_UNSPACED}]"
_WORD = rf"[^\W{_UNSPACED}]"  # letters, digits, underscore
_END = r"(?!\w)"
_HYPHEN = r"[\-\u2010\u2011]"
_APOSTROPHE = "['\u2019`\u00b4\u02bc\uff07]"
_CLITIC = rf"(?:[sSmMdD]|ll|LL|re|RE|ve|VE){_END}"
_CURRENCY = "[$\u00a2-\u00a5\u20a0-\u20cf]"
_AMOUNT = r"\d++(?:[.,:/]\d++)*+"
_PICTURE = (
    "[\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u27bf\u2934\u2935\u2b05-\u2b55\u3030\u303d"
    "\u3297\u3299\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff]"
)
_PICTURE_MODIFIER = "[\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
# Control characters and invisible format characters, which are not tokens by themselves.
_INVISIBLE = (
    "\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
    "\ufff9-\ufffb"
)


@lru_cache(maxsize=16)
def token_pattern(
    *,
    split_hyphens: bool,
    split_slashes: bool,
    split_clitics: bool,
    split_bare_clitics: bool,
    split_fused: bool,
    split_currency: bool,
    split_percent: bool,
    split_units: bool,
    split_numbering: bool,
    split_final_stop: bool,
) -> re.Pattern[str]:
    """Compile the token pattern for these options; ``Tokenizer`` describes them.

    The end of the searched region counts as the end of a sentence. Before the start of the region, the
    pattern checks only for a space or bracket.
    """
    mark = _marks()
    apostrophe = rf"{_APOSTROPHE}(?!{_CLITIC})" if split_clitics else _APOSTROPHE
    inner = rf"(?:{apostrophe}{'' if split_slashes else '|/'})(?={_LETTER})"
    rest = rf"(?:{_WORD}++|{mark}++|{inner}|(?<=\d)\.(?=\d))*+"  # the last for "v1.2.3"
    # Continuation after a hyphen if hyphens are not split: "-based", "-U.S.", "-1.5".
    continuation = rf"(?:(?:{_LETTER}\.){{2,}}+|{_WORD}(?:{_WORD}++|{mark}++|[.,/]\d|{inner})*+)"
    hyphenated = "" if split_hyphens else rf"(?:{_HYPHEN}{continuation})*+"
    final = r"(?![\"'\u201d\u2019)\]}\u00bb]*\Z)" if split_final_stop else ""
    units = rf"(?=(?:{_any_of(lexicon.UNITS)}){_END})|" if split_units else ""
    before = "" if split_currency else rf"(?:[A-Z]{{0,3}}{_CURRENCY})?+"
    after = "%?+"
    if split_percent:  # "80%-owned" is one token if hyphens are not split
        after = "" if split_hyphens else rf"(?:%(?={_HYPHEN}{_LETTER}))?+"
    alternatives = [
        *_halves(split_fused * lexicon.FUSED + split_bare_clitics * lexicon.BARE_CLITICS),
        *_plain(),
        *_abbreviated(final, hyphenated, split_clitics=split_clitics),
        rf"[{_UNSPACED}]{mark}*+",
        "[\\d#*]\ufe0f?\u20e3",  # keycaps
        *([] if split_numbering else [r"\d{1,3}\.(?=\s)"]),
        *(
            _hyphenated_numbers()
            if split_hyphens
            else [rf"[-+](?<![^\s(][-+]){_AMOUNT}{after}{_END}{hyphenated}"]
        ),
        rf"{before}{_AMOUNT}(?:{units}(?:{_WORD}{mark}*+)*+{after}{hyphenated})",
        rf"\.\d++(?!\w|\.\d){after}",
        *(_clitics() if split_clitics else []),
        *_words(rest, hyphenated, split_hyphens=split_hyphens),
        *_pictures(),
        *_punctuation(),
        rf"[^\s{_INVISIBLE}]{mark}*+",
    ]
    # The lookahead keeps ``re`` from trying every alternative at every space.
    return re.compile(rf"(?!\s)(?:{'|'.join(alternatives)})")


@lru_cache(maxsize=1)
def _marks() -> str:
    """Return a class of characters that extend the previous one: combining marks and zero-width joiners.

    The class is the complement of all other characters, because ``re`` then rejects a Latin letter or a space
    in one comparison.
    """
    # Unicode has assigned no marks elsewhere.
    codes = [*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)]
    marks = [code for code in codes if unicodedata.category(chr(code))[0] == "M" or code in (0x200C, 0x200D)]
    others = []
    previous = 0
    for code in [0xAD, *marks, 0x110000]:
        if code > previous:
            others.append(f"{re.escape(chr(previous))}-{re.escape(chr(code - 1))}")
        previous = code + 1
    return f"[^{''.join(others)}]"


def _any_of(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=lambda word: (-len(word), word)))


def _by_first_letter(words: Iterable[tuple[str, str]]) -> list[str]:
    """Return one alternative per first letter, which ``re`` rejects in one comparison.

    Args:
        words: Pairs of a word and the pattern that must follow it.
    """
    groups: dict[str, list[str]] = {}
    for word, following in sorted(words, key=lambda pair: (-len(pair[0]), pair)):
        groups.setdefault(word[0], []).append(re.escape(word[1:]) + following)
    return [f"{first}(?:{'|'.join(rest)})" for first, rest in groups.items()]


def _halves(fused: Iterable[str]) -> list[str]:
    """Return patterns of the first halves of contractions; the second halves then match as plain words."""
    halves = []
    for pair in fused:
        left, right = pair.split("|")
        for a, b in {(left, right), (left.capitalize(), right), (left.upper(), right.upper())}:
            halves.append((a, rf"(?={b}(?!{_APOSTROPHE}|\w))"))
    return _by_first_letter(halves)


def _plain() -> list[str]:
    """Return patterns of plain words and common punctuation: most of a text."""
    return [
        r"[A-Za-z]++(?=[ ,\r\n;?!)\"])",
        r"[.,](?=[ \r\n]|\Z)|[(\"](?=[A-Za-z])|[)\"](?=[ \r\n,])",
    ]


def _abbreviated(final: str, more: str, *, split_clitics: bool) -> list[str]:
    known = [(word, rf"\.(?![a-z]){final}") for word in lexicon.TITLES | lexicon.ABBREVIATIONS]
    numbered = [(word, r"\.(?=\s?\d)") for word in lexicon.NUMBERED]
    hyphenated = rf"[A-Z][a-z]{{1,5}}\.(?=-[a-z]){more}"
    possessive = rf"|['\u2019][sS]{_END}" if split_clitics else ""
    return [
        *([hyphenated] if more else []),
        *_by_first_letter(known + numbered),
        # A plain word before a full stop; abbreviations matched above.
        rf"[A-Za-z][A-Za-z]++(?=\.(?:[\s\"]|\Z)|:\s{possessive})",
        *_addresses(),
        # Bounded, or a long run that fails at its end would be read again from each of its letters.
        rf"(?:{_LETTER}\.){{2,9}}+{final}{_END}{more}|{_LETTER}(?:\.{_LETTER}){{1,9}}+{_END}",
        rf"[A-Z]\.(?=\s[^\W\d_]){final}",
    ]


def _addresses() -> list[str]:
    inside = rf"[^\s<>\"'`.,;:!?()\[\]{{}}\u2018-\u201f\u2026\u3000-\u303f{_UNSPACED}]"
    tail = rf"(?:{inside}++|['.,;:!?()\[\]]++(?={inside}))++"
    first = rf"[^\W_{_UNSPACED}]"
    known = _any_of(
        {form for word in lexicon.DOMAINS | lexicon.FILE_SUFFIXES for form in (word, word.upper())}
    )
    return [
        rf"(?=[\w.+%-]{{1,64}}+@\w){first}[\w.+%-]*+@(?:[\w-]{{1,63}}+\.(?=\w)){{0,9}}+[\w-]{{1,63}}+",
        rf"(?=[A-Za-z]{{2,10}}+:)(?:[A-Za-z]++://|(?:mailto|MAILTO):){tail}",
        rf"[wW](?=[wW]{{2}}\d?\.\w)[wW]{{2}}\d?\.{tail}",
        rf"(?=[\w-]{{1,63}}+\.\w){first}[\w-]*+\.(?:[\w-]{{1,63}}+\.(?=\w)){{0,8}}?"
        rf"(?:{known})(?![\w-])(?:[/?#]{tail})?+",
        # Dotted names, such as newsgroups.
        rf"(?=[a-z\d-]{{2,20}}+\.[a-z\d]{{2}})[a-z][a-z\d-]*+(?:\.[a-z\d][a-z\d-]*+){{2,6}}+{_END}",
        rf"\.(?:{_any_of(lexicon.FILE_SUFFIXES)}){_END}",
    ]


def _hyphenated_numbers() -> list[str]:
    """Return patterns of dates, telephone numbers, US postal codes and +44, if hyphens are split."""
    date = r"\d{1,4}-\d{1,2}-\d{1,4}"
    telephone = r"(?:\d-)?\d{3}-(?:\d{3}-)?\d{4}"
    return [
        rf"(?=\d[\d-]{{5}})(?:{date}|{telephone}|\d{{5}}-\d{{4}})(?![\w-])",
        r"\+(?<![^\s(]\+)\d++(?![\w.,%])",
    ]


def _clitics() -> list[str]:
    return [
        rf"{_APOSTROPHE}{_CLITIC}",
        rf"[nN]{_APOSTROPHE}[tT]{_END}",
        rf"(?=[A-Za-z]{{2,21}}+{_APOSTROPHE}[tT]{_END})[A-Za-z]{{1,20}}?(?=[nN]{_APOSTROPHE})",
    ]


def _words(rest: str, more: str, *, split_hyphens: bool) -> list[str]:
    suffix = ""
    prefixed = []
    if split_hyphens:
        prefixed = [
            rf"(?=[A-Za-z]{{1,7}}+-\w)(?:{_any_of(lexicon.PREFIXES)})-(?:(?:{_LETTER}\.){{2,9}}+|(?={_LETTER}|\d\d){rest})"
        ]
        suffix = rf"(?:-(?:{_any_of(lexicon.SUFFIXES)}){_END})?+"
    return [
        *prefixed,
        rf"(?=[A-Z]{{1,5}}+&[A-Z])[A-Z]++(?:&[A-Z]++){{1,5}}+{_END}{more}",
        r"[A-Z](?=[A-Z]{0,2}\$(?![A-Za-z]))[A-Z]*+\$",
        rf"{_LETTER}{rest}{suffix}{more}",
        rf"['\u2019]n['\u2019]{_END}|['\u2019](?:(?:{_any_of(lexicon.ELIDED)}){_END}|\d\ds?{_END})",
    ]


def _pictures() -> list[str]:
    """Return patterns of hashtags, mentions, smileys, flags and emoji sequences (Unicode TR 51)."""
    return [
        r"[#@](?=\w{0,30}[A-Za-z])\w++",
        r"[<>]?[:;=8][-^o*'][)(\]\[dDpPoO/\\|*@}{]++(?!\w)",
        r"[:;=](?:[)(\]\[]{1,3}|[DPpoO3*|]|[/\\](?=\s|\Z))(?!\w)|</?3(?!\w)|\(-?[:;](?!\w)|\^_*+\^|-_++-|¯\\_\(ツ\)_/¯",
        "[\U0001f1e6-\U0001f1ff]{2}",
        rf"{_PICTURE}{_PICTURE_MODIFIER}*+(?:\u200d{_PICTURE}{_PICTURE_MODIFIER}*+)*+",
    ]


def _punctuation() -> list[str]:
    """Return patterns of runs of one mark, arrows and two-character quotes."""
    return [
        r"[.!?\u2026\u3002\uff01\uff1f]{2,}+|-{2,}+|={2,}+|\*{2,}+|_{2,}+|~{2,}+|\+{2,}+|#{2,}+|<{2,}+|>{2,}+",
        r"''|\u2018\u2019|\u2019\u2019|``|[-=]{1,2}>|<[-=]{1,2}",
    ]
