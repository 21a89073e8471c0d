"""The page in a real browser: contrast, sizes, keyboard, screen readers, motion; the headers of its files."""

import re
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from page_server import TEXT, fragment, make_models, make_page_app, open_page, serve_page, wait_for, write
from pages import UNNAMED, WIDE, Page, check_contrast
from playwright.sync_api import expect

from tagger.serving.page_routes import PAGE_FILES
from tagger.serving.service import Service

pytestmark = pytest.mark.slow

LONG = "Mira met " + "x" * 120 + " in New Ayr. Donaudampfschifffahrtsgesellschaftskapitän fell: 😀!"


@pytest.fixture(scope="module")
def models():
    return make_models()


@pytest.fixture(scope="module")
def address(models):
    with serve_page(make_page_app(Service(models), compare=models[1])) as address:
        yield address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(browser, address, scheme):
    page = open_page(browser, address, color_scheme=scheme, reduced_motion="reduce")
    background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert page.query_selector("#words .changed .was")
    page.locator(".panel .sentence").first.focus()
    check_contrast(page)
    page.locator("#panels .sentence").first.hover()
    check_contrast(page)
    page.check("input[name=task][value=pos]")
    page.click("#copy-json")
    check_contrast(page)
    write(page, "a " * 200)
    page.route("**/tag", lambda route: route.fulfill(status=401, json={}))
    write(page, "a " * 201)
    assert page.is_visible("#problem")
    assert page.is_visible("#token")
    check_contrast(page)
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_shades_have_enough_contrast(browser, address, scheme):
    page = open_page(browser, address, color_scheme=scheme, reduced_motion="reduce")
    for hue in range(0, 360, 30):
        for score in (0, 0.5, 1):
            page.locator(".shaded").evaluate_all(
                "(nodes, [hue, score]) => nodes.forEach((node) => {"
                " node.style.setProperty('--hue', hue); node.style.setProperty('--score', score); })",
                [hue, score],
            )
            check_contrast(page)
    page.context.close()


@pytest.mark.parametrize("text", [TEXT, LONG], ids=["text", "long words"])
@pytest.mark.parametrize(
    ("width", "scale", "font"),
    [(320, 1, 100), (390, 1, 100), (640, 2, 100), (1280, 1, 200), (1280, 1, 100)],
    ids=["320", "390", "zoom", "text size", "1280"],
)
def test_nothing_is_wider_than_the_window(browser, address, width, scale, font, text):
    page = open_page(
        browser, address, text, viewport={"width": width, "height": 800}, device_scale_factor=scale
    )
    page.evaluate("size => { document.documentElement.style.fontSize = `${size}%`; }", font)
    page.locator(".panel .sentence").first.focus()
    for task in ("ner", "pos"):
        page.check(f"input[name=task][value={task}]")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(WIDE, width) == []
        holders = page.locator(".tables").evaluate_all(
            "all => all.map((one) => one.scrollWidth - one.clientWidth)"
        )
        assert max(holders) <= 1
    page.context.close()


def test_a_smaller_window_continues_the_tables_below(browser, address):
    page = open_page(browser, address)
    wide = page.locator("#tables table").count()
    words = page.locator("#tables thead .form").all_text_contents()
    page.set_viewport_size({"width": 320, "height": 800})
    expect(page.locator("#tables table")).not_to_have_count(wide)
    assert page.locator("#tables thead .form").all_text_contents() == words
    page.context.close()


def test_all_controls_can_be_reached_and_have_names(browser, address):
    page = open_page(browser, address)
    assert page.evaluate(UNNAMED) == []
    reached, count = set(), page.locator("button, a, textarea, input:not([type=radio])").count() + 30
    page.focus("#text")
    for _ in range(count):
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.name || document.activeElement.className"
            )
        )
        page.keyboard.press("Tab")
    assert reached >= {
        "text",
        "link",
        "task",
        "back",
        "play",
        "forward",
        "step",
        "copy-json",
        "copy-conll",
        "sentence",
    }
    page.focus("input[name=task]:checked")
    page.keyboard.press("ArrowRight")  # the arrow keys of a group of radio buttons
    assert page.is_checked("input[name=task][value=pos]")
    page.context.close()


def test_screen_readers_hear_only_the_last_of_several_steps(browser, address):
    page = browser.new_context().new_page()
    page.clock.install()
    page.goto(address + fragment(TEXT))
    wait_for(page, TEXT)
    page.focus("#forward")
    page.keyboard.press("Home")
    for _ in range(3):
        page.clock.run_for(300)
        page.keyboard.press("ArrowRight")
        assert page.text_content("#announcer") == ""
    page.clock.run_for(1100)
    assert page.get_attribute("#announcer", "aria-live") == "polite"
    assert page.text_content("#announcer") == page.text_content("#event") != ""
    page.context.close()


def test_tags_are_said_in_words(browser, address):
    page = open_page(browser, address)
    cells = page.locator("#tables").aria_snapshot()
    assert "no span" in cells
    assert re.search(r'table "Sentence 1: tags by next words known"', cells)
    assert 'rowheader "all"' in cells
    assert "–" not in cells
    page.context.close()


def test_nothing_moves_for_those_who_want_no_motion(browser, address):
    for motion in ("reduce", "no-preference"):
        page = open_page(browser, address, reduced_motion=motion)
        durations = page.locator("body *").evaluate_all(
            "all => all.map((one) => getComputedStyle(one).transitionDuration)"
        )
        assert (set(durations) == {"0s"}) == (motion == "reduce")
        page.context.close()


def test_the_files_have_strict_headers(address):
    for path, file in PAGE_FILES.items():
        with urlopen(address + path.removeprefix("/")) as answer:
            assert answer.read() == file.read_bytes()
        policy = dict(one.split(" ", 1) for one in answer.headers["content-security-policy"].split("; "))
        sources = {name: policy.pop(name) for name in list(policy) if policy[name] == "'self'"}
        assert sources.keys() == {"script-src", "style-src", "connect-src", "img-src"}
        assert policy == dict.fromkeys(
            ("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'"
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        kind = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
        assert answer.headers["content-type"].startswith(kind[file.name.rpartition(".")[2]])


def test_the_page_loads_only_its_own_files():
    html = PAGE_FILES["/"].read_text(encoding="utf-8")
    page = Page(html.replace("<!doctype html>", ""))
    used = [
        one["attributes"][name]
        for one in page.elements
        for name in ("src", "href")
        if name in one["attributes"]
    ]
    assert {f"/{one}" for one in used if one != "#"} <= PAGE_FILES.keys()
    assert not any(urlsplit(one).netloc for one in used)
    assert not any({"style", "onclick", "onload"} & one["attributes"].keys() for one in page.elements)
    assert not any(one["text"].strip() for one in page.elements if one["tag"] in ("script", "style"))
    for path, file in PAGE_FILES.items():
        text = file.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}, path
        for name in re.findall(r'from "\./([^"]+)"', text):
            assert f"/page/{name}" in PAGE_FILES
