"""Predict a hidden word from its left context, its right context, and both.

    python scripts/recipes/missing_word.py --train FILE --dev FILE [--json FILE] [--epochs 6] [--hidden 128]

FILE is in any format that tagger reads (CoNLL-U, columns, JSON lines, …), or running text as .txt. One pass
over a sentence hides every word once: neither the forward state before a word nor the backward state after it
contains the word itself. The three models are scored on the same hidden words: all dev words that contain a
letter and are among the most frequent words of train.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from figures import Figures, show
from torch import Tensor, nn
from torch.nn import functional as F

from tagger import read_corpus
from tagger.config import Direction
from tagger.features.batching import group_by_length, shuffled_batches
from tagger.network.bilstm import Encoder
from tagger.text.tokenizer import Tokenizer

WORDS, BATCH_SENTENCES, BATCH_TOKENS = 10_000, 64, 2000
UNKNOWN, EDGE = 0, 1  # ids of unknown words and of the boundary token at both ends of every sentence
DEMO = "The boys went to the ___ ... then they came out of the pool ."
SIDES: dict[str, Direction] = {"left": "forward", "right": "backward", "both": "bidirectional"}


class Guesser(nn.Module):
    """Score all words of the vocabulary at every position of a sentence, given the other words."""

    def __init__(self, words: int, hidden_size: int, direction: Direction) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 128)  # also the weights of the output (Press and Wolf 2017)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.encoder = Encoder(128, hidden_size, direction=direction)
        self.context = nn.Linear(self.encoder.output_size, 128)
        self.bias = nn.Parameter(torch.zeros(words))

    def forward(self, ids: Tensor, lengths: Tensor, is_target: Tensor) -> Tensor:
        """Map (B, T) ids with boundary tokens and (B,) lengths to (N, words) scores.

        ``is_target`` (B, T - 2) marks the N positions to predict, not counting the boundary tokens.
        """
        vectors = F.dropout(self.embedding(ids), 0.3, self.training)
        outputs, _ = self.encoder(vectors, lengths)
        sides = outputs.chunk(2, dim=2) if len(self.encoder.directions) == 2 else [outputs]
        seen = [
            side[:, :-2] if direction == "forward" else side[:, 2:]  # states before and after the word
            for direction, side in zip(self.encoder.directions, sides, strict=True)
        ]
        context = self.context(F.dropout(torch.cat(seen, dim=2)[is_target], 0.3, self.training))
        return F.linear(context, self.embedding.weight, self.bias)


def read_words(path: Path) -> list[list[str]]:
    if path.suffix == ".txt":
        sentences = Tokenizer().tokenize(path.read_text(encoding="utf-8"))
    else:
        sentences = read_corpus(path)
    return [[token.lower() for token in sentence.tokens] for sentence in sentences]


def encode(sentence: Sequence[str], ids: dict[str, int]) -> Tensor:
    return torch.tensor([EDGE, *(ids.get(word, UNKNOWN) for word in sentence), EDGE])


def pad(sentences: Sequence[Tensor], indices: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the padded (B, T) ids of the sentences with these indices, and (B,) lengths."""
    batch = [sentences[index] for index in indices]
    return nn.utils.rnn.pad_sequence(batch, batch_first=True), torch.tensor([len(one) for one in batch])


def hide(ids: Tensor, lengths: Tensor, is_word: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (B, T - 2) mask of positions to predict, and the (N,) ids of their words."""
    words = ids[:, 1:-1]
    is_target = is_word[words] & (torch.arange(words.shape[1]) < lengths[:, None] - 2)
    return is_target, words[is_target]


def fit(model: Guesser, sentences: Sequence[Tensor], epochs: int) -> float:
    """Train on all in-vocabulary words; return the seconds per epoch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    is_known = torch.arange(len(model.bias)) > EDGE
    lengths, generator = [len(one) for one in sentences], np.random.default_rng(1)
    start = time.perf_counter()
    for _ in range(epochs):
        model.train()
        for indices in shuffled_batches(lengths, BATCH_SENTENCES, BATCH_TOKENS, generator):
            batch = pad(sentences, indices)
            is_target, words = hide(*batch, is_known)
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(model(*batch, is_target), words))
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
        schedule.step()
    return (time.perf_counter() - start) / epochs


@torch.inference_mode()
def score(model: Guesser, sentences: Sequence[Tensor], is_scored: Tensor) -> dict[str, float]:
    """Compute accuracy at 1 and at 5, perplexity, and the number of hidden words."""
    model.eval()
    first = five = count = 0
    loss = 0.0
    for indices in group_by_length([len(one) for one in sentences], BATCH_SENTENCES, BATCH_TOKENS):
        batch = pad(sentences, indices)
        is_target, words = hide(*batch, is_scored)
        scores = model(*batch, is_target)
        is_hit = scores.topk(5).indices == words[:, None]
        first, five, count = first + int(is_hit[:, 0].sum()), five + int(is_hit.sum()), count + len(words)
        loss += float(F.cross_entropy(scores, words, reduction="sum"))
    shares = {"accuracy at 1": first / count, "accuracy at 5": five / count}
    return {**shares, "perplexity": math.exp(loss / count), "words": count}


@torch.inference_mode()
def guess(model: Guesser, sentence: str, names: Sequence[str], ids: dict[str, int]) -> list[str]:
    """Return the five most likely words for ``___``."""
    words = sentence.lower().split()
    is_target = torch.tensor([[word == "___" for word in words]])
    scores = model.eval()(*pad([encode(words, ids)], [0]), is_target)[0]
    scores[: EDGE + 1] = -torch.inf
    return [names[index] for index in scores.topk(5).indices.tolist()]


def main(
    train: Annotated[Path, typer.Option()],
    dev: Annotated[Path, typer.Option()],
    json_file: Annotated[Path | None, typer.Option("--json", help="also save figures here")] = None,
    epochs: int = 6,
    hidden: Annotated[int, typer.Option(help="LSTM units per direction")] = 128,
) -> None:
    """Predict hidden words from one side and from both."""
    torch.set_num_threads(1)
    texts = [read_words(train), read_words(dev)]
    frequent = Counter(word for sentence in texts[0] for word in sentence).most_common(WORDS)
    names = ["", "", *(word for word, _ in frequent)]
    ids = {word: index for index, word in enumerate(names) if index > EDGE}
    is_scored = torch.tensor([any(map(str.isalpha, name)) for name in names])
    splits = [[encode(sentence, ids) for sentence in text] for text in texts]

    def rows() -> Iterator[tuple[str, Figures]]:
        for side, direction in SIDES.items():
            torch.manual_seed(1)
            model = Guesser(len(names), hidden, direction)
            seconds = fit(model, splits[0], epochs)
            scores = score(model, splits[1], is_scored)
            yield side, {**scores, "seconds": seconds, "demo": guess(model, DEMO, names, ids)}

    show(f"guesses for: {DEMO}", rows(), json_file)


if __name__ == "__main__":
    typer.run(main)
