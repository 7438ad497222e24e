"""Measuring an image: units, what is absent and why, and intervals against brute force."""

from __future__ import annotations

import json
import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landmarklabel.errors import LabelError
from landmarklabel.interaction.belief import Belief
from landmarklabel.interaction.lowrank import LowRankGaussian
from landmarklabel.measurements.base import Measurement
from landmarklabel.measurements.measure import measure, surest_first
from landmarklabel.measurements.plan import plan_of
from landmarklabel.measurements.uncertainty import JointErrors, reductions
from landmarklabel.phantoms import available, generate
from landmarklabel.protocol import Protocol, load_protocol


def named(measurements: tuple[Measurement, ...]) -> dict[str, Measurement]:
    return {each.name: each for each in measurements}


@cache
def drawn_once() -> np.ndarray:
    return np.array(generate("cephalometric_19", 1)[1].points)


def face() -> np.ndarray:
    return drawn_once().copy()


def belief_of(points: np.ndarray, seed: int = 0, size: float = 5.0, stated: float = 1.0) -> Belief:
    """Errors of about ``size`` that depend on each other; ``stated`` times that variance by themselves."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(points.size, 12)) * size / math.sqrt(12)
    joint = LowRankGaussian.from_covariance(points, mixed @ mixed.T + np.eye(points.size))
    return Belief(points, stated * joint.of_points().numpy(), joint)


def test_lengths_are_in_mm_or_else_in_pixels(cephalometric: Protocol) -> None:
    pixels, mm = named(measure(cephalometric, face(), None)), named(measure(cephalometric, face(), (0.1, 0.1)))
    assert (pixels["S_N"].unit, mm["S_N"].unit) == ("px", "mm")
    assert mm["S_N"].value == pytest.approx(0.1 * (pixels["S_N"].value or 0))
    assert (pixels["SNA"].unit, pixels["SNA"].value) == ("deg", pytest.approx(mm["SNA"].value))
    assert (pixels["FHI"].unit, pixels["Jarabak_ratio"].unit) == ("", "%")


def test_norms_and_classes_of_lengths_need_mm(cephalometric: Protocol) -> None:
    joint = JointErrors.of(belief_of(face()))
    pixels = named(measure(cephalometric, face(), None, joint))
    for name in ("MW", "S_N"):
        assert (pixels[name].category, pixels[name].deviation, pixels[name].probabilities) == (None, None, {})
    assert pixels["SNA"].category is not None
    assert named(measure(cephalometric, face(), (0.1, 0.1), joint))["MW"].category is not None


def test_pixels_need_not_be_square(cephalometric: Protocol) -> None:
    points = face()
    stretched = named(measure(cephalometric, points * (2, 1), (0.05, 0.1)))
    for name, each in named(measure(cephalometric, points, (0.1, 0.1))).items():
        assert stretched[name].value == pytest.approx(each.value)
        ends = np.array([point for line in stretched[name].lines for point in line.points])
        assert ends == pytest.approx(np.array([point for line in each.lines for point in line.points]) * (2, 1))


def test_magnification_shrinks_lengths_and_areas() -> None:
    chest = load_protocol("chest_166")
    points = generate("chest_166", 0)[1].points
    plain = named(measure(chest, points, (0.2, 0.2)))
    smaller = named(measure(chest, points, (0.2, 0.2), magnification=1.1))
    for name, each in plain.items():
        assert each.value is not None
        power = {"mm": 1, "mm2": 2}.get(each.unit, 0)
        assert smaller[name].value == pytest.approx(each.value / 1.1**power)


def test_a_missing_landmark_makes_it_absent_with_the_reason(cephalometric: Protocol) -> None:
    points = face()
    points[cephalometric.index("A")] = np.nan
    found = named(measure(cephalometric, points, (0.1, 0.1), JointErrors.of(belief_of(face()))))
    for name, each in found.items():
        if "A" in each.landmarks:
            assert (each.value, each.interval95, each.sd, each.reliable, each.lines) == (None, None, None, False, ())
            assert each.reason == "needs A, which has no place in this image"
        else:
            assert each.value is not None, name
            assert each.reason is None
    assert found["ANB"].value is None
    assert found["SNB"].value is not None


@pytest.mark.parametrize("name", available())
@pytest.mark.parametrize("known", [False, True])
def test_points_in_one_place_are_absent_not_nan(name: str, known: bool) -> None:
    protocol = load_protocol(name)
    points = np.full((len(protocol), 2), 50.0)
    joint = JointErrors.of(Belief.independent(points, np.zeros((len(points), 2, 2)))) if known else None
    for each in measure(protocol, points, None, joint):
        if each.value is None:
            assert each.reason
        else:
            assert each.value == 0  # a length or an area that is none
    assert any(each.value is None for each in measure(protocol, points, None, joint))


@settings(max_examples=12)
@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 1e-7, 1e6, -1e6, 1e200, math.nan, math.inf]), min_size=38, max_size=38))
def test_never_nan_nor_infinite(coordinates: list[float]) -> None:
    protocol = load_protocol("cephalometric_19")
    points = np.array(coordinates).reshape(19, 2)
    joint = JointErrors.of(belief_of(np.zeros((19, 2))))
    for each in measure(protocol, points, (0.1, 0.1), joint):
        assert (each.value is None) == (each.reason is not None)
        json.dumps(each.as_dict(), allow_nan=False)


def test_the_json_is_plain(cephalometric: Protocol) -> None:
    joint = JointErrors.of(belief_of(face()))
    for each in measure(cephalometric, face(), (0.1, 0.1), joint):
        said = each.as_dict()
        assert json.loads(json.dumps(said, allow_nan=False)) == said
        assert said.keys() >= {"name", "value", "unit", "landmarks", "reliable", "interval95", "lines"}


def test_what_is_not_points_is_refused(cephalometric: Protocol) -> None:
    for points, spacing, magnification, words in [
        (np.zeros((3, 2)), None, None, r"\(19, 2\), got shape \(3, 2\)"),
        (face(), (0.1, 0.0), None, "spacing must be two positive"),
        (face(), (0.1, 0.1), -1.0, "magnification must be a positive number, got -1"),
    ]:
        with pytest.raises(LabelError, match=words):
            measure(cephalometric, points, spacing, magnification=magnification)


def test_errors_are_those_that_are_stated() -> None:
    """Each landmark's own spread is that of the belief, and landmarks depend on each other as they did."""
    belief = belief_of(face(), stated=4.0)
    errors = JointErrors.of(belief)
    assert errors.covariances == pytest.approx(belief.covariances)
    drawn = errors.sample(400, seed=3).reshape(400, -1)  # more than their dimensions
    covariance = drawn.T @ drawn / 400
    assert covariance == pytest.approx(4 * belief.joint.covariance.numpy(), abs=1e-6)
    assert drawn.mean(axis=0) == pytest.approx(0, abs=1e-9)


def test_errors_keep_their_dependence_when_landmarks_are_restated() -> None:
    """Each is stretched by as much as its own statement says, without a turn."""
    belief = belief_of(face())
    stretched = belief.covariances * np.linspace(1, 4, 19)[:, None, None]
    errors = JointErrors.of(Belief(belief.mean, stretched, belief.joint))
    expected = belief.joint.factor.numpy() * np.sqrt(np.linspace(1, 4, 19))[:, None, None]
    assert errors.factor == pytest.approx(expected, abs=1e-6)


def test_what_a_person_placed_has_a_persons_error() -> None:
    errors = JointErrors.of(belief_of(face()), [0, 4], noise=2.0)
    assert np.flatnonzero(errors.placed).tolist() == [0, 4]
    assert errors.covariances[[0, 4]] == pytest.approx(np.stack([4 * np.eye(2)] * 2))
    assert not errors.factor[[0, 4]].any()
    certain = JointErrors.of(belief_of(face()), [0])
    assert not certain.sample(10)[:, 0].any()


def brute_force(protocol: Protocol, points: np.ndarray, belief: Belief, spacing: float) -> dict[str, np.ndarray]:
    """Values of sets of landmarks, drawn with numpy from the whole covariance."""
    drawn = np.random.default_rng(5).multivariate_normal(np.zeros(points.size), belief.joint.covariance.numpy(), 20_000)
    plan = plan_of(protocol)
    values = plan.values(spacing * (points + drawn.reshape(-1, *points.shape)))
    return {part.name: column for (part, _), column in zip(plan, values.T, strict=True)}


def test_intervals_against_brute_force(cephalometric: Protocol) -> None:
    belief = belief_of(face())
    found = named(measure(cephalometric, face(), (0.1, 0.1), JointErrors.of(belief)))
    for name, values in brute_force(cephalometric, face(), belief, 0.1).items():
        each = found[name]
        assert each.sd == pytest.approx(values.std(), rel=0.05), name
        for interval, share in ((each.interval68, 0.68), (each.interval95, 0.95)):
            assert interval is not None
            inside = ((values >= interval[0]) & (values <= interval[1])).mean()
            assert inside == pytest.approx(share, abs=0.06), name
        for category, probability in each.probabilities.items():
            classes = next(d.classes for d in cephalometric.measurements if d.name == name)
            (limits,) = (c for c in classes if c.name == category)
            assert probability == pytest.approx(np.mean([limits.holds(v) for v in values]), abs=0.06), name


def test_intervals_of_smooth_values_are_those_of_linearisation(cephalometric: Protocol) -> None:
    """With small errors, the gradient and the covariance give the deviation."""
    belief = belief_of(face(), size=1.0)
    covariance = belief.joint.covariance.numpy()
    found = measure(cephalometric, face(), (0.1, 0.1), JointErrors.of(belief))
    gradient = np.zeros((len(found), 38))
    for coordinate in range(38):
        step = np.zeros(38)
        step[coordinate] = 1e-3
        ahead, behind = (measure(cephalometric, face() + s.reshape(-1, 2), (0.1, 0.1)) for s in (step, -step))
        gradient[:, coordinate] = [((a.value or 0) - (b.value or 0)) / 2e-3 for a, b in zip(ahead, behind, strict=True)]
    expected = np.sqrt(np.einsum("pi,ij,pj->p", gradient, covariance, gradient))
    for each, deviation in zip(found, expected, strict=True):
        if each.name == "MW":  # edge to edge, where its sign jumps
            continue
        assert each.sd == pytest.approx(deviation, rel=0.02), each.name
        assert each.value is not None
        assert each.interval95 is not None
        assert (each.interval95[1] - each.interval95[0]) / 2 == pytest.approx(1.96 * deviation, rel=0.15)


def test_errors_that_move_all_landmarks_alike_leave_angles_sure(cephalometric: Protocol) -> None:
    """Not independent errors: a whole that is a centimetre off has the same angles."""
    points = face()
    factor = np.tile(np.eye(2) * 100.0, (19, 1, 1))
    joint = LowRankGaussian(*(torch.from_numpy(a) for a in (points, factor, np.tile(np.eye(2) * 1e-6, (19, 1, 1)))))
    belief = Belief(points, joint.of_points().numpy(), joint)
    for each in measure(cephalometric, points, (0.1, 0.1), JointErrors.of(belief)):
        assert each.sd is not None
        assert each.sd < 0.01


def test_to_correct_what_is_unsure_is_what_helps(cephalometric: Protocol) -> None:
    points, own = face(), np.tile(np.eye(2), (19, 1, 1))
    own[cephalometric.index("B")] *= 400
    joint = JointErrors.of(Belief.independent(points, own))
    found = named(measure(cephalometric, points, (0.1, 0.1), joint))
    assert {found[name].improve for name in ("SNB", "ANB", "APDI", "L1_NB")} == {"B"}
    assert surest_first(cephalometric, points, (0.1, 0.1), joint, "ANB")[0] == "B"
    placed = JointErrors.of(Belief.independent(points, own), [cephalometric.index("B")], noise=0.5)
    assert named(measure(cephalometric, points, (0.1, 0.1), placed))["SNB"].improve in ("S", "N")
    assert "B" not in surest_first(cephalometric, points, (0.1, 0.1), placed, "ANB")


def test_nobody_is_asked_to_place_what_is_surer_than_a_hand(cephalometric: Protocol) -> None:
    points = face()
    sure = JointErrors.of(Belief.independent(points, np.tile(0.5**2 * np.eye(2), (len(points), 1, 1))), noise=1.0)
    assert all(each.improve is None for each in measure(cephalometric, points, (1.0, 1.0), sure))
    asked = surest_first(cephalometric, points, (1.0, 1.0), sure, "ANB")
    assert set(asked) >= {"N", "A", "B"}, "who asks for this measurement is told where to look all the same"


def test_the_expected_reduction_comes_true(cephalometric: Protocol) -> None:
    """Placing a landmark lowers the variance of a linear value by what was said."""
    belief, target = belief_of(face(), size=2.0), "S_N"
    joint, noise = JointErrors.of(belief, noise=1.0), 1.0
    first = surest_first(cephalometric, face(), None, joint, target)[0]
    index = cephalometric.index(first)
    after = belief.joint.observe([index], [belief.mean[index]], noise)
    before_sd = named(measure(cephalometric, face(), None, joint))[target].sd
    later = JointErrors.of(Belief(face(), after.of_points().numpy(), after))
    after_sd = named(measure(cephalometric, face(), None, later))[target].sd
    assert before_sd is not None
    assert after_sd is not None
    errors = joint.sample(500)
    start, end = cephalometric.index("S"), cephalometric.index("N")
    line = (face()[end] - face()[start]) / np.hypot(*(face()[end] - face()[start]))
    linear = ((errors[:, end] - errors[:, start]) @ line)[:, None]
    assert 1 - (after_sd / before_sd) ** 2 == pytest.approx(reductions(linear, errors, joint)[0, index], abs=0.02)


def test_an_unknown_measurement_is_named(cephalometric: Protocol) -> None:
    joint = JointErrors.of(belief_of(face()))
    with pytest.raises(LabelError, match="'SNC' is not a measurement of cephalometric_19, which has SNA, SNB, ANB"):
        surest_first(cephalometric, face(), None, joint, "SNC")


def test_reliable_is_what_lies_in_one_class_by_landmarks_that_are_sure(cephalometric: Protocol) -> None:
    points = face()
    points[cephalometric.index("U1")] = points[cephalometric.index("L1")] + (32, 0)  # 3.2 mm, from 2 to 4.5 is normal

    def overjet(deviation: float) -> Measurement:
        joint = JointErrors.of(Belief.independent(points, np.tile(np.eye(2) * deviation**2, (19, 1, 1))))
        return named(measure(cephalometric, points, (0.1, 0.1), joint))["MW"]

    assert overjet(1.0).reliable
    assert not overjet(10.0).reliable  # in either of two classes
    assert max(overjet(10.0).probabilities, key=overjet(10.0).probabilities.__getitem__) == "normal overjet"
    joint = JointErrors.of(Belief.independent(points, np.tile(np.eye(2) * 900.0, (19, 1, 1))))
    assert not named(measure(cephalometric, points, (0.1, 0.1), joint))["S_N"].reliable  # no classes, unsure landmarks
    assert not named(measure(cephalometric, points, (0.1, 0.1)))["S_N"].reliable  # nothing known of errors


def test_the_same_answer_for_the_same_seed(cephalometric: Protocol) -> None:
    joint = JointErrors.of(belief_of(face()))
    assert measure(cephalometric, face(), None, joint) == measure(cephalometric, face(), None, joint)
    assert measure(cephalometric, face(), None, joint) != measure(cephalometric, face(), None, joint, seed=1)
