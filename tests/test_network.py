"""The network: which inputs each direction sees, merge modes, dropout, heads and losses."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from tagger.config import ModelConfig
from tagger.features.batching import WordTable
from tagger.features.vocab import Task, Vocabulary
from tagger.network.bilstm import Blocks, Encoder, locked_dropout, merge, reverse_ragged
from tagger.network.heads import CrfHead, SoftmaxHead, Targets
from tagger.network.model import TaggingModel
from tagger.network.words import CharacterCnn

DIRECTIONS = ("forward", "backward", "bidirectional")
MERGE_MODES = ("concat", "sum", "mul", "ave")
LENGTHS = torch.tensor([5, 2, 7, 1])


def random_inputs(size: int = 6) -> torch.Tensor:
    return torch.randn(4, 7, size, generator=torch.Generator().manual_seed(0))


def make_encoder(seed: int = 0, **options: object) -> Encoder:
    torch.manual_seed(seed)
    encoder = Encoder(6, 3, **options)  # type: ignore[arg-type]
    return encoder.eval()


def copy_direction(source: Encoder, target: Encoder, way: str, into: str | None = None) -> None:
    for ours, theirs in zip(source.layers, target.layers, strict=True):
        theirs[f"{into or way}_lstm"].load_state_dict(ours[f"{way}_lstm"].state_dict())


def test_reversing_ragged_sequences_twice_is_the_identity():
    inputs = random_inputs()
    once = reverse_ragged(inputs, LENGTHS)
    assert torch.equal(reverse_ragged(once, LENGTHS), inputs)
    for row, length in enumerate(LENGTHS):
        assert torch.equal(once[row, :length], inputs[row, :length].flip(0))
        assert torch.equal(once[row, length:], inputs[row, length:])


def test_a_backward_encoder_equals_a_forward_encoder_on_reversed_input():
    forward, backward = make_encoder(direction="forward"), make_encoder(1, direction="backward")
    copy_direction(forward, backward, "forward", into="backward")
    inputs = random_inputs()
    outputs, final = backward(inputs, LENGTHS)
    mirrored, mirrored_final = forward(reverse_ragged(inputs, LENGTHS), LENGTHS)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(outputs[row, :length], mirrored[row, :length].flip(0))
    torch.testing.assert_close(final["backward"], mirrored_final["forward"])


@pytest.mark.parametrize("merge_mode", MERGE_MODES)
def test_a_bidirectional_layer_merges_the_outputs_of_one_way_encoders(merge_mode):
    both = make_encoder(direction="bidirectional", merge_mode=merge_mode)
    inputs = random_inputs()
    singles = []
    for way in ("forward", "backward"):
        single = make_encoder(5, direction=way)
        copy_direction(both, single, way)
        singles.append(single(inputs, LENGTHS))
    outputs, final = both(inputs, LENGTHS)
    torch.testing.assert_close(outputs, merge(singles[0][0], singles[1][0], merge_mode))
    assert list(final) == ["forward", "backward"]
    torch.testing.assert_close(final["forward"], singles[0][1]["forward"])
    torch.testing.assert_close(final["backward"], singles[1][1]["backward"])
    assert outputs.shape[-1] == both.output_size == (6 if merge_mode == "concat" else 3)


@pytest.mark.parametrize(
    ("merge_mode", "expected"),
    [
        ("concat", [1.0, 2.0, 5.0, 7.0]),
        ("sum", [6.0, 9.0]),
        ("mul", [5.0, 14.0]),
        ("ave", [3.0, 4.5]),
    ],
)
def test_merge_modes_equal_those_of_keras(merge_mode, expected):
    forward, backward = torch.tensor([1.0, 2.0]), torch.tensor([5.0, 7.0])
    assert merge(forward, backward, merge_mode).tolist() == expected


@pytest.mark.parametrize("layers", [1, 3])
def test_concat_equals_the_bidirectional_lstm_of_torch(layers):
    ours = make_encoder(direction="bidirectional", layers=layers)
    theirs = nn.LSTM(6, 3, num_layers=layers, batch_first=True, bidirectional=True)
    weights = theirs.state_dict()
    for number, layer in enumerate(ours.layers):
        for way, suffix in (("forward", ""), ("backward", "_reverse")):
            for name, value in layer[f"{way}_lstm"].state_dict().items():
                weights[name.replace("_l0", f"_l{number}{suffix}")] = value
    theirs.load_state_dict(weights)
    inputs = random_inputs()
    packed = nn.utils.rnn.pack_padded_sequence(inputs, LENGTHS, batch_first=True, enforce_sorted=False)
    packed_outputs, (states, _) = theirs(packed)
    expected, _ = nn.utils.rnn.pad_packed_sequence(packed_outputs, batch_first=True)
    outputs, final = ours(inputs, LENGTHS)
    mask = torch.arange(7) < LENGTHS[:, None]
    torch.testing.assert_close(outputs[mask], expected[mask])
    torch.testing.assert_close(final["forward"], states[-2])
    torch.testing.assert_close(final["backward"], states[-1])


@pytest.mark.parametrize("merge_mode", MERGE_MODES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("layers", [1, 2])
def test_each_output_depends_on_the_tokens_in_its_direction_only(direction, merge_mode, layers):
    """A changed token changes the outputs of exactly the tokens that see it; padding changes none."""
    encoder = make_encoder(direction=direction, merge_mode=merge_mode, layers=layers)
    inputs = random_inputs()
    before, _ = encoder(inputs, LENGTHS)
    row, length = 2, 7
    for changed in range(length):
        other = inputs.clone()
        other[row, changed] += 1.0
        after, _ = encoder(other, LENGTHS)
        for position in range(length):
            may_see = {
                "forward": changed <= position,
                "backward": changed >= position,
                "bidirectional": True,
            }[direction]
            assert torch.equal(before[row, position], after[row, position]) != may_see, (changed, position)
    padded = inputs.clone()
    padded[torch.arange(7) >= LENGTHS[:, None]] = 100.0
    after, final = encoder(padded, LENGTHS)
    mask = torch.arange(7) < LENGTHS[:, None]
    assert torch.equal(before[mask], after[mask])
    for way, state in encoder(inputs, LENGTHS)[1].items():
        assert torch.equal(final[way], state)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_batch_gives_the_same_outputs_as_its_sentences_alone(direction):
    encoder = make_encoder(direction=direction, layers=2)
    inputs = random_inputs()
    outputs, final = encoder(inputs, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone, alone_final = encoder(inputs[row : row + 1, :length], length[None])
        torch.testing.assert_close(outputs[row, :length], alone[0])
        for way, state in final.items():
            torch.testing.assert_close(state[row], alone_final[way][0])


@pytest.mark.parametrize("option", ["layer_dropout", "recurrent_dropout"])
def test_encoder_dropout_is_on_in_training_only(option):
    encoder = make_encoder(layers=2, **{option: 0.5})
    inputs = random_inputs()
    assert torch.equal(encoder(inputs, LENGTHS)[0], encoder(inputs, LENGTHS)[0])
    encoder.train()
    assert not torch.equal(encoder(inputs, LENGTHS)[0], encoder(inputs, LENGTHS)[0])


def test_locked_dropout_has_one_mask_for_all_steps():
    masked = locked_dropout(torch.ones(2, 5, 8), 0.5, training=True)
    assert torch.equal(masked, masked[:, :1].expand(-1, 5, -1))


def test_the_character_cnn_equals_a_convolution_with_max_pooling():
    torch.manual_seed(0)
    cnn = CharacterCnn(alphabet=9, size=4, filters=5, widths=(3,))
    convolution = nn.Conv1d(4, 5, 3, padding=1)
    convolution.weight.data = cnn.filters[0].weight.data.view(5, 4, 3)
    convolution.bias.data = cnn.filters[0].bias.data
    words = [[2, 3, 4, 5], [6], [7, 8], [3, 3, 3, 3]]
    padded = torch.zeros(4, 4, dtype=torch.long)
    for row, word in zip(padded, words, strict=True):
        row[: len(word)] = torch.tensor(word)
    features = cnn(padded, torch.tensor([len(word) for word in words]))
    expected = torch.cat(
        [convolution(cnn.embedding(torch.tensor([word])).transpose(1, 2)).amax(dim=2) for word in words]
    )
    torch.testing.assert_close(features, expected)
    weights = torch.randn(features.shape)
    ours = torch.autograd.grad((features * weights).sum(), [cnn.embedding.weight, *cnn.filters.parameters()])
    theirs = torch.autograd.grad(
        (expected * weights).sum(), [cnn.embedding.weight, *convolution.parameters()]
    )
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1].flatten(1))
    torch.testing.assert_close(ours[2], theirs[2])


def test_head_losses_equal_their_definitions():
    torch.manual_seed(0)
    softmax, crf = SoftmaxHead(6, 3), CrfHead(6, 3)
    encoded, lengths = random_inputs(), LENGTHS
    mask = torch.arange(7) < lengths[:, None]
    tags = torch.randint(3, (4, 7), generator=torch.Generator().manual_seed(1)) * mask
    emissions = softmax(encoded)
    picked = emissions.log_softmax(-1).gather(2, tags[:, :, None]).squeeze(2)
    torch.testing.assert_close(softmax.loss(emissions, Targets(tags), mask), -(picked * mask).sum() / 4)

    emissions = crf(encoded)

    def score(row: int, path: tuple[int, ...]) -> torch.Tensor:
        total = crf.crf.start_transitions[path[0]] + crf.crf.end_transitions[path[-1]]
        total = total + sum(emissions[row, position, tag] for position, tag in enumerate(path))
        return total + sum(crf.crf.transitions[a, b] for a, b in itertools.pairwise(path))

    expected = torch.zeros(())
    for row, length in enumerate(lengths.tolist()):
        every = torch.stack([score(row, path) for path in itertools.product(range(3), repeat=length)])
        expected = expected + every.logsumexp(0) - score(row, tuple(tags[row, :length].tolist()))
    torch.testing.assert_close(crf.loss(emissions, Targets(tags), mask), expected / 4)


@pytest.mark.parametrize("option", ["dropout", "word_dropout", None])
def test_model_dropout_is_on_in_training_only(option):
    torch.manual_seed(0)
    settings = {"hidden_size": 4, "head": "softmax", "dropout": 0.0} | ({option: 0.5} if option else {})
    model = TaggingModel(ModelConfig.model_validate(settings), NEXT_WORD)
    batch = toy_batch(1, seed=0)
    assert torch.equal(model.train().loss(batch), model.loss(batch)) == (option is None)
    assert torch.equal(model.eval().loss(batch), model.loss(batch))


@pytest.mark.parametrize("merge_mode", MERGE_MODES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_emissions_do_not_leak_hidden_context(direction, merge_mode, head):
    """Check the complete model against another next word, another previous word and other sentences."""
    torch.manual_seed(0)
    config = ModelConfig(direction=direction, merge_mode=merge_mode, head=head, hidden_size=4, layers=2)
    model = TaggingModel(config, NEXT_WORD).eval()
    table = WordTable(NEXT_WORD)

    def emissions(*sentences: str) -> np.ndarray:
        return model.emissions(table.batch([table.rows(sentence.split()) for sentence in sentences]))["bit"]

    alone = emissions("w0 w1 w2 w3")[0]
    in_batch = emissions("w3", "w0 w1 w2 w3", "w1 w1 w1 w1 w1 w1 w1")[1, :4]
    np.testing.assert_allclose(in_batch, alone, atol=1e-6)
    other_end, other_begin = emissions("w0 w1 w2 w0")[0], emissions("w3 w1 w2 w3")[0]
    sees_right, sees_left = direction != "forward", direction != "backward"
    for position in range(3):
        assert np.allclose(alone[position], other_end[position], rtol=0.0, atol=1e-7) != sees_right
        assert np.allclose(alone[position + 1], other_begin[position + 1], rtol=0.0, atol=1e-7) != sees_left


def test_padding_and_unknown_characters_have_zero_vectors():
    for characters in ("cnn", "lstm"):
        model = TaggingModel(ModelConfig(characters=characters), NEXT_WORD)
        assert not model.words.characters.embedding.weight[:2].any()


NEXT_WORD = Vocabulary(
    words=("<padding>", "<unknown>", "w0", "w1", "w2", "w3"),
    characters=("<padding>", "<unknown>", "w", "0", "1", "2", "3"),
    tasks=(Task("bit", ("even", "odd"), None),),
    lowercase=True,
    fold_digits=False,
)


def toy_batch(neighbour: int, seed: int, sentences: int = 64):
    """Build random sentences; a word's tag is the parity of its neighbour (+1 next, -1 previous)."""
    generator = np.random.default_rng(seed)
    table = WordTable(NEXT_WORD)
    rows, tags = [], []
    for _ in range(sentences):
        numbers = generator.integers(4, size=generator.integers(3, 9))
        rows.append(table.rows([f"w{number}" for number in numbers]))
        tags.append(np.roll(numbers, -neighbour) % 2)
    return table.batch(rows, {"bit": tags})


def toy_accuracy(direction: str, merge_mode: str, neighbour: int) -> float:
    torch.manual_seed(0)
    config = ModelConfig(
        direction=direction,
        merge_mode=merge_mode,
        head="softmax",
        hidden_size=16,
        word_size=8,
        characters="none",
        casing_size=0,
        dropout=0.0,
    )
    model = TaggingModel(config, NEXT_WORD)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for step in range(120):
        optimizer.zero_grad()
        model.loss(toy_batch(neighbour, seed=step)).backward()
        optimizer.step()
    batch = toy_batch(neighbour, seed=1000, sentences=400)
    guesses = model.eval().emissions(batch)["bit"].argmax(-1)
    # Ignore the word at the sentence's end: it has no such neighbour (the tag wraps around).
    counted = batch.mask.copy()
    if neighbour == 1:
        counted[np.arange(len(counted)), batch.lengths - 1] = False
    else:
        counted[:, 0] = False
    return float((guesses == batch.tags["bit"])[counted].mean())


@pytest.mark.slow
@pytest.mark.parametrize("neighbour", [1, -1])
def test_only_an_encoder_that_sees_the_neighbour_can_predict_its_parity(neighbour):
    blind, seeing = ("forward", "backward") if neighbour == 1 else ("backward", "forward")
    assert abs(toy_accuracy(blind, "concat", neighbour) - 0.5) < 0.05
    assert toy_accuracy(seeing, "concat", neighbour) == 1.0
    for merge_mode in MERGE_MODES:
        assert toy_accuracy("bidirectional", merge_mode, neighbour) == 1.0


@pytest.mark.parametrize(
    ("size", "first"), [(size, first) for size in (1, 2, 3, 9) for first in range(1, size + 1)]
)
def test_the_backward_direction_encodes_each_block_as_a_sequence_of_its_own(size, first):
    encoder, inputs = make_encoder(direction="backward"), random_inputs()
    outputs, final = encoder(inputs, LENGTHS, Blocks(size, first))
    starts = [0, *range(first, inputs.shape[1], size), inputs.shape[1]]
    for row, length in enumerate(LENGTHS.tolist()):
        for begin, end in itertools.pairwise(starts):
            inside = inputs[row : row + 1, begin : min(end, length)]
            if begin < length:
                alone, _ = encoder(inside, torch.tensor([inside.shape[1]]))
                torch.testing.assert_close(outputs[row, begin : min(end, length)], alone[0])
        torch.testing.assert_close(final["backward"][row], outputs[row, 0])


def test_no_layer_sees_beyond_a_block():
    encoder = make_encoder(direction="bidirectional", layers=2)
    inputs = random_inputs().requires_grad_()
    outputs, _ = encoder(inputs, LENGTHS, Blocks(3, 2))  # steps 0 and 1, 2 to 4, 5 and 6
    outputs[2, 3].sum().backward()
    assert inputs.grad is not None
    reached = inputs.grad[2].abs().sum(dim=-1) > 0
    assert reached.tolist() == [True, True, True, True, True, False, False]


def test_blocks_do_not_change_the_forward_direction():
    encoder, inputs = make_encoder(direction="forward"), random_inputs()
    assert torch.equal(encoder(inputs, LENGTHS, Blocks(2, 1))[0], encoder(inputs, LENGTHS)[0])
