"""Alignment and mean shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from uvshapes import COUNT, draw, protocol, turned

from landmarklabel.errors import DataError, LabelError
from landmarklabel.uvmaps import Regions, Template, umeyama

angles = st.floats(-np.pi, np.pi)
scales = st.floats(0.2, 5.0)
shifts = st.tuples(st.floats(-200, 200), st.floats(-200, 200))


@given(st.integers(0, 1000), angles, scales, shifts)
def test_alignment_finds_the_similarity(seed: int, angle: float, scale: float, shift: tuple[float, float]) -> None:
    points = draw(seed)
    fit = umeyama(points, turned(points, angle, scale, shift))
    assert fit.scale == pytest.approx(scale)
    assert np.linalg.det(fit.rotation) == pytest.approx(1)
    assert fit.rotation @ fit.rotation.T == pytest.approx(np.eye(2))
    assert fit.apply(points) == pytest.approx(turned(points, angle, scale, shift), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mirrored", [False, True])
def test_alignment_is_the_best_of_all_similarities(seed: int, mirrored: bool) -> None:
    """Against a search over scale, angle and shift; a mirror image is still only turned."""
    source, target = draw(seed), draw(seed + 50) * ([-1, 1] if mirrored else [1, 1])
    fit = umeyama(source, target)

    def cost(pose: np.ndarray) -> float:
        return float(((turned(source, pose[0], pose[1], (pose[2], pose[3])) - target) ** 2).sum())

    starts = [np.array([angle, 1.0, 0.0, 0.0]) for angle in (-2.0, 0.0, 2.0)]
    best = min((minimize(cost, start, tol=1e-12) for start in starts), key=lambda result: result.fun)
    assert np.linalg.det(fit.rotation) == pytest.approx(1)
    assert ((fit.apply(source) - target) ** 2).sum() == pytest.approx(best.fun, rel=1e-5)


def test_alignment_leaves_out_pairs_of_which_one_is_absent() -> None:
    source, target = draw(0), draw(1)
    expected = umeyama(source[4:], target[4:])
    source[:2], target[1:4] = np.nan, np.nan
    for found, value in zip(umeyama(source, target), expected, strict=True):
        assert found == pytest.approx(value)


def test_alignment_needs_two_distinct_points() -> None:
    with pytest.raises(LabelError, match="an alignment needs two pairs of points, got 1"):
        umeyama(draw(0)[:1], draw(1)[:1])
    with pytest.raises(LabelError, match="two distinct points, got the same point each time"):
        umeyama(np.ones((4, 2)), draw(1)[:4])


def test_the_box_of_the_mean_shape_is_the_unit_square() -> None:
    regions = Regions.of(protocol(single=1))
    template = Template.learn(np.stack([draw(seed, single=1) for seed in range(6)]), regions)
    assert template.uv.shape == (3, 2 * COUNT + 1, 2)
    assert np.nanmin(template.uv, axis=1) == pytest.approx(-np.ones((3, 2)))
    assert np.nanmax(template.uv, axis=1) == pytest.approx(np.ones((3, 2)))
    assert np.isnan(template.uv[0, COUNT:]).all()
    assert np.isfinite(template.uv[2]).all()


def test_the_mean_of_one_shape_is_that_shape() -> None:
    points = draw(0)
    template = Template.learn(points[None], Regions.of(protocol()))
    shape = points[:COUNT]
    assert template.extent[0] == pytest.approx(np.ptp(shape, axis=0) / 2)
    middle = (shape.max(axis=0) + shape.min(axis=0)) / 2
    assert template.uv[0, :COUNT] * template.extent[0] + middle == pytest.approx(shape)


@given(st.integers(0, 100), st.floats(-0.5, 0.5), st.floats(1.0, 2.0), shifts)
def test_poses_average_out(seed: int, angle: float, scale: float, shift: tuple[float, float]) -> None:
    """A shape in poses that cancel each other has itself as its mean."""
    points = draw(seed)
    poses = [turned(points, sign * angle, scale**sign, shift) for sign in (-1, 1)]
    regions = Regions.of(protocol())
    alone, found = Template.learn(points[None], regions), Template.learn(np.stack(poses), regions)
    assert found.uv == pytest.approx(alone.uv, abs=1e-4, nan_ok=True)
    assert found.extent == pytest.approx(alone.extent, rel=1e-4)


def test_absent_landmarks_do_not_pull_at_the_mean() -> None:
    points = draw(0)
    shapes = np.stack([turned(points, 0.2 * turn, 1.0, (9.0 * turn, 0)) for turn in (-1, 0, 1)])
    shapes[0, :2], shapes[2, 4:6], shapes[1, COUNT + 2] = np.nan, np.nan, np.nan
    regions = Regions.of(protocol())
    assert Template.learn(shapes, regions).uv == pytest.approx(
        Template.learn(points[None], regions).uv, abs=1e-4, nan_ok=True
    )


def test_a_landmark_nobody_placed_has_no_place() -> None:
    shapes = np.stack([draw(seed) for seed in range(3)])
    shapes[:, 2] = np.nan
    template = Template.learn(shapes, Regions.of(protocol()))
    assert np.flatnonzero(np.isnan(template.uv[0, :COUNT, 0])).tolist() == [2]


def test_an_image_without_the_region_does_not_count() -> None:
    shapes = np.stack([draw(seed) for seed in range(3)])
    missing = np.concatenate([shapes, np.full((1, 2 * COUNT, 2), np.nan)])
    regions = Regions.of(protocol())
    assert Template.learn(missing, regions).uv == pytest.approx(Template.learn(shapes, regions).uv, nan_ok=True)


def test_a_region_that_is_nowhere() -> None:
    shapes = np.stack([draw(seed) for seed in range(3)])
    shapes[:, COUNT + 2 :] = np.nan
    with pytest.raises(DataError, match="'b' has no mean shape: 2 of its 7 landmarks are in a label"):
        Template.learn(shapes, Regions.of(protocol()))


def test_points_of_another_protocol() -> None:
    with pytest.raises(LabelError, match=r"points must be \(N, 14, 2\), .*, got \(14, 2\)"):
        Template.learn(draw(0), Regions.of(protocol()))
