"""The random share: what belongs to it, and the scores of models on it."""

import random
from dataclasses import replace

import numpy as np
import pytest
from annotation_projects import SETTINGS, annotate_corpus, pool

from tagger.annotation.project_records import Decision
from tagger.annotation.random_share import Effort, ShareScore, count_items, read_share, score_items
from tagger.annotation.store import AnnotationStore
from tagger.corpus.loading import read_corpus
from tagger.corpus.project_documents import ProjectSettings
from tagger.runtime.tagger import Tagger

TAGS = (("B-PER", "O", "O"), ("O", "O", "B-LOC"), ("?", "O", "O"))


@pytest.fixture(scope="module")
def gold(corpus):
    sentences = read_corpus(corpus / "dev.conll", columns="token,pos,ner")
    return [replace(one, starts_document=True) for one in sentences]


@pytest.fixture(scope="module")
def tagger(model):
    return Tagger.load(model)


@pytest.mark.parametrize("seed", range(3))
def test_a_sentence_belongs_to_the_arm_of_its_first_annotation(database, seed):
    source = random.Random(seed)
    expected, seconds, first = {}, {True: 0.0, False: 0.0}, {}
    with AnnotationStore.create(database, SETTINGS) as store:
        store.add_pool(pool(4, 2))
        for number in range(40):
            if source.random() < 0.2 and (undone := store.undo("ada")):
                store.release(undone[0].key)
            else:
                sentence, arm = source.randint(1, 8), source.choice(("random", "chosen", "audit"))
                lease = store.lease("ada", sentence, arm=arm)
                store.record(lease.key, Decision(source.choice((None, *TAGS)), float(number)))
                seconds[first.setdefault(sentence, arm) == "random"] += number
        expected = {one.sentence: one.tags for one, _ in store.annotated() if one.tags is not None}
        for is_random in (True, False):
            share = read_share(store, is_random=is_random)
            mine = {
                number: tags
                for number, tags in sorted(expected.items())
                if (first[number] == "random") == is_random
            }
            assert [int(one.source.rpartition(":")[2]) for one in share.sentences] == list(mine)
            assert [one.tags["ner"] for one in share.sentences] == list(mine.values())
            assert share.effort == Effort(len(mine), 3 * len(mine), seconds[is_random])
            # A sentence without its neighbours of the other share still starts its document.
            documents = [(number + 1) // 2 for number in mine]
            starts = [one != before for one, before in zip(documents, [0, *documents], strict=False)]
            assert [one.starts_document for one in share.sentences] == starts


def test_the_score_is_that_of_evaluate(tagger, gold):
    noisy = [
        one.with_tags({"ner": ["B-LOC" if tag == "B-PER" else tag for tag in one.tags["ner"]]})
        for one in gold
    ]
    partial = [one.with_tags({"ner": ["?", *one.tags["ner"][1:]]}) for one in gold]
    for sentences in (gold, gold[:6] + noisy[6:], partial):
        expected = tagger.evaluate(sentences, task="ner")["ner"]
        score = score_items(count_items(tagger, sentences, SETTINGS))
        assert (score.f1, score.support) == (pytest.approx(expected.f1), expected.support)
        assert score.low <= score.f1 <= score.high


def test_tasks_without_spans_are_scored_by_accuracy(tagger, gold):
    settings = ProjectSettings("pos", ("ADP", "DET", "NOUN", "PROPN", "PUNCT", "VERB"), None)
    partial = [one.with_tags({"pos": ["?", *one.tags["pos"][1:]]}) for one in gold]
    for sentences, left_out in ((gold, 0), (partial, len(gold))):
        score = score_items(count_items(tagger, sentences, settings))
        assert score.f1 == pytest.approx(tagger.evaluate(sentences, task="pos")["pos"].accuracy)
        assert score.support == sum(map(len, gold)) - left_out


def test_labels_and_tasks_that_project_or_model_lack(tagger, gold):
    people = [
        one.with_tags({"ner": [tag if tag.endswith("PER") else "O" for tag in one.tags["ner"]]})
        for one in gold
    ]
    counts = count_items(tagger, people, replace(SETTINGS, labels=("PER",)))
    assert counts[:, 1].sum() < count_items(tagger, people, SETTINGS)[:, 1].sum()
    assert counts[:, 0].tolist() == count_items(tagger, people, SETTINGS)[:, 0].tolist()
    other = [one.with_tags({"people": one.tags["ner"]}) for one in people]
    counts = count_items(tagger, other, replace(SETTINGS, task="people"))
    assert counts.sum(axis=0).tolist() == [0, 0, score_items(counts).support]


def test_without_a_random_share_there_is_no_interval(tmp_path, tagger, gold):
    with AnnotationStore.create(tmp_path / "case.db", SETTINGS) as store:
        annotate_corpus(store, gold[1:3], random_every=3)
        share = read_share(store, is_random=True)
        assert share.effort == Effort(1, len(gold[1]), 3.0)
        counts = count_items(tagger, [], SETTINGS)
        assert counts.shape == (0, 3)
        assert counts.dtype == np.int64
        assert score_items(counts) == ShareScore(0.0, None, None, 0, 0)
