"""The answer to a correction: what was placed stays, the others follow, and what to look at next."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LabelError, listed
from ..landmarks import LandmarkSet, Status
from ..protocol import Protocol
from .belief import Belief
from .refiners import Refiner

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Refinement:
    """All landmarks after corrections.

    Attributes:
        landmarks: those that were placed exactly where they were, the others where they most likely are.
        review_order: labels, first the one whose correction would lower the expected error of all the most; those
            that are undefined come last.
        known: what that rests on.
    """

    landmarks: LandmarkSet
    review_order: tuple[str, ...]
    known: Belief


def refine(
    refiner: Refiner,
    protocol: Protocol,
    placed: Mapping[str, Array],
    missing: Collection[str] = (),
    tolerance: float = 1.0,
    noise: float = 0.0,
    unknown: NDArray[np.bool_] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Refinement:
    """Move what was not placed to where it most likely is.

    Args:
        refiner: what is known of all landmarks of the protocol, in pixels of the image.
        placed: label to (x, y), in pixels of the image, as a person has placed it.
        missing: labels that a person says are not in this image.
        tolerance: error, in pixels of the image, up to which a landmark counts as right; of it, confidence is the
            probability.
        noise: standard deviation of a person's placing, in pixels of the image.
        unknown: (K,), landmarks of which neither labels nor maps say anything; they stay undefined until placed.
        provenance: what the answer says about where it comes from.

    Raises:
        LabelError: a label that the protocol has not, or one that is both placed and missing.
    """
    both = sorted(set(placed) & set(missing))
    if both:
        raise LabelError(f"{listed(both)}: both placed and missing; it is one or the other")
    indices = np.array([protocol.index(label) for label in placed], dtype=np.intp)
    absent = np.array([protocol.index(label) for label in missing], dtype=np.intp)
    points = np.array([placed[label] for label in placed], dtype=np.float64).reshape(-1, 2)
    known = refiner.given(indices, points, noise, absent)
    mean = known.mean.copy()
    mean[indices], mean[absent] = points, np.nan
    undefined = np.setdiff1d(np.flatnonzero(unknown), [*indices, *absent]) if unknown is not None else absent[:0]
    status = [Status.PREDICTED] * len(protocol)
    confidence = within(known, tolerance)
    for chosen, state, value in (
        (indices, Status.CORRECTED, 1.0), (absent, Status.MISSING, np.nan), (undefined, Status.UNDEFINED, np.nan)
    ):  # fmt: skip
        confidence[chosen] = value
        for index in chosen:
            status[index] = state
    mean[undefined] = np.nan
    landmarks = LandmarkSet(protocol, mean, tuple(status), confidence, dict(provenance or {}))
    order = [*(index for index in by_gain(known) if status[index] is Status.PREDICTED), *undefined]
    return Refinement(landmarks, tuple(protocol.labels[index] for index in order), known)


def as_believed(first: LandmarkSet, known: Belief, tolerance: float) -> LandmarkSet:
    """Landmarks that nobody has placed, where they are believed to be; what is said of their error is about that place.

    Args:
        first: of an image, as a network reads them off its maps.
        known: what is believed of the image.
        tolerance: as of :func:`refine`.
    """
    return replace(first, points=known.mean.copy(), confidence=within(known, tolerance))


def within(known: Belief, tolerance: float) -> Array:
    """(K,), the probability that each landmark is no farther than ``tolerance`` from its mean.

    For a normal distribution whose two variances are their mean; exact where they are equal.
    """
    variance = np.trace(known.of_points(), axis1=1, axis2=2) / 2
    return np.asarray(1 - np.exp(-(tolerance**2) / (2 * np.maximum(variance, 1e-12))))


def by_gain(known: Belief) -> NDArray[np.intp]:
    """Landmarks, first the one of which to know the place would lower the variance of all the most."""
    return np.argsort(-known.gains(), kind="stable")
