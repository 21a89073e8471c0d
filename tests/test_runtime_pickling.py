"""Copied, pickled and sent to another process, a tagger gives the same tags."""

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from bundles import make_bundle, random_sentences
from input_errors import raises

from tagger import StreamingTagger, Tagger
from tagger.bundle import load_bundle, save_bundle
from tagger.included import included_folder, included_models
from tagger.text.sentence import from_tokens

pytestmark = pytest.mark.slow

SENTENCES = random_sentences(make_bundle()[1].vocabulary)


def by_bars(text):
    """Tokenize at bars; a function that can be pickled."""
    return [from_tokens(text.split("|"))]


def tag(tagger):
    """Tag the sentences, in a worker process."""
    return tagger.tag_tokens(SENTENCES, n_best=2, scores=True)


def stream_rest(streaming):
    return [*streaming.push("Glasgow"), *streaming.push("lost"), *streaming.end_sentence()]


def round_trip(value):
    return pickle.loads(pickle.dumps(value))


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """Return a loaded tagger, whose frozen vectors are memory-mapped, after its first use."""
    folder = tmp_path_factory.mktemp("model")
    save_bundle(make_bundle()[1], folder)
    tagger = Tagger.load(folder, scheme="BIOES", threads=2, precision="int8", cache_megabytes=3)
    tagger = tagger.with_temperatures({"ner": 1.5})
    tag(tagger)
    return tagger


@pytest.mark.parametrize("duplicate", [round_trip, copy.deepcopy, copy.copy])
def test_a_copy_gives_the_same_tags_and_keeps_the_settings(tagger, duplicate):
    tagger.origin = "mine"
    copied = duplicate(tagger)
    assert tag(copied) == tag(tagger)
    names = ("scheme", "threads", "precision", "origin")
    assert [getattr(copied, name) for name in names] == ["BIOES", 2, "int8", "mine"]
    assert copied.cache_statistics.capacity == tagger.cache_statistics.capacity
    assert copied.bundle.temperatures == {"ner": 1.5}
    assert (copied.bundle is tagger.bundle) == (duplicate is not round_trip)


def test_the_pickle_of_a_model_in_memory_needs_no_folder(tmp_path):
    save_bundle(make_bundle()[1], tmp_path / "model")
    tagger = Tagger(load_bundle(tmp_path / "model"))
    content, expected = pickle.dumps(tagger), tag(tagger)
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    assert tag(pickle.loads(content)) == expected
    assert len(content) < 200_000  # without the word cache's table


def test_the_pickle_of_a_loaded_model_holds_its_path(tmp_path, monkeypatch):
    save_bundle(make_bundle()[1], tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    tagger = Tagger.load("model", threads=1)
    content = pickle.dumps(tagger)
    assert len(content) < 2000
    monkeypatch.chdir("/")
    first, second = pickle.loads(content), pickle.loads(pickle.dumps(tagger.with_temperatures({"ner": 2})))
    assert first.engine is second.engine
    assert first.engine is not tagger.engine
    assert tag(first) == tag(tagger)
    assert tag(second) == tag(tagger.with_temperatures({"ner": 2})) != tag(first)
    assert tag(round_trip(first)) == tag(first)
    assert repr(first) == repr(tagger)


def test_a_changed_or_missing_model_is_an_error(tmp_path):
    folder = tmp_path / "model"
    save_bundle(make_bundle()[1], folder)
    tagger = Tagger.load(folder)
    for changed in (make_bundle(seed=1)[1], replace(tagger.bundle, temperatures={"ner": 1.5})):
        content = pickle.dumps(Tagger.load(folder))
        save_bundle(changed, folder)
        with raises("bundle.damaged", file="model"):
            pickle.loads(content)
    save_bundle(make_bundle()[1], folder)
    assert tag(pickle.loads(pickle.dumps(tagger))) == tag(tagger)
    content = pickle.dumps(tagger.with_temperatures({}))
    folder.rename(tmp_path / "elsewhere")
    assert tag(pickle.loads(content)) == tag(tagger)  # this process still has the model
    content = pickle.dumps(Tagger.load(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").rename(folder)
    with raises("bundle.missing", file="config.json"):
        pickle.loads(content)


@pytest.mark.skipif("en" not in included_models(), reason="the package does not include the English model")
def test_the_pickle_of_an_included_model_holds_its_name():
    tagger = Tagger.load("en")
    content = pickle.dumps(tagger)
    assert str(included_folder()).encode() not in content
    restored = pickle.loads(content)
    assert repr(restored) == repr(tagger)
    assert restored.tag("Mira met Tom.") == tagger.tag("Mira met Tom.")


def test_the_settings_of_a_copy_are_independent(tagger):
    copied = copy.deepcopy(tagger)
    copied.threads = 1
    assert tagger.threads == 2
    assert copied.engine is not tagger.engine
    first, second = copy.deepcopy([tagger, tagger])
    assert first is second


def test_a_custom_tokenizer_is_copied():
    own = Tagger(make_bundle()[1], tokenizer=by_bars)
    for copied in (round_trip(own), copy.deepcopy(own)):
        assert copied.tag("New Ayr|lost")[0].tokens == ("New Ayr", "lost")
    unnamed = Tagger(make_bundle()[1], tokenizer=lambda text: by_bars(text))
    assert copy.deepcopy(unnamed).tag("New Ayr|lost")[0].tokens == ("New Ayr", "lost")
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(unnamed)


@pytest.mark.parametrize("duplicate", [round_trip, copy.deepcopy, copy.copy])
@pytest.mark.parametrize("lookahead", [0, 2, 100])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_stream_can_be_copied_within_a_sentence(duplicate, lookahead, layers):
    words = ["Mira", "met", "Tom", "in", "Ayr", "Glasgow", "lost"]
    streaming = StreamingTagger(Tagger(make_bundle(layers=layers)[1]), lookahead=lookahead)
    found = [one for word in words[:5] for one in streaming.push(word)]
    copied = duplicate(streaming)
    first, second = stream_rest(copied), stream_rest(streaming)
    assert first == second
    assert found + first == list(copied.tag(words)) == list(streaming.tag(words))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_new_processes_give_the_same_tags(tagger, method):
    streaming = StreamingTagger(tagger.with_temperatures({}), lookahead=1)
    streaming.push("Mira")
    expected = stream_rest(copy.deepcopy(streaming))
    with ProcessPoolExecutor(1, get_context(method)) as pool:
        assert pool.submit(tag, tagger).result() == tag(tagger)
        assert pool.submit(stream_rest, streaming).result() == expected
    with get_context(method).Pool(1) as other:
        assert other.map(tag, [tagger, tagger]) == [tag(tagger)] * 2


FORKED = """
import sys, warnings
from multiprocessing import get_context
from tagger import Tagger
tagger = Tagger.load(sys.argv[1], threads=2)
sentences = [["Mira", "met", str(number)] for number in range(3000)]  # several windows, and so threads
expected = tagger.tag_tokens(sentences)
def tag(number):
    return tagger.tag_tokens(sentences) == expected
with get_context("fork").Pool(2) as pool:
    print(pool.map(tag, range(2)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_uses_the_tagger_it_inherits(model):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(model)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "[True, True]\n"), done.stderr


def test_joblib_workers_receive_a_tagger(tagger):
    joblib = pytest.importorskip("joblib", reason="joblib is not installed")
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(tag)(tagger) for _ in range(2))
    assert found == [tag(tagger)] * 2
    unnamed = Tagger(make_bundle()[1], tokenizer=lambda text: by_bars(text))
    ((sentence,),) = joblib.Parallel(n_jobs=2)([joblib.delayed(unnamed.tag)("New Ayr|lost")])
    assert sentence.tokens == ("New Ayr", "lost")


class Tagged:
    """A data set that tags its items on access."""

    def __init__(self, tagger):
        self.tagger = tagger

    def __len__(self):
        return len(SENTENCES)

    def __getitem__(self, index):
        return list(self.tagger.tag_tokens([SENTENCES[index]])[0].tags["ner"])


def unchanged(batch):
    return batch


def test_a_data_loader_worker_uses_a_tagger(tagger):
    from torch.utils.data import DataLoader

    loader = DataLoader(
        Tagged(tagger), batch_size=5, num_workers=1, collate_fn=unchanged, multiprocessing_context="spawn"
    )
    found = [tags for batch in loader for tags in batch]
    assert found == [list(one.tags["ner"]) for one in tagger.tag_tokens(SENTENCES)]


def test_pandas_applies_a_tagger(tagger):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    texts = [" ".join(sentence) for sentence in SENTENCES]
    found = pandas.Series(texts).apply(tagger.tag)
    assert list(found) == [tagger.tag(text) for text in texts]


def test_threads_share_a_tagger(tagger):
    texts = [" ".join(sentence) for sentence in SENTENCES]
    expected = [[one.tags for one in tagger.tag(text)] for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert [[one.tags for one in found] for found in pool.map(tagger.tag, texts)] == expected
        piped = pool.map(lambda _: [[one.tags for one in found] for found in tagger.pipe(texts)], range(4))
        assert list(piped) == [expected] * 4


def test_a_saved_model_gives_the_same_tags(tagger, tmp_path):
    tagger.save(tmp_path / "copy")
    loaded = Tagger.load(str(tmp_path / "copy"), scheme="BIOES", precision="int8")
    assert tag(loaded) == tag(tagger)
    loaded.save(str(tmp_path / "copy"))  # its vectors are memory-mapped from this folder
    assert tag(Tagger.load(tmp_path / "copy", scheme="BIOES", precision="int8")) == tag(tagger)
    with pytest.raises(TypeError, match=r"^folder must be a str or Path \(got None\)\."):
        tagger.save(None)
    (tmp_path / "file").write_text("")
    with raises("file.unwritable", file="file"):
        tagger.save(tmp_path / "file")


def test_the_display_names_model_tasks_and_scheme(tagger):
    folder = tagger._labeller.source.folder
    assert repr(tagger) == f"<Tagger {folder}: ner (LOC, ORG, PER), pos (6 tags); BIOES>"
    assert repr(Tagger(make_bundle()[1])) == "<Tagger memory: ner (LOC, ORG, PER), pos (6 tags); IOB2>"
    assert tagger._repr_html_() == f"<b>Tagger</b> {folder}: ner (LOC, ORG, PER), pos (6 tags); BIOES"


def test_a_pickled_bundle_has_the_same_arrays(tagger):
    copied = round_trip(tagger.bundle)
    assert copied.tensors.keys() == tagger.bundle.tensors.keys()
    for name, tensor in tagger.bundle.tensors.items():
        assert np.array_equal(copied.tensors[name], tensor)
    assert copied.vocabulary == tagger.bundle.vocabulary
