"""One distribution over all landmarks: how they lie in labels, what the heat maps say, and what a person placed.

The network runs once an image. A placed landmark conditions the prior; each other landmark's map is then read in the
light of the prior, and what it says is told to the others, a few times over. Answers in which landmarks bear each
other's names are tried beside the first one: as far as maps and prior allow them, they count as its uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .belief import Belief
from .error_scaling import ErrorScaling
from .evidence import MapEvidence
from .hypotheses import weighed
from .lowrank import LowRankGaussian

Array = NDArray[np.float64]

# Another hypothesis is looked for this close to where its names put it, in parts of each landmark's own deviation.
_TIGHT = 0.15


class PosteriorConfig(BaseModel):
    """How prior and heat maps are weighed.

    Attributes:
        sharpness: power to which a heat map's values are taken.
        floor: value of a heat map that stands for "anywhere".
        discount: by how much less a landmark's map says about the others than about itself: maps of neighbours err
            together, which a product of independent likelihoods would not know.
        doubt: by how much less still, where it is asked how sure all of that is, and what to look at next.
        fade: by what each click multiplies how much more likely than "anywhere" a map makes a place: the more is
            placed, the better the others follow from that alone. It matters where maps say little, as with few labels.
        rounds: of telling the others what the maps say.
        trust: how much of a difference between hypotheses counts, of the log of what maps and prior say of them. They
            say it once for each landmark, and err together.
        spread: by what stated variances are multiplied after 0, 1, 2, ... clicks, the last for more; measured on
            validation images after a training, so that a stated region holds what it says.
        measured: how errors become those of measurements, by the same images; None: that was not looked at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    sharpness: float = Field(8.0, gt=0)
    floor: float = Field(0.1, gt=0, lt=1)
    discount: float = Field(5.0, ge=1)
    doubt: float = Field(100.0, ge=1)
    fade: float = Field(0.8, gt=0, le=1)
    rounds: int = Field(5, ge=1)
    trust: float = Field(0.03, gt=0, le=1)
    spread: tuple[float, ...] = Field((1.0,), min_length=1)
    measured: ErrorScaling | None = None

    @property
    def is_measured(self) -> bool:
        """Whether it is measured, and not assumed, how far a stated region holds what it says."""
        return len(self.spread) > 1

    def spread_after(self, clicks: int) -> float:
        """By what stated variances are multiplied after so many clicks."""
        return self.spread[min(clicks, len(self.spread) - 1)]


@dataclass(frozen=True)
class Posterior:
    """What is known of the landmarks of one image.

    Attributes:
        prior: over the landmarks, in pixels of the image.
        evidence: of the heat maps; None without a network.
        config: how the two are weighed.
        renamings: (H, K, K), by which landmarks may be named wrongly; see :func:`~.hypotheses.renamings`.
    """

    prior: LowRankGaussian
    evidence: MapEvidence | None = None
    config: PosteriorConfig = field(default_factory=PosteriorConfig)
    renamings: Array | None = None

    def given(
        self, indices: NDArray[np.intp], points: Array, noise: float = 0.0, absent: NDArray[np.intp] | None = None
    ) -> Belief:
        """What is believed once some landmarks are placed.

        Args:
            indices: (C,), which landmarks.
            points: (C, 2), where a person placed them, in pixels of the image.
            noise: standard deviation of a person's placing, in pixels of the image.
            absent: landmarks that are not in this image, whose maps say nothing.
        """
        prior = self.prior if self.evidence is None else self.prior.to(self.evidence.places.device)
        before = prior.observe(indices, points, noise)
        silent = indices if absent is None else np.union1d(indices, absent)
        free = np.setdiff1d(np.arange(len(before)), silent)
        if self.evidence is None or not free.size:
            return _belief(before, before.mean, before.of_points())
        return self._read(before, torch.from_numpy(free).to(before.mean.device), len(indices))

    def _read(self, before: LowRankGaussian, free: torch.Tensor, clicks: int) -> Belief:
        """The maps of ``free`` landmarks in the light of ``before``."""
        assert self.evidence is not None
        evidence, discount = self.evidence.only(free).faded(self.config.fade**clicks), self.config.discount
        start = before.mean[free], before.of_points()[free]
        joint, _, mean, covariance = self._settled(before, evidence, free, *start)
        # Once more, with less trust in what neighbours say: where it is, and how sure that is, are two questions.
        doubting = _told(before, free, mean, discount * self.config.doubt * covariance)
        _, _, spread = evidence.multiply(doubting.mean[free], doubting.of_points()[free])
        means, covariances = joint.mean.clone(), joint.of_points()
        means[free], covariances[free] = mean, spread
        if not clicks and self.renamings is not None and len(self.renamings):  # the first click tells them apart
            others = self._hypotheses(before, evidence, free, means)
            doubting = LowRankGaussian(doubting.mean, torch.cat([doubting.factor, others], dim=-1), doubting.own)
            covariances = covariances + others @ others.transpose(-1, -2)
        covariances[free] *= self.config.spread_after(clicks)
        return _belief(doubting, means, covariances)

    def _settled(
        self,
        before: LowRankGaussian,
        evidence: MapEvidence,
        free: torch.Tensor,
        mean: torch.Tensor,
        spread: torch.Tensor,
    ) -> tuple[LowRankGaussian, torch.Tensor, torch.Tensor, torch.Tensor]:
        """What prior and maps agree on from a start (..., C, 2), (..., C, 2, 2): joint, log evidence, the moments."""
        joint = before
        for _ in range(self.config.rounds):
            _, at, covariance = evidence.multiply(mean, spread)
            joint = _told(before, free, at, self.config.discount * covariance)
            mean, spread = joint.mean[..., free, :], joint.of_points()[..., free, :, :]
        total, at, covariance = evidence.multiply(mean, spread)
        return joint, total.sum(dim=-1), at, covariance

    def _hypotheses(
        self, before: LowRankGaussian, evidence: MapEvidence, free: torch.Tensor, first: torch.Tensor
    ) -> torch.Tensor:
        """(K, 2, H), what each other hypothesis adds to a factor: its offset from ``first``, by its weight's root."""
        assert self.renamings is not None
        starts = torch.from_numpy(self.renamings).to(first) @ first
        starts = torch.cat([first[None], starts])[:, free]
        tight = (_TIGHT**2 * before.of_points()[free]).expand(len(starts), -1, -1, -1)
        joint, evidences, at, _ = self._settled(before, evidence, free, starts, tight)
        places = joint.mean.clone()
        places[:, free] = at
        distances = before.distances(places, float(evidence.pixel.mean()))
        weights = weighed(self.config.trust * (evidences - distances / 2))[1:]
        return ((places[1:] - first) * weights.sqrt()[:, None, None]).permute(1, 2, 0)


def _told(before: LowRankGaussian, free: torch.Tensor, mean: torch.Tensor, covariance: torch.Tensor) -> LowRankGaussian:
    """The distributions once the others know where ``free`` landmarks (C,) seem to be, (..., C, 2)."""
    batch = mean.shape[:-2]
    at, precision = before.mean.expand(*batch, -1, -1).clone(), torch.zeros_like(before.own).repeat(*batch, 1, 1, 1)
    at[..., free, :], precision[..., free, :, :] = mean, torch.linalg.inv(covariance)
    return before.conditioned(at, precision)


def _belief(joint: LowRankGaussian, mean: torch.Tensor, covariances: torch.Tensor) -> Belief:
    return Belief(mean.cpu().numpy(), covariances.cpu().numpy(), joint)
