"""Publishing models on a local hub: the files, the card's metadata, and everything that can fail."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from bundles import make_bundle
from command_line import input_error, run
from encoders import make_bert
from input_errors import check, raises
from local_hub import LocalHub, Repository, use_hub

from tagger import Tagger, train
from tagger.bundle import FILES, load_bundle, save_bundle
from tagger.included import find_model, included_models
from tagger.integrations.publishing import push_model
from tagger.model_hub import ENCODER_FILES, HubAddress, find_pulled, pull_model

TEXT = "Ada met Otto in Oslo."


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[LocalHub]:
    hub = LocalHub()
    with hub.serve():
        use_hub(hub.address, tmp_path / "cache", monkeypatch)
        yield hub


def files_of(hub: LocalHub, name: str = "ada/news") -> dict[str, bytes]:
    repository = hub.repositories[name]
    return repository.commits[repository.references["main"]]


def test_a_pushed_model_is_pulled_and_tags_the_same(hub, model):
    code, output, error = run("push", model, "ada/news", "--license", "mit")
    assert code == 0, error
    sha = hub.repositories["ada/news"].references["main"]
    assert output == f"ada/news@{sha}\n"
    assert output.strip() in error
    assert files_of(hub).keys() == {".gitattributes", *FILES}
    for name in set(FILES) - {"README.md"}:
        assert files_of(hub)[name] == (model / name).read_bytes()
    assert Tagger.load("ada/news").tag(TEXT) == Tagger.load(model).tag(TEXT)
    assert find_model("ada/news").name == sha
    assert run("push", model, "ada/news", "--license", "mit")[0] == 0  # an update


def test_the_metadata_of_the_card(hub, model):
    push_model(model, "ada/news", license="mit")
    content = files_of(hub)["README.md"].decode()
    assert content.endswith((model / "README.md").read_text())
    data = huggingface_hub.ModelCard(content).data
    assert hub.cards == [data.to_dict()]
    assert (data.pipeline_tag, data.license, data.library_name) == ("token-classification", "mit", "tagger")
    assert data.model_name == "news"
    seed = load_bundle(model).config.train.seed
    metrics = json.loads((model / "metrics.json").read_text())
    expected = {
        (f"{task} {key}", key): metrics["dev"][task][key]
        for task, keys in (("ner", ("f1", "precision", "recall")), ("pos", ("accuracy",)))
        for key in keys
    }
    assert {(one.metric_name, one.metric_type): one.metric_value for one in data.eval_results} == expected
    for one in data.eval_results:
        assert (one.task_type, one.metric_args) == ("token-classification", {"seed": seed})
        assert (one.dataset_type, one.dataset_name, one.dataset_split) == ("dev.conll", "dev.conll", "dev")
    push_model(model, "ada/news", license="mit", dataset="ada/dataset: #1")
    data = huggingface_hub.ModelCard(files_of(hub)["README.md"].decode()).data
    assert {one.dataset_type for one in data.eval_results} == {"ada/dataset: #1"}


def test_a_pulled_model_keeps_its_licence_and_metadata(hub, model, tmp_path):
    card = (
        f"---\nlanguage: fr\nlicense: cc-by-sa-4.0\npipeline_tag: fill-mask\n---\n{load_bundle(model).card}"
    )
    save_bundle(replace(load_bundle(model), card=card), tmp_path / "model")
    push_model(tmp_path / "model", "ada/news")
    push_model(pull_model(HubAddress("ada/news", None)), "bo/copy")
    assert hub.cards[0] | {"model-index": []} == hub.cards[1] | {"model-index": []}
    assert (hub.cards[1]["license"], hub.cards[1]["language"]) == ("cc-by-sa-4.0", "fr")
    assert hub.cards[1]["pipeline_tag"] == "token-classification"
    assert run("push", tmp_path / "model", "ada/news", "--license", "mit")[0] == 0
    assert hub.cards[2]["license"] == "mit"


def test_a_model_without_scores_has_no_model_index(hub, pos_model, bundle):
    for folder in (pos_model, bundle):  # trained without dev; random weights
        push_model(folder, "ada/news", license="mit")
        assert "model-index" not in hub.cards[-1]


def test_other_files_stay_at_home(hub, model, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "secret.txt").write_text("x")
    (tmp_path / "model" / "encoder").mkdir()
    for name in ENCODER_FILES:
        (tmp_path / "model" / name).write_text("{}")
    push_model(tmp_path / "model", "ada/news", license="mit", is_private=True)
    assert files_of(hub).keys() == {".gitattributes", *FILES}
    assert hub.repositories["ada/news"].is_private


@pytest.mark.parametrize("name", FILES)
def test_links_out_of_the_model_are_rejected(hub, model, tmp_path, name):
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    (tmp_path / "model" / name).symlink_to(model / name)
    with raises("bundle.damaged", file=f"model/{name}", mentions="link"):
        push_model(tmp_path / "model", "ada/news", license="mit")
    (tmp_path / "link").symlink_to(model)  # the folder itself may be a link
    push_model(tmp_path / "link", "ada/news", license="mit")


def test_pushes_that_cannot_succeed_make_no_request(hub, model, tmp_path, monkeypatch):
    error = input_error("push", model, "ada/news")
    check(error, "option.value", file="ada/news", option="--license", mentions="--license mit")
    for name in ("news", "ada/news@v1", "../news", "a/b/c"):
        check(input_error("push", model, name, "--license", "mit"), "argument.value", file=name)
    check(input_error("push", tmp_path, "ada/news", "--license", "mit"), "bundle.damaged", file="config.json")
    use_hub(hub.address, tmp_path / "cache", monkeypatch, token=None)
    error = input_error("push", model, "ada/news", "--license", "mit")
    check(error, "bundle.output", file="ada/news", mentions="`hf auth login`")
    assert hub.log == []


def test_pushes_that_the_hub_rejects(hub, model, tmp_path, monkeypatch):
    def fails(mentions: str, option: str = "", license: str = "mit") -> None:
        error = input_error("push", model, "ada/news", "--license", license)
        check(error, "bundle.output", file="ada/news", mentions=mentions, option=option)

    fails("must be a known licence", "--license", "none")
    hub.repositories["ada/news"] = Repository()
    before = hub.repositories["ada/news"].commit({"config.json": b"{}", "model.safetensors": b""})
    fails("is not a model of tagger")
    use_hub(hub.address, tmp_path / "cache", monkeypatch, token="hf_wrong")
    fails("(status 401)")
    use_hub(hub.address, tmp_path / "cache", monkeypatch)
    hub.status = 500
    fails("(status 500)")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    use_hub(address, tmp_path / "cache", monkeypatch)
    fails("Check the network")
    assert hub.repositories["ada/news"].references["main"] == before


def test_a_broken_upload_leaves_the_earlier_model(hub, model, monkeypatch):
    earlier = push_model(model, "ada/news", license="mit")
    hub.failing = "/commit/"
    with raises("bundle.output", file="ada/news", mentions="(status 503)"):
        push_model(model, "ada/news", license="cc-by-sa-4.0")
    assert hub.repositories["ada/news"].references["main"] == earlier.revision


@pytest.mark.parametrize(
    "metrics", [{"dev": 1}, {"dev": {"ner": {"f1": 1}}}, {"dev": {"ner": {"f1": "x"}}, "data": 1}]
)
def test_damaged_metrics(hub, tmp_path, metrics):
    save_bundle(replace(make_bundle()[1], metrics=metrics), tmp_path / "model")
    with raises("bundle.damaged", file="ada/news"):
        push_model(tmp_path / "model", "ada/news", license="mit")
    assert hub.log == []


@pytest.mark.skipif("en" not in included_models(), reason="the English model is not built here")
def test_the_english_model(hub):
    address = push_model(find_model("en"), "ada/en", license="cc-by-sa-4.0", dataset="UD English EWT")
    results = {one["name"]: one["value"] for one in hub.cards[0]["model-index"][0]["results"][0]["metrics"]}
    expected = Tagger.load("en").bundle.metrics["dev"]
    assert (results["ner f1"], results["pos accuracy"]) == (
        expected["ner"]["f1"],
        expected["pos"]["accuracy"],
    )
    assert Tagger.load(str(address)).tag(TEXT) == Tagger.load("en").tag(TEXT)


@pytest.mark.slow
def test_a_model_with_a_contextual_encoder(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("TAGGER_CACHE", str(tmp_path / "states"))
    source = make_bert(tmp_path / "bert")
    assert run("encoder", "export", source, tmp_path / "encoder", "--layers", "0,2")[0] == 0
    data = [(["Ada", "met", "Bo"], ["B-PER", "O", "B-PER"]), (["Rome"], ["B-LOC"])]
    trained = train(
        data,
        encoder=str(tmp_path / "encoder"),
        output=tmp_path / "model",
        hidden_size=4,
        epochs=1,
        min_steps=0,
    )
    push_model(tmp_path / "model", "ada/news", license="mit")
    assert files_of(hub).keys() == {".gitattributes", *FILES, *ENCODER_FILES}
    assert not [name for name, content in files_of(hub).items() if bytes(tmp_path) in content]
    for folder in ("bert", "encoder", "model"):
        shutil.rmtree(tmp_path / folder)
    assert Tagger.load("ada/news").tag(TEXT) == trained.tag(TEXT)
    hub.broken[ENCODER_FILES[0]] = 100
    hub.repositories["bo/news"] = hub.repositories["ada/news"]
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    with raises("file.unreadable", file="bo/news"):
        Tagger.load("bo/news")
    assert find_pulled(HubAddress("bo/news", None)) is None


@pytest.mark.slow
def test_the_commands_with_environment_variables(hub, model, tmp_path):
    environment = os.environ | {
        "HF_ENDPOINT": hub.address,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home"),
    }
    for words in (
        ("push", model, "ada/news", "--license", "mit"),
        ("pull", "ada/news"),
        ("info", "ada/news"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "tagger", *words], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert "arning" not in done.stderr
    assert Path(tmp_path / "home").is_dir()
