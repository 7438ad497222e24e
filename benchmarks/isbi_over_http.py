"""Real cephalograms from import to answer, over HTTP: what a user of the server does, with errors on unseen images.

    python benchmarks/isbi_over_http.py --data DIR --work WORK --epochs 40

DIR holds ISBI 2015 in its published layout. WORK gets the studies, the model and overlays of the best, the median and
the worst image; nothing of it belongs into the project.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import requests
from common import write

from landmarklabel.io.dataset import Case, read_dataset
from landmarklabel.metrics import radial_errors, summarize
from landmarklabel.pictures import overlay, side_by_side

RADII = (2.0, 2.5, 3.0, 4.0)
PROTOCOL, EXPERIMENT = "cephalometric_19", "farnet_isbi2015_light"


@contextmanager
def server(studies: Path, models: Path, port: int) -> Iterator[str]:
    """MONAI Label's own command with the app, on 127.0.0.1; gives its address."""
    app = Path(__file__).resolve().parents[1] / "MonaiLabelApp"
    command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--conf", "protocol", PROTOCOL, "--conf", "models"]
    environment = {**os.environ, "MONAI_LABEL_TRACKING_ENABLED": "false"}
    with (models.parent / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, str(models)], stdout=log, stderr=log, env=environment, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        while not _answers(address):
            if process.poll() is not None:
                raise SystemExit(f"the server has ended; see {models.parent / 'server.log'}")
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def train(address: str, epochs: int) -> dict[str, Any]:
    """Train over HTTP, wait, and give the statistics of /info/ with the wall-clock time."""
    start = time.perf_counter()
    settings = {"config": EXPERIMENT, "epochs": epochs, "start_from": "scratch", "seed": 0}
    requests.post(f"{address}/train/farnet", json=settings, timeout=60).raise_for_status()
    while requests.get(f"{address}/train/", timeout=60).json()["status"] in ("SUBMITTED", "RUNNING"):
        time.sleep(5)
    stats: dict[str, Any] = requests.get(f"{address}/info/", timeout=60).json()["train_stats"]["farnet"]
    if stats["state"] != "done":
        raise SystemExit(f"training has ended as {stats}")
    kept = ("labels", "epochs", "validation_mre", "published", "version")
    return {"wall_s": time.perf_counter() - start, **{key: stats[key] for key in kept if key in stats}}


def answer(address: str, case: Case) -> tuple[np.ndarray, float]:
    """Upload an image that the server does not have, and ask for its landmarks: points (K, 2), and seconds."""
    with case.image.open("rb") as file:
        files = {"file": (case.image.name, file)}
        requests.put(f"{address}/datastore/?image=test_{case.id}", files=files, timeout=60).raise_for_status()
    start = time.perf_counter()
    response = requests.post(f"{address}/infer/landmarks?image=test_{case.id}&output=json", timeout=60)
    seconds = time.perf_counter() - start
    response.raise_for_status()
    return np.array([landmark["pixel"] for landmark in response.json()["landmarks"]]), seconds


def draw(cases: list[Case], predicted: np.ndarray, errors: np.ndarray, path: Path) -> None:
    """The best, the median and the worst image: truth as green rings, answers as red crosses."""
    order = np.argsort(errors.mean(1))
    pictures = []
    for index in order[[0, len(order) // 2, -1]]:
        image = cases[index].radiograph().display()
        pictures.append(overlay(image, predicted[index], cases[index].points, height=1000))
    side_by_side(pictures).save(path)


def _answers(address: str) -> bool:
    try:
        return requests.get(f"{address}/info/", timeout=5).ok
    except requests.ConnectionError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of ISBI 2015")
    parser.add_argument("--work", type=Path, required=True, help="a new folder for studies, models and overlays")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--port", type=int, default=8123)
    arguments = parser.parse_args()
    studies, models = arguments.work / "studies", arguments.work / "models"
    models.mkdir(parents=True)
    importing = ["import", "isbi2015", str(arguments.data), str(studies), "--split", "train"]
    subprocess.run([sys.executable, "-m", "landmarklabel.cli", *importing], check=True)

    dataset = read_dataset(f"isbi2015:{arguments.data}")
    seen = {case.patient for case in dataset.split("train").cases}
    cases = list(dataset.split("test1").cases)
    with server(studies, models, arguments.port) as address:
        trained = train(address, arguments.epochs)
        print(json.dumps(trained), flush=True)
        answers = [answer(address, case) for case in cases]
    predicted, seconds = np.stack([points for points, _ in answers]), [taken for _, taken in answers]
    spacing = np.stack([case.radiograph().spacing for case in cases])
    errors = radial_errors(predicted, np.stack([case.points for case in cases]), spacing)
    unseen = np.array([case.patient not in seen for case in cases])
    draw(cases, predicted, errors, arguments.work / "best_median_worst.png")
    content = {
        "experiment": EXPERIMENT,
        "training": trained,
        "test1": summarize(errors, RADII).as_dict(),
        "test1_without_repeated_pictures": {"images": int(unseen.sum()), **summarize(errors[unseen], RADII).as_dict()},
        "answer_s": {"median": float(np.median(seconds)), "90th percentile": float(np.percentile(seconds, 90))},
    }
    command = f"python benchmarks/isbi_over_http.py --data DIR --work WORK --epochs {arguments.epochs}"
    print(write("isbi_over_http", command, content), json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
