"""Heat maps: encode then decode gives the point back, at any scale, size and number of landmarks."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.heatmaps import DecoderConfig, decode, encode, from_map, to_map

SIGMAS = [1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0]
EXACT = ["soft_argmax", "local_soft_argmax", "dark"]


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("method", EXACT)
@given(seed=st.integers(0, 10_000))
def test_encode_then_decode_is_exact(sigma: float, method: str, seed: int) -> None:
    """To 0.05 pixels of the map, for points as far inside as their Gaussian reaches."""
    margin = math.ceil(4 * sigma)
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(2, 5, 2, generator=generator) * torch.tensor([30.0, 20.0]) + margin
    maps = encode(points, (31 + 2 * margin, 21 + 2 * margin), sigma)
    decoded, confidence = decode(maps, sigma, DecoderConfig(method=method))  # type: ignore[arg-type]
    assert (decoded - points).abs().max() < 0.05
    assert confidence.min() > 0.85


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("method", ["local_soft_argmax", "dark"])
def test_exact_through_a_map_of_any_stride(stride: int, method: str) -> None:
    points = torch.tensor([[[61.3, 70.9], [80.0, 81.5], [99.99, 64.01]]])
    maps = encode(to_map(points, stride), (160 // stride, 160 // stride), 3.0)
    decoded = from_map(decode(maps, 3.0, DecoderConfig(method=method))[0], stride)  # type: ignore[arg-type]
    assert (decoded - points).abs().max() < 0.05 * stride


@given(st.floats(-100, 3000), st.sampled_from([1, 2, 4, 8]))
def test_map_coordinates_go_both_ways(x: float, stride: int) -> None:
    point = torch.tensor([x, -x], dtype=torch.float64)
    assert torch.allclose(from_map(to_map(point, stride), stride), point)


def test_a_pixel_of_a_coarser_map_covers_whole_pixels() -> None:
    """The outline of the map is the outline of the input: (-0.5, -0.5) in both."""
    assert to_map(torch.tensor([-0.5, -0.5]), 4).tolist() == [-0.5, -0.5]
    assert from_map(torch.tensor([0.0, 0.0]), 2).tolist() == [0.5, 0.5]


def test_the_map_is_the_papers_gaussian() -> None:
    """FARNet, Eq. 1, at every pixel, computed one by one."""
    x, y, sigma = 3.3, 1.8, 1.7
    maps = encode(torch.tensor([[x, y]], dtype=torch.float64), (7, 5), sigma)
    for i in range(5):
        for j in range(7):
            expected = math.exp(-((j - x) ** 2 + (i - y) ** 2) / (2 * sigma**2))
            assert maps[0, i, j] == pytest.approx(expected)


def test_the_maximum_is_the_brightest_pixel() -> None:
    maps = encode(torch.tensor([[[10.4, 7.6]]]), (20, 16), 2.0)
    decoded, confidence = decode(maps, 2.0, DecoderConfig(method="maximum"))
    assert decoded.tolist() == [[[10.0, 8.0]]]
    assert confidence.item() == pytest.approx(math.exp(-(0.4**2 + 0.4**2) / 8))


def test_an_absent_landmark_has_an_empty_map() -> None:
    maps = encode(torch.tensor([[math.nan, 3.0], [4.0, 3.0]]), (9, 9), 2.0)
    assert maps[0].abs().max() == 0
    assert maps[1].max() == 1
    assert torch.isfinite(maps).all()


@pytest.mark.parametrize("method", ["maximum", *EXACT])
@pytest.mark.parametrize("value", [0.0, -1.0, 1.0])
def test_flat_maps_are_answered_with_a_point_of_the_map(method: str, value: float) -> None:
    decoded, confidence = decode(torch.full((1, 2, 8, 9), value), 3.0, DecoderConfig(method=method))  # type: ignore[arg-type]
    assert torch.isfinite(decoded).all()
    assert ((decoded >= -0.5) & (decoded <= 9)).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()


@pytest.mark.parametrize("method", ["local_soft_argmax", "dark"])
def test_a_low_peak_is_found_as_well_as_a_high_one(method: str) -> None:
    points = torch.rand(1, 20, 2, generator=torch.Generator().manual_seed(0)) * 30 + 20
    maps = encode(points, (70, 70), 4.0)
    config = DecoderConfig(method=method)  # type: ignore[arg-type]
    assert (decode(maps * 0.1, 4.0, config)[0] - points).abs().max() < 0.05


def test_a_second_weaker_peak_does_not_pull() -> None:
    """What sets local soft-argmax and DARK apart from the centre of mass."""
    near, far = torch.tensor([[[20.3, 20.7]]]), torch.tensor([[[60.0, 50.0]]])
    maps = encode(near, (80, 70), 3.0) + 0.7 * encode(far, (80, 70), 3.0)
    for method in ("local_soft_argmax", "dark"):
        assert (decode(maps, 3.0, DecoderConfig(method=method))[0] - near).norm() < 0.1  # type: ignore[arg-type]
    assert (decode(maps, 3.0, DecoderConfig(method="soft_argmax"))[0] - near).norm() > 10


@pytest.mark.parametrize("method", ["local_soft_argmax", "dark"])
def test_a_peak_at_the_border_stays_on_the_map(method: str) -> None:
    points = torch.tensor([[[0.0, 0.0], [39.0, 29.0], [0.2, 15.0]]])
    decoded = decode(encode(points, (40, 30), 3.0), 3.0, DecoderConfig(method=method))[0]  # type: ignore[arg-type]
    assert (decoded - points).abs().max() < 1.5
