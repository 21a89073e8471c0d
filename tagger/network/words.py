"""Vectors of words: word embedding, characters and casing, each a function of the word alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tagger.config import Characters
from tagger.features.vocab import PADDING, UNKNOWN
from tagger.network.encoder import Encoder


def make_embedding(count: int, size: int) -> nn.Embedding:
    """Vectors of ``count`` ids; each value has variance 1 / size, padding has zeros."""
    embedding = nn.Embedding(count, size, padding_idx=PADDING)
    bound = math.sqrt(3.0 / size)
    nn.init.uniform_(embedding.weight[1:].detach(), -bound, bound)
    return embedding


def embed_characters(alphabet: int, size: int) -> nn.Embedding:
    """Vectors of characters; the unknown character, which train never shows, has zeros like padding."""
    embedding = make_embedding(alphabet, size)
    embedding.weight.detach()[UNKNOWN] = 0.0
    return embedding


class _Highest(torch.autograd.Function):
    """The maxima of rows that belong together: (N, D) rows and (U,) how many of them, at least 1, to (U, D).

    Equal maxima, as in "....", share the gradient, as with ``amax``. The backward pass of torch 2.13's own
    ``segment_reduce`` is wrong there: it divides positive gradients only.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: Tensor) -> Tensor:
        highest: Tensor = torch.segment_reduce(rows, "max", lengths=counts, unsafe=True)
        ctx.save_for_backward(rows, counts, highest)
        return highest

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        rows, counts, highest = ctx.saved_tensors
        owners = torch.repeat_interleave(counts, output_size=len(rows))  # (N,)
        is_highest = (rows == highest.index_select(0, owners)).to(rows.dtype)
        ties = torch.zeros_like(highest).index_add_(0, owners, is_highest)
        return is_highest.mul_((outer[0] / ties).index_select(0, owners)), None


class CharacterCnn(nn.Module):
    """Convolution over a word's characters, then the maximum over places (Ma and Hovy 2016, section 2.1).

    With several widths at once a filter can be of an ending as well as of a stem (Kim 2014, section 2).

    Args:
        alphabet: Number of character ids.
        size: Width of character vectors.
        filters: Number of filters of each width; the output has as many for every width.
        widths: Characters under one filter.
    """

    def __init__(self, alphabet: int, size: int, filters: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.output_size = filters * len(widths)
        self.widths = tuple(widths)
        self.embedding = embed_characters(alphabet, size)
        # Weights of a filter are those of nn.Conv1d, flattened.
        self.filters = nn.ModuleList(nn.Linear(size * width, filters) for width in widths)

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """(U, L) character ids and (U,) lengths to (U, output_size)."""
        is_inside = torch.arange(characters.shape[1], device=lengths.device) < lengths[:, None]
        found = []
        for width, filters in zip(self.widths, self.filters, strict=True):
            assert isinstance(filters, nn.Linear)
            left = (width - 1) // 2
            windows = F.pad(characters, (left, width - 1 - left)).unfold(1, width, 1)[is_inside]
            found.append(self._convolve(windows, lengths, filters))
        return torch.cat(found, dim=-1)

    def _convolve(self, windows: Tensor, lengths: Tensor, filters: nn.Linear) -> Tensor:
        """(N, width) windows, one for each character of U words, to (U, filters).

        What a filter makes of a character at a place of its window depends on these alone, so it is computed
        once for each character and place; a window is a sum of such rows.
        """
        count, width = filters.out_features, windows.shape[1]
        used, rows = torch.unique(windows, return_inverse=True)
        places = torch.arange(width, device=lengths.device)
        weights = filters.weight.view(count, -1, width)  # (filters, size, width)
        weights = weights.permute(2, 0, 1).flatten(0, 1)  # (width * filters, size)
        table = F.linear(self.embedding(used), weights).view(-1, count)
        scores = F.embedding_bag(rows * width + places, table, mode="sum")  # (N, filters)
        highest: Tensor = _Highest.apply(scores, lengths)  # type: ignore[no-untyped-call]
        return highest + filters.bias


class CharacterLstm(nn.Module):
    """A bidirectional LSTM over a word's characters, its two final states (Lample et al. 2016, section 4.1).

    Args:
        alphabet: Number of character ids.
        size: Width of character vectors.
        hidden_size: Units per direction; the output is twice as wide.
    """

    def __init__(self, alphabet: int, size: int, hidden_size: int) -> None:
        super().__init__()
        self.output_size = 2 * hidden_size
        self.embedding = embed_characters(alphabet, size)
        self.encoder = Encoder(size, hidden_size)

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """(U, L) character ids and (U,) lengths to (U, 2 * hidden_size)."""
        _, final = self.encoder(self.embedding(characters), lengths)
        return torch.cat([final["forward"], final["backward"]], dim=-1)


class WordVectors(nn.Module):
    """One vector for each distinct word: word embedding + characters + casing, concatenated.

    Args:
        words: Number of trained word ids; higher ids are rows of ``fixed``.
        word_size: Width of a word embedding.
        fixed: (N, word_size) float16 vectors of words that train lacks; never trained.
        alphabet: Number of character ids.
        characters: Which network reads the characters.
        character_size: Width of character vectors.
        character_hidden: Filters of the CNN of each width, or units per direction of the LSTM.
        character_width: Characters under one filter of the CNN, for each width.
        casings: Number of casing ids.
        casing_size: Width of the casing vector, 0 for none.
    """

    def __init__(
        self,
        *,
        words: int,
        word_size: int,
        fixed: Tensor,
        alphabet: int,
        characters: Characters,
        character_size: int,
        character_hidden: int,
        character_width: Sequence[int],
        casings: int,
        casing_size: int,
    ) -> None:
        super().__init__()
        self.trained = make_embedding(words, word_size)
        self.register_buffer("fixed", fixed)
        self.output_size = word_size + casing_size
        self.casing = nn.Embedding(casings, casing_size) if casing_size else None
        self.characters: CharacterCnn | CharacterLstm | None = None
        if characters == "cnn":
            self.characters = CharacterCnn(alphabet, character_size, character_hidden, character_width)
        elif characters == "lstm":
            self.characters = CharacterLstm(alphabet, character_size, character_hidden)
        if self.characters is not None:
            self.output_size += self.characters.output_size

    def forward(self, words: Tensor, casing: Tensor, characters: Tensor, word_lengths: Tensor) -> Tensor:
        """Vectors of U words.

        Args:
            words: (U,) word ids.
            casing: (U,) casing ids.
            characters: (U, L) character ids.
            word_lengths: (U,) characters of each word, at least 1.

        Returns:
            (U, output_size).
        """
        parts = [self.embed(words)]
        if self.characters is not None:
            parts.append(self.characters(characters, word_lengths))
        if self.casing is not None:
            parts.append(self.casing(casing))
        return torch.cat(parts, dim=-1)

    def embed(self, words: Tensor) -> Tensor:
        """Word embeddings alone: (U,) word ids to (U, word_size)."""
        known = self.trained.num_embeddings
        if int(words.max()) < known:
            trained: Tensor = self.trained(words)
            return trained
        assert isinstance(self.fixed, Tensor)
        is_fixed = words >= known
        rows = self.fixed[(words - known).clamp(min=0)].to(self.trained.weight.dtype)
        return torch.where(is_fixed[:, None], rows, self.trained(words.masked_fill(is_fixed, 0)))
