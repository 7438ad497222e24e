"""Whether a method learns as well in bf16 as in 32 bits: errors after as many epochs, on synthetic spines.

    python benchmarks/training_bits.py

The same images, seeds and epochs; one thread; errors of the best epoch on the validation images, in pixels.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import write
from loops.spines import PROTOCOL, write_spines

from landmarklabel.engine.config import load_experiment
from landmarklabel.engine.trainer import train
from landmarklabel.io.dataset import LandmarkDataset, read_dataset

METHODS = ("farnet_light", "denseseg_light", "interactive_light")
_SIZE, _PIXELS = (256, 512), 16384


def error(method: str, amp: str, seed: int, epochs: int, dataset: LandmarkDataset) -> float:
    """Mean radial error of a run's best epoch."""
    changes: dict[str, Any] = {"input.pixels": _PIXELS, "epochs": epochs, "amp": amp, "seed": seed}
    changes |= {"validation.pictures": 0, "validation.fraction": 0.25}
    with tempfile.TemporaryDirectory() as folder:
        result = train(load_experiment(method, changes), dataset, Path(folder) / "run", device="cpu", quiet=True)
    return round(float(result.metrics["val_mre"]), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_spines(Path(folder) / "studies", arguments.images, _SIZE)
        dataset = read_dataset(f"studies:{folder}/studies", PROTOCOL)
        for method in arguments.methods:
            errors = {
                amp: [error(method, amp, seed, arguments.epochs, dataset) for seed in range(arguments.seeds)]
                for amp in ("off", "bf16")
            }
            found[method] = {
                "px": errors,
                "bf16_by_off": round(float(np.mean(errors["bf16"]) / np.mean(errors["off"])), 3),
            }
            print(method, found[method], flush=True)
    about = {"images": arguments.images, "epochs": arguments.epochs, "pixels_of_input": _PIXELS}
    print(write("training_bits", "python benchmarks/training_bits.py", {**about, "methods": found}))


if __name__ == "__main__":
    main()
