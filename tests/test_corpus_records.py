"""JSON records of several tools: reading, error messages and round trips of JSON lines."""

import gzip
import io
import json
from dataclasses import replace

import pytest
from annotated_texts import content_of, sentences, without_place
from hypothesis import given
from hypothesis import strategies as st
from input_errors import raises

from tagger.corpus.files import FORMATS, find_format, read_sentences
from tagger.corpus.jsonl import read_jsonl, write_doccano, write_jsonl
from tagger.corpus.reading import Reading, Writing
from tagger.corpus.records import read_record
from tagger.text.sentence import Alternative, Span, from_tokens, sentence_values

TEXT = "Ada sang. 🌊 Otto left."
TOKENS = [{"text": "Ada", "start": 0, "end": 3, "id": 0}, {"text": "sang.", "start": 4, "end": 9, "id": 1}]


def found_in(record, **reading):
    """Return the spans of a record's sentences, with their words in the document."""
    return [
        (
            span.label,
            sentence.text[span.start_char - sentence.text_start : span.end_char - sentence.text_start],
        )
        for sentence in read_record(record, Reading(**reading), "f:1")
        for spans in sentence.spans.values()
        for span in spans
    ]


@pytest.mark.parametrize(
    "record",
    [
        {"text": TEXT, "label": [[0, 3, "PER"], [12, 16, "PER"]], "id": 7, "Comments": []},
        {"text": TEXT, "labels": [[0, 3, "PER"], [12, 16, "PER"]]},
        {"id": 1, "data": TEXT, "label": [[0, 3, "PER"], [12, 16, "PER"]]},
        {
            "text": TEXT,
            "entities": [
                {"id": 1, "label": "PER", "start_offset": 0, "end_offset": 3},
                {"id": 2, "label": "PER", "start_offset": 12, "end_offset": 16},
            ],
            "relations": [],
        },
        {
            "text": TEXT,
            "annotations": [
                {"label": "PER", "start_offset": 0, "end_offset": 3},
                {"label": "PER", "start_offset": 12, "end_offset": 16},
            ],
        },
        [TEXT, {"entities": [[0, 3, "PER"], [12, 16, "PER"]]}],
        (TEXT, {"entities": [(0, 3, "PER"), (12, 16, "PER")], "cats": None}),
        {
            "text": TEXT,
            "ents": [{"start": 0, "end": 3, "label": "PER"}, {"start": 12, "end": 16, "label": "PER"}],
        },
        {
            "text": TEXT,
            "spans": [{"start": 0, "end": 3, "label": "PER"}, {"start": 12, "end": 16, "label": "PER"}],
        },
        {"text": TEXT, "spans": {"ner": [[0, 3, "PER"], [12, 16, "PER"]], "other": None}},
    ],
)
def test_records_of_several_tools(record):
    assert found_in(record) == [("PER", "Ada"), ("PER", "Otto")]
    first, *_ = read_record(record, Reading(tasks=()), "f:1")
    assert first.tags == {"ner": ("B-PER", "O", "O", "O")}
    assert (first.source, first.starts_document) == ("f:1", True)


def test_prodigy_gives_the_tokens():
    record = {"text": "Ada sang.", "tokens": TOKENS, "spans": [{"start": 0, "end": 3, "label": "PER"}]}
    (sentence,) = read_record(record, Reading(tasks=("names",)), "f:1")
    assert sentence.tokens == ("Ada", "sang.")
    assert sentence.tags == {"names": ("B-PER", "O")}
    assert sentence.spans == {"names": (Span(0, 1, "PER", None, 0, 3),)}
    assert sentence.starts_document


def test_only_requested_tasks_are_read():
    record = {
        "text": "Ada",
        "tokens": TOKENS[:1],
        "tags": {"pos": ["N"], "ner": ["O"]},
        "spans": {"ner": [], "x": []},
    }
    assert set(read_record(record, Reading(tasks=("pos",)), "f:1")[0].tags) == {"pos"}
    (sentence,) = read_record(record, Reading(tasks=()), "f:1")
    assert sentence.tags == {"pos": ("N",), "ner": ("O",), "x": ("O",)}


@pytest.mark.parametrize(
    "record", [{"text": " \n", "label": []}, {"text": "Ada", "tokens": [], "tags": {"ner": []}}]
)
def test_a_text_without_tokens_is_skipped_with_a_warning(record):
    warnings = []
    assert read_record(record, Reading(warn=warnings.append), "f:1") == []
    assert warnings == ["f:1: the text has no tokens and was skipped."]


def test_a_plain_text_is_valid_without_requested_tasks():
    warnings = []
    reading = Reading(tasks=(), warn=warnings.append)
    assert [one.tags for one in read_record({"text": "Ada."}, reading, "f:1")] == [{}]
    assert warnings == ["f:1: the record has no list of spans; it is read as text without spans."]


def own(**values):
    return {"text": "Ada sang.", "tokens": TOKENS, "tags": {"ner": ["O", "O"]}} | values


@pytest.mark.parametrize(
    ("record", "code", "value"),
    [
        ("Ada", "corpus.record", "(got 'Ada')"),
        (["Ada"], "corpus.record", "a record must be an object"),
        (["Ada", [[0, 3, "PER"]]], "corpus.record", "a record must be an object"),
        (None, "corpus.record", "(got None)"),
        ({}, "corpus.record", "there is no text"),
        ({"text": 5, "label": []}, "corpus.record", "text must be a string (got 5)"),
        ({"text": "a\ud800", "label": []}, "corpus.encoding", r"character 1 of the text .* (\ud800)"),
        ({"text": "Ada"}, "corpus.task", "'ner'"),
        ({"text": "Ada", "label": "PER"}, "corpus.record", "list of spans must be a list (got 'PER')"),
        ({"text": "Ada", "label": [], "spans": []}, "corpus.record", "'spans' and 'label'"),
        ({"text": "Ada", "spans": {"chunk": []}}, "corpus.task", "'ner'"),
        ({"text": "Ada", "label": ["PER"]}, "corpus.record", "span must be a list (got 'PER')"),
        ({"text": "Ada", "label": [[0, 3]]}, "corpus.record", "(got [0, 3])"),
        ({"text": "Ada", "label": [[0, "3", "P"]]}, "corpus.record", "end .* an integer (got '3')"),
        ({"text": "Ada", "label": [[0, 3.0, "P"]]}, "corpus.record", "end .* an integer (got 3.0)"),
        ({"text": "Ada", "label": [[True, 3, "P"]]}, "corpus.record", "start .* an integer (got True)"),
        ({"text": "Ada", "label": [[0, 3, ""]]}, "corpus.record", "label .* (got '')"),
        ({"text": "Ada", "label": [[0, 3, "a\tperson"]]}, "corpus.record", r"label .* (got 'a\tperson')"),
        ({"text": "Ada", "label": [[0, 3, "\u2003P"]]}, "corpus.record", r"label .* (got '\u2003P')"),
        ({"text": "Ada", "label": [[0, 3, 1]]}, "corpus.record", "label .* (got 1)"),
        ({"text": "Ada", "label": [[0, 3, None]]}, "corpus.record", "label .* (got None)"),
        ({"text": "Ada", "label": [[0, 3, "P\udfff"]]}, "corpus.encoding", "character 1 of the label"),
        ({"text": "Ada", "spans": [{"start": 0, "label": "P"}]}, "corpus.record", "end .* (got None)"),
        (
            {"text": "Ada", "spans": [{"start": 0, "end": 3, "label": "P", "score": 2}]},
            "corpus.record",
            "score of a span .* (got 2)",
        ),
        (own(tokens=["Ada", "sang."]), "corpus.record", "token .* (got 'Ada')"),
        (own(tokens=TOKENS[::-1]), "corpus.offsets", "'Ada' [0, 3)"),
        (own(tokens=[TOKENS[0], TOKENS[0]]), "corpus.offsets", "'Ada' [0, 3)"),
        (own(tokens=[TOKENS[0], {"text": "sang.x", "start": 4, "end": 10}]), "corpus.offsets", "[4, 10)"),
        (own(start=1), "corpus.offsets", "'Ada' [0, 3)"),
        (own(start=-1), "corpus.offsets", "start .* (got -1)"),
        (own(tags={"ner": ["O"]}), "corpus.record", "tag of ner per token (got 1 for 2 tokens)"),
        (own(tags={"ner": ["O", 1]}), "corpus.record", "tag of ner .* (got 1)"),
        (own(tags=["O", "O"]), "corpus.record", "value of tags .* (got ['O', 'O'])"),
        (own(starts_document="no"), "corpus.record", "starts_document .* (got 'no')"),
        (own(comments="# a"), "corpus.record", "list of comments .* (got '# a')"),
        (own(scores={"ner": [0.5, -1]}), "corpus.record", "score of ner .* (got -1)"),
        (own(extra_lines=[[0]]), "corpus.record", "[index, line] (got [0])"),
        (own(extra_lines=[[-1, "x"]]), "corpus.record", "from 0 to 2 (got [-1, 'x'])"),
        (own(extra_lines=[[3, "x"]]), "corpus.record", "from 0 to 2 (got [3, 'x'])"),
        (
            own(n_best={"ner": [{"tags": ["O"], "probability": 1}]}),
            "corpus.record",
            "tag of an alternative per token (got 1 for 2 tokens)",
        ),
    ],
)
def test_an_invalid_record_is_reported_with_its_location(record, code, value):
    name, _, rest = value.rpartition(" .* ")  # a name, and later the rejected value
    with raises(code, file="f", line=1, mentions=rest) as caught:
        read_record(record, Reading(), "f:1")
    assert name in str(caught.value)
    errors = []
    read_record(record, Reading(on_error=errors.append), "f:1")
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("record", "value"),
    [
        (
            {"text": "Émile", "spans": [{"start": 0, "end": 4, "label": "PER", "text": "Ém"}]},
            "[0, 4) (PER) should cover 'Ém' (got 'Émil')",
        ),
        (own(tokens=[TOKENS[0], {"text": "sang", "start": 4, "end": 9}]), "'sang' (got 'sang.')"),
    ],
)
def test_a_text_that_contradicts_its_offsets(record, value):
    with raises("corpus.offsets", file="f", line=1, option="--offsets", mentions=value):
        read_record(record, Reading(), "f:1")


KEYS = (
    "text",
    "tokens",
    "tags",
    "spans",
    "label",
    "entities",
    "start",
    "end",
    "ner",
    "extra_lines",
    "n_best",
)
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 4)
    | st.floats()
    | st.sampled_from(["", "Ada", "O", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
)


@pytest.mark.slow
@given(st.fixed_dictionaries({"text": st.just("Ada")}, optional=dict.fromkeys(KEYS[1:], ANY_JSON)) | ANY_JSON)
def test_any_record_is_read_or_rejected_with_one_line(record):
    errors = []
    reading = Reading(tasks=(), on_misaligned="skip", on_error=errors.append)
    for sentence in read_record(record, reading, "f:1"):
        assert len(sentence.tokens) == len(sentence.offsets) > 0
        assert all(len(tags) == len(sentence) for tags in sentence.tags.values())
    assert all(one.where == "f:1" and "\n" not in str(one) for one in errors)


@pytest.mark.parametrize("tags", [["B-LOC", "O"], ["O", "O"], ["B-PER", "I-PER"]])
def test_contradicting_tags_and_spans_are_an_error(tags):
    record = own(tags={"ner": tags, "pos": ["N", "V"]}, spans={"ner": [[0, 3, "PER"]]})
    with raises("corpus.labels", file="f", line=1, mentions="spans of ner"):
        read_record(record, Reading(), "f:1")
    (sentence,) = read_record(record, Reading(tasks=("pos",)), "f:1")
    assert sentence.tags == {"pos": ("N", "V")}


def test_every_error_is_reported_and_the_rest_is_read():
    record = {"text": TEXT, "label": [[0, 3], [0, 3, ""], [1, 3, "PER"], [12, 16, "PER"]]}
    errors = []
    assert found_in(record, on_error=errors.append) == [("PER", "Otto")]
    assert [(one.code, one.line, one.option) for one in errors] == [
        ("corpus.record", 1, ""),
        ("corpus.record", 1, ""),
        ("corpus.offsets", 1, "--on-misaligned"),
    ]


def test_plain_spans_belong_to_one_task():
    with raises("corpus.task", line=1, option="--task", mentions="ner, chunk"):
        read_record({"text": "Ada", "label": []}, Reading(tasks=("ner", "chunk")), "f:1")


def test_relations_are_reported():
    warnings = []
    record = {"text": "Ada", "entities": [], "relations": [{"from_id": 1}]}
    read_record(record, Reading(warn=warnings.append), "f:1")
    assert warnings == ["f:1: the relations were skipped; sentences have no field for them."]


@st.composite
def full_sentences(draw):
    """Draw sentences with a value in every field of JSON lines."""
    result = []
    for sentence in draw(sentences(tasks=("ner", "chunk"))):
        count = len(sentence)
        tags = st.lists(st.sampled_from(["O", "B-é", "N"]), min_size=count, max_size=count).map(tuple)
        result.append(
            replace(
                sentence,
                tags={**sentence.tags, "pos": draw(tags)},
                comments=tuple(draw(st.lists(st.sampled_from(["# a", "#\tb"]), max_size=2))),
                extra_lines=tuple(
                    draw(st.lists(st.tuples(st.integers(0, count), st.just("1-2\t_")), max_size=2))
                ),
                tag_scores=draw(st.just({}) | st.just({"pos": (0.1,) * count})),
                alternatives=draw(
                    st.just({}) | st.builds(lambda one: {"pos": (Alternative(one, 1 / 3),)}, tags)
                ),
            )
        )
    return result


def lines_of(write, result, **writing):
    file = io.StringIO()
    write(result, file, Writing(**writing))
    return file.getvalue()


@pytest.mark.slow
@given(full_sentences())
def test_json_lines_preserve_every_field(folder, result):
    tasks = ("ner", "chunk", "pos")
    path = folder / "all.jsonl"
    path.write_text(lines_of(write_jsonl, result, tasks=tasks), encoding="utf-8", newline="")
    if not result:
        with raises("corpus.empty", file=path):
            list(read_jsonl(path, Reading(tasks=())))
        return
    again = list(read_jsonl(path, Reading(tasks=())))
    assert without_place(again) == without_place(result)
    assert [one.source for one in again] == [f"{path}:{number + 1}" for number in range(len(result))]


@pytest.mark.slow
@given(sentences(), st.sampled_from(["document", "sentence"]))
def test_doccano_preserves_texts_and_spans(folder, result, unit):
    path = folder / "doccano.jsonl"
    path.write_text(lines_of(write_doccano, result, tasks=("ner",), unit=unit), encoding="utf-8", newline="")
    again = list(read_jsonl(path, Reading(on_error=lambda _: None)))

    if unit == "sentence":  # each sentence is now a document
        result = [replace(sentence, starts_document=True, text_before="") for sentence in result]
    assert content_of(again) == content_of(result)


def test_doccano_requires_exactly_one_task():
    sentence = replace(from_tokens(["Ada"]), tags={"pos": ("N",)})
    with raises("corpus.output", option="--task", mentions="ner, pos"):
        lines_of(write_doccano, [sentence], tasks=("ner", "pos"))
    with raises("corpus.output", mentions="'pos'"):
        lines_of(write_doccano, [sentence], tasks=("pos",))


def test_scores_are_rounded_on_request():
    sentence = replace(
        from_tokens(["Ada"]),
        spans={"ner": (Span(0, 1, "PER", 1 / 3, 0, 3),)},
        tag_scores={"ner": (2 / 3,)},
        alternatives={"ner": (Alternative(("O",), 1 / 3000),)},
    )
    for digits, expected in ((None, (1 / 3, 2 / 3, 1 / 3000)), (2, (0.33, 0.67, 0.00033))):
        values = sentence_values(sentence, ["ner"], digits=digits)
        span, (score,), (alternative,) = (values[name]["ner"] for name in ("spans", "scores", "n_best"))
        assert (span[0]["score"], score, alternative["probability"]) == expected


@pytest.mark.parametrize(
    ("line", "code", "value"),
    [
        ('{"text": "Ada", "label": [}', "corpus.record", "column 27"),
        ("Ada", "corpus.record", "column 1 "),
        ('{"text": "Ada"} {}', "corpus.record", "column 17"),
        ('{"text": "\\ud83c", "label": []}', "corpus.encoding", "character 0 of the text"),
        ('{"text": "Ada", "label": NaN}', "corpus.record", "NaN"),
        ("9" * 5000, "corpus.record", "JSON"),
        ("[" * 200_000, "corpus.record", "JSON"),
    ],
)
def test_a_line_that_is_not_a_record(write_file, line, code, value):
    path = write_file('{"text": "Ada", "label": []}\n' + line + '\n\n{"text": "Ed", "label": []}', "a.jsonl")
    with raises(code, file=path, line=2, mentions=value):
        list(read_jsonl(path, Reading()))
    errors = []
    result = list(read_jsonl(path, Reading(on_error=errors.append)))
    assert ([one.text for one in result], len(errors)) == (["Ada", "Ed"], 1)
    assert result[1].source == f"{path}:4"


def test_compressed_json_lines_are_detected_by_suffix(tmp_path):
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(json.dumps({"text": TEXT, "label": [[0, 3, "PER"]]}).encode()))
    assert find_format(path) == "jsonl"
    assert [one.text for one in read_sentences(path)] == ["Ada sang. 🌊", "Otto left."]
    assert FORMATS["jsonl"].holds > FORMATS["doccano"].holds


def test_files_without_sentences_and_named_columns_are_errors(write_file):
    path = write_file('\n{"text": " ", "label": []}\n', "a.jsonl")
    with raises("corpus.empty", file=path):
        list(read_jsonl(path, Reading()))
    with raises("corpus.columns", file=path, option="--columns"):
        list(read_jsonl(path, Reading(columns="token,ner")))


def test_ignored_keys_are_reported_once_per_file(write_file):
    lines = [
        '{"id": 1, "text": "Ada sang.", "label": [], "meta": {"by": "Mia"}}',
        '{"id": 2, "text": "No.", "label": []}',
    ]
    notes: list[str] = []
    path = write_file("\n".join(lines), "a.jsonl")
    assert len(list(read_jsonl(path, Reading(warn=notes.append)))) == 2
    assert notes == [f"{path}: the record keys id, meta were ignored; sentences have no field for them."]
