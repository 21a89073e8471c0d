"""Shared by the tests of pages: an HTML parser, and a page opened in a browser that records its events."""

from html.parser import HTMLParser

VOID = {"meta", "input", "img", "br", "link"}


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
