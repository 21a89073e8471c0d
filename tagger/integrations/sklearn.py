"""``SequenceTagger``: a scikit-learn estimator that trains and uses a tagger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from tagger.api import train
from tagger.config import Direction, HeadKind
from tagger.config_loading import configure
from tagger.corpus.tags import BARE, PLAIN, find_scheme, find_tag_reading, parse_schemes
from tagger.errors import InputError
from tagger.evaluation.tasks import main_score, score_task
from tagger.runtime.arguments import require_iterable, require_token
from tagger.runtime.tagger import Tagger
from tagger.runtime.token_marginals import predictable_tags, token_marginals
from tagger.text.scheme_detection import SchemeEvidence
from tagger.text.schemes import convert_tags, split_tag
from tagger.text.sentence import Sentence, from_tokens
from tagger.text.spelling import add_prefixes

try:
    from sklearn.base import BaseEstimator
    from sklearn.model_selection import train_test_split
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise InputError(
        "SequenceTagger needs the package scikit-learn. Install the extra `sklearn` (see README).",
        code="package.missing",
    ) from error

__all__ = ["SequenceTagger"]
Item = TypeVar("Item")


class Ragged(list[Item]):
    """A list with one item per sentence, which numpy converts to a one-dimensional array of objects.

    ``cross_val_predict`` concatenates predictions as arrays. Nested lists of different lengths are no array,
    and those of one length would become a matrix.
    """

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[np.object_]:
        """Return the items as an array of objects; numpy's protocol."""
        return np.fromiter(self, np.object_, len(self))


class SequenceTagger(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Train a BiLSTM-CRF on token lists and predict tag lists.

    It works with ``clone``, ``GridSearchCV``, ``cross_val_predict`` (which returns an array of lists) and
    joblib. Stratified splitters need one label per sentence; use ``KFold``. Several processes, joblib's
    default, give the results of one; with threads, results vary because they share torch's random generator.

    Every sentence is a document of its own: predictions for a sentence do not depend on the others.

    Args:
        task: Name of the task. ``pos`` always has one tag per token; ``ner`` and ``chunk`` must not have
            numbers as tags.
        epochs: Number of epochs.
        hidden_size: LSTM units per direction.
        direction: ``forward``, ``backward`` or ``bidirectional``.
        head: ``crf`` scores whole tag sequences, ``softmax`` each token alone.
        learning_rate: Peak learning rate.
        batch_size: Maximum sentences per batch.
        dropout: Dropout on the inputs and outputs of the LSTM.
        patience: Early stopping with ``validation_fraction``: epochs without a better score; 0 never stops
            early.
        validation_fraction: Share of the sentences to hold out, at random, for the choice of the best epoch
            and for calibration. By default all sentences are trained on, and the last epoch is kept.
        vectors: File of static word vectors in GloVe, word2vec or fastText format.
        seed: Random seed of initial weights, batches, dropout and the held-out sentences.
        options: All other options of ``tagger.train`` by name, for instance ``{"min_steps": 0}``. They
            override the parameters above.

    Attributes:
        model_: The ``Tagger``.
        scheme_: The tag scheme of ``y``; ``bare`` for labels without prefix, None for one tag per token.
        classes_: The tags that the model can predict, sorted. These are all tags of the scheme for the labels
            of ``y``.
    """

    model_: Tagger
    scheme_: str | None
    classes_: NDArray[np.str_]

    def __init__(
        self,
        *,
        task: str = "ner",
        epochs: int = 20,
        hidden_size: int = 100,
        direction: Direction = "bidirectional",
        head: HeadKind = "crf",
        learning_rate: float = 0.025,
        batch_size: int = 10,
        dropout: float = 0.5,
        patience: int = 0,
        validation_fraction: float | None = None,
        vectors: str | Path | None = None,
        seed: int = 1,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.task = task
        self.epochs = epochs
        self.hidden_size = hidden_size
        self.direction = direction
        self.head = head
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.dropout = dropout
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.vectors = vectors
        self.seed = seed
        self.options = options

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's description of the estimator: ragged lists of strings in and out."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.target_tags.required = True
        tags.target_tags.one_d_labels = False
        tags.no_validation = True
        return tags

    def fit(self, X: Iterable[Sequence[str]], y: Iterable[Sequence[str]]) -> Self:
        """Train a new model.

        Args:
            X: The tokens of each sentence. Sentences without tokens are skipped.
            y: The tags of each sentence, in any scheme that ``tagger train`` detects. ``?`` is an unknown
                tag. Labels without prefix (PER, O) are spans unless ``options`` has ``{"scheme": "none"}``.

        Raises:
            TypeError: ``X`` or ``y`` is not a list of lists of strings.
            InputError: Their lengths differ, an option is unknown or invalid, ``y`` has no spans, or tags
                that no scheme has.
        """
        names = ("epochs", "hidden_size", "direction", "head", "learning_rate", "batch_size", "dropout")
        settings = {name: getattr(self, name) for name in (*names, "patience", "seed")}
        # A document of one sentence has no document context worth its features.
        defaults = {"model.context": "sentence", "data.unseen_tags": "count"}
        config = configure(None, {**settings, **(self.options or {})}, defaults=defaults)
        sentences = [sentence for sentence in self._label(X, y) if sentence.tokens]
        evidence = SchemeEvidence()
        for sentence in sentences:
            evidence.add(sentence.tags[self.task], sentence.tokens)
        requested = parse_schemes(config.data.scheme)
        reading = find_tag_reading(evidence, self.task, requested, option="the option scheme")
        train_data, dev = [reading.apply(sentence, self.task) for sentence in sentences], None
        scheme = find_scheme(train_data, self.task, has_spans=None, reading=reading)
        if self.validation_fraction:
            train_data, dev = train_test_split(
                train_data, test_size=self.validation_fraction, random_state=self.seed
            )
        model = train(
            train_data,
            dev=dev,
            task=self.task,
            vectors=self.vectors,
            config=config,
            progress=False,
            scheme=f"{self.task}={scheme or PLAIN}",  # a small split could look like another scheme
        )
        self.scheme_ = BARE if reading.is_bare else scheme
        self.model_ = Tagger(model.bundle, scheme=scheme or "IOB2")
        self.classes_ = np.array(sorted(map(self._spell, predictable_tags(self.model_, self.task))))
        return self

    def predict(self, X: Iterable[Sequence[str]]) -> list[list[str]]:
        """Return the most probable tags of each sentence, in the scheme of ``y``.

        Args:
            X: The tokens of each sentence.

        Raises:
            NotFittedError: The estimator is not fitted.
            TypeError: ``X`` is not a list of lists of strings.
        """
        check_is_fitted(self)
        return Ragged([list(map(self._spell, tags)) for tags in self._tag(_sentences(X))])

    def predict_marginals(self, X: Iterable[Sequence[str]]) -> list[list[dict[str, float]]]:
        """Return the probability of every tag of each token, as in sklearn-crfsuite.

        The probabilities are exact marginals over all tag sequences. The most probable tag of a token may
        differ from that of ``predict``, which returns the most probable sequence.

        Args:
            X: The tokens of each sentence.

        Returns:
            For each sentence and token the probability of each tag in ``classes_``.

        Raises:
            NotFittedError: The estimator is not fitted.
            TypeError: ``X`` is not a list of lists of strings.
        """
        check_is_fitted(self)
        return [
            [dict(sorted((self._spell(tag), share) for tag, share in token.items())) for token in tokens]
            for tokens in token_marginals(self.model_, _sentences(X), self.task)
        ]

    def score(self, X: Iterable[Sequence[str]], y: Iterable[Sequence[str]]) -> float:
        """Return the F1 of spans, micro-averaged by seqeval; without spans, the accuracy of tokens.

        Args:
            X: The tokens of each sentence.
            y: The gold tags of each sentence, in the scheme of ``fit``. Unknown tags (``?``) are ignored.

        Raises:
            NotFittedError: The estimator is not fitted.
            TypeError: ``X`` or ``y`` is not a list of lists of strings.
            InputError: Their lengths differ, or a tag is not in the scheme of ``fit``.
        """
        check_is_fitted(self)
        sentences = self._label(X, y)
        gold: list[Sequence[str]] = [sentence.tags[self.task] for sentence in sentences]
        predicted: list[Sequence[str]] = list(self._tag(sentences))
        scheme = self.scheme_
        if scheme is None:
            gold = [sentence.without_unknown(self.task).tags[self.task] for sentence in sentences]
        else:
            if scheme == BARE:
                scheme, gold = "IO", [add_prefixes(tags) for tags in gold]
            predicted = [convert_tags(tags, scheme, "IOB2") for tags in predicted]
        seen = self.model_.bundle.vocabulary.mark_seen(sentences)
        return main_score(score_task(gold, predicted, scheme=scheme, seen=seen))

    def _label(self, X: Iterable[Sequence[str]], y: Iterable[Sequence[str]]) -> list[Sentence]:
        """Return sentences with tags."""
        sentences, tags = _sentences(X), _rows(y, "y", "tag")
        if len(sentences) != len(tags):
            raise InputError(
                f"X and y must have the same length (got {len(sentences)} and {len(tags)}). Pass the tags of "
                "each sentence.",
                code="argument.value",
                option="y",
            )
        for index, (sentence, values) in enumerate(zip(sentences, tags, strict=True)):
            if len(sentence) != len(values):
                raise InputError(
                    f"y[{index}] must have one tag per token (got {len(values)} tags for {len(sentence)} "
                    f"tokens). Correct it or X[{index}].",
                    code="argument.value",
                    option="y",
                )
            if "" in values:
                raise InputError(
                    f"y[{index}][{values.index('')}] must be a tag (got ''). Write ? for an unknown tag.",
                    code="argument.value",
                    option="y",
                )
        return [
            replace(sentence, tags={self.task: values}, source=f"y[{index}]")
            for index, (sentence, values) in enumerate(zip(sentences, tags, strict=True))
        ]

    def _tag(self, sentences: Iterable[Sentence]) -> Iterable[tuple[str, ...]]:
        """Yield the predicted tags of each sentence; IO tags if those of ``y`` have no prefix."""
        return (tagged.tags[self.task] for tagged in self.model_.tag_sentences(sentences))

    def _spell(self, tag: str) -> str:
        """Return a predicted tag as ``y`` writes it: without prefix, or unchanged."""
        return split_tag(tag)[1] or tag if self.scheme_ == BARE else tag


def _sentences(X: Iterable[Sequence[str]]) -> list[Sentence]:
    return [from_tokens(tokens, starts_document=True) for tokens in _rows(X, "X", "token")]


def _rows(values: Iterable[Sequence[str]], name: str, item: str) -> list[tuple[str, ...]]:
    """Return lists of strings as tuples.

    Raises:
        TypeError: A list or a string has another type.
    """
    hint = f"Pass a list of {item}s per sentence."
    require_iterable(values, name, f"a list of {item} lists", hint)
    rows = []
    for index, row in enumerate(values):
        require_iterable(row, f"{name}[{index}]", f"a list of {item}s", hint)
        rows.append(
            tuple(require_token(value, f"{name}[{index}][{number}]") for number, value in enumerate(row))
        )
    return rows
