"""Labels that can't be right, found by geometry: broken rules of the anatomy, impossible positions, strange shapes.

What is found is *suspicious*, not wrong for certain; it is left out of training by default and shown to a person.
Landmarks without a position (NaN) never make a label suspicious.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import LabelError, listed
from ..landmarks import Points
from ..protocol import Protocol, Structure
from ..radiograph import Geometry

#: Two vertebrae that follow each other may overlap by this part of their height; twice the same vertebra does so fully.
OVERLAP = 0.5

#: Landmarks closer than this in x and in y, in pixels, are at one place; neighbours of a small image come close.
SAME_PLACE = 0.05

#: A closed contour of more landmarks than this is an outline, whose points may touch those of its neighbour.
OUTLINE = 8

#: Shapes are compared with each other only if there are this many.
FEWEST_SHAPES = 10

#: Robust standard deviations from the median shape beyond which a landmark is a gross error.
GROSS = 15.0

# No landmark's spread is taken as smaller than this part of the shape's size.
_LEAST_SPREAD = 0.01


class _Order(NamedTuple):
    """``first`` comes before ``second`` along ``axis`` (0: left of, 1: above), each the centre of some landmarks."""

    axis: int
    first: str
    second: str
    first_indices: NDArray[np.intp]
    second_indices: NDArray[np.intp]


def suspicious(protocol: Protocol, points: Points, size: tuple[int, int] | None = None) -> tuple[str, ...]:
    """Why one label can't be right; empty if nothing speaks against it.

    Args:
        points: (K, 2), (x, y) in pixels; NaN absent.
        size: (W, H) of the image in pixels, or None if it is not known.

    Raises:
        LabelError: ``points`` has another shape.
    """
    if points.shape != (len(protocol), 2):
        raise LabelError(f"expected {len(protocol)} landmarks of {protocol.name} as (x, y) rows, got {points.shape}")
    return (*misplaced(protocol, points, size), *_overlaps(protocol, points), *_coincident(protocol, points))


def misplaced(protocol: Protocol, points: Points, size: tuple[int, int] | None = None) -> tuple[str, ...]:
    """The part of :func:`suspicious` that tells whether points are in the protocol's order and of this image."""
    return (*_broken_orders(protocol, points), *(_outside(protocol, points, size) if size else ()))


def _orders(protocol: Protocol) -> Iterator[_Order]:
    """Everything that the protocol says about above and left of: its rules, and the corners of its vertebrae."""
    for rule in protocol.rules:
        if rule.above:
            yield _named_order(protocol, 1, *rule.above)
        elif rule.left_of:
            yield _named_order(protocol, 0, *rule.left_of)
        else:
            yield from (_named_order(protocol, 1, *names) for names in pairwise(rule.downwards or ()))
    for structure in protocol.structures:
        if structure.kind == "vertebra":
            upper_left, upper_right, lower_right, lower_left = structure.landmarks
            yield _corner_order(protocol, 1, upper_left, lower_left)
            yield _corner_order(protocol, 1, upper_right, lower_right)
            yield _corner_order(protocol, 0, upper_left, upper_right)
            yield _corner_order(protocol, 0, lower_left, lower_right)


def _named_order(protocol: Protocol, axis: int, first: str, second: str) -> _Order:
    return _Order(axis, first, second, protocol.indices(first), protocol.indices(second))


def _corner_order(protocol: Protocol, axis: int, first: str, second: str) -> _Order:
    return _Order(axis, first, second, np.array([protocol.index(first)]), np.array([protocol.index(second)]))


def _broken_orders(protocol: Protocol, points: Points) -> Iterator[str]:
    orders = list(_orders(protocol))
    if not orders:
        return
    axis = np.array([order.axis for order in orders])
    row = np.arange(len(orders))
    first = _centres(points, [order.first_indices for order in orders])[row, axis]
    second = _centres(points, [order.second_indices for order in orders])[row, axis]
    for index in np.flatnonzero(first >= second):  # False where one of them is NaN
        order = orders[index]
        yield f"{order.first} is not {('left of', 'above')[order.axis]} {order.second}"


def _centres(points: Points, groups: list[NDArray[np.intp]]) -> Points:
    """Mean position (G, 2) of the placed landmarks of each group; NaN where none is placed."""
    member = np.zeros((len(groups), len(points)))
    for row, indices in zip(member, groups, strict=True):
        row[indices] = 1.0
    placed = np.isfinite(points).all(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray((member @ np.where(placed[:, None], points, 0.0)) / (member @ placed)[:, None])


def _outside(protocol: Protocol, points: Points, size: tuple[int, int]) -> Iterator[str]:
    outside = np.isfinite(points).all(axis=1) & ~Geometry(size).contains(points)
    if outside.any():
        named = [f"{protocol.labels[i]} at ({points[i, 0]:.1f}, {points[i, 1]:.1f})" for i in np.flatnonzero(outside)]
        yield f"outside the image of {size[0]} x {size[1]} pixels: {listed(named, 3)}"


def _overlaps(protocol: Protocol, points: Points) -> Iterator[str]:
    """Vertebrae drawn into each other: most often the same one twice."""
    vertebrae = {structure.name: structure for structure in protocol.structures if structure.kind == "vertebra"}
    for rule in protocol.rules:
        for above, below in pairwise(rule.downwards or ()):
            if above in vertebrae and below in vertebrae:
                top, bottom = _edges(protocol, points, vertebrae[above])
                next_top, next_bottom = _edges(protocol, points, vertebrae[below])
                height = (bottom - top + next_bottom - next_top) / 2
                in_order = top + bottom < next_top + next_bottom  # else another reason is given already
                if in_order and height > 0 and bottom - next_top > OVERLAP * height:
                    yield f"{above} and {below} overlap by {(bottom - next_top) / height:.0%} of their height"


def _edges(protocol: Protocol, points: Points, vertebra: Structure) -> tuple[float, float]:
    """y of the middles of the upper and of the lower edge; NaN if a corner is absent."""
    upper_left, upper_right, lower_right, lower_left = points[protocol.indices(vertebra.name), 1]
    return float(upper_left + upper_right) / 2, float(lower_left + lower_right) / 2


def _coincident(protocol: Protocol, points: Points) -> Iterator[str]:
    """Pairs of landmarks at one place, outlines apart."""
    checked = np.isfinite(points).all(axis=1)
    for structure in protocol.structures:
        if structure.kind == "contour" and structure.closed and len(structure.landmarks) > OUTLINE:
            checked[[protocol.index(label) for label in structure.landmarks]] = False
    indices = np.flatnonzero(checked)
    apart = np.abs(points[indices, None] - points[None, indices]).max(axis=2, initial=0.0)
    for a, b in zip(*np.nonzero(np.triu(apart < SAME_PLACE, k=1)), strict=True):
        yield f"{protocol.labels[indices[a]]} and {protocol.labels[indices[b]]} are at the same place"


def outliers(protocol: Protocol, shapes: NDArray[np.float64]) -> dict[int, str]:
    """Shapes of a set that differ grossly from the others, such as two landmarks of different places exchanged.

    Every shape is laid on the median shape by a similarity (shift, turn, scale). A shape is an outlier if one of its
    landmarks lies more than :data:`GROSS` robust standard deviations (median and MAD over the set) further from its
    place than is usual for that landmark. That is conservative: a severe but real deformity is no outlier.

    Args:
        shapes: (N, K, 2), (x, y) in pixels; NaN absent. Shapes with fewer than 3 landmarks are left out.

    Returns:
        index of the shape, and why. Empty for fewer than :data:`FEWEST_SHAPES` shapes.

    Raises:
        LabelError: ``shapes`` has another shape.
    """
    if shapes.ndim != 3 or shapes.shape[1:] != (len(protocol), 2):
        raise LabelError(f"expected shapes (N, {len(protocol)}, 2) of {protocol.name}, got {shapes.shape}")
    complex_shapes = shapes[..., 0] + 1j * shapes[..., 1]
    usable = np.flatnonzero(np.isfinite(complex_shapes).sum(axis=1) >= 3)
    if len(usable) < FEWEST_SHAPES:
        return {}
    score = _scores(complex_shapes[usable])
    worst = score.argmax(axis=1)
    found = np.flatnonzero(score.max(axis=1) > GROSS)
    return {int(usable[i]): f"{protocol.labels[worst[i]]} is far from where it is in the other images" for i in found}


def _scores(shapes: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Distance (N, K) of each landmark from its usual place, in robust standard deviations; -inf where absent."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # medians of a landmark that no image has
        aligned = shapes - np.nanmean(shapes, axis=1, keepdims=True)
        for _ in range(3):  # the median shape and the shapes laid on it, in turns; settled after two
            reference = np.nanmedian(aligned.real, axis=0) + 1j * np.nanmedian(aligned.imag, axis=0)
            reference = (reference - np.nanmean(reference)) / np.sqrt(np.nanmean(np.abs(reference) ** 2))
            aligned = _align(shapes, reference)
        distance = np.abs(aligned - reference)
        usual = np.nanmedian(distance, axis=0)
        spread = 1.4826 * np.nanmedian(np.abs(distance - usual), axis=0)
    score = (distance - usual) / np.maximum(spread, _LEAST_SPREAD)
    return np.where(np.isfinite(score), score, -np.inf)


def _align(shapes: NDArray[np.complex128], reference: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Shapes (N, K) laid on ``reference`` (K,) by the similarity of least squares over the landmarks of both."""
    shared = np.isfinite(shapes) & np.isfinite(reference)
    count = np.maximum(shared.sum(axis=1, keepdims=True), 1)
    source, target = np.where(shared, shapes, 0), np.where(shared, reference, 0)
    source_centre, target_centre = (part.sum(axis=1, keepdims=True) / count for part in (source, target))
    source, target = (np.where(shared, part, 0) for part in (source - source_centre, target - target_centre))
    power = (np.abs(source) ** 2).sum(axis=1, keepdims=True)
    factor = (np.conj(source) * target).sum(axis=1, keepdims=True) / np.maximum(power, 1e-12)
    return np.asarray((shapes - source_centre) * factor + target_centre)
