"""Align text spans with tokens and tags, and reassemble documents from sentences."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from tagger.corpus.reading import Reading, Unit, Writing
from tagger.errors import InputError
from tagger.text.schemes import spans_to_tags
from tagger.text.sentence import Sentence, Span

_MAX_QUOTED = 60  # maximum number of characters of a span in a message


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A labelled span of a document.

    Attributes:
        start: Position of its first character in the document.
        end: Position after its last character (half-open).
        label: Its type, for instance ``"PER"``.
        score: Its probability in [0, 1], or None for gold spans.
        where: Its location, preferably as ``file:line``.
        text: Its declared text, or None if the file does not declare it.
    """

    start: int
    end: int
    label: str
    score: float | None = None
    where: str = ""
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its spans.

    Attributes:
        text: The text, up to the end of its last sentence.
        spans: For each task the spans in order, with positions in ``text``.
        comments: The comments of its sentences, in order.
    """

    text: str
    spans: Mapping[str, tuple[TextSpan, ...]]
    comments: tuple[str, ...]


def place_spans(
    text: str, spans: Mapping[str, Sequence[TextSpan]], reading: Reading, source: str
) -> list[Sentence]:
    """Split a document into sentences of tokens, and attach its spans.

    The tokens come from ``reading.tokenize``. Sentences that a span crosses are joined. ``attach_spans``
    describes the rest. ``text_before`` holds the text between sentences, so that the document can be
    reassembled, except for text after its last token.

    Args:
        text: The whole document.
        spans: The spans of each task, in any order.
        reading: The reader options, with the tokenizer and the handling of misaligned spans.
        source: Location of the document, as ``file:line``.
    """
    sentences: list[Sentence] = []
    end = 0
    for sentence in reading.tokenize(text):
        before = text[end : sentence.text_start]
        sentences.append(replace(sentence, text_before=before, source=source, starts_document=not sentences))
        end = sentence.text_start + len(sentence.text)
    return attach_spans(sentences, text, spans, reading)


def attach_spans(
    sentences: Sequence[Sentence],
    text: str,
    spans: Mapping[str, Sequence[TextSpan]],
    reading: Reading,
    *,
    text_start: int = 0,
) -> list[Sentence]:
    """Attach spans to the tokens that they cover, as ``spans`` and, for tasks without tags, as IOB2 tags.

    White space at the ends of a span is trimmed if the rest begins and ends at token boundaries. Any other
    misaligned span is reported as an error, expanded, trimmed or skipped, as ``reading.on_misaligned`` says.
    Tags cannot represent a span that is empty, leaves the text, covers no token or overlaps another (the span
    that begins first, then the longer one, takes precedence). Such a span is an error, or is skipped if
    misaligned spans are not errors. Every change is reported: ``reading.on_error`` receives the errors,
    ``reading.warn`` every other span that is trimmed, expanded or skipped.

    Args:
        sentences: The document's sentences in order. Sentences that a span crosses are joined.
        text: The text of the sentences.
        spans: The spans of each task, in any order.
        reading: The reader options, with the handling of misaligned spans.
        text_start: Position of ``text`` in the document.
    """
    offsets = [offset for sentence in sentences for offset in sentence.offsets]
    tokens = _TokenOffsets(text, text_start, [start for start, _ in offsets], [end for _, end in offsets])
    placed = {
        task: _without_overlaps(_fit(task_spans, tokens, reading), tokens, reading)
        for task, task_spans in spans.items()
    }
    firsts = [0, *accumulate(map(len, sentences))]
    continued: set[int] = set()  # indices of sentences to join with the previous one
    for _, span in (pair for pairs in placed.values() for pair in pairs):
        continued.update(range(bisect_right(firsts, span.start), bisect_left(firsts, span.end)))
    joined = _join(sentences, continued)
    firsts = [0, *accumulate(map(len, joined))]
    return [
        _attach(sentence, {task: _between(pairs, first, last) for task, pairs in placed.items()})
        for sentence, first, last in zip(joined, firsts, firsts[1:], strict=False)
    ]


def documents_of_one_task(
    sentences: Iterable[Sentence], writing: Writing, target: str
) -> Iterator[tuple[Document, tuple[TextSpan, ...]]]:
    """Assemble documents for a format of one task, each with the task's spans.

    Raises:
        InputError: If there is not exactly one task, or a sentence has no spans for the task.
    """
    task = require_one_task(writing, target)
    for document in documents(sentences, writing.tasks, writing.unit):
        yield document, document.spans[task]


def require_one_task(writing: Writing, target: str) -> str:
    """Return the task to write, for a format of one task.

    Args:
        writing: The writer options.
        target: The name of the format at the beginning of a message, for instance ``"A doccano file"``.

    Raises:
        InputError: If there is not exactly one task.
    """
    if len(writing.tasks) != 1:
        tasks = ", ".join(writing.tasks) or "no task"
        raise InputError(
            f"{target} holds exactly one task (got {tasks}). Name one task.",
            code="corpus.output",
            option="--task",
        )
    return writing.tasks[0]


def documents(
    sentences: Iterable[Sentence], tasks: Sequence[str], unit: Unit = "document"
) -> Iterator[Document]:
    """Assemble the documents that sentences were cut from, one at a time.

    If ``text_start`` and ``text_before`` of a sentence do not continue the previous sentence, the sentence
    begins on a new line, and its spans are shifted.

    Args:
        sentences: The sentences of all documents in order. The first of each document ``starts_document``.
        tasks: The tasks whose spans to include.
        unit: The text of one record: a document or a sentence.

    Raises:
        InputError: If a sentence has no spans for a task.
    """
    group: list[Sentence] = []
    for sentence in sentences:
        if group and (unit == "sentence" or sentence.starts_document):
            yield _document(group, tasks, unit)
            group = []
        group.append(sentence)
    if group:
        yield _document(group, tasks, unit)


@dataclass(frozen=True, slots=True)
class _TokenOffsets:
    """A text and the offsets of its T tokens.

    Attributes:
        text: The text.
        text_start: Its position in the document.
        starts: (T,) start positions of the tokens in the document.
        ends: (T,) end positions of the tokens in the document.
    """

    text: str
    text_start: int
    starts: Sequence[int]
    ends: Sequence[int]

    def is_exact(self, first: int, last: int, span: TextSpan) -> bool:
        return (self.starts[first], self.ends[last - 1]) == (span.start, span.end)

    def is_space_around(self, span: TextSpan, first: int, last: int) -> bool:
        """Return True if the span has only white space outside its tokens."""
        begin, end = span.start - self.text_start, span.end - self.text_start
        before = self.text[begin : self.starts[first] - self.text_start]
        after = self.text[self.ends[last - 1] - self.text_start : end]
        return not (before + after).strip()

    def name(self, span: TextSpan) -> str:
        return f"the span {self.range_name(span.start, span.end)} ({span.label})"

    def range_name(self, start: int, end: int) -> str:
        first = max(start - self.text_start, 0)
        cut = self.text[first : max(end - self.text_start, first)]
        return f"[{start}, {end}) {cut[:_MAX_QUOTED] + ('…' if len(cut) > _MAX_QUOTED else '')!r}"


_Placed = tuple[TextSpan, Span]


def _fit(spans: Sequence[TextSpan], tokens: _TokenOffsets, reading: Reading) -> list[_Placed]:
    """Return the spans that cover whole tokens, each with token indices in the document."""
    placed = []
    for span in spans:
        first, last = bisect_right(tokens.ends, span.start), bisect_left(tokens.starts, span.end)
        problem = _problem(span, tokens, has_tokens=first < last)
        if problem:
            _skip(span, problem, tokens, reading)
            continue
        if not tokens.is_exact(first, last, span):
            bounds = _adjust(span, first, last, tokens, reading)
            if bounds is None:
                continue
            first, last = bounds
        start, end = tokens.starts[first], tokens.ends[last - 1]
        text = tokens.text[start - tokens.text_start : end - tokens.text_start]
        placed.append((span, Span(first, last, span.label, span.score, start, end, text)))
    return placed


def _adjust(
    span: TextSpan, first: int, last: int, tokens: _TokenOffsets, reading: Reading
) -> tuple[int, int] | None:
    """Return the token range of a span misaligned with the tokens ``first`` to ``last``, None to skip it."""
    whole = tokens.range_name(tokens.starts[first], tokens.ends[last - 1])
    inner_first, inner_last = bisect_left(tokens.starts, span.start), bisect_right(tokens.ends, span.end)
    has_inner = inner_first < inner_last
    if has_inner and tokens.is_space_around(span, inner_first, inner_last):
        inside = tokens.range_name(tokens.starts[inner_first], tokens.ends[inner_last - 1])
        reading.warn(f"{span.where}: {tokens.name(span)} was trimmed of white space to {inside}.")
        return inner_first, inner_last
    if reading.on_misaligned == "expand":
        reading.warn(f"{span.where}: {tokens.name(span)} was expanded to the tokens {whole}.")
        return first, last
    if reading.on_misaligned == "trim" and has_inner:
        inside = tokens.range_name(tokens.starts[inner_first], tokens.ends[inner_last - 1])
        reading.warn(f"{span.where}: {tokens.name(span)} was trimmed to the tokens {inside}.")
        return inner_first, inner_last
    _skip(span, f"is not aligned with its tokens, {whole}", tokens, reading)
    return None


def _problem(span: TextSpan, tokens: _TokenOffsets, *, has_tokens: bool) -> str | None:
    """Return why no token range can represent the span, or None."""
    if span.start >= span.end:
        return "is empty"
    text_end = tokens.text_start + len(tokens.text)
    if span.start < tokens.text_start or span.end > text_end:
        return f"exceeds the text, which is [{tokens.text_start}, {text_end})"
    return None if has_tokens else "covers no token"


def _without_overlaps(placed: Sequence[_Placed], tokens: _TokenOffsets, reading: Reading) -> list[_Placed]:
    """Return the spans in order, without overlaps. The first span, then the longest, takes precedence."""
    kept: list[_Placed] = []
    for pair in sorted(placed, key=lambda pair: (pair[1].start, -pair[1].end)):
        if kept and kept[-1][1].end > pair[1].start:
            span, other = pair[0], kept[-1][0]
            is_same = (span.start, span.end, span.label) == (other.start, other.end, other.label)
            problem = "is repeated" if is_same else f"overlaps {tokens.name(other)}"
            _skip(span, problem, tokens, reading)
        else:
            kept.append(pair)
    return kept


def _skip(span: TextSpan, problem: str, tokens: _TokenOffsets, reading: Reading) -> None:
    message = f"{tokens.name(span)} {problem}"
    if reading.on_misaligned == "error":
        reading.on_error(
            InputError(
                f"{message}. Correct it, or pass --on-misaligned expand (to whole tokens), trim (to the "
                "whole tokens inside) or skip.",
                code="corpus.offsets",
                where=span.where,
                option="--on-misaligned",
            )
        )
    else:
        reading.warn(f"{span.where}: {message}; it was skipped.")


def _join(sentences: Sequence[Sentence], continued: set[int]) -> list[Sentence]:
    groups: list[list[Sentence]] = []
    for index, sentence in enumerate(sentences):
        if index in continued:
            groups[-1].append(sentence)
        else:
            groups.append([sentence])
    return [group[0] if len(group) == 1 else _joined(group) for group in groups]


def _joined(group: Sequence[Sentence]) -> Sentence:
    first, *rest = group
    return replace(
        first,
        tokens=tuple(token for sentence in group for token in sentence.tokens),
        offsets=tuple(offset for sentence in group for offset in sentence.offsets),
        text=first.text + "".join(sentence.text_before + sentence.text for sentence in rest),
    )


def _between(placed: Sequence[_Placed], first: int, last: int) -> tuple[Span, ...]:
    """Return the spans of the tokens ``first`` to ``last``, with token indices relative to ``first``."""
    start = bisect_left(placed, first, key=lambda pair: pair[1].start)
    end = bisect_left(placed, last, key=lambda pair: pair[1].start)
    return tuple(
        replace(span, start=span.start - first, end=span.end - first) for _, span in placed[start:end]
    )


def _attach(sentence: Sentence, spans: Mapping[str, tuple[Span, ...]]) -> Sentence:
    tags = {
        task: sentence.tags.get(task) or tuple(spans_to_tags(task_spans, len(sentence), "IOB2"))
        for task, task_spans in spans.items()
    }
    return replace(sentence, tags={**sentence.tags, **tags}, spans={**sentence.spans, **spans})


def _document(group: Sequence[Sentence], tasks: Sequence[str], unit: Unit) -> Document:
    pieces: list[str] = []
    spans: dict[str, list[TextSpan]] = {task: [] for task in tasks}
    size = 0  # characters assembled so far
    end = 0  # end of the previous sentence in the original document
    for sentence in group:
        if unit == "sentence":
            before = ""
        elif sentence.text_start - len(sentence.text_before) == end:
            before = sentence.text_before
        else:
            before = "\n" if pieces else ""
        pieces += [before, sentence.text]
        shift = size + len(before) - sentence.text_start
        for task, task_spans in spans.items():
            task_spans.extend(_in_text(sentence, task, shift))
        size += len(before) + len(sentence.text)
        end = sentence.text_start + len(sentence.text)
    return Document(
        text="".join(pieces),
        spans={task: tuple(task_spans) for task, task_spans in spans.items()},
        comments=tuple(comment for sentence in group for comment in sentence.comments),
    )


def _in_text(sentence: Sentence, task: str, shift: int) -> Iterator[TextSpan]:
    if task not in sentence.spans:
        raise InputError(
            f"there are no spans of the task {task!r}, and this format "
            "has no tags per token. Leave the task out, or write jsonl, conll or conllu.",
            code="corpus.output",
            where=sentence.source or "A sentence",
        )
    for span in sentence.spans[task]:
        start, end = span_range(sentence, span)
        yield TextSpan(start + shift, end + shift, span.label, span.score, sentence.source)


def span_range(sentence: Sentence, span: Span) -> tuple[int, int]:
    """Return the half-open character range of a span in the document."""
    return sentence.offsets[span.start][0], sentence.offsets[span.end - 1][1]
