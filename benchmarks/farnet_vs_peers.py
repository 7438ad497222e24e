"""FARNet beside its peers: training step, inference and memory in one run; accuracy after a stated time.

    python benchmarks/farnet_vs_peers.py speed --data DIR
    python benchmarks/farnet_vs_peers.py accuracy --data DIR --minutes 15

DIR holds ISBI 2015 in its published layout. Every contender runs in a process of its own, on the same images at the
same size, from fresh weights: no pretraining, which on this machine could not be fetched.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import in_own_process, median_seconds, peak_memory_mb, read, small_cephalograms, write
from peers import contenders

from landmarklabel.metrics import radial_errors, summarize

RADII = (2.0, 2.5, 3.0, 4.0)
_SPEED_IMAGES = 8
# The published network is far too slow for an accuracy in minutes on a CPU; its speed is measured all the same.
_TOO_SLOW = ("landmarklabel farnet (densenet121)",)


def speed(name: str, data: Path, size: tuple[int, int]) -> dict[str, Any]:
    """Seconds a training step of 4 images, seconds an image in inference, peak memory of training."""
    few = small_cephalograms(data, "train", size, _SPEED_IMAGES)
    start = time.perf_counter()
    contender = contenders()[name](few["images"], few["points"], 0)
    inference = median_seconds(lambda: contender.predict(few["images"][0]), 7)
    epoch = median_seconds(lambda: contender.train_epoch(0.0), 3)
    return {
        "parameters": contender.parameters,
        "step_s": epoch / contender.steps_of_epoch(),
        "inference_s": inference,
        "peak_memory_mb": peak_memory_mb(),
        "measured_in_s": time.perf_counter() - start,
    }


def accuracy(name: str, data: Path, size: tuple[int, int], minutes: float, seed: int) -> dict[str, Any]:
    """Errors on Test1 after training for so many minutes, the learning rate following the time."""
    train, test = (small_cephalograms(data, split, size) for split in ("train", "test1"))
    contender = contenders()[name](train["images"], train["points"], seed)
    start, epochs, longest = time.perf_counter(), 0, 0.0
    while (used := time.perf_counter() - start) + longest <= 60 * minutes:
        contender.train_epoch(used / (60 * minutes))
        longest = max(longest, time.perf_counter() - start - used)
        epochs += 1
    trained = time.perf_counter() - start
    predicted = np.stack([contender.predict(image) for image in test["images"]])
    errors = radial_errors(predicted, test["points"], test["units"])
    unseen = ~np.isin(test["patients"], train["patients"])
    return {
        "epochs": epochs,
        "trained_s": trained,
        "test1": summarize(errors, RADII).as_dict(),
        "test1_without_repeated_pictures": {"images": int(unseen.sum()), **summarize(errors[unseen], RADII).as_dict()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "accuracy"])
    parser.add_argument("--data", type=Path, required=True, help="folder of ISBI 2015")
    parser.add_argument("--height", type=int, default=320)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="measure one contender again, and keep the others' results")
    parser.add_argument("--one", help="one contender, in this process; for the benchmark's own use")
    arguments = parser.parse_args()
    size = (arguments.width, arguments.height)
    if arguments.one:
        run = (
            speed(arguments.one, arguments.data, size)
            if arguments.what == "speed"
            else accuracy(arguments.one, arguments.data, size, arguments.minutes, arguments.seed)
        )
        print(json.dumps(run))
        return
    options = ["--data", arguments.data, "--height", arguments.height, "--width", arguments.width]
    options += ["--minutes", arguments.minutes, "--seed", arguments.seed]
    names = [name for name in contenders() if arguments.what == "speed" or name not in _TOO_SLOW]
    results = read(f"farnet_vs_peers_{arguments.what}").get("contenders", {}) if arguments.only else {}
    for name in [arguments.only] if arguments.only else names:
        results[name] = in_own_process(__file__, arguments.what, *options, "--one", name)
        print(name, results[name], flush=True)
    command = f"python benchmarks/farnet_vs_peers.py {arguments.what} --data DIR"
    command += f" --minutes {arguments.minutes:g}" if arguments.what == "accuracy" else ""
    content = {"input": f"{arguments.height} x {arguments.width}", "batch_size": 4, "contenders": results}
    print(write(f"farnet_vs_peers_{arguments.what}", command, content))


if __name__ == "__main__":
    main()
