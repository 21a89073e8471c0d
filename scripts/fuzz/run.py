"""Fuzz one target with atheris: python scripts/fuzz/run.py TARGET [LIBFUZZER OPTION]...

For instance ``python scripts/fuzz/run.py conll -max_total_time=1200``. It begins with the inputs of
``seeds/TARGET`` and of earlier runs, keeps those that reach new code in ``runs/fuzz/TARGET/corpus``, and
stops at the first find, which it leaves in ``runs/fuzz/TARGET/finds``. A find that has been understood and
repaired goes to ``finds/TARGET`` beside this file, where ``tests/test_fuzz.py`` tries it for ever after.
``-help=1`` lists libFuzzer's options.

atheris 3.0 never frees an array that an instrumented comparison gives, so ``decoding`` grows by 3 kB a run:
it is best fuzzed for some minutes at a time.
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
# Seconds for one input, and megabytes: far more than any may need.
LIMITS = ["-timeout=5", "-rss_limit_mb=2048", "-max_len=4096"]


def main() -> None:
    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"There is no target {name!r}; the targets are {', '.join(TARGETS)}.")
    own = f"scratch/{os.getpid()}"  # stays until `make clean`: libFuzzer ends the process
    corpus, finds, scratch = (RUNS / name / part for part in ("corpus", "finds", own))
    for folder in (corpus, finds, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("error")
    inputs = [str(corpus), str(HERE / "seeds" / name)]
    options = [*LIMITS, f"-artifact_prefix={finds}/", *options, *inputs]
    atheris.Setup([sys.argv[0], *options], lambda data: TARGETS[name](data, scratch))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
