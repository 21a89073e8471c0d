"""Heads: from encoder outputs to emissions, and what a tag sequence costs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchcrf import CRF


class SoftmaxHead(nn.Module):
    """Scores each token alone.

    Args:
        input_size: Width of the encoder's outputs.
        tags: Number of tags C.
    """

    def __init__(self, input_size: int, tags: int) -> None:
        super().__init__()
        self.projection = nn.Linear(input_size, tags)

    def forward(self, encoded: Tensor) -> Tensor:
        """(B, T, D) encoder outputs to (B, T, C) emissions."""
        emissions: Tensor = self.projection(encoded)
        return emissions

    def loss(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood, summed over tokens and averaged over sentences.

        Args:
            emissions: (B, T, C).
            tags: (B, T) tag ids.
            mask: (B, T) bool, True where a token stands.
        """
        return F.cross_entropy(emissions[mask], tags[mask], reduction="sum") / len(tags)


class CrfHead(nn.Module):
    """Scores whole tag sequences with a linear-chain CRF (Lafferty et al. 2001; Lample et al. 2016).

    Args:
        input_size: Width of the encoder's outputs.
        tags: Number of tags C.
    """

    def __init__(self, input_size: int, tags: int) -> None:
        super().__init__()
        self.projection = nn.Linear(input_size, tags)
        self.crf = CRF(tags, batch_first=True)

    def forward(self, encoded: Tensor) -> Tensor:
        """(B, T, D) encoder outputs to (B, T, C) emissions."""
        emissions: Tensor = self.projection(encoded)
        return emissions

    def loss(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Negative log-likelihood of whole sequences, averaged over sentences.

        Shapes are those of ``SoftmaxHead.loss``.
        """
        likelihood: Tensor = self.crf(emissions, tags, mask=mask, reduction="sum")
        return -likelihood / len(tags)


HEADS: dict[str, type[SoftmaxHead] | type[CrfHead]] = {"crf": CrfHead, "softmax": SoftmaxHead}


def transition_scores(head: nn.Module, tags: int) -> tuple[Tensor, Tensor, Tensor]:
    """The head's scores of tag after tag (C, C) from -> to, of the first and of the last tag (C,) each."""
    if isinstance(head, CrfHead):
        crf = head.crf
        return crf.transitions.detach(), crf.start_transitions.detach(), crf.end_transitions.detach()
    return torch.zeros(tags, tags), torch.zeros(tags), torch.zeros(tags)
