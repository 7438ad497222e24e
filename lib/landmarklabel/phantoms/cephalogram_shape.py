"""How heads differ from the side: skeletal class, height of the face, teeth.

The bones are a template bent to a patient's own bony landmarks, the skull and the lower jaw each for itself,
so that the jaw may stand before or behind the face. Teeth and soft tissue are built on what that gives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .curves import mm, towards
from .head import Head
from .neck import draw_neck
from .profile import draw_profile
from .skull_template import JAW_CURVES, JAW_POINTS, SKULL_POINTS, template
from .teeth import Tooth
from .view import Array
from .warp import Warp


@dataclass(frozen=True)
class Face:
    """Where the bony landmarks of one patient are, and what else shapes the face; in mm, before scaling.

    Attributes:
        skull, jaw: targets for :data:`SKULL_POINTS` and :data:`JAW_POINTS`.
        upper, lower: the foremost incisors.
        occlusal: slope of the line on which the teeth meet, in radians.
    """

    skull: dict[str, Array]
    jaw: dict[str, Array]
    upper: Tooth
    lower: Tooth
    occlusal: float


def draw_patient(rng: np.random.Generator) -> Head:
    """A patient; skeletal class and facial height vary as in an orthodontic practice."""
    size, tilt = float(rng.normal(1.0, 0.035)), float(np.deg2rad(np.clip(rng.normal(0, 3.0), -7, 7)))
    face = _draw_face(rng, tilt)
    upper, lower = _draw_arches(rng, face)
    curves = _bent(face)
    far_jaw = _far_half(rng, {name: curves[name] for name in JAW_CURVES}, face)
    far_orbit = curves["orbit"] + rng.normal(0, (1.0, 0.8))
    points = face.skull | {"U1": face.upper.edge, "L1": face.lower.edge} | face.jaw
    profile, marks = draw_profile(rng, points, curves["vault"], tilt)
    neck = draw_neck(rng, curves["skull base"][8] * size, size)
    return _scaled(Head(curves, far_jaw, far_orbit, upper, lower, profile, marks, neck, size, tilt))


def _scaled(head: Head) -> Head:
    """The head in its patient's size; the neck has it already."""
    s = head.size
    return replace(
        head,
        curves={name: curve * s for name, curve in head.curves.items()},
        far_jaw={name: curve * s for name, curve in head.far_jaw.items()},
        far_orbit=head.far_orbit * s,
        upper=tuple(tooth.scaled(s) for tooth in head.upper),
        lower=tuple(tooth.scaled(s) for tooth in head.lower),
        profile=head.profile * s,
    )


def _draw_face(rng: np.random.Generator, tilt: float) -> Face:
    tall = float(np.clip(rng.normal(), -2, 2))  # a long face, or a short one
    skull, slope = _draw_skull_points(rng)
    n, a, ans = skull["N"], skull["A"], skull["ANS"]
    anb = np.clip(rng.normal(2.6, 2.6), -4, 8.5)  # class II above some 4 degrees, class III below 0
    sna = np.pi - slope - np.arctan2(a[1] - n[1], a[0] - n[0])
    menton_y = ans[1] + 66 + 4.0 * tall + rng.normal(0, 1.5)
    b_y = ans[1] + 0.69 * (menton_y - ans[1])
    b = n + towards(np.pi - slope - sna + np.deg2rad(anb)) * (b_y - n[1])
    upper, lower = _draw_incisors(rng, a, b, float(anb), tall)
    occlusal = np.deg2rad(rng.normal(5.0, 2.0) + 1.2 * tall)
    skull["Pr"] = upper.at(np.array([(3.2, 10.6)]))[0]
    skull["molar"] = upper.edge + mm(-34, -34 * np.tan(occlusal) - 9.5)
    jaw = _draw_jaw_points(rng, tall, b, menton_y, lower, tilt)
    jaw["crest"] = upper.edge + mm(-29, -29 * np.tan(occlusal) + 5.0)
    return Face(skull, jaw, upper, lower, float(occlusal))


def _draw_incisors(rng: np.random.Generator, a: Array, b: Array, anb: float, tall: float) -> tuple[Tooth, Tooth]:
    """Upper and lower incisor on their bases; the overjet makes up for a part of what the jaws are apart."""
    edge = a + mm(rng.normal(5.4, 1.5), 20.8 + 0.8 * tall + rng.normal(0, 0.8))
    upper = Tooth("incisor", edge, a + mm(rng.normal(-3.0, 0.7), 1.0) - edge)
    overjet = np.clip(rng.normal(2.8, 1.0) + 0.55 * (anb - 2.6), -3.0, 8.0)
    overbite = np.clip(rng.normal(2.4, 1.2) - 0.5 * tall, -1.5, 4.8)
    low_edge = edge - mm(overjet, overbite)
    root = b + mm(rng.normal(-5.0, 0.5), 1.0) - low_edge
    return upper, Tooth("incisor", low_edge, root, (float(np.hypot(*root)) / 23.5, 0.86))


def _draw_skull_points(rng: np.random.Generator) -> tuple[dict[str, Array], float]:
    """Cranium, cranial base and upper jaw; and the slope of S-N in radians."""
    long, high = rng.normal(1.0, 0.035, 2)
    p = {name: np.array(place, dtype=float) for name, place in SKULL_POINTS.items()}
    for name in ("forehead", "vertex", "crown", "occiput", "inion", "opisthion"):
        p[name] = p[name] * (long, high) + rng.normal(0, 1.5, 2)
    slope = np.deg2rad(rng.normal(7.0, 2.0))
    p["N"] = towards(-slope, 71.0 * rng.normal(1.0, 0.03))
    p["glabella"] = p["N"] + mm(rng.normal(6.5, 1.3), -15.4 + rng.normal(0, 1.0))
    p["forehead"][0] += 0.6 * (p["N"][0] - SKULL_POINTS["N"][0])
    p["nasal"] = p["N"] + mm(rng.normal(12.5, 1.6), 22.6 + rng.normal(0, 1.4))
    ans_y = p["N"][1] + 52.6 + rng.normal(0, 2.0)
    a_y = ans_y + 6.5
    direction = np.pi - slope - np.deg2rad(np.clip(rng.normal(81.8, 2.8), 76, 88))
    p["A"] = np.array([p["N"][0] + (a_y - p["N"][1]) / np.tan(direction), a_y])
    p["ANS"] = p["A"] + mm(4.9 + rng.normal(0, 0.8), -6.5)
    p["PNS"] = np.array([p["A"][0] - 49.0 + rng.normal(0, 1.5), ans_y + 1.0 + rng.normal(0, 1.2)])
    for name, spread in (("Or", 1.2), ("Po", 1.3), ("Ba", 1.3)):
        p[name] = p[name] + rng.normal(0, spread, 2)
    p["Or"] = p["Or"] + 0.5 * (p["N"] - SKULL_POINTS["N"])
    p["key"] = p["key"] + 0.5 * (p["A"] - SKULL_POINTS["A"]) + rng.normal(0, 1.0, 2)
    return p, float(slope)


def _draw_jaw_points(
    rng: np.random.Generator, tall: float, b: Array, menton_y: float, lower: Tooth, tilt: float
) -> dict[str, Array]:
    p: dict[str, Array] = {"B": b}
    p["Ar"] = towards(np.deg2rad(115.6 + rng.normal(0, 2.5)), 35.0 * rng.normal(1.0, 0.04))
    ramus = np.deg2rad(rng.normal(83.0, 2.5))
    p["Go"] = p["Ar"] + towards(ramus, 45.3 - 1.8 * tall + rng.normal(0, 2.2))
    p["Co"] = p["Ar"] + mm(5.0, -16.0)
    p["coronoid"] = p["Ar"] + mm(31.0 + rng.normal(0, 1.0), -9.0 + rng.normal(0, 1.5))
    high = menton_y - b[1]
    # However the head is tilted, the chin stands before point B in the image.
    chin = max(rng.normal(2.4, 1.3), 1.3 + 0.62 * high * np.tan(abs(tilt)))
    p["Pog"] = b + mm(chin, 0.62 * high)
    p["Me"] = np.array([p["Pog"][0] - 8.3, menton_y])
    p["lingual"] = p["Pog"] + mm(-14.2 + rng.normal(0, 0.7), -3.0)
    p["Id"], p["tongue"] = lower.at(np.array([(3.1, 10.8), (-3.8, 10.6)]))
    return p


def _bent(face: Face) -> dict[str, Array]:
    """The template's curves as this patient has them."""
    bent: dict[str, Array] = {}
    for usual, own, in_jaw in ((SKULL_POINTS, face.skull, False), (JAW_POINTS, face.jaw, True)):
        warp = Warp([usual[name] for name in own], list(own.values()))
        curves = {name: curve for name, curve in template().items() if (name in JAW_CURVES) == in_jaw}
        borders = np.cumsum([len(curve) for curve in curves.values()])[:-1]
        moved = np.split(warp(np.concatenate(list(curves.values()))), borders)
        bent.update(zip(curves, moved, strict=True))
    return bent


def _far_half(rng: np.random.Generator, jaw: dict[str, Array], face: Face) -> dict[str, Array]:
    """The other half, which the beam shows a little elsewhere, the more so the farther from the midline."""
    shift = rng.normal((-1.6, -1.6), (1.4, 1.4))
    chin, angle = face.jaw["Me"][0] - 4.0, face.jaw["Go"][0]
    return {
        name: curve + np.clip((chin - curve[:, :1]) / (chin - angle), 0.0, 1.0) * shift for name, curve in jaw.items()
    }


# Teeth behind the foremost incisor: kind, and how far behind it in mm, above and below.
_ROW = (
    ("incisor", 2.4, 2.0),
    ("canine", 7.2, 5.6),
    ("premolar", 14.0, 12.2),
    ("premolar", 21.0, 19.2),
    ("molar", 30.0, 28.0),
    ("molar", 40.4, 39.4),
)


def _draw_arches(rng: np.random.Generator, face: Face) -> tuple[tuple[Tooth, ...], tuple[Tooth, ...]]:
    upper = [_behind(rng, face, face.upper, kind, above, -1.0) for kind, above, _ in _ROW]
    lower = [_behind(rng, face, face.lower, kind, below, 1.0) for kind, _, below in _ROW]
    return (face.upper, *upper), (face.lower, *lower)


def _behind(rng: np.random.Generator, face: Face, first: Tooth, kind: str, back: float, rooted: float) -> Tooth:
    """A tooth ``back`` mm behind the first, its root up (-1) or down (1).

    From the slant of the incisors to upright molars, which stand on the occlusal line.
    """
    share = min(back / 18.0, 1.0)
    line = face.upper.edge + mm(-back, -1.2 * share - back * np.tan(face.occlusal) + 0.6 * rooted)
    edge = line * share + (first.edge - mm(back, 0.6 * rooted)) * (1 - share)
    if rooted > 0:
        edge = edge + mm(share * (first.edge[0] - face.upper.edge[0] + 1.5), 0.0)
    root = first.root / np.hypot(*first.root) * (1 - share) + mm(-0.10, rooted) * share
    long = (first.size[0] * 0.93 if kind == "incisor" else 1.0) * rng.normal(1, 0.03)
    return Tooth(kind, edge, root, (float(long), rng.normal(0.98, 0.03)))
