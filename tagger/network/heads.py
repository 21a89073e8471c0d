"""Heads: from encoder outputs to emissions, and what a tag sequence costs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchcrf import CRF

from tagger.config import HeadKind
from tagger.network.crf import scaled_crf_loss


class Head(nn.Module):
    """Emissions of one task, and the loss that they are trained with.

    ``softmax`` scores each token alone; ``crf`` scores whole tag sequences with a linear-chain conditional
    random field (Lafferty et al. 2001; on an LSTM: Lample et al. 2016, section 2.2).

    Args:
        input_size: Width D of the encoder's outputs.
        tags: Number of tags C.
        kind: What is scored.
    """

    def __init__(self, input_size: int, tags: int, kind: HeadKind) -> None:
        super().__init__()
        self.projection = nn.Linear(input_size, tags)
        self.crf = CRF(tags, batch_first=True) if kind == "crf" else None

    def forward(self, encoded: Tensor) -> Tensor:
        """(B, T, D) encoder outputs to (B, T, C) emissions."""
        emissions: Tensor = self.projection(encoded)
        return emissions

    def loss(self, emissions: Tensor, tags: Tensor, mask: Tensor, costs: Tensor | None = None) -> Tensor:
        """Negative log-likelihood, summed over a sentence's tokens and averaged over sentences.

        With costs it is the softmax-margin loss (Gimpel and Smith 2010, section 3): the log of the summed
        exponentials of score + cost of all tag sequences, less the score of the gold one. The cost of a
        sequence is the sum over its tokens, so it is added to the emissions.

        Args:
            emissions: (B, T, C).
            tags: (B, T) tag ids.
            mask: (B, T) bool, True where a token stands.
            costs: (C, C) cost of each tag for each gold tag, gold -> other, zeros in the diagonal; or None.
        """
        if costs is not None:
            emissions = emissions + costs[tags]
        if self.crf is None:
            return F.cross_entropy(emissions[mask], tags[mask], reduction="sum") / len(tags)
        edges = (self.crf.start_transitions, self.crf.end_transitions, self.crf.transitions)
        loss = scaled_crf_loss(emissions, *edges, tags, mask.sum(dim=1))
        if loss is None:
            loss = -self.crf(emissions, tags, mask=mask, reduction="sum")
        return loss / len(tags)

    def transitions(self) -> tuple[Tensor, Tensor, Tensor]:
        """The scores of tag after tag (C, C) from -> to, of the first and of the last tag (C,) each."""
        if self.crf is None:
            tags = self.projection.out_features
            return torch.zeros(tags, tags), torch.zeros(tags), torch.zeros(tags)
        return (
            self.crf.transitions.detach(),
            self.crf.start_transitions.detach(),
            self.crf.end_transitions.detach(),
        )
