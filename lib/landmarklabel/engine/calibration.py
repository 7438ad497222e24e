"""How sure answers may be called: stated regions against the truth of images that were not learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from ..interaction.posterior import PosteriorConfig
from ..io.dataset import Case
from ..modelfile import load_model, save_model
from ..predictor import Predictor
from .interaction import by_posterior, evaluate_clicks

#: The region that is to hold what it says, and after how many clicks that is measured; for more, the last counts.
LEVEL = 0.9
CLICKS = 3

# Fewer images say nothing of how often a region misses, more than these little new; and no measurement is trusted
# beyond this factor.
_FEWEST_IMAGES, _MOST_IMAGES = 5, 100
_LEAST, _MOST = 0.25, 25.0


def calibrate(model: Path, cases: Sequence[Case]) -> None:
    """Measure the ``spread`` of a model's posterior on images that it has not learned from, and write it into the file.

    The reader is shown what the tool would ask for, and places it exactly. Nothing is measured, and the file stays as
    it is, where there are too few images or the model knows no shape of its labels.
    """
    known = [case for case in cases if case.has_landmarks]
    known = known[:: -(-len(known) // _MOST_IMAGES) or 1]
    network, header, shape = load_model(model)
    if shape is None or len(known) < _FEWEST_IMAGES:
        return
    plain = header.config.posterior.model_copy(update={"spread": (1.0,)})
    predictor = Predictor(network, header.config, header.protocol, "cpu", shape=shape)
    deviations = evaluate_clicks(known, by_posterior(predictor, shape, plain), CLICKS, "model").deviations
    posterior = PosteriorConfig(**{**plain.model_dump(), "spread": spread_of(deviations)})
    config = header.config.model_copy(update={"posterior": posterior})
    save_model(
        model, network, config, header.protocol, header.data, header.metrics, shape, morphology=header.morphology
    )


def spread_of(deviations: NDArray[np.float64]) -> tuple[float, ...]:
    """By what to multiply stated variances so that their :data:`LEVEL` regions hold that part of the truth.

    Args:
        deviations: (N, C + 1, K), Mahalanobis distances of the truth after 0 to C clicks; NaN is not counted.

    Returns:
        (C + 1,); a count of clicks at which nothing was left to measure takes that of the one before.
    """
    found = [1.0]
    for after in np.moveaxis(deviations, 1, 0):
        left = after[np.isfinite(after)]
        factor = np.quantile(left**2, LEVEL) / chi2.ppf(LEVEL, 2) if left.size else found[-1]
        found.append(float(np.clip(factor, _LEAST, _MOST)))
    return tuple(round(factor, 3) for factor in found[1:])
