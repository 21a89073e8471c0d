"""Heads: from encoder outputs to emissions, and what a tag sequence costs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchcrf import CRF

from tagger.config import HeadKind
from tagger.network.crf import scaled_crf_loss

_FORBIDDEN = -1e4  # the score of a tag that is not the gold one; exp() of it is 0 in both precisions


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

        Tokens without a gold tag add nothing to the softmax head's loss. The CRF head sums over all tags of
        theirs: the log of the summed exponentials of all sequences that agree with the gold tags replaces the
        gold score (Tsuboi et al. 2008, section 3).

        Args:
            emissions: (B, T, C).
            tags: (B, T) tag ids, -1 where a token has no gold tag.
            mask: (B, T) bool, True where a token stands.
            costs: (C, C) cost of each tag for each gold tag, gold -> other, zeros in the diagonal; or None.
        """
        is_given = tags >= 0
        is_partial = not bool(is_given.all())
        if costs is not None:
            emissions = emissions + costs[tags.clamp(min=0)] * is_given[:, :, None]
        if self.crf is None:
            of_tokens = (emissions[mask], tags[mask])
            return F.cross_entropy(*of_tokens, ignore_index=-1, reduction="sum") / len(tags)
        path = tags.clamp(min=0)
        loss = self._path_loss(emissions, path, mask)
        if is_partial:
            # Both losses contain the score of the same path, so their difference is that of the partitions.
            is_wrong = is_given[:, :, None] & (path[:, :, None] != torch.arange(emissions.shape[2]))
            loss = loss - self._path_loss(emissions.masked_fill(is_wrong, _FORBIDDEN), path, mask)
        return loss / len(tags)

    def _path_loss(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """The CRF's negative log-likelihood of whole tag sequences, summed over sentences."""
        assert self.crf is not None
        edges = (self.crf.start_transitions, self.crf.end_transitions, self.crf.transitions)
        loss = scaled_crf_loss(emissions, *edges, tags, mask.sum(dim=1))
        return -self.crf(emissions, tags, mask=mask, reduction="sum") if loss is None else loss

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
