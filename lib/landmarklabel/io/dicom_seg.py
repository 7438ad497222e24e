"""Structures of a radiograph as a DICOM segmentation: BINARY, a segment a structure, pixel on pixel of its image.

Structures may overlap. One without pixels is listed and has no frame. The tracking identifier of a segment is the name
of its structure, its label the title. World geometry is not in the file: the image that it refers to has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixel_data_handlers.util import unpack_bits
from pydicom.uid import SegmentationStorage, generate_uid

from ..errors import LabelError, LandmarkLabelError, listed
from ..files import atomic_path
from ..radiograph import Geometry
from ..segmentation import Segmentation
from . import dicom_documents as documents
from .dicom_documents import SCHEME, DocumentId
from .raster import MAX_PIXELS

_ANATOMY = hd.sr.CodedConcept("123037004", "SCT", "Anatomical Structure")  # CID 7150


def segmentation_to_seg(
    segmentation: Segmentation,
    image: Dataset,
    protocol: str,
    identity: DocumentId | None = None,
    patient_module: bool = False,
) -> Dataset:
    """A DICOM segmentation with the structures of an image.

    Args:
        segmentation: on the pixels of the image.
        image: its header.
        protocol: name of the protocol.
        identity: UIDs and time of the segmentation; new ones if not given.
        patient_module: whether it names the patient, as the image does; else these attributes are empty.

    Raises:
        ImageError: the image has no valid UIDs.
        LabelError: the structures are not of its size.
    """
    identity = identity or DocumentId()
    evidence = documents.evidence_of(image, patient_module)
    height, width = segmentation.masks.shape[1:]
    if (height, width) != (evidence.Rows, evidence.Columns):
        raise LabelError(f"structures on {width} x {height} pixels, the image has {image.Columns} x {image.Rows}")
    document = hd.seg.Segmentation(
        source_images=[evidence],
        pixel_array=np.ascontiguousarray(segmentation.masks.transpose(1, 2, 0)[None]).astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(segmentation, index, evidence) for index in range(len(segmentation))],
        **documents.identified(identity),
        device_serial_number="0",
        content_label="STRUCTURES",
        content_description=protocol[:64],
        series_description=documents.description(documents.STRUCTURES, protocol),
    )
    document.PatientOrientation = image.get("PatientOrientation") or ""
    documents.finish(document, identity, image)
    return document


def _description(segmentation: Segmentation, index: int, image: Dataset) -> hd.seg.SegmentDescription:
    name, title = segmentation.names[index], segmentation.titles[index]
    return hd.seg.SegmentDescription(
        segment_number=index + 1,
        segment_label=(title or name)[:64],
        segmented_property_category=_ANATOMY,
        segmented_property_type=hd.sr.CodedConcept(name, SCHEME, (title or name)[:64]),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        tracking_id=name,
        tracking_uid=generate_uid(entropy_srcs=[image.SOPInstanceUID, "structure", name]),
    )


def write_seg(document: Dataset, path: Path) -> None:
    """Write a segmentation as a DICOM file.

    Raises:
        StorageError: the disk is full, or the folder can't be written.
    """
    with atomic_path(path, f"the segmentation {path.name}") as temporary:
        pydicom.dcmwrite(temporary, document, write_like_original=False)


def read_seg(
    path: Path, geometry: Geometry, names: Sequence[str], titles: Sequence[str] | None = None
) -> tuple[str, Segmentation]:
    """:func:`seg_to_segmentation` of a DICOM file.

    Raises:
        LabelError: the file is missing, no DICOM, or no such segmentation.
    """
    try:
        return seg_to_segmentation(pydicom.dcmread(path), geometry, names, titles, path.name)
    except LandmarkLabelError:
        raise
    except OSError as problem:
        raise LabelError(f"{path}: can't be read ({problem.strerror})") from None
    except Exception as problem:  # on a damaged file pydicom raises whatever it runs into
        raise LabelError(f"{path.name}: damaged DICOM file ({problem})") from None


def seg_to_segmentation(
    document: Dataset,
    geometry: Geometry,
    names: Sequence[str],
    titles: Sequence[str] | None = None,
    where: str = "SEG",
) -> tuple[str, Segmentation]:
    """The structures of a segmentation, and the SOPInstanceUID of the image that they lie on.

    Args:
        document: of :func:`segmentation_to_seg`, or any BINARY one of a single image whose segments have these names
            as tracking identifier or label, or these titles as label.
        geometry: of the image.
        names: keys of the structures; one that the file has not is empty.
        titles: their names in words.
        where: its name, for messages.

    Raises:
        LabelError: it is no such segmentation, of several images, of another size, or has other segments.
    """
    try:
        return _read(document, geometry, tuple(names), tuple(titles or names), where)
    except LabelError:
        raise
    except Exception as problem:  # functional groups can be broken in any way
        raise LabelError(f"{where}: a damaged segmentation ({problem})") from None


def _read(
    document: Dataset, geometry: Geometry, names: tuple[str, ...], titles: tuple[str, ...], where: str
) -> tuple[str, Segmentation]:
    if document.get("SOPClassUID") != SegmentationStorage or document.get("SegmentationType") != "BINARY":
        raise LabelError(f"{where}: no DICOM segmentation of type BINARY")
    image = referenced_image(document, where)
    structure_of = {
        int(segment.SegmentNumber): _structure(segment, names, titles, where) for segment in document.SegmentSequence
    }
    if len(set(structure_of.values())) != len(structure_of):
        raise LabelError(f"{where}: two segments for the same structure; expected one")
    masks = np.zeros((len(names), *reversed(geometry.size)), bool)
    frames = _frames(document, geometry, where)
    for frame, group in zip(frames, document.PerFrameFunctionalGroupsSequence, strict=True):
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        masks[structure_of[number]] |= frame
    return image, Segmentation(names, titles, masks, geometry)


def referenced_image(document: Dataset, where: str = "SEG") -> str:
    """SOPInstanceUID of the one image that a segmentation is of.

    Raises:
        LabelError: it refers to none, or to several.
    """
    series = document.get("ReferencedSeriesSequence") or ()
    images = {str(each.ReferencedSOPInstanceUID) for one in series for each in one.ReferencedInstanceSequence}
    if len(images) != 1:
        raise LabelError(f"{where}: a segmentation of {len(images)} images; expected one")
    return images.pop()


def _frames(document: Dataset, geometry: Geometry, where: str) -> NDArray[np.bool_]:
    """(frames, H, W)."""
    width, height = geometry.size
    if (document.Columns, document.Rows) != (width, height):
        raise LabelError(
            f"{where} has {document.Columns} x {document.Rows} pixels, its image {width} x {height}; a segmentation "
            "has the size of its image"
        )
    count = int(document.NumberOfFrames)
    if count * width * height > MAX_PIXELS * 8:
        raise LabelError(f"{where}: {count} frames of {width} x {height} pixels; that is more than is read")
    if document.BitsAllocated != 1 or document.file_meta.TransferSyntaxUID.is_encapsulated:
        raise LabelError(f"{where}: expected uncompressed frames of one bit a pixel")
    bits = unpack_bits(document.PixelData, as_array=True)[: count * width * height]
    return np.asarray(bits.reshape(count, height, width), bool)


def _structure(segment: Dataset, names: tuple[str, ...], titles: tuple[str, ...], where: str) -> int:
    """Which structure a segment is."""
    own = (str(segment.get("TrackingID") or ""), str(segment.get("SegmentLabel") or ""))
    for known in (names, tuple(title[:64] for title in titles)):
        for key in own:
            if key in known:
                return known.index(key)
    raise LabelError(f"{where}: the segment '{own[0] or own[1]}' is no structure of the protocol: {listed(names, 30)}")
