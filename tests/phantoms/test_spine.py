"""The spine: corners on drawn bodies, curves of all degrees."""

from __future__ import annotations

import numpy as np
import pytest

from landmarklabel.phantoms.backbone import Bend, Vertebra, draw_backbone
from landmarklabel.phantoms.canvas import Canvas
from landmarklabel.phantoms.spine import Trunk, draw_patient
from landmarklabel.phantoms.vertebra import draw_vertebra
from landmarklabel.phantoms.view import View


@pytest.fixture(scope="module")
def patients() -> list[Trunk]:
    return [draw_patient(np.random.default_rng(seed)) for seed in range(60)]


def alone(vertebra: Vertebra) -> tuple[View, np.ndarray]:
    """One vertebra alone, 0.1 mm a pixel, without noise."""
    x, y = vertebra.centre
    view = View(size=(1000, 800), field=(100.0, 80.0), origin=(float(x), float(y)))
    canvas = Canvas(view)
    draw_vertebra(canvas, vertebra)
    return view, canvas.image()


@pytest.mark.parametrize("seed", range(4))
def test_corners_lie_where_the_drawn_body_ends(seed: int) -> None:
    spine = draw_patient(np.random.default_rng(seed)).backbone
    for vertebra in spine.vertebrae[4::4]:
        view, image = alone(vertebra)
        # A little inside of each corner there is bone, a little outside there is less.
        for corner, (u, v) in zip(vertebra.corners, ((-1, 0), (1, 0), (-1, 1), (1, 1)), strict=True):
            du, dv = 2 * 0.9 / vertebra.width, 0.9 / vertebra.height  # 0.9 mm
            inwards = vertebra.at((u * (1 - du), v + dv if v == 0 else v - dv))
            outwards = vertebra.at((u * (1 + du), v - dv if v == 0 else v + dv))
            inside, outside = (image[tuple(np.rint(view.pixels(p)[::-1]).astype(int))] for p in (inwards, outwards))
            assert inside > outside + 5.0, (vertebra.level, corner)


def test_the_body_is_drawn_through_its_corners() -> None:
    spine = draw_patient(np.random.default_rng(0)).backbone
    for vertebra in spine.vertebrae[4:]:
        canvas = Canvas(View((1, 1), (1.0, 1.0)))
        draw_vertebra(canvas, vertebra)
        points = canvas.outlines().points
        for corner in vertebra.corners:
            assert np.hypot(*(points - corner).T).min() < 1e-9


def test_landmarks_are_the_corners_from_t1_to_l5(patients: list[Trunk]) -> None:
    trunk = patients[0]
    assert trunk.landmarks.shape == (68, 2)
    assert np.array_equal(trunk.landmarks[:4], trunk.backbone["T1"].corners)
    assert np.array_equal(trunk.landmarks[-4:], trunk.backbone["L5"].corners)


def cobb(trunk: Trunk) -> float:
    """The largest angle between two end plates, in degrees."""
    points = trunk.landmarks.reshape(17, 2, 2, 2)
    across = points[:, :, 1] - points[:, :, 0]
    tilt = np.rad2deg(np.arctan2(across[..., 1], across[..., 0]))
    return float(tilt.max() - tilt.min())


def test_curves_range_from_none_to_severe(patients: list[Trunk]) -> None:
    angles = np.array([cobb(trunk) for trunk in patients])
    assert angles.min() < 15
    assert angles.max() > 50
    assert angles.std() > 10


def test_discs_stay_open_and_bodies_grow(patients: list[Trunk]) -> None:
    for trunk in patients:
        points = trunk.landmarks.reshape(17, 4, 2)
        gaps = np.hypot(*(points[1:, :2] - points[:-1, 2:]).reshape(-1, 2).T)
        assert gaps.min() > 0.3
        width = np.hypot(*(points[:, 1] - points[:, 0]).T)
        assert width[-1] > 1.4 * width[4]


@pytest.mark.parametrize("angle", [30.0, -45.0])
def test_a_bend_has_its_angle_and_turns_its_vertebrae_to_its_outside(angle: float) -> None:
    spine = draw_backbone(np.random.default_rng(0), (Bend(0.45, angle, 0.15),), 1.0)
    tilts = []
    for vertebra in spine.vertebrae:
        across = vertebra.corners[1] - vertebra.corners[0]
        tilts.append(np.rad2deg(np.arctan2(across[1], across[0])))
    assert np.ptp(tilts) == pytest.approx(abs(angle), abs=5.0)
    apex = spine["T8"]
    # The bodies turn outwards, so that what lies behind them is seen on the inside of the curve.
    assert np.sign(apex.centre[0]) == np.sign(angle)
    assert np.sign(apex.turn) == -np.sign(angle)
