"""The complete network: word vectors, one encoder, and a head for each task."""

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
from tagger.features.vocab import PADDING, UNKNOWN, Vocabulary
from tagger.network.bilstm import Blocks, Encoder
from tagger.network.document_context import DocumentContext
from tagger.network.dropout import dropout
from tagger.network.heads import HEADS, Head, Targets
from tagger.network.linear import LinearScores
from tagger.network.state_mix import StateMix
from tagger.network.words import WordVectors

# Share of sentences trained without document context, if context dropout is on.
NO_CONTEXT_SHARE = 0.15


class TaggingModel(nn.Module):
    """A BiLSTM-CRF (or softmax) tagger: computes emissions and losses of every task.

    Args:
        config: Architecture of the network.
        vocabulary: Words, characters and tasks; they determine the sizes of embeddings and heads.
        vectors: Static word vectors that initialise the word embeddings, or None.
        states: Number L and size D of the contextual encoder's states per token; None without an encoder.
    """

    def __init__(
        self,
        config: ModelConfig,
        vocabulary: Vocabulary,
        vectors: Vectors | None = None,
        states: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.tasks = vocabulary.tasks
        size = vectors.size if vectors else config.word_size
        frozen = vectors.frozen if vectors else np.zeros((0, size), np.float16)
        self.words = WordVectors(
            config,
            words=len(vocabulary.words),
            frozen=torch.from_numpy(np.require(frozen, requirements="W")),  # it can be memory-mapped
            alphabet=len(vocabulary.characters),
            affixes=1 + len(vocabulary.affixes),
        )
        self.context = DocumentContext(size, config.context_size) if config.has_document_context else None
        self.states = StateMix(*states) if states else None
        self.encoder = Encoder(
            self.words.output_size
            + (self.context.output_size if self.context else 0)
            + (self.states.output_size if self.states else 0),
            config.hidden_size,
            layers=config.layers,
            direction=config.direction,
            merge_mode=config.merge_mode,
            layer_dropout=config.layer_dropout,
            recurrent_dropout=config.recurrent_dropout,
        )
        width = self.encoder.output_size
        # A ModuleList: ModuleDict rejects task names that are attributes of nn.Module, such as "type".
        self.heads = nn.ModuleList(HEADS[config.head](width, len(task.tags)) for task in self.tasks)
        self.linear: nn.ModuleList | None = None
        if config.has_linear:
            sizes = (len(vocabulary.words), 1 + len(vocabulary.shapes), 1 + len(vocabulary.affixes))
            self.linear = nn.ModuleList(LinearScores(*sizes, len(task.tags)) for task in self.tasks)
        if vectors:
            self._initialise_words(vocabulary, vectors)

    def _initialise_words(self, vocabulary: Vocabulary, vectors: Vectors) -> None:
        weight = self.words.trainable.weight.detach()
        for word_id, word in enumerate(vocabulary.words):
            if word in vectors.trainable:
                weight[word_id] = torch.from_numpy(vectors.trainable[word])

    def forward(self, batch: Batch, blocks: Blocks | None = None) -> dict[str, Tensor]:
        """Compute the emissions (B, T, C) of a batch by task; undefined beyond the end of a sentence.

        Args:
            batch: The sentences.
            blocks: Blocks for the backward direction; by default whole sentences.
        """
        emissions = self.network_emissions(batch, blocks)
        linear = self.linear_emissions(batch)
        return {name: scores + linear[name] for name, scores in emissions.items()} if linear else emissions

    def network_emissions(self, batch: Batch, blocks: Blocks | None = None) -> dict[str, Tensor]:
        """Compute the emissions (B, T, C) by task without those of the linear part; as ``forward``."""
        words = self._tensor(batch.words)
        if self.training and self.config.word_dropout:
            is_dropped = torch.rand(words.shape, device=words.device) < self.config.word_dropout
            words = words.masked_fill(is_dropped & (words > UNKNOWN), UNKNOWN)
        shapes = (batch.casing, batch.characters, batch.word_lengths, batch.affixes)
        vectors = self.words(words, *map(self._tensor, shapes))
        inputs = F.embedding(self._tensor(batch.positions), vectors)  # (B, T, D)
        inputs = dropout(inputs, self.config.dropout, self.training)
        if self.context:
            inputs = torch.cat([inputs, self._document_context(batch, self.context)], dim=-1)
        if self.states:
            assert batch.states is not None
            states = self.states(self._tensor(batch.states))
            inputs = torch.cat([inputs, dropout(states, self.config.encoder_dropout, self.training)], dim=-1)
        encoded, _ = self.encoder(inputs, self._tensor(batch.lengths), blocks)
        encoded = dropout(encoded, self.config.dropout, self.training)
        return {task.name: head(encoded) for task, head in zip(self.tasks, self.heads, strict=True)}

    def linear_emissions(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the linear part's emissions (B, T, C) by task; empty without a linear part."""
        if self.linear is None:
            return {}
        arrays = (batch.positions, batch.words, batch.shapes, batch.affixes)
        ids = [*map(self._tensor, arrays)]
        share = self.config.linear_dropout
        return {task.name: linear(*ids, share) for task, linear in zip(self.tasks, self.linear, strict=True)}

    def _document_context(self, batch: Batch, context: DocumentContext) -> Tensor:
        """Compute the context features of each token (B, T, output_size), zeros if a word does not repeat.

        No gradient flows into the neighbours' word vectors; otherwise each step would update twice as many
        rows.
        """
        count, steps = batch.positions.shape
        features = self.words.trainable.weight.new_zeros(count * steps, context.output_size)
        occurrences = batch.context
        if occurrences is not None and len(occurrences.tokens):
            left, right = (
                self._embed_neighbours(self._tensor(n)) for n in (occurrences.left, occurrences.right)
            )
            ids = (occurrences.casing, occurrences.words, occurrences.own)
            context_features = context(left, right, *map(self._tensor, ids))  # (N, output_size)
            tokens = self._tensor(occurrences.tokens)
            if self.training and self.config.context_dropout:
                context_features = dropout(context_features, self.config.context_dropout, self.training)
                is_kept = torch.rand(count, device=context_features.device) >= NO_CONTEXT_SHARE
                context_features = context_features * is_kept[tokens // steps, None]
            features = features.index_copy(0, tokens, context_features)
        return features.view(count, steps, -1)

    @torch.no_grad()
    def _embed_neighbours(self, words: Tensor) -> Tensor:
        """Return the vectors (M, D) of word ids (M,); zeros for ``PADDING``, which means no neighbour."""
        return self.words.embed(words) * (words != PADDING)[:, None]

    def loss(
        self,
        batch: Batch,
        blocks: Blocks | None = None,
        costs: Mapping[str, Tensor] | None = None,
        soft_weight: float = 1.0,
    ) -> Tensor:
        """Compute the negative log-likelihood of the tags, summed over tasks and averaged over sentences.

        With a linear part, this is half the sum of three losses: that of all emissions, and those of the
        network's and of the linear part's alone. So each part learns to tag without the other.

        Args:
            batch: The sentences and their tags.
            blocks: As in ``forward``.
            costs: Costs of wrong tags (C, C) by task, for any of the tasks (see ``Head.loss``).
            soft_weight: Weight of soft tags (see ``heads.Targets``).
        """
        mask = self._tensor(batch.mask)
        emissions = self.network_emissions(batch, blocks)
        linear = self.linear_emissions(batch)
        total = torch.zeros((), device=mask.device)
        for task, head in zip(self.tasks, self.heads, strict=True):
            assert isinstance(head, Head)
            targets = self._targets(batch, task.name, soft_weight)
            cost = (costs or {}).get(task.name)
            scores = emissions[task.name]
            loss = head.loss(scores, targets, mask, cost)
            if linear:
                both = (linear[task.name], scores + linear[task.name])
                loss = (loss + sum(head.loss(one, targets, mask, cost) for one in both)) / 2
            total = total + loss
        return total

    def _targets(self, batch: Batch, task: str, soft_weight: float) -> Targets:
        allowed, soft = batch.allowed.get(task), batch.soft.get(task)
        return Targets(
            tags=self._tensor(batch.tags[task]),
            allowed=None if allowed is None else self._tensor(allowed),
            soft_rows=self._tensor(soft.rows) if soft else None,
            soft_tags=self._tensor(soft.tags) if soft else None,
            soft_transitions=self._tensor(soft.transitions) if soft else None,
            soft_weight=soft_weight,
        )

    @torch.inference_mode()
    def emissions(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """Compute the emissions (B, T, C) by task as numpy arrays; call in evaluation mode."""
        return {name: scores.cpu().numpy() for name, scores in self(batch).items()}

    def transitions(self) -> Mapping[str, Transitions]:
        """Return the transitions by task; those that the scheme forbids are minus infinity."""
        by_task = {}
        for task, head in zip(self.tasks, self.heads, strict=True):
            assert isinstance(head, Head)
            transitions = Transitions(*(scores.cpu().numpy().copy() for scores in head.transitions()))
            by_task[task.name] = (
                constrain(transitions, *task.allowed()) if self.config.constrain else transitions
            )
        return by_task

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        """Convert an array of a batch to a tensor on the device of the weights."""
        return torch.from_numpy(array).to(self.words.trainable.weight.device)


def restore_model(
    config: ModelConfig,
    vocabulary: Vocabulary,
    vectors: Vectors | None,
    tensors: Mapping[str, NDArray[Any]],
    states: tuple[int, int] | None = None,
) -> TaggingModel:
    """Build a trained network in evaluation mode.

    Args:
        config: Architecture of the network.
        vocabulary: Words, characters and tasks.
        vectors: The word vectors that the network was built with, or None; only the frozen ones are used.
        tensors: The weights by the names of ``TaggingModel.state_dict``.
        states: As in ``TaggingModel``.
    """
    model = TaggingModel(config, vocabulary, vectors, states)
    model.load_state_dict({name: torch.from_numpy(np.array(tensor)) for name, tensor in tensors.items()})
    return model.eval()
