"""Fuzz one target with atheris: python scripts/fuzz/run.py TARGET [LIBFUZZER OPTION]...

Example: ``python scripts/fuzz/run.py conll -max_total_time=1200``. The fuzzer starts from the inputs in
``seeds/TARGET`` and of earlier runs, and saves inputs that reach new code in ``runs/fuzz/TARGET/corpus``. It
stops at the first failure and saves its input in ``runs/fuzz/TARGET/finds``. After fixing the failure, move
the input to ``finds/TARGET`` next to this file: ``tests/test_fuzz.py`` runs it as a regression test.
``-help=1`` lists the options of libFuzzer.

atheris 3.0 never frees arrays returned by instrumented comparisons, so the memory of ``decoding`` grows by 3
kB per input: fuzz it for a few minutes at a time.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tagger", "tomllib"]):
    from targets import TARGETS

HERE = Path(__file__).resolve().parent
RUNS = HERE.parent.parent / "runs" / "fuzz"
# Limits of time (seconds), memory (megabytes) and size (bytes) per input, far above normal needs.
LIMITS = ["-timeout=5", "-rss_limit_mb=2048", "-max_len=4096"]


def main() -> None:
    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"unknown target {name!r}. Choose from {', '.join(TARGETS)}.")
    of_process = f"scratch/{os.getpid()}"  # removed only by `make clean`: libFuzzer exits the process
    corpus, finds, scratch = (RUNS / name / folder for folder in ("corpus", "finds", of_process))
    for folder in (corpus, finds, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("error")
    inputs = [str(corpus), str(HERE / "seeds" / name)]
    options = [*LIMITS, f"-artifact_prefix={finds}/", *options, *inputs]
    atheris.Setup([sys.argv[0], *options], lambda data: TARGETS[name](data, scratch))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
