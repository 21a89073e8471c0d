"""``tagger search``: trials in a real database, resumption, the best config and its comparison."""

import importlib.util
import itertools
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import optuna
import pytest
from command_line import input_error, options, run
from input_errors import check
from optuna.trial import TrialState

from tagger.api import train
from tagger.config_loading import configure, load_config
from tagger.errors import InputError
from tagger.integrations import optuna as search_module
from tagger.training import loop

pytestmark = pytest.mark.slow

SPACE = """\
[model]
layers = 1

[search]
model.hidden_size = {low = 2, high = 8}
train.learning_rate = {low = 0.0005, high = 0.05, log = true}
model.direction = ["forward", "bidirectional"]
"model.character_width" = ["2,3", "3"]
"""
TRIALS, SEEDS = 9, 2


@pytest.fixture(scope="module")
def space(folder: Path) -> Path:
    path = folder / "space.toml"
    path.write_text(SPACE)
    return path


@pytest.fixture
def arguments(corpus: Path, space: Path, tmp_path: Path) -> Callable[..., list[object]]:
    """Return a function that builds the arguments of a search without comparison."""

    def build(trials: int, *more: object) -> list[object]:
        files = ["--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--output", tmp_path]
        return ["search", space, *files, *options(), "--trials", trials, "--seeds", 0, *more]

    return build


def load_study(output: Path) -> optuna.Study:
    """Open the study with Optuna itself."""
    return optuna.load_study(study_name="search", storage=f"sqlite:///{output / 'search.db'}")


def outcomes(output: Path) -> list[tuple[object, ...]]:
    """Return what the trials of a study drew and reached."""
    return [(one.state, one.params, one.intermediate_values) for one in load_study(output).trials]


@pytest.fixture(scope="module")
def finished(corpus: Path, space: Path, folder: Path) -> tuple[Path, str]:
    """Return the folder of a finished search, and the output of the command."""
    files = ["--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--test", corpus / "dev.conll"]
    output = folder / "search"
    command = ["search", space, *files, *options(), "--trials", TRIALS, "--seeds", SEEDS, "--output", output]
    code, text, error = run(*command, encoding="utf-8")
    assert (code, error) == (0, "")
    return output, text


def test_the_database_holds_the_trials_and_their_scores_after_each_epoch(finished):
    trials = load_study(finished[0]).trials
    assert len(trials) == TRIALS
    assert [f"{n + 1}/{TRIALS}  trial {n}: " in finished[1] for n in range(TRIALS)] == [True] * TRIALS
    for trial in trials:
        epochs = list(trial.intermediate_values)
        assert epochs == list(range(1, len(epochs) + 1))
        if trial.state is TrialState.COMPLETE:
            assert len(epochs) == 3
            assert trial.value == max(trial.intermediate_values.values())
        assert isinstance(trial.params["model.hidden_size"], int)
        assert 0.0005 <= trial.params["train.learning_rate"] <= 0.05


def test_exactly_the_trials_below_the_median_are_stopped(finished):
    trials = load_study(finished[0]).trials
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    stopped = 0
    for trial in trials:
        before = [one for one in complete if one.number < trial.number]
        so_far = [trial.intermediate_values[1]]
        is_below = False
        # Trials are stopped from the quarter of the epochs on, and not after the third, which is the last.
        for epoch, score in list(trial.intermediate_values.items())[:2]:
            so_far.append(score)
            median = statistics.median(one.intermediate_values[epoch] for one in before) if before else 0.0
            is_below = len(before) >= 5 and max(so_far) < median
        assert (trial.state is TrialState.PRUNED) == is_below, trial.number
        stopped += is_below
    assert 0 < stopped < TRIALS - 5


def test_the_best_config_is_that_of_the_best_trial(finished, space):
    output, text = finished
    best = load_study(output).best_trial
    settings = dict(word.split("=", 1) for word in options()[1::2])
    default = load_config(space, settings, without=["search"])
    assert load_config(output / "best.toml", {}) == configure(default, best.params)
    assert f"trial {best.number} with {100 * best.value:.2f} on dev" in (output / "best.toml").read_text()
    assert re.search(rf"\n +{best.number} +{100 * best.value:.2f} ", text)
    assert "search results, no estimate" in text
    assert f"best config: {output / 'best.toml'}" in text.replace("\n", "")


def test_the_comparison_has_the_scores_of_models_trained_with_new_seeds(finished, corpus, space):
    output, text = finished
    settings = dict(word.split("=", 1) for word in options()[1::2])
    means = {}
    default_config = load_config(space, settings, without=["search"])
    for name, config in (("default", default_config), ("winner", output / "best.toml")):
        printed = re.findall(
            rf"^{name}, seed ([0-9]+): ([0-9.]+) on dev, ([0-9.]+) on test$", text, re.MULTILINE
        )
        assert [seed for seed, *_ in printed] == ["2", "3"]  # the trials have seed 1
        means[name] = statistics.fmean(float(score) for *_, score in printed)
        model = train(corpus / "train.conll", dev=corpus / "dev.conll", config=config, seed=3)
        score = 100 * model.evaluate(corpus / "dev.conll")["ner"].f1
        assert printed[1] == ("3", f"{score:.2f}", f"{score:.2f}")
    (row,) = re.findall(r"^ +ner, test +([0-9.]+) +([0-9.]+) +([+−0-9.]+)", text, re.MULTILINE)
    default, winner, gain = (float(value.replace("−", "-")) for value in row)
    assert (default, winner) == pytest.approx((means["default"], means["winner"]), abs=0.011)
    assert gain == pytest.approx(means["winner"] - means["default"], abs=0.011)
    assert "ner on test: the winner scores" in text


def test_a_finished_search_is_not_repeated(finished, corpus, space, monkeypatch):
    output, text = finished
    before = outcomes(output)
    monkeypatch.setattr(loop, "_train", None)
    files = ["--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--test", corpus / "dev.conll"]
    command = ["search", space, *files, *options(), "--trials", TRIALS, "--seeds", SEEDS, "--output", output]
    code, again, _ = run(*command, encoding="utf-8")
    assert code == 0
    assert f"{TRIALS} of {TRIALS} trials already finished" in again
    assert again.splitlines()[-9:] == text.splitlines()[-9:]
    assert outcomes(output) == before


def test_a_resumed_search_continues_as_if_it_had_not_ended(arguments, finished, tmp_path):
    for trials in (2, 4):
        assert run(*arguments(trials))[0] == 0
    assert outcomes(tmp_path) == outcomes(finished[0])[:4]


def test_an_interrupted_search_keeps_finished_trials(arguments, tmp_path, monkeypatch):
    steps = itertools.count()

    def train_until_signal(*given):
        for record in loop.train(*given):
            if next(steps) == 40:  # a trial has 27 steps and 3 epochs
                signal.raise_signal(signal.SIGINT)
            yield record

    monkeypatch.setattr(search_module, "train", train_until_signal)
    code, output, error = run(*arguments(2))
    assert (code, error) == (130, "")
    assert output.splitlines()[-1] == (
        "stopped with 1 of 2 trials finished; run the same command to continue"
    )
    states = [trial.state for trial in load_study(tmp_path).trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL]
    code, output, error = run(*arguments(2))
    assert (code, error) == (0, "")
    assert "1 of 2 trials already finished" in output
    assert "interrupted or killed trials, which do not count: 1" in output
    states = [trial.state for trial in load_study(tmp_path).trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]


def test_the_trial_of_a_killed_process_is_marked_as_failed(arguments, tmp_path):
    assert run(*arguments(1))[0] == 0
    trial = load_study(tmp_path).ask()  # runs, in a process that died
    with sqlite3.connect(tmp_path / "search.db") as database:
        database.execute(
            "INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES (?, datetime('now', '-1 hour'))",
            [trial._trial_id],
        )
    code, output, _ = run(*arguments(2))
    assert code == 0
    assert "interrupted or killed trials, which do not count: 1" in output
    states = [one.state for one in load_study(tmp_path).trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]


def test_a_trial_that_died_before_its_first_sign_of_life_is_replaced(arguments, tmp_path, monkeypatch):
    monkeypatch.setattr(search_module, "LOST_SECONDS", 1)
    monkeypatch.setattr(search_module, "POLL_SECONDS", 0.1)
    assert run(*arguments(1))[0] == 0
    load_study(tmp_path).ask()
    code, output, _ = run(*arguments(2))
    assert code == 0
    assert "waiting for trials of other processes: 1" in output
    states = [one.state for one in load_study(tmp_path).trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]


def with_seeds(command: list[object], seeds: int) -> list[object]:
    """Change the number of new seeds, which is 0."""
    place = command.index("--seeds") + 1
    return [*command[:place], seeds, *command[place + 1 :]]


def start(command: list[object]) -> subprocess.Popen[str]:
    """Run a command in a process of its own."""
    words = [sys.executable, "-m", "tagger", *map(str, command)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_share_a_database(arguments, tmp_path):
    processes = [start(with_seeds(arguments(4), 1)) for _ in range(2)]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    trials = [one for one in load_study(tmp_path).trials if one.state in search_module.COUNTED]
    assert len(trials) == 4
    assert len({str(trial.params) for trial in trials}) == 4
    numbers = [set(re.findall(r"^\d/4  trial (\d+)", output, re.MULTILINE)) for output, _ in results]
    assert numbers[0] | numbers[1] == {str(trial.number) for trial in trials}
    assert not numbers[0] & numbers[1]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["default-2.json", "winner-2.json"]
    compared = ["the winner scores" in output for output, _ in results]
    assert any(compared)
    for (output, error), is_compared in zip(results, compared, strict=True):
        assert error == ""
        assert is_compared != ("another process compares the winner" in output)


def test_a_killed_search_is_resumed(arguments, tmp_path):
    process = start(arguments(100))
    try:
        assert process.stdout
        while "1/100  trial 0: " not in (line := process.stdout.readline()):
            assert line
    finally:
        process.kill()
        process.communicate()
    before = load_study(tmp_path).trials
    finished = sum(trial.state is TrialState.COMPLETE for trial in before)
    with sqlite3.connect(tmp_path / "search.db") as database:
        database.execute("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')")
    assert run(*arguments(finished + 1))[0] == 0
    after = load_study(tmp_path).trials
    lost = [trial.number for trial in before if trial.state is TrialState.RUNNING]
    assert [trial.number for trial in after if trial.state is TrialState.FAIL] == lost
    assert sum(trial.state in search_module.COUNTED for trial in after) == finished + 1
    assert [one.params for one in after[:finished]] == [one.params for one in before[:finished]]


@pytest.mark.parametrize(
    ("table", "invalid", "problem"),
    [
        (
            'train.lookahead = ["full", "random"]\nmodel.context = ["document", "sentence"]',
            {"train.lookahead": "random", "model.context": "document"},
            "settings: train.lookahead must be full if model.context is document",
        ),
        ("train.learning_rate = [0.02, 1e30]", {"train.learning_rate": 1e30}, "The loss is NaN or infinite"),
    ],
)
def test_options_that_cannot_be_trained_count_as_a_stopped_trial(
    arguments, write_file, tmp_path, table, invalid, problem
):
    command = arguments(4)
    command[1] = write_file(f"[search]\n{table}", "other.toml")
    code, output, _ = run(*command)
    assert code == 0
    for trial in load_study(tmp_path).trials:
        is_invalid = trial.params == invalid
        assert trial.state is (TrialState.PRUNED if is_invalid else TrialState.COMPLETE)
        assert ("problem" in trial.user_attrs) == is_invalid
    assert f"invalid ({problem}" in output


def test_a_search_without_a_trainable_trial_is_an_error(arguments, write_file):
    command = arguments(2)
    command[1] = write_file("[search]\ntrain.learning_rate = [1e29, 1e30]", "other.toml")
    code, _, error = run(*command)
    assert code == 2
    assert "no trial of the study 'search' ran to its end" in error


def test_a_trial_that_another_process_takes_for_killed_is_replaced(arguments, tmp_path, monkeypatch):
    is_first = iter([True])

    def train_while_marked_as_failed(*given):
        for record in loop.train(*given):
            yield record
            if next(is_first, False):
                load_study(tmp_path).tell(0, state=TrialState.FAIL)

    monkeypatch.setattr(search_module, "train", train_while_marked_as_failed)
    assert run(*arguments(2))[0] == 0
    states = [trial.state for trial in load_study(tmp_path).trials]
    assert states == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]


@pytest.mark.parametrize(
    ("more", "different"),
    [
        (["--set", "train.momentum=0.5"], "train.momentum is 0.5, was 0.9"),
        (["--train", "dev.conll"], "the train split is 48 sentences"),
    ],
)
def test_a_study_belongs_to_its_data_and_options(arguments, corpus, finished, more, different):
    more = [corpus / word if word.endswith(".conll") else word for word in more]
    error = input_error(*arguments(20, "--storage", f"sqlite:///{finished[0] / 'search.db'}", *more))
    check(error, "run.mismatch", option="--study", mentions=different)


def test_a_study_belongs_to_its_space(arguments, finished, tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(SPACE.replace("high = 8", "high = 9"))
    command = arguments(20, "--storage", f"sqlite:///{finished[0] / 'search.db'}")
    command[1] = path
    check(input_error(*command), "run.mismatch", option="--study", mentions="search.model.hidden_size is")


@pytest.mark.parametrize(
    ("storage", "mentions"),
    [
        ("sqlite:////nowhere/x.db", "unable to open database file"),
        ("hello", "Could not parse"),
        ("oracle+nothing://user:secret@host/x", "nothing"),
        ("sqlite:///{folder}/text.txt", "file is not a database"),
        ("sqlite:///{folder}/x.db?timeout=soon", "soon"),
        ("sqlite:///{folder}/newer.db", "no longer compatible with the table schema"),
    ],
)
def test_an_unusable_database_is_rejected(arguments, tmp_path, monkeypatch, storage, mentions):
    (tmp_path / "text.txt").write_text("no database, but a text of some length\n" * 100)
    optuna.create_study(storage=f"sqlite:///{tmp_path / 'newer.db'}")
    with sqlite3.connect(tmp_path / "newer.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'v9.9.9'")
    monkeypatch.setattr(search_module, "POLL_SECONDS", 0)
    error = input_error(*arguments(1, "--storage", storage.replace("{folder}", str(tmp_path))))
    check(error, "file.unreadable", file="--storage", option="--storage", mentions=mentions)
    assert "secret" not in str(error)


def test_without_optuna_the_error_names_the_extra(arguments, monkeypatch):
    monkeypatch.delitem(sys.modules, "tagger.integrations.optuna")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError) as error:
        import_module("tagger.integrations.optuna")
    check(error.value, "package.missing", mentions="`search`")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "optuna" else find(name))
    check(input_error(*arguments(1)), "package.missing", mentions="`search`")
