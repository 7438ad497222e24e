"""uv-maps of landmarks: the paper's, at any pose, and of whatever landmarks there are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.interpolate import LinearNDInterpolator, griddata
from scipy.ndimage import map_coordinates
from uvshapes import COUNT, SIZE, draw, grid, learned, turned

from landmarklabel.errors import LabelError
from landmarklabel.phantoms import generate
from landmarklabel.protocol import load_protocol
from landmarklabel.uvmaps import Regions, Template, to_cartesian, to_polar, umeyama, uv_map


def by_griddata(points: np.ndarray, uv: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(2, H, W)"""
    return np.moveaxis(griddata(points, uv, tuple(np.moveaxis(grid(size), 2, 0))), 2, 0)


def assert_equal(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-6) -> None:
    """Equal, but that one may count pixels on the very border as outside."""
    both = np.isfinite(found) & np.isfinite(expected)
    assert (np.isfinite(found) != np.isfinite(expected)).mean() < 2e-3
    assert np.abs(found - expected)[both].max(initial=0.0) < tolerance


@given(st.integers(0, 10_000), st.floats(-40, 40), st.floats(-40, 40))
def test_equal_to_griddata(seed: int, dx: float, dy: float) -> None:
    """On the image, partly off it and wholly off it."""
    regions, template = learned()
    points = draw(seed) + np.array([dx, dy])
    maps = uv_map(points, SIZE, regions, template)
    assert maps.shape == (2, 2, SIZE[1], SIZE[0])
    assert maps.dtype == np.float32
    for found, members, uv in zip(maps, regions.members, template.uv, strict=True):
        assert_equal(found, by_griddata(points[members], uv[members], SIZE))


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_griddata_on_chests(seed: int) -> None:
    regions = Regions.of(load_protocol("chest_166"))
    points = generate("chest_166", seed, (96, 96))[1].points
    template = Template.learn(np.stack([points, generate("chest_166", 7, (96, 96))[1].points]), regions)
    maps = uv_map(points, (96, 96), regions, template)
    for found, members, uv in zip(maps, regions.members, template.uv, strict=True):
        assert_equal(found, by_griddata(points[members], uv[members], (96, 96)))
    assert np.isfinite(maps[:, 0][regions.masks(points, (96, 96))]).all()


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_the_papers_long_way(seed: int) -> None:
    """Aligned to the template, displacements interpolated on the aligned grid, the identity map warped by them."""
    regions, template = learned()
    points = draw(seed)
    margin = 12
    for found, members, uv, extent in zip(
        uv_map(points, SIZE, regions, template), regions.members, template.uv, template.extent, strict=True
    ):
        shape = uv[members] * extent  # pixels of the template, from the middle of its box
        fit = umeyama(points[members], shape)
        aligned = fit.apply(points[members])
        place = fit.apply(grid(SIZE))
        displacement = LinearNDInterpolator(aligned, shape - aligned)(place)
        side = np.ceil(extent).astype(int) + margin
        axes = [np.arange(-n, n + 1) / half for n, half in zip(side, extent, strict=True)]
        identity = np.stack(np.meshgrid(*axes))
        at = place + displacement + side
        inside = np.isfinite(at).all(axis=-1)
        warped = np.full((2, *inside.shape), np.nan)
        for channel in (0, 1):
            warped[channel][inside] = map_coordinates(identity[channel], at[inside][:, ::-1].T, order=1)
        assert_equal(found, warped, 1e-5)


@given(st.integers(0, 1000), st.sampled_from([1, 2, 3]), st.integers(-20, 20), st.integers(-20, 20))
def test_a_pose_moves_the_map_and_changes_nothing_in_it(seed: int, quarters: int, dx: int, dy: int) -> None:
    """Turned by quarters, doubled in size and moved by whole pixels, so that pixels fall onto pixels."""
    regions, template = learned()
    points = draw(seed)
    angle = quarters * np.pi / 2
    pixels = turned(grid(SIZE), angle, 2.0, (dx + 160, dy + 160)).round().astype(int)
    there = uv_map(turned(points, angle, 2.0, (dx + 160, dy + 160)), (320, 320), regions, template)
    moved = there[..., pixels[..., 1].clip(0, 319), pixels[..., 0].clip(0, 319)]
    here = uv_map(points, SIZE, regions, template)
    here[..., (pixels < 0).any(axis=-1) | (pixels > 319).any(axis=-1)] = np.nan
    assert_equal(np.where(np.isnan(here), np.nan, moved), here, 1e-5)


@given(st.integers(0, 1000))
def test_at_a_landmark_its_own_place(seed: int) -> None:
    """Landmarks on pixels: also those on the hull, which no rounding loses."""
    regions, template = learned()
    points = draw(seed).round()
    assume(len(np.unique(points, axis=0)) == len(points))
    x, y = points.astype(int).T
    maps = uv_map(points, SIZE, regions, template)
    for found, members, uv in zip(maps, regions.members, template.uv, strict=True):
        assert pytest.approx(uv[members], abs=1e-6) == found[:, y[members], x[members]].T


def test_no_pixel_of_the_hull_is_lost_on_edges_through_centres() -> None:
    """A square of whole pixels with its middle: all edges of all triangles run through centres of pixels."""
    regions, template = learned()
    points = draw(0)
    points[:COUNT] = [[10, 10], [30, 10], [30, 30], [10, 30], [20, 20], [20, 10], [10, 20]]
    inside = np.isfinite(uv_map(points, SIZE, regions, template)[0])
    assert inside[:, 10:31, 10:31].all()
    assert inside.sum() == 2 * 21 * 21


def test_off_the_image_there_is_nothing() -> None:
    regions, template = learned()
    for shift in ([500, 0], [0, -500], [-1e7, 1e7]):
        assert np.isnan(uv_map(draw(0) + shift, SIZE, regions, template)).all()


def test_larger_than_the_image_the_map_fills_it() -> None:
    regions, template = learned()
    points = turned(draw(0) - [20, 28], 0.3, 50.0, (36, 28))
    assert np.isfinite(uv_map(points, SIZE, regions, template)[0]).all()


def test_absent_landmarks_leave_the_map_of_the_others() -> None:
    regions, template = learned()
    points = draw(2)
    points[[1, 4]] = np.nan
    kept = np.array([0, 2, 3, 5, 6])
    expected = by_griddata(points[kept], template.uv[0, kept], SIZE)
    assert_equal(uv_map(points, SIZE, regions, template)[0], expected)


@pytest.mark.parametrize(
    "shape",
    [
        np.linspace([4, 4], [40, 22], COUNT),
        np.linspace([4.0, 7.0], [40.0, 7.0], COUNT),
        np.full((COUNT, 2), 8.0),
        np.array([[4.0, 4.0], [20.0, 9.0]] * 3 + [[4.0, 4.0]]),
        np.array([[4.0, 4.0], [20.0, 9.0]] + [[np.nan, np.nan]] * 5),
        np.full((COUNT, 2), np.nan),
        np.array([[4.0, 4.0], [20.0, 9.0]] + [[np.inf, 3.0]] * 5),
    ],
    ids=["line", "row", "point", "two points", "two placed", "none placed", "infinite"],
)
def test_what_has_no_area_has_an_empty_map(shape: np.ndarray) -> None:
    regions, template = learned()
    points = draw(2)
    points[:COUNT] = shape
    maps = uv_map(points, SIZE, regions, template)
    assert np.isnan(maps[0]).all()
    assert np.isfinite(maps[1]).any()
    assert not regions.masks(points, SIZE)[0].any()


def test_repeated_points_count_once() -> None:
    regions, template = learned()
    points = draw(2)
    points[5] = points[6] = points[4]
    found = uv_map(points, SIZE, regions, template)[0]
    assert_equal(found, by_griddata(points[:COUNT], template.uv[0, :COUNT], SIZE))
    assert np.isfinite(found[0][regions.masks(points, SIZE)[0]]).all()


@given(st.integers(0, 1000), st.floats(1e-9, 1e-2))
def test_nearly_flat_outlines_stay_in_the_template(seed: int, thickness: float) -> None:
    """Slivers of triangles neither blow up nor lose pixels of a mask."""
    regions, template = learned()
    points = draw(seed)
    points[:COUNT] = (points[:COUNT] - [20, 28]) * [1.0, thickness] + [20, 28]
    found = uv_map(points, SIZE, regions, template)[0]
    assert np.nanmax(np.abs(found), initial=0.0) <= 1 + 1e-6
    mask = regions.masks(points, SIZE)[0]
    assert np.isnan(found).all() or np.isfinite(found[:, mask]).all()


def test_points_of_another_protocol() -> None:
    with pytest.raises(LabelError, match=r"points must be \(14, 2\)"):
        uv_map(np.zeros((5, 2)), SIZE, *learned())


@given(st.integers(0, 1000))
def test_polar_and_back(seed: int) -> None:
    uv = torch.rand(3, 2, 5, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
    polar = to_polar(uv, dim=1)
    assert torch.allclose(to_cartesian(polar, dim=1), uv)
    assert (polar[:, 0] - uv.norm(dim=1)).abs().max() < 1e-12
    assert polar[:, 1].abs().max() <= 1


def test_polar_directions() -> None:
    uv = torch.tensor([[1.0, 0.0], [0.0, 0.5], [-2.0, 0.0], [0.0, -1.0]])
    assert torch.allclose(to_polar(uv), torch.tensor([[1.0, 0.0], [0.5, 0.5], [2.0, 1.0], [1.0, -0.5]]))
