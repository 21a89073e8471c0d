"""The documentation site: complete references, strict links, and pages that need no other host."""

import http.server
import importlib
import re
import threading
from functools import partial

import pytest
from build_docs import DOCS, PUBLIC, api_reference, build, cli_reference
from typer.main import get_command

from tagger.cli.app import COMMANDS, app

pytest.importorskip("zensical", reason="the extra `docs` is not installed")
pytestmark = pytest.mark.slow
CONFIG = '[project]\nsite_name = "x"\ndocs_dir = "pages"\nnav = [{ "Home" = "index.md" }]\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    build(DOCS, folder, {"reference/api.md": api_reference(), "reference/cli.md": cli_reference()})
    return folder / "site"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(site):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_the_api_reference_has_exactly_the_public_names(site):
    page = (site / "reference" / "api.html").read_text(encoding="utf-8")
    expected = {f"{module}.{name}" for module in PUBLIC for name in importlib.import_module(module).__all__}
    assert set(re.findall(r'<h3 id="([\w.]+)"', page)) == expected


def test_the_command_line_reference_has_all_commands_and_options(site):
    page = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    group = get_command(app)
    for name in COMMANDS:
        command = group.get_command(None, name)
        title = f'<h2 id="tagger-{name}">'
        assert title in page
        section = page.split(title)[1].split("<h2 ")[0]
        for option in command.params:
            assert option.param_type_name == "argument" or option.opts[0] in section, (name, option.opts)


def test_code_in_tables_has_pipes_without_backslash(site):
    assert "<code>--format jsonl|conll|text|html</code>" in (site / "commands.html").read_text("utf-8")
    for path in site.rglob("*.html"):
        assert not re.search(r"<td>.*<code>[^<]*\\\|", path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("text", ["[x](index.md#other)", "[x](../other.txt)", "![x](other.svg)"])
def test_broken_links_are_errors(tmp_path, text):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "zensical.toml").write_text(CONFIG)
    (docs / "index.md").write_text(f"# Home\n\n{text}\n")
    with pytest.raises(SystemExit):
        build(docs, tmp_path / "out", {})


def test_valid_links_and_pages_outside_the_navigation(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "zensical.toml").write_text(CONFIG)
    (docs / "index.md").write_text("# Home\n\n[x](index.md#home)\n")
    build(docs, tmp_path / "out", {})
    (docs / "more.md").write_text("# More\n")
    with pytest.raises(SystemExit, match=r"the navigation lacks more\.md"):
        build(docs, tmp_path / "out", {})


def test_pages_need_no_other_host_and_no_wide_screen(site, address, browser):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    for path in sorted(site.rglob("*.html")):
        name = path.relative_to(site).as_posix()
        page.goto(address + name)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name
    assert requests
    assert [url for url in requests if not url.startswith((address, "data:"))] == []
    page.close()


def test_the_search_finds_a_heading(address, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 844})
    page.goto(f"{address}index.html", wait_until="networkidle")
    page.keyboard.press("Control+k")
    page.keyboard.type("calibration")
    page.get_by_text(re.compile(r"\d+ results?")).wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/calibration.html**")
    page.close()
