"""The page of ``tagger annotate`` in a real browser: by keyboard alone, by mouse, and how it looks."""

from time import monotonic

import pytest
from annotation_desks import SETTINGS, in_effect, make_model, make_store
from annotation_pages import call, open_page, opened, press, ready, selection, shown, tokens
from pages import UNNAMED, WIDE, check_contrast, watch_page
from playwright.sync_api import expect
from servers import LONGEST_WAIT, serve

from tagger.annotation.project_records import Decision
from tagger.corpus.project_documents import ProjectSettings
from tagger.serving.annotation_desk import Desk
from tagger.serving.annotation_routes import make_annotation_gate

pytestmark = pytest.mark.slow

TEXTS = ["Mira met Tom in New Ayr", "Rain fell on Ayr", "Ayr lost Lang"]
MANY = ProjectSettings(
    "ner", tuple(f"{kind}-{number}" for kind in ("PER", "LOC", "ART") for number in range(20))
)


@pytest.fixture(scope="module")
def model(folder):
    return make_model(folder)


def number_of(store, words):
    return next(number for number, one in store.unannotated() if list(one.tokens) == words)


@pytest.fixture
def store(tmp_path):
    with make_store(tmp_path / "case.db", TEXTS) as store:
        yield store


def test_a_project_is_annotated_with_the_keyboard_alone(browser, store):
    with opened(browser, store) as page:
        assert page.evaluate("document.activeElement.id") == "text"
        for done in range(len(TEXTS)):
            words = tokens(page)
            number = number_of(store, words)
            press(page, "1", "ArrowRight", "Shift+ArrowRight", "2")
            assert shown(page) == [[words[0], "PER"], [" ".join(words[1:3]), "LOC"]]
            press(page, "Enter")
            tags = ("B-PER", "B-LOC", "I-LOC") + ("O",) * (len(words) - 3)
            assert in_effect(store)[number] == tags  # before the next sentence is shown
            assert len(in_effect(store)) == done + 1
        assert page.inner_text("#state") == "Nothing is left to annotate."
        press(page, "u")
        assert shown(page) == [[words[0], "PER"], [" ".join(words[1:3]), "LOC"]]
        press(page, "Home", "Delete", "End", "0", "Enter")
        assert in_effect(store)[number] == ("O", *tags[1:-1], "?")
    assert all(one.seconds > 0 for one in store.annotations() if one.kind == "accepted")


def test_skip_undo_and_undo_again(browser, store):
    with opened(browser, store) as page:
        first = tokens(page)
        press(page, "s")
        second = tokens(page)
        press(page, "3", "Enter")
        assert sorted(map(str, in_effect(store).values())) == sorted(
            ["None", str(("B-ORG",) + ("O",) * (len(second) - 1))]
        )
        press(page, "u")
        assert (tokens(page), shown(page)) == (second, [[second[0], "ORG"]])
        press(page, "u")
        assert (tokens(page), shown(page)) == (first, [])
        assert in_effect(store) == {}
        press(page, "u")
        assert page.inner_text("#notice") == "There is nothing to undo."
        press(page, "?")
        expect(page.locator("#help")).to_be_visible()
        press(page, "s", "?")
        expect(page.locator("#help")).not_to_be_visible()
        assert in_effect(store) == {}


def test_spans_are_prefilled_with_probabilities(browser, tmp_path, model):
    with make_store(tmp_path / "case.db", TEXTS, model) as store, opened(browser, store) as page:
        for _ in TEXTS:
            press(page, "Enter")
        for annotation in store.annotations():
            assert annotation.tags == annotation.proposed
        press(page, "u")
        label = page.locator("#text mark .tag").first
        assert label.inner_text().rpartition("\xa0")[2].endswith("%")
        if len(shown(page)) > 1:
            press(page, "ArrowDown")
        press(page, "1")
        assert "mine" in page.locator("#text mark:has(.cursor)").get_attribute("class")


def test_a_new_span_replaces_those_that_it_overlaps_and_says_so(browser, store):
    with opened(browser, store) as page:
        words = tokens(page)
        press(page, "ArrowRight", "Shift+ArrowRight", "1", "Home", "Shift+ArrowRight", "2")
        assert shown(page) == [[" ".join(words[:2]), "LOC"]]
        assert f"PER “{' '.join(words[1:3])}”" in page.inner_text("#notice")
        press(page, "ArrowRight", "ArrowLeft", "3")  # one token stands for its span
        assert shown(page) == [[" ".join(words[:2]), "ORG"]]


def test_a_selection_by_mouse_is_extended_to_tokens_and_says_so(browser, store):
    with opened(browser, store) as page:
        words = tokens(page)
        boxes = [page.locator("#text .token").nth(index).bounding_box() for index in range(2)]
        page.mouse.move(boxes[0]["x"] + 2 + boxes[0]["width"] / 2, boxes[0]["y"] + 8)
        page.mouse.down()
        page.mouse.move(boxes[1]["x"] + boxes[1]["width"] / 2, boxes[1]["y"] + 8)
        page.mouse.move(boxes[1]["x"] + boxes[1]["width"] / 2, boxes[1]["y"] - 200)  # outside the text
        page.mouse.move(boxes[1]["x"] + boxes[1]["width"] / 2, boxes[1]["y"] + 8)
        page.mouse.up()
        assert selection(page) == words[:2]
        assert f"extended to “{' '.join(words[:2])}”" in page.inner_text("#notice")
        page.locator("#labels button").nth(1).click()
        assert shown(page) == [[" ".join(words[:2]), "LOC"]]
        page.locator("#text .token").nth(2).click()
        assert selection(page) == [words[2]]
        assert page.inner_text("#notice") == ""
        press(page, "Enter")  # the focus is not on the button that was clicked
        assert len(in_effect(store)) == 1


def test_arrows_follow_the_direction_of_the_text(browser, tmp_path):
    words = ["דוד", "בן-גוריון", "נולד", "ב", "Płońsk", "😀👩\u200d👩\u200d👧", "היום"]
    with make_store(tmp_path / "case.db", [" ".join(words)]) as store, opened(browser, store) as page:
        assert page.evaluate("getComputedStyle(document.querySelector('#text')).direction") == "rtl"
        press(page, "Shift+ArrowLeft", "1")
        assert shown(page) == [[" ".join(words[:2]), "PER"]]
        press(page, *["ArrowLeft"] * 4)
        assert selection(page) == [words[5]]
        press(page, "2", "ArrowRight", "3", "Enter")
        tags = ("B-PER", "I-PER", "O", "O", "B-ORG", "B-LOC", "O")
        assert list(in_effect(store).values()) == [tags]


def test_keyboards_of_other_scripts_have_the_letters_in_their_places(browser, store):
    with opened(browser, store) as page:
        page.evaluate(
            "document.activeElement.dispatchEvent("
            "new KeyboardEvent('keydown', { key: 'ד', code: 'KeyS', bubbles: true }))"
        )
        ready(page)
        assert list(in_effect(store).values()) == [None]


def test_sixty_labels_are_found_by_their_names(browser, tmp_path):
    with make_store(tmp_path / "case.db", TEXTS, settings=MANY) as store, opened(browser, store) as page:
        words = tokens(page)
        assert page.locator("#labels button").count() == 60
        press(page, "/")
        page.keyboard.type("art-1")
        assert page.locator("#labels button").count() == 11
        press(page, "ArrowDown", "Enter")
        assert shown(page) == [[words[0], "ART-10"]]
        assert page.locator("#labels button").count() == 60
        press(page, "ArrowRight", "9", "ArrowRight", "/", "Escape", "1", "Enter")
        assert next(iter(in_effect(store).values()))[:3] == ("B-ART-10", "B-PER-8", "B-PER-0")


def test_a_long_sentence_scrolls_to_the_cursor(browser, tmp_path):
    text = "Mira met Tom 😀 " * 334
    with make_store(tmp_path / "case.db", [text]) as store, opened(browser, store) as page:
        press(page, "End", "Shift+ArrowLeft", "1")
        box, frame = page.locator(".cursor").bounding_box(), page.locator("#text").bounding_box()
        assert frame["y"] <= box["y"] <= frame["y"] + frame["height"]
        press(page, "Enter")
        (tags,) = in_effect(store).values()
        assert (len(tags), tags[-2:], set(tags[:-2])) == (4 * 334, ("B-PER", "I-PER"), {"O"})


def test_two_tabs_and_two_people_have_different_sentences(browser, store):
    with serve(make_annotation_gate(Desk(store))) as address:
        pages = [open_page(browser, address, name) for name in ("ada", "ada", "bob")]
        assert sorted(" ".join(tokens(page)) for page in pages) == sorted(TEXTS)
        fourth = open_page(browser, address, "bob")
        assert fourth.inner_text("#state").startswith("Others annotate all sentences")
        left = tokens(pages[1])
        pages[1].close(run_before_unload=False)
        fourth.goto("about:blank")
        fourth.context.close()
        pages[1].context.close()
        deadline = monotonic() + LONGEST_WAIT
        while (lease := call(store.lease_next, "eve")) is None:  # the tab released it when it was closed
            assert monotonic() < deadline
        assert list(store.sentence(lease.sentence).tokens) == left
        for page in (pages[0], pages[2]):
            assert page.problems == []
            page.context.close()


def test_annotations_are_checked_and_proposals_taken(browser, tmp_path, model):
    with make_store(tmp_path / "case.db", TEXTS, model) as store:
        for number, sentence in list(store.unannotated()):
            lease = store.lease("eve", number, arm="chosen", strategy="")
            store.record(lease.key, Decision(("B-ORG",) + ("I-ORG",) * (len(sentence) - 1)))
        with opened(browser, store) as page:
            assert page.inner_text("#state") == "Nothing is left to annotate."
            press(page, "a")
            assert "annotated as ORG" in page.inner_text("#suspicions")
            assert shown(page) == [[" ".join(tokens(page)), "ORG"]]
            words = tokens(page)
            press(page, "p")
            assert shown(page) != [[" ".join(words), "ORG"]]
            press(page, "Enter")
            audited = [one for one, _ in store.annotated() if one.arm == "audit"]
            assert [list(store.sentence(one.sentence).tokens) for one in audited] == [words]
            press(page, "s")
            assert len([one for one, _ in store.annotated() if one.arm == "audit"]) == 1
            press(page, "a")
            assert page.inner_text("#state") == "Nothing is left to annotate."


def test_pauses_and_hidden_tabs_do_not_count(browser, store):
    with serve(
        make_annotation_gate(
            Desk(
                store,
            )
        )
    ) as address:
        page = browser.new_context().new_page()
        page.clock.install()
        page.goto(f"{address}/")
        page.keyboard.type("ada")
        page.keyboard.press("Enter")
        ready(page)
        sent = []
        page.on("request", lambda request: sent.append(request) if request.url.endswith("/decide") else None)
        for milliseconds in (5000, 100_000, 4000):  # the second is a pause
            page.clock.run_for(milliseconds)
            page.keyboard.press("ArrowRight")
        page.evaluate(
            "Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        page.clock.run_for(20_000)
        page.evaluate(
            "Object.defineProperty(document, 'hidden', { value: false, configurable: true });"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
        page.clock.run_for(2000)
        page.keyboard.press("Enter")
        ready(page)
        assert sent[0].post_data_json["seconds"] == pytest.approx(11, abs=0.9)
        page.context.close()


def test_an_error_keeps_the_work(browser, store):
    with opened(browser, store) as page:
        press(page, "1")
        work = shown(page)
        page.route("**/decide", lambda route: route.fulfill(status=503, json={"detail": "the server stops."}))
        press(page, "Enter")
        assert page.inner_text("#problem") == "the server stops."
        assert shown(page) == work
        page.unroute("**/decide")
        press(page, "Enter")
        assert page.inner_text("#problem") == ""
        assert len(in_effect(store)) == 1
        page.problems = [one for one in page.problems if "503" not in one]


def test_the_page_asks_for_the_token(browser, store):
    with serve(make_annotation_gate(Desk(store), token="sesame")) as address:
        page = watch_page(browser.new_context(), f"{address}/")
        page.keyboard.type("ada")
        page.keyboard.press("Enter")
        expect(page.locator("#token")).to_be_focused()
        page.keyboard.type("sesame")
        page.keyboard.press("Enter")
        ready(page)
        assert len(tokens(page)) > 2
        press(page, "1", "Enter")
        assert len(in_effect(store)) == 1
        page.context.close()


def test_the_labels_of_the_settings_have_their_keys(browser, store):
    with opened(browser, store) as page:
        assert page.locator("#labels kbd").all_text_contents() == ["1", "2", "3"]
        assert page.locator("#labels bdi").all_text_contents() == list(SETTINGS.labels)
        assert page.locator("#filter-box").is_hidden()
        assert "0 of" not in page.inner_text("#counts")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_readable_and_fits_the_window(browser, tmp_path, model, scheme, width):
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    texts = [*TEXTS, "Mira met " + "x" * 120]
    with make_store(tmp_path / "case.db", texts, model, MANY) as store:
        for version in (2, 3):
            scores = {"f1": version / 10, "low": 0.1, "high": 0.9, "before": {"version": 1, "f1": 0.1}}
            store.add_model(model, scores)
        store.activate(3)
        with opened(browser, store, **options) as page:
            for _ in texts:
                press(page, "Home", "0", "ArrowRight", "1", "ArrowRight")
                check_contrast(page)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert page.evaluate(WIDE, width) == []
                press(page, "Enter")
            assert page.evaluate(UNNAMED) == []
            press(page, "?")
            check_contrast(page)
            press(page, "?", "a")
            check_contrast(page)


def test_progress_tells_the_time_left_the_gain_and_goes_back(browser, tmp_path, model):
    with make_store(tmp_path / "case.db", TEXTS, model) as store:
        before = {"version": 1, "f1": 0.61, "low": 0.5, "high": 0.7}
        store.activate(store.add_model(model, {"f1": 0.67, "low": 0.6, "high": 0.7, "before": before}))
        with opened(browser, store) as page:
            press(page, "Enter", "s")
            expect(page.locator("#counts")).to_contain_text("accepted, 1 skipped, of 3")
            assert "The rest of the pool takes less than a minute." in page.inner_text("#counts")
            assert "version 2 has an F1 of 67.0%; version 1 has 61.0%" in page.inner_text("#models")
            page.get_by_role("button", name="Use").focus()
            page.keyboard.press("Enter")
            expect(page.locator("#notice")).to_contain_text("Version 1 of the model proposes")
            assert [one.is_active for one in store.models()] == [True, False]
