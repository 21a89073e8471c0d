"""Loss and gradient of the CRF: compare with pytorch-crf, which computes step by step in log space."""

import itertools

import numpy as np
import pytest
import torch
from torchcrf import CRF

from tagger.network.heads import HEADS, CrfHead, Targets, scaled_crf_loss

Case = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def make_case(seed: int, *, tags: int = 5, sentences: int = 6, longest: int = 9, size: float = 1.0) -> Case:
    """Make random emissions, tags and lengths; one sentence has length 1, one has length ``longest``."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (sentences,), generator=generator)
    lengths[0], lengths[-1] = 1, longest
    emissions = size * torch.randn(sentences, longest, tags, generator=generator)
    gold = torch.randint(tags, (sentences, longest), generator=generator)
    return emissions, gold * (torch.arange(longest) < lengths[:, None]), lengths


def make_crf(tags: int, size: float = 1.0) -> CRF:
    torch.manual_seed(tags)
    crf = CRF(tags, batch_first=True)
    for parameter in crf.parameters():
        parameter.data = size * torch.randn_like(parameter)
    return crf


def scaled(crf: CRF, emissions: torch.Tensor, gold: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    loss = scaled_crf_loss(
        emissions, crf.start_transitions, crf.end_transitions, crf.transitions, gold, lengths
    )
    assert loss is not None
    return loss


def assert_like_pytorch_crf(crf: CRF, case: Case) -> None:
    emissions, gold, lengths = case
    emissions.requires_grad_()
    mask = torch.arange(emissions.shape[1]) < lengths[:, None]
    sources = [emissions, *crf.parameters()]
    expected = -crf(emissions, gold, mask=mask, reduction="sum")
    loss = scaled(crf, emissions, gold, lengths)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-4)
    # The division, as in a mean over sentences, must reach the gradient.
    expected_gradients = torch.autograd.grad(expected / 3, sources, materialize_grads=True)
    for ours, theirs in zip(torch.autograd.grad(loss / 3, sources), expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tags", [1, 2, 17])
def test_loss_and_gradient_equal_pytorch_crf_for_mixed_lengths(tags, seed):
    assert_like_pytorch_crf(make_crf(tags), make_case(seed, tags=tags))


@pytest.mark.parametrize(("sentences", "longest"), [(1, 1), (4, 1), (1, 7), (3, 120)])
def test_loss_and_gradient_of_single_tokens_single_and_long_sentences(sentences, longest):
    assert_like_pytorch_crf(make_crf(5), make_case(0, sentences=sentences, longest=longest))


def test_large_scores_stay_exact():
    assert_like_pytorch_crf(make_crf(5, size=8.0), make_case(1, size=15.0))


@pytest.mark.parametrize("constant", [-3e4, 3e4])
def test_a_constant_offset_of_all_tags_changes_the_loss_by_rounding_only(constant):
    emissions, gold, lengths = make_case(2)
    crf = make_crf(5)
    moved = scaled(crf, emissions + constant, gold, lengths)
    torch.testing.assert_close(moved, scaled(crf, emissions, gold, lengths), rtol=0, atol=0.2)


def test_the_gradient_equals_finite_differences():
    emissions, gold, lengths = make_case(3, tags=3, sentences=3, longest=4)
    crf = make_crf(3)
    emissions.requires_grad_()
    (gradient,) = torch.autograd.grad(scaled(crf, emissions, gold, lengths), emissions)
    direction = torch.randn(emissions.shape, generator=torch.Generator().manual_seed(1))
    step = 1e-2
    ahead = scaled(crf, emissions + step * direction, gold, lengths)
    back = scaled(crf, emissions - step * direction, gold, lengths)
    torch.testing.assert_close(
        (ahead - back) / (2 * step), (gradient * direction).sum(), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda emissions, crf: emissions[0, 0].copy_(torch.tensor([0.0, 900.0, 0.0])),
        lambda emissions, crf: crf.transitions.data[:, 1:].fill_(-900.0),
        lambda emissions, crf: crf.end_transitions.data.copy_(torch.tensor([0.0, 900.0, 0.0])),
        lambda emissions, crf: emissions[0, 0].fill_(torch.nan),
        lambda emissions, crf: emissions[-1, 2].fill_(torch.inf),
    ],
    ids=["emission", "transition", "end", "NaN", "infinity"],
)
def test_the_head_falls_back_to_log_space_on_underflow(spoil):
    """The scaled pass returns None if it may lose terms; the head then uses log space."""
    emissions, gold, lengths = make_case(4, tags=3)
    head = CrfHead(1, 3)
    spoil(emissions, head.crf)
    transitions = (head.crf.start_transitions, head.crf.end_transitions, head.crf.transitions)
    assert scaled_crf_loss(emissions, *transitions, gold, lengths) is None
    mask = torch.arange(emissions.shape[1]) < lengths[:, None]
    expected = -head.crf(emissions, gold, mask=mask, reduction="mean")
    torch.testing.assert_close(head.loss(emissions, Targets(gold), mask), expected, equal_nan=True)


def test_values_beyond_the_end_of_a_sentence_have_no_effect():
    emissions, gold, lengths = make_case(5)
    crf = make_crf(5)
    expected = scaled(crf, emissions, gold, lengths)
    beyond = torch.arange(emissions.shape[1]) >= lengths[:, None]
    emissions[beyond], gold[beyond] = torch.nan, 4
    emissions.requires_grad_()
    loss = scaled(crf, emissions, gold, lengths)
    assert torch.equal(loss, expected)
    (gradient,) = torch.autograd.grad(loss, emissions)
    assert not gradient[beyond].any()
    np.testing.assert_allclose(gradient.sum(-1).numpy(), 0.0, atol=1e-5)  # probabilities minus one tag


def test_an_empty_sentence_is_an_error():
    scores = torch.zeros(2, 3, 4)
    transitions = torch.zeros(4), torch.zeros(4), torch.zeros(4, 4)
    with pytest.raises(ValueError, match="got an empty sentence"):
        scaled_crf_loss(scores, *transitions, torch.zeros(2, 3, dtype=torch.long), torch.tensor([3, 0]))


@pytest.mark.parametrize("kind", ["crf", "softmax"])
@pytest.mark.parametrize("has_costs", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_marginalises_over_tokens_without_a_gold_tag(kind, has_costs, seed):
    """Compare with brute force: all tag sequences, and those that agree with the gold tags."""
    count = 3
    emissions, gold, lengths = make_case(seed, tags=count, sentences=4, longest=4)
    generator = torch.Generator().manual_seed(seed)
    gold = torch.where(torch.rand(gold.shape, generator=generator) < 0.5, -1, gold)
    mask = torch.arange(emissions.shape[1]) < lengths[:, None]
    gold = gold * mask  # batches pad tags with 0
    torch.manual_seed(seed)
    head = HEADS[kind](5, count).double()
    emissions = emissions.double().requires_grad_()
    costs = torch.rand(count, count, generator=generator).double().fill_diagonal_(0) if has_costs else None
    move, start, end = head.transitions()
    expected = torch.zeros((), dtype=torch.float64)
    for sentence, length in enumerate(lengths.tolist()):
        gold_tags = gold[sentence, :length].tolist()
        agreeing, everything = [], []
        for path in itertools.product(range(count), repeat=length):
            score = start[path[0]] + end[path[-1]]
            score = score + sum(move[one, other] for one, other in itertools.pairwise(path))
            for step, (tag, own) in enumerate(zip(path, gold_tags, strict=True)):
                cost = costs[own, tag] if has_costs and own >= 0 else 0.0
                score = score + emissions[sentence, step, tag] + cost
            everything.append(score)
            if all(own in (-1, tag) for tag, own in zip(path, gold_tags, strict=True)):
                agreeing.append(score)
        expected = expected + torch.logsumexp(torch.stack(everything), 0)
        expected = expected - torch.logsumexp(torch.stack(agreeing), 0)
    loss = head.loss(emissions, Targets(gold), mask, costs)
    torch.testing.assert_close(loss, expected / len(lengths), rtol=1e-6, atol=1e-6)
    (ours,) = torch.autograd.grad(loss, emissions)
    (theirs,) = torch.autograd.grad(expected / len(lengths), emissions)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
