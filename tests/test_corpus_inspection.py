"""Every error of a file in one run, shared sentences and inconsistent labels."""

import gzip
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_errors import check, raises

from tagger.corpus.conll import read_conll
from tagger.corpus.inspection import inspect_files
from tagger.text.schemes import spans_to_tags, tags_to_spans


def errors_of(path, **options):
    """Return the errors of a file, all of which must name it."""
    errors = []
    inspect_files([str(path)], errors.append, **options)
    assert all(error.file == str(path) for error in errors)
    return errors


def check_all(errors, expected):
    """Compare errors with their codes, lines and values that they mention."""
    for error, (code, line, value) in zip(errors, expected, strict=True):
        option = "--columns" if "were named" in value else ""
        check(error, code, line=line, option=option, mentions=value)


def token(number, form="w", misc="_"):
    return f"{number}\t{form}\tw\tX\tX\t_\t0\troot\t_\t{misc}\n"


ILLEGAL = "has the tag 'I-PER', which IOB2 does not allow"
GOOD = "Ada B-PER\nsings O\n\n" * 5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GOOD, []),
        (
            GOOD + "a O\nb O x\nc\nd I-PER\n\ne B-PER\nf E-PER\n",
            [
                ("corpus.columns", 17, "got 3"),
                ("corpus.columns", 18, "got 1"),
                ("corpus.scheme", 19, f"token 1 ('d') {ILLEGAL} after 'O' and at its end (ner)"),
                (
                    "corpus.scheme",
                    22,
                    "'E-PER' of 'f' does not belong to IOB2",
                ),
            ],
        ),
        ("x y z\n" + GOOD, [("corpus.columns", 1, "3 columns but 2 were named (token, ner)")]),
        (
            (GOOD + "a O\nb").encode() + b"\xe9 O\nc\xff O\n\nd O\re O\n",
            [
                ("corpus.encoding", 17, "byte 2 of the line (0xe9)"),
                ("corpus.encoding", 18, "byte 2 of the line (0xff)"),
                ("corpus.format", 20, "carriage return"),
            ],
        ),
        (
            (GOOD + "a O\n\tO\nb\t\nc O\n").replace(" ", "\t"),
            [("corpus.record", 17, "column token"), ("corpus.record", 18, "column ner")],
        ),
        ("a O\rb O\r\rc O\r", [("corpus.format", 1, "carriage return")]),
        ("", [("corpus.empty", None, "")]),
        ("-DOCSTART- O\n\n# only = this\n", [("corpus.empty", None, "")]),
        (gzip.compress(GOOD.encode() * 9, mtime=0)[:-9], [("file.unreadable", None, "gzip")]),
        ("a O\nb Q-X\nc O\n", [("corpus.scheme", 2, "'Q-X' looks like a span tag")]),
    ],
)
def test_every_problem_of_a_column_file(write_file, content, expected):
    check_all(errors_of(write_file(content, "f.conll")), expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (token(1) + token(2), []),
        (
            token(1)
            + token(3)
            + token(4)
            + "x\n"
            + token(5).replace("root", "")
            + token(6)
            + "\n"
            + token(1),
            [
                ("corpus.record", 2, "expected token 2, got '3'"),
                ("corpus.columns", 4, "10 columns separated by tabs, got 1"),
                ("corpus.record", 5, "column 8"),
            ],
        ),
        (
            token("2-3") + token(1) + token("2-9") + token(2) + "\n" + token("x"),
            [
                ("corpus.record", 1, "2-3 does not begin with the next token, 1"),
                ("corpus.record", 2, "'w' exceeds the sentence's 2 tokens"),
                ("corpus.record", 6, "expected token 1, got 'x'"),
            ],
        ),
        (
            token(1, misc="ner=B-PER") + token(2, misc="ner=I-LOC"),
            [("corpus.scheme", 2, f"token 1 ('w') {ILLEGAL.replace('PER', 'LOC')} after 'B-PER'")],
        ),
        ("# nothing\n", [("corpus.empty", None, "")]),
        ("1\ta\n\n" + token(1) + token(2), [("corpus.columns", 1, "10 columns separated by tabs, got 2")]),
    ],
)
def test_every_problem_of_a_conllu_file(write_file, content, expected):
    check_all(errors_of(write_file(content, "f.conllu")), expected)


def test_an_unreadable_file_counts_as_one_problem(write_file, tmp_path):
    errors = []
    good = write_file(GOOD, "good.conll")
    report = inspect_files([str(tmp_path / "nowhere"), str(tmp_path), str(good)], errors.append)
    assert report.problems == 2
    missing, folder = errors
    check(missing, "file.missing", file=tmp_path / "nowhere")
    check(folder, "file.kind", file=tmp_path)
    assert report.files[2].sentences == 5
    with raises("option.unknown", mentions="'nothing'"):
        inspect_files([str(good)], errors.append, scheme="nothing")


def test_an_invalid_line_is_kept_with_its_sentence(write_file):
    result = []
    (sentence,) = read_conll(write_file("a O\nb\nc O\n", "f"), on_error=result.append)
    assert (sentence.tokens, sentence.extra_lines, len(result)) == (("a", "c"), ((1, "b"),), 1)


def test_a_requested_scheme(write_file):
    path = write_file("Ada NNP I-PER\nsings VBZ O\n", "f")
    assert errors_of(path) == []
    (error,) = errors_of(path, scheme="bio2")
    check(error, "corpus.scheme", line=1, mentions=f"token 0 ('Ada') {ILLEGAL}")
    (error,) = errors_of(path, columns="token,ner")
    check(error, "corpus.columns", option="--columns", mentions="2 of the first 2 lines have 3 columns but 2")


def test_counts_of_a_file(write_file):
    content = "-DOCSTART- -X- O\n\nAda NNP I-PER\nBo NNP I-PER\n\n-DOCSTART- -X- O\n\nOslo NNP I-LOC\n. . O\n"
    (facts,) = inspect_files([str(write_file(content, "f"))], print).files
    assert (facts.sentences, facts.tokens, facts.documents, facts.problems) == (2, 4, 2, 0)
    assert facts.schemes == {"pos": None, "ner": "IOB1"}
    assert facts.counts == {"pos": Counter({"NNP": 3, ".": 1}), "ner": Counter({"PER": 1, "LOC": 1})}


def test_sentences_shared_by_several_files(write_file):
    train = write_file("a O\n\nb O\nc O\n\na B-X\n", "train")
    dev = write_file("# x = y\na O\n\nb c\n\nb O\nc B-X\n\na O\n", "dev")
    report = inspect_files([str(train), str(dev)], lambda _: None)
    assert [facts.repeated for facts in report.files] == [1, 1]
    (shared,) = report.shared
    assert (shared.file, shared.other, shared.sentences, shared.share) == (str(dev), str(train), 3, 0.75)
    assert shared.locations == [
        (f"{dev}:2", f"{train}:1"),
        (f"{dev}:6", f"{train}:3"),
        (f"{dev}:9", f"{train}:1"),
    ]


def test_labels_of_one_file_only(write_file):
    paths = [str(write_file(f"a B-X\nb O\n\nc B-{label}\n", label)) for label in ("Y", "Z")]
    assert inspect_files(paths, print).only_in == {"ner": {"Y": paths[0], "Z": paths[1]}}
    assert inspect_files(paths[:1], print).only_in == {}


def test_inconsistently_labelled_texts(write_file):
    path = write_file(
        "New B-LOC\nYork I-LOC\n\nNew B-ORG\nYork I-ORG\nand O\nYork B-LOC\n\n"
        "in O\nNew O\nYork O\nYork O\n\nsure B-PER\n",
        "f",
    )
    (york, new_york) = sorted(
        inspect_files([str(path)], print).inconsistent["ner"], key=lambda one: len(one.text)
    )
    assert (new_york.text, new_york.counts) == ("New York", {"LOC": 1, "ORG": 1, "O": 1})
    assert new_york.locations == {"LOC": [f"{path}:1"], "ORG": [f"{path}:4"], "O": [f"{path}:10"]}
    assert (york.text, york.counts) == ("York", {"LOC": 1, "O": 1})


WORDS = st.lists(st.sampled_from("ab"), min_size=1, max_size=6)


@given(st.lists(st.tuples(WORDS, st.integers(0, 5), st.sampled_from("XY")), min_size=1))
def test_untagged_texts_against_brute_force(folder, drawn):
    """Draw texts of one token, so that every occurrence counts."""
    lines, occurrences = [], Counter()
    for words, start, label in drawn:
        tags = ["O"] * len(words)
        if start < len(words):
            tags[start] = f"B-{label}"
        occurrences.update(zip(words, (tag[2:] or "O" for tag in tags), strict=True))
        lines += [f"{word} {tag}" for word, tag in zip(words, tags, strict=True)] + [""]
    path = folder / "f.conll"
    path.write_text("\n".join(lines) + "\n")
    result = inspect_files([str(path)], print, columns="token,ner").inconsistent.get("ner", [])
    expected = {}
    for word in "ab":
        counts = {label: count for (one, label), count in occurrences.items() if one == word}
        if len(counts) > 1:
            expected[word] = counts
    assert {one.text: one.counts for one in result} == expected


@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "E-X", "S-X", "I-Y"]), min_size=1, max_size=8))
def test_conversion_fixes_exactly_the_reported_tags(folder, tags):
    """Rewritten tags have no problems, and each problem has the line of its token."""
    path = folder / "g.conll"
    path.write_text("".join(f"w{place} {tag}\n" for place, tag in enumerate(tags)))
    for error in errors_of(path, columns="token,ner", scheme="BIOES"):
        check(error, "corpus.scheme", line=error.line, mentions=f"'w{error.line - 1}'")
        assert repr(tags[error.line - 1]) in str(error)
    mended = spans_to_tags(tags_to_spans(tags, "BIOES"), len(tags), "BIOES")
    path.write_text("".join(f"w {tag}\n" for tag in mended))
    assert errors_of(path, columns="token,ner", scheme="BIOES") == []
