"""Temperatures of a loaded model, score thresholds of spans, and calibration measures."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from bundles import every_legal_path, make_bundle, random_sentences

from tagger import Tagger
from tagger.errors import InputError
from tagger.evaluation.calibration import THRESHOLDS
from tagger.features.batching import WordTable
from tagger.runtime.engine import Engine
from tagger.runtime.model_calibration import fit_temperatures, measure_calibration
from tagger.runtime.model_evaluation import evaluate
from tagger.text.schemes import tags_to_spans
from tagger.text.sentence import from_tokens

TEMPERATURES = {"ner": 2.5, "pos": 0.4}


def labelled(tagger, *, seed=1, count=40):
    """Return random sentences; some of their gold tags differ from the predicted ones."""
    rng = np.random.default_rng(seed)
    result = []
    for sentence in tagger.tag_tokens(random_sentences(tagger.bundle.vocabulary, seed, count)):
        pos = [tag if rng.random() < 0.8 else str(rng.choice(["N", "V"])) for tag in sentence.tags["pos"]]
        ner = [tag if rng.random() < 0.8 else "O" for tag in sentence.tags["ner"]]
        result.append(from_tokens(sentence.tokens).with_tags({"ner": ner, "pos": pos}))
    return result


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_all_probabilities_are_scaled_by_the_temperature(head):
    _, bundle = make_bundle(1, head=head)
    tagger = Tagger(replace(bundle, temperatures=TEMPERATURES))
    engine, table = Engine(bundle), WordTable(bundle.vocabulary)
    sentences = [["Mira"], ["Ayr", "lost"], ["Tom", "met", "Glasgow"]]
    plain = Tagger(bundle).tag_tokens(sentences, n_best=4)
    found = tagger.tag_tokens(sentences, n_best=4, scores=True)
    for task, (index, sentence) in itertools.product(tagger.tasks, enumerate(found)):
        emissions = engine.emissions(table.batch([table.rows(sentence.tokens)]))[task.name]
        paths, weights = every_legal_path(task, len(sentence), engine.transitions[task.name], emissions)
        weights **= 1 / TEMPERATURES[task.name]
        weights /= weights.sum()
        best = paths[int(weights.argmax())]
        assert sentence.tags[task.name] == plain[index].tags[task.name]
        ours, others = sentence.alternatives[task.name], plain[index].alternatives[task.name]
        assert [one.tags for one in ours] == [one.tags for one in others]
        assert [one.probability for one in ours] == pytest.approx(np.sort(weights)[::-1][:4], abs=1e-5)
        marginals = [
            sum(w for path, w in zip(paths, weights, strict=True) if path[t] == best[t])
            for t in range(len(sentence))
        ]
        assert sentence.tag_scores[task.name] == pytest.approx(marginals, abs=1e-5)
        for span in sentence.spans.get(task.name, ()):
            share = sum(
                w
                for path, w in zip(paths, weights, strict=True)
                if any(
                    (one.start, one.end, one.label) == (span.start, span.end, span.label)
                    for one in tags_to_spans([task.tags[tag] for tag in path], task.scheme)
                )
            )
            assert span.score == pytest.approx(share, abs=1e-5)


def test_with_temperatures_shares_the_model_and_leaves_the_original_unchanged():
    _, bundle = make_bundle()
    sentences = random_sentences(bundle.vocabulary)
    calibrated = Tagger(replace(bundle, temperatures=TEMPERATURES))
    expected = calibrated.tag_tokens(sentences, scores=True)
    plain = calibrated.with_temperatures({})
    assert plain.engine is calibrated.engine
    assert plain.tag_tokens(sentences, scores=True) == Tagger(bundle).tag_tokens(sentences, scores=True)
    assert calibrated.tag_tokens(sentences, scores=True) == expected
    assert plain.with_temperatures(TEMPERATURES).tag_tokens(sentences, scores=True) == expected
    assert (plain.bundle.temperature("ner"), calibrated.bundle.temperature("pos")) == (1, 0.4)


@pytest.mark.parametrize("scheme", ["IOB2", "BIOES", "IOB1"])
@pytest.mark.parametrize("model_scheme", ["BIOES", "IOB2"])
def test_spans_below_the_threshold_are_dropped(model_scheme, scheme):
    _, bundle = make_bundle(3, scheme=model_scheme)
    tagger = Tagger(bundle, scheme=scheme)
    sentences = [*random_sentences(bundle.vocabulary, count=40), []]
    full = tagger.tag_tokens(sentences, scores=True, n_best=2)
    scores = [span.score for sentence in full for span in sentence.spans["ner"]]
    middle = float(np.median(scores))
    for threshold in (0.0, middle, 1.0):
        result = tagger.tag_tokens(sentences, scores=True, n_best=2, min_score=threshold)
        for one, other in zip(result, full, strict=True):
            kept = tuple(span for span in other.spans["ner"] if span.score >= threshold)
            assert one.spans["ner"] == kept
            expected = [(span.start, span.end, span.label) for span in kept]
            own = [(span.start, span.end, span.label) for span in tags_to_spans(one.tags["ner"], scheme)]
            assert own == expected
            assert one.tags["pos"] == other.tags["pos"]
            assert one.tag_scores["pos"] == other.tag_scores["pos"]
            assert one.alternatives == other.alternatives
        plain = tagger.tag_tokens(sentences, min_score=threshold)
        assert [one.spans for one in plain] == [one.spans for one in result]
        assert [one.tags for one in plain] == [one.tags for one in result]
    dropped = [
        (one, other, t)
        for one, other in zip(tagger.tag_tokens(sentences, scores=True, min_score=middle), full, strict=True)
        for t in range(len(one))
        if one.tags["ner"][t] == "O" != other.tags["ner"][t]
    ]
    assert dropped
    for one, other, t in dropped:  # the score is now that of O; the two scores sum to at most 1
        assert one.tag_scores["ner"][t] + other.tag_scores["ner"][t] <= 1 + 1e-5


def test_the_threshold_applies_to_scaled_scores():
    _, bundle = make_bundle()
    hot = Tagger(replace(bundle, temperatures={"ner": 10.0}))
    sentences = random_sentences(bundle.vocabulary, count=30)
    counts = [
        sum(len(one.spans["ner"]) for one in tagger.tag_tokens(sentences, min_score=0.5))
        for tagger in (hot, hot.with_temperatures({}))
    ]
    assert counts[0] < counts[1]


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan"), float("inf")])
def test_an_invalid_threshold_is_an_error_at_once(wrong):
    tagger = Tagger(make_bundle()[1])
    for call in (
        lambda: tagger.tag_sentences([], min_score=wrong),
        lambda: tagger.tag("Mira", min_score=wrong),
        lambda: tagger.tag_tokens([["Mira"]], min_score=wrong),
        lambda: evaluate(tagger, labelled(tagger, count=2), min_score=wrong),
    ):
        with pytest.raises(InputError, match=f"{wrong:g}") as error:
            call()
        assert (error.value.code, error.value.option) == ("argument.value", "min_score")


def test_a_fitted_temperature_minimises_the_loss():
    tagger = Tagger(make_bundle()[1])
    gold = labelled(tagger)
    fitted = fit_temperatures(tagger, gold)
    assert fitted.keys() == {"ner", "pos"}
    assert fit_temperatures(tagger.with_temperatures(TEMPERATURES), gold) == fitted
    assert fit_temperatures(tagger, gold, tasks=["pos"]) == {"pos": fitted["pos"]}

    def loss(temperature: float) -> float:
        """Return the loss of pos tags in one-token sentences."""
        own = tagger.with_temperatures({"pos": temperature})
        result = own.tag_sentences(ones, n_best=50)
        total = 0.0
        for sentence, truth in zip(result, ones, strict=True):
            total -= sum(
                np.log(max(one.probability, 1e-300))
                for one in sentence.alternatives["pos"]
                if one.tags == truth.tags["pos"]
            )
        return total

    ones = [one for one in labelled(tagger, seed=4, count=600) if len(one) == 1]
    best = fit_temperatures(tagger, ones, tasks=["pos"])["pos"]
    assert loss(best) <= min(loss(best * 0.9), loss(best * 1.1), loss(1.0)) + 1e-6


def test_calibration_agrees_with_evaluate():
    _, bundle = make_bundle()
    tagger = Tagger(replace(bundle, temperatures=TEMPERATURES))
    gold = labelled(tagger)
    measured = measure_calibration(tagger, gold)
    scores = evaluate(tagger, gold).scores
    ner, pos = measured["ner"], measured["pos"]
    assert (ner.has_spans, pos.has_spans) == (True, False)
    assert ner.gold == scores["ner"]["support"]
    assert pos.is_right.mean() == pytest.approx(scores["pos"]["accuracy"])
    for row in ner.against():
        expected = evaluate(tagger, gold, min_score=row["min_score"]).scores["ner"]
        for key in ("precision", "recall", "f1"):
            assert row[key] == pytest.approx(expected[key])
    assert evaluate(tagger, gold, min_score=0.9, has_calibration=True).calibrations.keys() == measured.keys()
    plain = measure_calibration(tagger.with_temperatures({}), gold)
    for name, one in measured.items():
        assert np.array_equal(one.before, plain[name].before)
        assert plain[name].before is not one.after
        assert np.array_equal(plain[name].before, plain[name].after)
        assert one.errors[0] == plain[name].errors[1]
        values = one.values()
        assert values["temperature"] == TEMPERATURES[name]
        assert sum(bin_["count"] for bin_ in values["after"]["reliability"]) == len(one.is_right)
        assert [row["min_score"] for row in values["thresholds"]] == list(THRESHOLDS)


def test_one_task_can_be_measured_and_unknown_tasks_are_an_error():
    tagger = Tagger(make_bundle()[1])
    bare = [from_tokens(["Mira", "met"]).with_tags({"pos": ["N", "V"]})]
    assert measure_calibration(tagger, bare, tasks=["pos"]).keys() == {"pos"}
    assert fit_temperatures(tagger, bare, tasks=["pos"]).keys() == {"pos"}
    with pytest.raises(InputError, match=r"'ner'.* the columns pos") as error:
        measure_calibration(tagger, bare)
    assert (error.value.code, error.value.where) == ("corpus.task", "sentence 1")
    assert error.value.option == "--columns"
    with pytest.raises(InputError, match="'chunk'") as error:
        fit_temperatures(tagger, bare, tasks=["chunk"])
    assert (error.value.code, error.value.where) == ("corpus.task", "")
