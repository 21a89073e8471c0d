"""Tokenised sentences with their tags and spans: the record that every stage of the pipeline uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from tagger.errors import InputError
from tagger.text.markup import escape, label_hues, mark_ranges

Offset = tuple[int, int]

UNSPECIFIED = "_"
"""Missing tag, as in Universal Dependencies. Only tasks with one tag per token use it."""

UNKNOWN_TAG = "?"
"""Tag of a token whose tag is unknown: any tag of the task is possible. Loss and scores ignore it.

In a task without spans, a token ``?`` may have the ordinary tag ``?``, as ``,`` has ``,`` in some tag sets.
"""


def is_question_mark(token: str, tag: str) -> bool:
    """True for the token ``?`` with the tag ``?``, an ordinary tag in a task without spans."""
    return token == tag == UNKNOWN_TAG


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled range of tokens, for instance a named entity.

    Attributes:
        start: Index of the first token.
        end: Index after the last token (half-open).
        label: The span's type, for instance ``"PER"``.
        score: Marginal probability of exactly this span in [0, 1]; None for gold spans.
        start_char: Position of the first character in the document.
        end_char: Position after the last character in the document (half-open).
        text: The characters of the span, not compared; "" for spans that are read from tags.
    """

    start: int
    end: int
    label: str
    score: float | None = None
    start_char: int = -1
    end_char: int = -1
    text: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Check the types of the fields that callers confuse most often.

        Raises:
            TypeError: ``start`` or ``end`` is not an integer, or ``label`` is not a string.
        """
        if type(self.start) is int and type(self.end) is int and type(self.label) is str:
            return
        for name, value in (("start", self.start), ("end", self.end)):
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise TypeError(
                    f"Span: {name} must be an int (got {type(value).__name__}). Pass a token index."
                )
        if not isinstance(self.label, str):
            raise TypeError(
                f"Span: label must be a str (got {type(self.label).__name__}). Pass a label such as 'PER'."
            )


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of a sentence's n-best tag sequences.

    Attributes:
        tags: T tags.
        probability: Probability of exactly this sequence under the model, in [0, 1].
    """

    tags: tuple[str, ...]
    probability: float


@dataclass(frozen=True, slots=True)
class Sentence:
    """A tokenised sentence, with one tag per token for each task.

    Attributes:
        tokens: The T token strings.
        offsets: T half-open character ranges in the document, ``document[start:end] == token``.
        text: The sentence's own characters; ``text[start - text_start:end - text_start] == token``.
        text_start: Position of ``text`` in the document, in characters.
        tags: For each task (``"ner"``, ``"pos"``, ...) T tag strings.
        spans: For each span task the spans that the tags encode.
        starts_document: True if this sentence is the first of a document.
        source: ``file:line`` of the first token if the sentence comes from a file, else "".
        has_token_lines: True if the file has one line per token; False if it has one line per sentence.
        comments: Comment lines before the sentence, with their leading ``#``.
        extra_lines: Lines of the file without a token of their own (CoNLL-U's multi-word tokens and empty
            nodes), each with the index of the token that follows it.
        text_before: Text between the previous sentence and this one if the file holds running text, else "".
        tag_scores: For each task the T marginal probabilities of its tags, if requested.
        outside_scores: For each span task the T marginal probabilities of ``O``, if tag scores are requested.
        alternatives: For each task the n-best tag sequences, best first, if requested.
        candidates: For each span task all spans with a probability of at least the requested threshold,
            sorted by start and end, then by falling probability. They may overlap.
    """

    tokens: tuple[str, ...]
    offsets: tuple[Offset, ...]
    text: str
    text_start: int = 0
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    starts_document: bool = False
    source: str = ""
    has_token_lines: bool = field(default=False, compare=False)
    comments: tuple[str, ...] = ()
    extra_lines: tuple[tuple[int, str], ...] = ()
    text_before: str = ""
    tag_scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    alternatives: Mapping[str, tuple[Alternative, ...]] = field(default_factory=dict)
    candidates: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    outside_scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the types of the fields that callers confuse most often.

        Raises:
            TypeError: ``tokens`` or ``offsets`` is not a sequence, or ``text`` is not a string.
        """
        if type(self.tokens) is tuple and type(self.offsets) is tuple and type(self.text) is str:
            return  # fast path for most sentences
        for name, value in (("tokens", self.tokens), ("offsets", self.offsets)):
            if type(value) is not tuple and (
                isinstance(value, str | bytes) or not isinstance(value, Sequence)
            ):
                raise TypeError(
                    f"Sentence: {name} must be a tuple (got {type(value).__name__}). Pass one item per token."
                )
        if not isinstance(self.text, str):
            raise TypeError(
                f"Sentence: text must be a str (got {type(self.text).__name__}). Pass the sentence's text."
            )

    def __len__(self) -> int:
        return len(self.tokens)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values that ``from_dict`` reads, in the shape of ``tagger tag --format jsonl``.

        Spans have character offsets, and token indices (``tokens``) if tokens overlap so that the offsets are
        ambiguous. Fields that files do not need are added if they are not empty.
        """
        mappings = (self.tags, self.spans, self.tag_scores, self.alternatives, self.candidates)
        tasks = list(dict.fromkeys(task for mapping in mappings for task in mapping))
        values = sentence_values(self, tasks, has_candidates=True)
        starts, ends = _token_bounds(self.offsets)
        for name, spans in (("spans", self.spans), ("candidates", self.candidates)):
            for task, task_spans in spans.items():
                for span, span_values in zip(task_spans, values[name][task], strict=True):
                    found = starts[self.offsets[span.start][0]], ends[self.offsets[span.end - 1][1]]
                    if found != (span.start, span.end):
                        span_values["tokens"] = [span.start, span.end]
        optional: dict[str, Any] = {
            "source": self.source,
            "has_token_lines": self.has_token_lines,
            "outside_scores": {task: list(scores) for task, scores in self.outside_scores.items()},
        }
        return values | {name: value for name, value in optional.items() if value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Sentence:
        """Build a sentence from the values of ``to_dict``, or of a line of ``tagger tag --format jsonl``.

        The result equals the sentence of ``to_dict``, except that spans without character positions get those
        of their tokens. Other keys are ignored.

        Raises:
            TypeError: ``values`` is not a mapping.
            InputError: A value is missing or malformed.
        """
        if not isinstance(values, Mapping):
            raise TypeError(
                f"values must be a mapping (got {type(values).__name__}). Pass those of Sentence.to_dict."
            )
        try:
            return cls(**_sentence_fields(values))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"values must be those of Sentence.to_dict (got {type(error).__name__}: {error}). Fix them.",
                code="argument.value",
                where="Sentence.from_dict",
            ) from error

    def _repr_html_(self) -> str:
        """Return the text with marked spans for notebooks, or with its tags if no task has spans."""
        ranges = {
            task: [(span.start, span.end, span.label) for span in spans] for task, spans in self.spans.items()
        } or {
            task: [(index, index + 1, tag) for index, tag in enumerate(tags) if tag != "O"]
            for task, tags in self.tags.items()
        }
        lines = []
        for task, labelled in ranges.items() or [("", [])]:
            characters = [
                (self.offsets[start][0] - self.text_start, self.offsets[end - 1][1] - self.text_start, label)
                for start, end, label in labelled
            ]
            hues = label_hues(label for _, _, label in labelled) if self.spans else None
            name = f"<b>{escape(task)}</b> " if len(ranges) > 1 else ""
            marked = mark_ranges(self.text, characters, hues)
            lines.append(f'<div style="white-space:pre-wrap">{name}{marked}</div>')
        return "\n".join(lines)

    def shifted(self, shift: int) -> Sentence:
        """Return a copy without tags, with ``shift`` added to all character positions."""
        offsets = tuple([(start + shift, end + shift) for start, end in self.offsets])
        return Sentence(self.tokens, offsets, self.text, self.text_start + shift)

    def without_unknown(self, task: str) -> Sentence:
        """Return a copy with ``_`` instead of the unknown tags (``?``) of a task without spans.

        A token ``?`` keeps its tag ``?``.
        """
        tags = self.tags[task]
        if UNKNOWN_TAG not in tags:
            return self
        known = tuple(
            UNSPECIFIED if tag == UNKNOWN_TAG and not is_question_mark(token, tag) else tag
            for token, tag in zip(self.tokens, tags, strict=True)
        )
        return replace(self, tags={**self.tags, task: known})

    def with_tags(
        self,
        tags: Mapping[str, Sequence[str]],
        spans: Mapping[str, Sequence[Span]] | None = None,
        *,
        tag_scores: Mapping[str, Sequence[float]] | None = None,
        alternatives: Mapping[str, Sequence[Alternative]] | None = None,
        candidates: Mapping[str, Sequence[Span]] | None = None,
        outside_scores: Mapping[str, Sequence[float]] | None = None,
    ) -> Sentence:
        """Return a copy with these tags, spans and scores in place of its own.

        Raises:
            InputError: The tags of a task are a string instead of a sequence of strings.
        """
        if str in map(type, tags.values()):
            raise InputError(
                f"tags must hold one list per task (got {dict(tags)!r:.60}). "
                "Pass one tag per token, for example {'ner': ['B-PER', 'O']}.",
                code="argument.type",
                where="Sentence",
            )
        return Sentence(
            self.tokens,
            self.offsets,
            self.text,
            self.text_start,
            {task: tuple(values) for task, values in tags.items()},
            {task: tuple(values) for task, values in spans.items()} if spans else {},
            self.starts_document,
            self.source,
            self.has_token_lines,
            self.comments,
            self.extra_lines,
            self.text_before,
            {task: tuple(values) for task, values in tag_scores.items()} if tag_scores else {},
            {task: tuple(values) for task, values in alternatives.items()} if alternatives else {},
            {task: tuple(values) for task, values in candidates.items()} if candidates else {},
            {task: tuple(values) for task, values in outside_scores.items()} if outside_scores else {},
        )


def from_tokens(tokens: Iterable[str], *, starts_document: bool = False) -> Sentence:
    """Build a sentence from tokens; its text is the tokens joined by single spaces."""
    tokens = tuple(tokens)
    next_starts = list(accumulate([len(token) + 1 for token in tokens]))  # start of the next token
    offsets = zip([0, *next_starts], [start - 1 for start in next_starts], strict=False)
    return Sentence(tokens, tuple(offsets), " ".join(tokens), starts_document=starts_document)


def sentence_values(
    sentence: Sentence, tasks: Sequence[str], *, digits: int | None = None, has_candidates: bool = False
) -> dict[str, Any]:
    """Convert a sentence to JSON values that ``corpus.records.read_record`` reads.

    Args:
        sentence: The sentence. Empty fields and common default values are omitted.
        tasks: The tasks whose tags and spans to write, in order, where the sentence has them.
        digits: Number of digits to round probabilities to. By default they are not rounded.
        has_candidates: True to write the candidate spans, which corpus files do not hold.
    """

    def rounded(score: float | None) -> float | None:
        return score if score is None or digits is None else round(score, digits)

    def shortened(probability: float) -> float:
        # Significant digits: the probability of a long tag sequence is small.
        return probability if digits is None else float(f"{probability:.{digits}g}")

    def span_values(span: Span) -> dict[str, Any]:
        start, end = sentence.offsets[span.start][0], sentence.offsets[span.end - 1][1]
        text = sentence.text[start - sentence.text_start : end - sentence.text_start]
        return {"start": start, "end": end, "label": span.label, "text": text, "score": rounded(span.score)}

    def by_task(values: Mapping[str, Any], convert: Callable[[Any], Any]) -> dict[str, list[Any]]:
        return {task: list(map(convert, values[task])) for task in tasks if task in values}

    values: dict[str, Any] = {
        "text": sentence.text,
        "start": sentence.text_start,
        "tokens": [
            {"text": token, "start": start, "end": end}
            for token, (start, end) in zip(sentence.tokens, sentence.offsets, strict=True)
        ],
        "tags": {task: list(sentence.tags[task]) for task in tasks if task in sentence.tags},
        "spans": by_task(sentence.spans, span_values),
    }
    if sentence.starts_document != (sentence.text_start == 0):
        values["starts_document"] = sentence.starts_document
    optional: dict[str, Any] = {
        "text_before": sentence.text_before,
        "comments": list(sentence.comments),
        "extra_lines": [list(line) for line in sentence.extra_lines],
        "scores": by_task(sentence.tag_scores, rounded),
        "n_best": by_task(
            sentence.alternatives,
            lambda one: {"tags": list(one.tags), "probability": shortened(one.probability)},
        ),
    }
    values |= {name: value for name, value in optional.items() if value}
    if sentence.candidates and has_candidates:
        values["candidates"] = by_task(sentence.candidates, span_values)
    return values


def _token_bounds(offsets: Sequence[Offset]) -> tuple[dict[int, int], dict[int, int]]:
    """Return the first token that starts at each position, and the index after the last that ends at each."""
    starts = {start: index for index, (start, _) in reversed(list(enumerate(offsets)))}
    return starts, {end: index for index, (_, end) in enumerate(offsets, 1)}


def _sentence_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a sentence from its JSON values."""
    text, text_start = values["text"], values["start"]
    offsets = tuple((token["start"], token["end"]) for token in values["tokens"])
    starts, ends = _token_bounds(offsets)

    def span(one: Mapping[str, Any]) -> Span:
        start, end = one.get("tokens") or (starts[one["start"]], ends[one["end"]])
        covered = text[one["start"] - text_start : one["end"] - text_start]
        return Span(start, end, one["label"], one["score"], one["start"], one["end"], covered)

    def by_task(name: str, convert: Callable[[Any], Any]) -> dict[str, tuple[Any, ...]]:
        return {task: tuple(map(convert, items)) for task, items in values.get(name, {}).items()}

    def unchanged(value: Any) -> Any:
        return value

    return {
        "tokens": tuple(token["text"] for token in values["tokens"]),
        "offsets": offsets,
        "text": text,
        "text_start": text_start,
        "tags": by_task("tags", unchanged),
        "spans": by_task("spans", span),
        "starts_document": values.get("starts_document", text_start == 0),
        "source": values.get("source", ""),
        "has_token_lines": values.get("has_token_lines", False),
        "comments": tuple(values.get("comments", ())),
        "extra_lines": tuple((index, line) for index, line in values.get("extra_lines", ())),
        "text_before": values.get("text_before", ""),
        "tag_scores": by_task("scores", unchanged),
        "alternatives": by_task("n_best", lambda one: Alternative(tuple(one["tags"]), one["probability"])),
        "candidates": by_task("candidates", span),
        "outside_scores": by_task("outside_scores", unchanged),
    }
