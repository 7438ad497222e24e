"""Synthetic lateral cephalograms: protocol ``cephalometric_19``."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Image
from .cephalogram_shape import draw_patient
from .cephalostat import draw_ear_rods, draw_nasion_rest
from .curves import spline
from .detector import Room
from .fields import CELL, smooth, texture
from .head import Head
from .marker import image_frame
from .neck import draw_neck_bones
from .profile import SCALP, scalp
from .skull import dense_base, draw_skull
from .skull_template import PNS
from .solids import ball, cushion
from .view import Array, View, fitted, placed

__all__ = ["FIELD", "ROOM", "SIZE", "attenuation", "draw_patient", "draw_view"]

SIZE = (512, 608)
FIELD = (208.0, 247.0)
ROOM = Room(
    photons=(5e4, 5e5),
    scatter=(0.02, 0.08),
    low=(0.002, 0.02),
    high=(0.001, 0.01),
    gamma=(0.9, 1.5),
    levelling=(0.2, 0.45),
    shoulder=(0.0, 0.5),
    white_shutter=0.4,
)


def draw_view(rng: np.random.Generator, patient: Head, size: tuple[int, int]) -> View:
    """Where the patient sits in the cephalostat, all landmarks on the image."""
    middle = np.array([5.0, 12.0]) * patient.size + rng.normal(0, 4.0, 2)
    view = placed(size, FIELD, middle, patient.tilt)
    # The nose and the top of the skull are on it too, where they fit.
    seen = np.concatenate([patient.profile[60:110], patient.curves["vault"][45:70]])
    return fitted(fitted(view, seen, margin=4.0), patient.landmarks, margin=5.0)


def attenuation(rng: np.random.Generator, patient: Head, view: View) -> Image:
    """(H, W) what lies along each ray, in mm of water."""
    bones, air, device = Canvas(view), Canvas(view), Canvas(image_frame(view))
    draw_skull(bones, rng, patient)
    draw_neck_bones(bones, patient.neck)
    _draw_throat(air, patient)
    if rng.random() < 0.5:
        draw_ear_rods(bones, rng, patient)
    if rng.random() < 0.55:
        draw_nasion_rest(device, rng, patient, view)
    fine, coarse = texture(rng, view, 0.7, 0.6), texture(rng, view, 3.0, 4.0)
    bony = (1.25 * bones.image() + dense_base(rng, patient, view)) * (1 + 0.07 * fine + 0.045 * coarse)
    return np.maximum(_soft_tissue(patient, view) + air.image() + bony + device.image(), 0.0)


def outline(patient: Head) -> Array:
    """(N, 2) of the whole head and neck, in mm."""
    s, front = patient.size, patient.profile
    skin = scalp(patient.curves["vault"], SCALP * s)
    nape = np.array([(-88, 54), (-80, 80), (-82, 110), (-100, 160), (-110, 260)]) * s
    back = spline(np.concatenate([skin[-1:], nape]), 40)
    over = skin[(skin[:, 1] < front[0, 1] - 2) | (skin[:, 0] < 0)]
    return np.concatenate([front[::-1], over, back[1:]])


def _soft_tissue(patient: Head, view: View) -> Image:
    """About as deep as the deepest of braincase, face and neck; never less than skin over the midline."""
    s, cells = patient.size, view.coarse(CELL)
    brain, face, neck = Canvas(cells), Canvas(cells), Canvas(cells)
    ball(brain, (-15 * s, -28 * s), (98 * s, 84 * s), 108.0)
    ball(face, (24 * s, 46 * s), (72 * s, 78 * s), 72.0)
    neck.add(np.array([(-84, 30), (14, 30), (14, 300), (-90, 300)]) * s, 62.0)
    deep = np.sqrt(sum(smooth(part, 8.0, view) ** 2 for part in (brain, face, neck)))
    skin = Canvas(view)
    skin.add(outline(patient))
    return np.asarray(skin.image() * (18.0 + deep))


def _draw_throat(canvas: Canvas, patient: Head) -> None:
    """The throat, from the skull base down; its front is the soft palate and the tongue."""
    c, s = patient.curves, patient.size
    pns = c["palate"][PNS]
    flesh = (19.0, 14.0, 12.5, 14.0, 17.0)  # from the middle of C1 to C5 to the throat's back wall, in mm
    wall = [patient.neck.place(i + 1, [(out, 0.0)])[0] for i, out in enumerate(flesh)]
    ahead = np.array([(17, 60), (16, 0), (15, 0), (10, 0), (9, 0)]) * s
    front = [wall[i] + offset for i, offset in zip((4, 4, 3, 2, 1), ahead, strict=True)]
    palate = np.array([(-7, 15), (1, -4), (0, -13)]) * s + pns
    top = c["skull base"][26] + np.array([2, 3]) * s
    bottom = wall[4] + np.array([-2, 60]) * s
    throat = spline(np.array([top, *wall, bottom, *front, *palate]), 110, closed=True)
    cushion(canvas, throat, 5.0, -26.0, 10)
