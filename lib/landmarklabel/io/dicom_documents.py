"""What DICOM SR and SEG of an image share: whose they are, which image they are about, who made them and when.

They belong to the study of their image and refer to it by UIDs. Of the modules Patient, General Study and Referring
Physician, DICOM demands the attributes, most of which may be empty: they are left so unless the names are asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pydicom.valuerep import DA, TM

from .. import __version__
from ..errors import ImageError

#: The scheme of the codes that are this project's own: names of protocols, structures and states.
SCHEME = "99LANDMARKLABEL"
MANUFACTURER = "landmarklabel"

#: What documents are of.
LANDMARKS, STRUCTURES = "landmarks", "structures"

#: The software as an observer, always the same.
DEVICE_UID = generate_uid(entropy_srcs=["landmarklabel", "device"])

_WHOSE = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
_WHICH = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class DocumentId:
    """What tells a document from others.

    Attributes:
        sop_uid: its SOPInstanceUID.
        series_uid: its SeriesInstanceUID; each document is a series of its own.
        made: when its content was.
    """

    sop_uid: str = field(default_factory=generate_uid)
    series_uid: str = field(default_factory=generate_uid)
    made: datetime = field(default_factory=_now)


def evidence_of(image: Dataset, patient_module: bool) -> Dataset:
    """What a document takes over from the header of its image, and nothing else.

    Args:
        patient_module: also take over who the patient is and which study it is, for archives that file by those.

    Raises:
        ImageError: the image lacks the UIDs by which it could be referred to.
    """
    evidence = Dataset()
    for keyword in _WHICH:
        uid = UID(str(image.get(keyword) or ""))
        if not uid.is_valid:
            raise ImageError(f"a DICOM image with {keyword} '{uid}'; expected a valid UID, by which to refer to it")
        setattr(evidence, keyword, uid)
    if not image.get("Rows") or not image.get("Columns"):
        raise ImageError("DICOM without an image; expected Rows and Columns")
    evidence.Rows, evidence.Columns = image.Rows, image.Columns
    evidence.Modality = image.get("Modality", "")
    evidence.LossyImageCompression = "00"  # of the document's own pixels
    for keyword in _WHOSE:
        setattr(evidence, keyword, (image.get(keyword) or "") if patient_module else "")
    return evidence


def identified(identity: DocumentId) -> dict[str, Any]:
    """What every document is told of itself: its UIDs and numbers, and what made it."""
    return {
        "series_instance_uid": identity.series_uid,
        "series_number": 1,
        "sop_instance_uid": identity.sop_uid,
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MANUFACTURER,
        "software_versions": version(),
    }


def finish(document: Dataset, identity: DocumentId, image: Dataset) -> None:
    """Say when the document was made, in the time zone of its study, and that its texts are UTF-8."""
    zone = _zone(str(image.get("TimezoneOffsetFromUTC") or ""))
    made = identity.made.astimezone(zone)
    offset = made.strftime("%z")
    document.TimezoneOffsetFromUTC = offset[:5]
    for what in ("Content", "InstanceCreation", "Series"):
        setattr(document, f"{what}Date", made.strftime("%Y%m%d"))
        setattr(document, f"{what}Time", made.strftime("%H%M%S.%f"))
    document.SpecificCharacterSet = "ISO_IR 192"


def made_at(document: Dataset) -> datetime:
    """When a document's content was made; of one that does not say, the year 1."""
    try:
        moment = datetime.combine(DA(document.ContentDate), TM(document.ContentTime))
        return moment.replace(tzinfo=_zone(str(document.get("TimezoneOffsetFromUTC") or "")) or _local())
    except (AttributeError, TypeError, ValueError):
        return datetime.min.replace(tzinfo=timezone.utc)


def _zone(offset: str) -> timezone | None:
    """The time zone of ``+0130``; None, the machine's own, where there is none."""
    parts = re.fullmatch(r"([+-])(\d\d)([0-5]\d)", offset.strip())
    if not parts or int(parts[2]) > 14:
        return None
    east = timedelta(hours=int(parts[2]), minutes=int(parts[3]))
    return timezone(east if parts[1] == "+" else -east)


def _local() -> timezone:
    return datetime.now().astimezone().tzinfo  # type: ignore[return-value]


def description(kind: str, protocol: str) -> str:
    """SeriesDescription, by which an archive is asked for documents of a protocol.

    At most 64 characters, as the standard has it, and none that a URL escapes: not every archive undoes that.
    """
    return f"{MANUFACTURER}-{kind}-{protocol}"[:64]


def version() -> str:
    """SoftwareVersions."""
    return __version__[:64]
