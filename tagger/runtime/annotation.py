"""From emissions to what a sentence is told: tags in the wished scheme, spans with scores, alternatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True)
class Annotations:
    """What one task says of B sentences.

    Attributes:
        tags: Each sentence's tags.
        spans: Each sentence's spans; nothing if the task has none.
        tag_scores: Each sentence's probabilities of its tags, where asked for.
        alternatives: Each sentence's likeliest tag sequences, where asked for.
    """

    tags: list[tuple[str, ...]]
    spans: list[tuple[Span, ...]]
    tag_scores: list[list[float]]
    alternatives: list[list[Alternative]]


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

    def annotate(
        self,
        emissions: Floats,
        lengths: Ints,
        sentences: Sequence[Sentence],
        *,
        n_best: int = 0,
        has_scores: bool = False,
        min_score: float = 0.0,
    ) -> Annotations:
        """Decode S sentences.

        Args:
            emissions: (N, C) of the tokens of all sentences, one sentence behind another.
            lengths: (S,) tokens of each sentence, at least 1 each, N in all.
            sentences: The S sentences, for the offsets of their tokens.
            n_best: How many alternatives each sentence gets.
            has_scores: Whether each tag gets its probability.
            min_score: Spans of a lower score are left out, and what is told of their tokens is told of ``O``.
        """
        ids, ends = viterbi_flat(emissions, lengths, self._transitions), np.cumsum(lengths)
        window = _Decoded(emissions, lengths, ends - lengths, ids)
        is_first = np.zeros(len(ids), np.bool_)
        is_first[window.begins] = True
        found = FoundSpans(*np.zeros((3, 0), np.int64))
        if self._reader:
            found = self._reader.find(ids, is_first)
        owners = np.searchsorted(window.begins, found.starts, side="right") - 1
        span_scores = np.zeros(len(owners), np.float32)
        tag_scores: list[list[float]] = [[] for _ in sentences] if has_scores else []
        alternatives: list[list[Alternative]] = [[] for _ in sentences] if n_best else []
        # Without scores and alternatives only sentences that have a span need a posterior.
        wanted = np.arange(len(sentences)) if has_scores or n_best else np.unique(owners)
        for rows in self._groups(lengths, wanted):
            posterior = self._posterior(window, rows)
            chosen = np.flatnonzero(np.isin(owners, rows))
            if len(chosen):
                places = np.searchsorted(rows, owners[chosen])
                span_scores[chosen] = self._score_spans(posterior, places, found.select(chosen), window, rows)
                if min_score and has_scores:
                    _clear(window, found.select(chosen[span_scores[chosen] < min_score]))
            if has_scores:
                for row, own in zip(rows, _score_tags(posterior, window, rows), strict=True):
                    tag_scores[row] = own
            if n_best:
                best = self._find_alternatives(window.padded(rows), posterior, n_best)
                for row, own_best in zip(rows, best, strict=True):
                    alternatives[row] = own_best
        if min_score:
            kept = np.flatnonzero(span_scores >= min_score)
            found, owners, span_scores = found.select(kept), owners[kept], span_scores[kept]
        written: list[str] = (
            self._reader.write(found, is_first) if self._reader else self._names[ids].tolist()
        )
        borders = zip(window.begins.tolist(), ends.tolist(), strict=True)
        return Annotations(
            [tuple(written[begin:end]) for begin, end in borders],
            self._complete(found, owners, span_scores, window, sentences) if self._reader else [],
            tag_scores,
            alternatives,
        )

    @staticmethod
    def _groups(lengths: Ints, wanted: Ints) -> Iterator[Ints]:
        """Sentences of like length together, each group's places rising."""
        for group in group_by_length(lengths[wanted].tolist(), GROUP_SENTENCES, GROUP_TOKENS):
            yield np.sort(wanted[group])

    def _complete(
        self,
        found: FoundSpans,
        owners: Ints,
        scores: Floats,
        window: _Decoded,
        sentences: Sequence[Sentence],
    ) -> list[tuple[Span, ...]]:
        """Each sentence's spans, with their scores and places in its document."""
        assert self._reader is not None
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
