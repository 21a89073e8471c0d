"""Turn emissions into tags, scored spans and n-best sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagger.decoding.candidates import SpanMarginals
from tagger.decoding.crf import Posterior, forward_backward
from tagger.decoding.label_votes import find_conflicts, vote_labels
from tagger.decoding.nbest import nbest
from tagger.decoding.span_scores import span_probabilities
from tagger.decoding.spans import FoundSpans, SpanReader
from tagger.decoding.temperature import scale_by_temperature
from tagger.decoding.viterbi import Transitions, viterbi_flat
from tagger.features.batching import group_by_length
from tagger.features.vocab import Task
from tagger.runtime.options import TagOptions
from tagger.text.schemes import convert_tags, spans_to_tags
from tagger.text.sentence import Alternative, Sentence, Span

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
GROUP_SENTENCES = 512  # maximum sentences per posterior batch
GROUP_TOKENS = 16_384  # maximum tokens per posterior batch, padding included
SPAN_TOKENS = 65_536  # maximum tokens per batch of scored spans, padding included
Annotations = dict[str, list[Any]]
"""One task's values of S sentences, keyed by the parameters of ``Sentence.with_tags``."""


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
        self._scaled_transitions = (
            transitions if temperature == 1 else scale_by_temperature(transitions, temperature)
        )
        self._scheme = scheme
        self._reader = SpanReader(task.tags, scheme) if task.scheme else None
        self._names = np.array(task.tags, object)
        self._is_ambiguous = task.scheme is not None and not _is_constrained(task, transitions)

    @property
    def labels(self) -> list[str]:
        """The labels of the task's spans; none if its tags mark no spans."""
        return self._reader.labels if self._reader else []

    def annotate(
        self,
        emissions: Floats,
        lengths: Ints,
        sentences: Sequence[Sentence],
        options: TagOptions,
        documents: Ints | None = None,
    ) -> Annotations:
        """Decode S sentences.

        Args:
            emissions: (N, C) emissions of the tokens of all sentences, concatenated.
            lengths: (S,) sentence lengths, at least 1 each, N in total.
            sentences: The S sentences, for the offsets of their tokens.
            options: The values to compute. The score threshold is not applied.
            documents: (S,) number of each sentence's document, whose spans vote on their labels; None for no
                vote. Alternatives and candidates are those of the model, without the vote.

        Returns:
            ``tags``; ``spans`` if the task's tags mark spans; and the requested values.
        """
        ids = viterbi_flat(emissions, lengths, self._transitions)
        begins = np.cumsum(lengths) - lengths
        is_first = np.zeros(len(ids), np.bool_)
        is_first[begins] = True
        self._settle_labels(ids, is_first, emissions, lengths, sentences, documents)
        spans, candidates = self._find_spans(ids, is_first), []
        owners = spans.sentences(begins)
        has_candidates = self._reader is not None and options.candidates > 0
        annotations: Annotations = {name: [[] for _ in sentences] for name in self._requested(options)}
        # By default only sentences that have a span need a posterior.
        needs_all = options.has_scores or options.n_best or has_candidates
        needed = np.arange(len(sentences)) if needs_all else np.unique(owners)
        for rows in self._groups(lengths, needed):
            padded = _pad(emissions, begins[rows], lengths[rows])
            posterior = self._posterior(padded, lengths[rows])
            selected = np.flatnonzero(np.isin(owners, rows))
            if len(selected):
                spans.scores[selected] = self._score_spans(
                    posterior, spans.select(selected), ids, begins[rows]
                )
            if has_candidates:
                assert self._reader is not None
                marginals = SpanMarginals(posterior, self._reader)
                candidates.append(marginals.find(options.candidates, begins[rows]))
            values: Annotations = {}
            if options.has_scores:
                values = self._score_tags(posterior, ids, begins[rows])
            if options.n_best:
                values["alternatives"] = self._find_alternatives(padded, posterior, options.n_best)
            for name, batch_values in values.items():
                for row, value in zip(rows.tolist(), batch_values, strict=True):
                    annotations[name][row] = value
        tags = self._write_tags(ids, spans, is_first)
        bounds = zip(begins.tolist(), (begins + lengths).tolist(), strict=True)
        annotations["tags"] = [tuple(tags[begin:end]) for begin, end in bounds]
        if self._reader:
            annotations["spans"] = self._complete(spans, begins, sentences)
        if has_candidates:  # spans of the best path keep exactly the scores computed above
            merged = self._merge(options.candidates, [spans, *candidates])
            annotations["candidates"] = self._complete(merged, begins, sentences)
        return annotations

    def _find_spans(self, ids: Ints, is_first: NDArray[np.bool_]) -> FoundSpans:
        """Return the spans of tag ids (N,), given a mask of the tokens that begin a sentence."""
        if self._reader is None:
            return FoundSpans.unscored(*np.zeros((3, 0), np.int64))
        return self._reader.find(ids, is_first)

    def _settle_labels(
        self,
        ids: Ints,
        is_first: NDArray[np.bool_],
        emissions: Floats,
        lengths: Ints,
        sentences: Sequence[Sentence],
        documents: Ints | None,
    ) -> None:
        """Change the tag ids (N,) of spans that other spans of the same words outvote in their document."""
        if documents is None or self._reader is None:
            return
        begins = np.cumsum(lengths) - lengths
        spans = self._find_spans(ids, is_first)
        names = _name_spans(spans, begins, sentences, documents)
        conflicts = find_conflicts(names, spans.labels)
        spans, names = spans.select(conflicts), [names[index] for index in conflicts]
        owners = spans.sentences(begins)
        for rows in self._groups(lengths, np.unique(owners)):
            posterior = self._posterior(_pad(emissions, begins[rows], lengths[rows]), lengths[rows])
            selected = np.flatnonzero(np.isin(owners, rows))
            spans.scores[selected] = self._score_spans(posterior, spans.select(selected), ids, begins[rows])
        voted = vote_labels(names, spans.labels, spans.scores)
        for index in np.flatnonzero(voted != spans.labels):
            start, end = int(spans.starts[index]), int(spans.ends[index])
            span = Span(0, end - start, self.labels[voted[index]])
            tags = spans_to_tags([span], end - start, str(self.task.scheme))
            ids[start:end] = [self.task.ids[tag] for tag in tags]

    def _write_tags(self, ids: Ints, spans: FoundSpans, is_first: NDArray[np.bool_]) -> list[str]:
        """Return the N tags, those of spans in the target scheme."""
        if self._reader is not None:
            return self._reader.write(spans, is_first)
        tags: list[str] = self._names[ids].tolist()
        return tags

    def _requested(self, options: TagOptions) -> list[str]:
        """Return the names of the requested values that are computed in batches of similar length."""
        names = ["tag_scores", *(["outside_scores"] if self._reader else [])] if options.has_scores else []
        return [*names, "alternatives"] if options.n_best else names

    @staticmethod
    def _groups(lengths: Ints, indices: Ints) -> Iterator[Ints]:
        """Batch the sentences at ``indices`` by similar length; the indices of each batch are sorted."""
        for group in group_by_length(lengths[indices].tolist(), GROUP_SENTENCES, GROUP_TOKENS):
            yield np.sort(indices[group])

    def _complete(
        self, spans: FoundSpans, begins: Ints, sentences: Sequence[Sentence]
    ) -> list[tuple[Span, ...]]:
        """Return each sentence's spans, with scores and offsets; ``begins`` (S,) are its first tokens."""
        owners = spans.sentences(begins)
        shifts = begins[owners]
        columns = (owners, spans.starts - shifts, spans.ends - shifts, spans.labels, spans.scores)
        collected: list[list[Span]] = [[] for _ in sentences]
        labels = self.labels
        for owner, start, end, label, score in zip(*(column.tolist() for column in columns), strict=True):
            sentence = sentences[owner]
            first, last = sentence.offsets[start][0], sentence.offsets[end - 1][1]
            text = sentence.text[first - sentence.text_start : last - sentence.text_start]
            collected[owner].append(Span(start, end, labels[label], score, first, last, text))
        return list(map(tuple, collected))

    def _score_spans(self, posterior: Posterior, spans: FoundSpans, ids: Ints, begins: Ints) -> Floats:
        """Return the marginal probabilities (M,) of spans of the best paths.

        Args:
            posterior: The posterior of B sentences.
            spans: M spans of these sentences.
            ids: (N,) tag ids of all tokens, which the indices of the spans refer to.
            begins: (B,) index of each sentence's first token.
        """
        assert self._reader is not None
        if self._is_ambiguous:  # several tag sequences can encode the same span
            return SpanMarginals(posterior, self._reader).score(spans, begins)
        rows, sizes = spans.sentences(begins), spans.ends - spans.starts
        starts = spans.starts - begins[rows]
        scores = np.zeros(len(sizes), np.float32)
        # Group spans by similar length: one very long span would force padding on all short ones.
        for group in group_by_length(sizes.tolist(), len(sizes), SPAN_TOKENS):
            within = np.arange(sizes[group[-1]])
            is_inside = within < sizes[group][:, None]
            tokens = np.where(is_inside, spans.starts[group][:, None] + within, 0)
            paths = np.where(is_inside, ids[tokens], -1)
            closing = self._reader.closing[spans.labels[group]]
            scores[group] = span_probabilities(posterior, rows[group], starts[group], paths, closing)
        return scores

    def _score_tags(self, posterior: Posterior, ids: Ints, begins: Ints) -> Annotations:
        """Return the marginal probabilities of each token's tag and of ``O``, per sentence.

        ``O`` has id 0 in every task with spans.
        """
        sentences = list(zip(posterior.tags, begins.tolist(), posterior.lengths.tolist(), strict=True))
        scores = {
            "tag_scores": [
                tags[np.arange(length), ids[begin : begin + length]].tolist()
                for tags, begin, length in sentences
            ]
        }
        if self._reader:
            scores["outside_scores"] = [tags[:length, 0].tolist() for tags, _, length in sentences]
        return scores

    def _merge(self, threshold: float, groups: Sequence[FoundSpans]) -> FoundSpans:
        """Sort the spans above a threshold by position and score; duplicates keep the first group's score."""
        columns = np.concatenate([[group.starts, group.ends, group.labels] for group in groups], axis=1)
        scores = np.concatenate([group.scores for group in groups])
        _, first = np.unique(columns, axis=1, return_index=True)
        first = first[scores[first] >= threshold]
        starts, ends, labels = columns[:, first]
        by_name = np.argsort(np.argsort(self.labels))
        order = np.lexsort((by_name[labels], -scores[first], ends, starts))
        return FoundSpans(starts, ends, labels, scores[first]).select(order)

    def _posterior(self, emissions: Floats, lengths: Ints) -> Posterior:
        """Return the posterior, at the task's temperature, of B sentences (B, T, C)."""
        if self._temperature != 1:
            emissions = emissions / np.float32(self._temperature)
        return forward_backward(emissions, lengths, self._scaled_transitions)

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


def _name_spans(
    spans: FoundSpans, begins: Ints, sentences: Sequence[Sentence], documents: Ints
) -> list[tuple[int | str, ...]]:
    """Return the document and the lower-cased words of each span."""
    owners = spans.sentences(begins)
    shifts = begins[owners]
    columns = (owners, spans.starts - shifts, spans.ends - shifts, documents[owners])
    return [
        (document, *map(str.lower, sentences[owner].tokens[start:end]))
        for owner, start, end, document in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _is_constrained(task: Task, transitions: Transitions) -> bool:
    """True if the transitions allow only sequences that are legal in the scheme.

    Each span then has exactly one tag sequence.
    """
    arrays = (transitions.scores, transitions.start, transitions.end)
    return not any(
        (np.isfinite(scores) & ~np.array(is_legal)).any()
        for scores, is_legal in zip(arrays, task.allowed(), strict=True)
    )


def _pad(emissions: Floats, begins: Ints, lengths: Ints) -> Floats:
    """Return the emissions (B, T, C) of B sentences; padding has arbitrary values."""
    steps = begins[:, None] + np.arange(lengths.max())
    return emissions[np.minimum(steps, len(emissions) - 1)]
