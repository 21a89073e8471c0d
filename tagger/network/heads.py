"""Heads: emissions from encoder outputs, and the loss of tag sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchcrf import CRF

from tagger.config import HeadKind
from tagger.decoding.crf import Gradient, loss_gradient
from tagger.decoding.viterbi import Transitions

_FORBIDDEN = -1e4  # score of a tag that contradicts the gold tag; its exp() is 0 in float32 and in float64


class _CrfLoss(torch.autograd.Function):
    """Autograd function for a loss with a precomputed gradient, without a graph over time steps."""

    @staticmethod
    def forward(ctx: Any, loss: float, gradient: Gradient, *scores: Tensor) -> Tensor:
        ctx.gradient = [
            torch.from_numpy(values).to(score) for values, score in zip(gradient, scores, strict=True)
        ]
        return scores[0].new_tensor(loss)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        return (None, None, *(values * outer[0] for values in ctx.gradient))


def scaled_crf_loss(
    emissions: Tensor, start: Tensor, end: Tensor, transitions: Tensor, tags: Tensor, lengths: Tensor
) -> Tensor | None:
    """Compute the negative log-likelihood of a batch's tag sequences with ``decoding.crf`` on the CPU.

    Args:
        emissions: (B, T, C).
        start: (C,) start transitions.
        end: (C,) end transitions.
        transitions: (C, C) transitions, from -> to.
        tags: (B, T) tag ids.
        lengths: (B,) tokens of each sentence, at least 1.

    Returns:
        A scalar, the sum over sentences; None if it needs log space (see ``loss_gradient``).

    Raises:
        ValueError: A sentence has no tokens.
    """
    if not bool(lengths.all()):
        raise ValueError("lengths must be at least 1 (got an empty sentence). Remove empty sentences.")
    scores = (emissions, start, end, transitions)
    arrays = [score.detach().cpu().numpy() for score in scores]
    result = loss_gradient(
        arrays[0], tags.cpu().numpy(), lengths.cpu().numpy(), Transitions(arrays[3], arrays[1], arrays[2])
    )
    if result is None:
        return None
    loss: Tensor = _CrfLoss.apply(*result, *scores)  # type: ignore[no-untyped-call]
    return loss


@dataclass(frozen=True, slots=True)
class Targets:
    """What the tags of one task should be in B sentences.

    Attributes:
        tags: (B, T) tag ids, -1 for tokens without a gold tag.
        allowed: (B, T, C) True for the possible tags of tokens without a gold tag; None if all are possible.
        soft_rows: (S,) indices of the sentences with soft tags, or None.
        soft_tags: (S, T, C) probability of each tag, 0 for padding; or None.
        soft_transitions: (S, C, C) expected number of each transition, from -> to; or None.
        soft_weight: Weight of the soft tags in the loss of their sentences, in [0, 1]; the rest is that of
            the gold tags.
    """

    tags: Tensor
    allowed: Tensor | None = None
    soft_rows: Tensor | None = None
    soft_tags: Tensor | None = None
    soft_transitions: Tensor | None = None
    soft_weight: float = 1.0

    def select(self, rows: Tensor) -> Targets:
        """Return the gold tags of some sentences."""
        return Targets(self.tags[rows], None if self.allowed is None else self.allowed[rows])


class Head(nn.Module):
    """Emissions and loss of one task; a subclass defines the loss.

    Args:
        input_size: Size D of the encoder's outputs.
        tags: Number of tags C.
    """

    def __init__(self, input_size: int, tags: int) -> None:
        super().__init__()
        self.projection = nn.Linear(input_size, tags)

    def forward(self, encoded: Tensor) -> Tensor:
        """Compute emissions (B, T, C) from encoder outputs (B, T, D)."""
        emissions: Tensor = self.projection(encoded)
        return emissions

    def loss(self, emissions: Tensor, targets: Targets, mask: Tensor, costs: Tensor | None = None) -> Tensor:
        """Compute the negative log-likelihood, summed over tokens and averaged over sentences.

        With costs this is the softmax-margin loss (Gimpel and Smith 2010, section 3): the log-sum-exp of
        score + cost over all tag sequences, minus the score of the gold sequence. The cost of a sequence is
        the sum over its tokens, so the head adds costs to the emissions.

        Args:
            emissions: (B, T, C).
            targets: The gold tags and soft tags.
            mask: (B, T) bool, True for tokens, False for padding.
            costs: (C, C) costs, gold -> other, with a zero diagonal; or None.
        """
        tags = targets.tags
        if costs is not None:
            emissions = emissions + costs[tags.clamp(min=0)] * (tags >= 0)[:, :, None]
        rows = targets.soft_rows
        if rows is None:
            return self._gold_loss(emissions, targets, mask) / len(tags)
        loss = targets.soft_weight * self._soft_loss(emissions[rows], targets, mask[rows])
        if targets.soft_weight < 1:
            gold = self._gold_loss(emissions[rows], targets.select(rows), mask[rows])
            loss = loss + (1 - targets.soft_weight) * gold
        is_soft = torch.zeros(len(tags), dtype=torch.bool, device=rows.device)
        is_soft[rows] = True
        others = torch.nonzero(~is_soft).squeeze(1)
        if len(others):
            loss = loss + self._gold_loss(emissions[others], targets.select(others), mask[others])
        return loss / len(tags)

    def _gold_loss(self, emissions: Tensor, targets: Targets, mask: Tensor) -> Tensor:
        """Compute the loss of the gold tags, summed over sentences."""
        raise NotImplementedError

    def _soft_loss(self, emissions: Tensor, targets: Targets, mask: Tensor) -> Tensor:
        """Compute the cross-entropy between the soft tags and the model, summed over S sentences."""
        raise NotImplementedError

    def transitions(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return transitions (C, C) from -> to, start transitions (C,) and end transitions (C,)."""
        tags = self.projection.out_features
        return torch.zeros(tags, tags), torch.zeros(tags), torch.zeros(tags)


class SoftmaxHead(Head):
    """Scores each token alone; a token without a gold tag counts by the probability of its possible tags."""

    def _gold_loss(self, emissions: Tensor, targets: Targets, mask: Tensor) -> Tensor:
        tags = targets.tags
        loss = F.cross_entropy(emissions[mask], tags[mask], ignore_index=-1, reduction="sum")
        if targets.allowed is not None:
            is_latent = mask & (tags < 0)
            logs = F.log_softmax(emissions[is_latent], dim=-1)
            loss = loss - logs.masked_fill(~targets.allowed[is_latent], _FORBIDDEN).logsumexp(-1).sum()
        return loss

    def _soft_loss(self, emissions: Tensor, targets: Targets, mask: Tensor) -> Tensor:
        assert targets.soft_tags is not None
        return -(targets.soft_tags[mask] * F.log_softmax(emissions[mask], dim=-1)).sum()


class CrfHead(Head):
    """Scores whole tag sequences with a linear-chain conditional random field.

    The CRF is that of Lafferty et al. 2001; on an LSTM: Lample et al. 2016, section 2.2. The loss
    marginalises over the tags of tokens without a gold tag: the log-sum-exp over all sequences that agree
    with the gold tags replaces the gold score (Tsuboi et al. 2008, section 3). Soft tags replace the gold
    score by its expectation (structure-level distillation: Wang et al. 2020, section 3.2).

    Args:
        input_size: Size D of the encoder's outputs.
        tags: Number of tags C.
    """

    def __init__(self, input_size: int, tags: int) -> None:
        super().__init__(input_size, tags)
        self.crf = CRF(tags, batch_first=True)

    def _gold_loss(self, emissions: Tensor, targets: Targets, mask: Tensor) -> Tensor:
        tags = targets.tags
        has_gold = tags >= 0
        path = tags.clamp(min=0)
        if targets.allowed is not None:  # any possible path: its score cancels
            path = torch.where(has_gold, path, targets.allowed.to(path.dtype).argmax(-1))
        loss = self._path_loss(emissions, path, mask)
        if not bool(has_gold.all()):
            # Both losses contain the same path score, so their difference is that of the log-partitions.
            is_wrong = path[:, :, None] != torch.arange(emissions.shape[2], device=path.device)
            is_wrong &= has_gold[:, :, None]
            if targets.allowed is not None:
                is_wrong |= ~targets.allowed & ~has_gold[:, :, None]
            loss = loss - self._path_loss(emissions.masked_fill(is_wrong, _FORBIDDEN), path, mask)
        return loss

    def _soft_loss(self, emissions: Tensor, targets: Targets, mask: Tensor) -> Tensor:
        tags, transitions = targets.soft_tags, targets.soft_transitions
        assert tags is not None
        assert transitions is not None
        path = tags.argmax(-1)
        crf, inside = self.crf, mask.to(emissions.dtype)
        ends = mask.sum(1) - 1
        rows = torch.arange(len(path), device=path.device)
        last = path[rows, ends]
        # The log-partition is the loss of any path plus the path's score.
        score = (emissions.gather(2, path[:, :, None]).squeeze(2) * inside).sum()
        score = score + (crf.transitions[path[:, :-1], path[:, 1:]] * inside[:, 1:]).sum()
        score = score + crf.start_transitions[path[:, 0]].sum() + crf.end_transitions[last].sum()
        expected = (emissions * tags).sum() + (crf.transitions * transitions.sum(0)).sum()
        expected = expected + (crf.start_transitions * tags[:, 0]).sum()
        expected = expected + (crf.end_transitions * tags[rows, ends]).sum()
        loss: Tensor = self._path_loss(emissions, path, mask) + score - expected
        return loss

    def _path_loss(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Compute the CRF's negative log-likelihood of full tag sequences, summed over sentences."""
        parameters = (self.crf.start_transitions, self.crf.end_transitions, self.crf.transitions)
        loss = scaled_crf_loss(emissions, *parameters, tags, mask.sum(dim=1))
        return -self.crf(emissions, tags, mask=mask, reduction="sum") if loss is None else loss

    def transitions(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return transitions (C, C) from -> to, start transitions (C,) and end transitions (C,)."""
        return (
            self.crf.transitions.detach(),
            self.crf.start_transitions.detach(),
            self.crf.end_transitions.detach(),
        )


HEADS: dict[HeadKind, type[Head]] = {"crf": CrfHead, "softmax": SoftmaxHead}
