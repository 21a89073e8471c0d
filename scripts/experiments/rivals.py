"""Taggers that small_data.py puts beside ours: sklearn-crfsuite and spaCy, with the same vectors.

They see what ours sees, the train sentences and the vectors, and nothing of them is chosen by what is scored.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from material import Corpus, Tokens, read_vectors
from peers import TRAIN_BATCH, Schooling, Tags, features_of, make_crf, spacy_ner

CRF_STEPS = 200  # of L-BFGS at most; it ends before where nothing is gained any more
SPACY_STEPS = 3_000  # batches of 32 sentences
SPACY_EPOCHS = 20  # at least, where these are more steps


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a rival learns from, what it tags then, and how."""

    train: Corpus
    tokens: Sequence[Tokens]
    vectors: Path
    seed: int


def crfsuite(lesson: Lesson) -> Tags:
    """A linear CRF over hand-made features."""
    return _crfsuite(lesson, lambda tokens: hand_features(tokens))


def crfsuite_with_vectors(lesson: Lesson) -> Tags:
    """The same with each value of a token's word vector, and of its neighbours', as a feature."""
    words, rows = read_vectors(lesson.vectors)
    vectors = dict(zip(words, rows.tolist(), strict=True))
    return _crfsuite(lesson, lambda tokens: add_vectors(hand_features(tokens), tokens, vectors))


def _crfsuite(lesson: Lesson, features: Callable[[Tokens], list[dict[str, Any]]]) -> Tags:
    with tempfile.TemporaryDirectory() as folder:
        model = make_crf(Path(folder) / "crfsuite.model", CRF_STEPS)
        model.fit([features(tokens) for tokens in lesson.train.tokens], lesson.train.tags)
        return [list(model.predict_single(features(tokens))) for tokens in lesson.tokens]


def hand_features(tokens: Tokens) -> list[dict[str, Any]]:
    """Features of each token as CRFs for NER have them: those of ``peers``, and more forms, affixes, shapes.

    Those of ``peers`` are the form in lower case, endings and casing, of the token and of its two neighbours.
    """
    rows: list[dict[str, Any]] = [dict(row) for row in features_of(tokens)]
    lower = ["<s>", "<s>", *(word.lower() for word in tokens), "</s>", "</s>"]
    shapes = ["", *map(shape, tokens), ""]
    for place, (word, row) in enumerate(zip(tokens, rows, strict=True)):
        row["word"] = word
        row |= {f"first{size}": word[:size] for size in (1, 2, 3, 4)}
        row |= {f"last{size}": word[-size:] for size in (1, 4)}
        row["before2"], row["after2"] = lower[place], lower[place + 4]
        row["bigram before"] = f"{lower[place + 1]} {lower[place + 2]}"
        row["bigram after"] = f"{lower[place + 2]} {lower[place + 3]}"
        row["shape"], row["hyphen"] = shapes[place + 1], "-" in word
        row["shapes before"] = f"{shapes[place]} {shapes[place + 1]}"
        row["shapes after"] = f"{shapes[place + 1]} {shapes[place + 2]}"
    return rows


def shape(word: str) -> str:
    """Upper case as X, lower case as x, digits as d, all else as it is; of equal ones the first only."""
    signs = [
        "d" if one.isdigit() else "X" if one.isupper() else "x" if one.islower() else one for one in word
    ]
    return "".join(sign for place, sign in enumerate(signs) if not place or signs[place - 1] != sign)


def add_vectors(
    rows: list[dict[str, Any]], tokens: Tokens, vectors: dict[str, list[float]]
) -> list[dict[str, Any]]:
    """The rows, and in each the values of the vectors of the token, and of the one before and after it."""
    found = [vectors.get(word.lower()) for word in tokens]
    for place, row in enumerate(rows):
        for name, other in (("v", place), ("before v", place - 1), ("after v", place + 1)):
            vector = found[other] if 0 <= other < len(tokens) else None
            if vector:
                row |= {f"{name}{number}": value for number, value in enumerate(vector)}
    return rows


def spacy_with_vectors(lesson: Lesson) -> Tags:
    """Pipe ``ner`` of spaCy with its recommended encoder for a CPU and static vectors (see ``peers``)."""
    steps_an_epoch = -(-len(lesson.train.tokens) // TRAIN_BATCH)
    with tempfile.TemporaryDirectory() as folder:
        schooling = Schooling(
            Path(folder),
            lesson.train,
            lesson.vectors,
            epochs=max(SPACY_EPOCHS, -(-SPACY_STEPS // steps_an_epoch)),
            minutes=1e6,
            threads=1,
            seed=lesson.seed,
        )
        peer = spacy_ner(schooling, width=96, depth=4)
        return peer.to_tags(peer.tag(lesson.tokens))


RIVALS: dict[str, Callable[[Lesson], Tags]] = {
    "crfsuite": crfsuite,
    "crfsuite+vectors": crfsuite_with_vectors,
    "spacy": spacy_with_vectors,
}
SEEDLESS = ("crfsuite", "crfsuite+vectors")  # L-BFGS begins at zero and draws nothing
