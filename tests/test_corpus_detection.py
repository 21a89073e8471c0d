"""Detection of formats by suffix and content, and of columns by their values."""

import pytest
from input_errors import check, raises

from tagger.corpus import detection
from tagger.corpus.detection import detect
from tagger.corpus.files import FORMATS
from tagger.corpus.reading import Reading

NEWS = "Ada NNP I-NP I-PER\nsings VBZ I-VP O\nin IN I-PP O\nOslo NNP I-NP I-LOC\n\n"


def conllu(*misc):
    return "".join(f"{n}\tw\tw\tX\tX\t_\t0\troot\t_\t{value}\n" for n, value in enumerate(misc, 1))


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (NEWS, "token,pos,chunk,ner"),
        ("-DOCSTART- -X- O O\n\n" + NEWS, "token,pos,chunk,ner"),
        ("# a comment of some words\n" + NEWS.replace(" ", "\t"), "token,pos,chunk,ner"),
        ("pound NN B-NP\nis VBZ B-VP\n", "token,pos,chunk"),
        ("Ada B-PER\nsings O\n", "token,ner"),
        ("Ada PROPN S-PER\nsings VERB O\n", "token,pos,ner"),
        ("1 Ada B-PER O\n2 of O O\n\n1 Oslo B-LOC B-ORG\n", "_,token,ner,ner2"),
        ("0 Ada O\n1 sings O\n", "_,token,ner"),
        ("7 O\n8 O\n", "token,ner"),
        ("1 O\n\n1 O\n", "_,token"),
        ("Oslo _ x B-LOC\ngrows _ y O\n", "token,column2,column3,ner"),
        ("Ada NNP PROPN B-PER\n", "token,pos,pos2,ner"),
        ("Ada PER Q-PER\nsings O O\n", "token,ner,column3"),
        ("Ada B_PER\nsings O\n", "token,ner"),
        ("Ada B-PER\nsings o\n", "token,ner"),
        ("Ada PER\nsings o\n", "token,ner"),
        ("Ada NE I-NC I-PER\nsang VVFIN I-VC O\n", "token,column2,chunk,ner"),
        ("3 Ada B-PER\n3 sings O\n\n4 Bo O\n", "_,token,ner"),
        ("1 Ada B-PER\n2 sings O\n\n3 Bo O\n4 sat O\n", "_,token,ner"),
        ("bc/1 0 0 In IN O\nbc/1 0 1 it PRP O\n", "_,_,_,token,pos,ner"),
        ("B-PER Ada\nO sings\n", "ner,token"),
        ("0 3 Ada B-PER\n4 9 sings O\n\n11 15 Oslo B-LOC\n", "_,_,token,ner"),
        ("B-PER 0 3 Ada\nO 4 9 sings\n\nB-LOC 11 15 Oslo\n", "ner,_,_,token"),
        ("17 Ada B-PER\n18 sings O\n\n40 Oslo B-LOC\n", "_,token,ner"),
        ("2020 CD O\n2021 CD O\n\n7 CD O\n", "token,pos,ner"),
        ("She O +\nsaw B-LOC -\n", "token,ner,column3"),
        ("Ada\nsings\n", "token"),
        ("a b c\nAda NNP B-PER\nsings VBZ O\n", "token,pos,ner"),
        ("Ada B-PER O\nAda B-PER\nsings O\n", "token,ner"),
        ("", "token"),
    ],
)
def test_columns_by_their_values(write_file, content, columns):
    detected = detect(write_file(content, "news.txt"))
    assert (detected.format, detected.columns, detected.problem) == ("conll", columns, None)
    assert detected.tasks == tuple(name for name in columns.split(",") if name not in ("_", "token"))


def test_only_a_head_is_read(write_file, monkeypatch):
    monkeypatch.setattr(detection, "HEAD_SENTENCES", 2)
    path = write_file("a NN\n\nb NN\n\n" + "c B-X\n\n" * 9, "f")
    assert detect(path).columns == "token,pos"


@pytest.mark.parametrize("name", ["a.conllu", "a.txt", "a.conll"])
def test_conllu_by_suffix_and_content(write_file, name):
    detected = detect(write_file("# text = w w\n" + conllu("ner=B-PER|A=b", "SpaceAfter=No"), name))
    assert (detected.format, detected.columns) == ("conllu", None)
    assert detected.tasks[:2] == ("pos", "xpos")
    assert detected.tasks[-2:] == ("misc", "ner")
    (sentence,) = detected.read(Reading(tasks=("ner",)))
    assert sentence.tags == {"ner": ("B-PER", "O")}


def test_requested_options_override_detection(write_file):
    path = write_file(conllu("_"), "a.txt")
    detected = detect(path, format="conll")
    assert detected.format == "conll"
    assert len(detected.columns.split(",")) == 10
    assert detect(write_file(NEWS, "b"), columns="token=0,x=-1").tasks == ("x",)
    with raises("corpus.format", option="--format", mentions="'nothing'"):
        detect(path, format="nothing")
    with raises("corpus.columns", option="--columns", mentions="'a,b' have no token column"):
        detect(write_file(NEWS, "b"), columns="a,b")


def test_json_is_detected_by_its_first_line(write_file, monkeypatch):
    for name in ("jsonl", "labelstudio"):
        monkeypatch.setitem(FORMATS, name, FORMATS["conll"])
    assert detect(write_file('{"text": "a"}\n', "a")).format == "jsonl"
    assert detect(write_file('[{"data": {"text": "a"}}]', "b")).format == "labelstudio"
    assert detect(write_file('[\n {"text": "a"}\n]', "c")).format == "labelstudio"
    assert detect(write_file("[ O\na O\n", "d")).format == "conll"


def test_files_without_columns(write_file):
    prose = "Call me so\nSome years ago never mind\nhow\nlong precisely\n"
    path = write_file(prose, "a")
    check(detect(path).problem, "corpus.format", file=path, mentions="from 1 to 5 columns")
    path = write_file(NEWS, "b")
    values = "4 of the first 4 lines have 4 columns but 2 were named (token, ner)"
    problem = detect(path, columns="token,ner").problem
    check(problem, "corpus.columns", file=path, option="--columns", mentions=values)


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_a_header_is_no_token(write_file, separator):
    path = write_file("Word POS\nAda NNP\nsings VBZ\n".replace(" ", separator), "a.conll")
    check(detect(path).problem, "corpus.format", file=path, mentions="a header (got 'Word POS')")
    assert detect(write_file("Word NN\npos NN\n".replace(" ", separator), "b.conll")).problem is None
    assert detect(path, format="csv").problem is None


def test_numbers_are_no_parts_of_speech(write_file):
    for values in (("3", "9"), ("0.98", "1.0")):
        path = write_file("Ada B-PER {}\nsings O {}\n".format(*values), "a")
        detected = detect(path, tasks=["pos", "ner"])
        assert (detected.columns, detected.missing) == ("token,ner,column3", ("pos",))


@pytest.mark.parametrize("ids", ["s1 s1 s2 s2", "1 1 2 2"])
def test_sentences_that_only_a_column_tells_apart(write_file, ids):
    lines = zip(ids.split(), ("Ada", "sings", "Oslo", "grows"), ("B-PER", "O", "B-LOC", "O"), strict=True)
    path = write_file("".join(f"{' '.join(line)}\n" for line in lines), "a.txt")
    check(detect(path).problem, "corpus.format", file=path, mentions="column 1 names the sentences")
    assert detect(path, columns="_,token,ner").problem is None


@pytest.mark.parametrize(
    "content",
    [
        "Ada/B-PER sings/O\nOslo/B-LOC grows/O\n",
        "Ada|NNP|B-PER sings|VBZ|O\nBo|NNP|B-PER\n",
        "Ada_NNP sings_VBZ ._.\n",
        "Ada,B-PER\nsings,O\n\nOslo,B-LOC\n",
    ],
)
def test_tags_that_are_joined_to_their_tokens(write_file, content):
    path = write_file(content, "a")
    values = f"a token and its tag (got {content.split()[0]!r})"
    check(detect(path).problem, "corpus.format", file=path, mentions=values)


@pytest.mark.parametrize(
    "content", ["and/or\neither/or\n1/2\n", "a_b B-X\nc_d O\ne_f O\n", "http://O\na\nb\n"]
)
def test_tokens_with_separators_are_no_joined_tags(write_file, content):
    assert detect(write_file(content, "a")).problem is None


def test_a_missing_file_is_left_to_the_reader(tmp_path):
    assert detect(tmp_path / "nowhere").problem is None


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("conll2003/eng.testa", "token,pos,chunk,ner"),
        ("conll2000/train.txt", "token,pos,chunk"),
        ("wikigold/train.iob2", "token,ner"),
        ("uner_ewt/dev.iob2", "token,ner"),
    ],
)
def test_real_corpora(corpora, name, columns):
    assert detect(corpora / name).columns == columns
