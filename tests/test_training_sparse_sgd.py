"""Lazy SGD of a table: compare with torch's SGD and the moving average of the whole table."""

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
    """Yield row ids of a batch, with repeats, and the learning rate; the last rows occur late or never."""
    generator = np.random.default_rng(seed)
    for step in range(steps):
        yield generator.integers(WORDS // 2 if step < 30 else WORDS - 1, size=4), 0.1 / (1 + step % 7)


def make_table(*, sparse: bool) -> nn.Embedding:
    torch.manual_seed(0)
    return nn.Embedding(WORDS, SIZE, padding_idx=0, sparse=sparse)


def add_gradient(table: nn.Embedding, row_ids: np.ndarray, step: int) -> None:
    target = torch.randn(len(row_ids), SIZE, generator=torch.Generator().manual_seed(step))
    (table(torch.from_numpy(row_ids)) - target).square().sum().backward()


def train_whole(momentum: float, decay: float) -> tuple[torch.Tensor, torch.Tensor]:
    table = make_table(sparse=False)
    optimizer = torch.optim.SGD(table.parameters(), lr=1.0, momentum=momentum)
    average = WeightAverage(table.parameters(), decay)
    for step, (row_ids, rate) in enumerate(batches(1)):
        optimizer.zero_grad()
        add_gradient(table, row_ids, step)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        average.update()
    return table.weight.detach(), average.weights[0]


def train_lazily(rows: LazyRows, table: nn.Embedding, decay: float, begin: int = 0, end: int = 40) -> None:
    average = WeightAverage([torch.zeros(1)], decay)
    for step, (row_ids, rate) in enumerate(batches(1)):
        average.update()
        if begin <= step < end:
            rows.gather(np.append(row_ids, 1))  # row 1 may have no gradient
            add_gradient(table, row_ids, step)
            rows.collect_gradient()
            rows.step(rate, average.decay)


@pytest.mark.parametrize("span", [1, 7, 4096])
@pytest.mark.parametrize("decay", [0.0, 0.9, 0.9995])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_lazy_updates_equal_sgd_with_momentum_and_average_of_the_whole_table(
    momentum, decay, span, monkeypatch
):
    monkeypatch.setattr(rows_module, "SPAN", span)
    table = make_table(sparse=True)
    rows = LazyRows(table.weight, momentum, is_averaged=True)
    train_lazily(rows, table, decay)
    rows.flush()
    weight, average = train_whole(momentum, decay)
    torch.testing.assert_close(table.weight.detach(), weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rows.average, average, rtol=1e-4, atol=1e-5)


def test_gathered_rows_are_up_to_date():
    table, whole = make_table(sparse=True), make_table(sparse=False)
    rows = LazyRows(table.weight, 0.9, is_averaged=False)
    optimizer = torch.optim.SGD(whole.parameters(), lr=1.0, momentum=0.9)
    for step, (row_ids, rate) in enumerate(batches(2)):
        rows.gather(row_ids)
        ids = torch.from_numpy(row_ids)
        torch.testing.assert_close(table(ids), whole(ids), rtol=1e-4, atol=1e-5)
        optimizer.zero_grad()
        add_gradient(table, row_ids, step)
        add_gradient(whole, row_ids, step)
        rows.collect_gradient()
        rows.step(rate, 0.0)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()


@pytest.mark.parametrize("is_averaged", [True, False])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_restored_state_continues_bit_for_bit(momentum, is_averaged):
    whole = make_table(sparse=True)
    rows = LazyRows(whole.weight, momentum, is_averaged=is_averaged)
    train_lazily(rows, whole, 0.9)
    table = make_table(sparse=True)
    state: dict[str, torch.Tensor] = {}
    for begin, end in ((0, 13), (13, 14), (14, 40)):
        resumed = LazyRows(table.weight, momentum, is_averaged=is_averaged)
        if state:
            resumed.load_state(state)
        train_lazily(resumed, table, 0.9, begin, end)
        state = {name: tensor.clone() for name, tensor in resumed.state().items()}
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
