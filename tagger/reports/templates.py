"""Render pages from Jinja2 templates, which escape every value."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

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
