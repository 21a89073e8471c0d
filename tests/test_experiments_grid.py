"""The grid of a comparison: its variants and their matched sizes."""

from typing import get_args

import pytest
from bundles import make_bundle

from tagger.config import Config, Match
from tagger.errors import InputError
from tagger.experiments.grid import (
    Variant,
    build_grid,
    configure,
    count_parameters,
    match_hidden_sizes,
    require_comparable,
)
from tagger.network.bilstm import Encoder
from tagger.network.model import TaggingModel

pytestmark = pytest.mark.slow

DIRECTIONS = ("forward", "backward", "bidirectional")
MERGE_MODES = ("concat", "sum", "mul", "ave")
GRID = build_grid(DIRECTIONS, MERGE_MODES, ("softmax", "crf"), has_lookahead=True)
CONFIG = Config.model_validate(
    {"model": {"hidden_size": 9, "word_size": 4, "character_size": 3, "character_hidden": 4}}
)
VOCABULARY = make_bundle()[1].vocabulary


def network(variant: Variant, hidden_size: int) -> TaggingModel:
    return TaggingModel(configure(variant, CONFIG, hidden_size=hidden_size, seed=1).model, VOCABULARY)


def size(variant: Variant, hidden_size: int) -> int:
    return sum(parameter.numel() for parameter in network(variant, hidden_size).parameters())


def test_the_grid_has_every_head_with_every_direction_and_merge_mode_once():
    assert len(GRID) == len(set(GRID)) == 2 * (2 + 4 + 1)
    assert [variant.name for variant in GRID[:4]] == [
        "forward-softmax",
        "backward-softmax",
        "bidirectional-concat-softmax",
        "bidirectional-sum-softmax",
    ]
    assert len({variant.name for variant in GRID}) == len({variant.title for variant in GRID}) == len(GRID)
    assert [one for one in GRID if one.lookahead == "random"] == [
        Variant("bidirectional", "concat", head, "random") for head in ("softmax", "crf")
    ]


@pytest.mark.parametrize("variant", GRID, ids=lambda one: one.name)
def test_parameter_counts_equal_those_of_torch(variant):
    counts = count_parameters(
        configure(variant, CONFIG, hidden_size=7, seed=1).model, VOCABULARY, CONFIG.model.word_size
    )
    model = network(variant, 7)
    for layer in ("encoder", "heads", "words"):
        assert counts[layer] == sum(one.numel() for one in getattr(model, layer).parameters())
    assert counts["all"] == size(variant, 7)


@pytest.mark.parametrize("match", get_args(Match))
def test_the_matched_quantity_is_equal(match):
    sizes = match_hidden_sizes(GRID, CONFIG, match, VOCABULARY, CONFIG.model.word_size)
    assert list(sizes) == GRID
    for variant, units in sizes.items():
        if match == "hidden":
            assert units == 9
        elif match == "width":
            encoder = network(variant, units).encoder
            assert isinstance(encoder, Encoder)
            assert encoder.output_size == 18
        else:
            target = size(Variant("bidirectional", "concat", variant.head), 9)
            nearest = min(range(1, 60), key=lambda n: abs(size(variant, n) - target))
            assert units == nearest


def test_a_softmax_head_decodes_every_token_independently():
    for head in ("softmax", "crf"):
        model = configure(Variant("forward", None, head), CONFIG, hidden_size=3, seed=1).model
        assert model.constrain is (head == "crf")


def test_options_of_a_run_combine_common_options_and_its_variant():
    variant = Variant("bidirectional", "mul", "crf", "random")
    config = configure(variant, CONFIG, hidden_size=12, seed=7)
    assert (config.model.direction, config.model.merge_mode, config.model.head) == (
        "bidirectional",
        "mul",
        "crf",
    )
    assert (config.model.hidden_size, config.train.seed, config.train.lookahead) == (12, 7, "random")
    assert not configure(
        variant, replace_section("model", {"linear": True}), hidden_size=1, seed=7
    ).model.linear
    assert config.model.word_size == CONFIG.model.word_size
    assert config.data == CONFIG.data


@pytest.mark.parametrize(
    ("section", "values", "got"),
    [
        ("train", {"patience": 3}, r"\(got 3\)"),
        ("data", {"tasks": ("pos", "ner")}, r"\(got 2: pos, ner\)"),
    ],
)
def test_options_with_different_schedules_raise(section, values, got):
    changed = replace_section(section, values)
    with pytest.raises(InputError, match=got) as error:
        require_comparable(changed)
    (name,) = values
    assert (error.value.code, error.value.option) == ("option.value", f"{section}.{name}")
    require_comparable(CONFIG)


def replace_section(section: str, values: dict) -> Config:
    return CONFIG.model_copy(update={section: getattr(CONFIG, section).model_copy(update=values)})
