"""Sentences as HF datasets: `datasets` loads the written files, and the reader restores the sentences."""

import io
import tempfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st
from input_errors import raises

from tagger.corpus.conllu import read_conllu, write_conllu
from tagger.corpus.files import FORMATS, read_sentences
from tagger.corpus.hub import read_dataset, to_dataset, write_dataset
from tagger.corpus.reading import Reading, Writing
from tagger.text.sentence import Sentence, from_tokens

pytestmark = pytest.mark.slow

NAMES = ["O", "B-PER", "I-PER"]
ROWS = [(("Ada", "Byron", "wrote"), ("B-PER", "I-PER", "O")), (("Yes",), ("O",))]
SENTENCES = [replace(from_tokens(tokens), tags={"ner": tags}) for tokens, tags in ROWS]


def test_to_dataset_equals_from_dict():
    strings, labels = datasets.Value("string"), datasets.ClassLabel(names=NAMES)
    made = datasets.Dataset.from_dict(
        {"tokens": [tokens for tokens, _ in ROWS], "ner_tags": [[1, 2, 0], [0]]},
        features=datasets.Features({"tokens": datasets.List(strings), "ner_tags": datasets.List(labels)}),
    )
    dataset = to_dataset(SENTENCES, ["ner"])
    assert dataset["text"][:] == ["Ada Byron wrote", "Yes"]
    dataset = dataset.remove_columns(["text", "starts_document"])
    assert dataset.features == made.features
    assert dataset[:] == made[:]


def test_labels_are_sorted_with_o_first():
    dataset = to_dataset([replace(from_tokens("abcd"), tags={"x": ("b", "B-z", "O", "A")})], ["x"])
    assert dataset.features["x_tags"].feature.names == ["O", "A", "B-z", "b"]
    assert dataset[0]["x_tags"] == [3, 2, 0, 1]


def test_sentences_that_cannot_be_written():
    with raises("corpus.task", file="f", line=3, mentions="ner"):
        to_dataset([replace(from_tokens("ab"), source="f:3")], ["ner"])
    with raises("corpus.encoding", file="f", line=3, mentions=r"'\ud800'"):
        to_dataset([replace(from_tokens(["\ud800"]), source="f:3")], [])


def test_datasets_loads_the_written_folder(tmp_path):
    for split in ("train", "test"):
        write_dataset(SENTENCES, tmp_path, Writing(tasks=["ner"]), split=split)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
    ]
    loaded = datasets.load_dataset(str(tmp_path), cache_dir=str(tmp_path / "cache"))["test"]
    made = to_dataset(SENTENCES, ["ner"])
    assert loaded.features == made.features
    assert loaded[:] == made[:]


def test_memory_while_writing_does_not_grow_with_the_corpus(tmp_path):
    def peak(count: int) -> int:
        sentence = replace(from_tokens("ab" * 20), tags={"x": tuple("OX" * 20)})
        tracemalloc.start()
        write_dataset((sentence for _ in range(count)), tmp_path, Writing(tasks=["x"]))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(100)
    assert peak(20_000) < 1.5 * peak(4_000)


CONLLU = """\
# newdoc
# text = au vu  de
1-2\tau\t_\t_\t_\t_\t_\t_\t_\t_
1\tà\tà\tADP\t_\t_\t3\tcase\t_\t_
2\tle\tle\tDET\t_\t_\t3\tdet\t_\t_
3\tvu\tvu\tNOUN\t_\t_\t0\troot\t_\tSpacesAfter=\\s\\s
4\tde\tde\tADP\t_\t_\t3\tcase\t_\t_

"""


def test_conllu_round_trip_through_a_dataset(tmp_path):
    source = tmp_path / "x.conllu"
    source.write_text(CONLLU, encoding="utf-8")
    sentences = list(read_conllu(source))
    source.unlink()
    tasks = list(sentences[0].tags)
    write_dataset(sentences, tmp_path, Writing(tasks=tasks))
    back = list(read_dataset(tmp_path, Reading(tasks=())))
    assert [replace(s, source="") for s in back] == [replace(s, source="") for s in sentences]
    file = io.StringIO()
    write_conllu(back, file)
    assert file.getvalue() == CONLLU


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
COMMENTS = st.lists(WORDS.map("# ".__add__), max_size=2).map(tuple)


@st.composite
def sentence_lists(draw) -> list[Sentence]:
    sentences = []
    for _ in range(draw(st.integers(1, 4))):
        tokens = draw(st.lists(WORDS, min_size=1, max_size=4))
        spaces = [draw(st.sampled_from(["", " ", "\n", "x"])) for _ in tokens]
        start = draw(st.integers(0, 9))
        text, offsets = "", []
        for token, space in zip(tokens, spaces, strict=True):
            offsets.append((start + len(text), start + len(text) + len(token)))
            text += token + space
        sentences.append(
            Sentence(
                tuple(tokens),
                tuple(offsets),
                text,
                start,
                tags={task: tuple(draw(WORDS) for _ in tokens) for task in ("ner", "a_tag")},
                starts_document=not sentences or draw(st.booleans()),
                comments=draw(COMMENTS),
                extra_lines=tuple((0, line) for line in draw(COMMENTS)),
                text_before=draw(st.sampled_from(["", " ", "\n\n"])),
            )
        )
    return sentences


@given(sentence_lists())
def test_sentences_round_trip_through_a_dataset(sentences):
    with tempfile.TemporaryDirectory() as folder:
        write = FORMATS["datasets"].write_folder
        assert write
        write(sentences, Path(folder), Writing(tasks=("ner", "a_tag")))
        for tasks in (("ner", "a_tag"), ()):
            back = list(read_sentences(folder, tasks=tasks))
            assert [replace(sentence, source="") for sentence in back] == sentences
