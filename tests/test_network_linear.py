"""The linear part: features by brute force, its losses, its learning rate, and what it sees."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from bundles import corpus_sentences, make_bundle, random_sentences

from tagger.features.batching import Batch, WordTable
from tagger.features.word_forms import LINEAR_SCALE, NEIGHBOURS
from tagger.network.heads import HEADS
from tagger.network.model import TaggingModel


def linear_model(**options: object) -> TaggingModel:
    network, _ = make_bundle(linear=True, affix_min_words=1, **options)
    return network


def gold_batch(network: TaggingModel) -> Batch:
    _, bundle = make_bundle(linear=True, affix_min_words=1)
    table, sentences = WordTable(bundle.vocabulary), list(corpus_sentences())
    tags = {
        task.name: [
            np.array(task.encode(one.tags[task.name], "IOB1" if task.scheme else None)) for one in sentences
        ]
        for task in network.tasks
    }
    return table.batch([table.rows(one.tokens) for one in sentences], tags)


def features(tokens: list[str], index: int) -> list[tuple[str, int, str]]:
    """Return kind, offset and value of every feature of a token."""
    found = []
    for offset in (-2, -1, 0, 1, 2):
        if 0 <= index + offset < len(tokens):
            token = tokens[index + offset]
            shape = "".join("X" if c.isupper() else "x" if c.isalpha() else c for c in token)
            shape = "".join("0" if c.isdigit() else c for c in shape)
            collapsed = "".join(c for n, c in enumerate(shape) if n == 0 or shape[n - 1] != c)
            found += [("word", offset, token.lower()), ("0", offset, shape), ("1", offset, collapsed)]
    form = tokens[index].lower()
    found += [(f"prefix {size}", 0, form[:size]) for size in (1, 2, 3)]
    found += [(f"suffix {size}", 0, form[-size:]) for size in (1, 2, 3, 4)]
    return found


def test_emissions_are_the_sums_of_the_weights_of_all_features():
    """Each feature has its own weights: solve for them in one set of sentences, predict the others."""
    network, bundle = make_bundle(linear=True, affix_min_words=1)
    table = WordTable(bundle.vocabulary)
    known = [word for sentence in corpus_sentences() for word in sentence.tokens]
    generator = np.random.default_rng(0)
    sentences = [list(generator.choice(known, size=generator.integers(1, 7))) for _ in range(400)]
    batch = table.batch([table.rows(tokens) for tokens in sentences])
    with torch.no_grad():
        emissions = network.linear_emissions(batch)["pos"].numpy()[batch.mask]
    ids: dict[tuple[str, int, str], int] = defaultdict(lambda: len(ids))
    rows = [[ids[one] for one in features(tokens, n)] for tokens in sentences for n in range(len(tokens))]
    design = np.zeros((len(rows), len(ids)))
    for row, columns in zip(design, rows, strict=True):
        row[columns] = 1.0
    half = len(rows) * 3 // 4
    weights, *_ = np.linalg.lstsq(design[:half], emissions[:half], rcond=None)
    np.testing.assert_allclose(design[half:] @ weights, emissions[half:], atol=1e-3)


def test_only_two_neighbours_on_either_side_count():
    network, bundle = make_bundle(linear=True, affix_min_words=1)
    table = WordTable(bundle.vocabulary)
    tokens = ["Mira", "met", "Tom", "in", "New", "Ayr", "."]

    def emissions(words: list[str]) -> np.ndarray:
        with torch.no_grad():
            return network.linear_emissions(table.batch([table.rows(words)]))["ner"].numpy()[0]

    before = emissions(tokens)
    for index in range(len(tokens)):
        changed = emissions([*tokens[:index], "Glasgow-7", *tokens[index + 1 :]])
        is_changed = (np.abs(changed - before) > 1e-6).any(1)
        assert is_changed.tolist() == [abs(n - index) <= 2 for n in range(len(tokens))]


def test_words_that_train_lacks_have_the_weights_of_unknown_words():
    network, bundle = make_bundle(linear=True, affix_min_words=1)
    table = WordTable(bundle.vocabulary)
    batch = table.batch([table.rows([word]) for word in ("glasgow", "zzzzzzw")])  # the same known affix
    is_frozen = batch.words[batch.positions[:, 0]] >= len(bundle.vocabulary.words)
    assert is_frozen.tolist() == [True, False]
    frozen, unknown = network.linear_emissions(batch)["ner"]
    torch.testing.assert_close(frozen, unknown)


@pytest.mark.parametrize("head", HEADS)
def test_the_loss_is_half_of_those_of_all_emissions_and_of_each_part(head):
    network = linear_model(head=head)
    batch = gold_batch(network)
    mask = torch.from_numpy(batch.mask)
    whole, alone, linear = network(batch), network.network_emissions(batch), network.linear_emissions(batch)
    expected = torch.zeros(())
    for task, one in zip(network.tasks, network.heads, strict=True):
        targets = network._targets(batch, task.name, 1.0)
        torch.testing.assert_close(whole[task.name], alone[task.name] + linear[task.name])
        for emissions in (whole, alone, linear):
            expected = expected + one.loss(emissions[task.name], targets, mask) / 2
    torch.testing.assert_close(network.loss(batch), expected)


def test_it_starts_from_zero_and_sgd_moves_it_four_times_as_far():
    network = linear_model()
    for parameter in network.linear.parameters():
        torch.nn.init.zeros_(parameter)
    batch = gold_batch(network)
    assert not any(scores.any() for scores in network.linear_emissions(batch).values())
    emissions = network.linear_emissions(batch)["pos"]
    # At zero, the gradient of a weight is that of the emissions, summed over the tokens with the feature.
    mask, targets = torch.from_numpy(batch.mask), network._targets(batch, "pos", 1.0)
    slope = torch.autograd.grad(network.heads[1].loss(emissions, targets, mask), emissions)[0]
    network.heads[1].loss(network.linear_emissions(batch)["pos"], targets, mask).backward()
    table = network.linear[1].words
    with torch.no_grad():
        table.weight -= 0.1 * table.weight.grad
    position = batch.positions[1, 1]  # "lost", which occurs once
    moved = LINEAR_SCALE * table.weight[batch.words[position]].unflatten(0, (len(NEIGHBOURS), -1))[0]
    torch.testing.assert_close(moved, -0.1 * 4 * slope[1, 1])


def test_features_are_dropped_in_training_only():
    network, bundle = make_bundle(linear=True, affix_min_words=1, linear_dropout=0.5)
    table = WordTable(bundle.vocabulary)
    batch = table.batch([table.rows(tokens) for tokens in random_sentences(bundle.vocabulary)])
    expected = network.linear_emissions(batch)["ner"]
    torch.manual_seed(0)
    network.train()
    samples = torch.stack([network.linear_emissions(batch)["ner"] for _ in range(2000)])
    assert not torch.equal(samples[0], samples[1])
    torch.testing.assert_close(samples.mean(0), expected, atol=0.6, rtol=0.0)
    assert torch.equal(network.eval().linear_emissions(batch)["ner"], expected)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_one_way_models_have_none(direction):
    assert linear_model(direction=direction).linear is None
