"""What an image takes in the network of each light method, by back end, and how far answers are apart.

    python benchmarks/inference_speed.py

Fresh weights, whose batch norms have seen synthetic spines: times do not depend on what was learned. PyTorch in its
default memory format is the yardstick; the back ends are those that ``landmarklabel export`` chooses from, and PyTorch
compiled by Inductor, which is not among them: compiling takes half a minute at each start of a process, and a compiler.
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
from common import write
from loops.spines import PROTOCOL
from loops.watch import CLOCKS

from landmarklabel.backends import available, open_network
from landmarklabel.engine.config import load_experiment
from landmarklabel.engine.exporting import write_onnx
from landmarklabel.networks import LandmarkNetwork, build_network
from landmarklabel.phantoms import generate
from landmarklabel.protocol import load_protocol
from landmarklabel.transforms import Placement
from landmarklabel.transforms.intensity import place_radiograph, to_network

METHODS = {"farnet_light": (160, 384), "interactive_light": (128, 256), "denseseg_light": (160, 384)}
_YARDSTICK, _SEED, _BATCH = "PyTorch, default memory format", 56_000, 4
_TYPES = {"fp32": torch.float32, "fp16": torch.float16}

Answer = Callable[[], torch.Tensor]


def contenders(method: str, folder: Path, compiled: bool) -> dict[str, Answer]:
    """The finest maps of one image, by each back end."""
    size = METHODS[method]
    network = _network(method, size)
    image = _images(network, size)[:1]
    file = folder / f"{method}.onnx"
    write_onnx(network, size, file)
    found = {_YARDSTICK: _eager(_network(method, size), image, torch.float32)}
    placed = network.place(torch.device("cpu"))
    in_format = image.contiguous(memory_format=placed.memory_format)
    for backend in available():
        if backend.library == "torch":
            found[f"PyTorch, {backend.bits}"] = _eager(placed, in_format, _TYPES[backend.bits])
        else:
            run = open_network(file, backend)
            found[str(backend)] = lambda run=run: run(image)  # type: ignore[misc]
    if compiled:
        found["PyTorch compiled, fp32"] = _eager(torch.compile(placed), in_format, torch.float32)
    return found


def _network(method: str, size: tuple[int, int]) -> LandmarkNetwork:
    torch.manual_seed(0)
    config = load_experiment(method).network.model_copy(update={"pretrained": False})
    network = build_network(config, load_protocol(PROTOCOL))
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(_images(network, size))
    return network.eval()


def _images(network: LandmarkNetwork, size: tuple[int, int]) -> torch.Tensor:
    radiographs = [generate(PROTOCOL, _SEED + index)[0] for index in range(_BATCH)]
    placed = [place_radiograph(each, Placement(each.size, size)) for each in radiographs]
    return to_network(torch.stack(placed), network.normalisation)


def _eager(network: Any, image: torch.Tensor, kind: torch.dtype) -> Answer:
    @torch.inference_mode()
    def answer() -> torch.Tensor:
        with torch.autocast("cpu", kind, enabled=kind is not torch.float32):
            maps: torch.Tensor = network(image)[-1]
        return maps.float()

    return answer


def measure(answers: Mapping[str, Answer], times: int, clock: str) -> dict[str, dict[str, float]]:
    """By turns; the first call, which may compile, does not count, and is told apart."""
    now, seconds, first = CLOCKS[clock], {name: [] for name in answers}, {}
    for name, answer in answers.items():
        start = time.perf_counter()
        answer()
        first[name] = time.perf_counter() - start
    for _ in range(times):
        for name, answer in answers.items():
            start = now()
            answer()
            seconds[name].append(now() - start)
    expected = answers[_YARDSTICK]()
    unit = np.array(seconds[_YARDSTICK])
    return {
        name: {
            "network_ms": round(1000 * float(np.median(taken)), 2),
            "times_as_fast": round(float(np.median(unit / np.array(taken))), 2),
            "first_call_s": round(first[name], 2),
            "maps_differ_by_part": round(float((answers[name]() - expected).abs().max() / expected.abs().max()), 6),
        }
        for name, taken in seconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=25)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", default="wall", choices=CLOCKS, help="cpu: of one thread, where others compute, too")
    parser.add_argument("--not-compiled", action="store_true", help="leave out what needs a compiler")
    parser.add_argument("--trial", action="store_true", help="write no result")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for method in METHODS:
            answers = contenders(method, Path(folder), not arguments.not_compiled)
            found[method] = measure(answers, arguments.times, arguments.clock)
            print(method, json.dumps(found[method], indent=1), flush=True)
    if not arguments.trial:
        command = f"python benchmarks/inference_speed.py --threads {arguments.threads} --clock {arguments.clock}"
        print(write("inference_speed", command, {"methods": found}))


if __name__ == "__main__":
    main()
