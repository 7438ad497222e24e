"""Regions: the parts of an anatomy that are segmented, each with a uv-map of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull
from skimage.draw import polygon

from ..errors import ConfigError, LabelError, listed
from ..protocol import Protocol, Structure

Array = NDArray[np.float64]

WHOLE = "whole"

#: Points whose spread across their line is below this part of that along it are on one line.
_FLAT = 1e-6


@dataclass(frozen=True, eq=False)
class Regions:
    """Which parts an anatomy has, R of them, and which landmarks each is made of.

    Attributes:
        names: R keys.
        titles: R names in words.
        members: R arrays of landmark indices, in the order of the outline.
        hull: R bools: whether the region is the convex hull of its landmarks, not the polygon through them.
        home: (K,) the region that a landmark is read off: the first that contains it.
        flip_order: (R,) ``maps[flip_order]`` gives each region its place in the mirrored image, as the protocol's
            own; None if a flip makes no sense, or does not take regions to regions.
    """

    names: tuple[str, ...]
    titles: tuple[str, ...]
    members: tuple[NDArray[np.intp], ...]
    hull: tuple[bool, ...]
    home: NDArray[np.intp]
    flip_order: NDArray[np.intp] | None

    @classmethod
    def of(cls, protocol: Protocol, structures: Sequence[str] | None = None) -> Regions:
        """The closed structures of a protocol with three landmarks or more; or those named, closed by a line if open.

        Where they leave a landmark out, a last region ``whole`` is the convex hull of all landmarks.

        Raises:
            ConfigError: a structure of that name does not exist, or has no area.
        """
        chosen = _closed(protocol) if structures is None else _named(protocol, structures)
        members = [protocol.indices(structure.name) for structure in chosen]
        names = [structure.name for structure in chosen]
        titles = [structure.title or structure.name for structure in chosen]
        if len(set().union(*members)) < len(protocol):
            _require_whole_possible(protocol, names)
            members.append(np.arange(len(protocol)))
            names.append(WHOLE)
            titles.append(protocol.title)
        hull = tuple(index >= len(chosen) for index in range(len(names)))
        return cls(
            tuple(names), tuple(titles), tuple(members), hull, _home(members, len(protocol)), _flip(protocol, members)
        )

    def __len__(self) -> int:
        return len(self.names)

    def masks(self, points: ArrayLike, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Which pixels have their centre inside each region, or on its border.

        Args:
            points: (K, 2), (x, y) in pixels, on the image or not; NaN where a landmark is absent: a region is then
                the polygon through the others.
            size: (W, H) of the image.

        Returns:
            (R, H, W). Empty where fewer than three landmarks are there, or all are on one line.

        Raises:
            LabelError: these are not points of this protocol.
        """
        landmarks = as_points(points, len(self.home))
        masks = np.zeros((len(self), size[1], size[0]), dtype=bool)
        for mask, members, hull in zip(masks, self.members, self.hull, strict=True):
            outline = landmarks[members]
            outline = outline[np.isfinite(outline).all(axis=1)]
            if have_area(outline):
                outline = outline[ConvexHull(outline).vertices] if hull else outline
                mask[polygon(outline[:, 1], outline[:, 0], mask.shape)] = True
        return masks


def as_points(points: ArrayLike, count: int) -> Array:
    """Points as an array (count, 2) of doubles.

    Raises:
        LabelError: they have another shape.
    """
    array = np.asarray(points, dtype=np.float64)
    if array.shape != (count, 2):
        raise LabelError(f"points must be ({count}, 2), one (x, y) a landmark of the protocol, got {array.shape}")
    return array


def have_area(points: Array) -> bool:
    """Whether points (N, 2) are three or more and not on one line."""
    if len(points) < 3:
        return False
    x, y = (points - points.mean(axis=0)).T
    squares, product = float(x @ x) + float(y @ y), float(x @ x) * float(y @ y) - float(x @ y) ** 2
    # Squared singular values: their sum, and their product; the lesser is about the product by the sum.
    return product > _FLAT**2 * squares * max(squares, 1.0)


def _closed(protocol: Protocol) -> list[Structure]:
    return [each for each in protocol.structures if each.closed and len(each.landmarks) >= 3]


def _named(protocol: Protocol, names: Sequence[str]) -> list[Structure]:
    known = {structure.name: structure for structure in protocol.structures if len(structure.landmarks) >= 3}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(
            f"structures: {listed(unknown)} can't be segmented in {protocol.name}; choose from its structures of "
            f"three landmarks or more ({listed(known, 20) or 'it has none'})"
        )
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise ConfigError(f"structures: {listed(repeated)} named more than once; name each once")
    return [known[name] for name in names]


def _require_whole_possible(protocol: Protocol, names: Sequence[str]) -> None:
    if len(protocol) < 3:
        raise ConfigError(f"{protocol.name} has {len(protocol)} landmarks, which have no area; a uv-map needs 3")
    if WHOLE in names:
        raise ConfigError(
            f"structures: '{WHOLE}' is the name of the hull of all landmarks, which {protocol.name} needs for those "
            "in no structure; give the structure another name"
        )


def _home(members: Sequence[NDArray[np.intp]], count: int) -> NDArray[np.intp]:
    home = np.zeros(count, dtype=np.intp)
    for region in reversed(range(len(members))):
        home[members[region]] = region
    return home


def _flip(protocol: Protocol, members: Sequence[NDArray[np.intp]]) -> NDArray[np.intp] | None:
    if protocol.flip_order is None:
        return None
    places = {frozenset(landmarks.tolist()): region for region, landmarks in enumerate(members)}
    order = [places.get(frozenset(protocol.flip_order[landmarks].tolist()), -1) for landmarks in members]
    # Two regions may have the same landmarks: then it is not clear which becomes which.
    return np.array(order) if sorted(order) == list(range(len(members))) else None
