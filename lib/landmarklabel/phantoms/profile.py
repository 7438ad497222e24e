"""The soft tissue profile: forehead, nose, lips and chin over a patient's bones and teeth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .curves import inset, mm, spline
from .view import Array

SCALP = 6.0  # mm
_UPPER, _LIP, _LOWER = 110, 50, 120  # points of the three strokes


def scalp(vault: Array, depth: float) -> Array:
    """(N, 2) the skin over a skull's vault, from the forehead to the nape; ``depth`` in mm."""
    closed = np.concatenate([vault, vault[-1:] + mm(60, 10)])
    return inset(closed, -depth)[10:118]


def draw_profile(
    rng: np.random.Generator, points: Mapping[str, Array], vault: Array, tilt: float
) -> tuple[Array, dict[str, int]]:
    """The profile from the forehead down to the neck, and where its parts begin.

    Args:
        points: bony landmarks and the edges of the incisors, (2,) in mm each.
        vault: (N, 2), the outline of the skull.
        tilt: of the head in the image, in radians.

    Returns:
        (N, 2) in mm; the indices of subnasale (Sn), of the dip below it (lip), of where the lips meet
        (stomion), of the fold under the lower lip (fold), and of the lower end of the chin (chin).
    """
    thick = rng.normal(1.0, 0.1)
    nose = _nose(rng, points, vault, thick)
    lip = _upper_lip(rng, points, nose[-1], thick, tilt)
    rest, fold, chin_end = _lower_face(rng, points, lip[-1], thick, tilt)
    outline = np.concatenate([spline(nose, _UPPER), spline(lip, _LIP)[1:], spline(rest, _LOWER)[1:]])
    sn, stomion = _UPPER - 1, _UPPER + _LIP - 2
    dip = _nearest(outline, lip[1])
    marks = {"Sn": sn, "lip": dip, "stomion": stomion}
    return outline, marks | {"fold": _nearest(outline, fold), "chin": _nearest(outline, chin_end)}


def _nearest(outline: Array, point: Array) -> int:
    return int(np.argmin(np.hypot(*(outline - point).T)))


def _nose(rng: np.random.Generator, p: Mapping[str, Array], vault: Array, thick: float) -> Array:
    """Knots from the forehead over the nose to subnasale."""
    out, tip = rng.normal(29.5, 2.6), rng.normal(-9.0, 2.0)
    skin = scalp(vault, SCALP)[:30]
    brow = skin[np.argmin(np.abs(skin[:, 1] - p["forehead"][1] - 4))]
    bridge = p["nasal"] + mm(3.2, -1.5)
    knots = [brow, p["glabella"] + mm(5.0, -11), p["glabella"] + mm(5.8, 1), p["N"] + mm(7.6, 1.5)]
    knots += [(p["N"] + bridge) / 2 + mm(4.4, 1.0), bridge]
    under = [(out - 3.0, tip - 6.5), (out, tip), (out - 2.2, tip + 5.0), (out - 8.5, tip + 8.5)]
    under += [(13.3 * thick, 4.0)]
    return np.array(knots + [p["ANS"] + mm(x, y) for x, y in under])


def _upper_lip(rng: np.random.Generator, p: Mapping[str, Array], sn: Array, thick: float, tilt: float) -> Array:
    """Knots from subnasale to where the lips meet."""
    edge, dip = p["U1"], p["A"] + mm(16.2 * thick, 4.5)
    # The lip stands before the dip above it, however the head is tilted.
    least = dip[0] + 1.6 + (edge[1] - 8.2 - dip[1]) * np.tan(abs(tilt))
    x = max(edge[0] + rng.normal(14.0, 1.6), least)
    stomion = edge + mm(7.5, -rng.normal(1.5, 0.8))
    return np.array([sn, dip, (x, edge[1] - 8.2), (x - 2.8, edge[1] - 3.6), stomion])


def _lower_face(
    rng: np.random.Generator, p: Mapping[str, Array], stomion: Array, thick: float, tilt: float
) -> tuple[Array, Array, Array]:
    """Knots from where the lips meet down to the neck; the fold over the chin; the chin's lower end."""
    fold, chin, me = p["B"] + mm(14.0 * thick, -2.5), p["Pog"] + mm(11.8 * thick, 0.5), p["Me"]
    # The chin stands before the fold, as the lip before its dip.
    fold[0] = min(fold[0], chin[0] - 1.2 - (chin[1] - fold[1]) * np.tan(abs(tilt)))
    x, y = max(p["L1"][0] + 15.0, fold[0] + 4.5), stomion[1]
    lip = [stomion, (x - 2.0, y + 3.2), (x, y + 7.2), (x - 3.0, y + 12.0)]
    throat = rng.normal(12.0, 3.0)
    chin_end = me + mm(10.5, 5.0)
    below = [me + mm(-1, 8.5), me + mm(-22, throat - 2), me + mm(-36, throat + 9), me + mm(-44, throat + 30)]
    return np.array([*lip, fold, chin, chin_end, *below, me + mm(-47, 120)]), fold, chin_end
