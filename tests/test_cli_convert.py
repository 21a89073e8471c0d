"""``tagger convert``: round trips through formats and schemes, reported losses and errors."""

import gzip
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from command_line import input_error, run
from hypothesis import given
from hypothesis import strategies as st
from input_errors import check

from tagger.corpus.conll import read_conll, write_conll
from tagger.corpus.conversion import Conversion, survey
from tagger.corpus.files import FORMATS, Format, read_sentences
from tagger.text.schemes import convert_tags, spans_to_tags
from tagger.text.sentence import Sentence, Span, from_tokens

NEWS = "-DOCSTART- -X- O\n\nAda NNP I-PER\nBo NNP B-PER\nsings VBZ O\n\n# sent_id = 2\nOslo NNP I-LOC\n\n"


@pytest.fixture
def news(write_file):
    return write_file(NEWS, "news.conll")


def test_scheme_round_trip(news, tmp_path):
    there, back = tmp_path / "there.conll", tmp_path / "back.conll"
    code, output, error = run("convert", news, there, "--scheme", "BIOES")
    assert (code, output) == (0, "")
    assert error.splitlines() == [
        f"tagger: {news}: conll; columns token, pos, ner; pos one tag per token, 2 tags; "
        "ner scheme IOB1, spans LOC, PER",
        "tagger: 2 sentences, 4 tokens, 3 spans of ner; columns token,pos,ner",
    ]
    assert there.read_text() == NEWS.replace("I-PER", "S-PER").replace("B-P", "S-P").replace("I-L", "S-L")
    run("convert", there, back, "--scheme", "iob1")
    assert back.read_text() == NEWS


def test_standard_output(news):
    code, output, _ = run("convert", news, "-", "--to", "conll", "--task", "ner")
    assert (code, output) == (0, NEWS.replace(" NNP", "").replace(" VBZ", "").replace(" -X-", ""))


def test_conllu_keeps_spans_in_misc(news, tmp_path):
    there, back = tmp_path / "there.conllu", tmp_path / "back.conll"
    assert run("convert", news, there)[0] == 0
    assert "1\tAda\t_\tNNP\t_\t_\t_\t_\t_\tner=I-PER\n" in there.read_text()
    assert run("convert", there, back, "--task", "pos", "--task", "ner")[0] == 0
    assert back.read_text().replace("# text = Ada Bo sings\n", "").replace("# text = Oslo\n", "") == NEWS


def test_illegal_tags_are_counted(write_file, tmp_path):
    path = write_file("a I-X\nb O\nc B-X\n\n" + "d B-X\n\n" * 3, "f")
    _, output, error = run("convert", path, "-", "--to", "conll")
    assert "1 tags of ner are illegal in IOB2; kept unchanged" in error
    assert "a I-X\n" in output
    _, output, error = run("convert", path, "-", "--to", "conll", "--scheme", "IOB2")
    assert "1 tags of ner are illegal in IOB2; read as conlleval reads them" in error
    assert "a B-X\n" in output


@pytest.fixture
def running_text(monkeypatch):
    """Register a format of one text per record, with the spans of one task."""

    def write(sentences, file, writing):
        for sentence in sentences:
            spans = [(span.start, span.end, span.label) for span in sentence.spans[writing.tasks[0]]]
            file.write(f"{sentence.text} {spans}\n")

    holds = frozenset({"documents", "text", "spans"})
    monkeypatch.setitem(FORMATS, "running", Format(FORMATS["conll"].read, write, holds, (".running",)))


@pytest.mark.usefixtures("running_text")
def test_losses_are_reported(news, tmp_path):
    code, _, error = run("convert", news, tmp_path / "a.running")
    assert code == 0
    assert (
        tmp_path / "a.running"
    ).read_text() == "Ada Bo sings [(0, 1, 'PER'), (1, 2, 'PER')]\nOslo [(0, 1, 'LOC')]\n"
    losses = "tags of pos (4), comments (1), token boundaries (4), sentence boundaries (2)"
    assert error.splitlines()[-1] == f"tagger: running cannot hold: {losses}"
    error = run("convert", news, tmp_path / "a.running", "--unit", "sentence")[2]
    assert "document boundaries (1)" in error
    assert "sentence boundaries" not in error
    error = input_error("convert", news, tmp_path / "b.running", "--task", "pos")
    check(error, "corpus.output", file=news, mentions="running")
    assert not (tmp_path / "b.running").exists()


def test_redundant_information_is_not_reported_as_lost(write_file, tmp_path):
    rows = "1\tAda\tAda\tPROPN\t_\t_\t_\t_\t_\tner=B-PER\n2\tsang\t_\tVERB\t_\t_\t_\t_\t_\tner=O\n"
    path = write_file("# sent_id = 1\n# text = Ada  sang\n" + rows, "f.conllu")
    error = run("convert", path, tmp_path / "a.jsonl", "--to", "doccano")[2]
    lost = "tags of pos (2), tags of lemma (1), tags of misc (2), comments (1), token boundaries (2)"
    assert f"doccano cannot hold: {lost}, sentence boundaries (1)\n" in error
    error = run("convert", path, tmp_path / "a.jsonl", "--to", "doccano", "--task", "ner")[2]
    assert "doccano cannot hold: comments (1), token boundaries (2), sentence boundaries (1)\n" in error
    _, output, error = run("convert", path, "-", "--to", "conll")
    assert "columns token,pos,lemma,misc,ner" in error
    assert output.splitlines()[-2] == "sang VERB _ ner=O O"


def test_losses_of_column_formats(write_file):
    rows = (
        "1-2\tau\t_\t_\t_\t_\t_\t_\t_\t_\n1\tà\t_\tADP\t_\t_\t_\t_\t_\t_\n2\tle\t_\tDET\t_\t_\t_\t_\t_\t_\n"
    )
    path = write_file("# text = au\n" + rows, "f.conllu")
    error = run("convert", path, "-", "--to", "conll")[2]
    lost = "lines without a token (1), texts with other white space than single spaces (1)"
    assert error.endswith(f"conll cannot hold: {lost}\n")


def test_adjacent_spans_merge_in_io(news):
    _, output, error = run("convert", news, "-", "--to", "conll", "--scheme", "IO")
    assert "boundaries of adjacent spans (1)" in error
    assert "Bo NNP I-PER" in output


def test_texts_are_kept_in_comments(write_file, tmp_path):
    rows = "".join(
        f"{n}\t{w}\t_\tX\t_\t_\t_\t_\t_\t{m}\n" for n, w, m in [(1, "Hi", "SpaceAfter=No"), (2, "!", "_")]
    )
    there = tmp_path / "a.conll"
    assert run("convert", write_file(rows, "f.conllu"), there, "--task", "pos")[0] == 0
    (sentence,) = read_conll(there)
    assert (sentence.text, sentence.offsets) == ("Hi!", ((0, 2), (2, 3)))


def test_a_tabbed_file_stays_tabbed(write_file):
    content = "-DOCSTART-\tO\n\nNew York\tB-LOC\n\n"
    assert run("convert", write_file(content, "f"), "-", "--to", "conll")[1] == content


def test_gz_files_are_compressed(news, tmp_path):
    there, back = tmp_path / "there.conllu.gz", tmp_path / "back.conll"
    assert run("convert", news, there)[0] == 0
    assert b"ner=I-PER" in gzip.decompress(there.read_bytes())
    assert run("convert", there, back, "--task", "pos,ner")[0] == 0
    assert [one.tags for one in read_conll(back, columns="token,pos,ner")] == [
        one.tags for one in read_conll(news, columns="token,pos,ner")
    ]


def test_nothing_is_written_after_an_error(news, write_file, tmp_path):
    output = write_file("earlier", "out.conll")
    bad = write_file(NEWS + "a NNP\nb\n", "bad.conll")
    cases = [
        (
            [bad, output],
            "corpus.columns",
            {"file": bad, "line": 10, "mentions": "(2 problems in all: `tagger"},
        ),
        ([news, news], "option.conflict", {"file": news}),
        ([news, output, "--scheme", "IOB9"], "option.unknown", {"mentions": "'IOB9'"}),
        ([news, output, "--task", "chunk"], "corpus.task", {"option": "--columns", "mentions": "'chunk'"}),
        ([news, "-"], "option.conflict", {"option": "--to"}),
        (["-", output], "file.kind", {"file": "-"}),
        ([tmp_path / "nowhere", output], "file.missing", {"file": "nowhere"}),
        ([tmp_path, output], "file.kind", {"file": tmp_path}),
        ([news, tmp_path], "file.kind", {"file": tmp_path}),
        ([news, tmp_path / "no" / "f"], "file.unwritable", {"file": tmp_path / "no" / "f"}),
        ([write_file("# A B\n", "x"), output], "corpus.empty", {"file": "x"}),
        ([write_file("a b c\nd\ne f\n", "y"), output], "corpus.format", {"file": "y"}),
    ]
    before = {path.name for path in tmp_path.iterdir()}
    for words, code, properties in cases:
        check(input_error("convert", *words), code, **properties)
    assert output.read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_token_that_the_target_cannot_hold_leaves_no_file(write_file, tmp_path):
    row = "1\t-DOCSTART-\t_\tX\t_\t_\t_\t_\t_\t_\n"
    error = input_error("convert", write_file(row, "f.conllu"), tmp_path / "out.conll")
    check(error, "corpus.output", file="f.conllu", line=1, mentions="-DOCSTART-")
    assert {path.name for path in tmp_path.iterdir()} == {"f.conllu"}


def test_folders_are_written_completely_or_not_at_all(news, tmp_path, monkeypatch):
    def write(sentences, folder, writing):
        for number, sentence in enumerate(sentences):
            (folder / f"{number}.txt").write_text(sentence.text)
            if (tmp_path / "fail").exists():
                raise OSError(28, "No space left on device")

    folder_format = Format(FORMATS["conll"].read, None, frozenset({"spans"}), write_folder=write)
    monkeypatch.setitem(FORMATS, "brat", folder_format)
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        assert run("convert", news, tmp_path / name, "--to", "brat")[0] == 0
        assert {path.name for path in (tmp_path / name).iterdir()} == {"0.txt", "1.txt"}
    (tmp_path / "fail").touch()
    for name, message in [
        ("new", "must not exist, or be an empty folder"),
        ("newer", "No space left on device"),
    ]:
        code, _, error = run("convert", news, tmp_path / name, "--to", "brat")
        assert (code, message in error) == (2, True)
    error = input_error("convert", news, "-", "--to", "brat")
    check(error, "option.conflict", file="-", option="--to", mentions="brat")
    assert {path.name for path in tmp_path.iterdir()} == {"news.conll", "new", "empty", "fail"}


@pytest.mark.slow
def test_a_closed_pipe_ends_without_error(write_file):
    path = write_file("Ada B-PER\n\n" * 50_000, "f")
    command = [sys.executable, "-m", "tagger", "convert", str(path), "-", "--to", "conll"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    ) as process:
        assert process.stdout.readline() == b"-DOCSTART- O\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


TOKENS = st.sampled_from(["a", "Bé", "n't", "’s", "_", "漢", "x\u00a0y", "#1", "10 000"])
GAPS = st.sampled_from(["", " ", "  ", "\u00a0"])
LABELS = st.sampled_from(["PER", "product-car"])


@st.composite
def sentences(draw):
    """Generate sentences that conll and conllu can hold, with pos tags and ner spans in IOB2."""
    generated = []
    for index in range(draw(st.integers(1, 4))):
        tokens = draw(st.lists(TOKENS, min_size=1, max_size=6))
        gaps = draw(
            st.lists(st.sampled_from(["", " ", "  ", "\u00a0"]), min_size=len(tokens), max_size=len(tokens))
        )
        text, offsets = "", []
        for token, gap in zip(tokens, gaps, strict=True):
            offsets.append((len(text), len(text) + len(token)))
            text += token + gap
        text = text[: offsets[-1][1]]
        borders = sorted(draw(st.sets(st.integers(0, len(tokens)), max_size=4)))
        pairs = pairwise(borders)
        spans = [Span(start, end, draw(LABELS)) for start, end in pairs if draw(st.booleans())]
        pos = st.lists(st.sampled_from(["NOUN", "VERB"]), min_size=len(tokens), max_size=len(tokens))
        generated.append(
            Sentence(
                tokens=tuple(tokens),
                offsets=tuple(offsets),
                text=text,
                tags={"pos": tuple(draw(pos)), "ner": tuple(spans_to_tags(spans, len(tokens), "IOB2"))},
                starts_document=index == 0 or draw(st.booleans()),
                comments=tuple(draw(st.lists(st.sampled_from(["# sent_id = 1", "# newpar"]), max_size=2))),
            )
        )
    return generated


def comparable(read):
    """Remove what formats change: the source, and comments that the formats add."""
    added = ("# text", "# newdoc")
    return [
        replace(
            one,
            source="",
            comments=tuple(line for line in one.comments if not line.startswith(added)),
            tags={task: one.tags[task] for task in ("pos", "ner")},
        )
        for one in read
    ]


# Formats that hold everything in the generated sentences; folder formats are too slow.
WHOLE = [
    name
    for name, known in FORMATS.items()
    if known.write and known.holds >= {"tokens", "sentences", "documents", "text", "tags", "comments"}
]


@pytest.mark.slow
@given(sentences(), st.lists(st.sampled_from(WHOLE), max_size=3), st.data())
def test_any_way_through_formats_and_schemes_is_the_identity(folder, made, ways, data):
    path, format = folder / "0.conll", "conll"
    with path.open("w", encoding="utf-8", newline="") as file:
        write_conll(made, file, columns=("pos", "ner"), separator="\t", has_texts=True)
    scheme = "IOB2"
    for number, to in enumerate([*ways, "conll"], 1):
        columns = "token,pos,ner" if format == "conll" else None
        source = survey(path, format=format, columns=columns, tasks=("pos", "ner"))
        scheme = data.draw(st.sampled_from(["IOB1", "IOB2", "BIOES", "BILOU", "BMES"]))
        # A few tags may be taken for another scheme's, but legal tags mean the same spans in both.
        conversion = Conversion(source, to, scheme=scheme)
        path, format = folder / f"{number}.{to}", to
        with path.open("w", encoding="utf-8", newline="") as file:
            FORMATS[to].write(conversion.sentences(), file, conversion.writing)
        assert not +conversion.tally.lost
    read = comparable(read_sentences(path, columns="token,pos,ner"))
    back = [one.with_tags({**one.tags, "ner": convert_tags(one.tags["ner"], scheme, "IOB2")}) for one in read]
    assert back == made


@pytest.mark.slow
@given(sentences(), st.sampled_from(["conll", "conllu"]))
def test_tags_are_unchanged_without_a_scheme(folder, generated, to):
    tagged = [one.with_tags({"pos": one.tags["pos"], "ner": ["I-X"] * len(one)}) for one in generated]
    path = folder / "untouched.conll"
    with path.open("w", encoding="utf-8", newline="") as file:
        write_conll(
            [from_tokens(["a"]).with_tags({"pos": ["X"], "ner": ["B-X"]}), *tagged],
            file,
            columns=("pos", "ner"),
            separator="\t",
            has_texts=True,
        )
    conversion = Conversion(survey(path, columns="token,pos,ner"), to)
    found = [sentence.tags["ner"] for sentence in conversion.sentences()][1:]
    assert found == [one.tags["ner"] for one in tagged]


def test_real_corpora_are_written_unchanged(corpora, tmp_path):
    for name in ("conll2003/eng.testa", "ud_ewt/en_ewt-ud-dev.conllu"):
        path, there = corpora / name, tmp_path / f"there{(corpora / name).suffix}"
        assert run("convert", path, there)[0] == 0
        assert there.read_bytes().rstrip() == path.read_bytes().rstrip()


def test_the_example_corpus_survives_jsonl(tmp_path):
    corpus = Path(__file__).resolve().parent.parent / "data" / "dev.conll"
    assert run("convert", corpus, tmp_path / "a.jsonl", "--columns", "token,pos,ner")[0] == 0
    assert run("convert", tmp_path / "a.jsonl", tmp_path / "b.conll")[0] == 0
    assert (tmp_path / "b.conll").read_text().rstrip("\n") == corpus.read_text().rstrip("\n")
