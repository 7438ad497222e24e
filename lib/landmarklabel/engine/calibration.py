"""How far maps are to be trusted, and how sure answers may be called: by images that were not learned from."""

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
from .error_calibration import scaling_of
from .interaction import ClickEvaluation, by_posterior, evaluate_clicks

#: The region that is to hold what it says, and after how many clicks that is measured; for more, the last counts.
LEVEL = 0.9
CLICKS = 3

# Fewer images say nothing of how often a region misses, more than these little new; and no measurement is trusted
# beyond this factor.
_FEWEST_IMAGES, _MOST_IMAGES = 5, 100
_LEAST, _MOST = 0.25, 25.0

#: By what the configured sharpness is tried: a map is as wide as the Gaussian that it was trained to be, also where the
#: network knows better, so that a network that finds landmarks well is to be read more sharply than its maps look.
SHARPER = (1, 2, 4, 8)


def calibrate(model: Path, cases: Sequence[Case], configured: PosteriorConfig) -> None:
    """Measure ``sharpness``, ``spread`` and ``measured`` of a model's posterior on images that it has not learned from.

    They are written to its file. The sharpness is the one that leaves the least error after 0 to 3 clicks. The reader
    is shown what the tool would ask for, and places it exactly. Nothing is measured, and the file stays as it is, where
    there are too few images or the model knows no shape of its labels.

    Args:
        model: file of the model.
        cases: images to measure on.
        configured: how maps and shape are weighed, as the run was configured.
    """
    known = [case for case in cases if case.has_landmarks]
    known = known[:: -(-len(known) // _MOST_IMAGES) or 1]
    network, header, shape = load_model(model)
    if shape is None or len(known) < _FEWEST_IMAGES:
        return
    predictor = Predictor(network, header.config, header.protocol, "cpu", shape=shape)

    def measured(sharper: float) -> tuple[ClickEvaluation, PosteriorConfig]:
        sharpness = configured.sharpness * sharper
        config = configured.model_copy(update={"sharpness": sharpness, "spread": (1.0,)})
        return evaluate_clicks(known, by_posterior(predictor, shape, config), CLICKS, "model"), config

    best, plain = min(map(measured, SHARPER), key=lambda found: float(np.nanmean(found[0].by_clicks)))
    posterior = PosteriorConfig(**{**plain.model_dump(), "spread": spread_of(best.deviations)})
    scaling = scaling_of(known, by_posterior(predictor, shape, posterior), header.protocol)
    posterior = posterior.model_copy(update={"measured": scaling})
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
