"""A comparison's runs: what they share, how they are kept, and how one goes on that was broken off."""

import json
import multiprocessing
from itertools import islice
from pathlib import Path

import pytest
import torch
from command_line import SMALL

from tagger.config import load_config
from tagger.errors import InputError
from tagger.experiments.comparison import GridRecord, compare
from tagger.experiments.grid import build_grid
from tagger.experiments.material import Material, Request, gather_material, require_local_features
from tagger.experiments.results import Comparison
from tagger.experiments.run_files import load_run
from tagger.experiments.training import EpochDone, RunDone
from tagger.network.model import TaggingModel
from tagger.training.progress import build_model

EPOCHS = 2
VARIANTS = build_grid(("forward", "bidirectional"), ("concat",), ("softmax",))


def make_request(corpus: Path, output: Path, **changes: object) -> Request:
    options = {"train.epochs": EPOCHS, "data.columns": "token,pos,ner", "model.scheme": "IOB2"}
    values = {
        "config": load_config(None, SMALL | options),
        "train_file": corpus / "train.conll",
        "dev_file": corpus / "dev.conll",
        "test_file": None,
        "vectors_file": None,
        "variants": VARIANTS,
        "seeds": 2,
        "match": "hidden",
        "lookaheads": (),
        "output": output,
    }
    return Request(**(values | changes))  # type: ignore[arg-type]


def finish(request: Request, processes: int = 1) -> tuple[list, Comparison]:
    """All records, and the comparison."""
    records, seen = compare(request, processes=processes), []
    while True:
        try:
            seen.append(next(records))
        except StopIteration as end:
            return seen, end.value


@pytest.fixture(scope="module")
def whole(corpus: Path, folder: Path) -> tuple[list, Comparison]:
    """A comparison that nothing disturbed; it is only read."""
    return finish(make_request(corpus, folder / "whole", test_file=corpus / "train.conll"))


def outcomes(comparison: Comparison) -> dict:
    """What has to be the same however a comparison came about: all but times."""
    return {
        run.name: (run.scores["dev"], run.predictions["dev"], [one["loss"] for one in run.curve])
        for run in comparison.runs
    }


def test_every_run_of_the_grid_is_made_seed_by_seed(whole):
    records, comparison = whole
    assert isinstance(records[0], GridRecord)
    assert records[0].finished == {}
    made = [record.name for record in records if isinstance(record, RunDone)]
    assert made == [job.name for job in records[0].jobs]
    assert made == [f"{variant.name}-{seed}" for seed in (1, 2) for variant in VARIANTS]
    epochs = [(one.name, one.epoch) for one in records if isinstance(one, EpochDone)]
    assert epochs == [(name, epoch) for name in made for epoch in range(1, EPOCHS + 1)]
    assert [run.name for run in comparison.runs] == [f"{v.name}-{seed}" for v in VARIANTS for seed in (1, 2)]


def test_scores_are_those_of_the_last_epoch_on_each_part(whole):
    _, comparison = whole
    assert (comparison.task, comparison.measure) == ("ner", "f1")
    for run in comparison.runs:
        assert run.scores["dev"]["f1"] == run.curve[-1]["score"]
        assert set(run.scores) == set(run.predictions) == {"dev", "test"}
        for part, gold in comparison.gold.items():
            lengths = [len(sentence) for sentence in gold.sentences]
            assert [len(tags) for tags in run.predictions[part]] == lengths
    assert len(comparison.gold["dev"].sentences) == 12


def test_equal_seeds_have_equal_word_and_character_features_at_first(corpus, tmp_path):
    request = make_request(
        corpus,
        tmp_path,
        variants=build_grid(("forward", "backward", "bidirectional"), ("concat", "sum"), ("softmax", "crf")),
        match="hidden",
    )
    material = gather_material(request)
    models = {
        (job.variant, job.seed): build_model(material.preparation, material.configure(job)).state_dict()
        for job in material.jobs()
    }
    words = {seed: [weights for (_, its), weights in models.items() if its == seed] for seed in (1, 2)}
    for own in words.values():
        for name in (name for name in own[0] if name.startswith("words.")):
            assert all(torch.equal(own[0][name], other[name]) for other in own)
    trained = "words.trained.weight"
    assert not torch.equal(words[1][0][trained], words[2][0][trained])


def test_a_later_call_makes_only_what_is_missing(corpus, tmp_path, whole):
    request = make_request(corpus, tmp_path, seeds=1, test_file=corpus / "train.conll")
    finish(request)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    more = make_request(corpus, tmp_path, test_file=corpus / "train.conll")
    records, comparison = finish(more)
    assert set(records[0].finished) == {f"{variant.name}-1" for variant in VARIANTS}
    assert {one.name for one in records if isinstance(one, RunDone)} == {f"{v.name}-2" for v in VARIANTS}
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    assert before.items() <= after.items()
    assert outcomes(comparison) == outcomes(whole[1])


@pytest.mark.parametrize("events", [2, 3, 6])
def test_a_comparison_that_was_broken_off_ends_as_if_it_never_was(corpus, tmp_path, whole, events):
    request = make_request(corpus, tmp_path, test_file=corpus / "train.conll")
    records = compare(request)
    list(islice(records, events))
    records.close()
    assert outcomes(finish(request)[1]) == outcomes(whole[1])


def test_a_run_goes_on_from_its_checkpoint(corpus, tmp_path, whole):
    request = make_request(corpus, tmp_path, test_file=corpus / "train.conll")
    minutes = {"train": request.config.train.model_copy(update={"checkpoint_minutes": 1e-9})}
    request = make_request(
        corpus,
        tmp_path,
        test_file=corpus / "train.conll",
        config=request.config.model_copy(update=minutes),
    )
    records = compare(request)
    list(islice(records, 2))  # the grid, the first epoch
    next(records)
    records.close()
    name = f"{VARIANTS[0].name}-1"
    assert (tmp_path / "runs" / name / "checkpoint.safetensors").exists()
    seen, comparison = finish(request)
    repeated = [one.epoch for one in seen if isinstance(one, EpochDone) and one.name == name]
    assert repeated == [2]
    assert outcomes(comparison) == outcomes(whole[1])
    assert not (tmp_path / "runs" / name).exists()


def test_runs_side_by_side_come_out_the_same(corpus, tmp_path, whole):
    request = make_request(corpus, tmp_path, test_file=corpus / "train.conll")
    records, comparison = finish(request, processes=2)
    assert sum(isinstance(record, RunDone) for record in records) == 4
    assert outcomes(comparison) == outcomes(whole[1])


def test_a_process_that_is_killed_ends_the_comparison_with_a_message(corpus, tmp_path):
    request = make_request(corpus, tmp_path, seeds=3)
    records = compare(request, processes=2)
    next(records)
    next(records)  # an epoch: the processes are at work
    for child in multiprocessing.active_children():
        child.kill()
    with pytest.raises(InputError, match=r"was ended from outside.*fewer --jobs.*finished runs are kept"):
        list(records)


def test_runs_of_something_else_are_not_taken_for_these(corpus, tmp_path):
    finish(make_request(corpus, tmp_path, seeds=1, variants=VARIANTS[:1]))
    other = load_config(None, SMALL | {"train.epochs": 3, "data.columns": "token,pos,ner"})
    with pytest.raises(InputError, match=r"forward-softmax-1\.json: .*train\.epochs is 3, was 2.* --output"):
        finish(make_request(corpus, tmp_path, seeds=1, config=other))


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"format": "tagger comparison run 1"}', "\0"])
def test_a_damaged_file_of_a_run_is_named(corpus, tmp_path, content):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "forward-softmax-1.json").write_text(content)
    with pytest.raises(InputError, match=r"forward-softmax-1\.json: .*damaged.*delete it"):
        finish(make_request(corpus, tmp_path))


def test_a_run_comes_back_from_its_file(whole, corpus, folder):
    request = make_request(corpus, folder / "whole", test_file=corpus / "train.conll")
    material = gather_material(request)
    runs = {run.name: run for run in whole[1].runs}
    for job in material.jobs():
        run = load_run(job.name, material.describe(job), material.folder)
        assert run == runs.pop(job.name)
        kept = json.loads((material.folder / f"{job.name}.json").read_text())
        assert kept["run"] == json.loads(json.dumps(run.values()))
    assert not runs


def test_bidirectional_models_are_scored_with_bounded_lookahead(corpus, tmp_path):
    variants = build_grid(("forward", "bidirectional"), ("sum",), ("crf",), has_lookahead=True)
    request = make_request(corpus, tmp_path, seeds=1, variants=variants, lookaheads=(0, 1, 50, None))
    runs = {run.variant: run for run in finish(request)[1].runs}
    assert runs.pop(variants[0]).lookahead == {}
    for variant, run in runs.items():
        assert variant.direction == "bidirectional"
        assert list(run.lookahead) == ["0", "1", "50", "full"]
        assert run.lookahead["50"].score == run.lookahead["full"].score == run.scores["dev"]["f1"]
        assert all((one.microseconds is None) == (words == "full") for words, one in run.lookahead.items())
    whole, drawn = (run.curve[-1]["loss"] for run in runs.values())
    assert whole != drawn


def material_of(corpus: Path, output: Path) -> Material:
    return gather_material(make_request(corpus, output))


def test_features_of_single_words_pass(corpus, tmp_path):
    require_local_features(material_of(corpus, tmp_path))


def test_features_that_see_the_whole_sentence_are_refused(corpus, tmp_path, monkeypatch):
    forward = TaggingModel.forward

    def leak(self, batch, chunks=None):
        last = batch.positions[:, -1:].astype("float32")
        return {
            name: one + torch.from_numpy(last)[:, :, None]
            for name, one in forward(self, batch, chunks).items()
        }

    material = material_of(corpus, tmp_path)
    monkeypatch.setattr(TaggingModel, "forward", leak)
    with pytest.raises(InputError, match="see both sides and the comparison would be void"):
        require_local_features(material)
