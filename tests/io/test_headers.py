from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from layout_folders import write_dicom, write_image
from PIL import Image

from landmarklabel.errors import ImageError
from landmarklabel.io import read_radiograph
from landmarklabel.io.headers import read_geometry


def _volume(path: Path, pixels: np.ndarray) -> Path:
    image = sitk.GetImageFromArray(pixels)
    image.SetSpacing((0.2, 0.3, 1.0)[: image.GetDimension()])
    image.SetOrigin((5.0, -7.0, 2.0)[: image.GetDimension()])
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii", ".nii.gz"])
@pytest.mark.parametrize("shape", [(9, 7), (1, 9, 7)])
def test_geometry_of_a_volume_is_the_readers(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    path = _volume(tmp_path / f"a{suffix}", np.ones(shape, np.uint8))
    geometry = read_geometry(path)
    assert geometry.size == (7, 9)
    assert geometry == read_radiograph(path).geometry


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("options", [{}, {"dpi": (254, 127)}])
def test_geometry_of_a_picture_is_the_readers(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    path = write_image(tmp_path / f"a{suffix}", (7, 9), **options)
    geometry = read_geometry(path)
    assert geometry.size == (7, 9)
    assert geometry == read_radiograph(path).geometry


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_geometry_of_a_turned_picture_is_the_readers(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    path = write_image(tmp_path / f"a{suffix}", (7, 9), exif=exif)
    geometry = read_geometry(path)
    assert geometry.size == ((9, 7) if orientation == 6 else (7, 9))
    assert geometry == read_radiograph(path).geometry
    assert geometry.direction[0] != 1.0


def test_geometry_of_dicom_is_the_readers(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", (7, 9), "P1")
    geometry = read_geometry(path)
    assert (geometry.size, geometry.spacing) == ((7, 9), (0.5, 0.5))
    assert geometry == read_radiograph(path).geometry


def test_the_name_does_not_decide_the_format(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", (7, 9)).rename(tmp_path / "a.jpg")
    assert read_geometry(path) == read_radiograph(path).geometry


def test_volume_of_several_slices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="single 2D image"):
        read_geometry(_volume(tmp_path / "a.nrrd", np.ones((2, 9, 7), np.uint8)))


def test_damaged_header_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    path.write_bytes(b"NRRD0004\ntype: nonsense\n\n")
    with pytest.raises(ImageError, match=r"a.nrrd: damaged"):
        read_geometry(path)


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        read_geometry(tmp_path / "a.png")
