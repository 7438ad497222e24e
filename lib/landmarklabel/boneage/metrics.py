"""How far estimated ages are off, as the paper's figure 5 has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def mean_absolute_error(estimated: ArrayLike, true: ArrayLike) -> float:
    """In the unit of the ages (N,); NaN of none."""
    errors = np.abs(np.asarray(estimated, dtype=np.float64) - np.asarray(true, dtype=np.float64))
    return float(errors.mean()) if errors.size else float("nan")


def r_squared(estimated: ArrayLike, true: ArrayLike) -> float:
    """Coefficient of determination: 1 is perfect, 0 as good as the mean of ``true``; NaN where all ages are the same.

    The paper calls it a correlation score; its 0 for the mean age is of this, a correlation with a constant has no
    value.
    """
    estimated, true = np.asarray(estimated, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if not true.size or np.ptp(true) == 0:
        return float("nan")
    return float(1 - ((estimated - true) ** 2).sum() / ((true - true.mean()) ** 2).sum())
