"""``TaggerRecognizer``: entities, thresholds, YAML files and errors, in Presidio's own engine."""

import sys
from dataclasses import replace
from importlib import import_module

import pytest
from bundles import make_bundle
from input_errors import check, raises

from tagger import Tagger
from tagger.bundle import save_bundle
from tagger.errors import InputError

pytest.importorskip("presidio_analyzer", reason="presidio-analyzer is not installed")
pytest.importorskip("spacy", reason="spaCy is not installed")

import spacy
import yaml
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from presidio_analyzer.recognizer_registry import RecognizerRegistryProvider

from tagger.integrations.presidio_recognizer import TaggerRecognizer

TEXT = "Mira met Tom in New Ayr.\n\nAyr lost 2-0. Rain fell on Mira Lang and her dog."
NAMES = {"PER": "PERSON", "LOC": "LOCATION", "ORG": "ORGANIZATION"}
ROWS = [
    {"min_score": threshold, "found": 10, "precision": 0.5, "recall": recall, "f1": 0.5}
    for threshold, recall in ((0.0, 0.9), (0.3, 0.9), (0.5, 0.7), (0.9, 0.2))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model"
    bundle = make_bundle(context="document")[1]
    save_bundle(replace(bundle, metrics={"thresholds": {"ner": ROWS}}), path)
    return path


class BlankEngine(SpacyNlpEngine):
    """Presidio's tokens from a blank pipeline."""

    def __init__(self):
        super().__init__()
        self.nlp = {"en": spacy.blank("en")}

    def load(self):
        """Keep the blank pipeline."""


def analyzer(registry):
    return AnalyzerEngine(registry=registry, nlp_engine=BlankEngine(), supported_languages=["en"])


def expected(folder, min_score=0.0):
    """The model's spans in the whole text, by Presidio's names."""
    return {
        (span.start_char, span.end_char, NAMES[span.label]): pytest.approx(span.score)
        for sentence in Tagger.load(folder).tag(TEXT, min_score=min_score)
        for span in sentence.spans["ner"]
    }


def found(results):
    return {(one.start, one.end, one.entity_type): one.score for one in results}


@pytest.mark.parametrize("min_score", [0.0, 0.4, {"LOC": 0.6}])
def test_the_engine_returns_the_spans_of_the_model_with_their_scores(folder, min_score):
    registry = RecognizerRegistry(recognizers=[], supported_languages=["en"])
    registry.add_recognizer(TaggerRecognizer(model=folder, min_score=min_score))
    engine = analyzer(registry)
    assert found(engine.analyze(TEXT, language="en")) == expected(folder, min_score)
    assert set(engine.get_supported_entities()) == set(NAMES.values())
    people = found(engine.analyze(TEXT, language="en", entities=["PERSON"]))
    assert people == {key: score for key, score in expected(folder, min_score).items() if key[2] == "PERSON"}
    assert people
    assert engine.analyze("", language="en") == engine.analyze(" \n", language="en") == []


def test_a_yaml_file_registers_the_recogniser_with_all_options(folder, tmp_path):
    entry = {
        "name": "names",
        "class_name": "TaggerRecognizer",
        "supported_languages": ["en"],
        "type": "predefined",
        "model": str(folder),
        "recall": 0.8,
        "labels": {"ORG": "COMPANY"},
    }
    path = tmp_path / "recognizers.yaml"
    path.write_text(yaml.safe_dump({"supported_languages": ["en"], "recognizers": [entry]}))
    registry = RecognizerRegistryProvider(conf_file=path).create_recognizer_registry()
    (recognizer,) = registry.recognizers
    assert (recognizer.name, recognizer.min_score) == ("names", 0.3)
    assert recognizer.supported_entities == ["COMPANY", "LOCATION", "PERSON"]
    results = analyzer(registry).analyze(TEXT, language="en", return_decision_process=True)
    assert len(results) == len(expected(folder, 0.3))
    assert {one.analysis_explanation.recognizer for one in results} == {"names"}
    path.write_text(yaml.safe_dump({"supported_languages": ["en"], "recognizers": [{**entry, "modle": 1}]}))
    with pytest.raises(TypeError, match="modle"):
        RecognizerRegistryProvider(conf_file=path).create_recognizer_registry()


@pytest.mark.parametrize(("recall", "threshold"), [(0.2, 0.9), (0.21, 0.5), (0.9, 0.3), (0, 0.9)])
def test_recall_is_the_highest_threshold_that_reached_it_on_dev(folder, recall, threshold):
    assert TaggerRecognizer(model=folder, recall=recall).min_score == threshold


def test_the_thresholds_of_a_trained_model_are_used(model):
    measured = Tagger.load(model).bundle.metrics["thresholds"]["ner"]
    recall = measured[len(measured) // 2]["recall"]
    threshold = max(row["min_score"] for row in measured if row["recall"] >= recall)
    assert TaggerRecognizer(model=model, recall=recall).min_score == threshold


@pytest.mark.parametrize("metrics", [{}, {"thresholds": 3}, {"thresholds": {"ner": [{"recall": "x"}]}}])
def test_missing_or_damaged_thresholds_are_an_error(metrics, tmp_path):
    save_bundle(replace(make_bundle()[1], metrics=metrics), tmp_path)
    with raises("argument.value", option="recall", mentions="tagger evaluate MODEL FILE --recall 0.9"):
        TaggerRecognizer(model=tmp_path, recall=0.9)


def test_a_recall_without_threshold_is_an_error(folder):
    with raises("argument.value", option="recall", mentions="0.9000"):
        TaggerRecognizer(model=folder, recall=0.99)
    with raises("argument.value", option="recall", mentions="got both"):
        TaggerRecognizer(model=folder, recall=0.5, min_score=0.5)
    with raises("argument.value", option="recall", mentions="1.5"):
        TaggerRecognizer(model=folder, recall=1.5)


def test_errors_are_raised_instead_of_an_empty_result(folder, monkeypatch):
    recognizer = TaggerRecognizer(model=folder)

    def fail(*arguments, **options):
        raise MemoryError("no memory")

    monkeypatch.setattr(recognizer.tagger, "tag", fail)
    registry = RecognizerRegistry(recognizers=[recognizer], supported_languages=["en"])
    with pytest.raises(MemoryError, match="no memory"):
        analyzer(registry).analyze(TEXT, language="en")
    with raises("corpus.task", option="task", mentions="pos"):
        TaggerRecognizer(model=folder, task="pos")
    with raises("corpus.labels", option="min_score", mentions="NONE"):
        TaggerRecognizer(model=folder, min_score={"NONE": 0.5})
    with raises("bundle.missing"):
        TaggerRecognizer(model=folder / "none")


def test_a_missing_package_is_an_error(monkeypatch):
    monkeypatch.delitem(sys.modules, "tagger.integrations.presidio_recognizer")
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(InputError) as error:
        import_module("tagger.integrations.presidio_recognizer")
    check(error.value, "package.missing", mentions="presidio-analyzer")
