"""The chest: contours on what is drawn, from their start and in their direction, hearts of all sizes."""

from __future__ import annotations

import numpy as np
import pytest

from landmarklabel.phantoms.canvas import Canvas
from landmarklabel.phantoms.chest import draw_view
from landmarklabel.phantoms.chest_shape import COUNTS, Torso, draw_patient
from landmarklabel.phantoms.lungs import lung_mask
from landmarklabel.phantoms.solids import tube
from landmarklabel.phantoms.view import View


@pytest.fixture(scope="module")
def patients() -> list[Torso]:
    return [draw_patient(np.random.default_rng(seed)) for seed in range(40)]


def contours(torso: Torso) -> list[np.ndarray]:
    return np.split(torso.landmarks, np.cumsum(COUNTS)[:-1])


def values(view: View, image: np.ndarray, points: np.ndarray) -> np.ndarray:
    x, y = np.rint(view.pixels(points)).astype(int).T
    return image[y, x]


def test_there_are_as_many_points_as_the_protocol_has(patients: list[Torso]) -> None:
    assert patients[0].landmarks.shape == (166, 2)


def test_lung_contours_run_along_the_border_of_the_drawn_lungs(patients: list[Torso]) -> None:
    for seed, torso in enumerate(patients[:6]):
        view = draw_view(np.random.default_rng(seed), torso, (1024, 1024))
        mask = lung_mask(view, torso.chest)
        for contour in contours(torso)[:2]:
            border = values(view, mask, contour)
            assert ((border > 0) & (border < 1)).mean() > 0.9  # a pixel that is lung by a part
            middle = contour.mean(axis=0)
            out = contour + (contour - middle) * 0.04
            assert values(view, mask, out).mean() < 0.1


def test_clavicle_contours_run_along_the_border_of_the_drawn_clavicles(patients: list[Torso]) -> None:
    torso = patients[0]
    view = draw_view(np.random.default_rng(0), torso, (1024, 1024))
    for clavicle, contour in zip(torso.clavicles, contours(torso)[3:], strict=True):
        canvas = Canvas(view)
        tube(canvas, clavicle.path, clavicle.radius, 1.5)
        image = canvas.image()
        middle = contour.mean(axis=0)
        for share, low, high in ((0.0, -1e-3, 3.0), (1.0, 0.0, 20.0)):
            # Beyond the outline there is nothing; on it there is some bone in most places.
            points = middle + (contour - middle) * (1.08 if share == 0 else 0.995)
            found = np.median(values(view, image, points))
            assert low <= found <= high
        assert np.median(values(view, image, middle + (contour - middle) * 0.97)) > 0.5


def test_lungs_begin_at_the_apex_and_go_down_the_mediastinum(patients: list[Torso]) -> None:
    for torso in patients:
        right, left = contours(torso)[:2]
        for lung, side in ((right, -1), (left, 1)):
            assert np.argmin(lung[:, 1]) in (0, 1, len(lung) - 1)
            wall = lung[len(lung) * 3 // 4 :]
            mediastinum = lung[3 : len(lung) // 4]
            assert (side * (wall.mean(axis=0) - mediastinum.mean(axis=0)))[0] > 20


def test_points_are_evenly_spaced_along_the_outlines(patients: list[Torso]) -> None:
    for contour in contours(patients[0]):
        steps = np.hypot(*(np.roll(contour, -1, axis=0) - contour).T)
        assert np.median(np.abs(steps - np.median(steps))) < 0.05 * np.median(steps)


def test_heart_and_lungs_share_a_border(patients: list[Torso]) -> None:
    for torso in patients:
        heart = torso.chest.heart
        for lung in (torso.chest.right, torso.chest.left):
            gap = np.hypot(*(heart[:, None] - lung[None]).transpose(2, 0, 1)).min(axis=1)
            assert (gap < 1e-9).sum() > 10


def test_clavicles_begin_at_the_sternum_and_run_outwards_above(patients: list[Torso]) -> None:
    for torso in patients:
        for contour, side in zip(contours(torso)[3:], (-1, 1), strict=True):
            assert np.argmin(side * contour[:, 0]) in (0, 1, len(contour) - 1)
            assert contour[4:9, 1].mean() < contour[-9:-4, 1].mean()


def test_some_hearts_are_enlarged(patients: list[Torso]) -> None:
    ratios = []
    for torso in patients:
        right, left, heart = contours(torso)[:3]
        ratios.append(np.ptp(heart[:, 0]) / (left[:, 0].max() - right[:, 0].min()))
    assert min(ratios) < 0.5
    assert max(ratios) > 0.55
    assert all(0.3 < ratio < 0.75 for ratio in ratios)
