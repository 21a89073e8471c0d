"""Label Studio: reading exports, error messages and round trips of predictions."""

import json
import re

import pytest
from corpus_builders import TEXT, annotated, region
from input_errors import check, raises

from tagger.corpus.files import find_format
from tagger.corpus.labelstudio import read_labelstudio
from tagger.corpus.reading import Reading


@pytest.fixture
def read(write_file):
    """Write tasks as an export and read it. Return its spans by task, the errors and the warnings."""

    def read(*values, **reading):
        path = write_file(json.dumps(values), "export.json")
        errors, warnings = [], []
        found = list(
            read_labelstudio(
                path,
                Reading(**{"on_error": errors.append, "warn": warnings.append} | reading),
            )
        )
        spans = {}
        for sentence in found:
            for task, its in sentence.spans.items():
                words = [
                    sentence.text[s.start_char - sentence.text_start :][: s.end_char - s.start_char]
                    for s in its
                ]
                spans.setdefault(task, []).extend(zip((s.label for s in its), words, strict=True))
        return (
            spans,
            errors,
            [one.removeprefix(f"{path}") for one in warnings],
        )

    return read


@pytest.mark.parametrize(
    "value",
    [
        annotated(region(2, 5), region(12, 16, "X")),
        annotated(region(2, 5), region(12, 16, "X")) | {"data": {"body": TEXT, "stars": 3}},
        {
            "id": 7,
            "text": TEXT,
            "created_at": "today",
            "label": [region(2, 5)["value"], region(12, 16, "X")["value"]],
        },
        {"id": 1, "data": {"text": TEXT}, "completions": [{"result": [region(2, 5), region(12, 16, "X")]}]},
        {
            "id": 1,
            "review": TEXT,
            "id_text": "abc",
            "label": [region(2, 5)["value"], region(12, 16, "X")["value"]],
        },
        annotated(region(2, 5), region(12, 16, "X")) | {"data": {"title": "A title", "body": TEXT}},
    ],
)
def test_exports(read, value):
    assert read(value)[:2] == ({"ner": [("PER", "Ada"), ("X", "Otto")]}, [])


def test_ignored_data_keys_are_reported_once(read):
    value = annotated(region(2, 5)) | {"data": {"text": TEXT, "stars": 3, "title": "A title"}}
    small = {"id": 7, "text": TEXT, "mood": "good", "label": [region(2, 5)["value"]]}
    ignored = "were ignored; sentences have no field for them."
    assert read(value, value)[2] == [f": the data keys stars, title {ignored}"]
    assert read(small)[2] == [f": the data keys mood {ignored}"]


def test_the_first_annotation_that_is_not_cancelled_is_read(read):
    value = annotated(region(12, 16), was_cancelled=True)
    value["annotations"] += [{"result": [region(2, 5)]}, {"result": []}]
    value["predictions"] = [{"result": [region(12, 16)]}]
    spans, errors, warnings = read(value)
    assert (spans, errors) == ({"ner": [("PER", "Ada")]}, [])
    assert warnings == [":1: text 1: the first of 2 annotations is read, the others are skipped."]


def test_cancelled_and_unannotated_texts_are_skipped(read):
    spans, errors, warnings = read(
        annotated(region(2, 5), was_cancelled=True),
        {"data": {"text": TEXT}, "predictions": [3]},
        annotated(region(2, 5)),
        {
            "data": {"text": TEXT},
            "annotations": [],
            "predictions": [{"result": [region(2, 5)]}],
            "drafts": [{}],
        },
        {"data": {"text": TEXT}, "completions": [{"skipped": True, "result": []}]},
    )
    assert (spans, errors) == ({"ner": [("PER", "Ada")]}, [])
    assert warnings == [
        ":1: text 1: the text was skipped because its annotators cancelled it.",
        ":1: text 2: the text was skipped because it has no annotations (its predictions are not gold).",
        ":1: text 4: the text was skipped because it has no annotations "
        "(its predictions and drafts are not gold).",
        ":1: text 5: the text was skipped because its annotators cancelled it.",
    ]


@pytest.mark.parametrize("more", [{}, {"annotations": []}])
def test_predictions_of_unannotated_files_are_read_with_a_warning(read, more):
    values = [
        {"data": {"text": TEXT}, "predictions": [{"result": [region(2, 5), region(12, 16, "X")]}]} | more,
        {"data": {"text": TEXT}} | more,
    ]
    spans, errors, warnings = read(*values)
    assert (spans, errors) == ({"ner": [("PER", "Ada"), ("X", "Otto")]}, [])
    assert warnings == [
        ":1: text 2: the text has no annotations; it is read as text without spans.",
        ": no text is annotated; the first predictions of 1 texts are read as gold.",
    ]


def test_the_ground_truth_precedes_the_first_annotation(read):
    value = annotated(region(12, 16), ground_truth=False, completed_by=3)
    value["annotations"].append(
        {"id": 5, "result": [region(2, 5)], "ground_truth": True, "completed_by": {"email": "ada@x.org"}}
    )
    spans, errors, warnings = read(value)
    assert (spans, errors) == ({"ner": [("PER", "Ada")]}, [])
    assert warnings == [
        ":1: text 1: the ground truth of 2 annotations, number 5, by 'ada@x.org' is read, the others "
        "are skipped."
    ]


def test_a_text_of_several_annotators_in_a_json_min_export_is_read_once(read):
    value = {"id": 7, "text": TEXT, "label": [region(2, 5)["value"]], "annotator": 1}
    spans, errors, warnings = read(value, value | {"label": [], "annotator": 2}, value | {"id": 8})
    assert (spans, errors) == ({"ner": 2 * [("PER", "Ada")]}, [])
    assert warnings == [":1: text 2: an earlier text has the same number 7; this annotation was skipped."]


def test_drafts_are_reported(read):
    warnings = read({"data": {"text": TEXT}, "annotations": [], "drafts": [{"result": []}]})[2]
    assert warnings == [
        ":1: text 1: the text has no annotations (its drafts are not gold); it is read as text without spans."
    ]


def test_the_text_is_the_string_that_contains_the_spans(read):
    value = annotated(region(2, 5)) | {"data": {"text": "news/7", "body": TEXT}}
    assert read(value)[:2] == ({"ner": [("PER", "Ada")]}, [])


def hypertext(**more):
    value = {
        "start": "/p[1]/text()[1]",
        "startOffset": 0,
        "endOffset": 3,
        "text": "Ada",
        "hypertextlabels": ["PER"],
    }
    return {"type": "hypertextlabels", "from_name": "label", "value": value | more}


def test_labels_of_hypertext(read):
    offsets = {"globalOffsets": {"start": 2, "end": 5}}
    assert read(annotated(hypertext(**offsets)))[:2] == ({"ner": [("PER", "Ada")]}, [])
    for value in (
        annotated(hypertext()),
        annotated(hypertext(**offsets)) | {"data": {"text": f"<p>{TEXT}</p>"}},
    ):
        spans, errors, warnings = read(value)
        assert (spans, warnings) == ({}, [])
        invalid, empty = errors
        check(invalid, "corpus.offsets", line=1, mentions="hypertextlabels")
        check(empty, "corpus.empty", file="export.json")


def test_labels_of_hypertext_in_json_min(read):
    value = {"id": 1, "text": f"<b>{TEXT}", "label": [hypertext()["value"]]}
    check(read(value)[1][0], "corpus.offsets", line=1, mentions="hypertextlabels")


def test_offsets_in_utf16_are_detected_from_the_texts_of_spans(read):
    value = region(3, 6)["value"] | {"text": "Ada"}
    spans, errors, warnings = read(annotated(region(3, 6, value=value)))
    assert (spans, errors) == ({"ner": [("PER", "Ada")]}, [])
    assert warnings == [
        ":1: text 1: the offsets are read as UTF-16 code units, as the texts of the spans show."
    ]
    error = read(annotated(region(3, 6, value=value)), offsets="characters")[1][0]
    values = "text 1: the span [3, 6) (PER) should cover 'Ada' (got 'da '"
    check(error, "corpus.offsets", line=1, option="--offsets", mentions=values)


def test_a_span_with_white_space_at_its_ends(read):
    spans, errors, warnings = read(annotated(region(1, 6), region(12, 16, "X")))
    assert (spans, errors) == ({"ner": [("PER", "Ada"), ("X", "Otto")]}, [])
    assert warnings == [
        ":1: text 1: the span [1, 6) ' Ada ' (PER) was trimmed of white space to [2, 5) 'Ada'."
    ]


def test_results_other_than_labelled_spans_are_reported(read):
    choice = {"type": "choices", "from_name": "mood", "value": {"choices": ["good"]}}
    relation = {"type": "relation", "from_id": "x", "to_id": "y"}
    spans, errors, warnings = read(annotated(choice, region(2, 5), relation))
    assert (spans, errors) == ({"ner": [("PER", "Ada")]}, [])
    assert warnings == [
        f":1: text 1: a result of type {kind!r} was skipped; it is not a labelled span."
        for kind in ("choices", "relation")
    ]


def test_the_control_tag_is_the_task(read):
    both = annotated(region(2, 5), region(2, 10, "S", name="chunk")), annotated()
    assert read(*both, tasks=())[0] == {"ner": [("PER", "Ada")], "chunk": [("S", "Ada sang")]}
    assert read(*both, tasks=("chunk",))[0] == {"chunk": [("S", "Ada sang")]}
    spans, (error,), warnings = read(annotated(region(2, 10, "S", name="chunk")))
    assert (spans, warnings) == ({"ner": []}, [])
    check(
        error,
        "corpus.task",
        file="export.json",
        option="--task",
        mentions="'ner'; the file has spans of chunk",
    )
    assert read(*both, tasks=("chunk", "ner"))[0] == {"ner": [("PER", "Ada")], "chunk": [("S", "Ada sang")]}
    with raises("corpus.task", option="--task", mentions="x, y"):
        read(annotated(region(2, 5)), tasks=("x", "y"))
    assert read(annotated(), tasks=("x", "y"))[0] == {"x": [], "y": []}


@pytest.mark.parametrize(
    ("value", "code", "option", "mentioned"),
    [
        (3, "corpus.record", "", "the text must be an object, {…} (got 3)"),
        ({"id": 3}, "corpus.record", "", "(got 0 strings; the keys are id)"),
        ({"data": {"a": "x", "b": "y"}, "annotations": []}, "corpus.record", "", "(got 2 strings"),
        ({"data": {"text": 3}, "annotations": []}, "corpus.record", "", "a string (got 3)"),
        ({"data": {"text": "a\ud800"}, "annotations": []}, "corpus.encoding", "", r"(\ud800)"),
        ({"data": {"text": "a"}, "annotations": 3}, "corpus.record", "", "list of annotations"),
        (annotated({"type": "labels", "from_name": "label"}), "corpus.record", "", "value of a result"),
        (
            annotated({"type": "labels", "value": {"start": 2, "end": 5}}),
            "corpus.record",
            "",
            "list of labels",
        ),
        (
            annotated({"type": "labels", "value": {"start": 2, "end": 5, "labels": []}}),
            "corpus.record",
            "",
            "the label must be a string without tabs, line breaks or white space at its ends (got None)",
        ),
        (
            annotated({"type": "labels", "value": {"start": "/p[1]", "end": 5, "labels": ["A"]}}),
            "corpus.record",
            "",
            "(got '/p[1]')",
        ),
        (annotated(region(2, 5, "a\tperson")), "corpus.record", "", r"(got 'a\tperson')"),
        (annotated(region(2, 5, score=7)), "corpus.record", "", "score of a span must be from 0 to 1"),
        (
            annotated(region(2, 5, value=region(2, 5)["value"] | {"start": 3})),
            "corpus.offsets",
            "--offsets",
            "'Ada' (got 'da')",
        ),
        (annotated(region(3, 5)), "corpus.offsets", "--on-misaligned", "[3, 5) 'da'"),
        (
            annotated(region(2, 5, value=region(2, 5)["value"] | {"labels": ["A", "B"]})),
            "corpus.offsets",
            "--on-misaligned",
            "overlaps the span [2, 5) 'Ada' (A)",
        ),
    ],
)
def test_an_invalid_text_is_reported_with_its_location(read, value, code, option, mentioned):
    spans, errors, _ = read(annotated(region(12, 16)), value)
    (error,) = errors
    check(error, code, file="export.json", line=1, option=option, mentions=mentioned)
    assert error.where.endswith("export.json:1: text 2")
    assert ("PER", "Otto") in spans["ner"]


def test_a_text_without_tokens_is_reported(read):
    spans, errors, warnings = read(annotated(region(12, 16)), {"data": {"text": " "}, "annotations": [{}]})
    assert (spans, errors) == ({"ner": [("PER", "Otto")]}, [])
    assert re.fullmatch(r":1: text 2: the text has no tokens and was skipped\.", warnings[0])


def test_white_space_of_a_span_text_may_be_escaped(read):
    value = {"start": 2, "end": 16, "labels": ["S"], "text": "Ada sang.\\nOtto"}
    assert read(annotated(region(2, 16, value=value)))[1] == []


@pytest.mark.parametrize(
    ("content", "code", "line", "reason"),
    [
        ("", "corpus.format", None, "["),
        ('{"data": {"text": "a"}}', "corpus.format", None, "["),
        ("[]", "corpus.empty", None, ""),
        ('[{"data": {"text": " "}}]', "corpus.empty", None, ""),
        ('[\n{"data": {"text": "a"}},\n{"data"', "corpus.format", 3, "is not JSON"),
        ('[\n{"data": {"text": "a"}}\n', "corpus.format", 2, "no comma or ]"),
        ('[{"data": {"text": "a"}} {}]', "corpus.format", 1, "no comma or ]"),
        ('[{"data": {"text": "a"}}] {}', "corpus.format", 1, "after the closing ]"),
        ("[" * 200_000, "corpus.format", 1, "is not JSON"),
    ],
)
def test_a_file_that_is_not_an_export(write_file, content, code, line, reason):
    path = write_file(content, "export.json")
    with raises(code, file=path, line=line, mentions=reason):
        list(read_labelstudio(path, Reading()))


def test_locations_in_a_file_of_many_lines(write_file):
    path = write_file(json.dumps([annotated(), annotated()], indent=1), "export.json")
    second = path.read_text().splitlines().index(" {", 3) + 1
    assert [one.source for one in read_labelstudio(path, Reading())] == 2 * [f"{path}:2"] + 2 * [
        f"{path}:{second}"
    ]
    assert find_format(path) == "labelstudio"
    with raises("corpus.columns", file=path, option="--columns"):
        list(read_labelstudio(path, Reading(columns="token")))
