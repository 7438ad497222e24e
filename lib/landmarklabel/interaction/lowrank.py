"""Normal distributions over the positions of all landmarks, with few degrees of freedom, and what observations do.

Points are a mean, plus what a few latent variables move together, plus what is each point's own. Conditioning works on
the latent variables, so that it costs as much as there are landmarks, not their cube: 720 landmarks as well as 13. All
operations work on a batch of distributions at once, on any device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

#: Latent variables that are kept at most; measured on spines: 60 answer as 136 do.
MOST = 96

# Of a point's variance, at least this part is its own: two points are never quite the same.
_OWN = 1e-5

# A point that was placed without noise is known to this part of its own deviation.
_EXACT = 1e-4


@dataclass(frozen=True)
class LowRankGaussian:
    """Normal distributions over K points of the plane: ``mean + factor z + own noise``, z standard normal.

    Attributes:
        mean: (..., K, 2), (x, y), 64-bit floats.
        factor: (..., K, 2, R).
        own: (..., K, 2, 2), covariance of what is each point's own, independent of all else.
    """

    mean: torch.Tensor
    factor: torch.Tensor
    own: torch.Tensor

    @classmethod
    def from_covariance(cls, mean: ArrayLike, covariance: ArrayLike, most: int = MOST) -> LowRankGaussian:
        """The closest one of at most ``most`` latent variables; each point's own covariance is exact.

        Args:
            mean: (K, 2).
            covariance: (2K, 2K), coordinates in the order x0, y0, x1, y1, ...
            most: latent variables.
        """
        center = torch.as_tensor(np.asarray(mean, dtype=np.float64))
        whole = torch.as_tensor(np.asarray(covariance, dtype=np.float64))
        values, vectors = torch.linalg.eigh(whole)
        kept = min(most, len(values))
        factor = vectors[:, -kept:] * ((1 - _OWN) * values[-kept:].clamp(min=0)).sqrt()
        count = len(center)
        rest = (whole - factor @ factor.T).reshape(count, 2, count, 2)
        return cls(center, factor.reshape(count, 2, kept), torch.einsum("kikj->kij", rest).contiguous())

    def __len__(self) -> int:
        return self.mean.shape[-2]

    def __getitem__(self, index: int) -> LowRankGaussian:
        """One of a batch."""
        return LowRankGaussian(self.mean[index], self.factor[index], self.own[index])

    def to(self, device: torch.device) -> LowRankGaussian:
        """The same on a device."""
        return LowRankGaussian(self.mean.to(device), self.factor.to(device), self.own.to(device))

    def of_points(self) -> torch.Tensor:
        """(..., K, 2, 2), the covariance of each point by itself."""
        return self.factor @ self.factor.transpose(-1, -2) + self.own

    @property
    def covariance(self) -> torch.Tensor:
        """(..., 2K, 2K), of all coordinates."""
        rows = self.factor.flatten(-3, -2)
        whole = rows @ rows.transpose(-1, -2)
        blocks = whole.unflatten(-1, (len(self), 2)).unflatten(-3, (len(self), 2))
        each = torch.arange(len(self))
        blocks[..., each, :, each, :] += self.own.movedim(-3, 0)
        return whole

    def observe(self, indices: ArrayLike, points: ArrayLike, noise: ArrayLike = 0.0) -> LowRankGaussian:
        """The distribution once some points are seen, each with an error of its own.

        Args:
            indices: (C,), which points; each at most once.
            points: (C, 2), where they were seen.
            noise: standard deviation of the error of each coordinate, a number or (C,); 0 puts the mean there, to
                a ten-thousandth of a point's own deviation.
        """
        chosen = np.asarray(indices, dtype=np.intp)
        if len(np.unique(chosen)) != chosen.size:
            raise ValueError(f"each point is observed once, got {chosen.tolist()}")
        at, precision = self.mean.clone(), torch.zeros_like(self.own)
        at[chosen] = torch.as_tensor(np.asarray(points, dtype=np.float64).reshape(-1, 2)).to(at)
        precision[chosen] = self.precision_of_placing(chosen, noise)
        return self.conditioned(at, precision)

    def precision_of_placing(self, indices: NDArray[np.intp], noise: ArrayLike) -> torch.Tensor:
        """(C, 2, 2), the precision of points that a person placed with errors of a standard deviation."""
        exact = _EXACT**2 * self.own[indices].diagonal(dim1=-2, dim2=-1).mean(-1)
        variance = torch.as_tensor(np.asarray(noise, dtype=np.float64)).to(exact) ** 2
        return torch.eye(2).to(self.own) / torch.maximum(variance.expand(exact.shape), exact)[:, None, None]

    def conditioned(self, at: torch.Tensor, precision: torch.Tensor) -> LowRankGaussian:
        """The distributions once every point is seen, each with a precision of its own.

        Args:
            at: (..., K, 2), where each was seen; finite also where it was not.
            precision: (..., K, 2, 2), inverse covariance of each error; 0 where a point was not seen.
        """
        # Given z, points are independent, each with its own covariance: what is seen of z has that and the error.
        eye = torch.eye(2).to(self.own)
        seen = precision @ torch.linalg.inv(eye + self.own @ precision)
        rows, weighted = self.factor.flatten(-3, -2), (seen @ self.factor).flatten(-3, -2)
        rank = self.factor.shape[-1]
        inner = torch.eye(rank).to(rows) + rows.transpose(-1, -2) @ weighted
        root = torch.linalg.cholesky(inner)
        surprise = (at - self.mean).flatten(-2)[..., None]
        latent = torch.cholesky_solve(weighted.transpose(-1, -2) @ surprise, root)
        moved = self.mean + (rows @ latent).squeeze(-1).unflatten(-1, (len(self), 2))
        shared = torch.linalg.solve_triangular(root, rows.transpose(-1, -2), upper=False).transpose(-1, -2)
        shared = shared.unflatten(-2, (len(self), 2))
        gain = self.own @ seen
        mean = moved + (gain @ (at - moved)[..., None]).squeeze(-1)
        return LowRankGaussian(mean, shared - gain @ shared, self.own - gain @ self.own)

    def distances(self, points: torch.Tensor, blur: float) -> torch.Tensor:
        """(...), squared Mahalanobis distances of points (..., K, 2), seen with an error of deviation ``blur``."""
        certainty = torch.linalg.inv(self.own + blur**2 * torch.eye(2).to(self.own))
        offset, rows = points - self.mean, self.factor.flatten(-3, -2)
        weighted = (certainty @ offset[..., None]).squeeze(-1)
        inner = torch.eye(rows.shape[-1]).to(rows) + rows.transpose(-1, -2) @ (certainty @ self.factor).flatten(-3, -2)
        shared = rows.transpose(-1, -2) @ weighted.flatten(-2)[..., None]
        explained = (shared * torch.cholesky_solve(shared, torch.linalg.cholesky(inner))).sum(dim=(-2, -1))
        return (weighted * offset).sum(dim=(-2, -1)) - explained

    def mapped(self, scale: float, offset: ArrayLike) -> LowRankGaussian:
        """The distribution of ``points * scale + offset``, ``offset`` (2,) or a number."""
        shift = torch.as_tensor(np.asarray(offset, dtype=np.float64)).to(self.mean)
        return LowRankGaussian(self.mean * scale + shift, self.factor * scale, self.own * scale**2)
