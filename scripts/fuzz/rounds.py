"""Fuzz all targets, two at a time: python scripts/fuzz/rounds.py [SECONDS]. That is what ``make fuzz`` does.

The time, two minutes if not said, is shared out evenly. Exits with 1 if a target came to a find, and says
where it lies.
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from targets import TARGETS

AT_ONCE = 2
START_UP = 3  # seconds that a process takes before it tries its first input
RUN = Path(__file__).resolve().parent / "run.py"


def main() -> None:
    total = int(sys.argv[1]) if sys.argv[1:] else 120
    seconds = max(1, total * AT_ONCE // len(TARGETS) - START_UP)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        are_clean = list(pool.map(lambda name: fuzz(name, seconds), TARGETS))
    sys.exit(0 if all(are_clean) else 1)


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz one target, print how it went and return whether it held."""
    command = [sys.executable, str(RUN), name, f"-max_total_time={seconds}"]
    run = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    counts = re.findall(r"^#(\d+)", run.stdout, re.MULTILINE)
    print(f"{name}: {counts[-1] if counts else 0} inputs, {'held' if run.returncode == 0 else 'FAILED'}")
    if run.returncode:
        noise = ("#", "INFO", "WARNING", "0x")
        lines = [line for line in run.stdout.split("\n") if line.strip() and not line.startswith(noise)]
        print("\n".join(f"    {line[:200]}" for line in lines))
    return run.returncode == 0


if __name__ == "__main__":
    main()
