"""``Tagger.as_pipeline``: the result of Hugging Face's token-classification pipeline."""

import pytest
from bundles import make_bundle
from input_errors import raises

from tagger import Tagger

TAGGER = Tagger(make_bundle()[1])
TEXTS = [
    "Mira met Tom Lang. Rain fell\n\non New Ayr, she said.",
    "",
    "Glasgow lost 2-0.",
    "Mira met Tom Lang.",
]
KEYS = ["entity_group", "score", "word", "start", "end"]  # of an item with an aggregation strategy, in order


def test_a_text_gives_a_list_of_dictionaries_and_a_list_gives_lists():
    pipeline = TAGGER.as_pipeline()
    results = pipeline(TEXTS)
    assert pipeline(tuple(TEXTS)) == results
    assert [len(pipeline(text)) for text in TEXTS] == list(map(len, results))
    assert len(results) == len(TEXTS)
    assert results[1] == []
    assert pipeline([]) == []
    for text, entities in zip(TEXTS, results, strict=True):
        expected = [span for sentence in TAGGER.tag(text) for span in sentence.spans["ner"]]
        assert [list(entity) for entity in entities] == [KEYS] * len(expected)
        for entity, span in zip(entities, expected, strict=True):
            assert entity["word"] == text[entity["start"] : entity["end"]] != ""
            assert (entity["entity_group"], entity["start"]) == (span.label, span.start_char)
            assert type(entity["score"]) is float
            assert entity["score"] == pytest.approx(span.score, abs=1e-5)
    assert results[0]


def test_every_token_of_a_task_without_spans_is_an_item():
    (sentence,) = TAGGER.tag("Glasgow lost 2-0.", scores=True)
    found = TAGGER.as_pipeline(task="pos")("Glasgow lost 2-0.")
    assert [one["entity_group"] for one in found] == list(sentence.tags["pos"])
    assert [one["word"] for one in found] == list(sentence.tokens)
    assert [(one["start"], one["end"]) for one in found] == list(sentence.offsets)
    assert [one["score"] for one in found] == pytest.approx(sentence.tag_scores["pos"])


def test_a_threshold_drops_spans():
    everything, confident = TAGGER.as_pipeline()(TEXTS), TAGGER.as_pipeline(min_score=0.5)(TEXTS)
    kept = [[one for one in entities if one["score"] >= 0.5] for entities in everything]
    assert confident == kept != everything


def test_wrong_arguments():
    pipeline = TAGGER.as_pipeline()
    for inputs in (None, 3, b"Mira", {"Mira"}):
        with pytest.raises(TypeError, match=r"^inputs must be a str \(got "):
            pipeline(inputs)
    with pytest.raises(TypeError, match=r"^texts\[1\] must be a str \(got None\)"):
        pipeline(["Mira", None])
    with raises("corpus.task", mentions="'chunk'"):
        TAGGER.as_pipeline(task="chunk")
    with pytest.raises(TypeError, match=r"^task must be a str \(got list\)"):
        TAGGER.as_pipeline(task=["ner"])
    with raises("argument.value", option="min_score"):
        TAGGER.as_pipeline(min_score=2)("Mira")
