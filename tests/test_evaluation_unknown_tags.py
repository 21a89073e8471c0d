"""Scores, errors, calibration and class weights ignore unknown gold tags, compared with brute force."""

import json
from dataclasses import replace

import pytest
from bundles import make_bundle, random_sentences
from command_line import run
from comparisons import gold_tags, make_comparison, rescored
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from tagger import Tagger
from tagger.bundle import load_bundle
from tagger.config_loading import load_config
from tagger.errors import InputError
from tagger.evaluation.breakdown import count_sentences
from tagger.evaluation.confusion import count_confusion, match_task
from tagger.evaluation.tasks import score_task
from tagger.experiments.contrasts import pair_runs
from tagger.runtime.model_calibration import fit_temperatures
from tagger.runtime.model_evaluation import evaluate
from tagger.text.sentence import UNKNOWN_TAG, from_tokens
from tagger.training.costs import make_costs
from tagger.training.preparation import prepare

IOB2_TAGS = ("O", "B-A", "I-A", "B-B", "I-B")


@st.composite
def sides(draw):
    """Draw gold tags with unknown ones, and predicted tags of the same sentences, both in IOB2."""
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))
    gold_tag, tag = st.sampled_from([*IOB2_TAGS, UNKNOWN_TAG]), st.sampled_from(IOB2_TAGS)
    return tuple([draw(st.lists(one, min_size=n, max_size=n)) for n in lengths] for one in (gold_tag, tag))


def spans_to_score(gold, predicted):
    """Return gold and predicted spans (label, first, last), by the definition of what is ignored."""
    unknown = {index for index, tag in enumerate(gold) if tag == UNKNOWN_TAG}
    spans = get_entities(["O" if tag == UNKNOWN_TAG else tag for tag in gold])
    open_spans = [span for span in spans if {span[1] - 1, span[2] + 1} & unknown]
    ignored = unknown.union(*(range(first, last + 1) for _, first, last in open_spans))
    scored = [span for span in get_entities(predicted) if not ignored & {*range(span[1], span[2] + 1)}]
    return {*spans} - {*open_spans}, {*scored}


@given(sides())
def test_span_scores_and_outcomes_ignore_open_spans(case):
    gold, predicted = case
    pairs = [spans_to_score(*both) for both in zip(gold, predicted, strict=True)]
    n_correct, n_gold, n_predicted = (
        sum(len(count(*both)) for both in pairs)
        for count in (lambda a, b: a & b, lambda a, _: a, lambda _, b: b)
    )
    scores = score_task(gold, predicted, scheme="IOB2", seen=[[True] * len(tags) for tags in gold])
    assert scores["support"] == scores["seen"]["support"] == n_gold
    assert scores["precision"] == pytest.approx(n_correct / n_predicted if n_predicted else 0)
    assert scores["recall"] == pytest.approx(n_correct / n_gold if n_gold else 0)
    outcomes = match_task(gold, predicted, scheme="IOB2")
    kinds = count_confusion([one for its in outcomes for one in its], has_spans=True)["kinds"]
    assert kinds["right"] == n_correct
    assert sum(kinds.values()) - kinds["spurious"] == n_gold
    assert sum(kinds.values()) - kinds["missed"] == n_predicted


def test_an_example_of_ignored_spans():
    gold = [["B-A", "?", "O", "B-B", "O", "O"]]
    for predicted, f1 in (
        (["O", "O", "O", "B-B", "O", "O"], 1.0),
        (["B-B", "O", "O", "B-B", "O", "O"], 1.0),  # the gold span A may continue, and so may be anything
        (["B-A", "I-A", "I-A", "B-B", "O", "O"], 1.0),  # contains the unknown token
        (["O", "O", "B-A", "B-B", "O", "O"], pytest.approx(2 / 3)),
        (["O", "O", "O", "O", "O", "B-B"], 0.0),
    ):
        assert score_task(gold, [predicted], scheme="IOB2", seen=[[True] * 6])["f1"] == f1


def test_sentences_of_different_length_are_an_error_beside_unknown_tags():
    for predicted in ([["O"]], [["O", "O"], ["O"]]):
        with pytest.raises(InputError):
            score_task([["O", "?"]], predicted, scheme="IOB2", seen=[[True, True]])


def labelled(tagger):
    """Return sentences tagged by a model, in which some tags are unknown and some tokens are ``?``."""
    tokens = [[*words, "?"] for words in random_sentences(tagger.bundle.vocabulary, 3, 30)]
    result = []
    for number, one in enumerate(tagger.tag_tokens(tokens)):
        place = number % len(one)
        tags = {task: list(values) for task, values in one.tags.items()}
        for values in tags.values():
            values[place] = UNKNOWN_TAG
        result.append(from_tokens(one.tokens, starts_document=True).with_tags(tags))
    return result


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_evaluation_and_calibration_count_known_tags_only(head):
    tagger = Tagger(make_bundle(1, head=head)[1])
    gold = labelled(tagger)
    evaluation = evaluate(tagger, gold, has_calibration=True)
    is_mark = [
        (token, tag) == ("?", "?")
        for one in gold
        for token, tag in zip(one.tokens, one.tags["pos"], strict=True)
    ]
    n_known = sum(tag != UNKNOWN_TAG for one in gold for tag in one.tags["pos"]) + sum(is_mark)
    pos, ner = evaluation.tasks["pos"], evaluation.tasks["ner"]
    assert sum(is_mark) > 0
    assert pos.scores["support"] == pos.calibration.gold == len(pos.calibration.is_right) == n_known
    # The model lacks the tag ? of the token ?.
    assert pos.unseen_tags == {"?": sum(is_mark)}
    assert pos.scores["accuracy"] == pytest.approx(1 - sum(is_mark) / n_known)
    # The other gold tags are the predictions.
    assert not ner.mistakes
    assert not ner.unseen_tags
    assert ner.scores["f1"] == 1.0
    assert ner.calibration.is_right.all()
    assert len(ner.calibration.is_right) == ner.calibration.gold == ner.scores["support"] > 0
    temperatures = fit_temperatures(tagger, [one for one in gold if "?" not in one.tags["ner"][:-1]])
    assert all(value > 0 for value in temperatures.values())


@pytest.mark.parametrize("kind", ["spans", "tags"])
def test_comparisons_ignore_unknown_tags(kind):
    comparison = make_comparison(kind, has_lookahead=False, has_test=False, scheme="IOB2")
    sentences = []
    for number, one in enumerate(comparison.gold["dev"].sentences):
        (task, tags), place = next(iter(one.tags.items())), number % len(one)
        new = one.with_tags({task: [*tags[:place], UNKNOWN_TAG, *tags[place + 1 :]]})
        sentences.append(new if kind == "spans" else new.without_unknown(task))
    gold = {"dev": replace(comparison.gold["dev"], sentences=sentences)}
    runs = [rescored(one, gold, {"dev": one.predictions["dev"]}) for one in comparison.runs]
    comparison = replace(comparison, gold=gold, runs=runs)
    base, other = comparison.variants[:2]
    pairing = pair_runs(comparison, base, other, "dev")
    assert any({"?", "_"} & {*tags} for tags in gold_tags(gold["dev"]))
    for paired in (*pairing.base_runs, *pairing.other_runs):
        correct, predicted, n_gold = count_sentences(pairing.items, paired.items).sum(axis=0)
        assert paired.score == pytest.approx(2 * correct / (predicted + n_gold))


@pytest.mark.slow
def test_unknown_tags_do_not_count_in_class_weights_and_training(corpus, tmp_path):
    columns = "token,pos,ner"
    lines = (corpus / "train.conll").read_text().split("\n")
    partial = [
        f"{line.rsplit(maxsplit=2)[0]} ? ?" if line and number % 4 == 0 else line
        for number, line in enumerate(lines)
    ]
    path = tmp_path / "partial.conll"
    path.write_text("\n".join(partial))
    options = {
        "data.columns": columns,
        "data.tasks": "pos,ner",
        "train.class_weights": "balanced",
        "train.min_steps": 0,
    }
    config = load_config(None, options)
    preparation = prepare(config, [path], [], None)
    for task in preparation.vocabulary.tasks:
        costs = make_costs([task], preparation.train, config.train)[task.name]
        assert costs.isfinite().all()
        assert UNKNOWN_TAG not in task.tags
        assert any((ids < 0).any() for ids in preparation.train.tags[task.name])
    for head in ("crf", "softmax"):
        code, _, error = run(
            *("train", "--train", path, "--dev", path, "--columns", columns, "--task", "pos,ner"),
            *("--head", head, "--epochs", 1, "--set", "model.hidden_size=4", "--set", "train.min_steps=0"),
            *("--output", tmp_path / head),
        )
        assert code == 0, error
        assert "have the unknown tag ? of 'ner'" in error
        metrics = load_bundle(tmp_path / head).metrics["dev"]
        n_known = sum(not line.endswith("?") for line in partial if line)
        assert metrics["pos"]["support"] == n_known
    code, output, _ = run("evaluate", tmp_path / "crf", path, "--columns", columns, "--json")
    assert code == 0
    assert json.loads(output)["tasks"]["pos"]["support"] == n_known
