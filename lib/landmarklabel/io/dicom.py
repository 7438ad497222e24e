"""DICOM radiographs (CR, DX, and secondary captures of them)."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import decode_data_sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from ..errors import ImageError
from ..radiograph import Radiograph, SpacingSource
from .codestream import declared_size
from .raster import MAX_PIXELS, luminance
from .volume import image_geometry

logger = logging.getLogger(__name__)

#: More than MAX_PIXELS in colours of 16 bits have; a file that is larger is damaged or hostile.
MAX_BYTES = 6 * MAX_PIXELS + (64 << 20)

# Images that no X-ray source and detector made by projection.
_OTHER_MODALITIES = (
    "CT", "MR", "PT", "NM", "US", "IVUS", "OCT", "OP", "OPT", "SM", "GM", "ES", "XC", "ECG", "EPS", "HD", "SEG",
    "RTDOSE", "RTSTRUCT", "RTPLAN", "TG", "LS", "DMS",
)  # fmt: skip


def read_dicom(path: Path) -> Radiograph:
    """Read a single-frame DICOM image: MONOCHROME1 and 2, RGB, 8 to 16 bit, also compressed.

    Rescale is applied, MONOCHROME1 is inverted within the range that its bits can hold, so that bright is dense.
    The VOI window is kept for display only. Spacing: :func:`physical_spacing`. World geometry: as SimpleITK has it.

    Raises:
        ImageError: not DICOM, no pixels, several frames, or a compression without a decoder.
    """
    try:
        _require_bounded(path)
        require_radiograph(pydicom.dcmread(path, stop_before_pixels=True), path.name)
        return _read(path, pydicom.dcmread(path))
    except ImageError:
        raise
    except Exception as problem:  # on a damaged file pydicom raises whatever it runs into
        raise ImageError(f"{path.name}: damaged DICOM file ({problem})") from None


def read_header(path: Path) -> Dataset:
    """Everything of a DICOM file but its pixels.

    Raises:
        ImageError: it is missing, or no DICOM.
    """
    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except OSError as problem:
        raise ImageError(f"{path}: can't be read ({problem.strerror})") from None
    except Exception as problem:  # on a damaged file pydicom raises whatever it runs into
        raise ImageError(f"{path.name}: expected a DICOM file ({problem})") from None


def _read(path: Path, dataset: Dataset) -> Radiograph:
    if "PixelData" not in dataset:
        raise ImageError(f"{path.name}: DICOM without an image ({dataset.get('Modality')}); expected a CR or DX image")
    inverted = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        pixels = _decode_compressed(path, dataset)
    else:
        pixels = _decode(path, dataset, inverted)
    spacing, source = physical_spacing(dataset)
    geometry = image_geometry(_header(path))
    window = _window(dataset, inverted)
    return Radiograph(pixels, geometry, spacing, source, window, source=path.name)


def _require_bounded(path: Path) -> None:
    """Refuse what would fill the memory before its size can be seen in its header."""
    if path.stat().st_size > MAX_BYTES:
        raise ImageError(f"{path.name}: {path.stat().st_size} bytes; at most {MAX_BYTES} are read")
    syntax = pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID")
    if syntax == DeflatedExplicitVRLittleEndian:
        raise ImageError(f"{path.name}: deflated as a whole, header and all; store it uncompressed or as JPEG 2000")


def require_radiograph(header: Dataset, name: str) -> None:
    """Check, by its header alone, that a DICOM object is one single radiograph of a size that is read.

    Raises:
        ImageError: it is not; the sentence begins with ``name``.
    """
    kind = header.get("Modality") or UID(str(header.get("SOPClassUID") or "")).name or "of no modality"
    if header.get("Modality") in _OTHER_MODALITIES:
        raise ImageError(f"{name}: a DICOM object of modality {kind}; expected a radiograph, such as CR or DX")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(f"{name} has {frames} frames; expected one single 2D image")
    if not header.get("Rows") or not header.get("Columns"):
        raise ImageError(f"{name}: DICOM without an image ({kind}); expected a CR or DX image")
    if header.Rows * header.Columns > MAX_PIXELS:
        raise ImageError(f"{name}: {header.Columns} x {header.Rows} pixels; at most {MAX_PIXELS} are read")


def _decode(path: Path, dataset: Dataset, inverted: bool) -> NDArray[np.generic]:
    """Pixels of an uncompressed image, rescaled, bright = dense."""
    stored = dataset.pixel_array
    photometric = str(dataset.get("PhotometricInterpretation"))
    if stored.ndim == 3:
        return stored[..., 0] if photometric.startswith("YBR") else luminance(stored)
    if photometric == "PALETTE COLOR":
        raise ImageError(f"{path.name}: false colours (PALETTE COLOR); expected a grey image")
    low, high = _stored_range(dataset)
    if low == 0:
        stored = stored & stored.dtype.type(high)  # old CR keeps overlays in the bits above
    if inverted:
        stored = (low + high - stored.astype(np.int64)).astype(stored.dtype)
    slope, intercept = _rescale(dataset)
    if (slope, intercept) == (1.0, 0.0):
        return stored
    return (slope * stored.astype(np.float64) + intercept).astype(np.float32)


def _decode_compressed(path: Path, dataset: Dataset) -> NDArray[np.generic]:
    """Pixels of a JPEG, JPEG-LS, JPEG 2000 or RLE image; ITK rescales and inverts MONOCHROME1 itself."""
    fragments = decode_data_sequence(dataset.PixelData)
    inside, stated = declared_size(b"".join(fragments[:1])), (int(dataset.Columns), int(dataset.Rows))
    if inside not in (None, stated):
        raise ImageError(f"{path.name}: its header says {stated[0]} x {stated[1]} pixels, its compressed data {inside}")
    try:
        image = sitk.ReadImage(str(path), imageIO="GDCMImageIO")
    except RuntimeError:
        syntax = dataset.file_meta.TransferSyntaxUID
        raise ImageError(
            f"{path.name}: no decoder for its compression, {syntax.name}, or the data are damaged; "
            "store it uncompressed or as JPEG, JPEG-LS, JPEG 2000 or RLE"
        ) from None
    pixels = sitk.GetArrayFromImage(image)[0]
    return luminance(pixels) if pixels.ndim == 3 else pixels


def _header(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as problem:
        raise ImageError(f"{path.name}: damaged DICOM file ({str(problem).splitlines()[-1].strip()})") from None
    return reader


def _stored_range(dataset: Dataset) -> tuple[int, int]:
    """Least and greatest value that the stored bits can hold."""
    bits = int(dataset.BitsStored)
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if dataset.PixelRepresentation else (0, (1 << bits) - 1)


def _rescale(dataset: Dataset) -> tuple[float, float]:
    return _number(dataset.get("RescaleSlope"), 1.0), _number(dataset.get("RescaleIntercept"), 0.0)


def _window(dataset: Dataset, inverted: bool) -> tuple[float, float] | None:
    """(low, high) of the first VOI window, in the values of the returned pixels; None where there is none."""
    centre, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if centre is None or width is None or width < 1:
        return None
    # DICOM PS3.3 C.11.2.1.2: the window spans width - 1 around centre - 0.5.
    low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    if inverted:
        slope, intercept = _rescale(dataset)
        ends = sum(slope * value + intercept for value in _stored_range(dataset))
        low, high = ends - high, ends - low
    return low, high


def physical_spacing(dataset: Dataset) -> tuple[tuple[float, float], SpacingSource]:
    """Millimetres of anatomy a pixel, (sx, sy), and where that is known from.

    PixelSpacing if it is calibrated; else ImagerPixelSpacing, which is at the detector, divided by the
    magnification where that is given; else what other attributes say; else (1, 1), unknown. PixelSpacing is
    calibrated if it says how, or if it differs from ImagerPixelSpacing, or if that is absent (DICOM PS3.3 10.7.1.3).
    """
    pixel, imager = _pair(dataset, "PixelSpacing"), _pair(dataset, "ImagerPixelSpacing")
    if pixel and (imager is None or pixel != imager or dataset.get("PixelSpacingCalibrationType")):
        return pixel, SpacingSource.PIXEL_SPACING
    if imager:
        magnification = _number(dataset.get("EstimatedRadiographicMagnificationFactor"), 0.0)
        if magnification > 0:
            corrected = (imager[0] / magnification, imager[1] / magnification)
            return corrected, SpacingSource.IMAGER_PIXEL_SPACING_MAGNIFIED
        return imager, SpacingSource.IMAGER_PIXEL_SPACING
    nominal = _pair(dataset, "NominalScannedPixelSpacing")
    if nominal:
        return nominal, SpacingSource.FILE
    return (1.0, 1.0), SpacingSource.UNKNOWN


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """A spacing attribute as (sx, sy); DICOM holds the row spacing, sy, first."""
    values = dataset.get(keyword)
    if values is None or isinstance(values, str) or not hasattr(values, "__len__") or len(values) != 2:
        return None
    sy, sx = _number(values[0], 0.0), _number(values[1], 0.0)
    return (sx, sy) if sx > 0 and sy > 0 else None


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) and hasattr(value, "__len__"):
        value = value[0] if len(value) else None
    number = _number(value, math.nan)
    return number if math.isfinite(number) else None


def _number(value: Any, default: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return default
    return number if math.isfinite(number) else default
