"""The states of a contextual encoder as one vector per token."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StateMix(nn.Module):
    """Weighted mean of a token's states in several layers, times a scale (Peters et al. 2018, equation 1).

    Args:
        layers: Number L of states per token.
        size: Size D of a state.

    Attributes:
        output_size: D.
    """

    def __init__(self, layers: int, size: int) -> None:
        super().__init__()
        self.output_size = size
        self.mix = nn.Parameter(torch.zeros(layers))
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, states: Tensor) -> Tensor:
        """Compute the vectors (B, T, D) of states (B, T, L, D), of any floating type."""
        shares = torch.softmax(self.mix, dim=0) * self.scale
        return torch.einsum("btld,l->btd", states.to(shares.dtype), shares)
