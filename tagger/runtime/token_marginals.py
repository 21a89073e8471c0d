"""Compute the probability of every tag of each token with a loaded model."""

from __future__ import annotations

from collections.abc import Iterable

from tagger.decoding.tag_marginals import TagMarginals
from tagger.decoding.temperature import compute_posterior
from tagger.features.vocab import Task
from tagger.runtime.sentence_tagger import SentenceTagger, choose_tasks, emission_batches
from tagger.text.sentence import Sentence


def predictable_tags(tagger: SentenceTagger, task: str) -> tuple[str, ...]:
    """Return the tags of a task that a model can predict in the tagger's scheme, sorted.

    Raises:
        InputError: The model lacks the task.
    """
    found = _find_task(tagger, task)
    return TagMarginals(found.tags, tagger.scheme).tags if found.scheme else tuple(sorted(found.tags))


def token_marginals(
    tagger: SentenceTagger, sentences: Iterable[Sentence], task: str
) -> list[list[dict[str, float]]]:
    """Compute the marginal probability of every tag, in the tagger's scheme, at the model's temperature.

    Args:
        tagger: The model.
        sentences: The sentences, in the order of their documents; tags that they already have are ignored.
        task: A task of the model.

    Returns:
        For each sentence and token the probabilities of ``predictable_tags``; their sum is 1.

    Raises:
        InputError: The model lacks the task.
    """
    found = _find_task(tagger, task)
    converter = TagMarginals(found.tags, tagger.scheme) if found.scheme else None
    tags = converter.tags if converter else found.tags
    temperature = tagger.bundle.temperature(task)
    transitions = tagger.engine.transitions[task]
    listed = list(sentences)
    result: list[list[dict[str, float]]] = [[] for _ in listed]
    for indices, batch, emissions in emission_batches(tagger, listed):
        posterior = compute_posterior(emissions[task], batch.lengths, transitions, temperature)
        probabilities = converter.compute(posterior) if converter else posterior.tags
        for index, values in zip(indices, probabilities, strict=True):
            rows = values[: len(listed[index])].tolist()
            result[index] = [dict(zip(tags, row, strict=True)) for row in rows]
    return result


def _find_task(tagger: SentenceTagger, name: str) -> Task:
    choose_tasks(tagger, [name])
    return next(task for task in tagger.tasks if task.name == name)
