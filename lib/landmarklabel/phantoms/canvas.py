"""Projection of weighted outlines onto pixels, with the exact area that each covers of each pixel.

Attenuations along a ray add up, so an anatomy is a sum of outlines, each with its own weight, and all can be
projected in one pass: an outline is cut where it crosses a pixel's border, every piece adds what it covers
to its pixel, and one running sum along the rows fills the inside. The cost grows with the length of the
outlines, not with their area or number, and no edge is jagged.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .view import Array, View

Image = NDArray[np.float32]


class Outlines(NamedTuple):
    """Closed outlines of any lengths.

    Attributes:
        points: (P, 2) in mm, one outline after the other.
        lengths: (N,) how many of the points belong to each outline.
        weights: (N,).
    """

    points: Array
    lengths: NDArray[np.intp]
    weights: Array


class Canvas:
    """Collects outlines in patient millimetres and draws their sum."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._outlines: list[Outlines] = []

    def add(self, outlines: ArrayLike, weights: ArrayLike = 1.0) -> None:
        """Add closed outlines (..., N, 2) in mm, each weighing ``weights``, shape (...) or one for all.

        The direction of an outline does not matter.
        """
        points = np.asarray(outlines, dtype=np.float64)
        length = points.shape[-2]
        number = points.size // (2 * length)
        weight = np.ravel(np.asarray(weights, dtype=np.float64))
        weight = weight if len(weight) == number else np.repeat(weight, number)
        self._outlines.append(Outlines(points.reshape(-1, 2), np.full(number, length), weight))

    def add_outlines(self, outlines: Outlines) -> None:
        """Add outlines of any lengths."""
        self._outlines.append(outlines)

    def outlines(self) -> Outlines:
        """All that was added."""
        return Outlines(*(np.concatenate(parts) for parts in zip(*self._outlines, strict=True)))

    def image(self) -> Image:
        """(H, W), for each pixel the sum of the weights over it, each times its share of the pixel."""
        width, height = self.view.size
        if not self._outlines:
            return np.zeros((height, width), dtype=np.float32)
        points, lengths, weight = self.outlines()
        first = np.cumsum(lengths) - lengths
        # From pixel centres at integers to pixel borders at integers.
        x, y = np.ascontiguousarray((self.view.pixels(points) + 0.5).T)
        after = np.arange(1, len(x) + 1)
        after[first + lengths - 1] = first
        edges = Edges(x, y, x[after], y[after], np.empty(0))
        area = np.add.reduceat(edges.x0 * edges.y1 - edges.x1 * edges.y0, first)
        weights = np.repeat(weight * np.sign(area), lengths)
        return _cover(edges._replace(weight=weights), width, height)


class Edges(NamedTuple):
    """Straight pieces of outlines, (N,) each: from (x0, y0) to (x1, y1) in pixels, and their weights."""

    x0: Array
    y0: Array
    x1: Array
    y1: Array
    weight: Array

    def only(self, keep: NDArray[np.bool_]) -> Edges:
        """Those where ``keep`` (N,) is true."""
        return Edges(*(values[keep] for values in self))


def _cover(edges: Edges, width: int, height: int) -> Image:
    high, low = np.minimum(edges.y0, edges.y1), np.maximum(edges.y0, edges.y1)
    near = (low > 0) & (high < height) & (low > high) & (np.minimum(edges.x0, edges.x1) < width)
    rows = _within(_cut(edges.only(near)), height)
    # The same across: x takes the place of y.
    y0, x0, y1, x1, weight = _cut(Edges(rows.y0, rows.x0, rows.y1, rows.x1, rows.weight))
    middle = (x0 + x1) / 2
    column = np.floor(middle)
    inside = column < width
    covered = ((y0 - y1) * weight)[inside]
    row, column, middle = np.floor((y0 + y1) / 2)[inside], column[inside], middle[inside]
    share = covered * np.where(column < 0, 0.0, middle - column)  # of the pixel, left of the piece
    cell = (row * (width + 1) + np.maximum(column, 0)).astype(np.intp)
    cells, parts = np.concatenate([cell, cell + 1]), np.concatenate([covered - share, share])
    total = np.bincount(cells, parts, minlength=height * (width + 1) + 1)
    return np.cumsum(total[:-1].reshape(height, width + 1)[:, :width], axis=1).astype(np.float32)


def _within(rows: Edges, height: int) -> Edges:
    """Pieces of single rows without those above and below the image; those left of it moved to its border."""
    middle = rows.y0 + rows.y1
    rows = rows.only((middle > 0) & (middle < 2 * height))
    left = (rows.x0 <= 0) & (rows.x1 <= 0)
    rows.x0[left] = rows.x1[left] = 0.0
    return rows


def _cut(edges: Edges) -> Edges:
    """Edges cut where they cross a whole y."""
    x0, y0, x1, y1, weight = edges
    rows = np.ceil(np.maximum(y0, y1)) - np.floor(np.minimum(y0, y1))
    parts = np.maximum(rows.astype(np.intp), 1)
    last = np.cumsum(parts) - 1
    first = last - parts + 1
    # Where the parts begin: the first at the edge's start, the others one whole y after the other.
    step = np.where(y1 > y0, 1.0, -1.0)
    origin = np.where(y1 > y0, np.floor(y0), np.ceil(y0)) - step * first
    slope = (x1 - x0) / np.where(y1 == y0, 1.0, y1 - y0)
    place: Array = np.arange(int(parts.sum()), dtype=np.float64)
    begin_y: Array = np.repeat(origin, parts) + np.repeat(step, parts) * place
    begin_x: Array = np.repeat(x0 - slope * y0, parts) + np.repeat(slope, parts) * begin_y
    begin_y[first], begin_x[first] = y0, x0
    end_y, end_x = np.roll(begin_y, -1), np.roll(begin_x, -1)
    end_y[last], end_x[last] = y1, x1
    return Edges(begin_x, begin_y, end_x, end_y, np.repeat(weight, parts))
