"""What a click costs beside one plain forward of timm's hrnet_w32, and what a training step costs, in one run.

    python benchmarks/refine_latency.py
    python benchmarks/refine_latency.py --model WORK/interactive/model.safetensors --data aasce:DIR

Fresh weights, two threads; contenders take turns, so that what else the machine does hits all of them. With --model,
how far landmarks in 16 bits are from those in 32 is also measured on that network, on images of DIR.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import in_own_process, write
from latency.network import Clicked, fresh_network, phantom, straightforward_click
from latency.peaks import native, of_model, of_published_network
from latency.plain import plain_forward
from latency.served import SAMPLES, sample_server, served_click
from latency.training import CONTENDERS, training_step
from latency.wrist import wrist_click

_THREADS = 2
_PLAIN = "plain forward of timm hrnet_w32, fp32"


def clicks(times: int) -> dict[str, Any]:
    """Seconds, and their ratio to the plain forward, of every kind of click."""
    radiograph, true = phantom()
    contenders: dict[str, Callable[[], object]] = {_PLAIN: plain_forward()}
    network = fresh_network()
    whole = Clicked(network, "fp32", radiograph, true)
    contenders["pass per click, fp32"] = whole
    for precision in ("fp16", "bf16"):
        if native(precision):
            contenders[f"pass per click, {precision}"] = Clicked(network, precision, radiograph, true)
    contenders["pass per click, straightforward"] = straightforward_click(whole.predictor, true)
    with tempfile.TemporaryDirectory() as folder, sample_server(Path(folder)) as address:
        contenders["posterior, K = 68, HTTP request to answer"], first = served_click(address)
        seconds = in_turns(contenders, times)
    many = in_turns({_PLAIN: contenders[_PLAIN], "posterior, K = 720, library": wrist_click()}, max(2, times // 4))
    return {"first_answer_timings": first, "K = 68": beside(seconds, _PLAIN), "K = 720": beside(many, _PLAIN)}


def in_turns(contenders: Mapping[str, Callable[[], object]], times: int) -> dict[str, list[float]]:
    """Wall-clock seconds of ``times`` calls of each, one call of each after the other; the first does not count."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(times + 1):
        for name, call in contenders.items():
            start = time.perf_counter()
            call()
            if turn:
                taken[name].append(time.perf_counter() - start)
    return taken


def beside(seconds: Mapping[str, list[float]], yardstick: str) -> dict[str, dict[str, float]]:
    """Medians, the fastest, and the medians' ratio to that of the yardstick."""
    unit = float(np.median(seconds[yardstick]))
    return {
        name: {
            "median_s": float(np.median(taken)),
            "fastest_s": min(taken),
            "ratio": float(np.median(taken)) / unit,
        }
        for name, taken in seconds.items()
    }


def training(steps: int, rounds: int) -> dict[str, Any]:
    """Step time and peak memory, each contender in processes of its own, in turns."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS if native("bf16") or name != "ours_bf16"}
    for _ in range(rounds):
        for name, results in found.items():
            results.append(in_own_process(__file__, "--step-of", name, "--steps", steps))
            print(name, results[-1], flush=True)
    medians = {
        name: {key: float(np.median([result[key] for result in results])) for key in results[0]}
        for name, results in found.items()
    }
    reference = medians["straightforward"]
    return {
        name: {**content, **{f"{key}_ratio": content[key] / reference[key] for key in reference}}
        for name, content in medians.items()
    }


def precision(steps: int, model: Path | None, data: str | None, images: int) -> dict[str, Any]:
    """Landmarks in 16 bits beside those in 32."""
    samples = {f"sample model of {name}, unseen phantoms": name for name in ("spine_68", "cephalometric_19")}
    found = {
        title: of_model(SAMPLES / "models" / name / "landmarks.safetensors", None, images)
        for title, name in samples.items()
    }
    found["published network at 512 x 256, two phantoms learned by heart"] = of_published_network(steps)
    if model is not None:
        found[f"{model.parent.name}, trained, {(data or 'phantoms').split(':')[0]}"] = of_model(model, data, images)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=15, help="calls of each kind of click")
    parser.add_argument("--steps", type=int, default=4, help="training steps in each process")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each contender of training")
    parser.add_argument("--learning-steps", type=int, default=80, help="until the published network has peaks")
    parser.add_argument("--images", type=int, default=12, help="on which precisions are compared")
    parser.add_argument("--model", type=Path, help="a trained network, to compare precisions on")
    parser.add_argument("--data", help="LAYOUT:DIR, images for --model")
    parser.add_argument("--trial", action="store_true", help="write no result")
    parser.add_argument("--step-of", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(_THREADS)
    if arguments.step_of:
        print(json.dumps(training_step(arguments.step_of, arguments.steps)))
        return
    content = {"threads": _THREADS, "clicks": clicks(arguments.times)}
    print(json.dumps(content, indent=1), flush=True)
    content["precision"] = precision(arguments.learning_steps, arguments.model, arguments.data, arguments.images)
    print(json.dumps(content["precision"], indent=1), flush=True)
    content["training_step"] = training(arguments.steps, arguments.rounds)
    print(json.dumps(content["training_step"], indent=1))
    if not arguments.trial:
        command = "python benchmarks/refine_latency.py"
        command += " --model MODEL --data aasce:DIR" if arguments.model else ""
        print(write("refine_latency", command, content))


if __name__ == "__main__":
    main()
