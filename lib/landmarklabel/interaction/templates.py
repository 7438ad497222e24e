"""How landmarks look in a handful of labels: a template of each, found again in the next image.

A landmark's template is the mean look of its surroundings in labelled images, whitened by how radiographs look
anywhere: the linear discriminant between the two (Hariharan, Malik and Ramanan, ECCV 2012). It is known in closed form,
and up to some dozens of labels finds landmarks better than a network that has learned from them for minutes; later both
together do better than either. How much it counts is chosen by how well it finds landmarks of labels left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from .evidence import MapEvidence
from .gradients import LENGTH, Gradients

Array = NDArray[np.float64]

#: A single label has no other to be judged by; and more than so many hardly change a mean.
FEWEST_LABELS, MOST_LABELS = 2, 100

# Points that stand for anywhere in an image; what is added to their variances, as a part of the mean one.
_ANYWHERE, _SHRINKAGE = 128, 0.1
_SHOW_ANYWHERE = 16  # images, at most

# Levels and cells are not independent: their sum counts by one of these, of which labels choose.
_TRUST = (0.02, 0.05, 0.1, 0.2, 0.3)

# How many labels choose, at most, and how much more of an image is elsewhere than the points that are asked there.
_JUDGES, _ELSEWHERE = 12, 20.0

_MOST = 30.0  # of the log of a likelihood
_AT_ONCE = 64  # landmarks


def learned_from(names: Iterable[str]) -> list[str]:
    """Of the names of labelled images those that count: always the same, and by nothing that says what is in them."""
    return sorted(names, key=lambda name: (crc32(name.encode()), name))[:MOST_LABELS]


@dataclass(frozen=True)
class LabelledLook:
    """How one labelled image looks.

    Attributes:
        landmarks: (LEVELS, K, LENGTH) about each landmark; what is said of an absent one does not count.
        present: (K,), which landmarks are there.
        anywhere: (LEVELS, N, LENGTH) about points all over the image.
    """

    landmarks: torch.Tensor
    present: torch.Tensor
    anywhere: torch.Tensor

    @classmethod
    def of(cls, gradients: Gradients, points: Array) -> LabelledLook:
        """Of an image and its landmarks (K, 2), in pixels of the image, NaN where absent."""
        present = np.isfinite(points).all(axis=1)
        landmarks = gradients.about(np.where(present[:, None], points, 0.0))
        anywhere = gradients.about(gradients.background(_ANYWHERE))
        return cls(landmarks.half(), torch.from_numpy(present), anywhere.half())

    @property
    def of_present(self) -> torch.Tensor:
        """(LEVELS, K, LENGTH), 0 where a landmark is absent."""
        return self.landmarks.float() * self.present[:, None]


@dataclass(frozen=True)
class Templates:
    """How K landmarks look.

    Attributes:
        rows: (LEVELS, K, LENGTH), by which the looks of a place are multiplied.
        offsets: (K,), what is taken from the sum: it then is the log of how much likelier the landmark makes that look.
        known: (K,), which landmarks any label has; nothing is said of the others.
        trust: by how much that log counts.
        labels: how many labels they were learned from.
    """

    rows: torch.Tensor
    offsets: torch.Tensor
    known: torch.Tensor
    trust: float
    labels: int

    @classmethod
    def fit(cls, looks: Sequence[LabelledLook]) -> Templates:
        """Learn from labelled images, :data:`FEWEST_LABELS` at least: a single one has no other to be judged by."""
        usual, total = _Usual.of(looks), _Total.of(looks)
        means = total.mean() - usual.mean[:, None]
        rows = usual.unwhitened(usual.whitened(means))
        offsets = (rows * (means / 2 + usual.mean[:, None])).sum(dim=(0, 2))
        return cls(rows, offsets, total.counts > 0, _chosen_trust(looks, usual, total), len(looks))

    def evidence(self, gradients: Gradients, network: MapEvidence | None = None, most: int = 256) -> MapEvidence:
        """What they say of where landmarks are, times what a network says.

        Args:
            gradients: of the image.
            network: what its maps say of the same image.
            most: how many places of each landmark to keep.
        """
        parts = [self._said(gradients, network, part, most) for part in torch.arange(len(self.known)).split(_AT_ONCE)]
        first, step = gradients.places()
        positions, weights = (torch.cat(part) for part in zip(*parts, strict=True))
        steps = torch.from_numpy(step)
        return MapEvidence(torch.from_numpy(first) + positions * steps, weights, steps)

    def _said(
        self, gradients: Gradients, network: MapEvidence | None, some: torch.Tensor, most: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Columns and rows (C, P, 2) of the likeliest corners for some landmarks (C,), and their weights (C, P)."""
        scores = self.trust * (gradients.scores(self.rows[:, some]) - self.offsets[some, None, None])
        # Both are ratios to "anywhere", which says 1, and so is their product: logs of 1 + weight add up.
        logs = F.softplus(scores.clamp(max=_MOST).masked_fill(~self.known[some, None, None], -torch.inf))
        if network is not None:
            logs += network.only(some).on_grid(*gradients.places(), logs.shape[1:])
        values, corners = logs.flatten(1).topk(min(most, logs[0].numel()), dim=1)
        width = logs.shape[2]
        return torch.stack([corners % width, corners // width], dim=-1).double(), values.double().expm1()


@dataclass(frozen=True)
class _Usual:
    """How images look anywhere: mean (LEVELS, LENGTH), and the root of the covariance, lower triangular."""

    mean: torch.Tensor
    root: torch.Tensor

    @classmethod
    def of(cls, looks: Sequence[LabelledLook]) -> _Usual:
        seen = torch.cat([look.anywhere for look in looks[:_SHOW_ANYWHERE]], dim=1).float()
        mean = seen.mean(dim=1)
        offset = seen - mean[:, None]
        covariance = offset.transpose(1, 2) @ offset / seen.shape[1]
        variance = covariance.diagonal(dim1=1, dim2=2).mean(dim=1).clamp(min=1e-6)
        plain = torch.eye(LENGTH) * (_SHRINKAGE * variance)[:, None, None]
        return cls(mean, torch.linalg.cholesky((covariance + plain).double()).float())

    def whitened(self, looks: torch.Tensor) -> torch.Tensor:
        """Of offsets from the mean (LEVELS, N, LENGTH)."""
        return torch.linalg.solve_triangular(self.root, looks.transpose(1, 2), upper=False).transpose(1, 2)

    def unwhitened(self, looks: torch.Tensor) -> torch.Tensor:
        """The rows by which looks are multiplied, for the product of both when whitened."""
        solved = torch.linalg.solve_triangular(self.root.transpose(1, 2), looks.transpose(1, 2), upper=True)
        return solved.transpose(1, 2)


@dataclass(frozen=True)
class _Total:
    """The looks of landmarks, summed over images (LEVELS, K, LENGTH), and in how many each is."""

    looks: torch.Tensor
    counts: torch.Tensor

    @classmethod
    def of(cls, looks: Sequence[LabelledLook]) -> _Total:
        total = torch.zeros_like(looks[0].landmarks, dtype=torch.float32)
        for look in looks:
            total += look.of_present
        return cls(total, torch.stack([look.present for look in looks]).sum(dim=0))

    def without(self, look: LabelledLook) -> _Total:
        """That of the others."""
        return _Total(self.looks - look.of_present, self.counts - look.present.long())

    def mean(self) -> torch.Tensor:
        """0 where a landmark is in no image."""
        return self.looks / self.counts.clamp(min=1)[:, None]


def _chosen_trust(looks: Sequence[LabelledLook], usual: _Usual, total: _Total) -> float:
    """By which of :data:`_TRUST` templates of the other labels best tell landmarks from all else, in each of some.

    Else are the image's other landmarks, the next vertebra's corner among them, and points anywhere.
    """
    likelihoods = torch.zeros(len(_TRUST)).double()
    for look in looks[:_JUDGES]:
        others = total.without(look)
        asked = look.present & (others.counts > 0)
        templates = usual.whitened((others.mean() - usual.mean[:, None])[:, asked])
        seen = torch.cat([look.landmarks[:, look.present], look.anywhere], dim=1).float()
        scores = usual.whitened(seen - usual.mean[:, None]) @ templates.transpose(1, 2)
        scores = (scores - (templates**2).sum(dim=2)[:, None] / 2).sum(dim=0).T.double()  # (asked, places)
        own = asked[look.present].nonzero()
        stands_for = torch.zeros(scores.shape[1]).double()
        stands_for[int(look.present.sum()) :] = math.log(_ELSEWHERE)
        for index, trust in enumerate(_TRUST):
            logs = F.softplus(trust * scores) + stands_for  # as in evidence: "anywhere" says 1
            likelihoods[index] += (logs.gather(1, own)[:, 0] - logs.logsumexp(dim=1)).sum()
    return _TRUST[int(likelihoods.argmax())]
