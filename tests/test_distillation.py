"""Distillation: a student learns its teachers' probabilities from unlabelled text."""

from itertools import product

import numpy as np
import pytest
from command_line import input_error, run
from input_errors import check, raises

from tagger import InputError, Tagger, distil, train
from tagger.config import option_names

pytestmark = pytest.mark.slow

SIZES = {"hidden_size": 12, "word_size": 12, "character_hidden": 6, "context_size": 4, "learning_rate": 0.1}
PEOPLE, PLACES = ("Ada", "Bo", "Mia", "Lev", "Zoe"), ("Oslo", "Rome", "Bonn", "Kyiv")
GOLD = [
    (f"{person} {verb} {place} .".split(), {"pos": ["N", "V", "N", "."], "ner": ["B-PER", "O", "B-LOC", "O"]})
    for person, verb, place in product(PEOPLE, ("likes", "left"), PLACES)
]
TEXTS = [
    f"{first} {verb} {place}. {second} {verb} {first}."
    for first, verb, place, second in product(PEOPLE, ("saw",), PLACES, PEOPLE)
]
HELD_OUT = [
    f"{first} left {second}. {second} likes {place}."
    for first, second, place in product(PEOPLE, PEOPLE, PLACES)
]


@pytest.fixture(scope="module")
def teacher() -> Tagger:
    return train(GOLD, task=["pos", "ner"], epochs=2, **SIZES)


def agreement(first: Tagger, second: Tagger, task: str) -> float:
    """Share of the tokens of held-out text with equal tags."""
    tags = [
        [tag for text in HELD_OUT for sentence in tagger.tag(text) for tag in sentence.tags[task]]
        for tagger in (first, second)
    ]
    return float(np.mean(np.array(tags[0]) == np.array(tags[1])))


@pytest.mark.parametrize("linear", [False, True])
def test_a_student_agrees_with_its_teacher_on_held_out_text(teacher, linear):
    student = distil(teacher, TEXTS, epochs=3, linear=linear, **SIZES)
    assert [task.name for task in student.tasks] == ["pos", "ner"]
    for task in ("pos", "ner"):
        assert agreement(teacher, student, task) >= 0.97


def test_a_student_learns_probabilities_and_not_only_tags(teacher):
    """Its probabilities are closer to the teacher's than those of a student of the teacher's tags."""
    soft = distil(teacher, TEXTS, epochs=3, **SIZES)
    plain = teacher.with_temperatures({})
    hard = train(
        [sentence for text in TEXTS for sentence in plain.tag(text)], task=["pos", "ner"], epochs=3, **SIZES
    )

    def probabilities(tagger: Tagger) -> np.ndarray:
        tagged = [sentence for text in HELD_OUT for sentence in tagger.tag(text, scores=True)]
        return np.array([score for sentence in tagged for score in sentence.tag_scores["ner"]])

    distances = [np.abs(probabilities(one) - probabilities(plain)).mean() for one in (soft, hard)]
    assert distances[0] < distances[1]


def test_gold_data_are_mixed_in(teacher, tmp_path):
    """Labels that only the gold data have are learnt too."""
    gold = [(["Acme", "grew", "."], {"pos": ["N", "V", "."], "ner": ["B-ORG", "O", "O"]})] * 20
    student = distil([teacher], TEXTS, gold=gold, dev=gold, output=tmp_path / "run", epochs=3, **SIZES)
    assert student.labels == ("LOC", "ORG", "PER")
    (sentence,) = student.tag_tokens([["Acme", "grew", "."]])
    assert sentence.tags["ner"] == ("B-ORG", "O", "O")
    assert agreement(teacher, student, "ner") >= 0.97
    again = distil(
        [teacher], TEXTS, gold=gold, dev=gold, output=tmp_path / "run", resume=True, epochs=3, **SIZES
    )
    assert np.array_equal(
        student.bundle.tensors["heads.0.projection.bias"], again.bundle.tensors["heads.0.projection.bias"]
    )


def test_two_teachers_and_predictions_of_a_file(teacher, tmp_path):
    other = train(GOLD, task=["pos", "ner"], epochs=2, seed=2, **SIZES)
    assert agreement(teacher, distil([teacher, other], TEXTS, epochs=3, **SIZES), "ner") >= 0.95
    text = tmp_path / "texts.txt"
    text.write_text("\n".join(TEXTS))
    model = tmp_path / "model"
    train(GOLD, task=["pos", "ner"], init_from=teacher, epochs=0, output=model)
    predictions = tmp_path / "predictions.jsonl"
    assert run("tag", "-m", model, text, "--scores", "--output", predictions)[0] == 0
    student = distil([], predictions, tasks=("pos", "ner"), epochs=3, **SIZES)
    assert agreement(teacher, student, "ner") >= 0.97


def test_a_teacher_with_memory_mapped_vectors_gives_no_warning(tmp_path):
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("".join(f"{word} {row} 0.5\n" for row, word in enumerate(["likes", "left", "met"])))
    train(GOLD, task=["pos", "ner"], epochs=1, vectors=vectors, output=tmp_path / "run", **SIZES)
    distil(tmp_path / "run", TEXTS[:4], epochs=1, min_steps=0, **SIZES)


def test_the_command_gives_the_weights_of_the_function(teacher, tmp_path):
    """Also, its errors for options that exclude each other."""
    model, text, output = tmp_path / "model", tmp_path / "text.txt", tmp_path / "run"
    train(GOLD, task=["pos", "ner"], init_from=teacher, epochs=0, output=model)
    text.write_text(TEXTS[0] * 5)
    settings = [
        word for name, value in SIZES.items() for word in ("--set", f"{section(name)}.{name}={value}")
    ]
    words = ["distil", "-m", model, "--text", text, "--output", output, "--epochs", 1, *settings]
    code, printed, _ = run(*words, "--set", "train.min_steps=0")
    assert (code, "texts: list in memory" in printed) == (0, True)
    expected = distil(model, [text.read_text()], epochs=1, min_steps=0, **SIZES).bundle
    for name, tensor in expected.tensors.items():
        assert np.array_equal(Tagger.load(output).bundle.tensors[name], tensor), name
    for wrong, option in (
        (["-m", model], "--model"),
        (["-m", model, "--predictions", text], "--predictions"),
    ):
        check(input_error("distil", *wrong, "--output", output), "option.conflict", option=option)


def section(name: str) -> str:
    """The section of an option."""
    return next(one.partition(".")[0] for one in option_names() if one.partition(".")[2] == name)


def test_teachers_must_have_the_same_labels(teacher):
    other = train([(tokens, tags["ner"]) for tokens, tags in GOLD], epochs=1, min_steps=0, **SIZES)
    with raises("argument.value", option="teachers", mentions="teacher 2"):
        distil([teacher, other], TEXTS)


def test_predictions_need_probabilities():
    with pytest.raises(InputError) as error:
        distil([], GOLD, tasks=("ner",), epochs=1, **SIZES)
    check(error.value, "corpus.empty", option="teachers")


@pytest.mark.parametrize("texts", ["one text", 3, [b"Ada"]])
def test_texts_of_a_wrong_type(teacher, texts):
    with pytest.raises(TypeError):
        distil(teacher, texts)
