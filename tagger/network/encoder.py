"""The encoder: stacked LSTM layers that read forward, backward or both ways."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from tagger.config import Direction, MergeMode
from tagger.network.dropout import draw_mask, dropout


class Chunks(NamedTuple):
    """Where a backward direction begins anew, so that it does not see what comes later.

    Attributes:
        size: Steps of a chunk: its first step sees ``size - 1`` steps ahead, its last one none.
        first: Steps of the first chunk, from 1 to ``size``; the others follow.
    """

    size: int
    first: int


class _Exchange(torch.autograd.Function):
    """Vectors (B, T, D) that change places in pairs, so that their gradient goes back the same way."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        return inputs.flatten(0, 1).index_select(0, places).view(inputs.shape)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        (places,) = ctx.saved_tensors
        return outer[0].flatten(0, 1).index_select(0, places).view(outer[0].shape), None


def reverse_ragged(inputs: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each sequence within its own length; padding stays behind it.

    Args:
        inputs: (B, T, D).
        lengths: (B,) steps of each sequence.

    Returns:
        (B, T, D). Doing it twice gives the input again.
    """
    return _exchange(inputs, _mirror(lengths, inputs.shape[1]))


def _mirror(lengths: Tensor, width: int) -> Tensor:
    """(B * T,) which step of B sequences, padded to ``width`` T, each one changes places with."""
    steps = torch.arange(width, device=lengths.device)  # (T,)
    mirrored = lengths[:, None] - 1 - steps  # (B, T)
    begins = torch.arange(0, mirrored.numel(), max(width, 1), device=lengths.device)  # (B,)
    return (torch.where(mirrored >= 0, mirrored, steps) + begins[:, None]).flatten()


def _exchange(inputs: Tensor, places: Tensor) -> Tensor:
    exchanged: Tensor = _Exchange.apply(inputs, places)  # type: ignore[no-untyped-call]
    return exchanged


def merge(forward: Tensor, backward: Tensor, merge_mode: MergeMode) -> Tensor:
    """Make one vector of the two directions: (..., H) each to (..., 2H) for concat, else (..., H)."""
    if merge_mode == "concat":
        return torch.cat([forward, backward], dim=-1)
    if merge_mode == "mul":
        return forward * backward
    total = forward + backward
    return total if merge_mode == "sum" else total / 2


class Encoder(nn.Module):
    """Stacked LSTM layers (Hochreiter and Schmidhuber 1997; Graves and Schmidhuber 2005, section 2).

    Each direction of each layer is a one-layer ``nn.LSTM`` of its own, since torch's stacked bidirectional
    LSTM can only concatenate between layers. Sequences are padded at their end, so a forward LSTM never meets
    padding before a token; the backward one reads the sequences reversed within their lengths.

    Args:
        input_size: Width D of the input vectors.
        hidden_size: Units H per direction.
        layers: How many layers.
        direction: Which way to read.
        merge_mode: How the directions of a layer are merged (bidirectional only).
        layer_dropout: Dropout between layers; one mask for all steps of a sequence (Gal and Ghahramani 2016).
        recurrent_dropout: Share of hidden-to-hidden weights dropped a batch (Merity et al. 2017, section 2).
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
                if "bias_ih" in name:  # remember at first (Jozefowicz et al. 2015, section 5)
                    nn.init.ones_(parameter.chunk(4)[1])

    def forward(
        self, inputs: Tensor, lengths: Tensor, chunks: Chunks | None = None
    ) -> tuple[Tensor, dict[Direction, Tensor]]:
        """Read B sequences.

        Args:
            inputs: (B, T, D), padded at the end.
            lengths: (B,) steps of each sequence, at least 1.
            chunks: What the backward direction of every layer reads at a time; all when not said.

        Returns:
            The outputs (B, T, output_size), meaningless beyond the lengths, and for each direction the state
            (B, H) of the last layer after the last step that it read; together they are a vector of the
            sequence.
        """
        final: dict[Direction, Tensor] = {}
        for number, layer in enumerate(self.layers):
            if number and self.layer_dropout:
                inputs = locked_dropout(inputs, self.layer_dropout, self.training)
            assert isinstance(layer, nn.ModuleDict)
            results = [
                self._read(layer[f"{way}_lstm"], way, inputs, lengths, chunks) for way in self.directions
            ]
            inputs = (
                results[0][0] if len(results) == 1 else merge(results[0][0], results[1][0], self.merge_mode)
            )
            final = {way: state for way, (_, state) in zip(self.directions, results, strict=True)}
        return inputs, final

    def _read(
        self, lstm: nn.Module, way: Direction, inputs: Tensor, lengths: Tensor, chunks: Chunks | None
    ) -> tuple[Tensor, Tensor]:
        if way == "forward":
            outputs = self._run(lstm, inputs)
            last = (lengths - 1)[:, None, None].expand(-1, 1, outputs.shape[2])
            return outputs, outputs.gather(1, last).squeeze(1)
        steps = inputs.shape[1]
        if chunks:
            inputs, lengths = cut_chunks(inputs, lengths, chunks)
        places = _mirror(lengths, inputs.shape[1])
        outputs = _exchange(self._run(lstm, _exchange(inputs, places)), places)
        if chunks:
            outputs = join_chunks(outputs, steps, chunks)
        return outputs, outputs[:, 0]

    def _run(self, lstm: nn.Module, inputs: Tensor) -> Tensor:
        """(B, T, D) to (B, T, H), from the first step to the last."""
        outputs: Tensor
        if self.training and self.recurrent_dropout:
            weights = dict(lstm.named_parameters())
            dropped = dropout(weights["weight_hh_l0"], self.recurrent_dropout, self.training)
            outputs, _ = functional_call(lstm, {"weight_hh_l0": dropped}, (inputs,))
        else:
            outputs, _ = lstm(inputs)
        return outputs


def cut_chunks(inputs: Tensor, lengths: Tensor, chunks: Chunks) -> tuple[Tensor, Tensor]:
    """Make sequences of their own of the chunks of B sequences.

    Args:
        inputs: (B, T, D).
        lengths: (B,) steps of each sequence.
        chunks: Where to cut.

    Returns:
        (B * N, size, D), the N chunks of a sequence one after another, and their lengths (B * N,). A first
        chunk that is shorter than the others is filled up with zeros in front, which a backward LSTM reads
        last; a chunk behind its sequence's end has length 0.
    """
    _, steps, width = inputs.shape
    before = chunks.size - chunks.first
    after = -(before + steps) % chunks.size
    padded = F.pad(inputs, (0, 0, before, after))
    begins = torch.arange(0, padded.shape[1], chunks.size, device=inputs.device)  # (N,)
    inside = (lengths[:, None] + before - begins).clamp(0, chunks.size)  # (B, N)
    return padded.reshape(-1, chunks.size, width), inside.reshape(-1)


def join_chunks(outputs: Tensor, steps: int, chunks: Chunks) -> Tensor:
    """Put together what was computed of chunks: (B * N, size, H) to (B, ``steps``, H)."""
    before = chunks.size - chunks.first
    count = -(-(before + steps) // chunks.size)
    joined = outputs.reshape(len(outputs) // count, count * chunks.size, outputs.shape[2])
    return joined[:, before : before + steps]


def locked_dropout(inputs: Tensor, share: float, training: bool) -> Tensor:
    """Dropout with one mask for all steps of a sequence: (B, T, D) to (B, T, D)."""
    if not training or not share:
        return inputs
    return inputs * draw_mask(inputs[:, :1], share)
