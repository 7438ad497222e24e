"""The one image reader: whatever the format, a point means the same everywhere."""

from __future__ import annotations

from pathlib import Path

from ..errors import FormatError, ImageError
from ..radiograph import Radiograph
from .dicom import read_dicom
from .raster import read_raster
from .volume import read_volume

#: The usual endings of each format, the first for a file whose own name has none that fits.
SUFFIXES_OF_FORMAT = {
    "DICOM": (".dcm", ".dicom"), "PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",), "NRRD": (".nrrd",), "NIfTI": (".nii", ".nii.gz"), "MHA": (".mha",),
}  # fmt: skip

#: Endings of the files that are looked for in folders. What a file is, its content decides.
IMAGE_SUFFIXES = tuple(suffix for suffixes in SUFFIXES_OF_FORMAT.values() for suffix in suffixes)

EXPECTED = "expected a radiograph as DICOM, PNG, JPEG, TIFF, BMP, NRRD, NIfTI or MHA"

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"NRRD", "NRRD"),
    (b"ObjectType", "MHA"),
    (b"NDims", "MHA"),
)
_READERS = {"PNG": read_raster, "JPEG": read_raster, "TIFF": read_raster, "BMP": read_raster, "DICOM": read_dicom}


def read_radiograph(path: str | Path) -> Radiograph:
    """Read one 2D radiograph of any supported format, which its content decides, not its name.

    Returns:
        the image with its geometry and spacing, bright = dense.

    Raises:
        ImageError: the file is missing, empty, no image, damaged, or not one single 2D image.
    """
    path = Path(path)
    kind = sniff(path)
    reader = _READERS.get(kind)
    return reader(path) if reader else read_volume(path, kind)


def sniff(path: Path) -> str:
    """The format of a file by its content: DICOM, PNG, JPEG, TIFF, BMP, NRRD, NIfTI or MHA.

    Raises:
        FormatError: it is none of these.
        ImageError: it can't be read, or is empty.
    """
    try:
        str(path).encode()
        with path.open("rb") as file:
            head = file.read(352)
    except UnicodeEncodeError:  # ITK would end the whole process
        shown = str(path).encode(errors="replace").decode()
        raise ImageError(f"{shown}: the name is not UTF-8; rename the file") from None
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder; {EXPECTED}") from None
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except OSError as problem:
        raise ImageError(f"{path}: can't be read ({problem.strerror})") from None
    if not head:
        raise ImageError(f"{path.name} is empty; {EXPECTED}")
    if head[128:132] == b"DICM":
        return "DICOM"
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[344:348] in (b"n+1\0", b"ni1\0") or (head[:2] == b"\x1f\x8b" and path.name.lower().endswith(".gz")):
        return "NIfTI"
    if _is_text(head):
        raise FormatError(f"{path.name} is a text file; {EXPECTED}")
    raise FormatError(f"{path.name} is of no known image format; {EXPECTED}")


def _is_text(head: bytes) -> bool:
    return all(byte in b"\t\n\r\f" or 32 <= byte < 127 or byte >= 128 for byte in head) and b"\0" not in head
