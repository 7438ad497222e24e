"""What papers on spines report beside radial errors: MSE as a fraction of the image, and Pearson's correlation.

Both are on coordinates divided by the image's width and height (Wu et al., MICCAI 2017; FARNet, Table 5).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def _fractions(predicted: ArrayLike, true: ArrayLike, sizes: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    scale = np.asarray(sizes, dtype=np.float64)[..., None, :]
    a, b = np.asarray(predicted, dtype=np.float64) / scale, np.asarray(true, dtype=np.float64) / scale
    both = np.isfinite(a) & np.isfinite(b)
    return a[both], b[both]


def mse_fraction(predicted: ArrayLike, true: ArrayLike, sizes: ArrayLike) -> float:
    """Mean squared error of coordinates as fractions of the image.

    Args:
        predicted, true: (..., K, 2), (x, y) in pixels.
        sizes: (..., 2), (W, H) of each image.
    """
    a, b = _fractions(predicted, true, sizes)
    return float(np.mean((a - b) ** 2)) if a.size else float("nan")


def pearson_rho(predicted: ArrayLike, true: ArrayLike, sizes: ArrayLike) -> float:
    """Pearson's correlation of predicted and true coordinates as fractions of the image. Arguments as above."""
    a, b = _fractions(predicted, true, sizes)
    return float(np.corrcoef(a, b)[0, 1]) if a.size > 1 else float("nan")
