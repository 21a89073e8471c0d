"""Classify film reviews as good or bad, and compare directions and merge modes.

    python scripts/recipes/sentiment.py [FOLDER] [--rows NAME]… [--trials] [--json FILE] [--seed 1]

FOLDER contains train.jsonl.gz and test.jsonl.gz (lines with `text` and `label`, pos or neg); without it,
`datasets` downloads `imdb`. The first row has the settings of the Keras example "Bidirectional LSTM on IMDB",
which validates on the test reviews. Read the score of the last epoch: the best epoch would be selected on the
test set. `--trials` scores on the last fifth of train instead, which selected the settings of row `chosen`.
"""

import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer
from figures import Figures, show
from torch import Tensor, nn
from torch.nn import functional as F

from tagger.config import Direction, MergeMode
from tagger.network.bilstm import Encoder, locked_dropout, merge

Reviews = Sequence[tuple[list[str], int]]  # words, and the label: 1 is good, 0 is bad
PADDING, UNKNOWN = 0, 1


@dataclass(frozen=True)
class Settings:
    """Settings of one row of the table; the defaults are those of the Keras example."""

    direction: Direction = "bidirectional"
    merge_mode: MergeMode = "concat"
    pooling: Literal["final", "all"] = "final"  # final states, or maximum and mean output of each unit
    words: int = 10_000  # vocabulary size: the most frequent words of train
    max_words: int = 200  # words to keep of each review, from its end
    crop_size: int | None = None  # words of a random crop of each review in each epoch; None for no crop
    embedding_dropout: float = 0.0
    word_dropout: float = 0.0  # share of words replaced by UNK, drawn again for every batch
    rate: float = 1e-3
    is_decaying: bool = False  # True for a cosine schedule of the learning rate down to zero
    epochs: int = 4


CLASSIC = Settings()
POOLED = replace(CLASSIC, pooling="all", rate=3e-3, is_decaying=True)
DROPPED = replace(POOLED, embedding_dropout=0.3, word_dropout=0.2)
CHOSEN = replace(DROPPED, max_words=400, crop_size=200)
TRIALS = {
    "classic": CLASSIC,
    "all outputs, faster, decaying": POOLED,
    "and embedding and word dropout": DROPPED,
    "and any 200 of 400 words": CHOSEN,
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
    """Embedding, encoder, pooling to one vector per review, and a linear layer with one logit.

    The directions of a single layer are independent: the forward final state of a bidirectional encoder
    equals that of a forward encoder. Comparing final states is therefore the same as comparing directions.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.embedding = nn.Embedding(settings.words + 2, 128, padding_idx=PADDING)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)  # as in Keras; torch's are 20 times larger
        self.encoder = Encoder(128, 64, direction=settings.direction, merge_mode=settings.merge_mode)
        pooled = 2 if settings.pooling == "all" else 1
        self.output = nn.Linear(pooled * self.encoder.output_size, 1)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, T) word ids and (B,) lengths to (B,) logits of a good review."""
        is_padding = torch.arange(ids.shape[1]) >= lengths[:, None]  # (B, T)
        if self.training and self.settings.word_dropout:
            is_dropped = torch.rand(ids.shape) < self.settings.word_dropout
            ids = ids.masked_fill(is_dropped & ~is_padding, UNKNOWN)
        vectors = locked_dropout(self.embedding(ids), self.settings.embedding_dropout, self.training)
        outputs, final = self.encoder(vectors, lengths)
        if self.settings.pooling == "all":
            largest = outputs.masked_fill(is_padding[:, :, None], -torch.inf).amax(1)
            mean = outputs.masked_fill(is_padding[:, :, None], 0.0).sum(1) / lengths[:, None]
            vector = torch.cat([largest, mean], dim=1)
        elif len(states := list(final.values())) == 2:
            vector = merge(states[0], states[1], self.settings.merge_mode)
        else:
            vector = states[0]
        logits: Tensor = self.output(F.dropout(vector, 0.5, self.training)).squeeze(1)
        return logits


def read_reviews(folder: Path | None, split: str) -> Reviews:
    """Read the words and the label of each review."""
    if folder is None:
        from datasets import load_dataset

        rows = [(row["text"], row["label"]) for row in load_dataset("imdb", split=split)]
    else:
        with gzip.open(folder / f"{split}.jsonl.gz", "rt", encoding="utf-8") as file:
            rows = [(row["text"], int(row["label"] == "pos")) for row in map(json.loads, file)]
    return [(re.findall(r"[\w']+", text.lower().replace("<br />", " ")), label) for text, label in rows]


def hold_out(reviews: Reviews) -> tuple[Reviews, Reviews]:
    """Hold out the last fifth of each label; as reviews of a film are adjacent, few films are in both."""
    ordered = sorted(reviews, key=lambda review: review[1])
    tenths = [index * 10 // len(ordered) for index in range(len(ordered))]  # 0 to 4 bad, 5 to 9 good
    splits: tuple[list[tuple[list[str], int]], list[tuple[list[str], int]]] = ([], [])
    for review, tenth in zip(ordered, tenths, strict=True):
        splits[tenth in (4, 9)].append(review)
    return splits


def encode(reviews: Reviews, train: Reviews, settings: Settings) -> list[tuple[Tensor, float]]:
    """Encode the last words of each review as ids, by frequency rank in train, with the label."""
    ranking = Counter(word for words, _ in train for word in words).most_common(settings.words)
    ids = {word: index for index, (word, _) in enumerate(ranking, start=UNKNOWN + 1)}
    last = [(words[-settings.max_words :] or [""], label) for words, label in reviews]
    return [(torch.tensor([ids.get(word, UNKNOWN) for word in words]), label) for words, label in last]


def crop(ids: Tensor, label: float, size: int | None) -> tuple[Tensor, float]:
    """Crop ``size`` words from a random position of a review; None keeps all words."""
    if size is None or len(ids) <= size:
        return ids, label
    start = int(torch.randint(len(ids) - size + 1, ()))
    return ids[start : start + size], label


def collate(reviews: Sequence[tuple[Tensor, float]]) -> tuple[Tensor, Tensor, Tensor]:
    """Batch reviews: (B, T) ids padded at the end, (B,) lengths, (B,) labels."""
    ids = nn.utils.rnn.pad_sequence([one for one, _ in reviews], batch_first=True)
    lengths = torch.tensor([len(one) for one, _ in reviews])
    return ids, lengths, torch.tensor([float(label) for _, label in reviews])


@torch.inference_mode()
def accuracy(model: Classifier, reviews: Sequence[tuple[Tensor, float]]) -> float:
    model.eval()
    ordered, right = sorted(reviews, key=lambda review: len(review[0])), 0
    for start in range(0, len(ordered), 256):
        ids, lengths, labels = collate(ordered[start : start + 256])
        right += int(((model(ids, lengths) > 0) == (labels > 0.5)).sum())
    return right / len(reviews)


def fit(settings: Settings, train: Reviews, test: Reviews, seed: int) -> Figures:
    """Train; return the test accuracy after each epoch, and the training seconds per epoch."""
    torch.manual_seed(seed)
    model = Classifier(settings)
    encoded, others = encode(train, train, settings), encode(test, train, settings)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.rate)
    steps = settings.epochs * -(-len(train) // 128)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    scores, seconds = [], 0.0
    for _ in range(settings.epochs):
        start = time.perf_counter()
        model.train()
        for rows in torch.randperm(len(encoded)).split(128):
            ids, lengths, labels = collate([crop(*encoded[row], settings.crop_size) for row in rows.tolist()])
            optimizer.zero_grad()
            torch.autograd.backward(F.binary_cross_entropy_with_logits(model(ids, lengths), labels))
            optimizer.step()
            if settings.is_decaying:
                schedule.step()
        seconds += time.perf_counter() - start
        scores.append(accuracy(model, others))
    return {"accuracy": scores, "seconds": seconds / settings.epochs}


def main(
    folder: Annotated[Path | None, typer.Argument()] = None,
    rows: Annotated[list[str] | None, typer.Option(help="rows to train (repeatable) [all]")] = None,
    trials: Annotated[bool, typer.Option("--trials", help="score on the last fifth of train")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="also save figures here")] = None,
    seed: int = 1,
) -> None:
    """Classify film reviews as good or bad."""
    torch.set_num_threads(1)
    train = read_reviews(folder, "train")
    train, test = hold_out(train) if trials else (train, read_reviews(folder, "test"))
    settings = TRIALS if trials else ROWS
    if unknown := set(rows or ()) - set(settings):
        raise typer.BadParameter(f"unknown row {unknown.pop()!r}. Choose from {', '.join(settings)}.")
    runs = ((name, fit(settings[name], train, test, seed)) for name in rows or settings)
    show(f"{len(test):,} reviews", runs, json_file)


if __name__ == "__main__":
    typer.run(main)
