"""Convert between dataset rows and sentences, and find the features that hold tokens, tags and text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tagger.corpus.alignment import locate
from tagger.corpus.columns import TOKEN, parse_features
from tagger.corpus.reading import Reading
from tagger.corpus.records import GOLD_KEYS, SPAN_LISTS
from tagger.corpus.token_records import (
    NO_NAMES,
    PLAIN_TAGS,
    is_tag_name,
    name_of,
    possible_tag_names,
    task_of,
)
from tagger.errors import InputError
from tagger.text.sentence import Sentence, from_tokens

TAGS_SUFFIX = "_tags"
EXTRAS: Mapping[str, object] = {
    "text": "string",
    "token_offsets": [["int"]],
    "text_start": "int",
    "text_before": "string",
    "starts_document": "bool",
    "conll_comments": ["string"],
    "conllu_extra_lines": [{"place": "int", "line": "string"}],
}
"""Optional features of a row in addition to tokens and tags, with their types."""
_TOKEN_FEATURES = ("tokens", "words", "token", "form")
_DOCUMENT_FEATURES = ("starts_document", "document_id", "doc_id", "newdoc")


@dataclass(frozen=True, slots=True)
class Layout:
    """The roles of a dataset's features.

    Attributes:
        tokens: The feature of the tokens. None if rows are records of running text and spans.
        tags: The feature of each task.
        labels: The tag names of each task with integer tags.
        document: The feature that changes between documents, or None.
        extras: The features of ``EXTRAS`` that the dataset has.
        ignored: Ignored features, if the user did not select features.
    """

    tokens: str | None
    tags: Mapping[str, str]
    labels: Mapping[str, Sequence[str]]
    document: str | None
    extras: Sequence[str]
    ignored: Sequence[str] = ()

    @property
    def features(self) -> list[str]:
        """All features that are read."""
        named = [feature for feature in (self.tokens, self.document) if feature]
        return list(dict.fromkeys([*named, *self.tags.values(), *self.extras]))

    def sentence(self, row: Mapping[str, Any], where: str) -> Sentence:
        """Convert a row with tokens to a sentence.

        Raises:
            InputError: If a value is missing, or the number of tags differs from the number of tokens.
        """
        assert self.tokens is not None
        tokens = _strings(row[self.tokens], f"a {TOKEN}", where)
        tags = {}
        for task, feature in self.tags.items():
            values = row[feature]
            if task in self.labels and values is not None:
                values = [_label(value, self.labels[task], feature, where) for value in values]
            tags[task] = _strings(values, f"a tag of {feature}", where)
            if len(tags[task]) != len(tokens):
                raise InputError(
                    f"{feature} must have one tag per token (got {len(tags[task])} tags for "
                    f"{len(tokens)} tokens). Correct the row, or name the tag features, as in ner=ner_tags.",
                    code="corpus.record",
                    where=where,
                )
        sentence = replace(_with_offsets(tokens, row, where), tags=tags, source=where)
        return replace(
            sentence,
            text_before=row.get("text_before") or "",
            comments=tuple(row.get("conll_comments") or ()),
            extra_lines=tuple(
                (extra["place"], extra["line"]) for extra in row.get("conllu_extra_lines") or ()
            ),
        )


def find_layout(features: Mapping[str, Any], name: str, reading: Reading) -> Layout:
    """Find the features to read.

    Raises:
        InputError: If a feature is missing, is not a list of strings or ``ClassLabel``, or holds integers
            without names.
    """
    named_features = parse_features(reading.columns) if reading.columns else {}
    lists = [feature for feature, kind in features.items() if _is_tags(kind)]
    tokens = named_features.pop(TOKEN, None) or _first(_TOKEN_FEATURES, features)
    if tokens is None and not named_features and "text" in features:
        spans = [feature for feature in SPAN_LISTS if feature in features]
        if not spans:
            raise InputError(
                "the rows have running text, but no tokens and no spans. Pass a dataset with a "
                "feature of tokens.",
                code="corpus.columns",
                where=name,
            )
        extras = ("text", *spans, *(feature for feature in GOLD_KEYS if feature in features))
        ignored = [feature for feature in features if feature not in extras]
        return Layout(None, {}, {}, None, extras, ignored)
    if tokens not in lists or _names(features[tokens]):
        known = ", ".join(lists) or "none"
        raise InputError(
            f"there is no feature {tokens or _TOKEN_FEATURES[0]!r} with the tokens as a list of "
            f"strings; the list features are: {known}. Name it, as in token=words.",
            code="corpus.columns",
            where=name,
            option="--columns",
        )
    lists.remove(tokens)
    tags = {
        task: feature or _first(possible_tag_names(task), features)
        for task, feature in named_features.items()
    }
    tags |= {task: _first(possible_tag_names(task), features) for task in reading.tasks if task not in tags}
    for task in [task for task, feature in tags.items() if feature is None and len(tags) == 1]:
        tags[task] = _first(PLAIN_TAGS, features)
    if not tags:
        numbered = [
            feature for feature, kind in features.items() if _is_numbers(kind) and is_tag_name(feature)
        ]
        shorter = {
            feature: task_of(feature) for feature in [*lists, *numbered] if feature != "conll_comments"
        }
        tags = {
            feature if task in features or list(shorter.values()).count(task) > 1 else task: feature
            for feature, task in shorter.items()
        }
    checked = {
        task: _check(task, feature, features, name, reading.label_names) for task, feature in tags.items()
    }
    layout = Layout(
        tokens=tokens,
        tags=checked,
        labels={
            task: names
            for task, feature in checked.items()
            if (names := _names(features[feature]) or _requested_names(features[feature], reading))
        },
        document=_first(_DOCUMENT_FEATURES, features),
        extras=[name for name, kind in EXTRAS.items() if name in features and _kind(features[name]) == kind],
    )
    selected = set(lists) if reading.tasks or reading.columns else set()  # other tags are ignored on purpose
    ignored = [feature for feature in features if feature not in {*layout.features, *selected}]
    return replace(layout, ignored=ignored)


def to_row(sentence: Sentence, tasks: Iterable[str]) -> dict[str, Any]:
    """Convert a sentence to a row, as a mapping of features. Empty optional features are omitted.

    Raises:
        InputError: If the sentence lacks the tags of a task.
    """
    row: dict[str, Any] = {
        "tokens": sentence.tokens,
        "text": sentence.text,
        "starts_document": sentence.starts_document,
    }
    for task in tasks:
        if task not in sentence.tags:
            raise InputError(
                f"the sentence has no tags for {task}. Leave it out, or leave out the task.",
                code="corpus.task",
                where=sentence.source,
            )
        row[task + TAGS_SUFFIX] = sentence.tags[task]
    start = sentence.text_start
    offsets = [(first - start, end - start) for first, end in sentence.offsets]
    values = {
        "token_offsets": offsets if locate(sentence.tokens, sentence.text) != offsets else None,
        "text_start": start,
        "text_before": sentence.text_before,
        "conll_comments": sentence.comments,
        "conllu_extra_lines": [{"place": place, "line": line} for place, line in sentence.extra_lines],
    }
    return row | {feature: value for feature, value in values.items() if value}


def _check(
    task: str, feature: str | None, features: Mapping[str, Any], name: str, label_names: Sequence[str]
) -> str:
    if feature is None or feature not in features:
        lists = ", ".join(known for known, kind in features.items() if _is_tags(kind) or _is_numbers(kind))
        raise InputError(
            f"there is no feature {feature or task!r} with the tags of {task}; the list features "
            f"are: {lists}. Name it, as in {task}=FEATURE.",
            code="corpus.task",
            where=name,
            option="--columns",
        )
    if _is_numbers(features[feature]):
        if not label_names:
            raise InputError(
                f"the feature {feature!r} {NO_NAMES}",
                code="corpus.labels",
                where=name,
                option="--label-names",
            )
        return feature
    if not _is_tags(features[feature]):
        raise InputError(
            f"the feature {feature!r} must be a list of strings or ClassLabel (got "
            f"{features[feature]}). Name another feature for the tags.",
            code="corpus.columns",
            where=name,
            option="--columns",
        )
    return feature


def _first(names: Iterable[str], features: Mapping[str, Any]) -> str | None:
    return next((name for name in names if name in features), None)


def _kind(feature: Any) -> object:
    """Return the type of a feature in the notation of ``EXTRAS``, without bit widths."""
    if isinstance(feature, dict):
        return {name: _kind(inner) for name, inner in feature.items()}
    if hasattr(feature, "feature"):
        return [_kind(feature.feature)]
    return str(getattr(feature, "dtype", "")).removeprefix("large_").rstrip("0123456789")


def _is_tags(kind: Any) -> bool:
    """Return True if a feature is a list of strings or ``ClassLabel``, or if all its lists are empty."""
    item = getattr(kind, "feature", None)
    return hasattr(item, "names") or getattr(item, "dtype", "") in ("string", "large_string", "null")


def _is_numbers(kind: Any) -> bool:
    """Return True if a feature is a list of integers without names."""
    item = getattr(kind, "feature", None)
    return not hasattr(item, "names") and str(getattr(item, "dtype", "")).lstrip("u").startswith("int")


def _requested_names(kind: Any, reading: Reading) -> Sequence[str] | None:
    return reading.label_names if _is_numbers(kind) else None


def _names(kind: Any) -> Sequence[str] | None:
    return getattr(kind.feature, "names", None)


def _label(number: int | None, names: Sequence[str], feature: str, where: str) -> str | None:
    return None if number is None else name_of(number, names, feature, where)


def _strings(values: Sequence[str | None] | None, name: str, where: str) -> tuple[str, ...]:
    if values is None or not all(values):
        raise InputError(
            f"{name} is missing or empty. Fill it in or leave the row out.", code="corpus.record", where=where
        )
    return tuple(value for value in values if value)


def _with_offsets(tokens: tuple[str, ...], row: Mapping[str, Any], where: str) -> Sentence:
    """Build a sentence with the row's text and offsets, if it has them."""
    sentence = from_tokens(tokens)
    text, stored = row.get("text"), row.get("token_offsets")
    text = sentence.text if text is None else text
    offsets = locate(tokens, text) if stored is None else stored
    if offsets is None:
        return sentence
    if len(offsets) != len(tokens) or not all(_is_range(pair, len(text)) for pair in offsets):
        raise InputError(
            "the token_offsets do not match the tokens and text. Correct the row.",
            code="corpus.offsets",
            where=where,
        )
    start = row.get("text_start") or 0
    return Sentence(tokens, tuple((first + start, end + start) for first, end in offsets), text, start)


def _is_range(pair: Sequence[int | None] | None, length: int) -> bool:
    match pair:
        case (int(start), int(end)):
            return 0 <= start <= end <= length
    return False
