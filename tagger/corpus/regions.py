"""What annotators marked in one text of a Label Studio export, and which of their annotations is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from tagger.corpus.values import mapping, sequence, string
from tagger.errors import InputError

DEFAULT_NAME = "label"
"""What Label Studio's template for named entities calls its labels; other names are names of tasks."""
TEXT = "text"
ANNOTATIONS = ("annotations", "completions")
PREDICTIONS = ("predictions",)
BOOKKEEPING = frozenset(
    [
        "id",
        "created_at",
        "updated_at",
        "annotator",
        "annotation_id",
        "lead_time",
        "agreement",
        "meta",
        "file_upload",
    ]
)
"""Keys of a JSON-MIN task that Label Studio adds."""
LABEL_TYPES = ("labels", "hypertextlabels", "paragraphlabels")
_MARKUP = re.compile(r"<[A-Za-z/!]|&#?\w+;")

Note = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Region:
    """What an annotator marked: the name of the control tag, the values of the span, its labels and place."""

    name: str
    values: Mapping[str, object]
    labels: Sequence[object]
    where: str
    is_hypertext: bool = False


@dataclass(slots=True)
class Export:
    """What the texts of one export share.

    Attributes:
        tasks: For each requested control tag the task of its spans.
        key: What the data call the text.
        is_annotated: Whether somebody annotated a text and did not cancel it.
        predicted: How many texts have predictions but no annotation.
        left_out: Keys of the data that are not read, in order.
    """

    tasks: dict[str, str] = field(default_factory=dict)
    key: str = TEXT
    is_annotated: bool = False
    predicted: int = 0
    left_out: dict[str, None] = field(default_factory=dict)


def read_regions(values: Mapping[str, object], export: Export, where: str, note: Note) -> list[Region] | None:
    """Return what is marked in a text; None if it is no gold annotation.

    Raises:
        InputError: If something in it is missing or wrong.
    """
    if "data" not in values:
        return list(_minimal_regions(values, where))
    results = _results(values, export, where, note)
    if results is None:
        return None
    regions = []
    for one in results:
        result = mapping(one, "result", where)
        kind = result.get("type")
        if kind not in LABEL_TYPES:
            note(f"{where}: a result of type {kind!r} was left out; it is no labelled span.")
            continue
        its = mapping(result.get("value"), "value of a result", where)
        if "score" in result:
            its = {**its, "score": result["score"]}
        name = string(result.get("from_name", DEFAULT_NAME), "from_name", where)
        labels = sequence(its.get(str(kind), its.get("labels")), "list of labels", where)
        regions.append(Region(name, its, labels, where, is_hypertext=kind != "labels"))
    return regions


def in_text(region: Region, text: str) -> Region:
    """Return a region with offsets in the text.

    Raises:
        InputError: If its offsets count in a page that the text is the source of.
    """
    if not region.is_hypertext:
        return region
    offsets = region.values.get("globalOffsets")
    if not isinstance(offsets, Mapping) or _MARKUP.search(text):
        raise InputError(
            f"{region.where}: the label {region.labels!r:.60} marks hypertext or a dialogue "
            "(hypertextlabels, paragraphlabels), and its offsets count in the page that a browser shows, not "
            "in the text; label plain text (Text with Labels) and export that."
        )
    return replace(region, values={**region.values, **offsets})


def is_cancelled(annotation: Mapping[str, object]) -> bool:
    """Whether an annotator skipped the text."""
    return bool(annotation.get("was_cancelled") or annotation.get("skipped"))


def listed_under(values: Mapping[str, object], names: Sequence[str], where: str) -> list[dict[str, object]]:
    """Return the annotations or predictions under any of these names.

    Raises:
        InputError: If one is no object.
    """
    return [
        mapping(one, name, where)
        for name in names
        for one in sequence(values.get(name, ()), f"list of {name}", where)
        if not isinstance(one, int)  # predictions may be listed by their numbers alone
    ]


def _results(values: Mapping[str, object], export: Export, where: str, note: Note) -> Sequence[object] | None:
    """Return the results of the annotation or prediction to be read; None if no annotation is gold."""
    annotations = listed_under(values, ANNOTATIONS, where)
    chosen = [one for one in annotations if not is_cancelled(one)]
    if annotations and not chosen:
        note(f"{where}: the text was left out; its annotators skipped it.")
        return None
    if not chosen and export.is_annotated:
        has = [name for name in (*PREDICTIONS, "drafts") if values.get(name)]
        but = f" (its {' and '.join(has)} are no gold annotations)" if has else ""
        note(f"{where}: nobody annotated the text{but}; it was left out.")
        return None
    if not chosen:
        chosen = listed_under(values, PREDICTIONS, where)
        if not chosen:
            but = " (its drafts are no gold annotations)" if values.get("drafts") else ""
            note(f"{where}: nobody annotated the text{but}; it is read as one without spans.")
            return ()
        return sequence(chosen[0].get("result", ()), "result", where)
    truths = [one for one in chosen if one.get("ground_truth") is True]
    read = (truths or chosen)[0]
    if len(chosen) > 1:
        which = "ground truth" if truths else "first"
        named = f", number {read['id']}," if isinstance(read.get("id"), int) else ""
        by = f" by {_annotator(read)}" if _annotator(read) else ""
        note(
            f"{where}: the {which} of {len(chosen)} annotations{named}{by} is read, the others were left out."
        )
    return sequence(read.get("result", ()), "result", where)


def _annotator(annotation: Mapping[str, object]) -> str:
    """The name, address or number of an annotator, if the annotation says it."""
    by = annotation.get("completed_by")
    if isinstance(by, Mapping):
        by = by.get("email", by.get("id"))
    return repr(by) if isinstance(by, str | int) else ""


def is_repeated(value: object, seen: set[object], where: str, note: Note) -> bool:
    """Whether a JSON-MIN task has the number of an earlier one, which another annotator labelled."""
    if not isinstance(value, Mapping) or "data" in value or not isinstance(value.get("id"), int):
        return False
    if value["id"] in seen:
        note(f"{where}: an earlier text has the number {value['id']}, too; this annotation was left out.")
        return True
    seen.add(value["id"])
    return False


def _minimal_regions(values: Mapping[str, object], where: str) -> Iterator[Region]:
    """Yield the regions of a JSON-MIN task: under each control tag's name a list of values."""
    for name, its in values.items():
        for one in its if is_region_list(its) else ():
            kind = next((kind for kind in LABEL_TYPES if kind in one), None)
            if kind:
                value = mapping(one, name, where)
                labels = sequence(value.get(kind), "list of labels", where)
                yield Region(name, value, labels, where, is_hypertext=kind != "labels")


def is_region_list(value: object) -> TypeGuard[Sequence[Mapping[str, object]]]:
    """Whether a value of a JSON-MIN task is a list of regions, at least one with labels."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    are_objects = all(isinstance(one, Mapping) for one in value)
    return are_objects and any(kind in one for one in value for kind in LABEL_TYPES)
