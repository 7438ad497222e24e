"""uv-maps of landmarks: each pixel's place on the mean shape.

The paper (DenseSeg, Sec. 2.1.1) aligns the landmarks to the template, interpolates the displacements that are left,
linearly, and warps the identity map with them. Linear interpolation on a triangulation reproduces affine maps, and
alignment and identity map are affine: what comes out is the template's uv, interpolated between the landmarks.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import Delaunay, QhullError

from .regions import Array, Regions, as_points, have_area
from .template import Template

Values = NDArray[np.float32]

#: Pixels; centres this near to an edge count as on it, so that rounding loses none between two triangles.
_NEAR = 1e-6


def uv_map(points: ArrayLike, size: tuple[int, int], regions: Regions, template: Template) -> Values:
    """The uv-maps of one image: the landmarks' uv, interpolated linearly on their Delaunay triangulation.

    Args:
        points: (K, 2), (x, y) in pixels, on the image or not; NaN where a landmark is absent: the map is then that of
            the others.
        size: (W, H) of the image.
        regions: of the protocol.
        template: where the landmarks lie on the mean shapes.

    Returns:
        (R, 2, H, W), the channels u and v. NaN outside the convex hull of the region's landmarks: everywhere where
        fewer than three are there, or all are on one line.

    Raises:
        LabelError: these are not points of this protocol.
    """
    landmarks = as_points(points, len(regions.home))
    maps = np.full((len(regions), 2, size[1], size[0]), np.nan, dtype=np.float32)
    corners, owners = [np.empty((0, 3, 4))], [np.empty(0, dtype=np.intp)]
    for region, members in enumerate(regions.members):
        found = _triangles(np.concatenate([landmarks[members], template.uv[region, members]], axis=1))
        corners.append(found)
        owners.append(np.full(len(found), region))
    triangle, y, left, right = _spans(np.concatenate(corners), size[1])
    u_map = np.concatenate(owners)[triangle] * (2 * size[0] * size[1])  # where it begins in the array
    pixel, uv = _pixels(u_map + y * size[0], left, right, size[0])
    flat = maps.reshape(-1)
    flat[pixel], flat[pixel + size[0] * size[1]] = uv
    return maps


def to_polar(uv: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """(u, v) along ``dim`` to (distance from the middle, angle / pi); the angle is from u to v, in (-1, 1]."""
    u, v = uv.unbind(dim)
    return torch.stack([torch.hypot(u, v), torch.atan2(v, u) / math.pi], dim)


def to_cartesian(polar: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """What :func:`to_polar` was made of."""
    radius, angle = polar.unbind(dim)
    return torch.stack([radius * torch.cos(math.pi * angle), radius * torch.sin(math.pi * angle)], dim)


def _triangles(vertices: Array) -> Array:
    """Triangles (T, 3, 4) between vertices (N, 4) of x, y, u, v; none where those that are there have no area."""
    vertices = vertices[np.isfinite(vertices).all(axis=1)]
    if not have_area(vertices[:, :2]):
        return np.empty((0, 3, 4))
    try:
        return vertices[Delaunay(vertices[:, :2]).simplices]
    except QhullError:  # flat to within its precision
        return np.empty((0, 3, 4))


def _spans(triangles: Array, height: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array, Array]:
    """Which rows cross which of the triangles (T, 3, 4), and where.

    Returns:
        triangle and row (S,), and x, u, v (3, S) of the left and the right end of what the two share.
    """
    order = triangles[:, :, 1].argsort(axis=1)
    top, middle, bottom = np.take_along_axis(triangles, order[..., None], axis=1).transpose(1, 2, 0)
    first, number = _integers(top[1], bottom[1], height)
    triangle, step = _expanded(number)
    y = first[triangle] + step
    top, middle, bottom = top[:, triangle], middle[:, triangle], bottom[:, triangle]
    upper = y < middle[1]
    one = _crossing(top, bottom, y)
    other = _crossing(np.where(upper, top, middle), np.where(upper, middle, bottom), y)
    swapped = other[0] < one[0]
    return triangle, y, np.where(swapped, other, one), np.where(swapped, one, other)


def _crossing(start: Array, end: Array, y: NDArray[np.intp]) -> Array:
    """x, u, v (3, S) where rows cross sides (4, S) of x, y, u, v; a side's end where a row passes it by rounding."""
    rise = end[1] - start[1]
    along = np.clip((y - start[1]) / np.where(rise > 0, rise, 1.0), 0.0, 1.0)
    start, end = start[[0, 2, 3]], end[[0, 2, 3]]
    return start + along * (end - start)


def _pixels(row: NDArray[np.intp], left: Array, right: Array, width: int) -> tuple[NDArray[np.intp], Values]:
    """The pixels between left and right ends (3, S) of x, u, v on rows that begin at the places ``row`` (S,).

    Returns:
        places (P,) and u, v (2, P), linear between the ends: no weight leaves [0, 1], however flat the triangle.
    """
    first, number = _integers(left[0], right[0], width)
    length, rise = right[0] - left[0], right[1:] - left[1:]
    begin = left[1:] + np.clip((first - left[0]) / np.where(length > 0, length, 1.0), 0.0, 1.0) * rise
    # A span of two pixels is as long as 1; what is shorter has one, and no use for a slope.
    slope = rise / np.maximum(length, 0.5)
    span, step = _expanded(number)
    uv = slope.astype(np.float32)[:, span]
    uv *= step.astype(np.float32)
    uv += begin.astype(np.float32)[:, span]
    return (row + first)[span] + step, uv


def _integers(low: Array, high: Array, length: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The integers of [0, length) in intervals (N,): the first, and how many."""
    first = np.ceil(np.clip(low, 0.0, length) - _NEAR).astype(np.intp)
    last = np.floor(np.clip(high, -1.0, length - 1.0) + _NEAR).astype(np.intp)
    return first, np.maximum(last - first + 1, 0)


def _expanded(number: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """``number`` (N,) steps of each of N things, one after the other: which thing, and which step, from 0."""
    thing = np.repeat(np.arange(len(number)), number)
    return thing, np.arange(len(thing)) - (np.cumsum(number) - number)[thing]
