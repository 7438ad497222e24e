"""Every benchmark, one after the other; ten hours on two cores, most of them training.

    python benchmarks/run_all.py --data DIR

DIR holds isbi2015/ and aasce/ in their published layouts. Results go to benchmarks/results.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from clicks.methods import DEFAULT, METHODS, PUBLISHED

HERE = Path(__file__).resolve().parent


def clicks(data: str, work: str, methods: Iterable[str]) -> list[list[str]]:
    """Train these, and evaluate all rows."""
    there = ["--data", data, "--work", work]
    trainings = [["interaction.py", "train", *there, "--method", name, "--budget", "1800"] for name in methods]
    return [*trainings, ["interaction.py", "evaluate", *there], ["interaction.py", "table", "--work", work]]


def segmentations(data: str, work: str, structures: str = "", fewer: str = "") -> list[list[str]]:
    """Train DenseSeg, with and without some of the landmarks, and its baseline, and compare with what is there.

    ``structures`` and, without some of the landmarks, ``fewer``: where the protocol closes none.
    """
    there = ["--data", data, "--work", work]
    train = ["denseseg.py", "train", *there, "--budget", "1000"]
    first, second = (["--set", f"network.structures=[{names}]"] if names else [] for names in (structures, fewer))
    return [
        [*train, "--method", "denseseg", *first],
        [*train, "--method", "denseseg", "--name", "denseseg_less", "--less", *second],
        [*train, "--method", "heatreg"],
        *(["denseseg.py", part, *there] for part in ("evaluate", "landmarks", "clicks")),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with isbi2015/ and aasce/")
    arguments = parser.parse_args()
    cephalograms = ["--data", str(arguments.data / "isbi2015")]
    spines = f"aasce:{arguments.data / 'aasce'}"
    cephalograms_of = f"isbi2015:{arguments.data / 'isbi2015'}"
    with tempfile.TemporaryDirectory() as work:
        for command in (
            ["memory_format.py"],
            ["farnet_vs_peers.py", "speed", *cephalograms],
            ["farnet_vs_peers.py", "accuracy", *cephalograms, "--minutes", "6"],
            ["isbi_over_http.py", *cephalograms, "--work", f"{work}/http"],
            ["shape_prior.py", "--data", str(arguments.data)],
            *clicks(spines, f"{work}/spines", METHODS),
            *clicks(cephalograms_of, f"{work}/cephalograms", (DEFAULT, PUBLISHED)),
            ["refine_latency.py", "--model", f"{work}/spines/{PUBLISHED}/model.safetensors", "--data", spines],
            ["measurement_speed.py"],
            ["training_speed.py"],
            ["inference_speed.py"],
            ["beside_training.py"],
            ["store.py"],
            ["few_labels.py", "--data", spines],
            ["few_labels.py", "--data", cephalograms_of],
            ["cost.py", "run", "--data", str(arguments.data), "--work", f"{work}/cost"],
            ["uvmaps.py"],
            ["denseseg_speed.py"],
            *segmentations(spines, f"{work}/spines"),
            *segmentations(cephalograms_of, f"{work}/cephalograms", "maxilla,mandible", "mandible"),
            *segmentations("phantoms", f"{work}/chests"),
        ):
            print("benchmarks/" + " ".join(command), flush=True)
            subprocess.run([sys.executable, str(HERE / command[0]), *command[1:]], check=True)


if __name__ == "__main__":
    main()
