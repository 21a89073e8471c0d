"""Pools from files, and imports of work that was made with other tools."""

import json
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from annotation_projects import SETTINGS, pool
from command_line import input_error, run
from hypothesis import given, settings
from hypothesis import strategies as st
from input_errors import check, raises

from tagger.annotation.project_files import ImportCounts, align_tags, import_work, read_pool
from tagger.annotation.project_records import Decision
from tagger.annotation.store import AnnotationStore
from tagger.corpus.files import read_sentences
from tagger.corpus.loading import FileOptions, write_corpus
from tagger.corpus.reading import Reading
from tagger.text.schemes import tags_to_spans
from tagger.text.sentence import UNKNOWN_TAG, Sentence, from_tokens

TEXTS = ["Ada met Bob. They went to Oslo.", "Nobody came.", "Émile 🌊 left  Lima with Mia."]
SPANS = [[("Ada", "PER"), ("Bob", "PER"), ("Oslo", "LOC")], [], [("Lima", "LOC"), ("Mia", "PER")]]
TAGS = {
    ("Ada", "met", "Bob", "."): ("B-PER", "O", "B-PER", "O"),
    ("They", "went", "to", "Oslo", "."): ("O", "O", "O", "B-LOC", "O"),
    ("Nobody", "came", "."): ("O", "O", "O"),
    ("Émile", "🌊", "left", "Lima", "with", "Mia", "."): ("O", "O", "O", "B-LOC", "O", "B-PER", "O"),
}
OTHER = ("A new text about Mia.", [("Mia", "PER")])


def records(texts=TEXTS, spans=SPANS):
    """Return Prodigy's records: texts with spans in characters."""
    for text, named in zip(texts, spans, strict=True):
        found = [(text.index(name), name, label) for name, label in named]
        yield {
            "text": text,
            "spans": [
                {"start": start, "end": start + len(name), "label": label} for start, name, label in found
            ],
            "answer": "accept",
        }


def write_lines(path, values):
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


@pytest.fixture
def store(database):
    with AnnotationStore.create(database, SETTINGS) as store:
        yield store


@pytest.fixture
def texts(tmp_path):
    return write_lines(tmp_path / "pool.jsonl", [{"text": text} for text in TEXTS])


def tags_in_effect(store):
    return {sentence.tokens: annotation.tags for annotation, sentence in store.annotated()}


def exported(format, tmp_path):
    """Return the annotated texts as a file of a tool."""
    gold = write_lines(tmp_path / "gold.jsonl", records([*TEXTS, OTHER[0]], [*SPANS, OTHER[1]]))
    if format == "jsonl":
        return gold
    path = tmp_path / format
    write_corpus(list(read_sentences(gold)), path, task="ner", format=format)
    return path


@pytest.mark.parametrize("format", ["labelstudio", "doccano", "jsonl", "brat", "conll", "project"])
def test_work_of_other_tools_becomes_annotations_of_the_pool(store, texts, tmp_path, format):
    assert store.add_pool(read_pool(texts)) == 4
    assert store.add_pool(read_pool(texts)) == 0
    path = exported(format, tmp_path)
    assert import_work(store, path, "eve", options=FileOptions(format=format)) == ImportCounts(
        annotated=4, added=1
    )
    assert tags_in_effect(store) == {
        **TAGS,
        ("A", "new", "text", "about", "Mia", "."): (*"OOOO", "B-PER", "O"),
    }
    assert store.progress().sentences == 5
    assert {(one.annotator, one.kind, one.arm) for one in store.annotations()} == {("eve", "accepted", None)}
    assert import_work(store, path, "eve", options=FileOptions(format=format)) == ImportCounts(kept=5)
    assert len(list(store.annotations())) == 5


def test_convert_imports_into_an_existing_project(store, database, texts, tmp_path):
    store.add_pool(read_pool(texts))
    path = exported("labelstudio", tmp_path)
    command = ("convert", path, database, "--from", "labelstudio", "--annotator", "eve")
    assert "4 sentences of the pool annotated, 1 added, 0 unchanged, 0 misaligned" in run(*command)[2]
    assert {one.annotator for one in store.annotations()} == {"eve"}
    assert "0 sentences of the pool annotated, 0 added, 5 unchanged, 0 misaligned" in run(*command)[2]
    for option, value in (("--task", "ner"), ("--scheme", "BIOES")):
        check(input_error(*command, option, value), "option.conflict", option=option)


def test_convert_does_not_replace_a_file_that_is_no_project(texts, tmp_path):
    path = tmp_path / "other.db"
    path.write_bytes(b"other content")
    check(input_error("convert", texts, path), "corpus.format", file="other.db")
    assert path.read_bytes() == b"other content"


def test_rejected_work_is_not_imported(store, texts, tmp_path):
    store.add_pool(read_pool(texts))
    values = [{**record, "answer": "reject"} for record in records()]
    values[1]["answer"] = "accept"
    assert import_work(store, write_lines(tmp_path / "a.jsonl", values), "eve") == ImportCounts(annotated=1)
    assert tags_in_effect(store) == {("Nobody", "came", "."): ("O", "O", "O")}


def test_an_import_keeps_decisions_and_leases_and_replaces_undone_ones(store, texts, tmp_path):
    store.add_pool(read_pool(texts))
    store.record(store.lease("ada", 1).key, Decision(("?",) * 4))
    store.record(store.lease("ada", 3).key, Decision(None))
    store.release(store.undo("ada")[0].key)
    lease = store.lease("ada", 2)
    path = exported("labelstudio", tmp_path)
    assert import_work(store, path, "eve", options=FileOptions(format="labelstudio")) == ImportCounts(2, 1, 2)
    expected = {**TAGS, ("Ada", "met", "Bob", "."): ("?",) * 4}
    del expected["They", "went", "to", "Oslo", "."]
    assert {tokens: tags for tokens, tags in tags_in_effect(store).items() if tokens in TAGS} == expected
    store.record(lease.key, Decision(("O",) * 5))


def test_other_sentences_of_a_pool_are_found_by_their_text(store, tmp_path):
    pooled = [from_tokens(["Yes", "."], starts_document=number in (0, 2)) for number in range(4)]
    with AnnotationStore.create(tmp_path / "twice.db", SETTINGS) as store:
        store.add_pool(pooled[:3])
        store.add_pool([from_tokens(["No", "."], starts_document=True), *pooled[1:2]])
        path = write_lines(tmp_path / "a.jsonl", [{"text": "Yes .", "spans": []} for _ in range(6)])
        # Its document "Yes ." is annotated once, the others as sentences of documents only if alone.
        counts = import_work(store, path, "eve")
        assert counts.annotated + counts.kept == 6
        assert counts.annotated == 1
        path = write_lines(tmp_path / "b.jsonl", [{"text": "No.", "spans": []}])
        assert import_work(store, path, "eve") == ImportCounts(annotated=1)


def test_misaligned_work_is_reported_and_leaves_the_sentence(store, tmp_path):
    store.add_pool([from_tokens(["AdaBob", "met"], starts_document=True), from_tokens(["Mia", "."])])
    path = write_lines(
        tmp_path / "a.jsonl", records(["Ada Bob met Mia."], [[("Bob", "PER"), ("Mia", "PER")]])
    )
    notes = []
    counts = import_work(store, path, "eve", reading=Reading(warn=notes.append))
    assert counts == ImportCounts(annotated=1, misaligned=1)
    assert tags_in_effect(store) == {("Mia", "."): ("B-PER", "O")}
    assert "'AdaBob met'; the sentence stays without annotation." in notes[-1]


def test_other_labels_are_an_error_and_import_nothing(store, texts, tmp_path):
    store.add_pool(read_pool(texts))
    path = write_lines(tmp_path / "a.jsonl", records([*TEXTS, OTHER[0]], [*SPANS, [("Mia", "HUM")]]))
    with raises("corpus.labels", file="a.jsonl", line=4, mentions="'B-HUM'"):
        import_work(store, path, "eve")
    assert not list(store.annotations())


@pytest.mark.parametrize("name", ["pool.conll", "pool.json", "pool.conllu"])
def test_a_pool_of_any_format_has_no_tags(tmp_path, name):
    sentences = [
        replace(
            one, tags={"ner": ("B-PER", "O", "O")}, spans={"ner": tuple(tags_to_spans(["B-PER"], "IOB2"))}
        )
        for one in pool(2, 2)
    ]
    write_corpus(sentences, tmp_path / name, task="ner")
    read = list(read_pool(tmp_path / name))
    assert [token for one in read for token in one.tokens] == [
        token for one in sentences for token in one.tokens
    ]
    assert not any(one.tags or one.spans for one in read)
    with raises("file.missing", file="none.jsonl"):
        list(read_pool(tmp_path / "none.jsonl"))


LETTERS = "abcdefghij"


@st.composite
def cut(draw, tokens=None):
    """Draw sentences of ``LETTERS``: of these tokens, or of others, with any white space between them."""
    if tokens is None:
        breaks = [*draw(st.tuples(*[st.booleans()] * (len(LETTERS) - 1))), True]
        ends = [index for index, is_end in enumerate(breaks, 1) if is_end]
        tokens = [LETTERS[start:end] for start, end in pairwise([0, *ends])]
    sentences, held = [], []
    for token in tokens:
        held.append(token)
        if token == tokens[-1] or draw(st.integers(0, 3)) == 0:
            gap = draw(st.sampled_from(["", " ", "\n\u00a0"]))
            ends = [*accumulate(len(one) + len(gap) for one in held)]
            offsets = [
                (end - len(gap) - len(one), end - len(gap)) for one, end in zip(held, ends, strict=True)
            ]
            sentences.append(Sentence(tuple(held), tuple(offsets), gap.join(held)))
            held = []
    return sentences


def spans_of(sentences):
    """Return the spans as ranges of ``LETTERS``."""
    for sentence in sentences:
        for span in tags_to_spans(sentence.tags["ner"], "IOB2"):
            covered = "".join(sentence.tokens[span.start : span.end])
            yield LETTERS.index(covered[0]), LETTERS.index(covered[-1]) + 1, span.label


def unknown_in(sentences):
    """Return the letters of the tokens whose tag is unknown."""
    return {
        letter
        for sentence in sentences
        for token, tag in zip(sentence.tokens, sentence.tags["ner"], strict=True)
        for letter in token
        if tag == UNKNOWN_TAG
    }


@pytest.mark.slow
@given(st.data())
@settings(max_examples=400)
def test_tags_are_transferred_to_other_tokens_only_if_they_mean_the_same(data):
    drawn = data.draw(cut())
    tag = st.sampled_from(["O", "B-A", "I-A", "I-A", "B-B", "?"])
    work = [one.with_tags({"ner": data.draw(st.tuples(*[tag] * len(one)))}) for one in drawn]
    tokens = [token for one in work for token in one.tokens]
    pooled = data.draw(st.just(work) | cut(tokens) | cut())
    spans, unknown = list(spans_of(work)), unknown_in(work)
    for sentence, tags in zip(pooled, align_tags(work, pooled, "ner", "IOB2"), strict=True):
        begin, end = LETTERS.index(sentence.tokens[0][0]), LETTERS.index(sentence.tokens[-1][-1]) + 1
        starts = [LETTERS.index(token[0]) for token in sentence.tokens]
        touching = [span for span in spans if span[0] < end and span[1] > begin]
        is_exact = all(first in starts and last in [*starts[1:], end] for first, last, _ in touching)
        assert (tags is not None) == is_exact
        if tags is None:
            continue
        tagged = sentence.with_tags({"ner": tags})
        assert list(spans_of([tagged])) == touching
        inside = {letter for first, last, _ in touching for letter in LETTERS[first:last]}
        for token, one in zip(sentence.tokens, tags, strict=True):
            assert (one == UNKNOWN_TAG) == bool({*token} & unknown - inside)
    if pooled is work:
        assert align_tags(work, pooled, "ner", "IOB2") == [one.tags["ner"] for one in work]
