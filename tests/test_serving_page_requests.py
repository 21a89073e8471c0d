"""The page in a real browser: what it sends to the server, and what it does with answers and errors."""

import json
from urllib.parse import urlsplit

import pytest
from page_server import (
    TEXT,
    fragment,
    make_models,
    make_page_app,
    open_page,
    serve_page,
    wait_for,
    watched_page,
    write,
)
from pages import watch_page
from playwright.sync_api import expect

from tagger.serving.http_app import make_gate
from tagger.serving.service import Service

pytestmark = pytest.mark.slow

MARKUP = "<img src=x onerror=alert(1)> <i>Mira</i> &amp; <script>alert(1)</script> \u202eabc"


@pytest.fixture(scope="module")
def models():
    return make_models()


@pytest.fixture(scope="module")
def app(models):
    return make_page_app(Service(models), compare=models[1])


@pytest.fixture(scope="module")
def address(app):
    with serve_page(app) as address:
        yield address


@pytest.fixture
def page(browser, address):
    with watched_page(browser, address) as page:
        yield page


def test_a_link_holds_the_text_and_is_never_sent(browser, address, app):
    app.state.requests.clear()
    secret = "Mira met a secret Ayr & <b>#1</b> 50% of ümlauts 😀"
    page = open_page(browser, address)
    write(page, secret)
    link = page.evaluate("document.querySelector('#link').href")
    page.goto("about:blank")
    page.goto(link)
    wait_for(page, secret)
    assert page.input_value("#text") == secret
    page.evaluate("location.hash = '#text=Tom+fell'")
    wait_for(page, "Tom fell")
    assert page.input_value("#text") == "Tom fell"
    targets = [url for url, _, _ in app.state.requests]
    assert len(targets) > 10
    for url, headers, _ in app.state.requests:
        assert urlsplit(url).query == urlsplit(url).fragment == ""
        assert "secret" not in url + json.dumps(headers)
        assert "referer" not in headers
    page.context.close()


def test_text_reaches_the_page_as_text_only(page, models):
    write(page, MARKUP)
    assert page.locator("main img, main script, main i").count() == 0
    tokens = [token for one in models[0].tagger.tag(MARKUP) for token in one.tokens]
    for place in ("#words .form", "#tables .form", ".panel .form"):
        assert page.locator(place).all_text_contents() == tokens
    page.evaluate("document.querySelectorAll('mark .tag').forEach((one) => one.remove())")
    shown = "".join(page.locator(".panel:first-child .sentence").all_text_contents())
    assert "".join(shown.split()) == "".join(MARKUP.split())
    page.click("#examples button")


def test_errors_are_one_sentence(page):
    write(page, "a " * 200)
    assert page.inner_text("#problem").startswith("text: a sentence has too many words")
    assert page.inner_text("#problem").count("Shorten") == 1
    assert not page.is_visible("#stage")
    assert page.is_visible("#result")  # the text itself can be tagged
    page.problems.clear()  # the browser logs answers with an error
    write(page, TEXT)
    assert page.inner_text("#problem") == ""
    assert page.is_visible("#stage")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "The server cannot be reached."),
        ({"status": 500, "body": "<h1>oops</h1>"}, "The server answered with status 500."),
        ({"status": 503, "json": {"title": "Service Unavailable", "detail": "too many."}}, "too many."),
        ({"status": 401, "json": {"detail": "no token"}}, "The server asks for an access token."),
        ({"status": 200, "body": "no JSON"}, "The server answered with status 200."),
    ],
)
def test_failed_requests_are_said(page, answer, said):
    page.route("**/tag", lambda route: route.fulfill(**answer) if answer else route.abort())
    page.route("**/next-words", lambda route: route.fulfill(**answer) if answer else route.abort())
    page.fill("#text", "Mira")
    page.wait_for_selector("#problem:not(:empty)")
    assert page.inner_text("#problem").startswith(said)
    assert page.inner_text("#problem").count(said) == 1
    assert not page.is_visible("#result")
    assert page.is_visible("#access") == (said.endswith("token."))
    page.problems.clear()


def test_an_access_token_is_sent_as_bearer_token(page, app):
    page.route("**/tag", lambda route: route.fulfill(status=401, json={"detail": "no token"}))
    page.fill("#text", "Mira")
    page.wait_for_selector("#access:not([hidden])")
    page.unroute("**/tag")
    app.state.requests.clear()
    page.fill("#token", "abc")
    page.wait_for_selector("#problem:empty", state="attached")
    assert {headers.get("authorization") for _, headers, _ in app.state.requests} == {"Bearer abc"}
    page.problems.clear()


def test_a_server_with_a_token_serves_the_page_and_asks_for_the_token(browser, models):
    gate = make_gate(models[:1], version="0", token="abc", compare=models[1])
    with serve_page(gate) as address:
        page = watch_page(browser.new_context(), address + fragment(TEXT))
        page.wait_for_selector("#problem:not(:empty)")
        assert not page.is_visible("#stage")
        page.fill("#token", "wrong")
        page.fill("#token", "abc")
        wait_for(page, TEXT)
        expect(page.locator("#problem")).to_have_text("")
        assert page.locator("#words .form").count() == page.locator("#tables .form").count() > 10
        assert page.locator("#compared h3").inner_text() == "Compared with left-to-right"
        assert not page.is_visible("#models")  # one model, and the compared one
        page.context.close()


def test_a_slow_answer_never_replaces_a_newer_one(page):
    held = []
    page.route(
        "**/tag", lambda route: held.append(route) if "slow" in route.request.post_data else route.continue_()
    )
    with page.expect_request("**/tag"):
        page.fill("#text", "Mira slow")
    write(page, "Tom fell")
    for route in held:
        answer = {"sentences": [], "model": {}}
        try:
            route.fulfill(json=answer)
        except Exception:  # the page has aborted it
            continue
    write(page, "Tom fell on Ayr")
    assert [one.inner_text() for one in page.query_selector_all("#words .form")] == [
        "Tom",
        "fell",
        "on",
        "Ayr",
    ]
    assert held
    page.problems.clear()


def test_a_text_without_words_shows_nothing(page):
    write(page, " \n")
    assert not any(page.is_visible(f"#{name}") for name in ("stage", "ahead", "result"))
    assert page.inner_text("#problem") == ""


def test_one_of_several_models_can_be_selected(browser, models):
    with serve_page(make_page_app(Service(models))) as address:
        page = open_page(browser, address)
        with page.expect_response("**/tag") as answer:
            page.select_option("#model", "left-to-right")
        assert answer.value.json()["model"]["name"] == "left-to-right"
        assert "left-to-right, forward" in page.inner_text("#facts")
        page.context.close()
