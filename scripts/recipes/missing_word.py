"""Guess a hidden word from the words to its left, from those to its right, and from both.

    python scripts/recipes/missing_word.py --train FILE --dev FILE [--json FILE] [--epochs 6] [--hidden 128]

FILE is anything that tagger's readers know (CoNLL-U, columns, JSON lines, …), or running text as .txt. One
pass over a sentence hides every word once: what the forward LSTM has read before a word and what the backward
one has read after it never hold the word itself. The three models are scored on the same hidden words: all of
dev that hold a letter and are among the most frequent of train.
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

from tagger.config import Direction
from tagger.corpus.files import read_sentences
from tagger.features.batching import group_by_length, shuffled_batches
from tagger.network.encoder import Encoder
from tagger.text.tokenizer import Tokenizer

WORDS, BATCH_SENTENCES, BATCH_TOKENS = 10_000, 64, 2000
UNKNOWN, EDGE = 0, 1  # every sentence has an edge before its first and after its last word
DEMO = "The boys went to the ___ ... then they came out of the pool ."
SIDES: dict[str, Direction] = {"left": "forward", "right": "backward", "both": "bidirectional"}


class Guesser(nn.Module):
    """Scores of all words for every place of a sentence, by the words around it."""

    def __init__(self, words: int, hidden_size: int, direction: Direction) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 128)  # also the weights of the output (Press and Wolf 2017)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.encoder = Encoder(128, hidden_size, direction=direction)
        self.context = nn.Linear(self.encoder.output_size, 128)
        self.bias = nn.Parameter(torch.zeros(words))

    def forward(self, ids: Tensor, lengths: Tensor, is_asked: Tensor) -> Tensor:
        """(B, T) ids with an edge on both sides and (B,) lengths to (N, words) scores.

        ``is_asked`` (B, T - 2) marks the N places within the edges that are guessed.
        """
        vectors = F.dropout(self.embedding(ids), 0.3, self.training)
        outputs, _ = self.encoder(vectors, lengths)
        sides = outputs.chunk(2, dim=2) if len(self.encoder.directions) == 2 else [outputs]
        seen = [
            side[:, :-2] if way == "forward" else side[:, 2:]  # what was read before, and after, the word
            for way, side in zip(self.encoder.directions, sides, strict=True)
        ]
        context = self.context(F.dropout(torch.cat(seen, dim=2)[is_asked], 0.3, self.training))
        return F.linear(context, self.embedding.weight, self.bias)


def read_words(path: Path) -> list[list[str]]:
    if path.suffix == ".txt":
        sentences = Tokenizer().tokenize(path.read_text(encoding="utf-8"))
    else:
        sentences = list(read_sentences(path, tasks=()))
    return [[token.lower() for token in sentence.tokens] for sentence in sentences]


def encode(sentence: Sequence[str], numbers: dict[str, int]) -> Tensor:
    return torch.tensor([EDGE, *(numbers.get(word, UNKNOWN) for word in sentence), EDGE])


def pad(sentences: Sequence[Tensor], places: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(B, T) ids of the sentences at these places, and (B,) lengths."""
    batch = [sentences[place] for place in places]
    return nn.utils.rnn.pad_sequence(batch, batch_first=True), torch.tensor([len(one) for one in batch])


def hide(ids: Tensor, lengths: Tensor, is_word: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T - 2) which places within the edges are guessed, and the (N,) words that stand there."""
    words = ids[:, 1:-1]
    is_asked = is_word[words] & (torch.arange(words.shape[1]) < lengths[:, None] - 2)
    return is_asked, words[is_asked]


def fit(model: Guesser, sentences: Sequence[Tensor], epochs: int) -> float:
    """Train on all words that are known; return the seconds of an epoch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    is_known = torch.arange(len(model.bias)) > EDGE
    lengths, generator = [len(one) for one in sentences], np.random.default_rng(1)
    begun = time.perf_counter()
    for _ in range(epochs):
        model.train()
        for places in shuffled_batches(lengths, BATCH_SENTENCES, BATCH_TOKENS, generator):
            batch = pad(sentences, places)
            is_asked, words = hide(*batch, is_known)
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(model(*batch, is_asked), words))
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
        schedule.step()
    return (time.perf_counter() - begun) / epochs


@torch.inference_mode()
def score(model: Guesser, sentences: Sequence[Tensor], is_scored: Tensor) -> dict[str, float]:
    """Share of hidden words that are the first, or among the first 5 guesses, perplexity, and how many."""
    model.eval()
    first = five = count = 0
    loss = 0.0
    for places in group_by_length([len(one) for one in sentences], BATCH_SENTENCES, BATCH_TOKENS):
        batch = pad(sentences, places)
        is_asked, words = hide(*batch, is_scored)
        scores = model(*batch, is_asked)
        is_hit = scores.topk(5).indices == words[:, None]
        first, five, count = first + int(is_hit[:, 0].sum()), five + int(is_hit.sum()), count + len(words)
        loss += float(F.cross_entropy(scores, words, reduction="sum"))
    shares = {"accuracy at 1": first / count, "accuracy at 5": five / count}
    return {**shares, "perplexity": math.exp(loss / count), "words": count}


@torch.inference_mode()
def guess(model: Guesser, sentence: str, names: Sequence[str], numbers: dict[str, int]) -> list[str]:
    """The five likeliest words for ``___``."""
    words = sentence.lower().split()
    is_asked = torch.tensor([[word == "___" for word in words]])
    scores = model.eval()(*pad([encode(words, numbers)], [0]), is_asked)[0]
    scores[: EDGE + 1] = -torch.inf
    return [names[number] for number in scores.topk(5).indices.tolist()]


def main(
    train: Annotated[Path, typer.Option()],
    dev: Annotated[Path, typer.Option()],
    json_file: Annotated[Path | None, typer.Option("--json", help="also write the figures there")] = None,
    epochs: int = 6,
    hidden: Annotated[int, typer.Option(help="LSTM units per direction")] = 128,
) -> None:
    """Guess hidden words from one side and from both."""
    torch.set_num_threads(1)
    texts = [read_words(train), read_words(dev)]
    frequent = Counter(word for sentence in texts[0] for word in sentence).most_common(WORDS)
    names = ["", "", *(word for word, _ in frequent)]
    numbers = {word: number for number, word in enumerate(names) if number > EDGE}
    is_scored = torch.tensor([any(map(str.isalpha, name)) for name in names])
    parts = [[encode(sentence, numbers) for sentence in text] for text in texts]

    def rows() -> Iterator[tuple[str, Figures]]:
        for side, direction in SIDES.items():
            torch.manual_seed(1)
            model = Guesser(len(names), hidden, direction)
            seconds = fit(model, parts[0], epochs)
            scores = score(model, parts[1], is_scored)
            yield side, {**scores, "seconds": seconds, "demo": guess(model, DEMO, names, numbers)}

    show(f"guesses for: {DEMO}", rows(), json_file)


if __name__ == "__main__":
    typer.run(main)
