"""Regions: which parts of a protocol are segmented, and which pixels are in them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvshapes import COUNT, SIZE, draw, grid, outline, protocol

from landmarklabel.errors import ConfigError, LabelError
from landmarklabel.protocol import load_protocol
from landmarklabel.uvmaps import Regions


def inside(outline: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels are inside, by the number of times that the outline goes around them, and how near it is."""
    corner = outline[None, None] - grid(size)[:, :, None]
    following = np.roll(corner, -1, axis=2)
    cross = corner[..., 0] * following[..., 1] - corner[..., 1] * following[..., 0]
    turns = np.arctan2(cross, (corner * following).sum(axis=-1)).sum(axis=-1) / (2 * np.pi)
    side = following - corner
    along = np.clip(-(corner * side).sum(axis=-1) / (side**2).sum(axis=-1), 0, 1)
    distance = np.linalg.norm(corner + along[..., None] * side, axis=-1).min(axis=-1)
    return np.abs(turns) > 0.5, distance


def test_chest_has_its_five_structures() -> None:
    regions = Regions.of(load_protocol("chest_166"))
    assert regions.names == ("right_lung", "left_lung", "heart", "right_clavicle", "left_clavicle")
    assert regions.titles[2] == "Heart"
    assert [len(members) for members in regions.members] == [44, 50, 26, 23, 23]
    assert not any(regions.hull)
    assert np.bincount(regions.home).tolist() == [44, 50, 26, 23, 23]
    assert regions.flip_order is None  # the lungs have outlines of their own


def test_a_spine_has_its_vertebrae_in_outline_order() -> None:
    spine = load_protocol("spine_68")
    regions = Regions.of(spine)
    assert len(regions) == 17
    assert [spine.labels[index] for index in regions.members[0]] == ["T1-UL", "T1-UR", "T1-LR", "T1-LL"]
    assert regions.flip_order is not None
    assert regions.flip_order.tolist() == list(range(17))  # a mirrored vertebra is the same vertebra


def test_without_closed_structures_all_landmarks_are_one_region(rng: np.random.Generator) -> None:
    regions = Regions.of(load_protocol("cephalometric_19"))
    assert regions.names == ("whole",)
    assert regions.hull == (True,)
    assert regions.members[0].tolist() == list(range(19))


def test_landmarks_in_no_structure_are_read_off_the_whole() -> None:
    regions = Regions.of(protocol(single=2))
    assert regions.names == ("a", "b", "whole")
    assert regions.home.tolist() == [0] * COUNT + [1] * COUNT + [2, 2]


def test_of_two_regions_with_a_landmark_the_first_is_its_home() -> None:
    regions = Regions.of(protocol({"name": "both", "landmarks": ["a0", "b0", "b1", "b2"]}))
    assert regions.home.tolist() == [0] * COUNT + [1] * COUNT


def test_structures_are_those_named_in_that_order() -> None:
    regions = Regions.of(protocol(), ["b"])
    assert regions.names == ("b", "whole")
    assert regions.home.tolist() == [1] * COUNT + [0] * COUNT


def test_a_mirror_exchanges_symmetric_regions() -> None:
    symmetric = protocol(symmetric=True, single=1)
    regions = Regions.of(symmetric)
    assert regions.flip_order is not None
    assert regions.flip_order.tolist() == [1, 0, 2]
    points = draw(3, single=1)
    mirrored = (points * [-1, 1] + [SIZE[0] - 1, 0])[symmetric.flip_order]
    expected = regions.masks(points, SIZE)[regions.flip_order][..., ::-1]
    assert (regions.masks(mirrored, SIZE) == expected).all()


def test_no_flip_order_where_a_region_has_no_partner() -> None:
    assert Regions.of(protocol(symmetric=True), ["a"]).flip_order is None


@pytest.mark.parametrize(
    ("structures", "message"),
    [
        (["c"], r"structures: c can't be segmented in two; .* \(a, b, line\)"),
        (["pair"], r"structures: pair can't be segmented in two; .* \(a, b, line\)"),
        (["a", "a"], "structures: a named more than once; name each once"),
    ],
)
def test_structures_that_cannot_be(structures: list[str], message: str) -> None:
    line = {"name": "line", "landmarks": ["a0", "a1", "a2"], "closed": False}
    pair = {"name": "pair", "landmarks": ["a0", "b1"], "closed": False}
    with pytest.raises(ConfigError, match=message):
        Regions.of(protocol(line, pair), structures)


def test_an_open_structure_is_closed_where_it_is_named() -> None:
    line = {"name": "line", "landmarks": ["a0", "a1", "a2"], "closed": False}
    assert "line" not in Regions.of(protocol(line)).names
    assert Regions.of(protocol(line), ["line"]).members[0].tolist() == [0, 1, 2]


def test_the_name_of_the_whole_is_taken() -> None:
    whole = {"name": "whole", "landmarks": ["a0", "a1", "a2"]}
    with pytest.raises(ConfigError, match="'whole' is the name of the hull of all landmarks"):
        Regions.of(protocol(whole, single=1))
    assert "whole" in Regions.of(protocol(whole)).names


@given(st.integers(0, 10_000), st.floats(-40, 40), st.floats(-40, 40))
def test_masks_are_the_pixels_whose_centres_are_inside(seed: int, dx: float, dy: float) -> None:
    """Outlines anywhere, on the image and beyond; pixels on the border itself are left to rounding."""
    points = draw(seed) + np.array([dx, dy])
    masks = Regions.of(protocol()).masks(points, SIZE)
    for mask, shape in zip(masks, points.reshape(2, COUNT, 2), strict=True):
        expected, distance = inside(shape, SIZE)
        clear = distance > 1e-9
        assert (mask == expected)[clear].all()


def test_a_border_through_centres_belongs_to_the_mask() -> None:
    square = np.array([[2, 1], [6, 1], [6, 3], [2, 3]] + [[2, 2]] * 3, dtype=float)
    square[4:] = [[2, 2], [2, 1.7], [2, 1.3]]
    mask = Regions.of(protocol()).masks(np.concatenate([square, square]), (9, 5))[0]
    assert np.argwhere(mask).min(axis=0).tolist() == [1, 2]
    assert np.argwhere(mask).max(axis=0).tolist() == [3, 6]
    assert mask.sum() == 15


def test_the_whole_is_the_convex_hull() -> None:
    points = draw(5, single=3)
    mask = Regions.of(protocol(single=3)).masks(points, SIZE)[2]
    angles = np.linspace(0, np.pi, 2000, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    reach = points @ directions
    place = grid(SIZE) @ directions
    expected = ((place <= reach.max(axis=0) + 1e-9) & (place >= reach.min(axis=0) - 1e-9)).all(axis=-1)
    assert mask[expected].mean() > 0.99
    assert expected[mask].all()


def test_absent_landmarks_leave_the_polygon_of_the_others() -> None:
    regions, points = Regions.of(protocol()), draw(1)
    points[[0, 3]] = np.nan
    expected, _ = inside(points[[1, 2, 4, 5, 6]], SIZE)
    assert (regions.masks(points, SIZE)[0] == expected).all()


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_fewer_than_three_landmarks_have_no_mask(kept: int) -> None:
    points = draw(1)
    points[kept:COUNT] = np.nan
    masks = Regions.of(protocol()).masks(points, SIZE)
    assert not masks[0].any()
    assert masks[1].any()


@pytest.mark.parametrize("shape", ["line", "point"])
def test_points_on_one_line_have_no_mask(shape: str) -> None:
    points = draw(1)
    points[:COUNT] = np.linspace([4, 4], [4, 4] if shape == "point" else [40, 22], COUNT)
    assert not Regions.of(protocol()).masks(points, SIZE)[0].any()


def test_points_of_another_protocol() -> None:
    with pytest.raises(
        LabelError, match=r"points must be \(14, 2\), one \(x, y\) a landmark of the protocol, got \(3, 2\)"
    ):
        Regions.of(protocol()).masks(np.zeros((3, 2)), SIZE)


def test_outline_is_that_of_the_protocol() -> None:
    """Not the order of the labels: a bow tie is another shape."""
    structure = {**outline("a"), "name": "order", "landmarks": ["a0", "a1", "a2", "a3"]}
    crossed = {**structure, "name": "crossed", "landmarks": ["a0", "a1", "a3", "a2"]}
    regions = Regions.of(protocol(structure, crossed))
    points = draw(0)
    points[:4] = [[10, 10], [30, 10], [30, 30], [10, 30]]
    masks = regions.masks(points, SIZE)
    assert masks[2].sum() == 21 * 21
    assert masks[3].sum() < 21 * 21 * 0.6
