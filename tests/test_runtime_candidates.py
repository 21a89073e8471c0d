"""Candidate spans and thresholds per label: compare the Tagger with enumeration and with filtering."""

from dataclasses import replace

import numpy as np
import pytest
from bundles import every_legal_path, make_bundle, random_sentences

from tagger import InputError, Tagger
from tagger.features.batching import WordTable
from tagger.runtime import annotation
from tagger.runtime.engine import Engine
from tagger.runtime.model_evaluation import evaluate
from tagger.text.schemes import tags_to_spans
from tagger.text.sentence import from_tokens

SENTENCES = [["Mira"], ["Ayr", "lost"], ["Tom", "met", "Glasgow"]]


def key(span):
    return span.start, span.end, span.label


@pytest.mark.parametrize("constrain", [True, False])
@pytest.mark.parametrize("head", ["crf", "softmax"])
@pytest.mark.parametrize("model_scheme", ["BIOES", "IOB2"])
def test_candidates_equal_enumeration_and_include_the_best_path(head, model_scheme, constrain):
    for seed, temperature in ((0, 1.0), (3, 2.0)):
        _, bundle = make_bundle(seed, head=head, scheme=model_scheme, constrain=constrain)
        tagger = Tagger(replace(bundle, temperatures={"ner": temperature}), scheme="BIOES")
        task = next(task for task in tagger.tasks if task.name == "ner")
        engine, table = Engine(bundle), WordTable(bundle.vocabulary)
        for tokens, sentence in zip(SENTENCES, tagger.tag_tokens(SENTENCES, candidates=0.01), strict=True):
            emissions = engine.emissions(table.batch([table.rows(tokens)]))["ner"]
            paths, weights = every_legal_path(task, len(tokens), engine.transitions["ner"], emissions)
            weights = weights ** (1 / temperature) / (weights ** (1 / temperature)).sum()
            expected = {}
            for path, weight in zip(paths, weights, strict=True):
                for span in tags_to_spans([task.tags[number] for number in path], task.scheme):
                    expected[key(span)] = expected.get(key(span), 0.0) + weight
            found = {key(span): span.score for span in sentence.candidates["ner"]}
            likely = {span: score for span, score in expected.items() if score >= 0.01}
            assert found == {span: pytest.approx(score, abs=1e-5) for span, score in likely.items()}
            for span in sentence.spans["ner"]:
                assert span in sentence.candidates["ner"] or span.score < 0.01
                assert span.score == pytest.approx(expected[key(span)], abs=1e-5)


def test_candidates_are_sorted_and_change_nothing_else(monkeypatch):
    _, bundle = make_bundle(2)
    tagger = Tagger(bundle)
    sentences = [*random_sentences(bundle.vocabulary, count=40), []]
    plain = tagger.tag_tokens(sentences, scores=True, n_best=2)
    full = tagger.tag_tokens(sentences, scores=True, n_best=2, candidates=0.02)
    assert sum(len(one.candidates["ner"]) for one in full) > sum(len(one.spans["ner"]) for one in full)
    for one, other in zip(full, plain, strict=True):
        assert other.candidates == {}
        assert replace(one, candidates={}) == other
        found = one.candidates["ner"]
        assert list(found) == sorted(found, key=lambda span: (span.start, span.end, -span.score, span.label))
        assert {span for span in one.spans["ner"] if span.score >= 0.02} <= set(found)
        for span in found:
            offsets = one.offsets[span.start][0], one.offsets[span.end - 1][1]
            assert (span.start_char, span.end_char) == offsets
    fewer = tagger.tag_tokens(sentences, candidates=0.3)
    assert [one.candidates["ner"] for one in fewer] == [
        tuple(span for span in one.candidates["ner"] if span.score >= 0.3) for one in full
    ]
    monkeypatch.setattr(annotation, "GROUP_SENTENCES", 3)
    again = tagger.tag_tokens(sentences, candidates=0.02)
    for one, other in zip(again, full, strict=True):
        scores = [pytest.approx(span.score, abs=1e-6) for span in other.candidates["ner"]]
        assert [span.score for span in one.candidates["ner"]] == scores


def test_candidates_have_offsets_in_raw_text_and_ignore_min_score():
    _, bundle = make_bundle(2)
    tagger, text = Tagger(bundle), "Mira met Tom.  Glasgow lost 2-0 !\n\nNew Ayr   was quiet."
    full = tagger.tag(text, candidates=0.05)
    assert [one.candidates for one in tagger.tag(text, candidates=0.05, min_score=1.0)] == [
        one.candidates for one in full
    ]
    for sentence in full:
        for span in sentence.candidates["ner"]:
            words = "".join(text[span.start_char : span.end_char].split())
            assert words == "".join(sentence.tokens[span.start : span.end])


def test_the_number_of_candidates_is_linear_in_the_length():
    _, bundle = make_bundle(1, context="sentence")
    words = random_sentences(bundle.vocabulary, seed=3, count=500)
    tokens = [word for sentence in words for word in sentence]
    (sentence,) = Tagger(bundle).tag_tokens([tokens], candidates=0.001)
    assert len(sentence.spans["ner"]) < len(sentence.candidates["ner"]) < 100 * len(tokens)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("0.1", r"^candidates must be a number \(got str '0\.1'\)\."),
        (None, r"^candidates must be a number \(got None\)\."),
        (True, r"^candidates must be a number \(got bool True\)\."),
    ],
)
def test_a_threshold_of_candidates_of_a_wrong_type(wrong, message):
    with pytest.raises(TypeError, match=message):
        Tagger(make_bundle()[1]).tag("Mira", candidates=wrong)


@pytest.mark.parametrize(
    ("wrong", "bounds"), [(-0.1, "0 to 1"), (1.5, "0 to 1"), (float("nan"), "0 to 1"), (1e-9, "0.001")]
)
def test_an_invalid_threshold_of_candidates(wrong, bounds):
    with pytest.raises(InputError, match=bounds) as error:
        Tagger(make_bundle()[1]).tag("Mira", candidates=wrong)
    assert (error.value.code, error.value.option) == ("argument.value", "candidates")


@pytest.mark.parametrize("scheme", ["IOB2", "BIOES"])
def test_thresholds_per_label_equal_filtering(scheme):
    _, bundle = make_bundle(3)
    tagger = Tagger(bundle, scheme=scheme)
    assert set(tagger.labels) == {"PER", "LOC", "ORG"}
    sentences = [*random_sentences(bundle.vocabulary, count=40), []]
    full = tagger.tag_tokens(sentences)
    middle = {
        label: float(np.median([s.score for one in full for s in one.spans["ner"] if s.label == label]))
        for label in tagger.labels
    }
    for thresholds in (middle, {"PER": middle["PER"]}, {"LOC": 1.0, "ORG": np.float32(0.3)}, {}):
        found = tagger.tag_tokens(sentences, min_score=thresholds)
        dropped = 0
        for one, other in zip(found, full, strict=True):
            kept = tuple(span for span in other.spans["ner"] if span.score >= thresholds.get(span.label, 0.0))
            assert one.spans["ner"] == kept
            assert list(map(key, tags_to_spans(one.tags["ner"], scheme))) == list(map(key, kept))
            dropped += len(other.spans["ner"]) - len(kept)
        assert bool(dropped) == bool(thresholds)
    for number in (0.0, 0.5):
        same = tagger.tag_tokens(sentences, min_score=dict.fromkeys(tagger.labels, number))
        assert same == tagger.tag_tokens(sentences, min_score=number)
    gold = [
        from_tokens(one.tokens, starts_document=True).with_tags(one.tags)
        for one in Tagger(bundle).tag_tokens(sentences[:-1])
    ]
    scored = evaluate(tagger, gold, min_score={"PER": middle["PER"]}).scores["ner"]
    assert scored["recall"] < 1.0 == scored["precision"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"PER": "0.5"}, r"^min_score\['PER'\] must be a number \(got str '0\.5'\)\."),
        ({"PER": None}, r"^min_score\['PER'\] must be a number \(got None\)\."),
    ],
)
def test_thresholds_per_label_of_a_wrong_type(wrong, message):
    with pytest.raises(TypeError, match=message):
        Tagger(make_bundle()[1]).tag_sentences([], min_score=wrong)


@pytest.mark.parametrize(
    ("wrong", "code", "option", "fragment"),
    [
        ({"MISC": 0.5}, "corpus.labels", "min_score", "'MISC'. Its labels are LOC, ORG, PER."),
        ({None: 0.5}, "corpus.labels", "min_score", "None"),
        ({"PER": 1.5}, "argument.value", "min_score['PER']", "1.5"),
        ({"PER": float("nan")}, "argument.value", "min_score['PER']", "nan"),
    ],
)
def test_invalid_thresholds_per_label(wrong, code, option, fragment):
    with pytest.raises(InputError) as error:
        Tagger(make_bundle()[1]).tag_sentences([], min_score=wrong)
    assert (error.value.code, error.value.option) == (code, option)
    assert fragment in str(error.value)
