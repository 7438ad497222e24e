"""The detector: dense is bright, more photons are less noise, collimation keeps clear of landmarks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from landmarklabel.phantoms import cephalogram, chest, spine
from landmarklabel.phantoms.detector import Exposure, draw_exposure, expose
from landmarklabel.phantoms.view import View

VIEW = View(size=(64, 64), field=(64.0, 64.0))
OPEN = np.array([(-40.0, -40.0), (40.0, -40.0), (40.0, 40.0), (-40.0, 40.0)])
PLAIN = Exposure(
    photons=1e6, scatter=0.0, low=0.001, high=0.001, gamma=1.0, levelling=0.0, shoulder=0.0, base=100.0,
    span=3000.0, shutter=OPEN, outside=0.0,
)  # fmt: skip


def wedge() -> np.ndarray:
    return np.tile(np.linspace(0, 120, 64, dtype=np.float32), (64, 1))


def test_thicker_is_brighter() -> None:
    columns = expose(wedge(), VIEW, PLAIN, np.random.default_rng(0)).mean(axis=0)
    assert (np.diff(columns) > 0).all()
    assert columns[0] < 150 and columns[-1] > 3000


def test_more_photons_are_less_noise() -> None:
    spread = []
    for photons in (1e4, 1e6):
        image = expose(wedge(), VIEW, replace(PLAIN, photons=photons), np.random.default_rng(0))
        spread.append(image[:, 30].std())
    assert spread[0] > 5 * spread[1]


def test_outside_of_the_shutter_there_is_one_value() -> None:
    half = replace(PLAIN, shutter=OPEN * (0.25, 1.0), outside=1.0)
    image = expose(wedge(), VIEW, half, np.random.default_rng(0))
    assert (image[:, :20] == 3100).all()
    assert len(np.unique(image[:, 30])) > 1


@pytest.mark.parametrize("anatomy", [spine, chest, cephalogram])
def test_collimation_keeps_clear_of_the_landmarks(anatomy: object) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        patient = anatomy.draw_patient(rng)  # type: ignore[attr-defined]
        view = anatomy.draw_view(rng, patient, anatomy.SIZE)  # type: ignore[attr-defined]
        shutter = draw_exposure(rng, anatomy.ROOM, view, patient.landmarks).shutter  # type: ignore[attr-defined]
        centre = (np.asarray(view.size) - 1) / 2
        places = (view.pixels(patient.landmarks) - centre) * view.spacing  # mm from the image's centre
        sides = np.roll(shutter, -1, axis=0) - shutter
        gap = places[:, None] - shutter
        assert (sides[:, 0] * gap[..., 1] - sides[:, 1] * gap[..., 0] > 0).all()
