"""The commands train, evaluate and info, and the handling of invalid input."""

import json
import os
import re
import subprocess
import sys
from unittest.mock import patch

import pytest
from command_line import OPTIONS, input_error, rows, run, run_error, train
from input_errors import check

from tagger import Tagger
from tagger.corpus.files import read_sentences
from tagger.text.schemes import convert_tags

pytestmark = pytest.mark.slow

# Training


def test_training_prints_data_epochs_and_result(corpus, model):
    files = ("--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--output", corpus / "printed")
    code, output, _ = train(*files, "--columns", "token,pos,ner", "--task=pos", "--task=ner")
    assert code == 0
    sentences = list(read_sentences(corpus / "train.conll", columns="token,pos,ner"))
    assert f"{len(sentences)} sentences, {sum(map(len, sentences))} tokens" in output
    assert "spans in IOB2, learnt as BIOES; 2 labels: LOC, PER" in output
    assert len(re.findall(r"^epoch \d/3  loss", output, re.MULTILINE)) == 3
    for expected in ("best: epoch", "conlleval mode", "strict mode, IOB2", "unseen", "LOC", "accuracy"):
        assert expected in output
    assert "\x1b" not in output
    names = {path.name for path in (corpus / "printed").iterdir()}
    assert {"config.json", "metrics.jsonl", "learning_curves.svg", "README.md"} <= names


def test_a_terminal_gets_a_live_display(corpus, model, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    files = ("--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--output", corpus / "live")
    code, output, _ = train(*files, terminal=True)
    assert code == 0
    assert re.search(r"tokens/s · \d+:\d\d left", output)
    assert "\x1b[" in output


def test_without_dev_the_last_epoch_is_kept(corpus, pos_model):
    description = json.loads(run("info", pos_model, "--json")[1])
    assert description["epoch"] == 3
    assert description["dev"] == {}
    assert description["data"]["dev"] is None


def test_flags_settings_and_a_config_file_reach_the_model(corpus, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[data]\ncolumns = "token,_,ner"\n[model]\nhidden_size = 5\nhead = "softmax"\nlayers = 2\n'
    )
    flags = (
        "--direction",
        "backward",
        "--merge-mode",
        "ave",
        "--head",
        "crf",
        "--epochs",
        "1",
        "--seed",
        "7",
    )
    files = ("--train", corpus / "train.conll", "--output", tmp_path / "model")
    code, _, error = run(
        "train", recipe, *files, *flags, "--set", "model.layers=1", "--set", "model.characters=none"
    )
    assert (code, error) == (0, "")
    config = Tagger.load(tmp_path / "model").bundle.config
    assert (config.data.tasks, config.data.columns) == (("ner",), "token,_,ner")
    model = config.model
    assert (model.direction, model.merge_mode, model.head) == ("backward", "ave", "crf")
    assert (model.hidden_size, model.layers, model.characters) == (5, 1, "none")
    assert (config.train.epochs, config.train.seed) == (1, 7)


def test_an_interrupted_training_names_the_saved_model(corpus, tmp_path):
    from tagger.training import loop
    from tagger.training import run as run_module

    def interrupted(*arguments: object):
        for record in loop.train(*arguments):
            yield record
            if isinstance(record, loop.EpochRecord):
                raise KeyboardInterrupt

    files = ("--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--output", tmp_path)
    with patch.object(run_module, "train", interrupted):
        code, output, error = train(*files)
    assert (code, error) == (130, "")
    assert "interrupted" in output
    assert "epoch 1" in output.splitlines()[-1]
    assert Tagger.load(tmp_path).tag("Ada sang.")
    assert (tmp_path / "learning_curves.svg").exists()


@pytest.mark.parametrize("module", ["torch", "torchcrf", "accelerate", "seqeval", "matplotlib"])
def test_a_missing_extra_is_reported(corpus, tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    code, output, error = run("train", "--train", corpus / "train.conll", "--output", tmp_path)
    assert (code, output) == (2, "")
    assert "Install the extra `train`" in error
    assert module in error


# Scoring and describing


def test_evaluate_agrees_with_training(corpus, model):
    code, output, error = run("evaluate", model, corpus / "dev.conll", "--json")
    assert (code, error) == (0, "")
    result = json.loads(output)
    scores = ["tasks", "unseen_tags", "sentences", "tokens", "tokens_per_second"]
    assert list(result) == [*scores, "confusion", "frequent", "mistakes", "min_score", "calibration", "read"]
    dev = list(read_sentences(corpus / "dev.conll", columns="token,pos,ner"))
    assert (result["sentences"], result["tokens"]) == (len(dev), sum(map(len, dev)))
    assert {"f1", "precision", "recall", "support", "strict", "by_label", "seen", "unseen"} <= set(
        result["tasks"]["ner"]
    )
    assert {"accuracy", "support", "seen", "unseen"} <= set(result["tasks"]["pos"])
    # The numpy engine agrees with torch.
    assert result["tasks"] == json.loads((model / "metrics.json").read_text())["dev"]
    table = run("evaluate", model, corpus / "dev.conll")[1]
    assert f"{result['tasks']['ner']['f1']:.4f}" in table
    assert f"{result['tasks']['pos']['accuracy']:.4f}" in table


def test_evaluate_supports_other_schemes_and_columns(corpus, model, tmp_path):
    lines = []
    for sentence in read_sentences(corpus / "dev.conll", columns="token,pos,ner"):
        tags = convert_tags(sentence.tags["ner"], "IOB2", "IOB1")
        lines += [f"{tag}\t{token}" for tag, token in zip(tags, sentence.tokens, strict=True)] + [""]
    (tmp_path / "other.txt").write_text("\n".join(lines))
    arguments = ("--columns", "ner,token", "--task", "ner", "--json")
    result = json.loads(run("evaluate", model, tmp_path / "other.txt", *arguments)[1])
    assert set(result["tasks"]) == {"ner"}
    expected = json.loads((model / "metrics.json").read_text())["dev"]["ner"]
    assert {key: result["tasks"]["ner"][key] for key in ("f1", "by_label")} == {
        key: expected[key] for key in ("f1", "by_label")
    }


def test_evaluate_reads_conllu_with_a_model_that_has_columns(model, tmp_path):
    fields = ["1", "Ada", "_", "PROPN", *"_" * 6]
    (tmp_path / "a.conllu").write_text("\t".join(fields) + "\n\n")
    result = json.loads(run("evaluate", model, tmp_path / "a.conllu", "--task", "pos", "--json")[1])
    assert result["tokens"] == 1


def test_info_describes_the_model(model):
    code, output, _ = run("info", model, "--json")
    assert code == 0
    description = json.loads(output)
    assert description["tasks"]["ner"] == {"scheme": "BIOES", "labels": ["LOC", "PER"], "tags": 9}
    assert description["tasks"]["pos"]["scheme"] is None
    tensors = Tagger.load(model).bundle.tensors
    assert description["parameters"] == sum(tensor.size for tensor in tensors.values())
    assert description["files"]["vocab.json"] == (model / "vocab.json").stat().st_size
    shown = run("info", model)[1]
    for expected in ("LOC, PER", "bidirectional", "split_hyphens", "train.conll", "conlleval"):
        assert expected in shown


# Errors are one line, with exit code 2


@pytest.mark.parametrize(
    ("arguments", "code", "properties"),
    [
        ("train --train missing.conll", "file.missing", {"file": "missing.conll"}),
        ("train --train {corpus}/empty.conll", "corpus.empty", {"file": "empty.conll"}),
        (
            "train --train {corpus}/train.conll --columns token,ner",
            "corpus.columns",
            {"file": "train.conll", "option": "--columns", "mentions": "3 columns but 2"},
        ),
        (
            "train --train {corpus}/train.conll --set hiden_size=3",
            "option.unknown",
            {"option": "hiden_size", "mentions": "model.hidden_size?"},
        ),
        ("train --train {corpus}/train.conll --set epochs", "option.value", {"option": "--set"}),
        ("train --train {corpus}/train.conll --epochs 0", "option.value", {"option": "train.epochs"}),
        ("train missing.toml --train {corpus}/train.conll", "file.unreadable", {"file": "missing.toml"}),
        (
            "train --train {corpus}/train.conll --vectors missing.vec",
            "file.unreadable",
            {"file": "missing.vec"},
        ),
    ],
)
def test_invalid_input_of_train_leaves_no_folder(corpus, arguments, code, properties):
    words = [word.format(corpus=corpus) for word in arguments.split()]
    check(input_error(*words, "--output", corpus / "x"), code, **properties)
    assert not (corpus / "x").exists()


@pytest.mark.parametrize(
    ("output", "code", "properties"),
    [
        ("{corpus}/empty.conll", "file.kind", {"file": "empty.conll"}),
        ("", "option.value", {}),
        ("/proc/x", "file.unwritable", {"file": "/proc/x", "option": ""}),
    ],
)
def test_an_invalid_output_of_train_is_rejected(corpus, output, code, properties):
    error = input_error("train", "--train", corpus / "train.conll", "--output", output.format(corpus=corpus))
    check(error, code, **({"option": "--output"} | properties))


@pytest.mark.parametrize(
    ("arguments", "code", "properties"),
    [
        ("evaluate {model} {corpus}/empty.conll", "corpus.empty", {"file": "empty.conll"}),
        (
            "evaluate {model} {corpus}/dev.conll --columns token,pos,_ --task ner",
            "corpus.task",
            {"option": "--columns", "mentions": "have no 'ner'"},
        ),
        ("evaluate {model} {corpus}/dev.conll --task chunk", "corpus.task", {"mentions": "pos, ner"}),
        ("info {corpus}", "bundle.damaged", {"file": "config.json"}),
        ("tag missing.txt", "file.missing", {"file": "missing.txt", "option": "--text"}),
        ("tag {corpus}", "file.kind", {"mentions": "a folder"}),
        (
            "tag --input text {corpus}/dev.conll --output {corpus}/dev.conll",
            "option.conflict",
            {"file": "dev.conll", "option": "--output"},
        ),
        ("tag -m {corpus} --input text {corpus}/dev.conll", "bundle.damaged", {"file": "config.json"}),
        (
            "tag -m {model} --input text {corpus}/dev.conll --task chunk",
            "corpus.task",
            {"mentions": "pos, ner"},
        ),
        (
            "tag -m {model} --input text {corpus}/dev.conll --scheme BIX",
            "option.unknown",
            {"mentions": "BIX"},
        ),
        (
            "tag -m {model} --input text {corpus}/dev.conll --output {corpus}/no/where",
            "file.unwritable",
            {"file": "no/where"},
        ),
    ],
)
def test_invalid_input_is_one_line_and_exit_code_2(corpus, model, arguments, code, properties):
    words = [word.format(model=model, corpus=corpus) for word in arguments.split()]
    check(input_error(*words), code, **properties)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("tag {corpus}/dev.conll --format jsn", "'--format': 'jsn' is not one of 'jsonl', "),
        ("train --output {corpus}/x", "Missing option '--train'; see tagger train --help"),
        ("train --train {corpus}/train.conll --output {corpus}/x --epochs many", "value for '--epochs'"),
        ("tag --formt text", "--format"),
        ("tga {model}", "No such command 'tga'"),
        ("--verbose", "; see tagger --help"),
    ],
)  # fmt: skip
def test_an_invalid_command_line_is_one_line_and_exit_code_2(corpus, model, arguments, message):
    words = [word.format(model=model, corpus=corpus) for word in arguments.split()]
    assert message in run_error(*words)
    assert not (corpus / "x").exists()


def test_an_option_given_twice_is_rejected():
    check(input_error("info", "--json", "--json", "m"), "option.conflict", option="--json")


@pytest.mark.parametrize("command", ["train", "evaluate", "tag", "info", ""])
def test_help_shows_an_example(command):
    code, output, _ = run(*command.split(), "--help", terminal=False)
    assert code == 0
    assert f"tagger {command}".strip() in output.partition("Examples")[2]


def test_help_is_shown_without_arguments():
    code, output, error = run()
    assert (code, error) == (2, "")
    assert "Usage: tagger" in output


# In a separate process


def process(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, timeout=120, check=False, **options)


def test_tagging_imports_no_heavy_modules(model):
    code = (
        "import sys; from tagger.cli.main import main; loaded = set(sys.modules); code = main(sys.argv[1:]); "
        "sys.stderr.write(' '.join(loaded) + '\\n' + ' '.join(sys.modules)); sys.exit(code)"
    )
    done = process("-c", code, "tag", "-m", str(model), input=b"Ada met Otto.")
    assert (done.returncode, len(rows(done.stdout.decode()))) == (0, 1)
    imported, used = (set(line.split()) for line in done.stderr.decode().split("\n"))
    heavy = {"torch", "torchcrf", "accelerate", "seqeval", "sklearn", "datasets", "matplotlib", "rich.live"}
    assert not heavy & (imported | used)
    assert "tagger.runtime.engine" in used
    # Modules of other commands are not imported.
    assert (
        not {"tagger.cli.check", "tagger.cli.train", "tagger.corpus.files", "tagger.evaluation.scores"} & used
    )


def test_a_mistyped_command_gets_a_suggestion():
    code, output, error = run("chekc", "a.conll")
    assert (code, output) == (2, "")
    assert error == "tagger: No such command 'chekc'. Did you mean 'check'?; see tagger --help\n"


@pytest.mark.parametrize(
    "arguments", [("info", "{model}"), ("info", "{model}", "--json"), ("evaluate", "{model}", "{dev}")]
)
def test_a_closed_pipe_ends_without_error(corpus, model, arguments):
    words = [word.format(model=model, dev=corpus / "dev.conll") for word in arguments]
    done = into_closed_pipe(*words)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_closed_pipe_does_not_stop_training(corpus, tmp_path):
    files = ("--train", corpus / "train.conll", "--dev", corpus / "dev.conll", "--output", tmp_path)
    done = into_closed_pipe("train", *OPTIONS, *map(str, files))
    assert (done.returncode, done.stderr) == (0, b"")
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


def into_closed_pipe(*arguments: str) -> subprocess.CompletedProcess:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "tagger", *arguments]
    try:
        return subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=120, check=False)
    finally:
        os.close(writing)


def test_the_version_and_shell_completion():
    done = process("-m", "tagger", "--version")
    assert re.fullmatch(rb"tagger \d+\.\d+\.\d+\n", done.stdout.replace(b"\r", b""))
    words = {
        "_TAGGER_COMPLETE": "complete_bash",
        "COMP_WORDS": "tagger tag -m m --format h",
        "COMP_CWORD": "5",
    }
    done = process("-m", "tagger", env={**os.environ, **words})
    assert done.stdout.split() == [b"html"]
