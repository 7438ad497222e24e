"""The one evaluation: predictions on images that have true landmarks, and every figure about them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import DataError
from ..io.dataset import Case
from ..metrics import Summary, mse_fraction, pearson_rho, radial_errors, summarize
from ..predictor import Predictor
from ..protocol import Protocol
from ..radiograph import Radiograph

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """Predictions beside the truth, for N images and K landmarks.

    Attributes:
        protocol: of the landmarks.
        ids: of the images.
        predicted, true: (N, K, 2), (x, y) in pixels of each original image; NaN absent.
        confidence: (N, K).
        sizes: (N, 2), (W, H) in pixels.
        spacing: (N, 2), mm a pixel; 1 where unknown.
        spacing_known: (N,).
        in_pixels: whether errors are in pixels whatever is known, as those are of the images that these are some of.
    """

    protocol: Protocol
    ids: tuple[str, ...]
    predicted: Array
    true: Array
    confidence: Array
    sizes: Array
    spacing: Array
    spacing_known: NDArray[np.bool_]
    in_pixels: bool = False

    @property
    def errors(self) -> Array:
        """(N, K) radial errors, in :attr:`unit`."""
        spacing = self.spacing if self.unit == "mm" else np.ones_like(self.spacing)
        return radial_errors(self.predicted, self.true, spacing)

    @property
    def unit(self) -> str:
        """mm where the spacing of every image is known, else pixels of the original images."""
        return "mm" if self.spacing_known.all() and not self.in_pixels else "px"

    def subset(self, keep: Iterable[bool]) -> Evaluation:
        """Some of the images only, in the same unit."""
        mask = np.fromiter(keep, dtype=bool, count=len(self.ids))
        ids = tuple(name for name, kept in zip(self.ids, mask, strict=True) if kept)
        names = ("predicted", "true", "confidence", "sizes", "spacing", "spacing_known")
        arrays = {name: getattr(self, name)[mask] for name in names}
        return replace(self, ids=ids, in_pixels=self.unit == "px", **arrays)

    def summary(self) -> Summary:
        """Over all landmarks of all images."""
        return summarize(self.errors, self.protocol.radii)

    def figures(self) -> dict[str, Any]:
        """Every figure, for JSON: overall, by landmark, by image."""
        errors = self.errors
        by_image = {name: summarize(row, ()).mre for name, row in zip(self.ids, errors, strict=True)}
        return {
            "images": len(self.ids),
            "unit": self.unit,
            "overall": self.summary().as_dict(),
            "mse_fraction": mse_fraction(self.predicted, self.true, self.sizes),
            "pearson_rho": pearson_rho(self.predicted, self.true, self.sizes),
            "by_landmark": {
                label: summarize(errors[:, index], self.protocol.radii).as_dict()
                for index, label in enumerate(self.protocol.labels)
            },
            "by_image": by_image,
        }


def evaluate(
    predictor: Predictor,
    cases: Sequence[Case],
    batch_size: int = 4,
    progress: Callable[[], object] | None = None,
) -> Evaluation:
    """Predict every image and lay the predictions beside the truth.

    Args:
        cases: labelled.
        progress: called after each image.

    Raises:
        DataError: no image with a placed landmark, or of another number of landmarks than the model's.
    """
    if not any(case.has_landmarks for case in cases):
        raise DataError("there is no labelled image to evaluate on")
    wrong = next((c for c in cases if c.points is None or len(c.points) != len(predictor.protocol)), None)
    if wrong is not None:
        raise DataError(
            f"{wrong.id} has {0 if wrong.points is None else len(wrong.points)} landmarks, the model has "
            f"{len(predictor.protocol)}"
        )
    predicted, confidence, radiographs = [], [], []
    for start in range(0, len(cases), batch_size):
        batch = [case.radiograph() for case in cases[start : start + batch_size]]
        for landmarks, radiograph in zip(predictor.predict_all(batch, batch_size), batch, strict=True):
            predicted.append(landmarks.points)
            confidence.append(landmarks.confidence)
            radiographs.append(_without_pixels(radiograph))
            if progress:
                progress()
    return Evaluation(
        protocol=predictor.protocol,
        ids=tuple(case.id for case in cases),
        predicted=np.stack(predicted),
        true=np.stack([np.asarray(case.points, dtype=np.float64) for case in cases]),
        confidence=np.stack(confidence),
        sizes=np.array([size for size, _, _ in radiographs], dtype=np.float64),
        spacing=np.array([spacing for _, spacing, _ in radiographs], dtype=np.float64),
        spacing_known=np.array([known for _, _, known in radiographs]),
    )


def _without_pixels(radiograph: Radiograph) -> tuple[tuple[int, int], tuple[float, float], bool]:
    return radiograph.size, radiograph.spacing, radiograph.spacing_known


def machine() -> dict[str, Any]:
    """What the figures were computed on, without names of machines."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "processor": platform.machine(),
        "cores": torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
