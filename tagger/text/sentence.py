"""The record that travels through the whole pipeline: a tokenised sentence with its tags and spans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from tagger.errors import InputError

Offset = tuple[int, int]

UNSPECIFIED = "_"
"""Stands for a tag that is not given, as in Universal Dependencies; only where a token has one tag."""


@dataclass(frozen=True, slots=True)
class Span:
    """One labelled stretch of tokens, for instance a named entity.

    Attributes:
        start: Index of the first token.
        end: Index after the last token (half-open).
        label: The span's type, for instance ``"PER"``.
        score: Marginal probability of exactly this span in [0, 1], or None for gold spans.
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
        """Check the types that a caller mixes up most easily.

        Raises:
            TypeError: ``start`` or ``end`` is no integer, or ``label`` no string.
        """
        if type(self.start) is int and type(self.end) is int and type(self.label) is str:
            return
        for name, value in (("start", self.start), ("end", self.end)):
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise TypeError(
                    f"Span: {name} must be an int (got {type(value).__name__}). Pass an index of a token."
                )
        if not isinstance(self.label, str):
            raise TypeError(
                f"Span: label must be a str (got {type(self.label).__name__}). Pass a name, as 'PER'."
            )


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of the likeliest tag sequences of a sentence.

    Attributes:
        tags: T tags.
        probability: Of exactly this sequence under the model, in [0, 1].
    """

    tags: tuple[str, ...]
    probability: float


@dataclass(frozen=True, slots=True)
class Sentence:
    """A tokenised sentence; its tags are aligned with its tokens.

    Attributes:
        tokens: The T token strings.
        offsets: T half-open character ranges in the document, ``document[start:end] == token``.
        text: The sentence's own characters; ``text[start - text_start:end - text_start] == token``.
        text_start: Position of ``text`` in the document, in characters.
        tags: For each task (``"ner"``, ``"pos"``, ...) T tag strings.
        spans: For each span task the spans that the tags stand for.
        starts_document: Whether a new document begins with this sentence.
        source: ``file:line`` of the first token where the sentence was read from a file, else "".
        has_token_lines: Whether the file has a line for each token, and not one for the whole sentence.
        comments: Comment lines that stood before the sentence, with their leading ``#``.
        extra_lines: Lines of the file that hold no token of their own (CoNLL-U's multi-word tokens and empty
            nodes), each with the index of the token that it stands before.
        text_before: What stands in the document between the sentence before and this one, where the file
            holds running text; else "".
        tag_scores: For each task the T marginal probabilities of its tags, where they were asked for.
        alternatives: For each task its likeliest tag sequences, the best first, where they were asked for.
        candidates: For each span task every span whose probability reaches the requested threshold, by start
            and end, the likelier first; they may overlap.
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

    def __post_init__(self) -> None:
        """Check the types that a caller mixes up most easily.

        Raises:
            TypeError: ``tokens`` or ``offsets`` is no sequence, or ``text`` no string.
        """
        if type(self.tokens) is tuple and type(self.offsets) is tuple and type(self.text) is str:
            return  # the least cost for most sentences
        for name, value in (("tokens", self.tokens), ("offsets", self.offsets)):
            if type(value) is not tuple and (
                isinstance(value, str | bytes) or not isinstance(value, Sequence)
            ):
                raise TypeError(
                    f"Sentence: {name} must be a tuple (got {type(value).__name__}). Pass one item per token."
                )
        if not isinstance(self.text, str):
            raise TypeError(
                f"Sentence: text must be a str (got {type(self.text).__name__}). Pass the characters."
            )

    def __len__(self) -> int:
        return len(self.tokens)

    def shifted(self, shift: int) -> Sentence:
        """Return a copy without tags whose places count from ``shift`` characters earlier."""
        offsets = tuple([(start + shift, end + shift) for start, end in self.offsets])
        return Sentence(self.tokens, offsets, self.text, self.text_start + shift)

    def with_tags(
        self,
        tags: Mapping[str, Sequence[str]],
        spans: Mapping[str, Sequence[Span]] | None = None,
        *,
        tag_scores: Mapping[str, Sequence[float]] | None = None,
        alternatives: Mapping[str, Sequence[Alternative]] | None = None,
        candidates: Mapping[str, Sequence[Span]] | None = None,
    ) -> Sentence:
        """Return a copy that carries these tags, and what is said of them, in place of its own.

        Raises:
            InputError: The tags of a task are a string instead of a sequence of strings.
        """
        if str in map(type, tags.values()):
            raise InputError(
                f"Sentence: tags must hold a list for each task (got {dict(tags)!r:.60}). "
                "Pass a tag for each token, as {'ner': ['B-PER', 'O']}."
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
        )


def from_tokens(tokens: Iterable[str], *, starts_document: bool = False) -> Sentence:
    """Make a sentence of ready tokens; its text is the tokens joined by single spaces."""
    tokens = tuple(tokens)
    following = list(accumulate([len(token) + 1 for token in tokens]))  # where the next token would begin
    offsets = zip([0, *following], [place - 1 for place in following], strict=False)
    return Sentence(tokens, tuple(offsets), " ".join(tokens), starts_document=starts_document)
