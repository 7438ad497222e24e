from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layout_folders import plausible_points, write_aasce, write_outlines

from landmarklabel.errors import DataError, ImageError, LandmarkLabelError, ProtocolError
from landmarklabel.io.dataset import LAYOUTS, read_dataset

SIZE = (80, 200)
SPINE = np.round(plausible_points("spine_68", SIZE))
UPSIDE_DOWN = [0, SIZE[1]] + SPINE * [1, -1]


def _names(count: int) -> list[str]:
    return [f"sunhl-1th-02-Jan-2017-{number} A AP.jpg" for number in range(count)]


def _spines(root: Path, good: int, bad: int, points: np.ndarray = UPSIDE_DOWN) -> Path:
    labels = {name: SPINE + index % 3 for index, name in enumerate(_names(good + bad))}
    labels.update(dict.fromkeys(_names(good + bad)[good:], points))
    return write_aasce(root, "training", labels, SIZE)


@pytest.mark.parametrize("source", ["", "isbi2015", "isbi2015:", "/some/where"])
def test_source_without_layout_or_folder_is_refused(source: str) -> None:
    with pytest.raises(
        DataError, match="expected LAYOUT:DIR with LAYOUT one of isbi2015, aasce, jsrt, hand, graz, studies"
    ):
        read_dataset(source)


def test_unknown_layout_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'isbi' is not a known layout; expected one of isbi2015, aasce"):
        read_dataset(f"isbi:{tmp_path}")


def test_absent_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        read_dataset(f"aasce:{tmp_path / 'nowhere'}")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_refuses_an_empty_folder_in_a_sentence(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DataError, match=r"expected|holds no images") as caught:
        read_dataset(f"{layout}:{tmp_path}", LAYOUTS[layout].protocol or "spine_68")
    assert str(tmp_path) in str(caught.value)


def test_colon_in_the_folder_is_part_of_it(tmp_path: Path) -> None:
    assert len(read_dataset(f"aasce:{_spines(tmp_path / 'a:b', 1, 0)}")) == 1


def test_unknown_option_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the layout 'isbi2015' has no option fold; it has reader"):
        read_dataset(f"isbi2015:{tmp_path}", fold=1)


def test_unknown_protocol_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="there is no protocol 'spine'"):
        read_dataset(f"aasce:{tmp_path}", "spine")


def test_protocol_of_another_anatomy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="68 points; expected the 37 of hand_37"):
        read_dataset(f"aasce:{_spines(tmp_path, 1, 0)}", "hand_37")


def test_broken_rules_make_a_label_suspicious(tmp_path: Path) -> None:
    dataset = read_dataset(f"aasce:{_spines(tmp_path, 3, 2)}")
    assert list(dataset.suspicious) == [name[:-4] for name in _names(5)[3:]]
    assert dataset.suspicious[_names(5)[3][:-4]][0] == "T1 is not above T2"
    assert len(dataset.trustworthy()) == 3
    assert len(dataset.labelled()) == 5


def test_point_outside_its_image_makes_a_label_suspicious(tmp_path: Path) -> None:
    outside = SPINE.copy()
    outside[67] = (90, 190)
    dataset = read_dataset(f"aasce:{_spines(tmp_path, 3, 1, outside)}")
    assert dataset.suspicious == {_names(4)[3][:-4]: ("outside the image of 80 x 200 pixels: L5-LR at (90.0, 190.0)",)}


def test_most_labels_breaking_rules_means_another_order(tmp_path: Path) -> None:
    sentence = r"3 of 5 labels break the rules of the protocol spine_68 \(.*T1 is not above T2\); the order"
    with pytest.raises(DataError, match=sentence):
        read_dataset(f"aasce:{_spines(tmp_path, 2, 3)}")


def test_points_in_other_units_are_refused(tmp_path: Path) -> None:
    folder = _spines(tmp_path, 0, 5, SPINE * 3)
    for path in (folder / "labels" / "training").glob("*.mat"):
        path.unlink()
    with pytest.raises(DataError, match=r"5 of 5 labels .* outside the image of 80 x 200 pixels"):
        read_dataset(f"aasce:{folder}")


def test_few_labels_breaking_rules_are_suspicious_only(tmp_path: Path) -> None:
    assert len(read_dataset(f"aasce:{_spines(tmp_path, 1, 3)}").suspicious) == 3


def test_shape_unlike_the_others_is_suspicious(tmp_path: Path) -> None:
    chest = plausible_points("chest_166", (64, 64))
    rng = np.random.default_rng(0)
    labels = {f"n{number:02d}": chest + rng.normal(0, 0.5, chest.shape) for number in range(12)}
    exchanged = labels["n05"].copy()
    exchanged[[10, 60]] = exchanged[[60, 10]]  # a point of each lung; no rule sees it
    labels["n05"] = exchanged
    dataset = read_dataset(f"jsrt:{write_outlines(tmp_path, labels)}")
    assert list(dataset.suspicious) == ["n05"]
    assert "far from where it is in the other images" in dataset.suspicious["n05"][0]


def test_damaged_image_is_told_by_name(tmp_path: Path) -> None:
    folder = _spines(tmp_path, 2, 0)
    (folder / "data" / "training" / _names(1)[0]).write_bytes(b"")
    with pytest.raises(ImageError, match=r"2017-0 A AP.jpg is empty"):
        read_dataset(f"aasce:{folder}")


def test_file_in_place_of_a_label_folder_is_told(tmp_path: Path) -> None:
    folder = _spines(tmp_path, 1, 0)
    table = folder / "labels" / "training" / "landmarks.csv"
    table.unlink()
    table.mkdir()
    with pytest.raises(LandmarkLabelError, match=r"landmarks.csv: can't be read"):
        read_dataset(f"aasce:{folder}")
