"""What a loaded model scores on sentences that carry gold tags."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from tagger.corpus.tags import count_unseen, find_scheme
from tagger.errors import InputError
from tagger.evaluation.tasks import score_task
from tagger.runtime.tagger import Tagger
from tagger.text.schemes import convert_tags
from tagger.text.sentence import Sentence


def evaluate(
    tagger: Tagger, sentences: Iterable[Sentence], *, tasks: Sequence[str] | None = None
) -> dict[str, Any]:
    """Tag sentences anew and compare with the tags that they carry.

    Args:
        tagger: The model.
        sentences: Sentences with gold tags.
        tasks: The tasks to score; all of the model's when not said.

    Returns:
        ``"tasks"`` with the scores of each task (see ``evaluation.tasks.score_task``; fractions of 1),
        ``"unseen_tags"`` with, for each task, how many gold tags have each label (or are each tag) that the
        model lacks, and so count as missed, ``"sentences"``, ``"tokens"`` and ``"tokens_per_second"`` (of
        tagging alone).

    Raises:
        InputError: A task is none of the model's, a sentence lacks its gold tags or has one outside the
            scheme, or seqeval is missing.
    """
    gold = list(sentences)
    known = {task.name: task for task in tagger.tasks}
    chosen = choose_tasks(tagger, tasks)
    schemes = {}
    for name in chosen:
        _require_gold(gold, name)
        schemes[name] = find_scheme(gold, name, has_spans=known[name].scheme is not None)
    begun = time.perf_counter()
    found = list(tagger.tag_sentences(gold))
    seconds = time.perf_counter() - begun
    is_seen = tagger.bundle.vocabulary.is_seen
    seen = [[is_seen(token) for token in sentence.tokens] for sentence in gold]
    scores = {}
    for name in chosen:
        wanted = [sentence.tags[name] for sentence in gold]
        tags: list[Sequence[str]] = [sentence.tags[name] for sentence in found]
        if schemes[name]:
            tags = [convert_tags(one, tagger.scheme, "IOB2") for one in tags]
        scores[name] = score_task(wanted, tags, scheme=schemes[name], seen=seen)
    tokens = sum(map(len, gold))
    return {
        "tasks": scores,
        "unseen_tags": {
            name: count_unseen(gold, name, known[name].tags, has_spans=known[name].scheme is not None)
            for name in chosen
        },
        "sentences": len(gold),
        "tokens": tokens,
        "tokens_per_second": tokens / max(seconds, 1e-9),
    }


def choose_tasks(tagger: Tagger, tasks: Sequence[str] | None) -> tuple[str, ...]:
    """The tasks that were asked for, or all of the model's.

    Raises:
        InputError: One of them is none of the model's.
    """
    known = [task.name for task in tagger.tasks]
    for name in tasks or ():
        if name not in known:
            raise InputError(f"The model has no task {name!r}; its tasks are {', '.join(known)}.")
    return tuple(dict.fromkeys(tasks)) if tasks else tuple(known)


def _require_gold(sentences: Iterable[Sentence], task: str) -> None:
    for number, sentence in enumerate(sentences, start=1):
        if task not in sentence.tags:
            place = sentence.source or f"sentence {number}"
            columns = ", ".join(sentence.tags) or "none"
            raise InputError(
                f"{place}: there are no tags of the task {task!r}; the columns that were read are: {columns}."
            )
