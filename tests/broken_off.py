"""Run commands repeatedly in processes that are killed at random; a separate program, see ``main``.

python broken_off.py JOB…

A job is a JSON list: "writes" or "moments", a seed, the folder of the command's output, and its words.
The modules are loaded once; each process is a fork. It dies as with ``kill -9``: either before a random
change in FOLDER (opening, renaming, removing or creating a file), or at a random moment in its first tenths
of a second. The last line of output counts the killed processes.
"""

import json
import os
import random
import signal
import sys
from pathlib import Path

# All that takes a while to load, before the forks.
import seqeval.metrics  # noqa: F401
import torch._dynamo  # noqa: F401

import tagger.cli.watch  # noqa: F401
from tagger.cli.main import main as run_command

CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
MOST_CHANGES = 70  # between two deaths; the end of the last epoch alone makes more than 45
LONGEST_LIFE = (
    0.3  # seconds, of the first process; later ones may have more, so that it ends on a slow machine
)
MORE_LIFE = 0.02  # seconds, after each death
MOST_DEATHS = 400


def die_before_a_change(folder: Path, countdown: int) -> None:
    """Kill this process before so many further changes to files in the folder."""
    left = countdown

    def look(event: str, arguments: tuple) -> None:
        nonlocal left
        if event not in CHANGES or not str(arguments[0]).startswith(str(folder)):
            return
        if event == "open" and not (arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def live(kind: str, folder: Path, chance: random.Random, deaths: int, command: list[str]) -> bool:
    """Run the command in a process that may be killed; return whether it came to its end."""
    countdown, life = chance.randint(1, MOST_CHANGES), chance.uniform(0.01, LONGEST_LIFE + MORE_LIFE * deaths)
    child = os.fork()
    if not child:
        if kind == "writes":
            die_before_a_change(folder, countdown)
        else:  # whose signal nobody handles: the kernel ends the process wherever it is
            signal.setitimer(signal.ITIMER_REAL, life)
        code = run_command(command)
        sys.stdout.flush()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, f"the command failed with {os.WEXITSTATUS(status)}"
        return True
    return False


def count_deaths(kind: str, seed: int, folder: str, *command: str) -> int:
    """Run a command until a process comes to its end; return the number of killed ones."""
    chance = random.Random(seed)
    deaths = 0
    while not live(kind, Path(folder), chance, deaths, list(command)):
        deaths += 1
        assert deaths < MOST_DEATHS, "the command never comes to its end"
    return deaths


def main(*jobs: str) -> None:
    deaths = [count_deaths(*json.loads(job)) for job in jobs]
    sys.stdout.write(f"\n{json.dumps(deaths)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
