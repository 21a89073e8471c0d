"""``Tagger.evaluate``: a typed record with the scores of ``tagger evaluate``."""

import copy
import json
import pickle
import sys
from dataclasses import replace

import pytest
from command_line import run
from input_errors import raises
from seqeval.metrics import classification_report

from tagger import Tagger
from tagger.corpus.loading import FileOptions, load_split
from tagger.evaluation.model_scores import ModelScores


@pytest.fixture(scope="module")
def tagger(model):
    return Tagger.load(model)


@pytest.fixture(scope="module")
def sentences(corpus):
    options = FileOptions(columns="token,pos,ner")
    return load_split([corpus / "dev.conll"], ["pos", "ner"], options=options).sentences


def test_the_scores_equal_those_of_the_command(tagger, model, corpus):
    for options, arguments in ((("--min-score", "0.6"), {"min_score": 0.6}), ((), {"task": "ner"})):
        scores = tagger.evaluate(corpus / "dev.conll", **arguments)
        words = [*options, *(("--task", "ner") if "task" in arguments else ())]
        code, output, _ = run("evaluate", model, corpus / "dev.conll", "--json", *words)
        assert code == 0
        expected = json.loads(output)["tasks"]
        assert json.loads(json.dumps(scores.to_dict())) == expected
        assert list(scores) == list(expected)
        for values in (expected["ner"], *expected["ner"]["by_label"].values()):
            assert 0 < values["f1"] < 1


def test_the_fields_are_those_of_seqeval(tagger, sentences):
    gold = [list(one.tags["ner"]) for one in sentences]
    predicted = [list(one.tags["ner"]) for one in tagger.tag_sentences(sentences)]
    report = classification_report(gold, predicted, output_dict=True)
    ner = tagger.evaluate(sentences).ner
    for side, key in ((ner, "micro avg"), *((ner.by_label[label], label) for label in ("PER", "LOC"))):
        assert (side.precision, side.recall, side.f1, side.support) == pytest.approx(
            (*(report[key][name] for name in ("precision", "recall", "f1-score")), report[key]["support"])
        )


def test_a_path_and_sentences_give_the_same_scores(tagger, corpus, sentences):
    scores = tagger.evaluate(corpus / "dev.conll")
    assert tagger.evaluate(str(corpus / "dev.conll")) == scores
    assert tagger.evaluate(iter(sentences)) == scores
    assert tagger.evaluate(sentences, task=["ner", "pos"])["ner"] == scores["ner"]


def test_a_task_without_spans_has_accuracy(tagger, sentences):
    scores = tagger.evaluate(sentences)
    tagged = list(tagger.tag_sentences(sentences))
    pairs = [
        pair
        for gold, one in zip(sentences, tagged, strict=True)
        for pair in zip(gold.tags["pos"], one.tags["pos"], strict=True)
    ]
    assert scores.pos.accuracy == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    assert scores.pos.support == len(pairs)
    assert not hasattr(scores.pos, "f1")
    with pytest.raises(AttributeError, match=r"^the task 'ner' has no accuracy\. Use precision, "):
        _ = scores.ner.accuracy
    with pytest.raises(AttributeError, match=r"^there are no scores of 'chunk'\. The tasks are pos, ner\."):
        _ = scores.chunk
    with pytest.raises(KeyError):
        scores["chunk"]


def test_only_the_tasks_of_the_data_are_evaluated(tagger, sentences):
    only_pos = [replace(one, tags={"pos": one.tags["pos"]}) for one in sentences]
    assert list(tagger.evaluate(only_pos)) == ["pos"]
    with raises("corpus.task", file="data[0]", mentions="'ner'"):
        tagger.evaluate([replace(one, source="") for one in only_pos], task="ner")
    with raises("corpus.task", mentions="'chunk'"):
        tagger.evaluate(only_pos, task="chunk")
    with raises("corpus.task", file="data[0]", mentions="'pos'"):
        tagger.evaluate([replace(only_pos[0], tags={}, source="")], task=None)


def test_the_record_is_readable_and_can_be_copied(tagger, sentences):
    scores = tagger.evaluate(sentences, task="ner")
    assert repr(scores).startswith("ModelScores(TaskScore('ner', precision=0.")
    for other in (pickle.loads(pickle.dumps(scores)), copy.deepcopy(scores)):
        assert isinstance(other, ModelScores)
        assert other == scores
        assert other.ner.f1 == scores.ner.f1


@pytest.mark.parametrize("data", [None, 3, b"dev.conll"])
def test_data_of_a_wrong_type(tagger, data):
    with pytest.raises(TypeError, match=r"^data must be labelled data \(got .* Pass a path, "):
        tagger.evaluate(data)


def test_other_wrong_arguments(tagger, corpus, sentences):
    with raises("corpus.record", file="data[0]", mentions="['Mira']"):
        tagger.evaluate([["Mira"]])
    with pytest.raises(TypeError, match=r"^task must be a str or a list of them \(got int 3\)\."):
        tagger.evaluate(sentences, task=3)
    with raises("corpus.empty", file="data"):
        tagger.evaluate([])
    with raises("argument.value", option="min_score"):
        tagger.evaluate(sentences, min_score=2)
    with raises("file.missing", file="none.conll"):
        tagger.evaluate(corpus / "none.conll")


def test_spans_need_seqeval(tagger, sentences, monkeypatch):
    monkeypatch.setitem(sys.modules, "seqeval", None)
    with raises("package.missing", mentions="seqeval"):
        tagger.evaluate(sentences)
    assert tagger.evaluate(sentences, task="pos").pos.accuracy > 0
