"""The linear part: emissions from a word and its neighbours, without hidden layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tagger.features.vocab import PADDING, UNKNOWN
from tagger.features.word_forms import AFFIXES, LINEAR_SCALE, NEIGHBOURS, SHAPES
from tagger.network.dropout import dropout


class LinearScores(nn.Module):
    """Score the tags of a task by the features of a token and its neighbours, as in a linear CRF.

    The features of the token are its word, affixes and shapes; those of its neighbours are word and shapes
    (Lafferty et al. 2001, section 5.3). All weights start from zero.

    Args:
        words: Number of trainable word ids; words with a higher id get the weights of unknown words.
        shapes: Number of shape ids.
        affixes: Number of affix ids.
        tags: Number of tags C.
    """

    def __init__(self, words: int, shapes: int, affixes: int, tags: int) -> None:
        super().__init__()
        width = tags * len(NEIGHBOURS)
        self.words = _zeros(words, width)
        self.shapes = _zeros(shapes, width)
        self.affixes = _zeros(affixes, tags)

    def forward(
        self, positions: Tensor, words: Tensor, shapes: Tensor, affixes: Tensor, share: float
    ) -> Tensor:
        """Compute the emissions (B, T, C) of a batch.

        Args:
            positions: (B, T) index of each token's word in the arrays below; 0 for padding.
            words: (U,) word ids.
            shapes: (U, ``SHAPES``) shape ids.
            affixes: (U, ``len(AFFIXES)``) affix ids.
            share: Share of the features to drop.
        """
        words = words.masked_fill(words >= self.words.num_embeddings, UNKNOWN)
        features = torch.full((len(words), 1 + SHAPES + len(AFFIXES)), LINEAR_SCALE, device=words.device)
        weights = dropout(features, share, self.training) * (words != PADDING)[:, None]
        wide, own = weights[:, : 1 + SHAPES, None], weights[:, 1 + SHAPES :, None]
        rows = self.words(words) * wide[:, 0] + (self.shapes(shapes) * wide[:, 1:]).sum(1)
        tags = self.affixes.embedding_dim
        rows = rows + F.pad((self.affixes(affixes) * own).sum(1), (0, rows.shape[1] - tags))
        count = len(NEIGHBOURS)
        reach = max(NEIGHBOURS)
        windows = F.pad(positions, (reach, reach)).unfold(1, 2 * reach + 1, 1)  # (B, T, 5)
        order = torch.tensor([reach + offset for offset in NEIGHBOURS], device=words.device)
        indices = windows[:, :, order] * count + torch.arange(count, device=words.device)
        scores = F.embedding_bag(indices.flatten(0, 1), rows.view(-1, tags), mode="sum")
        return scores.view(*positions.shape, tags)


def _zeros(count: int, width: int) -> nn.Embedding:
    embedding = nn.Embedding(count, width, padding_idx=PADDING)
    nn.init.zeros_(embedding.weight)
    return embedding
