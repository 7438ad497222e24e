"""Segmentation, uv-maps and landmarks: DenseSeg beside heat map regression, FARNet and the interactive network.

    python benchmarks/denseseg.py train --data aasce:DIR --work WORK --method denseseg --budget 1000
    python benchmarks/denseseg.py train --data phantoms --work WORK --method denseseg --name denseseg_less --less
    python benchmarks/denseseg.py evaluate --data aasce:DIR --work WORK
    python benchmarks/denseseg.py landmarks --data phantoms --work WORK
    python benchmarks/denseseg.py clicks --data phantoms --work WORK
    python benchmarks/denseseg.py table --data phantoms

DIR holds AASCE or ISBI 2015 in its published layout; ``phantoms`` are synthetic chests, made in WORK. WORK, another one
for each data set, gets a folder for each model; those of benchmarks/interaction.py in the same WORK are evaluated, too.
The budget is CPU time of one thread. ``landmarks`` needs ``denseseg`` and ``denseseg_less``, which is trained without
some of the landmarks. Aggregate figures go to benchmarks/results.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from clicks.data import Parts
from clicks.methods import METHODS, configuration
from clicks.training import train_within
from common import read, write
from dense.data import fewer, left_out, read_parts
from dense.landmarks import experiment
from dense.tables import tables
from dense.warp import Warped

from landmarklabel.engine.data import learn_shape
from landmarklabel.engine.evaluation import evaluate
from landmarklabel.engine.interaction import Refiners, by_network, by_posterior, evaluate_clicks
from landmarklabel.engine.segmentation_evaluation import evaluate_segmentation
from landmarklabel.errors import LandmarkLabelError
from landmarklabel.interaction.refiners import Refiner, Unmoved
from landmarklabel.predictor import Predictor
from landmarklabel.radiograph import Radiograph
from landmarklabel.segmenting import dense_readout

_CLICKS = 5
#: Where the protocol closes no structure: those whose landmarks have an area.
_STRUCTURES = {"isbi2015": ("maxilla", "mandible")}
_REACHES = (0.25, 0.5, 1.0)


def train(arguments: argparse.Namespace) -> None:
    parts = read_parts(arguments.data, arguments.work)
    config = configuration(arguments.method, parts.layout, dict(map(_change, arguments.set)))
    dataset = fewer(parts.training, left_out(parts.training.protocol)) if arguments.less else parts.training
    name = arguments.name or arguments.method
    content = train_within(config, dataset, arguments.work / name, arguments.budget)
    mre = content["validation"].get("val_mre", float("nan"))
    print(f"{name}: best epoch {content['best_epoch']} of {content['epochs']}, validation MRE {mre:.2f}")


def evaluate_all(arguments: argparse.Namespace) -> None:
    """A row a model: structures and landmarks, on the test images."""
    parts = read_parts(arguments.data, arguments.work)
    found: dict[str, Any] = {}
    for name, predictor in _models(arguments.work, parts).items():
        landmarks = evaluate(predictor, parts.test)
        structures = evaluate_segmentation(predictor, parts.test, structures=_STRUCTURES.get(parts.layout))
        found[name] = {
            "landmarks": {
                **landmarks.summary().as_dict(),
                "mse_fraction": landmarks.figures()["mse_fraction"],
                "unit": landmarks.unit,
            },
            "structures": {key: value for key, value in structures.figures().items() if key != "by_image"},
            "validation": yaml.safe_load((arguments.work / name / "training.json").read_text())["validation"],
        }
        overall = found[name]["structures"]["overall"]
        print(f"{name:24s} {landmarks.summary().mre:8.2f} {overall}", flush=True)
    _write(arguments, parts, "models", found)


def landmarks_nobody_trained(arguments: argparse.Namespace) -> None:
    parts = read_parts(arguments.data, arguments.work)
    less = Predictor.load(_file(arguments.work, "denseseg_less"))
    full = Predictor.load(_file(arguments.work, "denseseg"))
    content = experiment(less, full, parts, left_out(parts.training.protocol))
    for name, figures in content["errors"].items():
        print(f"{name:28s} {figures['mre']:.2f}")
    _write(arguments, parts, "landmarks_nobody_trained", content)


def clicks(arguments: argparse.Namespace) -> None:
    """Clicks on contours: by hand, through the uv-map, and by the posterior of maps and labels' shape."""
    parts = read_parts(arguments.data, arguments.work)
    predictor = Predictor.load(_file(arguments.work, "denseseg"))
    shape = learn_shape(parts.training.cases)
    assert shape is not None
    posterior = by_posterior(predictor, shape, predictor.config.posterior)
    refiners: dict[str, Refiners] = {"by hand": by_network(predictor), "posterior": posterior}
    for reach in _REACHES:
        refiners[f"warp of the map, reach {reach:g}"] = _warped(predictor, reach)
        refiners[f"posterior's first answer, warped, reach {reach:g}"] = _warped(predictor, reach, posterior)
    found = {}
    for name, refiner in refiners.items():
        evaluation = evaluate_clicks(parts.test[: arguments.images], refiner, _CLICKS)
        found[name] = [float(value) for value in np.nanmean(evaluation.by_clicks, axis=0)]
        print(f"{name:45s}", " ".join(f"{value:.2f}" for value in found[name]), flush=True)
    _write(arguments, parts, "error_by_clicks", found)


def table(arguments: argparse.Namespace) -> None:
    """What README.md shows of the results that there are."""
    layout = arguments.data.partition(":")[0]
    print("\n\n".join(tables(read(f"denseseg_{layout}"))))


def _warped(predictor: Predictor, reach: float, first: Refiners | None = None) -> Refiners:
    readout = dense_readout(predictor)

    def look(radiograph: Radiograph) -> Refiner:
        if first is not None:
            return Warped(first(radiograph), readout.regions, readout.mean_shape, reach)
        predictor.set_image(radiograph)
        return Warped(Unmoved.of_network(predictor, radiograph.size), readout.regions, readout.mean_shape, reach)

    return look


def _models(work: Path, parts: Parts) -> dict[str, Predictor]:
    there = {path.parent.name: path.with_name("model.safetensors") for path in sorted(work.glob("*/training.json"))}
    names = [*(name for name in METHODS if name in there), *(name for name in there if name not in METHODS)]
    loaded = {name: Predictor.load(there[name]) for name in names}
    return {name: model for name, model in loaded.items() if len(model.protocol) == len(parts.training.protocol)}


def _file(work: Path, name: str) -> Path:
    return work / name / "model.safetensors"


def _write(arguments: argparse.Namespace, parts: Parts, part: str, content: dict[str, Any]) -> None:
    name = f"denseseg_{parts.layout}"
    command = "python benchmarks/denseseg.py train|evaluate|landmarks|clicks --data SOURCE --work WORK"
    data = {"training": len(parts.training.cases), "test": len(parts.test), "protocol": parts.training.protocol.name}
    old = {key: value for key, value in read(name).items() if key not in ("command", "machine")}
    print(write(name, command, {**old, "data": data, part: content}))


def _change(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    return key, yaml.safe_load(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, function in {
        "train": train,
        "evaluate": evaluate_all,
        "landmarks": landmarks_nobody_trained,
        "clicks": clicks,
        "table": table,
    }.items():
        command = commands.add_parser(name)
        command.set_defaults(function=function)
        command.add_argument("--data", required=True, help="aasce:DIR, isbi2015:DIR or phantoms")
        command.add_argument("--work", required=name != "table", type=Path)
        if name == "train":
            command.add_argument("--method", required=True, choices=sorted(METHODS))
            command.add_argument("--budget", required=True, type=float, help="CPU seconds")
            command.add_argument("--name", help="of the model's folder; the method's by default")
            command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
            command.add_argument("--less", action="store_true", help="without some of the landmarks")
        if name == "clicks":
            command.add_argument("--images", type=int, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        arguments.function(arguments)
    except LandmarkLabelError as problem:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()
