"""What the benchmarks share: images, a process of its own for each contender, and results as JSON."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from landmarklabel.engine.evaluation import machine
from landmarklabel.errors import LandmarkLabelError
from landmarklabel.io.dataset import Case, read_dataset
from landmarklabel.transforms import Placement
from landmarklabel.transforms.intensity import place_radiograph

RESULTS = Path(__file__).parent / "results"


def small_cephalograms(folder: Path, split: str, size: tuple[int, int], most: int | None = None) -> dict[str, Any]:
    """Images of ISBI 2015, stretched to (W, H), with points in that size and mm a pixel of it."""
    cases: tuple[Case, ...] = read_dataset(f"isbi2015:{folder}").split(split).cases[:most]
    images, points, units = [], [], []
    for case in cases:
        radiograph = case.radiograph()
        placement = Placement(radiograph.size, size)
        images.append(place_radiograph(radiograph, placement).numpy())
        points.append(placement.points(case.points))
        units.append(np.array(radiograph.spacing) / placement.scale)
    patients = [case.patient for case in cases]
    return {"images": np.stack(images), "points": np.stack(points), "units": np.stack(units), "patients": patients}


def peak_memory_mb() -> float:
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def median_seconds(function: Callable[[], object], times: int) -> float:
    """Median of the wall-clock time of ``times`` calls, after one that does not count."""
    function()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def in_own_process(script: str, *arguments: object) -> dict[str, Any]:
    """Run a script that prints JSON as its last line; its memory is then its own."""
    command = [sys.executable, script, *map(str, arguments)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    content: dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
    return content


def read(name: str) -> dict[str, Any]:
    """A result that was written before; empty if there is none."""
    path = RESULTS / f"{name}.json"
    content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return content


def run_stage(arguments: argparse.Namespace) -> None:
    """Do what the chosen stage stands for, ``arguments.run``; what can't be done is one sentence and status 2."""
    try:
        arguments.run(arguments)
    except LandmarkLabelError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)


def write(name: str, command: str, content: dict[str, Any]) -> Path:
    """Write a result with the command and the machine that made it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"command": command, "machine": machine(), **content}, indent=1) + "\n")
    return path
