"""Repair misspelled span tags: ``B_PER``, ``PER-B``, ``b-per``, ``o`` for ``O``, and bare labels."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from tagger.text.schemes import is_span_tag, split_tag
from tagger.text.sentence import UNKNOWN_TAG

_PREFIX = "[BIESLUM]"
# Separators that corpora use in place of the hyphen-minus, including Unicode dashes.
_SEPARATORS = "_:/.|=+~\\ \u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"
_OUTSIDE = frozenset(["o", "0", "\u041e", "\u043e", "\u039f", "\u03bf", "\uff2f", "\uff4f", "OUT", "OUTSIDE"])
_LONE_OUTSIDE = _OUTSIDE | frozenset(
    ["_", "-", "*", ".", "OTHER", "NONE", "NULL", "other", "none", "null", "N"]
)
# Tags that replace ``O`` in a column of labels without a prefix.
_BARE_OUTSIDE = _OUTSIDE | frozenset(["OTHER", "NONE", "NULL", "other", "none", "null"])
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_LOOKALIKES = str.maketrans("\u0412\u0406\u0415\u0405\u041c\u039f\u0392\u0399\u0395\u041e", "BIESMOBIEO")
_WORDS = {  # prefixes that are written out
    "b": ("beg", "begin", "beginning", "start"),
    "i": ("in", "inside", "inner", "mid", "middle"),
    "e": ("end", "last"),
    "s": ("single", "unit"),
}
_WORD_PREFIXES = {word: prefix.upper() for prefix, words in _WORDS.items() for word in words}
_WORD_TAG = re.compile(rf"({'|'.join(_WORD_PREFIXES)})[-{re.escape(_SEPARATORS)}](.+)", re.IGNORECASE)
_BRACKETS = re.compile(r"\([^()*\s]+(?:\*?\))?\*?|\*\)?")

_MAX_LABELS = 100  # labels without a prefix
_MAX_TAGS = 1_000  # a column with more distinct values does not hold span tags

# Universal Dependencies, and the Penn Treebank (Marcus et al. 1993) with the tags that EWT and OntoNotes add.
_UPOS = "ADJ ADP ADV AUX CCONJ CONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
_PENN = (
    "CC CD DT EX FW IN JJ JJR JJS LS MD NN NNS NNP NNPS PDT POS PRP PRP$ RB RBR RBS RP SYM TO UH VB VBD VBG "
    "VBN VBP VBZ WDT WP WP$ WRB ADD AFX GW HYPH NFP NN|SYM XX . , : ; ( ) `` '' \" # $ -LRB- -RRB-"
)
_PARTS_OF_SPEECH = frozenset(f"{_UPOS} {_PENN}".split())


def are_parts_of_speech(counts: Mapping[str, int]) -> bool:
    """True if most values are parts of speech of Universal Dependencies or the Penn Treebank.

    Args:
        counts: Frequency of each value of a column.
    """
    return 2 * sum(count for tag, count in counts.items() if tag in _PARTS_OF_SPEECH) > sum(counts.values())


def are_bare_labels(counts: Mapping[str, int]) -> bool:
    """True if the tags are ``O`` and span labels without a prefix, as in the format of Stanford's CRF.

    Parts of speech do not count. Single-character tags count only if ``O`` is the most frequent tag: the tag
    set for tweets (Gimpel et al. 2011) writes ``O`` for pronouns.

    Args:
        counts: Frequency of each tag of a column.
    """
    labels = counts.keys() - {"O"}
    if "O" not in counts or not labels or any(tag[1:2] == "-" or is_span_tag(tag) for tag in labels):
        return False
    is_outside_usual = counts["O"] == max(counts.values())
    is_named = all(len(label) > 1 for label in labels)
    return (is_outside_usual or is_named) and not are_parts_of_speech(counts)


def find_outside(counts: Mapping[str, int]) -> str | None:
    """Return the tag that replaces ``O`` in a column of labels without a prefix, such as ``OTHER``, or None.

    Labels may contain lower-case letters only if at least half of the tokens are outside of spans.

    Args:
        counts: Frequency of each tag of the column.
    """
    outside = [tag for tag in counts if tag in _BARE_OUTSIDE]
    labels = counts.keys() - set(outside)
    if "O" in counts or len(outside) != 1 or not 0 < len(labels) <= _MAX_LABELS:
        return None
    is_usual = 2 * counts[outside[0]] >= sum(counts.values())
    pattern = re.compile(r"[^\W\d_][\w -]+" if is_usual else r"[A-Z][A-Z0-9_-]+")
    if are_parts_of_speech(counts) or any(is_span_tag(tag) or not pattern.fullmatch(tag) for tag in labels):
        return None
    return outside[0]


def are_brackets(tags: Collection[str]) -> bool:
    """True if the tags are spans in brackets as in CoNLL-2012: ``(PER)``, ``(PER*``, ``*`` and ``*)``.

    Args:
        tags: The distinct tags of a column.
    """
    return any(tag[0] == "(" for tag in tags) and all(map(_BRACKETS.fullmatch, tags)) and "*" in tags


def mixes_prefixes(counts: Mapping[str, int]) -> tuple[str, str] | None:
    """Return a tag with a prefix and one without, if a column of span tags mixes both.

    Args:
        counts: Frequency of each tag of the column.
    """
    foreign = [tag for tag in counts if not is_span_tag(tag)]
    labelled = [tag for tag in counts if "-" in tag and is_span_tag(tag)]
    if "O" not in counts or not labelled or not 0 < len(foreign) <= _MAX_TAGS:
        return None
    return None if are_parts_of_speech(counts) else (labelled[0], foreign[0])


def add_prefixes(tags: Collection[str]) -> tuple[str, ...]:
    """Convert bare labels to IO tags, so that a run of one label is one span."""
    return tuple([tag if tag in ("O", UNKNOWN_TAG) else f"I-{tag}" for tag in tags])


def respell(tag: str) -> str | None:
    """Return the corrected spelling of a span tag; None if the tag is correct or cannot be corrected."""
    clean = _without_invisible(tag)
    if clean or is_span_tag(tag):
        return clean
    if tag in _OUTSIDE:
        return "O"
    return next(filter(None, (replace.get(tag) for replace in _respellings([tag]))), None)


def find_respelling(tags: Collection[str]) -> tuple[str, str] | None:
    """Find one replacement that turns all tags into span tags, for example ``_`` to ``-`` for ``B_PER``.

    If no tag is ``O``, one other tag may represent it.

    Args:
        tags: The distinct tags of a column.

    Returns:
        A misspelled tag and its correct spelling; None if all tags are span tags or no single replacement
        corrects all of them.
    """
    for tag in tags:
        clean = _without_invisible(tag)
        if clean:
            return tag, clean
    foreign = [tag for tag in tags if not is_span_tag(tag)]
    if not foreign or len(foreign) > _MAX_TAGS:
        return None
    outside = [tag for tag in foreign if tag in _OUTSIDE]
    if not outside and "O" not in tags:
        outside = [tag for tag in foreign if tag in _LONE_OUTSIDE][:1]
    misspelled = [tag for tag in foreign if tag not in outside]
    labelled = [tag for tag in tags if is_span_tag(tag) and "-" in tag]
    if not misspelled:
        return (outside[0], "O") if labelled else None
    for replaced in _respellings(misspelled):
        if len(replaced) == len(misspelled):
            return misspelled[0], replaced[misspelled[0]]
    return None


def _without_invisible(tag: str) -> str | None:
    """Return a span tag without the white space and invisible characters at its ends, if it has any."""
    clean = tag.strip().strip(_INVISIBLE).strip()
    return clean if clean != tag and clean and is_span_tag(clean) else None


def _respellings(tags: Collection[str]) -> Iterator[dict[str, str]]:
    """Yield for each replacement the tags that it corrects, with their new spelling."""
    for separator in map(re.escape, _SEPARATORS):
        yield _rewrite(tags, rf"({_PREFIX}){separator}(.+)", r"\1-\2")
    for separator in map(re.escape, "-" + _SEPARATORS):
        yield _rewrite(tags, rf"(.+){separator}({_PREFIX})", r"\2-\1")
    yield {tag: tag[0].upper() + tag[1:] for tag in tags if re.fullmatch(r"[biesulm]-.+", tag)}
    yield {tag: latin for tag in tags if is_span_tag(latin := tag.translate(_LOOKALIKES))}
    words = {tag: match for tag in tags if (match := _WORD_TAG.fullmatch(tag))}
    if len({match[1].lower() for match in words.values()}) > 1:
        yield {tag: f"{_WORD_PREFIXES[match[1].lower()]}-{match[2]}" for tag, match in words.items()}
    joined = _rewrite(tags, rf"({_PREFIX})([A-Z][A-Za-z]+)", r"\1-\2")
    labels = [split_tag(tag)[1] for tag in joined.values()]
    if len(set(labels)) < len(labels):  # a label with two prefixes does not occur by chance
        yield joined


def _rewrite(tags: Collection[str], pattern: str, replacement: str) -> dict[str, str]:
    compiled = re.compile(pattern)
    return {tag: compiled.sub(replacement, tag) for tag in tags if compiled.fullmatch(tag)}
