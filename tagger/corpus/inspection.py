"""What is wrong in corpus files, what they hold, and what they share: the work of ``tagger check``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from tagger.corpus.consistency import PLACES_SHOWN, UNTAGGED, Inconsistent, SpanIndex
from tagger.corpus.detection import Detected, detect
from tagger.corpus.files import FORMATS
from tagger.corpus.loading import bare_note, describe_tags, summarise, unspecified_note
from tagger.corpus.reading import Offsets, Reading
from tagger.corpus.tags import TagReading, describe_foreign, judge_tags, line_of, parse_schemes
from tagger.errors import InputError
from tagger.text.scheme_detection import SchemeEvidence
from tagger.text.schemes import (
    belongs_to,
    describe_violation,
    is_span_tag,
    tags_to_spans,
    violations,
)
from tagger.text.sentence import UNSPECIFIED, Sentence, Span

_LINE = re.compile(r":(\d+): ")
_FREE_FIELDS = frozenset(["lemma", "feats", "head", "deps", "misc"])  # of CoNLL-U, no closed sets of tags


@dataclass(slots=True)
class FileFacts:
    """What one file holds.

    Attributes:
        detected: Its format and columns.
        schemes: For each task the scheme of its tags, None for one tag a token.
        readings: For each task how its tags are read.
        summary: How it is read, as a line.
        sentences: How many there are.
        tokens: How many there are.
        documents: How many there are.
        problems: How many were reported.
        notes: What reading the file leaves out, changes or reads in an unusual way.
        repeated: How many sentences stand in the file before, token by token.
        counts: For each task its spans by label, or its tags.
        foreign: The tasks whose tags look like those of spans, with prefixes that no scheme has.
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
    """Sentences of one file that stand in an earlier file too.

    Attributes:
        file: The later file.
        other: The earlier file.
        sentences: How many sentences of the later file.
        share: Their share of all its sentences, in [0, 1].
        places: The first few, each as ``file:line`` in the later and in the earlier file.
    """

    file: str
    other: str
    sentences: int = 0
    share: float = 0.0
    places: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in files that were given together.

    Attributes:
        files: Each file by itself.
        shared: For each two files with common sentences which these are.
        only_in: For each task the labels (or tags) that a single file has, with its name.
        inconsistent: For each span task the texts labelled inconsistently, the most often so first.
    """

    files: Sequence[FileFacts]
    shared: Sequence[Shared]
    only_in: Mapping[str, Mapping[str, str]]
    inconsistent: Mapping[str, Sequence[Inconsistent]]

    @property
    def problems(self) -> int:
        """How many problems were reported."""
        return sum(file.problems for file in self.files)

    @property
    def findings(self) -> int:
        """How many repeated sentences and inconsistent texts there are, which need not be mistakes."""
        repeated = sum(file.repeated for file in self.files) + sum(one.sentences for one in self.shared)
        return repeated + sum(map(len, self.inconsistent.values()))


def inspect_files(
    paths: Sequence[str],
    report: Callable[[str], object],
    *,
    columns: str | None = None,
    format: str | None = None,
    scheme: str | None = None,
    offsets: Offsets = "auto",
    label_names: Sequence[str] = (),
) -> Inspection:
    """Report every problem of corpus files and tell what is in them.

    Files are read twice: what scheme a column is in, and which texts are spans anywhere, has to be known
    before a tag can be judged. What is held in memory grows with distinct sentences (16 bytes and a place
    each) and distinct texts of spans.

    Args:
        paths: The files.
        report: Is told of each problem as ``file:line: message``, in the order of the files.
        columns: Names of the columns of all CoNLL files, as ``parse_columns`` reads them.
        format: The format of all files; by default what each is detected to be.
        scheme: The scheme that all tags of spans should be in, or schemes by task (see
            ``corpus.tags.parse_schemes``); by default the one that fits each column best.
        offsets: What the offsets of spans count.
        label_names: Names of the tags that a file gives as numbers.

    Raises:
        InputError: If the columns cannot be read, or there is no such format or scheme.
    """
    wanted = parse_schemes(scheme)
    indexes: dict[str, SpanIndex] = {}
    files = []
    for path in paths:
        detected = detect(path, format=format, columns=columns, offsets=offsets, label_names=label_names)
        if not FORMATS[detected.format].has_columns:
            detected = replace(detected, columns=None)  # the names are those of other files
        files.append(_survey(detected, indexes, wanted))
    repetitions = _Repetitions()
    for facts in files:
        repetitions.begin(facts)
        for sentence in _examine(facts, report):
            repetitions.add(sentence, facts)
            for task, index in indexes.items():
                if facts.schemes.get(task):
                    index.add_untagged(sentence, task)
    with_spans = {task for facts in files for task, found in facts.schemes.items() if found}
    inconsistent = {task: indexes[task].inconsistent() for task in indexes if task in with_spans}
    return Inspection(
        files,
        repetitions.shared(),
        _only_in(files),
        {task: found for task, found in inconsistent.items() if found},
    )


class _Repetitions:
    """Sentences that stand in several files, or in one of them twice; known by 16 bytes each."""

    def __init__(self) -> None:
        self._files: list[tuple[FileFacts, dict[bytes, str]]] = []
        self._pairs: list[tuple[FileFacts, Shared]] = []

    def begin(self, facts: FileFacts) -> None:
        """Go on with the next file."""
        self._pairs += [
            (facts, Shared(str(facts.detected.path), str(other.detected.path))) for other, _ in self._files
        ]
        self._files.append((facts, {}))

    def add(self, sentence: Sentence, facts: FileFacts) -> None:
        """Look for a sentence of the file that was begun last."""
        text = "\n".join(sentence.tokens).encode(errors="surrogatepass")
        digest = blake2b(text, digest_size=16).digest()
        *earlier, (_, own) = self._files
        place = line_of(sentence, 0)
        facts.repeated += digest in own
        own.setdefault(digest, place)
        first = len(self._pairs) - len(earlier)
        for (_, known), (_, pair) in zip(earlier, self._pairs[first:], strict=True):
            if digest in known:
                pair.sentences += 1
                if len(pair.places) < PLACES_SHOWN:
                    pair.places.append((place, known[digest]))

    def shared(self) -> list[Shared]:
        """The pairs of files that have sentences in common."""
        for facts, pair in self._pairs:
            pair.share = pair.sentences / max(facts.sentences, 1)
        return [pair for _, pair in self._pairs if pair.sentences]


def _survey(detected: Detected, indexes: dict[str, SpanIndex], wanted: Mapping[str, str]) -> FileFacts:
    """Read a file for the schemes of its tags, the texts of its spans and its notes, but no problems."""
    evidence: dict[str, SchemeEvidence] = {}
    plain: set[str] = set()
    has_outside: set[str] = set()
    facts = FileFacts(detected, {})
    n_tokens = 0
    for sentence in _sentences(detected, lambda _: None, facts.notes.append):
        n_tokens += len(sentence)
        for task, tags in sentence.tags.items():
            evidence.setdefault(task, SchemeEvidence()).add(tags)
            if UNTAGGED in tags:
                has_outside.add(task)
            if task not in plain and not all(tag == UNTAGGED or tag[1:2] == "-" for tag in tags):
                plain.add(task)
            _index_spans(sentence, task, indexes)
    parts = []
    for task, found in evidence.items():
        how = judge_tags(found, task, wanted, is_only=len(evidence) == 1)
        facts.readings[task], facts.schemes[task] = how, how.scheme
        facts.counts[task] = Counter()
        parts.append(describe_tags(task, found.tags, how.scheme, how, is_only=len(evidence) == 1))
        if how.scheme is None and task in has_outside and task not in plain:
            facts.foreign.add(task)
        n_unspecified = found.tags[UNSPECIFIED] if how.scheme is None else 0
        if n_unspecified:
            facts.notes.append(f"{detected.path}: {unspecified_note(task, n_unspecified, n_tokens)}")
        if how.is_bare:
            facts.notes.append(bare_note(detected, task))
    facts.summary = summarise(detected, parts)
    _index_bare_spans(facts, indexes)
    return facts


def _index_spans(sentence: Sentence, task: str, indexes: dict[str, SpanIndex]) -> None:
    for span in _spans(sentence, task):
        index = indexes.setdefault(task, SpanIndex())
        index.add(sentence.tokens[span.start : span.end], span.label, line_of(sentence, span.start))


def _index_bare_spans(facts: FileFacts, indexes: dict[str, SpanIndex]) -> None:
    """Read a file once more if the first reading showed that its labels have no prefixes."""
    bare = [task for task, how in facts.readings.items() if how.is_bare]
    for sentence in _sentences(facts.detected, lambda _: None) if bare else ():
        for task in bare:
            _index_spans(facts.readings[task].apply(sentence, task), task, indexes)


def _examine(facts: FileFacts, report: Callable[[str], object]) -> Iterator[Sentence]:
    """Read a file for its counts, and report its problems in the order of its lines."""
    pending: list[str] = []

    def flush() -> None:
        for message in sorted(pending, key=_line_number):
            report(message)
        facts.problems += len(pending)
        pending.clear()

    for how in facts.readings.values():
        if how.problem:
            pending.append(f"{facts.detected.path}: {how.problem}")
    for sentence in _sentences(facts.detected, pending.append):
        for task, how in facts.readings.items():
            if task in sentence.tags:
                sentence = how.apply(sentence, task)
        facts.sentences += 1
        facts.tokens += len(sentence)
        facts.documents += sentence.starts_document
        for task, tags in sentence.tags.items():
            if facts.schemes[task]:
                facts.counts[task].update(span.label for span in _spans(sentence, task))
            else:
                facts.counts[task].update(tags)
            pending += _tag_problems(facts, sentence, task)
        flush()
        yield sentence
    flush()


def _sentences(
    detected: Detected, refuse: Callable[[str], object], note: Callable[[str], object] = lambda _: None
) -> Iterator[Sentence]:
    """Read on after every problem."""
    if detected.problem:
        refuse(detected.problem)
        return
    tasks = tuple(task for task in detected.tasks if detected.columns or task not in _FREE_FIELDS)
    try:
        yield from detected.read(Reading(tasks=tasks, refuse=refuse, note=note))
    except InputError as error:  # after which its reader cannot go on
        refuse(str(error))


def _tag_problems(facts: FileFacts, sentence: Sentence, task: str) -> Iterator[str]:
    """Say which tags of a sentence its column should not have."""
    tags, scheme = sentence.tags[task], facts.schemes[task]
    if scheme is None:
        if task in facts.foreign:
            for place, tag in enumerate(tags):
                if not is_span_tag(tag):
                    yield (
                        f"{line_of(sentence, place)}: the tag {tag!r} looks like a span's, but no "
                        "scheme has its prefix; write B-, I-, E- or S-."
                    )
        return
    for place in violations(tags, scheme):
        if belongs_to(tags[place], scheme):
            problem = describe_violation(tags, place, scheme, sentence.tokens)
            yield f"{line_of(sentence, place)}: {problem} ({task}); correct it."
        else:
            yield describe_foreign(sentence, place, task, scheme)


def _spans(sentence: Sentence, task: str) -> Sequence[Span]:
    # Every scheme's tags are read alike: what is illegal in it, too, as conlleval reads it.
    return sentence.spans[task] if task in sentence.spans else tags_to_spans(sentence.tags[task], "IOB2")


def _line_number(message: str) -> int:
    match = _LINE.search(message)
    return int(match[1]) if match else 0


def _only_in(files: Sequence[FileFacts]) -> dict[str, dict[str, str]]:
    """The labels and tags of tasks that several files have, but which stand in one of them only."""
    found: dict[str, dict[str, str]] = {}
    for task in dict.fromkeys(task for facts in files for task in facts.counts):
        having = [facts for facts in files if task in facts.counts]
        homes: dict[str, list[FileFacts]] = {}
        for facts in having:
            for label in facts.counts[task]:
                homes.setdefault(label, []).append(facts)
        single = {label: str(its[0].detected.path) for label, its in homes.items() if len(its) == 1}
        if len(having) > 1 and single:
            found[task] = single
    return found
