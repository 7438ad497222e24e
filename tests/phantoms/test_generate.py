"""What every anatomy's phantoms promise."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from landmarklabel.errors import ConfigError
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.phantoms import available, default_size, generate
from landmarklabel.protocol import Protocol, load_protocol
from landmarklabel.radiograph import Radiograph, SpacingSource

SEEDS = range(24)
Cohort = list[tuple[Radiograph, LandmarkSet]]


def small(name: str) -> tuple[int, int]:
    width, height = default_size(name)
    return width // 4, height // 4


@cache
def cohort_of(name: str) -> Cohort:
    return [generate(name, seed, small(name)) for seed in SEEDS]


@pytest.fixture(scope="module", params=available())
def cohort(request: pytest.FixtureRequest) -> Cohort:
    return cohort_of(request.param)


def test_available_are_the_three_anatomies_and_have_protocols() -> None:
    assert available() == ("cephalometric_19", "chest_166", "spine_68")
    assert all(load_protocol(name).name == name for name in available())


@pytest.mark.parametrize("name", available())
def test_the_same_seed_gives_the_same_bits(name: str) -> None:
    (first, points), (again, same) = (generate(name, 7) for _ in range(2))
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(points.points, same.points)
    assert first.window == again.window


@pytest.mark.parametrize("name", available())
def test_another_seed_is_another_patient(name: str) -> None:
    (first, points), (other, others) = (generate(name, seed, small(name)) for seed in (1, 2))
    assert np.mean(first.pixels == other.pixels) < 0.5
    assert np.abs(points.points - others.points).mean() > 0.5


@pytest.mark.parametrize("name", available())
def test_another_size_is_the_same_patient(name: str) -> None:
    width, height = default_size(name)
    (large, fine), (half, coarse) = (generate(name, 3, size) for size in ((width, height), (width // 2, height // 2)))
    assert np.allclose((coarse.points + 0.5) * 2 - 0.5, fine.points, atol=1e-6)
    assert half.spacing[0] == pytest.approx(2 * large.spacing[0])
    binned = large.pixels.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    assert np.corrcoef(binned.ravel(), half.pixels.ravel().astype(float))[0, 1] > 0.98


@pytest.mark.parametrize("name", available())
@pytest.mark.parametrize("size", [(160, 64), (64, 160)])
def test_another_aspect_ratio_holds_the_whole_field(name: str, size: tuple[int, int]) -> None:
    radiograph, landmarks = generate(name, 5, size)
    assert radiograph.size == size
    assert radiograph.spacing[0] == radiograph.spacing[1]
    landmarks.require_inside(radiograph.geometry)


def test_pixels_are_twelve_bits_and_spacing_is_given(cohort: Cohort) -> None:
    for radiograph, _ in cohort:
        assert radiograph.pixels.dtype == np.uint16
        assert radiograph.pixels.max() <= 4095
        assert radiograph.spacing_source is SpacingSource.GIVEN
        assert radiograph.spacing == radiograph.geometry.spacing
        assert radiograph.window is not None
        low, high = radiograph.window
        assert 0 <= low < high <= 4095
        assert np.ptp(radiograph.display().astype(int)) > 150


def test_all_landmarks_are_confirmed_and_on_the_image(cohort: Cohort) -> None:
    for radiograph, landmarks in cohort:
        assert set(landmarks.status) == {Status.CONFIRMED}
        landmarks.require_inside(radiograph.geometry)


def test_landmarks_follow_the_rules_of_their_protocol(cohort: Cohort) -> None:
    for _, landmarks in cohort:
        assert not broken_rules(landmarks)


def broken_rules(landmarks: LandmarkSet) -> list[str]:
    protocol: Protocol = landmarks.protocol

    def middle(name: str) -> np.ndarray:
        return np.asarray(landmarks.points[protocol.indices(name)].mean(axis=0))

    broken = []
    for rule in protocol.rules:
        axis, names = (0, rule.left_of) if rule.left_of else (1, rule.above or rule.downwards or ())
        places = [middle(name)[axis] for name in names]
        if not all(a < b for a, b in pairwise(places)):
            broken.append(str(rule))
    return broken


def test_every_landmark_varies_between_patients(cohort: Cohort) -> None:
    points = np.array([landmarks.points * radiograph.spacing for radiograph, landmarks in cohort])
    assert points.std(axis=0).min() > 2.0  # mm, in x and in y
    # The shape itself varies too, not only where it stands.
    shape = points - points.mean(axis=1, keepdims=True)
    assert np.hypot(*shape.std(axis=0).T).min() > 1.0


def test_brightness_varies_between_images(cohort: Cohort) -> None:
    medians = [np.median(radiograph.display()) for radiograph, _ in cohort]
    assert np.std(medians) > 5


def test_landmarks_of_a_vertebra_are_in_order() -> None:
    for _, landmarks in cohort_of("spine_68"):
        points = landmarks.points.reshape(17, 4, 2)
        upper_left, upper_right, lower_left, lower_right = points.transpose(1, 0, 2)
        assert (upper_left[:, 0] < upper_right[:, 0]).all()
        assert (lower_left[:, 0] < lower_right[:, 0]).all()
        assert (upper_left[:, 1] < lower_left[:, 1]).all()
        assert (upper_right[:, 1] < lower_right[:, 1]).all()


def test_an_unknown_protocol_is_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match="no phantoms for 'hand_37'; choose one of cephalometric_19, chest"):
        generate("hand_37", 0)
    with pytest.raises(ConfigError, match="no phantoms for 'hand_37'"):
        default_size("hand_37")


def test_a_negative_seed_and_a_tiny_size_are_refused() -> None:
    with pytest.raises(ConfigError, match="can't be negative, got -1"):
        generate("spine_68", -1)
    with pytest.raises(ConfigError, match="16 x 300 pixels"):
        generate("spine_68", 1, (16, 300))
