"""From labelled stretches of a text to tokens with tags, and from sentences back to whole documents."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from tagger.corpus.reading import Reading, Unit, Writing
from tagger.errors import InputError
from tagger.text.schemes import spans_to_tags
from tagger.text.sentence import Sentence, Span

_SHOWN = 60  # characters of a span that a message quotes


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A labelled stretch of a document.

    Attributes:
        start: Position of its first character in the document.
        end: Position after its last character (half-open).
        label: Its type, for instance ``"PER"``.
        score: Its probability in [0, 1], or None for gold spans.
        where: Where it was read, best as ``file:line``.
        text: What the file says that it covers, None if the file does not say it.
    """

    start: int
    end: int
    label: str
    score: float | None = None
    where: str = ""
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A text with the spans in it.

    Attributes:
        text: All of it, up to the end of its last sentence.
        spans: For each task the spans in order; they count in ``text``.
        comments: Of its sentences, in order.
    """

    text: str
    spans: Mapping[str, tuple[TextSpan, ...]]
    comments: tuple[str, ...]


def place_spans(
    text: str, spans: Mapping[str, Sequence[TextSpan]], reading: Reading, source: str
) -> list[Sentence]:
    """Cut a document into sentences of tokens that carry its spans.

    The tokens are those of ``reading.tokenize``; sentences that a span crosses are joined. The rest is as
    ``attach_spans`` says. ``text_before`` holds what stands between the sentences, so that the document can
    be put together again but for what comes after its last token.

    Args:
        text: The whole document.
        spans: For each task its spans, in any order.
        reading: How to tokenise, and what becomes of a span that does not fit.
        source: Where the document was read, as ``file:line``.
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
    """Put spans on the tokens that they cover, as ``spans`` and, where a task has no tags yet, as IOB2 tags.

    White space at the ends of a span is trimmed where the rest then begins and ends where tokens do. Any
    other span that does not is refused, widened, narrowed or left out, as ``reading.on_misaligned`` says.
    Tags cannot hold a span that is empty, leaves the text, covers no token or overlaps another (of two the
    one that begins first stays, then the longer); such a span is refused, or left out where misaligned ones
    are not refused. Nothing happens in silence: ``reading.refuse`` receives every span that is refused,
    ``reading.note`` every other that was trimmed, widened, narrowed or left out.

    Args:
        sentences: The document's sentences in order; those that a span crosses are joined.
        text: What they were cut from.
        spans: For each task its spans, in any order.
        reading: What becomes of a span that does not fit.
        text_start: Position of ``text`` in the document.
    """
    offsets = [offset for sentence in sentences for offset in sentence.offsets]
    ground = _Ground(text, text_start, [start for start, _ in offsets], [end for _, end in offsets])
    placed = {
        task: _without_overlaps(_fit(its, ground, reading), ground, reading) for task, its in spans.items()
    }
    firsts = [0, *accumulate(map(len, sentences))]
    glued: set[int] = set()  # the sentences that go on with the one before
    for _, span in (pair for pairs in placed.values() for pair in pairs):
        glued.update(range(bisect_right(firsts, span.start), bisect_left(firsts, span.end)))
    joined = _join(sentences, glued)
    firsts = [0, *accumulate(map(len, joined))]
    return [
        _attach(sentence, {task: _between(pairs, first, last) for task, pairs in placed.items()})
        for sentence, first, last in zip(joined, firsts, firsts[1:], strict=False)
    ]


def documents_of_one_task(
    sentences: Iterable[Sentence], writing: Writing, target: str
) -> Iterator[tuple[Document, tuple[TextSpan, ...]]]:
    """Put documents together for a format whose spans name no task, each with its spans.

    Raises:
        InputError: If there is not one task, or a sentence has no spans for it.
    """
    if len(writing.tasks) != 1:
        tasks = f"the tasks {', '.join(writing.tasks)}" if writing.tasks else "no task"
        raise InputError(f"{target} holds the spans of one task, not {tasks}; name one.")
    for document in documents(sentences, writing.tasks, writing.unit):
        yield document, document.spans[writing.tasks[0]]


def documents(
    sentences: Iterable[Sentence], tasks: Sequence[str], unit: Unit = "document"
) -> Iterator[Document]:
    """Put the documents together that sentences were cut from, one at a time.

    Where a sentence does not say what stood before it (``text_start`` and ``text_before`` do not continue
    the sentence before), it is put on a new line and its spans move with it.

    Args:
        sentences: All documents' sentences in order; the first one of each ``starts_document``.
        tasks: The tasks whose spans are wanted.
        unit: Whether a record is a document or each sentence by itself.

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
class _Ground:
    """A text and the places of its tokens.

    Attributes:
        text: The text.
        text_start: Its position in the document.
        starts: T positions in the document where tokens start.
        ends: T positions after them.
    """

    text: str
    text_start: int
    starts: Sequence[int]
    ends: Sequence[int]

    def is_exact(self, first: int, last: int, span: TextSpan) -> bool:
        return (self.starts[first], self.ends[last - 1]) == (span.start, span.end)

    def is_space_around(self, span: TextSpan, first: int, last: int) -> bool:
        """Whether nothing but white space is in the span before its first and after its last token."""
        begin, end = (place - self.text_start for place in (span.start, span.end))
        before = self.text[begin : self.starts[first] - self.text_start]
        after = self.text[self.ends[last - 1] - self.text_start : end]
        return not (before + after).strip()

    def name(self, span: TextSpan) -> str:
        return f"the span {self.range_name(span.start, span.end)} ({span.label})"

    def range_name(self, start: int, end: int) -> str:
        first = max(start - self.text_start, 0)
        cut = self.text[first : max(end - self.text_start, first)]
        return f"[{start}, {end}) {cut[:_SHOWN] + ('…' if len(cut) > _SHOWN else '')!r}"


_Placed = tuple[TextSpan, Span]


def _fit(spans: Sequence[TextSpan], ground: _Ground, reading: Reading) -> list[_Placed]:
    """Return the spans that cover whole tokens, each with the tokens counted in the document."""
    placed = []
    for span in spans:
        first, last = bisect_right(ground.ends, span.start), bisect_left(ground.starts, span.end)
        problem = _problem(span, ground, has_tokens=first < last)
        if problem:
            _leave_out(span, problem, ground, reading)
            continue
        if not ground.is_exact(first, last, span):
            bounds = _adjust(span, first, last, ground, reading)
            if bounds is None:
                continue
            first, last = bounds
        start, end = ground.starts[first], ground.ends[last - 1]
        placed.append((span, Span(first, last, span.label, span.score, start, end)))
    return placed


def _adjust(
    span: TextSpan, first: int, last: int, ground: _Ground, reading: Reading
) -> tuple[int, int] | None:
    """Return the tokens for a span that does not fit the tokens ``first`` to ``last``; None for none."""
    whole = ground.range_name(ground.starts[first], ground.ends[last - 1])
    inner_first, inner_last = bisect_left(ground.starts, span.start), bisect_right(ground.ends, span.end)
    has_inner = inner_first < inner_last
    if has_inner and ground.is_space_around(span, inner_first, inner_last):
        inside = ground.range_name(ground.starts[inner_first], ground.ends[inner_last - 1])
        reading.note(f"{span.where}: {ground.name(span)} was trimmed of white space to {inside}.")
        return inner_first, inner_last
    if reading.on_misaligned == "expand":
        reading.note(f"{span.where}: {ground.name(span)} was widened to the tokens {whole}.")
        return first, last
    if reading.on_misaligned == "trim" and has_inner:
        inside = ground.range_name(ground.starts[inner_first], ground.ends[inner_last - 1])
        reading.note(f"{span.where}: {ground.name(span)} was narrowed to the tokens {inside}.")
        return inner_first, inner_last
    _leave_out(span, f"does not begin and end as its tokens do, {whole}", ground, reading)
    return None


def _problem(span: TextSpan, ground: _Ground, *, has_tokens: bool) -> str | None:
    """What makes the span impossible whatever is done about it, None if nothing does."""
    if span.start >= span.end:
        return "is empty"
    text_end = ground.text_start + len(ground.text)
    if span.start < ground.text_start or span.end > text_end:
        return f"leaves the text, which is [{ground.text_start}, {text_end})"
    return None if has_tokens else "covers no token"


def _without_overlaps(placed: Sequence[_Placed], ground: _Ground, reading: Reading) -> list[_Placed]:
    """Return the spans in order; of those that share a token the first, then the longest, stays."""
    kept: list[_Placed] = []
    for pair in sorted(placed, key=lambda pair: (pair[1].start, -pair[1].end)):
        if kept and kept[-1][1].end > pair[1].start:
            span, other = pair[0], kept[-1][0]
            is_same = (span.start, span.end, span.label) == (other.start, other.end, other.label)
            problem = "is there twice" if is_same else f"overlaps {ground.name(other)}"
            _leave_out(span, problem, ground, reading)
        else:
            kept.append(pair)
    return kept


def _leave_out(span: TextSpan, problem: str, ground: _Ground, reading: Reading) -> None:
    message = f"{span.where}: {ground.name(span)} {problem}"
    if reading.on_misaligned == "error":
        reading.refuse(
            f"{message}; correct it, or say --on-misaligned expand (widens spans to whole tokens), trim "
            "(narrows them) or skip (leaves them out)."
        )
    else:
        reading.note(f"{message}; it was left out.")


def _join(sentences: Sequence[Sentence], glued: set[int]) -> list[Sentence]:
    groups: list[list[Sentence]] = []
    for place, sentence in enumerate(sentences):
        if place in glued:
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
    """Return the spans of the tokens ``first`` to ``last``, counted from ``first`` on."""
    start = bisect_left(placed, first, key=lambda pair: pair[1].start)
    end = bisect_left(placed, last, key=lambda pair: pair[1].start)
    return tuple(
        replace(span, start=span.start - first, end=span.end - first) for _, span in placed[start:end]
    )


def _attach(sentence: Sentence, spans: Mapping[str, tuple[Span, ...]]) -> Sentence:
    tags = {
        task: sentence.tags.get(task) or tuple(spans_to_tags(its, len(sentence), "IOB2"))
        for task, its in spans.items()
    }
    return replace(sentence, tags={**sentence.tags, **tags}, spans={**sentence.spans, **spans})


def _document(group: Sequence[Sentence], tasks: Sequence[str], unit: Unit) -> Document:
    pieces: list[str] = []
    spans: dict[str, list[TextSpan]] = {task: [] for task in tasks}
    size = 0  # characters put together
    end = 0  # of the sentence before, in the document as it was
    for sentence in group:
        if unit == "sentence":
            before = ""
        elif sentence.text_start - len(sentence.text_before) == end:
            before = sentence.text_before
        else:
            before = "\n" if pieces else ""
        pieces += [before, sentence.text]
        shift = size + len(before) - sentence.text_start
        for task, its in spans.items():
            its.extend(_in_text(sentence, task, shift))
        size += len(before) + len(sentence.text)
        end = sentence.text_start + len(sentence.text)
    return Document(
        text="".join(pieces),
        spans={task: tuple(its) for task, its in spans.items()},
        comments=tuple(comment for sentence in group for comment in sentence.comments),
    )


def _in_text(sentence: Sentence, task: str, shift: int) -> Iterator[TextSpan]:
    if task not in sentence.spans:
        raise InputError(
            f"{sentence.source or 'A sentence'}: there are no spans of the task {task!r}, and a text with "
            "spans holds no tag for each token; leave the task out or write jsonl, conll or conllu."
        )
    for span in sentence.spans[task]:
        start, end = span_range(sentence, span)
        yield TextSpan(start + shift, end + shift, span.label, span.score, sentence.source)


def span_range(sentence: Sentence, span: Span) -> tuple[int, int]:
    """Return the half-open range of a span's characters in the document, told by its tokens."""
    return sentence.offsets[span.start][0], sentence.offsets[span.end - 1][1]
