"""What a reader feels in the Slicer module: from the release of the mouse to the landmarks in their new places.

Real MRML, a real slice view rendered offscreen, real mouse events, a real server over HTTP on the sample data; run in
3D Slicer's environment, with the server's at hand (see tests/slicer/module/servers_apart.py):

    .venv-slicer/bin/python benchmarks/slicer_module.py --json benchmarks/results/slicer_module.json

``release_to_drawn``: until the view has been rendered with every landmark where it belongs. ``request``: the same
question asked by the client alone, without a viewer. ``added``: the difference, per drag. ``turn``: one turn of the
event loop while this goes on. ``..._cpu``: what the main thread itself worked, of a turn, of a whole drag without the
last rendering, and of that rendering (by software here): on a shared machine these are what can be compared. Seconds;
median, 95th percentile, worst.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
for folder in ("tests/slicer/module", "SlicerModule/LandmarkLabel"):
    sys.path.insert(0, str(ROOT / folder))

import numpy as np

_IMAGES = {"cephalometric_19": "cephalometric_0020", "spine_68": "spine_0020", "chest_166": "chest_0020"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--protocol", nargs="+", choices=list(_IMAGES), default=list(_IMAGES))
    parser.add_argument("--drags", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = {protocol: measure(protocol, arguments.drags) for protocol in arguments.protocol}
    report = {
        "command": "benchmarks/slicer_module.py",
        "drags": arguments.drags,
        "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0], "platform": platform.platform()},
        "seconds": results,
    }
    print(json.dumps(report, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


def measure(protocol: str, drags: int) -> dict[str, Any]:
    from servers_apart import prepare

    with tempfile.TemporaryDirectory() as name:
        server = prepare(Path(name) / "server", protocol).start()
        try:
            return _drags(server.address, Path(name) / "viewer", _IMAGES[protocol], drags)
        finally:
            server.stop()


def _drags(address: str, folder: Path, image: str, drags: int) -> dict[str, Any]:
    from panel import Panel

    folder.mkdir()
    panel = Panel(folder)
    panel.connect(address)
    panel.open(image)
    panel.wait(lambda: panel.loop.next_is_ready, "the next image")
    drawn, requests, turns, works, drags_cpu, renders_cpu = [], [], [], [], [], []
    labels = panel.loop.reading.labels
    for number in range(drags):  # what the first ones warm up is part of what is felt
        panel.desk.image.fit()
        label = labels[(7 * number) % len(labels)]
        panel.drag(label, (12 - 6 * (number % 5), 9))
        began, worked = time.perf_counter(), time.thread_time()
        asked = panel.loop.reading.request()
        while not panel.settled:
            _turn(panel, turns, works)
        drags_cpu.append(time.thread_time() - worked)
        panel.view.render()
        renders_cpu.append(time.thread_time() - worked - drags_cpu[-1])
        drawn.append(time.perf_counter() - began)
        if asked is not None:
            requests.append(_alone(panel, image, labels, asked))
        panel.wait(lambda: not panel.loop.outbox.waiting, "draft")
    panel.close()
    added = np.array(drawn) - np.array(requests)
    figures = {
        "release_to_drawn": drawn, "request": requests, "added": added, "turn": turns,
        "turn_cpu": works, "drag_cpu": drags_cpu, "render_cpu": renders_cpu,
    }  # fmt: skip
    return {"landmarks": len(labels), **{name: _summary(values) for name, values in figures.items()}}


def _turn(panel: Any, turns: list[float], works: list[float]) -> None:
    began, worked = time.perf_counter(), time.thread_time()
    panel.application.processEvents()
    turns.append(time.perf_counter() - began)
    works.append(time.thread_time() - worked)
    time.sleep(0.0005)


def _alone(panel: Any, image: str, labels: tuple[str, ...], asked: Any) -> float:
    """The same corrections in a session of their own, so that the server works as much."""
    began = time.perf_counter()
    panel.loop.client.refine(image, labels, asked.corrections, asked.missing, asked.previous, "benchmark")
    return time.perf_counter() - began


def _summary(values: Any) -> dict[str, float]:
    median, high, worst = np.percentile(values, [50, 95, 100])
    return {"median": round(median, 4), "p95": round(high, 4), "worst": round(worst, 4)}


if __name__ == "__main__":
    main()
