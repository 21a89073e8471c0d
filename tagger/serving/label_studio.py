"""Label Studio's ML backend: predictions for its tasks, in the names and labels of its labeling config.

See https://labelstud.io/guide/ml. The answer has one result per task, in order; a task without a text has an
empty one, and does not affect the others. Offsets count characters (code points), as those of Label Studio's
editor do. The model is not trained by annotations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response

from tagger.corpus.jsonl import json_line, parse_json
from tagger.corpus.labelstudio import region_of
from tagger.corpus.placement import TextSpan
from tagger.corpus.values import join_names, mapping, sequence, string
from tagger.errors import InputError
from tagger.features.vocab import Task
from tagger.runtime.entity_pipeline import choose_task, spans_of
from tagger.runtime.options import TagOptions
from tagger.serving.label_config import DEFAULT_CONTROLS, Control, read_label_config
from tagger.serving.service import ServedModel, Service
from tagger.text.sentence import Sentence

PREFIX = "/label-studio/{model}"


@dataclass(frozen=True, slots=True)
class _Source:
    """A text of a task, and the ``<Labels>`` that mark it.

    Attributes:
        index: The task's index.
        text: The text.
        controls: The tags, each with the model's task whose spans it shows.
    """

    index: int
    text: str
    controls: Sequence[tuple[Control, Task]]


_Tagged = tuple[int, list[dict[str, object]], float]
"""The index of a task, the regions of one of its texts, and the probability of the text's tags."""


@dataclass(slots=True)
class _Prediction:
    """The regions of a task, and its score; None until a text is tagged."""

    regions: list[dict[str, object]] = field(default_factory=list)
    score: float | None = None

    def add(self, regions: Sequence[dict[str, object]], probability: float) -> None:
        self.regions += regions
        self.score = probability if self.score is None else self.score * probability


def label_studio_routes(service: Service) -> APIRouter:
    """Return the routes of the ML backend: at the root for the first model, below ``PREFIX`` for each."""
    router = APIRouter()

    async def health(model: str | None = None) -> dict[str, str]:
        """Answer that the backend is up."""
        service.find(model)
        return {"status": "UP", "model_class": "tagger"}

    async def setup(request: Request, model: str | None = None) -> dict[str, str]:
        """Check the labeling config of a project, and return the version of the model."""
        served = service.find(model)
        values = await read_object(request)
        config = string(values.get("schema", ""), "schema", "body")
        if config:
            require_labels(read_label_config(config), served)
        return {"model_version": served.version}

    async def predict(request: Request, model: str | None = None) -> Response:
        """Return a prediction for each task."""
        served = service.find(model)
        values = await read_object(request)
        tasks = sequence(values.get("tasks", ()), "list of tasks", "body")
        config = string(values.get("label_config", ""), "label_config", "body")
        controls = read_label_config(config) if config else DEFAULT_CONTROLS
        content = await predict_tasks(service, served, tasks, controls)
        return Response(content, media_type="application/json")

    async def webhook(model: str | None = None) -> dict[str, str]:
        """Accept an event, such as a new annotation, and ignore it."""
        service.find(model)
        return {}

    for prefix in ("", PREFIX):
        router.add_api_route(f"{prefix}/health", health, methods=["GET"])
        router.add_api_route(f"{prefix}/setup", setup, methods=["POST"], openapi_extra=SETUP_BODY)
        router.add_api_route(
            f"{prefix}/predict",
            predict,
            methods=["POST"],
            response_class=Response,
            openapi_extra=PREDICT_BODY,
        )
        router.add_api_route(f"{prefix}/webhook", webhook, methods=["POST"])
    return router


def _body(example: dict[str, object]) -> dict[str, object]:
    """Return the OpenAPI description of a JSON object."""
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


_CONFIG = (
    '<View><Labels name="label" toName="text"><Label value="PER"/><Label value="LOC"/></Labels>'
    '<Text name="text" value="$text"/></View>'
)
SETUP_BODY = _body({"project": "1.1700000000", "schema": _CONFIG})
PREDICT_BODY = _body({"tasks": [{"id": 1, "data": {"text": "Ada met Otto."}}], "label_config": _CONFIG})


async def read_object(request: Request) -> Mapping[str, object]:
    """Return the JSON object of a request's body; strings in it may have lone surrogates.

    Raises:
        InputError: The body is not a JSON object in UTF-8.
    """
    try:
        body = (await request.body()).decode()
    except UnicodeDecodeError:
        raise InputError(
            "the body is not UTF-8. Send JSON in UTF-8.", code="corpus.encoding", where="body"
        ) from None
    return mapping(parse_json(body, "body"), "body", "body")


def require_labels(controls: Iterable[Control], model: ServedModel) -> None:
    """Check that a labeling config has a label of the model.

    Raises:
        InputError: It has none, so that all predictions would be empty.
    """
    known: set[str] = set()
    names: set[str] = set()
    for control in controls:
        task = _choose_task(control, model)
        own = TagOptions(tasks=(task,)).labels or task.tags
        if any(control.label_of(label) is not None for label in own):
            return
        known.update(own)
        names.update(control.labels or ())
    raise InputError(
        f"one label must be the model's: {join_names(sorted(known))} (got {join_names(sorted(names))}). "
        'Rename a label, or add predicted_values="…" to it.',
        code="corpus.labels",
        where="label_config",
    )


async def predict_tasks(
    service: Service, model: ServedModel, tasks: Sequence[object], controls: Sequence[Control]
) -> bytes:
    """Return the answer with one prediction for each of N tasks.

    The score of a prediction is the probability of the best tag sequence of its texts: the product over the
    sentences (and over the model's tasks, if the config uses several), since the model tags each on its own.
    Each factor is the probability of the Viterbi path, with the temperature that calibrates the model. It is
    None for a task without a text. The score of a region is its marginal probability.

    Args:
        service: The service.
        model: The model.
        tasks: Tasks of Label Studio; any JSON values.
        controls: The ``<Labels>`` of the labeling config.
    """
    chosen = [(control, _choose_task(control, model)) for control in controls]
    sources = [source for index, task in enumerate(tasks) for source in _sources(index, task, chosen)]
    predictions = [_Prediction() for _ in tasks]
    for index, regions, probability in await _tag(service, model, sources):
        predictions[index].add(regions, probability)
    results = [
        {"result": one.regions, "score": one.score, "model_version": model.version} for one in predictions
    ]
    return json_line({"results": results, "model_version": model.version}).encode()


def _choose_task(control: Control, model: ServedModel) -> Task:
    """Return the model's task with the name of the tag, by default the first with spans."""
    by_name = {task.name: task for task in model.tagger.tasks}
    return by_name.get(control.name) or choose_task(model.tagger, None)


def _sources(index: int, task: object, controls: Sequence[tuple[Control, Task]]) -> Iterator[_Source]:
    """Yield the texts of a task that can be tagged."""
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(data, Mapping):
        return
    for key in dict.fromkeys(control.key for control, _ in controls):
        with suppress(InputError):  # it has no text, or one that is not Unicode
            text = string(data.get(key), key, "data")
            yield _Source(index, text, [one for one in controls if one[0].key == key])


async def _tag(service: Service, model: ServedModel, sources: Sequence[_Source]) -> list[_Tagged]:
    """Tag texts; those that cannot be tagged are left out."""

    def write(documents: Sequence[Sequence[Sentence]]) -> list[_Tagged]:
        return [_describe(*one) for one in zip(sources, documents, strict=True)]

    if not sources:
        return []
    options = TagOptions(n_best=1, has_scores=any(not task.scheme for task in model.tagger.tasks))
    try:
        tagged: list[_Tagged] = await service.tag_and_finish(
            model, [source.text for source in sources], options, write
        )
    except InputError:
        if len(sources) == 1:
            return []
        return [one for source in sources for one in await _tag(service, model, [source])]
    return tagged


def _describe(source: _Source, sentences: Sequence[Sentence]) -> _Tagged:
    """Return the regions of a tagged text, and the probability of its tags."""
    regions = []
    for control, task in source.controls:
        spans = [span for sentence in sentences for span in spans_of(sentence, task)]
        for number, span in enumerate(spans, 1):
            label = control.label_of(span.label)
            if label is not None:
                identifier = f"{control.name}-{control.to_name}-{number}"
                region = TextSpan(span.start_char, span.end_char, label, span.score, text=span.text)
                regions.append(region_of(region, identifier, control.name, control.to_name))
    names = {task.name for _, task in source.controls}
    probability = math.prod(
        sentence.alternatives[name][0].probability for sentence in sentences for name in names
    )
    return source.index, regions, probability
