"""What a training step costs in the engine, and in a straightforward loop of the same networks, in one run.

    python benchmarks/training_speed.py

The three light methods on synthetic spines, 1024 x 512 PNGs; each contender in processes of its own, by turns, on as
many threads. The straightforward loop decodes an image each time it is drawn, makes its targets on the CPU item by
item, and computes in 32 bits. Ratios are medians over the rounds, of a round's two processes each.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import in_own_process, peak_memory_mb, write
from loops.engine_run import engine_run
from loops.spines import PROTOCOL, write_spines
from loops.watch import CLOCKS
from loops.written_out import written_out

from landmarklabel.engine.config import ExperimentConfig, load_experiment
from landmarklabel.engine.data import fit_input, training_and_validation
from landmarklabel.io.dataset import read_dataset

METHODS = ("farnet_light", "interactive_light", "denseseg_light")
OURS, PLAIN = "engine", "straightforward"
_SIZE = (512, 1024)


def measure(method: str, contender: str, studies: Path, epochs: int, amp: str, clock: str) -> dict[str, Any]:
    """Images a second, peak memory, and where a step's time goes; the first epoch does not count."""
    config, dataset = _config(method, epochs, amp), read_dataset(f"studies:{studies}", PROTOCOL)
    cases, _ = training_and_validation(dataset, config)
    config = fit_input(config, cases)
    read_s = 0.0
    if contender == OURS:
        with tempfile.TemporaryDirectory() as folder:
            watch, read_s = engine_run(config, dataset, Path(folder) / "run", clock)
    else:
        watch = written_out(config, dataset, cases, epochs, clock)
    parts = watch.summary(skip=-(-len(cases) // config.batch_size))
    step = sum(parts.values())
    return {
        "images_per_s": config.batch_size / step,
        "step_s": step,
        "parts_s": parts,
        "reading_all_s": read_s,
        "peak_memory_mb": peak_memory_mb(),
        "input": config.input.size,
    }


def _config(method: str, epochs: int, amp: str) -> ExperimentConfig:
    """The method at its own settings; validated once, at the end."""
    changes: dict[str, Any] = {"epochs": epochs, "validation.every": epochs, "validation.pictures": 0, "amp": amp}
    return load_experiment(method, changes)


def beside(ours: list[dict[str, Any]], plain: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of both, and of the ratios of each round."""
    speed = [a["images_per_s"] / b["images_per_s"] for a, b in zip(ours, plain, strict=True)]
    memory = [a["peak_memory_mb"] / b["peak_memory_mb"] for a, b in zip(ours, plain, strict=True)]
    return {
        "times_as_many_images_per_s": round(float(np.median(speed)), 2),
        "of_each_round": [round(ratio, 2) for ratio in speed],
        "part_of_peak_memory": round(float(np.median(memory)), 2),
        OURS: _median(ours),
        PLAIN: _median(plain),
    }


def _median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("images_per_s", "step_s", "reading_all_s", "peak_memory_mb")
    parts = {
        part: round(float(np.median([each["parts_s"].get(part, 0.0) for each in rounds])), 4)
        for part in rounds[0]["parts_s"]
    }
    return {**{name: round(float(np.median([each[name] for each in rounds])), 3) for name in names}, "parts_s": parts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--amp", default="native", choices=["native", "off"], help="of the engine; theirs is native")
    parser.add_argument("--clock", default="wall", choices=CLOCKS, help="cpu: of one thread, where others compute, too")
    parser.add_argument("--trial", action="store_true", help="write no result")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "CONTENDER"), help=argparse.SUPPRESS)
    parser.add_argument("--studies", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.one:
        print(json.dumps(measure(*arguments.one, arguments.studies, arguments.epochs, arguments.amp, arguments.clock)))
        return
    with tempfile.TemporaryDirectory() as folder:
        studies = Path(folder) / "studies"
        write_spines(studies, arguments.images, _SIZE)
        found: dict[str, dict[str, list[dict[str, Any]]]] = {
            method: {OURS: [], PLAIN: []} for method in arguments.methods
        }
        options = ["--studies", studies, "--epochs", arguments.epochs, "--threads", arguments.threads]
        options += ["--amp", arguments.amp, "--clock", arguments.clock]
        for _ in range(arguments.rounds):
            for method, contenders in found.items():
                for contender, results in contenders.items():
                    results.append(in_own_process(__file__, *options, "--one", method, contender))
                    print(method, contender, results[-1], flush=True)
    content = {method: beside(each[OURS], each[PLAIN]) for method, each in found.items()}
    print(json.dumps(content, indent=1))
    if not arguments.trial:
        about = {"images": arguments.images, "rounds": arguments.rounds}
        command = f"python benchmarks/training_speed.py --rounds {arguments.rounds} --images {arguments.images} "
        command += f"--epochs {arguments.epochs} --threads {arguments.threads} --clock {arguments.clock}"
        print(write("training_speed", command, {**about, "methods": content}))


if __name__ == "__main__":
    main()
