"""Turn emissions into tags, scored spans and n-best sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tagger.decoding.candidates import SpanMarginals
from tagger.decoding.crf import Posterior, forward_backward
from tagger.decoding.nbest import nbest
from tagger.decoding.span_scores import span_probabilities
from tagger.decoding.spans import FoundSpans, SpanReader
from tagger.decoding.temperature import temper
from tagger.decoding.viterbi import Transitions, viterbi_flat
from tagger.features.batching import group_by_length
from tagger.features.vocab import Task
from tagger.text.schemes import convert_tags
from tagger.text.sentence import Alternative, Sentence, Span

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
GROUP_SENTENCES = 512  # maximum sentences per posterior batch
GROUP_TOKENS = 16_384  # maximum tokens per posterior batch, padding included
SPAN_TOKENS = 65_536  # maximum tokens per batch of scored spans, padding included
_ScoredSpans = tuple[FoundSpans, Floats]  # M spans and their (M,) scores


@dataclass(frozen=True, slots=True)
class Request:
    """Results to compute for each sentence in addition to its tags and spans.

    Attributes:
        n_best: Number of alternatives per task.
        has_scores: True to compute the probability of each tag.
        min_scores: Score threshold per label, by default 0. Spans with a lower score are dropped; their
            tokens get the tag ``O`` and its probability.
        candidates: Probability threshold of candidate spans, 0 for none.
    """

    n_best: int = 0
    has_scores: bool = False
    min_scores: Mapping[str, float] = field(default_factory=dict)
    candidates: float = 0.0


@dataclass(frozen=True, slots=True)
class Annotations:
    """Annotations of B sentences for one task; optional results are empty unless requested.

    Attributes:
        tags: Each sentence's tags.
        spans: Each sentence's spans; empty if the task's tags mark no spans.
        tag_scores: The probability of each tag, per sentence.
        alternatives: Each sentence's most probable tag sequences.
        candidates: Each sentence's candidate spans; empty if the task's tags mark no spans.
    """

    tags: list[tuple[str, ...]]
    spans: list[tuple[Span, ...]]
    tag_scores: list[list[float]]
    alternatives: list[list[Alternative]]
    candidates: list[tuple[Span, ...]]


@dataclass(frozen=True, slots=True)
class _Decoded:
    """S concatenated sentences with N tokens in total.

    Attributes:
        emissions: (N, C) emissions.
        lengths: (S,) sentence lengths.
        begins: (S,) index of each sentence's first token.
        ids: (N,) tag ids.
    """

    emissions: Floats
    lengths: Ints
    begins: Ints
    ids: Ints

    def owners(self, tokens: Ints) -> Ints:
        """Return the sentence indices (M,) of token indices (M,)."""
        return np.searchsorted(self.begins, tokens, side="right") - 1

    def padded(self, rows: Ints) -> Floats:
        """Return the emissions (B, T, C) of the sentences at ``rows`` (B,); padding has arbitrary values."""
        steps = self.begins[rows][:, None] + np.arange(self.lengths[rows].max())
        return self.emissions[np.minimum(steps, len(self.emissions) - 1)]


class Annotator:
    """Decode emissions of one task.

    Args:
        task: The task.
        transitions: The task's transition scores.
        scheme: Target scheme of the tags of spans.
        temperature: Divisor of emissions and transitions when probabilities are computed. The best tags and
            the order of alternatives do not depend on it.
    """

    def __init__(
        self, task: Task, transitions: Transitions, scheme: str, *, temperature: float = 1.0
    ) -> None:
        self.task = task
        self._transitions = transitions
        self._temperature = temperature
        self._scaled_transitions = transitions if temperature == 1 else temper(transitions, temperature)
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
            emissions: (N, C) emissions of the tokens of all sentences, concatenated.
            lengths: (S,) sentence lengths, at least 1 each, N in total.
            sentences: The S sentences, for the offsets of their tokens.
            request: Results to compute in addition to tags and spans.
        """
        window, is_first, spans = self._decode(emissions, lengths)
        owners = window.owners(spans.starts)
        span_scores = np.zeros(len(owners), np.float32)
        thresholds = np.array([request.min_scores.get(label, 0.0) for label in self.labels], np.float32)
        is_low = np.zeros(len(owners), np.bool_)
        tag_scores: list[list[float]] = [[] for _ in sentences] if request.has_scores else []
        alternatives: list[list[Alternative]] = [[] for _ in sentences] if request.n_best else []
        candidates: list[_ScoredSpans] = []
        has_candidates = self._reader is not None and request.candidates > 0
        # By default only sentences that have a span need a posterior.
        needs_all = request.has_scores or request.n_best or has_candidates
        needed = np.arange(len(sentences)) if needs_all else np.unique(owners)
        for rows in self._groups(lengths, needed):
            posterior = self._posterior(window, rows)
            selected = np.flatnonzero(np.isin(owners, rows))
            if len(selected):
                batch_rows = np.searchsorted(rows, owners[selected])
                span_scores[selected] = self._score_spans(
                    posterior, batch_rows, spans.select(selected), window, rows
                )
                is_low[selected] = span_scores[selected] < thresholds[spans.labels[selected]]
            if has_candidates:
                candidates.append(self._find_candidates(posterior, window.begins[rows], request.candidates))
            if request.has_scores:
                _clear(window, spans.select(selected[is_low[selected]]))
                for row, own in zip(rows, _score_tags(posterior, window, rows), strict=True):
                    tag_scores[row] = own
            if request.n_best:
                best = self._find_alternatives(window.padded(rows), posterior, request.n_best)
                for row, own_best in zip(rows, best, strict=True):
                    alternatives[row] = own_best
        if has_candidates:  # spans of the best path keep exactly the scores computed above
            candidates = [self._merge(request.candidates, [(spans, span_scores), *candidates])]
        if is_low.any():
            kept = np.flatnonzero(~is_low)
            spans, span_scores = spans.select(kept), span_scores[kept]
        tags: list[str] = (
            self._reader.write(spans, is_first) if self._reader else self._names[window.ids].tolist()
        )
        bounds = zip(window.begins.tolist(), (window.begins + lengths).tolist(), strict=True)
        return Annotations(
            [tuple(tags[begin:end]) for begin, end in bounds],
            self._complete(spans, span_scores, window, sentences) if self._reader else [],
            tag_scores,
            alternatives,
            self._complete(*candidates[0], window, sentences) if has_candidates else [],
        )

    def _decode(self, emissions: Floats, lengths: Ints) -> tuple[_Decoded, NDArray[np.bool_], FoundSpans]:
        """Return the best paths, an (N,) mask of the tokens that begin a sentence, and the spans."""
        ids = viterbi_flat(emissions, lengths, self._transitions)
        window = _Decoded(emissions, lengths, np.cumsum(lengths) - lengths, ids)
        is_first = np.zeros(len(ids), np.bool_)
        is_first[window.begins] = True
        if self._reader is None:
            return window, is_first, FoundSpans(*np.zeros((3, 0), np.int64))
        return window, is_first, self._reader.find(ids, is_first)

    @staticmethod
    def _groups(lengths: Ints, indices: Ints) -> Iterator[Ints]:
        """Batch the sentences at ``indices`` by similar length; the indices of each batch are sorted."""
        for group in group_by_length(lengths[indices].tolist(), GROUP_SENTENCES, GROUP_TOKENS):
            yield np.sort(indices[group])

    def _complete(
        self,
        spans: FoundSpans,
        scores: Floats,
        window: _Decoded,
        sentences: Sequence[Sentence],
    ) -> list[tuple[Span, ...]]:
        """Return each sentence's spans, with scores and offsets."""
        assert self._reader is not None
        owners = window.owners(spans.starts)
        begins = window.begins[owners]
        columns = (owners, spans.starts - begins, spans.ends - begins, spans.labels, scores)
        collected: list[list[Span]] = [[] for _ in sentences]
        labels = self._reader.labels
        for owner, start, end, label, score in zip(*(one.tolist() for one in columns), strict=True):
            offsets = sentences[owner].offsets
            span = Span(start, end, labels[label], score, offsets[start][0], offsets[end - 1][1])
            collected[owner].append(span)
        return list(map(tuple, collected))

    def _score_spans(
        self, posterior: Posterior, batch_rows: Ints, found: FoundSpans, window: _Decoded, rows: Ints
    ) -> Floats:
        """Return the marginal probabilities (M,) of M spans, given their rows (M,) in ``posterior``."""
        assert self._reader is not None
        sizes = found.ends - found.starts
        starts = found.starts - window.begins[rows[batch_rows]]
        if self._is_ambiguous:  # several tag sequences can encode the same span
            spans = FoundSpans(starts, starts + sizes, found.labels)
            return SpanMarginals(posterior, self._reader).score(batch_rows, spans)
        scores = np.zeros(len(sizes), np.float32)
        # Group spans by similar length: one very long span would force padding on all short ones.
        for group in group_by_length(sizes.tolist(), len(sizes), SPAN_TOKENS):
            within = np.arange(sizes[group[-1]])
            is_inside = within < sizes[group][:, None]
            tokens = np.where(is_inside, found.starts[group][:, None] + within, 0)
            paths = np.where(is_inside, window.ids[tokens], -1)
            closing = self._reader.closing[found.labels[group]]
            scores[group] = span_probabilities(posterior, batch_rows[group], starts[group], paths, closing)
        return scores

    def _find_candidates(self, posterior: Posterior, begins: Ints, threshold: float) -> _ScoredSpans:
        """Return the spans with at least a probability; ``begins`` (B,) are indices of the first tokens."""
        assert self._reader is not None
        found = SpanMarginals(posterior, self._reader).find(threshold)
        shift, spans = begins[found.rows], found.spans
        return FoundSpans(spans.starts + shift, spans.ends + shift, spans.labels), found.scores

    def _merge(self, threshold: float, groups: Sequence[_ScoredSpans]) -> _ScoredSpans:
        """Sort the spans above a threshold by position and score; duplicates keep the first group's score."""
        columns = np.concatenate([[one.starts, one.ends, one.labels] for one, _ in groups], axis=1)
        scores = np.concatenate([scores for _, scores in groups])
        _, first = np.unique(columns, axis=1, return_index=True)
        first = first[scores[first] >= threshold]
        starts, ends, labels = columns[:, first]
        by_name = np.argsort(np.argsort(self.labels))
        order = np.lexsort((by_name[labels], -scores[first], ends, starts))
        return FoundSpans(starts, ends, labels).select(order), scores[first][order]

    def _posterior(self, window: _Decoded, rows: Ints) -> Posterior:
        """Return the posterior, at the task's temperature, of the sentences at ``rows`` (B,)."""
        emissions = window.padded(rows)  # a copy
        if self._temperature != 1:
            emissions /= np.float32(self._temperature)
        return forward_backward(emissions, window.lengths[rows], self._scaled_transitions)

    def _find_alternatives(
        self, emissions: Floats, posterior: Posterior, n_best: int
    ) -> list[list[Alternative]]:
        """Return the most probable tag sequences per sentence (B, T, C), in the target scheme."""
        # Use the unscaled scores: scaling by the temperature can reorder nearly equal sequences by rounding.
        best = nbest(emissions, posterior.lengths, self._transitions, n_best)
        # If no sequence is legal, both are -inf, and the only sequence has probability 0.
        totals = np.where(np.isneginf(posterior.log_partition), 0.0, posterior.log_partition)
        probabilities = np.exp(np.minimum(best.scores / self._temperature - totals[:, None], 0.0))
        return [
            [
                Alternative(
                    tuple(self._convert_tags([self.task.tags[number] for number in ids])), probability
                )
                for ids, probability in zip(
                    best.tags[row, :count, :length], probabilities[row].tolist(), strict=False
                )
            ]
            for row, (count, length) in enumerate(zip(best.counts, posterior.lengths, strict=True))
        ]

    def _convert_tags(self, tags: Sequence[str]) -> Sequence[str]:
        return convert_tags(tags, self.task.scheme, self._scheme) if self.task.scheme else tags


def _forbids_repairs(task: Task, transitions: Transitions) -> bool:
    """True if the transitions allow only sequences that are legal in the scheme.

    Each span then has exactly one tag sequence.
    """
    possible = (np.isfinite(one) for one in (transitions.scores, transitions.start, transitions.end))
    return not any(
        (one & ~np.array(legal)).any() for one, legal in zip(possible, task.allowed(), strict=True)
    )


def _clear(window: _Decoded, dropped: FoundSpans) -> None:
    """Replace the tags of dropped spans by ``O``, which has id 0 in every task with spans."""
    for start, end in zip(dropped.starts.tolist(), dropped.ends.tolist(), strict=True):
        window.ids[start:end] = 0


def _score_tags(posterior: Posterior, window: _Decoded, rows: Ints) -> list[list[float]]:
    """Return the marginal probability of each token's tag, per sentence."""
    return [
        tags[np.arange(length), window.ids[begin : begin + length]].tolist()
        for tags, begin, length in zip(
            posterior.tags, window.begins[rows].tolist(), posterior.lengths.tolist(), strict=True
        )
    ]
