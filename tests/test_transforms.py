"""Image and points move together, exactly, and back."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.heatmaps import decode, encode
from landmarklabel.protocol import Protocol, load_protocol
from landmarklabel.radiograph import Radiograph
from landmarklabel.transforms import Augmentation, AugmentationConfig, Placement
from landmarklabel.transforms.augmentation import transform_points, warp
from landmarklabel.transforms.intensity import place_radiograph, to_network

SPINE = load_protocol("spine_68")
sizes = st.tuples(st.integers(8, 3000), st.integers(8, 3000))


@given(sizes, sizes, st.sampled_from(["stretch", "letterbox"]), st.integers(0, 10_000))
def test_points_go_into_an_input_and_back(source, target, fit, seed: int) -> None:  # type: ignore[no-untyped-def]
    placement = Placement(source, target, fit)
    points = np.random.default_rng(seed).uniform(-0.5, np.array(source) - 0.5, (9, 2))
    assert np.allclose(placement.points_back(placement.points(points)), points, atol=1e-6)


@given(sizes, sizes, st.sampled_from(["stretch", "letterbox"]))
def test_outlines_fall_onto_each_other(source, target, fit) -> None:  # type: ignore[no-untyped-def]
    """A resize by s maps x to (x + 0.5) s - 0.5."""
    placement = Placement(source, target, fit)
    corner = np.array(placement.offset) - 0.5
    assert placement.points((-0.5, -0.5)) == pytest.approx(corner)
    assert placement.points(np.array(source) - 0.5) == pytest.approx(corner + placement.inner)


@given(sizes, sizes)
def test_a_letterbox_keeps_the_aspect_and_fits(source, target) -> None:  # type: ignore[no-untyped-def]
    placement = Placement(source, target, "letterbox")
    assert all(inner <= whole for inner, whole in zip(placement.inner, target, strict=True))
    assert any(inner == whole for inner, whole in zip(placement.inner, target, strict=True))
    sx, sy = placement.scale
    # Whole pixels: off by half a pixel of the smaller side at most.
    assert abs(sx / sy - 1) <= 0.5 / (min(placement.inner) - 0.5) + 1e-9 or min(placement.inner) == 1


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
@pytest.mark.parametrize(
    ("source", "target"), [((300, 200), (96, 64)), ((200, 333), (128, 96)), ((60, 50), (128, 160))]
)
def test_the_image_moves_as_its_points_do(source, target, fit) -> None:  # type: ignore[no-untyped-def]
    """A blob drawn at a point of the image is found at the mapped point of the input."""
    point = torch.tensor([[source[0] * 0.4 + 0.3, source[1] * 0.55 - 0.2]])
    image = encode(point, source, max(source) / 25)[0]
    placement = Placement(source, target, fit)
    placed = placement.image(image)
    assert placed.shape == (target[1], target[0])
    found = decode(placed[None, None], sigma=max(target) / 25)[0][0, 0].numpy()
    assert np.abs(found - placement.points(point.numpy())[0]).max() < 0.15


def test_networks_see_8_and_12_bit_images_alike(rng: np.random.Generator) -> None:
    eight = np.sort(rng.integers(0, 256, (50, 40)).astype(np.uint8), axis=None).reshape(50, 40)
    twelve = eight.astype(np.int16) * 16 - 1000
    placement = Placement((40, 50), (32, 32))
    a, b = (place_radiograph(Radiograph.from_array(pixels), placement) for pixels in (eight, twelve))
    assert torch.allclose(a, b, atol=1e-4)
    assert a.min() < 0.01
    assert a.max() > 0.99


def test_a_flat_image_gives_finite_numbers() -> None:
    placed = place_radiograph(Radiograph.from_array(np.full((20, 20), 7, np.uint8)), Placement((20, 20), (32, 32)))
    assert torch.isfinite(placed).all()


def test_grey_is_repeated_with_imagenets_statistics() -> None:
    inputs = to_network(torch.full((1, 2, 2), 0.485))
    assert inputs.shape == (1, 3, 2, 2)
    assert inputs[0, 0, 0, 0] == pytest.approx(0.0)
    assert inputs[0, 1, 0, 0] == pytest.approx((0.485 - 0.456) / 0.224)


def blob_images(points: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(B, H, W): a blob at the first point of each."""
    return encode(points[:, 0], size, 4.0)


@given(st.integers(0, 1000))
def test_augmentation_moves_image_and_points_together(seed: int) -> None:
    config = AugmentationConfig.none().model_copy(
        update={"rotation": 15.0, "scale": 0.2, "stretch": 0.1, "translation": 0.1}
    )
    generator = torch.Generator().manual_seed(seed)
    points = torch.full((3, 68, 2), math.nan)
    points[:, 0] = torch.rand(3, 2, generator=generator) * 30 + torch.tensor([50.0, 40.0])
    images, moved = Augmentation(config, SPINE)(blob_images(points, (130, 110)), points, generator)
    found = decode(images[:, None], sigma=4.0)[0][:, 0]
    assert (found - moved[:, 0]).abs().max() < 0.2
    assert torch.isnan(moved[:, 1:]).all()


def test_a_flip_exchanges_labels_where_the_protocol_allows(triangle: Protocol) -> None:
    config = AugmentationConfig.none().model_copy(update={"flip": True})
    points = torch.tensor([[[2.0, 8.0], [9.0, 7.0], [5.0, 1.0]]]).repeat(40, 1, 1)
    images = encode(points[:, 0], (12, 10), 1.5)
    flipped_images, flipped = Augmentation(config, triangle)(images, points, torch.Generator().manual_seed(0))
    mirrored = torch.tensor([[11 - 9.0, 7.0], [11 - 2.0, 8.0], [11 - 5.0, 1.0]])
    same = (flipped == points).flatten(1).all(dim=1)
    assert 10 < int(same.sum()) < 30
    assert torch.allclose(flipped[~same], mirrored)
    assert torch.allclose(flipped_images[~same], images[~same].flip(-1), atol=1e-5)


def test_no_flip_where_it_makes_no_sense(cephalometric: Protocol) -> None:
    config = AugmentationConfig.none().model_copy(update={"flip": True})
    points = torch.rand(20, 19, 2) * 20
    _, after = Augmentation(config, cephalometric)(torch.rand(20, 20, 20), points, torch.Generator().manual_seed(0))
    assert torch.allclose(after, points, atol=1e-4)


def test_the_same_seed_gives_the_same_batch(triangle: Protocol) -> None:
    images, points = torch.rand(4, 20, 24), torch.rand(4, 3, 2) * 20
    vary = Augmentation(AugmentationConfig(), triangle)
    first = vary(images, points, torch.Generator().manual_seed(5))
    again = vary(images, points, torch.Generator().manual_seed(5))
    other = vary(images, points, torch.Generator().manual_seed(6))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
    assert first[0].min() >= 0
    assert first[0].max() <= 1


def test_without_augmentation_nothing_changes(triangle: Protocol) -> None:
    images, points = torch.rand(4, 20, 24), torch.rand(4, 3, 2) * 20
    after = Augmentation(AugmentationConfig.none(), triangle)(images, points, torch.Generator())
    assert torch.allclose(after[0], images, atol=1e-4)
    assert torch.allclose(after[1], points, atol=1e-4)


def test_a_warp_is_undone_by_its_inverse() -> None:
    points = torch.tensor([[[40.0, 30.0], [55.5, 42.25]]], dtype=torch.float64)
    matrix = torch.tensor([[[0.9, -0.2, 12.0], [0.3, 1.1, -7.0]]], dtype=torch.float64)
    last = torch.tensor([[[0.0, 0.0, 1.0]]], dtype=torch.float64)
    inverse = torch.linalg.inv(torch.cat([matrix, last], dim=1))[:, :2]
    assert torch.allclose(transform_points(transform_points(points, matrix), inverse), points)
    image = encode(points[:, 0].float(), (100, 90), 5.0)
    assert (warp(warp(image, matrix), inverse) - image).abs().max() < 0.02


@pytest.mark.parametrize("seed", range(4))
def test_a_window_is_a_part_of_the_varied_image(seed: int) -> None:
    """What is in it lies where its points say, and a landmark is in its middle half; small images are whole."""
    points = torch.tensor([[[30.0, 40.0], [90.0, 150.0], [float("nan")] * 2]] * 2)
    images = encode(points[:, :2], (120, 200), 3.0).sum(1)
    varied = AugmentationConfig.none().model_copy(update={"rotation": 10, "scale": 0.1, "window": (64, 96)})
    seen, moved = Augmentation(varied, SPINE)(images, points, torch.Generator().manual_seed(seed))
    assert seen.shape == (2, 96, 64)
    for image, own in zip(seen, moved, strict=True):
        assert own[2].isnan().all()
        inside = [point for point in own[:2] if bool(((point > 8) & (point < torch.tensor([56.0, 88.0]))).all())]
        assert inside
        for x, y in inside:
            patch = image[int(y) - 7 : int(y) + 9, int(x) - 7 : int(x) + 9]
            found = decode(patch[None, None], sigma=3.0)[0][0, 0] + torch.tensor([int(x) - 7, int(y) - 7])
            assert torch.dist(found, torch.stack([x, y])) < 0.2
    whole, at = Augmentation(AugmentationConfig.none().model_copy(update={"window": (640, 960)}), SPINE)(
        images, points, torch.Generator().manual_seed(seed)
    )  # fmt: skip
    torch.testing.assert_close(whole, images, atol=1e-5, rtol=0)
    torch.testing.assert_close(at, points, equal_nan=True)
