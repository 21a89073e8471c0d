"""Row-wise SGD of a table: compare with torch's SGD and the moving average of the whole table."""

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from tagger.training import rowwise_sgd
from tagger.training.average import WeightAverage
from tagger.training.rowwise_sgd import ROWS, RowwiseSGD

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


def make_optimizer(table: nn.Embedding, momentum: float) -> RowwiseSGD:
    other = torch.zeros(2, requires_grad=True)
    return RowwiseSGD([other], table.weight, lr=1.0, momentum=momentum)


def take_step(
    optimizer: RowwiseSGD, table: nn.Embedding, row_ids: np.ndarray, step: int, rate: float
) -> None:
    optimizer.zero_grad()
    optimizer.gather(row_ids)
    add_gradient(table, row_ids, step)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


def train_rows(
    optimizer: RowwiseSGD, table: nn.Embedding, average: WeightAverage | None, begin: int = 0, end: int = 40
) -> None:
    for step, (row_ids, rate) in enumerate(batches(1)):
        if begin <= step < end:
            take_step(optimizer, table, row_ids, step, rate)
            if average:
                average.update()


def add_average(optimizer: RowwiseSGD, decay: float, updates: int = 0) -> WeightAverage:
    average = WeightAverage([torch.zeros(1)], decay)
    average.updates = updates
    optimizer.average(average)
    return average


def tables(optimizer: RowwiseSGD) -> dict[str, torch.Tensor]:
    return optimizer.state_dict()["state"][ROWS]


@pytest.mark.parametrize("span", [1, 7, 4096])
@pytest.mark.parametrize("decay", [0.0, 0.9, 0.9995])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_row_wise_updates_equal_sgd_with_momentum_and_average_of_the_whole_table(
    momentum, decay, span, monkeypatch
):
    monkeypatch.setattr(rowwise_sgd, "SPAN", span)
    table = make_table(sparse=True)
    optimizer = make_optimizer(table, momentum)
    average = add_average(optimizer, decay)
    train_rows(optimizer, table, average)
    optimizer.flush()
    whole_weight, whole_average = train_whole(momentum, decay)
    torch.testing.assert_close(table.weight.detach(), whole_weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tables(optimizer)["average"], whole_average, rtol=1e-4, atol=1e-5)
    average.swap()
    torch.testing.assert_close(table.weight.detach(), whole_average, rtol=1e-4, atol=1e-5)


def test_gathered_rows_are_up_to_date():
    table, whole = make_table(sparse=True), make_table(sparse=False)
    optimizer = make_optimizer(table, 0.9)
    other = torch.optim.SGD(whole.parameters(), lr=1.0, momentum=0.9)
    for step, (row_ids, rate) in enumerate(batches(2)):
        optimizer.gather(np.append(row_ids, WORDS + step))  # and a frozen word
        ids = torch.from_numpy(row_ids)
        torch.testing.assert_close(table(ids), whole(ids), rtol=1e-4, atol=1e-5)
        add_gradient(table, row_ids, step)
        optimizer.param_groups[1]["lr"] = rate
        optimizer.step()
        other.zero_grad()
        add_gradient(whole, row_ids, step)
        other.param_groups[0]["lr"] = rate
        other.step()


@pytest.mark.parametrize("is_averaged", [True, False])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_restored_state_continues_bit_for_bit(momentum, is_averaged):
    whole = make_table(sparse=True)
    optimizer = make_optimizer(whole, momentum)
    train_rows(optimizer, whole, add_average(optimizer, 0.9) if is_averaged else None)
    table = make_table(sparse=True)
    state: dict[str, object] = {}
    for begin, end in ((0, 13), (13, 14), (14, 40)):
        earlier, table = table, make_table(sparse=True)
        table.load_state_dict(earlier.state_dict())
        resumed = make_optimizer(table, momentum)
        average = add_average(resumed, 0.9, begin) if is_averaged else None
        if state:
            resumed.load_state_dict(state)
        train_rows(resumed, table, average, begin, end)
        state = copy.deepcopy(resumed.state_dict())
    assert torch.equal(table.weight, whole.weight)
    assert state["state"][ROWS].keys() == tables(optimizer).keys()
    for name, tensor in tables(optimizer).items():
        assert torch.equal(state["state"][ROWS][name], tensor), name


def test_a_step_of_a_process_without_sentences_follows_the_others_gradient():
    table = make_table(sparse=True)
    optimizer = make_optimizer(table, 0.9)
    before = table.weight.detach().clone()
    optimizer.gather(np.array([3, 5, 3]))
    (batch,) = optimizer.param_groups[1]["params"]
    assert batch.grad is None
    batch.grad = torch.ones_like(batch)
    optimizer.param_groups[1]["lr"] = 0.5
    optimizer.step()
    change = table.weight.detach() - before
    torch.testing.assert_close(change[[3, 5]], torch.full((2, SIZE), -0.5))
    assert not change[[0, 1, 2, 4, *range(6, WORDS)]].any()


def test_the_other_weights_are_updated_as_by_sgd():
    table = make_table(sparse=True)
    other, twin = (torch.ones(2, requires_grad=True) for _ in range(2))
    optimizer = RowwiseSGD([other], table.weight, lr=0.5, momentum=0.9)
    baseline = torch.optim.SGD([twin], lr=0.5, momentum=0.9)
    for step in range(3):
        optimizer.zero_grad()
        baseline.zero_grad()
        optimizer.gather(np.array([3, 5]))
        add_gradient(table, np.array([3, 5]), step)
        for weight in (other, twin):
            weight.square().sum().backward()
        optimizer.step()
        baseline.step()
    torch.testing.assert_close(other, twin)
