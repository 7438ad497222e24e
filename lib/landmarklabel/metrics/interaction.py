"""How few clicks it takes: number of clicks (NoC) and failure rate (FR) at a target error."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def number_of_clicks(errors: ArrayLike, target: float) -> NDArray[np.float64]:
    """Clicks until the error of each image is at most ``target``; as many as were made where it never is.

    NoC as in Kim et al., *Morphology-aware interactive keypoint estimation*, MICCAI 2022.

    Args:
        errors: (N, C + 1), mean radial error of N images after 0 to C clicks.

    Returns:
        (N,).
    """
    reached = np.asarray(errors, dtype=np.float64) <= target
    clicks = np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1] - 1)
    return clicks.astype(np.float64)


def failure_rate(errors: ArrayLike, target: float) -> float:
    """Percentage of the images whose error is at no number of clicks at most ``target``; FR, same source.

    Args:
        errors: (N, C + 1), mean radial error of N images after 0 to C clicks.
    """
    return float(100 * np.mean(~(np.asarray(errors, dtype=np.float64) <= target).any(axis=1)))
