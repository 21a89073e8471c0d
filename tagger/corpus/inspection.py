"""Find errors, contents and overlaps of corpus files. Implements ``tagger check``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from tagger.corpus.consistency import MAX_LOCATIONS, UNTAGGED, Inconsistent, SpanIndex
from tagger.corpus.detection import Detected, detect
from tagger.corpus.files import FORMATS
from tagger.corpus.loading import bare_warning, describe_tags, missing_warnings, summarise
from tagger.corpus.reading import Offsets, Reading
from tagger.corpus.tags import (
    TagReading,
    find_tag_reading,
    foreign_tag_error,
    line_of,
    parse_schemes,
    unknown_prefix_error,
)
from tagger.errors import InputError, OnError, Warn, escape_line, ignore
from tagger.text.scheme_detection import SchemeEvidence
from tagger.text.schemes import (
    belongs_to,
    describe_violation,
    is_span_tag,
    tags_to_spans,
    violations,
)
from tagger.text.sentence import UNKNOWN_TAG, UNSPECIFIED, Sentence, Span

_FREE_FIELDS = frozenset(["lemma", "feats", "head", "deps", "misc"])  # CoNLL-U columns without a tag set


@dataclass(slots=True)
class FileFacts:
    """The contents of one file.

    Attributes:
        detected: Its format and columns.
        schemes: The tag scheme of each task, None for one tag per token.
        readings: How the tags of each task are read.
        summary: A one-line summary of how it is read.
        sentences: Number of sentences.
        tokens: Number of tokens.
        documents: Number of documents.
        problems: Number of reported errors.
        notes: Warnings: what the reader skips, changes or reads in an unusual way.
        repeated: Number of sentences whose tokens equal those of an earlier sentence of the file.
        counts: For each task the number of spans by label, or of tokens by tag.
        foreign: The tasks whose tags look like span tags with unknown prefixes.
    """

    detected: Detected
    schemes: dict[str, str | None]
    readings: dict[str, TagReading] = field(default_factory=dict)
    summary: str = ""
    sentences: int = 0
    tokens: int = 0
    documents: int = 0
    problems: int = 0
    notes: list[str] = field(default_factory=list)
    repeated: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Shared:
    """Sentences that a file shares with an earlier file.

    Attributes:
        file: The later file.
        other: The earlier file.
        sentences: Number of shared sentences of the later file.
        share: Their proportion of its sentences, in [0, 1].
        locations: The first few locations, each as ``file:line`` in the later and in the earlier file.
    """

    file: str
    other: str
    sentences: int = 0
    share: float = 0.0
    locations: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of inspecting several files together.

    Attributes:
        files: The contents of each file.
        shared: The overlap of each pair of files with common sentences.
        only_in: For each task the labels (or tags) that only one file has, with the name of the file.
        inconsistent: For each span task the texts with inconsistent labels, most inconsistent first.
    """

    files: Sequence[FileFacts]
    shared: Sequence[Shared]
    only_in: Mapping[str, Mapping[str, str]]
    inconsistent: Mapping[str, Sequence[Inconsistent]]

    @property
    def problems(self) -> int:
        """Number of reported errors."""
        return sum(file.problems for file in self.files)

    @property
    def findings(self) -> int:
        """Number of repeated sentences and inconsistent texts, which are not necessarily errors."""
        repeated = sum(file.repeated for file in self.files) + sum(pair.sentences for pair in self.shared)
        return repeated + sum(map(len, self.inconsistent.values()))


def inspect_files(
    paths: Sequence[str],
    on_error: OnError,
    *,
    columns: str | None = None,
    format: str | None = None,
    scheme: str | None = None,
    offsets: Offsets = "auto",
    label_names: Sequence[str] = (),
) -> Inspection:
    """Report every error in corpus files and summarise their contents.

    Files are read twice: checking tags requires the scheme of their column, and finding inconsistent labels
    requires the texts of all spans. Memory grows with the distinct sentences (16 bytes and a location each)
    and the distinct texts of spans.

    Args:
        paths: The files.
        on_error: Receives each error, in the order of the files and lines.
        columns: Names of the columns of all CoNLL files, as ``parse_columns`` reads them.
        format: The format of all files. By default each file's format is detected.
        scheme: The expected scheme of all span tags, or schemes by task (see ``corpus.tags.parse_schemes``).
            By default the scheme that fits each column best.
        offsets: The unit of span offsets.
        label_names: Tag names of integer tags.

    Raises:
        InputError: If the columns cannot be parsed, or the format or scheme does not exist.
    """
    requested = parse_schemes(scheme)
    indexes: dict[str, SpanIndex] = {}
    files = []
    for path in paths:
        detected = detect(path, format=format, columns=columns, offsets=offsets, label_names=label_names)
        if not FORMATS[detected.format].has_columns:
            detected = replace(detected, columns=None)  # the names belong to other files
        files.append(_survey(detected, indexes, requested))
    repetitions = _Repetitions()
    for facts in files:
        repetitions.begin(facts)
        for sentence in _examine(facts, on_error):
            repetitions.add(sentence, facts)
            for task, index in indexes.items():
                if facts.schemes.get(task):
                    index.add_untagged(sentence, task)
    with_spans = {task for facts in files for task, task_scheme in facts.schemes.items() if task_scheme}
    inconsistent = {task: indexes[task].inconsistent() for task in indexes if task in with_spans}
    return Inspection(
        files,
        repetitions.shared(),
        _only_in(files),
        {task: texts for task, texts in inconsistent.items() if texts},
    )


class _Repetitions:
    """Find sentences that occur in several files, or twice in one. Stores a digest of 16 bytes for each."""

    def __init__(self) -> None:
        self._files: list[tuple[FileFacts, dict[bytes, str]]] = []
        self._pairs: list[tuple[FileFacts, Shared]] = []

    def begin(self, facts: FileFacts) -> None:
        """Begin the next file."""
        self._pairs += [
            (facts, Shared(str(facts.detected.path), str(other.detected.path))) for other, _ in self._files
        ]
        self._files.append((facts, {}))

    def add(self, sentence: Sentence, facts: FileFacts) -> None:
        """Compare a sentence of the current file with all earlier sentences."""
        text = "\n".join(sentence.tokens).encode(errors="surrogatepass")
        digest = blake2b(text, digest_size=16).digest()
        *earlier, (_, current) = self._files
        location = line_of(sentence, 0)
        facts.repeated += digest in current
        current.setdefault(digest, location)
        first = len(self._pairs) - len(earlier)
        for (_, known), (_, pair) in zip(earlier, self._pairs[first:], strict=True):
            if digest in known:
                pair.sentences += 1
                if len(pair.locations) < MAX_LOCATIONS:
                    pair.locations.append((location, known[digest]))

    def shared(self) -> list[Shared]:
        """Return the pairs of files with common sentences."""
        for facts, pair in self._pairs:
            pair.share = pair.sentences / max(facts.sentences, 1)
        return [pair for _, pair in self._pairs if pair.sentences]


def _survey(detected: Detected, indexes: dict[str, SpanIndex], requested: Mapping[str, str]) -> FileFacts:
    """Read a file to collect its tag schemes, texts of spans and warnings. Errors are ignored."""
    evidence: dict[str, SchemeEvidence] = {}
    plain: set[str] = set()
    has_outside: set[str] = set()
    facts = FileFacts(detected, {})
    n_tokens = 0
    for sentence in _sentences(detected, ignore, facts.notes.append):
        n_tokens += len(sentence)
        for task, tags in sentence.tags.items():
            evidence.setdefault(task, SchemeEvidence()).add(tags, sentence.tokens)
            if UNTAGGED in tags:
                has_outside.add(task)
            if task not in plain and not all(
                tag in (UNTAGGED, UNKNOWN_TAG) or tag[1:2] == "-" for tag in tags
            ):
                plain.add(task)
            _index_spans(sentence, task, indexes)
    parts = []
    for task, tag_evidence in evidence.items():
        tag_reading = find_tag_reading(tag_evidence, task, requested, is_only=len(evidence) == 1)
        facts.readings[task], facts.schemes[task] = tag_reading, tag_reading.scheme
        facts.counts[task] = Counter()
        known, n_unknown = tag_evidence.split_unknown(tag_reading.scheme)
        parts.append(describe_tags(task, known, tag_reading.scheme, tag_reading, is_only=len(evidence) == 1))
        if tag_reading.scheme is None and task in has_outside and task not in plain:
            facts.foreign.add(task)
        n_unspecified = tag_evidence.tags[UNSPECIFIED] if tag_reading.scheme is None else 0
        for warning in missing_warnings(task, n_unspecified, n_unknown, n_tokens):
            facts.notes.append(f"{detected.path}: {warning}")
        if tag_reading.is_bare:
            facts.notes.append(bare_warning(detected, task))
    facts.summary = summarise(detected, parts)
    _index_bare_spans(facts, indexes)
    return facts


def _index_spans(sentence: Sentence, task: str, indexes: dict[str, SpanIndex]) -> None:
    for span in _spans(sentence, task):
        index = indexes.setdefault(task, SpanIndex())
        index.add(sentence.tokens[span.start : span.end], span.label, line_of(sentence, span.start))


def _index_bare_spans(facts: FileFacts, indexes: dict[str, SpanIndex]) -> None:
    """Read a file again if the first pass found labels without prefixes."""
    bare = [task for task, tag_reading in facts.readings.items() if tag_reading.is_bare]
    for sentence in _sentences(facts.detected, ignore) if bare else ():
        for task in bare:
            _index_spans(facts.readings[task].apply(sentence, task), task, indexes)


def _examine(facts: FileFacts, on_error: OnError) -> Iterator[Sentence]:
    """Read a file to count its contents and report its errors in line order."""
    pending: list[InputError] = []

    def flush() -> None:
        for error in sorted(pending, key=lambda error: error.line or 0):
            on_error(error)
        facts.problems += len(pending)
        pending.clear()

    for tag_reading in facts.readings.values():
        if tag_reading.problem:
            pending.append(
                InputError(
                    tag_reading.problem, code="corpus.scheme", where=facts.detected.path, option="--scheme"
                )
            )
    for sentence in _sentences(facts.detected, pending.append):
        for task, tag_reading in facts.readings.items():
            if task in sentence.tags:
                sentence = tag_reading.apply(sentence, task)
        facts.sentences += 1
        facts.tokens += len(sentence)
        facts.documents += sentence.starts_document
        for task, tags in sentence.tags.items():
            if facts.schemes[task]:
                facts.counts[task].update(span.label for span in _spans(sentence, task))
            else:
                known = sentence.without_unknown(task).tags[task]
                facts.counts[task].update(new for tag, new in zip(tags, known, strict=True) if tag == new)
            pending += _tag_errors(facts, sentence, task)
        flush()
        yield sentence
    flush()


def _sentences(detected: Detected, on_error: OnError, warn: Warn = ignore) -> Iterator[Sentence]:
    """Yield a file's sentences. Reading continues after every error."""
    if detected.problem:
        on_error(detected.problem)
        return
    tasks = tuple(task for task in detected.tasks if detected.columns or task not in _FREE_FIELDS)
    try:
        yield from detected.read(Reading(tasks=tasks, on_error=on_error, warn=warn))
    except InputError as error:  # the reader cannot continue
        on_error(error)


def _tag_errors(facts: FileFacts, sentence: Sentence, task: str) -> Iterator[InputError]:
    """Yield an error for each invalid tag of a sentence."""
    tags, scheme = sentence.tags[task], facts.schemes[task]
    if scheme is None:
        if task in facts.foreign:
            for index, tag in enumerate(tags):
                if tag != UNKNOWN_TAG and not is_span_tag(tag):
                    yield unknown_prefix_error(sentence, index, task)
        return
    for index in violations(tags, scheme):
        if belongs_to(tags[index], scheme):
            problem = describe_violation(tags, index, scheme, sentence.tokens)
            where = line_of(sentence, index)
            yield InputError(
                f"{problem} ({escape_line(task)}). Correct it.", code="corpus.scheme", where=where
            )
        else:
            yield foreign_tag_error(sentence, index, task, scheme)


def _spans(sentence: Sentence, task: str) -> Sequence[Span]:
    # Decode the tags of every scheme, valid or not, in the same way, as conlleval does.
    return sentence.spans[task] if task in sentence.spans else tags_to_spans(sentence.tags[task], "IOB2")


def _only_in(files: Sequence[FileFacts]) -> dict[str, dict[str, str]]:
    """Return for each task of several files the labels and tags that only one file has."""
    result: dict[str, dict[str, str]] = {}
    for task in dict.fromkeys(task for facts in files for task in facts.counts):
        with_task = [facts for facts in files if task in facts.counts]
        files_by_label: dict[str, list[FileFacts]] = {}
        for facts in with_task:
            for label in facts.counts[task]:
                files_by_label.setdefault(label, []).append(facts)
        single = {
            label: str(facts[0].detected.path) for label, facts in files_by_label.items() if len(facts) == 1
        }
        if len(with_task) > 1 and single:
            result[task] = single
    return result
