"""Geometry is exact both ways, and the same as SimpleITK's."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.errors import ImageError
from landmarklabel.radiograph import Geometry, Radiograph, SpacingSource, intensity_range
from strategies import geometries, points_in


@given(st.data(), geometries())
def test_pixel_to_world_and_back_is_exact(data: st.DataObject, geometry: Geometry) -> None:
    points = data.draw(points_in(geometry.size, 7))
    back = geometry.world_to_pixel(geometry.pixel_to_world(points))
    assert np.abs(back - points).max() < 1e-6


@given(st.data(), geometries())
def test_pixel_to_world_agrees_with_simpleitk(data: st.DataObject, geometry: Geometry) -> None:
    image = sitk.Image(*geometry.size, 1, sitk.sitkUInt8)
    image.SetSpacing((*geometry.spacing, 1.0))
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    for point in data.draw(points_in(geometry.size, 3)):
        world = image.TransformContinuousIndexToPhysicalPoint((*point.tolist(), 0.0))
        assert np.abs(geometry.pixel_to_world(point) - world).max() < 1e-6


@given(st.data(), geometries())
def test_one_point_is_mapped_as_many_are(data: st.DataObject, geometry: Geometry) -> None:
    points = data.draw(points_in(geometry.size, 50))
    together = geometry.pixel_to_world(points)
    assert all(np.array_equal(geometry.pixel_to_world(p), w) for p, w in zip(points, together, strict=True))


def test_absent_points_stay_absent() -> None:
    geometry = Geometry((10, 20), (0.1, 0.2))
    world = geometry.pixel_to_world([[1.0, 2.0], [np.nan, np.nan]])
    assert np.isfinite(world[0]).all()
    assert np.isnan(world[1]).all()
    assert not geometry.contains([np.nan, np.nan])


def test_distance_from_plane() -> None:
    geometry = Geometry((10, 20), direction=(0, 0, -1, 1, 0, 0, 0, -1, 0), origin=(5, 6, 7))
    world = geometry.pixel_to_world([3.0, 4.0])
    normal = np.cross((0, 1, 0), (0, 0, -1))
    assert geometry.distance_from_plane(world + 2.5 * normal) == pytest.approx(2.5)
    assert geometry.distance_from_plane(world) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("point", "inside"), [((-0.5, 0), True), ((-0.51, 0), False), ((9.5, 4.5), True), ((9.6, 0), False)]
)
def test_an_image_reaches_half_a_pixel_beyond_its_outer_centres(point: tuple[float, float], inside: bool) -> None:
    assert Geometry((10, 5)).contains(point) == inside


@pytest.mark.parametrize("spacing", [(0.0, 1.0), (-1.0, 1.0), (np.nan, 1.0), (np.inf, 1.0)])
def test_spacing_that_can_not_be_is_refused(spacing: tuple[float, float]) -> None:
    with pytest.raises(ImageError, match="spacing must be positive"):
        Geometry((10, 10), spacing)


def test_directions_that_span_no_plane_are_refused() -> None:
    with pytest.raises(ImageError, match="do not span a plane"):
        Geometry((10, 10), direction=(1, 1, 0, 0, 0, 0, 0, 0, 1))


def test_an_array_that_is_no_image_is_refused() -> None:
    with pytest.raises(ImageError, match=r"expected one 2D image of shape \(H, W\), got shape \(3, 4, 5\)"):
        Radiograph.from_array(np.zeros((3, 4, 5)))


def test_spacing_is_known_only_if_it_was_given() -> None:
    assert Radiograph.from_array(np.zeros((3, 4), np.uint8), (0.1, 0.1)).spacing_known
    unknown = Radiograph.from_array(np.zeros((3, 4), np.uint8))
    assert not unknown.spacing_known
    assert unknown.spacing == (1.0, 1.0)
    assert unknown.spacing_source is SpacingSource.UNKNOWN


def test_display_uses_the_window() -> None:
    pixels = np.array([[0, 100, 150, 200, 4000]], np.uint16)
    image = Radiograph(pixels, Geometry((5, 1)), window=(100.0, 200.0))
    assert image.display().tolist() == [[0, 0, 128, 255, 255]]


def test_the_range_of_an_image_ignores_a_few_extreme_pixels(rng: np.random.Generator) -> None:
    pixels = rng.integers(100, 200, (300, 300)).astype(np.uint16)
    pixels[0, :5] = 65535
    assert intensity_range(pixels)[1] < 201
    assert intensity_range(np.full((5, 5), 7)) == (7.0, 7.0)
