"""Word vectors: word embedding, characters, casing and affixes, all functions of the word alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tagger.config import Characters, ModelConfig
from tagger.features.vocab import PADDING, UNKNOWN
from tagger.features.word_forms import AFFIXES, CASINGS
from tagger.network.bilstm import Encoder


def make_embedding(count: int, size: int) -> nn.Embedding:
    """Build an embedding of ``count`` ids: values have variance 1 / size, padding has zeros."""
    embedding = nn.Embedding(count, size, padding_idx=PADDING)
    bound = math.sqrt(3.0 / size)
    nn.init.uniform_(embedding.weight[1:].detach(), -bound, bound)
    return embedding


def embed_characters(alphabet: int, size: int) -> nn.Embedding:
    """Build a character embedding; the unknown character, which never occurs in train, has zeros."""
    embedding = make_embedding(alphabet, size)
    embedding.weight.detach()[UNKNOWN] = 0.0
    return embedding


class _SegmentMax(torch.autograd.Function):
    """Maximum over segments of rows: rows (N, D) and segment lengths (U,), at least 1, to (U, D).

    Equal maxima, as in "....", share the gradient equally, as in ``amax``. The backward pass of
    ``segment_reduce`` in torch 2.13 is wrong for them: it divides positive gradients only.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, lengths: Tensor) -> Tensor:
        maxima: Tensor = torch.segment_reduce(rows, "max", lengths=lengths, unsafe=True)
        ctx.save_for_backward(rows, lengths, maxima)
        return maxima

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        rows, lengths, maxima = ctx.saved_tensors
        segments = torch.repeat_interleave(lengths, output_size=len(rows))  # (N,)
        is_maximum = (rows == maxima.index_select(0, segments)).to(rows.dtype)
        ties = torch.zeros_like(maxima).index_add_(0, segments, is_maximum)
        return is_maximum.mul_((outer[0] / ties).index_select(0, segments)), None


class CharacterCnn(nn.Module):
    """Convolution over a word's characters with max pooling over positions (Ma and Hovy 2016, section 2.1).

    Filters of several widths can capture suffixes as well as stems (Kim 2014, section 2).

    Args:
        alphabet: Number of character ids.
        size: Size of character embeddings.
        filters: Number of filters per width.
        widths: Filter widths in characters.

    Attributes:
        output_size: Number of filters of all widths.
    """

    def __init__(self, alphabet: int, size: int, filters: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.output_size = filters * len(widths)
        self.widths = tuple(widths)
        self.embedding = embed_characters(alphabet, size)
        # The weights equal those of nn.Conv1d, flattened.
        self.filters = nn.ModuleList(nn.Linear(size * width, filters) for width in widths)

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """Compute the features (U, output_size) of character ids (U, L) with lengths (U,)."""
        is_inside = torch.arange(characters.shape[1], device=lengths.device) < lengths[:, None]
        features = []
        for width, filters in zip(self.widths, self.filters, strict=True):
            assert isinstance(filters, nn.Linear)
            left = (width - 1) // 2
            windows = F.pad(characters, (left, width - 1 - left)).unfold(1, width, 1)[is_inside]
            features.append(self._convolve(windows, lengths, filters))
        return torch.cat(features, dim=-1)

    def _convolve(self, windows: Tensor, lengths: Tensor, filters: nn.Linear) -> Tensor:
        """Apply the filters of one width to windows (N, width), one per character of U words: (U, filters).

        A filter's product with a character at an offset of the window depends on these two only, so it is
        computed once per distinct character and offset; the score of a window is a sum of such products.
        """
        count, width = filters.out_features, windows.shape[1]
        distinct, rows = torch.unique(windows, return_inverse=True)
        offsets = torch.arange(width, device=lengths.device)
        weights = filters.weight.view(count, -1, width)  # (filters, size, width)
        weights = weights.permute(2, 0, 1).flatten(0, 1)  # (width * filters, size)
        table = F.linear(self.embedding(distinct), weights).view(-1, count)  # (distinct * width, filters)
        scores = F.embedding_bag(rows * width + offsets, table, mode="sum")  # (N, filters)
        maxima: Tensor = _SegmentMax.apply(scores, lengths)  # type: ignore[no-untyped-call]
        return maxima + filters.bias


class CharacterLstm(nn.Module):
    """Final states of a bidirectional LSTM over a word's characters (Lample et al. 2016, section 4.1).

    Args:
        alphabet: Number of character ids.
        size: Size of character embeddings.
        hidden_size: Units H per direction.

    Attributes:
        output_size: 2H.
    """

    def __init__(self, alphabet: int, size: int, hidden_size: int) -> None:
        super().__init__()
        self.output_size = 2 * hidden_size
        self.embedding = embed_characters(alphabet, size)
        self.encoder = Encoder(size, hidden_size)

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """Compute the features (U, output_size) of character ids (U, L) with lengths (U,)."""
        _, final = self.encoder(self.embedding(characters), lengths)
        return torch.cat([final["forward"], final["backward"]], dim=-1)


CharacterNetwork = CharacterCnn | CharacterLstm
# Constructors of the networks over characters, given the number of character ids.
CHARACTERS: dict[Characters, Callable[[ModelConfig, int], CharacterNetwork] | None] = {
    "cnn": lambda config, alphabet: CharacterCnn(
        alphabet, config.character_size, config.character_hidden, config.character_width
    ),
    "lstm": lambda config, alphabet: CharacterLstm(alphabet, config.character_size, config.character_hidden),
    "none": None,
}


class WordVectors(nn.Module):
    """Vectors of distinct words: embeddings of word, casing and affixes, and character features.

    Args:
        config: The sizes of character features, casing embedding and affix embeddings.
        words: Number of trainable word ids; higher ids are rows of ``frozen``.
        frozen: (N, W) float16 frozen vectors of words that train lacks; W is the size of word embeddings.
        alphabet: Number of character ids.
        affixes: Number of affix ids.

    Attributes:
        output_size: Size of the concatenated vectors.
    """

    def __init__(
        self, config: ModelConfig, *, words: int, frozen: Tensor, alphabet: int, affixes: int
    ) -> None:
        super().__init__()
        word_size = frozen.shape[1]
        self.trainable = make_embedding(words, word_size)
        self.register_buffer("frozen", frozen)
        self.output_size = word_size + config.casing_size
        self.casing = nn.Embedding(len(CASINGS), config.casing_size) if config.casing_size else None
        self.characters: CharacterNetwork | None = None
        if make_characters := CHARACTERS[config.characters]:
            self.characters = make_characters(config, alphabet)
            self.output_size += self.characters.output_size
        self.affixes: nn.Embedding | None = None
        if config.affix_size:
            self.affixes = make_embedding(affixes, config.affix_size)
            self.output_size += config.affix_size * len(AFFIXES)

    def forward(
        self, words: Tensor, casing: Tensor, characters: Tensor, word_lengths: Tensor, affixes: Tensor
    ) -> Tensor:
        """Compute the vectors of U words.

        Args:
            words: (U,) word ids.
            casing: (U,) casing ids.
            characters: (U, L) character ids.
            word_lengths: (U,) characters of each word, at least 1.
            affixes: (U, ``len(AFFIXES)``) affix ids.

        Returns:
            (U, output_size).
        """
        features = [self.embed(words)]
        if self.characters is not None:
            features.append(self.characters(characters, word_lengths))
        if self.casing is not None:
            features.append(self.casing(casing))
        if self.affixes is not None:
            features.append(self.affixes(affixes).flatten(1))
        return torch.cat(features, dim=-1)

    def embed(self, words: Tensor) -> Tensor:
        """Look up word embeddings, trainable or frozen: word ids (U,) to (U, W)."""
        trainable_count = self.trainable.num_embeddings
        if int(words.max()) < trainable_count:
            trainable: Tensor = self.trainable(words)
            return trainable
        assert isinstance(self.frozen, Tensor)
        is_frozen = words >= trainable_count
        frozen = self.frozen[(words - trainable_count).clamp(min=0)].to(self.trainable.weight.dtype)
        return torch.where(is_frozen[:, None], frozen, self.trainable(words.masked_fill(is_frozen, 0)))
