"""The ASGI app of ``tagger serve``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from tagger.errors import InputError
from tagger.serving.gate import Gate, Limits
from tagger.serving.label_studio import label_studio_routes
from tagger.serving.monitoring import Monitor
from tagger.serving.page_routes import page_routes
from tagger.serving.problems import PROBLEMS, describe_invalid, input_problem, problem_response
from tagger.serving.protocols import protocol_routes
from tagger.serving.service import ServedModel, Service
from tagger.serving.tag_request import EXAMPLES, TagRequest, write_answer, write_lines
from tagger.serving.text_streams import JSON_LINES, stream_routes
from tagger.text.sentence import Sentence

NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}


def make_gate(
    models: Sequence[ServedModel],
    *,
    version: str = "unknown",
    limits: Limits | None = None,
    max_batch: int = 64,
    token: str | None = None,
    origins: Sequence[str] = (),
    compare: ServedModel | None = None,
) -> Gate:
    """Create the server's app, with its limits around it.

    Args:
        models: The models; the first is the default.
        version: The version of this package, for the description of the API.
        limits: Limits of requests.
        max_batch: Maximum number of requests that are tagged together.
        token: The bearer token that requests must have; None for none.
        origins: Origins of other pages that may send requests (CORS); ``*`` for all.
        compare: One more model, which the page shows below the others.

    Raises:
        InputError: Two models have the same name.
    """
    monitor = Monitor()
    served = [*models, compare] if compare else models
    service = Service(served, max_batch=max_batch, monitor=monitor)
    app = make_app(service, version, compare)
    app.include_router(state_routes(lambda: service.is_ready, monitor))
    return Gate(app, limits or Limits(), monitor, token=token, origins=origins)


def make_app(service: Service, version: str, compare: ServedModel | None = None) -> FastAPI:
    """Create the app without limits, token, health probes and metrics."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.open()
        try:
            yield
        finally:
            service.close()

    app = new_app(version, "Label sequences with a BiLSTM-CRF.", lifespan)
    for routes in (tag_routes, stream_routes, protocol_routes, label_studio_routes):
        app.include_router(routes(service), responses=PROBLEMS)
    app.include_router(page_routes(service, compare), responses=PROBLEMS)
    return app


def new_app(
    version: str, summary: str, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]
) -> FastAPI:
    """Create an app without routes that answers errors as problems."""
    app = FastAPI(
        title="tagger",
        version=version,
        summary=summary,
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from another host
        redoc_url=None,
    )
    app.add_exception_handler(InputError, _answer_input_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(ValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http_error)
    return app


def _answer_input_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, InputError)
    return input_problem(error)


def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | ValidationError)
    return problem_response(422, describe_invalid(error.errors()))


def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # FastAPI's for a body that is no text
        return problem_response(422, "the body must be JSON in UTF-8. See /openapi.json for the form.")
    return problem_response(error.status_code, f"{error.detail}.", error.headers)


def tag_routes(service: Service) -> APIRouter:
    """Return the routes that tag with the options of ``tagger tag``, and that list the models."""
    router = APIRouter()

    async def tag(request: Request) -> Response:
        """Tag a text, several texts, or tokens.

        Sentences have the form of `tagger tag --format jsonl`. With `Accept: application/x-ndjson`, the
        answer is these lines.
        """
        # Read by hand: FastAPI would parse the body twice.
        body = TagRequest.model_validate_json(await request.body())
        model = service.find(body.model)
        options = body.tag_options(model)
        has_lines = JSON_LINES in request.headers.get("accept", "")

        def write(documents: list[list[Sentence]]) -> bytes:
            if has_lines:
                return write_lines(body, documents, options).encode()
            return write_answer(body, model, documents, options).encode()

        content = await service.tag_and_finish(model, body.documents(), options, write)
        return Response(
            content, media_type=JSON_LINES if has_lines else "application/json", headers=NO_SNIFFING
        )

    router.add_api_route(
        "/tag",
        tag,
        methods=["POST"],
        summary="Tag text or tokens",
        response_class=Response,
        openapi_extra={"requestBody": _json_body(TagRequest, EXAMPLES)},
    )

    async def models() -> list[dict[str, Any]]:
        """List the models with their tasks and labels; the first is the default."""
        return [describe_model(model) for model in service.models.values()]

    router.add_api_route("/models", models, methods=["GET"], summary="List the models")
    return router


def describe_model(model: ServedModel) -> dict[str, Any]:
    """Return a model's name, version and tasks, as JSON values."""
    tasks = [
        {"name": task.name, "scheme": task.scheme, "tags": list(task.tags)} for task in model.tagger.tasks
    ]
    return {
        "name": model.name,
        "version": model.version,
        "labels": list(model.tagger.labels),
        "tasks": tasks,
        "direction": model.tagger.bundle.config.model.direction,
    }


def state_routes(is_ready: Callable[[], bool], monitor: Monitor) -> APIRouter:
    """Return the routes for orchestrators: health probes and metrics."""
    router = APIRouter()

    async def live() -> Response:
        """Answer as long as the process runs."""
        return Response("live\n", media_type="text/plain")

    async def ready() -> Response:
        """Answer 200 after the warm-up, and 503 before it and once the server stops."""
        if not is_ready():
            return problem_response(503, "the server starts. Try again later.")
        return Response("ready\n", media_type="text/plain")

    async def metrics() -> Response:
        """Return the metrics in Prometheus's text format."""
        return Response(monitor.text(), media_type="text/plain; version=0.0.4")

    for path, handler in (("/health/live", live), ("/health/ready", ready), ("/metrics", metrics)):
        router.add_api_route(path, handler, methods=["GET"], response_class=Response)
    return router


def _json_body(form: type[TagRequest], examples: Any) -> dict[str, Any]:
    """Return the OpenAPI description of a body."""
    schema = form.model_json_schema()
    content = {"application/json": {"schema": schema, "examples": examples}}
    return {"required": True, "content": content}
