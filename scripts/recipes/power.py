"""Forecast the power of a household: 24 hours from the last 168, with one and two directions and baselines.

    python scripts/recipes/power.py household_hourly_filled.csv [--json FILE] [--seeds 3] [--epochs 12]

The file has one line per hour: the time, then sums of minute values (UCI "Individual household electric power
consumption"), with the active power in kilowatts first. The last year is the test split: the forecast of 24
hours made at every midnight is compared with the measured values. The train split provides the scaling and
the weights; the three months between train and test are the dev split, which selects the epoch.
"""

import csv
import statistics
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from figures import Figures, show
from numpy.typing import NDArray
from torch import Tensor, nn

from tagger.config import Direction
from tagger.network.bilstm import Encoder

PAST, NEXT = 168, 24  # hours
YEAR, QUARTER = 365 * 24, 91 * 24
STRIDE = 11  # hours between train windows; coprime to 24, so that windows start at all times of day
ERROR = "mean absolute error, kW"
MODELS: dict[str, tuple[Direction, int]] = {
    "LSTM, forward": ("forward", 64),
    "LSTM, forward, as wide as both": ("forward", 128),
    "LSTM, backward": ("backward", 64),
    "BiLSTM": ("bidirectional", 64),
}
Floats = NDArray[np.float32]


class Forecaster(nn.Module):
    """An encoder with a linear layer that predicts the next hours from its final states."""

    def __init__(self, inputs: int, direction: Direction, hidden_size: int = 64) -> None:
        super().__init__()
        self.encoder = Encoder(inputs, hidden_size, direction=direction)
        self.output = nn.Linear(self.encoder.output_size, NEXT)

    def forward(self, past: Tensor) -> Tensor:
        """Map (B, PAST, D) scaled hours to (B, NEXT) scaled power."""
        _, final = self.encoder(past, torch.full((len(past),), PAST))
        hours: Tensor = self.output(torch.cat(list(final.values()), dim=1))
        return hours


def read_hours(path: Path) -> tuple[Floats, Floats]:
    """Read (N, D) hourly sums, and (N, 4) time of day and of week as sines and cosines."""
    with path.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    times = [datetime.fromisoformat(row[0]) for row in rows]
    turns = np.array([[one.hour / 24, (one.weekday() + one.hour / 24) / 7] for one in times]) * 2 * np.pi
    values = np.array([row[1:] for row in rows], dtype=np.float32)
    return values, np.concatenate([np.sin(turns), np.cos(turns)], axis=1).astype(np.float32)


def scale(values: Floats, train_end: int) -> Floats:
    """Scale (N, D) values so that those before ``train_end`` have mean 0 and standard deviation 1."""
    known = values[:train_end]
    return (values - known.mean(axis=0)) / known.std(axis=0)


def window_starts(first_hour: int, end: int, stride: int) -> NDArray[np.int64]:
    """Return the first hours of all windows whose forecast hours lie in [first_hour, end)."""
    return np.arange(max(0, first_hour - PAST), end - PAST - NEXT + 1, stride)


def cut(inputs: Floats, starts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Return the inputs (W, PAST, D) of each window, and the scaled power (W, NEXT) to forecast."""
    past = inputs[starts[:, None] + np.arange(PAST)]
    ahead = inputs[starts[:, None] + np.arange(PAST, PAST + NEXT), 0]
    return torch.from_numpy(past), torch.from_numpy(ahead)


def fit(model: Forecaster, inputs: Floats, splits: dict[str, NDArray[np.int64]], epochs: int) -> Tensor:
    """Train; return the scaled forecasts (W, NEXT) on the test split from the epoch that is best on dev."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    past, ahead = cut(inputs, splits["train"])
    dev, test = cut(inputs, splits["dev"]), cut(inputs, splits["test"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    best, forecast = float("inf"), torch.empty(0)
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(past)).split(64):
            optimizer.zero_grad()
            torch.autograd.backward((model(past[rows]) - ahead[rows]).abs().mean())
            optimizer.step()
        schedule.step()
        model.eval()
        with torch.inference_mode():
            error = float((model(dev[0]) - dev[1]).abs().mean())
            if error < best:
                best, forecast = error, model(test[0])
    return forecast


def divide(values: Floats, times: Floats) -> dict[str, NDArray[np.int64]]:
    """Return the first hours of the windows of each split; no train window contains a dev or test hour."""
    test = len(values) - YEAR
    dev = test - QUARTER
    midnights = window_starts(test, len(values), 1)
    is_midnight = np.isclose(times[midnights + PAST, 0], 0.0, atol=1e-6) & (times[midnights + PAST, 2] > 0)
    return {
        "train": window_starts(0, dev, STRIDE),
        "dev": window_starts(dev, test, STRIDE),
        "test": midnights[is_midnight],
    }


def main(
    file: Path,
    json_file: Annotated[Path | None, typer.Option("--json", help="also save figures here")] = None,
    seeds: int = 3,
    epochs: int = 12,
) -> None:
    """Forecast the power of a household for the next 24 hours."""
    torch.set_num_threads(1)
    values, times = read_hours(file)
    splits = divide(values, times)
    train_end = len(values) - YEAR - QUARTER
    inputs = np.concatenate([scale(values, train_end), times], axis=1)
    kilowatts = float(values[:train_end, 0].std()) / 60  # per scaled unit; an hourly sum adds 60 minutes
    past, ahead = (tensor.numpy() for tensor in cut(inputs, splits["test"]))

    def error(forecast: Floats) -> float:
        return float(np.abs(forecast - ahead).mean()) * kilowatts

    def rows() -> Iterator[tuple[str, Figures]]:
        yield "repeat the last day", {ERROR: error(past[:, -NEXT:, 0])}
        yield "repeat the last week", {ERROR: error(past[:, :NEXT, 0])}
        for name, (direction, hidden_size) in MODELS.items():
            errors, start = [], time.perf_counter()
            for seed in range(seeds):
                torch.manual_seed(seed)
                model = Forecaster(inputs.shape[1], direction, hidden_size)
                errors.append(error(fit(model, inputs, splits, epochs).numpy()))
            seconds = (time.perf_counter() - start) / seeds
            yield name, {ERROR: statistics.mean(errors), "by seed": errors, "seconds a run": seconds}

    show(f"{len(ahead)} days of the last year", rows(), json_file)


if __name__ == "__main__":
    typer.run(main)
