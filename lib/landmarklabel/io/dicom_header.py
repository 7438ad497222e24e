"""The header of a DICOM radiograph, without its pixels and without who the patient is."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from ..errors import ImageError
from ..files import atomic_path
from ..radiograph import Geometry
from .volume import image_geometry

# Identification, acquisition, relationship to other images, pixels. Patient, procedure, overlays and private groups
# are not among them.
_GROUPS = (0x0008, 0x0018, 0x0020, 0x0028, 0x7FE0)

# Numbers, codes and UIDs. Names, texts, dates, devices and nested items hold what tells whose an image is.
_REPRESENTATIONS = frozenset(
    ("AT", "CS", "DS", "FD", "FL", "IS", "SL", "SS", "UI", "UL", "US", "OB", "OW", "OF", "OB or OW", "US or SS")
)
_PIXELS = 0x7FE00010


def without_identity(dataset: Dataset, patient: str = "") -> FileDataset:
    """What of a radiograph says how it was taken and what it shows, as a dataset that can be written.

    Kept are numbers, codes and UIDs of the groups for identification, acquisition, relationship and pixels. UIDs are
    the archive's. What is burned into the pixels stays.

    Args:
        patient: the PatientID to give it, by which images of one patient are known as such.
    """
    kept = FileDataset("", {}, file_meta=_file_meta(dataset), preamble=b"\0" * 128)
    syntax = UID(kept.file_meta.TransferSyntaxUID)
    kept.is_little_endian, kept.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
    for element in dataset:
        if element.tag.group in _GROUPS and element.VR in _REPRESENTATIONS:
            kept[element.tag] = element
    kept.PatientID, kept.PatientName, kept.PatientIdentityRemoved = patient, "", "YES"
    kept.DeidentificationMethod = "landmarklabel: numbers, codes and UIDs only"
    return kept


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    given = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    meta.TransferSyntaxUID = given or ExplicitVRLittleEndian
    return meta


def write_header(header: Dataset, path: Path) -> None:
    """Write a header, without pixels, as a DICOM file.

    Raises:
        StorageError: the disk is full, or the folder can't be written.
    """
    bare = FileDataset("", {each.tag: each for each in header if each.tag != _PIXELS}, preamble=b"\0" * 128)
    bare.file_meta = _file_meta(header)
    bare.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    bare.is_little_endian, bare.is_implicit_VR = True, False
    with atomic_path(path, f"the header {path.name}") as temporary:
        bare.save_as(temporary, write_like_original=False)


def geometry_of_header(header: Dataset) -> Geometry:
    """The world geometry that SimpleITK makes of an image with this header: it is shown an image of one pixel.

    Raises:
        ImageError: it says no size.
    """
    if not header.get("Rows") or not header.get("Columns"):
        raise ImageError("DICOM without an image; expected Rows and Columns")
    size = (int(header.Columns), int(header.Rows))
    pixel = Dataset()
    pixel.update({each.tag: each for each in header if each.tag != _PIXELS})
    pixel.Rows = pixel.Columns = pixel.SamplesPerPixel = 1
    pixel.PhotometricInterpretation, pixel.PixelRepresentation = "MONOCHROME2", 0
    pixel.BitsAllocated, pixel.BitsStored, pixel.HighBit = 16, 16, 15
    pixel.PixelData = b"\0\0"
    pixel.file_meta = _file_meta(header)
    pixel.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pixel.is_little_endian, pixel.is_implicit_VR = True, False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pixel.dcm"
        pixel.save_as(path, write_like_original=False)
        reader = sitk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        return replace(image_geometry(reader), size=size)
