"""The page at ``/``: its files, the models it can show, and the tags of every prefix of a text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tagger.corpus.jsonl import json_line
from tagger.runtime.options import TagOptions
from tagger.serving.next_words import make_prefixes, prefix_values, split_sentences
from tagger.serving.service import ServedModel, Service
from tagger.text.markup import label_hues
from tagger.text.schemes import split_tag
from tagger.text.sentence import Sentence

MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

_FOLDER = files("tagger.serving").joinpath("page_files")
PAGE_FILES: Mapping[str, Traversable] = {"/": _FOLDER.joinpath("page.html")} | {
    f"/page/{file.name}": file for file in _FOLDER.iterdir() if not file.name.endswith(".html")
}
"""The page's files by path, with those of the page for annotation. They hold no data, so that a browser may
load them without a token."""
ANNOTATION_FILES: Mapping[str, Traversable] = {**PAGE_FILES, "/": _FOLDER.joinpath("annotate.html")}
"""The same for the server of ``tagger annotate``."""

Thresholds = TypeAdapter(list[dict[str, float]])


class NextWordsRequest(BaseModel):
    """The body of ``POST /next-words``: a text, and the name of a model if it is not the first."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"text": "Jordan scored."}})

    text: str
    model: str | None = None


def page_routes(service: Service, compare: ServedModel | None = None) -> APIRouter:
    """Return the routes of the page: ``PAGE_FILES``, ``/page/models`` and ``/next-words``.

    Args:
        service: The models, and the function that tags.
        compare: The model of the service that the page shows below the selected one, for instance one that
            reads forward only.
    """
    router = APIRouter()
    add_page_files(router, PAGE_FILES)
    described = {
        "models": [describe_model(model) for model in service.models.values() if model is not compare],
        "compare": describe_model(compare) if compare else None,
    }

    async def models() -> dict[str, Any]:
        return described

    async def next_words(request: NextWordsRequest) -> Response:
        """Tag the first 1, 2, … words of each sentence, as if the others were not written yet.

        Word `i` with `k` next words known has the tag at index `i` of the prefix of `i + 1 + k` words.
        """
        model = service.find(request.model)
        sentences = split_sentences(model.tagger, request.text)

        def write(documents: list[list[Sentence]]) -> bytes:
            values = prefix_values(sentences, (prefix for [prefix] in documents))
            head = {"name": model.name, "version": model.version}
            return json_line({"model": head, "sentences": values}).encode()

        documents = [[prefix] for prefix in make_prefixes(sentences)]
        options = TagOptions(has_scores=True, scheme=model.tagger.scheme)
        content = await service.tag_and_finish(model, documents, options, write)
        return Response(content, media_type="application/json", headers={"X-Content-Type-Options": "nosniff"})

    router.add_api_route("/page/models", models, methods=["GET"], include_in_schema=False)
    router.add_api_route(
        "/next-words",
        next_words,
        methods=["POST"],
        summary="Tag every prefix of each sentence",
        response_class=Response,
    )
    return router


def add_page_files(router: APIRouter, page_files: Mapping[str, Traversable]) -> None:
    """Add a route for each file of a page, by path."""
    for path, file in page_files.items():
        router.add_api_route(path, _sender(file), methods=["GET"], include_in_schema=False)


def _sender(file: Traversable) -> Callable[[], Awaitable[Response]]:
    """Return a handler that answers with a file of the page."""
    content, media_type = file.read_bytes(), MEDIA_TYPES[file.name.rpartition(".")[2]]

    async def send() -> Response:
        return Response(content, media_type=media_type, headers=HEADERS)

    return send


def describe_model(model: ServedModel) -> dict[str, Any]:
    """Return what the page shows of a model, as JSON values.

    Its tasks have the hue of each span label, None without spans, and the precision and recall on dev for
    each score threshold, empty if training did not store them.
    """
    bundle = model.tagger.bundle
    return {
        "name": model.name,
        "version": model.version,
        "direction": bundle.config.model.direction,
        "tasks": [
            {
                "name": task.name,
                "hues": label_hues(split_tag(tag)[1] for tag in task.tags if tag != "O")
                if task.scheme
                else None,
                "thresholds": _read_thresholds(bundle.metrics, task.name),
            }
            for task in model.tagger.tasks
        ],
    }


def _read_thresholds(metrics: Any, task: str) -> list[dict[str, float]]:
    try:
        return Thresholds.validate_python(metrics["thresholds"][task])
    except (LookupError, TypeError, ValidationError):
        return []  # an older model
