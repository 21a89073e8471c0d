"""Contextual encoders: export, states of words, training and tagging, with a small random BERT."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import input_error, run
from encoders import make_bert
from hypothesis import given, settings
from hypothesis import strategies as st
from input_errors import check, raises

from tagger import InputError, StreamingTagger, Tagger, distil, train
from tagger.bundle import holds_bundle, load_bundle
from tagger.features.batching import WordTable, stack_states
from tagger.features.contextual import ContextualEncoder
from tagger.features.contextual_cache import StateFile
from tagger.network.encoder_export import mark_words
from tagger.network.model import restore_model
from tagger.text.sentence import from_tokens
from tagger.training.encoder_states import states_of
from tagger.training.soft_targets import teach

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
pytestmark = pytest.mark.slow

DATA = [
    (["Ada", "met", "Bo", "."], ["B-PER", "O", "B-PER", "O"]),
    (["Bo", "sang", "in", "Oslo", "."], ["B-PER", "O", "O", "B-LOC", "O"]),
    (["Rome", "met", "Ada"], ["B-LOC", "O", "B-PER"]),
    (["Adas", "osslo"], ["O", "B-LOC"]),
] * 3
SIZES = {
    "hidden_size": 6, "word_size": 5, "character_hidden": 3, "context_size": 2, "epochs": 2, "min_steps": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return make_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def folder(source, tmp_path_factory) -> Path:
    """The exported encoder with the layers 0 and 2."""
    path = tmp_path_factory.mktemp("encoders") / "bert"
    code, output, _ = run("encoder", "export", source, path, "--layers", "0,2")
    assert (code, "layers 0,2" in output) == (0, True)
    return path


@pytest.fixture(scope="module")
def rounded_folder(source, tmp_path_factory) -> Path:
    """The exported encoder in int8."""
    path = tmp_path_factory.mktemp("encoders") / "int8"
    words = ("encoder", "export", source, path, "--layers", "0,2", "--precision", "int8")
    code, output, _ = run(*words)
    assert (code, "0,2, int8" in output) == (0, True)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TAGGER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def states_of_torch(source: Path, words: list[str]) -> np.ndarray:
    """The states of a sentence's words in layers 0 and 2, by transformers alone."""
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(source / "tokenizer.json"))
    model = transformers.AutoModel.from_pretrained(source).eval()
    encoding = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(
            input_ids=encoding["input_ids"],
            attention_mask=encoding["attention_mask"],
            output_hidden_states=True,
        ).hidden_states
    owners = encoding.word_ids(0)
    means = np.zeros((len(words), 2, 8), np.float32)
    for word in range(len(words)):
        places = [place for place, owner in enumerate(owners) if owner == word]
        for row, layer in enumerate((0, 2)):
            if places:
                means[word, row] = hidden[layer][0, places].mean(0).numpy()
    return means


def test_states_equal_those_of_transformers(source, folder):
    encoder = ContextualEncoder(folder)
    assert (encoder.n_layers, encoder.size) == (2, 8)
    for words in (["Ada", "met", "Oslo"], ["oss", "."], ["\u200b", "Ada"], ["\ud800", "x"]):
        expected = states_of_torch(source, [word.encode(errors="replace").decode() for word in words])
        (found,) = encoder.encode([words])
        np.testing.assert_allclose(found.astype(np.float32), expected, atol=3e-3)


@given(st.lists(st.lists(st.sampled_from(["Ada", "met", "osslo", ".", "\u200b"]), max_size=30), max_size=8))
@settings(max_examples=25)
@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_states_do_not_depend_on_other_sentences(folder, rounded_folder, precision, sentences):
    """Also, sentences may be longer than the encoder's 16 positions, and empty."""
    encoder = ContextualEncoder(folder if precision == "f32" else rounded_folder)
    together = encoder.encode(sentences)
    for words, states in zip(sentences, together, strict=True):
        assert states.shape == (len(words), 2, 8)
        np.testing.assert_allclose(encoder.encode([words])[0], states, atol=2e-3)
        has_tokens = [word != "\u200b" for word in words]
        assert ((states != 0).any(axis=(1, 2)) == has_tokens).all()


def test_long_sentences_are_read_in_overlapping_windows(source, folder):
    """The first words have the states of the first window, the last ones those of the last."""
    words = ["Ada", "met", "Bo", "in"] * 6  # 24 tokens, 14 in a window
    (found,) = ContextualEncoder(folder).encode([words])
    first = states_of_torch(source, words[:14])
    np.testing.assert_allclose(found[:9].astype(np.float32), first[:9], atol=3e-3)
    last = states_of_torch(source, words[14:])
    np.testing.assert_allclose(found[-4:].astype(np.float32), last[-4:], atol=0.5)


def test_the_cache_gives_the_states_and_survives_a_kill(folder, cache):
    encoder = ContextualEncoder(folder)
    assert [len(states) for states in StateFile(cache / "empty", encoder).read([[]])] == [0]
    sentences = [words for words, _ in DATA[:4]]
    expected = encoder.encode(sentences)
    for _ in range(2):
        for states, other in zip(StateFile(cache, encoder).read(sentences), expected, strict=True):
            assert np.array_equal(states, other)
    (index,) = (cache / encoder.identity[:32]).glob("*.index")
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join(lines[:2]) + lines[2][:10])  # killed while it wrote the third entry
    for states, other in zip(StateFile(cache, encoder).read(sentences), expected, strict=True):
        assert np.array_equal(states, other)
    assert len(list((cache / encoder.identity[:32]).glob("*.index"))) == 2
    data = max(cache.rglob("*.states"), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[:40])  # states without their end are computed again
    for states, other in zip(StateFile(cache, encoder).read(sentences), expected, strict=True):
        assert np.array_equal(states, other)


def test_readers_of_the_same_sentences_compute_each_once(folder, cache):
    encoder = ContextualEncoder(folder)
    sentences = [[word, *words] for words, _ in DATA for word in ("Ada", "Bo", "Rome")]
    distinct = set(map(tuple, sentences))
    own = cache / "shared"
    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(StateFile(own, encoder).read, sentences[start:]) for start in (0, 2, 0, 5)]
        results = [reader.result() for reader in readers]
    for found, start in zip(results, (0, 2, 0, 5), strict=True):
        for states, other in zip(found, encoder.encode(sentences[start:]), strict=True):
            assert np.array_equal(states, other)
    entries = [line for path in own.rglob("*.index") for line in path.read_text().splitlines()]
    assert len(entries) == len(distinct)


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("models") / "model"


@pytest.fixture
def model(folder, output) -> Tagger:
    return train(DATA, dev=DATA, encoder=str(folder), output=output, resume=False, **SIZES)


@pytest.mark.parametrize(
    "options", [{}, {"context": "sentence"}, {"layers": 2, "merge_mode": "sum", "head": "softmax"}]
)
def test_tagging_equals_training(folder, tmp_path, options):
    """The dev scores of training are those of the tagger without torch, and so are all emissions."""
    tagger = train(DATA, dev=DATA, encoder=str(folder), **SIZES, **options)
    bundle = tagger.bundle
    network = restore_model(
        bundle.config.model, bundle.vocabulary, None, bundle.tensors, states_of(bundle.encoder)
    )
    table = WordTable(bundle.vocabulary)
    sentences = [words for words, _ in DATA[:4]]
    batch = table.batch([table.rows(words) for words in sentences])
    batch = replace(batch, states=stack_states(tagger.engine.encode(sentences), batch.positions.shape[1]))
    expected = network.emissions(batch)["ner"][batch.mask]
    np.testing.assert_allclose(tagger.engine.emissions(batch)["ner"], expected, atol=1e-4)
    assert tagger.evaluate(DATA).ner.f1 == pytest.approx(bundle.metrics["dev"]["ner"]["f1"])
    together = tagger.tag_tokens(sentences, scores=True)
    for words, sentence in zip(sentences, together, strict=True):
        (alone,) = tagger.tag_tokens([words], scores=True)
        assert alone.tags == sentence.tags
        np.testing.assert_allclose(alone.tag_scores["ner"], sentence.tag_scores["ner"], atol=1e-5)


def test_a_model_folder_holds_its_encoder(model, folder, source, tmp_path, monkeypatch):
    """Also on another file system, and if the original encoder is gone."""
    original = tmp_path / "original"
    shutil.copytree(folder, original)
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        in_memory = train(DATA, dev=DATA, encoder="original", **SIZES)
    assert in_memory.bundle.config.model.encoder == str(original)
    assert [one.tokens for one in in_memory.tag_tokens([[], []])] == [(), ()]
    in_memory.save(tmp_path / "linked")
    assert (tmp_path / "linked" / "encoder" / "model.onnx").samefile(original / "model.onnx")

    def fail(*paths):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", fail)
        for _ in range(2):  # the second time it is there
            in_memory.save(tmp_path / "copied")
    shutil.rmtree(original)
    with raises("bundle.missing", mentions="model.onnx"):
        in_memory.save(tmp_path / "none")
    assert not holds_bundle(tmp_path / "none")
    moved = (tmp_path / "copied").rename(tmp_path / "moved")
    assert load_bundle(moved).encoder.identity == ContextualEncoder(folder).identity
    for path in (tmp_path / "linked", moved):
        assert Tagger.load(path).tag_tokens([["Ada", "sang"]]) == model.tag_tokens([["Ada", "sang"]])
    assert run("encoder", "export", source, tmp_path / "other", "--layers", "1,3")[0] == 0
    shutil.rmtree(moved / "encoder")
    (moved / "encoder").symlink_to(tmp_path / "other")
    for use in (
        lambda: Tagger.load(moved),
        lambda: train(DATA, init_from=moved, epochs=0),
        lambda: teach([load_bundle(moved)], [from_tokens(["Ada"])], model.tasks),
    ):
        with raises("bundle.damaged", mentions="other files"):
            use()
    model.save(moved)  # replaces the link, not its target
    assert Tagger.load(moved).labels == model.labels
    assert (tmp_path / "other" / "model.onnx").exists()


def test_a_run_is_resumed_and_extended(folder, model, tmp_path):
    options = {"dev": DATA, "encoder": str(folder), "output": tmp_path / "run", **SIZES}
    with pytest.raises(InputError):
        train(DATA, callbacks=[lambda record: True], **options)
    resumed = train(DATA, resume=True, **options)
    for name, tensor in model.bundle.tensors.items():
        assert np.array_equal(tensor, resumed.bundle.tensors[name]), name
    new = [(["Acme", "sang"], ["B-ORG", "O"])]
    extended = train(new, init_from=model, epochs=0)
    assert extended.bundle.encoder == model.bundle.encoder
    assert extended.labels == ("LOC", "ORG", "PER")


def test_distillation_reads_each_sentence_once(model, monkeypatch):
    read: list[list[str]] = []
    encode = ContextualEncoder.encode

    def record(self, sentences):
        read.extend(sentences)
        return encode(self, sentences)

    monkeypatch.setattr(ContextualEncoder, "encode", record)
    texts = ["Mia left Bo. Bo sang for Lev.", "Mia left Bo. Lev came."] * 3
    student = distil([model, model], texts, **SIZES)
    assert student.bundle.encoder is None
    assert sorted(map(" ".join, read)) == ["Bo sang for Lev .", "Lev came .", "Mia left Bo ."]


def test_the_commands_train_and_tag_in_several_processes(folder, model, tmp_path):
    output = tmp_path / "run"
    (tmp_path / "train.conll").write_text(
        "\n\n".join("\n".join(map(" ".join, zip(*one, strict=True))) for one in DATA)
    )
    path = tmp_path / "train.conll"
    words = ["train", "--train", path, "--dev", path, "--encoder", folder]
    sections = {name: "train" if name in ("epochs", "min_steps") else "model" for name in SIZES}
    settings = [f"--set={sections[name]}.{name}={value}" for name, value in SIZES.items()]
    assert run(*words, *settings, "--output", output)[0] == 0
    for name, tensor in model.bundle.tensors.items():
        assert np.array_equal(tensor, load_bundle(output).tensors[name]), name
    text = tmp_path / "a.txt"
    text.write_text("Ada met Bo.\n\nBo sang in Oslo.\n\n" * 20)
    alone = run("tag", "-m", output, text, "--format", "conll")
    assert alone[0] == 0
    assert run("tag", "-m", output, text, "--format", "conll", "--workers", 2)[1] == alone[1]


def test_what_must_not_read_the_next_words_is_rejected(model, output, folder, tmp_path):
    with raises("option.conflict", option="model.encoder"):
        StreamingTagger(model, lookahead=1)
    check(input_error("export", output, tmp_path / "a.onnx"), "option.conflict", option="model.encoder")
    for option, value in (("direction", "forward"), ("lookahead", "random")):
        with pytest.raises(InputError) as error:
            train(DATA, encoder=str(folder), **SIZES, **{option: value})
        assert error.value.code == "option.conflict"
    path = tmp_path / "train.conll"
    path.write_text("Ada B-PER\nsang O\n\nBo B-PER\n")
    words = ["compare", "--train", path, "--dev", path, "--output", tmp_path / "out"]
    error = input_error(*words, "--set", f"model.encoder={folder}")
    check(error, "option.conflict", option="model.encoder")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("model.onnx", b"no graph", "bundle.damaged"),
        ("tokenizer.json", b"{}", "bundle.damaged"),
        ("config.json", b"{", "bundle.damaged"),
        (
            "config.json",
            b'{"size": 8, "n_layers": "2", "max_tokens": 9, "precision": "f32"}',
            "bundle.damaged",
        ),
        (
            "config.json",
            b'{"size": 8, "n_layers": 2, "max_tokens": 9, "precision": "f64"}',
            "bundle.damaged",
        ),
        ("model.onnx", None, "bundle.missing"),
        ("tokenizer.json", None, "bundle.missing"),
        ("config.json", None, "bundle.missing"),
    ],
)
def test_damaged_encoders_are_rejected(folder, tmp_path, name, content, code):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with raises(code, file=tmp_path / name):
        ContextualEncoder(tmp_path)


def test_int8_changes_the_states_slightly(folder, rounded_folder):
    exact, rounded = ContextualEncoder(folder), ContextualEncoder(rounded_folder)
    assert exact.identity != rounded.identity
    sentences = [words for words, _ in DATA[:4]]
    first, second = (np.concatenate(one.encode(sentences)).astype(np.float32) for one in (exact, rounded))
    assert not np.array_equal(first[:, 1], second[:, 1])
    np.testing.assert_allclose(first, second, atol=0.1)
    assert len(list(rounded_folder.iterdir())) == 3


def testmark_words_keep_the_mark_of_their_beginning(tmp_path):
    """A byte-level tokenizer that adds no space would read "met" as the end of a word."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    changed = tokenizers.Tokenizer.from_str(mark_words(tmp_path / "tokenizer.json"))
    assert [piece for piece, _ in changed.pre_tokenizer.pre_tokenize_str("met")] == ["\u0120met"]


def test_invalid_exports_are_rejected(source, tmp_path):
    for layers, code in (("0,9", "option.value"), ("a", "option.type"), ("-1", "option.value")):
        error = input_error("encoder", "export", source, tmp_path / "out", f"--layers={layers}")
        check(error, code, option="--layers")
    error = input_error("encoder", "export", tmp_path, tmp_path / "out")
    assert error.code == "file.missing"
    assert not (tmp_path / "out").exists()
