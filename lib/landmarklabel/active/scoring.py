"""What a model says of an image that nobody has labelled: how wrong it expects to be, and what the image is like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..interaction.belief import Belief
from ..interaction.hypotheses import renamings
from ..interaction.posterior import Posterior
from ..interaction.refiners import Unmoved
from ..predictor import Predictor
from ..radiograph import Radiograph
from .features import Features, ShapeModes
from .uncertainty import expected_errors

Array = NDArray[np.float64]

_NOTHING_PLACED = np.empty(0, dtype=np.intp), np.empty((0, 2))


@dataclass(frozen=True)
class ImageScore:
    """What is known of an unlabelled image by one model.

    Attributes:
        relative: expected error of its landmarks on average, in parts of the image's longer side, by which images
            whose spacing is unknown are compared.
        mm: the same in mm; None where the spacing is unknown.
        shape: (M,), how its landmarks seem to lie; of length 0 where the model knows no shape.
    """

    relative: float
    mm: float | None
    shape: Features


class Scorer:
    """Scores images by a model; one thread at a time.

    Args:
        predictor: whose image is exchanged for each that is scored.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._renamings = renamings(predictor.protocol)
        self._modes = None if predictor.shape is None else ShapeModes.of(predictor.shape)

    def __call__(self, radiograph: Radiograph) -> ImageScore:
        """Look at an image: one pass of the network."""
        self._predictor.set_image(radiograph)
        answered = self._predictor.predict().landmarks.points
        belief = self._belief(radiograph.size)
        pixels = self._mean(expected_errors(answered, belief.mean, belief.covariances))
        mm = expected_errors(answered, belief.mean, belief.covariances, radiograph.spacing)
        return ImageScore(
            relative=pixels / max(radiograph.size),
            mm=self._mean(mm) if radiograph.spacing_known else None,
            shape=self.shape(belief.mean, radiograph.size),
        )

    def shape(self, points: ArrayLike, size: tuple[int, int]) -> Features:
        """How landmarks (K, 2) lie in an image of ``size`` (W, H): of a label, without asking the network."""
        return np.empty(0, dtype=np.float32) if self._modes is None else self._modes(points, size)

    def _belief(self, size: tuple[int, int]) -> Belief:
        """Where the landmarks are by maps and shape; by the heights of peaks where the model knows no shape."""
        predictor = self._predictor
        if predictor.shape is None:
            return Unmoved.of_network(predictor, size).first
        config = predictor.config.posterior
        posterior = Posterior(predictor.shape.in_pixels(size), predictor.evidence(), config, self._renamings)
        return posterior.given(*_NOTHING_PLACED)

    def _mean(self, errors: Array) -> float:
        """Over the landmarks that are answered and, where there is a shape, that any label has."""
        shape = self._predictor.shape
        counted = np.isfinite(errors) if shape is None else np.isfinite(errors) & shape.known
        return float(errors[counted].mean()) if counted.any() else float("nan")
