"""The page of ``tagger annotate`` in a browser for tests: opened and used with the keyboard, and read."""

import threading
from contextlib import contextmanager

from pages import watch_page
from playwright.sync_api import expect
from servers import LONGEST_WAIT, serve

from tagger.serving.annotation_desk import Desk
from tagger.serving.annotation_routes import LOOPBACK, make_annotation_gate


def call(function, *arguments):
    """Call a function in another thread: Playwright has a running loop in this one."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)))
    thread.start()
    thread.join(LONGEST_WAIT)
    return results[0]


@contextmanager
def opened(browser, store, name="ada", training=None, **options):
    """Serve a project, and yield its page after an annotator has entered a name with the keyboard."""
    with serve(make_annotation_gate(Desk(store, training=training), hosts=LOOPBACK)) as address:
        page = open_page(browser, address, name, **options)
        yield page
        assert page.problems == []
        page.context.close()


def open_page(browser, address, name="ada", **options):
    """Open the page with the keyboard."""
    options = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | options
    page = watch_page(browser.new_context(**options), f"{address}/")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    ready(page)
    return page


def ready(page):
    """Wait until the page shows a sentence, or that there is none."""
    page.wait_for_selector("#main:not([aria-busy]) section:is(#work, #rest):not([hidden])")
    expect(page.locator("#state")).not_to_contain_text("being c", timeout=1000 * LONGEST_WAIT)


def press(page, *keys):
    """Press keys; after each, wait until the page is ready."""
    for key in keys:
        page.keyboard.press(key)
        ready(page)


def shown(page):
    """Return the spans on the page as (text, label)."""
    return page.locator("#text mark").evaluate_all(
        "marks => marks.map((mark) => ["
        "[...mark.querySelectorAll('.token')].map((one) => one.textContent).join(' '),"
        " mark.querySelector('.tag').textContent.split('\\u00a0')[0]])"
    )


def tokens(page):
    """Return the tokens on the page."""
    return page.locator("#text .token").all_text_contents()


def selection(page):
    """Return the selected tokens."""
    return page.locator("#text .selected").all_text_contents()
