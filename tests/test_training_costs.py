"""Class weights and recall bias: compare the loss with brute force, and check their effects."""

import itertools
import math

import pytest
import torch
from command_line import run_error, write_corpus

from tagger.config_loading import load_config
from tagger.errors import InputError
from tagger.network import heads
from tagger.network.heads import HEADS, CrfHead, Head, Targets
from tagger.training.costs import make_costs
from tagger.training.loop import EpochRecord, train
from tagger.training.preparation import prepare
from tagger.training.processes import Processes
from tagger.training.progress import Progress

pytestmark = pytest.mark.slow

SIZES = {
    "data.columns": "token,pos,ner",
    "model.hidden_size": 6,
    "model.word_size": 6,
    "model.character_hidden": 3,
    "train.epochs": 2,
    "train.min_steps": 0,
}


def make_case(
    kind: str, seed: int = 0
) -> tuple[Head, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Make a head, emissions, gold tags, mask and costs in double precision; 3 sentences, 4 tags."""
    generator = torch.Generator().manual_seed(seed)
    head = HEADS[kind](2, 4).double()
    for parameter in head.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    emissions = torch.randn((3, 4, 4), generator=generator, dtype=torch.float64)
    tags = torch.randint(4, (3, 4), generator=generator)
    mask = torch.arange(4) < torch.tensor([4, 1, 3])[:, None]
    costs = torch.randn((4, 4), generator=generator, dtype=torch.float64).mul(2).fill_diagonal_(0.0)
    return head, emissions, tags, mask, costs


def brute_force(head: Head, emissions, tags, mask, costs) -> torch.Tensor:
    """Compute the softmax-margin loss by its definition, over all tag sequences."""
    transitions, start, end = head.transitions()
    total = torch.zeros((), dtype=torch.float64)
    for scores, gold, length in zip(emissions, tags.tolist(), mask.sum(1).tolist(), strict=True):

        def score(path, scores=scores):
            ends = start[path[0]] + end[path[-1]]
            moves = sum((transitions[a, b] for a, b in itertools.pairwise(path)), ends)
            return moves + sum(scores[step, tag] for step, tag in enumerate(path))

        own = gold[:length]
        paths = itertools.product(range(4), repeat=length)
        augmented = [score(path) + sum(costs[g, t] for g, t in zip(own, path, strict=True)) for path in paths]
        total = total + torch.stack(augmented).logsumexp(0) - score(own)
    return total / len(tags)


@pytest.fixture(params=["scaled", "log space"])
def path(request, monkeypatch) -> str:
    """Select one of the two computations of a CRF's loss."""
    if request.param == "log space":
        monkeypatch.setattr(heads, "scaled_crf_loss", lambda *_: None)
    return request.param


@pytest.mark.parametrize("kind", ["crf", "softmax"])
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_equals_the_softmax_margin(path, kind, seed):
    head, emissions, tags, mask, costs = make_case(kind, seed)
    loss = head.loss(emissions, Targets(tags), mask, costs)
    torch.testing.assert_close(loss, brute_force(head, emissions, tags, mask, costs), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["crf", "softmax"])
def test_the_gradient_equals_finite_differences(path, kind):
    head, emissions, tags, mask, costs = make_case(kind)
    emissions.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda scores: head.loss(scores, Targets(tags), mask, costs), (emissions,)
    )
    if isinstance(head, CrfHead):
        assert torch.autograd.gradcheck(
            lambda _: head.loss(emissions.detach(), Targets(tags), mask, costs), (head.crf.transitions,)
        )


@pytest.mark.parametrize("kind", ["crf", "softmax"])
def test_zero_costs_do_not_change_the_loss(path, kind):
    head, emissions, tags, mask, costs = make_case(kind)
    assert torch.equal(
        head.loss(emissions, Targets(tags), mask), head.loss(emissions, Targets(tags), mask, 0 * costs)
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def prepared(corpus, **changes):
    named = {key.replace("__", "."): value for key, value in changes.items()}
    config = load_config(None, {**SIZES, **named})
    return config, prepare(config, [corpus / "train.conll"], [corpus / "dev.conll"], None)


def costs_of(corpus, **changes):
    config, preparation = prepared(corpus, **changes)
    tasks = preparation.vocabulary.tasks
    return (
        make_costs(tasks, preparation.train, config.train),
        {task.name: task.tags for task in tasks},
        preparation,
    )


def test_costs_follow_class_weights_and_recall_bias(corpus):
    assert costs_of(corpus)[0] == {}
    assert costs_of(corpus, train__class_weights={})[0] == {}
    for bias in (1.5, -0.5):
        costs, tags, _ = costs_of(
            corpus, data__tasks="pos,ner", train__class_weights="PER=2,NOUN=0.5,O=3", train__recall_bias=bias
        )
        for gold, other in itertools.product(tags["ner"], repeat=2):
            expected = 0.0
            if gold != other:
                expected = {"PER": math.log(2), "O": math.log(3)}.get(gold.rpartition("-")[2], 0.0)
                if gold != "O" and other == "O":
                    expected += max(bias, 0.0)
                if other != "O" and gold.rpartition("-")[2] != other.rpartition("-")[2]:
                    expected += max(-bias, 0.0)
            cost = costs["ner"][tags["ner"].index(gold), tags["ner"].index(other)]
            assert float(cost) == pytest.approx(expected, abs=1e-6), (gold, other)
        noun = costs["pos"][tags["pos"].index("NOUN")]
        assert sorted(noun.tolist()) == pytest.approx([math.log(0.5)] * (len(noun) - 1) + [0.0], abs=1e-6)


def test_balanced_weights_equal_those_of_scikit_learn(corpus):
    """scikit-learn documents n_samples / (n_classes * n_samples of the class)."""
    costs, tags, preparation = costs_of(corpus, train__class_weights="balanced")
    labels = [tag.rpartition("-")[2] for s in preparation.train.sentences for tag in s.tags["ner"]]
    for number, gold in enumerate(tags["ner"]):
        label = gold.rpartition("-")[2]
        weight = len(labels) / (len(set(labels)) * labels.count(label))
        assert float(costs["ner"][number, number - 1]) == pytest.approx(math.log(weight), abs=1e-6)


def final(corpus, **changes) -> EpochRecord:
    config, preparation = prepared(corpus, **changes)
    records = train(preparation, config, Progress(preparation, config, Processes()))
    return [record for record in records if isinstance(record, EpochRecord)][-1]


def test_weights_of_1_change_nothing(corpus):
    plain, weighted = final(corpus), final(corpus, train__class_weights={"PER": 1, "O": 1})
    assert (plain.loss, plain.dev) == (weighted.loss, weighted.dev)


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_the_bias_trades_precision_for_recall(corpus, head):
    """After two short epochs the model is uncertain, so that the bias has a large effect."""
    recall, precision = (
        final(corpus, model__head=head, train__recall_bias=bias, train__ema=0.0).dev["ner"]
        for bias in (6, -6)
    )
    predicted_spans = [
        scores["recall"] * scores["support"] / max(scores["precision"], 1e-9)
        for scores in (recall, precision)
    ]
    assert predicted_spans[0] > predicted_spans[1]


def test_unknown_labels_and_a_bias_without_spans_are_errors(corpus):
    with pytest.raises(InputError, match=r"'ART' .*LOC, O, PER") as error:
        costs_of(corpus, train__class_weights="ART=2")
    assert (error.value.code, error.value.option) == ("option.value", "train.class_weights")
    with pytest.raises(InputError) as error:
        costs_of(corpus, data__tasks="pos", train__recall_bias=1)
    assert (error.value.code, error.value.option) == ("option.conflict", "train.recall_bias")


@pytest.mark.parametrize(
    "value", ["PER", "PER=x", "PER=0", "PER=-1", "PER=nan", "=2", "PER=1,PER=2", "PER=1e9", "[1]"]
)
def test_invalid_weights_are_an_error(tmp_path, value):
    words = ("--train", tmp_path / "t", "--output", tmp_path / "m", "--set", f"train.class_weights={value}")
    assert run_error("train", *words).startswith("settings: train.class_weights")


def test_weights_may_be_a_table_and_in_any_order(write_file):
    path = write_file("[train.class_weights]\nPER = 2\nORG = 0.5\n", "a.toml")
    expected = load_config(None, {"train.class_weights": "PER=2,ORG=0.5"}).train
    assert load_config(path, {}).train == expected
    assert expected.model_dump_json() == load_config(path, {}).train.model_dump_json()
