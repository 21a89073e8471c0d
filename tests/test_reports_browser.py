"""The error page in a real browser: content, filters, and no requests."""

from collections import Counter

import pytest
from error_analysis import NER, POS, WORDS, make_evaluation
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import watch_page

from tagger.reports.error_page import KINDS, write_errors

LONG = ["word" * 40, "a", "\u202eabc", "<script>x</script>", "ДОМ", "x" * 90]
EVALUATION = make_evaluation(
    [*WORDS, LONG],
    {
        "ner": (
            [*NER[0], ["B-" + "L" * 60, "I-" + "L" * 60, "O", "B-PER", "O", "O"]],
            [*NER[1], ["B-<b>", *["O"] * 5]],
            "IOB2",
        ),
        "pos": ([*POS[0], ["N"] * 6], [*POS[1], [*"NVAXYZ"]], None),
    },
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "errors.html"
    write_errors(EVALUATION, path, model="a model", file="test.conll")
    return path.as_uri()


@pytest.fixture(scope="module")
def page(browser, address):
    """Return an open page that records ``problems`` of its console and its ``requests``."""
    return watch_page(browser, address, viewport={"width": 1280, "height": 900})


def expect(kinds=KINDS, task=None, gold=None, predicted=None, text=""):
    """Return the expected articles, errors, counts per kind, and sentences, computed in Python."""
    shown, counts = Counter(), Counter()
    for name, result in EVALUATION.tasks.items():
        for mistake in result.mistakes:
            words = EVALUATION.sentences[mistake.sentence].text.lower()
            labels = tuple((name, label) for label in mistake.outcome.labels)
            if (
                (task is None or task == name)
                and all(
                    chosen in (None, label) for chosen, label in zip((gold, predicted), labels, strict=True)
                )
                and text.lower() in words
            ):
                counts[mistake.outcome.kind] += 1
                shown[name, mistake.sentence] += mistake.outcome.kind in kinds
    return len(+shown), shown.total(), counts, len({sentence for _, sentence in +shown})


def look(page):
    """Return the same values from the page; the number of sentences is that in its text."""
    visible = page.locator("article:visible").count()
    chips = page.locator("article:visible [data-error]:not(.off)").count()
    counts = {
        KINDS[int(one["kind"])]: int(one["count"])
        for one in page.evaluate(
            "[...document.querySelectorAll('[data-kind]')]"
            ".map(one => ({kind: one.dataset.kind, count: one.textContent}))"
        )
    }
    sentences = int(page.inner_text("#shown").partition(" ")[0])
    return visible, chips, +Counter(counts), sentences


def choose(page, name, option):
    """Select a task by its name, or a label by task and name; None selects all."""
    if option is None:
        page.select_option(f"select[name={name}]", "")
    elif isinstance(option, str):
        page.select_option(f"select[name={name}]", label=option)
    else:
        task, label = option
        value = page.evaluate(
            "([name, task, label]) => [...document.querySelectorAll(`select[name=${name}] optgroup`)]"
            ".find(one => one.label === task).querySelectorAll('option').values()"
            ".find(one => one.textContent === label).value",
            [name, task, label or "(no span)"],
        )
        page.select_option(f"select[name={name}]", value)


USED = sorted({mistake.outcome.kind for task in EVALUATION.tasks.values() for mistake in task.mistakes})
LABELS = st.sampled_from(
    [
        None,
        *{
            (name, label)
            for name, task in EVALUATION.tasks.items()
            for label in (*task.confusion["by_label"], *[None] * task.has_spans)
        },
    ]
)


@pytest.mark.slow
@settings(max_examples=25)
@given(
    kinds=st.sets(st.sampled_from(USED)),
    task=st.sampled_from([None, None, "ner", "pos"]),
    gold=LABELS,
    predicted=LABELS,
    text=st.sampled_from(["", "", "lima", "ADA S", "nothing", "<script>"]),
)
def test_filters_match_the_counts_in_python(page, kinds, task, gold, predicted, text):
    for kind in USED:
        page.set_checked(f"input[value='{KINDS.index(kind)}']", kind in kinds)
    choose(page, "task", task)
    choose(page, "gold", gold)
    choose(page, "predicted", predicted)
    page.fill("input[type=search]", text)
    expected, everything = expect(kinds, task, gold, predicted, text), expect()
    assert look(page) == expected
    assert everything[3] < everything[0], "no sentence has errors in two tasks"
    summary = f"{expected[3]} of {everything[3]} sentences, {expected[1]} of {everything[1]} errors"
    assert page.inner_text("#shown") == summary


def test_show_all_resets_the_filters(page):
    page.fill("input[type=search]", "nothing holds this")
    assert look(page)[0] == 0
    page.click("button[type=reset]")
    page.wait_for_function("document.querySelectorAll('article:not([hidden])').length > 0")
    assert look(page) == expect()


def test_a_cell_of_the_matrix_filters_its_errors(page):
    link = page.locator("table.matrix a").first
    title = link.locator("xpath=..").get_attribute("title")
    gold, predicted = (("ner", None if name == "(no span)" else name) for name in title.split(" → "))
    count = int(link.inner_text())
    link.focus()
    page.keyboard.press("Enter")
    assert look(page) == expect(gold=gold, predicted=predicted)
    assert look(page)[1] == count


def test_a_link_to_a_hidden_sentence_shows_it(page):
    page.fill("input[type=search]", "nothing holds this")
    link = page.locator(".frequent a").first
    target = link.get_attribute("href")
    link.click()
    page.wait_for_function("target => !document.querySelector(target).hidden", arg=target)
    assert page.locator(target).is_visible()


def test_the_filters_can_be_used_with_the_keyboard(page):
    page.click("button[type=reset]")
    page.focus("input[name=kind]")
    page.keyboard.press("Space")
    assert not page.is_checked("input[name=kind] >> nth=0")
    reached = set()
    for _ in range(len(USED) + 5):
        reached.add(page.evaluate("document.activeElement.name || document.activeElement.type"))
        page.keyboard.press("Tab")
    assert reached == {"kind", "task", "gold", "predicted", "text", "reset"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_no_element_overflows_the_page(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.click("button[type=reset]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        "width => [...document.querySelectorAll('body *')].filter(one => !one.closest('.scroll > *')"
        " && one.getBoundingClientRect().right > width + 1).map(one => one.outerHTML.slice(0, 99))",
        width,
    )
    assert wide == []
    tops = [page.locator(f"article .{side}").first.bounding_box()["y"] for side in ("gold", "predicted")]
    assert (tops[0] == tops[1]) == (width == 1280)  # side by side, but stacked on a phone
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_without_scripts_everything_is_visible(browser, address):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(address)
        assert page.locator("article").count() == expect()[0]
        assert all(one.is_visible() for one in page.locator("article").all())
        assert not page.locator("form").is_visible()


def test_the_page_makes_no_requests_and_logs_nothing(page, address):
    assert {url.partition("#")[0] for url in page.requests} == {address}
    assert page.problems == []
