"""The geometry of an image without its pixels: what a thousand labels need, in a hundredth of the time."""

from __future__ import annotations

from pathlib import Path

import pydicom
import SimpleITK as sitk
from PIL import Image

from ..radiograph import Geometry
from .dicom import require_radiograph
from .dicom_header import geometry_of_header
from .images import read_radiograph, sniff
from .volume import image_geometry

_ITK_READERS = {"DICOM": "GDCMImageIO", "NRRD": "NrrdImageIO", "NIfTI": "NiftiImageIO", "MHA": "MetaImageIO"}
_EXIF_ORIENTATION = 274


def read_geometry(path: str | Path) -> Geometry:
    """``read_radiograph(path).geometry``, from the file's header alone where that is possible.

    A file whose pixels are damaged is not found out here.

    Raises:
        ImageError: as :func:`read_radiograph`.
    """
    path = Path(path)
    kind = sniff(path)
    is_picture = kind not in _ITK_READERS
    if is_picture and _may_be_turned(path, kind):
        return read_radiograph(path).geometry
    reader = sitk.ImageFileReader()
    if not is_picture:
        reader.SetImageIO(_ITK_READERS[kind])
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        if kind == "DICOM" and (geometry := _of_bare_header(path)):
            return geometry
        # a format that Pillow reads and ITK doesn't, or a damaged file, which the reader explains
        return read_radiograph(path).geometry
    if any(length != 1 for length in reader.GetSize()[2:]):
        return read_radiograph(path).geometry  # refuses it, in words
    geometry = image_geometry(reader)
    return Geometry(geometry.size, geometry.spacing) if is_picture else geometry


def _of_bare_header(path: Path) -> Geometry | None:
    """Of a DICOM file that holds a radiograph's header and no pixels; None if it is something else."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        require_radiograph(header, path.name)
        return geometry_of_header(header) if "PixelData" not in pydicom.dcmread(path) else None
    except Exception:  # on a damaged file pydicom raises whatever it runs into; the reader explains it
        return None


def _may_be_turned(path: Path, kind: str) -> bool:
    """Whether EXIF may say that the pixels are stored turned."""
    if kind == "PNG":  # Pillow would decode all of a PNG to look for EXIF after its pixels
        return b"eXIf" in path.read_bytes()
    if kind == "TIFF":
        return False
    try:
        with Image.open(path) as image:
            return image.getexif().get(_EXIF_ORIENTATION, 1) != 1
    except (OSError, SyntaxError, ValueError):
        return True
