"""Clicks on real spines: manual revision, the shape alone from few labels, and shape and heat maps together.

    python benchmarks/interaction.py --data DIR --work WORK --epochs 20

DIR holds AASCE in its published layout. A quarter of the patients is held out for testing, by name; WORK gets the
model. Errors are in pixels of the original images, as the literature reports them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import write

from landmarklabel.engine.config import load_experiment
from landmarklabel.engine.data import learn_shape
from landmarklabel.engine.interaction import evaluate_clicks
from landmarklabel.engine.trainer import train
from landmarklabel.interaction.posterior import PosteriorConfig
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.io.cases import Case, LandmarkDataset
from landmarklabel.io.dataset import read_dataset
from landmarklabel.io.splits import hold_out
from landmarklabel.predictor import Predictor

TARGETS = (20.0, 30.0, 40.0, 50.0)
CLICKS = 10
#: Of a test split that is never trained on; of the draws of few labels.
SPLIT_SEED, DRAWS = 1, 5


def few_labels(cases: tuple[Case, ...], number: int, seed: int) -> ShapePrior:
    """The shape of so many labels, drawn by a seed."""
    chosen = np.random.default_rng(seed).permutation(len(cases))[:number]
    shape = learn_shape([cases[index] for index in chosen])
    assert shape is not None
    return shape


def rows(training: tuple[Case, ...], test: tuple[Case, ...], predictor: Predictor) -> dict[str, Any]:
    """Figures by method; those of few labels are means over several draws."""
    config = predictor.config.posterior
    found: dict[str, Any] = {}
    for number in (5, 12, 50):
        shapes = [few_labels(training, number, seed) for seed in range(DRAWS)]
        draws = [evaluate_clicks(test, shape, None, config, CLICKS).figures(TARGETS)["refined"] for shape in shapes]
        found[f"shape of {number} labels, no network"] = _mean(draws)
    shape = learn_shape(training)
    assert shape is not None
    found[f"shape of {len(training)} labels, no network"] = evaluate_clicks(test, shape, None, config, CLICKS).figures(
        TARGETS
    )["refined"]
    together = evaluate_clicks(test, shape, predictor, config, CLICKS)
    found["posterior"] = together.figures(TARGETS)["refined"]
    found["posterior, manual revision of its first answer"] = together.figures(TARGETS)["manual_revision"]
    for order in ("model", "random"):
        ordered = evaluate_clicks(test, shape, predictor, config, CLICKS, order)
        found[f"posterior, {order} order"] = ordered.figures(TARGETS)["refined"]
    noisy = evaluate_clicks(test, shape, predictor, config, CLICKS, noise=5.0)
    found["posterior, clicks off by 5 px"] = noisy.figures(TARGETS)["refined"]
    return found


def _mean(draws: list[dict[str, Any]]) -> dict[str, Any]:
    """Of figures of the same form."""
    first = draws[0]
    if isinstance(first, dict):
        return {key: _mean([draw[key] for draw in draws]) for key in first}
    return np.round(np.mean(draws, axis=0), 3).tolist()  # type: ignore[no-any-return]


def click_seconds(test: tuple[Case, ...], shape: ShapePrior, predictor: Predictor) -> dict[str, float]:
    """Median seconds from a second click to its answer, and of the one look at the image."""
    from landmarklabel.interaction.posterior import Posterior

    looks, clicks = [], []
    for case in test[:10]:
        radiograph = case.radiograph()
        start = time.perf_counter()
        predictor.set_image(radiograph)
        evidence = predictor.evidence()
        looks.append(time.perf_counter() - start)
        points = np.asarray(case.points)
        start = time.perf_counter()
        Posterior(shape.in_pixels(radiograph.size), evidence, predictor.config.posterior).given(
            np.array([3, 40]), points[[3, 40]]
        )
        clicks.append(time.perf_counter() - start)
    return {"look_s": float(np.median(looks)), "click_s": float(np.median(clicks))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of AASCE")
    parser.add_argument("--work", type=Path, required=True, help="a folder for the model; one that is there is used")
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    dataset = read_dataset(f"aasce:{arguments.data}")
    training, test = hold_out(dataset.trustworthy(), 0.25, SPLIT_SEED)
    changes = {"epochs": arguments.epochs, "input.pixels": 32768}
    config = load_experiment("farnet_light", changes)
    part = LandmarkDataset(dataset.name, dataset.protocol, training)
    start = time.perf_counter()
    result = train(config, part, arguments.work / "run")
    trained = time.perf_counter() - start
    predictor = Predictor.load(result.model)
    print(f"trained in {trained:.0f} s, best epoch {result.best_epoch}", flush=True)
    predictor.config = predictor.config.model_copy(update={"posterior": PosteriorConfig()})
    figures = rows(training, test, predictor)
    for name, row in figures.items():
        print(f"{name:50s}", row, flush=True)
    content = {
        "data": {"training": len(training), "test": len(test), "split_seed": SPLIT_SEED},
        "training": {"experiment": "farnet_light", **changes, "wall_s": round(trained)},
        "posterior": predictor.config.posterior.model_dump(),
        "unit": "px of the original images",
        "methods": figures,
        "seconds": click_seconds(test, learn_shape(training) or few_labels(training, 50, 0), predictor),
    }
    command = f"python benchmarks/interaction.py --data DIR --work WORK --epochs {arguments.epochs}"
    print(write("interaction", command, content))


if __name__ == "__main__":
    main()
