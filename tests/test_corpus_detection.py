"""Detection of formats by suffix and content, and of columns by their values."""

import pytest

from tagger.corpus import detection
from tagger.corpus.detection import detect
from tagger.corpus.files import FORMATS
from tagger.corpus.reading import Reading
from tagger.errors import InputError

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
        ("3 Ada B-PER\n3 sings O\n\n4 Bo O\n", "_,token,ner"),
        ("1 Ada B-PER\n2 sings O\n\n3 Bo O\n4 sat O\n", "_,token,ner"),
        ("bc/1 0 0 In IN O\nbc/1 0 1 it PRP O\n", "_,_,_,token,pos,ner"),
        ("B-PER Ada\nO sings\n", "ner,token"),
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
    with pytest.raises(InputError, match="no format"):
        detect(path, format="nothing")
    with pytest.raises(InputError, match="have no token column"):
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
    assert "from 1 to 5 columns, and no number of columns" in detect(write_file(prose, "a")).problem
    problem = detect(write_file(NEWS, "b"), columns="token,ner").problem
    assert "4 of the first 4 lines have 4 columns but 2 were named (token, ner)" in problem


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
