"""Bones as the network sees them: centred one by one, in one unit, with gaps closed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_bones import PROTOCOL, children, finger

from landmarklabel.boneage import Bones, BoneShapes
from landmarklabel.errors import ConfigError
from landmarklabel.protocol import Protocol, load_protocol

BONES = Bones.of(PROTOCOL)
GROUP = np.stack([points for _, _, points in children(40)])
SHAPES = BoneShapes.learn(GROUP, BONES)
COMPLETE = finger(120, np.random.default_rng(5))[None]
SHAFT, CARPAL = slice(0, 16), slice(28, 36)


def _outlines(points: np.ndarray) -> np.ndarray:
    """Inputs (B, P, 2) of one image."""
    return SHAPES.inputs(points)[0].reshape(3, 16, 2)


def test_the_wrist_has_17_bones_of_720_landmarks() -> None:
    bones = Bones.of(load_protocol("wrist_720"))
    assert bones.index.shape == (17, 72)
    assert sorted(bones.index[bones.index >= 0]) == list(range(720))


def test_some_bones_in_the_order_named() -> None:
    bones = Bones.of(PROTOCOL, ["carpal", "shaft"])
    assert bones.names == ("carpal", "shaft")
    assert bones.index[0].tolist() == [*range(28, 36), *[-1] * 8]


def test_open_structures_are_no_bones() -> None:
    content = PROTOCOL.model_dump()
    content["structures"][0]["closed"] = False
    assert Bones.of(Protocol.model_validate(content)).names == ("epiphysis", "carpal")


@pytest.mark.parametrize("structures", [["shaft", "thumb"], ["shaft01"]])
def test_a_bone_that_is_none(structures: list[str]) -> None:
    unknown = structures[-1]
    with pytest.raises(ConfigError, match=f"structures: {unknown}; expected .* finger: shaft, epiphysis, carpal"):
        Bones.of(PROTOCOL, structures)


def test_a_protocol_without_bones(cephalometric: Protocol) -> None:
    with pytest.raises(ConfigError, match="cephalometric_19 has no closed structures"):
        Bones.of(cephalometric)


def test_each_bone_is_centred_by_itself() -> None:
    """By hand: the outline less its mean, by the root mean square radius of the mean bone."""
    carpal = COMPLETE[0, CARPAL]
    with_carpal = GROUP[np.isfinite(GROUP[:, 28, 0])][:, CARPAL]
    mean = np.mean([one - one.mean(axis=0) for one in with_carpal], axis=0)
    expected = (carpal - carpal.mean(axis=0)) / np.sqrt((mean**2).sum(axis=1).mean())
    np.testing.assert_allclose(_outlines(COMPLETE)[2, :8], expected, atol=1e-6)
    assert not _outlines(COMPLETE)[2, 8:].any()  # padding


@given(st.lists(st.floats(-500, 500), min_size=6, max_size=6))
def test_where_each_bone_lies_does_not_matter(shifts: list[float]) -> None:
    moved = COMPLETE.copy()
    for bone, shift in zip((SHAFT, slice(16, 28), CARPAL), np.reshape(shifts, (3, 2)), strict=True):
        moved[0, bone] += shift
    np.testing.assert_allclose(SHAPES.inputs(moved), SHAPES.inputs(COMPLETE), atol=1e-5)


def test_size_is_kept_for_a_growing_child() -> None:
    np.testing.assert_allclose(SHAPES.inputs(1.3 * COMPLETE), 1.3 * SHAPES.inputs(COMPLETE), rtol=1e-5, atol=1e-6)
    assert SHAPES.size(1.3 * COMPLETE)[0] == pytest.approx(1.3 * SHAPES.size(COMPLETE)[0])


def test_the_unit_of_all_does_not_matter() -> None:
    """Training and answer in pixels of 0.1 mm give the inputs that they give in mm."""
    in_pixels = BoneShapes.learn(10 * GROUP, BONES)
    np.testing.assert_allclose(in_pixels.inputs(10 * COMPLETE), SHAPES.inputs(COMPLETE), atol=1e-6)
    np.testing.assert_allclose(in_pixels.sizes, SHAPES.sizes)


def test_sizes_are_those_of_training() -> None:
    sizes = SHAPES.size(GROUP)
    assert (sizes.min(), sizes.max()) == SHAPES.sizes
    assert 0.7 < SHAPES.sizes[0] < 1 < SHAPES.sizes[1] < 1.4


@given(st.sets(st.integers(0, 15), min_size=1, max_size=12))
def test_absent_landmarks_are_close_to_where_they_would_be(gone: set[int]) -> None:
    """An outline of 16 keeps at least 4, and its others are the mean bone's: within a few hundredths of its size."""
    partial = COMPLETE.copy()
    partial[0, list(gone)] = np.nan
    assert np.abs(_outlines(partial) - _outlines(COMPLETE)).max() < 0.15
    assert np.isfinite(SHAPES.inputs(partial)).all()
    np.testing.assert_allclose(_outlines(partial)[0].mean(axis=0), 0, atol=1e-6)  # centred, as whole ones are


def test_one_coordinate_is_no_landmark() -> None:
    half, without = COMPLETE.copy(), COMPLETE.copy()
    half[0, 3, 1] = without[0, 3] = np.nan
    np.testing.assert_array_equal(SHAPES.inputs(half), SHAPES.inputs(without))


def test_a_bone_that_children_may_not_have_is_seen_to_be_absent() -> None:
    """The carpal is absent in some of training, the shaft in none: that is the mean shaft in the image's size."""
    assert SHAPES.optional.tolist() == [False, False, True]
    partial = COMPLETE.copy()
    partial[0, CARPAL] = np.nan
    assert not _outlines(partial)[2].any()
    partial[0, SHAFT] = np.nan
    shaft = _outlines(partial)[0]
    assert np.sqrt((shaft**2).sum(axis=1).mean()) == pytest.approx(SHAPES.size(partial)[0], rel=1e-5)
    assert BONES.absent(partial).tolist() == [[True, False, True]]


def test_a_landmark_that_training_never_saw_is_not_looked_at() -> None:
    never = GROUP.copy()
    never[:, 5] = np.nan
    shapes = BoneShapes.learn(never, BONES)
    without = COMPLETE.copy()
    without[0, 5] = np.nan
    np.testing.assert_array_equal(shapes.inputs(COMPLETE), shapes.inputs(without))
    assert not shapes.inputs(COMPLETE)[0, 0, 10:12].any()


def test_size_needs_two_landmarks_of_a_bone() -> None:
    points = np.full((1, 36, 2), np.nan)
    points[0, [0, 20, 30]] = 5
    assert np.isnan(SHAPES.size(points)).all()
