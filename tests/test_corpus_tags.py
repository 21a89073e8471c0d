"""Schemes of tag columns, and locations of wrong tags."""

from dataclasses import replace

import pytest
from input_errors import raises

from tagger.corpus.tags import count_unseen, find_scheme, reject_unseen, require_spans
from tagger.text.sentence import Sentence, from_tokens


def with_ner(*tags: str, source: str = "f.txt:7") -> Sentence:
    sentence = from_tokens([f"w{n}" for n in range(len(tags))])
    return replace(sentence.with_tags({"ner": tags}), source=source, has_token_lines=True)


def test_a_tag_outside_the_scheme_is_reported_with_its_line():
    good = with_ner("B-PER", "I-PER", "O")
    assert find_scheme([good], "ner") == "IOB2"
    with raises("corpus.scheme", file="f.txt", line=8, mentions="'E-PER' of 'w1' does not belong to IOB2"):
        find_scheme([good, with_ner("B-PER", "E-PER", "O"), good], "ner")
    with raises("corpus.scheme", file="f.txt", line=9, mentions="'PER'"):
        find_scheme([good, with_ner("B-PER", "I-PER", "PER")], "ner")


def test_an_unknown_prefix_is_an_error():
    with raises("corpus.scheme", file="f.txt", line=8, mentions="'Q-PER' looks like a span tag"):
        find_scheme([with_ner("O", "Q-PER", "O")], "ner")
    assert find_scheme([with_ner("O", "NN-PL", "X")], "ner") is None


def test_a_column_without_spans_is_reported_with_its_file():
    with raises("corpus.empty", file="f.txt", option="--columns", mentions="'ner'"):
        require_spans([with_ner("O", "O"), with_ner("O")], "ner")
    require_spans([with_ner("O", "O"), with_ner("B-PER")], "ner")


def test_unseen_labels_are_counted_and_reported():
    known = ["O", "B-PER", "I-PER", "E-PER", "S-PER"]
    sentences = [with_ner("O", "S-PER"), with_ner("B-ORG", "I-ORG", "B-LOC", source="f.txt:20")]
    unseen = count_unseen(sentences, "ner", known, has_spans=True)
    assert unseen == {"ORG": 2, "LOC": 1}
    with raises("corpus.labels", line=20, option="data.unseen_tags", mentions="'ORG' of 'w0'"):
        reject_unseen(sentences, "ner", unseen, has_spans=True)
    with raises("corpus.labels", line=22, option="data.unseen_tags", mentions="'LOC' of 'w2'"):
        reject_unseen(sentences, "ner", {"LOC"}, has_spans=True)
    reject_unseen(sentences, "ner", {}, has_spans=True)
    # Without spans the whole tag is compared.
    assert count_unseen(sentences, "ner", known, has_spans=False) == {"B-ORG": 1, "I-ORG": 1, "B-LOC": 1}
    assert count_unseen([with_ner("O", "O")], "ner", ["B-X"], has_spans=True) == {}


def test_a_column_that_must_mark_spans():
    parts_of_speech = with_ner("NOUN", "VERB")
    assert find_scheme([parts_of_speech], "ner") is None
    assert find_scheme([with_ner("B-PER")], "ner", has_spans=False) is None
    with raises("corpus.columns", file="f.txt", line=7, option="--columns", mentions="'ner'"):
        find_scheme([parts_of_speech], "ner", has_spans=True)


@pytest.mark.parametrize("task", ["ner", "ner2", "chunk"])
def test_tags_of_spans_that_are_numbers_are_errors(task):
    sentences = [with_ner("0", "3", "4"), with_ner("0", "_")]
    sentences = [replace(one, tags={task: one.tags["ner"]}) for one in sentences]
    with raises("corpus.scheme", line=7, option="--scheme", mentions=f"'{task}' are numbers") as caught:
        find_scheme(sentences, task)
    assert "(got '0')" in str(caught.value)


def test_spans_in_brackets_and_labels_next_to_another_o_are_errors():
    with raises("corpus.scheme", file="f.txt", option="--scheme", mentions="'(PER)'"):
        find_scheme([with_ner("*", "(PER)", "(LOC*", "*)")], "ner")
    with raises("corpus.scheme", file="f.txt", line=8, option="--scheme", mentions="it would be 'O'"):
        find_scheme([with_ner("PER", "o", "LOC")], "ner")


def test_numbers_of_another_column_are_tags():
    sentence = replace(with_ner("2", "0"), tags={"head": ("2", "0")})
    assert find_scheme([sentence], "head") is None
