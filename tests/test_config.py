"""The config: one pydantic model validates TOML files and ``--set`` options."""

import pytest

from tagger.config import Config, option_names
from tagger.config_loading import format_config, load_config, parse_setting
from tagger.errors import InputError


def test_settings_override_the_file_and_the_file_overrides_the_defaults(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('[model]\nhidden_size = 50\nhead = "softmax"\n[train]\nepochs = 3\n')
    config = load_config(path, {"train.epochs": 5, "data.tasks": ("pos", "ner")})
    assert (config.model.hidden_size, config.model.head, config.train.epochs) == (50, "softmax", 5)
    assert config.data.tasks == ("pos", "ner")
    assert config.train.momentum == Config().train.momentum


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("model.hiden_size", "did you mean model.hidden_size"),
        ("hidden_size", "did you mean model.hidden_size"),
        ("qqq.xyzzy", "the options are"),
        ("modle.head", "did you mean model.head"),
        ("epochs", "did you mean train.epochs"),
        ("train.recased", "did you mean train.case_augmentation"),
    ],
)
def test_an_unknown_key_suggests_the_nearest_option(tmp_path, key, hint):
    with pytest.raises(InputError, match=hint) as caught:
        load_config(None, {key: 1})
    assert (caught.value.code, caught.value.where, caught.value.option) == ("option.unknown", "settings", key)
    section, _, name = key.rpartition(".")
    path = tmp_path / "c.toml"
    path.write_text(f"[{section}]\n{name} = 1\n" if section else f"{name} = 1\n")
    with pytest.raises(InputError, match=hint) as caught:
        load_config(path, {})
    assert (caught.value.code, caught.value.file, caught.value.option) == ("option.unknown", str(path), key)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.dropout", 1.0),
        ("model.direction", "sideways"),
        ("train.epochs", -1),
        ("train.epochs", "many"),
        ("train.learning_rate", -1),
        ("data.tasks", ()),
        ("data.tasks", ("ner", "ner")),
    ],
)
def test_errors_for_invalid_values_name_the_option(key, value):
    with pytest.raises(InputError, match=key) as caught:
        load_config(None, {key: value})
    assert (caught.value.code, caught.value.where, caught.value.option) == ("option.value", "settings", key)


@pytest.mark.parametrize(
    ("weight", "message"), [("0", "greater than 0"), ("1e9", "less than or equal to 1000000")]
)
def test_a_weight_out_of_bounds_says_which_bound(weight, message):
    with pytest.raises(InputError, match=f"train.class_weights must be {message}"):
        load_config(None, {"train.class_weights": f"PER={weight}"})


def test_tasks_may_be_comma_separated_and_errors_name_their_origin(tmp_path):
    assert load_config(None, {"data.tasks": "pos,ner"}).data.tasks == ("pos", "ner")
    path = tmp_path / "c.toml"
    for content, changes, where, option in (
        ("[train]\nepochs = 3\n", {"train.epochs": -1}, "settings", "train.epochs"),
        ("[train]\nlearning_rate = inf\n", {}, str(path), "train.learning_rate"),
        ("[modle]\n", {}, str(path), "modle"),
    ):
        path.write_text(content)
        with pytest.raises(InputError) as caught:
            load_config(path, changes)
        assert (caught.value.where, caught.value.option) == (where, option)


def test_options_that_contradict_each_other_are_an_error():
    for changes, option in (
        ({"train.lookahead": "random", "model.context": "document"}, "train.lookahead"),
        ({"train.lookahead": "random", "model.linear": True}, "train.lookahead"),
        ({"train.warm_restarts": "20,10"}, "train.warm_restarts"),
        ({"train.warm_restarts": 10, "train.schedule": "constant"}, "train.warm_restarts"),
    ):
        with pytest.raises(InputError) as caught:
            load_config(None, changes)
        assert (caught.value.code, caught.value.option) == ("option.conflict", option)


def test_errors_name_unreadable_files(tmp_path):
    path = tmp_path / "c.toml"
    for content, code, line in (
        (None, "file.unreadable", None),
        (b"[model\n", "config.format", None),
        (b"a = " + b"9" * 5000, "config.format", None),
        (b"[model]\n\xff", "corpus.encoding", 2),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            load_config(path, {})
        assert (caught.value.code, caught.value.file, caught.value.line) == (code, str(path), line)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.hidden_size=100", ("model.hidden_size", 100)),
        ("model.head=softmax", ("model.head", "softmax")),
        ("train.ema = 0.99", ("train.ema", 0.99)),
        ("model.constrain=false", ("model.constrain", False)),
        ('data.tasks=["pos", "ner"]', ("data.tasks", ["pos", "ner"])),
    ],
)
def test_setting_values_are_parsed_as_toml_or_kept_as_strings(text, expected):
    assert parse_setting(text) == expected


def test_a_setting_without_a_value_is_an_error():
    with pytest.raises(InputError, match="key=value") as caught:
        parse_setting("model.head")
    assert (caught.value.code, caught.value.option) == ("option.value", "--set")


def test_every_option_has_a_description():
    for name in option_names():
        section, key = name.split(".")
        field = type(getattr(Config(), section)).model_fields[key]
        assert field.description, name


def test_a_formatted_config_is_read_back(tmp_path):
    changes = {
        "data.tasks": ("pos", "ner"),
        "data.columns": 'token,"\\\t\x7f\x01\u2028é😀',
        "data.tokenizer": {"split_hyphens": True, "a.b c": 3},
        "model.scheme": "IOB2",
        "model.constrain": False,
        "model.encoder": None,
        "model.character_width": "2,3",
        "train.learning_rate": 1e-05,
        "train.weight_decay": 1e22,
        "train.epochs": 3,
        "train.warm_restarts": (),
        "train.class_weights": {"PER": 2, 'a"b': 0.5},
    }
    config = load_config(None, changes)
    path = tmp_path / "c.toml"
    path.write_text(format_config(config), encoding="utf-8")
    again = load_config(path, {})
    assert again == config
    assert again.train.model_fields_set == config.train.model_fields_set
    assert format_config(Config()) == ""


def test_a_further_table_of_a_file_is_ignored_only_on_request(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[search]\nmodel.layers = [1, 2]\n[model]\nlayers = 3\n")
    assert load_config(path, {}, without=["search"]).model.layers == 3
    with pytest.raises(InputError, match=r"there is no option 'search.model'"):
        load_config(path, {})
