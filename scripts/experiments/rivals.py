"""Baselines for small_data.py: sklearn-crfsuite and spaCy, with the same vectors.

They get the same train sentences and vectors as tagger. The scored sentences select nothing.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from material import Corpus, Tokens, read_vectors
from peers import TRAIN_BATCH, Tags, TrainingSetup, extract_features, make_crf, spacy_ner

CRF_STEPS = 200  # maximum iterations of L-BFGS, which stops earlier if it converges
SPACY_STEPS = 3_000  # minimum number of batches of 32 sentences
SPACY_EPOCHS = 20  # minimum number of epochs


@dataclass(frozen=True, slots=True)
class Lesson:
    """Input of a baseline: training data, tokens to tag, vectors and seed."""

    train: Corpus
    tokens: Sequence[Tokens]
    vectors: Path
    seed: int


def crfsuite(lesson: Lesson) -> Tags:
    """Train a linear-chain CRF with hand-crafted features."""
    return _crfsuite(lesson, lambda tokens: hand_features(tokens))


def crfsuite_with_vectors(lesson: Lesson) -> Tags:
    """Train the same CRF with the values of the word vectors of a token and its neighbours as features."""
    words, rows = read_vectors(lesson.vectors)
    vectors = dict(zip(words, rows.tolist(), strict=True))
    return _crfsuite(lesson, lambda tokens: add_vectors(hand_features(tokens), tokens, vectors))


def _crfsuite(lesson: Lesson, features: Callable[[Tokens], list[dict[str, Any]]]) -> Tags:
    with tempfile.TemporaryDirectory() as folder:
        model = make_crf(Path(folder) / "crfsuite.model", CRF_STEPS)
        model.fit([features(tokens) for tokens in lesson.train.tokens], lesson.train.tags)
        return [list(model.predict_single(features(tokens))) for tokens in lesson.tokens]


def hand_features(tokens: Tokens) -> list[dict[str, Any]]:
    """Extract hand-crafted NER features of each token: those of ``peers`` plus forms, affixes and shapes.

    The features of ``peers`` are lower-cased form, suffixes and casing of the token and its two neighbours.
    """
    rows: list[dict[str, Any]] = [dict(row) for row in extract_features(tokens)]
    lower = ["<s>", "<s>", *(word.lower() for word in tokens), "</s>", "</s>"]
    shapes = ["", *map(shape, tokens), ""]
    for index, (word, row) in enumerate(zip(tokens, rows, strict=True)):
        row["word"] = word
        row |= {f"first{size}": word[:size] for size in (1, 2, 3, 4)}
        row |= {f"last{size}": word[-size:] for size in (1, 4)}
        row["before2"], row["after2"] = lower[index], lower[index + 4]
        row["bigram before"] = f"{lower[index + 1]} {lower[index + 2]}"
        row["bigram after"] = f"{lower[index + 2]} {lower[index + 3]}"
        row["shape"], row["hyphen"] = shapes[index + 1], "-" in word
        row["shapes before"] = f"{shapes[index]} {shapes[index + 1]}"
        row["shapes after"] = f"{shapes[index + 1]} {shapes[index + 2]}"
    return rows


def shape(word: str) -> str:
    """Map upper case to X, lower case to x, digits to d; collapse repeated characters."""
    signs = [
        "d" if one.isdigit() else "X" if one.isupper() else "x" if one.islower() else one for one in word
    ]
    return "".join(sign for index, sign in enumerate(signs) if not index or signs[index - 1] != sign)


def add_vectors(
    rows: list[dict[str, Any]], tokens: Tokens, vectors: dict[str, list[float]]
) -> list[dict[str, Any]]:
    """Add the vector values of each token and of the tokens before and after it to the feature rows."""
    token_vectors = [vectors.get(word.lower()) for word in tokens]
    for index, row in enumerate(rows):
        for name, other in (("v", index), ("before v", index - 1), ("after v", index + 1)):
            vector = token_vectors[other] if 0 <= other < len(tokens) else None
            if vector:
                row |= {f"{name}{dimension}": value for dimension, value in enumerate(vector)}
    return rows


def spacy_with_vectors(lesson: Lesson) -> Tags:
    """Train the pipe ``ner`` of spaCy with its recommended CPU encoder and static vectors (see ``peers``)."""
    steps_per_epoch = -(-len(lesson.train.tokens) // TRAIN_BATCH)
    with tempfile.TemporaryDirectory() as folder:
        setup = TrainingSetup(
            Path(folder),
            lesson.train,
            lesson.vectors,
            epochs=max(SPACY_EPOCHS, -(-SPACY_STEPS // steps_per_epoch)),
            minutes=1e6,
            threads=1,
            seed=lesson.seed,
        )
        peer = spacy_ner(setup, width=96, depth=4)
        return peer.to_tags(peer.tag(lesson.tokens))


RIVALS: dict[str, Callable[[Lesson], Tags]] = {
    "crfsuite": crfsuite,
    "crfsuite+vectors": crfsuite_with_vectors,
    "spacy": spacy_with_vectors,
}
SEEDLESS = ("crfsuite", "crfsuite+vectors")  # deterministic: L-BFGS starts at zero
