"""brat's standoff files: reading, error messages and round trips of folders."""

import shutil
from dataclasses import replace

import pytest
from annotated_texts import content_of, sentences
from hypothesis import given
from hypothesis import strategies as st
from input_errors import check, raises

from tagger.corpus.brat import read_brat, write_brat
from tagger.corpus.files import find_format
from tagger.corpus.placement import TextSpan, place_spans
from tagger.corpus.reading import Reading, Writing
from tagger.text.sentence import Span, from_tokens

TEXT = "Ada sang.\r\nThe New York\nTimes wrote 🌊 of Otto."


@pytest.fixture
def read(write_file, tmp_path):
    """Write a text with spans and read it. Return the spans, the errors and the warnings."""

    def read(ann, text=TEXT, path="", **reading):
        write_file(text, "a.txt")
        write_file(ann, "a.ann")
        errors, warnings = [], []
        requested = Reading(**{"on_error": errors.append, "warn": warnings.append} | reading)
        spans = [
            (
                span.label,
                sentence.text[span.start_char - sentence.text_start :][: span.end_char - span.start_char],
            )
            for sentence in read_brat(tmp_path / path, requested)
            for span in sentence.spans["ner"]
        ]
        ann_path = str(tmp_path / "a.ann")
        return (
            spans,
            errors,
            [one.removeprefix(ann_path) for one in warnings],
        )

    return read


@pytest.mark.parametrize("path", ["", "a.txt", "a.ann"])
def test_a_pair_of_files(read, path, tmp_path):
    ann = "T1\tPER 0 3\tAda\n\nT3\tPER 41 45\tOtto\nT2\tORG 15 23;24 29\tNew York Times\n"
    spans, errors, warnings = read(ann, path=path)
    assert spans == [("PER", "Ada"), ("ORG", "New York\nTimes"), ("PER", "Otto")]
    assert (errors, warnings) == ([], [])
    assert find_format(tmp_path / path) == ("conll" if path == "a.txt" else "brat")
    sources = [one.source for one in read_brat(tmp_path / path, Reading())]
    assert sources == [f"{tmp_path / 'a.txt'}:{line}" for line in (1, 2)]


def test_annotations_other_than_spans_are_reported(read):
    lines = (
        "R1\tLives Arg1:T1 Arg2:T2",
        "E1\tSing:T1",
        "A1\tLoud T1",
        "M1\tX T1",
        "N1\tReference T1 W:1\tAda",
    )
    lines += ("#1\tAnnotatorNotes T1\tsure?", "*\tEquiv T1 T2")
    spans, errors, warnings = read("T1\tPER 0 3\tAda\n" + "\n".join(lines))
    assert (spans, errors) == ([("PER", "Ada")], [])
    assert [one.partition(" was")[0] for one in warnings] == [
        ":2: the relation R1",
        ":3: the event E1",
        ":4: the attribute A1",
        ":5: the attribute M1",
        ":6: the normalisation N1",
        ":7: the note #1",
        ":8: the equivalence *",
    ]


def test_a_discontinuous_span(read):
    ann = "T1\tX 0 3;41 45\tAda Otto\n"
    (error,) = read(ann)[1]
    values = "[0, 3);[41, 45) (X) 'Ada Otto' is discontinuous"
    check(error, "corpus.offsets", line=1, option="--on-misaligned", mentions=values)
    prefix = ":1: the span [0, 3);[41, 45) (X) 'Ada Otto' is discontinuous; it was "
    assert read(ann, on_misaligned="skip") == ([], [], [prefix + "skipped."])
    assert read(ann, on_misaligned="expand") == ([("X", TEXT[:45])], [], [prefix + "expanded to [0, 45)."])


@pytest.mark.parametrize(
    ("line", "code", "option", "value"),
    [
        ("T1\tPER 0 3", "corpus.record", "", "'T1\\tPER 0 3'"),
        ("T1 PER 0 3 Ada", "corpus.record", "", "'T1 PER 0 3 Ada'"),
        ("T1\tPER 0 x\tAda", "corpus.record", "", "0 x"),
        ("T1\tPER -1 3\tAda", "corpus.record", "", "-1 3"),
        ("T1\t 0 3\tAda", "corpus.record", "", "'T1\\t 0 3\\tAda'"),
        ("T1\ta  0 3\tAda", "corpus.record", "", "white space at its ends (got 'a ')"),
        (f"T1\tPER 0 {'9' * 5000}\tAda", "corpus.record", "", "999 is not a brat annotation"),
        ("hello", "corpus.record", "", "'hello'"),
        ("T1\tPER 0 3\tada", "corpus.offsets", "--offsets", "[0, 3) (PER) should cover 'ada' (got 'Ada')"),
        ("T1\tPER 40 44\tOtto", "corpus.offsets", "--offsets", "'Otto' (got ' Ott')"),
        ("T1\tP\u2028R 0 3\tAda", "corpus.record", "", "'P\\u2028R'"),
        ("T1\tPER 0 0\t", "corpus.offsets", "--on-misaligned", "[0, 0) '' (PER) is empty"),
        ("T1\tPER 41 99\tOtto", "corpus.offsets", "--on-misaligned", "[0, 46)"),
        ("T1\tPER 1 3\tda", "corpus.offsets", "--on-misaligned", "not aligned with its tokens"),
    ],
)
def test_an_invalid_line_is_reported_with_its_location(read, line, code, option, value):
    spans, errors, warnings = read(f"T1\tPER 41 45\tOtto\n{line}\n")
    assert (spans, warnings) == ([("PER", "Otto")], [])
    (error,) = errors
    check(error, code, file="a.ann", line=2, option=option, mentions=value)


def test_files_without_their_counterpart(write_file, tmp_path):
    write_file("Ada sang.", "b.txt")
    write_file("T1\tPER 0 3\tAda\n", "c.ann")
    write_file("[entities]\n", "annotation.conf")
    errors, warnings = [], []
    (sentence,) = read_brat(tmp_path, Reading(on_error=errors.append, warn=warnings.append))
    assert sentence.tags == {"ner": ("O", "O", "O")}
    (error,) = errors
    check(error, "file.missing", file=tmp_path / "c.ann", mentions="c.txt")
    assert warnings == [f"{tmp_path / 'b.txt'}: there is no b.ann; it is read as text without spans."]


def test_a_text_without_tokens_is_reported(tmp_path):
    for name, text in [("a", "Ada"), ("b", " \n")]:
        (tmp_path / f"{name}.txt").write_text(text)
        (tmp_path / f"{name}.ann").touch()
    warnings = []
    assert [one.text for one in read_brat(tmp_path, Reading(warn=warnings.append))] == ["Ada"]
    assert warnings == [f"{tmp_path / 'b.txt'}: the text has no tokens and was skipped."]


def test_files_that_cannot_be_read(write_file, tmp_path):
    for path, code in (("x.ann", "file.missing"), ("", "corpus.empty")):
        with raises(code, file=tmp_path / path):
            list(read_brat(tmp_path / path, Reading()))
    write_file(b"Ada\n\xc3\xa9\xff", "a.txt")
    with raises("corpus.encoding", file="a.txt", line=2, mentions="byte 3 of the line (0xff)"):
        list(read_brat(tmp_path, Reading()))
    with raises("corpus.task", file=tmp_path, option="--task", mentions="ner, x"):
        list(read_brat(tmp_path, Reading(tasks=("ner", "x"))))
    with raises("corpus.columns", file=tmp_path, option="--columns"):
        list(read_brat(tmp_path, Reading(columns="token")))


@pytest.mark.slow
@given(sentences(), st.sampled_from(["document", "sentence"]))
def test_a_folder_round_trip(folder, result, unit):
    path = folder / "brat"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    write_brat(result, path, Writing(tasks=("ner",), unit=unit))
    again = list(read_brat(path, Reading(on_error=lambda error: pytest.fail(str(error)) if result else None)))

    if unit == "sentence":  # each sentence is now a document
        result = [replace(sentence, starts_document=True, text_before="") for sentence in result]
    assert content_of(again) == content_of(result)


def written(tmp_path, *sentences, unit="document"):
    write_brat(sentences, tmp_path, Writing(tasks=("ner",), unit=unit))
    return {path.name: path.read_bytes().decode() for path in tmp_path.iterdir()}


def test_what_brat_opens(tmp_path):
    sentences = place_spans(
        "Ada sang in New\r\nYork.", {"ner": [TextSpan(0, 3, "PER"), TextSpan(12, 21, "LOC+")]}, Reading(), ""
    )
    assert written(tmp_path, *sentences) == {
        "0000001.txt": "Ada sang in New\r\nYork.",
        "0000001.ann": "T1\tPER 0 3\tAda\nT2\tLOC+ 12 15;17 21\tNew York\n",
        "annotation.conf": "[entities]\nPER\n\n[relations]\n\n[events]\n\n[attributes]\n",
    }


@pytest.mark.parametrize(
    ("unit", "comment", "stem"),
    [
        ("document", "# newdoc id = weblog-7.2", "0000001-weblog-7.2"),
        ("sentence", "# sent_id = s1", "0000001-s1"),
        ("document", "# sent_id = s1", "0000001"),
        ("document", "# newdoc id = ../../etc/passwd", "0000001"),
        ("document", "# newdoc id = a\\b", "0000001"),
        ("document", "# newdoc id = ..", "0000001"),
        ("document", "# newdoc id = " + "a" * 200, "0000001"),
        ("document", "# newdoc id = é", "0000001"),
    ],
)
def test_file_names_stay_inside_the_folder(tmp_path, unit, comment, stem):
    sentence = replace(from_tokens(["Ada"]), spans={"ner": ()}, comments=("# x", comment))
    assert set(written(tmp_path, sentence, unit=unit)) == {f"{stem}.txt", f"{stem}.ann", "annotation.conf"}


def test_a_token_that_is_a_line_break(tmp_path):
    sentence = replace(from_tokens(["\n", "a"]), spans={"ner": (Span(0, 2, "X"),)})
    assert written(tmp_path, sentence)["0000001.ann"] == "T1\tX 0 3\t  a\n"


def test_a_folder_requires_exactly_one_task(tmp_path):
    with raises("corpus.output", option="--task", mentions="no task"):
        write_brat([], tmp_path, Writing())
