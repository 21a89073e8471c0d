"""Targets for data without complete labels: possible tags, and posteriors of teacher models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tagger.bundle import SCALES, Bundle, frozen_vectors
from tagger.decoding.crf import expected_transitions, forward_backward
from tagger.decoding.viterbi import Transitions, constrain
from tagger.features.batching import Ints, SoftTags, WordTable, group_by_length, stack_states
from tagger.features.context_index import index_context
from tagger.features.vectors import Vectors
from tagger.features.vocab import Task
from tagger.network.model import restore_model
from tagger.text.schemes import split_tag
from tagger.text.sentence import Sentence
from tagger.training.encoded_split import Bools
from tagger.training.encoder_states import find_cache, states_of

BATCH_SENTENCES, BATCH_TOKENS = 256, 4096


def allow_other_labels(
    task: Task, tags: Sequence[Ints], unknown: Sequence[Bools] | None = None
) -> tuple[list[Ints], list[Bools]]:
    """Return the targets of a split that marks only some labels of a span task.

    A token tagged O may have any label that the split never marks, or none (Tsuboi et al. 2008, section 3).

    Args:
        task: The task with all labels.
        tags: The tag ids of each sentence; -1 for unknown.
        unknown: The possible tags (T, C) of each sentence's tokens; by default, unknown ones may have any.

    Returns:
        For each sentence the tag ids, with -1 for O, and the possible tags (T, C).
    """
    counts = np.bincount(np.concatenate([*tags, [0]]) + 1, minlength=len(task.tags) + 1)[1:]
    marked = {split_tag(tag)[1] for tag, count in zip(task.tags, counts, strict=True) if count and tag != "O"}
    is_latent = np.array([tag == "O" or split_tag(tag)[1] not in marked for tag in task.tags])
    outside = task.ids["O"]
    targets, possible = [], []
    for index, ids in enumerate(tags):
        allowed = unknown[index].copy() if unknown else np.ones((len(ids), len(task.tags)), np.bool_)
        allowed[ids == outside] = is_latent
        known = (ids >= 0) & (ids != outside)
        allowed[known] = np.eye(len(task.tags), dtype=np.bool_)[ids[known]]
        targets.append(np.where(ids == outside, -1, ids))
        possible.append(allowed)
    return targets, possible


def teach(
    teachers: Sequence[Bundle],
    sentences: Sequence[Sentence],
    tasks: Sequence[Task],
    allowed: Mapping[str, Sequence[Bools]] | None = None,
) -> dict[str, list[SoftTags | None]]:
    """Compute the mean posterior of several models for each sentence, as soft tags.

    The posteriors are exact for a CRF: marginals of tags, and expected numbers of transitions.

    Args:
        teachers: The models, at least one.
        sentences: The sentences, in the order of their documents.
        tasks: The tasks of the student; those that a teacher lacks get no soft tags.
        allowed: For some tasks the possible tags (T, C) of each sentence. A tag that the teacher lacks has
            probability only where no other tag is possible.

    Returns:
        For each task that all teachers have, the soft tags of each sentence; None if no tag sequence is
        possible.
    """
    taught = [task for task in tasks if all(_find_task(teacher, task.name) for teacher in teachers)]
    result: dict[str, list[SoftTags | None]] = {}
    for teacher in teachers:
        for task, soft in _posteriors(teacher, sentences, taught, allowed or {}).items():
            result[task] = soft if task not in result else list(map(_add, result[task], soft))
    count = np.float32(len(teachers))
    return {
        task: [one and SoftTags(one.tags / count, one.transitions / count) for one in soft]
        for task, soft in result.items()
    }


def _add(first: SoftTags | None, second: SoftTags | None) -> SoftTags | None:
    if first is None or second is None:
        return None
    return SoftTags(first.tags + second.tags, first.transitions + second.transitions)


def _find_task(bundle: Bundle, name: str) -> Task | None:
    return next((task for task in bundle.vocabulary.tasks if task.name == name), None)


def _posteriors(
    teacher: Bundle,
    sentences: Sequence[Sentence],
    tasks: Sequence[Task],
    allowed: Mapping[str, Sequence[Bools]],
) -> dict[str, list[SoftTags | None]]:
    """Compute the posterior of one teacher over the tags of the student's tasks."""
    vocabulary, tensors = teacher.vocabulary, teacher.tensors
    frozen = frozen_vectors(tensors)
    size = tensors["words.trainable.weight"].shape[1]
    vectors = Vectors({}, vocabulary.frozen_words, frozen, size, 0)
    weights = {**tensors, "words.frozen": frozen}
    model = restore_model(
        teacher.config.model,
        vocabulary,
        vectors,
        {name: tensor for name, tensor in weights.items() if not name.endswith(SCALES)},
        states_of(teacher.encoder),
    )
    encoder = find_cache(teacher.config, teacher.encoder)
    states = encoder.read([sentence.tokens for sentence in sentences]) if encoder else None
    table = WordTable(vocabulary)
    rows = [table.rows(sentence.tokens) for sentence in sentences]
    context = index_context(sentences, vocabulary) if teacher.config.model.has_document_context else None
    transitions = model.transitions()
    views = [_View(_find_task(teacher, task.name) or task, task, transitions[task.name]) for task in tasks]
    result: dict[str, list[SoftTags | None]] = {task.name: [None] * len(rows) for task in tasks}
    for indices in group_by_length([len(ids) for ids in rows], BATCH_SENTENCES, BATCH_TOKENS):
        batch = table.batch([rows[index] for index in indices])
        if context is not None:
            batch = replace(batch, context=context.batch(indices))
        if states is not None:
            own = stack_states([states[index] for index in indices], batch.positions.shape[1])
            batch = replace(batch, states=own)
        emissions = model.emissions(batch)
        for view in views:
            name = view.student.name
            possible = [allowed[name][index] for index in indices] if name in allowed else None
            for index, soft in zip(
                indices, view.posterior(emissions[name], batch.lengths, possible), strict=True
            ):
                result[name][index] = soft
    return result


class _View:
    """A teacher's scores for the tags of a student.

    Args:
        teacher: The task of the teacher.
        student: The task of the student.
        transitions: The transitions of the teacher.
    """

    def __init__(self, teacher: Task, student: Task, transitions: Transitions) -> None:
        self.student = student
        self._known = np.array([tag in teacher.ids for tag in student.tags])
        self._sources = [teacher.ids[tag] for tag in student.tags if tag in teacher.ids]
        count, known = len(student.tags), self._known
        scores, start, end = np.zeros((count, count)), np.zeros(count), np.zeros(count)
        scores[np.ix_(known, known)] = transitions.scores[np.ix_(self._sources, self._sources)]
        start[known], end[known] = transitions.start[self._sources], transitions.end[self._sources]
        self._transitions = constrain(
            Transitions(*(values.astype(np.float32) for values in (scores, start, end))), *student.allowed()
        )

    def posterior(
        self, emissions: NDArray[np.float32], lengths: Ints, allowed: Sequence[Bools] | None
    ) -> list[SoftTags | None]:
        """Compute the soft tags of a batch from the teacher's emissions (B, T, C')."""
        scores = np.full((*emissions.shape[:2], len(self._known)), -np.inf, np.float32)
        scores[:, :, self._known] = emissions[:, :, self._sources]
        if allowed is not None:
            for row, possible in enumerate(allowed):
                values = scores[row, : len(possible)]
                values[~possible] = -np.inf
                is_new = ~(possible & self._known).any(axis=1)  # only tags that the teacher lacks
                values[is_new[:, None] & possible] = 0.0
        posterior = forward_backward(scores, lengths, self._transitions)
        transitions = expected_transitions(posterior).astype(np.float32)
        return [
            SoftTags(posterior.tags[row, :length].copy(), transitions[row])
            if np.isfinite(posterior.log_partition[row])
            else None
            for row, length in enumerate(lengths)
        ]


def read_soft_tags(sentence: Sentence, task: Task, source: str | None) -> SoftTags | None:
    """Return the soft tags of a sentence whose tags have probabilities; None without them.

    The rest of a tag's probability is that of O; the rest of O is shared by all other tags. Adjacent tags
    count as independent.

    Args:
        sentence: A sentence with ``tag_scores``.
        task: The task of the model.
        source: The scheme of the sentence's tags.
    """
    scores = sentence.tag_scores.get(task.name)
    ids = task.encode(sentence.tags[task.name], source)
    if scores is None or not ids or min(ids) < 0:
        return None
    count = len(task.tags)
    tags = np.zeros((len(ids), count), np.float32)
    outside = task.ids.get("O")
    for row, (tag, score) in enumerate(zip(ids, scores, strict=True)):
        if outside is None or tag == outside:
            tags[row] = (1 - score) / max(1, count - 1)
        else:
            tags[row, outside] = 1 - score
        tags[row, tag] = score
    transitions = np.zeros((count, count), np.float32)
    for first, second in pairwise(tags):
        transitions += np.outer(first, second)
    return SoftTags(tags, transitions)
