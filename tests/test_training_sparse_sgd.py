"""The lazy update of a table against torch's SGD and the average over the whole table."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from tagger.training import sparse_sgd as rows_module
from tagger.training.average import WeightAverage
from tagger.training.sparse_sgd import LazyRows

WORDS, SIZE = 12, 3


def batches(seed: int, steps: int = 40) -> Iterator[tuple[np.ndarray, float]]:
    """Rows of a batch, some of them twice, and the step size; the last rows come late or never."""
    generator = np.random.default_rng(seed)
    for step in range(steps):
        yield generator.integers(WORDS // 2 if step < 30 else WORDS - 1, size=4), 0.1 / (1 + step % 7)


def make_table(*, sparse: bool) -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(WORDS, SIZE, padding_idx=0, sparse=sparse)


def add_gradient(table: nn.Embedding, places: np.ndarray, step: int) -> None:
    target = torch.randn(len(places), SIZE, generator=torch.Generator().manual_seed(step))
    (table(torch.from_numpy(places)) - target).square().sum().backward()


def train_whole(momentum: float, decay: float) -> tuple[torch.Tensor, torch.Tensor]:
    table = make_table(sparse=False)
    optimizer = torch.optim.SGD(table.parameters(), lr=1.0, momentum=momentum)
    average = WeightAverage(table.parameters(), decay)
    for step, (places, rate) in enumerate(batches(1)):
        optimizer.zero_grad()
        add_gradient(table, places, step)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        average.update()
    return table.weight.detach(), average.weights[0]


def train_lazily(rows: LazyRows, table: nn.Embedding, decay: float, begin: int = 0, end: int = 40) -> None:
    average = WeightAverage([torch.zeros(1)], decay)
    for step, (places, rate) in enumerate(batches(1)):
        average.update()
        if begin <= step < end:
            rows.gather(np.append(places, 1))  # a row without a gradient is one of the batch's all the same
            add_gradient(table, places, step)
            rows.collect_gradient()
            rows.step(rate, average.decay)


@pytest.mark.parametrize("span", [1, 7, 4096])
@pytest.mark.parametrize("decay", [0.0, 0.9, 0.9995])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_it_is_sgd_with_momentum_and_the_average_over_the_whole_table(momentum, decay, span, monkeypatch):
    monkeypatch.setattr(rows_module, "SPAN", span)
    table = make_table(sparse=True)
    rows = LazyRows(table.weight, momentum, is_averaged=True)
    train_lazily(rows, table, decay)
    rows.flush()
    weight, average = train_whole(momentum, decay)
    torch.testing.assert_close(table.weight.detach(), weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rows.average, average, rtol=1e-4, atol=1e-5)


def test_what_a_batch_reads_is_up_to_date():
    table, whole = make_table(sparse=True), make_table(sparse=False)
    rows = LazyRows(table.weight, 0.9, is_averaged=False)
    optimizer = torch.optim.SGD(whole.parameters(), lr=1.0, momentum=0.9)
    for step, (places, rate) in enumerate(batches(2)):
        rows.gather(places)
        ids = torch.from_numpy(places)
        torch.testing.assert_close(table(ids), whole(ids), rtol=1e-4, atol=1e-5)
        optimizer.zero_grad()
        add_gradient(table, places, step)
        add_gradient(whole, places, step)
        rows.collect_gradient()
        rows.step(rate, 0.0)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()


@pytest.mark.parametrize("is_averaged", [True, False])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_from_its_state_it_goes_on_to_the_same_bits(momentum, is_averaged):
    whole = make_table(sparse=True)
    rows = LazyRows(whole.weight, momentum, is_averaged=is_averaged)
    train_lazily(rows, whole, 0.9)
    table = make_table(sparse=True)
    state: dict[str, torch.Tensor] = {}
    for begin, end in ((0, 13), (13, 14), (14, 40)):
        parts = LazyRows(table.weight, momentum, is_averaged=is_averaged)
        if state:
            parts.load_state(state)
        train_lazily(parts, table, 0.9, begin, end)
        state = {name: tensor.clone() for name, tensor in parts.state().items()}
    assert torch.equal(table.weight, whole.weight)
    assert state.keys() == rows.state().keys()
    for name, tensor in rows.state().items():
        assert torch.equal(state[name], tensor), name


def test_a_step_of_a_process_without_sentences_follows_the_others_gradient():
    table = make_table(sparse=True)
    rows = LazyRows(table.weight, 0.9, is_averaged=False)
    before = table.weight.detach().clone()
    rows.gather(np.array([3, 5, 3]))
    rows.collect_gradient()
    assert rows.batch.grad is None
    rows.batch.grad = torch.ones_like(rows.batch)
    rows.step(0.5, 0.0)
    change = table.weight.detach() - before
    torch.testing.assert_close(change[[3, 5]], torch.full((2, SIZE), -0.5))
    assert not change[[0, 1, 2, 4, *range(6, WORDS)]].any()
