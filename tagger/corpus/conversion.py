"""From one format and tag scheme to another, and what is lost on the way: the work of ``tagger convert``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from tagger.corpus.alignment import fits_comment, has_other_spaces, text_comment
from tagger.corpus.detection import Detected, detect
from tagger.corpus.files import FORMATS, Content
from tagger.corpus.loading import bare_note, describe_tags, summarise
from tagger.corpus.offsets import NAMES
from tagger.corpus.reading import Offsets, OffsetUnit, OnMisaligned, Reading, Unit, Writing
from tagger.corpus.tags import TagReading, judge_tags
from tagger.errors import InputError
from tagger.text.scheme_detection import SchemeEvidence
from tagger.text.schemes import normalise_scheme, spans_to_tags, tags_to_spans, violations
from tagger.text.sentence import UNSPECIFIED, Sentence, Span

_PLAIN_SPACES = ("", " ", "\n")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read once and can be converted.

    Attributes:
        detected: Its format and columns.
        tasks: The tags that it holds and that are wanted, in order.
        schemes: For each task the scheme of its tags, None for one tag a token.
        readings: For each task how its tags are read.
        summary: What was decided, as a line.
        has_spaces: Whether a token or tag holds a space.
        on_misaligned: What becomes of spans that do not fit the tokens.
    """

    detected: Detected
    tasks: tuple[str, ...]
    schemes: Mapping[str, str | None]
    readings: Mapping[str, TagReading]
    summary: str
    has_spaces: bool
    on_misaligned: OnMisaligned


@dataclass(slots=True)
class Tally:
    """What was converted so far.

    Attributes:
        sentences: How many.
        tokens: How many.
        documents: How many.
        spans: For each span task how many.
        illegal: For each span task how many tags its scheme forbids where they stand.
        lost: How much the target cannot hold, by kind.
    """

    sentences: int = 0
    tokens: int = 0
    documents: int = 0
    spans: Counter[str] = field(default_factory=Counter)
    illegal: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


def survey(
    path: str | Path,
    *,
    format: str | None = None,
    columns: str | None = None,
    tasks: Sequence[str] = (),
    on_misaligned: OnMisaligned = "error",
    schemes: Mapping[str, str] | None = None,
    offsets: Offsets = "auto",
    label_names: Sequence[str] = (),
) -> Source:
    """Read a file to its end, so that its columns and their schemes are known and nothing in it is malformed.

    Args:
        path: The file.
        format: Its format; by default what it is detected to be.
        columns: Names of the columns of a CoNLL file.
        tasks: The tags that are wanted; by default all, without CoNLL-U's columns that hold nothing.
        on_misaligned: What becomes of spans that do not fit the tokens.
        schemes: Schemes of its tags (see ``corpus.tags.parse_schemes``).
        offsets: What the offsets of spans count.
        label_names: Names of the tags that the file gives as numbers.

    Raises:
        InputError: If something in it is wrong; the message names the first problem and counts all.
    """
    detected = detect(path, format=format, columns=columns, offsets=offsets, label_names=label_names)
    problems: list[str] = []
    evidence: dict[str, SchemeEvidence] = {}
    filled: set[str] = set()
    has_spaces = False
    if detected.problem:
        raise InputError(detected.problem)
    reading = Reading(tasks=tasks, on_misaligned=on_misaligned, refuse=problems.append)
    for sentence in detected.read(reading):
        for task, tags in sentence.tags.items():
            evidence.setdefault(task, SchemeEvidence()).add(tags)
            has_spaces = has_spaces or any(" " in tag for tag in tags)
            if task not in filled and (detected.format != "conllu" or tags.count(UNSPECIFIED) < len(tags)):
                filled.add(task)
        has_spaces = has_spaces or any(" " in token for token in sentence.tokens)
    if problems:
        more = f" ({len(problems):,} problems in all: `tagger check` lists them)" if problems[1:] else ""
        raise InputError(problems[0] + more)
    known = tuple(tasks or [task for task in evidence if task in filled] or evidence)
    read = [task for task in known if task in evidence]
    readings = {
        task: judge_tags(evidence[task], task, schemes or {}, is_only=len(read) == 1) for task in read
    }
    for reading_of_task in readings.values():
        if reading_of_task.problem:
            raise InputError(f"{path}: {reading_of_task.problem}")
    parts = [
        describe_tags(task, evidence[task].tags, how.scheme, how, is_only=len(read) == 1)
        for task, how in readings.items()
    ]
    return Source(
        detected,
        known,
        {task: how.scheme for task, how in readings.items()},
        readings,
        summarise(detected, parts),
        has_spaces,
        on_misaligned,
    )


class Conversion:
    """The sentences of a source as another format can hold them, with a tally of what was seen.

    Args:
        source: The file, surveyed.
        to: The format to write, a key of ``FORMATS``.
        scheme: The scheme of all tags of spans; None leaves them as they are.
        unit: What becomes one record, in formats that hold running text.
        offsets: What the offsets that are written count.
        note: Is told of every span that was widened or left out.

    Raises:
        InputError: If there is no such scheme, if the format holds spans only and none of the tasks has any,
            or if it holds no offsets that could count anything else than characters.
    """

    def __init__(
        self,
        source: Source,
        to: str,
        *,
        scheme: str | None = None,
        unit: Unit = "document",
        offsets: OffsetUnit = "characters",
        note: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.tally = Tally()
        self._source = source
        self._target = FORMATS[to]
        self._scheme = None if scheme is None else normalise_scheme(scheme)
        self._note = note
        self._holds = self._target.holds
        if unit == "sentence" and "tokens" not in self._holds:  # then a record is a sentence, not a document
            self._holds = self._holds - {"documents"} | {"sentences"}
        tasks = source.tasks
        if "tags" not in self._holds:
            tasks = tuple(task for task in tasks if source.schemes.get(task))
            if not tasks:
                raise InputError(
                    f"{source.detected.path}: there is no task with spans, and the format {to} holds nothing "
                    "else; name the columns, or write another format."
                )
        if offsets != "characters" and "tokens" in self._holds:
            raise InputError(
                f"The format {to} holds no offsets in {NAMES[offsets]} (got --offsets-out {offsets}); leave "
                "the option out, or write doccano, labelstudio or brat."
            )
        needs_tabs = source.has_spaces or source.detected.is_tabbed
        separator: Literal["\t", " "] = "\t" if needs_tabs else " "
        self.writing = Writing(tasks=tasks, unit=unit, separator=separator, has_texts=True, offsets=offsets)

    @property
    def keeps_tags(self) -> bool:
        """Whether tags are written as they were read, also those that their scheme forbids."""
        return self._scheme is None and "tags" in self._holds

    def sentences(self) -> Iterator[Sentence]:
        """Read the source once more, convert its sentences and count."""
        for task, how in self._source.readings.items():
            if how.is_bare:
                self._note(bare_note(self._source.detected, task))
        reading = Reading(tasks=self._source.tasks, on_misaligned=self._source.on_misaligned, note=self._note)
        for sentence in self._source.detected.read(reading):
            for task, how in self._source.readings.items():
                sentence = how.apply(sentence, task)
            self.tally.sentences += 1
            self.tally.tokens += len(sentence)
            self.tally.documents += sentence.starts_document
            converted = self._convert(sentence)
            self._count_losses(converted)
            yield converted

    def _convert(self, sentence: Sentence) -> Sentence:
        """Give a sentence the spans that its tags mark, and tags in the target's scheme."""
        tags, spans = dict(sentence.tags), dict(sentence.spans)
        for task, scheme in self._source.schemes.items():
            if scheme is None or task not in tags:
                continue
            if task not in spans:
                spans[task] = tuple(tags_to_spans(tags[task], scheme))
                self.tally.illegal[task] += len(violations(tags[task], scheme))
            self.tally.spans[task] += len(spans[task])
            if self._scheme:
                tags[task] = tuple(spans_to_tags(spans[task], len(sentence), self._scheme))
        return replace(sentence, tags=tags, spans=spans)

    def _count_losses(self, sentence: Sentence) -> None:
        """Count what the target cannot hold of a sentence: the one place that knows."""
        spans = [span for its in sentence.spans.values() for span in its]
        span_scores = sum(span.score is not None for span in spans)
        other_tags = [
            (task, sentence.tags.get(task, ()))
            for task in self._source.tasks
            if task not in self.writing.tasks
        ]
        has_text = "text" in self._holds  # then a comment that gives it says nothing more
        comments = [one for one in sentence.comments if not has_text or text_comment([one]) != sentence.text]
        carried: list[tuple[Content, str, int]] = [
            *(("tags", f"tags of {task}", len(tags) - tags.count(UNSPECIFIED)) for task, tags in other_tags),
            ("comments", "comments", len(comments)),
            ("extra lines", "lines without a token", len(sentence.extra_lines)),
            ("tokens", "token borders", len(sentence)),
            ("sentences", "sentence borders", 1),
            ("documents", "document borders", sentence.starts_document),
            ("span scores", "probabilities of spans", span_scores),
            ("tag scores", "probabilities of tags", sum(map(len, sentence.tag_scores.values()))),
            ("alternatives", "alternatives", sum(map(len, sentence.alternatives.values()))),
        ]
        lost = self.tally.lost
        for content, kind, count in carried:
            if content not in self._holds:
                lost[kind] += count
        if self._target.has_token_lines:
            lost["texts with other white space than single spaces"] += self._loses_text(sentence)
            lost["white space between sentences"] += sentence.text_before not in _PLAIN_SPACES
        if self._scheme == "IO":
            lost["borders of touching spans"] += sum(map(_touching, sentence.spans.values()))

    def _loses_text(self, sentence: Sentence) -> bool:
        """Whether a format with a line for each token gives the sentence another text when it is read."""
        if not has_other_spaces(sentence):
            return False
        if "extra lines" in self._holds:  # which say what several tokens are written as together
            return "\n" in sentence.text or "\r" in sentence.text
        return text_comment(sentence.comments) not in (None, sentence.text) or not fits_comment(sentence)


def _touching(spans: Sequence[Span]) -> int:
    ordered = sorted(spans, key=lambda span: span.start)
    return sum(one.end == other.start and one.label == other.label for one, other in pairwise(ordered))
