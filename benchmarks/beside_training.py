"""What a reader waits for while the server trains, and while it does not, in one run: over HTTP, as a viewer asks.

    python benchmarks/beside_training.py

The server of the sample spines and their model. A reader goes from image to image: asks which is next, gets its
landmarks, clicks on three of them and saves. The rounds without and with a training (``POST /train/farnet``, as the
server itself runs it: lower priority, a part of the cores) take turns. Times are from request to parsed answer.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import requests
from common import write
from latency.served import sample_server

Seconds = dict[str, list[float]]
QUIET, TRAINING = "without training", "beside a training"
_CLICKS = 3
_TIMEOUT_S = 120


class Reader:
    """One reader at a server."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        response = requests.request(method, f"{self._address}{path}", timeout=_TIMEOUT_S, **options)
        response.raise_for_status()
        return response

    def read(self, image: str, seconds: Seconds) -> str:
        """Correct an image that is on screen, save it, and get the next one with its landmarks; gives its id."""
        first = self._landmarks(image)["landmarks"]
        for number in range(_CLICKS):
            landmark = first[(number + 1) * len(first) // (_CLICKS + 1)]
            _timed(seconds["click"], lambda landmark=landmark: self._click(image, landmark))
        markups = self("POST", f"/infer/landmarks?image={image}&output=image").content
        start = time.perf_counter()
        label = {"label": ("label.mrk.json", markups)}
        _timed(seconds["save"], lambda: self("PUT", f"/datastore/label?image={image}&tag=final", files=label))
        following = str(_timed(seconds["which is next"], self._next))
        _timed(seconds["landmarks of a new image"], lambda: self._landmarks(following))
        seconds["from save to the next prediction"].append(time.perf_counter() - start)
        return following

    def _click(self, image: str, landmark: dict[str, Any]) -> requests.Response:
        x, y, z = landmark["position"]
        corrections = {landmark["label"]: [x + 1.0, y, z]}
        params = {"params": json.dumps({"corrections": corrections})}
        return self("POST", f"/infer/refine?image={image}&output=json", data=params)

    def _landmarks(self, image: str) -> Any:
        return self("POST", f"/infer/landmarks?image={image}&output=json").json()

    def _next(self) -> str:
        return str(self("POST", "/activelearning/mixed", json={"client_id": "benchmark"}).json()["id"])

    def train(self) -> None:
        """Start a training that does not end by itself, and wait until it has learned for an epoch."""
        self("POST", "/train/farnet", json={"epochs": 5000, "start_from": "scratch"})
        self._wait(lambda: self._state().get("state") == "running" and "epoch" in self._state())

    def stop(self) -> None:
        """End it."""
        self("DELETE", "/train/")
        self._wait(lambda: self._state().get("state") != "running")

    @property
    def trains(self) -> bool:
        """Whether a training runs."""
        return bool(self._state().get("state") == "running")

    def _state(self) -> dict[str, Any]:
        stats: dict[str, Any] = self("GET", "/info/").json()["train_stats"].get("farnet") or {}
        return stats

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 600
        while not condition():
            if time.monotonic() > end:
                raise SystemExit(f"the training is not where it should be: {self._state()}")
            time.sleep(1)


def _timed(seconds: list[float], call: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    answer = call()
    seconds.append(time.perf_counter() - start)
    return answer


def measure(images: int, rounds: int) -> dict[str, Seconds]:
    """Seconds of each kind of request, without and beside a training."""
    found: dict[str, Seconds] = {QUIET: defaultdict(list), TRAINING: defaultdict(list)}
    with tempfile.TemporaryDirectory() as folder, sample_server(Path(folder), 2 * rounds * images + 2) as address:
        reader = Reader(address)
        image = reader.read(reader._next(), defaultdict(list))  # the first request loads the model
        for _ in range(rounds):
            for name in found:
                if name == TRAINING:
                    reader.train()
                assert reader.trains == (name == TRAINING), "a training runs only when it is asked for"
                for _ in range(images):
                    image = reader.read(image, found[name])
                assert reader.trains == (name == TRAINING), "the training ended by itself"
            reader.stop()
    return found


def percentiles(found: dict[str, Seconds]) -> dict[str, Any]:
    """Of each kind of request p50 and p95 in ms, and how many times as long they take beside a training."""
    rows: dict[str, Any] = {}
    for kind in found[QUIET]:
        of = {name: np.percentile(found[name][kind], [50, 95]) * 1000 for name in found}
        rows[kind] = {
            **{name: {"p50_ms": round(p50, 1), "p95_ms": round(p95, 1)} for name, (p50, p95) in of.items()},
            "times_as_long": [round(float(ratio), 2) for ratio in of[TRAINING] / of[QUIET]],
            "requests": len(found[QUIET][kind]),
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=15, help="in each round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--trial", action="store_true", help="write no result")
    arguments = parser.parse_args()
    rows = percentiles(measure(arguments.images, arguments.rounds))
    print(json.dumps(rows, indent=1))
    if not arguments.trial:
        print(write("beside_training", "python benchmarks/beside_training.py", {"requests": rows}))


if __name__ == "__main__":
    main()
