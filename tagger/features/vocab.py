"""Vocabularies: ids of words, characters, casings and tags, built from the training set only; immutable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from itertools import accumulate
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, ConfigDict, FailFast, Field, StrictBool, StrictInt, TypeAdapter

from tagger.features.word_forms import DIGIT, LONGEST_WORD, affixes_of, shapes_of
from tagger.text.schemes import (
    allowed_transitions,
    convert_tags,
    possible_tags,
    spans_to_tags,
    split_tag,
    tags_to_spans,
)
from tagger.text.sentence import UNKNOWN_TAG, UNSPECIFIED, Sentence

PADDING = 0
UNKNOWN = 1
SPECIAL = ("<padding>", "<unknown>")  # names of these two ids; tokens never match them
_FORBID_UNKNOWN = ConfigDict(extra="forbid")
_Strings = Annotated[tuple[str, ...], FailFast()]  # a damaged file can have many invalid items


def _require_unique(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValueError(f"must contain {Counter(values).most_common(1)[0][0]!r} only once")
    return values


def _require_special(values: tuple[str, ...]) -> tuple[str, ...]:
    if values[: len(SPECIAL)] != SPECIAL:
        raise ValueError(f"must begin with {' and '.join(SPECIAL)}")
    return values


def _require_single_characters(characters: tuple[str, ...]) -> tuple[str, ...]:
    if any(len(character) != 1 for character in characters[len(SPECIAL) :]):
        raise ValueError("must be single characters")
    return _require_unique(characters)


def _require_scheme(task: Task) -> Task:
    if task.scheme not in (None, "BIOES", "IOB2"):
        raise ValueError("must have the scheme BIOES, IOB2 or null")
    if task.scheme:
        is_complete = len(task.tags) > 1 and task.tags == span_tags(task.tags, task.scheme)
    else:
        is_complete = len(task.tags) > 0 and "" not in task.tags
    if not is_complete:
        raise ValueError("must have tags that match its scheme")
    return task


def _require_consistent(vocabulary: Vocabulary) -> Vocabulary:
    try:
        _require_unique((*vocabulary.words[len(SPECIAL) :], *vocabulary.frozen_words))
    except ValueError as error:
        raise ValueError(f"words and frozen_words {error}") from None
    if len({task.name for task in vocabulary.tasks}) < len(vocabulary.tasks):
        raise ValueError("tasks must have different names")
    if vocabulary.n_frequent > len(vocabulary.words):
        raise ValueError("n_frequent must be at most the number of words")
    return vocabulary


@dataclass(frozen=True)
class Task:
    """A tagging task: one column of tags. Also the schema of a task in ``vocab.json``.

    Attributes:
        name: The column's name, for instance ``"ner"``.
        tags: All C tags; a tag's id is its index.
        scheme: Scheme of span tags (``"BIOES"``); None for tasks with one tag per token (POS).
    """

    name: Annotated[str, Field(min_length=1)]
    tags: Annotated[_Strings, AfterValidator(_require_unique)]
    scheme: str | None

    __pydantic_config__ = _FORBID_UNKNOWN

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone: cached mappings cannot be pickled."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """Mapping from tag string to id."""
        return MappingProxyType({tag: number for number, tag in enumerate(self.tags)})

    def encode(self, tags: Sequence[str], source: str | None) -> list[int]:
        """Return the ids of one sentence's tags; -1 for a tag that the task does not have or that is open.

        A tag is open if ``encode_allowed`` returns several: most unknown tags (``?``), and tags next to them.
        In a task without spans, ``?`` must be replaced before (see ``Sentence.without_unknown``).

        Args:
            tags: The tags from the file.
            source: The scheme of the tags; None for tags that do not encode spans.
        """
        if source and self.scheme and UNKNOWN_TAG in tags:
            return [int(row.argmax()) if row.sum() == 1 else -1 for row in self.encode_allowed(tags, source)]
        converted = convert_tags(tags, source, self.scheme) if source and self.scheme else tags
        return [self.ids.get(tag, -1) for tag in converted]

    def encode_allowed(self, tags: Sequence[str], source: str | None) -> NDArray[np.bool_]:
        """Return (T, C): True for each tag that a token may have, given that a tag ``?`` may be any tag.

        These are the tags of all legal sequences that agree with the known tags, as a loss over incomplete
        annotation needs them (Tsuboi et al. 2008, section 3). Where no tag is unknown, each token has one
        tag; next to ``?`` a tag may have several prefixes (see ``text.schemes.possible_tags``). A token whose
        tag the task does not have may have any tag.

        Args:
            tags: The T tags of one sentence from the file.
            source: The scheme of the tags; None for tags that do not encode spans.
        """
        allowed = np.zeros((len(tags), len(self.tags)), np.bool_)
        if source and self.scheme and UNKNOWN_TAG in tags:
            labels = {split_tag(tag)[1] for tag in self.tags}
            known = [tag if tag == UNKNOWN_TAG or split_tag(tag)[1] in labels else "O" for tag in tags]
            options = possible_tags(known, source, self.tags, self.scheme)
            for row, here, old, new in zip(allowed, options, tags, known, strict=True):
                row[[self.ids[tag] for tag in here]] = True
                row |= old != new
            return allowed
        for row, tag_id in zip(allowed, self.encode(tags, source), strict=True):
            row[tag_id if tag_id >= 0 else slice(None)] = True
        return allowed

    def allowed(self) -> tuple[list[list[bool]], list[bool], list[bool]]:
        """Return the legal transitions (C, C; from, to), start tags (C,) and end tags (C,)."""
        return allowed_transitions(self.tags, self.scheme)


@dataclass(frozen=True)
class Vocabulary:
    """Ids of words and characters. Also the schema of ``vocab.json`` (see ``restore_vocabulary``).

    A word id below ``len(words)`` is an index into the trainable word vectors (0 padding, 1 unknown). A
    higher id minus ``len(words)`` is an index into the frozen vectors, for words that occur only in the
    vectors file.

    Attributes:
        words: Normalised words of the training set (see ``normalise``), after the two special words.
        frozen_words: Words of the vectors file that are not in the training set.
        characters: Characters of the training set, after the two special ones.
        tasks: The tagging tasks.
        lowercase: True if words are lowercased.
        fold_digits: True if every digit is replaced by ``0``.
        affixes: Affixes that have an embedding, each after the index of its kind in ``AFFIXES``, as in
            ``4ng``; an affix's id is its index + 1. Empty for models without affixes.
        shapes: Shapes of the training set, as in ``0Xxxx`` and ``1Xx``; a shape's id is its index + 1. Empty
            for models without a linear part.
        n_frequent: Number of the most frequent words that together make up at most half of the training
            set's tokens; ``words`` is sorted by frequency.
    """

    words: Annotated[_Strings, AfterValidator(_require_special)]
    characters: Annotated[
        _Strings, AfterValidator(_require_special), AfterValidator(_require_single_characters)
    ]
    tasks: Annotated[
        tuple[Annotated[Task, AfterValidator(_require_scheme)], ...], FailFast(), Field(min_length=1)
    ]
    lowercase: StrictBool
    fold_digits: StrictBool
    frozen_words: _Strings = field(default=(), repr=False)
    n_frequent: Annotated[StrictInt, Field(ge=0)] = 0
    affixes: Annotated[_Strings, AfterValidator(_require_unique)] = field(default=(), repr=False)
    shapes: Annotated[_Strings, AfterValidator(_require_unique)] = field(default=(), repr=False)

    __pydantic_config__ = _FORBID_UNKNOWN

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone: cached mappings cannot be pickled."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @cached_property
    def word_ids(self) -> Mapping[str, int]:
        """Mapping from words to ids, without the two special words."""
        ids = {word: number for number, word in enumerate(self.frozen_words, start=len(self.words))}
        ids.update((word, number) for number, word in enumerate(self.words) if number > UNKNOWN)
        return MappingProxyType(ids)

    @cached_property
    def character_ids(self) -> Mapping[str, int]:
        """Mapping from characters to ids, without the two special ones."""
        return MappingProxyType({c: n for n, c in enumerate(self.characters) if n > UNKNOWN})

    @cached_property
    def affix_ids(self) -> Mapping[str, int]:
        """Mapping from ``affixes`` to ids."""
        return MappingProxyType({affix: number for number, affix in enumerate(self.affixes, start=1)})

    @cached_property
    def shape_ids(self) -> Mapping[str, int]:
        """Mapping from ``shapes`` to ids."""
        return MappingProxyType({shape: number for number, shape in enumerate(self.shapes, start=1)})

    @cached_property
    def frequent_forms(self) -> frozenset[str]:
        """The most frequent words of the training set in lower case, excluded from document context."""
        return frozenset(word.lower() for word in self.words[len(SPECIAL) : len(SPECIAL) + self.n_frequent])

    def normalise(self, token: str) -> str:
        """Return the form of a token for the lookup in the vocabulary."""
        if self.lowercase:
            token = token.lower()
        return DIGIT.sub("0", token) if self.fold_digits else token

    def word_id(self, token: str) -> int:
        """Return the id of a token: normalised, else in lower case, else with folded digits, else unknown."""
        form = self.normalise(token)
        for candidate in (form, form.lower(), DIGIT.sub("0", form.lower())):
            number = self.word_ids.get(candidate)
            if number is not None:
                return number
        return UNKNOWN

    def is_seen(self, token: str) -> bool:
        """True if the token's normalised form occurs in the training set."""
        return UNKNOWN < self.word_ids.get(self.normalise(token), UNKNOWN) < len(self.words)

    def mark_seen(self, sentences: Iterable[Sentence]) -> list[list[bool]]:
        """Return for each sentence and token True if the training set has the word (see ``is_seen``)."""
        return [[self.is_seen(token) for token in sentence.tokens] for sentence in sentences]

    def word_characters(self, token: str) -> list[int]:
        """Return the character ids of a token, at most ``LONGEST_WORD``."""
        if len(token) > LONGEST_WORD:
            token = token[: LONGEST_WORD // 2] + token[-LONGEST_WORD // 2 :]
        ids = self.character_ids
        return [ids.get(character, UNKNOWN) for character in token]

    def word_affixes(self, token: str) -> list[int]:
        """Return a token's id of each kind of affix in ``AFFIXES``; ``PADDING`` for unknown affixes."""
        ids = self.affix_ids
        return [ids.get(affix, PADDING) for affix in affixes_of(token)]

    def word_shapes(self, token: str) -> list[int]:
        """Return the ids of a token's shapes (see ``shapes_of``); ``PADDING`` for unknown shapes."""
        ids = self.shape_ids
        return [ids.get(shape, PADDING) for shape in shapes_of(token)]

    def with_frozen_words(self, words: Sequence[str]) -> Vocabulary:
        """Return a copy with these words of a vectors file as frozen words."""
        return replace(self, frozen_words=tuple(words))


def restore_vocabulary(values: Mapping[str, Any]) -> Vocabulary:
    """Build a vocabulary from JSON values, the result of ``dataclasses.asdict``.

    Raises:
        ValidationError: A value is missing, unknown or invalid.
    """
    return _adapter().validate_python(values)


@cache
def _adapter() -> TypeAdapter[Vocabulary]:
    return TypeAdapter(Annotated[Vocabulary, AfterValidator(_require_consistent)])


def build_vocabulary(
    sentences: Sequence[Sentence],
    schemes: Mapping[str, str | None],
    *,
    scheme: str,
    lowercase: bool,
    fold_digits: bool,
    affix_min_words: int = 0,
    has_shapes: bool = False,
) -> tuple[Vocabulary, frozenset[int]]:
    """Build the vocabulary of a training set.

    Args:
        sentences: The training set; every sentence has tags for all tasks of ``schemes``.
        schemes: For each task the scheme of its tags; None for tags that do not encode spans.
        scheme: The scheme of the model's span tags.
        lowercase: True to lowercase words.
        fold_digits: True to replace every digit by ``0``.
        affix_min_words: Minimum number of distinct lower-cased words with an affix of the vocabulary; 0 for
            no affixes.
        has_shapes: True to collect shapes.

    Returns:
        The vocabulary, and the ids of words that occur exactly once.
    """
    empty = Vocabulary((), (), (), lowercase, fold_digits)
    counts = Counter(empty.normalise(token) for sentence in sentences for token in sentence.tokens)
    characters = Counter(character for sentence in sentences for character in "".join(sentence.tokens))
    vocabulary = Vocabulary(
        words=SPECIAL + tuple(word for word, _ in counts.most_common()),
        characters=SPECIAL + tuple(character for character, _ in characters.most_common()),
        tasks=tuple(_collect_task(sentences, name, source, scheme) for name, source in schemes.items()),
        lowercase=lowercase,
        fold_digits=fold_digits,
        n_frequent=_count_frequent([count for _, count in counts.most_common()]),
        affixes=_collect_affixes(sentences, affix_min_words) if affix_min_words else (),
        shapes=_collect_shapes(sentences) if has_shapes else (),
    )
    singletons = frozenset(
        number for number, word in enumerate(vocabulary.words) if number > UNKNOWN and counts[word] == 1
    )
    return vocabulary, singletons


def _collect_affixes(sentences: Iterable[Sentence], min_words: int) -> tuple[str, ...]:
    words = dict.fromkeys(token.lower() for sentence in sentences for token in sentence.tokens)
    counts = Counter(affix for word in words for affix in affixes_of(word))
    return tuple(affix for affix, count in counts.most_common() if count >= min_words)


def _collect_shapes(sentences: Iterable[Sentence]) -> tuple[str, ...]:
    words = dict.fromkeys(token for sentence in sentences for token in sentence.tokens)
    return tuple(dict.fromkeys(shape for word in words for shape in shapes_of(word)))


def _count_frequent(counts: Sequence[int]) -> int:
    """Return the number of most frequent words that make up at most half of all tokens."""
    half = sum(counts) / 2
    return sum(total <= half for total in accumulate(counts))


def _collect_task(sentences: Iterable[Sentence], name: str, source: str | None, scheme: str) -> Task:
    if source is None:
        counts = Counter(tag for sentence in sentences for tag in sentence.tags[name] if tag != UNSPECIFIED)
        return Task(name, tuple(tag for tag, _ in counts.most_common()), None)
    counts = Counter(
        tag
        for sentence in sentences
        for tag in spans_to_tags(tags_to_spans(sentence.tags[name], source), len(sentence), scheme)
    )
    return Task(name, span_tags(counts, scheme), scheme)


def span_tags(tags: Iterable[str], scheme: str) -> tuple[str, ...]:
    """Return O and every prefix of the scheme with each label of these tags, to encode every legal span."""
    labels = sorted({tag.partition("-")[2] for tag in tags if tag != "O"})
    prefixes = ("B", "I", "E", "S") if scheme == "BIOES" else ("B", "I")
    return ("O", *(f"{prefix}-{label}" if label else prefix for label in labels for prefix in prefixes))
