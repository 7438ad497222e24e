"""Drawing of the skull from the side: vault, base, face, lower jaw, teeth, hyoid bone."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Image
from .curves import ellipse, inset, mm, normals, softened, spline, towards, uneven
from .fields import CELL, smooth
from .head import Head
from .solids import ball, bone, cushion, line, rim, rounded, tube
from .teeth import draw_tooth
from .view import Array, View

# Plates seen on edge: name of the curve, width in mm, weight in mm of water.
_BASE_LINES = (
    ("planum", 1.1, 9.0),
    ("fossa", 1.0, 13.0),
    ("dorsum", 1.2, 10.0),
    ("skull base", 1.0, 9.0),
    ("clinoid", 1.2, 8.0),
    ("sphenoid wing", 1.0, 6.0),
    ("fossa floor", 1.4, 8.0),
    ("joint", 1.2, 9.0),
    ("petrous ridge", 1.4, 7.0),
)
_FACE_LINES = (
    ("orbital floor", 1.0, 6.0),
    ("key ridge", 2.0, 7.0),
    ("arch top", 1.0, 3.0),
    ("arch bottom", 1.0, 3.0),
    ("piriform", 1.0, 6.0),
    ("frontal process", 1.2, 5.0),
    ("back of maxilla", 0.9, 6.0),
    ("pterygoid", 1.0, 5.0),
    ("front of maxilla", 1.0, 6.0),
)
_JAW_LINES = (
    ("condyle", 1.2, 7.0),
    ("notch", 1.0, 5.0),
    ("ramus front", 1.2, 5.0),
    ("oblique line", 1.6, 3.0),
    ("canal", 2.6, -2.0),
)
# Of what there are two, right and left, which the beam does not show on top of each other.
_PAIRED = (
    *("clinoid", "sphenoid wing", "joint", "orbital roof"),
    *("orbital floor", "key ridge", "piriform", "frontal process", "back of maxilla", "pterygoid"),
)
_SUTURES = (((10, -92), (16, -70), (22, -48), (27, -24)), ((-88, -54), (-80, -30), (-66, -6), (-60, 4)))


def draw_skull(canvas: Canvas, rng: np.random.Generator, head: Head) -> None:
    """All bones of the head that have borders, and the teeth."""
    _draw_vault(canvas, rng, head)
    _draw_base(canvas, rng, head)
    _draw_ear(canvas, rng, head)
    _draw_face(canvas, head)
    _draw_sinuses(canvas, rng, head)
    _draw_jaw(canvas, head)
    _draw_teeth(canvas, rng, head)
    _draw_hyoid(canvas, rng, head)


def dense_base(rng: np.random.Generator, head: Head, view: View) -> Image:
    """(H, W) the thick bone of the skull base, which has no sharp borders from the side."""
    c, s = head.curves, head.size
    canvas = Canvas(view.coarse(CELL / 2))
    for depth in (0.0, 2.0, 4.0, 7.0):
        canvas.add(inset(uneven(rng, c["petrous"], 1.2), depth), 6.0)
    canvas.add(c["clivus"], 4.0)
    ball(canvas, c["skull base"][0] + mm(4, -3), (10 * s, 6 * s), 10.0, -0.5)
    occiput = c["vault"][-32:]
    line(canvas, occiput, np.interp(np.linspace(0, 1, 32), (0, 0.4, 1), (4, 9, 5)), 8.0)
    return smooth(canvas, 1.6, view)


def _draw_vault(canvas: Canvas, rng: np.random.Generator, head: Head) -> None:
    """A shell some 6 mm thick: rays near its rim run long ways through it."""
    vault, base, s = head.curves["vault"], head.curves["base"], head.size
    middle, radius, shell = mm(-15, -28) * s, 78.0 * s, rng.normal(6.2, 0.7) * s
    loop = np.concatenate([vault, base[1:-1]])
    place = np.arange(len(vault))
    # Outlines shrink towards the middle, but not along the base, which has no such rim.
    moved = np.concatenate([np.minimum(np.minimum(place, place[::-1]) / 14.0, 1.0), np.zeros(len(base) - 2)])
    depths = np.concatenate([np.linspace(0, 8, 16), np.geomspace(8.6, 44, 16)]) * s
    solid = radius**2 - (radius - depths - 0.2) ** 2
    hollow = np.maximum((radius - shell) ** 2 - (radius - depths - 0.2) ** 2, 0.0)
    weights = np.diff(2 * (np.sqrt(solid) - np.sqrt(hollow)) * 0.95, prepend=0.0)
    share = depths / (85.0 * s)
    canvas.add(loop + (middle - loop) * (share[:, None, None] * moved[None, :, None]), weights)
    for up in (0.08, 0.16, 0.24, 0.32, 0.4):  # the sides of the skull thin out towards the base
        canvas.add(np.concatenate([base, (base + (middle - base) * up)[::-1]]), -weights.sum() / 5)
    for depth, weight in ((0.6, 5.0), (shell - 0.3, 6.0)):  # outer and inner table
        line(canvas, (vault + (middle - vault) * (depth / (85.0 * s)))[8:], 0.9, weight)
    for knots in _SUTURES:
        suture = spline(np.array(knots) * s + rng.normal(0, 2.0, (4, 2)), 60)
        line(canvas, suture + rng.normal(0, 0.8, suture.shape), 0.9, -2.5)


def _draw_base(canvas: Canvas, rng: np.random.Generator, head: Head) -> None:
    c = head.curves
    for name, width, weight in _BASE_LINES:
        line(canvas, c[name], width, weight)
    canvas.add(np.concatenate([c["dorsum"][:20], c["fossa"][::-1][:16]]), 5.0)
    line(canvas, c["orbital roof"], 1.0, 6.0)
    for name in _PAIRED:
        line(canvas, c[name] + rng.normal(0, 1.5, 2), 1.2, 4.5)  # the far one


def _draw_ear(canvas: Canvas, rng: np.random.Generator, head: Head) -> None:
    """The mastoid with its cells, and the ear's passage."""
    mastoid, meatus = uneven(rng, head.curves["mastoid"], 1.0), head.curves["meatus"]
    cushion(canvas, mastoid, 5.0, 9.0)
    middle = mastoid.mean(axis=0)
    for _ in range(70):
        place = middle + (mastoid[rng.integers(len(mastoid))] - middle) * np.sqrt(rng.uniform(0, 0.9))
        radius = rng.uniform(0.8, 2.3)
        cell = ellipse(place, (radius, radius * rng.uniform(0.5, 1)), rng.uniform(0, 3), 14)
        canvas.add(np.stack([cell, place + (cell - place) * 0.75]), (2.4, -7.8))  # a thin wall around air
    canvas.add(meatus, -22.0)
    rim(canvas, inset(meatus, -1.4), 1.4, 10.0)


def _draw_face(canvas: Canvas, head: Head) -> None:
    c = head.curves
    bone(canvas, c["palate"], 9.0, 5.0, 1.2)
    canvas.add(c["alveolus"], 8.0)
    for name, width, weight in _FACE_LINES:
        line(canvas, c[name], width, weight)
    for orbit in (c["orbit"], head.far_orbit):
        line(canvas, orbit, 1.5, 8.0)
    cushion(canvas, c["zygoma"], 3.0, 7.0)
    bone(canvas, c["nasal bone"], 5.0, 6.0, 0.8)
    line(canvas, c["suture"], 0.9, -9.0)


def _draw_sinuses(canvas: Canvas, rng: np.random.Generator, head: Head) -> None:
    """Air in the bones of the face, between thin walls."""
    c, s = head.curves, head.size
    sinuses = (
        ("frontal sinus", -18.0, 2.0),
        ("sphenoid sinus", -13.0, 3.0),
        ("ethmoid", -6.0, 4.0),
        ("maxillary sinus", -9.0, 4.0),
    )
    for name, weight, depth in sinuses:
        sinus = uneven(rng, c[name], 0.8)
        cushion(canvas, sinus, depth, weight)
        rim(canvas, inset(sinus, -0.6), 1.1, 3.5)
    cushion(canvas, c["fissure"], 1.5, -9.0, 4)
    cushion(canvas, c["nasal cavity"], 5.0, -9.0)
    middle = c["nasal cavity"].mean(axis=0)
    for down, wide in ((12.0, 17.0), (1.0, 14.0)):
        ball(canvas, middle + mm(0, down * s), (wide * s, 3.6 * s), 6.0, rng.normal(0.05, 0.05))  # turbinates
    _draw_septa(canvas, rng, c["ethmoid"])


def _draw_septa(canvas: Canvas, rng: np.random.Generator, outline: Array) -> None:
    """The thin walls between the ethmoid cells."""
    middle = outline.mean(axis=0)
    for _ in range(16):
        place = middle + (outline[rng.integers(len(outline))] - middle) * rng.uniform(0, 0.9)
        heading, bend = rng.uniform(0, np.pi), rng.normal(0, 0.5)
        aside = place + towards(heading + np.pi / 2, 3 * bend)
        wall = spline([place + towards(heading, -5.0), aside, place + towards(heading + bend, 5.0)], 12)
        line(canvas, wall, 0.8, rng.uniform(1.5, 4.0))


def _draw_jaw(canvas: Canvas, head: Head) -> None:
    """Both halves, and the chin where they meet, which is seen on edge."""
    for jaw in (head.curves, head.far_jaw):
        around = [jaw[name][::-1] for name in ("lower crest", "ramus front", "notch", "condyle")]
        border = jaw["jaw border"]
        canvas.add(np.concatenate([border, jaw["symphysis back"], *around]), 8.0)
        along = np.linspace(0, 1, len(border))
        width = np.interp(along, (0, 0.45, 0.6, 0.9, 1), (1.4, 1.8, 3.0, 3.4, 1.0))
        # The outline is the outer face of the border, the dense wall lies inside of it.
        line(canvas, border - normals(border) * (0.45 * width[:, None]), width, 8.0)
        for name, breadth, weight in _JAW_LINES:
            line(canvas, jaw[name], breadth, weight)
    chin = np.concatenate([head.symphysis, head.curves["symphysis top"][1:-1]])
    bone(canvas, chin, 12.0, 16.0, 3.0)


def _draw_teeth(canvas: Canvas, rng: np.random.Generator, head: Head) -> None:
    """Both sides, the far one a little displaced, but for the foremost incisors, which hide each other."""
    shift = rng.normal(0, (0.9, 0.5))
    filled = rng.random() < 0.4
    for arch in (head.upper, head.lower):
        for i, tooth in enumerate(arch):
            metal = filled and tooth.kind in ("premolar", "molar") and rng.random() < 0.3
            draw_tooth(canvas, tooth, 1.5, 60.0 if metal else 0.0)
            if i:
                draw_tooth(canvas, tooth.moved(shift * min(i / 3, 1.5)), 1.1)


def _draw_hyoid(canvas: Canvas, rng: np.random.Generator, head: Head) -> None:
    s = head.size
    place = head.neck.place(4, [(36.0, 0.0)])[0] + rng.normal(0, 3.0, 2)
    body = np.array([(0, -5), (4, -2), (4, 4), (0, 6), (-2, 1)])
    bone(canvas, softened(body * s + place), 3.0, 6.0, 1.2)
    horn = spline(np.array([(-2, 0), (-12, -2), (-24, -6)]) * s + place, 14)
    tube(canvas, horn, rounded(np.linspace(2.6, 1.8, 14) * s, 14), 0.8, 0.2)
