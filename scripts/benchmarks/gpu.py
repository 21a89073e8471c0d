"""Compare training on a GPU with training on the CPU: speed, synchronisation, resuming, tags.

python scripts/benchmarks/gpu.py CONLL_TRAIN CONLL_DEV WORK [--sentences 4000] [--batches 10,64] [--minutes 9]

For each batch size, both devices train two epochs. Reported: the seconds of the second epoch, how often
training steps make the GPU wait for the CPU and where, the largest difference between the weights of a
resumed and an uninterrupted run, and the dev F1 of the network on the device and of the runtime on the CPU.
"""

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

DEVICES = {"gpu": None, "cpu": ""}  # value of CUDA_VISIBLE_DEVICES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sentences", type=int, default=4000, help="number of train sentences")
    parser.add_argument("--batches", default="10,64", help="values of train.batch_size")
    parser.add_argument("--minutes", type=float, default=9, help="no run starts after this time")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="torch threads on the CPU")
    parser.add_argument("--device", choices=DEVICES, help="measure this device only, in this process")
    arguments = parser.parse_args()
    if arguments.device:
        measure(arguments, int(arguments.batches))
        return
    end = time.monotonic() + 60 * arguments.minutes
    for batch in arguments.batches.split(","):
        for device, visible in DEVICES.items():
            if time.monotonic() > end:
                print(f"batch {batch}, {device}: not started, --minutes is over", flush=True)
                continue
            environment = dict(os.environ)
            if visible is not None:
                environment["CUDA_VISIBLE_DEVICES"] = visible
            command = [sys.executable, *sys.argv, "--batches", batch, "--device", device]
            subprocess.run(command, env=environment, check=False)  # the other device is measured anyway


def measure(arguments: argparse.Namespace, batch: int) -> None:
    """Measure one device with one batch size."""
    import torch

    from tagger import Tagger, read_corpus, train
    from tagger.training.loop import StepRecord

    if arguments.device == "gpu" and not torch.cuda.is_available():
        sys.exit("there is no GPU that torch can use")
    name = f"batch {batch}, {arguments.device}"
    options = {
        "dev": read_corpus(arguments.dev, task="ner"),
        "epochs": 2,
        "batch_size": batch,
        "min_steps": 0,
        "threads": arguments.threads,
    }
    sentences = read_corpus(arguments.train, task="ner")[: arguments.sentences]
    seconds: list[float] = []

    def record_seconds(record: object) -> None:
        if not isinstance(record, StepRecord):
            seconds.append(record.seconds)

    folder = arguments.work / f"{batch}-{arguments.device}"
    whole = train(sentences, output=folder, resume=False, callbacks=[record_seconds], **options)
    print(f"{name}: {seconds[-1]:.2f} s per epoch of {len(sentences):,} sentences", flush=True)

    def stop(record: object) -> bool:
        return not isinstance(record, StepRecord)

    parts = arguments.work / f"{batch}-{arguments.device}-resumed"
    train(sentences, output=parts, resume=False, callbacks=[stop], **options)
    resumed = train(sentences, output=parts, resume=True, **options).bundle.tensors
    differences = [abs(tensor - resumed[key]).max(initial=0) for key, tensor in whole.bundle.tensors.items()]
    print(f"{name}: largest difference of weights after resuming {max(differences):.2g}", flush=True)
    network = whole.bundle.metrics["dev"]["ner"]["f1"]
    runtime = Tagger.load(folder).evaluate(options["dev"]).ner.f1
    print(f"{name}: dev F1 {network:.6f} in training, {runtime:.6f} in the runtime", flush=True)
    if arguments.device == "gpu":
        count_waits(sentences[: 20 * batch], options)


def count_waits(sentences: list, options: dict) -> None:
    """Print where the steps of a short training make the GPU wait, with the number of times."""
    import torch

    from tagger import train

    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(sentences, **{**options, "dev": None, "epochs": 1})
    torch.cuda.set_sync_debug_mode("default")
    places = Counter(
        f"{Path(one.filename).name}:{one.lineno}" for one in caught if "synchroniz" in str(one.message)
    )
    steps = -(-len(sentences) // options["batch_size"])
    print(f"synchronisations in {steps} steps: {sum(places.values())}", flush=True)
    for place, count in places.most_common(12):
        print(f"  {count:5} {place}", flush=True)


if __name__ == "__main__":
    main()
