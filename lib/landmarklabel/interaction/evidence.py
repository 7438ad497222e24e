"""What a network's heat maps say of where each landmark is, kept as the few pixels that stand out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MapEvidence:
    """For each landmark a likelihood over the plane: some pixels of a heat map, and the same floor everywhere.

    Attributes:
        places: (K, P, 2), centres of pixels that stand out, (x, y) in pixels of the image.
        weights: (K, P), by how much more likely than the floor each is; 0 does not count.
        pixel: (2,), size of a map's pixel in image pixels.
    """

    places: Array
    weights: Array
    pixel: Array

    @classmethod
    def from_maps(
        cls, maps: torch.Tensor, scale: Array, offset: Array, sharpness: float, floor: float, most: int = 256
    ) -> MapEvidence:
        """The pixels that stand out of heat maps.

        Args:
            maps: (K, H, W); what is below 0 counts as 0.
            scale, offset: (2,): map pixel (x, y) lies at ``(x, y) * scale + offset`` in the image.
            sharpness: power to which the values are taken.
            floor: value that stands for "anywhere".
            most: how many pixels of each map to keep.
        """
        count, height, width = maps.shape
        values, positions = maps.reshape(count, -1).topk(min(most, height * width), dim=1)
        weights = (values.double().cpu().numpy().clip(0) / floor) ** sharpness
        at = positions.cpu().numpy()
        places = np.stack([at % width, at // width], axis=-1) * scale + offset
        return cls(places, weights, np.abs(np.asarray(scale, dtype=np.float64)))

    def only(self, indices: NDArray[np.intp]) -> MapEvidence:
        """That of some landmarks."""
        return MapEvidence(self.places[indices], self.weights[indices], self.pixel)

    def multiply(self, mean: Array, covariance: Array) -> tuple[Array, Array, Array]:
        """Each landmark's normal distribution times its likelihood: the moments of the product.

        Args:
            mean: (K, 2) and covariance: (K, 2, 2) of each landmark, in image pixels.

        Returns:
            log of the total (K,), mean (K, 2) and covariance (K, 2, 2).
        """
        within = np.diag(self.pixel**2 / 12)  # a pixel is a square, not a point
        precision = np.linalg.inv(covariance + within)
        offset = self.places - mean[:, None]
        distance = np.einsum("kpi,kij,kpj->kp", offset, precision, offset)
        scale = self.pixel.prod() * np.sqrt(np.linalg.det(precision)) / (2 * np.pi)
        parts = self.weights * scale[:, None] * np.exp(-distance / 2)
        total = 1 + parts.sum(1)
        parts /= total[:, None]
        moved = np.einsum("kp,kpi->ki", parts, offset)
        spread = np.einsum("kp,kpi,kpj->kij", parts, offset, offset) + parts.sum(1)[:, None, None] * within
        spread += covariance / total[:, None, None] - moved[:, :, None] * moved[:, None]
        return np.log(total), mean + moved, spread
