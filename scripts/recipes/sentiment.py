"""Is a film review good or bad? What each direction adds, and each way of merging the two.

    python scripts/recipes/sentiment.py [FOLDER] [--rows NAME…] [--trials] [--json FILE] [--seed 1]

FOLDER holds train.jsonl.gz and test.jsonl.gz (lines with `text` and `label`, pos or neg); without it
`datasets` fetches its `imdb`. The first row has the settings of Keras's example "Bidirectional LSTM on IMDB",
which validates on the test reviews: its best epoch is chosen by what it is measured on, so the last one
stands beside it. `--trials` measures on a fifth of train instead: there the row `chosen` was found.
"""

import argparse
import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from tagger.config import Direction, MergeMode
from tagger.network.encoder import Encoder, locked_dropout, merge

Reviews = Sequence[tuple[list[str], int]]  # words, and 1 for a good one
PADDING, UNKNOWN = 0, 1


@dataclass(frozen=True)
class Settings:
    """One row of the table; the defaults are the classic example's."""

    direction: Direction = "bidirectional"
    merge_mode: MergeMode = "concat"
    pooling: Literal["final", "max"] = "final"  # the final states, or the largest output of each unit
    words: int = 10_000  # the most frequent of train
    longest: int = 200  # words of a review, its last ones
    dropout: float = 0.5
    embedding_dropout: float = 0.0
    is_decaying: bool = False  # the learning rate falls to zero along a cosine
    epochs: int = 4


CLASSIC = Settings()
POOLED = replace(CLASSIC, pooling="max")
DROPPED = replace(POOLED, embedding_dropout=0.3, is_decaying=True)
CHOSEN = replace(DROPPED, epochs=8)
TRIALS = {
    "classic": CLASSIC,
    "largest outputs": POOLED,
    "largest outputs, 6 epochs": replace(POOLED, epochs=6),
    "and embedding dropout, decay": DROPPED,
    "and 400 words of 20,000": replace(DROPPED, words=20_000, longest=400),
    "and embedding dropout, decay, 8 epochs": CHOSEN,
}
ROWS = {
    "classic: both, concat": CLASSIC,
    "both, sum": replace(CLASSIC, merge_mode="sum"),
    "both, mul": replace(CLASSIC, merge_mode="mul"),
    "both, ave": replace(CLASSIC, merge_mode="ave"),
    "forward's final state": replace(CLASSIC, direction="forward"),
    "backward's final state": replace(CLASSIC, direction="backward"),
    "chosen": CHOSEN,
}


class Classifier(nn.Module):
    """Embedding, encoder, one vector a review, one logit.

    The directions of a single layer do not see each other: the forward final state of a bidirectional encoder
    is that of a forward one, so that "which final state" and "which direction" are one question.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(settings.words + 2, 128, padding_idx=PADDING)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)  # as in Keras; torch's own are 20 times larger
        self.encoder = Encoder(128, 64, direction=settings.direction, merge_mode=settings.merge_mode)
        self.output = nn.Linear(self.encoder.output_size, 1)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(B, T) word ids and (B,) lengths to (B,) logits of a good review."""
        vectors = locked_dropout(self.embedding(ids), self.settings.embedding_dropout, self.training)
        outputs, final = self.encoder(vectors, lengths)
        if self.settings.pooling == "max":
            is_padding = torch.arange(outputs.shape[1]) >= lengths[:, None]  # (B, T)
            vector = outputs.masked_fill(is_padding[:, :, None], -torch.inf).amax(1)
        else:
            states = list(final.values())
            vector = states[0] if len(states) == 1 else merge(states[0], states[1], self.settings.merge_mode)
        logits: Tensor = self.output(F.dropout(vector, self.settings.dropout, self.training)).squeeze(1)
        return logits


def read_reviews(folder: Path | None, part: str) -> Reviews:
    if folder is None:
        from datasets import load_dataset

        rows = [(row["text"], row["label"]) for row in load_dataset("imdb", split=part)]
    else:
        with gzip.open(folder / f"{part}.jsonl.gz", "rt", encoding="utf-8") as file:
            rows = [(row["text"], int(row["label"] == "pos")) for row in map(json.loads, file)]
    return [(re.findall(r"[\w']+", text.lower().replace("<br />", " ")), label) for text, label in rows]


def encode(reviews: Reviews, train: Reviews, settings: Settings) -> list[tuple[Tensor, float]]:
    """The ids of each review's last words, ranked by how frequent they are in train, and its label."""
    ranking = Counter(word for words, _ in train for word in words).most_common(settings.words)
    numbers = {word: number for number, (word, _) in enumerate(ranking, start=UNKNOWN + 1)}
    return [
        (
            torch.tensor([numbers.get(word, UNKNOWN) for word in words[-settings.longest :]] or [UNKNOWN]),
            label,
        )
        for words, label in reviews
    ]


def collate(reviews: Sequence[tuple[Tensor, float]]) -> tuple[Tensor, Tensor, Tensor]:
    """(B, T) ids padded at their end, (B,) lengths, (B,) labels."""
    ids = nn.utils.rnn.pad_sequence([one for one, _ in reviews], batch_first=True)
    lengths = torch.tensor([len(one) for one, _ in reviews])
    return ids, lengths, torch.tensor([float(label) for _, label in reviews])


@torch.inference_mode()
def accuracy(model: Classifier, reviews: Sequence[tuple[Tensor, float]]) -> float:
    model.eval()
    ordered, right = sorted(reviews, key=lambda review: len(review[0])), 0
    for begin in range(0, len(ordered), 256):
        ids, lengths, labels = collate(ordered[begin : begin + 256])
        right += int(((model(ids, lengths) > 0) == (labels > 0.5)).sum())
    return right / len(reviews)


def fit(settings: Settings, train: Reviews, test: Reviews, seed: int) -> tuple[list[float], float]:
    """The accuracy on test after each epoch, and the seconds of an epoch without that."""
    torch.manual_seed(seed)
    model = Classifier(settings)
    encoded, others = encode(train, train, settings), encode(test, train, settings)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    steps = settings.epochs * -(-len(train) // 128)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    scores, seconds = [], 0.0
    for _ in range(settings.epochs):
        begun = time.perf_counter()
        model.train()
        for rows in torch.randperm(len(encoded)).split(128):
            ids, lengths, labels = collate([encoded[row] for row in rows.tolist()])
            optimizer.zero_grad()
            torch.autograd.backward(F.binary_cross_entropy_with_logits(model(ids, lengths), labels))
            optimizer.step()
            if settings.is_decaying:
                schedule.step()
        seconds += time.perf_counter() - begun
        scores.append(accuracy(model, others))
    return scores, seconds / settings.epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rows", nargs="+", metavar="NAME", choices=[*ROWS, *TRIALS], default=[])
    parser.add_argument("--trials", action="store_true", help="train on four fifths, measure on the fifth")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = TRIALS if arguments.trials else ROWS
    train = read_reviews(arguments.folder, "train")
    if arguments.trials:
        train, test = [one for n, one in enumerate(train) if n % 5], train[::5]
    else:
        test = read_reviews(arguments.folder, "test")
    table = Table("", "best epoch", "last epoch", "every epoch", "s an epoch", title=f"{len(test):,} reviews")
    figures = {}
    for name in arguments.rows or rows:
        scores, seconds = fit(rows[name], train, test, arguments.seed)
        figures[name] = {"accuracy": scores, "seconds": seconds}
        every = " ".join(f"{score:.4f}" for score in scores)
        table.add_row(name, f"{max(scores):.4f}", f"{scores[-1]:.4f}", every, f"{seconds:.0f}")
        if arguments.json:  # after every row, so that one that is broken off loses no other
            arguments.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    Console().print(table)


if __name__ == "__main__":
    main()
