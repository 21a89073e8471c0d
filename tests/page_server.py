"""The page for tests: models, an app that records its requests and runs in a thread, and a browser's page."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from bundles import make_bundle
from fastapi import FastAPI, Request, Response
from pages import watch_page
from servers import serve

from tagger.runtime.tagger import Tagger
from tagger.serving.http_app import make_app
from tagger.serving.service import ServedModel, Service

TEXT = "Mira met Tom in New Ayr. Rain fell 😀 on Mira Lang!"


def promise(least):
    return {
        "min_score": least,
        "found": 10,
        "precision": 0.5 + least / 2,
        "recall": 0.9 - least / 4,
        "f1": 0.5,
    }


def make_models() -> tuple[ServedModel, ServedModel]:
    """Return a model with promised dev scores for ner, and a forward model, both with random weights."""
    bundle = make_bundle()[1]
    thresholds = {"ner": [promise(step / 10) for step in range(10)]}
    tagger = Tagger(replace(bundle, metrics={"thresholds": thresholds}), threads=1)
    forward = Tagger(make_bundle(3, direction="forward", context="sentence")[1], threads=1)
    return ServedModel("both", tagger, "1" * 64), ServedModel("left-to-right", forward, "2" * 64)


def make_page_app(service: Service, compare: ServedModel | None = None) -> FastAPI:
    """Return the app with the page; ``app.state.requests`` has the address and the body of each request."""
    app = make_app(service, "0", compare)
    app.state.requests = []

    @app.middleware("http")
    async def record(request: Request, call_next) -> Response:
        app.state.requests.append((str(request.url), dict(request.headers), await request.body()))
        return await call_next(request)

    return app


@contextmanager
def serve_page(app) -> Iterator[str]:
    """Serve an app in a thread, and yield the address of its page."""
    with serve(app) as address:
        yield f"{address}/"


def open_page(browser, address: str, text: str = TEXT, **options):
    """Open the page with a text in a browser context of its own, watched, and wait for the answers."""
    options = {"viewport": {"width": 1280, "height": 900}} | options
    page = watch_page(browser.new_context(**options), address + fragment(text))
    wait_for(page, text)
    return page


def write(page, text: str) -> None:
    """Write a text into the page's box, and wait for the answers."""
    page.fill("#text", text)
    wait_for(page, text)


def wait_for(page, text: str) -> None:
    """Wait until the page has the answers for a text, or an error."""
    page.wait_for_selector(f"#main:not([aria-busy]) #link[href='{fragment(text)}']")


def fragment(text: str) -> str:
    return f"#{urlencode({'text': text})}"


@contextmanager
def watched_page(browser, address: str) -> Iterator[Any]:
    """Yield the page with ``TEXT``; at the end nothing may have been logged or have left the host."""
    page = open_page(browser, address)
    yield page
    assert page.problems == []
    assert {urlsplit(url).netloc for url in page.requests} == {urlsplit(address).netloc}
    page.context.close()
