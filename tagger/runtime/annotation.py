"""From emissions to what a sentence is told: tags in the wished scheme, spans with scores, alternatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tagger.decoding.candidates import SpanMarginals
from tagger.decoding.marginals import Posterior, forward_backward, span_probabilities
from tagger.decoding.nbest import nbest
from tagger.decoding.spans import FoundSpans, SpanReader
from tagger.decoding.temperature import temper
from tagger.decoding.viterbi import Transitions, viterbi_flat
from tagger.features.batching import group_by_length
from tagger.features.vocab import Task
from tagger.text.schemes import convert_tags
from tagger.text.sentence import Alternative, Sentence, Span

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
GROUP_SENTENCES = 512  # whose posterior is computed together
GROUP_TOKENS = 16_384  # the same, padding included
SPAN_TOKENS = 65_536  # of the spans that are scored together, padding included
_ScoredSpans = tuple[FoundSpans, Floats]  # M spans and their (M,) scores


@dataclass(frozen=True, slots=True)
class Request:
    """What is computed for each sentence in addition to its tags and spans.

    Attributes:
        n_best: How many alternatives each task gets.
        has_scores: True if each tag gets its probability.
        min_scores: For each label the score below which spans are left out, 0 for labels without one; what is
            told of their tokens is told of ``O``.
        candidates: The least probability of candidate spans, 0 for none.
    """

    n_best: int = 0
    has_scores: bool = False
    min_scores: Mapping[str, float] = field(default_factory=dict)
    candidates: float = 0.0


@dataclass(frozen=True, slots=True)
class Annotations:
    """What one task says of B sentences.

    Attributes:
        tags: Each sentence's tags.
        spans: Each sentence's spans; nothing if the task has none.
        tag_scores: Each sentence's probabilities of its tags, where asked for.
        alternatives: Each sentence's likeliest tag sequences, where asked for.
        candidates: Each sentence's candidate spans, where requested; nothing if the task has no spans.
    """

    tags: list[tuple[str, ...]]
    spans: list[tuple[Span, ...]]
    tag_scores: list[list[float]]
    alternatives: list[list[Alternative]]
    candidates: list[tuple[Span, ...]]


@dataclass(frozen=True, slots=True)
class _Decoded:
    """S sentences one behind another, N tokens in all.

    Attributes:
        emissions: (N, C).
        lengths: (S,) tokens of each sentence.
        begins: (S,) place of each sentence's first token.
        ids: (N,) tag ids.
    """

    emissions: Floats
    lengths: Ints
    begins: Ints
    ids: Ints

    def owners(self, tokens: Ints) -> Ints:
        """The sentence of each token, of (M,) tokens counted through all sentences."""
        return np.searchsorted(self.begins, tokens, side="right") - 1

    def padded(self, rows: Ints) -> Floats:
        """(B, T, C) emissions of the sentences in these rows, beyond their ends those of other tokens."""
        steps = self.begins[rows][:, None] + np.arange(self.lengths[rows].max())
        return self.emissions[np.minimum(steps, len(self.emissions) - 1)]


class Annotator:
    """Decodes one task.

    Args:
        task: The task.
        transitions: What its tag sequences score apart from their emissions.
        scheme: How tags of spans are to be written.
        temperature: What emissions and transitions are divided by where probabilities are asked for. Which
            tags and alternatives are the best, and in which order, does not depend on it.
    """

    def __init__(
        self, task: Task, transitions: Transitions, scheme: str, *, temperature: float = 1.0
    ) -> None:
        self.task = task
        self._transitions = transitions
        self._temperature = temperature
        self._tempered = transitions if temperature == 1 else temper(transitions, temperature)
        self._scheme = scheme
        self._reader = SpanReader(task.tags, scheme) if task.scheme else None
        self._names = np.array(task.tags, object)
        self._is_ambiguous = task.scheme is not None and not _forbids_repairs(task, transitions)

    @property
    def labels(self) -> list[str]:
        """The labels of the task's spans; none if its tags mark no spans."""
        return self._reader.labels if self._reader else []

    def annotate(
        self,
        emissions: Floats,
        lengths: Ints,
        sentences: Sequence[Sentence],
        request: Request,
    ) -> Annotations:
        """Decode S sentences.

        Args:
            emissions: (N, C) of the tokens of all sentences, one sentence behind another.
            lengths: (S,) tokens of each sentence, at least 1 each, N in all.
            sentences: The S sentences, for the offsets of their tokens.
            request: What is computed in addition to tags and spans.
        """
        window, is_first, found = self._decode(emissions, lengths)
        owners = window.owners(found.starts)
        span_scores = np.zeros(len(owners), np.float32)
        least = np.array([request.min_scores.get(label, 0.0) for label in self.labels], np.float32)
        is_low = np.zeros(len(owners), np.bool_)
        tag_scores: list[list[float]] = [[] for _ in sentences] if request.has_scores else []
        alternatives: list[list[Alternative]] = [[] for _ in sentences] if request.n_best else []
        likely: list[_ScoredSpans] = []
        has_candidates = self._reader is not None and request.candidates > 0
        # By default only sentences that have a span need a posterior.
        needs_all = request.has_scores or request.n_best or has_candidates
        wanted = np.arange(len(sentences)) if needs_all else np.unique(owners)
        for rows in self._groups(lengths, wanted):
            posterior = self._posterior(window, rows)
            chosen = np.flatnonzero(np.isin(owners, rows))
            if len(chosen):
                places = np.searchsorted(rows, owners[chosen])
                span_scores[chosen] = self._score_spans(posterior, places, found.select(chosen), window, rows)
                is_low[chosen] = span_scores[chosen] < least[found.labels[chosen]]
            if has_candidates:
                likely.append(self._find_candidates(posterior, window.begins[rows], request.candidates))
            if request.has_scores:
                _clear(window, found.select(chosen[is_low[chosen]]))
                for row, own in zip(rows, _score_tags(posterior, window, rows), strict=True):
                    tag_scores[row] = own
            if request.n_best:
                best = self._find_alternatives(window.padded(rows), posterior, request.n_best)
                for row, own_best in zip(rows, best, strict=True):
                    alternatives[row] = own_best
        if has_candidates:  # spans of the best path keep the scores that they have, to the last bit
            likely = [self._merge(request.candidates, [(found, span_scores), *likely])]
        if is_low.any():
            kept = np.flatnonzero(~is_low)
            found, span_scores = found.select(kept), span_scores[kept]
        written: list[str] = (
            self._reader.write(found, is_first) if self._reader else self._names[window.ids].tolist()
        )
        borders = zip(window.begins.tolist(), (window.begins + lengths).tolist(), strict=True)
        return Annotations(
            [tuple(written[begin:end]) for begin, end in borders],
            self._complete(found, span_scores, window, sentences) if self._reader else [],
            tag_scores,
            alternatives,
            self._complete(*likely[0], window, sentences) if has_candidates else [],
        )

    def _decode(self, emissions: Floats, lengths: Ints) -> tuple[_Decoded, NDArray[np.bool_], FoundSpans]:
        """Return the best path of each sentence, (N,) whether a token begins a sentence, and the spans."""
        ids = viterbi_flat(emissions, lengths, self._transitions)
        window = _Decoded(emissions, lengths, np.cumsum(lengths) - lengths, ids)
        is_first = np.zeros(len(ids), np.bool_)
        is_first[window.begins] = True
        if self._reader is None:
            return window, is_first, FoundSpans(*np.zeros((3, 0), np.int64))
        return window, is_first, self._reader.find(ids, is_first)

    @staticmethod
    def _groups(lengths: Ints, wanted: Ints) -> Iterator[Ints]:
        """Sentences of like length together, each group's places rising."""
        for group in group_by_length(lengths[wanted].tolist(), GROUP_SENTENCES, GROUP_TOKENS):
            yield np.sort(wanted[group])

    def _complete(
        self,
        found: FoundSpans,
        scores: Floats,
        window: _Decoded,
        sentences: Sequence[Sentence],
    ) -> list[tuple[Span, ...]]:
        """Each sentence's spans, with their scores and places in its document."""
        assert self._reader is not None
        owners = window.owners(found.starts)
        begins = window.begins[owners]
        columns = (owners, found.starts - begins, found.ends - begins, found.labels, scores)
        collected: list[list[Span]] = [[] for _ in sentences]
        labels = self._reader.labels
        for owner, start, end, label, score in zip(*(one.tolist() for one in columns), strict=True):
            offsets = sentences[owner].offsets
            span = Span(start, end, labels[label], score, offsets[start][0], offsets[end - 1][1])
            collected[owner].append(span)
        return list(map(tuple, collected))

    def _score_spans(
        self, posterior: Posterior, places: Ints, found: FoundSpans, window: _Decoded, rows: Ints
    ) -> Floats:
        """The marginal probability of M spans (M,), each in a row of ``posterior`` (M,)."""
        assert self._reader is not None
        sizes = found.ends - found.starts
        starts = found.starts - window.begins[rows[places]]
        if self._is_ambiguous:  # several tag sequences may be read as one span
            spans = FoundSpans(starts, starts + sizes, found.labels)
            return SpanMarginals(posterior, self._reader).score(places, spans)
        scores = np.zeros(len(sizes), np.float32)
        # Spans of like length together: beside one of many thousand tokens short ones would be padded to it.
        for group in group_by_length(sizes.tolist(), len(sizes), SPAN_TOKENS):
            within = np.arange(sizes[group[-1]])
            is_inside = within < sizes[group][:, None]
            tokens = np.where(is_inside, found.starts[group][:, None] + within, 0)
            paths = np.where(is_inside, window.ids[tokens], -1)
            closing = self._reader.closing[found.labels[group]]
            scores[group] = span_probabilities(posterior, places[group], starts[group], paths, closing)
        return scores

    def _find_candidates(self, posterior: Posterior, begins: Ints, least: float) -> _ScoredSpans:
        """Return the spans that reach a probability; ``begins`` (B,) are the places of the first tokens."""
        assert self._reader is not None
        found = SpanMarginals(posterior, self._reader).find(least)
        shift, spans = begins[found.rows], found.spans
        return FoundSpans(spans.starts + shift, spans.ends + shift, spans.labels), found.scores

    def _merge(self, least: float, parts: Sequence[_ScoredSpans]) -> _ScoredSpans:
        """Sort the spans that reach a score by place and score; of equal ones the first part's remains."""
        places = np.concatenate([[one.starts, one.ends, one.labels] for one, _ in parts], axis=1)
        scores = np.concatenate([scores for _, scores in parts])
        _, first = np.unique(places, axis=1, return_index=True)
        first = first[scores[first] >= least]
        starts, ends, labels = places[:, first]
        by_name = np.argsort(np.argsort(self.labels))
        order = np.lexsort((by_name[labels], -scores[first], ends, starts))
        return FoundSpans(starts, ends, labels).select(order), scores[first][order]

    def _posterior(self, window: _Decoded, rows: Ints) -> Posterior:
        """The posterior, at the task's temperature, of the sentences in these rows."""
        emissions = window.padded(rows)  # an array of its own
        if self._temperature != 1:
            emissions /= np.float32(self._temperature)
        return forward_backward(emissions, window.lengths[rows], self._tempered)

    def _find_alternatives(
        self, emissions: Floats, posterior: Posterior, n_best: int
    ) -> list[list[Alternative]]:
        """The likeliest tag sequences of every sentence (B, T, C), in the wished scheme."""
        # Not those of the tempered scores: rounding would let sequences change places that are all but equal.
        best = nbest(emissions, posterior.lengths, self._transitions, n_best)
        # Where nothing legal exists both are -inf, and the one sequence there is has probability 0.
        totals = np.where(np.isneginf(posterior.log_partition), 0.0, posterior.log_partition)
        probabilities = np.exp(np.minimum(best.scores / self._temperature - totals[:, None], 0.0))
        return [
            [
                Alternative(tuple(self._written([self.task.tags[number] for number in ids])), probability)
                for ids, probability in zip(
                    best.tags[place, :count, :length], probabilities[place].tolist(), strict=False
                )
            ]
            for place, (count, length) in enumerate(zip(best.counts, posterior.lengths, strict=True))
        ]

    def _written(self, tags: Sequence[str]) -> Sequence[str]:
        return convert_tags(tags, self.task.scheme, self._scheme) if self.task.scheme else tags


def _forbids_repairs(task: Task, transitions: Transitions) -> bool:
    """True if the transitions permit only what the scheme allows, and each span so has one tag sequence."""
    possible = (np.isfinite(one) for one in (transitions.scores, transitions.start, transitions.end))
    return not any(
        (one & ~np.array(legal)).any() for one, legal in zip(possible, task.allowed(), strict=True)
    )


def _clear(window: _Decoded, left_out: FoundSpans) -> None:
    """Put ``O``, the first tag of every task with spans, in the place of these spans' tags."""
    for start, end in zip(left_out.starts.tolist(), left_out.ends.tolist(), strict=True):
        window.ids[start:end] = 0


def _score_tags(posterior: Posterior, window: _Decoded, rows: Ints) -> list[list[float]]:
    """The marginal probability of every token's tag, sentence after sentence."""
    return [
        tags[np.arange(length), window.ids[begin : begin + length]].tolist()
        for tags, begin, length in zip(
            posterior.tags, window.begins[rows].tolist(), posterior.lengths.tolist(), strict=True
        )
    ]
