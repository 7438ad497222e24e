"""How far maps are to be trusted, and how sure answers may be called: by images that were not learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

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

_Found = TypeVar("_Found")

# Fewer images say nothing of how far to trust maps, or of how often a region misses; more than these little new. No
# measurement is trusted beyond this factor.
_FEWEST_IMAGES, _FEWEST_FOR_SPREAD, _MOST_IMAGES = 2, 5, 100
_LEAST, _MOST = 0.25, 25.0

#: How far the configured sharpness is changed at most, either way, in doublings. A network of a dozen labels is surer
#: than it is right: it is to be read less sharply than its maps look. A map is as wide as the Gaussian that it was
#: trained to be, also where the network knows better: one that finds landmarks well is to be read more sharply.
DOUBLINGS = 3


def calibrate(model: Path, cases: Sequence[Case], configured: PosteriorConfig) -> None:
    """Measure ``sharpness``, ``spread`` and ``measured`` of a model's posterior on images that it has not learned from.

    They are written to its file. The sharpness is the one that leaves the least error after 0 to 3 clicks, among
    doublings or halvings of the configured one. The reader is shown what the tool would ask for, and places it exactly.
    Of less than five images only the sharpness is taken. Nothing is measured, and the file stays as it is, of a single
    one, or where the model knows no shape of its labels.

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

    best, plain = by_doublings(measured, _error)
    posterior = plain
    if len(known) >= _FEWEST_FOR_SPREAD:
        posterior = PosteriorConfig(**{**plain.model_dump(), "spread": spread_of(best.deviations)})
        scaling = scaling_of(known, by_posterior(predictor, shape, posterior), header.protocol)
        posterior = posterior.model_copy(update={"measured": scaling})
    config = header.config.model_copy(update={"posterior": posterior})
    save_model(
        model, network, config, header.protocol, header.data, header.metrics, shape, morphology=header.morphology
    )


def _error(found: tuple[ClickEvaluation, PosteriorConfig]) -> float:
    return float(np.nanmean(found[0].by_clicks))


def by_doublings(measured: Callable[[float], _Found], error: Callable[[_Found], float]) -> _Found:
    """The best of what is measured at 1 and, as long as it gets better, at each doubling or each halving of it.

    Args:
        measured: what comes of a factor.
        error: of that.
    """
    best = measured(1.0)
    for factor in (0.5, 2.0):
        start = best
        for power in range(1, DOUBLINGS + 1):
            found = measured(factor**power)
            if error(found) >= error(best):
                break
            best = found
        if best is not start:  # the other way it gets worse
            break
    return best


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
