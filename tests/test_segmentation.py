"""What a segmentation is, and that its colours can be told apart."""

from itertools import combinations

import numpy as np
import pytest
from skimage.color import rgb2lab

from landmarklabel.errors import LabelError
from landmarklabel.radiograph import Geometry
from landmarklabel.segmentation import COLOURS, Segmentation, colour

GEOMETRY = Geometry((5, 4))
MASKS = np.arange(40).reshape(2, 4, 5) % 3 == 0

# Full protanopia and deuteranopia on linear RGB, from the tables of Machado et al., IEEE TVCG 15(6), 2009.
DICHROMATS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}


def least_difference(colours: np.ndarray) -> float:
    lab = rgb2lab(colours)
    return min(float(np.linalg.norm(a - b)) for a, b in combinations(lab, 2))


def as_seen(colours: np.ndarray, matrix: list[list[float]]) -> np.ndarray:
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(matrix), 0, 1)
    return np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


def test_colours_can_be_told_apart_by_everybody_and_from_grey() -> None:
    colours = np.array([colour(index) for index in range(COLOURS)]) / 255
    assert len(colours) >= 17
    assert least_difference(colours) > 29
    assert np.hypot(*rgb2lab(colours)[:, 1:].T).min() > 30
    assert least_difference(colours[:5]) > 71
    for matrix in DICHROMATS.values():
        assert least_difference(as_seen(colours, matrix)) > 15
        assert least_difference(as_seen(colours[:5], matrix)) > 38


def test_a_mask_is_found_by_its_name() -> None:
    segmentation = Segmentation(("heart", "lung"), ("Heart", "Lung"), MASKS, GEOMETRY, np.array([0.5, np.nan]))
    assert len(segmentation) == 2
    assert np.array_equal(segmentation["lung"], MASKS[1])
    with pytest.raises(LabelError, match="'liver' is not a structure of this segmentation, which has heart, lung"):
        segmentation["liver"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"names": ("heart", "heart")}, "each once; got heart"),
        ({"names": ("heart",)}, "expected a title for each of 1 structures, got 2"),
        ({"masks": MASKS.astype(np.uint8)}, r"boolean array \(2, 4, 5\), got uint8"),
        ({"masks": MASKS.transpose(0, 2, 1)}, r"on 5 x 4 pixels .* got bool of shape \(2, 5, 4\)"),
        ({"confidence": np.array([0.5, 1.5])}, r"from 0 to 1 for each of 2 structures, got \[0.5, 1.5\]"),
        ({"confidence": np.array([0.5])}, r"for each of 2 structures, got \[0.5\]"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict, sentence: str) -> None:
    content = {"names": ("heart", "lung"), "titles": ("Heart", "Lung"), "masks": MASKS, "geometry": GEOMETRY}
    with pytest.raises(LabelError, match=sentence):
        Segmentation(**{**content, **changes})
