"""Landmarks as a DICOM structured report: Comprehensive SR, template TID 1500, a group a landmark (TID 1410).

Each landmark is a point (SCOORD) on its image, with its label as tracking identifier, its state as an evaluation and
its confidence as a measurement. One without a position is a group without a point (TID 1501). DICOM counts from the
corner of the first pixel, not from its centre (PS3.3 C.18.6.1.2), and keeps coordinates as 32 bit floats.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom.sr as hd
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from ..errors import LabelError, LandmarkLabelError, listed
from ..files import atomic_path
from ..landmarks import LandmarkSet, Status
from ..protocol import Protocol
from . import dicom_documents as documents
from .dicom_documents import SCHEME, DocumentId

logger = logging.getLogger(__name__)

_STATUS = hd.CodedConcept("status", SCHEME, "Landmark status")
_CONFIDENCE = hd.CodedConcept("confidence", SCHEME, "Confidence")
_LANDMARK = hd.CodedConcept("landmark", SCHEME, "Anatomical landmark")
_CORNER = 0.5  # from the centre of the first pixel to its corner
_NO_CONFIDENCE = math.nan


def landmarks_to_sr(
    landmarks: LandmarkSet, image: Dataset, identity: DocumentId | None = None, patient_module: bool = False
) -> Dataset:
    """A structured report with the landmarks of an image.

    Args:
        landmarks: in pixels of the image, at most half a pixel beside it.
        image: its header.
        identity: UIDs and time of the report; new ones if not given.
        patient_module: whether the report names the patient, as the image does; else these attributes are empty.

    Raises:
        ImageError: the image has no valid UIDs.
        LabelError: a landmark lies beside the image.
    """
    identity = identity or DocumentId()
    evidence = documents.evidence_of(image, patient_module)
    points = _scoords(landmarks, evidence)
    groups = [_group(landmarks, index, points[index], evidence) for index in range(len(landmarks))]
    protocol = landmarks.protocol
    report = hd.MeasurementReport(
        observation_context=_observer(),
        procedure_reported=hd.CodedConcept(protocol.name, SCHEME, protocol.title[:64]),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    document = hd.ComprehensiveSR(
        evidence=[evidence],
        content=report,
        **documents.identified(identity),
        series_description=documents.description(documents.LANDMARKS, protocol.name),
        is_complete=True,
        is_final=True,
    )
    documents.finish(document, identity, image)
    return document


def _scoords(landmarks: LandmarkSet, image: Dataset) -> np.ndarray:
    """(K, 2), column and row from the image's corner; on the image, as the standard wants it."""
    size = np.array([image.Columns, image.Rows], dtype=np.float64)
    points = landmarks.points + _CORNER
    with np.errstate(invalid="ignore"):
        beside = ((points < -_CORNER - 1e-6) | (points > size + _CORNER + 1e-6)).any(axis=1)
    if beside.any():
        labels = [landmarks.labels[index] for index in np.flatnonzero(beside)]
        raise LabelError(f"{listed(labels)}: beside the image of {image.Columns} x {image.Rows} pixels")
    return np.asarray(np.clip(points, 0, size))


def _observer() -> Any:
    device = hd.DeviceObserverIdentifyingAttributes(
        uid=documents.DEVICE_UID, name=documents.MANUFACTURER, manufacturer_name=documents.MANUFACTURER
    )
    return hd.ObservationContext(observer_device_context=hd.ObserverContext(codes.DCM.Device, device))


def _group(landmarks: LandmarkSet, index: int, point: np.ndarray, image: Dataset) -> Any:
    label, status = landmarks.labels[index], landmarks.status[index]
    state = hd.QualitativeEvaluation(_STATUS, hd.CodedConcept(status.value, SCHEME, status.value.capitalize()))
    common: dict[str, Any] = {
        # The same landmark of the same image has the same UID in every version of its report.
        "tracking_identifier": hd.TrackingIdentifier(
            uid=generate_uid(entropy_srcs=[image.SOPInstanceUID, landmarks.protocol.name, label]), identifier=label
        ),
        "finding_type": _LANDMARK,
        "qualitative_evaluations": [state],
    }
    if not status.placed:
        source = hd.SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID)
        return hd.MeasurementsAndQualitativeEvaluations(source_images=[source], **common)
    region = hd.ImageRegion(
        graphic_type=hd.GraphicTypeValues.POINT,
        graphic_data=point[None],
        source_image=hd.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID),
    )
    measured = _confidence(float(landmarks.confidence[index]))
    return hd.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, measurements=measured, **common)


def _confidence(value: float) -> list[Any]:
    if not math.isfinite(value):
        return []
    return [hd.Measurement(name=_CONFIDENCE, value=round(value, 6), unit=codes.UCUM.NoUnits)]


def write_sr(document: Dataset, path: Path) -> None:
    """Write a report as a DICOM file.

    Raises:
        StorageError: the disk is full, or the folder can't be written.
    """
    with atomic_path(path, f"the report {path.name}") as temporary:
        pydicom.dcmwrite(temporary, document, write_like_original=False)


def read_sr(path: Path, protocol: Protocol) -> tuple[str, LandmarkSet]:
    """:func:`sr_to_landmarks` of a DICOM file.

    Raises:
        LabelError: the file is missing, no DICOM, or none of these reports.
    """
    try:
        return sr_to_landmarks(pydicom.dcmread(path), protocol, path.name)
    except LandmarkLabelError:
        raise
    except OSError as problem:
        raise LabelError(f"{path}: can't be read ({problem.strerror})") from None
    except Exception as problem:  # on a damaged file pydicom raises whatever it runs into
        raise LabelError(f"{path.name}: damaged DICOM file ({problem})") from None


def sr_to_landmarks(document: Dataset, protocol: Protocol, where: str = "SR") -> tuple[str, LandmarkSet]:
    """The landmarks of a report, and the SOPInstanceUID of the image that they lie on.

    A landmark that the report has not is undefined; one whose state it does not say was placed by a person.

    Args:
        document: a report of :func:`landmarks_to_sr`, or any of TID 1500 whose points are tracked by their labels.
        where: its name, for messages.

    Raises:
        LabelError: it is no such report, of another protocol, of several images, or damaged.
    """
    try:
        return _read(document, protocol, where)
    except LabelError:
        raise
    except Exception as problem:  # content trees can be broken in any way
        raise LabelError(f"{where}: a damaged structured report ({problem})") from None


def _read(document: Dataset, protocol: Protocol, where: str) -> tuple[str, LandmarkSet]:
    if document.get("Modality") != "SR" or "ContentSequence" not in document:
        raise LabelError(f"{where}: no structured report; expected one of landmarks (TID 1500)")
    reported = _code(document, codes.DCM.ProcedureReported.value)
    if reported is not None and reported.scheme_designator == SCHEME and reported.value != protocol.name:
        raise LabelError(f"{where}: landmarks of {reported.value}; expected {protocol.name}")
    points = np.full((len(protocol), 2), np.nan)
    status, confidence = [Status.UNDEFINED] * len(protocol), np.full(len(protocol), np.nan)
    images, seen = set(), set()
    for group in _groups(document):
        label = str(_item(group, codes.DCM.TrackingIdentifier.value).TextValue)
        if label not in protocol.labels or label in seen:
            problem = "given more than once" if label in seen else f"not a landmark of {protocol.name}"
            raise LabelError(f"{where}: {label[:80]}: {problem}")
        seen.add(label)
        index, (image, point) = protocol.index(label), _place(group)
        images.add(image)
        status[index] = _status(group, point is not None)
        if point is not None:
            points[index] = np.asarray(point, dtype=np.float64) - _CORNER
            confidence[index] = _confidence_of(group)
    if len(images) != 1:
        raise LabelError(f"{where}: landmarks on {len(images)} images; expected one")
    return str(images.pop()), LandmarkSet(protocol, points, tuple(status), confidence)


def _groups(document: Dataset) -> Iterator[Dataset]:
    """The measurement groups with a tracking identifier."""
    for container in _children(document, codes.DCM.ImagingMeasurements.value):
        for group in _children(container, codes.DCM.MeasurementGroup.value):
            if next(_children(group, codes.DCM.TrackingIdentifier.value), None) is not None:
                yield group


def _children(item: Dataset, concept: str) -> Iterator[Dataset]:
    """Content items below another that have that concept name."""
    for child in item.get("ContentSequence", ()):
        name = child.get("ConceptNameCodeSequence")
        if name and str(name[0].get("CodeValue")) == concept:
            yield child


def _item(item: Dataset, concept: str) -> Dataset:
    return next(_children(item, concept))


def _code(item: Dataset, concept: str) -> Any:
    child = next(_children(item, concept), None)
    return None if child is None else hd.CodedConcept.from_dataset(child.ConceptCodeSequence[0])


def _place(group: Dataset) -> tuple[str, tuple[float, float] | None]:
    """The image of a group, and the point on it if there is one."""
    for child in group.ContentSequence:
        if child.ValueType == "SCOORD":
            if child.GraphicType != "POINT" or len(child.GraphicData) != 2:
                raise LabelError(f"a {child.GraphicType}; expected a POINT")
            image = next(each for each in child.ContentSequence if each.ValueType == "IMAGE")
            x, y = map(float, child.GraphicData)
            return image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID, (x, y)
    image = next(each for each in group.ContentSequence if each.ValueType == "IMAGE")
    return image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID, None


def _status(group: Dataset, placed: bool) -> Status:
    code = _code(group, _STATUS.value)
    known = code is not None and code.scheme_designator == SCHEME and code.value in {each.value for each in Status}
    status = Status(code.value) if known else Status.CORRECTED if placed else Status.UNDEFINED
    if status.placed != placed:
        raise LabelError(f"a landmark that is {status.value}, {'with' if placed else 'without'} a point")
    return status


def _confidence_of(group: Dataset) -> float:
    child = next(_children(group, _CONFIDENCE.value), None)
    value = _NO_CONFIDENCE if child is None else float(child.MeasuredValueSequence[0].NumericValue)
    return value if 0 <= value <= 1 else _NO_CONFIDENCE
