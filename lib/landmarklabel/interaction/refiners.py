"""What answers a reader: placed landmarks in, all landmarks and how sure each is out.

:class:`~.posterior.Posterior` is one: a network's maps, or none, joined with how landmarks lie in labels. Here are
those that ask a network for a pass per click, and the one that moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from .belief import Belief
from .lowrank import LowRankGaussian
from .posterior import Posterior, PosteriorConfig

if TYPE_CHECKING:  # the predictor reads maps for a posterior, and so knows this package
    from ..landmarks import LandmarkSet
    from ..predictor import Predictor

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


class Refiner(Protocol):
    """Whatever moves landmarks when some are placed."""

    def given(self, indices: Indices, points: Array, noise: float = 0.0, absent: Indices | None = None) -> Belief:
        """What is believed once some landmarks are placed; see :meth:`~.posterior.Posterior.given`."""


@dataclass(frozen=True)
class Unmoved:
    """A first prediction in which nothing moves but what is placed: manual revision.

    Attributes:
        first: the prediction.
    """

    first: Belief

    def given(self, indices: Indices, points: Array, noise: float = 0.0, absent: Indices | None = None) -> Belief:
        mean = self.first.mean.copy()
        mean[indices] = points
        return replace(self.first, mean=mean)

    @classmethod
    def of_network(cls, predictor: Predictor, size: tuple[int, int]) -> Unmoved:
        """The network's own decoding of the image, of ``size`` (W, H), that was set."""
        return cls(_by_confidence(predictor, size))


@dataclass(frozen=True)
class ClickedNetwork:
    """An interactive network as published: a pass with the clicks, and its own decoding; no labels' shape.

    Attributes:
        predictor: of an interactive network, with the image set.
        size: (W, H) of the image.
    """

    predictor: Predictor
    size: tuple[int, int]

    def given(self, indices: Indices, points: Array, noise: float = 0.0, absent: Indices | None = None) -> Belief:
        self.predictor.set_clicks(_clicks(len(self.predictor.protocol), indices, points))
        return _by_confidence(self.predictor, self.size)


@dataclass(frozen=True)
class ClickedPosterior:
    """A posterior over an interactive network's maps, which see the clicks too: a pass per click.

    Attributes:
        predictor: of an interactive network, with the image set.
        prior: over the landmarks, in pixels of the image.
        config: how the two are weighed.
        renamings: (H, K, K), by which landmarks may be named wrongly; see :func:`~.hypotheses.renamings`.
    """

    predictor: Predictor
    prior: LowRankGaussian
    config: PosteriorConfig
    renamings: Array | None = None

    def given(self, indices: Indices, points: Array, noise: float = 0.0, absent: Indices | None = None) -> Belief:
        self.predictor.set_clicks(_clicks(len(self.predictor.protocol), indices, points))
        evidence = self.predictor.evidence(self.config)
        return Posterior(self.prior, evidence, self.config, self.renamings).given(indices, points, noise, absent)


@dataclass(frozen=True)
class Measured:
    """Where landmarks are by all that is known, and how sure that is by what somebody has measured.

    Templates of a study's own labels move landmarks closer to the truth, and nobody measures how sure they may be:
    what is stated of errors is what it would be without them, which on average is more than is left.

    Attributes:
        where: says where landmarks are.
        sure: says how sure that is, and what is worth asking next.
    """

    where: Refiner
    sure: Refiner

    def given(self, indices: Indices, points: Array, noise: float = 0.0, absent: Indices | None = None) -> Belief:
        where, sure = (each.given(indices, points, noise, absent) for each in (self.where, self.sure))
        joint = LowRankGaussian(where.joint.mean.to(sure.joint.mean), sure.joint.factor, sure.joint.own)
        return Belief(where.mean, sure.covariances, joint)


def _clicks(count: int, indices: Indices, points: Array) -> Array | None:
    """(count, 2), NaN where nothing was placed; None where nothing was at all."""
    if not indices.size:
        return None
    clicks = np.full((count, 2), np.nan)
    clicks[indices] = points
    return clicks


def _by_confidence(predictor: Predictor, size: tuple[int, int]) -> Belief:
    """A network's own decoding, with the spread that the heights of its peaks stand for.

    A peak of height c says: with probability c the landmark is here, within the width of the peak, and else anywhere
    on the image. Landmarks are independent: a network says nothing of how they depend.
    """
    landmarks: LandmarkSet = predictor.predict().landmarks
    sure = np.asarray(landmarks.confidence, dtype=np.float64)[:, None]
    longer = max(predictor.config.input.size)
    here = (predictor.readout.sigma * max(size) / longer) ** 2
    anywhere = np.array(size, dtype=np.float64) ** 2 / 12
    variances = sure * here + (1 - sure) * anywhere
    return Belief.independent(landmarks.points.copy(), variances[:, :, None] * np.eye(2))
