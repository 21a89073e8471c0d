"""Fuzz all targets, two at a time: python scripts/fuzz/rounds.py [SECONDS]. ``make fuzz`` runs this script.

The targets share the time evenly (two minutes by default). The exit code is 1 if a target fails; the output
names the file with the failing input.
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from targets import TARGETS

AT_ONCE = 2
START_UP = 3  # start-up seconds of a process before its first input
RUN = Path(__file__).resolve().parent / "run.py"


def main() -> None:
    total = int(sys.argv[1]) if sys.argv[1:] else 120
    seconds = max(1, total * AT_ONCE // len(TARGETS) - START_UP)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        are_clean = list(pool.map(lambda name: fuzz(name, seconds), TARGETS))
    sys.exit(0 if all(are_clean) else 1)


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz one target and print the result; return True if it passed."""
    command = [sys.executable, str(RUN), name, f"-max_total_time={seconds}"]
    run = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    counts = re.findall(r"^#(\d+)", run.stdout, re.MULTILINE)
    print(f"{name}: {counts[-1] if counts else 0} inputs, {'passed' if run.returncode == 0 else 'FAILED'}")
    if run.returncode:
        noise = ("#", "INFO", "WARNING", "0x")
        lines = [line for line in run.stdout.split("\n") if line.strip() and not line.startswith(noise)]
        print("\n".join(f"    {line[:200]}" for line in lines))
    return run.returncode == 0


if __name__ == "__main__":
    main()
