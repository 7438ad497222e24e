"""NRRD, NIfTI and MHA, by SimpleITK."""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import ImageError
from ..radiograph import Geometry, Radiograph, SpacingSource
from .raster import MAX_PIXELS, luminance

# Headers of these formats are a few hundred bytes; one that goes on beyond this is not read.
_LONGEST_HEADER = 65_536

# Values a pixel of RGBA; and bytes of all of them, as double precision numbers, beside a header.
_MOST_VALUES = 4
_MOST_BYTES = 8 * _MOST_VALUES * MAX_PIXELS + _LONGEST_HEADER


def read_volume(path: Path, kind: str) -> Radiograph:
    """Read a 2D image, or a 3D one of a single slice, as NRRD, NIfTI or MHA.

    Raises:
        ImageError: the file is damaged, or holds more than one slice.
    """
    require_one_whole_file(path, kind)
    reader = sitk.ImageFileReader()
    reader.SetImageIO({"NRRD": "NrrdImageIO", "NIfTI": "NiftiImageIO", "MHA": "MetaImageIO"}[kind])
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _require_single(reader.GetSize(), reader.GetNumberOfComponents(), path)
        image = reader.Execute()
    except RuntimeError as problem:
        raise ImageError(f"{path.name}: damaged {kind} file ({str(problem).splitlines()[-1].strip()})") from None
    pixels = np.squeeze(sitk.GetArrayFromImage(image), axis=tuple(range(image.GetDimension() - 2)))
    if pixels.ndim == 3:
        if pixels.shape[2] not in (3, 4):
            raise ImageError(f"{path.name}: {pixels.shape[2]} values a pixel; expected grey or RGB(A)")
        pixels = luminance(pixels[..., :3])
    if not np.issubdtype(pixels.dtype, np.integer) and not np.issubdtype(pixels.dtype, np.floating):
        raise ImageError(f"{path.name}: pixels of type {pixels.dtype}; expected real numbers")
    geometry = image_geometry(image)
    # Exactly 1 mm is what these formats hold when nobody knew; no radiograph has pixels of that size.
    known = geometry.spacing != (1.0, 1.0)
    source = SpacingSource.FILE if known else SpacingSource.UNKNOWN
    return Radiograph(pixels, geometry, geometry.spacing, source, source=path.name)


def require_one_whole_file(path: Path, kind: str) -> None:
    """Refuse a header that names another file for its pixels, which could be any file of the machine; and half a file.

    What is accepted is what surely keeps its pixels itself; the libraries read headers more freely than this, and take
    what there is of a compressed NIfTI that was cut off.

    Raises:
        ImageError: it is one of the two.
    """
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    if kind == "MHA":
        named = re.search(rb"(?im)^[^\n]*ElementDataFile[^\n]*$", head)
        alone = named is not None and re.fullmatch(rb"(?i)ElementDataFile\s*=\s*LOCAL\s*", named[0]) is not None
    elif kind == "NRRD":
        header, end, _ = head.replace(b"\r\n", b"\n").partition(b"\n\n")
        alone = bool(end) and not re.search(rb"(?i)data ?file", header.replace(b"\r", b"\n"))
    else:
        with suppress(zlib.error):  # damaged, which ITK will find out
            head = zlib.decompressobj(wbits=31).decompress(head, 352)
        alone = head[344:348] != b"ni1\0" and head[4:8] != b"ni2\0"
        _require_whole(path)
    if not alone:
        raise ImageError(f"{path.name} keeps its pixels in another file; store header and pixels in one file")


def _require_whole(path: Path) -> None:
    """Follow a compressed NIfTI to its end, which holds a checksum; of another, compare its length with its header."""
    with path.open("rb") as file:
        head = file.read(352)
    if not head.startswith(b"\x1f\x8b"):
        if path.stat().st_size < _nifti_length(head):
            raise ImageError(f"{path.name}: damaged NIfTI file (it is shorter than its header says)")
        return
    try:
        with gzip.open(path) as stream:
            most = _MOST_BYTES
            if declared := _nifti_length(stream.read(352)):
                most = min(most, declared + _LONGEST_HEADER)
            while stream.read(1 << 20):
                if stream.tell() > most:
                    raise ImageError(f"{path.name}: more than {most} bytes when decompressed; its image has fewer")
    except (EOFError, OSError, zlib.error) as problem:
        raise ImageError(f"{path.name}: damaged NIfTI file ({problem})") from None


def _nifti_length(head: bytes) -> int:
    """Bytes of a NIfTI-1 file by its header, of either byte order; 0 where it is no such header."""
    for order in "<>":
        if len(head) == 352 and struct.unpack(f"{order}i", head[:4])[0] == 348:
            dimensions, *sides = struct.unpack(f"{order}8h", head[40:56])
            (bits,), (offset,) = struct.unpack(f"{order}h", head[72:74]), struct.unpack(f"{order}f", head[108:112])
            return int(offset) + math.prod(sides[:dimensions]) * bits // 8
    return 0


def _require_single(size: tuple[int, ...], values: int, path: Path) -> None:
    if any(length != 1 for length in size[2:]):
        shape = " x ".join(map(str, size))
        raise ImageError(f"{path.name} is a volume of {shape}; expected one single 2D image")
    if size[0] * size[1] > MAX_PIXELS:
        raise ImageError(f"{path.name}: {size[0]} x {size[1]} pixels; at most {MAX_PIXELS} are read")
    if values > _MOST_VALUES:
        raise ImageError(f"{path.name}: {values} values a pixel; expected grey or RGB(A)")


def image_geometry(image: sitk.Image | sitk.ImageFileReader) -> Geometry:
    """Geometry of an image, or of a file whose header was read, of 2 dimensions or 3 with one slice."""
    dimension = len(image.GetSize())
    direction = np.eye(3)
    matrix = np.reshape(image.GetDirection(), (dimension, dimension))
    keep = min(dimension, 3)
    direction[:keep, :keep] = matrix[:keep, :keep]
    origin = (*image.GetOrigin()[:3], 0.0)[:3]
    width, height, *_ = image.GetSize()
    spacing = image.GetSpacing()
    return Geometry((width, height), (spacing[0], spacing[1]), origin, tuple(direction.ravel().tolist()))
