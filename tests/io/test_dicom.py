"""DICOM: bright is dense, values and spacing are what the standard says, the world is as SimpleITK has it."""

from pathlib import Path

import dicom_files
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from landmarklabel.errors import ImageError
from landmarklabel.io import read_radiograph
from landmarklabel.radiograph import SpacingSource


def stored_range(bits: int, signed: bool) -> tuple[int, int]:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("rescale", [None, (2, -100), (0.5, 3)])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_values(
    tmp_path: Path, rng: np.random.Generator, bits: int, signed: bool, rescale: tuple | None, photometric: str
) -> None:
    low, high = stored_range(bits, signed)
    stored = rng.integers(low, high + 1, (6, 5))
    attributes: dict = {"PhotometricInterpretation": photometric}
    if rescale:
        attributes |= {"RescaleSlope": rescale[0], "RescaleIntercept": rescale[1]}
    image = read_radiograph(dicom_files.write(tmp_path / "x.dcm", stored, bits, signed, **attributes))
    slope, intercept = rescale or (1, 0)
    dense = low + high - stored if photometric == "MONOCHROME1" else stored
    assert np.allclose(image.pixels, slope * dense + intercept)


def test_values_agree_with_simpleitk(tmp_path: Path, rng: np.random.Generator) -> None:
    path = dicom_files.write(
        tmp_path / "x.dcm", rng.integers(0, 4096, (20, 30)), PhotometricInterpretation="MONOCHROME1",
        RescaleSlope=3, RescaleIntercept=-7,
    )  # fmt: skip
    assert np.array_equal(read_radiograph(path).pixels, sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0])


def test_overlays_in_unused_bits_are_not_pixels(tmp_path: Path, rng: np.random.Generator) -> None:
    stored = rng.integers(0, 4096, (6, 5))
    path = dicom_files.write(tmp_path / "x.dcm", stored | 0x8000, 12)
    assert np.array_equal(read_radiograph(path).pixels, stored)


SPACINGS = [
    # PixelSpacing, ImagerPixelSpacing, calibration type, magnification, expected (sx, sy), source
    (None, None, None, None, (1.0, 1.0), SpacingSource.UNKNOWN),
    ([0.1, 0.2], None, None, None, (0.2, 0.1), SpacingSource.PIXEL_SPACING),
    (None, [0.1, 0.2], None, None, (0.2, 0.1), SpacingSource.IMAGER_PIXEL_SPACING),
    (None, [0.11, 0.22], None, 1.1, (0.2, 0.1), SpacingSource.IMAGER_PIXEL_SPACING_MAGNIFIED),
    ([0.1, 0.2], [0.3, 0.4], None, 1.1, (0.2, 0.1), SpacingSource.PIXEL_SPACING),
    ([0.3, 0.4], [0.3, 0.4], "GEOMETRY", 1.1, (0.4, 0.3), SpacingSource.PIXEL_SPACING),
    # The same in both without a calibration: not calibrated, so at the detector.
    ([0.33, 0.44], [0.33, 0.44], None, 1.1, (0.4, 0.3), SpacingSource.IMAGER_PIXEL_SPACING_MAGNIFIED),
    ([0.0, 0.0], [0.1, 0.1], None, None, (0.1, 0.1), SpacingSource.IMAGER_PIXEL_SPACING),
    (None, [0.1, 0.1], None, 0, (0.1, 0.1), SpacingSource.IMAGER_PIXEL_SPACING),
]


@pytest.mark.parametrize(("pixel", "imager", "calibration", "magnification", "spacing", "source"), SPACINGS)
def test_spacing_is_decided_once(  # type: ignore[no-untyped-def]
    tmp_path: Path, pixel, imager, calibration, magnification, spacing, source
) -> None:
    attributes = {
        "PixelSpacing": pixel,
        "ImagerPixelSpacing": imager,
        "PixelSpacingCalibrationType": calibration,
        "EstimatedRadiographicMagnificationFactor": magnification,
    }
    given = {key: value for key, value in attributes.items() if value is not None}
    image = read_radiograph(dicom_files.write(tmp_path / "x.dcm", np.zeros((6, 5), int), **given))
    assert image.spacing == pytest.approx(spacing)
    assert image.spacing_source is source


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"PixelSpacing": [0.1, 0.2]},
        {"ImagerPixelSpacing": [0.1, 0.2]},
        {"PixelSpacing": [0.1, 0.2], "ImagerPixelSpacing": [0.3, 0.4]},
        {"ImagerPixelSpacing": [0.1, 0.2], "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
         "ImagePositionPatient": [10, -20, 30.5]},
    ],
)  # fmt: skip
def test_the_world_is_as_simpleitk_has_it(tmp_path: Path, attributes: dict) -> None:
    """Even where its spacing is a poor estimate: Slicer reads the same file the same way."""
    path = dicom_files.write(tmp_path / "x.dcm", np.zeros((60, 50), int), **attributes)
    geometry, reference = read_radiograph(path).geometry, sitk.ReadImage(str(path))
    for x, y in [(0, 0), (49, 59), (12.25, 7.5)]:
        expected = reference.TransformContinuousIndexToPhysicalPoint((x, y, 0.0))
        assert geometry.pixel_to_world((x, y)) == pytest.approx(expected, abs=1e-9)


def test_the_window_is_for_display_only(tmp_path: Path) -> None:
    stored = np.array([[0, 1000, 2000, 3000, 4095]])
    plain = read_radiograph(dicom_files.write(tmp_path / "a.dcm", stored))
    windowed = read_radiograph(dicom_files.write(tmp_path / "b.dcm", stored, WindowCenter=2000.5, WindowWidth=2001))
    assert np.array_equal(plain.pixels, windowed.pixels)
    assert windowed.window == (1000.0, 3000.0)
    assert windowed.display().tolist() == [[0, 0, 128, 255, 255]]


def test_the_window_is_inverted_with_the_pixels(tmp_path: Path) -> None:
    stored = np.array([[0, 1000, 2000, 3000, 4095]])
    path = dicom_files.write(
        tmp_path / "x.dcm",
        stored,
        PhotometricInterpretation="MONOCHROME1",
        WindowCenter=[2000.5, 1],
        WindowWidth=[2001, 2],
    )
    image = read_radiograph(path)
    assert image.window == (1095.0, 3095.0)
    assert image.display().tolist() == [[255, 255, 128, 0, 0]]


@pytest.mark.parametrize("codec", ["JPEG", "JPEG2000", "RLE"])
def test_compressed(tmp_path: Path, codec: str) -> None:
    """Files that GDCM and pydicom compress are read back; lossless ones exactly."""
    y, x = np.mgrid[:64, :48]
    stored = (y * 3 + x).astype(np.uint8)
    path = tmp_path / "x.dcm"
    if codec == "RLE":
        dataset = pydicom.dcmread(dicom_files.write(path, stored, 8))
        dataset.compress(pydicom.uid.RLELossless)
        dataset.save_as(path)
    else:
        image = sitk.GetImageFromArray(stored[None])
        writer = sitk.ImageFileWriter()
        writer.SetFileName(str(path))
        writer.SetCompressor("JPEG" if codec == "JPEG" else "JPEG2000")
        writer.UseCompressionOn()
        writer.Execute(image)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    difference = np.abs(read_radiograph(path).pixels.astype(int) - stored)
    assert difference.max() <= (4 if codec == "JPEG" else 0)


def test_colour(tmp_path: Path, rng: np.random.Generator) -> None:
    grey = rng.integers(0, 256, (6, 5), dtype=np.uint8)
    image = read_radiograph(dicom_files.write(tmp_path / "x.dcm", np.dstack([grey] * 3), 8))
    assert np.array_equal(image.pixels, grey)


def test_three_frames_are_refused(tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "x.dcm", np.zeros((3, 6, 50), int))
    with pytest.raises(ImageError, match="x.dcm has 3 frames; expected one single 2D image"):
        read_radiograph(path)


def test_without_pixels(tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "x.dcm", np.zeros((6, 5), int), PixelData=None, Modality="SR")
    with pytest.raises(ImageError, match=r"DICOM without an image \(SR\)"):
        read_radiograph(path)


def test_false_colours_are_refused(tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "x.dcm", np.zeros((6, 5), int), 8, PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(ImageError, match="false colours"):
        read_radiograph(path)


@pytest.mark.parametrize("kept", [140, 300, 0.5, 0.9])
def test_a_damaged_file_is_refused(tmp_path: Path, rng: np.random.Generator, kept: float) -> None:
    path = dicom_files.write(tmp_path / "x.dcm", rng.integers(0, 4096, (60, 50)))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
    with pytest.raises(ImageError, match=r"x\.dcm"):
        read_radiograph(path)
