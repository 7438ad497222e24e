"""What is written comes back, on the image's pixels, and what does not fit the image is refused in words."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from landmarklabel.errors import ImageError, LabelError, StorageError
from landmarklabel.io.segmentations import read_segmentation, saved_elsewhere, write_segmentation
from landmarklabel.radiograph import Geometry
from landmarklabel.segmentation import Segmentation
from strategies import geometries

NAMES = ("Herz", "rechte Lunge", "Schlüsselbein ß", 'a\\b|c:"d"')
TITLES = ("Heart", "Right lung", "Schlüsselbein, größer", "Ω = \\n|")
GEOMETRY = Geometry((7, 9), (0.2, 0.3), (5.0, -7.0, 2.0), (0, 0, -1, 1, 0, 0, 0, -1, 0))
_LETTERS = st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"))


@st.composite
def segmentations(draw: st.DrawFn) -> Segmentation:
    """Structures that may overlap and may be empty, on an image anywhere in space."""
    geometry = replace(draw(geometries()), size=(draw(st.integers(1, 30)), draw(st.integers(2, 30))))
    names = draw(st.lists(st.text(_LETTERS, min_size=1, max_size=12), min_size=1, max_size=6, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = np.array(draw(st.lists(st.sampled_from([0, 0.02, 0.5, 1]), min_size=len(names), max_size=len(names))))
    masks = rng.uniform(size=(len(names), *geometry.size[::-1])) < density[:, None, None]
    titles = draw(st.lists(st.text(_LETTERS, min_size=1, max_size=20), min_size=len(names), max_size=len(names)))
    confidence = draw(st.sampled_from([None, np.where(rng.uniform(size=len(names)) < 0.5, rng.uniform(), np.nan)]))
    return Segmentation(tuple(names), tuple(titles), masks, geometry, confidence)


def some_masks(overlap: bool) -> np.ndarray:
    masks = np.zeros((4, 9, 7), bool)
    masks[0, 1:4, 2:6] = True
    masks[1, 3 if overlap else 4 : 8, 1:5] = True
    masks[3, 8, 0] = True
    return masks


def header(path: Path) -> list[str]:
    return path.read_bytes().partition(b"\n\n")[0].decode().splitlines()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(segmentations())
def test_what_is_written_is_read(tmp_path: Path, before: Segmentation) -> None:
    path = tmp_path / "x.seg.nrrd"
    write_segmentation(before, path)
    after = read_segmentation(path, before.geometry, before.names)
    assert (after.names, after.titles, after.geometry) == (before.names, before.titles, before.geometry)
    assert np.array_equal(after.masks, before.masks)
    if before.confidence is None or np.isnan(before.confidence).all():
        assert after.confidence is None
    else:
        assert np.array_equal(after.confidence, before.confidence, equal_nan=True)


def test_without_overlaps_the_file_is_a_plain_label_image_too(tmp_path: Path) -> None:
    path = tmp_path / "x.seg.nrrd"
    write_segmentation(Segmentation(NAMES, TITLES, some_masks(overlap=False), GEOMETRY), path)
    image = sitk.ReadImage(str(path))
    expected = (some_masks(overlap=False) * np.array([1, 2, 3, 4])[:, None, None]).sum(axis=0)
    assert np.array_equal(sitk.GetArrayFromImage(image)[0], expected)
    assert image.TransformIndexToPhysicalPoint((6, 8, 0)) == pytest.approx(GEOMETRY.pixel_to_world((6, 8)).tolist())


def test_what_another_program_has_saved_since_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.seg.nrrd"
    for overlap in (False, True):
        write_segmentation(Segmentation(NAMES, TITLES, some_masks(overlap=overlap), GEOMETRY), path)
        assert not saved_elsewhere(path)
    sitk.WriteImage(sitk.ReadImage(str(path)), str(path))
    assert saved_elsewhere(path)
    assert saved_elsewhere(tmp_path)  # what can't be read is not ours to replace


def test_overlaps_take_as_few_layers_as_there_are_structures_above_each_other(tmp_path: Path) -> None:
    path = tmp_path / "x.seg.nrrd"
    write_segmentation(Segmentation(NAMES, TITLES, some_masks(overlap=True), GEOMETRY), path)
    lines = header(path)
    assert "sizes: 2 7 9 1" in lines
    assert "kinds: list domain domain domain" in lines
    assert [line[-1] for line in lines if "_Layer" in line] == ["0", "1", "0", "0"]


def test_names_of_the_protocol_in_another_order_and_one_more(tmp_path: Path) -> None:
    path = tmp_path / "x.seg.nrrd"
    write_segmentation(Segmentation(NAMES, TITLES, some_masks(overlap=True), GEOMETRY), path)
    after = read_segmentation(path, GEOMETRY, ("Leber", *NAMES[::-1]))
    assert np.array_equal(after.masks[1:], some_masks(overlap=True)[::-1])
    assert not after["Leber"].any()
    assert after.titles == ("Leber", *TITLES[::-1])


@pytest.mark.parametrize(("identifier", "name"), [("Segment_1", "heart"), ("Segment_1", "Heart"), ("heart", "?")])
def test_a_segment_that_a_person_made_is_known_by_its_name(tmp_path: Path, identifier: str, name: str) -> None:
    path = tmp_path / "x.seg.nrrd"
    write_segmentation(Segmentation((identifier,), (name,), some_masks(overlap=True)[:1], GEOMETRY), path)
    after = read_segmentation(path, GEOMETRY, ("lung", "heart"), ("Lung", "Heart"))
    assert np.array_equal(after["heart"], some_masks(overlap=True)[0])
    assert after.titles == ("Lung", "Heart")


def as_image(pixels: np.ndarray, geometry: Geometry, first: tuple[int, int] = (0, 0)) -> sitk.Image:
    """A volume of one slice whose pixel (0, 0) is the image's pixel ``first``."""
    image = sitk.GetImageFromArray(pixels[None], isVector=pixels.ndim == 3)
    image.SetSpacing((*geometry.spacing, 1.0))
    image.SetOrigin(geometry.pixel_to_world(first).tolist())
    image.SetDirection(geometry.direction)
    return image


@pytest.mark.parametrize("first", [(2, 3), (-2, 3), (2, -3), (-3, -4), (6, 8), (7, 0), (-40, 0)])
def test_a_segmentation_of_another_box_is_put_where_it_lies(tmp_path: Path, first: tuple[int, int]) -> None:
    """As Slicer stores it: only the box that the segments fill, which may go beyond the image."""
    box = np.random.default_rng(0).integers(0, 2, (12, 11)).astype(np.uint8)
    image = as_image(box, GEOMETRY, first)
    image.SetMetaData("Segment0_ID", "heart")
    sitk.WriteImage(image, str(tmp_path / "x.seg.nrrd"))
    expected = np.zeros((9, 7), bool)
    for (y, x), value in np.ndenumerate(box):
        if 0 <= x + first[0] < 7 and 0 <= y + first[1] < 9:
            expected[y + first[1], x + first[0]] = value
    assert np.array_equal(read_segmentation(tmp_path / "x.seg.nrrd", GEOMETRY, ["heart"])["heart"], expected)


def test_of_several_slices_the_one_in_the_images_plane_counts(tmp_path: Path) -> None:
    slices = np.stack([np.full((9, 7), 1), some_masks(overlap=True)[0], np.full((9, 7), 1)]).astype(np.uint8)
    image = sitk.GetImageFromArray(slices)
    geometry = Geometry((7, 9), (0.2, 0.3), (5.0, -7.0, 2.0))
    image.SetSpacing((0.2, 0.3, 4.0))
    image.SetOrigin((5.0, -7.0, -2.0))
    image.SetMetaData("Segment0_ID", "heart")
    sitk.WriteImage(image, str(tmp_path / "x.seg.nrrd"))
    assert np.array_equal(read_segmentation(tmp_path / "x.seg.nrrd", geometry, ["heart"])["heart"], slices[1] == 1)
    with pytest.raises(LabelError, match="none of its slices lies in the plane"):
        read_segmentation(tmp_path / "x.seg.nrrd", replace(geometry, origin=(5.0, -7.0, 42.0)), ["heart"])


VALUES = (some_masks(overlap=False) * np.array([1, 2, 3, 4])[:, None, None]).sum(axis=0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_a_plain_label_image(tmp_path: Path, suffix: str, dtype: type) -> None:
    sitk.WriteImage(as_image(VALUES.astype(dtype), GEOMETRY), str(tmp_path / f"x{suffix}"))
    after = read_segmentation(tmp_path / f"x{suffix}", GEOMETRY, NAMES, TITLES)
    assert np.array_equal(after.masks, some_masks(overlap=False))
    assert (after.names, after.titles) == (NAMES, TITLES)


def test_a_plain_label_image_of_two_dimensions(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(VALUES.astype(np.uint8))
    image.SetSpacing((0.2, 0.3))
    image.SetOrigin((-7.0, 11.0))
    sitk.WriteImage(image, str(tmp_path / "x.nrrd"))
    after = read_segmentation(tmp_path / "x.nrrd", Geometry((7, 9), (0.2, 0.3), (-7.0, 11.0, 0.0)), NAMES)
    assert np.array_equal(after.masks, some_masks(overlap=False))


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_label_image_as_png(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(VALUES.astype(np.uint8))
    if mode == "P":
        picture.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 0, 0, 200, 0, 7, 0, 7])
    assert picture.mode == mode
    picture.save(tmp_path / "x.png")
    assert np.array_equal(read_segmentation(tmp_path / "x.png", GEOMETRY, NAMES).masks, some_masks(overlap=False))


LABEL = as_image(VALUES.astype(np.uint8), GEOMETRY)


def changed(**settings: Any) -> sitk.Image:
    image = sitk.Image(LABEL)
    for name, value in settings.items():
        getattr(image, f"Set{name}")(value)
    return image


def moved(x: float, y: float, z: float = 0.0) -> sitk.Image:
    normal = np.cross(*np.reshape(GEOMETRY.direction, (3, 3)).T[:2])
    return changed(Origin=(GEOMETRY.pixel_to_world((x, y)) + z * normal).tolist())


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (as_image(VALUES.T.astype(np.uint8), GEOMETRY), "x.nrrd has 9 x 7 pixels, its image 7 x 9"),
        (changed(Spacing=(0.25, 0.3, 1.0)), "does not lie on its image: .* 1.2 pixels"),
        (changed(Direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)), "does not lie on its image"),
        (moved(0.4, 0), "does not lie on its image: their pixels are up to 0.4 pixels and 0 mm of depth apart"),
        (moved(3, -2), r"begins at pixel \(3, -2\) of its image"),
        (moved(0, 0, 5), "none of its slices lies in the plane of its image"),
        (LABEL + 1, "holds the value 5; expected 0 .ground. to 4, for Herz, rechte Lunge"),
        (sitk.Cast(LABEL, sitk.sitkInt16) - 2, "holds the value -2; expected 0"),
        (sitk.Cast(LABEL, sitk.sitkFloat32) * 0.5, "holds the value 0.5; expected whole numbers"),
        (sitk.Cast(LABEL, sitk.sitkFloat32) / 0, "holds the value nan; expected whole numbers"),
        (sitk.JoinSeries([LABEL[..., 0], LABEL[..., 0]]), "is a volume of 2 slices"),
        (as_image(np.zeros((9, 7, 2), np.uint8), GEOMETRY), "2 values a pixel and no names of segments"),
    ],
)
def test_what_is_no_label_of_the_image_is_refused(tmp_path: Path, image: sitk.Image, sentence: str) -> None:
    sitk.WriteImage(image, str(tmp_path / "x.nrrd"))
    with pytest.raises((LabelError, ImageError), match=sentence):
        read_segmentation(tmp_path / "x.nrrd", GEOMETRY, NAMES)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"Segment0_ID": "Segment_1", "Segment0_Name": "Liver"}, "'Liver' is no structure of the protocol, which has"),
        ({"Segment0_ID": "Herz", "Segment1_ID": "b", "Segment1_Name": "Herz"}, "two segments for 'Herz'"),
        ({"Segment0_ID": "Herz", "Segment0_Layer": "3"}, "'Herz' is in layer 3 of 1"),
        ({"Segment0_ID": "Herz", "Segment0_LabelValue": "one"}, "LabelValue is 'one'; expected a whole number"),
    ],
)
def test_segments_that_make_no_sense_are_refused(tmp_path: Path, fields: dict[str, str], sentence: str) -> None:
    image = sitk.Image(LABEL)
    for key, value in fields.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(tmp_path / "x.seg.nrrd"))
    with pytest.raises((LabelError, ImageError), match=sentence):
        read_segmentation(tmp_path / "x.seg.nrrd", GEOMETRY, NAMES)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"some text", "is a text file"),
        (b"NRRD0004\ntype: unsigned char\ndimension: 2\nsizes: 9 9\nencoding: raw\n\n1234", "damaged NRRD"),
        (b"NRRD0004\ntype: uchar\ndimension: 2\nsizes: 9 9\nencoding: raw\ndata file: /etc/passwd\n\n", "another file"),
        (b"NRRD0004\ntype: uchar\ndimension: 4\nsizes: 9 90000 90000 1\nkinds: list domain domain domain\n"
         b"space: left-posterior-superior\nspace directions: none (1,0,0) (0,1,0) (0,0,1)\nencoding: raw\n\n",
         "9 values; at most 64000000"),
        (b"\x89PNG\r\n\x1a\n1234", "damaged"),
        (b"\xff\xd8\xff1234", "is a JPEG file; expected a .seg.nrrd"),
    ],
)  # fmt: skip
def test_files_that_are_no_labels_are_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ImageError, match=sentence):
        read_segmentation(tmp_path / "x", GEOMETRY, NAMES)


def test_pictures_that_are_no_labels_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (7, 9)).save(tmp_path / "x.png")
    with pytest.raises(ImageError, match="a PNG of mode RGB; expected a label image of 8 bits"):
        read_segmentation(tmp_path / "x.png", GEOMETRY, NAMES)
    Image.new("L", (9, 7)).save(tmp_path / "x.png")
    with pytest.raises(LabelError, match="has 9 x 7 pixels, its image 7 x 9"):
        read_segmentation(tmp_path / "x.png", GEOMETRY, NAMES)


def test_a_full_disk_leaves_what_was_there(full_disk: Path) -> None:
    rng = np.random.default_rng(0)
    noise = Segmentation(("a",), ("A",), rng.uniform(size=(1, 600, 600)) < 0.5, Geometry((600, 600)))
    with pytest.raises(StorageError, match="the disk is full: the segmentation x.seg.nrrd could not be written"):
        write_segmentation(noise, full_disk / "x.seg.nrrd")
    assert [path.name for path in full_disk.iterdir()] == ["filler"]
