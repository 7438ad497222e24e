"""Solids and shells as stacks of outlines: what a ray goes through, from the rim of a body to its middle.

Weights are in mm of water. A body is cut into bands from its rim inwards, each with the mean length of the
rays through it, and a band is an outline that weighs the difference to the band outside of it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from .canvas import Canvas
from .curves import ellipse, inset, normals, ribbon
from .view import Array

# Borders of the bands of a round body, as shares of its radius; narrow at the rim, where lengths change fast.
BANDS = np.array([1.0, 0.94, 0.82, 0.62, 0.32])
# The same for large bodies: equal steps of the length of the rays through a solid one.
FINE_BANDS = np.sqrt(1 - np.linspace(0.0, 1.0, 25)[:-1] ** 2)
# What bone weighs beyond the water whose place it takes, in mm of water a mm, at 70 to 80 kV.
CORTICAL = 1.9


def round_profile(shell: float, inside: float, bands: Array = BANDS) -> Array:
    """Weights of the bands of a round body of radius 1, its middle 2 for a solid one.

    Args:
        shell: thickness of the dense shell as a share of the radius.
        inside: density of the inside as a share of the shell's.
        bands: (L,) borders of the bands from 1 downwards, as shares of the radius.
    """
    middle = (bands + np.append(bands[1:], 0.0)) / 2
    outer = np.sqrt(1 - middle**2)
    inner = np.sqrt(np.maximum((1 - shell) ** 2 - middle**2, 0.0))
    return np.diff(2 * (outer - (1 - inside) * inner), prepend=0.0)


def tube(
    canvas: Canvas,
    path: Array,
    radius: ArrayLike,
    cortex: float,
    marrow: float = 0.15,
    density: float = CORTICAL,
    fade: Array | None = None,
) -> None:
    """A long bone, a rib or a vessel along a path.

    Args:
        path: (N, 2), its middle line in mm.
        radius: in mm, one or (N,).
        cortex: thickness of the dense wall in mm.
        marrow: density of the inside as a share of the wall's.
        density: of the wall, in mm of water a mm.
        fade: (N,) factors of the density along the path, or None.
    """
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(path))
    mean = float(radii.mean())
    reach = normals(path) * radii[:, None] * BANDS[:, None, None]
    weights = round_profile(min(cortex / mean, 1.0), marrow) * mean * density
    left, right = path - reach, path + reach
    pieces = 1 if fade is None else 8
    borders = np.linspace(0, len(path) - 1, pieces + 1).astype(np.intp)
    for first, last in pairwise(borders):
        part = slice(first, last + 1)
        factor = 1.0 if fade is None else float(fade[part].mean())
        canvas.add(np.concatenate([left[:, part], right[:, part][:, ::-1]], axis=1), weights * factor)


def rounded(radius: ArrayLike, count: int, ends: int = 4) -> Array:
    """(count,) radii of a tube that its last ``ends`` points close like a dome; ``radius`` as in ``tube``."""
    radii = np.array(np.broadcast_to(np.asarray(radius, dtype=np.float64), count))
    left = np.arange(ends)[::-1] / ends
    radii[-ends:] *= np.sqrt(1 - (1 - left) ** 2)
    return radii


def ball(
    canvas: Canvas,
    centre: ArrayLike,
    radii: tuple[float, float],
    weight: float,
    angle: float = 0.0,
    shell: float = 1.0,
    inside: float = 1.0,
) -> None:
    """An ellipsoid; ``weight`` is what its middle would weigh if it were solid."""
    levels = ellipse((0.0, 0.0), radii, angle) * FINE_BANDS[:, None, None]
    weights = round_profile(shell, inside, FINE_BANDS) * weight / 2
    canvas.add(levels + np.asarray(centre, dtype=np.float64), weights)


def oval_trunk(canvas: Canvas, outline: Array, girth: float) -> None:
    """A body with an outline (N, 2) about x = 0 and oval cross-sections, ``girth`` mm deep in the middle."""
    levels = outline * np.stack([FINE_BANDS, np.ones_like(FINE_BANDS)], axis=1)[:, None]
    canvas.add(levels, round_profile(1.0, 1.0, FINE_BANDS) * girth / 2)


def cushion(canvas: Canvas, outline: Array, depth: float, weight: float, levels: int = 8) -> None:
    """A body of any outline (N, 2) that rises to ``weight`` over ``depth`` mm from its edge, fast first."""
    for step in np.linspace(0.0, 1.0, levels, endpoint=False) ** 1.5:
        canvas.add(inset(outline, float(depth * step)), weight / levels)


def line(canvas: Canvas, path: Array, width: ArrayLike, weight: float) -> None:
    """A plate seen on edge: a line of ``width`` mm with soft borders."""
    widths = np.broadcast_to(np.asarray(width, dtype=np.float64), len(path))
    canvas.add(np.stack([ribbon(path, widths * share) for share in (1.3, 0.7)]), weight / 2)


def rim(canvas: Canvas, outline: Array, depth: float, weight: float) -> None:
    """The bright border of a closed bone (N, 2): ``weight`` at the edge, gone ``depth`` mm inwards."""
    canvas.add(outline, weight)
    for share, part in ((0.35, 0.4), (0.65, 0.3), (1.0, 0.3)):
        canvas.add(inset(outline, depth * share), -weight * part)


def bone(canvas: Canvas, outline: Array, weight: float, rim_weight: float, depth: float = 1.5) -> None:
    """A flat or short bone (N, 2): spongy inside that weighs ``weight`` and a bright border."""
    canvas.add(outline, weight)
    rim(canvas, outline, depth, rim_weight)
