"""Writing radiographs: NRRD for any image, DICOM (DX) for those that are to look like a hospital's."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from ..errors import ImageError
from ..files import atomic_path
from ..radiograph import Radiograph, SpacingSource


def write_nrrd(radiograph: Radiograph, path: Path) -> None:
    """Write pixels and world geometry as compressed NRRD; reading it gives the same of both.

    Raises:
        StorageError: the disk is full, or the folder can't be written.
    """
    geometry = radiograph.geometry
    # As one slice of three dimensions: only then does NRRD say that its axes are LPS.
    image = sitk.GetImageFromArray(np.ascontiguousarray(radiograph.pixels)[np.newaxis])
    image.SetSpacing((*geometry.spacing, 1.0))
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    with atomic_path(path, f"the image {path.name}") as temporary:
        try:
            sitk.WriteImage(image, str(temporary), useCompression=True, imageIO="NrrdImageIO")
        except RuntimeError as problem:  # ITK does not say why it could not write
            full = shutil.disk_usage(path.parent).free < radiograph.pixels.nbytes
            raise OSError(errno.ENOSPC if full else errno.EIO, str(problem).splitlines()[-1].strip()) from problem


def write_dicom(
    radiograph: Radiograph,
    path: Path,
    patient: str,
    body_part: str = "",
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2",
) -> None:
    """Write a DX image of 12 bits with its spacing as ImagerPixelSpacing.

    Args:
        radiograph: pixels are whole numbers from 0 to 4095, bright = dense.
        patient: name and id; also decides the UIDs, so that the same image gets the same ones.
        photometric: MONOCHROME1 stores the pixels inverted.

    Raises:
        ImageError: pixels do not fit into 12 bits.
        StorageError: the disk is full, or the folder can't be written.
    """
    pixels = np.asarray(radiograph.pixels)
    if not np.issubdtype(pixels.dtype, np.integer) or pixels.min() < 0 or pixels.max() > 4095:
        raise ImageError("a 12 bit DICOM image holds whole numbers from 0 to 4095")
    dataset = _dataset(path, patient, body_part)
    dataset.PhotometricInterpretation = photometric
    dataset.PresentationLUTShape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    if radiograph.spacing_source is not SpacingSource.UNKNOWN:
        dataset.ImagerPixelSpacing = [f"{step:.6g}" for step in reversed(radiograph.spacing)]
    if radiograph.window is not None:
        low, high = radiograph.window
        if photometric == "MONOCHROME1":
            low, high = 4095 - high, 4095 - low
        dataset.WindowCenter, dataset.WindowWidth = f"{(low + high) / 2 + 0.5:.6g}", f"{high - low + 1:.6g}"
    stored = 4095 - pixels.astype(np.int64) if photometric == "MONOCHROME1" else pixels
    dataset.PixelData = stored.astype("<u2").tobytes()
    with atomic_path(path, f"the image {path.name}") as temporary:
        dataset.save_as(temporary, write_like_original=False)


def _dataset(path: Path, patient: str, body_part: str) -> FileDataset:
    """Everything of a DX file that its pixels do not decide."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[patient, "instance"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[patient, "study"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[patient, "series"])
    dataset.Modality, dataset.PresentationIntentType = "DX", "FOR PRESENTATION"
    dataset.PatientName = dataset.PatientID = patient
    dataset.PatientBirthDate = dataset.PatientSex = dataset.StudyDate = dataset.StudyTime = ""
    dataset.AccessionNumber = dataset.StudyID = dataset.ReferringPhysicianName = ""
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.ImageType, dataset.BodyPartExamined = ["DERIVED", "PRIMARY"], body_part
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    return dataset
