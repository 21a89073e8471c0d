"""The unknown tag ``?`` in corpus files: reading, writing, loading, ``check`` and ``convert``."""

import json

import pytest
from command_line import run
from hypothesis import given, settings
from hypothesis import strategies as st
from input_errors import raises

from tagger.corpus.conversion import Conversion, survey
from tagger.corpus.files import FORMATS
from tagger.corpus.loading import FileOptions, load_split, untagged
from tagger.corpus.reading import Reading, Writing
from tagger.corpus.tags import count_unseen, require_spans
from tagger.features.vocab import build_vocabulary
from tagger.text.sentence import from_tokens

PARTIAL = "Ada NN B-PER\nsang VB ?\n? ? O\n\nHi ? ?\nBonn NN B-LOC\n"
HOLDING = [name for name, known in FORMATS.items() if "unknown tags" in known.holds]
# The columns of CoNLL-U (XPOS, UPOS) and its field MISC are both tested.
TASKS = ("xpos", "upos", "ner")


@st.composite
def sentences(draw):
    """Draw sentences with unknown tags in each task; IOB2 tags may be next to them."""
    made = []
    for number in range(draw(st.integers(1, 4))):
        tokens = draw(st.lists(st.sampled_from(["a", "Bé", "?", "n't", "?!"]), min_size=1, max_size=6))
        spans = draw(st.sampled_from([("B-A", "I-A", "O", "B-B", "B-B", "I-B"), ("O",) * 6]))
        tags = {
            "xpos": [draw(st.sampled_from(["N", "?", "_"])) for _ in tokens],
            "upos": [draw(st.sampled_from(["N", "V", "?"])) for _ in tokens],
            "ner": [draw(st.sampled_from([tag, "?"])) for tag, _ in zip(spans, tokens, strict=False)],
        }
        made.append(from_tokens(tokens, starts_document=not number).with_tags(tags))
    return made


@pytest.mark.parametrize("name", HOLDING)
@given(made=sentences())
@settings(max_examples=30)
def test_unknown_tags_survive_writing_and_reading(name, tmp_path_factory, made):
    path = tmp_path_factory.mktemp("there") / "file"
    tasks = TASKS if "tags" in FORMATS[name].holds else ("ner",)
    writing = Writing(tasks=tasks)
    if FORMATS[name].write:
        with path.open("w", encoding="utf-8", newline="") as file:
            FORMATS[name].write(made, file, writing)
    elif FORMATS[name].write_database:
        FORMATS[name].write_database(made, path, writing)
    else:
        path.mkdir()
        FORMATS[name].write_folder(made, path, writing)
    columns = "token,xpos,upos,ner" if name == "conll" else None
    read = list(FORMATS[name].read(path, Reading(columns=columns, tasks=tasks)))
    assert [one.tokens for one in read] == [one.tokens for one in made]
    assert [dict(one.tags) for one in read] == [{task: one.tags[task] for task in tasks} for one in made]


def test_formats_without_tokens_report_unknown_tags_as_lost(write_file, tmp_path):
    path = write_file(PARTIAL, "partial.conll")
    for name in FORMATS.keys() - set(HOLDING):
        conversion = Conversion(survey(path), name)
        assert [[*map(str, one.tags["ner"])] for one in conversion.sentences()]
        assert conversion.tally.lost["unknown tags"] == 2
    code, _, error = run("convert", path, tmp_path / "d.jsonl", "--to", "doccano")
    assert code == 0
    assert "doccano cannot hold: unknown tags (2), tags of pos (3)" in error


@pytest.mark.parametrize(
    ("scheme", "tags", "lost"),
    [("BIOES", "?? ?O ?S", 1), ("IOB1", "I? ?O ??", 1), ("IO", "I? ?O ?I", 0), ("IOE2", "?? ?O ?E", 1)],
)
def test_conversion_of_schemes_keeps_only_certain_tags(write_file, tmp_path, scheme, tags, lost):
    path = write_file("a B-A\nb ?\n\nc ?\nd O\n\ne ?\nf B-B\n", "iob2.conll")
    code, _, error = run("convert", path, tmp_path / "new.conll", "--scheme", scheme)
    assert code == 0
    assert (f"tags next to unknown ones ({lost})" in error) == (lost > 0)
    read = FORMATS["conll"].read(tmp_path / "new.conll", Reading())
    assert ["".join(tag[0] for tag in one.tags["ner"]) for one in read] == tags.split()


def test_files_of_several_schemes_keep_unknown_tags(write_file):
    files = [
        write_file("a B-A\nb ?\nc E-A\n\nd S-A\ne ?\n", "bioes.conll"),
        write_file("f B-A\ng ?\n\nh ?\ni I-A\n", "iob2.conll"),
    ]
    split = load_split(files, ["ner"])
    assert split.schemes == {"ner": "IOB2"}
    assert [" ".join(one.tags["ner"]) for one in split.sentences] == ["B-A ? I-A", "B-A ?", "B-A ?", "? I-A"]
    assert split.repairs == {"ner": 0}
    assert split.unknown == {"ner": 4}


def test_loading_counts_unknown_tags_and_keeps_them_out_of_labels(write_file):
    path = write_file(PARTIAL, "partial.conll")
    split = load_split([path], ["pos", "ner"], reading=Reading(warn=(notes := []).append))
    assert split.schemes == {"pos": None, "ner": "IOB2"}
    assert split.unknown == {"pos": 1, "ner": 2}
    assert split.unspecified["pos"] == 0
    # The tag of the token ? is an ordinary tag.
    assert [one.tags["pos"] for one in split.sentences] == [("NN", "VB", "?"), ("_", "NN")]
    assert [one.tags["ner"] for one in split.sentences] == [("B-PER", "?", "O"), ("?", "B-LOC")]
    assert notes == [
        f"{path}: {count} of 5 tokens have the unknown tag ? of {task!r}; loss and scores ignore them."
        for task, count in (("pos", 1), ("ner", 2))
    ]
    assert split.summary[0].endswith("pos one tag per token, 3 tags; ner scheme IOB2, spans LOC, PER")
    vocabulary, _ = build_vocabulary(
        split.sentences, split.schemes, scheme="IOB2", lowercase=False, fold_digits=False
    )
    assert [set(task.tags) for task in vocabulary.tasks] == [
        {"NN", "VB", "?"},
        {"O", "B-PER", "I-PER", "B-LOC", "I-LOC"},
    ]
    assert not count_unseen(split.sentences, "ner", ["O", "B-PER", "B-LOC"], has_spans=True)
    assert not count_unseen(split.sentences, "pos", ["NN", "VB", "?"], has_spans=False)


def test_unknown_tags_in_bare_labels(write_file):
    path = write_file("Ada PER\nLovelace PER\nsang O\nin O\nBonn ?\nand O\n\nit O\nBonn LOC\n", "bare.conll")
    split = load_split([path], ["ner"])
    assert split.schemes == {"ner": "IO"}
    assert split.sentences[0].tags["ner"] == ("I-PER", "I-PER", "O", "O", "?", "O")


def test_a_file_with_unknown_tags_only_is_an_error(write_file):
    for task, content in (("pos", "a ?\nb ?\n"), ("ner", "a ?\nb ?\n"), ("pos", "a ?\nb _\n")):
        split = load_split(
            [write_file(content, "all.conll")], [task], options=FileOptions(columns=f"token,{task}")
        )
        assert set(untagged(split)) == {task}
    sentences = [from_tokens("ab").with_tags({"ner": ["O", "?"]})]
    with raises("corpus.empty", option="--columns", mentions="got only O and ?"):
        require_spans(sentences, "ner")


def test_columns_are_detected_despite_many_unknown_tags(write_file):
    path = write_file("Ada NN B-PER\n" + "sang ? ?\n" * 20 + "in IN O\n", "mostly.conll")
    split = load_split([path], ["pos", "ner"])
    assert split.schemes == {"pos": None, "ner": "IOB2"}
    assert split.unknown == {"pos": 20, "ner": 20}


def test_check_reports_unknown_tags_without_counting_them_as_tags(write_file):
    path = write_file(PARTIAL + "\nOslo NN I-LOC\n\nRio ? ?\nBay NN I-LOC\n", "partial.conll")
    code, output, _ = run("check", path, "--json")
    (file,) = json.loads(output)["files"]
    assert code == 1
    # I-LOC is legal after ?, but not at the beginning of a sentence.
    assert [problem["line"] for problem in json.loads(output)["problems"]] == [8]
    assert file["counts"] == {"pos": {"NN": 4, "VB": 1, "?": 1}, "ner": {"PER": 1, "LOC": 3}}
    assert any("2 of 8 tokens have the unknown tag ? of 'pos'" in note for note in file["notes"])
    assert any("3 of 8 tokens have the unknown tag ? of 'ner'" in note for note in file["notes"])
