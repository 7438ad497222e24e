"""Radial errors: their mean (MRE), deviation, and the successful detection rate (SDR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def radial_errors(predicted: ArrayLike, true: ArrayLike, spacing: ArrayLike = (1.0, 1.0)) -> NDArray[np.float64]:
    """Distances between predicted and true landmarks.

    Args:
        predicted, true: (..., K, 2), (x, y) in pixels of the original image.
        spacing: (sx, sy), or (..., 2) one for each image, in mm a pixel; (1, 1) keeps pixels.

    Returns:
        (..., K); NaN where either is absent.
    """
    offset = np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64)
    return np.asarray(np.linalg.norm(offset * np.asarray(spacing, dtype=np.float64)[..., None, :], axis=-1))


def success_rate(errors: ArrayLike, radius: float) -> float:
    """Successful detection rate: percentage of errors smaller than ``radius``. NaN are not counted.

    As the ISBI challenges count (Wang et al., IEEE TMI 34(9), 2015): smaller, not smaller or equal.
    """
    values = np.asarray(errors, dtype=np.float64)
    values = values[np.isfinite(values)]
    return float(100.0 * np.mean(values < radius)) if values.size else float("nan")


@dataclass(frozen=True)
class Summary:
    """Errors in a few figures.

    Attributes:
        count: of errors.
        mre: mean radial error.
        std: its standard deviation (n - 1).
        median, p95: of the errors.
        sdr: radius to percentage of smaller errors.
    """

    count: int
    mre: float
    std: float
    median: float
    p95: float
    sdr: dict[float, float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: keys of ``sdr`` become text."""
        return {**asdict(self), "sdr": {f"{radius:g}": rate for radius, rate in self.sdr.items()}}


def summarize(errors: ArrayLike, radii: Sequence[float]) -> Summary:
    """Figures over all finite errors, of any shape."""
    values = np.asarray(errors, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        nan = float("nan")
        return Summary(0, nan, nan, nan, nan, dict.fromkeys(radii, nan))
    return Summary(
        count=int(values.size),
        mre=float(values.mean()),
        std=float(values.std(ddof=1)) if values.size > 1 else 0.0,
        median=float(np.median(values)),
        p95=float(np.percentile(values, 95)),
        sdr={radius: success_rate(values, radius) for radius in radii},
    )
