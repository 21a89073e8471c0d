"""``Service``: the loaded models, and one function that tags documents for all routes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tagger.bundle_schema import TENSORS
from tagger.errors import InputError
from tagger.included import find_model, model_name
from tagger.runtime.arguments import check_options
from tagger.runtime.options import TagOptions
from tagger.runtime.tagger import Tagger
from tagger.serving.batcher import Batcher, Document, Finish
from tagger.serving.monitoring import Monitor
from tagger.text.schemes import normalise_scheme
from tagger.text.sentence import Sentence

WARM_UP = "Jordan scored twice for Chicago."


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A loaded model.

    Attributes:
        name: Its name in requests.
        tagger: The model.
        version: SHA-256 of the weights, in hexadecimal.
    """

    name: str
    tagger: Tagger
    version: str

    @classmethod
    def load(cls, model: str | Path, *, precision: str = "f32") -> ServedModel:
        """Load a model by its folder or name.

        Raises:
            InputError: See ``Tagger.load``.
        """
        folder = find_model(model)
        # The thread of the batches runs the network: more threads do not help within one window.
        tagger = Tagger.load(folder, threads=1, precision=precision)
        with (folder / TENSORS).open("rb") as file:
            version = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(model_name(folder), tagger, version)


class Service:
    """Tag documents with one of several models; used from one event loop between ``open`` and ``close``.

    Args:
        models: The models; the first is the default.
        max_batch: Maximum number of requests that are tagged together.
        max_characters: Maximum number of characters that are tagged together, see ``Batcher``.
        monitor: Counts batches and words.

    Attributes:
        models: The models by name.

    Raises:
        InputError: Two models have the same name.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        *,
        max_batch: int = 64,
        max_characters: int = 50_000,
        monitor: Monitor | None = None,
    ) -> None:
        self.models: Mapping[str, ServedModel] = {one.name: one for one in models}
        if len(self.models) < len(models):
            raise InputError(
                "two models must not have the same name, that of the folder (got "
                f"{', '.join(one.name for one in models)}). Rename a folder.",
                code="option.conflict",
                option="--model",
            )
        self._max_batch, self._max_characters = max_batch, max_characters
        self._monitor = monitor or Monitor()
        self._batchers: dict[str, Batcher] = {}

    @property
    def is_ready(self) -> bool:
        """True between the warm-up and ``close``."""
        return bool(self._batchers)

    async def open(self) -> None:
        """Start the models' threads, and tag a text with each so that the first request is not slow."""
        batchers = {}
        for name, model in self.models.items():
            batchers[name] = Batcher(
                model.tagger,
                max_batch=self._max_batch,
                max_characters=self._max_characters,
                on_batch=self._monitor.watch_batches(name, model.version),
            )
            await batchers[name].tag([WARM_UP], TagOptions(scheme=model.tagger.scheme), _keep)
        self._batchers = batchers

    def close(self) -> None:
        """End the models' threads."""
        for batcher in self._batchers.values():
            batcher.close()
        self._batchers = {}

    def find(self, name: str | None) -> ServedModel:
        """Return a model by name, by default the first.

        Raises:
            InputError: There is no such model (code ``bundle.missing``).
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise InputError(
                f"there is no model {name!r}. The models are {', '.join(self.models)}.",
                code="bundle.missing",
                where="model",
                option="model",
            )
        return self.models[name]

    async def tag(
        self, model: ServedModel, documents: Sequence[Document], options: TagOptions
    ) -> list[list[Sentence]]:
        """Tag documents, each independently of all others and of other requests.

        Args:
            model: One of the models.
            documents: Raw texts, or pretokenized documents.
            options: The options; ``scheme`` is that of the tags.

        Returns:
            The tagged sentences of each document.

        Raises:
            InputError: An option is invalid, or a document cannot be tagged with these options.
        """
        result: list[list[Sentence]] = await self.tag_and_finish(model, documents, options, _keep)
        return result

    async def tag_and_finish(
        self, model: ServedModel, documents: Sequence[Document], options: TagOptions, finish: Finish
    ) -> Any:
        """Tag documents as ``tag`` does, and return what ``finish`` makes of them.

        ``finish`` runs in the thread of the model, so that writing a long answer does not delay requests.
        """
        checked = check_options(options, model.tagger.labels)
        checked = replace(checked, scheme=normalise_scheme(options.scheme))
        # Sentences of different documents must not share context, whatever the caller has set.
        separate = [one if isinstance(one, str) else _start_document(one) for one in documents]
        return await self._batchers[model.name].tag(separate, checked, finish)


def _start_document(sentences: Sequence[Sentence]) -> list[Sentence]:
    if not sentences or sentences[0].starts_document:
        return list(sentences)
    return [replace(sentences[0], starts_document=True), *sentences[1:]]


def _keep(documents: list[list[Sentence]]) -> list[list[Sentence]]:
    return documents
