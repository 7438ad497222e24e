"""Evaluation with simulated readers: how the error of all landmarks falls with each click."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ..errors import DataError
from ..interaction.posterior import Posterior, PosteriorConfig
from ..interaction.refinement import by_gain
from ..interaction.shape_prior import ShapePrior
from ..interaction.simulation import Reader, at_random, simulate, worst_first
from ..io.dataset import Case
from ..metrics import failure_rate, manual_revision, number_of_clicks
from ..predictor import Predictor

Array = NDArray[np.float64]


def _as_asked(known: Any, errors: Array, free: NDArray[np.intp], rng: np.random.Generator) -> int:
    ranks = np.argsort(by_gain(known))
    return int(np.argmin(ranks[free]))


#: Which landmark is corrected next: the worst, as published; the one that the tool itself would ask for; any.
ORDERS = {"oracle": worst_first, "model": _as_asked, "random": at_random}


@dataclass(frozen=True)
class ClickEvaluation:
    """Errors by the number of clicks, for N images and K landmarks.

    Attributes:
        ids: of the images.
        errors: (N, C + 1, K), after 0 to C clicks, NaN where there is no truth.
        unit: of errors: mm, or px of the original images.
    """

    ids: tuple[str, ...]
    errors: Array
    unit: str

    @property
    def by_clicks(self) -> Array:
        """(N, C + 1), mean over the landmarks of each image."""
        return np.asarray(np.nanmean(self.errors, axis=2))

    @property
    def manual(self) -> Array:
        """(N, C + 1), had the worst landmarks of the first prediction been corrected and nothing else moved."""
        clicks = self.errors.shape[1] - 1
        return np.stack([manual_revision(first, clicks) for first in self.errors[:, 0]])

    def figures(self, targets: Sequence[float]) -> dict[str, Any]:
        """For JSON: mean radial error by clicks, number of clicks and failure rate at each target; by hand, too."""
        return {
            "images": len(self.ids),
            "unit": self.unit,
            "refined": _figures(self.by_clicks, targets),
            "manual_revision": _figures(self.manual, targets),
        }


def _figures(curves: Array, targets: Sequence[float]) -> dict[str, Any]:
    most = curves.shape[1] - 1
    return {
        "mre_by_clicks": [round(float(value), 3) for value in curves.mean(axis=0)],
        f"NoC{most}": {f"{target:g}": round(float(number_of_clicks(curves, target).mean()), 3) for target in targets},
        f"FR{most}": {f"{target:g}": round(failure_rate(curves, target), 2) for target in targets},
    }


def evaluate_clicks(
    cases: Sequence[Case],
    shape: ShapePrior,
    predictor: Predictor | None,
    config: PosteriorConfig,
    clicks: int = 10,
    order: str = "oracle",
    noise: float = 0.0,
    seed: int = 0,
    progress: Callable[[], object] | None = None,
) -> ClickEvaluation:
    """Let a simulated reader correct each image.

    Args:
        cases: with placed landmarks.
        shape: of training labels.
        predictor: whose maps count; None: the shape alone.
        config: how the two are weighed.
        clicks: how many, at most.
        order: which landmark is corrected next, one of :data:`ORDERS`.
        noise: standard deviation of each coordinate of a click, in the unit of errors.
        seed: of clicks and of a random order.
        progress: called after each image.

    Raises:
        DataError: there is no image with a placed landmark.
    """
    if not cases:
        raise DataError("there is no labelled image to evaluate on")
    rng = np.random.default_rng(seed)
    errors, known = [], []
    for case in cases:
        radiograph, evidence = case.radiograph(), None
        if predictor is not None:
            predictor.set_image(radiograph)
            evidence = predictor.evidence(config)
        spacing = np.array(radiograph.spacing)
        posterior = Posterior(shape.in_pixels(radiograph.size), evidence, config)
        reader = Reader(ORDERS[order], noise / float(spacing.mean()))
        truth = np.asarray(case.points, dtype=np.float64)
        errors.append(simulate(posterior, truth, clicks, reader, rng, spacing))
        known.append(radiograph.spacing_known)
        if progress:
            progress()
    return ClickEvaluation(tuple(case.id for case in cases), np.stack(errors), "mm" if all(known) else "px")


def print_clicks(figures: dict[str, Any]) -> None:
    """The figures of :meth:`ClickEvaluation.figures` on the terminal."""
    rows = {"refined": figures["refined"], "by hand": figures["manual_revision"]}
    table = Table("clicks", *map(str, range(len(rows["refined"]["mre_by_clicks"]))))
    table.title = f"mean radial error ({figures['unit']}) by the number of clicks"
    for name, part in rows.items():
        table.add_row(name, *(f"{value:.2f}" for value in part["mre_by_clicks"]))
    console = Console()
    console.print(table)
    for key in (key for key in rows["refined"] if key != "mre_by_clicks"):
        values = "; ".join(f"{name}: {_listed(part[key])}" for name, part in rows.items())
        console.print(f"{key} at {values}")


def _listed(by_target: dict[str, float]) -> str:
    return ", ".join(f"{target}: {value:g}" for target, value in by_target.items())
