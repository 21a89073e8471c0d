"""Print the figures of a recipe as a table, one row per model, and save them as JSON."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

Figures = Mapping[str, float | int | str | list[float] | list[str]]


def show(title: str, rows: Iterable[tuple[str, Figures]], json_file: Path | None) -> None:
    """Print named rows as one table at the end; update ``json_file`` after each row."""
    done: dict[str, Figures] = {}
    for name, figures in rows:
        done[name] = figures
        if json_file:
            json_file.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
    columns = list(dict.fromkeys(column for figures in done.values() for column in figures))
    table = Table("", *columns, title=title)
    for name, figures in done.items():
        table.add_row(name, *(_text(figures.get(column, "")) for column in columns))
    Console().print(table, highlight=False)


def _text(figure: object) -> str:
    if isinstance(figure, list):
        return " ".join(map(_text, figure))
    return f"{figure:.4f}" if isinstance(figure, float) else str(figure)
