"""PNG, JPEG, TIFF and BMP: pixels by Pillow, upright by EXIF, world geometry as SimpleITK has it."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ..errors import ImageError
from ..radiograph import Geometry, Radiograph, SpacingSource

#: More pixels than any radiograph has; a file that declares more is damaged or hostile.
#: A film of 14 x 17 inches scanned at 50 um has 61 million.
MAX_PIXELS = 64_000_000

_MM_PER_INCH = 25.4
# What programs write when nobody knew the scale of the picture: resolutions of screens.
_SCREEN_DPI = (72.0, 96.0)
_EXIF_ORIENTATION = 274
_PHOTOMETRIC = 262  # of TIFF; 0: white is zero


def read_raster(path: Path) -> Radiograph:
    """Read a PNG, JPEG, TIFF or BMP file: 8 or 16 bit, grey, RGB(A), palette, any EXIF orientation.

    Colour becomes grey by its luminance, transparency is ignored. Pixels are upright as EXIF says, and the
    geometry turns with them, so that world positions agree with programs that ignore EXIF. A TIFF is mirrored by every
    program alike; its geometry is that of the mirrored picture.

    Raises:
        ImageError: the file is damaged, has several pages, or is not a picture in grey or colour.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
        _require_single(image, path)
        _require_not_on_its_side(int(_tiff_tag(image, _EXIF_ORIENTATION) or 1), path)
        dpi = _resolution(image)
        image.load()
        orientation = _remaining_orientation(image)
        pixels = _grey(image, path)
    except UnidentifiedImageError:
        pixels, orientation, dpi = _unknown_to_pillow(path), 1, None
    except Image.DecompressionBombError as problem:
        raise ImageError(f"{path.name}: {problem}") from None
    except (OSError, SyntaxError, ValueError) as problem:
        if isinstance(problem, ImageError):
            raise
        raise ImageError(f"{path.name}: damaged, can't be decoded ({problem})") from None
    stored = _stored_geometry(path, (pixels.shape[1], pixels.shape[0]))
    spacing, source = _spacing(dpi)
    return _upright(pixels, stored, orientation, spacing, source, path.name)


def _remaining_orientation(image: Image.Image) -> int:
    """The EXIF orientation by which a decoded image still has to be turned; 1 is upright.

    Pillow mirrors a TIFF itself while it decodes, as ITK does. In a PNG only the EXIF chunk counts: programs differ on
    orientations in XMP and in text.
    """
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    return int(image.getexif().get(_EXIF_ORIENTATION, 1))


def _require_not_on_its_side(orientation: int, path: Path) -> None:
    """Refuse a TIFF whose axes are exchanged: every program makes something else of it."""
    if _TURNS.get(orientation, _TURNS[1])[0]:
        raise ImageError(f"{path.name}: a TIFF stored on its side (orientation {orientation}); save it upright")


def _require_single(image: Image.Image, path: Path) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames != 1:
        raise ImageError(f"{path.name} has {frames} pages; expected one single 2D image")
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(f"{path.name}: {image.width} x {image.height} pixels; at most {MAX_PIXELS} are read")


def _grey(image: Image.Image, path: Path) -> NDArray[np.generic]:
    """Pixels (H, W) of a decoded image, at its own depth."""
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode in ("L", "I", "F") or image.mode.startswith("I;16"):
        pixels = np.ascontiguousarray(np.asarray(image))
        # Pillow turns a TIFF whose zero is white only at 8 bits.
        return 65535 - pixels if pixels.dtype == np.uint16 and _tiff_tag(image, _PHOTOMETRIC) == 0 else pixels
    if image.mode == "LA":
        # Pillow keeps 8 bits of it; ITK can't read it at all.
        if _bit_depth(image, path) > 8:
            raise ImageError(f"{path.name}: grey with transparency at 16 bits; save it without transparency")
        return np.asarray(image.getchannel("L"))
    if image.mode in ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"):
        if _bit_depth(image, path) > 8:  # Pillow keeps only 8 of them
            return _by_simpleitk(path)
        return luminance(np.asarray(image.convert("RGB")))
    raise ImageError(f"{path.name}: colour mode {image.mode}; expected grey, RGB or palette")


def luminance(colour: NDArray[np.generic]) -> NDArray[np.generic]:
    """Grey (H, W) of colour (H, W, 3): the channel itself where all are equal, else ITU-R BT.601 luma, rounded."""
    red, green, blue = (colour[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return np.ascontiguousarray(red)
    grey = np.asarray(colour[..., :3] @ np.array([0.299, 0.587, 0.114]))
    return np.rint(grey).astype(colour.dtype) if np.issubdtype(colour.dtype, np.integer) else grey


def _bit_depth(image: Image.Image, path: Path) -> int:
    """Bits of a channel as stored."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]  # IHDR is always the first chunk
    bits = _tiff_tag(image, 258)
    return int(np.max(bits)) if bits is not None else 8


def _tiff_tag(image: Image.Image, tag: int) -> Any:
    """A tag of a TIFF file; None in other formats."""
    return getattr(image, "tag_v2", {}).get(tag)


def _by_simpleitk(path: Path) -> NDArray[np.generic]:
    """Pictures that Pillow can't read at their depth: 16 bit a channel."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        width, height, *pages = reader.GetSize()
        if math.prod(pages) == 1 and width * height > MAX_PIXELS:
            raise ImageError(f"{path.name}: {width} x {height} pixels; at most {MAX_PIXELS} are read")
        if math.prod(pages) != 1:
            raise ImageError(f"{path.name} has {pages[0]} pages; expected one single 2D image")
        image = reader.Execute()
    except RuntimeError as problem:
        raise ImageError(f"{path.name}: damaged, can't be decoded ({str(problem).splitlines()[-1].strip()})") from None
    pixels = np.squeeze(sitk.GetArrayFromImage(image), axis=tuple(range(image.GetDimension() - 2)))
    return luminance(pixels[..., :3]) if pixels.ndim == 3 else pixels


def _unknown_to_pillow(path: Path) -> NDArray[np.generic]:
    """Pictures of a depth that Pillow does not know; all that are seen are TIFF."""
    pixels = _by_simpleitk(path)
    with path.open("rb") as file:
        tags = ImageFileDirectory_v2(file.read(8))
        file.seek(tags.next)
        tags.load(file)
    if tags.get(_EXIF_ORIENTATION, 1) != 1:
        raise ImageError(f"{path.name}: a TIFF of rare depth that is stored turned; save it upright")
    if tags.get(_PHOTOMETRIC) == 0 and np.issubdtype(pixels.dtype, np.unsignedinteger):
        return np.invert(pixels)  # the greatest value of the type less the pixel
    return pixels


def _stored_geometry(path: Path, size: tuple[int, int]) -> Geometry:
    """The geometry that SimpleITK has for the file, which knows nothing of EXIF."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        spacing = reader.GetSpacing()[:2]
    except RuntimeError:  # a picture that ITK can't read (grey with alpha); it would have no spacing anyway
        spacing = (1.0, 1.0)
    return Geometry(size, (float(spacing[0]), float(spacing[1])))


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    """Dots per inch in x and y, or None if the file gives none."""
    if image.format == "JPEG" and image.info.get("jfif_unit", 1) == 0:
        return None
    dpi = image.info.get("dpi")
    if not dpi or len(dpi) != 2:
        return None
    x, y = float(dpi[0]), float(dpi[1])
    return (x, y) if math.isfinite(x) and math.isfinite(y) and min(x, y) > 1 else None


def _spacing(dpi: tuple[float, float] | None) -> tuple[tuple[float, float], SpacingSource]:
    if dpi is None or any(abs(value - screen) < 0.5 for value in dpi for screen in _SCREEN_DPI):
        return (1.0, 1.0), SpacingSource.UNKNOWN
    return (_MM_PER_INCH / dpi[0], _MM_PER_INCH / dpi[1]), SpacingSource.FILE


# For each EXIF orientation: whether the stored axes are exchanged, then which upright axes run backwards.
_TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}


def _upright(
    pixels: NDArray[np.generic],
    stored: Geometry,
    orientation: int,
    spacing: tuple[float, float],
    source: SpacingSource,
    name: str,
) -> Radiograph:
    """Turn the pixels as EXIF says; the geometry turns along, so that the world stays where it is."""
    exchange, back_x, back_y = _TURNS.get(orientation, _TURNS[1])
    axes = np.reshape(stored.direction, (3, 3)).copy()
    steps = stored.spacing
    if exchange:
        pixels = pixels.T
        axes[:, :2] = axes[:, 1::-1]
        steps, spacing = steps[::-1], spacing[::-1]
    height, width = pixels.shape
    origin = np.asarray(stored.origin, dtype=np.float64)
    for axis, backwards, length in ((0, back_x, width), (1, back_y, height)):
        if backwards:
            pixels = np.flip(pixels, axis=1 - axis)
            origin = origin + axes[:, axis] * steps[axis] * (length - 1)
            axes[:, axis] *= -1
    geometry = Geometry((width, height), steps, tuple(origin.tolist()), tuple(axes.ravel().tolist()))
    return Radiograph(np.ascontiguousarray(pixels), geometry, spacing, source, source=name)
