"""The space of a search: choices and ranges in the table [search] of a config file."""

import pytest
from input_errors import raises

from tagger.config import Config
from tagger.experiments.search_space import Choices, Range, read_space


@pytest.fixture
def space(write_file):
    """Return a function that reads a space from the content of its table."""
    return lambda table: read_space(write_file(f"[search]\n{table}\n", "space.toml"), Config())


def test_choices_and_ranges_follow_the_type_of_their_option(space):
    assert space(
        """
        model.hidden_size = {low = 50, high = 400, log = true}
        "model.dropout" = {low = 0, high = 0.5}
        model.linear = [true, false]
        "train.class_weights" = ["balanced", "PER=2"]
        [search.train]
        schedule = ["cosine", "constant"]
        momentum = [0, 0.9]
        """
    ) == {
        "model.hidden_size": Range(50, 400, is_log=True, is_integer=True),
        "model.dropout": Range(0, 0.5, is_log=False, is_integer=False),
        "model.linear": Choices((True, False)),
        "train.class_weights": Choices(("balanced", "PER=2")),
        "train.schedule": Choices(("cosine", "constant")),
        "train.momentum": Choices((0, 0.9)),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "code", "option", "mentions"),
    [
        ("", "config.format", "", "needs a table [search]"),
        ("model.hiden_size = [1, 2]", "option.unknown", "model.hiden_size", "model.hidden_size?"),
        ("hidden_size = {low = 1, high = 2}", "option.unknown", "hidden_size", "model.hidden_size"),
        ("model.layers = 2", "option.value", "model.layers", "a list of two or more different values"),
        ("model.layers = [2]", "option.value", "model.layers", "(got [2])"),
        ("model.layers = [2, 2]", "option.value", "model.layers", "different values"),
        ("model.layers = [1, 0]", "option.value", "model.layers", "greater than or equal to 1 (got 0)"),
        ("model.head = ['crf', 'max']", "option.value", "model.head", "(got 'max')"),
        ("model.character_width = [[2], [3]]", "option.value", "model.character_width", '"2,3,4"'),
        ("model.layers = {low = 1}", "option.value", "model.layers", "(got {'low': 1})"),
        ("model.layers = {low = 2, high = 2}", "option.value", "model.layers", "low < high"),
        ("model.layers = {low = 1, high = 2.5}", "option.value", "model.layers", "as integers"),
        ("model.layers = {low = 0, high = 2}", "option.value", "model.layers", "(got 0)"),
        ("model.layers = {low = 1, high = 2, step = 1}", "option.value", "model.layers", "'step': 1"),
        ("model.dropout = {low = 0, high = 1}", "option.value", "model.dropout", "less than 1 (got 1"),
        ("model.dropout = {low = 0, high = 0.5, log = true}", "option.value", "model.dropout", "low > 0"),
        ("model.dropout = {low = nan, high = 0.5}", "option.value", "model.dropout", "finite"),
        ("model.dropout = {low = true, high = 0.5}", "option.value", "model.dropout", "as numbers"),
        ("model.linear = {low = 0, high = 1}", "option.type", "model.linear", "list of choices"),
        ("model.head = {low = 0, high = 1}", "option.type", "model.head", "list of choices"),
        ("train.seed = [1, 2]", "option.conflict", "train.seed", "cannot be searched"),
        ("data.scheme = ['IOB1', 'IOB2']", "option.conflict", "data.scheme", "cannot be searched"),
    ],
)  # fmt: skip
def test_invalid_spaces_are_rejected(space, table, code, option, mentions):
    with raises(code, option=option, mentions=mentions) as caught:
        space(table)
    assert "space.toml" in caught.value.where
