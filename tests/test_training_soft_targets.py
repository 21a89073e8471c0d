"""Losses and posteriors of incomplete labels, against sums over all tag sequences."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from input_errors import check

from tagger import InputError, Tagger, train
from tagger.decoding.crf import expected_transitions, forward_backward
from tagger.decoding.viterbi import Transitions
from tagger.features.batching import SoftTags, stack_soft
from tagger.features.vocab import Task
from tagger.network.heads import HEADS, Targets
from tagger.text.sentence import from_tokens
from tagger.training.soft_targets import allow_other_labels, read_soft_tags, teach

C = 3
LENGTHS = [3, 1, 2]
SIZES = {
    "hidden_size": 8,
    "word_size": 8,
    "character_hidden": 4,
    "context_size": 4,
    "epochs": 6,
    "min_steps": 0,
}


def score(path, emissions, start, end, transitions) -> float:
    """The score of a tag sequence."""
    total = start[path[0]] + end[path[-1]] + sum(emissions[t, tag] for t, tag in enumerate(path))
    return total + sum(transitions[a, b] for a, b in pairwise(path))


def make_head(kind: str, seed: int = 0) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor, list]:
    """A head with random weights, emissions (B, T, C), the mask, and its transitions as arrays."""
    generator = torch.Generator().manual_seed(seed)
    head = HEADS[kind](2, C).double()
    for parameter in head.parameters():
        parameter.detach().copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    emissions = torch.randn(len(LENGTHS), max(LENGTHS), C, generator=generator, dtype=torch.float64)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    transitions, start, end = (one.double().numpy() for one in head.transitions())
    return head, emissions, mask, [start, end, transitions]


def log_sum(values: list[float]) -> float:
    return float(np.logaddexp.reduce(values))


@pytest.mark.parametrize("kind", ["crf", "softmax"])
def test_possible_tags_give_the_marginal_likelihood(kind):
    head, emissions, mask, weights = make_head(kind)
    generator = np.random.default_rng(1)
    allowed = generator.random((len(LENGTHS), max(LENGTHS), C)) < 0.6
    allowed[..., 1] |= ~allowed.any(-1)
    tags = np.where(generator.random(allowed.shape[:2]) < 0.3, 2, -1)
    expected = 0.0
    for row, length in enumerate(LENGTHS):
        paths = list(product(range(C), repeat=length))
        scores = {path: score(path, emissions[row].numpy(), *weights) for path in paths}
        agreeing = [
            scores[path]
            for path in paths
            if all(
                tag == tags[row, t] if tags[row, t] >= 0 else allowed[row, t, tag]
                for t, tag in enumerate(path)
            )
        ]
        expected += log_sum(list(scores.values())) - log_sum(agreeing)
    targets = Targets(torch.from_numpy(tags), torch.from_numpy(allowed))
    assert head.loss(emissions, targets, mask).item() == pytest.approx(expected / len(LENGTHS), rel=1e-6)


@pytest.mark.parametrize("kind", ["crf", "softmax"])
@pytest.mark.parametrize("weight", [1.0, 0.3, 0.0])
def test_soft_tags_give_the_cross_entropy_with_the_teacher(kind, weight):
    """Sentences 0 and 2 have a teacher; the others, and the rest of the weight, use the gold tags."""
    head, emissions, mask, weights = make_head(kind)
    _, teacher_emissions, _, teacher_weights = make_head(kind, seed=7)
    tags = torch.tensor([[0, 1, 2], [2, 0, 0], [1, -1, 0]])
    soft, expected = [None] * len(LENGTHS), 0.0
    for row, length in enumerate(LENGTHS):
        paths = list(product(range(C), repeat=length))
        scores = np.array([score(path, emissions[row].numpy(), *weights) for path in paths])
        agrees = np.array(
            [all(a in (-1, b) for a, b in zip(tags[row].tolist(), path, strict=False)) for path in paths]
        )
        gold = log_sum(list(scores)) - log_sum(list(scores[agrees]))
        if row == 1:
            expected += gold
            continue
        theirs = np.array([score(path, teacher_emissions[row].numpy(), *teacher_weights) for path in paths])
        shares = np.exp(theirs - log_sum(list(theirs)))
        cross_entropy = -(shares * (scores - log_sum(list(scores)))).sum()
        expected += weight * cross_entropy + (1 - weight) * gold
        marginals, pairs = np.zeros((length, C), np.float32), np.zeros((C, C), np.float32)
        for path, share in zip(paths, shares, strict=True):
            for t, tag in enumerate(path):
                marginals[t, tag] += share
            for a, b in pairwise(path):
                pairs[a, b] += share
        soft[row] = SoftTags(marginals, pairs)
    stacked = stack_soft(soft, max(LENGTHS))
    targets = Targets(
        tags, None, torch.from_numpy(stacked.rows), torch.from_numpy(stacked.tags).double(),
        torch.from_numpy(stacked.transitions).double(), weight,
    )  # fmt: skip
    emissions.requires_grad_()
    assert head.loss(emissions, targets, mask).item() == pytest.approx(expected / len(LENGTHS), rel=1e-5)
    assert torch.autograd.gradcheck(lambda scores: head.loss(scores, targets, mask), (emissions,))
    if kind == "crf":
        start = head.crf.start_transitions
        assert torch.autograd.gradcheck(lambda _: head.loss(emissions.detach(), targets, mask), (start,))
        moves = head.crf.transitions
        assert torch.autograd.gradcheck(lambda _: head.loss(emissions.detach(), targets, mask), (moves,))


def test_expected_transitions_equal_the_sum_over_all_sequences():
    generator = np.random.default_rng(3)
    emissions = generator.normal(size=(len(LENGTHS), max(LENGTHS), C)).astype(np.float32)
    emissions[0, 1, 0] = -np.inf
    scores = generator.normal(size=(C, C)).astype(np.float32)
    scores[2, 1] = -np.inf
    start, end = generator.normal(size=(2, C)).astype(np.float32)
    actual = expected_transitions(forward_backward(emissions, LENGTHS, Transitions(scores, start, end)))
    for row, length in enumerate(LENGTHS):
        paths = list(product(range(C), repeat=length))
        logs = np.array([score(path, emissions[row], start, end, scores) for path in paths])
        shares = np.exp(logs - log_sum(list(logs)))
        expected = np.zeros((C, C))
        for path, share in zip(paths, shares, strict=True):
            for a, b in pairwise(path):
                expected[a, b] += share
        np.testing.assert_allclose(actual[row], expected, atol=1e-6)


def test_unmarked_tokens_may_have_the_labels_that_train_does_not_mark():
    task = Task("ner", ("O", "B-NEW", "I-NEW", "B-OLD", "I-OLD"), "IOB2")
    tags = [np.array([0, 1, 2, 0, -1])]
    (targets,), (allowed,) = allow_other_labels(task, tags)
    assert targets.tolist() == [-1, 1, 2, -1, -1]
    names = [[name for name, possible in zip(task.tags, row, strict=True) if possible] for row in allowed]
    latent = ["O", "B-OLD", "I-OLD"]
    known = [np.array([[False, False, False, False, True]] * 5)]
    assert allow_other_labels(task, tags, known)[1][0][4].tolist() == [False] * 4 + [True]
    assert names == [latent, ["B-NEW"], ["I-NEW"], latent, list(task.tags)]


OLD = [
    (f"{person} met {place} .".split(), ["B-PER", "O", "B-LOC", "O"])
    for person, place in product(("Ada", "Bo", "Mia", "Lev"), ("Oslo", "Rome", "Bonn"))
]
NEW = [
    (f"{person} joined {group} .".split(), ["O", "O", "B-ORG", "O"])
    for person, group in product(("Ada", "Bo", "Mia", "Lev"), ("Acme", "Initech"))
]


@pytest.fixture(scope="module")
def model() -> Tagger:
    return train(OLD, **SIZES, learning_rate=0.1)


def test_the_teacher_of_its_own_labels_gives_its_marginals(model):
    """The tags of each token sum to one, and agree with the tagger's span and tag probabilities."""
    sentences = [from_tokens(tokens, starts_document=True) for tokens, _ in OLD]
    soft = teach([model.bundle], sentences, model.tasks)["ner"]
    plain = model.with_temperatures({})
    tagged = list(plain.tag_sentences(sentences, scores=True))
    (task,) = model.tasks
    for one, sentence in zip(soft, tagged, strict=True):
        np.testing.assert_allclose(one.tags.sum(1), 1, atol=1e-5)
        np.testing.assert_allclose(one.transitions.sum(), len(sentence) - 1, atol=1e-4)
        ids = task.encode(sentence.tags["ner"], "IOB2")
        probabilities = one.tags[np.arange(len(sentence)), ids]
        np.testing.assert_allclose(probabilities, sentence.tag_scores["ner"], atol=1e-4)


def test_two_teachers_give_the_mean(model):
    other = train(OLD, **{**SIZES, "seed": 2})
    sentences = [from_tokens(tokens, starts_document=True) for tokens, _ in OLD]
    first, second, both = (
        teach(teachers, sentences, model.tasks)["ner"]
        for teachers in ([model.bundle], [other.bundle], [model.bundle, other.bundle])
    )
    for a, b, mean in zip(first, second, both, strict=True):
        np.testing.assert_allclose(mean.tags, (a.tags + b.tags) / 2, atol=1e-6)


@pytest.mark.parametrize(("weight", "linear"), [(1.0, False), (0.5, False), (0.0, False), (0.5, True)])
def test_a_new_label_leaves_the_old_ones(model, weight, linear):
    """The data mark ORG only; read as complete labels, they make PER vanish."""
    source = train(OLD, linear=True, **SIZES) if linear else model
    options = {"init_from": source, "epochs": 3, "learning_rate": 0.1}
    extended = train(NEW, partial=True, soft_weight=weight, **options)
    spans = [
        [(span.start, span.label) for span in sentence.spans["ner"]]
        for sentence in extended.tag_tokens([tokens for tokens, _ in NEW])
    ]
    assert spans == [[(0, "PER"), (2, "ORG")]] * len(NEW)
    forgetful = train(NEW, **options)
    assert not any(
        span.label == "PER" for one in forgetful.tag_tokens([t for t, _ in NEW]) for span in one.spans["ner"]
    )


def test_probabilities_of_a_file_are_soft_tags():
    task = Task("ner", ("O", "B-PER", "I-PER"), "IOB2")
    sentence = from_tokens(["Ada", "sang"]).with_tags({"ner": ["B-PER", "O"]}, tag_scores={"ner": [0.7, 0.8]})
    soft = read_soft_tags(sentence, task, "IOB2")
    np.testing.assert_allclose(soft.tags, [[0.3, 0.7, 0], [0.8, 0.1, 0.1]], atol=1e-6)
    np.testing.assert_allclose(soft.transitions.sum(), 1, atol=1e-6)
    assert read_soft_tags(from_tokens(["Ada"]).with_tags({"ner": ["O"]}), task, "IOB2") is None


def test_partial_needs_an_initial_model():
    with pytest.raises(InputError) as error:
        train(NEW, partial=True, **SIZES)
    check(error.value, "option.conflict", option="train.partial")


@pytest.mark.parametrize("form", ["file", "memory"])
def test_unknown_tags_are_latent_in_training(form, tmp_path):
    """A model learns from the known tags only: what is unknown everywhere is not learnt as O."""
    data = [(tokens, [*tags[:2], "?", tags[3]]) for tokens, tags in OLD]  # the place is unknown
    if form == "file":
        source = tmp_path / "train.conll"
        source.write_text("\n\n".join("\n".join(map(" ".join, zip(*one, strict=True))) for one in data))
    else:
        source = data
    known = OLD[::4]
    with pytest.warns(UserWarning, match="12 of .* tokens have the unknown tag"):
        model = train([*known, *data] if form == "memory" else source, **SIZES, learning_rate=0.1)
    tagged = list(model.tag_tokens([tokens for tokens, _ in OLD]))
    assert all(sentence.tags["ner"][0] == "B-PER" for sentence in tagged)
    if form == "memory":  # read as O, the unknown places would outweigh the three known ones
        as_outside = [(tokens, [tag.replace("?", "O") for tag in tags]) for tokens, tags in data]
        other = train([*known, *as_outside], **SIZES, learning_rate=0.1)
        spans, others = (
            sum(sentence.tags["ner"][2] != "O" for sentence in one)
            for one in (tagged, other.tag_tokens([tokens for tokens, _ in OLD]))
        )
        assert spans > others
    assert "?" not in model.tasks[0].tags
