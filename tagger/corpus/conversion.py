"""Convert between formats and tag schemes, and count what is lost. Implements ``tagger convert``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from tagger.corpus.alignment import fits_comment, has_other_spaces, text_comment
from tagger.corpus.detection import Detected, detect
from tagger.corpus.files import FORMATS, Content
from tagger.corpus.loading import bare_warning, describe_tags, summarise
from tagger.corpus.offsets import NAMES
from tagger.corpus.reading import Offsets, OffsetUnit, OnMisaligned, Reading, Unit, Writing
from tagger.corpus.tags import TagReading, find_tag_reading
from tagger.errors import InputError, Warn, ignore
from tagger.text.scheme_detection import SchemeEvidence
from tagger.text.schemes import convert_tags, normalise_scheme, spans_to_tags, tags_to_spans, violations
from tagger.text.sentence import UNKNOWN_TAG, UNSPECIFIED, Sentence, Span

_SCHEME_OPTION = "--from-scheme"
_PLAIN_SPACES = ("", " ", "\n")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read once and is ready for conversion.

    Attributes:
        detected: Its format and columns.
        tasks: The requested tasks that it has, in order.
        schemes: The tag scheme of each task, None for one tag per token.
        readings: How the tags of each task are read.
        summary: A one-line summary of these decisions.
        has_spaces: True if a token or tag contains a space.
        on_misaligned: How to handle misaligned spans.
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
    """Counts of the converted content.

    Attributes:
        sentences: Number of sentences.
        tokens: Number of tokens.
        documents: Number of documents.
        spans: Number of spans per span task.
        illegal: Number of tags per span task that their scheme forbids in their context.
        lost: Number of items that the target format cannot hold, by kind.
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
    """Read a whole file to validate it and to determine its columns and tag schemes.

    Args:
        path: The file.
        format: Its format. By default it is detected.
        columns: Names of the columns of a CoNLL file.
        tasks: The requested tasks. By default all, except empty CoNLL-U columns.
        on_misaligned: How to handle misaligned spans.
        schemes: Schemes of its tags (see ``corpus.tags.parse_schemes``).
        offsets: The unit of span offsets.
        label_names: Tag names of integer tags.

    Raises:
        InputError: If the file has errors. The message contains the first and the total number.
    """
    detected = detect(path, format=format, columns=columns, offsets=offsets, label_names=label_names)
    problems: list[InputError] = []
    evidence: dict[str, SchemeEvidence] = {}
    filled: set[str] = set()
    has_spaces = False
    if detected.problem:
        raise detected.problem
    reading = Reading(tasks=tasks, on_misaligned=on_misaligned, on_error=problems.append)
    for sentence in detected.read(reading):
        for task, tags in sentence.tags.items():
            evidence.setdefault(task, SchemeEvidence()).add(tags, sentence.tokens)
            has_spaces = has_spaces or any(" " in tag for tag in tags)
            if task not in filled and (detected.format != "conllu" or tags.count(UNSPECIFIED) < len(tags)):
                filled.add(task)
        has_spaces = has_spaces or any(" " in token for token in sentence.tokens)
    if problems:
        first = problems[0]
        if len(problems) == 1:
            raise first
        raise InputError(
            f"{first.message} ({len(problems):,} problems in all: `tagger check` lists them)",
            code=first.code,
            where=first.where,
            option=first.option,
        )
    known = tuple(tasks or [task for task in evidence if task in filled] or evidence)
    read = [task for task in known if task in evidence]
    readings = {
        task: find_tag_reading(
            evidence[task], task, schemes or {}, is_only=len(read) == 1, option=_SCHEME_OPTION
        )
        for task in read
    }
    for reading_of_task in readings.values():
        if reading_of_task.problem:
            raise InputError(
                f"{reading_of_task.problem}", code="corpus.scheme", where=path, option=_SCHEME_OPTION
            )
    parts = [
        describe_tags(
            task,
            evidence[task].split_unknown(tag_reading.scheme)[0],
            tag_reading.scheme,
            tag_reading,
            is_only=len(read) == 1,
        )
        for task, tag_reading in readings.items()
    ]
    return Source(
        detected,
        known,
        {task: tag_reading.scheme for task, tag_reading in readings.items()},
        readings,
        summarise(detected, parts),
        has_spaces,
        on_misaligned,
    )


class Conversion:
    """Convert the sentences of a source for another format, and tally the content.

    Args:
        source: The result of ``survey``.
        to: The target format, a key of ``FORMATS``.
        scheme: The target scheme of all span tags. By default tags are unchanged.
        unit: The text of one record, in formats of running text.
        offsets: The unit of written span offsets.
        warn: Receives a message for each span that is expanded, trimmed or skipped.

    Raises:
        InputError: If the scheme does not exist, if the format supports only spans and no task has any, or if
            the format does not support the unit of offsets.
    """

    def __init__(
        self,
        source: Source,
        to: str,
        *,
        scheme: str | None = None,
        unit: Unit = "document",
        offsets: OffsetUnit = "characters",
        warn: Warn = ignore,
    ) -> None:
        self.tally = Tally()
        self._source = source
        self._target = FORMATS[to]
        self._scheme = None if scheme is None else normalise_scheme(scheme)
        self._warn = warn
        self._holds = self._target.holds
        if unit == "sentence" and "tokens" not in self._holds:  # each record is one sentence
            self._holds = self._holds - {"documents"} | {"sentences"}
        tasks = source.tasks
        if "tags" not in self._holds:
            tasks = tuple(task for task in tasks if source.schemes.get(task))
            if not tasks:
                raise InputError(
                    f"no task has spans, but the format {to} supports only spans. "
                    "Name the columns, or choose another format.",
                    code="corpus.output",
                    where=source.detected.path,
                )
        if offsets != "characters" and "tokens" in self._holds:
            raise InputError(
                f"The format {to} has no offsets in {NAMES[offsets]} (got --offsets-out {offsets}). "
                "Leave the option out, or write doccano, labelstudio or brat.",
                code="option.conflict",
                option="--offsets-out",
            )
        needs_tabs = source.has_spaces or source.detected.is_tabbed
        separator: Literal["\t", " "] = "\t" if needs_tabs else " "
        self.writing = Writing(tasks=tasks, unit=unit, separator=separator, has_texts=True, offsets=offsets)

    @property
    def keeps_tags(self) -> bool:
        """True if tags are written unchanged, including tags that violate their scheme."""
        return self._scheme is None and "unknown tags" in self._holds

    def sentences(self) -> Iterator[Sentence]:
        """Read the source again, convert its sentences and update the tally."""
        for task, tag_reading in self._source.readings.items():
            if tag_reading.is_bare:
                self._warn(bare_warning(self._source.detected, task, option=_SCHEME_OPTION))
        reading = Reading(tasks=self._source.tasks, on_misaligned=self._source.on_misaligned, warn=self._warn)
        for sentence in self._source.detected.read(reading):
            for task, tag_reading in self._source.readings.items():
                sentence = tag_reading.apply(sentence, task)
            self.tally.sentences += 1
            self.tally.tokens += len(sentence)
            self.tally.documents += sentence.starts_document
            converted = self._convert(sentence)
            self._count_losses(converted)
            yield converted

    def _convert(self, sentence: Sentence) -> Sentence:
        """Return the sentence with spans decoded from its tags, and tags in the target scheme."""
        tags, spans = dict(sentence.tags), dict(sentence.spans)
        for task, scheme in self._source.schemes.items():
            if scheme is None or task not in tags:
                continue
            if task not in spans:
                spans[task] = tuple(tags_to_spans(tags[task], scheme))
                self.tally.illegal[task] += len(violations(tags[task], scheme))
            self.tally.spans[task] += len(spans[task])
            unknown = tags[task].count(UNKNOWN_TAG)
            if "unknown tags" not in self._holds:
                self.tally.lost["unknown tags"] += unknown
            if self._scheme and unknown:  # spans cannot hold them
                tags[task] = tuple(convert_tags(tags[task], scheme, self._scheme))
                self.tally.lost["tags next to unknown ones"] += tags[task].count(UNKNOWN_TAG) - unknown
            elif self._scheme:
                tags[task] = tuple(spans_to_tags(spans[task], len(sentence), self._scheme))
        return replace(sentence, tags=tags, spans=spans)

    def _count_losses(self, sentence: Sentence) -> None:
        """Count the content of a sentence that the target cannot hold."""
        spans = [span for task_spans in sentence.spans.values() for span in task_spans]
        span_scores = sum(span.score is not None for span in spans)
        other_tags = [
            (task, sentence.tags.get(task, ()))
            for task in self._source.tasks
            if task not in self.writing.tasks
        ]
        has_text = "text" in self._holds  # a comment with the text is then redundant
        comments = [
            comment
            for comment in sentence.comments
            if not has_text or text_comment([comment]) != sentence.text
        ]
        carried: list[tuple[Content, str, int]] = [
            *(
                ("tags", f"tags of {task}", sum(tag not in (UNSPECIFIED, UNKNOWN_TAG) for tag in tags))
                for task, tags in other_tags
            ),
            ("comments", "comments", len(comments)),
            ("extra lines", "lines without a token", len(sentence.extra_lines)),
            ("tokens", "token boundaries", len(sentence)),
            ("sentences", "sentence boundaries", 1),
            ("documents", "document boundaries", sentence.starts_document),
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
            lost["boundaries of adjacent spans"] += sum(map(_count_adjacent, sentence.spans.values()))

    def _loses_text(self, sentence: Sentence) -> bool:
        """Return True if a format with token lines does not preserve the sentence's text."""
        if not has_other_spaces(sentence):
            return False
        if "extra lines" in self._holds:  # these preserve the surface forms of multi-word tokens
            return "\n" in sentence.text or "\r" in sentence.text
        return text_comment(sentence.comments) not in (None, sentence.text) or not fits_comment(sentence)


def _count_adjacent(spans: Sequence[Span]) -> int:
    ordered = sorted(spans, key=lambda span: span.start)
    return sum(
        span.end == following.start and span.label == following.label for span, following in pairwise(ordered)
    )
