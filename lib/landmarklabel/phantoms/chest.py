"""Synthetic posteroanterior chest radiographs: protocol ``chest_166``."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .abdomen import draw_stomach_bubble
from .canvas import Canvas, Image
from .chest_shape import Torso, draw_patient
from .curves import mm, spline, towards
from .detector import Room
from .fields import CELL, smooth, texture
from .lungs import air, lung_mask
from .marker import draw_side_marker, image_frame
from .ribs import draw_ribs
from .solids import ball, bone, line, oval_trunk, rounded, tube
from .vertebra import draw_vertebra
from .vessels import draw_tree
from .view import Array, View, fitted, placed

__all__ = ["FIELD", "ROOM", "SIZE", "attenuation", "draw_patient", "draw_view"]

SIZE = (512, 512)
FIELD = (358.0, 358.0)
ROOM = Room(
    photons=(3e4, 2e5),
    scatter=(0.03, 0.1),
    low=(0.005, 0.03),
    high=(0.0005, 0.004),
    gamma=(1.0, 1.5),
    levelling=(0.3, 0.5),
    shoulder=(0.1, 0.5),
    white_shutter=0.1,
)


def draw_view(rng: np.random.Generator, patient: Torso, size: tuple[int, int]) -> View:
    """Where the patient stands before the detector, all outlines on it."""
    points = patient.landmarks
    middle = (points.min(axis=0) + points.max(axis=0)) / 2 + rng.normal(0, 8.0, 2)
    return fitted(placed(size, FIELD, middle, np.deg2rad(rng.normal(0, 1.8))), points, margin=6.0)


def attenuation(rng: np.random.Generator, patient: Torso, view: View) -> Image:
    """(H, W) what lies along each ray, in mm of water."""
    bones = Canvas(view)
    _draw_bones(bones, patient)
    lungs = _lungs(rng, patient, view)
    body = _soft_tissue(rng, patient, view)
    grain = texture(rng, view, 1.0, 0.9)
    lead = Canvas(image_frame(view))
    draw_side_marker(lead, rng, 0.6, across=(138, 160), down=(-158, -120))
    return np.maximum(body + lungs, 4.0) + bones.image() * (1 + 0.06 * grain) + lead.image()


def _draw_bones(canvas: Canvas, patient: Torso) -> None:
    draw_ribs(canvas, patient.cage, density=2.3)
    for vertebra in patient.backbone.vertebrae:
        if vertebra.level[0] != "L" or vertebra.level in ("L1", "L2"):
            draw_vertebra(canvas, vertebra, 0.7)
    for clavicle in patient.clavicles:
        tube(canvas, clavicle.path, clavicle.radius, 1.5, 0.16)
    for side in (-1.0, 1.0):
        _draw_shoulder(canvas, patient, side)


def _draw_shoulder(canvas: Canvas, patient: Torso, side: float) -> None:
    """Shoulder blade and head of the upper arm, both rolled forward, out of the way of the lungs."""
    s, outer = patient.scale, patient.clavicles[0 if side < 0 else 1].path[-1]
    origin = np.array([outer[0] - side * 150 * s, outer[1] - 22 * s])

    def place(points: ArrayLike) -> Array:
        return np.asarray(points, dtype=np.float64) * s * (side, 1.0) + origin

    blade = [(112, 30), (126, 24), (146, 38), (158, 52), (160, 72), (154, 84), (152, 112), (150, 150)]
    blade += [(144, 170), (136, 166), (126, 130), (116, 80)]
    bone(canvas, spline(place(blade), 80, closed=True), 3.0, 4.0, 3.0)
    line(canvas, spline(place([(154, 84), (153, 112), (151, 150), (145, 168)]), 24), 4.0, 7.0)
    line(canvas, spline(place([(112, 32), (116, 80), (126, 130), (137, 166)]), 30), 1.8, 4.0)
    ridge = spline(place([(116, 52), (136, 44), (156, 30), (170, 20)]), 20)
    tube(canvas, ridge, rounded(np.linspace(3, 8, 20), 20), 0.8, 0.15, 1.2)
    coracoid = spline(place([(150, 50), (146, 40), (138, 42)]), 12)
    tube(canvas, coracoid, rounded(5.5, 12), 1.0, 0.2, 1.2)
    arm = place([(178, 56)])[0]
    ball(canvas, arm, (25 * s, 25 * s), 24.0, shell=0.06, inside=0.4)
    shaft = spline(np.array([(side * 5, 8), (side * 14, 40), (side * 46, 330)]) * s + arm, 16)
    tube(canvas, shaft, np.linspace(18, 12, 16) * s, 3.0, 0.15, 0.8)


def _soft_tissue(rng: np.random.Generator, patient: Torso, view: View) -> Image:
    cells = view.coarse(CELL)
    body = Canvas(cells)
    _draw_body(body, patient)
    if patient.female:
        _draw_breasts(body, rng, patient)
    fine = texture(rng, view, 3.0, 3.5) * 1.2 + texture(rng, view, 8.0, 22.0) * 3.5
    gas = Canvas(view)
    _draw_windpipe(gas, patient)
    if rng.random() < 0.75:
        top = patient.breath.dome + patient.breath.drop + rng.uniform(8, 13) * patient.scale
        draw_stomach_bubble(gas, rng, rng.uniform(68, 88) * patient.scale, top, patient.scale)
    return smooth(body, 4.0, view) + fine + gas.image()


def _draw_body(canvas: Canvas, patient: Torso) -> None:
    """Neck, shoulders and trunk, an oval that is thickest in the middle; the arms leave the field."""
    s, flesh = patient.scale, (patient.girth - 215 * patient.scale) * 0.25
    half = [(-200, 60), (-60, 56), (-25, 62), (-4, 88), (14, 135), (30, 190), (60, 215), (110, 190)]
    half += [(140, 163), (180, 158), (230, 156), (300, 158), (400, 162)]
    y = np.linspace(-200, 400, 140)
    x = np.interp(y, *np.array(half, dtype=np.float64).T) + np.where(y > 90, flesh, 0.3 * flesh)
    right = np.stack([x, y], axis=1) * s
    outline = np.concatenate([right, right[::-1] * (-1, 1)])
    oval_trunk(canvas, outline, patient.girth)
    # Neck and shoulders are thinner than the chest.
    for low, part in ((-10.0, 0.12), (15.0, 0.10), (40.0, 0.08), (70.0, 0.06)):
        above = np.array([(-300, -300), (300, -300), (300, low), (-300, low)]) * s
        canvas.add(above, -part * patient.girth)
    for side in (-1.0, 1.0):
        arm = np.array([(160, 28), (190, 34), (240, 70), (262, 300), (222, 300), (200, 200), (176, 128)])
        canvas.add(arm * s * (side, 1.0), 30.0)


def _draw_breasts(canvas: Canvas, rng: np.random.Generator, patient: Torso) -> None:
    s, size, low = patient.scale, rng.normal(1.0, 0.14), rng.normal(200, 14)
    for side in (-1.0, 1.0):
        centre = np.array([side * rng.normal(84, 4), low - 52 * size + rng.normal(0, 5)]) * s
        ball(canvas, centre, (62 * size * s, 60 * size * s), 42.0 * size, angle=0.35 * side)


def _draw_windpipe(canvas: Canvas, patient: Torso) -> None:
    spine, s = patient.backbone, patient.scale
    top, fork = spine["C5"].centre[1], spine["T5"].centre[1] + 3
    lean = float(spine.middle(fork)) * 0.3 - 2
    stem = spline([(0.3 * lean, top), (0.5 * lean, 0.4 * fork), (lean, fork)], 24)
    width = np.interp(np.linspace(0, 1, 24), (0, 0.2, 0.3, 1), (3, 5, 8.2, 8.5))
    fade = np.interp(np.linspace(0, 1, 24), (0, 0.75, 1), (1.0, 1.0, 0.3))
    tube(canvas, stem, width * s, 9.0, 1.0, -1.1, fade)
    right = spline(np.array([(-3, -4), (-14, 16), (-28, 30)]) * s + (lean, fork), 12)
    left = spline(np.array([(3, -4), (20, 12), (42, 22)]) * s + (lean, fork), 12)
    tube(canvas, right, np.linspace(7, 5.5, 12) * s, 9.0, 1.0, -0.8)
    tube(canvas, left, np.linspace(6.5, 5, 12) * s, 9.0, 1.0, -0.8)


def _lungs(rng: np.random.Generator, patient: Torso, view: View) -> Image:
    """Less than nothing: the air in the lungs, and what takes its place."""
    mask = lung_mask(view, patient.chest)
    veil = Canvas(view.coarse(CELL))
    veil.add(patient.chest.heart, -0.07 * patient.girth)
    inside = Canvas(view)
    _draw_vessels(inside, rng, patient)
    _draw_findings(inside, rng, patient)
    mottle = texture(rng, view, 2.0, 2.0) * 1.3
    content = (inside.image() + mottle) * mask
    return content + smooth(veil, 10.0, view) - air(view, patient.chest, mask, 0.57 * patient.girth)


def _draw_vessels(canvas: Canvas, rng: np.random.Generator, patient: Torso) -> None:
    spine, s = patient.backbone, patient.scale
    strong = rng.normal(1.0, 0.12)
    for side, level, out in ((-1.0, "T7", 30.0), (1.0, "T6", 34.0)):
        root = spine[level].centre * (0.4, 1.0) + mm(side * out * s, 0)
        angles = np.deg2rad([-82, -66, -48, -30, -12, 6, 22, 36, 50, 62, 74, 86])
        headings = angles if side > 0 else np.pi - angles
        draw_tree(canvas, rng, root, headings, s * strong, 1.7)
        trunk = spline(np.array([(0, -8), (side * 5, 14), (side * 12, 42)]) * s + root, 14)
        radius = rounded(np.linspace(8.0, 4.0, 14) * s * strong, 14)
        tube(canvas, trunk, radius, 9.0, 1.0, 1.2, np.linspace(1.2, 0.5, 14))
        ball(canvas, root + mm(side * 2, -4) * s, (10 * s, 8 * s), 11.0)


def _draw_findings(canvas: Canvas, rng: np.random.Generator, patient: Torso) -> None:
    """In some patients a nodule, or a patch of pneumonia."""
    lungs = (patient.chest.right, patient.chest.left)
    if rng.random() < 0.2:
        place = _inside(rng, lungs[rng.integers(2)])
        radius = rng.uniform(4, 14)
        ball(canvas, place, (radius, radius * rng.uniform(0.8, 1.0)), radius * 1.6, rng.uniform(0, 3))
    if rng.random() < 0.15:
        middle = _inside(rng, lungs[rng.integers(2)])
        for _ in range(40):
            place = middle + rng.normal(0, 16, 2)
            size = rng.uniform(6, 16)
            ball(canvas, place, (size, size * rng.uniform(0.6, 1)), rng.uniform(2, 5), rng.uniform(0, 3))


def _inside(rng: np.random.Generator, outline: Array) -> Array:
    """(2,) a place well within a lung."""
    middle = outline.mean(axis=0)
    border = outline[rng.integers(len(outline))]
    return np.asarray(middle + (border - middle) * rng.uniform(0, 0.7) + towards(rng.uniform(0, 6.28), 2.0))
