"""Bones as a network sees them: each centred around zero by itself, gaps closed from the mean bone.

Arrays of bones are padded to P landmarks, the number of the longest outline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, listed
from ..landmarks import Points
from ..protocol import Protocol, Structure

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Bones:
    """The B bones of a protocol.

    Attributes:
        names: of the structures.
        index: (B, P), each bone's landmarks in the order of its outline, -1 behind its last.
    """

    names: tuple[str, ...]
    index: NDArray[np.intp]

    @classmethod
    def of(cls, protocol: Protocol, structures: Sequence[str] | None = None) -> Bones:
        """The closed structures of 3 landmarks or more; those named, or all there are.

        Raises:
            ConfigError: there is none, or a name is not of such a structure.
        """
        closed = {structure.name: structure for structure in protocol.structures if _is_bone(structure)}
        if not closed:
            raise ConfigError(f"{protocol.name} has no closed structures of 3 landmarks or more that could be bones")
        names = tuple(dict.fromkeys(structures)) if structures is not None else tuple(closed)
        unknown = [name for name in names if name not in closed]
        if unknown or not names:
            raise ConfigError(
                f"structures: {listed(unknown) or 'none named'}; expected closed structures of {protocol.name}: "
                f"{listed(closed, 20)}"
            )
        members = [protocol.indices(name) for name in names]
        index = np.full((len(names), max(map(len, members))), -1, dtype=np.intp)
        for row, landmarks in zip(index, members, strict=True):
            row[: len(landmarks)] = landmarks
        return cls(names, index)

    def __len__(self) -> int:
        return len(self.names)

    def gather(self, points: Points) -> Points:
        """(N, K, 2) to (N, B, P, 2), NaN where a landmark is absent, and as padding."""
        whole = np.isfinite(points).all(axis=-1, keepdims=True)
        outlines = np.where(whole, points, np.nan)[:, self.index]
        outlines[:, self.index < 0] = np.nan
        return outlines

    def absent(self, points: Points) -> Mask:
        """(N, B): of which bones no landmark is there, of points (N, K, 2)."""
        return ~np.isfinite(self.gather(points)).all(axis=-1).any(axis=-1)


def _is_bone(structure: Structure) -> bool:
    return structure.closed and len(structure.landmarks) >= 3


@dataclass(frozen=True, eq=False)
class BoneShapes:
    """What the bones of the training images are like, which is what a network's input is made with.

    Attributes:
        bones: the B bones.
        mean: (B, P, 2), the mean bone, its centre at zero; NaN as padding and where training never saw a landmark.
        optional: (B,), bones that were wholly absent in a training image: a child's bone that is not there yet says
            something of its age.
        sizes: the smallest and the greatest size of a training image's bones, the mean bones being 1.
    """

    bones: Bones
    mean: Points
    optional: Mask
    sizes: tuple[float, float]

    @classmethod
    def learn(cls, points: Points, bones: Bones) -> BoneShapes:
        """Of training landmarks (N, K, 2), in one unit, NaN absent; every image with two landmarks of a bone."""
        outlines = bones.gather(points)
        there = np.isfinite(outlines).all(axis=-1)
        centred = np.where(there[..., None], outlines - _centre(outlines, there), 0)
        count = there.sum(axis=0)
        known = count > 0
        mean = centred.sum(axis=0) / np.maximum(count, 1)[..., None]
        mean = np.where(known[..., None], mean - _centre(mean, known), np.nan)
        shapes = cls(bones, mean, bones.absent(points).any(axis=0), (1.0, 1.0))
        found = shapes.size(points)
        return cls(bones, mean, shapes.optional, (float(found.min()), float(found.max())))

    def size(self, points: Points) -> NDArray[np.float64]:
        """(N,): how large the bones of (N, K, 2) are, those of the mean being 1; NaN without two landmarks of a bone.

        The root mean square distance from the centre of each bone, by the landmarks that are there.
        """
        outlines, there = self._placed(points)
        spread = _spread(outlines, there)
        usual = _spread(np.broadcast_to(self._mean, outlines.shape), there)
        enough = (spread > 0) & (usual > 0)
        return np.sqrt(np.divide(spread, usual, out=np.full_like(spread, np.nan), where=enough))

    def inputs(self, points: Points) -> NDArray[np.float32]:
        """(N, B, 2 P) for a network, of (N, K, 2) in the unit of training, NaN absent.

        Each bone is centred around zero and divided by the mean bone's size. Absent landmarks are those of the mean
        bone, in the size of the image's other landmarks and laid on the centre of those of the bone. A wholly absent
        bone is all zeros if some training image had it absent, too; else, and in a network that knows no such thing,
        it is the mean bone.
        """
        outlines, there = self._placed(points)
        size = np.nan_to_num(self.size(points), nan=1.0)[:, None, None, None]
        usual = size * self._mean
        shift = _centre(np.broadcast_to(usual, outlines.shape), there) - _centre(outlines, there)
        whole = np.where(there[..., None], outlines + shift, usual)  # its centre is that of the mean bone: zero
        whole[~there.any(axis=-1) & self.optional] = 0
        return (whole / self._unit[:, None, None]).reshape(len(points), len(self.bones), -1).astype(np.float32)

    def _placed(self, points: Points) -> tuple[Points, Mask]:
        """Outlines (N, B, P, 2), and (N, B, P): which landmarks are there, and were in training."""
        outlines = self.bones.gather(points)
        there = np.isfinite(outlines).all(axis=-1) & self._known
        return np.where(there[..., None], outlines, 0), there

    @property
    def _known(self) -> Mask:
        return np.isfinite(self.mean).all(axis=-1)

    @property
    def _mean(self) -> Points:
        return np.nan_to_num(self.mean)

    @property
    def _unit(self) -> NDArray[np.float64]:
        """(B,), the size of each mean bone; 1 for one without any extent."""
        known = self._known
        variance = (self._mean**2).sum(axis=(1, 2)) / np.maximum(known.sum(axis=1), 1)
        return np.where(variance > 0, np.sqrt(variance), 1)


def _centre(outlines: Points, there: Mask) -> Points:
    """(..., 1, 2): mean of the landmarks that are there; 0 where there are none."""
    total = np.where(there[..., None], outlines, 0).sum(axis=-2, keepdims=True)
    return total / np.maximum(there.sum(axis=-1), 1)[..., None, None]


def _spread(outlines: Points, there: Mask) -> NDArray[np.float64]:
    """(N,): summed squared distance of the landmarks that are there from the centre of their bone."""
    offset = np.where(there[..., None], outlines - _centre(outlines, there), 0)
    return np.asarray((offset**2).sum(axis=(1, 2, 3)))
