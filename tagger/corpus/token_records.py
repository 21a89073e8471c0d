"""Read records of tokens without offsets: ``{"tokens": [str], "ner_tags": [tag]}``, and GLiNER's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tagger.corpus.alignment import locate
from tagger.corpus.placement import TextSpan, attach_spans
from tagger.corpus.reading import Reading
from tagger.corpus.tokens import flat_task
from tagger.corpus.values import boolean, each, integer, join_names, label, sequence, string
from tagger.errors import InputError
from tagger.text.sentence import Sentence, from_tokens

TAG_SUFFIXES = ("_tags", "_tag", "_labels")
"""Suffixes that follow a task in the name of its tags."""
PLAIN_TAGS = ("tags", "labels", "label", "tag")
"""Names of the tags in a file of one unnamed task."""
DOCUMENT_KEYS = ("document_id", "doc_id", "newdoc", "document")
"""Keys whose value changes between documents."""
NO_NAMES = (
    "has integer tags without names. Pass the names in the order of the integers with "
    "--label-names O,B-PER,I-PER,… (data.label_names in a config)."
)
"""Error message about integer tags without names."""
_MAX_DIGITS = 9  # maximum length of an integer tag
_TOKEN_KEYS = ("tokens", "words", "token", "form")
_GLINER_TOKENS, _GLINER_SPANS = "tokenized_text", "ner"
_TOKEN_SPANS = ("spans", "entities", "ents")
_OWN_DOCUMENT = "starts_document"


def possible_tag_names(task: str) -> list[str]:
    """Return the possible names of the tags of a task."""
    return [task, *(task + suffix for suffix in TAG_SUFFIXES)]


def is_tag_name(name: str) -> bool:
    """Return True if the name of a list or column indicates tags."""
    return name in (*PLAIN_TAGS, "ner", "pos", "chunk") or task_of(name) != name


def task_of(name: str) -> str:
    """Return the task of a name of tags, without its suffix."""
    return next((name.removesuffix(end) for end in TAG_SUFFIXES if name.endswith(end)), name)


def name_tags(values: object, count: int, names: Sequence[str], key: str, where: str) -> tuple[str, ...]:
    """Return the tags of a sentence, with integers replaced by their names.

    Args:
        values: A sequence of strings or integers; strings of digits alone are integers.
        count: The number of tokens.
        names: The name of each integer from 0.
        key: The name of the tags in the file, for the error message.
        where: ``file:line``, for the error message.

    Raises:
        InputError: If the number of tags is not ``count``, a tag is missing, or an integer has no name.
    """
    if isinstance(values, Sequence) and not isinstance(values, str) and all(map(_is_number, values)):
        values = [int(value[:_MAX_DIGITS]) for value in values]

    def read_tag(value: object, name: str, where: str) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            return name_of(value, names, key, where)
        tag = string(value, name, where)
        if not tag:
            raise InputError(
                f"a {name} is empty. Write O for a token outside all spans.",
                code="corpus.record",
                where=where,
            )
        return tag

    return each(values, count, read_tag, f"tag of {key}", where)


def _is_number(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit()


def parse_label_names(spec: str | None) -> tuple[str, ...]:
    """Parse comma-separated tag names, in the order of their integers. None gives no names.

    Raises:
        InputError: If a name is empty or repeated.
    """
    names = tuple(name.strip() for name in spec.split(",")) if spec is not None else ()
    if not all(names) or len(set(names)) < len(names):
        raise InputError(
            f"The label names must be different and not empty (got {spec!r}). Write them as O,B-PER,I-PER.",
            code="option.value",
            option="--label-names",
        )
    return names


def name_of(number: int, names: Sequence[str], key: str, where: str) -> str:
    """Return the name of an integer tag.

    Args:
        number: The integer.
        names: The name of each integer from 0.
        key: The name of the tags in the file, for the error message.
        where: ``file:line``, for the error message.

    Raises:
        InputError: If there are no names, or none for this integer.
    """
    if not names:
        raise InputError(f"{key} {NO_NAMES}", code="corpus.labels", where=where, option="--label-names")
    if not 0 <= number < len(names):
        raise InputError(
            f"{key} has the integer tag {number}, outside its {len(names)} labels. Pass all names in "
            "the order of the integers, or leave such rows out.",
            code="corpus.labels",
            where=where,
        )
    return names[number]


def is_token_record(values: Mapping[str, object]) -> bool:
    """Return True if a record lists its tokens as strings, without offsets."""
    if _GLINER_TOKENS in values:
        return True
    tokens = next((values[key] for key in _TOKEN_KEYS if key in values), None)
    if not isinstance(tokens, Sequence) or isinstance(tokens, str) or not tokens:
        return False
    return isinstance(tokens[0], str) and not isinstance(values.get("tags"), Mapping)


class TokenRecords:
    """Read the records of tokens without offsets in one file.

    A document begins with the first record, and where ``starts_document`` is true or, without this key, where
    one of ``DOCUMENT_KEYS`` changes. Each GLiNER record is a document.

    Args:
        path: The file, for messages.
        reading: The reader options.
    """

    def __init__(self, path: str | Path, reading: Reading) -> None:
        self._path = path
        self._reading = reading
        self._is_first = True
        self._document: object = None
        self._inclusive = 0

    def read(self, values: Mapping[str, object], where: str) -> tuple[list[Sentence], set[str]]:
        """Read a record. Return its sentences and the keys that were read.

        Raises:
            InputError: If a value is missing or invalid.
        """
        is_gliner = _GLINER_TOKENS in values
        key = _GLINER_TOKENS if is_gliner else next(name for name in _TOKEN_KEYS if name in values)
        raw_tokens = sequence(values[key], "list of tokens", where)
        tokens = each(raw_tokens, len(raw_tokens), _token, "token", where)
        used = {key, "text", _OWN_DOCUMENT, *DOCUMENT_KEYS}
        sentence = replace(self._place(tokens, values, where), source=where)
        if is_gliner:
            return self._with_spans(sentence, values, where), used | {_GLINER_SPANS}
        keys = self._tag_keys(values, used | {*_TOKEN_KEYS}, len(tokens), where)
        names = self._reading.label_names
        tags = {task: name_tags(values[name], len(tokens), names, name, where) for task, name in keys.items()}
        return [replace(sentence, tags=tags)], used | {*keys.values()}

    def finish(self) -> None:
        """Report the warnings that were counted."""
        if self._inclusive:
            self._reading.warn(
                f"{self._path}: {self._inclusive:,} spans of {_GLINER_SPANS} were read with an inclusive "
                "last token, as in GLiNER."
            )

    def _place(self, tokens: tuple[str, ...], values: Mapping[str, object], where: str) -> Sentence:
        sentence = from_tokens(tokens)
        if "text" in values:
            text = string(values["text"], "text", where)
            offsets = locate(tokens, text)
            if offsets is None:
                self._reading.warn(f"{where}: the text does not match the tokens; it was ignored.")
            else:
                sentence = replace(sentence, text=text, offsets=tuple(offsets))
        document = next((values[key] for key in DOCUMENT_KEYS if key in values), None)
        starts = self._is_first or document != self._document or _GLINER_TOKENS in values
        starts = boolean(values.get(_OWN_DOCUMENT, starts), f"value of {_OWN_DOCUMENT}", where)
        self._document, self._is_first = document, False
        return replace(sentence, starts_document=starts)

    def _tag_keys(
        self, values: Mapping[str, object], used: set[str], count: int, where: str
    ) -> dict[str, str]:
        """Return the key of each task's tags."""
        tasks = self._reading.tasks
        lists = [key for key, value in values.items() if key not in used and _is_list(value)]
        plain = next((key for key in PLAIN_TAGS if key in lists), None)

        def is_tags(key: str) -> bool:
            tags = values[key]
            assert isinstance(tags, Sequence)
            return is_tag_name(key) or (len(tags) == count and isinstance(tags[0], str))

        if not tasks:
            keys = {task_of(key): key for key in lists if key not in PLAIN_TAGS and is_tags(key)}
            if plain is not None and is_tags(plain):
                keys = {flat_task(self._reading, where): plain, **keys}
            if not keys and any(name in values for name in _TOKEN_SPANS):
                raise InputError(
                    "the record has tokens without offsets, so its spans cannot be aligned. "
                    "Write a tag for each token, as in ner_tags, or the offsets of tokens and spans.",
                    code="corpus.offsets",
                    where=where,
                )
            return keys
        keys = {}
        for task in tasks:
            key = next((name for name in possible_tag_names(task) if name in lists), None)
            key = plain if key is None and (task == "ner" or len(tasks) == 1) else key
            if key is None:
                raise InputError(
                    f"the record has tokens but no tags for the task {task!r} (its lists are "
                    f"{join_names(lists)}). Name the tags {task}_tags, or request another task.",
                    code="corpus.task",
                    where=where,
                )
            keys[task] = key
        return keys

    def _with_spans(self, sentence: Sentence, values: Mapping[str, object], where: str) -> list[Sentence]:
        """Attach GLiNER's spans ``[first token, last token, label]`` with an inclusive last token."""
        spans = []
        for value in sequence(values.get(_GLINER_SPANS), f"list of spans ({_GLINER_SPANS})", where):
            try:
                spans.append(_gliner_span(value, sentence, where))
            except InputError as error:
                self._reading.on_error(error)
        self._inclusive += len(spans)
        task = flat_task(self._reading, where)
        return attach_spans([sentence] if len(sentence) else [], sentence.text, {task: spans}, self._reading)


def _gliner_span(value: object, sentence: Sentence, where: str) -> TextSpan:
    triple = sequence(value, "span", where)
    if len(triple) != 3:
        raise InputError(
            f"a span must be [first token, last token, label] (got {value!r:.60}). Correct it.",
            code="corpus.record",
            where=where,
        )
    first, last = (integer(index, "token of a span", where) for index in triple[:2])
    if not 0 <= first <= last < len(sentence):
        raise InputError(
            f"the span {value!r:.60} exceeds the {len(sentence)} tokens. Count tokens from 0, with "
            "an inclusive last token.",
            code="corpus.offsets",
            where=where,
        )
    start, end = sentence.offsets[first][0], sentence.offsets[last][1]
    return TextSpan(start, end, label(triple[2], where), where=where)


def _token(value: object, name: str, where: str) -> str:
    token = string(value, name, where)
    if not token or token.isspace():
        raise InputError(f"a {name} is empty. Leave it out, with its tag.", code="corpus.record", where=where)
    return token


def _is_list(value: object) -> bool:
    """Return True if a value may be a list of tags. Lists of objects or lists are not."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        return False
    return isinstance(value[0], str | int) and not isinstance(value[0], bool)
