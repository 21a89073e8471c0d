"""Functions of the public API that need several layers: train a model, or distil several into one."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tagger.bundle import Bundle, load_bundle
from tagger.config import Config
from tagger.config_loading import configure
from tagger.corpus.memory import Source, as_sources, hold
from tagger.errors import InputError
from tagger.features.contextual import ENCODER
from tagger.included import find_model
from tagger.runtime.tagger import Tagger
from tagger.training.encoder_states import find_cache
from tagger.training.initial import default_options
from tagger.training.loop import EpochRecord, StepRecord
from tagger.training.processes import is_alone
from tagger.training.run import DataRecord, Record, StopRecord, run_training
from tagger.training.training_bar import TrainingBar, is_notebook

Callback = Callable[[StepRecord | EpochRecord], object]
"""Receives each record of a training run; the run stops if it returns True."""

MOST_WARNINGS = 20  # warnings about the data of one run
_DEV_SPLITS = ("validation", "dev", "valid")


def train(
    train_data: object,
    *,
    dev: object = None,
    task: str | Sequence[str] | None = None,
    vectors: str | Path | None = None,
    output: str | Path | None = None,
    config: Config | Mapping[str, Any] | str | Path | None = None,
    init_from: Tagger | str | Path | None = None,
    resume: bool | None = None,
    callbacks: Iterable[Callback] = (),
    progress: bool | None = None,
    **options: Any,
) -> Tagger:
    """Train a model and return it with the weights of the best epoch on dev.

    The result depends on the data, the options and the seed only: data in memory gives the same weights as
    the same data in a file.

    Example:
        >>> from tagger import train
        >>> data = [(["Ada", "sang"], ["B-PER", "O"]), (["in", "Oslo"], ["O", "B-LOC"])]
        >>> model = train(data, epochs=2, hidden_size=8)  # doctest: +SKIP

    Args:
        train_data: The train split: the path of a corpus file, or of several in a list; an iterable of
            ``Sentence`` objects, of ``(tokens, tags)`` pairs, where ``tags`` is a list or a mapping from
            tasks to lists, or of records such as ``{"text": …, "spans": […]}``; an HF ``Dataset``, or a
            ``DatasetDict`` with the split ``train``; or a data frame (see ``corpus.memory.hold``).
        dev: The dev split, which selects the best epoch, in the same forms. Without it, the split
            ``validation`` of a ``DatasetDict`` is used, or the last epoch is kept.
        task: The task or tasks to learn, ``ner`` by default.
        vectors: File of static word vectors in GloVe, word2vec or fastText format.
        output: The model folder to write, with metrics, learning curves and a checkpoint. By default the
            model is kept in memory only.
        config: Options: a ``Config``, a mapping with dotted or nested keys, or the path of a TOML file.
        init_from: An existing model, by folder, name or ``Tagger``, whose weights, words, characters and tags
            are taken over; words, characters, labels and tasks of the train split are added. The network has
            the model's sizes; by default, the learning rate is lower and the epochs are fewer (see
            ``training.initial``). With ``epochs=0`` the model is extended but not trained.
        resume: For a folder with an unfinished run, True to resume it and False to start again; None raises
            an error. Ignored without ``output``.
        callbacks: Functions that receive every ``StepRecord`` and ``EpochRecord``. A run stops after a
            callback returns True; otherwise callbacks cannot change the result.
        progress: True to show a progress bar; by default only in a notebook.
        **options: Any option of the config by its name, for instance ``epochs=10``, ``hidden_size=100`` or
            ``learning_rate=0.01``; ``scheme`` is the scheme of the data. They override ``config``.

    Returns:
        The model. If Ctrl-C or a callback ends the run, the model of the best epoch so far, with a warning
        after Ctrl-C; with ``output``, ``resume=True`` continues the run.

    Raises:
        TypeError: An argument has a wrong type.
        InputError: An option is unknown (the message suggests the nearest name) or invalid, an item of the
            data is invalid (the message gives its index), a file is invalid, the output cannot be written, or
            the run ended before its first epoch.
        KeyboardInterrupt: Ctrl-C ended the run before its first epoch.
    """
    initial = None if init_from is None else _find_bundle(init_from)
    defaults = default_options(initial) if initial else None
    settings = configure(config, _with_tasks(options, task), defaults=defaults)
    train_sources, dev_sources = _sources(train_data, dev)
    run = partial(
        run_training,
        settings,
        train_files=train_sources,
        dev_files=dev_sources,
        vectors_file=None if vectors is None else Path(vectors),
        initial=initial,
    )
    return _train(run, settings, output, resume, callbacks, progress)


def distil(
    teachers: Tagger | str | Path | Sequence[Tagger | str | Path],
    texts: object,
    *,
    gold: object = None,
    dev: object = None,
    vectors: str | Path | None = None,
    output: str | Path | None = None,
    config: Config | Mapping[str, Any] | str | Path | None = None,
    resume: bool | None = None,
    callbacks: Iterable[Callback] = (),
    progress: bool | None = None,
    **options: Any,
) -> Tagger:
    """Train one model (the student) on the probabilities that other models give to unlabelled text.

    The student minimises the cross-entropy with the mean of the teachers' posteriors over whole tag sequences
    (Wang et al. 2020, "Structure-level knowledge distillation for multilingual sequence labeling", section
    3.2, here with exact marginals), and the usual loss on gold data. It has the size and the speed of any
    model with the same options.

    Args:
        teachers: The models, by folder, name or ``Tagger``, all with the same tasks. An empty list uses the
            probabilities in ``texts``.
        texts: An iterable of unlabelled texts, each a document of its own. Without teachers, predictions with
            probabilities: a JSON lines file as ``tagger tag --scores`` writes it, or such sentences.
        gold: Labelled data to train on too (see ``train``).
        dev: The dev split (see ``train``).
        vectors: File of static word vectors.
        output: See ``train``.
        config: See ``train``.
        resume: See ``train``.
        callbacks: See ``train``.
        progress: See ``train``.
        **options: See ``train``.

    Raises:
        TypeError: An argument has a wrong type.
        InputError: See ``train``; or the teachers have different tasks, or no sentence has probabilities.
    """
    listed = [teachers] if isinstance(teachers, Tagger | str | Path) else list(teachers)
    models = [one if isinstance(one, Tagger) else Tagger.load(one) for one in listed]
    taught = label_texts(models, texts)
    defaults = {"data.tasks": tuple(task.name for task in models[0].tasks)} if models else None
    settings = configure(config, options, defaults=defaults)
    run = partial(
        run_training,
        settings,
        train_files=[*([] if gold is None else as_sources(gold, "gold")), *taught],
        dev_files=[] if dev is None else as_sources(dev, "dev"),
        vectors_file=None if vectors is None else Path(vectors),
        teachers=[one.bundle for one in models],
    )
    return _train(run, settings, output, resume, callbacks, progress)


def label_texts(teachers: Sequence[Tagger], texts: object) -> list[Source]:
    """Tag texts with the first teacher; the other teachers must have the same tasks.

    Args:
        teachers: The models; if there are none, ``texts`` are predictions.
        texts: See ``distil``.

    Raises:
        TypeError: The texts have a wrong type.
        InputError: The teachers have different tasks.
    """
    if not teachers:
        return as_sources(texts, "texts")
    tags = {task.name: set(task.tags) for task in teachers[0].tasks}
    for number, other in enumerate(teachers[1:], 2):
        if {task.name: set(task.tags) for task in other.tasks} != tags:
            raise InputError(
                f"teacher {number} must have the tasks and labels of teacher 1. Train or extend it with the "
                "same labels.",
                code="argument.value",
                option="teachers",
            )
    if isinstance(texts, os.PathLike):
        raise TypeError("texts must be an iterable of texts (got a path). Pass [path.read_text()].")
    first = _with_cached_states(teachers[0])
    documents = first.pipe(texts, scores=True)  # type: ignore[arg-type]
    return [hold((sentence for document in documents for sentence in document), "texts")]


def _with_cached_states(tagger: Tagger) -> Tagger:
    """Let a tagger with a contextual encoder use the cache: training reads the same states."""
    cache = find_cache(tagger.bundle.config, tagger.bundle.encoder)
    if cache is None:
        return tagger
    cached = Tagger(tagger.bundle, tokenizer=tagger.tokenizer, scheme=tagger.scheme, threads=tagger.threads)
    cached.engine.use_states(cache.read)
    return cached


def _train(
    run: Callable[..., Generator[Record, None, None]],
    config: Config,
    output: str | Path | None,
    resume: bool | None,
    callbacks: Iterable[Callback],
    progress: bool | None,
) -> Tagger:
    """Run a training to its end, and load its model."""
    if output is None and not is_alone():
        raise InputError(
            "output must be a folder if several processes train. Pass output=FOLDER.",
            code="argument.value",
            option="output",
        )
    with ExitStack() as stack:
        folder = Path(output or stack.enter_context(tempfile.TemporaryDirectory(prefix="tagger-")))
        watched = list(callbacks)
        if is_notebook() if progress is None else progress:
            watched.append(stack.enter_context(TrainingBar(config.train.epochs)))
        stops: list[bool] = []
        records = run(folder, resume=False if output is None else resume, is_stopped=lambda: bool(stops))
        has_model = False
        try:
            with closing(records):
                for record in records:
                    if isinstance(record, DataRecord):
                        has_model = bool(record.earlier)
                        _warn(record.preparation.notes)
                    elif not isinstance(record, StopRecord):
                        has_model |= isinstance(record, EpochRecord)
                        stops += [True] * _notify(watched, record)
        except KeyboardInterrupt:
            if not has_model:
                raise
            warnings.warn(
                "training was interrupted; this is the model of the best epoch so far", stacklevel=3
            )
        if not has_model:
            raise InputError(
                "a callback stopped the run before its first epoch, so there is no model. Stop it later.",
                code="run.failed",
                option="callbacks",
            )
        if output:
            return Tagger.load(folder)
        # The tagger must not use the paths of the temporary folder.
        shutil.rmtree(folder / ENCODER, ignore_errors=True)
        return Tagger(load_bundle(folder))


def _find_bundle(model: object) -> Bundle:
    if isinstance(model, Tagger):
        return model.bundle
    if not isinstance(model, str | os.PathLike):
        raise TypeError(
            f"init_from must be a Tagger, a folder or a model's name (got {type(model).__name__}). Pass one."
        )
    return load_bundle(find_model(model))


def _with_tasks(options: Mapping[str, Any], task: str | Sequence[str] | None) -> dict[str, Any]:
    if task is None:
        return dict(options)
    return {**options, "tasks": (task,) if isinstance(task, str) else tuple(task)}


def _notify(callbacks: Iterable[Callback], record: StepRecord | EpochRecord) -> bool:
    """Call all callbacks, without the weights, which they could change; return True if one stops the run."""
    if isinstance(record, EpochRecord):
        record = replace(record, weights=None)
    results = [callback(record) for callback in callbacks]
    return any(result is True for result in results)


def _warn(notes: Sequence[str]) -> None:
    for note in notes[:MOST_WARNINGS]:
        warnings.warn(note, stacklevel=4)


def _sources(train_data: object, dev: object) -> tuple[list[Source], list[Source]]:
    """Return the sources of both splits; a ``DatasetDict`` holds both."""
    if isinstance(train_data, Mapping) and "train" in train_data:
        found = next((train_data[name] for name in _DEV_SPLITS if name in train_data), None)
        train_data, dev = train_data["train"], found if dev is None else dev
    return as_sources(train_data, "train_data"), [] if dev is None else as_sources(dev, "dev")
