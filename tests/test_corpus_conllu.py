"""CoNLL-U, and the choice of the reader."""

import gzip
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_errors import raises

from tagger.corpus.alignment import divide, locate
from tagger.corpus.conllu import read_conllu, write_conllu
from tagger.corpus.files import read_sentences
from tagger.text.sentence import Sentence, from_tokens


@pytest.fixture
def write(write_file):
    """Write a CoNLL-U file and return its path."""
    return lambda content, name="sample.conllu": write_file(content, name)


def tokens_of(sentences):
    return [list(sentence.tokens) for sentence in sentences]


def borders_of(sentences):
    return [sentence.starts_document for sentence in sentences]


def without_source(sentences):
    return [replace(sentence, source="") for sentence in sentences]


def row(number, form, pos="X", misc="_"):
    return f"{number}\t{form}\t{form.lower()}\t{pos}\tXX\t_\t0\troot\t_\t{misc}\n"


def test_conllu_tags_and_text(write):
    path = write("# text = Ada sings!\n" + row(1, "Ada", "PROPN") + row(2, "sings") + row(3, "!", "PUNCT"))
    (sentence,) = read_conllu(path)
    assert sentence.tags["pos"] == ("PROPN", "X", "PUNCT")
    assert sentence.tags["lemma"] == ("ada", "sings", "!")
    assert set(sentence.tags) == {"lemma", "pos", "xpos", "feats", "head", "deprel", "deps", "misc"}
    assert sentence.text == "Ada sings!"
    assert sentence.offsets == ((0, 3), (4, 9), (9, 10))
    assert sentence.source == f"{path}:2"
    (sentence,) = read_conllu(path, tasks=("upos", "xpos"))
    assert sentence.tags == {"upos": ("PROPN", "X", "PUNCT"), "xpos": ("XX", "XX", "XX")}


@pytest.mark.parametrize("comment", ["", "# text = something else\n"])
def test_conllu_text_rebuilt(write, comment):
    rows = (
        row("1-2", "don't", misc="SpaceAfter=No") + row(1, "do") + row(2, "n't") + row(3, "!") + row(4, "So")
    )
    (sentence,) = read_conllu(write(comment + rows), tasks=())
    assert sentence.text == "don't! So"
    assert sentence.offsets == ((0, 2), (2, 5), (5, 6), (7, 9))


@pytest.mark.parametrize(
    ("surface", "words", "expected"),
    [
        ("don't", ["do", "n't"], [(0, 2), (2, 5)]),
        ("Don’t", ["do", "n't"], [(0, 2), (2, 5)]),
        ("au", ["à", "le"], [(0, 2), (0, 2)]),
        ("dels", ["de", "es"], [(0, 4), (0, 4)]),
    ],
)
def test_words_inside_a_surface_form(surface, words, expected):
    assert divide(surface, words) == expected


def test_words_of_a_multi_word_token_in_the_text(write):
    rows = row(1, "Va") + row("2-3", "au") + row(2, "à") + row(3, "le") + row(4, "lac")
    (sentence,) = read_conllu(write("# text = Va  au lac\n" + rows))
    assert sentence.tokens == ("Va", "à", "le", "lac")
    assert sentence.offsets == ((0, 2), (4, 6), (4, 6), (7, 10))
    assert sentence.extra_lines == ((1, row("2-3", "au").rstrip()),)


def test_empty_nodes_and_documents(write):
    content = (
        row("0.1", "e") + row(1, "a") + row("1.1", "f") + "\n# newdoc\n" + row(1, "b") + "\n" + row(1, "c")
    )
    sentences = list(read_conllu(write(content)))
    assert tokens_of(sentences) == [["a"], ["b"], ["c"]]
    assert borders_of(sentences) == [True, True, False]
    assert [place for place, _ in sentences[0].extra_lines] == [0, 1]


def test_text_with_other_spaces():
    assert locate(["10 000", "km"], " 10 000\u00a0km ") == [(1, 7), (8, 10)]
    assert locate(["a"], "a b") is None
    assert locate(["a", "b"], "a") is None


@pytest.mark.parametrize(
    ("content", "code", "line", "value"),
    [
        ("1 a\n", "corpus.columns", 1, "10 columns separated by tabs, got 1"),
        (row(1, "a") + row(1, "b"), "corpus.record", 2, "token 2, got '1'"),
        (row("x", "a"), "corpus.record", 1, "token 1, got 'x'"),
        (row(1, "a").replace("XX", ""), "corpus.record", 1, "column 5"),
        (row("1-3", "ab") + row(1, "a") + row(2, "b"), "corpus.record", 2, "2 tokens"),
        (row(1, "a") + row("1-2", "ab"), "corpus.record", 2, "1-2 does not begin with the next token, 2"),
        (row("1-2", "ab") + row(1, "a") + row("2-3", "ab"), "corpus.record", 3, "multi-word token 2-3"),
        ("# text = nothing\n\n", "corpus.empty", None, ""),
    ],
)
def test_malformed_conllu(write, content, code, line, value):
    path = write(content)
    with raises(code, file=path, line=line, mentions=value):
        list(read_conllu(path))


def test_conllu_columns_are_fixed(write, tmp_path):
    with raises("corpus.task", mentions="ner=…"):
        list(read_conllu(write(row(1, "Ada")), tasks=("ner",)))
    with raises("corpus.columns", file="any", option="--columns"):
        read_conllu(tmp_path / "any", columns="token,pos")


def written_conllu(sentences):
    file = io.StringIO()
    write_conllu(sentences, file)
    return file.getvalue()


def test_written_conllu_of_tagged_text():
    sentence = Sentence(("Hi", "Ada", "!"), ((0, 2), (3, 6), (6, 7)), "Hi\nAda!", starts_document=True)
    sentence = sentence.with_tags({"pos": ["INTJ", "PROPN", "PUNCT"], "ner": ["O", "B-PER", "O"]})
    assert written_conllu([sentence, replace(sentence, comments=("# sent_id = 2",))]) == "".join(
        f"{comments}# text = Hi Ada!\n1\tHi\t_\tINTJ{empty}\t_\n"
        f"2\tAda\t_\tPROPN{empty}\tSpaceAfter=No\n3\t!\t_\tPUNCT{empty}\t_\n\n"
        for empty in ["\t_" * 5]
        for comments in ["", "# newdoc\n# sent_id = 2\n"]
    )


def test_tokens_that_conllu_cannot_represent():
    with raises("corpus.output", mentions=r"'a\tb'"):
        written_conllu([from_tokens(["a\tb"])])


def test_tags_in_misc(write):
    content = (
        row(1, "Ada", misc="ner=B-PER|SpaceAfter=No") + row(2, "!") + "\n" + row(1, "So", misc="x|NER=Q")
    )
    first, second = read_conllu(write(content), tasks=("pos", "ner"))
    assert (first.tags["ner"], second.tags["ner"]) == (("B-PER", "O"), ("O",))
    again = replace(first.with_tags({"ner": ("S-PER", "O"), "misc": ("ner=B-PER|a=b", "_")}), comments=())
    file = io.StringIO()
    write_conllu([again], file, misc=("ner", "chunk"))
    assert [line.split("\t")[9] for line in file.getvalue().split("\n")[1:3]] == ["a=b|ner=S-PER", "ner=O"]


@pytest.mark.parametrize(("name", "tag"), [("ner", "B-A|B"), ("a=b", "O"), ("a|b", "O")])
def test_tags_that_misc_cannot_represent(name, tag):
    with raises("corpus.output", mentions=f"'{name}={tag}'"):
        write_conllu([from_tokens(["a"]).with_tags({name: [tag]})], io.StringIO(), misc=(name,))


FORMS = st.sampled_from(["a", "Bé", "n't", "’s", "10 000", "#", "_", "漢", "x\u00a0y"])
MISC = st.sampled_from(["_", "SpaceAfter=No", "Gloss=a|SpaceAfter=No"])


@st.composite
def conllu_files(draw):
    """Draw files with multi-word tokens, empty nodes, comments, documents, and matching or other text."""
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        lines += draw(st.lists(st.sampled_from(["# sent_id = 1", "# newdoc", "# any"]), max_size=2))
        lines += draw(st.lists(st.sampled_from(["# text = a Bé", "# text = an't"]), max_size=1))
        count, covered = draw(st.integers(1, 5)), 0
        for number in range(1, count + 1):
            if number > covered and draw(st.booleans()):
                covered = draw(st.integers(number, count))
                lines.append(row(f"{number}-{covered}", draw(FORMS), misc=draw(MISC)).rstrip("\n"))
            lines.append(row(number, draw(FORMS), misc=draw(MISC)).rstrip("\n"))
            if draw(st.booleans()):
                lines.append(row(f"{number}.1", draw(FORMS)).rstrip("\n"))
        lines.append("")
    return "\n".join(lines)


def without_text_comment(sentences):
    return [
        replace(one, comments=tuple(line for line in one.comments if not line.startswith("# text")))
        for one in without_source(sentences)
    ]


@pytest.mark.slow
@given(conllu_files(), st.sampled_from([None, ("pos",)]))
def test_conllu_round_trip(folder, content, tasks):
    path = folder / "round_trip.conllu"
    path.write_text(content, encoding="utf-8", newline="")
    read = list(read_conllu(path, tasks=tasks))
    path.write_text(written_conllu(read), encoding="utf-8", newline="")
    again = list(read_conllu(path, tasks=tasks))
    assert without_text_comment(again) == without_text_comment(read)
    path.write_text(written_conllu(again), encoding="utf-8", newline="")
    assert without_source(read_conllu(path, tasks=tasks)) == without_source(again)
    assert all(len(sentence.offsets) == len(sentence) for sentence in read)


def test_ud_ewt_is_written_unchanged(corpora):
    path = corpora / "ud_ewt" / "en_ewt-ud-dev.conllu"
    sentences = list(read_conllu(path))
    assert (len(sentences), sum(map(len, sentences))) == (2_001, 25_147)
    assert written_conllu(sentences) == path.read_text(encoding="utf-8")
    for sentence in sentences:
        for token, (start, end) in zip(sentence.tokens, sentence.offsets, strict=True):
            assert sentence.text[start:end] == token


# Choice of the reader


def test_the_suffix_chooses_the_reader(write):
    content = row(1, "Ada", "PROPN")
    for name, data in [
        ("a.conllu", content.encode()),
        ("a.CONLLU", content.encode()),
        ("a.conllu.gz", gzip.compress(content.encode())),
    ]:
        (sentence,) = read_sentences(write(data, name), tasks=("pos",))
        assert sentence.tags == {"pos": ("PROPN",)}
    for name in ["a", "a.iob2", "eng.train", "a.conll"]:
        (sentence,) = read_sentences(write("Ada B-PER\n", name))
        assert sentence.tags == {"ner": ("B-PER",)}


def test_a_requested_format_overrides_the_suffix(write):
    (sentence,) = read_sentences(write(row(1, "Ada", "PROPN"), "a.txt"), tasks=("pos",), format="conllu")
    assert sentence.tokens == ("Ada",)
    (sentence,) = read_sentences(write("Ada B-PER\n", "a.conllu"), format="conll")
    assert sentence.tokens == ("Ada",)
    with raises("corpus.format", option="--format", mentions="'conlu'; did you mean conllu"):
        read_sentences("any", format="conlu")
