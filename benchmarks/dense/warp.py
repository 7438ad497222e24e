"""A click that acts through the uv-map: the structure is warped so that the clicked landmark lands exactly.

The displacement of what was clicked spreads over the mean shape of its structure as a Gaussian process whose reach is a
part of the structure's size: smooth, exact at the clicks, and nothing beyond the structure moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from landmarklabel.interaction.belief import Belief
from landmarklabel.interaction.refiners import Refiner
from landmarklabel.uvmaps import Regions, Template

#: Part of a click's displacement that is its own: without it two neighbours that moved apart throw all others far off.
_NUGGET = 0.3

Array = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Warped:
    """What another refiner says without clicks, warped by them.

    Attributes:
        first: the refiner.
        regions, template: of the network.
        reach: of a click, as a part of half the structure's longer side.
    """

    first: Refiner
    regions: Regions
    template: Template
    reach: float

    def given(self, indices: Indices, points: Array, noise: float = 0.0, absent: Indices | None = None) -> Belief:
        belief = self.first.given(np.array([], dtype=np.intp), np.empty((0, 2)))
        mean = belief.mean.copy()
        for region, members in enumerate(self.regions.members):
            clicked = np.isin(indices, members)
            if clicked.any():
                places = self.template.uv[region] * self.template.extent[region]
                length = self.reach * self.template.extent[region].max()
                mean[members] += _spread(
                    places[members], places[indices[clicked]], points[clicked] - belief.mean[indices[clicked]], length
                )
        mean[indices] = points
        return replace(belief, mean=mean)


def _spread(at: Array, clicks: Array, moved: Array, length: float) -> Array:
    """Displacements (M, 2) at places (M, 2), of clicks (C, 2) that moved by (C, 2)."""

    def kernel(a: Array, b: Array) -> Array:
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(axis=2) / (2 * length**2))

    own = _NUGGET * np.eye(len(clicks))
    return kernel(at, clicks) @ np.linalg.solve(kernel(clicks, clicks) + own, moved)
