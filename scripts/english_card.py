"""The card of the English model: english_card.md with figures in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from tagger.bundle import Bundle
from tagger.training.card import cell, score_rows

TEMPLATE = Path(__file__).with_name("english_card.md")
CASINGS = {"as it is": "as it is", "lower": "lower-cased", "upper": "upper-cased", "title": "title-cased"}
WIKIGOLD = (
    "| more names | Wikigold (Balasuriya et al. 2009), MISC left out; its parts of speech are those of a "
    "first model | CC BY 4.0 |\n"
)


@dataclass(frozen=True)
class Step:
    """A model on the way to the small one.

    Attributes:
        words: Words that it knows beside those of train.
        precision: How it is stored.
        size: Bytes of its files.
        scores: For each casing of dev the scores of each task.
    """

    words: int
    precision: str
    size: int
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def pairs(self) -> list[str]:
        """UPOS accuracy and NER F1 of each casing."""
        return [f"{tasks['pos']['accuracy']:.4f}, {tasks['ner']['f1']:.4f}" for tasks in self.scores.values()]


def write_english_card(bundle: Bundle, steps: Sequence[Step], *, with_wikigold: bool) -> str:
    """The card as Markdown.

    Args:
        bundle: The model that is kept.
        steps: How it became small, the whole model first and the one that is kept last.
        with_wikigold: Whether Wikigold was learnt from, too.
    """
    config, parts = bundle.config, bundle.metrics["data"]
    settings = (
        f"| {section}.{key} | {cell(value)} |"
        for section, values in config.model_dump(mode="json").items()
        for key, value in values.items()
    )
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        hidden_size=config.model.hidden_size,
        wikigold=WIKIGOLD if with_wikigold else "",
        sizes=" ".join(
            f"{name.capitalize()} has {part['sentences']:,} sentences, {part['tokens']:,} tokens."
            for name, part in parts.items()
            if name in ("train", "dev")
        ),
        recased=f"{config.train.recased:.0%}",
        scores="\n".join(_scores(steps[-1])),
        steps="\n".join(_steps(steps)),
        settings="\n".join(settings),
    )


def _scores(step: Step) -> Iterator[str]:
    yield from ("| dev | UPOS accuracy | NER F1 |", "|---|---:|---:|")
    for casing, tasks in step.scores.items():
        yield f"| {CASINGS[casing]} | {tasks['pos']['accuracy']:.4f} | {tasks['ner']['f1']:.4f} |"
    for name, scores in step.scores["as it is"].items():
        head, rows = score_rows(scores)
        yield from ("", f"### {name}, as it is", "", f"| {' | '.join(head)} |", "|---|---:|---:|---:|---:|")
        yield from (f"| {' | '.join(map(cell, row))} |" for row in rows)


def _steps(steps: Sequence[Step]) -> Iterator[str]:
    casings = " | ".join(CASINGS[casing] for casing in steps[0].scores)
    yield f"| words beside train's | stored as | MB | {casings} |"
    yield "|---:|---|---:|" + "---|" * len(steps[0].scores)
    for step in steps:
        yield f"| {step.words:,} | {step.precision} | {step.size / 1e6:.1f} | {' | '.join(step.pairs())} |"
