"""The whole network: word vectors, one encoder, a head for each task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tagger.config import ModelConfig
from tagger.decoding.viterbi import Transitions, constrain
from tagger.features.batching import Batch
from tagger.features.vectors import Vectors
from tagger.features.vocab import CASINGS, PADDING, UNKNOWN, Vocabulary
from tagger.network.document_context import DocumentContext
from tagger.network.dropout import dropout
from tagger.network.encoder import Chunks, Encoder
from tagger.network.heads import Head
from tagger.network.words import WordVectors

# Of the sentences that are trained as if their documents held nothing else, where there is context dropout.
ALONE = 0.15


class TaggingModel(nn.Module):
    """Emissions and losses for every task of a vocabulary.

    Args:
        config: The network's shape.
        vocabulary: Sizes of the tables and the tasks.
        vectors: Static vectors to begin with, or None.
    """

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary, vectors: Vectors | None = None) -> None:
        super().__init__()
        self.config = config
        self.tasks = vocabulary.tasks
        size = vectors.size if vectors else config.word_size
        fixed = vectors.fixed if vectors else np.zeros((0, size), np.float16)
        self.words = WordVectors(
            words=len(vocabulary.words),
            word_size=size,
            fixed=torch.from_numpy(fixed),
            alphabet=len(vocabulary.characters),
            characters=config.characters,
            character_size=config.character_size,
            character_hidden=config.character_hidden,
            character_width=config.character_width,
            casings=len(CASINGS),
            casing_size=config.casing_size,
        )
        self.context = DocumentContext(size, config.context_size) if config.has_mentions else None
        self.encoder = Encoder(
            self.words.output_size + (self.context.output_size if self.context else 0),
            config.hidden_size,
            layers=config.layers,
            direction=config.direction,
            merge_mode=config.merge_mode,
            layer_dropout=config.layer_dropout,
            recurrent_dropout=config.recurrent_dropout,
        )
        width = self.encoder.output_size
        # A list, not a dict by name: a task may have any name, also one that nn.Module has itself ("type").
        self.heads = nn.ModuleList(Head(width, len(task.tags), config.head) for task in self.tasks)
        if vectors:
            self._fill(vocabulary, vectors)

    def _fill(self, vocabulary: Vocabulary, vectors: Vectors) -> None:
        weight = self.words.trained.weight.detach()
        for number, word in enumerate(vocabulary.words):
            if word in vectors.trained:
                weight[number] = torch.from_numpy(vectors.trained[word])

    def forward(self, batch: Batch, chunks: Chunks | None = None) -> dict[str, Tensor]:
        """For each task the emissions (B, T, C) of a batch; meaningless beyond a sentence's end.

        Args:
            batch: The sentences.
            chunks: What the backward direction reads at a time; whole sentences when not said.
        """
        words = self._tensor(batch.words)
        if self.training and self.config.word_dropout:
            is_dropped = torch.rand(words.shape, device=words.device) < self.config.word_dropout
            words = words.masked_fill(is_dropped & (words > UNKNOWN), UNKNOWN)
        shapes = (batch.casing, batch.characters, batch.word_lengths)
        vectors = self.words(words, *map(self._tensor, shapes))
        inputs = F.embedding(self._tensor(batch.positions), vectors)  # (B, T, D)
        inputs = dropout(inputs, self.config.dropout, self.training)
        if self.context:
            inputs = torch.cat([inputs, self._read_mentions(batch, self.context)], dim=-1)
        encoded, _ = self.encoder(inputs, self._tensor(batch.lengths), chunks)
        encoded = dropout(encoded, self.config.dropout, self.training)
        return {task.name: head(encoded) for task, head in zip(self.tasks, self.heads, strict=True)}

    def _read_mentions(self, batch: Batch, context: DocumentContext) -> Tensor:
        """(B, T, …) what each token's other mentions show, zeros where there are none.

        The neighbours' vectors are not trained by way of it: a batch would need as many again.
        """
        count, steps = batch.positions.shape
        found = self.words.trained.weight.new_zeros(count * steps, context.output_size)
        mentions = batch.mentions
        if mentions is not None and len(mentions.tokens):
            left, right = (self._embed_neighbours(self._tensor(n)) for n in (mentions.left, mentions.right))
            numbers = (mentions.casing, mentions.words, mentions.own)
            shown = context(left, right, *map(self._tensor, numbers))  # (N, …)
            tokens = self._tensor(mentions.tokens)
            if self.training and self.config.context_dropout:
                shown = dropout(shown, self.config.context_dropout, self.training)
                is_kept = torch.rand(count, device=shown.device) >= ALONE
                shown = shown * is_kept[tokens // steps, None]
            found = found.index_copy(0, tokens, shown)
        return found.view(count, steps, -1)

    @torch.no_grad()
    def _embed_neighbours(self, words: Tensor) -> Tensor:
        """(M,) word ids, ``PADDING`` where there is no word, to (M, D)."""
        return self.words.embed(words) * (words != PADDING)[:, None]

    def loss(
        self, batch: Batch, chunks: Chunks | None = None, costs: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Negative log-likelihood of the batch's tags, summed over tasks, averaged over sentences.

        Args:
            batch: The sentences and their tags.
            chunks: As in ``forward``.
            costs: For some tasks the costs of wrong tags (see ``Head.loss``).
        """
        mask = self._tensor(batch.mask)
        emissions = self(batch, chunks)
        total = torch.zeros((), device=mask.device)
        for task, head in zip(self.tasks, self.heads, strict=True):
            assert isinstance(head, Head)
            tags, own = self._tensor(batch.tags[task.name]), (costs or {}).get(task.name)
            total = total + head.loss(emissions[task.name], tags, mask, own)
        return total

    @torch.inference_mode()
    def emissions(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """For each task the emissions (B, T, C) as numpy arrays; call in evaluation mode."""
        return {name: scores.cpu().numpy() for name, scores in self(batch).items()}

    def transitions(self) -> Mapping[str, Transitions]:
        """For each task the scores of tag after tag, with what the scheme forbids at minus infinity."""
        found = {}
        for task, head in zip(self.tasks, self.heads, strict=True):
            assert isinstance(head, Head)
            transitions = Transitions(*(scores.cpu().numpy().copy() for scores in head.transitions()))
            found[task.name] = (
                constrain(transitions, *task.allowed()) if self.config.constrain else transitions
            )
        return found

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        """An array of a batch, on the device where the weights are."""
        return torch.from_numpy(array).to(self.words.trained.weight.device)


def restore_model(
    config: ModelConfig, vocabulary: Vocabulary, vectors: Vectors | None, tensors: Mapping[str, NDArray[Any]]
) -> TaggingModel:
    """A trained network in evaluation mode.

    Args:
        config: The network's shape.
        vocabulary: Sizes of the tables and the tasks.
        vectors: Those that it was made with, or None; only the fixed ones play a part.
        tensors: The weights by the names of ``TaggingModel.state_dict``.
    """
    model = TaggingModel(config, vocabulary, vectors)
    model.load_state_dict({name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()})
    return model.eval()
