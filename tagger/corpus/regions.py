"""Select an annotation of a Label Studio text and read its regions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from tagger.corpus.values import mapping, sequence, string
from tagger.errors import InputError, Warn

DEFAULT_NAME = "label"
"""The default name of the control tag of labels in Label Studio. Other names are task names."""
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
"""Keys that Label Studio adds to JSON-MIN tasks."""
LABEL_TYPES = ("labels", "hypertextlabels", "paragraphlabels")
_MARKUP = re.compile(r"<[A-Za-z/!]|&#?\w+;")


@dataclass(frozen=True, slots=True)
class Region:
    """A marked region: the name of the control tag, the values of the span, its labels and location."""

    name: str
    values: Mapping[str, object]
    labels: Sequence[object]
    where: str
    is_hypertext: bool = False


@dataclass(slots=True)
class Export:
    """Properties that the texts of one export share.

    Attributes:
        tasks: For each requested control tag the task of its spans.
        key: The data key of the text.
        is_annotated: True if at least one text has an annotation that is not cancelled.
        n_predicted: Number of texts with predictions but without annotations.
        ignored: Ignored keys of the data, in order.
    """

    tasks: dict[str, str] = field(default_factory=dict)
    key: str = TEXT
    is_annotated: bool = False
    n_predicted: int = 0
    ignored: dict[str, None] = field(default_factory=dict)


def read_regions(values: Mapping[str, object], export: Export, where: str, warn: Warn) -> list[Region] | None:
    """Return the regions of a text. None if the text has no gold annotation.

    Raises:
        InputError: If a value is missing or invalid.
    """
    if "data" not in values:
        return list(_minimal_regions(values, where))
    results = _results(values, export, where, warn)
    if results is None:
        return None
    regions = []
    for item in results:
        result = mapping(item, "result", where)
        kind = result.get("type")
        if kind not in LABEL_TYPES:
            warn(f"{where}: a result of type {kind!r} was skipped; it is not a labelled span.")
            continue
        value = mapping(result.get("value"), "value of a result", where)
        if "score" in result:
            value = {**value, "score": result["score"]}
        name = string(result.get("from_name", DEFAULT_NAME), "from_name", where)
        labels = sequence(value.get(str(kind), value.get("labels")), "list of labels", where)
        regions.append(Region(name, value, labels, where, is_hypertext=kind != "labels"))
    return regions


def in_text(region: Region, text: str) -> Region:
    """Return a region with offsets in the text.

    Raises:
        InputError: If its offsets refer to the rendered page of a hypertext.
    """
    if not region.is_hypertext:
        return region
    offsets = region.values.get("globalOffsets")
    if not isinstance(offsets, Mapping) or _MARKUP.search(text):
        raise InputError(
            f"the label {region.labels!r:.60} marks hypertext or a dialogue "
            "(hypertextlabels, paragraphlabels), and its offsets refer to the rendered page, not to the "
            "text. Label plain text (Text with Labels) and export that.",
            code="corpus.offsets",
            where=region.where,
        )
    return replace(region, values={**region.values, **offsets})


def is_cancelled(annotation: Mapping[str, object]) -> bool:
    """Return True if an annotator skipped the text."""
    return bool(annotation.get("was_cancelled") or annotation.get("skipped"))


def annotations_under(
    values: Mapping[str, object], names: Sequence[str], where: str
) -> list[dict[str, object]]:
    """Return the annotations or predictions under any of these names.

    Raises:
        InputError: If one is not an object.
    """
    return [
        mapping(item, name, where)
        for name in names
        for item in sequence(values.get(name, ()), f"list of {name}", where)
        if not isinstance(item, int)  # exports may list predictions by id only
    ]


def _results(values: Mapping[str, object], export: Export, where: str, warn: Warn) -> Sequence[object] | None:
    """Return the results of the selected annotation or prediction. None if no annotation is gold."""
    annotations = annotations_under(values, ANNOTATIONS, where)
    chosen = [annotation for annotation in annotations if not is_cancelled(annotation)]
    if annotations and not chosen:
        warn(f"{where}: the text was skipped because its annotators cancelled it.")
        return None
    if not chosen and export.is_annotated:
        other_keys = [name for name in (*PREDICTIONS, "drafts") if values.get(name)]
        detail = f" (its {' and '.join(other_keys)} are not gold)" if other_keys else ""
        warn(f"{where}: the text was skipped because it has no annotations{detail}.")
        return None
    if not chosen:
        chosen = annotations_under(values, PREDICTIONS, where)
        if not chosen:
            detail = " (its drafts are not gold)" if values.get("drafts") else ""
            warn(f"{where}: the text has no annotations{detail}; it is read as text without spans.")
            return ()
        return sequence(chosen[0].get("result", ()), "result", where)
    truths = [annotation for annotation in chosen if annotation.get("ground_truth") is True]
    selected = (truths or chosen)[0]
    if len(chosen) > 1:
        which = "ground truth" if truths else "first"
        id_of_selected = f", number {selected['id']}," if isinstance(selected.get("id"), int) else ""
        annotator = _annotator(selected)
        by = f" by {annotator}" if annotator else ""
        warn(
            f"{where}: the {which} of {len(chosen)} annotations{id_of_selected}{by} is read, the others are "
            "skipped."
        )
    return sequence(selected.get("result", ()), "result", where)


def _annotator(annotation: Mapping[str, object]) -> str:
    """Return the name, address or id of an annotator, or an empty string."""
    by = annotation.get("completed_by")
    if isinstance(by, Mapping):
        by = by.get("email", by.get("id"))
    return repr(by) if isinstance(by, str | int) else ""


def is_repeated(value: object, seen: set[object], where: str, warn: Warn) -> bool:
    """Return True if a JSON-MIN task repeats an earlier id because several annotators labelled the text."""
    if not isinstance(value, Mapping) or "data" in value or not isinstance(value.get("id"), int):
        return False
    if value["id"] in seen:
        warn(f"{where}: an earlier text has the same number {value['id']}; this annotation was skipped.")
        return True
    seen.add(value["id"])
    return False


def _minimal_regions(values: Mapping[str, object], where: str) -> Iterator[Region]:
    """Yield the regions of a JSON-MIN task, which lists values under the name of each control tag."""
    for name, items in values.items():
        for item in items if is_region_list(items) else ():
            kind = next((kind for kind in LABEL_TYPES if kind in item), None)
            if kind:
                value = mapping(item, name, where)
                labels = sequence(value.get(kind), "list of labels", where)
                yield Region(name, value, labels, where, is_hypertext=kind != "labels")


def is_region_list(value: object) -> TypeGuard[Sequence[Mapping[str, object]]]:
    """Return True if a value of a JSON-MIN task is a list of regions, at least one of them labelled."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    are_objects = all(isinstance(item, Mapping) for item in value)
    return are_objects and any(kind in item for item in value for kind in LABEL_TYPES)
