"""Records of tokens without offsets, arrays of records, and records that are not gold."""

import json
from pathlib import Path

import pytest
from input_errors import check, raises

from tagger.corpus.detection import detect
from tagger.corpus.files import read_sentences
from tagger.corpus.jsonl import read_jsonl
from tagger.corpus.reading import Reading
from tagger.corpus.records import read_record

TOKENS = ["Ana", "Silva", "flew", "to", "Oslo", "."]
TAGS = ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]
TEXT = "Ana Silva flew to Oslo."
SPANS = [[0, 9, "PER"], [18, 22, "LOC"]]


def read(path, **reading):
    """Return the tags of a file's sentences, the errors and the warnings."""
    errors, warnings = [], []
    result = list(read_jsonl(path, Reading(**reading, on_error=errors.append, warn=warnings.append)))
    return (
        [list(one.tags["ner"]) for one in result],
        errors,
        [one.removeprefix(f"{path}") for one in warnings],
    )


@pytest.mark.parametrize("key", ["ner", "ner_tags", "ner_tag", "ner_labels", "tags", "labels", "label"])
@pytest.mark.parametrize("tokens", ["tokens", "words"])
def test_tokens_with_a_list_of_tags(key, tokens):
    (sentence,) = read_record({"id": 3, tokens: TOKENS, key: TAGS}, Reading(), "f:1")
    assert (list(sentence.tokens), list(sentence.tags["ner"])) == (TOKENS, TAGS)
    assert sentence.text == "Ana Silva flew to Oslo ."
    (sentence,) = read_record({tokens: TOKENS, key: TAGS, "text": TEXT}, Reading(tasks=()), "f:1")
    assert (sentence.text, list(sentence.tags["ner"])) == (TEXT, TAGS)


def test_several_tasks_in_one_record():
    record = {
        "tokens": TOKENS,
        "pos_tags": ["N"] * 6,
        "ner_tags": TAGS,
        "keywords": ["x"],
        "input_ids": [1, 2],
    }
    (sentence,) = read_record(record, Reading(tasks=()), "f:1")
    assert set(sentence.tags) == {"pos", "ner"}
    (sentence,) = read_record(record, Reading(tasks=("pos",)), "f:1")
    assert set(sentence.tags) == {"pos"}
    with raises("corpus.task", line=1, mentions="'chunk'") as caught:
        read_record(record, Reading(tasks=("chunk",)), "f:1")
    assert "keywords" in str(caught.value)


@pytest.mark.parametrize("kind", [int, str])
def test_integer_tags_require_names(kind):
    record = {"tokens": TOKENS, "tags": list(map(kind, [1, 2, 0, 0, 3, 0]))}
    for tasks in (("ner",), ()):
        with raises("corpus.labels", file="f", line=1, option="--label-names", mentions="tags"):
            read_record(record, Reading(tasks=tasks), "f:1")
        names = ("O", "B-PER", "I-PER", "B-LOC")
        (sentence,) = read_record(record, Reading(tasks=tasks, label_names=names), "f:1")
        assert list(sentence.tags["ner"]) == TAGS
    with raises("corpus.labels", line=1, mentions="tag 2, outside its 2 labels"):
        read_record(record, Reading(label_names=("O", "B-PER")), "f:1")


@pytest.mark.parametrize(
    ("record", "code", "value"),
    [
        ({"tokens": ["a", 3], "ner_tags": ["O", "O"]}, "corpus.record", "the token must be a string (got 3)"),
        ({"tokens": ["a", ""], "ner_tags": ["O", "O"]}, "corpus.record", "a token is empty"),
        ({"tokens": ["a", " "], "ner_tags": ["O", "O"]}, "corpus.record", "a token is empty"),
        (
            {"tokens": ["a"], "ner_tags": ["O", "O"]},
            "corpus.record",
            "ner_tags per token (got 2 for 1 tokens)",
        ),
        ({"tokens": ["a", "b"], "ner_tags": ["O", ""]}, "corpus.record", "a tag of ner_tags is empty"),
        ({"tokens": ["a", "b"], "ner_tags": ["O", None]}, "corpus.record", "no tag of ner_tags"),
        ({"tokens": ["a"]}, "corpus.task", "'ner' (its lists are none)"),
        ({"tokenized_text": ["a"]}, "corpus.record", "list of spans (ner)"),
        ({"tokenized_text": ["a"], "ner": [[0, 1, "x"]]}, "corpus.offsets", "the 1 tokens"),
        ({"tokenized_text": ["a"], "ner": [[0, "x"]]}, "corpus.record", "(got [0, 'x'])"),
        ({"images": [], "id": 3}, "corpus.record", "no text and no tokens (the keys are images, id)"),
    ],
)
def test_an_invalid_record_is_reported_with_its_location(record, code, value):
    with raises(code, file="f", line=1, mentions=value):
        read_record(record, Reading(), "f:1")


def test_spans_over_tokens_without_offsets_are_an_error():
    record = {"tokens": TOKENS, "entities": [{"type": "Per", "start": 0, "end": 2}]}
    with raises("corpus.offsets", file="f", line=1, mentions="ner_tags"):
        read_record(record, Reading(tasks=()), "f:1")


def test_gliner_spans_include_the_last_token(write_file):
    records = [
        {"tokenized_text": TOKENS, "ner": [[0, 1, "person name"], [4, 4, "place"]]},
        {"tokenized_text": ["Bo"], "ner": [[0, 0, "person name"]]},
    ]
    path = write_file(json.dumps(records), "gliner.json")
    tags, errors, warnings = read(path)
    assert tags == [
        ["B-person name", "I-person name", "O", "O", "B-place", "O"],
        ["B-person name"],
    ]
    assert (errors, warnings) == (
        [],
        [": 3 spans of ner were read with an inclusive last token, as in GLiNER."],
    )
    assert [one.starts_document for one in read_jsonl(path, Reading())] == [True, True]
    assert detect(path).format == "jsonl"


def test_documents_of_rows(write_file):
    rows = [{"tokens": ["a"], "ner_tags": ["O"], "doc_id": number} for number in (1, 1, 2)]
    path = write_file("\n".join(map(json.dumps, rows)), "a.jsonl")
    assert [one.starts_document for one in read_jsonl(path, Reading())] == [True, False, True]
    path = write_file("\n".join(map(json.dumps, [{"tokens": ["a"], "ner_tags": ["O"]}] * 2)), "a.jsonl")
    assert [one.starts_document for one in read_jsonl(path, Reading())] == [True, False]


PAIR = [TEXT, {"entities": SPANS}]
RECORD = {"text": TEXT, "label": SPANS}
ROW = {"tokens": TOKENS, "ner_tags": TAGS}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([PAIR, PAIR]),
        json.dumps([PAIR, PAIR], indent=1),
        json.dumps(PAIR) + "\n" + json.dumps(PAIR),
        json.dumps([RECORD, RECORD]),
        json.dumps(RECORD, indent=2) + "\n" + json.dumps(RECORD, indent=2),
        json.dumps([ROW, ROW], indent=2),
        "\n\n" + json.dumps(ROW) + "\n" + json.dumps(ROW),
        json.dumps({"classes": ["PER"], "annotations": [PAIR, PAIR]}),
        json.dumps({"classes": ["PER"], "annotations": [PAIR, PAIR]}, indent=1),
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.txt", "a.jsonl"])
def test_json_is_detected_by_its_content(write_file, content, name):
    path = write_file(content, name)
    detected = detect(path)
    assert detected.format == "jsonl"
    assert [list(one.tags["ner"]) for one in detected.read(Reading())] == [TAGS, TAGS]
    assert [
        list(one.tags["ner"]) for one in read_sentences(path, format=None if name != "a.txt" else "jsonl")
    ] == [
        TAGS,
        TAGS,
    ]


@pytest.mark.parametrize(
    "value",
    [
        [{"id": 1, "data": {"text": TEXT}, "annotations": []}],
        [{"id": 1, "data": {"review": TEXT}}],
        [{"id": 1, "text": TEXT}],
        [{"id": 1, "text": TEXT}, {"text": TEXT, "label": [{"start": 0, "end": 9, "labels": ["PER"]}]}],
        [{"id": 1, "data": {"text": TEXT}, "completions": []}],
    ],
)
def test_label_studio_is_detected_by_its_content(write_file, value):
    for indent in (None, 1):
        assert detect(write_file(json.dumps(value, indent=indent), "a.json")).format == "labelstudio"


def test_the_error_about_unknown_json_lists_its_keys(write_file):
    path = write_file('{"images": [], "categories": []}', "a.json")
    with raises("corpus.record", file="a.json", line=1, mentions="images, categories"):
        list(read_sentences(path))


def test_unannotated_texts_of_ner_annotator_are_counted(write_file):
    path = write_file(json.dumps({"classes": [], "annotations": [PAIR, None, None]}), "a.json")
    tags, errors, warnings = read(path)
    assert (tags, errors) == ([TAGS], [])
    assert warnings == [": 2 records are null (not annotated) and were skipped."]


@pytest.mark.parametrize(
    "more",
    [
        {"answer": "reject"},
        {"answer": "ignore"},
        {"status": "Discarded"},
        {"status": "draft"},
        {"is_confirmed": False},
    ],
)
def test_records_that_are_not_gold_are_skipped_and_counted(write_file, more):
    for record in (RECORD, ROW):
        records = [record, record | more, record | more, record | {"answer": "accept"}]
        path = write_file("\n".join(map(json.dumps, records)), "a.jsonl")
        tags, errors, warnings = read(path)
        assert (tags, errors) == ([TAGS, TAGS], [])
        assert len(warnings) == 1
        assert warnings[0].startswith(": 2 records with ")
        assert f"(first at {path}:2)" in warnings[0]
        assert json.dumps(next(iter(more.values()))) in warnings[0]


def test_records_without_an_approver_are_reported(write_file):
    records = [RECORD | {"annotation_approver": None}, RECORD | {"annotation_approver": "ada"}]
    path = write_file("\n".join(map(json.dumps, records)), "a.jsonl")
    tags, _, warnings = read(path)
    assert tags == [TAGS, TAGS]
    assert warnings == [f": 1 record without annotation_approver (first at {path}:1) read as gold."]


def test_nothing_but_rejected_records_is_an_error(write_file):
    path: Path = write_file(json.dumps(RECORD | {"answer": "reject"}), "a.jsonl")
    _, errors, warnings = read(path)
    check(errors[0], "corpus.empty", file=path)
    assert len(warnings) == 1
