"""The ASGI app of ``tagger annotate``: its page, and the routes that lease sentences and take decisions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from tagger.annotation.background_training import BackgroundTraining
from tagger.serving.annotation_desk import Desk
from tagger.serving.gate import Gate, Limits
from tagger.serving.http_app import NO_SNIFFING, new_app, state_routes
from tagger.serving.monitoring import Monitor
from tagger.serving.page_routes import ANNOTATION_FILES, add_page_files
from tagger.serving.problems import PROBLEMS
from tagger.text.sentence import Span

MOST_TOKENS = 100_000
MOST_SECONDS = 86_400.0
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")

# No control characters: PostgreSQL cannot store NUL.
Annotator = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\P{Cc}*[^\p{Cc}\s]\P{Cc}*$")]
Key = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Index = Annotated[int, Field(ge=0, le=MOST_TOKENS)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NextRequest(_Form):
    """The body of ``POST /annotation/next``: who annotates, and True to check likely label errors."""

    annotator: Annotator
    audit: bool = False


class SpanForm(_Form):
    """A span of tokens, half-open."""

    start: Index
    end: Index
    label: str


class Work(_Form):
    """The annotation of a sentence: its number of tokens, its spans, and its unknown tokens."""

    n_tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)]
    spans: list[SpanForm]
    unknown: list[Index] = []


class DecisionRequest(_Form):
    """The body of ``POST /annotation/decide``: the key of the lease, the work or null to skip, the time."""

    key: Key
    work: Work | None
    seconds: Annotated[float, Field(ge=0, le=MOST_SECONDS, allow_inf_nan=False)]


class UndoRequest(_Form):
    """The body of ``POST /annotation/undo``: who undoes, and the key of the lease to leave."""

    annotator: Annotator
    key: Key | None = None


class KeyRequest(_Form):
    """The body of ``POST /annotation/renew`` and ``/annotation/release``: the key of a lease."""

    key: Key


class ModelRequest(_Form):
    """The body of ``POST /annotation/model``: the version that proposes spans from now on."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class TrainingRequest(_Form):
    """The body of ``POST /annotation/training/start``: True to discard an unfinished run."""

    restart: bool = False


class StopRequest(_Form):
    """The body of ``POST /annotation/training/stop``."""


def make_annotation_gate(
    desk: Desk,
    *,
    version: str = "unknown",
    token: str | None = None,
    hosts: Sequence[str] = (),
    limits: Limits | None = None,
) -> Gate:
    """Create the server's app, with its limits around it.

    Args:
        desk: The project. The app closes it at its end.
        version: The version of this package.
        token: The bearer token that requests must have; None for none.
        hosts: Names of the server that requests may use; empty for any. On a loopback address without a
            token, ``LOOPBACK`` keeps out pages of sites whose name resolves to this machine (DNS rebinding).
        limits: Limits of requests.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            desk.close()

    monitor = Monitor()
    app = new_app(version, "Annotate sequences with the help of a model.", lifespan)
    app.include_router(annotation_routes(desk), responses=PROBLEMS)
    app.include_router(state_routes(lambda: desk.is_ready, monitor))
    if hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    return Gate(app, limits or Limits(), monitor, token=token)


def annotation_routes(desk: Desk) -> APIRouter:
    """Return the page at ``/`` and its routes.

    The handlers are plain functions, which run in threads: the database may make them wait.
    """
    router = APIRouter()
    add_page_files(router, ANNOTATION_FILES)
    _add_state(router, desk)
    _add_leases(router, desk)
    _add_work(router, desk)
    if desk.training:
        _add_training(router, desk, desk.training)
    return router


def _add_state(router: APIRouter, desk: Desk) -> None:
    """Add the routes for the project, its progress and its models."""

    def project() -> Response:
        """Return the labels of the project."""
        return _answer(desk.describe())

    def progress() -> Response:
        """Return the progress of the project, its models and the time that is left."""
        return _answer(desk.progress())

    def use_model(request: ModelRequest) -> Response:
        """Let another version of the model propose spans, for instance an earlier one."""
        desk.store.activate(request.version)
        return _answer(desk.progress())

    for name, read in (("project", project), ("progress", progress)):
        router.add_api_route(f"/annotation/{name}", read, methods=["GET"], response_class=Response)
    _add_post(router, {"model": use_model})


def _add_leases(router: APIRouter, desk: Desk) -> None:
    """Add the routes that take and end leases."""

    def next_sentence(request: NextRequest) -> Response:
        """Lease the next sentence, or the next annotation to check."""
        find = desk.next_audit if request.audit else desk.next_sentence
        return _answer(find(request.annotator.strip()))

    def renew(request: KeyRequest) -> Response:
        """Extend a lease; `renewed` is false if somebody else has the sentence."""
        return _answer({"renewed": desk.store.renew(request.key)})

    def release(request: KeyRequest) -> Response:
        """End a lease."""
        desk.store.release(request.key)
        return _answer({})

    _add_post(router, {"next": next_sentence, "renew": renew, "release": release})


def _add_work(router: APIRouter, desk: Desk) -> None:
    """Add the routes that store decisions and undo them."""

    def decide(request: DecisionRequest) -> Response:
        """Store the annotation of a leased sentence, or that it is skipped; it is on disk with the answer."""
        work = request.work
        if work is None:
            return _answer(desk.decide(request.key, None, request.seconds))
        spans = [Span(span.start, span.end, span.label) for span in work.spans]
        return _answer(desk.decide(request.key, (work.n_tokens, spans, work.unknown), request.seconds))

    def undo(request: UndoRequest) -> Response:
        """Undo the annotator's last decision and lease its sentence again."""
        return _answer(desk.undo(request.annotator.strip(), request.key))

    _add_post(router, {"decide": decide, "undo": undo})


def _add_training(router: APIRouter, desk: Desk, training: BackgroundTraining) -> None:
    """Add the routes that start, watch and stop a training."""

    def state() -> Response:
        """Return the state of the last training."""
        return _answer(desk.training_state())

    def start(request: TrainingRequest) -> Response:
        """Train the next version of the model, or resume an unfinished run."""
        training.start(restart=request.restart)
        return _answer(desk.training_state())

    def stop(request: StopRequest) -> Response:
        """Stop the training after its current step; it can be resumed."""
        training.stop()
        return _answer(desk.training_state())

    router.add_api_route("/annotation/training", state, methods=["GET"], response_class=Response)
    _add_post(router, {"training/start": start, "training/stop": stop})


def _add_post(router: APIRouter, handlers: Mapping[str, Callable[..., Response]]) -> None:
    for name, handler in handlers.items():
        router.add_api_route(f"/annotation/{name}", handler, methods=["POST"], response_class=Response)


def _answer(values: dict[str, Any] | None) -> Response:
    # ASCII, so that a lone surrogate in a text cannot fail.
    return Response(
        json.dumps(values),
        media_type="application/json",
        headers={**NO_SNIFFING, "Cache-Control": "no-store"},
    )
