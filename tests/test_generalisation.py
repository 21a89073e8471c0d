"""The script that compares options on several dev sets: its topic split, and the table of its runs."""

import random

from generalisation import HELD_OUT, SETS, split_documents, split_topics, table

from tagger.text.sentence import from_tokens

N_DOCUMENTS = 200


def topical_sentences():
    """Documents of one to four sentences; each takes its words from one of 40 topics, and a few from any."""
    generator = random.Random(0)
    for number in range(N_DOCUMENTS):
        topic = number % 40
        for index in range(1 + number % 4):
            words = [f"topic{topic}x{generator.randrange(9)}" for _ in range(12)]
            words += [f"any{generator.randrange(50)}" for _ in range(4)] + [f"document{number}"]
            yield from_tokens(words, starts_document=index == 0)


def test_the_topic_split_holds_out_whole_topics():
    sentences = list(topical_sentences())
    rest, held_out = split_topics(sentences)
    order = {id(sentence): index for index, sentence in enumerate(sentences)}
    assert sorted(order[id(one)] for one in (*rest, *held_out)) == list(range(len(sentences)))
    assert 0.05 * len(sentences) < len(held_out) <= HELD_OUT * len(sentences)
    for side in (rest, held_out):
        assert [order[id(one)] for one in side] == sorted(order[id(one)] for one in side)
    assert {one.tokens[-1] for one in rest}.isdisjoint(one.tokens[-1] for one in held_out)
    topics = [{one.tokens[0].partition("x")[0] for one in side} for side in (rest, held_out)]
    assert topics[0].isdisjoint(topics[1])
    again = split_topics(sentences)
    assert [order[id(one)] for one in again[1]] == [order[id(one)] for one in held_out]


def test_documents_are_split_at_their_starts():
    sentences = list(topical_sentences())
    documents = split_documents(sentences)
    assert [one for document in documents for one in document] == sentences
    assert len(documents) == N_DOCUMENTS
    assert all([one.starts_document for one in d] == [True] + [False] * (len(d) - 1) for d in documents)


def run(settings, seed, score, **more):
    scores = dict.fromkeys(SETS, score)
    return {
        "settings": settings, "seed": seed, "epochs": 8, "common": [], "every": 1, "trained_on": "all"
    } | scores | more  # fmt: skip


def test_the_table_compares_runs_of_the_same_seed():
    runs = [
        run([], 1, 0.5), run([], 2, 0.7), run(["a=1"], 1, 0.52), run(["b=1"], 1, 0.49, dev=0.5),
        run(["b=1"], 2, 0.68), run(["c=1"], 3, 0.9), run(["a=1"], 1, 0.9, epochs=9)
    ]  # fmt: skip
    rows = [line for line in table(runs).splitlines() if line.startswith(("| base", "| a", "| b", "| c"))]
    assert rows == [
        "| baseline | 60.00 | 60.00 | 60.00 | 60.00 | 2 |",
        "| a=1 | +2.00 | +2.00 | +2.00 | +2.00 | 1 |",
        "| b=1 | -1.00 | -1.50 | -1.50 | -1.50 | 2 |",
    ]
