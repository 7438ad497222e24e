"""Heat maps as evidence: a normal distribution times a map, against the sum over all its pixels."""

import numpy as np
import pytest
import torch

from landmarklabel.interaction.evidence import MapEvidence

SCALE, OFFSET = np.array([4.0, 4.0]), np.array([1.5, 1.5])


def multiply(evidence: MapEvidence, mean: np.ndarray, covariance: np.ndarray) -> list[np.ndarray]:
    return [part.numpy() for part in evidence.multiply(torch.from_numpy(mean), torch.from_numpy(covariance))]


def bumps(*peaks: tuple[float, float, float], size: tuple[int, int] = (40, 32)) -> torch.Tensor:
    """A map (H, W) with a bump of sigma 2 at each (x, y), of a height."""
    y, x = np.mgrid[: size[1], : size[0]]
    maps = sum(height * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8) for px, py, height in peaks)
    return torch.from_numpy(np.asarray(maps))


def by_all_pixels(
    maps: torch.Tensor, mean: np.ndarray, covariance: np.ndarray, sharpness: float, floor: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """The same product on a grid four times as fine, map pixels being squares, far beyond the map the floor."""
    fine = np.arange(-200, 400, 1.0)
    x, y = np.meshgrid(fine, fine)
    column, row = np.rint((x - OFFSET[0]) / SCALE[0]).astype(int), np.rint((y - OFFSET[1]) / SCALE[1]).astype(int)
    inside = (column >= 0) & (column < maps.shape[1]) & (row >= 0) & (row < maps.shape[0])
    likelihood = np.ones(x.shape)
    likelihood[inside] += (maps.numpy()[row[inside], column[inside]] / floor) ** sharpness
    offset = np.stack([x, y], -1) - mean
    density = np.exp(-np.einsum("yxi,ij,yxj->yx", offset, np.linalg.inv(covariance), offset) / 2)
    density /= 2 * np.pi * np.sqrt(np.linalg.det(covariance))
    product = likelihood * density
    total = product.sum()
    at = np.einsum("yx,yxi->i", product, offset) / total
    spread = np.einsum("yx,yxi,yxj->ij", product, offset, offset) / total - np.outer(at, at)
    return float(np.log(total)), mean + at, spread


@pytest.mark.parametrize("floor", [0.5, 0.01])
@pytest.mark.parametrize("sharpness", [1.0, 2.0])
@pytest.mark.parametrize("peaks", [[(20, 15, 0.9)], [(12, 10, 0.6), (25, 20, 0.8)], []])
def test_the_product_is_that_of_all_pixels(peaks: list, sharpness: float, floor: float) -> None:
    maps = bumps(*peaks) if peaks else torch.zeros(32, 40)
    mean, covariance = np.array([70.0, 55.0]), np.array([[600.0, 150.0], [150.0, 400.0]])
    evidence = MapEvidence.from_maps(maps[None], SCALE, OFFSET, sharpness, floor, most=32 * 40)
    total, at, spread = multiply(evidence, mean[None], covariance[None])
    expected = by_all_pixels(maps, mean, covariance, sharpness, floor)
    assert total[0] == pytest.approx(expected[0], abs=0.01)
    np.testing.assert_allclose(at[0], expected[1], atol=0.1)
    np.testing.assert_allclose(spread[0], expected[2], rtol=0.02, atol=2)


def test_few_pixels_say_what_all_of_them_do() -> None:
    maps = bumps((20.3, 15.6, 0.9))
    mean, covariance = np.array([[70.0, 55.0]]), np.array([[[600.0, 150.0], [150.0, 400.0]]])
    all_of_them = multiply(MapEvidence.from_maps(maps[None], SCALE, OFFSET, 2.0, 0.01, most=1280), mean, covariance)
    few = multiply(MapEvidence.from_maps(maps[None], SCALE, OFFSET, 2.0, 0.01, most=100), mean, covariance)
    np.testing.assert_allclose(few[1], all_of_them[1], atol=0.02)


def test_a_sharp_map_is_read_to_a_fraction_of_its_pixel() -> None:
    """Whatever a wide prior says."""
    for x, y in ((20.0, 15.0), (20.3, 15.6), (19.5, 14.5)):
        evidence = MapEvidence.from_maps(bumps((x, y, 1.0))[None], SCALE, OFFSET, 2.0, 0.001)
        _, at, _ = multiply(evidence, np.array([[70.0, 55.0]]), np.array([np.eye(2) * 1e4]))
        np.testing.assert_allclose(at[0], np.array([x, y]) * SCALE + OFFSET, atol=0.15)


def test_values_below_zero_say_nothing() -> None:
    evidence = MapEvidence.from_maps(torch.full((1, 8, 8), -1.0), SCALE, OFFSET, 2.0, 0.01)
    mean, covariance = np.array([[10.0, 12.0]]), np.array([[[9.0, 2.0], [2.0, 4.0]]])
    total, at, spread = multiply(evidence, mean, covariance)
    assert total[0] == 0
    np.testing.assert_allclose(at, mean)
    np.testing.assert_allclose(spread, covariance)


@pytest.mark.parametrize("sharpness", [1.0, 30.0])
def test_on_another_grid_it_is_what_lies_between_its_pixels(sharpness: float) -> None:
    """Against the maps themselves, their log read by linear interpolation in each direction; also of huge ones."""
    maps = torch.stack([bumps((20, 15, 0.9)), bumps((5, 28, 0.4))])
    evidence = MapEvidence.from_maps(maps, SCALE, OFFSET, sharpness, 1e-3, most=32 * 40)
    first, step, size = np.array([10.3, 21.0]), np.array([2.5, 3.0]), (25, 40)
    found = evidence.on_grid(first, step, size)
    column = (first[0] + np.arange(size[1]) * step[0] - OFFSET[0]) / SCALE[0]
    row = (first[1] + np.arange(size[0]) * step[1] - OFFSET[1]) / SCALE[1]
    for said, whole in zip(found, maps, strict=True):
        logs = np.log1p((whole.numpy() / 1e-3) ** sharpness)
        across = np.stack([np.interp(column, np.arange(40), line) for line in logs])
        expected = np.stack([np.interp(row, np.arange(32), line) for line in across.T], axis=1)
        np.testing.assert_allclose(said.numpy(), expected, rtol=1e-4, atol=1e-3)


def test_on_another_grid_nothing_is_said_beyond_the_pixels_that_stand_out() -> None:
    evidence = MapEvidence.from_maps(bumps((20, 15, 0.9))[None], SCALE, OFFSET, 1.0, 0.01, most=9)
    found = evidence.on_grid(np.array([-40.0, -40.0]), np.array([4.0, 4.0]), (80, 80))
    rows, columns = found[0].nonzero().T
    places = np.stack([columns * 4 - 40, rows * 4 - 40], axis=-1)
    assert len(places) > 4
    assert np.abs(places - (np.array([20, 15]) * SCALE + OFFSET)).max() <= 8
