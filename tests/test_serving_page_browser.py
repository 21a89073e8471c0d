"""The page in a real browser: what it shows, how it is used, and what it never does."""

import json

import pytest
from page_server import (
    TEXT,
    fragment,
    make_models,
    make_page_app,
    open_page,
    promise,
    serve_page,
    wait_for,
    watched_page,
)
from pages import watch_page
from playwright.sync_api import expect

from tagger.cli.formats import Document, conll_pieces
from tagger.errors import InputError
from tagger.runtime.json_lines import sentence_lines
from tagger.runtime.options import TagOptions
from tagger.serving.service import ServedModel, Service

pytestmark = pytest.mark.slow

KNOWN = ("0", "1", "2", "4", "all")
TASKS = ("ner", "pos")


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


def prefixes_of(tagger, text):
    """Return for each sentence its tokens and, for each number of words, the tags of this prefix alone."""
    for sentence in tagger.tag(text):
        tokens = list(sentence.tokens)
        yield tokens, [tagger.tag_tokens([tokens[:end]], scores=True)[0] for end in range(1, len(tokens) + 1)]


def short(tag, task):
    """Return a tag as the page shows it."""
    if task == "pos":
        return tag
    return "–" if tag == "O" else tag[2:] if tag[0] == "B" else f"…{tag[2:]}"


def percent(score):
    return "<1%" if 0 < score < 0.005 else f"{int(100 * score + 0.5)}%"


def cells_of(page, selector):
    """Return for each number of known words the words' cells, as (word, tag, was); tables are joined."""
    rows = {known: [] for known in KNOWN}
    for table in page.query_selector_all(f"{selector} table"):
        words = [one.inner_text() for one in table.query_selector_all("thead .form")]
        for row in table.query_selector_all("tbody tr"):
            known = row.query_selector("th").inner_text()
            for word, cell in zip(words, row.query_selector_all("td"), strict=True):
                was = cell.query_selector(".was")
                assert (was is None) == (cell.query_selector(".changed") is None)
                rows[known].append((word, visible(cell.query_selector(".tag")), was and visible(was)))
    return rows


def visible(node):
    """Return the text of a node without what only screen readers read."""
    return node.evaluate(
        "node => { const copy = node.cloneNode(true);"
        " copy.querySelectorAll('.unseen').forEach((one) => one.remove()); return copy.textContent; }"
    ).replace("\xa0", " ")


def expected_cells(tagger, task):
    rows = {known: [] for known in KNOWN}
    for tokens, prefixes in prefixes_of(tagger, TEXT):
        for word, token in enumerate(tokens):
            before = None
            for known in KNOWN:
                last = len(tokens) if known == "all" else min(len(tokens), word + 1 + int(known))
                tags = prefixes[last - 1]
                tag, score = tags.tags[task][word], round(tags.tag_scores[task][word], 4)
                said = f"{short(tag, task)} {percent(score)}"
                was = f"was {before[1]}" if before and before[0] != tag else None
                rows[known].append((token, said, was))
                before = (tag, said)
    return rows


def close(one, other):
    """True if two cells are equal, but for percentages that may round differently."""
    if one is None or other is None:
        return one is other
    (tag, _, score), (other_tag, _, other_score) = one.rpartition(" "), other.rpartition(" ")
    return tag == other_tag and abs(int(score.strip("<%")) - int(other_score.strip("<%"))) <= 1


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("number_of_model", [0, 1])
def test_each_row_has_the_tags_of_prefixes_tagged_alone(page, models, task, number_of_model):
    page.check(f"input[name=task][value={task}]")
    found = cells_of(page, ("#tables", "#compared")[number_of_model])
    expected = expected_cells(models[number_of_model].tagger, task)
    for known in KNOWN:
        assert [cell[0] for cell in found[known]] == [cell[0] for cell in expected[known]]
        for one, other in zip(found[known], expected[known], strict=True):
            assert close(one[1], other[1])
            assert close(one[2], other[2])
    assert any(cell[2] for row in found.values() for cell in row)


def test_the_packaged_model_changes_its_mind_about_jordan(browser):
    try:
        model = ServedModel.load("en")
    except InputError:
        pytest.skip("the English model is not in the package")
    app = make_page_app(Service([model]))
    with serve_page(app) as address:
        page = watch_page(browser.new_context(), address)
        page.wait_for_selector("#tables table")
        assert page.query_selector("#words .changed .form").inner_text() == "Jordan"
        assert "PER" in visible(page.query_selector("#words .changed .tag"))
        assert "does not store" in page.inner_text(".promise") or "On dev" in page.inner_text(".promise")
        assert page.locator("#compared").inner_text() == ""
        assert page.problems == []
        page.context.close()


def stage_of(page):
    """Return the words that are read, each with its tag, what it was, and True if it is marked."""
    return [
        (word.query_selector(".form").inner_text(), visible(tag), visible(was) if was else None)
        for word in page.query_selector_all("#words .word:not(.unread)")
        for tag, was in [(word.query_selector(".tag"), word.query_selector(".was"))]
    ]


def expected_stage(tagger, task, position):
    """Return what ``stage_of`` should return when ``position`` words are read."""
    words, read = [], 0
    for tokens, prefixes in prefixes_of(tagger, TEXT):
        known = min(len(tokens), position - read)
        is_current = 0 < position - read <= len(tokens)
        for word in range(max(0, known)):
            tags = prefixes[known - 1]
            said = short(tags.tags[task][word], task)
            before = prefixes[known - 2].tags[task][word] if is_current and word < known - 1 else None
            was = short(before, task) if before and before != tags.tags[task][word] else None
            words.append((tokens[word], said, was))
        read += len(tokens)
    return words


def check_stage(page, tagger, position):
    found = [
        (word, tag.rpartition(" ")[0], was and was.removeprefix("was ").rpartition(" ")[0])
        for word, tag, was in stage_of(page)
    ]
    assert found == expected_stage(tagger, "ner", position)
    assert page.input_value("#step") == str(position)


def test_arrow_keys_step_through_the_words(page, models):
    tagger, total = models[0].tagger, len(page.query_selector_all("#words .word"))
    page.focus("#play")
    page.keyboard.press("Home")
    check_stage(page, tagger, 0)
    for position in range(1, total + 1):
        page.keyboard.press("ArrowRight")
        check_stage(page, tagger, position)
    page.keyboard.press("ArrowRight")
    check_stage(page, tagger, total)
    page.keyboard.press("ArrowLeft")
    check_stage(page, tagger, total - 1)
    page.keyboard.press("End")
    check_stage(page, tagger, total)
    page.focus("#step")  # the slider's own keys, as without focus
    page.keyboard.press("ArrowLeft")
    check_stage(page, tagger, total - 1)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowLeft")
    check_stage(page, tagger, total - 2)
    page.click("#forward")
    check_stage(page, tagger, total - 1)
    page.focus("#text")  # keys of the text box move its cursor
    page.keyboard.press("ArrowLeft")
    check_stage(page, tagger, total - 1)


def test_a_change_is_said_in_words_and_can_be_revisited(page):
    for button in page.query_selector_all("#changes button"):
        button.click()
        assert button.get_attribute("aria-current") == "step"
        marked = [one.inner_text() for one in page.query_selector_all("#words .changed .form")]
        event = page.inner_text("#event")
        assert marked
        assert all(f"“{word}” changes from " in event for word in marked)
        expect(page.locator("#announcer")).to_have_text(event)


def test_playing_reads_word_by_word_and_stops_at_the_end(browser, address):
    page = browser.new_context().new_page()
    page.clock.install()
    page.goto(address + fragment("Mira met Tom"))
    page.wait_for_selector("#words .word")
    page.click("#play")  # at the end or at a change: begins again only at the end
    page.focus("#play")
    page.keyboard.press("Home")  # a key pauses
    assert page.inner_text("#play") == "Play"
    page.click("#play")
    assert page.inner_text("#play") == "Pause"
    for position in ("1", "2", "3"):
        page.clock.run_for(900)
        assert page.input_value("#step") == position
    assert page.inner_text("#play") == "Play"
    page.clock.run_for(5000)
    assert page.input_value("#step") == "3"
    page.context.close()


def shown_spans(page):
    return [visible(mark) for mark in page.query_selector_all("#panels mark")]


def test_spans_have_scores_as_text_and_shade_and_follow_the_threshold(page, models):
    spans = [span for one in models[0].tagger.tag(TEXT) for span in one.spans["ner"]]
    assert len({span.score for span in spans}) > 2
    slider = page.locator("#panels input[type=range]")
    for step in range(10):
        slider.fill(str(step))
        least = step / 10
        kept = [span for span in spans if span.score >= least]
        assert shown_spans(page) == [f"{span.text} {span.label} {percent(span.score)}" for span in kept]
        shades = page.locator("#panels mark").evaluate_all(
            "marks => marks.map((mark) => Number(mark.style.getPropertyValue('--score')))"
        )
        assert shades == pytest.approx([span.score for span in kept], abs=1e-5)
        expected = promise(least)
        words = page.inner_text(".promise")
        assert f"{100 * expected['precision']:.1f}% of the marked spans were right" in words
        assert f"{100 * expected['recall']:.1f}% of all spans were found" in words
        assert slider.get_attribute("aria-valuetext") == f"at least {10 * step}%"


def test_models_without_promises_have_a_slider_too(browser, models):
    with serve_page(make_page_app(Service(models[1:]))) as address:
        page = open_page(browser, address)
        page.locator("#panels input[type=range]").fill("20")
        assert "does not store" in page.inner_text(".promise")
        spans = [span for one in models[1].tagger.tag(TEXT) for span in one.spans["ner"]]
        assert len(shown_spans(page)) == sum(span.score >= 0.99 for span in spans)
        page.context.close()


def test_other_tasks_have_a_tag_under_each_word(page, models):
    tagged = models[0].tagger.tag(TEXT, scores=True)
    expected = [
        f"{tag} {percent(round(score, 6))}"
        for one in tagged
        for tag, score in zip(one.tags["pos"], one.tag_scores["pos"], strict=True)
    ]
    assert [visible(one) for one in page.query_selector_all(".panel .word .tag")] == expected


def test_focus_of_a_sentence_lists_its_best_taggings(page, models):
    expected = models[0].tagger.tag(TEXT, n_best=5)
    sentences = page.query_selector_all(".panel:first-child .sentence")
    for node, sentence in zip(sentences, expected, strict=True):
        node.focus()
        [listed] = page.query_selector_all(".n-best")
        items = listed.query_selector_all("li")
        alternatives = sentence.alternatives["ner"]
        assert [one.query_selector(".score").inner_text() for one in items] == [
            percent(float(f"{one.probability:.6g}")) for one in alternatives
        ]
        for item, alternative in zip(items[1:], alternatives[1:], strict=True):
            changed = sum(a != b for a, b in zip(alternative.tags, alternatives[0].tags, strict=True))
            assert len(item.query_selector_all("bdi")) == changed


@pytest.mark.parametrize("least", [0, 4])
def test_copies_equal_the_output_of_tag(browser, address, models, least):
    page = open_page(browser, address, permissions=["clipboard-read", "clipboard-write"])
    page.locator("#panels input[type=range]").fill(str(least))
    tagger = models[0].tagger
    options = TagOptions(min_score=least / 10, tasks=tagger.tasks)
    sentences = tagger.tag(TEXT, min_score=least / 10)
    page.click("#copy-json")
    expect(page.locator("#copied")).to_have_text("Copied as JSON.")
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert list(map(json.loads, lines)) == [json.loads(line) for line in sentence_lines(sentences, options)]
    page.click("#copy-conll")
    expect(page.locator("#copied")).to_have_text("Copied as CoNLL.")
    expected = "".join(conll_pieces([Document("", [TEXT])], lambda _: iter(sentences), options, pytest.fail))
    assert page.evaluate("navigator.clipboard.readText()") == expected
    page.context.close()


def test_copies_work_without_the_clipboard_of_secure_pages(browser, address, models):
    page = open_page(browser, address, permissions=["clipboard-read", "clipboard-write"])
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.reload()
    wait_for(page, TEXT)
    page.click("#copy-conll")
    expect(page.locator("#copied")).to_have_text("Copied as CoNLL.")
    assert page.evaluate("document.activeElement.id") == "copy-conll"
    other = page.context.new_page()
    other.goto(address)
    assert other.evaluate("navigator.clipboard.readText()").startswith("Mira ")
    page.context.close()
