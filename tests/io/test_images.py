"""Every image format gives the same pixels and the same points; what is no image is refused in one sentence."""

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from landmarklabel.errors import ImageError
from landmarklabel.io import read_radiograph
from landmarklabel.io.headers import read_geometry
from landmarklabel.radiograph import SpacingSource

GREY = np.random.default_rng(1).integers(0, 256, (7, 5), dtype=np.uint8)
COLOUR = np.random.default_rng(2).integers(0, 256, (7, 5, 3), dtype=np.uint8)
LUMA = np.rint(COLOUR @ [0.299, 0.587, 0.114]).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_grey_8_bit(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(GREY).save(tmp_path / f"x.{suffix}")
    assert np.array_equal(read_radiograph(tmp_path / f"x.{suffix}").pixels, GREY)


def test_jpeg(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "x.jpg", quality=95)
    assert np.abs(read_radiograph(tmp_path / "x.jpg").pixels.astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("suffix", ["png", "tif", "nrrd", "mha", "nii.gz"])
def test_grey_16_bit(tmp_path: Path, suffix: str) -> None:
    deep = GREY.astype(np.uint16) * 257
    sitk.WriteImage(sitk.GetImageFromArray(deep), str(tmp_path / f"x.{suffix}"))
    pixels = read_radiograph(tmp_path / f"x.{suffix}").pixels
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels, deep)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "nrrd", "mha"])
def test_colour_becomes_its_luma(tmp_path: Path, suffix: str) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(COLOUR, isVector=True), str(tmp_path / f"x.{suffix}"))
    assert np.array_equal(read_radiograph(tmp_path / f"x.{suffix}").pixels, LUMA)


def test_colour_16_bit_keeps_its_depth(tmp_path: Path) -> None:
    deep = COLOUR.astype(np.uint16) * 257
    for suffix in ("png", "tif"):
        sitk.WriteImage(sitk.GetImageFromArray(deep, isVector=True), str(tmp_path / f"x.{suffix}"))
        pixels = read_radiograph(tmp_path / f"x.{suffix}").pixels
        assert np.array_equal(pixels, np.rint(deep @ [0.299, 0.587, 0.114]))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_transparency_is_ignored(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(np.dstack([COLOUR, GREY])).save(tmp_path / f"x.{suffix}")
    assert np.array_equal(read_radiograph(tmp_path / f"x.{suffix}").pixels, LUMA)
    Image.fromarray(np.dstack([GREY, GREY // 2])).save(tmp_path / f"y.{suffix}")
    assert np.array_equal(read_radiograph(tmp_path / f"y.{suffix}").pixels, GREY)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_palette(tmp_path: Path, suffix: str) -> None:
    image = Image.fromarray(COLOUR).quantize(16)
    image.save(tmp_path / f"x.{suffix}")
    expected = np.rint(np.asarray(image.convert("RGB")) @ [0.299, 0.587, 0.114])
    assert np.array_equal(read_radiograph(tmp_path / f"x.{suffix}").pixels, expected)


def test_one_bit(tmp_path: Path) -> None:
    Image.fromarray(GREY > 128).save(tmp_path / "x.png")
    assert np.array_equal(read_radiograph(tmp_path / "x.png").pixels, (GREY > 128) * 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_whose_zero_is_white(tmp_path: Path, dtype: type) -> None:
    stored = GREY.astype(dtype)
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="miniswhite")
    assert np.array_equal(read_radiograph(tmp_path / "x.tif").pixels, np.iinfo(dtype).max - stored)


@pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
@pytest.mark.parametrize(("byteorder", "dtype"), [(">", np.uint16), ("<", np.uint16), ("<", np.uint32)])
def test_white_is_zero_at_every_depth(tmp_path: Path, photometric: str, byteorder: str, dtype: type) -> None:
    stored = GREY.astype(dtype) * 200
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric=photometric, byteorder=byteorder)
    expected = np.iinfo(dtype).max - stored if photometric == "miniswhite" else stored
    assert np.array_equal(read_radiograph(tmp_path / "x.tif").pixels, expected)


@pytest.mark.parametrize("orientation", range(1, 5))
def test_a_mirrored_tiff_is_as_simpleitk_has_it(tmp_path: Path, orientation: int) -> None:
    """Pixels and places: the programs mirror the picture itself."""
    Image.fromarray(GREY).save(tmp_path / "x.tif", tiffinfo={274: orientation})
    image, stored = read_radiograph(tmp_path / "x.tif"), sitk.ReadImage(str(tmp_path / "x.tif"))
    pixels = sitk.GetArrayFromImage(stored)
    assert np.array_equal(image.pixels, pixels[..., 0] if pixels.ndim == 3 else pixels)
    assert image.geometry == read_geometry(tmp_path / "x.tif")
    assert image.geometry.pixel_to_world((3, 5))[:2] == pytest.approx(stored.TransformIndexToPhysicalPoint((3, 5)))


@pytest.mark.parametrize("orientation", range(5, 9))
def test_a_tiff_on_its_side_is_refused(tmp_path: Path, orientation: int) -> None:
    Image.fromarray(GREY).save(tmp_path / "x.tif", tiffinfo={274: orientation})
    with pytest.raises(
        ImageError, match=f"x.tif: a TIFF stored on its side \\(orientation {orientation}\\); save it up"
    ):
        read_radiograph(tmp_path / "x.tif")


def test_an_orientation_in_text_is_no_orientation(tmp_path: Path) -> None:
    """Only the EXIF chunk of a PNG counts, for its pixels and its geometry alike."""
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    Image.fromarray(GREY).save(tmp_path / "x.png", pnginfo=text)
    image = read_radiograph(tmp_path / "x.png")
    assert np.array_equal(image.pixels, GREY)
    assert image.geometry == read_geometry(tmp_path / "x.png")


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """ITK would end the process."""
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.fromarray(GREY).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(path)
    for read in (read_radiograph, read_geometry):
        with pytest.raises(ImageError, match="the name is not UTF-8; rename the file"):
            read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_picture_with_holes_is_refused(tmp_path: Path, value: float) -> None:
    pixels = GREY.astype(np.float32)
    pixels[3, 4] = value
    tifffile.imwrite(tmp_path / "x.tif", pixels)
    with pytest.raises(ImageError, match="x.tif: some pixels are not finite numbers"):
        read_radiograph(tmp_path / "x.tif")


MHA = b"ObjectType = Image\nNDims = 2\nDimSize = 4 4\nElementType = MET_UCHAR\n"
SECRET_HEADERS = {
    "colon.mha": MHA + b"ElementDataFile: secret.raw\n",
    "blank.mha": MHA + b" ElementDataFile = secret.raw\n",
    "late.mha": MHA + b"Comment = " + b"x" * 70_000 + b"\nElementDataFile = secret.raw\n",
    "cr.nrrd": b"NRRD0004\rtype: uchar\rdimension: 2\rsizes: 4 4\rencoding: raw\rdata file: secret.raw\r\r",
    "late.nrrd": b"NRRD0004\n# " + b"x" * 70_000 + b"\ntype: uchar\ndimension: 2\nsizes: 4 4\nencoding: raw\n"
    b"data file: secret.raw\n\n",
}


@pytest.mark.parametrize("name", SECRET_HEADERS)
def test_pixels_of_another_file_are_never_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(range(16)))
    (tmp_path / name).write_bytes(SECRET_HEADERS[name])
    with pytest.raises(ImageError, match="keeps its pixels in another file"):
        read_radiograph(tmp_path / name)


def test_a_nifti_of_two_files_is_refused(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(GREY), str(tmp_path / "x.img"))
    (tmp_path / "x.hdr").rename(tmp_path / "x.nii")
    with pytest.raises(ImageError, match="x.nii keeps its pixels in another file"):
        read_radiograph(tmp_path / "x.nii")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_pixels_and_leaves_the_world(tmp_path: Path, orientation: int) -> None:
    """Upright as Pillow shows it; but a pixel's place in the world is where programs that ignore EXIF have it."""
    stored = np.zeros((30, 20), np.uint8)
    stored[4, 13] = 255
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "x.png"
    Image.fromarray(stored).save(path, exif=exif)
    image = read_radiograph(path)
    assert np.array_equal(image.pixels, np.asarray(ImageOps.exif_transpose(Image.open(path))))
    y, x = np.argwhere(image.pixels)[0]
    assert image.geometry.pixel_to_world((x, y)) == pytest.approx((13.0, 4.0, 0.0))


@pytest.mark.parametrize(
    ("dpi", "known"), [((254, 254), True), ((300, 150), True), ((72, 72), False), ((96, 96), False)]
)
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_resolution_is_a_spacing_unless_it_is_a_screens(
    tmp_path: Path, suffix: str, dpi: tuple[int, int], known: bool
) -> None:
    Image.fromarray(GREY).save(tmp_path / f"x.{suffix}", dpi=dpi)
    image = read_radiograph(tmp_path / f"x.{suffix}")
    assert image.spacing_source is (SpacingSource.FILE if known else SpacingSource.UNKNOWN)
    assert image.spacing == pytest.approx((25.4 / dpi[0], 25.4 / dpi[1]) if known else (1, 1), rel=1e-4)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_the_world_of_a_picture_is_as_simpleitk_has_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(GREY).save(path, dpi=(72, 144))
    reference = sitk.ReadImage(str(path))
    world = read_radiograph(path).geometry.pixel_to_world((3.0, 2.5))
    assert world[:2] == pytest.approx(reference.TransformContinuousIndexToPhysicalPoint((3.0, 2.5)))


@given(st.sampled_from(["nrrd", "mha", "nii", "nii.gz"]), st.integers(0, 10_000))
def test_volumes_keep_their_geometry(tmp_path_factory: pytest.TempPathFactory, suffix: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("volume") / f"x.{suffix}"
    angle = rng.uniform(-np.pi, np.pi)
    image = sitk.GetImageFromArray(rng.integers(0, 4096, (6, 9)).astype(np.int16))
    image.SetSpacing(rng.uniform(0.05, 2, 2).tolist())
    image.SetOrigin(rng.uniform(-100, 100, 2).tolist())
    image.SetDirection([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)])
    sitk.WriteImage(image, str(path))
    read, reference = read_radiograph(path), sitk.ReadImage(str(path))
    assert np.array_equal(read.pixels, sitk.GetArrayFromImage(image))
    assert read.spacing == pytest.approx(reference.GetSpacing())
    assert read.spacing_source is SpacingSource.FILE
    expected = reference.TransformContinuousIndexToPhysicalPoint((3.25, 1.5))
    assert read.geometry.pixel_to_world((3.25, 1.5))[:2] == pytest.approx(expected)


def test_a_single_slice_is_an_image(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(GREY[None])
    image.SetSpacing((0.1, 0.2, 5.0))
    image.SetOrigin((1, 2, 3))
    sitk.WriteImage(image, str(tmp_path / "x.nrrd"))
    read = read_radiograph(tmp_path / "x.nrrd")
    assert read.size == (5, 7)
    assert read.geometry.pixel_to_world((1, 1)) == pytest.approx((1.1, 2.2, 3.0))


def test_1_mm_is_what_nobody_knew(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(GREY), str(tmp_path / "x.mha"))
    assert not read_radiograph(tmp_path / "x.mha").spacing_known


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "x.jpg")
    assert np.array_equal(read_radiograph(tmp_path / "x.jpg").pixels, GREY)
    (tmp_path / "x.jpg").rename(tmp_path / "x")
    assert np.array_equal(read_radiograph(tmp_path / "x").pixels, GREY)


EXPECTED = "expected a radiograph as DICOM, PNG, JPEG, TIFF, BMP, NRRD, NIfTI or MHA"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", f"x.png is empty; {EXPECTED}"),
        (b"hello, I am a text\n", f"x.png is a text file; {EXPECTED}"),
        (b"MZ\x90\0" + bytes(400), f"x.png is of no known image format; {EXPECTED}"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "x.png: damaged, can't be decoded"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "x.png: damaged, can't be decoded"),
        (b"NRRD0004\ntype: uchar\n\n", "x.png: damaged NRRD file"),
        (bytes(344) + b"n+1\0" + bytes(100), "x.png: damaged NIfTI file"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ImageError, match=sentence) as caught:
        read_radiograph(tmp_path / "x.png")
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        read_radiograph(tmp_path / "x.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_radiograph(tmp_path)


@pytest.mark.parametrize("suffix", ["nrrd", "nii.gz", "mha"])
def test_a_volume_is_refused(tmp_path: Path, suffix: str) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 7, 5), np.uint8)), str(tmp_path / f"x.{suffix}"))
    with pytest.raises(ImageError, match="is a volume of 5 x 7 x 4; expected one single 2D image"):
        read_radiograph(tmp_path / f"x.{suffix}")


def test_several_pages_are_refused(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "x.tif", save_all=True, append_images=[Image.fromarray(GREY)])
    with pytest.raises(ImageError, match="x.tif has 2 pages"):
        read_radiograph(tmp_path / "x.tif")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "nrrd", "mha", "nii", "nii.gz"])
def test_half_a_file_is_refused(tmp_path: Path, rng: np.random.Generator, suffix: str) -> None:
    """Never half an image: some decoders fill the rest with grey."""
    path = tmp_path / f"x.{suffix}"
    pixels = rng.integers(0, 256, (200, 100), dtype=np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match="damaged"):
        read_radiograph(path)


def test_a_compressed_file_without_its_last_bytes_is_refused(tmp_path: Path) -> None:
    """Of a stream that was cut off ITK takes what there is, and says nothing."""
    path = tmp_path / "x.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(20_000, dtype=np.uint16).reshape(200, 100)), str(path))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ImageError, match=r"x.nii.gz: damaged NIfTI file"):
        read_radiograph(path)


def test_pixels_in_another_file_are_refused(tmp_path: Path) -> None:
    """A header that names its data file could name any file of the server."""
    sitk.WriteImage(sitk.GetImageFromArray(GREY), str(tmp_path / "x.mhd"))
    with pytest.raises(ImageError, match="keeps its pixels in another file"):
        read_radiograph(tmp_path / "x.mhd")
    sitk.WriteImage(sitk.GetImageFromArray(GREY), str(tmp_path / "x.nhdr"))
    with pytest.raises(ImageError, match="keeps its pixels in another file"):
        read_radiograph(tmp_path / "x.nhdr")


def test_pixels_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    values = np.ones((4, 4), np.float32)
    values[1, 1] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "x.nrrd"))
    with pytest.raises(ImageError, match="not finite"):
        read_radiograph(tmp_path / "x.nrrd")


def test_a_hostile_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    header = b"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 200000 200000\nencoding: raw\n\n"
    (tmp_path / "x.nrrd").write_bytes(header + bytes(100))
    with pytest.raises(ImageError, match="200000 x 200000 pixels; at most"):
        read_radiograph(tmp_path / "x.nrrd")
