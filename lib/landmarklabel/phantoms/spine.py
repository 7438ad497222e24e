"""Synthetic standing radiographs of the spine from the front: protocol ``spine_68``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .abdomen import draw_bowel_gas, draw_stomach_bubble
from .backbone import FIRST, Backbone, draw_backbone, draw_bends
from .canvas import Canvas, Image
from .curves import ellipse, mm, spline
from .detector import Room
from .fields import CELL, smooth, texture
from .lungs import Chest, air, draw_breath, draw_chest, lung_mask
from .marker import draw_side_marker, image_frame
from .ribs import Cage, draw_cage, draw_ribs
from .solids import ball, bone, cushion, line, oval_trunk, tube
from .vertebra import draw_sacrum, draw_vertebra
from .view import Array, View, fitted, placed

SIZE = (320, 768)
FIELD = (255.0, 612.0)
ROOM = Room(
    photons=(4e4, 3e5),
    scatter=(0.03, 0.1),
    low=(0.03, 0.15),
    high=(0.0005, 0.004),
    gamma=(1.1, 1.8),
    white_shutter=0.15,
)


@dataclass(frozen=True)
class Trunk:
    """One patient.

    Attributes:
        backbone: the spine, in mm from the middle of T1's upper end plate.
        cage: the ribs.
        scale: size against the middle adult's.
        girth: thickness of the belly from front to back, in mm.
        chest: lungs and heart.
        dome: height of the diaphragm in mm.
    """

    backbone: Backbone
    cage: Cage
    scale: float
    girth: float
    chest: Chest
    dome: float

    @cached_property
    def landmarks(self) -> Array:
        """(68, 2) in mm: the corners from T1 to L5."""
        return np.concatenate([vertebra.corners for vertebra in self.backbone.vertebrae[FIRST:]])


def draw_patient(rng: np.random.Generator) -> Trunk:
    """A patient, most of them with a curve."""
    scale = float(np.clip(rng.normal(0.97, 0.06), 0.82, 1.1))
    backbone = draw_backbone(rng, draw_bends(rng), scale)
    cage = draw_cage(rng, backbone, scale * rng.normal(0.97, 0.05), scale)
    breath = draw_breath(rng, backbone, scale, heart=rng.normal(0.97, 0.06))
    chest = draw_chest(rng, backbone, cage, breath)
    return Trunk(backbone, cage, scale, rng.normal(190, 22), chest, breath.dome)


def draw_view(rng: np.random.Generator, patient: Trunk, size: tuple[int, int]) -> View:
    """Where the patient stands before the detector, all corners on it."""
    points = patient.landmarks
    middle = (points.min(axis=0) + points.max(axis=0)) / 2 + rng.normal(0, (9.0, 14.0))
    return fitted(placed(size, FIELD, middle, np.deg2rad(rng.normal(0, 1.5))), points, margin=9.0)


def attenuation(rng: np.random.Generator, patient: Trunk, view: View) -> Image:
    """(H, W) what lies along each ray, in mm of water."""
    soft = _soft_tissue(rng, patient, view)
    bones = Canvas(view)
    _draw_bones(bones, rng, patient)
    grain = texture(rng, view, 1.0, 0.9)
    lead = Canvas(image_frame(view))
    draw_side_marker(lead, rng, 0.4, across=(90, 108), down=(-190, 230))
    return soft + 1.6 * bones.image() * (1 + 0.07 * grain) + lead.image()


def _draw_bones(canvas: Canvas, rng: np.random.Generator, patient: Trunk) -> None:
    draw_ribs(canvas, patient.cage, density=1.9)
    for vertebra in patient.backbone.vertebrae:
        draw_vertebra(canvas, vertebra)
    draw_sacrum(canvas, patient.backbone["L5"])
    _draw_pelvis(canvas, patient)
    _draw_clavicles(canvas, rng, patient)
    _draw_head(canvas, patient)


def _draw_pelvis(canvas: Canvas, patient: Trunk) -> None:
    last = patient.backbone["L5"]
    centre, scale = last.centre, patient.scale
    for side in (-1.0, 1.0):
        wing = [(36, 62), (38, 34), (58, 4), (84, -16), (112, -20), (134, -4), (146, 34), (140, 84)]
        wing += [(124, 150), (110, 240), (60, 240), (62, 150), (50, 100)]
        outline = spline(np.array(wing) * scale * (side, 1.0) + centre, 90, closed=True)
        bone(canvas, outline, 9.0, 6.0, 5.0)
        crest = spline(np.array(wing[1:7]) * scale * (side, 1.0) + centre, 40)
        line(canvas, crest, np.interp(np.linspace(0, 1, 40), (0, 0.3, 0.8, 1), (2, 5, 6, 3)), 7.0)


def _draw_clavicles(canvas: Canvas, rng: np.random.Generator, patient: Trunk) -> None:
    scale = patient.scale
    rise = rng.normal(16, 7)
    low = patient.backbone["T3"].centre[1] + rng.normal(0, 6)
    for side in (-1.0, 1.0):
        up = (-6.0, 2.0, 0.75 * rise, rise, rise - 4.0)
        knots = [(x * scale * side, low - y) for x, y in zip((20, 45, 85, 130, 160), up, strict=True)]
        path = spline(knots, 30)
        tube(canvas, path, np.interp(np.linspace(0, 1, 30), (0, 0.2, 0.6, 1), (10, 6.5, 5.5, 7)), 1.6, 0.12)


def _draw_head(canvas: Canvas, patient: Trunk) -> None:
    """Lower jaw, teeth and skull base above the neck, of a patient who looks ahead."""
    s, y = patient.scale, patient.backbone["C4"].corners[0, 1] - 2 * patient.scale
    jaw = [(-20, 8), (-38, 0), (-49, -22), (-54, -58), (-57, -90), (-70, -130), (-76, -175), (-60, -230)]
    half = np.array(jaw) * s + (0, y)
    skull = spline(np.concatenate([half, half[::-1] * (-1, 1)]), 90, closed=True)
    cushion(canvas, skull, 9.0, 16.0)
    line(canvas, spline(np.concatenate([half[:5][::-1], half[:5] * (-1, 1)]), 60), 4.0, 9.0)
    for row in (-26.0, -36.0):
        for x in np.linspace(-24, 24, 9):
            crown = ellipse((x * s, y + (row - 0.01 * x**2) * s), (2.6 * s, 4.6 * s), count=14)
            canvas.add(crown, 6.0)


def _soft_tissue(rng: np.random.Generator, patient: Trunk, view: View) -> Image:
    cells = view.coarse(CELL)
    body = Canvas(cells)
    _draw_body_outline(body, patient)
    organs = Canvas(cells)
    _draw_organs(organs, rng, patient)
    gas = Canvas(view)
    _draw_gas(gas, rng, patient)
    _draw_windpipe(gas, patient)
    fine = texture(rng, view, 3.0, 4.0) * 1.6 + texture(rng, view, 8.0, 22.0) * 4.0
    soft = smooth(body, 5.0, view) + smooth(organs, 3.0, view) + fine
    return np.maximum(soft + _lungs(rng, patient, view) + gas.image(), 0.0)


def _draw_body_outline(canvas: Canvas, patient: Trunk) -> None:
    """Neck, shoulders, chest, waist and hips: an oval trunk, thickest over the spine."""
    s, spine = patient.scale, patient.backbone
    waist, hips = spine["L3"].centre[1], spine["L5"].corners[2, 1] + 90 * s
    half = [(-200, 62), (-60, 55), (-25, 62), (5, 120), (30, 175), (90, 165), (150, 160)]
    y, x = np.array([*half, (waist, 142), (hips, 178), (hips + 300, 180)]).T
    fine = np.linspace(y[0], y[-1], 120)
    right = np.stack([np.interp(fine, y, x * s), fine], axis=1)
    outline = np.concatenate([right, right[::-1] * (-1, 1)])
    oval_trunk(canvas, outline, patient.girth)
    neck = np.array([(-260, -300), (260, -300), (260, 10), (-260, 10)], dtype=float)
    canvas.add(neck * s, -0.25 * patient.girth)
    chin = spine["C4"].corners[0, 1]
    ball(canvas, (0.0, chin - 85 * s), (82 * s, 100 * s), 45.0)


def _draw_organs(canvas: Canvas, rng: np.random.Generator, patient: Trunk) -> None:
    """Liver, spleen, and the muscles beside the lumbar spine."""
    s, spine = patient.scale, patient.backbone
    dome = patient.dome
    ball(canvas, (-62 * s, dome + 70 * s), (72 * s, 76 * s), 12.0, angle=-0.25)
    ball(canvas, (92 * s, dome + 60 * s), (32 * s, 52 * s), 8.0, angle=0.3)
    for side in (-1.0, 1.0):
        top, bottom = spine["L1"].centre, spine["L5"].centre
        psoas = [top + mm(side * 14, 0), top + mm(side * 30, 30)]
        psoas += [bottom + mm(side * x, y) for x, y in ((58, 0), (72, 70), (20, 70), (10, 0))]
        canvas.add(spline(psoas, 40, closed=True), 8.0)
        kidney = spine["L1"].centre + mm(side * 58, 14 - 6 * side) * s
        ball(canvas, kidney, (24 * s, 52 * s), 6.0, angle=0.22 * side)


def _lungs(rng: np.random.Generator, patient: Trunk, view: View) -> Image:
    """Heart, and less than nothing for the air in lungs and windpipe."""
    heart = Canvas(view.coarse(CELL))
    heart.add(patient.chest.heart, -0.1 * patient.girth)
    amount = rng.uniform(0.5, 0.68) * patient.girth
    return smooth(heart, 9.0, view) - air(view, patient.chest, lung_mask(view, patient.chest), amount)


def _draw_windpipe(canvas: Canvas, patient: Trunk) -> None:
    top, fork = patient.backbone["C5"].centre, patient.backbone["T5"].centre
    path = spline([(0, top[1]), (1, 0), (4, fork[1] * 0.6), (2, fork[1])], 20)
    fade = np.interp(np.linspace(0, 1, 20), (0, 0.25, 0.8, 1), (0.4, 1, 1, 0.5))
    tube(canvas, path, 8.0 * patient.scale, 8.0, 1.0, -0.9, fade)


def _draw_gas(canvas: Canvas, rng: np.random.Generator, patient: Trunk) -> None:
    s = patient.scale
    if rng.random() < 0.8:
        draw_stomach_bubble(canvas, rng, rng.uniform(58, 82) * s, patient.dome + rng.uniform(20, 28) * s, s)
    draw_bowel_gas(canvas, rng, float(patient.backbone["L5"].centre[1]), s)
