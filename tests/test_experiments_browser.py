"""The report of a comparison in a real browser: phone and desktop widths, light and dark."""

import pytest
from comparisons import make_comparison
from large_findings import make_large
from pages import watch_page

from tagger.experiments.findings import summarise
from tagger.experiments.report import write_report

pytestmark = pytest.mark.slow

COMPARISONS = {
    "spans": lambda: (made := make_comparison(), summarise(made)),
    "tags of one seed": lambda: (made := make_comparison("tags", seeds=(1,)), summarise(made)),
    "large": make_large,
}


@pytest.fixture(scope="module", params=COMPARISONS)
def page(request, browser, tmp_path_factory):
    """Open the page in the browser, recording console messages, requests and failed requests."""
    folder = tmp_path_factory.mktemp("report")
    write_report(*COMPARISONS[request.param](), folder)
    address = (folder / "report.html").as_uri()
    page = watch_page(browser, address, viewport={"width": 1280, "height": 900})
    page.address = address
    yield page
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("is_open", [False, True])
def test_nothing_overflows_the_page(page, width, scheme, is_open):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.evaluate(
        "open => document.querySelectorAll('details').forEach(one => {one.open = open;"
        "one.querySelectorAll('article').forEach(own => own.style.contentVisibility = 'visible')})",
        is_open,
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        "width => [...document.querySelectorAll('body *')]"
        ".filter(one => !one.closest('.scroll > *') && !one.closest('svg *')"
        " && (one.getBoundingClientRect().right > width + 1 || one.getBoundingClientRect().left < -1))"
        ".map(one => one.outerHTML.slice(0, 99))",
        width,
    )
    assert wide == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


@pytest.mark.parametrize("width", [360, 1280])
def test_every_chart_is_visible_labelled_and_not_cut_off(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    charts = page.locator("svg.chart").all()
    assert len(charts) >= 8
    for chart in charts:
        assert chart.is_visible()
        assert chart.bounding_box()["width"] >= 300
        assert len(chart.get_attribute("aria-label")) > 20
        assert chart.evaluate("one => one.closest('figure').querySelector('figcaption').textContent.length")
    cut = page.evaluate(
        """() => [...document.querySelectorAll('svg.chart text')].filter(text => {
            const own = text.getBoundingClientRect(), all = text.closest('svg.chart').getBoundingClientRect();
            return own.left < all.left - 1 || own.right > all.right + 1 || own.bottom > all.bottom + 1;
        }).map(text => text.textContent)"""
    )
    assert cut == []
    small = page.evaluate(
        "[...document.querySelectorAll('svg.chart text')]"
        ".filter(text => parseFloat(getComputedStyle(text).fontSize) < 11).length"
    )
    assert small == 0


def test_labels_of_bars_do_not_overlap_their_values(page):
    page.set_viewport_size({"width": 360, "height": 900})
    touching = page.evaluate(
        """() => [...document.querySelectorAll('svg.chart g')].filter(bar => bar.querySelector('rect.bar'))
            .filter(bar => {
                const [label, value] = bar.querySelectorAll('text');
                return label.getBoundingClientRect().right > value.getBoundingClientRect().left;
            }).map(bar => bar.textContent)"""
    )
    assert touching == []


def test_links_point_to_the_sections(page):
    targets = page.evaluate("[...document.querySelectorAll('nav a')].map(one => one.getAttribute('href'))")
    sections = page.evaluate("[...document.querySelectorAll('section')].map(one => '#' + one.id)")
    assert targets == sections
    assert len(set(sections)) == len(sections) >= 6


def test_the_page_makes_no_requests_and_logs_nothing(page):
    assert set(page.requests) == {page.address}
    assert page.problems == []
    assert page.locator("script").count() == 0
