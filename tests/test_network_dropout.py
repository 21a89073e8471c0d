"""Dropout: the share of dropped values, the scale of the others, and the gradient."""

import pytest
import torch

from tagger.network.dropout import draw_mask, dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.875])
def test_dropout_drops_the_share_and_preserves_the_mean(share):
    torch.manual_seed(0)
    kept = dropout(torch.ones(400, 501), share, training=True)
    assert (kept == 0).float().mean() == pytest.approx(share, abs=0.005)
    assert kept.mean() == pytest.approx(1.0, abs=0.02)
    assert len(kept.unique()) == 2
    # Neighbours share a 64-bit random number, but must be dropped independently.
    dropped = (kept == 0).float() - share
    for distance in (1, 2, 3, 4):
        together = (dropped[:, distance:] * dropped[:, :-distance]).mean() / (share * (1 - share))
        assert abs(together) < 0.02


def test_dropout_is_on_in_training_only_and_uses_the_random_state_of_torch():
    inputs = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    assert dropout(inputs, 0.5, training=False) is inputs
    assert dropout(inputs, 0.0, training=True) is inputs
    torch.manual_seed(1)
    first, second = dropout(inputs, 0.5, training=True), dropout(inputs, 0.5, training=True)
    torch.manual_seed(1)
    assert torch.equal(dropout(inputs, 0.5, training=True), first)
    assert not torch.equal(first, second)


def test_the_gradient_has_the_same_mask_as_the_values():
    inputs = torch.ones(6, 7, requires_grad=True)
    outputs = dropout(inputs, 0.25, training=True)
    (gradient,) = torch.autograd.grad(outputs.sum(), inputs)
    assert torch.equal(gradient, outputs.detach())


@pytest.mark.parametrize("share", [1e-9, 1 - 1e-9])
def test_shares_near_0_and_1_give_finite_masks(share):
    assert torch.isfinite(draw_mask(torch.ones(1000), share)).all()


def test_dropout_of_an_empty_tensor():
    assert dropout(torch.ones(0, 4), 0.5, training=True).shape == (0, 4)
