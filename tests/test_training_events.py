"""TensorBoard's event files have the same values as ``metrics.jsonl``."""

import json
import sys

import pytest
from command_line import train

pytestmark = pytest.mark.slow

COLUMNS = ("--columns", "token,pos,ner", "--task", "pos,ner")


def test_tensorboard_shows_the_metrics_of_the_epochs(corpus, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    files = ("--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--output", tmp_path)
    for _ in range(2):  # the second run replaces the events of the first
        assert train(*files, *COLUMNS, "--tensorboard")[0] == 0
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    curves = {
        "train/loss": [line["loss"] for line in lines],
        "train/learning_rate": [line["learning_rate"] for line in lines],
        "dev/ner/f1": [line["dev"]["ner"]["f1"] for line in lines],
        "dev/pos/accuracy": [line["dev"]["pos"]["accuracy"] for line in lines],
    }
    for name, values in curves.items():
        scalars = events.Scalars(name)
        assert [scalar.step for scalar in scalars] == [1, 2, 3]
        assert [scalar.value for scalar in scalars] == pytest.approx(values, rel=1e-6)


def test_a_missing_tensorboard_package_is_an_error(corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    code, _, error = train("--train", corpus / "train.conll", "--output", tmp_path, "--tensorboard")
    assert code == 2
    assert (
        error == "tagger: train.tensorboard needs the package tensorboard. Install the extra `tensorboard`.\n"
    )
    assert not list(tmp_path.iterdir())


def test_an_error_names_unwritable_event_files_and_the_epoch_is_saved(corpus, tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "tensorboard").write_text("")
    words = ("--train", corpus / "train.conll", "--output", tmp_path, *COLUMNS, "--tensorboard")
    code, _, error = train(*words)
    assert code == 2
    assert error.startswith(f"tagger: {tmp_path}/tensorboard: cannot be written (")
    assert error.count("\n") == 1
    (tmp_path / "tensorboard").unlink()
    code, output, _ = train(*words, "--resume")
    assert code == 0
    assert "resumed   after 1 epochs" in output
