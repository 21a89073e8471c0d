"""``Tagger``: what users import. Raw text or tokens in, sentences with tags and spans out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import Bundle, load_bundle
from tagger.decoding.marginals import forward_backward, span_probabilities
from tagger.decoding.viterbi import viterbi
from tagger.errors import InputError
from tagger.features.batching import Batch, Ints, WordTable, group_by_length
from tagger.features.vocab import Task
from tagger.runtime.engine import Engine
from tagger.text.schemes import convert_tags, normalise_scheme, split_tag, tags_to_spans
from tagger.text.sentence import Sentence, Span, from_tokens
from tagger.text.tokenizer import Tokenizer

TextTokenizer = Callable[[str], Sequence[Sentence]]
WINDOW = 1024  # sentences that are sorted by length together; output comes at the latest after so many
BATCH_SENTENCES = 64
BATCH_TOKENS = 4096
MOST_WORDS = 100_000  # distinct words whose ids are kept


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
        self._engine = Engine(bundle)
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

    def tag(self, text: str) -> list[Sentence]:
        """Tag raw text; offsets count characters of ``text``."""
        return list(self.tag_sentences(self.tokenizer(text)))

    def tag_tokens(self, sentences: Iterable[Sequence[str]]) -> list[Sentence]:
        """Tag sentences of ready tokens, in order; offsets count characters of the tokens joined by spaces.

        Raises:
            InputError: A sentence is a string instead of a list of tokens.
        """
        return list(self.tag_sentences(_from_lists(sentences)))

    def tag_sentences(self, sentences: Iterable[Sentence]) -> Iterator[Sentence]:
        """Tag a stream of sentences in order, reading ahead at most ``WINDOW`` of them."""
        remaining = iter(sentences)
        while window := list(islice(remaining, WINDOW)):
            yield from self._tag_window(window)

    def _tag_window(self, sentences: Sequence[Sentence]) -> list[Sentence]:
        table = self._table  # another thread may renew it meanwhile
        if len(table) > MOST_WORDS:
            table = self._table = WordTable(self.bundle.vocabulary)
        no_tags, no_spans = dict.fromkeys(self._tasks_by_name, ()), dict.fromkeys(self._closing, ())
        tagged = [one if one.tokens else one.with_tags(no_tags, no_spans) for one in sentences]
        rows = [table.rows(sentence.tokens) for sentence in sentences]
        filled = [place for place, row in enumerate(rows) if len(row)]
        lengths = [len(rows[place]) for place in filled]
        for group in group_by_length(lengths, BATCH_SENTENCES, BATCH_TOKENS):
            places = [filled[number] for number in group]
            batch = table.batch([rows[place] for place in places])
            found = self._tag_batch(batch, [sentences[place] for place in places])
            for place, sentence in zip(places, found, strict=True):
                tagged[place] = sentence
        return tagged

    def _tag_batch(self, batch: Batch, sentences: Sequence[Sentence]) -> list[Sentence]:
        tags: list[dict[str, Sequence[str]]] = [{} for _ in sentences]
        spans: list[dict[str, Sequence[Span]]] = [{} for _ in sentences]
        for name, emissions in self._engine(batch).items():
            task = self._tasks_by_name[name]
            ids = viterbi(emissions, batch.lengths, self._engine.transitions[name])
            own = [
                [task.tags[number] for number in row[:length]]
                for row, length in zip(ids, batch.lengths, strict=True)
            ]
            if task.scheme is None:
                for place, sequence in enumerate(own):
                    tags[place][name] = sequence
                continue
            found = [tags_to_spans(sequence, task.scheme) for sequence in own]
            scores = iter(self._score_spans(task, emissions, batch.lengths, ids, found))
            for place, sentence in enumerate(sentences):
                spans[place][name] = [_complete(span, next(scores), sentence) for span in found[place]]
                tags[place][name] = convert_tags(own[place], task.scheme, self.scheme)
        return [
            sentence.with_tags(its_tags, its_spans)
            for sentence, its_tags, its_spans in zip(sentences, tags, spans, strict=True)
        ]

    def _score_spans(
        self,
        task: Task,
        emissions: NDArray[np.float32],
        lengths: Ints,
        ids: NDArray[np.int64],
        found: Sequence[Sequence[Span]],
    ) -> list[float]:
        """The marginal probability of every span, sentence after sentence."""
        places = [(place, span) for place, spans in enumerate(found) for span in spans]
        if not places:
            return []
        width = max(span.end - span.start for _, span in places)
        paths = np.full((len(places), width), -1, np.int64)
        for path, (place, span) in zip(paths, places, strict=True):
            path[: span.end - span.start] = ids[place, span.start : span.end]
        probabilities = span_probabilities(
            forward_backward(emissions, lengths, self._engine.transitions[task.name]),
            np.array([place for place, _ in places]),
            np.array([span.start for _, span in places]),
            paths,
            np.stack([self._closing[task.name][span.label] for _, span in places]),
        )
        return [float(probability) for probability in probabilities]


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
