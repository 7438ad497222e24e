from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layout_folders import plausible_points

from landmarklabel.errors import LabelError
from landmarklabel.io.plausibility import FEWEST_SHAPES, misplaced, outliers, suspicious
from landmarklabel.protocol import load_protocol, shipped_protocols

SIZE = (600, 720)
CEPHALOGRAM = load_protocol("cephalometric_19")
SPINE = load_protocol("spine_68")
CEPHALOMETRIC_POINTS = plausible_points("cephalometric_19", SIZE)
SPINE_POINTS = plausible_points("spine_68", SIZE)


def _exchanged(points: np.ndarray, first: int, second: int) -> np.ndarray:
    points = points.copy()
    points[[first, second]] = points[[second, first]]
    return points


@pytest.mark.parametrize("name", sorted(set(shipped_protocols()) - {"cervical_13"}))
def test_nothing_is_suspicious_of_good_points(name: str) -> None:
    assert suspicious(load_protocol(name), plausible_points(name, SIZE), SIZE) == ()


@pytest.mark.parametrize("name", ["cephalometric_19", "hand_37", "spine_68"])
def test_absent_landmarks_are_never_suspicious(name: str) -> None:
    """Not where rules are about landmarks; the centre of a part of an outline is not that of the outline."""
    protocol, good = load_protocol(name), plausible_points(name, SIZE)

    @given(st.sets(st.integers(0, len(good) - 1)))
    def any_of_them(absent: set[int]) -> None:
        points = good.copy()
        points[sorted(absent)] = np.nan
        assert suspicious(protocol, points, SIZE) == ()

    any_of_them()


def test_upside_down_breaks_the_rules_of_above() -> None:
    reasons = suspicious(CEPHALOGRAM, [0, SIZE[1]] + CEPHALOMETRIC_POINTS * [1, -1])
    assert reasons == ("N is not above ANS", "ANS is not above Me", "S is not above Go")


def test_mirrored_breaks_the_rules_of_left_of() -> None:
    reasons = suspicious(CEPHALOGRAM, [SIZE[0], 0] + CEPHALOMETRIC_POINTS * [-1, 1])
    assert reasons == ("Po is not left of Or", "PNS is not left of ANS", "Go is not left of Me")


def test_rule_on_structures_compares_their_centres() -> None:
    chest = load_protocol("chest_166")
    points = plausible_points("chest_166", SIZE)
    points[chest.indices("heart")] += [-300, 0]
    assert suspicious(chest, points) == ("right_lung is not left of heart",)


@pytest.mark.parametrize(
    ("first", "second", "reasons"),
    [
        ("T5-UL", "T5-LL", ("T5-UL is not above T5-LL",)),
        ("T5-UR", "T5-LR", ("T5-UR is not above T5-LR",)),
        ("L1-UL", "L1-UR", ("L1-UL is not left of L1-UR",)),
        ("L1-LL", "L1-LR", ("L1-LL is not left of L1-LR",)),
    ],
)
def test_exchanged_corners_of_a_vertebra(first: str, second: str, reasons: tuple[str, ...]) -> None:
    assert suspicious(SPINE, _exchanged(SPINE_POINTS, SPINE.index(first), SPINE.index(second))) == reasons


def test_tilted_vertebrae_are_not_suspicious() -> None:
    for angle in np.deg2rad([-60, -40, 40, 60]):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        points = SPINE_POINTS.reshape(17, 4, 2)
        centres = points.mean(axis=1, keepdims=True)
        square = (points - centres) * [0.15, 1.0]  # as wide as high, which is what limits the tilt
        assert suspicious(SPINE, (centres + square @ turn).reshape(68, 2)) == ()


def test_vertebrae_out_of_order() -> None:
    points = SPINE_POINTS.reshape(17, 4, 2)
    moved = np.concatenate([points[1:], points[:1]]).reshape(68, 2)  # the last one is above the first
    assert suspicious(SPINE, moved) == ("L4 is not above L5",)


def test_same_vertebra_twice_overlaps() -> None:
    points = SPINE_POINTS.reshape(17, 4, 2).copy()
    points[6] = points[5] + [3.0, 2.0]
    assert suspicious(SPINE, points.reshape(68, 2)) == ("T6 and T7 overlap by 91% of their height",)


def test_touching_vertebrae_are_not_suspicious() -> None:
    points = SPINE_POINTS.reshape(17, 4, 2).copy()
    gap = points[6, 0, 1] - points[5, 2, 1]
    height = points[5, 2, 1] - points[5, 0, 1]
    points[6, :, 1] -= gap + 0.4 * height
    assert suspicious(SPINE, points.reshape(68, 2)) == ()


@pytest.mark.parametrize(("point", "is_outside"), [((-0.5, 3), False), ((599.5, 719.5), False), ((600, 3), True)])
def test_points_outside_the_image(point: tuple[float, float], is_outside: bool) -> None:
    points = CEPHALOMETRIC_POINTS.copy()
    points[12] = point  # the upper lip, of which no rule tells
    reasons = misplaced(CEPHALOGRAM, points, SIZE)
    assert reasons == (("outside the image of 600 x 720 pixels: UL at (600.0, 3.0)",) if is_outside else ())
    assert misplaced(CEPHALOGRAM, points) == ()


def test_two_landmarks_at_one_place() -> None:
    points = CEPHALOMETRIC_POINTS.copy()
    points[8] = points[7] + [0.04, -0.04]
    assert suspicious(CEPHALOGRAM, points) == ("Me and Gn are at the same place",)
    points[8] = points[7] + [0.0, -0.1]
    assert suspicious(CEPHALOGRAM, points) == ()


def test_outlines_may_touch() -> None:
    chest = load_protocol("chest_166")
    points = plausible_points("chest_166", SIZE)
    points[100] = points[3]
    points[1] = points[0]
    assert suspicious(chest, points) == ()


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(LabelError, match=r"expected 19 landmarks of cephalometric_19 .* got \(18, 2\)"):
        suspicious(CEPHALOGRAM, CEPHALOMETRIC_POINTS[:18])
    with pytest.raises(LabelError, match=r"expected shapes \(N, 19, 2\)"):
        outliers(CEPHALOGRAM, CEPHALOMETRIC_POINTS)


def _shapes(count: int = 40, seed: int = 0) -> np.ndarray:
    """Shapes of different size, turn and place, with 8 pixels of anatomical variety."""
    rng = np.random.default_rng(seed)
    shapes = CEPHALOMETRIC_POINTS + rng.normal(0, 8, (count, 19, 2))
    angle, scale = rng.uniform(-0.4, 0.4, count), rng.uniform(0.5, 2, count)
    turn = np.moveaxis(np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]), 2, 0)
    return np.asarray(scale[:, None, None] * (shapes @ turn) + rng.uniform(-500, 500, (count, 1, 2)))


def test_no_outliers_among_turned_scaled_and_moved_shapes() -> None:
    assert outliers(CEPHALOGRAM, _shapes()) == {}


def test_exchanged_landmarks_are_outliers() -> None:
    shapes = _shapes()
    shapes[7] = _exchanged(shapes[7], CEPHALOGRAM.index("S"), CEPHALOGRAM.index("N"))
    found = outliers(CEPHALOGRAM, shapes)
    assert list(found) == [7]
    assert found[7] in {f"{name} is far from where it is in the other images" for name in ("S", "N")}


def test_neighbours_exchanged_are_not_outliers() -> None:
    shapes = _shapes()
    shapes[7] = _exchanged(shapes[7], CEPHALOGRAM.index("Gn"), CEPHALOGRAM.index("Me"))
    assert outliers(CEPHALOGRAM, shapes) == {}


def test_outliers_do_not_hide_each_other() -> None:
    shapes = _shapes()
    for index in range(12):
        shapes[index] = _exchanged(shapes[index], CEPHALOGRAM.index("S"), CEPHALOGRAM.index("N"))
    assert list(outliers(CEPHALOGRAM, shapes)) == list(range(12))


def test_a_shape_of_no_size_hides_no_outlier() -> None:
    shapes = _shapes()
    shapes[0] = 5.0
    shapes[7] = _exchanged(shapes[7], CEPHALOGRAM.index("S"), CEPHALOGRAM.index("N"))
    assert 7 in outliers(CEPHALOGRAM, shapes)


def test_absent_landmarks_are_no_outliers_and_hide_none() -> None:
    shapes = _shapes()
    shapes[:, 3] = np.nan  # in no image
    shapes[3] = np.nan
    shapes[4, 2:] = np.nan  # too few to lay a shape on another
    shapes[5, 8:14] = np.nan
    shapes[7] = _exchanged(shapes[7], CEPHALOGRAM.index("S"), CEPHALOGRAM.index("N"))
    assert list(outliers(CEPHALOGRAM, shapes)) == [7]


def test_few_shapes_are_not_compared() -> None:
    shapes = _shapes(FEWEST_SHAPES)
    shapes[0] = _exchanged(shapes[0], CEPHALOGRAM.index("S"), CEPHALOGRAM.index("N"))
    assert list(outliers(CEPHALOGRAM, shapes)) == [0]
    assert outliers(CEPHALOGRAM, shapes[:-1]) == {}


def test_a_pixel_off_among_equal_shapes_is_no_outlier() -> None:
    shapes = np.repeat(CEPHALOMETRIC_POINTS[None], 20, axis=0)
    assert outliers(CEPHALOGRAM, shapes) == {}
    shapes += np.random.default_rng(0).normal(0, 0.001, shapes.shape)
    shapes[3, 5, 0] += 1.0
    assert outliers(CEPHALOGRAM, shapes) == {}
