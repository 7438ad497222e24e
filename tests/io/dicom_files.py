"""DICOM files for tests, written attribute by attribute, so that each is what the standard says and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid


def write(path: Path, stored: np.ndarray, bits: int = 12, signed: bool = False, **attributes: Any) -> Path:
    """A DX file with ``stored`` as its stored values; ``attributes`` by keyword are added, None removes one."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = stored.shape[-2:] if stored.ndim == 2 or stored.shape[-1] > 4 else stored.shape[:2]
    dataset.SamplesPerPixel = stored.shape[-1] if stored.ndim == 3 and stored.shape[-1] <= 4 else 1
    if dataset.SamplesPerPixel > 1:
        dataset.PlanarConfiguration = 0
    elif stored.ndim == 3:
        dataset.NumberOfFrames = len(stored)
    dataset.PhotometricInterpretation = "MONOCHROME2" if dataset.SamplesPerPixel == 1 else "RGB"
    dataset.BitsAllocated = 8 if bits <= 8 else 16
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, int(signed)
    dataset.PixelData = stored.astype(f"<{'i' if signed else 'u'}{dataset.BitsAllocated // 8}").tobytes()
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path, write_like_original=False)
    return path
