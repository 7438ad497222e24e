"""Stated errors of measurements: what they are multiplied by, and what of their dependence is believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import tiny
from landmarklabel.engine.calibration import calibrate
from landmarklabel.engine.data import learn_shape
from landmarklabel.engine.error_calibration import _FACTORS, IMAGES, _factors, _Stated, scaling_of
from landmarklabel.interaction.belief import Belief
from landmarklabel.interaction.error_scaling import ErrorScaling
from landmarklabel.interaction.lowrank import LowRankGaussian
from landmarklabel.interaction.posterior import Posterior, PosteriorConfig
from landmarklabel.io.dataset import Case
from landmarklabel.measurements.measure import measure
from landmarklabel.measurements.uncertainty import JointErrors
from landmarklabel.modelfile import load_model, read_header, save_model
from landmarklabel.protocol import Protocol

QUAD = Protocol.model_validate(
    {
        "name": "quad",
        "title": "Four corners",
        "landmarks": [{"label": label, "name": label} for label in "ABCD"],
        "measurements": [
            {"name": "opening", "angle": ["A", "B", "C"]},
            {"name": "sides", "ratio": [["A", "B"], ["C", "D"]]},
            {"name": "diagonal", "distance": ["A", "C"]},
        ],
    }
)
CORNERS = np.array([[20.0, 20], [20, 80], [80, 80], [80, 20]])
SPREAD = 2.0


def belief(dependence: float, spread: float = SPREAD) -> Belief:
    """Each landmark errs by ``spread``; so much of that variance is common to all of them."""
    common = np.kron(np.ones((4, 4)), np.eye(2)) * dependence + np.eye(8) * (1 - dependence + 1e-6)
    joint = LowRankGaussian.from_covariance(CORNERS, spread**2 * common)
    return Belief(CORNERS, joint.of_points().numpy(), joint)


def cases(folder: Path, count: int, spread: float, seed: int) -> list[Case]:
    """Images whose landmarks lie about the corners, each on its own."""
    Image.fromarray(np.zeros((100, 100), np.uint8)).save(folder / "black.png")
    drawn = np.random.default_rng(seed).normal(0, spread, (count, 4, 2))
    return [Case(f"{number}", folder / "black.png", CORNERS + off) for number, off in enumerate(drawn)]


def held(scaling: ErrorScaling | None, known: Belief, true: list[Case]) -> np.ndarray:
    """(2, P), which part of true values lies in the stated intervals of 68 and 95 %."""
    said = measure(QUAD, CORNERS, None, JointErrors.of(known, scaling=scaling))
    values = np.array([[each.value for each in measure(QUAD, case.points, None)] for case in true], dtype=float)
    ends = np.array([[each.interval68, each.interval95] for each in said], dtype=float).transpose(1, 2, 0)
    return ((ends[:, 0][:, None] <= values) & (values <= ends[:, 1][:, None])).mean(axis=1)


def test_a_dependence_that_is_not_there_is_not_believed(tmp_path: Path) -> None:
    """Stated: all corners move alike. True: each on its own. Validation images tell, and others are held as stated."""
    known = belief(0.9)
    prior = Posterior(known.joint)
    scaling = scaling_of(cases(tmp_path, 40, SPREAD, 5), lambda radiograph: prior, QUAD)
    others = cases(tmp_path, 300, SPREAD, 6)
    assert scaling is not None and scaling.dependence < 1
    assert (held(None, known, others) < [[0.5], [0.8]]).all()
    assert held(scaling, known, others).mean(axis=1) == pytest.approx([0.68, 0.95], abs=0.1)  # 40 images tell no more


@pytest.mark.parametrize("stated", [0.7, 1.6])
def test_errors_that_are_stated_wrongly_are_multiplied(stated: float, tmp_path: Path) -> None:
    known = belief(0.0, stated * SPREAD)
    prior = Posterior(known.joint)
    scaling = scaling_of(cases(tmp_path, 40, SPREAD, 5), lambda radiograph: prior, QUAD)
    assert scaling is not None
    assert scaling.common[0] == pytest.approx((1 / stated, 1 / stated), rel=0.25)
    others = cases(tmp_path, 300, SPREAD, 6)
    assert held(scaling, known, others).mean(axis=1) == pytest.approx([0.68, 0.95], abs=0.1)  # 40 images tell no more


def test_a_definition_counts_as_much_as_images_tell_it(tmp_path: Path) -> None:
    """D is placed in 4 of 40 images, which have no error at all: by itself *sides* would have the least factor."""
    known = belief(0.0)
    prior = Posterior(known.joint)
    validation = cases(tmp_path, 40, SPREAD, 5)
    for case in validation[4:]:
        assert case.points is not None
        case.points[3] = np.nan
    exact = [replace(case, points=CORNERS.copy()) for case in validation[:4]]
    scaling = scaling_of([*exact, *validation[4:]], lambda radiograph: prior, QUAD)
    assert scaling is not None
    own, common, weight = _FACTORS[0], scaling.common[0][0], 4 / (4 + IMAGES)
    assert scaling.measurements["sides"][0][0] == pytest.approx(own**weight * common ** (1 - weight), abs=2e-3)


def test_two_looks_at_an_image_are_one_image() -> None:
    """68 % of what comes next takes all of 5 images; of 10 images, 8 were enough."""
    errors = np.repeat([0.3, 0.6, 0.9, 1.2, 1.5], 2)[:, None]
    ends = np.broadcast_to(np.array([-1.0, 1.0])[None, None, :, None], (10, 2, 2, 1))

    def inner(images: list[int]) -> float:
        stated = _Stated(np.array([str(image) for image in images]), np.zeros((10, 1)), errors, ends)
        return _factors(stated, [np.array([0])])[0]

    assert inner([look // 2 for look in range(10)]) == round(next(factor for factor in _FACTORS if factor >= 1.5), 3)
    assert inner(list(range(10))) == round(next(factor for factor in _FACTORS if factor >= 1.2), 3)


def test_without_measurements_nothing_is_looked_at(tmp_path: Path, triangle: Protocol) -> None:
    assert scaling_of(cases(tmp_path, 5, SPREAD, 0), lambda radiograph: Posterior(belief(0).joint), triangle) is None


@given(st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_each_landmark_errs_as_stated_whatever_is_believed_of_the_others(stated: float, believed: float) -> None:
    known = belief(stated)
    errors = JointErrors.of(known, scaling=ErrorScaling(dependence=believed))
    assert errors.covariances == pytest.approx(known.covariances)
    together = errors.factor[0] @ errors.factor[2].T
    assert together == pytest.approx(believed * known.joint.covariance.numpy()[:2, 4:6], abs=1e-6)


@given(st.floats(0.3, 1.2), st.floats(0.3, 1.5), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_intervals_are_wider_by_their_factor_about_the_value(inner: float, outer: float, clicks: int) -> None:
    outer = max(outer, inner)
    mine = ErrorScaling(measurements={"opening": ((9.0, 9.0),) * clicks + ((inner, outer),)})
    plain, wider = (
        measure(QUAD, CORNERS, None, JointErrors.of(belief(0.5), range(clicks), 1.0, scaling))
        for scaling in (ErrorScaling(), mine)
    )
    for before, after in zip(plain, wider, strict=True):
        factors = (inner, outer) if before.name == "opening" else (1.0, 1.0)
        for one, other, factor in zip(
            (before.interval68, before.interval95), (after.interval68, after.interval95), factors, strict=True
        ):
            assert one is not None and other is not None and before.value is not None
            scaled = before.value + factor * (np.array(one) - before.value)
            assert other == pytest.approx(scaled, abs=0.02 * (one[1] - one[0]) + 1e-9)
    assert after.interval68 is not None and after.interval68[0] <= (after.value or 0) <= after.interval68[1]


def test_more_clicks_count_as_the_last_and_an_unknown_name_as_all() -> None:
    scaling = ErrorScaling(common=((1.0, 2.0), (3.0, 4.0)), measurements={"opening": ((5.0, 6.0),)})
    assert [scaling.of("opening", clicks) for clicks in (0, 7)] == [(5, 6), (5, 6)]
    assert [scaling.of("sides", clicks) for clicks in (0, 1, 7)] == [(1, 2), (3, 4), (3, 4)]


def test_a_distance_is_never_stated_to_be_negative() -> None:
    scaling = ErrorScaling(common=((2.5, 2.5),))
    near = CORNERS.copy()
    near[2] = near[0] + 1
    found = {each.name: each for each in measure(QUAD, near, None, JointErrors.of(belief(0), scaling=scaling))}
    assert found["diagonal"].interval95 is not None
    assert 0 <= found["diagonal"].interval95[0] < found["diagonal"].interval95[1]


def test_a_model_file_keeps_what_was_measured(tmp_path: Path, triangle: Protocol) -> None:
    """Calibration writes it for a protocol with measurements; a header without it, as older ones, is read as well."""
    measured = {"name": "base", "distance": ["left", "right"]}
    protocol = Protocol.model_validate({**triangle.model_dump(exclude_unset=True), "measurements": [measured]})
    data = tiny.dataset(tmp_path / "images", protocol, 10)
    path = tiny.untrained_model(tmp_path / "m.safetensors", protocol, tiny.config())
    network, header, _ = load_model(path)
    assert header.config.posterior.measured is None
    save_model(path, network, header.config, protocol, {}, {}, learn_shape(data.cases))
    torch.set_num_threads(1)
    calibrate(path, data.cases, PosteriorConfig())
    scaling = read_header(path).config.posterior.measured
    assert scaling is not None and len(scaling.measurements["base"]) == len(scaling.common) == 4
    older = read_header(path).config.posterior.model_dump(mode="json")
    del older["measured"]
    assert PosteriorConfig.model_validate(older).measured is None
