"""Document context: features of a word's other occurrences in its document, for the encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tagger.features.context_index import COUNTED, context_width
from tagger.features.word_forms import CASINGS


class DocumentContext(nn.Module):
    """Averages the context features of a word's other occurrences: projected neighbours and casing.

    ``features.context_index.aggregate`` computes the same in numpy.

    Args:
        word_size: Size D of the neighbours' word embeddings.
        size: Size of the projection of the left neighbours, and of that of the right neighbours.

    Attributes:
        output_size: Size of the output vectors.
    """

    def __init__(self, word_size: int, size: int) -> None:
        super().__init__()
        self.output_size = context_width(size)
        self.left = nn.Linear(word_size, size, bias=False)
        self.right = nn.Linear(word_size, size, bias=False)

    def forward(self, left: Tensor, right: Tensor, casing: Tensor, words: Tensor, own: Tensor) -> Tensor:
        """Compute the document context of N tokens from the M occurrences of their G words.

        Args:
            left: (M, D) vectors of the words before the occurrences, zeros if there is none.
            right: (M, D) vectors of the words after the occurrences, zeros if there is none.
            casing: (M,) casing ids, 0 at the beginning of a sentence.
            words: (M,) index of each occurrence's word, from 0 to G - 1, in ascending order.
            own: (N,) index of each token's own occurrence, which is excluded.

        Returns:
            (N, output_size).
        """
        one_hot = F.one_hot(casing, len(CASINGS)).to(left.dtype)  # (M, casings)
        features = torch.cat([left, right, one_hot], dim=-1)  # (M, 2D + casings)
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
