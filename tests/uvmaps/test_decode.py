"""Points read off uv-maps: exact on true maps, steady on bad ones, honest about which is which."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from uvshapes import COUNT, SIZE, draw, learned, turned

from landmarklabel.uvmaps import Regions, Targets, Template, UVDecoderConfig, decode, likelihoods, uv_map

PAPER = UVDecoderConfig(method="softmin")
METHODS = [UVDecoderConfig(), PAPER]


def true_maps(points: np.ndarray, regions: Regions, template: Template) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (1, R, H, W) and uv (1, R, 2, H, W) of a perfect network."""
    logits = torch.from_numpy(regions.masks(points, SIZE)).float() * 20 - 10
    return logits[None], torch.from_numpy(uv_map(points, SIZE, regions, template))[None]


def pose_of_mean(seed: int) -> tuple[np.ndarray, np.ndarray, Regions, Template]:
    """The mean shapes, sheared and stretched, in the image: the map between is affine. And what does that, (2, 2)."""
    rng = np.random.default_rng(seed)
    regions, template = learned()
    slope = np.eye(2) * 0.95 + rng.uniform(-0.15, 0.15, (2, 2))
    home = regions.home
    mean = template.uv[home, np.arange(len(home))] * template.extent[home]
    middle = np.where(home[:, None] == 0, [19.0, 27.0], [52.0, 28.0]) + rng.uniform(-1, 1, 2)
    return mean @ slope.T + middle, slope, regions, template


def known(seed: int) -> tuple[torch.Tensor, torch.Tensor, Targets, torch.Tensor, np.ndarray]:
    points, _, regions, template = pose_of_mean(seed)
    return (
        *true_maps(points, regions, template),
        Targets.landmarks(regions, template),
        torch.from_numpy(template.extent),
        points,
    )


def errors(found: torch.Tensor, points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found.numpy() - points, axis=-1)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_true_maps_give_the_landmarks_back(seed: int) -> None:
    """Also those on the outline, which have pixels on one side alone; surely."""
    logits, uv, targets, extent, points = known(seed)
    found = decode(logits, uv, targets, extent)
    assert errors(found.points, points).max() < 0.75  # a sharp corner may lie outside of all pixels of the mask
    assert errors(found.points, points).mean() < 0.06
    assert found.confidence.mean() > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_bent_maps_give_the_landmarks_back_better_than_the_paper(seed: int) -> None:
    regions, template = learned()
    logits, uv = true_maps(draw(seed), regions, template)
    arguments = (logits, uv, Targets.landmarks(regions, template), torch.from_numpy(template.extent))
    sharp, plain = (errors(decode(*arguments, method).points, draw(seed)).mean() for method in METHODS)
    assert sharp < 0.9
    assert sharp < 0.6 * plain


@pytest.mark.parametrize("seed", range(4))
def test_softmin_is_the_papers(seed: int) -> None:
    """Eq. 3, landmark by landmark."""
    logits, uv, targets, extent, _ = known(seed)
    found = decode(logits, uv, targets, extent, PAPER).points[0]
    for region, place, point in zip(targets.region, targets.uv, found, strict=True):
        y, x = np.nonzero(logits[0, region].numpy() > 0)
        distance = np.linalg.norm(uv[0, region].numpy()[:, y, x].T - place.numpy(), axis=1)
        nearest = np.argsort(distance)[:5]
        weights = np.exp(-distance[nearest])
        expected = (weights[:, None] * np.stack([x, y], axis=1)[nearest]).sum(axis=0) / weights.sum()
        assert point.numpy() == pytest.approx(expected, abs=1e-3)


@given(st.integers(0, 1000), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_any_point_of_the_mean_shape_can_be_read(seed: int, u: float, v: float) -> None:
    """Landmarks nobody trained: inside an outline, where no landmark is."""
    points, slope, regions, template = pose_of_mean(seed)
    logits, uv = true_maps(points, regions, template)
    middle = points[0] - slope @ (template.uv[0, 0] * template.extent[0])
    expected = slope @ (np.array([u, v]) * template.extent[0]) + middle
    target = Targets(torch.tensor([0]), torch.tensor([[u, v]]))
    found = decode(logits, uv, target, torch.from_numpy(template.extent))
    assert errors(found.points, expected).max() < 0.05


@pytest.mark.parametrize("config", METHODS, ids=lambda config: config.method)
@pytest.mark.parametrize("left", [0, 1, 5])
def test_an_empty_or_tiny_mask_is_read_with_low_confidence(config: UVDecoderConfig, left: int) -> None:
    logits, uv, targets, extent, points = known(0)
    y, x = np.nonzero(logits[0, 0].numpy() > 0)
    logits[0, 0] -= 14  # what was the mask is still the most probable
    logits[0, 0, y[:left], x[:left]] = 10
    found = decode(logits, uv.nan_to_num(0.0), targets, extent, config)
    whole = decode(known(0)[0], uv, targets, extent, config)
    assert errors(found.points, points)[0, :COUNT].mean() < errors(whole.points, points)[0, :COUNT].mean() + 0.7
    assert found.confidence[0, :COUNT].mean() < 0.3
    assert (found.confidence[0, COUNT:] == whole.confidence[0, COUNT:]).all()


def test_a_faint_mask_still_says_where() -> None:
    """Nowhere above one half, but more inside than outside."""
    logits, uv, targets, extent, points = known(0)
    found = decode(torch.where(logits > 0, -7.0, -8.0), uv, targets, extent)
    assert errors(found.points, points).mean() < 0.5
    assert found.confidence.max() < 1e-2


def test_a_second_structure_in_the_mask_is_left_alone() -> None:
    """A network that takes two vertebrae for one: the points are of the one that it is surer of, not between them."""
    logits, uv, targets, extent, points = known(0)
    wide = torch.full((*logits.shape[:3], 3 * logits.shape[3]), -8.0)
    maps = torch.zeros(*uv.shape[:4], 3 * uv.shape[4])
    width = logits.shape[3]
    wide[..., :width], maps[..., :width] = torch.where(logits > 0, 2.0, -8.0), uv.nan_to_num(0.0)
    wide[..., 2 * width :], maps[..., 2 * width :] = torch.where(logits > 0, 1.0, -8.0), uv.nan_to_num(0.0)
    found = decode(wide, maps, targets, extent)
    assert errors(found.points, points).mean() < 0.5


@pytest.mark.parametrize("config", METHODS, ids=lambda config: config.method)
@pytest.mark.parametrize("spread", [0.0, 0.3, 100.0])
@settings(max_examples=15)
@given(st.integers(0, 1000))
def test_finite_maps_give_finite_points(config: UVDecoderConfig, spread: float, seed: int) -> None:
    """Whatever a network says, constants and nonsense included."""
    generator = torch.Generator().manual_seed(seed)
    regions, template = learned()
    logits = torch.randn(2, 2, 9, 11, generator=generator) * spread + seed % 3 - 1
    uv = torch.randn(2, 2, 2, 9, 11, generator=generator) * spread
    found = decode(logits, uv, Targets.landmarks(regions, template), torch.from_numpy(template.extent), config)
    assert all(part.isfinite().all() for part in found)
    assert ((found.points >= -1.5) & (found.points <= 11.5)).all()
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    assert torch.linalg.eigvalsh(found.covariance).min() > 0
    assert torch.allclose(found.covariance, found.covariance.mT, rtol=1e-3)


def test_what_cannot_be_read_is_absent() -> None:
    """A region whose map is nowhere finite, and a landmark that has no place on the mean shape."""
    logits, uv, targets, extent, _ = known(0)
    uv[:, 1] = math.nan
    targets.uv[2] = math.nan
    found = decode(logits, uv, targets, extent)
    absent = torch.tensor([index == 2 or index >= COUNT for index in range(2 * COUNT)])
    assert (found.points.isnan().any(dim=-1)[0] == absent).all()
    assert (found.covariance.isnan().any(dim=-1).any(dim=-1)[0] == absent).all()
    assert ((found.confidence[0] == 0) == absent).all()


def test_a_batch_is_its_images_one_by_one() -> None:
    parts = [known(seed) for seed in range(3)]
    targets, extent = parts[0][2:4]
    logits, uv = (torch.cat([part[index] for part in parts]) for index in (0, 1))
    together = decode(logits, uv, targets, extent)
    for index in range(3):
        alone = decode(logits[index, None], uv[index, None], targets, extent)
        assert all(torch.allclose(one[index], other[0]) for one, other in zip(together, alone, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_maps_are_read(dtype: torch.dtype) -> None:
    logits, uv, targets, extent, points = known(1)
    found = decode(logits.to(dtype), uv.to(dtype), targets, extent)
    assert found.points.dtype == torch.float32
    assert errors(found.points, points).mean() < 0.2


def test_single_precision_is_enough_far_from_the_corner() -> None:
    """A structure at the far end of a large image, read in single and in double precision."""
    regions, template = learned()
    points = turned(draw(3) - [20, 28], 0.2, 4.0, (1800, 900))
    size = (2100, 1100)
    logits = torch.from_numpy(regions.masks(points, size))[None].double() * 20 - 10
    uv = torch.from_numpy(uv_map(points, size, regions, template))[None].double()
    targets, extent = Targets.landmarks(regions, template), torch.from_numpy(template.extent)
    single, double = decode(logits.float(), uv.float(), targets, extent), decode(logits, uv, targets, extent)
    assert (single.points - double.points).abs().max() < 0.02


@pytest.mark.parametrize("config", METHODS, ids=lambda config: config.method)
def test_disagreement_shows(config: UVDecoderConfig) -> None:
    """More noise in the map, wider covariances and less confidence."""
    logits, uv, targets, extent, _ = known(2)
    noise = torch.randn(uv.shape, generator=torch.Generator().manual_seed(0))
    found = [decode(logits, uv + amount * noise, targets, extent, config) for amount in (0.0, 0.3, 2.0)]
    widths = [float(each.covariance.diagonal(dim1=-2, dim2=-1).sum(dim=-1).mean()) for each in found]
    confidences = [float(each.confidence.mean()) for each in found]
    assert widths == sorted(widths)
    assert confidences == sorted(confidences, reverse=True)
    assert confidences[2] < 0.7 * confidences[0]


def test_a_map_without_the_place_is_not_believed() -> None:
    """Half of the structure is not seen: its landmarks stay near the mask, and are unsure."""
    logits, uv, targets, extent, points = known(4)
    seen = torch.arange(SIZE[0]) < 19
    logits[:, 0, :, ~seen] = -10
    found = decode(logits, uv, targets, extent)
    hidden = points[:COUNT, 0] > 25
    assert hidden.any()
    assert found.points[0, :COUNT, 0][torch.from_numpy(hidden)].max() < 18 + 1.5 + 1e-3
    assert found.confidence[0, :COUNT][torch.from_numpy(hidden)].max() < 0.6


@pytest.mark.parametrize("wrong", [{"neighbours": 0}, {"bandwidth": -1.0}, {"method": "nearest"}, {"k": 5}])
def test_configs_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        UVDecoderConfig.model_validate(wrong)


def test_likelihoods_are_what_they_say() -> None:
    """Pixel by pixel, at some of them; highest next to the landmark."""
    logits, uv, targets, extent, points = known(3)
    maps = likelihoods(logits, uv, targets, extent, 3.0)
    assert maps.shape == (1, 2 * COUNT, SIZE[1], SIZE[0])
    assert 0 <= maps.min() <= maps.max() <= 1
    rng = np.random.default_rng(0)
    for target in range(2 * COUNT):
        region = int(targets.region[target])
        for y, x in zip(rng.integers(0, SIZE[1], 20), rng.integers(0, SIZE[0], 20), strict=True):
            gap = (uv[0, region, :, y, x] - targets.uv[target]).double() * extent[region]
            probability = 1 / (1 + math.exp(-float(logits[0, region, y, x])))
            expected = probability * math.exp(-float(gap @ gap) / 18) if gap.isfinite().all() else 0.0
            assert float(maps[0, target, y, x]) == pytest.approx(expected, abs=1e-5)
        top = np.unravel_index(int(maps[0, target].argmax()), SIZE[::-1])
        assert np.hypot(*(points[target] - top[::-1])) < 2.5
