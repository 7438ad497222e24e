"""What every composed measurement promises, whatever it measures."""

from __future__ import annotations

import bodies
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmarklabel.errors import ProtocolError
from landmarklabel.measurements.composed import COMPOSED

KINDS = sorted(COMPOSED)
SEEDS = st.integers(0, 2**16)

#: By which power of a scale a value grows.
POWERS = {"length": 1, "area": 2}


def measured(kind: str, points: np.ndarray) -> np.ndarray:
    return COMPOSED[kind].evaluate(points, bodies.ALL[kind][0], bodies.structures(kind))


def drawn(kind: str, seed: int) -> np.ndarray:
    return bodies.ALL[kind][1](np.random.default_rng(seed))


def powers(kind: str) -> np.ndarray:
    parts = COMPOSED[kind].parts(bodies.ALL[kind][0], bodies.structures(kind))
    return np.array([POWERS.get(part.unit, 0) for part in parts])


def test_every_kind_is_tried_here():
    assert set(bodies.ALL) == set(COMPOSED)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_values_notes_and_lines_belong_together(kind):
    protocol, names = bodies.ALL[kind][0], bodies.structures(kind)
    points = drawn(kind, 1)
    parts = COMPOSED[kind].parts(protocol, names)
    assert measured(kind, points[None]).shape == (1, len(parts))
    assert len({part.name for part in parts}) == len(parts)
    for part, (_, lines) in zip(parts, COMPOSED[kind].shown(points, protocol, names), strict=True):
        assert set(part.landmarks) <= set(protocol.labels)
        assert lines or part.name.startswith("cobb")  # a spine may have fewer curves than three
        assert all(len(line.points) >= 2 and np.isfinite(line.points).all() for line in lines)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12)
@given(seed=SEEDS)
def test_a_batch_is_as_one_by_one(kind, seed):
    rng = np.random.default_rng(seed)
    points = drawn(kind, seed % 20) + rng.normal(0, 2, (4, len(bodies.ALL[kind][0]), 2))
    one_by_one = np.concatenate([measured(kind, each[None]) for each in points])
    np.testing.assert_allclose(measured(kind, points), one_by_one, rtol=1e-9, atol=1e-9)
    spread = np.ascontiguousarray(points.transpose(1, 2, 0)).transpose(2, 0, 1)  # as samples are drawn
    np.testing.assert_allclose(measured(kind, spread), one_by_one, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12)
@given(seed=SEEDS, turn=st.floats(-180, 180), scale=st.floats(0.05, 20))
def test_where_the_image_lies_does_not_matter(kind, seed, turn, scale):
    points, angle = drawn(kind, seed % 20), np.deg2rad(turn)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moved = scale * (points @ rotation) + np.random.default_rng(seed).uniform(-1000, 1000, 2)
    before, after = measured(kind, points[None])[0], measured(kind, moved[None])[0]
    np.testing.assert_allclose(after, before * scale ** powers(kind), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if bodies.ALL[kind][0].symmetry is None])
@settings(max_examples=12)
@given(seed=SEEDS)
def test_a_mirrored_image_measures_the_same(kind, seed):
    points = drawn(kind, seed % 20)
    np.testing.assert_allclose(measured(kind, points[None] * (-1, 1)), measured(kind, points[None]), atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12)
@given(seed=SEEDS)
def test_what_is_not_there_is_not_measured(kind, seed):
    rng, points = np.random.default_rng(seed), drawn(kind, seed % 20)
    protocol, names = bodies.ALL[kind][0], bodies.structures(kind)
    missing = rng.random(len(points)) < rng.uniform(0, 0.4)
    points[missing] = np.nan
    values = measured(kind, points[None])[0]
    assert not np.isinf(values).any()
    for part, value, (_, lines) in zip(
        COMPOSED[kind].parts(protocol, names), values, COMPOSED[kind].shown(points, protocol, names), strict=True
    ):
        needed = [protocol.index(label) for label in part.landmarks]
        if not missing[needed].any() and not part.name.startswith("cobb"):
            assert np.isfinite(value)
        assert all(np.isfinite(line.points).all() for line in lines)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0.0, np.nan])
def test_nothing_is_measured_on_points_in_one_place(kind, place):
    protocol, names = bodies.ALL[kind][0], bodies.structures(kind)
    points = np.full((len(protocol), 2), place)
    assert np.isnan(measured(kind, points[None])[:, powers(kind) == 0]).all()
    assert np.nan_to_num(measured(kind, points[None])).max() == 0
    COMPOSED[kind].shown(points, protocol, names)


@pytest.mark.parametrize("kind", KINDS)
def test_structures_that_are_not_there_are_named(kind):
    with pytest.raises(ProtocolError, match="nowhere"):
        COMPOSED[kind].parts(bodies.ALL[kind][0], ("nowhere",))
