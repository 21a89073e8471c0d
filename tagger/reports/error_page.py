"""A self-contained HTML page with all errors of a model on a file, and filters."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tagger.evaluation.confusion import NO_SPAN, SPAN_KINDS, TAG_KINDS, Kind, Outcome
from tagger.evaluation.mistakes import Mistake, group_mistakes, words_around
from tagger.evaluation.tasks import TaskScores
from tagger.reports.marks import SIDES, mark_side
from tagger.reports.page import PAGE_END, escape, hue_rules, label_hues, page_head, read_sheet
from tagger.runtime.model_evaluation import Evaluation, TaskEvaluation
from tagger.storage import replace_file
from tagger.text.sentence import Sentence

FREQUENT = 20  # most frequent groups of errors to list
EXAMPLES = 3  # example sentences per group
MANY = 12  # a matrix with more labels has a small font

KINDS: tuple[Kind, ...] = tuple(kind for kind in (*SPAN_KINDS, *TAG_KINDS) if kind != "right")


@dataclass(frozen=True, slots=True)
class _Task:
    """One task on the page.

    Attributes:
        index: The index of the task, for anchors.
        name: The task's name.
        result: The task's results.
        numbers: The id of each label in filters; None is the label of "no span".
    """

    index: int
    name: str
    result: TaskEvaluation
    numbers: Mapping[str | None, int]

    def anchor(self, sentence: int) -> str:
        return f"t{self.index}-s{sentence + 1}"

    def pair(self, labels: tuple[str | None, str | None]) -> str:
        return f"{self.numbers[labels[0]]}.{self.numbers[labels[1]]}"


def write_errors(evaluation: Evaluation, path: Path, *, model: str, file: str) -> None:
    """Write the page.

    Args:
        evaluation: The model's results on the file.
        path: The output file; an earlier file is replaced atomically.
        model: The model's name, for the title.
        file: The corpus file's name, for the title.

    Raises:
        InputError: The page cannot be written.
    """
    with replace_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as page:
        page.writelines(errors_page(evaluation, model=model, file=file))


def errors_page(evaluation: Evaluation, *, model: str, file: str) -> Iterator[str]:
    """Yield the page in pieces; see ``write_errors``."""
    package = files("tagger.reports")
    style, script = (
        package.joinpath(name).read_text(encoding="utf-8") for name in ("errors.css", "errors.js")
    )
    tasks = list(_number_tasks(evaluation))
    hues = {
        task.name: label_hues(label for label in task.numbers if label is not None)
        for task in tasks
        if task.result.has_spans
    }
    rules = hue_rules(hue for own in hues.values() for hue in own.values())
    # Even text that is not escaped by mistake can neither run scripts nor load anything.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    yield page_head(
        f"Errors of {model} on {file}", style=read_sheet() + style + rules, meta=meta, language="en"
    )
    yield (
        f"<h1>Errors of <bdi>{escape(model)}</bdi> on <bdi>{escape(file)}</bdi></h1>\n"
        f'<p class="quiet">{len(evaluation.sentences):,} sentences, '
        f"{evaluation.n_tokens:,} tokens</p>\n"
    )
    for task in tasks:
        yield from _summary(task, evaluation.sentences)
    yield '<h2 id="sentences">Sentences with errors</h2>\n'
    yield from _filters(tasks)
    yield (
        '<p class="quiet">Errors are outlined. Words that are not in the train split are '
        "<u>underlined</u>. Gold tags are those of the file, predicted tags those of the model.</p>\n"
    )
    for task in tasks:
        yield from _articles(task, evaluation, hues.get(task.name, {}))
    yield f"<script>{script}</script>\n{PAGE_END}"


def _number_tasks(evaluation: Evaluation) -> Iterator[_Task]:
    count = 0
    for index, (name, task) in enumerate(evaluation.tasks.items()):
        labels = [*task.confusion["by_label"], *[None] * task.has_spans]
        numbers = {label: number for number, label in enumerate(labels, start=count)}
        count += len(labels)
        yield _Task(index, name, task, numbers)


def _summary(task: _Task, sentences: Sequence[Sentence]) -> Iterator[str]:
    """Yield the scores, tables and most frequent errors of one task."""
    yield f'<section>\n<h2><bdi>{escape(task.name)}</bdi></h2>\n<dl class="scores">\n'
    for name, value in _headline(task.result.scores):
        yield f"<div><dt>{name}</dt><dd>{value}</dd></div>\n"
    yield "</dl>\n"
    if task.result.has_spans:
        yield "<h3>Borders and types</h3>\n"
        yield from _borders_table(task)
    yield "<h3>Confusion matrix: gold (rows), predicted (columns)</h3>\n"
    yield from _matrix_table(task)
    if task.result.has_spans:
        yield '<p class="quiet">The diagonal includes spans with the correct type and wrong borders.</p>\n'
    groups = group_mistakes(task.result.mistakes)[:FREQUENT]
    if groups:
        yield '<h3>Most frequent errors</h3>\n<ol class="frequent">\n'
        for group in groups:
            yield _frequent_item(task, group, sentences)
        yield "</ol>\n"
    yield "</section>\n"


def _headline(scores: TaskScores) -> Iterator[tuple[str, str]]:
    if "accuracy" in scores:
        yield "accuracy", f"{scores['accuracy']:.4f}"
        yield "on words seen in train", f"{scores['seen']['accuracy']:.4f}"
        yield "on words unseen in train", f"{scores['unseen']['accuracy']:.4f}"
        yield "tokens", f"{scores['support']:,}"
        return
    yield "F1 (conlleval mode)", f"{scores['f1']:.4f}"
    yield "precision", f"{scores['precision']:.4f}"
    yield "recall", f"{scores['recall']:.4f}"
    yield f"F1, strict mode ({escape(scores['strict']['scheme'])})", f"{scores['strict']['f1']:.4f}"
    yield "F1, all words seen in train", f"{scores['seen']['f1']:.4f}"
    yield "F1, with an unseen word", f"{scores['unseen']['f1']:.4f}"
    yield "gold spans", f"{scores['support']:,}"


def _borders_table(task: _Task) -> Iterator[str]:
    yield _scroll_box(f"Outcomes of the spans of {task.name}")
    yield (
        '<table>\n<thead><tr><td rowspan="2"></td><th colspan="2" scope="colgroup">correct borders</th>'
        '<th colspan="2" scope="colgroup">wrong borders</th><th rowspan="2" scope="col">missed</th>'
        '<th rowspan="2" scope="col">spurious</th></tr>\n<tr>'
        + '<th scope="col">correct type</th><th scope="col">wrong type</th>' * 2
        + "</tr></thead>\n<tbody>\n"
    )
    confusion = task.result.confusion
    for label, counts in confusion["by_label"].items():
        yield _counts_row(label, counts)
    yield _counts_row("all", confusion["kinds"], kind=' class="total"')
    yield "</tbody>\n</table>\n</div>\n"


def _counts_row(name: str, counts: Mapping[Kind, int], *, kind: str = "") -> str:
    cells = "".join(f"<td>{count:,}</td>" for count in counts.values())
    return f'<tr{kind}><th scope="row">{escape(name)}</th>{cells}</tr>\n'


def _matrix_table(task: _Task) -> Iterator[str]:
    """Yield the confusion matrix as a table; shades are shares of a row, and numbers link to the errors."""
    confusion = task.result.confusion
    names, labels = confusion["names"], list(task.numbers)
    size = "matrix many" if len(names) > MANY else "matrix"
    yield _scroll_box(f"Confusion matrix of {task.name}")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    yield f'<table class="{size}">\n<thead><tr><th scope="col">gold</th>{head}</tr></thead>\n<tbody>\n'
    for row, (name, counts) in enumerate(zip(names, confusion["matrix"], strict=True)):
        cells = "".join(
            _cell(task, (labels[row], labels[column]), count, sum(counts), f"{name} → {names[column]}")
            for column, count in enumerate(counts)
        )
        yield f'<tr><th scope="row" title="{escape(name)}">{escape(name)}</th>{cells}</tr>\n'
    yield "</tbody>\n</table>\n</div>\n"


def _cell(task: _Task, labels: tuple[str | None, str | None], count: int, total: int, title: str) -> str:
    if not count:
        return "<td></td>"
    share = max(1, round(100 * count / total))
    if labels[0] == labels[1]:
        return f'<td class="right" style="--s:{share}"><span>{count:,}</span></td>'
    return (
        f'<td class="wrong" style="--s:{share}" title="{escape(title)}">'
        f'<a href="#sentences" data-pair="{task.pair(labels)}">{count:,}</a></td>'
    )


def _scroll_box(label: str) -> str:
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}">\n'


def _frequent_item(task: _Task, group: Sequence[Mistake], sentences: Sequence[Sentence]) -> str:
    first = group[0]
    outcome, sentence = first.outcome, sentences[first.sentence]
    before, middle, after = words_around(sentence.tokens, outcome.start, outcome.end, width=110)
    links = ", ".join(
        f'<a href="#{task.anchor(number)}">{_source(sentences, number)}</a>'
        for number in list(dict.fromkeys(one.sentence for one in group))[:EXAMPLES]
    )
    return (
        f'<li><b>{len(group):,} ×</b> <mark lang="">{escape(first.text)}</mark> {_describe(outcome)} '
        f'<q lang="" dir="auto">{escape(before)} <mark>{escape(middle)}</mark> {escape(after)}</q>'
        f"<small>{links}</small></li>\n"
    )


def _filters(tasks: Sequence[_Task]) -> Iterator[str]:
    """Yield the form with the filters, which is hidden until its script runs."""
    counts = Counter(mistake.outcome.kind for task in tasks for mistake in task.result.mistakes)
    yield '<form id="filters" hidden>\n<fieldset><legend>Kind</legend>\n'
    for number, kind in enumerate(KINDS):
        if counts[kind]:
            yield (
                f'<label><input type="checkbox" name="kind" value="{number}" checked> {kind} '
                f'<span class="quiet" data-kind="{number}">{counts[kind]:,}</span></label>\n'
            )
    yield "</fieldset>\n<p>\n"
    if len(tasks) > 1:
        options = "".join(f'<option value="{task.index}">{escape(task.name)}</option>' for task in tasks)
        yield f'<label>Task <select name="task"><option value="">all</option>{options}</select></label>\n'
    for side in SIDES:
        groups = "".join(
            f'<optgroup label="{escape(task.name)}">'
            + "".join(
                f'<option value="{number}">{escape(NO_SPAN if label is None else label)}</option>'
                for label, number in task.numbers.items()
            )
            + "</optgroup>"
            for task in tasks
        )
        title = side.capitalize()
        yield f'<label>{title} <select name="{side}"><option value="">all</option>{groups}</select></label>\n'
    yield '<label>Text <input type="search" name="text" size="16" autocomplete="off"></label>\n'
    yield '<button type="reset">Show all</button>\n</p>\n'
    yield '<p><output id="shown" aria-live="polite"></output></p>\n</form>\n'


def _articles(task: _Task, evaluation: Evaluation, hues: Mapping[str, int]) -> Iterator[str]:
    """Yield the sentences with errors in one task, gold next to predicted."""
    for number, (sentence, outcomes) in enumerate(
        zip(evaluation.sentences, task.result.outcomes, strict=True)
    ):
        wrong = [outcome for outcome in outcomes if outcome.kind != "right"]
        if not wrong:
            continue
        chips = "".join(
            f'<li data-error="{KINDS.index(one.kind)}.{task.pair(one.labels)}">{_describe(one)}</li>'
            for one in wrong
        )
        yield (
            f'<article id="{task.anchor(number)}" data-task="{task.index}" data-sentence="{number}" '
            f'data-text="{escape(sentence.text)}">\n'
            f"<header><code>{_source(evaluation.sentences, number)}</code> "
            f'<small>{escape(task.name)}</small>\n<ul>{chips}</ul></header>\n<div class="sides">\n'
        )
        for side in SIDES:
            words = "".join(mark_side(sentence, outcomes, side, seen=evaluation.seen[number], hues=hues))
            yield f'<div><h3>{side}</h3><p class="{side}" lang="" dir="auto">{words}</p></div>\n'
        yield "</div>\n</article>\n"


def _describe(outcome: Outcome) -> str:
    """Return the labels and the kind of an error."""
    gold, predicted = (None if label is None else f"<bdi>{escape(label)}</bdi>" for label in outcome.labels)
    labels = gold if gold == predicted else " → ".join(filter(None, (gold, predicted)))
    return f"<b>{labels}</b> {outcome.kind}"


def _source(sentences: Sequence[Sentence], number: int) -> str:
    return escape(sentences[number].source or f"sentence {number + 1}")
