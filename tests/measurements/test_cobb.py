"""Cobb angles: the challenge's procedure written out, spines of known curves, and what a person is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from landmarklabel.errors import ProtocolError
from landmarklabel.measurements.cobb import LEVELS, Cobb, find_curves, spines_of
from landmarklabel.measurements.measure import measure
from landmarklabel.phantoms.backbone import FIRST, Bend, draw_backbone
from landmarklabel.protocol import load_protocol

Array = NDArray[np.float64]

SPINE = load_protocol("spine_68")
MIDDLE, PLATES = Cobb("cobb", end_plates=False), Cobb("cobb_end_plates", end_plates=True)
SEEDS = st.integers(0, 2**16)


def spine(tilts: Array, lower: Array | None = None, drift: Array | None = None) -> Array:
    """(68, 2), 17 vertebrae below each other whose end plates' right ends lie lower by these degrees."""
    points = []
    for level, (top, foot) in enumerate(zip(tilts, tilts if lower is None else lower, strict=True)):
        x, y = 100 + (0 if drift is None else drift[level]), 30 + 40 * level
        for tilt, at in ((top, y), (foot, y + 30)):
            along = 20 * np.array([np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))])
            points += [np.array([x, at]) - along, np.array([x, at]) + along]
    return np.array(points)


def random_spine(seed: int) -> Array:
    rng = np.random.default_rng(seed)
    tilts = np.cumsum(rng.normal(0, 8, 17))
    drift = -np.cumsum(np.sin(np.deg2rad(tilts))) * 30
    return spine(tilts, tilts + rng.normal(0, 3, 17), drift) + rng.normal(0, 1, (68, 2))


def angle(a: Array, b: Array) -> float:
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def challenge(points: Array, half: float) -> tuple[list[float], int]:
    """The challenge's procedure, one spine at a time: angles from top to bottom, and which is the major one."""
    corners = points.reshape(17, 4, 2)
    lines = [(c[1] + c[3]) / 2 - (c[0] + c[2]) / 2 for c in corners]
    pairs = [(angle(lines[u], lines[v]), u, v) for u in range(17) for v in range(u + 1, 17)]
    major, u, v = max(pairs)
    middles = [point for c in corners for point in ((c[0] + c[1]) / 2, (c[2] + c[3]) / 2)]
    chord = middles[-1] - middles[0]
    sides = [np.sign(chord[0] * (m - middles[0])[1] - chord[1] * (m - middles[0])[0]) for m in middles[1:-2]]
    if all(side >= 0 for side in sides) or all(side <= 0 for side in sides):
        return [angle(lines[0], lines[u]), major, angle(lines[v], lines[16])], 1
    above, top = max((angle(lines[k], lines[u]), -k) for k in range(u + 1))
    if (middles[2 * u + 1][1] + middles[2 * v + 1][1]) / 2 < half:
        return [above, major, max(angle(lines[v], lines[k]) for k in range(v, 17))], 1
    return [max(angle(lines[k], lines[-top]) for k in range(-top + 1)), above, major], 2


@settings(max_examples=20)
@given(SEEDS, st.floats(0.2, 0.8))
def test_the_angles_are_those_of_the_challenge(seed, share):
    points = random_spine(seed)
    half = points[:, 1].min() + share * np.ptp(points[:, 1])
    expected, major = challenge(points, half)
    found = find_curves(spines_of(points[None], SPINE), end_plates=False, half=np.array([half]))
    np.testing.assert_allclose(found.angles[0], expected, atol=1e-4)
    assert found.major[0] == major


@settings(max_examples=20)
@given(SEEDS)
def test_the_end_plates_of_the_major_curve_are_the_farthest_apart(seed):
    points = random_spine(seed)
    corners = points.reshape(17, 4, 2)
    tilt = [np.arctan2(*(c[b] - c[a])[::-1]) for c in corners for a, b in ((0, 1), (2, 3))]
    largest = max(abs(tilt[2 * u] - tilt[2 * v + 1]) for u in range(17) for v in range(u + 1, 17))
    found = find_curves(spines_of(points[None], SPINE), end_plates=True)
    upper, lower = found.upper[0], found.lower[0]
    major = found.major[0]
    assert found.angles[0, major] == pytest.approx(np.degrees(largest), abs=1e-6)
    assert (upper <= lower).all() and (lower[:2] == upper[1:]).all()


def test_a_double_curve_is_read_as_it_was_drawn():
    """Tilts swing from 5 at T1 to -20 at T6, 25 at T12, 10 at L5."""
    tilts = np.interp(np.arange(17), [0, 5, 11, 16], [5, -20, 25, 10])
    found = {each.name: each for each in measure(SPINE, spine(tilts), None)}
    assert [found[f"cobb_{key}"].value for key in ("pt", "mt", "tl")] == pytest.approx([25, 45, 15])
    assert found["cobb_mt"].note.startswith("upper end vertebra T6, lower T12, apex")
    assert "convex to the right" in found["cobb_mt"].note and "convex to the left" in found["cobb_tl"].note
    assert found["cobb_mt"].category == "severe" and found["cobb_tl"].category == "mild"
    assert found["cobb_mt"].unit == "deg"


def test_end_plates_add_the_wedging_of_the_end_vertebrae():
    """Each vertebra's upper end plate is a degree less tilted than its lower one, as the curve opens."""
    tilts = np.interp(np.arange(17), [0, 5, 11, 16], [5, -20, 25, 10])
    values = PLATES.evaluate(spine(tilts - 0.5, tilts + 0.5)[None], SPINE, ())[0]
    assert values[1] == pytest.approx(46)


@pytest.mark.parametrize(("apex", "where"), [(0.12, 0), (0.42, 1), (0.85, 2)])
@pytest.mark.parametrize("cobb", [30.0, -45.0])
def test_phantoms_have_the_curve_that_was_asked_for(apex, where, cobb):
    rng = np.random.default_rng(int(apex * 100))
    backbone = draw_backbone(rng, (Bend(apex, cobb, 0.1),), 1.0)
    points = np.concatenate([vertebra.corners for vertebra in backbone.vertebrae[FIRST:]])
    values = PLATES.evaluate(points[None], SPINE, ())[0]
    assert values.max() == pytest.approx(abs(cobb), rel=0.12)
    assert values.argmax() == where
    side = "right" if cobb > 0 else "left"
    note = PLATES.shown(points, SPINE, ())[where].note
    assert f"convex to the {side} of the image, major curve" in note


@settings(max_examples=20)
@given(SEEDS)
def test_the_mirrored_spine_bends_to_the_other_side(seed):
    points = random_spine(seed)
    mirrored = points[SPINE.flip_order] * (-1, 1)
    for cobb in (MIDDLE, PLATES):
        np.testing.assert_allclose(
            cobb.evaluate(mirrored[None], SPINE, ()), cobb.evaluate(points[None], SPINE, ()), atol=1e-9
        )
        for before, after in zip(cobb.shown(points, SPINE, ()), cobb.shown(mirrored, SPINE, ()), strict=True):
            swapped = before.note.replace("left", "*").replace("right", "left").replace("*", "right")
            assert after.note == swapped


@settings(max_examples=20)
@given(SEEDS, st.integers(0, 16))
def test_a_line_has_no_direction(seed, level):
    points = random_spine(seed)
    swapped = points.copy()
    swapped[4 * level : 4 * level + 4] = points[4 * level : 4 * level + 4][[1, 0, 3, 2]]
    np.testing.assert_allclose(
        MIDDLE.evaluate(swapped[None], SPINE, ()), MIDDLE.evaluate(points[None], SPINE, ()), atol=1e-6
    )


def test_the_spine_may_end_outside_of_the_image_but_not_have_a_gap():
    tilts = np.interp(np.arange(17), [0, 5, 11, 16], [5, -20, 25, 10])
    cut, gap = spine(tilts), spine(tilts)
    cut[:8], gap[20] = np.nan, np.nan
    found = {each.name: each for each in measure(SPINE, cut, None)}
    assert found["cobb_mt"].value == pytest.approx(45)
    assert found["cobb_pt"].value == pytest.approx(15)  # from T3
    absent = {each.name: each for each in measure(SPINE, gap, None)}["cobb_mt"]
    assert absent.value is None and "T6-UL" in str(absent.reason)


def test_where_the_spine_ends_there_is_no_further_curve():
    tilts = np.linspace(20, -20, 17)
    values, shown = MIDDLE.evaluate(spine(tilts)[None], SPINE, ())[0], MIDDLE.shown(spine(tilts), SPINE, ())
    assert sorted(values) == pytest.approx([0, 0, 40])
    assert shown[int(values.argmin())] == ("the spine ends before another curve", ())


def test_fewer_levels_are_named_as_levels():
    lumbar = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
    tilts = np.interp(np.arange(17), [9, 12, 16], [0, 20, -15])
    values, shown = PLATES.evaluate(spine(tilts)[None], SPINE, lumbar), PLATES.shown(spine(tilts), SPINE, lumbar)
    assert values[0, 2] == pytest.approx(35)
    assert shown[2].note.startswith("upper end vertebra L1, lower L5")


@pytest.mark.parametrize("names", [("T2", "T1", "T3"), ("T1", "T2")])
def test_vertebrae_that_are_no_column_are_refused(names):
    with pytest.raises(ProtocolError, match=names[0]):
        MIDDLE.parts(SPINE, names)


def test_levels_are_those_of_the_protocol():
    assert tuple(LEVELS) == tuple(structure.name for structure in SPINE.structures)


@pytest.mark.parametrize("part, major", [(0.5, "cobb_mt"), (2.0, "cobb_tl")])
def test_the_half_of_the_image_says_which_curve_is_the_lumbar_one(part, major):
    """The same spine, high or low in its image; in pixels or in mm."""
    tilts = np.interp(np.arange(17), [0, 3, 7, 12, 16], [0, 6, -16, 18, 4])
    points = spine(tilts, drift=3 * np.sin(np.arange(17)))  # on both sides of the line between its ends: no single arc
    middle = points[:, 1].mean() / part  # of the image: the spine lies at so many halves of it
    for spacing in (None, (0.2, 0.3)):
        found = measure(SPINE, points, spacing, height=2 * middle)
        largest = max((each for each in found if each.name in ("cobb_pt", "cobb_mt", "cobb_tl")), key=lambda m: m.value)
        assert largest.name == major
