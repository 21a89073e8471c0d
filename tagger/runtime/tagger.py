"""``Tagger``: what users import. Raw text or tokens in, sentences with tags and spans out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import Bundle, load_bundle
from tagger.decoding.marginals import Posterior, forward_backward, span_probabilities
from tagger.decoding.nbest import nbest
from tagger.decoding.viterbi import viterbi
from tagger.errors import InputError
from tagger.features.batching import Batch, WordTable, group_by_length
from tagger.features.vocab import Task
from tagger.runtime.engine import Engine
from tagger.text.schemes import convert_tags, normalise_scheme, split_tag, tags_to_spans
from tagger.text.sentence import Alternative, Sentence, Span, from_tokens
from tagger.text.tokenizer import Tokenizer

TextTokenizer = Callable[[str], Sequence[Sentence]]
WINDOW = 1024  # sentences that are sorted by length together; output comes at the latest after so many
WINDOW_TOKENS = 65_536  # or when they have so many tokens, which bounds what is held of long sentences
BATCH_SENTENCES = 64
BATCH_TOKENS = 4096
SPAN_TOKENS = 65_536  # of the spans that are scored together, padding included
MOST_WORDS = 100_000  # distinct words whose ids are kept
MOST_ALTERNATIVES = 1000  # tag sequences of a sentence that may be asked for
MOST_POINTERS = 1 << 26  # of one sentence's alternatives, of two bytes as a rule (see ``nbest``)


class Tagger:
    """A trained model, ready to tag; threads may share it.

    Args:
        bundle: The model.
        tokenizer: Makes sentences of a raw text, in place of the tokenizer that the model learnt from its
            train part; the offsets of the sentences it returns must fit the text.
        scheme: How tags of span tasks are written: one of ``text.schemes.SCHEMES``.

    Raises:
        InputError: There is no such scheme, or the bundle's tensors do not fit its config.
    """

    def __init__(
        self, bundle: Bundle, *, tokenizer: TextTokenizer | None = None, scheme: str = "IOB2"
    ) -> None:
        self.bundle = bundle
        self.tokenizer: TextTokenizer = tokenizer or Tokenizer(**bundle.tokenizer).tokenize
        self.scheme = normalise_scheme(scheme)
        self.engine = Engine(bundle)
        self._table = WordTable(bundle.vocabulary)
        self._tasks_by_name = {task.name: task for task in self.tasks}
        self._closing = {task.name: _closing_masks(task) for task in self.tasks if task.scheme}

    @classmethod
    def load(
        cls, path: str | Path, *, tokenizer: TextTokenizer | None = None, scheme: str = "IOB2"
    ) -> Tagger:
        """Load a model from the folder that ``tagger train`` wrote.

        Raises:
            InputError: The folder is missing or is no model of this version, or there is no such scheme.
        """
        scheme, bundle = normalise_scheme(scheme), load_bundle(Path(path))
        try:
            return cls(bundle, tokenizer=tokenizer, scheme=scheme)
        except InputError as error:  # which knows the tensor, but not where the model is
            raise InputError(f"{path}: {error}") from None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the model tags."""
        return self.bundle.vocabulary.tasks

    def tag(self, text: str, *, n_best: int = 0, scores: bool = False) -> list[Sentence]:
        """Tag raw text; offsets count characters of ``text``.

        Args:
            text: A document.
            n_best: How many alternatives each sentence gets, see ``tag_sentences``.
            scores: Whether each tag gets its probability, see ``tag_sentences``.

        Raises:
            InputError: ``n_best`` is out of bounds.
        """
        return list(self.tag_sentences(self.tokenizer(text), n_best=n_best, scores=scores))

    def tag_tokens(
        self, sentences: Iterable[Sequence[str]], *, n_best: int = 0, scores: bool = False
    ) -> list[Sentence]:
        """Tag sentences of ready tokens, in order; offsets count characters of the tokens joined by spaces.

        Args:
            sentences: The tokens of each sentence.
            n_best: How many alternatives each sentence gets, see ``tag_sentences``.
            scores: Whether each tag gets its probability, see ``tag_sentences``.

        Raises:
            InputError: A sentence is a string instead of a list of tokens, or ``n_best`` is out of bounds.
        """
        return list(self.tag_sentences(_from_lists(sentences), n_best=n_best, scores=scores))

    def tag_sentences(
        self, sentences: Iterable[Sentence], *, n_best: int = 0, scores: bool = False
    ) -> Iterator[Sentence]:
        """Tag a stream of sentences in order.

        At most ``WINDOW`` sentences are read ahead, and none once they have ``WINDOW_TOKENS`` tokens (with
        alternatives ``WINDOW_TOKENS / n_best``, yet a whole batch): memory does not grow with the stream,
        only with its longest sentence (see ``Engine`` and ``nbest`` for how). Alternatives that take
        ``nbest`` more than ``MOST_POINTERS`` back-pointers are refused: of 16 tags, a sentence of 100,000
        tokens can have 41 alternatives, and one of 4,000 tokens 1000 of them.

        Args:
            sentences: What to tag; what tags they carry is not looked at.
            n_best: Fills ``Sentence.alternatives`` with so many of the likeliest tag sequences of each task,
                or with all if there are fewer; the first is the sentence's own tags. Probabilities are those
                of the model's sequences: where the model's tags are not in the tagger's scheme and are not
                constrained to their own, or the scheme is IO, several of them may be written alike, and each
                stands for itself. At most ``MOST_ALTERNATIVES``.
            scores: Fills ``Sentence.tag_scores`` with the marginal probability of each token's tag under the
                model. Where the model's scheme is another than the tagger's, it is the probability of the
                model's own tag: that of ``S-PER`` where ``B-PER`` is written.

        Raises:
            InputError: ``n_best`` is out of bounds, or, once it comes to it, too large for a sentence.
        """
        if not 0 <= n_best <= MOST_ALTERNATIVES:
            raise InputError(
                f"The number of alternatives is {n_best}; use 0 for none, or at most {MOST_ALTERNATIVES}."
            )
        if n_best:
            tag_count = max(len(task.tags) for task in self.tasks)
            sentences = _with_room_for(sentences, n_best, MOST_POINTERS // tag_count)
        return (
            tagged
            for window in _windows(sentences, max(BATCH_TOKENS, WINDOW_TOKENS // max(1, n_best)))
            for tagged in self._tag_window(window, n_best=n_best, has_scores=scores)
        )

    def _tag_window(
        self, sentences: Sequence[Sentence], *, n_best: int, has_scores: bool
    ) -> Sequence[Sentence]:
        table = self._table  # another thread may renew it meanwhile
        if len(table) > MOST_WORDS:
            table = self._table = WordTable(self.bundle.vocabulary)
        nothing: dict[str, tuple[()]] = dict.fromkeys(self._tasks_by_name, ())
        empty = {
            "spans": dict.fromkeys(self._closing, ()),
            "tag_scores": nothing if has_scores else None,
            "alternatives": nothing if n_best else None,
        }
        tagged = [one if one.tokens else one.with_tags(nothing, **empty) for one in sentences]
        rows = [table.rows(sentence.tokens) for sentence in sentences]
        filled = [place for place, row in enumerate(rows) if len(row)]
        lengths = [len(rows[place]) for place in filled]
        for group in group_by_length(lengths, BATCH_SENTENCES, BATCH_TOKENS):
            places = [filled[number] for number in group]
            batch = table.batch([rows[place] for place in places])
            found = self._tag_batch(
                batch, [sentences[place] for place in places], n_best=n_best, has_scores=has_scores
            )
            for place, sentence in zip(places, found, strict=True):
                tagged[place] = sentence
        return tagged

    def _tag_batch(
        self, batch: Batch, sentences: Sequence[Sentence], *, n_best: int, has_scores: bool
    ) -> list[Sentence]:
        tags: list[dict[str, Sequence[str]]] = [{} for _ in sentences]
        spans: list[dict[str, Sequence[Span]]] = [{} for _ in sentences]
        tag_scores: list[dict[str, Sequence[float]]] = [{} for _ in sentences]
        alternatives: list[dict[str, Sequence[Alternative]]] = [{} for _ in sentences]
        for name, emissions in self.engine(batch).items():
            task = self._tasks_by_name[name]
            ids = viterbi(emissions, batch.lengths, self.engine.transitions[name])
            own = [
                [task.tags[number] for number in row[:length]]
                for row, length in zip(ids, batch.lengths, strict=True)
            ]
            found = [tags_to_spans(sequence, task.scheme) for sequence in own] if task.scheme else []
            for place, sequence in enumerate(own):
                tags[place][name] = self._written(task, sequence)
            if has_scores or n_best or any(found):
                posterior = forward_backward(emissions, batch.lengths, self.engine.transitions[name])
            if found:
                span_scores = iter(self._score_spans(task, posterior, ids, found) if any(found) else ())
                for place, sentence in enumerate(sentences):
                    spans[place][name] = [
                        _complete(span, next(span_scores), sentence) for span in found[place]
                    ]
            if has_scores:
                for place, its_scores in enumerate(_score_tags(posterior, ids)):
                    tag_scores[place][name] = its_scores
            if n_best:
                for place, its_best in enumerate(self._find_alternatives(task, posterior, n_best)):
                    alternatives[place][name] = its_best
        return [
            sentence.with_tags(
                tags[place], spans[place], tag_scores=tag_scores[place], alternatives=alternatives[place]
            )
            for place, sentence in enumerate(sentences)
        ]

    def _written(self, task: Task, tags: Sequence[str]) -> Sequence[str]:
        """The model's own tags in the tagger's scheme."""
        return convert_tags(tags, task.scheme, self.scheme) if task.scheme else tags

    def _find_alternatives(self, task: Task, posterior: Posterior, n_best: int) -> list[list[Alternative]]:
        """The likeliest tag sequences of every sentence, in the tagger's scheme."""
        best = nbest(posterior.emissions, posterior.lengths, posterior.transitions, n_best)
        # Where nothing legal exists both are -inf, and the one sequence there is has probability 0.
        totals = np.where(np.isneginf(posterior.log_partition), 0.0, posterior.log_partition)
        probabilities = np.exp(np.minimum(best.scores - totals[:, None], 0.0))
        return [
            [
                Alternative(tuple(self._written(task, [task.tags[number] for number in ids])), probability)
                for ids, probability in zip(
                    best.tags[place, :count, :length], probabilities[place].tolist(), strict=False
                )
            ]
            for place, (count, length) in enumerate(zip(best.counts, posterior.lengths, strict=True))
        ]

    def _score_spans(
        self, task: Task, posterior: Posterior, ids: NDArray[np.int64], found: Sequence[Sequence[Span]]
    ) -> list[float]:
        """The marginal probability of every span, sentence after sentence."""
        places = [(place, span) for place, spans in enumerate(found) for span in spans]
        lengths = [span.end - span.start for _, span in places]
        scores = np.zeros(len(places), np.float32)
        # Spans of like length together: beside one of many thousand tokens short ones would be padded to it.
        for group in group_by_length(lengths, len(places), SPAN_TOKENS):
            chosen = [places[number] for number in group]
            paths = np.full((len(chosen), lengths[group[-1]]), -1, np.int64)
            for path, (place, span) in zip(paths, chosen, strict=True):
                path[: span.end - span.start] = ids[place, span.start : span.end]
            scores[group] = span_probabilities(
                posterior,
                np.array([place for place, _ in chosen]),
                np.array([span.start for _, span in chosen]),
                paths,
                np.stack([self._closing[task.name][span.label] for _, span in chosen]),
            )
        return scores.tolist()


def choose_tasks(tagger: Tagger, tasks: Sequence[str] | None) -> tuple[str, ...]:
    """The tasks that were asked for, or all of the model's.

    Raises:
        InputError: One of them is none of the model's.
    """
    known = [task.name for task in tagger.tasks]
    for name in tasks or ():
        if name not in known:
            raise InputError(f"The model has no task {name!r}; its tasks are {', '.join(known)}.")
    return tuple(dict.fromkeys(tasks)) if tasks else tuple(known)


def _windows(sentences: Iterable[Sentence], most_tokens: int) -> Iterator[list[Sentence]]:
    window: list[Sentence] = []
    tokens = 0
    for sentence in sentences:
        window.append(sentence)
        tokens += len(sentence)
        if len(window) == WINDOW or tokens >= most_tokens:
            yield window
            window, tokens = [], 0
    if window:
        yield window


def _with_room_for(sentences: Iterable[Sentence], n_best: int, most_tokens: int) -> Iterator[Sentence]:
    """Pass sentences on, and refuse one whose alternatives have more tokens in all than may be held."""
    for sentence in sentences:
        if n_best * len(sentence) > most_tokens:
            raise InputError(
                f"The sentence {sentence.text[:40]!r}… has {len(sentence):,} tokens, so that {n_best} "
                f"alternatives of it take too much memory; ask for {most_tokens // len(sentence)} or cut it."
            )
        yield sentence


def _score_tags(posterior: Posterior, ids: NDArray[np.int64]) -> list[list[float]]:
    """The marginal probability of every token's tag, sentence after sentence."""
    chosen = np.take_along_axis(posterior.tags, ids[:, :, None], axis=2)[:, :, 0]  # (B, T)
    return [row[:length].tolist() for row, length in zip(chosen, posterior.lengths, strict=True)]


def _complete(span: Span, score: float, sentence: Sentence) -> Span:
    begin, end = sentence.offsets[span.start][0], sentence.offsets[span.end - 1][1]
    return replace(span, score=score, start_char=begin, end_char=end)


def _closing_masks(task: Task) -> dict[str, NDArray[np.bool_]]:
    """For each label the (C,) tags that may follow a span: all but those that would make it longer."""
    parts = [split_tag(tag) for tag in task.tags]
    labels = {label for prefix, label in parts if prefix != "O"}
    return {
        label: np.array([prefix not in ("I", "E") or other != label for prefix, other in parts])
        for label in labels
    }


def _from_lists(sentences: Iterable[Sequence[str]]) -> Iterator[Sentence]:
    for number, tokens in enumerate(sentences, start=1):
        if isinstance(tokens, str):
            raise InputError(
                f"Sentence {number} is a string; give a list of tokens, or raw text to `Tagger.tag`."
            )
        yield from_tokens(tokens)
