"""Training from an existing model: what is taken over, what is added, and what stays the same."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from command_line import input_error, run
from input_errors import check

from tagger import InputError, Tagger, measure_forgetting, train, write_corpus
from tagger.bundle import load_bundle
from tagger.runtime.scoring import OVERALL
from tagger.text.sentence import from_tokens

SIZES = {
    "hidden_size": 8,
    "word_size": 8,
    "character_hidden": 4,
    "context_size": 4,
    "epochs": 6,
    "min_steps": 0,
}
PEOPLE, PLACES = ("Ada", "Bo", "Mia", "Lev"), ("Oslo", "Rome", "Bonn")
OLD = [
    (f"{person} met {place} .".split(), {"pos": ["N", "V", "N", "."], "ner": ["B-PER", "O", "B-LOC", "O"]})
    for person, place in product(PEOPLE, PLACES)
]
NEW = [
    (f"{person} joined {group} Ü".split(), {"ner": ["B-PER", "O", "B-ORG", "O"]})
    for person, group in product((*PEOPLE, "Zoe"), ("Acme", "Initech"))
]
SENTENCES = [tokens for tokens, _ in (*OLD, *NEW)] + [["Ada", "flew", "to", "Ülm", "x" * 70]]


@pytest.fixture(scope="module")
def vectors(tmp_path_factory) -> Path:
    """Vectors of some words of train, and of words that only they have."""
    generator = np.random.default_rng(0)
    words = ["ada", "bo", "met", "rome", "zoe", "flew", "initech"]
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_text(
        "".join(f"{word} {' '.join(map(str, generator.normal(size=8).round(3)))}\n" for word in words)
    )
    return path


@pytest.fixture(scope="module")
def model() -> Tagger:
    return train(OLD, dev=OLD, task=["pos", "ner"], **SIZES)


@pytest.fixture(scope="module")
def model_with_vectors(vectors) -> Tagger:
    options = {name: value for name, value in SIZES.items() if name != "word_size"}
    return train(OLD, dev=OLD, task=["pos", "ner"], vectors=vectors, **options)


def tags(tagger: Tagger, task: str = "ner") -> list[tuple]:
    """Tags and probabilities of all sentences, as one document so that document context counts."""
    sentences = tagger.tag_tokens(SENTENCES, scores=True, is_document=True)
    return [(sentence.tags[task], np.round(sentence.tag_scores[task], 5).tolist()) for sentence in sentences]


@pytest.mark.parametrize("name", ["model", "model_with_vectors"])
@pytest.mark.parametrize("form", ["tagger", "folder"])
def test_same_labels_and_no_epochs_give_the_same_tags(name, form, request, tmp_path):
    """The train split has new words and characters, among them words that only the vectors have."""
    model = request.getfixturevalue(name)
    old_labels = [
        (tokens, {"ner": [tag.replace("ORG", "LOC") for tag in all_tags["ner"]]}) for tokens, all_tags in NEW
    ]
    source: object = model
    if form == "folder":
        source = tmp_path / "model"
        train(OLD, init_from=model, task=["pos", "ner"], epochs=0, output=source)
    extended = train(old_labels, init_from=source, task="ner", epochs=0, output=tmp_path / "run")
    vocabulary = extended.bundle.vocabulary
    assert {"joined", "acme", "zoe"} <= set(vocabulary.words)
    assert "Ü" in vocabulary.characters
    assert not {"joined", "acme"} & set(model.bundle.vocabulary.words)
    assert not set(vocabulary.words) & set(vocabulary.frozen_words)
    for task in ("pos", "ner"):
        assert tags(extended, task) == tags(model, task)
    assert tags(Tagger.load(tmp_path / "run")) == tags(model)


@pytest.mark.parametrize(
    "options",
    [
        {"head": "softmax"},
        {"characters": "lstm", "layers": 2},
        {"characters": "none", "casing_size": 0},
        {"direction": "forward"},
        {"affix_size": 3, "affix_min_words": 1},
        {"linear": True},
        {"lowercase": False, "fold_digits": True, "scheme": "none"},
    ],
    ids=str,
)
def test_every_architecture_can_be_extended(options):
    """Also with a new label: without training, tags of old labels lose at most to it."""
    scheme = options.pop("scheme", None)
    tasks = ["pos"] if scheme else ["pos", "ner"]
    model = train(OLD, task=tasks, **SIZES, **options)
    same = [(tokens, {"pos": ["N", "V", "N", "."]}) for tokens, _ in NEW]
    assert tags(train(same, init_from=model, task="pos", epochs=0), "pos") == tags(model, "pos")
    if not scheme:
        new = train(NEW, init_from=model, task="ner", epochs=0)
        assert new.labels == ("LOC", "ORG", "PER")
        for (before, _), (after, _) in zip(tags(model), tags(new), strict=True):
            assert all(a == b or a.endswith("ORG") for a, b in zip(after, before, strict=True))


def test_the_english_model_can_be_extended():
    """Its frozen vectors are stored in 8 bits."""
    english = Tagger.load("en")
    data = [(tokens, {"ner": all_tags["ner"]}) for tokens, all_tags in OLD]
    extended = train(data, init_from="en", epochs=0)
    for sentence in (["Angela", "Merkel", "flew", "to", "Paris", "."], ["IBM", "hired", "Zoe"]):
        (one,), (other,) = english.tag_tokens([sentence]), extended.tag_tokens([sentence])
        assert one.tags == other.tags


def test_a_new_label_is_added_and_old_ones_are_kept(model):
    extended = train(NEW, dev=NEW, init_from=model, epochs=30, learning_rate=0.05, min_steps=0)
    by_name = {task.name: task for task in extended.tasks}
    assert extended.labels == ("LOC", "ORG", "PER")
    assert by_name["pos"].tags == model.tasks[0].tags  # the split has no parts of speech
    assert [task.name for task in extended.tasks] == ["pos", "ner"]
    (sentence,) = extended.tag_tokens([["Zoe", "joined", "Acme", "Ü"]])
    assert [span.label for span in sentence.spans["ner"]] == ["PER", "ORG"]


def test_weights_of_old_labels_are_unchanged_before_training(model):
    extended = train(NEW, init_from=model, epochs=0)
    old, new = (dict(one.bundle.tensors) for one in (model, extended))
    before, after = (one.bundle.vocabulary.tasks[1] for one in (model, extended))
    rows = [after.ids[tag] for tag in before.tags]
    for name in ("projection.weight", "projection.bias", "crf.start_transitions", "crf.end_transitions"):
        assert np.array_equal(new[f"heads.1.{name}"][rows], old[f"heads.1.{name}"]), name
    transitions = new["heads.1.crf.transitions"][np.ix_(rows, rows)]
    assert np.array_equal(transitions, old["heads.1.crf.transitions"])
    # within a label, a new transition is the mean of the old ones within a label
    within = [
        old["heads.1.crf.transitions"][before.ids[f"B-{x}"], before.ids[f"I-{x}"]] for x in ("LOC", "PER")
    ]
    value = new["heads.1.crf.transitions"][after.ids["B-ORG"], after.ids["I-ORG"]]
    assert value == pytest.approx(np.mean(within), abs=1e-6)


def test_a_new_task_is_added(model):
    data = [(tokens, {"chunk": ["B-X", "O", "B-X", "O"]}) for tokens, _ in OLD]
    extended = train(data, init_from=model, task=["ner", "chunk"], epochs=1, min_steps=0)
    assert [task.name for task in extended.tasks] == ["pos", "ner", "chunk"]
    assert set(extended.bundle.config.data.tasks) == {"pos", "ner", "chunk"}
    with pytest.raises(InputError) as error:
        train(OLD, init_from=model, task="depth", epochs=1)
    assert error.value.code == "corpus.task"


def test_vectors_of_new_words_come_from_the_file(model_with_vectors, vectors, model):
    more = vectors.with_name("more.txt")
    more.write_text(
        vectors.read_text() + "joined" + " 0.5" * 8 + "\nada" + " 9" * 8 + "\nunseen" + " 0.25" * 8 + "\n"
    )
    extended = train(NEW, init_from=model_with_vectors, vectors=more, epochs=0).bundle
    rows = extended.tensors["words.trainable.weight"]
    ids = extended.vocabulary.word_ids
    assert rows[ids["joined"]].tolist() == [0.5] * 8
    old_ids = model_with_vectors.bundle.vocabulary.word_ids
    old_rows = model_with_vectors.bundle.tensors["words.trainable.weight"]
    assert np.array_equal(rows[ids["ada"]], old_rows[old_ids["ada"]])  # a trained word keeps its vector
    assert extended.tensors["words.frozen"][ids["unseen"] - len(rows)].tolist() == [0.25] * 8
    narrow = vectors.with_name("narrow.txt")
    narrow.write_text("ada 1 2\n")
    with pytest.raises(InputError) as error:
        train(NEW, init_from=model, vectors=narrow, epochs=0)
    check(error.value, "option.conflict", option="--vectors", mentions="got 2")


def test_a_run_from_a_model_can_be_resumed(model, tmp_path):
    options = {"init_from": model, "epochs": 3, "dev": OLD, "task": "ner", "min_steps": 0}
    whole = train(NEW, **options | {"dev": NEW})
    train(NEW, **options | {"dev": NEW}, output=tmp_path, callbacks=[lambda record: hasattr(record, "score")])
    resumed = train(NEW, **options | {"dev": NEW}, output=tmp_path, resume=True)
    for name, tensor in whole.bundle.tensors.items():
        assert np.array_equal(tensor, resumed.bundle.tensors[name]), name
    other = train(OLD, task=["pos", "ner"], **SIZES)
    with pytest.raises(InputError) as error:
        train(NEW, **options | {"dev": NEW, "init_from": other}, output=tmp_path, resume=True)
    check(error.value, "run.mismatch", file=tmp_path, option="--restart", mentions="the initial model")


@pytest.mark.parametrize(
    ("options", "option"),
    [({"hidden_size": 9}, "model.hidden_size"), ({"head": "softmax"}, "model.head")],
)
def test_sizes_are_those_of_the_model(model, options, option):
    with pytest.raises(InputError) as error:
        train(NEW, init_from=model, **options)
    check(error.value, "option.conflict", option=option)
    assert train(NEW, init_from=model, epochs=0, dropout=0.1).bundle.config.model.dropout == 0.1


def test_spans_and_plain_tags_cannot_be_mixed(model):
    with pytest.raises(InputError) as error:
        train(
            [(tokens, ["x"] * len(tokens)) for tokens, _ in OLD], init_from=model, task="ner", scheme="none"
        )
    check(error.value, "corpus.scheme", option="--scheme")


def test_no_epochs_need_an_initial_model():
    with pytest.raises(InputError) as error:
        train(OLD, task="ner", epochs=0)
    check(error.value, "option.value", file="settings", option="train.epochs", mentions="got 0")


def test_invalid_models_are_rejected(tmp_path):
    with pytest.raises(TypeError, match="init_from"):
        train(OLD, init_from=3)
    with pytest.raises(InputError) as error:
        train(OLD, init_from=tmp_path / "none")
    assert error.value.code == "bundle.missing"


def test_the_folder_of_an_extended_model_has_no_checkpoint(model, tmp_path):
    train(NEW, init_from=model, epochs=1, output=tmp_path, min_steps=0)
    train(NEW, init_from=model, epochs=0, output=tmp_path, resume=False)
    assert not (tmp_path / "checkpoint.safetensors").exists()
    assert load_bundle(tmp_path).metrics["epoch"] == 0


def test_scores_before_and_after_equal_those_of_both_models(model):
    extended = train(NEW, dev=NEW, init_from=model, epochs=2, min_steps=0)
    changes = measure_forgetting(model, extended, {"old": OLD, "new": NEW})
    assert [(one.split, one.task) for one in changes if one.label == OVERALL] == [
        ("old", "pos"), ("old", "ner"), ("new", "ner"),
    ]  # fmt: skip
    for one in changes:
        data = OLD if one.split == "old" else NEW
        for score, tagger in ((one.before, model), (one.after, extended)):
            task = tagger.evaluate(data)[one.task]
            if one.label == OVERALL:
                assert score == (task.accuracy if one.task == "pos" else task.f1)
            elif one.label in task.by_label:
                assert score == task.by_label[one.label].f1
    assert any(one.label == "ORG" and one.before == 0.0 for one in changes)


def test_the_command_extends_a_model(model, tmp_path):
    """It gives the weights of the Python function, and prints scores before and after."""
    files = {}
    for name, data in {"old": OLD, "new": NEW}.items():
        sentences = [from_tokens(tokens).with_tags(tags) for tokens, tags in data]
        files[name] = tmp_path / f"{name}.conll"
        write_corpus(sentences, files[name], task="ner")
    train(OLD, task=["pos", "ner"], init_from=model, epochs=0, output=tmp_path / "model")
    words = ["train", "--train", files["new"], "--dev", files["new"], "--init-from", tmp_path / "model"]
    words += ["--old-dev", files["old"], "--epochs", 2, "--set", "train.min_steps=0"]
    code, output, _ = run(*words, "--output", tmp_path / "run")
    assert code == 0
    assert "old dev, ner: PER" in output
    assert "pos: no tags in the train split" in output
    rows = json.loads((tmp_path / "run" / "forgetting.json").read_text())
    assert {(row["split"], row["label"]) for row in rows} >= {("old dev", "PER"), ("dev", "ORG")}
    expected = train(files["new"], dev=files["new"], init_from=tmp_path / "model", epochs=2, min_steps=0)
    for name, tensor in expected.bundle.tensors.items():
        assert np.array_equal(tensor, Tagger.load(tmp_path / "run").bundle.tensors[name]), name


def test_old_dev_needs_an_initial_model(tmp_path):
    error = input_error("train", "--train", "a", "--old-dev", "b", "--output", tmp_path / "run")
    check(error, "option.conflict", option="--old-dev")
