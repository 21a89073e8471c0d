"""A tagger that is copied, pickled and sent to other processes tags as the first one does."""

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from test_runtime import make_bundle, random_sentences

from tagger import StreamingTagger, Tagger
from tagger.bundle import save_bundle
from tagger.text.sentence import from_tokens

SENTENCES = random_sentences(make_bundle()[1].vocabulary)


def by_bars(text):
    """A tokenizer that can be pickled."""
    return [from_tokens(text.split("|"))]


def tag(tagger):
    """What a process returns."""
    return tagger.tag_tokens(SENTENCES, n_best=2, scores=True)


def stream_rest(streaming):
    return [*streaming.push("Glasgow"), *streaming.push("lost"), *streaming.end_sentence()]


def round_trip(value):
    return pickle.loads(pickle.dumps(value))


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """A tagger that was loaded, so that its fixed vectors are a mapped file, and was used."""
    folder = tmp_path_factory.mktemp("model")
    save_bundle(make_bundle()[1], folder)
    tagger = Tagger.load(folder, scheme="BIOES", threads=2, precision="int8", cache_megabytes=3)
    tagger = tagger.with_temperatures({"ner": 1.5})
    tag(tagger)
    return tagger


@pytest.mark.parametrize("duplicate", [round_trip, copy.deepcopy, copy.copy])
def test_a_copy_tags_alike_and_keeps_the_settings(tagger, duplicate):
    tagger.origin = "mine"
    twin = duplicate(tagger)
    assert tag(twin) == tag(tagger)
    names = ("scheme", "threads", "precision", "origin")
    assert [getattr(twin, name) for name in names] == ["BIOES", 2, "int8", "mine"]
    assert twin.cache_statistics.capacity == tagger.cache_statistics.capacity
    assert twin.bundle.temperatures == {"ner": 1.5}
    assert (twin.bundle is tagger.bundle) == (duplicate is not round_trip)


def test_a_pickle_needs_no_folder(tmp_path):
    save_bundle(make_bundle()[1], tmp_path / "model")
    tagger = Tagger.load(tmp_path / "model")
    content, expected = pickle.dumps(tagger), tag(tagger)
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    assert tag(pickle.loads(content)) == expected
    assert len(content) < 200_000  # the word cache's table is not in it


def test_a_copys_settings_are_its_own(tagger):
    twin = copy.deepcopy(tagger)
    twin.threads = 1
    assert tagger.threads == 2
    assert twin.engine is not tagger.engine
    first, second = copy.deepcopy([tagger, tagger])
    assert first is second


def test_a_custom_tokenizer_comes_along():
    own = Tagger(make_bundle()[1], tokenizer=by_bars)
    for twin in (round_trip(own), copy.deepcopy(own)):
        assert twin.tag("New Ayr|lost")[0].tokens == ("New Ayr", "lost")
    unnamed = Tagger(make_bundle()[1], tokenizer=lambda text: by_bars(text))
    assert copy.deepcopy(unnamed).tag("New Ayr|lost")[0].tokens == ("New Ayr", "lost")
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(unnamed)


@pytest.mark.parametrize("duplicate", [round_trip, copy.deepcopy, copy.copy])
@pytest.mark.parametrize("lookahead", [0, 2, 100])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_stream_is_copied_in_mid_sentence(duplicate, lookahead, layers):
    words = ["Mira", "met", "Tom", "in", "Ayr", "Glasgow", "lost"]
    streaming = StreamingTagger(Tagger(make_bundle(layers=layers)[1]), lookahead=lookahead)
    found = [one for word in words[:5] for one in streaming.push(word)]
    twin = duplicate(streaming)
    first, second = stream_rest(twin), stream_rest(streaming)
    assert first == second
    assert found + first == list(twin.tag(words)) == list(streaming.tag(words))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_that_start_anew_tag_alike(tagger, method):
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


def test_joblib_sends_it_to_its_processes(tagger):
    joblib = pytest.importorskip("joblib", reason="joblib is not installed")
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(tag)(tagger) for _ in range(2))
    assert found == [tag(tagger)] * 2
    unnamed = Tagger(make_bundle()[1], tokenizer=lambda text: by_bars(text))
    ((sentence,),) = joblib.Parallel(n_jobs=2)([joblib.delayed(unnamed.tag)("New Ayr|lost")])
    assert sentence.tokens == ("New Ayr", "lost")


class Tagged:
    """A data set that tags what is taken from it."""

    def __init__(self, tagger):
        self.tagger = tagger

    def __len__(self):
        return len(SENTENCES)

    def __getitem__(self, place):
        return list(self.tagger.tag_tokens([SENTENCES[place]])[0].tags["ner"])


def as_it_is(batch):
    return batch


def test_a_worker_of_a_data_loader_has_it(tagger):
    from torch.utils.data import DataLoader

    loader = DataLoader(
        Tagged(tagger), batch_size=5, num_workers=1, collate_fn=as_it_is, multiprocessing_context="spawn"
    )
    found = [tags for batch in loader for tags in batch]
    assert found == [list(one.tags["ner"]) for one in tagger.tag_tokens(SENTENCES)]


def test_a_pickled_bundle_has_the_same_arrays(tagger):
    twin = round_trip(tagger.bundle)
    assert twin.tensors.keys() == tagger.bundle.tensors.keys()
    for name, tensor in tagger.bundle.tensors.items():
        assert np.array_equal(twin.tensors[name], tensor)
    assert twin.vocabulary == tagger.bundle.vocabulary
