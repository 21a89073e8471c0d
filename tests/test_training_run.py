"""Training runs: the model folder after a complete run, a stopped run, and with an earlier model."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from command_line import SMALL

from tagger import Tagger
from tagger.bundle import FILES, load_bundle
from tagger.config import Config
from tagger.config_loading import load_config
from tagger.corpus.files import read_sentences
from tagger.errors import InputError
from tagger.runtime.model_calibration import fit_temperatures, measure_calibration
from tagger.runtime.model_evaluation import evaluate
from tagger.runtime.sentence_tagger import choose_tasks
from tagger.text.sentence import from_tokens
from tagger.training.checkpoint import CHECKPOINT
from tagger.training.loop import EpochRecord, StepRecord
from tagger.training.run import DataRecord, StopRecord, run_training
from tagger.training.run_folder import epoch_values
from tagger.training.temperatures import THRESHOLD_GRID

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("drawn_curves")]

COLUMNS = "token,pos,ner"


def make_config(**changes: object) -> Config:
    return load_config(None, {**SMALL, "data.tasks": ("pos", "ner"), "data.columns": COLUMNS} | changes)


def run(corpus: Path, output: Path, config: Config | None = None, **options: object) -> list:
    options = {"dev_files": [corpus / "dev.conll"]} | options
    return list(
        run_training(config or make_config(), output, train_files=[corpus / "train.conll"], **options)
    )


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory) -> tuple[Path, list]:
    output = tmp_path_factory.mktemp("finished") / "deep" / "model"
    return output, run(corpus, output)


def epochs_of(records: list) -> list[EpochRecord]:
    return [record for record in records if isinstance(record, EpochRecord)]


def test_the_records_come_in_order(finished):
    _, records = finished
    assert isinstance(records[0], DataRecord)
    assert len(epochs_of(records)) == 3
    assert all(isinstance(record, StepRecord | EpochRecord) for record in records[1:])
    steps = [record for record in records if isinstance(record, StepRecord)]
    assert [(s.epoch, s.step) for s in steps] == [
        (e, n) for e in (1, 2, 3) for n in range(1, steps[0].steps + 1)
    ]


def test_the_folder_has_the_model_of_the_best_epoch(corpus, finished):
    output, records = finished
    epochs = epochs_of(records)
    best = [record for record in epochs if record.is_best][-1]
    assert best.score == max(record.score for record in epochs)
    bundle = load_bundle(output)
    assert {path.name for path in output.iterdir()} == {
        *FILES, "metrics.jsonl", "learning_curves.svg", CHECKPOINT
    }  # fmt: skip
    assert bundle.metrics["epoch"] == best.epoch
    assert bundle.metrics["dev"] == json.loads(json.dumps(best.dev))
    for name, tensor in best.weights.items():
        assert torch.equal(torch.from_numpy(bundle.tensors[name].copy()), tensor)
    dev = list(read_sentences(corpus / "dev.conll", columns=COLUMNS, tasks=("pos", "ner")))
    assert evaluate(Tagger.load(output), dev).scores == bundle.metrics["dev"]


def test_metrics_have_one_line_per_epoch(finished):
    output, records = finished
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    assert lines == [json.loads(json.dumps(epoch_values(record))) for record in epochs_of(records)]
    assert "weights" not in lines[0]


def test_the_data_record_counts_sentences_and_tokens(corpus, finished):
    data = finished[1][0].data
    for split in ("train", "dev"):
        sentences = list(read_sentences(corpus / f"{split}.conll", columns=COLUMNS))
        assert data[split]["file"] == f"{split}.conll"
        assert (data[split]["sentences"], data[split]["tokens"]) == (len(sentences), sum(map(len, sentences)))
        assert data[split]["schemes"] == {"pos": None, "ner": "IOB2"}
        assert data[split]["repairs"] == {"ner": 0}
    assert data["vectors"] is None


def test_the_learning_curves_are_an_svg_file(finished):
    picture = ElementTree.parse(finished[0] / "learning_curves.svg")
    assert picture.getroot().tag.endswith("svg")


def test_the_card_has_data_scores_settings_and_a_usage_example(finished):
    output, _ = finished
    card = (output / "README.md").read_text()
    metrics = json.loads((output / "metrics.json").read_text())
    settings = json.loads((output / "config.json").read_text())
    for section in ("data", "model", "train"):
        for key in settings[section]:
            assert f"| {section}.{key} | " in card
    for key in settings["tokenizer"]:
        assert f"| {key} | " in card
    for split in ("train", "dev"):
        counts = metrics["data"][split]
        assert f"| {split} | {counts['file']} | {counts['sentences']} | {counts['tokens']} |" in card
    assert f"{metrics['dev']['ner']['f1']:.4f}" in card
    assert f"{metrics['dev']['pos']['accuracy']:.4f}" in card
    assert str(output.parent) not in card
    example = card.partition("```python\n")[2].partition("```")[0]
    exec(example.replace("this/folder", str(output)), {"print": lambda *_: None})


def test_vectors_repairs_and_unseen_tags_are_reported(corpus, tmp_path):
    (tmp_path / "v.txt").write_text("oslo 1 0 0\nlima 0 1 0\noslo 1 1 1\nnowhere 0 0 1\n")
    broken = "Ada X I-PER\nsang X O\n\nOtto X B-ART\nsang X I-ART\n\nMia X B-PER\nsang VERB O\n\n"
    (tmp_path / "broken.conll").write_text(broken)
    records = run(
        corpus, tmp_path / "m", make_config(**{"train.epochs": 1, "data.unseen_tags": "count"}),
        vectors_file=tmp_path / "v.txt", dev_files=[tmp_path / "broken.conll"],
    )  # fmt: skip
    data = records[0].data
    assert data["dev"]["repairs"] == {"ner": 1}
    assert data["dev"]["unseen_tags"] == {"pos": 5, "ner": 2}
    assert data["train"]["unseen_tags"] == {}
    words = {
        token.lower() for s in read_sentences(corpus / "train.conll", columns=COLUMNS) for token in s.tokens
    }
    assert data["vectors"] == {
        "file": "v.txt", "size": 3, "words": len(words), "covered": 2, "frozen": 1, "duplicates": 1
    }  # fmt: skip
    card = (tmp_path / "m" / "README.md").read_text()
    assert "In dev 1 ner tags were illegal" in card
    assert "In dev 5 pos tags do not occur in train and count as wrong." in card
    assert "In dev 2 ner tags do not occur in train" in card
    assert f"2 of {len(words)} words" in card


def test_the_saved_model_has_temperatures_fitted_on_dev(corpus, finished):
    bundle = load_bundle(finished[0])
    dev = list(read_sentences(corpus / "dev.conll", columns=COLUMNS, tasks=("pos", "ner")))
    expected = fit_temperatures(Tagger(bundle), dev)  # with the numpy engine instead of torch
    assert bundle.temperatures == pytest.approx(expected, rel=5e-3)
    assert set(bundle.temperatures) == {"pos", "ner"}
    fitted = ", ".join(f"{task} {value:g}" for task, value in bundle.temperatures.items())
    assert f"Probabilities are calibrated on dev; temperatures: {fitted}." in bundle.card


@pytest.mark.parametrize("options", [{}, {"model.scheme": "IOB2", "model.constrain": False}])
def test_the_saved_model_has_dev_scores_of_thresholds(corpus, tmp_path, options):
    # Of several labels, one token without a gold tag, and one with an unknown tag.
    dev = tmp_path / "dev.conll"
    strange = "Ada STRANGE B-STRANGE\nmet _ O\nOtto PROPN ?\n\n"
    dev.write_text((corpus / "dev.conll").read_text(encoding="utf-8") + strange, encoding="utf-8")
    config = make_config(**{"train.epochs": 2, "data.unseen_tags": "count", **options})
    list(run_training(config, tmp_path / "m", train_files=[corpus / "train.conll"], dev_files=[dev]))
    tagger = Tagger.load(tmp_path / "m")
    stored = tagger.bundle.metrics["thresholds"]
    sentences = list(read_sentences(dev, columns=COLUMNS, tasks=("pos", "ner")))
    measured = measure_calibration(tagger, sentences)  # with the numpy engine instead of torch
    assert set(stored) == set(measured) == {"pos", "ner"}
    for task, calibration in measured.items():
        expected = calibration.against(THRESHOLD_GRID)
        assert [one["min_score"] for one in stored[task]] == [*(step / 20 for step in range(20)), 0.99]
        # Rounding may move a score over a threshold.
        count = max(one["found"] for one in expected)
        for one, other in zip(stored[task], expected, strict=True):
            assert one == pytest.approx(other, abs=2 / count if count else 0, rel=0.02)
        assert stored[task][0] == expected[0]
        assert count > stored[task][-1]["found"]


def test_temperatures_are_fitted_despite_unknown_tags_in_dev(corpus, tmp_path):
    dev = tmp_path / "dev.conll"
    strange = "Ada STRANGE B-STRANGE\nmet VERB O\n\n"
    dev.write_text((corpus / "dev.conll").read_text(encoding="utf-8") + strange, encoding="utf-8")
    config = make_config(**{"train.epochs": 1, "data.unseen_tags": "count", "model.context": "sentence"})
    for name, path in (("a", corpus / "dev.conll"), ("b", dev)):
        files = {"train_files": [corpus / "train.conll"], "dev_files": [path]}
        list(run_training(config, tmp_path / name, **files))
    a, b = (load_bundle(tmp_path / name).temperatures for name in ("a", "b"))
    assert a == pytest.approx(b, rel=2e-3)


def test_a_stopped_run_calibrates_its_model(corpus, tmp_path):
    records = run(corpus, tmp_path / "m", is_stopped=lambda: (tmp_path / "m" / "config.json").exists())
    assert isinstance(records[-1], StopRecord)
    assert set(load_bundle(tmp_path / "m").temperatures) == {"pos", "ner"}


def test_without_dev_the_last_epoch_is_saved(corpus, tmp_path):
    records = run(corpus, tmp_path, dev_files=[])
    bundle = load_bundle(tmp_path)
    assert (bundle.metrics["epoch"], bundle.metrics["score"], bundle.metrics["dev"]) == (3, None, {})
    last = epochs_of(records)[-1]
    for name, tensor in last.weights.items():
        assert torch.equal(torch.from_numpy(bundle.tensors[name].copy()), tensor)
    assert "without a dev split" in bundle.card
    assert load_bundle(tmp_path).temperatures == {}


def test_the_same_seed_gives_the_same_result(corpus, finished, tmp_path):
    again = epochs_of(run(corpus, tmp_path))
    first = epochs_of(finished[1])
    assert [(r.loss, r.score) for r in again] == [(r.loss, r.score) for r in first]
    assert (tmp_path / "model.safetensors").read_bytes() == (finished[0] / "model.safetensors").read_bytes()


def test_a_closed_generator_leaves_an_intact_model(corpus, tmp_path):
    records = run_training(
        make_config(), tmp_path, train_files=[corpus / "train.conll"], dev_files=[corpus / "dev.conll"]
    )
    for record in records:
        if isinstance(record, EpochRecord):
            break
    records.close()
    assert load_bundle(tmp_path).metrics["epoch"] == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1
    assert (tmp_path / "learning_curves.svg").exists()


def test_an_earlier_model_is_replaced_but_not_by_a_run_that_cannot_start(corpus, tmp_path):
    config = make_config(**{"train.epochs": 2, "model.head": "softmax"})
    run(corpus, tmp_path, config)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError) as error:
        run(corpus, tmp_path, dev_files=[corpus / "missing.conll"])
    assert (error.value.code, error.value.file) == ("file.missing", str(corpus / "missing.conll"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    run(corpus, tmp_path, make_config(**{"train.epochs": 1}))
    assert load_bundle(tmp_path).config.model.head == "crf"
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1


def test_an_output_that_is_a_file_is_an_error_before_the_corpus_is_read(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as error:
        run(tmp_path / "nowhere", tmp_path / "file" / "below")
    assert (error.value.code, error.value.file) == ("file.kind", str(tmp_path / "file"))
    assert error.value.option == "--output"


@pytest.mark.parametrize("name", ["README.md", "config.json", "metrics.jsonl"])
def test_files_that_belong_to_no_model_are_not_overwritten(corpus, tmp_path, name):
    (tmp_path / name).write_text('{"format": "other"}')
    with pytest.raises(InputError, match=name) as error:
        run(corpus, tmp_path)
    assert (error.value.code, error.value.where) == ("run.exists", str(tmp_path))
    assert error.value.option == "--output"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: '{"format": "other"}'}


def test_an_earlier_model_stays_intact_until_the_first_epoch_is_done(corpus, tmp_path):
    config = make_config(**{"train.epochs": 1})
    run(corpus, tmp_path, config)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    records = run_training(config, tmp_path, train_files=[corpus / "train.conll"])
    while not isinstance(next(records), StepRecord):
        pass
    records.close()
    before.pop(CHECKPOINT)  # the checkpoint of the new run
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != CHECKPOINT}
    assert left == before


@pytest.mark.parametrize("name", ["metrics.jsonl", "learning_curves.svg"])
def test_an_error_names_the_file_that_cannot_be_written(corpus, tmp_path, name, monkeypatch):
    replace = Path.replace

    def fail(path: Path, target: Path) -> Path:
        if target.name == name:
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match="No space left") as error:
        run(corpus, tmp_path, make_config(**{"train.epochs": 1}))
    assert (error.value.code, error.value.where) == ("file.unwritable", str(tmp_path / name))


def test_the_legend_does_not_overlap_the_curves(finished):
    picture = ElementTree.parse(finished[0] / "learning_curves.svg")

    def frame(name: str) -> list[float]:
        """Return the y coordinates of the corners of a group's first patch, from the top."""
        path = next(group for group in picture.iter() if group.get("id") == name).find(".//{*}path")
        return [float(y) for y in re.findall(r"[ML] \S+ (\S+)", path.get("d"))]

    assert min(frame("legend_1")) > max(*frame("axes_1"), *frame("axes_2"))


def test_evaluate_names_missing_tags_and_unknown_tasks(finished):
    tagger = Tagger.load(finished[0])
    bare = [from_tokens(["Ada", "sang"]).with_tags({"pos": ["PROPN", "VERB"]})]
    assert set(evaluate(tagger, bare, tasks=["pos"]).scores) == {"pos"}
    with pytest.raises(InputError, match=r"sentence 1: .*'ner'.*the columns pos\)\."):
        evaluate(tagger, bare)
    with pytest.raises(InputError, match=r"no task 'chunk'\. Its tasks are pos, ner"):
        choose_tasks(tagger, ["chunk"])
    assert choose_tasks(tagger, ["ner", "ner"]) == ("ner",)
    assert choose_tasks(tagger, None) == ("pos", "ner")


def test_evaluate_does_not_depend_on_the_scheme_of_the_tagger(corpus, finished):
    dev = list(read_sentences(corpus / "dev.conll", columns=COLUMNS, tasks=("pos", "ner")))
    plain, other = (evaluate(Tagger.load(finished[0], scheme=scheme), dev) for scheme in ("IOB2", "BIOES"))
    assert plain.scores == other.scores
