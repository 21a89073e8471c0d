"""A self-contained HTML page with the probable label errors of a corpus (``label_error_page.html``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tagger.evaluation.confusion import NO_SPAN, Outcome
from tagger.reports.marks import SIDES, Piece, Side, split_sentence
from tagger.reports.page import hue_rules
from tagger.reports.templates import filtered_head, read_source, render
from tagger.runtime.label_errors import LABELS, Suspicion
from tagger.storage import replace_file
from tagger.text.markup import label_hues
from tagger.text.schemes import tags_to_spans
from tagger.text.sentence import Sentence, Span

KINDS = tuple(LABELS.values())
_STYLE = "header label{float:right}article:has(header input:checked){opacity:.5}\n"


@dataclass(frozen=True, slots=True)
class _Task:
    """One task on the page; see ``error_page._Task``."""

    index: int
    name: str
    scheme: str | None
    label_ids: Mapping[str | None, int]
    hues: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Row:
    """A suspicion on the page.

    Attributes:
        rank: Its rank, from 1.
        suspicion: The suspicion.
        gold: The sentence with its gold tags.
        task: Its task.
    """

    rank: int
    suspicion: Suspicion
    gold: Sentence
    task: _Task

    @property
    def source(self) -> str:
        return self.suspicion.source or f"sentence {self.suspicion.sentence + 1}"

    @property
    def ids(self) -> str:
        """The ids of the kind and both labels, as the filters use them."""
        gold, proposal = (self.task.label_ids[label] for label in self.suspicion.outcome.labels)
        return f"{KINDS.index(self.suspicion.kind)}.{gold}.{proposal}"

    @property
    def probabilities(self) -> dict[Side, str]:
        """The probabilities of the gold label and the proposal."""
        gold, proposal = self.suspicion.gold_probability, self.suspicion.proposal_probability
        return {"gold": f"{gold:.4f}", "predicted": f"{proposal:.4f}"}

    def pieces(self, side: Side) -> Iterator[Piece]:
        """Yield the sentence with its gold spans, on the predicted side with the proposal instead."""
        own = self.suspicion.outcome
        spans = tags_to_spans(self.gold.tags[self.task.name], self.task.scheme) if self.task.scheme else []
        shown = getattr(own, side)
        others = [
            Outcome("right", span, span) for span in spans if span != own.gold and not _meet(span, shown)
        ]
        seen = [True] * len(self.gold)
        for piece in split_sentence(self.gold, [own, *others], side, seen=seen, hues=self.task.hues):
            yield replace(piece, error=self.suspicion.kind) if piece.error else piece


def _meet(span: Span, other: Span | None) -> bool:
    return other is not None and span.start < other.end and other.start < span.end


def write_label_errors(
    suspicions: Sequence[Suspicion],
    sentences: Sequence[Sentence],
    schemes: Mapping[str, str | None],
    path: Path,
    *,
    model: str,
    file: str,
) -> None:
    """Write the page.

    Args:
        suspicions: The suspicions, most suspicious first.
        sentences: All sentences of the corpus, with gold tags.
        schemes: The scheme of the gold tags of each task; None for tasks without spans.
        path: The output file; an earlier file is replaced atomically.
        model: What proposed the labels, for the first paragraph.
        file: The corpus file's name, for the title.

    Raises:
        InputError: The page cannot be written.
    """
    pieces = label_errors_page(suspicions, sentences, schemes, model=model, file=file)
    with replace_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as page:
        page.writelines(pieces)


def label_errors_page(
    suspicions: Sequence[Suspicion],
    sentences: Sequence[Sentence],
    schemes: Mapping[str, str | None],
    *,
    model: str,
    file: str,
) -> Iterator[str]:
    """Yield the page in pieces; see ``write_label_errors``."""
    tasks = _make_tasks(suspicions, sentences, schemes)
    rows = [
        _Row(rank, one, sentences[one.sentence], tasks[one.task])
        for rank, one in enumerate(suspicions, start=1)
    ]
    counts = {kind: sum(one.kind == kind for one in suspicions) for kind in KINDS}
    script = read_source("reports/errors.js")
    rules = hue_rules(hue for task in tasks.values() for hue in task.hues.values())
    return render(
        "reports/label_error_page.html",
        head=filtered_head(f"Probable label errors of {file}", script, style=_STYLE + rules),
        rows=rows,
        tasks=list(tasks.values()),
        model=model,
        file=file,
        kinds=[{"id": id, "name": kind, "count": counts[kind]} for id, kind in enumerate(KINDS)],
        sides=SIDES,
        no_span=NO_SPAN,
        script=script,
    )


def _make_tasks(
    suspicions: Sequence[Suspicion], sentences: Sequence[Sentence], schemes: Mapping[str, str | None]
) -> dict[str, _Task]:
    tasks = {}
    n_labels = 0
    for index, (name, scheme) in enumerate(schemes.items()):
        labels = {
            label
            for one in suspicions
            if one.task == name
            for label in one.outcome.labels
            if label is not None
        }
        if scheme:
            labels |= {
                span.label
                for number in {one.sentence for one in suspicions}
                for span in tags_to_spans(sentences[number].tags[name], scheme)
            }
        ordered = [*sorted(labels), *[None] * (scheme is not None)]
        label_ids = {label: id for id, label in enumerate(ordered, start=n_labels)}
        n_labels += len(ordered)
        tasks[name] = _Task(index, name, scheme, label_ids, label_hues(labels) if scheme else {})
    return tasks
