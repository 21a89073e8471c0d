"""The encoder: stacked forward, backward or bidirectional LSTM layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from tagger.config import Direction, MergeMode
from tagger.network.dropout import draw_mask, dropout


class Blocks(NamedTuple):
    """Blocks of steps at which the backward LSTM resets, which bounds its lookahead.

    Attributes:
        size: Steps per block; the first step of a block sees ``size - 1`` steps ahead, the last step none.
        first: Steps of the first block, from 1 to ``size``.
    """

    size: int
    first: int


class _Swap(torch.autograd.Function):
    """Swaps pairs of vectors of (B, T, D) inputs; the same swap computes the gradient."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, indices: Tensor) -> Tensor:
        ctx.save_for_backward(indices)
        return inputs.flatten(0, 1).index_select(0, indices).view(inputs.shape)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        (indices,) = ctx.saved_tensors
        return outer[0].flatten(0, 1).index_select(0, indices).view(outer[0].shape), None


def reverse_ragged(inputs: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each sequence within its own length; padding stays at the end.

    Args:
        inputs: (B, T, D).
        lengths: (B,) steps of each sequence.

    Returns:
        (B, T, D). Reversing twice returns the input.
    """
    return _swap(inputs, _mirror_indices(lengths, inputs.shape[1]))


def _mirror_indices(lengths: Tensor, width: int) -> Tensor:
    """Compute for each step of B sequences, padded to T = ``width``, the index to swap with: (B * T,)."""
    steps = torch.arange(width, device=lengths.device)  # (T,)
    mirrored = lengths[:, None] - 1 - steps  # (B, T)
    offsets = torch.arange(0, mirrored.numel(), max(width, 1), device=lengths.device)  # (B,)
    return (torch.where(mirrored >= 0, mirrored, steps) + offsets[:, None]).flatten()


def _swap(inputs: Tensor, indices: Tensor) -> Tensor:
    swapped: Tensor = _Swap.apply(inputs, indices)  # type: ignore[no-untyped-call]
    return swapped


MERGES: dict[MergeMode, Callable[[Tensor, Tensor], Tensor]] = {
    "concat": lambda forward, backward: torch.cat([forward, backward], dim=-1),
    "sum": torch.add,
    "mul": torch.mul,
    "ave": lambda forward, backward: (forward + backward) / 2,
}


def merge(forward: Tensor, backward: Tensor, merge_mode: MergeMode) -> Tensor:
    """Merge the outputs of two directions: (..., H) each to (..., 2H) for concat, else to (..., H)."""
    return MERGES[merge_mode](forward, backward)


class Encoder(nn.Module):
    """Stacked LSTM layers (Hochreiter and Schmidhuber 1997; Graves and Schmidhuber 2005, section 2).

    Each direction of each layer is a separate one-layer ``nn.LSTM``, because torch's stacked bidirectional
    LSTM always concatenates between layers. Sequences are padded at the end, so that the forward LSTM reads
    no padding before a token; the backward LSTM reads each sequence reversed within its length.

    Args:
        input_size: Size D of the input vectors.
        hidden_size: Units H per direction.
        layers: Number of layers.
        direction: Reading direction.
        merge_mode: How to merge the directions of each layer (bidirectional only).
        layer_dropout: Dropout between layers; one mask for all steps of a sequence (Gal and Ghahramani 2016).
        recurrent_dropout: Dropout on the hidden-to-hidden weights, one mask per batch (Merity et al. 2017,
            section 2).

    Attributes:
        output_size: Size of the output vectors.
        directions: The directions of each layer.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        layers: int = 1,
        direction: Direction = "bidirectional",
        merge_mode: MergeMode = "concat",
        layer_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.direction: Direction = direction
        self.merge_mode: MergeMode = merge_mode
        self.layer_dropout = layer_dropout
        self.recurrent_dropout = recurrent_dropout
        is_doubled = direction == "bidirectional" and merge_mode == "concat"
        self.output_size = 2 * hidden_size if is_doubled else hidden_size
        both: tuple[Direction, ...] = ("forward", "backward")
        self.directions = both if direction == "bidirectional" else (direction,)
        self.layers = nn.ModuleList()
        for number in range(layers):
            width = input_size if number == 0 else self.output_size
            self.layers.append(
                nn.ModuleDict(
                    {f"{way}_lstm": nn.LSTM(width, hidden_size, batch_first=True) for way in self.directions}
                )
            )
        self._initialise()

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if "weight" in name:
                for gate in parameter.chunk(4):
                    nn.init.xavier_uniform_(gate)
            else:
                nn.init.zeros_(parameter)
                if "bias_ih" in name:  # forget gate bias of 1 (Jozefowicz et al. 2015, section 5)
                    nn.init.ones_(parameter.chunk(4)[1])

    def forward(
        self, inputs: Tensor, lengths: Tensor, blocks: Blocks | None = None
    ) -> tuple[Tensor, dict[Direction, Tensor]]:
        """Encode B sequences.

        Args:
            inputs: (B, T, D), padded at the end.
            lengths: (B,) steps of each sequence, at least 1.
            blocks: Blocks for the backward direction of every layer; by default whole sequences.

        Returns:
            The outputs (B, T, output_size), undefined beyond the lengths, and for each direction the final
            hidden state (B, H) of the last layer; together these represent the sequence.
        """
        final: dict[Direction, Tensor] = {}
        for number, layer in enumerate(self.layers):
            if number and self.layer_dropout:
                inputs = locked_dropout(inputs, self.layer_dropout, self.training)
            assert isinstance(layer, nn.ModuleDict)
            results = [
                self._read(layer[f"{way}_lstm"], way, inputs, lengths, blocks) for way in self.directions
            ]
            inputs = (
                results[0][0] if len(results) == 1 else merge(results[0][0], results[1][0], self.merge_mode)
            )
            final = {way: state for way, (_, state) in zip(self.directions, results, strict=True)}
        return inputs, final

    def _read(
        self, lstm: nn.Module, way: Direction, inputs: Tensor, lengths: Tensor, blocks: Blocks | None
    ) -> tuple[Tensor, Tensor]:
        if way == "forward":
            outputs = self._run(lstm, inputs)
            last = (lengths - 1)[:, None, None].expand(-1, 1, outputs.shape[2])
            return outputs, outputs.gather(1, last).squeeze(1)
        steps = inputs.shape[1]
        if blocks:
            inputs, lengths = split_blocks(inputs, lengths, blocks)
        indices = _mirror_indices(lengths, inputs.shape[1])
        outputs = _swap(self._run(lstm, _swap(inputs, indices)), indices)
        if blocks:
            outputs = join_blocks(outputs, steps, blocks)
        return outputs, outputs[:, 0]

    def _run(self, lstm: nn.Module, inputs: Tensor) -> Tensor:
        """Run an LSTM from the first step to the last: (B, T, D) to (B, T, H)."""
        outputs: Tensor
        if self.training and self.recurrent_dropout:
            weights = dict(lstm.named_parameters())
            dropped = dropout(weights["weight_hh_l0"], self.recurrent_dropout, self.training)
            outputs, _ = functional_call(lstm, {"weight_hh_l0": dropped}, (inputs,))
        else:
            outputs, _ = lstm(inputs)
        return outputs


def split_blocks(inputs: Tensor, lengths: Tensor, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """Split B sequences into blocks, each a sequence of its own.

    Args:
        inputs: (B, T, D).
        lengths: (B,) steps of each sequence.
        blocks: Size of the blocks and of the first one.

    Returns:
        The N blocks of each sequence in order (B * N, size, D), and their lengths (B * N,). A short first
        block is padded with zeros at its start, which the backward LSTM reads last; a block beyond the end
        of its sequence has length 0.
    """
    _, steps, width = inputs.shape
    before = blocks.size - blocks.first
    after = -(before + steps) % blocks.size
    padded = F.pad(inputs, (0, 0, before, after))
    starts = torch.arange(0, padded.shape[1], blocks.size, device=inputs.device)  # (N,)
    block_lengths = (lengths[:, None] + before - starts).clamp(0, blocks.size)  # (B, N)
    return padded.reshape(-1, blocks.size, width), block_lengths.reshape(-1)


def join_blocks(outputs: Tensor, steps: int, blocks: Blocks) -> Tensor:
    """Join the outputs of blocks to sequences: (B * N, size, H) to (B, ``steps``, H)."""
    before = blocks.size - blocks.first
    count = -(-(before + steps) // blocks.size)
    joined = outputs.reshape(len(outputs) // count, count * blocks.size, outputs.shape[2])
    return joined[:, before : before + steps]


def locked_dropout(inputs: Tensor, share: float, training: bool) -> Tensor:
    """Apply dropout with one mask for all steps of a sequence: (B, T, D) to (B, T, D)."""
    if not training or not share:
        return inputs
    return inputs * draw_mask(inputs[:, :1], share)
