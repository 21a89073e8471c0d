"""Run a command in several training processes, as torchrun does; a separate program.

The modules are loaded once; each process is a fork.

python forked_ranks.py COUNT COMMAND…
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun

# All that takes a while to load, before the forks.
import seqeval.metrics  # noqa: F401
import torch._dynamo  # noqa: F401
from torch.distributed import TCPStore

import tagger.cli.watch  # noqa: F401
from tagger.cli.main import main as run_command


def start(rank: int, count: int, port_pipe: int, command: list[str]) -> int:
    """Fork a process that runs the command once it can read the port of the store; return its id."""
    child = os.fork()
    if not child:
        port = os.read(port_pipe, 5).decode()
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
        os.environ |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "TORCHELASTIC_RESTART_COUNT": "0",
        }
        code = run_command(command)
        sys.stdout.flush()
        os._exit(code)
    return child


def main(count: int, command: list[str]) -> int:
    """Return the largest exit code."""
    receiver, sender = os.pipe()
    children = [start(rank, count, receiver, command) for rank in range(count)]
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # its thread would not be forked
    os.write(sender, f"{store.port:05}".encode() * count)
    return max(abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) for child in children)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
