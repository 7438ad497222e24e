"""How often landmarks that the tool calls trusted are wrong: by how sure it is asked to be, before and after clicks.

    python benchmarks/trust.py --data aasce:DIR --model MODEL

MODEL was trained on the part that benchmarks/interaction.py trains on; the test part is measured. A simulated reader
places what the tool asks for, with his own noise. Figures are added to benchmarks/results/trust.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clicks.data import Parts, read_parts
from common import read, write
from numpy.typing import NDArray
from scipy.stats import chi2, f

from landmarklabel.engine.interaction import Refiners, by_posterior
from landmarklabel.interaction.refinement import by_gain
from landmarklabel.interaction.trust import TAILS, probability_within
from landmarklabel.io.dataset import Case
from landmarklabel.metrics import mahalanobis, radial_errors
from landmarklabel.predictor import Predictor

Array = NDArray[np.float64]

LEVELS = (0.8, 0.9, 0.95, 0.99)
CLICKS = (0, 1, 3)
QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99)

#: In the unit of each data set: mm, or pixels of the original images.
TOLERANCES = {"isbi2015": (2.0, 4.0), "aasce": (20.0, 40.0)}


@dataclass(frozen=True)
class Stated:
    """What was said of the landmarks that nobody had placed, and what was so; N of them.

    Attributes:
        clicks: (N,), after how many.
        probability: (N, T), of each tolerance.
        error: (N,).
        deviation: (N,), Mahalanobis distance of the truth.
    """

    clicks: NDArray[np.intp]
    probability: Array
    error: Array
    deviation: Array


def stated(cases: Sequence[Case], refiners: Refiners, tolerances: Sequence[float], noise: float) -> Stated:
    """Let a reader place what the tool asks for, and note what it says of the rest."""
    rows = [_of_image(c, refiners, tolerances, noise, np.random.default_rng([0, n])) for n, c in enumerate(cases)]
    return Stated(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _of_image(
    case: Case, refiners: Refiners, tolerances: Sequence[float], noise: float, rng: np.random.Generator
) -> tuple[Any, ...]:
    radiograph = case.radiograph()
    pixel = float(np.mean(radiograph.spacing))
    truth, refiner = np.asarray(case.points, dtype=np.float64), refiners(radiograph)
    placed, points = np.empty(0, dtype=np.intp), np.empty((0, 2))
    said = []
    for click in range(max(CLICKS) + 1):
        known = refiner.given(placed, points, noise / pixel)
        free = np.setdiff1d(np.flatnonzero(np.isfinite(truth).all(axis=1)), placed)
        if click in CLICKS:
            sure = np.stack([probability_within(known, known.mean, t / pixel) for t in tolerances], axis=1)[free]
            error = radial_errors(known.mean, truth, radiograph.spacing)[free]
            deviation = mahalanobis(truth[free], known.mean[free], known.of_points()[free])
            said.append((np.full(free.size, click), sure, error, deviation))
        chosen = next(index for index in by_gain(known) if index in free)
        placed = np.append(placed, chosen)
        points = np.vstack([points, truth[chosen] + rng.normal(0, noise / pixel, 2)])
    return tuple(np.concatenate(column) for column in zip(*said, strict=True))


def figures(said: Stated, tolerances: Sequence[float]) -> list[dict[str, Any]]:
    """A row for each tolerance, number of clicks and level: what share is trusted, and how much of that is wrong."""
    rows = []
    for column, tolerance in enumerate(tolerances):
        for clicks in CLICKS:
            then = said.clicks == clicks
            sure, wrong = said.probability[then, column], said.error[then] > tolerance
            rows += [{"tolerance": tolerance, "clicks": clicks, **_at(level, sure, wrong)} for level in LEVELS]
    return rows


def tails(said: Stated) -> dict[str, dict[str, float]]:
    """By clicks: squared deviations at some quantiles, in parts of those of a normal distribution; and those of t.

    The t has as much in the region of 90 % as the normal distribution.
    """
    normal = chi2.ppf(QUANTILES, 2)
    student = f.ppf(QUANTILES, 2, TAILS)
    found = {f"t_{TAILS}": student / f.ppf(0.9, 2, TAILS) * chi2.ppf(0.9, 2) / normal}
    for clicks in CLICKS:
        found[str(clicks)] = np.quantile(said.deviation[said.clicks == clicks] ** 2, QUANTILES) / normal
    return {name: dict(zip(map(str, QUANTILES), row.round(2).tolist(), strict=True)) for name, row in found.items()}


def _at(level: float, sure: Array, wrong: NDArray[np.bool_]) -> dict[str, Any]:
    trusted = sure >= level
    slipped = float(wrong[trusted].mean()) if trusted.any() else None
    return {
        "level": level,
        "trusted": round(float(trusted.mean()), 4),
        "slipped": None if slipped is None else round(slipped, 4),
        "wrong": round(float(wrong.mean()), 4),
    }


def measure(parts: Parts, model: Path) -> dict[str, Any]:
    predictor = Predictor.load(model, "cpu", protocol=parts.training.protocol)
    assert predictor.shape is not None, f"{model} knows no shape of its labels"
    tolerances = TOLERANCES[parts.layout]
    refiners = by_posterior(predictor, predictor.shape, predictor.config.posterior)
    said = stated(parts.test, refiners, tolerances, parts.figures.noise)
    return {
        "method": predictor.config.method,
        "unit": parts.figures.unit,
        "images": len(parts.test),
        "readers_noise": parts.figures.noise,
        "tails": tails(said),
        "rows": figures(said, tolerances),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="aasce:DIR or isbi2015:DIR")
    parser.add_argument("--model", required=True, type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    parts = read_parts(arguments.data)
    content = {key: value for key, value in read("trust").items() if key not in ("command", "machine")}
    content[parts.layout] = measure(parts, arguments.model)
    for row in content[parts.layout]["rows"]:
        print(row)
    print(write("trust", "python benchmarks/trust.py --data LAYOUT:DIR --model MODEL", content))


if __name__ == "__main__":
    main()
