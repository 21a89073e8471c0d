"""What the other mentions of a word in its document show of it, as numbers for the encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tagger.features.mentions import COUNTED, context_width
from tagger.features.vocab import CASINGS


class DocumentContext(nn.Module):
    """The mean of what a word's other mentions show: their neighbours, narrowed, and their casing.

    See ``features.mentions``, whose ``aggregate`` is the same in numpy.

    Args:
        word_size: Width D of the neighbours' word vectors.
        size: Width of what is made of the words before, and as much again for the words after.
    """

    def __init__(self, word_size: int, size: int) -> None:
        super().__init__()
        self.output_size = context_width(size)
        self.left = nn.Linear(word_size, size, bias=False)
        self.right = nn.Linear(word_size, size, bias=False)

    def forward(self, left: Tensor, right: Tensor, casing: Tensor, words: Tensor, own: Tensor) -> Tensor:
        """Sum up what is known of N tokens from the M mentions of their G words.

        Args:
            left: (M, D) vectors of the words before the mentions, zeros where there is none.
            right: (M, D) the same of the words after them.
            casing: (M,) casing ids, 0 at a sentence's beginning.
            words: (M,) which of the G words each mention is of, in ascending order.
            own: (N,) which mention each token is.

        Returns:
            (N, output_size).
        """
        written = F.one_hot(casing, len(CASINGS)).to(left.dtype)
        features = torch.cat([left, right, written], dim=-1)  # (M, 2D + casings)
        counts = torch.bincount(words)  # (G,)
        sums = features.new_zeros(len(counts), features.shape[1]).index_add_(0, words, features)
        word = words[own]
        others = (counts[word] - 1).to(features.dtype)[:, None]  # (N, 1)
        mean = (sums[word] - features[own]) / others
        width = left.shape[1]
        before, after, casings = mean[:, :width], mean[:, width : 2 * width], mean[:, 2 * width :]
        count = others.clamp(max=COUNTED) / COUNTED
        return torch.cat(
            [self.left(before), self.right(after), casings, count, torch.ones_like(count)], dim=-1
        )
