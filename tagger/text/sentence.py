"""Tokenised sentences with their tags and spans: the record that every stage of the pipeline uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from tagger.errors import InputError

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
    """

    start: int
    end: int
    label: str
    score: float | None = None
    start_char: int = -1
    end_char: int = -1

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
