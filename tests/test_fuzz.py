"""Seeds and fixed failures of the fuzz targets, run without the fuzzer as regression tests."""

import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from inputs import Choices, as_text
from targets import TARGETS

FUZZ = Path(__file__).resolve().parent.parent / "scripts" / "fuzz"
INPUTS = sorted(path for kind in ("seeds", "finds") for path in FUZZ.glob(f"{kind}/*/*"))


@pytest.fixture(scope="module")
def process():
    """A process of its own for targets with an audit hook, which cannot be removed.

    CPython before 3.12 lets audit hooks switch threads within ``sys.settrace``, which then fails if another
    thread calls it. Coverage calls it in every new thread.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, warnings.simplefilter, ("error",)) as pool:
        yield pool


def run_target(path, folder):
    TARGETS[path.parent.name](path.read_bytes(), folder)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: "/".join(path.parts[-3:]))
def test_every_input_passes_its_target(path, process, tmp_path):
    if path.parent.name == "bundle":
        process.submit(run_target, path, tmp_path).result()
    else:
        run_target(path, tmp_path)


def test_every_target_has_seeds():
    assert {path.parent.name for path in INPUTS if path.parent.parent.name == "seeds"} == TARGETS.keys()


def test_choices_consume_the_bytes():
    choices = Choices(bytes([7, 1, 0, 0, 9, 9]))
    assert choices.pick("abc") == "b"
    assert choices.number(1 << 16) == 0
    assert choices.take(5) == b"\t\t"
    assert not choices
    assert [choices.number(5), choices.pick("abc")] == [0, "a"]


def test_any_bytes_decode_to_text():
    assert as_text("é\ud800".encode("utf-8", "surrogatepass")) == "é\ud800"
    assert as_text(b"a\xffb") == "a\udcffb"
