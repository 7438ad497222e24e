"""Label images as training data: masks as the network's maps have them, varied as the points are, learned from."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from landmarklabel.engine.data import MaskReader, TrainingImages, training_and_validation
from landmarklabel.engine.trainer import train
from landmarklabel.heatmaps import to_map
from landmarklabel.io.cases import Case, LandmarkDataset
from landmarklabel.io.segmentations import write_segmentation
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry
from landmarklabel.segmentation import Segmentation
from landmarklabel.segmenting import segment
from landmarklabel.transforms import Augmentation, AugmentationConfig, Placement
from landmarklabel.uvmaps import Regions

LUNGS = Protocol.model_validate(
    {
        "name": "lungs",
        "title": "Two triangles",
        "landmarks": [{"label": f"{side}{number}", "name": f"{side} {number}"} for side in "LR" for number in range(3)],
        "structures": [{"name": side, "landmarks": [f"{side}{number}" for number in range(3)]} for side in "LR"],
        "symmetry": {"pairs": [[f"L{number}", f"R{number}"] for number in range(3)]},
    }
)
SIZE = (96, 64)
CORNERS = np.array([[15.0, 45.0], [40.0, 40.0], [30.0, 15.0], [81.0, 45.0], [56.0, 40.0], [66.0, 15.0]])


def distance_to(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How far the pixel centres (H, W) are from the border of a polygon."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    pixels, least = np.stack([x, y], axis=-1).astype(float), np.full(x.shape, np.inf)
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        part = np.clip(((pixels - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
        least = np.minimum(least, np.linalg.norm(pixels - (a + part[..., None] * (b - a)), axis=-1))
    return least


def agree(masks: np.ndarray, points: np.ndarray, regions: Regions, size: tuple[int, int]) -> None:
    """Masks are those of the points, but for pixels whose centre is within a pixel of an outline."""
    expected = regions.masks(points, size)
    for mask, wanted, members in zip(masks, expected, regions.members, strict=True):
        different = (mask == 1) != wanted
        assert not (different & (distance_to(points[members], size) > 1)).any()
        assert wanted.any()


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), stride=st.sampled_from([1, 2]))
def test_masks_move_as_the_points_do(seed: int, stride: int) -> None:
    """Rotated, scaled, stretched, shifted and mirrored: of the moved points, the regions in their mirrored places."""
    rng = np.random.default_rng(seed)
    regions, size = Regions.of(LUNGS), (SIZE[0] // stride, SIZE[1] // stride)
    points = torch.from_numpy(CORNERS + rng.uniform(-4, 4, (3, 6, 2)))
    masks = np.stack([regions.masks(each, size) for each in to_map(points, stride).numpy()]).astype(np.uint8)
    vary = Augmentation(AugmentationConfig(rotation=15, scale=0.15, translation=0.05), LUNGS, regions)
    generator = torch.Generator().manual_seed(seed)
    _, moved, warped = vary.vary(torch.rand(3, *SIZE[::-1]), points, torch.from_numpy(masks), generator)
    assert warped is not None
    assert warped.dtype == torch.uint8
    for each, at in zip(warped.numpy(), to_map(moved, stride).numpy(), strict=True):
        agree(each, at, regions, size)


def test_masks_take_no_random_number_away() -> None:
    """Images and points vary alike with masks and without."""
    regions, images, points = Regions.of(LUNGS), torch.rand(4, *SIZE[::-1]), torch.from_numpy(CORNERS).repeat(4, 1, 1)
    masks = torch.ones(4, 2, *SIZE[::-1], dtype=torch.uint8)
    with_masks = Augmentation(AugmentationConfig(), LUNGS, regions).vary(
        images, points, masks, torch.Generator().manual_seed(3)
    )
    without = Augmentation(AugmentationConfig(), LUNGS)(images, points, torch.Generator().manual_seed(3))
    assert torch.equal(with_masks[0], without[0])
    assert torch.equal(with_masks[1], without[1])


def test_what_nobody_knows_stays_unknown() -> None:
    """A region without a mask, and one of a mirrored image whose mirrored place is not clear."""
    masks = torch.zeros(8, 2, *SIZE[::-1], dtype=torch.uint8)
    masks[:, 1] = 255
    vary = Augmentation(AugmentationConfig(), LUNGS, replace(Regions.of(LUNGS), flip_order=None))
    points = torch.from_numpy(CORNERS).repeat(8, 1, 1)
    _, _, warped = vary.vary(torch.rand(8, *SIZE[::-1]), points, masks, torch.Generator().manual_seed(0))
    assert warped is not None
    known = (warped[:, 0] == 0).flatten(1).all(dim=1)
    assert 0 < known.sum() < 8
    assert (warped[~known] == 255).all()
    assert (warped[:, 1] == 255).all()


def drawn(folder: Path, name: str, points: np.ndarray, protocol: Protocol, size: tuple[int, int]) -> Path:
    regions = Regions.of(protocol)
    path = folder / f"{name}.seg.nrrd"
    count = len(protocol.structures)
    masks = regions.masks(points, size)[:count]
    write_segmentation(Segmentation(regions.names[:count], regions.titles[:count], masks, Geometry(size)), path)
    return path


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_label_images_as_the_maps_have_them(tmp_path: Path, triangle: Protocol, fit: str, stride: int) -> None:
    data = tiny.dataset(tmp_path, triangle, 1)
    (case,) = data.cases
    assert case.points is not None
    labelled = replace(case, segmentation=drawn(tmp_path, case.id, case.points, triangle, tiny.SIZE))
    placement = Placement(tiny.SIZE, (96, 96), fit)  # type: ignore[arg-type]
    regions, size = Regions.of(triangle), (96 // stride, 96 // stride)
    masks = MaskReader(triangle, regions, stride)(labelled, placement)
    assert masks.shape == (1, *size)
    at = to_map(torch.from_numpy(placement.points(case.points)), stride).numpy()
    # An outline is drawn in pixels of the image, which are 1.5 to 2 pixels of the input.
    far = distance_to(at, size) > 1 + 2 / stride
    assert not (((masks[0].numpy() == 1) != regions.masks(at, size)[0]) & far).any()
    assert set(np.unique(masks)) == {0, 1}


def test_what_a_label_image_does_not_say(tmp_path: Path) -> None:
    """A structure that nobody drew, and the hull of landmarks in no structure."""
    landmarks = [*LUNGS.model_dump()["landmarks"], {"label": "extra", "name": "Extra"}]
    protocol = Protocol.model_validate({**LUNGS.model_dump(), "symmetry": None, "landmarks": landmarks})
    regions = Regions.of(protocol)
    assert regions.names == ("L", "R", "whole")
    points = np.vstack([CORNERS, [[48.0, 50.0]]])
    points[:3] = np.nan  # L is drawn nowhere
    case = tiny.dataset(tmp_path, protocol, 1).cases[0]
    case = replace(case, segmentation=drawn(tmp_path, case.id, points, protocol, tiny.SIZE))
    masks = MaskReader(protocol, regions, 1)(case, Placement(tiny.SIZE, tiny.SIZE))
    assert [sorted(np.unique(mask)) for mask in masks.numpy()] == [[255], [0, 1], [255]]
    nothing = MaskReader(protocol, regions, 1)(replace(case, segmentation=None), Placement(tiny.SIZE, tiny.SIZE))
    assert (nothing == 255).all()


def half_drawn(folder: Path, protocol: Protocol, number: int) -> LandmarkDataset:
    """Every second image has a label image and no landmarks."""
    data = tiny.dataset(folder, protocol, number)
    cases: list[Case] = []
    for index, case in enumerate(data.cases):
        assert case.points is not None
        file = drawn(folder, case.id, case.points, protocol, tiny.SIZE)
        cases.append(replace(case, points=None, segmentation=file) if index % 2 else case)
    return replace(data, cases=tuple(cases))


def test_only_what_segments_learns_from_label_images_alone(tmp_path: Path, triangle: Protocol) -> None:
    data = half_drawn(tmp_path, triangle, 12)
    training, validation = training_and_validation(data, tiny.denseseg_config())
    assert sum(case.points is None for case in training) == 6
    assert all(case.has_landmarks for case in validation)
    others = training_and_validation(data, tiny.config())
    assert all(case.has_landmarks for cases in others for case in cases)
    assert others[1] == validation
    wrong = replace(data, suspicious={case.id: ("wrong",) for case in data.cases[1:4:2]})
    assert sum(case.points is None for case in training_and_validation(wrong, tiny.denseseg_config())[0]) == 4


def test_a_patient_who_validates_is_not_learned_from(tmp_path: Path, triangle: Protocol) -> None:
    data = half_drawn(tmp_path, triangle, 12)
    _, validation = training_and_validation(data, tiny.denseseg_config())
    held_out = validation[0].patient
    cases = tuple(replace(case, patient=held_out) if case.points is None else case for case in data.cases)
    training, _ = training_and_validation(replace(data, cases=cases), tiny.denseseg_config())
    assert not any(case.patient == held_out for case in training)


def test_images_of_one_kind_make_a_batch(tmp_path: Path, triangle: Protocol) -> None:
    data = half_drawn(tmp_path, triangle, 2)
    config = tiny.denseseg_config()
    images = TrainingImages(data.cases, config.input, masks=MaskReader(triangle, Regions.of(triangle), 1))
    assert images[0]["points"].isfinite().all()
    assert (images[0]["masks"] == 255).all()
    assert images[1]["points"].isnan().all()
    assert (images[1]["masks"] == 1).any()
    assert "masks" not in TrainingImages(data.cases[:1], config.input)[0]


def dice(model: Path, cases: Sequence[Case], protocol: Protocol) -> float:
    predictor, values = Predictor.load(model, "cpu"), []
    for case in cases:
        predictor.set_image(case.radiograph())
        found, true = segment(predictor).masks, Regions.of(protocol).masks(case.points, tiny.SIZE)
        values.append(2 * (found & true).sum() / (found.sum() + true.sum()))
    return float(np.mean(values))


@pytest.mark.slow
def test_it_learns_from_label_images(tmp_path: Path, triangle: Protocol) -> None:
    """Half of the images have only a label image; with them structures are found better than without."""
    data = half_drawn(tmp_path / "data", triangle, 24)
    config = tiny.denseseg_config(validation={"fraction": 0.4, "pictures": 0})
    alone = replace(data, cases=tuple(case for case in data.cases if case.points is not None))
    new = tiny.dataset(tmp_path / "new", triangle, 30).cases[24:]
    scores = {}
    for name, dataset in (("both", data), ("alone", alone)):
        result = train(config, dataset, tmp_path / name, device="cpu", quiet=True)
        assert all(case.has_landmarks for case in result.validation)
        scores[name] = dice(result.model, new, triangle)
    assert scores["both"] > 0.7
    assert scores["both"] > scores["alone"] + 0.2
