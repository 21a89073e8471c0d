"""Routes for clients of other servers; they differ in the form of requests and answers only.

- Hugging Face's inference API for token classification: ``huggingface_hub.InferenceClient``.
- GLiNER's HTTP server: ``gliner.serve.GLiNERClient``.
- doccano's auto labelling with a custom REST request.
- displaCy's input for manual rendering.
- The Open Inference Protocol, see ``open_inference``.

Each path ends in the name of a model; by default (``/gliner`` instead of ``/gliner/en``) it is the first.
Offsets count characters (code points), as these clients do.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from tagger.features.vocab import Task
from tagger.runtime.arguments import require_label
from tagger.runtime.entity_pipeline import choose_task, entity_of, spans_of, tokens_of
from tagger.runtime.options import TagOptions
from tagger.serving.open_inference import open_inference_routes
from tagger.serving.service import ServedModel, Service
from tagger.text.sentence import Sentence, Span

JSON = dict[str, Any]
Handler = Callable[..., Awaitable[Response]]
Text = Annotated[str, Field(min_length=0)]  # any constraint makes pydantic reject lone surrogates
_TEXT = "Ada Lovelace met Charles Babbage in London."


class _Form(BaseModel):
    """A request's body. Fields that it does not name are ignored."""

    model_config = ConfigDict(strict=True)


class EntityParameters(_Form):
    """Parameters of Hugging Face's token classification.

    Attributes:
        aggregation_strategy: ``none`` for an item per token, anything else for an item per span.
        ignore_labels: Labels or tags to leave out; by default ``O``.
        stride: Ignored: texts are not split into windows.
    """

    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] | None = None
    ignore_labels: list[str] | None = None
    stride: int | None = None


class EntityRequest(_Form):
    """A request for Hugging Face's token classification: a text or several, each a document."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"inputs": _TEXT}]})

    inputs: Text | list[Text]
    parameters: EntityParameters | None = None


class GlinerRequest(_Form):
    """A request to GLiNER's server.

    Attributes:
        text: A document.
        labels: The requested labels of the model, in any case; or a mapping from them to descriptions.
        threshold: Score threshold of the entities.
        flat_ner: Entities never overlap.
        multi_label: An entity has one label.
        relations: There are no relations.
        adapter_id: There are no adapters.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": _TEXT, "labels": ["PER", "LOC"]}]})

    text: Text
    labels: list[str] | dict[str, str]
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    flat_ner: Literal[True] = True
    multi_label: Literal[False] = False
    relations: Annotated[list[str], Field(max_length=0)] | None = None
    adapter_id: None = None


class TextRequest(_Form):
    """A text, for doccano."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": _TEXT}]})

    text: Text


class DisplacyRequest(TextRequest):
    """A text and its title, for displaCy."""

    title: Text | None = None


def protocol_routes(service: Service) -> APIRouter:
    """Return the routes of all protocols of this module and of ``open_inference``."""
    router = APIRouter()
    router.include_router(open_inference_routes(service))
    for path, make_handler, summary in (
        ("/models", _hugging_face, "Hugging Face's token classification"),
        ("/gliner", _gliner, "GLiNER's server"),
        ("/doccano", _doccano, "doccano's auto labelling"),
        ("/displacy", _displacy, "displaCy's dictionary"),
    ):
        for each in (path, f"{path}/{{model}}"):
            router.add_api_route(
                each, make_handler(service), methods=["POST"], response_class=Response, summary=summary
            )
    return router


def _hugging_face(service: Service) -> Handler:
    async def find_entities(body: EntityRequest, model: str | None = None) -> Response:
        """Return entities as Hugging Face's inference API does for token classification."""
        served = service.find(model)
        task = choose_task(served.tagger, None)
        parameters = body.parameters or EntityParameters()
        by_token = parameters.aggregation_strategy == "none"
        ignored = {"O"} if parameters.ignore_labels is None else set(parameters.ignore_labels)

        def write(documents: Sequence[Sequence[Sentence]]) -> list[Any]:
            convert = _token_items if by_token else _entity_items
            found = [convert(sentences, task, ignored) for sentences in documents]
            return found[0] if isinstance(body.inputs, str) else found

        texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
        options = TagOptions(has_scores=by_token or task.scheme is None)
        return await answer_json(service, served, texts, options, write)

    return find_entities


def _gliner(service: Service) -> Handler:
    async def predict_entities(body: GlinerRequest, model: str | None = None) -> Response:
        """Return entities as GLiNER's server does; labels that the model lacks are an error."""
        served = service.find(model)
        task = choose_task(served.tagger, None)
        spelling = _requested_labels(body.labels, TagOptions(tasks=(task,)).labels)

        def write(documents: Sequence[Sequence[Sentence]]) -> JSON:
            spans = [span for span in _spans(documents[0], task) if span.label in spelling]
            return {"entities": [_gliner_item(span, spelling[span.label]) for span in spans]}

        options = TagOptions(has_scores=task.scheme is None, min_score=body.threshold or 0.0)
        return await answer_json(service, served, [body.text], options, write)

    return predict_entities


def _doccano(service: Service) -> Handler:
    async def suggest_labels(body: TextRequest, model: str | None = None) -> Response:
        """Return labels for doccano's auto labelling; its mapping template is `{{ input | tojson }}`."""
        served = service.find(model)
        task = choose_task(served.tagger, None)

        def write(documents: Sequence[Sequence[Sentence]]) -> list[JSON]:
            return [
                {"label": span.label, "start_offset": span.start_char, "end_offset": span.end_char}
                for span in _spans(documents[0], task)
            ]

        options = TagOptions(has_scores=task.scheme is None)
        return await answer_json(service, served, [body.text], options, write)

    return suggest_labels


def _displacy(service: Service) -> Handler:
    async def find_ents(body: DisplacyRequest, model: str | None = None) -> Response:
        """Return what spaCy's `displacy.render(…, style="ent", manual=True)` reads."""
        served = service.find(model)
        task = choose_task(served.tagger, None)

        def write(documents: Sequence[Sequence[Sentence]]) -> JSON:
            ents = [
                {"start": span.start_char, "end": span.end_char, "label": span.label}
                for span in _spans(documents[0], task)
            ]
            return {"text": body.text, "ents": ents, "title": body.title}

        options = TagOptions(has_scores=task.scheme is None)
        return await answer_json(service, served, [body.text], options, write)

    return find_ents


async def answer_json(
    service: Service,
    model: ServedModel,
    texts: Sequence[str],
    options: TagOptions,
    write: Callable[[Sequence[Sequence[Sentence]]], Any],
) -> Response:
    """Tag texts, and answer with JSON.

    Args:
        service: The service.
        model: One of its models.
        texts: The documents.
        options: The options.
        write: Makes JSON values of the tagged sentences of each text; runs in the model's thread.

    Raises:
        InputError: See ``Service.tag``.
    """

    def finish(documents: Sequence[Sequence[Sentence]]) -> bytes:
        return json.dumps(write(documents), ensure_ascii=False).encode()

    content = await service.tag_and_finish(model, list(texts), options, finish)
    return Response(content, media_type="application/json")


def _spans(sentences: Sequence[Sentence], task: Task) -> list[Span]:
    return [span for sentence in sentences for span in spans_of(sentence, task)]


def _entity_items(sentences: Sequence[Sentence], task: Task, ignored: set[str]) -> list[Any]:
    return [entity_of(span) for span in _spans(sentences, task) if span.label not in ignored]


def _token_items(sentences: Sequence[Sentence], task: Task, ignored: set[str]) -> list[JSON]:
    """Return each token as an item with its tag, as Hugging Face's pipeline without aggregation does."""
    tokens = [token for sentence in sentences for token in tokens_of(sentence, task)]
    return [
        {
            "entity": token.label,
            "score": token.score,
            "index": index,
            "word": token.text,
            "start": token.start_char,
            "end": token.end_char,
        }
        for index, token in enumerate(tokens, 1)
        if token.label not in ignored
    ]


def _gliner_item(span: Span, label: str) -> JSON:
    return {
        "start": span.start_char,
        "end": span.end_char,
        "text": span.text,
        "label": label,
        "score": span.score,
    }


def _requested_labels(requested: Sequence[str] | dict[str, str], known: Sequence[str]) -> dict[str, str]:
    """Map the requested labels of the model to the client's spelling.

    Raises:
        InputError: The model lacks a label, even in another case.
    """
    by_case = {label.casefold(): label for label in known}
    spelling = {}
    for label in requested:
        name = by_case.get(label.casefold(), label)
        require_label(name, known, "labels")
        spelling[name] = label
    return spelling
