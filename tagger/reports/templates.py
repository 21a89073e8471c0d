"""Render pages from Jinja2 templates, which escape every value."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tagger.reports.page import page_head
from tagger.text.markup import escape


def render(template: str, **values: object) -> Iterator[str]:
    """Yield a page in pieces.

    Args:
        template: Path of the template in the package, for instance ``reports/error_page.html``.
        values: The names that the template uses. Strings are escaped.
    """
    return iter(_environment().get_template(template).generate(**values))


def read_source(path: str) -> str:
    """Return a style sheet or script of the package, for instance ``reports/sheet.css``."""
    return files("tagger").joinpath(path).read_text(encoding="utf-8")


def filtered_head(title: str, script: str, *, style: str) -> str:
    """Return the head of a page of sentences with filters (``reports/filters.html``), in English.

    Args:
        title: The page's title, not escaped.
        script: The page's only script.
        style: Additional CSS rules.
    """
    # A second defence: text that the templates fail to escape can neither run scripts nor load anything.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    style = read_source("reports/sheet.css") + read_source("reports/errors.css") + style
    return page_head(title, style=style, policy=policy, language="en")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tagger", ""),
        autoescape=True,
        finalize=_escape,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["count"] = "{:,}".format
    environment.filters["px"] = "{:.1f}".format
    return environment


def _escape(value: object) -> object:
    """Escape text as ``markup.escape`` does: markupsafe keeps characters that HTML cannot contain."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return Markup(escape(str(value))) if is_text else value
