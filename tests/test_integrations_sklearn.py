"""``SequenceTagger``: schemes, probabilities, scores, and the tools of scikit-learn."""

import inspect
import pickle
import sys
from importlib import import_module
from itertools import chain

import numpy as np
import pytest
from input_errors import check
from seqeval.metrics import f1_score

from tagger.config import Config
from tagger.errors import InputError
from tagger.text.schemes import convert_tags
from tagger.text.spelling import add_prefixes

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import joblib
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from tagger.integrations.sklearn import SequenceTagger

X = [
    ["Ada", "met", "Bo", "in", "Oslo"],
    ["Bo", "left", "."],
    ["New", "York", "is", "far"],
    [],
    ["Ada", "Bo", "sang", "."],  # adjacent spans tell IOB1 from IOB2, and IOE1 from IOE2
    ["Old", "New", "York", "is", "near"],
] * 2
Y = [
    ["B-PER", "O", "B-PER", "O", "B-LOC"],
    ["B-PER", "O", "O"],
    ["B-LOC", "I-LOC", "O", "O"],
    [],
    ["B-PER", "B-PER", "O", "O"],
    ["B-LOC", "I-LOC", "I-LOC", "O", "O"],
] * 2
POS = [["N" if token.istitle() else "X" for token in tokens] for tokens in X]
BARE = [[tag.partition("-")[2] or "O" for tag in tags] for tags in Y]
TINY = {"word_size": 4, "characters": "none", "min_steps": 0, "ema": 0.0}


def make(**parameters: object) -> SequenceTagger:
    """A small estimator that learns the sentences by heart."""
    settings = {"epochs": 25, "hidden_size": 6, "learning_rate": 0.1, "dropout": 0.0, "batch_size": 4}
    return SequenceTagger(**{**settings, "options": TINY, **parameters})


@pytest.fixture(scope="module")
def fitted() -> SequenceTagger:
    return make().fit(X, Y)


@pytest.fixture(scope="module")
def unsure() -> SequenceTagger:
    """A model after one step, which is wrong and unsure."""
    return make(epochs=1, batch_size=100, seed=4, hidden_size=20).fit(X, Y)


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "IOE1", "IOE2", "BIOES", "BILOU", "BMES"])
def test_predictions_have_the_scheme_and_the_lengths_of_y(scheme):
    y = [convert_tags(tags, "IOB2", scheme) for tags in Y]
    tagger = make().fit(X, y)
    assert tagger.scheme_ == scheme
    assert tagger.predict(X) == y
    assert tagger.score(X, y) == 1.0
    assert {tag for tags in y for tag in tags} <= set(tagger.classes_.tolist())
    for tokens, marginals in zip(X, tagger.predict_marginals(X), strict=True):
        assert len(tokens) == len(marginals)
        for one in marginals:
            assert list(one) == tagger.classes_.tolist()
            assert sum(one.values()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.slow
def test_labels_without_prefix_are_spans_or_tags():
    spans, tags = make().fit(X, BARE), make(options={**TINY, "scheme": "none"}).fit(X, BARE)
    assert (spans.scheme_, tags.scheme_) == ("bare", None)
    for tagger in (spans, tags):
        assert tagger.predict(X) == BARE
        assert tagger.classes_.tolist() == ["LOC", "O", "PER"]
        assert list(tagger.predict_marginals(X)[0][0]) == ["LOC", "O", "PER"]
        assert tagger.score(X, BARE) == 1.0
    assert "PER" in spans.model_.labels
    wrong = [[tag.replace("PER", "LOC") for tag in tags] for tags in BARE]
    expected = f1_score(*([list(add_prefixes(tags)) for tags in side] for side in (wrong, BARE)))
    assert spans.score(X, wrong) == pytest.approx(expected)


def test_tags_without_spans_are_scored_by_accuracy():
    tagger = make(task="pos", epochs=1).fit(X, POS)
    assert tagger.scheme_ is None
    gold, predicted = (list(chain.from_iterable(side)) for side in (POS, tagger.predict(X)))
    assert tagger.score(X, POS) == pytest.approx(accuracy_score(gold, predicted))


def test_the_score_is_the_f1_of_seqeval(unsure):
    predicted = unsure.predict(X)
    assert predicted != Y
    assert any(tag != "O" for tags in predicted for tag in tags)
    assert unsure.score(X, Y) == pytest.approx(f1_score(Y, predicted))


def test_marginals_are_sums_over_all_tag_sequences(unsure):
    sentence = ["Ada", "met", "Bo"]
    (found,) = unsure.predict_marginals([sentence])
    (tagged,) = unsure.model_.tag_tokens([sentence], n_best=1000)
    expected = [dict.fromkeys(unsure.classes_.tolist(), 0.0) for _ in sentence]
    for alternative in tagged.alternatives["ner"]:
        for token, tag in zip(expected, alternative.tags, strict=True):
            token[tag] += alternative.probability
    assert found == [pytest.approx(token, abs=1e-5) for token in expected]
    assert max(found[0].values()) < 0.99


def test_predictions_of_a_sentence_do_not_depend_on_the_others(unsure):
    assert [unsure.predict([tokens])[0] for tokens in X] == unsure.predict(X)
    assert unsure.predict([*X, ["Oslo"] * 50])[:-1] == unsure.predict(X)
    alone = [unsure.predict_marginals([tokens])[0] for tokens in X]
    together = unsure.predict_marginals(X)
    for one, other in zip(alone, together, strict=True):
        assert one == [pytest.approx(token, abs=1e-5) for token in other]
    assert unsure.predict([]) == unsure.predict_marginals([]) == []


@pytest.mark.slow
def test_a_second_fit_and_other_containers_give_the_same_model(fitted):
    again = clone(fitted)
    assert again.fit(X, Y) is again
    arrays = make().fit(np.array(X, object), [np.array(tags) for tags in Y])
    again.fit(X, Y)
    for other in (again, arrays):
        assert other.model_.bundle.tensors.keys() == fitted.model_.bundle.tensors.keys()
        for name, weights in fitted.model_.bundle.tensors.items():
            assert np.array_equal(weights, other.model_.bundle.tensors[name])
        assert other.predict(X) == Y


def test_a_clone_has_the_parameters_and_no_model(fitted):
    copied = clone(fitted).set_params(hidden_size=3)
    assert copied.get_params() == {**fitted.get_params(), "hidden_size": 3}
    assert fitted.get_params()["hidden_size"] == 6
    for method in (copied.predict, copied.predict_marginals):
        with pytest.raises(NotFittedError):
            method(X)
    with pytest.raises(NotFittedError):
        copied.score(X, Y)


def test_defaults_are_those_of_the_config_or_smaller():
    config = Config()
    options = {**config.model.model_dump(), **config.train.model_dump()}
    parameters = inspect.signature(SequenceTagger).parameters
    defaults = {name: one.default for name, one in parameters.items() if name in options}
    assert len(defaults) == 9
    assert {name for name, value in defaults.items() if options[name] != value} == {"epochs", "hidden_size"}
    assert all(defaults[name] < options[name] for name in ("epochs", "hidden_size"))


def test_parameters_and_options_reach_the_model():
    tagger = make(epochs=1, head="softmax", direction="forward", seed=5)
    tagger.set_params(options={**TINY, "model.casing_size": 2, "epochs": 2}).fit(X, Y)
    config = tagger.model_.bundle.config
    assert (config.model.head, config.model.direction, config.train.seed) == ("softmax", "forward", 5)
    assert (config.model.casing_size, config.train.epochs) == (2, 2)
    assert tagger.epochs == 1


def test_the_held_out_fraction_chooses_the_epoch(fitted):
    metrics = make(validation_fraction=0.3, patience=2).fit(X, Y).model_.bundle.metrics
    assert metrics["epoch"] < 25
    sizes = [metrics["data"][split]["sentences"] for split in ("train", "dev")]
    assert sizes == [7, 3]  # two sentences have no tokens
    assert fitted.model_.bundle.metrics["data"]["dev"] is None


def test_unknown_tags_are_learnt_as_unknown_and_not_scored():
    y = [["?" if tag == "B-LOC" and len(tags) == 5 else tag for tag in tags] for tags in Y]
    with pytest.warns(UserWarning, match="4 of 42 tokens have the unknown tag"):
        tagger = make().fit(X, y)
    assert "?" not in tagger.classes_
    assert tagger.score(X, y) == 1.0
    hidden = [["?", *tags[1:]] if tags else [] for tags in POS]
    with pytest.warns(UserWarning, match="10 of 42 tokens have the unknown tag"):
        tagger = make(task="pos").fit(X, hidden)
    assert tagger.classes_.tolist() == ["N", "X"]
    assert tagger.score(X, hidden) == tagger.score(X, POS) == 1.0


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (["Ada sang"], [["O"]], "X[0] must be a list of tokens"),
        ([["Ada"], "Bo"], [["O"], ["O"]], "X[1]"),
        ([["Ada", 3]], [["O", "O"]], "X[0][1] must be a str"),
        ("Ada", [["O"]], "X must be"),
        (None, None, "X must be"),
        ([["Ada"]], None, "y must be a list of tag lists"),
        ([["Ada"]], ["O"], "y[0] must be a list of tags"),
        ([["Ada"]], [[1]], "y[0][0]"),
    ],
)
def test_wrong_types_are_errors(x, y, words, fitted):
    for method in (make().fit, fitted.score):
        with pytest.raises(TypeError) as error:
            method(x, y)
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([["Ada"]], [["O"], ["O"]], "got 1 and 2"),
        ([[], ["Ada", "sang"]], [[], ["O"]], "y[1] must have one tag per token (got 1 tags for 2 tokens)"),
        ([["Ada", "sang"]], [["O", ""]], "y[0][1]"),
    ],
)
def test_tags_that_do_not_match_the_tokens_are_errors(x, y, words, fitted):
    for method in (make().fit, fitted.score):
        with pytest.raises(InputError) as error:
            method(x, y)
        check(error.value, "argument.value", option="y", mentions=words)


def test_invalid_options_and_tags_are_errors(fitted):
    with pytest.raises(InputError, match="hidden_size") as error:
        make(hidden_size=0).fit(X, Y)
    check(error.value, "option.value", file="settings", option="model.hidden_size")
    with pytest.raises(InputError, match=r"did you mean train\.min_steps"):
        make(options={"min_step": 1}).fit(X, Y)
    with pytest.raises(InputError, match="E-PER"):
        fitted.score([["Ada", "Bo"]], [["B-PER", "E-PER"]])
    with pytest.raises(InputError) as error:
        make().fit([["Ada"], ["Ada", "sang"]], [["B-PER"], ["PER-B", "O"]])
    check(error.value, "corpus.scheme", file="y[1]", option="--scheme")
    with pytest.raises(InputError) as error:
        make().fit([[]], [[]])
    check(error.value, "corpus.empty", file="train_data")


@pytest.mark.slow
def test_sentences_of_one_length_are_cross_validated():
    """numpy would make a matrix of their tags, and fail with the others."""
    found = cross_val_predict(make(), X, Y, cv=KFold(3, shuffle=True, random_state=0))
    assert [len(tags) for tags in found] == list(map(len, X))
    x, y = zip(*[pair for pair in zip(X, Y, strict=True) if len(pair[0]) == 5], strict=True)
    found = cross_val_predict(make(), list(x), list(y), cv=2)
    assert found.shape == (4,)
    assert found.tolist() == list(y)


@pytest.mark.slow
def test_grid_search_and_cross_validation_in_processes():
    """Each half of the data has all sentences."""
    search = GridSearchCV(
        make(), {"learning_rate": [1e-6, 0.1], "options": [TINY, {**TINY, "casing_size": 0}]}, cv=2, n_jobs=2
    )
    search.fit(X, Y)
    assert search.best_params_["learning_rate"] == 0.1
    assert (search.best_score_, search.score(X, Y), search.predict(X)) == (1.0, 1.0, Y)
    assert cross_val_score(make(), X, Y, cv=2, n_jobs=2).tolist() == [1.0, 1.0]
    assert cross_val_predict(make(), X, Y, cv=2, n_jobs=2).tolist() == Y


def test_a_pickled_estimator_predicts_the_same(unsure, tmp_path):
    joblib.dump(unsure, tmp_path / "estimator.joblib")
    for copied in (joblib.load(tmp_path / "estimator.joblib"), pickle.loads(pickle.dumps(unsure))):
        assert copied.predict(X) == unsure.predict(X)
        assert copied.predict_marginals(X) == unsure.predict_marginals(X)
        assert copied.get_params() == unsure.get_params()


@pytest.mark.slow
def test_estimators_are_fitted_in_threads():
    """They share a random generator, so the weights vary."""
    fits = (joblib.delayed(make(epochs=5).fit)(X, Y) for _ in range(2))
    for tagger in joblib.Parallel(n_jobs=2, backend="threading")(fits):
        assert [len(tags) for tags in tagger.predict(X)] == list(map(len, X))


def test_a_missing_package_is_an_error(monkeypatch):
    monkeypatch.delitem(sys.modules, "tagger.integrations.sklearn")
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(InputError) as error:
        import_module("tagger.integrations.sklearn")
    check(error.value, "package.missing", mentions="scikit-learn")


class OfRows(SequenceTagger):
    """Convert matrices to sentences, for scikit-learn's checks: the tag of all tokens is the row's class."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True  # without it, scikit-learn runs no check
        tags.no_validation = False
        return tags

    def fit(self, X, y):
        return super().fit(*self._convert(X, y))

    def predict(self, X):
        return np.array([float(tags[0].removeprefix("class")) for tags in super().predict(self._convert(X))])

    def score(self, X, y):
        return super().score(*self._convert(X, y))

    def _convert(self, X, y=None):
        rows = [[f"{value:.1f}" for value in row] for row in np.asarray(X)]
        if y is None:
            return rows
        return rows, [[f"class{label}"] * len(row) for label, row in zip(np.asarray(y), rows, strict=True)]


ROWS_HAVE_NO_FEATURES = "sentences differ in length, so there is no number of features"
ROWS_ARE_STRINGS = "tokens are strings: any string is valid, and numbers are a TypeError"
NOT_APPLICABLE = {
    "check_n_features_in": ROWS_HAVE_NO_FEATURES,
    "check_n_features_in_after_fitting": ROWS_HAVE_NO_FEATURES,
    "check_fit1d": "a list of tokens is not a list of sentences: a TypeError, not a ValueError",
    "check_fit2d_predict1d": "a list of tokens is not a list of sentences: a TypeError, not a ValueError",
    "check_estimators_empty_data_messages": "a sentence without tokens is valid",
    "check_complex_data": ROWS_ARE_STRINGS,
    "check_estimators_nan_inf": ROWS_ARE_STRINGS,
    "check_estimator_sparse_tag": "lists of strings have no sparse form",
    "check_estimator_sparse_array": "lists of strings have no sparse form",
    "check_estimator_sparse_matrix": "lists of strings have no sparse form",
    "check_requires_y_none": "a missing y is a TypeError that says what to pass, not a ValueError",
}


@pytest.mark.slow
@parametrize_with_checks(
    [OfRows(task="class", epochs=1, hidden_size=2, options=TINY)],
    expected_failed_checks=lambda estimator: NOT_APPLICABLE,
)
def test_the_estimator_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)
