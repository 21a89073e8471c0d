"""Write more raw texts for the English model: its labelled sentences with words replaced by similar ones.

python scripts/english_neighbours.py CORPORA VECTORS OUTPUT.jsonl [--passes N]

CORPORA contains ud_ewt/en_ewt-ud-train.conllu and wikigold/train.iob2; VECTORS is glove.6B.100d.txt, sorted
by frequency. Half of the words that are not frequent are replaced by one of their nearest neighbours among
the vectors, as in TinyBERT's augmentation of training data (Jiao et al. 2020, "TinyBERT: distilling BERT for
natural language understanding", section 3.2). Only the teachers' probabilities label these texts, so a
replaced word may change the meaning, the part of speech or the type of a name.
"""

import argparse
import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from tagger import Sentence, read_corpus

CORPORA = {"ud_ewt/en_ewt-ud-train.conllu": {"task": "pos"}, "wikigold/train.iob2": {"columns": "token,ner"}}
MOST_FREQUENT = 200  # words that are kept, most of them function words
VECTORS = 60_000  # vectors to search, the most frequent ones
NEIGHBOURS = 12
SHARE = 0.5  # of the words that have neighbours
TEXT_SENTENCES = 8
BLOCK = 1000  # words whose neighbours are searched together
WORD = re.compile(r"[a-z][a-z'-]*$")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--passes", type=int, default=5, help="times that each sentence is rewritten [5]")
    arguments = parser.parse_args()
    sentences: list[Sentence] = []
    for name, options in CORPORA.items():
        sentences += read_corpus(arguments.corpora / name, **options)
    words, vectors = read_vectors(arguments.vectors)
    wanted = {token.lower() for sentence in sentences for token in sentence.tokens}
    neighbours = find_neighbours(words, vectors, wanted)
    with arguments.output.open("w", encoding="utf-8") as file:
        for text in rewrite(sentences, neighbours, passes=arguments.passes, seed=1):
            file.write(json.dumps({"text": text}) + "\n")


def read_vectors(path: Path, count: int = VECTORS) -> tuple[list[str], np.ndarray]:
    """Read the first words of a GloVe file and their vectors (N, D), scaled to length 1."""
    words, rows = [], []
    with path.open(encoding="utf-8") as lines:
        for line in islice(lines, count):
            word, *values = line.rstrip().split(" ")
            words.append(word)
            rows.append(values)
    vectors = np.array(rows, dtype=np.float32)
    return words, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def find_neighbours(
    words: Sequence[str], vectors: np.ndarray, wanted: Iterable[str], *, kept: int = MOST_FREQUENT
) -> dict[str, list[str]]:
    """Return the nearest words of each wanted word by cosine; the ``kept`` most frequent words have none."""
    ids = {word: number for number, word in enumerate(words)}
    plain = [number for number, word in enumerate(words) if WORD.match(word)]
    candidates = vectors[plain]
    known = sorted(word for word in wanted if WORD.match(word) and ids.get(word, 0) > kept)
    neighbours = {}
    for begin in range(0, len(known), BLOCK):
        block = known[begin : begin + BLOCK]
        similarities = vectors[[ids[word] for word in block]] @ candidates.T
        nearest = np.argpartition(-similarities, NEIGHBOURS + 1, axis=1)[:, : NEIGHBOURS + 1]
        for word, row in zip(block, nearest, strict=True):
            others = [words[plain[number]] for number in row]
            neighbours[word] = [other for other in others if other != word][:NEIGHBOURS]
    return neighbours


def rewrite(
    sentences: Sequence[Sentence], neighbours: Mapping[str, Sequence[str]], *, passes: int, seed: int
) -> Iterator[str]:
    """Yield texts of some sentences each; every pass rewrites all sentences, with their spaces and casing."""
    generator = random.Random(seed)

    def replaced(token: str) -> str:
        similar = neighbours.get(token.lower())
        if not similar or generator.random() >= SHARE:
            return token
        return match_case(generator.choice(similar), token)

    for _ in range(passes):
        text: list[str] = []
        for sentence in sentences:
            ends = [start for start, _ in sentence.offsets[1:]] + [sentence.offsets[-1][1]]
            tokens = zip(sentence.tokens, sentence.offsets, ends, strict=True)
            words = [replaced(token) + (" " if stop < end else "") for token, (_, stop), end in tokens]
            text.append("".join(words).strip())
            if len(text) == TEXT_SENTENCES:
                yield "\n\n".join(text)
                text = []


def match_case(word: str, model: str) -> str:
    """Return a word in the casing of another one: upper case, capitalised or lower case."""
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word.capitalize() if model[:1].isupper() else word


if __name__ == "__main__":
    main()
