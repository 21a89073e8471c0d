"""Dropout: how much is dropped, and what is left of the values and of their gradient."""

import pytest
import torch

from tagger.network.dropout import draw_mask, dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.875])
def test_a_share_is_dropped_and_the_mean_stays(share):
    torch.manual_seed(0)
    kept = dropout(torch.ones(400, 501), share, training=True)
    assert (kept == 0).float().mean() == pytest.approx(share, abs=0.005)
    assert kept.mean() == pytest.approx(1.0, abs=0.02)
    assert len(kept.unique()) == 2
    # Neighbours share a random number of 64 bits: dropping one says nothing about the next.
    dropped = (kept == 0).float() - share
    for distance in (1, 2, 3, 4):
        together = (dropped[:, distance:] * dropped[:, :-distance]).mean() / (share * (1 - share))
        assert abs(together) < 0.02


def test_it_acts_in_training_only_and_follows_torchs_random_numbers():
    inputs = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    assert dropout(inputs, 0.5, training=False) is inputs
    assert dropout(inputs, 0.0, training=True) is inputs
    torch.manual_seed(1)
    first, second = dropout(inputs, 0.5, training=True), dropout(inputs, 0.5, training=True)
    torch.manual_seed(1)
    assert torch.equal(dropout(inputs, 0.5, training=True), first)
    assert not torch.equal(first, second)


def test_the_gradient_passes_where_the_value_did():
    inputs = torch.ones(6, 7, requires_grad=True)
    outputs = dropout(inputs, 0.25, training=True)
    (gradient,) = torch.autograd.grad(outputs.sum(), inputs)
    assert torch.equal(gradient, outputs.detach())


@pytest.mark.parametrize("share", [1e-9, 1 - 1e-9])
def test_a_share_next_to_nothing_or_all_gives_numbers(share):
    assert torch.isfinite(draw_mask(torch.ones(1000), share)).all()


def test_nothing_to_drop():
    assert dropout(torch.ones(0, 4), 0.5, training=True).shape == (0, 4)
