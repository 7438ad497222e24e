"""Evaluation with simulated readers: how the error of all landmarks falls with each click."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..interaction.gradients import Gradients
from ..interaction.hypotheses import renamings
from ..interaction.posterior import Posterior, PosteriorConfig
from ..interaction.refiners import ClickedNetwork, ClickedPosterior, Refiner, Unmoved
from ..interaction.shape_prior import ShapePrior
from ..interaction.simulation import ORDERS, Reader, Revision, simulate
from ..interaction.templates import Templates
from ..io.dataset import Case
from ..metrics import radial_errors
from ..networks import NetworkConfig
from ..networks.interactive import InteractiveConfig
from ..predictor import Predictor
from ..radiograph import Radiograph

Array = NDArray[np.float64]

#: What answers a reader about an image.
Refiners = Callable[[Radiograph], Refiner]


def takes_templates(network: NetworkConfig | None) -> bool:
    """Whether templates of labels add to what a network's maps say, if there is one.

    What takes clicks is asked alone, as it was trained to be; and maps that several landmarks share see what recurs far
    better than any template.
    """
    return network is None or not (isinstance(network, InteractiveConfig) or getattr(network, "shared", False))


def by_shape(shape: ShapePrior, templates: Templates | None = None) -> Refiners:
    """How landmarks lie in labels, and how they look there; no network."""

    def look(radiograph: Radiograph) -> Refiner:
        evidence = templates.evidence(Gradients.of(radiograph)) if templates else None
        return Posterior(shape.in_pixels(radiograph.size), evidence)

    return look


def by_posterior(
    predictor: Predictor, shape: ShapePrior, config: PosteriorConfig, templates: Templates | None = None
) -> Refiners:
    """A network's maps and the shape of labels together, with templates where they add; an interactive network sees
    the clicks, too.
    """  # fmt: skip
    names = renamings(predictor.protocol)

    def look(radiograph: Radiograph) -> Refiner:
        predictor.set_image(radiograph)
        prior = shape.in_pixels(radiograph.size)
        if predictor.network.interactive:
            return ClickedPosterior(predictor, prior, config, names)
        evidence = predictor.evidence(config)
        if templates is not None and takes_templates(predictor.config.network):
            evidence = templates.evidence(Gradients.of(radiograph), evidence, evidence.places.shape[1])
        return Posterior(prior, evidence, config, names)

    return look


def by_network(predictor: Predictor) -> Refiners:
    """A network's own decoding: an interactive one as published, of any other the manual revision."""

    def look(radiograph: Radiograph) -> Refiner:
        predictor.set_image(radiograph)
        if predictor.network.interactive:
            return ClickedNetwork(predictor, radiograph.size)
        return Unmoved.of_network(predictor, radiograph.size)

    return look


@dataclass(frozen=True)
class ClickEvaluation:
    """N images of K landmarks, each revised by C clicks.

    Attributes:
        ids: of the images.
        points: (N, C + 1, K, 2), after 0 to C clicks, (x, y) in pixels of each image.
        true: (N, K, 2); NaN absent.
        sizes: (N, 2), (W, H) in pixels.
        spacing: (N, 2), mm a pixel; 1 where unknown.
        spacing_known: (N,).
        deviations: (N, C + 1, K), Mahalanobis distances of the truth of landmarks that were not placed.
        clicked: (N, C), which landmark each click placed; -1 once all were.
        seconds: (N, C + 1), from the image to the first answer, and from each click to its own.
        by_hand: (N, C + 1, K, 2), the same points where nothing moves but what the same reader clicks.
        in_pixels: whether errors are in pixels whatever is known, as those are of the images that these are some of.
    """

    ids: tuple[str, ...]
    points: Array
    true: Array
    sizes: Array
    spacing: Array
    spacing_known: NDArray[np.bool_]
    deviations: Array
    clicked: NDArray[np.intp]
    seconds: Array
    by_hand: Array
    in_pixels: bool = False

    @property
    def clicks(self) -> int:
        """C."""
        return self.points.shape[1] - 1

    @property
    def unit(self) -> str:
        """mm where the spacing of every image is known, else pixels of the original images."""
        return "mm" if self.spacing_known.all() and not self.in_pixels else "px"

    @property
    def errors(self) -> Array:
        """(N, C + 1, K) radial errors, in :attr:`unit`; NaN where there is no truth."""
        return self._errors_of(self.points)

    @property
    def by_clicks(self) -> Array:
        """(N, C + 1), mean over the landmarks of each image."""
        return np.asarray(np.nanmean(self.errors, axis=2))

    @property
    def manual(self) -> Array:
        """(N, C + 1), the same where nothing moves but what the same reader clicks: manual revision."""
        return np.asarray(np.nanmean(self._errors_of(self.by_hand), axis=2))

    def _errors_of(self, points: Array) -> Array:
        spacing = self.spacing if self.unit == "mm" else np.ones_like(self.spacing)
        return radial_errors(points, self.true[:, None], spacing[:, None])

    def subset(self, keep: Iterable[bool]) -> ClickEvaluation:
        """Some of the images only, in the same unit."""
        mask = np.fromiter(keep, dtype=bool, count=len(self.ids))
        ids = tuple(name for name, kept in zip(self.ids, mask, strict=True) if kept)
        arrays = {name: getattr(self, name)[mask] for name in self.arrays()}
        return replace(self, ids=ids, in_pixels=self.unit == "px", **arrays)

    @classmethod
    def arrays(cls) -> tuple[str, ...]:
        """Names of the arrays, each with a row for each image."""
        return tuple(part.name for part in fields(cls) if part.name not in ("ids", "in_pixels"))


def evaluate_clicks(
    cases: Sequence[Case],
    refiners: Refiners,
    clicks: int = 10,
    order: str = "oracle",
    noise: float = 0.0,
    seed: int = 0,
    progress: Callable[[], object] | None = None,
) -> ClickEvaluation:
    """Let a simulated reader correct each image.

    Args:
        cases: with placed landmarks.
        refiners: what answers the reader.
        clicks: how many, at most.
        order: which landmark is corrected next, one of :data:`~landmarklabel.interaction.simulation.ORDERS`.
        noise: standard deviation of each coordinate of a click, in mm (in pixels where the spacing is unknown).
        seed: of clicks and of a random order; an image's own do not depend on what other images there are.
        progress: called after each image.

    Raises:
        DataError: there is no image with a placed landmark.
    """
    if not any(case.has_landmarks for case in cases):
        raise DataError("there is no labelled image to evaluate on")
    rows = []
    for case in cases:
        own = (seed, zlib.crc32(case.id.encode()))
        rows.append(_revised(case, refiners, clicks, Reader(ORDERS[order], noise), own))
        if progress:
            progress()
    columns = (np.stack(column) for column in zip(*rows, strict=True))
    return ClickEvaluation(tuple(case.id for case in cases), *columns)


def _revised(case: Case, refiners: Refiners, clicks: int, reader: Reader, seed: tuple[int, int]) -> tuple[Any, ...]:
    """What a :class:`ClickEvaluation` holds of one image, but for its id."""
    radiograph = case.radiograph()
    truth, spacing = np.asarray(case.points, dtype=np.float64), np.array(radiograph.spacing)
    start = time.perf_counter()
    refiner = refiners(radiograph)
    looked = time.perf_counter() - start
    revision: Revision = simulate(refiner, truth, clicks, reader, np.random.default_rng(seed), spacing)
    unmoved = Unmoved(revision.first)
    by_hand: Revision = simulate(unmoved, truth, clicks, reader, np.random.default_rng(seed), spacing)
    return (
        revision.points,
        truth,
        np.array(radiograph.size, dtype=np.float64),
        spacing,
        np.array(radiograph.spacing_known),
        revision.deviations,
        revision.clicked,
        revision.seconds + np.where(np.arange(clicks + 1) == 0, looked, 0.0),
        by_hand.points,
    )
