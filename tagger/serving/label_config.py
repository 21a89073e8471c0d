"""Read Label Studio's labeling config: the ``<Labels>`` of its ``<Text>`` tags.

See https://labelstud.io/tags/labels and https://labelstud.io/tags/label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from tagger.corpus.regions import DEFAULT_NAME, TEXT
from tagger.errors import InputError

LONGEST_CONFIG = 1 << 18  # characters


@dataclass(frozen=True, slots=True)
class Control:
    """A ``<Labels>`` tag for a ``<Text>`` tag.

    Attributes:
        name: Its name, ``from_name`` in results.
        to_name: The name of the text's tag.
        key: The key of the text in the task's data.
        labels: For each label of a model the label in results; None for all labels unchanged.
    """

    name: str
    to_name: str
    key: str
    labels: Mapping[str, str] | None

    def label_of(self, label: str) -> str | None:
        """Return the label in results for a label of the model, or None if the tag lacks it."""
        return label if self.labels is None else self.labels.get(label)


DEFAULT_CONTROLS = (Control(DEFAULT_NAME, TEXT, TEXT, None),)
"""For requests without a config: Label Studio's default names, and all labels."""


@dataclass(slots=True)
class _Tags:
    """The tags of a config that matter here.

    Attributes:
        texts: For each ``<Text>`` its key in the data; None if the text is behind a URL.
        targets: For each ``<Labels>`` the names in its ``toName``.
        labels: For each ``<Labels>`` its labels.
        open: The ``<Labels>`` around the current position.
    """

    texts: dict[str, str | None] = field(default_factory=dict)
    targets: dict[str, list[str]] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    open: str | None = None

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = attributes.get("name", "")
        if tag == "Text":
            value = attributes.get("value", "")
            is_inline = attributes.get("valueType", "text") == "text" and value.startswith("$")
            self.texts[name] = value[1:] if is_inline else None
        elif tag == "Labels":
            self.open = name
            self.targets[name] = [one.strip() for one in attributes.get("toName", "").split(",")]
            self.labels.setdefault(name, {})
        elif tag == "Label" and self.open is not None:
            self._add_label(self.labels[self.open], attributes)

    def end(self, tag: str) -> None:
        if tag == "Labels":
            self.open = None

    @staticmethod
    def _add_label(labels: dict[str, str], attributes: Mapping[str, str]) -> None:
        value, alias = attributes.get("value", ""), attributes.get("alias", "")
        predicted = attributes.get("predicted_values", "").split(",")
        for label in (value, alias, *(one.strip() for one in predicted)):
            if label:
                labels.setdefault(label, alias or value)


def read_label_config(config: str) -> list[Control]:
    """Return the ``<Labels>`` of the texts in a labeling config, in order.

    A label stands for the model's label of the same name (``value`` or ``alias``), and for those in its
    ``predicted_values``, separated by commas. Results have its ``alias``, by default its ``value``. If a tag
    names several texts, there is one ``Control`` for each. Other tags are ignored, also texts behind a URL.

    Raises:
        InputError: The config is too long, is not XML, has a document type declaration (which could declare
            entities), or has no ``<Labels>`` for a ``<Text>``.
    """
    if len(config) > LONGEST_CONFIG:
        raise _invalid(f"must have at most {LONGEST_CONFIG:,} characters (got {len(config):,})")
    tags = _Tags()
    parser = expat.ParserCreate("utf-8")  # takes precedence over a declaration, which no longer applies
    parser.StartElementHandler = tags.start
    parser.EndElementHandler = tags.end
    parser.StartDoctypeDeclHandler = _reject_doctype
    try:
        parser.Parse(config.encode(), True)
    except expat.ExpatError as error:
        raise _invalid(f"must be XML (got {expat.ErrorString(error.code)} in line {error.lineno})") from None
    controls = [
        Control(name, target, key, tags.labels[name])
        for name, targets in tags.targets.items()
        for target in targets
        if (key := tags.texts.get(target)) is not None
    ]
    if not controls:
        raise _invalid('must have <Labels name="…" toName="…"> for a <Text name="…" value="$…"/>')
    return controls


def _reject_doctype(*_: object) -> None:
    raise _invalid("must not have a document type declaration")


def _invalid(message: str) -> InputError:
    return InputError(
        f"{message}. Correct the labeling interface of the project.",
        code="corpus.record",
        where="label_config",
    )
