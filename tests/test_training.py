"""Preparation, schedules, the moving average and the training loop."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tagger.config import Config, TrainConfig
from tagger.config_loading import load_config
from tagger.errors import InputError
from tagger.features.vocab import UNKNOWN
from tagger.network.heads import HEADS
from tagger.network.words import CHARACTERS
from tagger.training.average import WeightAverage
from tagger.training.loop import EpochRecord, StepRecord, train
from tagger.training.optimizers import make_optimizer
from tagger.training.prediction import predict_split
from tagger.training.preparation import Preparation, prepare
from tagger.training.processes import Processes
from tagger.training.progress import build_model
from tagger.training.sampling import LOOKAHEADS, draw_batches, draw_blocks
from tagger.training.schedules import learning_rate

pytestmark = pytest.mark.slow

TINY = {
    "model.hidden_size": 12,
    "model.word_size": 10,
    "model.character_hidden": 5,
    "train.epochs": 3,
    "train.optimizer": "adamw",
    "train.learning_rate": 0.02,
    "train.schedule": "inverse_time",
    "train.ema": 0.0,
    "train.min_steps": 0,
}


def write_corpus(path: Path, count: int = 60, seed: int = 0) -> Path:
    """Write a corpus of a made-up language: da and ne are determiners, words in -o are things."""
    generator = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        for _ in range(generator.integers(2, 6)):
            word = "".join(generator.choice(list("kmprt"), 3)) + generator.choice(["o", "a"])
            lines.append("da D O" if generator.random() < 0.5 else "ne D O")
            lines.append(f"{word} {'N B-THING' if word.endswith('o') else 'V O'}")
        lines.append("")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "train.conll")


def configure(**changes: object) -> Config:
    named = {key.replace("__", "."): value for key, value in changes.items()}
    data = {"data.tasks": ("pos", "ner"), "data.columns": "token,pos,ner"}
    return load_config(None, {**data, **TINY, **named})


def run(config: Config, corpus: Path, dev: Path | None = None) -> tuple[list[EpochRecord], Preparation]:
    preparation = prepare(config, [corpus], [dev] if dev else [], None)
    records = list(train(preparation, config))
    return [record for record in records if isinstance(record, EpochRecord)], preparation


def test_preparation_encodes_the_sentences_of_the_files(corpus):
    preparation = prepare(configure(), [corpus], [corpus], None)
    split = preparation.train
    assert split.schemes == {"pos": None, "ner": "IOB2"}
    assert split.repairs == {"ner": 0}
    ner = next(task for task in preparation.vocabulary.tasks if task.name == "ner")
    batch = split.batch([3, 0])
    for row, index in enumerate([3, 0]):
        sentence = split.sentences[index]
        tags = [ner.tags[number] for number in batch.tags["ner"][row, : len(sentence)]]
        assert tags == [tag.replace("B-", "S-") for tag in sentence.tags["ner"]]  # things are one word long
    assert preparation.dev is not None
    assert preparation.dev.tags == {}


def test_a_dev_split_with_a_wrong_column_or_an_unknown_tag_is_an_error_before_training(corpus, tmp_path):
    dev = tmp_path / "dev.conll"
    dev.write_text("da D N\nko N N\n")
    with pytest.raises(InputError, match="'ner'") as error:
        prepare(configure(), [corpus], [dev], None)
    assert (error.value.code, error.value.where) == ("corpus.columns", f"{dev}:1")
    dev.write_text("ko N B-THING\nda D O\nko N B-THING\nda D O\nma N E-THING\n")
    with pytest.raises(InputError, match="'E-THING'") as error:
        prepare(configure(), [corpus], [dev], None)
    assert (error.value.code, error.value.where) == ("corpus.scheme", f"{dev}:5")


def test_illegal_tags_are_counted_or_are_an_error(tmp_path):
    path = tmp_path / "t.conll"
    path.write_text("da D O\nko N B-THING\n\nda D B-THING\nko N O\nmo N I-THING\n")
    assert prepare(configure(), [path], [], None).train.repairs == {"ner": 1}
    with pytest.raises(InputError, match=r"'mo'.*'I-THING'") as error:
        prepare(configure(data__broken_tags="strict"), [path], [], None)
    assert (error.value.code, error.value.where) == ("corpus.scheme", f"{path}:6")


def test_vectors_initialise_the_word_embeddings(corpus, tmp_path):
    vectors = tmp_path / "v.txt"
    vectors.write_text("da 1 2 3\nzzz 4 5 6\n")
    config = configure()
    preparation = prepare(config, [corpus], [], vectors)
    model = build_model(preparation, config)
    number = preparation.vocabulary.word_id("da")
    assert model.words.trainable.weight[number].tolist() == [1, 2, 3]
    assert preparation.vocabulary.word_id("ZZZ") == len(preparation.vocabulary.words)
    assert model.words.frozen.tolist() == [[4, 5, 6]]
    lonely = tmp_path / "lonely.conll"
    lonely.write_text("da D O\nko N B-THING\n")
    prepared = prepare(config, [lonely], [], vectors)
    assert prepared.unvectored_singletons == {prepared.vocabulary.word_id("ko")}


def test_the_loop_learns_and_yields_correct_records(corpus, tmp_path):
    dev = write_corpus(tmp_path / "dev.conll", 20, seed=1)
    config = configure(train__epochs=8)
    preparation = prepare(config, [corpus], [dev], None)
    records = list(train(preparation, config))
    epochs = [record for record in records if isinstance(record, EpochRecord)]
    steps = [record for record in records if isinstance(record, StepRecord)]
    assert [record.epoch for record in epochs] == list(range(1, 9))
    assert len(steps) == sum(record.steps for record in steps if record.step == record.steps)
    assert epochs[-1].loss < epochs[0].loss / 2
    best = max(epochs, key=lambda record: record.score)
    assert best.dev["pos"]["accuracy"] > 0.95
    assert best.dev["ner"]["f1"] > 0.9
    running = -math.inf
    for record in epochs:
        assert record.is_best == (record.score > running)
        assert (record.weights is not None) == record.is_best
        assert record.score == (record.dev["pos"]["accuracy"] + record.dev["ner"]["f1"]) / 2
        running = max(running, record.score)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("characters", CHARACTERS)
def test_every_head_and_character_network_learns(corpus, head, characters):
    config = configure(model__head=head, model__characters=characters, train__epochs=2)
    epochs, _ = run(config, corpus)
    assert epochs[1].loss < epochs[0].loss
    assert epochs[1].dev == {}
    assert epochs[1].score is None
    assert epochs[1].is_best  # without dev the latest weights are saved


def test_the_same_seed_gives_the_same_model_and_another_seed_another_model(corpus):
    config = configure(train__epochs=1, model__recurrent_dropout=0.2, model__word_dropout=0.1)
    first, again = (run(config, corpus)[0][0].weights for _ in range(2))
    other = run(configure(train__epochs=1, train__seed=2), corpus)[0][0].weights
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_run_and_its_caller_have_separate_random_states(corpus):
    config = configure(train__epochs=1)
    preparation = prepare(config, [corpus], [], None)
    *_, undisturbed = train(preparation, config)
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    records = train(preparation, config)
    next(records)
    assert torch.equal(torch.rand(3), expected)
    disturbed = [(torch.rand(5), record) for record in records][-1][1]
    for name, weight in undisturbed.weights.items():
        assert torch.equal(disturbed.weights[name], weight)


def test_the_vocabulary_comes_from_train_only(corpus, tmp_path):
    dev = tmp_path / "dev.conll"
    dev.write_text("da D O\nÿolo N B-OTHER\n")
    vocabulary = prepare(configure(data__unseen_tags="count"), [corpus], [dev], None).vocabulary
    assert vocabulary.word_id("ÿolo") == UNKNOWN
    assert "ÿ" not in vocabulary.characters
    assert all("B-OTHER" not in task.tags for task in vocabulary.tasks)


def test_the_tokenizer_is_learned_unless_an_option_is_set(tmp_path):
    path = tmp_path / "t.conll"
    path.write_text("Oslo X B-PLACE\n- X O\nbased X O\n\n" * 5)
    assert prepare(configure(), [path], [], None).tokenizer.words("Rome-based") == ["Rome", "-", "based"]
    whole = configure(data__tokenizer={"split_hyphens": False, "longest": 7})
    tokenizer = prepare(whole, [path], [], None).tokenizer
    assert tokenizer.words("Rome-based") == ["Rome-based"]
    assert tokenizer.longest == 7
    for wrong in ({"split_hyphen": True}, {"split_hyphens": 3}):
        with pytest.raises(InputError) as error:
            prepare(configure(data__tokenizer=wrong), [path], [], None)
        assert error.value.option == error.value.where == "data.tokenizer"
        assert error.value.code == ("option.unknown" if "split_hyphen" in wrong else "option.type")
        assert next(iter(wrong)) in error.value.message


def test_the_schedule_reaches_the_optimizer(corpus):
    config = configure(train__optimizer="sgd", train__schedule="inverse_time", train__decay=1.0)
    epochs, _ = run(config, corpus)
    rate = config.train.learning_rate
    assert [record.learning_rate for record in epochs] == pytest.approx([rate, rate / 2, rate / 3])


@pytest.mark.parametrize(("min_steps", "passes"), [(0, 1), (6, 1), (7, 2), (20, 4)])
def test_an_epoch_repeats_a_small_train_split_up_to_the_minimum_steps(min_steps, passes):
    config = TrainConfig(min_steps=min_steps, batch_size=10)
    batches = draw_batches([3] * 60, config, np.random.default_rng(0))
    assert len(batches) == 6 * passes
    firsts = set()
    for start in range(0, len(batches), 6):
        own = batches[start : start + 6]
        assert sorted(index for batch in own for index in batch) == list(range(60))
        firsts.add(tuple(own[0]))
    assert len(firsts) == passes  # each pass has another order


def test_the_minimum_steps_reach_the_loop_and_the_schedule(corpus):
    config = configure(train__min_steps=13, train__schedule="cosine", train__epochs=2)
    records = list(train(prepare(config, [corpus], [], None), config))
    steps = [record.steps for record in records if isinstance(record, StepRecord)]
    assert steps == [18] * 36  # 60 sentences in batches of 10
    rates = [record.learning_rate for record in records if isinstance(record, EpochRecord)]
    share = [17 / 36, 35 / 36]  # of all steps, before an epoch's last one
    expected = [config.train.learning_rate * (1 + math.cos(math.pi * done)) / 2 for done in share]
    assert rates == pytest.approx(expected)
    assert [record.epoch for record in records if isinstance(record, EpochRecord)] == [1, 2]


def test_clipping_and_momentum_reach_the_optimizer(corpus):
    config = configure(train__optimizer="sgd", train__clip=1e-9, train__epochs=1)
    epochs, preparation = run(config, corpus)
    model = build_model(preparation, config)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(epochs[0].weights[name], weight, atol=1e-6, rtol=0.0)
    assert make_optimizer(model, config.train).param_groups[0]["momentum"] == config.train.momentum


def test_patience_ends_a_run_without_improvement(corpus):
    config = configure(train__epochs=50, train__patience=2, train__learning_rate=1e-9)
    epochs, _ = run(config, corpus, corpus)
    assert len(epochs) == 3  # the first is the best, the next two do not improve


def test_singletons_train_the_vector_of_unk(tmp_path):
    path = tmp_path / "t.conll"
    path.write_text("da D O\nko N B-THING\n\nda D O\nmo N B-THING\n")
    config = configure(train__epochs=4, train__singleton_unknown=0.9, train__batch_size=1)
    preparation = prepare(config, [path], [], None)
    before = build_model(preparation, config).words.trainable.weight[UNKNOWN].detach()
    *_, last = train(preparation, config)
    assert not torch.equal(last.weights["words.trainable.weight"][UNKNOWN], before)
    kept = prepare(configure(train__singleton_unknown=0.0), [path], [], None)
    assert len(kept.unvectored_singletons) == 2  # ko and mo, but not da


def test_predictions_follow_the_order_of_the_split(corpus):
    config = configure()
    preparation = prepare(config, [corpus], [corpus], None)
    predicted = predict_split(build_model(preparation, config), preparation.dev, Processes())
    for tags in predicted.values():
        assert [len(sequence) for sequence in tags] == preparation.dev.lengths


def test_a_loss_that_is_nan_or_infinite_ends_the_run(corpus):
    with pytest.raises(InputError, match=r"epoch \d+, step \d+") as error:
        run(configure(train__optimizer="sgd", train__learning_rate=1e30, train__clip=0.0), corpus)
    assert (error.value.code, error.value.option) == ("run.failed", "train.learning_rate")


def test_schedules():
    steps = 10
    inverse = TrainConfig(learning_rate=1.0, schedule="inverse_time", decay=0.5)
    assert [learning_rate(inverse, epoch, 7, steps) for epoch in (1, 2, 3)] == [1.0, 1 / 1.5, 1 / 2]
    constant = TrainConfig(learning_rate=0.3, schedule="constant", warmup_steps=4)
    assert [learning_rate(constant, 1, step, steps) for step in (1, 2, 4, 5)] == pytest.approx(
        [0.075, 0.15, 0.3, 0.3]
    )
    cosine = TrainConfig(learning_rate=1.0, schedule="cosine", epochs=2)
    rates = [learning_rate(cosine, epoch, step, steps) for epoch in (1, 2) for step in range(1, 11)]
    assert rates[0] == 1.0
    assert rates[10] == pytest.approx(0.5)
    assert rates == sorted(rates, reverse=True)
    assert 0.0 < rates[-1] < 0.01


def test_adamw_decays_matrices_only(corpus):
    config = configure(train__weight_decay=0.1)
    preparation = prepare(config, [corpus], [], None)
    model = build_model(preparation, config)
    decayed, plain = make_optimizer(model, config.train).param_groups
    assert decayed["weight_decay"] == 0.1
    assert plain["weight_decay"] == 0.0
    embeddings = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    assert not {id(weight) for weight in embeddings} & {id(weight) for weight in decayed["params"]}
    everything = sum(parameter.numel() for parameter in model.parameters())
    assert everything == sum(p.numel() for group in (decayed, plain) for p in group["params"])


def test_the_average_follows_its_definition_and_swaps_back():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    average = WeightAverage(model.parameters(), 0.5)
    expected = model.weight.detach().clone()
    for number in range(1, 30):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
        average.update()
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    present = model.weight.detach().clone()
    average.swap()
    torch.testing.assert_close(model.weight.detach(), expected)
    average.swap()
    assert torch.equal(model.weight, present)


def test_the_average_is_evaluated_and_saved(corpus):
    plain, _ = run(configure(train__epochs=1), corpus)
    averaged, preparation = run(configure(train__epochs=1, train__ema=0.9), corpus)
    assert plain[0].loss == averaged[0].loss  # the same weights were trained
    name = "heads.0.projection.weight"
    first = build_model(preparation, configure()).state_dict()[name]
    distance = torch.linalg.vector_norm(plain[0].weights[name] - first)
    assert 0 < torch.linalg.vector_norm(averaged[0].weights[name] - first) < distance


@pytest.mark.parametrize(("direction", "is_changed"), [("forward", False), ("bidirectional", True)])
def test_random_lookaheads_change_the_training_of_the_backward_direction(corpus, direction, is_changed):
    losses = [
        run(
            configure(
                model__direction=direction,
                train__lookahead=lookahead,
                train__epochs=1,
                train__singleton_unknown=0.0,
            ),
            corpus,
        )[0][0].loss
        for lookahead in ("full", "random")
    ]
    assert (losses[0] != losses[1]) == is_changed


def test_random_lookaheads_are_sampled_with_every_offset_of_the_first_block():
    generator = np.random.default_rng(5)
    drawn = Counter(draw_blocks(generator) for _ in range(6000))
    for lookahead in LOOKAHEADS:
        its = {blocks: n for blocks, n in drawn.items() if (blocks.size - 1 if blocks else None) == lookahead}
        assert 850 < sum(its.values()) < 1150
        assert len(its) == (1 if lookahead is None else lookahead + 1)
