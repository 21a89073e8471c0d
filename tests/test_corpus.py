"""CoNLL columns: supported layouts, error messages and round trips."""

import gzip
from dataclasses import replace

import pytest
from corpus_builders import written
from input_errors import raises

from tagger.corpus.columns import choose_columns, parse_columns
from tagger.corpus.conll import read_conll

FOUR = "token,pos,chunk,ner"


@pytest.fixture
def write(write_file):
    """Write a CoNLL file and return its path."""
    return lambda content, name="sample.conll": write_file(content, name)


def tokens_of(sentences):
    return [list(sentence.tokens) for sentence in sentences]


def borders_of(sentences):
    return [sentence.starts_document for sentence in sentences]


# Columns by name and number


def test_columns_by_name():
    columns = parse_columns("token, pos,_,-,ner")
    assert columns.indices == {"token": 0, "pos": 1, "ner": 4}
    assert columns.count == 5


def test_columns_by_number():
    columns = parse_columns("ner=-1, token=1")
    assert columns.indices == {"ner": -1, "token": 1}
    assert columns.count is None


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("pos,ner", "no token column"),
        ("token,ner=3", "with and without indices"),
        ("token=a,ner=1", "index 'a'"),
        ("token,ner,ner", "'ner' twice"),
        ("token,,ner", "empty name"),
        ("", "empty name"),
    ],
)
def test_invalid_columns(spec, reason):
    with raises("corpus.columns", option="--columns", mentions=reason):
        parse_columns(spec)


@pytest.mark.parametrize("spec", [None, FOUR])
@pytest.mark.parametrize("task", ["token", ""])
def test_invalid_tasks(spec, task):
    with raises("corpus.task", mentions=f"'{task}'"):
        choose_columns(spec, (task,))


# CoNLL columns

SAMPLE = """\
-DOCSTART- -X- O O

Ada NNP I-NP I-PER
sings VBZ I-VP O

No DT I-NP O

-DOCSTART- -X- O O

Oslo NNP I-NP I-LOC
"""


def test_all_columns(write):
    path = write(SAMPLE)
    first, second, third = read_conll(path, columns=FOUR, tasks=("pos", "ner"))
    assert first.tokens == ("Ada", "sings")
    assert first.tags == {"pos": ("NNP", "VBZ"), "chunk": ("I-NP", "I-VP"), "ner": ("I-PER", "O")}
    assert first.text == "Ada sings"
    assert first.offsets == ((0, 3), (4, 9))
    assert [one.source for one in (first, second, third)] == [f"{path}:{line}" for line in (3, 6, 10)]
    assert borders_of([first, second, third]) == [True, False, True]


def test_first_and_last_column_by_default(write):
    sentences = list(read_conll(write(SAMPLE), tasks=("entity",)))
    assert [sentence.tags for sentence in sentences] == [
        {"entity": ("I-PER", "O")},
        {"entity": ("O",)},
        {"entity": ("I-LOC",)},
    ]


def test_numbered_columns(write):
    (sentence,) = read_conll(write("7 Ada O x I-PER\n8 sings O x O\n"), columns="token=1,ner=-1")
    assert sentence.tokens == ("Ada", "sings")
    assert sentence.tags == {"ner": ("I-PER", "O")}


def test_tokens_alone(write):
    assert tokens_of(read_conll(write("Ada\nsings\n\nNo\n"), tasks=())) == [["Ada", "sings"], ["No"]]


@pytest.mark.parametrize(
    "content",
    [
        SAMPLE.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + SAMPLE.encode(),
        gzip.compress(SAMPLE.encode()),
        gzip.compress(b"\xef\xbb\xbf" + SAMPLE.encode()),
        SAMPLE.rstrip().encode(),
        SAMPLE.replace("\n\n", "\n \t \n\n").encode(),
        SAMPLE.replace(" ", "\t").encode(),
        SAMPLE.replace("sings VBZ ", " sings \tVBZ  ").encode(),
        SAMPLE.replace("O O\n\n", "O O\n").encode(),
        SAMPLE.replace("-DOCSTART- -X- O O", "-DOCSTART-").encode(),
        SAMPLE.replace("-DOCSTART- -X- O O", "-DOCSTART- -X- O O\n\n-DOCSTART- -X- O O").encode(),
        SAMPLE.replace("O\n", "O \n").encode(),
        SAMPLE.replace("I-LOC", "I-LOC\n\n\n\n# the end of it all, then").encode(),
    ],
    ids=[
        *("CRLF", "BOM", "gzip", "gzip and BOM", "no last line end", "blanks", "tabs", "runs of blanks"),
        *(
            "no blank line after a border",
            "bare border",
            "two borders",
            "trailing space",
            "comment at the end",
        ),
    ],
)
def test_encodings_of_one_corpus(write, content):
    expected = list(read_conll(write(SAMPLE, "plain"), columns=FOUR))
    read = list(read_conll(write(content), columns=FOUR))
    assert [replace(one, source="") for one in read] == [replace(one, source="") for one in expected]


@pytest.mark.parametrize(
    ("columns", "content"),
    [
        ("_,token,ner", "1 -DOCSTART- O\n\n1 Ada B-PER\n2 sat O\n\n1 -DOCSTART- O\n\n1 Oslo B-LOC\n"),
        ("ner,token", "O\t-DOCSTART-\n\nB-PER\tAda\nO\tsat\n\nO\t-DOCSTART-\n\nB-LOC\tOslo\n"),
    ],
)
def test_a_border_behind_other_columns(write, columns, content):
    sentences = list(read_conll(write(content), columns=columns))
    assert tokens_of(sentences) == [["Ada", "sat"], ["Oslo"]]
    assert [sentence.starts_document for sentence in sentences] == [True, True]


def test_border_inside_a_sentence_ends_it_with_a_warning(write):
    notes = []
    path = write("say O\n-DOCSTART- O\nso O\n\n-DOCSTART- O\nagain O\n-DOCSTART-s O\n")
    sentences = list(read_conll(path, warn=notes.append))
    assert tokens_of(sentences) == [["say"], ["so"], ["again", "-DOCSTART-s"]]
    assert borders_of(sentences) == [True, True, True]
    assert notes == [f"{path}:2: -DOCSTART- inside a sentence ends it and the document."]


def test_a_file_without_blank_lines_is_noted(write):
    message = "no blank line divides the tokens, so all 201 form one sentence."
    for count, expected in ((200, []), (201, [message])):
        notes = []
        path = write("so O\n" * count)
        assert len(list(read_conll(path, warn=notes.append))) == 1
        assert [note.removeprefix(f"{path}: ") for note in notes] == expected


def test_a_file_without_borders_is_one_document(write):
    assert borders_of(read_conll(write("a O\n\nb O\n\nc O\n"))) == [True, False, False]


def test_tokens_with_spaces_in_tabbed_files(write):
    (sentence,) = read_conll(write("New York\tB-LOC\n100 000\tO\n"))
    assert sentence.tokens == ("New York", "100 000")


def test_only_ascii_blanks_separate_columns_and_only_line_feeds_separate_lines(write):
    tokens = ["10\u00a0000", "a\u0085b", "c\u2028d", "e\x0cf", "\u3000"]
    (sentence,) = read_conll(write("".join(f"{token} O\n" for token in tokens)))
    assert list(sentence.tokens) == tokens


def test_trailing_tabs_are_ignored(write):
    (sentence,) = read_conll(write("Ada\tI-PER\t\nsings\tO\t\n"))
    assert sentence.tags["ner"] == ("I-PER", "O")


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_comments_and_tokens_that_begin_with_a_number_sign(write, separator):
    content = (
        "# sent_id = 7\n# a line of many free words\n#\n# # B-NP\n5 CD I-NP\n# # I-NP\n\n"
        "#topic NN B-NP\n\n# newpar id\n# key = value\n# global.columns here\ntwo CD B-NP\n"
    )
    if separator == "\t":
        content = (
            content.replace("# # ", "#\t#\t").replace("5 CD ", "5\tCD\t").replace("two CD ", "two\tCD\t")
        )
        content = content.replace("#topic NN ", "#topic\tNN\t")
    sentences = list(read_conll(write(content), columns="token,pos,chunk", tasks=("chunk",)))
    assert tokens_of(sentences) == [["#", "5", "#"], ["#topic"], ["two"]]
    assert sentences[0].comments == ("# sent_id = 7", "# a line of many free words", "#")
    assert sentences[2].comments == ("# newpar id", "# key = value", "# global.columns here")


def test_comments_with_as_many_fields_as_the_tokens(write):
    """The layout of MultiCoNER (Malmasi et al. 2022) and comments without an equals sign."""
    comments = ("# id 0a1b-22\tdomain=en", "# sent_id 7 8", "# text Oslo grows")
    content = "\n".join(comments) + "\nOslo _ _ B-LOC\n\n# # _ B-NP\n5 _ _ O\n"
    first, second = read_conll(write(content))
    assert first.tokens == ("Oslo",)
    assert first.comments == comments
    assert second.tokens == ("#", "5")
    assert second.comments == ()
    (tabbed,) = read_conll(write("# id 7\tdomain=en\n# # B-NP\n#\tB-NP\n5\tI-NP\n"))
    assert tabbed.tokens == ("#", "5")
    assert written([first], columns=("a", "b", "ner")).endswith("\n".join(comments) + "\nOslo _ _ B-LOC\n\n")


def test_comments_that_start_documents(write):
    content = "# newdoc id = 1\na O\n\n# newdoc\nb O\n\n#begin document (c)\nc O\n\n#end document\n\nd O\n"
    sentences = list(read_conll(write(content)))
    assert borders_of(sentences) == [True, True, True, False]
    assert sentences[3].comments == ("#end document",)


def test_text_comment_gives_text_and_offsets(write):
    first, second = read_conll(write("# text = Hi, Ada\nHi O\n, O\nAda B-PER\n\n# text = Bye\nHi O\n"))
    assert first.text == "Hi, Ada"
    assert first.offsets == ((0, 2), (2, 3), (4, 7))
    assert second.text == "Hi"


@pytest.mark.parametrize(
    ("content", "columns", "code", "line", "value"),
    [
        ("a O\nb c O\n", None, "corpus.columns", 2, "got 3"),
        ("a\tO\n\nb O\n", None, "corpus.columns", 3, "got 1"),
        ("a O\n# sent_id = 2\n", None, "corpus.columns", 2, "got 4"),
        ("a\tO\n\tO\n", None, "corpus.record", 2, "token"),
        ("a\tO\nb\t\n", None, "corpus.record", 2, "ner"),
        ("a\n", None, "corpus.columns", 1, "only one column"),
        ("", None, "corpus.empty", None, ""),
        ("\n \n# only = comments\n\n-DOCSTART- O\n", None, "corpus.empty", None, ""),
        ("a O\n", FOUR, "corpus.columns", 1, "2 columns but 4"),
        ("a O\n", "token=0,ner=2", "corpus.columns", 1, "2 for ner"),
        ("a O\n", "token=-3,ner=1", "corpus.columns", 1, "-3 for token"),
        (b"a O\nb\xe9 O\n", None, "corpus.encoding", 2, "byte 2 of the line (0xe9)"),
        (b"a O\nb O\rc O\n", None, "corpus.format", 2, "carriage return"),
        (b"a O\r\rb O\r", None, "corpus.format", 1, "carriage return"),
        (b"\xef\xbb\xbf\xe9 O\n", None, "corpus.encoding", 1, "byte 1 "),
        (gzip.compress(b"a O\n" * 99, mtime=0)[:-9], None, "file.unreadable", None, "gzip"),
        ("1\ta\t_\tX\t_\t_\t0\t_\t_\t_\n", None, "corpus.columns", 1, "CoNLL-U"),
    ],
)
def test_malformed_columns(write, content, columns, code, line, value):
    option = "--columns" if columns == FOUR else ""
    with raises(code, file="sample.conll", line=line, option=option, mentions=value):
        list(read_conll(write(content), columns=columns))


def test_missing_files_and_folders(tmp_path):
    with raises("file.missing", file="nowhere"):
        list(read_conll(tmp_path / "nowhere"))
    with raises("file.kind", file=tmp_path):
        list(read_conll(tmp_path))


def test_tasks_must_be_among_the_columns(tmp_path):
    with raises("corpus.columns", option="--columns", mentions="token,pos,ner"):
        read_conll(tmp_path / "any", tasks=("pos", "ner"))
    with raises("corpus.task", option="--columns", mentions="no 'ner'; the tag columns are: pos, chunk"):
        read_conll(tmp_path / "any", columns="token,pos,chunk")


def test_reading_is_a_stream(write):
    sentences = read_conll(write("a O\n\nb O\n\nc\n"))
    assert tokens_of([next(sentences), next(sentences)]) == [["a"], ["b"]]
    with raises("corpus.columns", line=5):
        next(sentences)


# Writing CoNLL columns


# Real corpora


def test_documents_of_conll2003(corpora):
    for name, count in [("eng.train", 946), ("eng.testa", 216)]:
        sentences = list(read_conll(corpora / "conll2003" / name, columns=FOUR))
        assert sum(borders_of(sentences)) == count
        assert written(sentences, columns=("pos", "chunk", "ner")).rstrip("\n") == (
            (corpora / "conll2003" / name).read_text(encoding="utf-8").rstrip("\n")
        )


def test_number_signs_of_conll2000(corpora):
    path = corpora / "conll2000" / "train.txt"
    sentences = list(read_conll(path, columns="token,pos,chunk", tasks=("chunk",)))
    assert (len(sentences), sum(map(len, sentences))) == (8_936, 211_727)
    assert sum(sentence.tokens.count("#") for sentence in sentences) == 36
