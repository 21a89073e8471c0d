"""Data loading and calls of this package for benchmarks, through its public API only."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tagger import Sentence, Tagger
from tagger.corpus.conll import read_conll
from tagger.text.schemes import convert_tags

TASK = "ner"
Tokens = Sequence[str]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Tokenised sentences with gold tags in IOB2."""

    tokens: list[list[str]]
    tags: list[list[str]]

    @property
    def words(self) -> int:
        """Number of tokens."""
        return sum(map(len, self.tokens))


def read_corpus(path: Path, limit: int | None = None) -> Corpus:
    """Read the first ``limit`` sentences of a CoNLL-2003 file with IOB1 or IOB2 tags."""
    sentences = [one for one in read_conll(path, tasks=(TASK,)) if one.tokens][:limit]
    return Corpus(
        [list(one.tokens) for one in sentences],
        [convert_tags(one.tags[TASK], "IOB1", "IOB2") for one in sentences],
    )


def read_documents(path: Path, limit: int | None = None) -> list[Sentence]:
    """Read the same sentences as ``read_corpus``, with the document boundaries of the file."""
    return [one for one in read_conll(path, tasks=(TASK,)) if one.tokens][:limit]


def read_vectors(path: Path, limit: int = 400_000) -> tuple[list[str], NDArray[np.float32]]:
    """Read the first ``limit`` word vectors of a GloVe text file: words, and (words, width) vectors."""
    words: list[str] = []
    rows: list[NDArray[np.float32]] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            word, _, values = line.rstrip("\n").partition(" ")
            words.append(word)
            rows.append(np.array(values.split(" "), np.float32))
            if len(words) == limit:
                break
    return words, np.stack(rows)


def cache_counts(tagger: Tagger) -> tuple[int, int]:
    """Return the hits and misses of the word cache so far."""
    statistics = tagger.cache_statistics
    return statistics.hits, statistics.misses


def touch(sentences: Iterable[Sentence]) -> int:
    """Read all tags and spans of every sentence, to force lazy values; return their number."""
    count = 0
    for sentence in sentences:
        for tags in sentence.tags.values():
            count += len(tuple(tags))
        for spans in sentence.spans.values():
            count += len(tuple(spans))
    return count


def f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Compute span F1 with seqeval, which counts as conlleval does."""
    from seqeval.metrics import f1_score  # imported late: the memory benchmark loads this module

    return float(f1_score([list(tags) for tags in gold], [list(tags) for tags in predicted]))


def running_words(sentences: Sequence[Tokens], size: int) -> Iterator[list[str]]:
    """Regroup the words of a corpus into sentences of exactly ``size`` words; drop the remainder."""
    words = [word for sentence in sentences for word in sentence]
    for start in range(0, len(words) - size + 1, size):
        yield words[start : start + size]
