"""Label Studio files: any JSON is read or rejected, and predictions survive a round trip."""

import io
import json
from dataclasses import replace

import pytest
from annotated_texts import sentences
from corpus_builders import annotated
from hypothesis import given
from hypothesis import strategies as st

from tagger.corpus.labelstudio import read_labelstudio, write_labelstudio
from tagger.corpus.placement import documents
from tagger.corpus.reading import Reading, Writing
from tagger.text.sentence import Span, from_tokens

KEYS = (
    "data",
    "text",
    "annotations",
    "predictions",
    "result",
    "value",
    "labels",
    "start",
    "end",
    "type",
    "label",
)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 4) | st.sampled_from(["", "Ada", "labels", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
)


RESULT = st.fixed_dictionaries(
    {"type": st.just("labels")}, optional={"value": ANY_JSON, "from_name": ANY_JSON}
)


@pytest.mark.slow
@given(st.lists(ANY_JSON | RESULT.map(lambda one: annotated(one)), max_size=3))
def test_any_export_is_read_or_rejected_with_one_line(folder, values):
    path = folder / "any.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    errors = []
    list(read_labelstudio(path, Reading(on_error=errors.append)))
    assert all(one.file == str(path) and "\n" not in str(one) for one in errors)


@pytest.mark.slow
@given(sentences(tasks=("ner", "chunk")), st.sampled_from([("ner",), ("chunk",), ("ner", "chunk")]))
def test_predictions_preserve_texts_spans_and_scores(folder, found, tasks):
    path = folder / "predictions.json"
    file = io.StringIO()
    write_labelstudio(found, file, Writing(tasks=tasks))
    path.write_text(file.getvalue(), encoding="utf-8", newline="")
    again = list(read_labelstudio(path, Reading(tasks=(), on_error=lambda _: None)))
    # A task without spans does not appear in the file.
    marked = [task for task in tasks if any(sentence.spans[task] for sentence in found)]

    def content(sentences):
        return [
            (one.text, {task: [replace(span, where="") for span in one.spans[task]] for task in marked})
            for one in documents(sentences, marked)
        ]

    assert content(again) == content(found)


def test_what_label_studio_imports():
    sentence = replace(
        from_tokens(["Ada", "sang"]), spans={"ner": (Span(0, 1, "PER", 0.75), Span(1, 2, "X", 0.5))}
    )
    file = io.StringIO()
    write_labelstudio([sentence], file, Writing(tasks=("ner",)))
    (task,) = json.loads(file.getvalue())
    assert task["data"] == {"text": "Ada sang"}
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("tagger", 0.5)
    assert prediction["result"][0] == {
        "id": "ner-1",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "value": {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]},
        "score": 0.75,
    }
    file = io.StringIO()
    write_labelstudio([], file, Writing(tasks=("ner",)))
    assert json.loads(file.getvalue()) == []
