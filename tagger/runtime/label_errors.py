"""Rank the gold spans and tags of a corpus that are probably wrong, by the probabilities of a model."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tagger.corpus.tags import find_scheme, line_of
from tagger.decoding.candidates import SpanMarginals
from tagger.decoding.crf import Posterior
from tagger.decoding.spans import FoundSpans, SpanReader
from tagger.decoding.temperature import compute_posterior
from tagger.errors import InputError
from tagger.evaluation.confusion import Kind, Outcome, match_spans
from tagger.evaluation.scores import find_ignored, is_scored
from tagger.features.vocab import Task
from tagger.runtime.model_calibration import Watch, gold_batches, read_gold, require_gold
from tagger.runtime.sentence_tagger import SentenceTagger
from tagger.text.schemes import convert_tags, tags_to_spans
from tagger.text.sentence import UNSPECIFIED, Sentence, Span

Floats = NDArray[np.float32]
Label = Literal["wrong type", "wrong borders", "wrong borders and type", "spurious", "missing", "wrong tag"]
LABELS: dict[Kind, Label] = {
    "wrong type": "wrong type",
    "wrong borders": "wrong borders",
    "wrong borders and type": "wrong borders and type",
    "missed": "spurious",
    "spurious": "missing",
    "wrong tag": "wrong tag",
}
"""What is wrong with the gold label, by the kind of the model's error if the gold label were right."""

LEAST_PROPOSAL = 0.1  # smallest probability of a proposed span


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A place of a corpus where the model prefers other labels than the gold ones.

    Attributes:
        task: The task.
        outcome: The gold span and the proposed span (as ``predicted``); None for no span. For a tag, the span
            of its one token.
        gold_probability: Probability of exactly the gold span or tag. Without a gold span, the smallest
            probability of ``O`` among the tokens of the proposed span.
        proposal_probability: The same for the proposal.
        sentence: Index of the sentence.
        source: ``file:line`` of the first token of both spans if the sentence comes from a file, else "".
        words: The tokens from the first to the last of both spans.
    """

    task: str
    outcome: Outcome
    gold_probability: float
    proposal_probability: float
    sentence: int
    source: str
    words: tuple[str, ...]

    @property
    def kind(self) -> Label:
        """What is wrong with the gold label if the proposal is right."""
        return LABELS[self.outcome.kind]

    @property
    def margin(self) -> float:
        """Probability of the gold label minus that of the proposal, from -1 to 0; the rank of the suspicion.

        Northcutt, Jiang and Chuang 2021 ("Confident learning: estimating uncertainty in dataset labels",
        section 3.2) rank label errors by this margin.
        """
        return self.gold_probability - self.proposal_probability

    @property
    def text(self) -> str:
        """The words, joined by spaces."""
        return " ".join(self.words)

    def values(self) -> dict[str, Any]:
        """Return the record as JSON values; spans are token indices in the sentence."""
        gold, proposal = (
            {"label": span.label, "start": span.start, "end": span.end} if span else None
            for span in (self.outcome.gold, self.outcome.predicted)
        )
        return {
            "task": self.task,
            "kind": self.kind,
            "gold": gold,
            "proposal": proposal,
            "gold_probability": self.gold_probability,
            "proposal_probability": self.proposal_probability,
            "sentence": self.sentence,
            "source": self.source,
            "words": list(self.words),
        }


def find_label_errors(
    tagger: SentenceTagger,
    sentences: Iterable[Sentence],
    *,
    tasks: Sequence[str] | None = None,
    watch: Watch = iter,
) -> list[Suspicion]:
    """List the places where a model prefers other labels than the gold ones, most suspicious first.

    The probability of a gold span is its exact marginal. Where gold has no span, the probability of its label
    is that of the worst token: the smallest probability of ``O`` (the worst-token score of Wang and Mueller
    2022, "Detecting label errors in token classification data"). A gold span and the most probable span that
    overlaps it are one suspicion; of overlapping suspicions, only the strongest is listed. Places with
    unknown gold tags (``?``) are left out, see ``evaluation.scores.find_ignored``.

    Args:
        tagger: The model. If it was trained on the sentences, it has learnt some of their errors,
            and misses these; see ``cross_validate``.
        sentences: Sentences with gold tags.
        tasks: Tasks to check, by default all of the model.
        watch: Receives the sentences as they are scored and yields them unchanged, e.g. to show progress.

    Raises:
        InputError: The model lacks a task, or a sentence lacks its gold tags or has a tag outside the scheme.
    """
    gold, schemes = read_gold(tagger, sentences, tasks)
    known = {task.name: task for task in tagger.tasks}
    suspicions: list[Suspicion] = []

    def score() -> Iterator[Sentence]:
        for indices, batches in gold_batches(tagger, gold, schemes):
            chosen = [gold[index] for index in indices]
            for name, batch in batches.items():
                scheme, transitions = schemes[name], tagger.engine.transitions[name]
                posterior = compute_posterior(
                    batch.emissions, batch.lengths, transitions, tagger.bundle.temperature(name)
                )
                if scheme:
                    doubts = _doubt_spans(known[name], posterior, chosen, scheme)
                else:
                    doubts = _doubt_tags(known[name], posterior, batch.gold, chosen)
                for index, own in zip(indices, doubts, strict=True):
                    suspicions.extend(_locate(name, index, gold[index], _reduce(own)))
            yield from chosen

    deque(watch(score()), maxlen=0)
    return _rank(suspicions)


def cross_validate(
    sentences: Iterable[Sentence],
    train: Callable[[Sequence[Sentence]], SentenceTagger],
    *,
    tasks: Sequence[str],
    n_folds: int,
    seed: int = 1,
    watch: Watch = iter,
) -> list[Suspicion]:
    """List the label errors of each fold of a corpus by a model that was trained on the other folds.

    Confident learning needs such out-of-sample probabilities: a model learns the errors of the sentences that
    it is trained on (Northcutt, Jiang and Chuang 2021, section 3).

    Args:
        sentences: Sentences with gold tags.
        train: Function that trains a model for the tasks; it receives the tags of spans in IOB2.
        tasks: The tasks to check.
        n_folds: Number of folds, see ``assign_folds``.
        seed: Seed of the folds.
        watch: Receives the sentences of each fold as they are scored and yields them unchanged.

    Returns:
        The suspicions, most suspicious first; see ``find_label_errors``.

    Raises:
        InputError: The number of folds is out of bounds, or see ``find_label_errors`` and ``train``.
    """
    gold = list(sentences)
    for task in tasks:
        require_gold(gold, task)
        if scheme := find_scheme(gold, task):
            # A fold has too few tags to detect the scheme again.
            tags = [convert_tags(one.tags[task], scheme, "IOB2") for one in gold]
            gold = [
                replace(one, tags={**one.tags, task: tuple(own)}) for one, own in zip(gold, tags, strict=True)
            ]
    folds = assign_folds(gold, n_folds, seed)
    documents = list(accumulate(int(one.starts_document) for one in gold))
    suspicions: list[Suspicion] = []
    for fold in range(n_folds):
        held_out = [index for index, own in enumerate(folds) if own == fold]
        others = [index for index, own in enumerate(folds) if own != fold]
        tagger = train(_select(gold, documents, others))
        found = find_label_errors(tagger, _select(gold, documents, held_out), tasks=tasks, watch=watch)
        suspicions += [replace(one, sentence=held_out[one.sentence]) for one in found]
    return _rank(suspicions)


def assign_folds(sentences: Sequence[Sentence], n_folds: int, seed: int) -> list[int]:
    """Assign the documents of a corpus to folds of about the same number of sentences, in random order.

    If there are fewer documents than folds, the function assigns single sentences.

    Args:
        sentences: The sentences.
        n_folds: Number of folds, from 2 to the number of sentences.
        seed: Seed of the order.

    Returns:
        The fold of each sentence, from 0.

    Raises:
        InputError: The number of folds is out of bounds.
    """
    if not 2 <= n_folds <= len(sentences):
        raise InputError(
            f"n_folds must be from 2 to the number of sentences (got {n_folds} folds of {len(sentences):,} "
            "sentences). Choose another number.",
            code="argument.value",
            option="n_folds",
        )
    units = list(accumulate(int(one.starts_document) for one in sentences))
    if len(set(units)) < n_folds:
        units = list(range(len(sentences)))
    sizes = Counter(units)
    order = list(sizes)
    random.Random(seed).shuffle(order)
    totals, folds = [0] * n_folds, dict[int, int]()
    for unit in order:
        folds[unit] = totals.index(min(totals))
        totals[folds[unit]] += sizes[unit]
    return [folds[unit] for unit in units]


def _select(
    sentences: Sequence[Sentence], documents: Sequence[int], indices: Sequence[int]
) -> list[Sentence]:
    """Return the sentences at these indices; the first one of each document starts it."""
    before = [None, *(documents[index] for index in indices)]
    return [
        replace(sentences[index], starts_document=documents[index] != document)
        for index, document in zip(indices, before, strict=False)
    ]


def _rank(suspicions: Iterable[Suspicion]) -> list[Suspicion]:
    return sorted(suspicions, key=lambda one: (one.margin, one.sentence, one.outcome.start, one.task))


_Doubt = tuple[Outcome, float, float]  # an outcome, with the probabilities of its gold label and proposal


def _locate(task: str, index: int, sentence: Sentence, doubts: Iterable[_Doubt]) -> Iterator[Suspicion]:
    """Yield the suspicions of a sentence."""
    for outcome, gold_probability, proposal_probability in doubts:
        yield Suspicion(
            task=task,
            outcome=outcome,
            gold_probability=gold_probability,
            proposal_probability=proposal_probability,
            sentence=index,
            source=line_of(sentence, outcome.start) if sentence.source else "",
            words=sentence.tokens[outcome.start : outcome.end],
        )


def _doubt_spans(
    task: Task, posterior: Posterior, sentences: Sequence[Sentence], scheme: str
) -> Iterator[list[_Doubt]]:
    """Yield the doubtful spans of each of B sentences, and proposed spans that overlap no gold span.

    Spans at unknown tags (``?``) are skipped. A label that the model lacks has the probability 0.
    """
    reader = SpanReader(task.tags, "IOB2")
    begins = np.cumsum(posterior.lengths) - posterior.lengths
    marginals = SpanMarginals(posterior, reader)
    gold = [tags_to_spans(sentence.tags[task.name], scheme) for sentence in sentences]
    scores = iter(_score(gold, marginals, reader.labels, begins))
    found = marginals.find(LEAST_PROPOSAL, begins)
    proposals: list[list[Span]] = [[] for _ in sentences]
    columns = (found.sentences(begins), found.starts, found.ends, found.labels, found.scores)
    for row, start, end, label, score in zip(*(column.tolist() for column in columns), strict=True):
        begin = int(begins[row])
        proposals[row].append(Span(start - begin, end - begin, reader.labels[label], score))
    for row, spans in enumerate(gold):
        outside = posterior.tags[row, :, 0]  # ``O`` has id 0 in every task with spans
        ignored = find_ignored(sentences[row].tags[task.name], scheme)
        candidates = [one for one in proposals[row] if is_scored(one, ignored)]
        scored = [(span, next(scores)) for span in spans]
        doubts = [
            _doubt_span(span, score, candidates, outside)
            for span, score in scored
            if is_scored(span, ignored)
        ]
        for proposal in candidates:
            if not any(_overlaps(proposal, span) for span in spans):
                outcome = Outcome("spurious", None, proposal)
                doubts.append((outcome, _outside(proposal, outside), proposal.score or 0.0))
        yield doubts


def _score(
    gold: Sequence[Sequence[Span]], marginals: SpanMarginals, labels: Sequence[str], begins: NDArray[np.int64]
) -> list[float]:
    """Return the probabilities of the gold spans of B sentences, in order; 0 for labels not in ``labels``."""
    rows = [
        (begin + span.start, begin + span.end, labels.index(span.label) if span.label in labels else -1)
        for begin, spans in zip(begins.tolist(), gold, strict=True)
        for span in spans
    ]
    spans = FoundSpans.unscored(*np.array(rows, np.int64).reshape(-1, 3).T)
    known = np.flatnonzero(spans.labels >= 0)
    spans.scores[known] = marginals.score(spans.select(known), begins)
    scores: list[float] = spans.scores.tolist()
    return scores


def _doubt_span(span: Span, probability: float, proposals: Iterable[Span], outside: Floats) -> _Doubt:
    """Pair a gold span with the most probable other span that overlaps it, or with no span."""
    key = (span.start, span.end, span.label)
    others = [one for one in proposals if _overlaps(one, span) and (one.start, one.end, one.label) != key]
    best = max(others, key=lambda one: one.score or 0.0, default=None)
    is_empty = _outside(span, outside)
    if best is None or is_empty >= (best.score or 0.0):
        return Outcome("missed", span, None), probability, is_empty
    (outcome,) = match_spans([span], [best])
    return outcome, probability, best.score or 0.0


def _overlaps(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _outside(span: Span, outside: Floats) -> float:
    """Return the smallest probability of ``O`` among the tokens of a span: the score of the worst token."""
    return float(outside[span.start : span.end].min())


def _doubt_tags(
    task: Task, posterior: Posterior, gold: NDArray[np.int64], sentences: Sequence[Sentence]
) -> Iterator[list[_Doubt]]:
    """Yield the doubtful tags of each of B sentences; tokens without a gold tag are skipped."""
    best = posterior.tags.argmax(axis=2)
    for row, sentence in enumerate(sentences):
        doubts = []
        for token, tag in enumerate(sentence.tags[task.name]):
            proposal, own = int(best[row, token]), int(gold[row, token])
            if tag != UNSPECIFIED and proposal != own:
                probabilities = posterior.tags[row, token]
                outcome = Outcome(
                    "wrong tag", Span(token, token + 1, tag), Span(token, token + 1, task.tags[proposal])
                )
                probability = float(probabilities[own]) if own >= 0 else 0.0
                doubts.append((outcome, probability, float(probabilities[proposal])))
        yield doubts


def _reduce(doubts: Iterable[_Doubt]) -> list[_Doubt]:
    """Return the doubts in which the proposal is more probable, without those that overlap a stronger one."""
    kept: list[_Doubt] = []
    for doubt in sorted(doubts, key=lambda one: (one[1] - one[2], one[0].start)):
        outcome, probability, proposal_probability = doubt
        is_free = all(outcome.end <= one.start or one.end <= outcome.start for one, *_ in kept)
        if probability < proposal_probability and is_free:
            kept.append(doubt)
    return kept
