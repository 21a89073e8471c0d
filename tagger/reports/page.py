"""Shared parts of all HTML pages: head, style and colour rules."""

from __future__ import annotations

from collections.abc import Iterable

from tagger.text.markup import escape

PAGE_END = "</body>\n</html>\n"

_STYLE = """\
:root{color-scheme:light dark;--page:#fff;--ink:#1b1b1b;--quiet:#5c5c5c;--sat:85%;--light:86%;--edge:62%}
@media(prefers-color-scheme:dark){
:root{--page:#15171a;--ink:#e8e8e8;--quiet:#a5a5a5;--sat:45%;--light:27%;--edge:48%}}
body{background:var(--page);color:var(--ink);font:1.05rem/1.75 system-ui,sans-serif;
max-width:48rem;margin:0 auto;padding:1rem}
mark{color:inherit;background:hsl(var(--h) var(--sat) var(--light));
border-bottom:2px solid hsl(var(--h) var(--sat) var(--edge));border-radius:.25em;padding:.08em .25em;
-webkit-box-decoration-break:clone;box-decoration-break:clone}
mark b,rt{unicode-bidi:isolate}
mark b{font-size:.68em;letter-spacing:.03em;margin-left:.4em;user-select:none;-webkit-user-select:none}
rt{font-size:.6em;color:var(--quiet);user-select:none;-webkit-user-select:none}
ruby{margin-right:.15em}
"""


def isolate(text: str) -> str:
    """Isolate the text's direction from the surrounding text with Unicode marks (UAX 9, FSI and PDI)."""
    return f"\u2068{text}\u2069"


def page_head(title: str, *, style: str = "", policy: str = "", language: str = "") -> str:
    """Return the page up to the start of its body; it follows the browser's light or dark mode.

    Args:
        title: The page's title, not escaped.
        style: Additional CSS rules, after those of all pages.
        policy: The Content-Security-Policy; "" if the page has none.
        language: The page's language as a BCP 47 tag; "" if it is unknown.
    """
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n' if policy else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n{meta}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}{style}</style>\n</head>\n<body>\n"
    )


def hue_rules(hues: Iterable[int]) -> str:
    """Return the CSS classes ``h0``, ``h30``, ... of the hues."""
    return "".join(f".h{hue}{{--h:{hue}}}" for hue in sorted(set(hues))) + "\n"
