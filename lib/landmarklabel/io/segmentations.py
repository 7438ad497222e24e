"""Segmentations as files: 3D Slicer's ``.seg.nrrd``, and plain label images.

A ``.seg.nrrd`` is a NRRD volume, of one slice here, whose header says which value means which structure. Structures
that overlap lie in several layers along a first axis of kind ``list``. Slicer stores only the box that its segments
fill, so a file's pixels are put where its geometry says, not where they are in its array.
https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..errors import ImageError, LabelError, listed
from ..files import atomic_write
from ..radiograph import Geometry
from ..segmentation import Segmentation, colour
from .images import EXPECTED, sniff
from .raster import MAX_PIXELS
from .volume import require_one_whole_file

#: How far the pixels of a label may lie beside those of the image: in pixels along it, in mm off its plane.
TOLERANCE_PIXELS = 0.05
TOLERANCE_MM = 1.0

_CONFIDENCE = "LandmarkLabel.Confidence"
_ITK_READERS = {"NRRD": "NrrdImageIO", "NIfTI": "NiftiImageIO", "MHA": "MetaImageIO"}
_EXPECTED = "expected a .seg.nrrd, or a label image as NRRD, NIfTI, MHA or PNG"

# How a file begins that is written here; others, 3D Slicer's among them, put a comment before the first field.
_BEGINNING = b"NRRD0004\ntype: "

Values = NDArray[np.generic]


def write_segmentation(segmentation: Segmentation, path: Path) -> None:
    """Write a ``.seg.nrrd`` that 3D Slicer opens as a segmentation with names and colours.

    The structure at place i has the value i + 1. Where none overlap there is one layer, which is also a plain label
    image. World positions are the image's, to the last digit.

    Raises:
        StorageError: the disk is full, or the folder can't be written.
    """
    layer_of, volume = _layers(segmentation.masks)
    header = [
        *_image_header(segmentation.geometry, volume),
        *_segment_header(segmentation, layer_of),
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_ConversionParameters:=",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]
    pixels = gzip.compress(volume.astype(volume.dtype.newbyteorder("<")).tobytes(), 6, mtime=0)
    atomic_write(path, "\n".join([*header, "", ""]).encode() + pixels, f"the segmentation {path.name}")


def saved_elsewhere(path: Path) -> bool:
    """Whether another program, as 3D Slicer, has saved a ``.seg.nrrd`` since :func:`write_segmentation` wrote it.

    So it is, too, of a file that can't be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_BEGINNING)) != _BEGINNING
    except OSError:
        return True


def _layers(masks: NDArray[np.bool_]) -> tuple[list[int], Values]:
    """The first layer in which each structure overlaps none before it, and label values (H, W, layers)."""
    dtype = np.uint8 if len(masks) < 256 else np.uint16
    layers: list[Values] = []
    layer_of = []
    for value, mask in enumerate(masks, start=1):
        box = _box(mask)
        free = (number for number, layer in enumerate(layers) if not layer[box][mask[box]].any())
        number = next(free, len(layers))
        if number == len(layers):
            layers.append(np.zeros(mask.shape, dtype))
        layers[number][box][mask[box]] = value
        layer_of.append(number)
    return layer_of, np.stack(layers, axis=-1)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns that hold all of a mask; empty if it is."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _image_header(geometry: Geometry, volume: Values) -> list[str]:
    """What NRRD says of pixels and world, fastest axis first."""
    width, height = geometry.size
    count = volume.shape[-1]
    steps = np.reshape(geometry.direction, (3, 3)) * (*geometry.spacing, 1.0)
    layered = count > 1
    return [
        "NRRD0004",
        f"type: {'unsigned char' if volume.dtype == np.uint8 else 'unsigned short'}",
        f"dimension: {4 if layered else 3}",
        "space: left-posterior-superior",
        f"sizes: {f'{count} ' if layered else ''}{width} {height} 1",
        f"space directions: {'none ' if layered else ''}{' '.join(_vector(step) for step in steps.T)}",
        f"kinds: {'list ' if layered else ''}domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(geometry.origin)}",
    ]


def _vector(values: Sequence[float] | NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(value)) for value in values)})"


def _segment_header(segmentation: Segmentation, layer_of: Sequence[int]) -> list[str]:
    width, height = segmentation.geometry.size
    confidence = np.full(len(segmentation), np.nan) if segmentation.confidence is None else segmentation.confidence
    lines = []
    for index, (name, title) in enumerate(zip(segmentation.names, segmentation.titles, strict=True)):
        fields = {
            "ID": _escaped(name),
            "Name": _escaped(title or name),
            "NameAutoGenerated": "0",
            "Color": " ".join(f"{channel / 255:.6g}" for channel in colour(index)),
            "ColorAutoGenerated": "0",
            "LabelValue": str(index + 1),
            "Layer": str(layer_of[index]),
            "Extent": f"0 {width - 1} 0 {height - 1} 0 0",
            "Tags": f"{_CONFIDENCE}:{float(confidence[index])!r}|" if np.isfinite(confidence[index]) else "",
        }
        lines += [f"Segment{index}_{key}:={value}" for key, value in fields.items()]
    return lines


def _escaped(text: str) -> str:
    """Text as NRRD has it in a value, which is one line."""
    return " ".join(text.replace("\\", "\\\\").splitlines())


def read_segmentation(
    path: Path, geometry: Geometry, names: Sequence[str], titles: Sequence[str] | None = None
) -> Segmentation:
    """Read the label of an image: a ``.seg.nrrd``, or a plain label image.

    In a ``.seg.nrrd``, a segment is the structure that its ID, else its name, is the name or the title of. A structure
    that the file has not is empty. Pixels outside the image, which Slicer lets one paint, are left out.

    In a plain label image (NRRD, NIfTI, MHA, or PNG of 8 bits, grey or palette), 0 is the ground and the values 1 to R
    are the structures in the order of ``names``. A PNG lies on the upright image, pixel on pixel.

    Args:
        geometry: the image's.
        names: keys of the R structures.
        titles: their names in words; where a file has names, those, else the keys, if not given.

    Raises:
        ImageError: the file is missing, damaged, or of another format.
        LabelError: it does not lie on the image, or holds values or segments that are none of the structures.
    """
    path = Path(path)
    try:
        kind = sniff(path)
    except ImageError as problem:  # its sentence says what images are, not what labels are
        raise ImageError(str(problem).replace(EXPECTED, _EXPECTED)) from None
    if kind == "PNG":
        values = _png_values(path)
        _require_size(values, geometry, path)
        return _from_values(values, geometry, names, titles, path)
    if kind not in _ITK_READERS:
        raise ImageError(f"{path.name} is a {kind} file; {_EXPECTED}")
    image = _read_volume(path, kind)
    if segments := _segments(image):
        return _from_segments(image, segments, geometry, names, titles, path)
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise ImageError(
            f"{path.name}: {image.GetNumberOfComponentsPerPixel()} values a pixel and no names of segments; {_EXPECTED}"
        )
    return _from_values(_on_image(image, geometry, path, whole=True)[..., 0], geometry, names, titles, path)


def _png_values(path: Path) -> Values:
    """Values (H, W) of a PNG of 8 bits; of a palette, its indices."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("1", "L", "P"):
                raise ImageError(
                    f"{path.name}: a PNG of mode {image.mode}; expected a label image of 8 bits, no colour"
                )
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(f"{path.name}: {image.width} x {image.height} pixels; at most {MAX_PIXELS} are read")
            return np.array(image).astype(np.uint8)
    except Image.DecompressionBombError as problem:
        raise ImageError(f"{path.name}: {problem}") from None
    except (OSError, SyntaxError, UnidentifiedImageError) as problem:
        raise ImageError(f"{path.name}: damaged, can't be decoded ({problem})") from None


def _require_size(values: Values, geometry: Geometry, path: Path) -> None:
    height, width = values.shape
    if (width, height) != tuple(geometry.size):
        raise LabelError(
            f"{path.name} has {width} x {height} pixels, its image {geometry.size[0]} x {geometry.size[1]}; "
            "a label image has the size of its image"
        )


def _from_values(
    values: Values, geometry: Geometry, names: Sequence[str], titles: Sequence[str] | None, path: Path
) -> Segmentation:
    """Structures of a plain label image (H, W)."""
    if not np.issubdtype(values.dtype, np.integer) and not np.issubdtype(values.dtype, np.floating):
        raise ImageError(f"{path.name}: pixels of type {values.dtype}; expected whole numbers")
    if np.issubdtype(values.dtype, np.floating):
        with np.errstate(invalid="ignore"):
            fractional = values != np.rint(values)
        if fractional.any():
            raise LabelError(f"{path.name} holds the value {values[fractional][0]:g}; expected whole numbers")
    least, greatest = values.min(), values.max()
    if least < 0 or greatest > len(names):
        raise LabelError(
            f"{path.name} holds the value {least if least < 0 else greatest:g}; expected 0 (ground) to {len(names)}, "
            f"for {listed(names, 20)}"
        )
    masks = values == np.arange(1, len(names) + 1)[:, None, None]
    return Segmentation(tuple(names), tuple(titles or names), masks, geometry)


def _read_volume(path: Path, kind: str) -> sitk.Image:
    require_one_whole_file(path, kind)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(_ITK_READERS[kind])
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        shape = (*reader.GetSize(), reader.GetNumberOfComponents())
        if np.prod(shape, dtype=np.float64) > MAX_PIXELS:
            raise ImageError(f"{path.name}: {' x '.join(map(str, shape))} values; at most {MAX_PIXELS} are read")
        image = reader.Execute()
    except RuntimeError as problem:
        raise ImageError(f"{path.name}: damaged {kind} file ({str(problem).splitlines()[-1].strip()})") from None
    if image.GetDimension() > 3 and any(length != 1 for length in image.GetSize()[3:]):
        raise ImageError(f"{path.name}: an image of {image.GetDimension()} dimensions; {_EXPECTED}")
    return image


def _segments(image: sitk.Image) -> list[dict[str, str]]:
    """Fields of each segment that the header names, in its order; none: a plain label image."""
    found: dict[int, dict[str, str]] = {}
    for key in image.GetMetaDataKeys():
        if field := re.fullmatch(r"Segment(\d{1,6})_(\w+)", key):
            found.setdefault(int(field[1]), {})[field[2]] = image.GetMetaData(key)
    # Before there were layers of several segments, the segment of each number was the layer of that number.
    return [{"Layer": str(number), "LabelValue": "1", **found[number]} for number in sorted(found)]


def _from_segments(
    image: sitk.Image,
    segments: Sequence[dict[str, str]],
    geometry: Geometry,
    names: Sequence[str],
    titles: Sequence[str] | None,
    path: Path,
) -> Segmentation:
    values = _on_image(image, geometry, path, whole=False)
    masks = np.zeros((len(names), *values.shape[:2]), bool)
    words = list(titles or names)
    confidence = np.full(len(names), np.nan)
    seen: set[int] = set()
    for segment in segments:
        index = _structure(segment, names, words, path)
        if index in seen:
            raise LabelError(f"{path.name} has two segments for '{names[index]}'; expected one")
        seen.add(index)
        layer, value = (_whole_number(segment, key, path) for key in ("Layer", "LabelValue"))
        if layer >= values.shape[-1]:
            raise ImageError(f"{path.name}: segment '{names[index]}' is in layer {layer} of {values.shape[-1]}, from 0")
        masks[index] = values[..., layer] == value
        confidence[index] = _confidence(segment.get("Tags", ""))
        if titles is None:
            words[index] = segment.get("Name") or names[index]
    known = np.isfinite(confidence).any()
    return Segmentation(tuple(names), tuple(words), masks, geometry, confidence if known else None)


def _structure(segment: dict[str, str], names: Sequence[str], titles: Sequence[str], path: Path) -> int:
    """Which structure a segment is."""
    own = (segment.get("ID", ""), segment.get("Name", ""))
    for known in (names, titles):
        for key in own:
            if key in known:
                return list(known).index(key)
    shown = own[1] or own[0]
    raise LabelError(
        f"{path.name}: the segment '{shown}' is no structure of the protocol, which has {listed(names, 30)}"
    )


def _whole_number(segment: dict[str, str], key: str, path: Path) -> int:
    if not re.fullmatch(r"\d{1,6}", segment[key].strip()):
        raise ImageError(f"{path.name}: a segment's {key} is '{segment[key]}'; expected a whole number")
    return int(segment[key])


def _confidence(tags: str) -> float:
    found = re.search(rf"(?:^|\|){re.escape(_CONFIDENCE)}:([0-9.e-]{{1,30}})\|", tags)
    try:
        value = float(found[1]) if found else np.nan
    except ValueError:
        return np.nan
    return value if 0 <= value <= 1 else np.nan


def _on_image(image: sitk.Image, geometry: Geometry, path: Path, whole: bool) -> Values:
    """Values (H, W, layers) on the image's pixels, from the slice that lies in the image's plane; 0 where none are.

    Args:
        whole: whether the file must have just the image's pixels.
    """
    values = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() == 1:
        values = values[..., None]
    values = values.reshape(-1, *values.shape[-3:])  # (slices, rows, columns, layers)
    if whole:
        if len(values) != 1:
            raise LabelError(f"{path.name} is a volume of {len(values)} slices; expected one single 2D label image")
        _require_size(values[0, ..., 0], geometry, path)
    width, height = geometry.size
    on_image = np.zeros((height, width, values.shape[-1]), values.dtype)
    if not whole and values.shape[:3] == (1, 1, 1) and not values.any():
        return on_image  # what Slicer writes for segments that are all empty, with no geometry
    column, row, number = _offset(image, geometry, path)
    if whole and (column, row) != (0, 0):
        raise LabelError(f"{path.name} begins at pixel ({-column}, {-row}) of its image; expected the image's origin")
    if not 0 <= number < len(values):
        raise LabelError(f"{path.name}: none of its slices lies in the plane of its image")
    # Of image and file, what both have: from the pixel ``first`` of the image to before ``last``.
    first = np.maximum((-column, -row), 0)
    last = np.minimum((values.shape[2] - column, values.shape[1] - row), (width, height))
    if (first < last).all():
        (x0, y0), (x1, y1) = first, last
        on_image[y0:y1, x0:x1] = values[number, y0 + row : y1 + row, x0 + column : x1 + column]
    return on_image


def _offset(image: sitk.Image, geometry: Geometry, path: Path) -> tuple[int, int, int]:
    """Column, row and slice of the file at which the image's pixel (0, 0) lies.

    Raises:
        LabelError: the pixels of the file do not lie on those of the image.
    """
    dimension = min(image.GetDimension(), 3)
    axes, origin, spacing = np.eye(3), np.zeros(3), np.ones(3)
    matrix = np.reshape(image.GetDirection(), (image.GetDimension(),) * 2)
    axes[:dimension, :dimension] = matrix[:dimension, :dimension]
    spacing[:dimension] = image.GetSpacing()[:dimension]
    origin[:dimension] = image.GetOrigin()[:dimension]
    width, height = geometry.size
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]])
    at = (geometry.pixel_to_world(corners) - origin) @ np.linalg.inv(axes * spacing).T
    offset = np.rint(at[0])
    beside = np.abs(at - offset - np.column_stack([corners, np.zeros(4)])).max(axis=0)
    if (beside[:2] > TOLERANCE_PIXELS).any() or beside[2] * spacing[2] > TOLERANCE_MM:
        raise LabelError(
            f"{path.name} does not lie on its image: their pixels are up to {beside[:2].max():.3g} pixels and "
            f"{beside[2] * spacing[2]:.3g} mm of depth apart; expected the image's origin, spacing and direction"
        )
    return int(offset[0]), int(offset[1]), int(offset[2])
