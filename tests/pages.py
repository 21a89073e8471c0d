"""Shared by the tests of pages: an HTML parser, a page in a browser that records its events, its design."""

from html.parser import HTMLParser

VOID = {"meta", "input", "img", "br", "link"}

# WCAG 2.2, section 1.4.3: the contrast of each visible text with the backgrounds behind it, blended.
CONTRASTS = """() => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const blend = ([r, g, b, a], below) => [r, g, b].map((value, i) => value * a + below[i] * (1 - a));
  const luminance = (colour) => {
    const [r, g, b] = colour
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (node) => {
    if (!node) return [255, 255, 255];
    return blend(rgba(getComputedStyle(node).backgroundColor), background(node.parentElement));
  };
  const hasText = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
  return [...document.querySelectorAll("body *")]
    .filter((node) => (hasText(node) || node.matches("textarea, input, select")) && !node.closest(".unseen"))
    .filter((node) => node.checkVisibility())
    .map((node) => {
      const behind = background(node);
      const [one, other] = [blend(rgba(getComputedStyle(node).color), behind), behind].map(luminance);
      const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      return { contrast, text: node.outerHTML.slice(0, 99) };
    });
}"""
WIDE = """(width) => [...document.querySelectorAll("body *")]
  .filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > width + 1)
  .map((node) => node.outerHTML.slice(0, 99))"""
UNNAMED = """() => [...document.querySelectorAll("button, input, select, textarea, a, [role=group]")]
  .filter((node) => !(node.ariaLabel || node.labels?.[0]?.textContent || node.textContent).trim())
  .map((node) => node.outerHTML)"""


class Page(HTMLParser):
    """Elements with their attributes and text; every element must be closed in its order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[dict] = []
        self.open: list[dict] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        element = {"tag": tag, "attributes": dict(attrs), "text": "", "inside": [o["tag"] for o in self.open]}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def find(self, tag, **attributes):
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [
            element
            for element in self.elements
            if element["tag"] == tag and wanted.items() <= element["attributes"].items()
        ]


def watch_page(browser, address, **options):
    """Open a page, and record its console messages, errors, requests and failed requests."""
    page = browser.new_page(**options)
    page.problems, page.requests = [], []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.requests.append(request.url))
    page.on("requestfailed", lambda request: page.problems.append(request.url))
    page.goto(address)
    return page


def check_contrast(page):
    """Check that all visible text has the contrast that WCAG requires."""
    found = page.evaluate(CONTRASTS)
    assert len(found) > 15
    assert [one for one in found if one["contrast"] < 4.5] == []
