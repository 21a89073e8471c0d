"""CSV and TSV with a header: column roles, sentence boundaries, errors and warnings."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_errors import check, raises

from tagger.corpus.csv_tables import read_table, write_table
from tagger.corpus.detection import detect
from tagger.corpus.files import find_format
from tagger.corpus.reading import Reading, Writing
from tagger.corpus.records import read_record
from tagger.text.sentence import from_tokens

EXPECTED = [(("Ana", "Silva", "left"), ("B-PER", "I-PER", "O")), (("Oslo",), ("B-LOC",))]


@pytest.fixture
def read(write_file):
    """Write a table and read it. Return its tokens and tags, the errors and the warnings."""

    def read(content, name="a.csv", **reading):
        path = write_file(content, name)
        errors, warnings = [], []
        reading = Reading(**reading, on_error=errors.append, warn=warnings.append)
        result = [(one.tokens, one.tags["ner"]) for one in read_table(path, reading)]
        return (
            result,
            errors,
            [one.removeprefix(f"{path}") for one in warnings],
        )

    return read


@pytest.mark.parametrize(
    "content",
    [
        "token,ner\nAna,B-PER\nSilva,I-PER\nleft,O\n\nOslo,B-LOC\n",
        "token,label\nAna,B-PER\nSilva,I-PER\nleft,O\n,\nOslo,B-LOC\n\n\n",
        "Word;Tag\r\nAna;B-PER\r\nSilva;I-PER\r\nleft;O\r\n;\r\nOslo;B-LOC\r\n",
        "\ufeffword\tner_tags\nAna\tB-PER\nSilva\tI-PER\nleft\tO\n\nOslo\tB-LOC\n",
        "Sentence #,Word,POS,Tag\nSentence: 1,Ana,N,B-PER\n,Silva,N,I-PER\n,left,V,O\n"
        "Sentence: 2,Oslo,N,B-LOC\n",
        ",sentence_id,token,ner\n0,1,Ana,B-PER\n1,1,Silva,I-PER\n2,1,left,O\n3,2,Oslo,B-LOC\n",
        "doc_id,token,ner\nx,Ana,B-PER\nx,Silva,I-PER\nx,left,O\n,,\ny,Oslo,B-LOC\n",
        '\n"token","ner"\n"Ana","B-PER"\n"Silva","I-PER"\nleft,O\n\nOslo,B-LOC\n',
    ],
)
def test_tables_with_one_token_per_row(read, write_file, content):
    assert read(content) == (EXPECTED, [], [])
    for name in ("a.csv", "a.tsv"):
        if name == "a.csv" or "\t" in content:
            detected = detect(write_file(content, name))
            assert detected.format == "csv"
            assert [(one.tokens, one.tags["ner"]) for one in detected.read(Reading())] == EXPECTED
            every = list(detected.read(Reading(tasks=())))
            assert [one.tags["ner"] for one in every] == [tags for _, tags in EXPECTED]


def test_an_unnamed_tag_column_next_to_another_task_is_ner(write_file):
    path = write_file("Word,POS,Tag\nAna,N,B-PER\nleft,V,O\n", "a.csv")
    for tasks in ((), ("pos", "ner")):
        (sentence,) = detect(path).read(Reading(tasks=tasks))
        assert sentence.tags == {"pos": ("N", "V"), "ner": ("B-PER", "O")}
    record = {"tokens": ["Ana", "left"], "tags": ["B-PER", "O"], "pos_tags": ["N", "V"]}
    (sentence,) = read_record(record, Reading(tasks=("pos", "ner")), "f:1")
    assert sentence.tags == {"pos": ("N", "V"), "ner": ("B-PER", "O")}


def test_columns_are_named(read):
    content = "Wort,Klasse\nAna,B-PER\nSilva,I-PER\nleft,O\n\nOslo,B-LOC\n"
    assert read(content, columns="token=Wort,ner=Klasse") == (EXPECTED, [], [])
    (error,) = read(content, columns="token=Wort,ner=Art")[1]
    check(error, "corpus.task", file="a.csv", option="--columns", mentions="token=Wort,ner=COLUMN")
    (error,) = read(content)[1]
    check(error, "corpus.columns", line=1, option="--columns", mentions="'Wort,Klasse'")


def test_quoted_cells(read):
    content = 'token,ner\n"""",O\n",",O\n"a ""b""",B-X y\n'
    assert read(content)[0] == [(('"', ",", 'a "b"'), ("O", "O", "B-X y"))]
    assert read('token\tner\n"\tO\n"a"\tO\n')[0] == [(('"', "a"), ("O", "O"))]


@pytest.mark.parametrize(
    ("row", "code", "value"),
    [
        ('",O', "corpus.record", "quotation mark"),
        ("a,O,x", "corpus.columns", "(token, ner), got 3"),
        ("a", "corpus.columns", "(token, ner), got 1"),
        ("a,", "corpus.record", "column ner"),
        (",O", "corpus.record", "column token"),
        ("\"['a', 'b']\",\"['O', 'O']\"", "corpus.format", "['a', 'b']"),
    ],
)
def test_an_invalid_row_is_reported_with_its_location(read, row, code, value):
    result, errors, _ = read(f"token,ner\n{row}\nOslo,B-LOC\n")
    assert result == [(("Oslo",), ("B-LOC",))]
    (error,) = errors
    check(error, code, file="a.csv", line=2, mentions=value)


def test_a_table_without_sentence_boundaries_gives_a_warning(read):
    result, errors, warnings = read("token,ner\na,O\nb,O\n")
    assert (result, errors) == ([(("a", "b"), ("O", "O"))], [])
    assert "all 2 rows are one sentence" in warnings[0]
    result, _, warnings = read("doc,token,ner\nx,a,O\ny,b,O\n")
    assert result == [(("a",), ("O",)), (("b",), ("O",))]
    assert "each document is one sentence" in warnings[0]


@pytest.mark.parametrize(
    ("content", "code", "line", "option"),
    [
        ("", "corpus.columns", 1, "--columns"),
        ("\n", "corpus.columns", 1, "--columns"),
        ("token,ner\n", "corpus.empty", None, ""),
        ("a b c\n", "corpus.columns", 1, "--columns"),
        ("x,y\n1,2\n", "corpus.columns", 1, "--columns"),
    ],
)
def test_a_file_that_is_not_a_table_is_an_error(write_file, content, code, line, option):
    with raises(code, file="a.csv", line=line, option=option):
        list(read_table(write_file(content, "a.csv"), Reading()))


def test_integer_tags(read):
    content = "token,ner\nAna,1\nSilva,2\nleft,0\n\nOslo,3\n"
    assert read(content, label_names=("O", "B-PER", "I-PER", "B-LOC"))[0] == EXPECTED
    (error,) = read(content, label_names=("O", "B-PER", "I-PER"))[1]
    check(error, "corpus.labels", line=6, mentions="tag 3, outside its 3 labels")


def test_integer_tags_without_names_are_errors(read):
    for tasks in (("ner",), ()):
        _, errors, _ = read("token,ner\nAna,1\n\nb,0\n", tasks=tasks)
        for error, line in zip(errors, (2, 4), strict=True):
            check(error, "corpus.labels", line=line, option="--label-names", mentions="ner")


def test_column_names_of_other_files_are_ignored(read):
    content = "word,tag\nAna,B-PER\nSilva,I-PER\nleft,O\n\nOslo,B-LOC\n"
    assert read(content, columns="token,pos,ner") == (EXPECTED, [], [])


def test_a_first_line_that_may_be_a_token_is_not_a_header(write_file):
    assert detect(write_file("Word\tO\nof\tO\n", "a.tsv")).format == "conll"
    assert detect(write_file("{\tO\n5\n", "a.txt")).format == "conll"


def test_the_csv_export_of_label_studio(read):
    spans = [{"start": 0, "end": 3, "text": "Ana", "labels": ["PER"]}]
    file = io.StringIO()
    csv.writer(file).writerows([["id", "text", "label", "annotator"], [1, "Ana left", json.dumps(spans), 1]])
    assert read(file.getvalue())[0] == [(("Ana", "left"), ("B-PER", "O"))]


def test_columns_of_tabs_without_a_header_stay_columns(write_file):
    assert detect(write_file("Ana\tB-PER\nleft\tO\n", "a.tsv")).format == "conll"
    assert find_format("a.csv.gz") == "csv"


@pytest.mark.parametrize(
    "cell",
    ["[[0, 3, 'PER'], [9, 13, 'LOC']]", '[[0, 3, "PER"], [9, 13, "LOC"]]', "[(0, 3, 'PER'), (9, 13, 'LOC')]"],
)
def test_one_text_with_spans_per_row(read, cell):
    file = io.StringIO()
    rows = [["id", "text", "entities"], [7, "Ana\nleft Oslo", cell], [], [8, "No.", ""]]
    csv.writer(file, lineterminator="\n").writerows(rows)
    result, errors, warnings = read(file.getvalue())
    assert result == [
        (("Ana",), ("B-PER",)),
        (("left", "Oslo"), ("O", "B-LOC")),
        (("No", "."), ("O", "O")),
    ]
    assert errors == []
    assert warnings == [": the columns id were ignored; sentences have no field for them."]


@pytest.mark.parametrize(
    ("row", "code", "value"),
    [
        ("Ana,x", "corpus.record", "'x'"),
        ('Ana,"[[0, 3]]"', "corpus.record", "(got [0, 3])"),
        ("Ana", "corpus.columns", "got 1"),
        ('Ana,"', "corpus.record", "CSV"),
    ],
)
def test_an_invalid_text_is_reported_with_its_location(read, row, code, value):
    _, errors, _ = read(f"text,spans\n{row}")
    check(errors[0], code, line=2, mentions=value)


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), min_size=1, max_size=5).filter(
    lambda text: text.strip()
)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4), st.booleans()), min_size=1)
)
def test_round_trip(folder, made):
    result = [
        replace(
            from_tokens(word for word, _ in pairs),
            tags={"ner": tuple(tag + "x" for _, tag in pairs)},  # integers would require names
            starts_document=starts or number == 0,
        )
        for number, (pairs, starts) in enumerate(made)
    ]
    path = folder / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        write_table(result, file, Writing(tasks=("ner",)))
    again = list(read_table(path, Reading()))
    assert [replace(one, source="") for one in again] == result


@given(st.text(st.sampled_from("token,;\t\"'[]ner1 \n\u2028é"), max_size=60))
def test_any_table_is_read_or_rejected_with_one_line(folder, content):
    path = folder / "any.csv"
    for header in ("token,ner\n", "token\tner\n", "text,spans\n", ""):
        path.write_text(header + content, encoding="utf-8", newline="")
        errors, warnings = [], []
        reading = Reading(tasks=(), on_error=errors.append, warn=warnings.append)
        result = list(read_table(path, reading))
        assert result or errors
        assert all(re.match(r".*any\.csv", one) and "\n" not in one for one in [*map(str, errors), *warnings])
