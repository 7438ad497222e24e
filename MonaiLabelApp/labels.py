"""The kinds of labels that the store takes, each checked against its image and the protocol.

- Landmarks of the protocol, as markups JSON, under any tag but those of the others.
- A label image of the protocol's closed structures, beside the landmarks: under ``TAG_segmentation``, since MONAI
  Label's index has one file a tag.
- New landmarks, as markups JSON, under the tag ``derived``: labels that the protocol has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landmarklabel.errors import ImageError, LabelError, listed
from landmarklabel.io.cases import read_structures
from landmarklabel.io.images import sniff
from landmarklabel.io.layouts.studies import (
    LABEL_SUFFIX,
    SEGMENTATION_SUFFIXES,
    SEGMENTATION_TAG,
    segmentation_suffix,
)
from landmarklabel.markups import read_markups, read_named_points
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry

DERIVED = "derived"


@dataclass(frozen=True)
class CheckedLabel:
    """A label that can be stored.

    Attributes:
        tag: under which it is kept.
        suffix: the ending of its file.
        info: what its entry in the index says of its content.
    """

    tag: str
    suffix: str
    info: dict[str, Any]


def check_label(file: Path, tag: str, protocol: Protocol, geometry: Geometry) -> CheckedLabel:
    """Find out which kind a label is, and check it.

    Args:
        file: as it was sent, with the ending that it came with.
        tag: that it was sent with.
        geometry: of its image.

    Raises:
        LabelError: it is damaged, or does not fit the protocol, the image or the tag.
    """
    suffix = _image_suffix(file)
    if not suffix:
        return _check_markups(file, tag, protocol, geometry)
    if tag == DERIVED:
        raise LabelError(f"the tag '{DERIVED}' is for new landmarks, as markups JSON ({LABEL_SUFFIX})")
    segmentation = read_structures(file, protocol, geometry)
    pixels = {
        name: int(mask.sum()) for name, mask in zip(segmentation.names, segmentation.masks, strict=True) if mask.any()
    }
    return CheckedLabel(tag.removesuffix(SEGMENTATION_TAG) + SEGMENTATION_TAG, suffix, {"structures": pixels})


def _image_suffix(file: Path) -> str:
    """The ending under which a label image is kept; "" if the file is none."""
    named = segmentation_suffix(file.name.lower())
    try:
        kind = sniff(file)
    except ImageError:
        return named  # whoever reads it says what is wrong
    if not named:
        raise LabelError(
            f"{kind} in a file that ends with '{file.suffix}'; expected markups JSON ({LABEL_SUFFIX}) or a label "
            f"image ({listed(SEGMENTATION_SUFFIXES)})"
        )
    return ".nrrd" if kind == "NRRD" and not named.endswith(".nrrd") else named  # other programs go by the ending


def _check_markups(file: Path, tag: str, protocol: Protocol, geometry: Geometry) -> CheckedLabel:
    if tag.endswith(SEGMENTATION_TAG):
        raise LabelError(f"the tag '{tag}' is for label images ({listed(SEGMENTATION_SUFFIXES)})")
    if tag == DERIVED:
        return CheckedLabel(tag, LABEL_SUFFIX, {"derived": list(read_derived(file, protocol, geometry))})
    landmarks = read_markups(file, protocol, geometry)
    landmarks.require_inside(geometry, margin=0.5)
    counts = {status.value: landmarks.status.count(status) for status in set(landmarks.status)}
    return CheckedLabel(tag, LABEL_SUFFIX, {"landmarks": counts})


def read_derived(file: Path, protocol: Protocol, geometry: Geometry) -> dict[str, tuple[float, float]]:
    """New landmarks that were placed on an image: (x, y) in its pixels, by label.

    Raises:
        LabelError: the file is no markups JSON of points on the image, or a label is one of the protocol's.
    """
    points = read_named_points(file, geometry)
    taken = [label for label in points if label in protocol.labels]
    if taken:
        raise LabelError(
            f"{file.name}: {listed(taken)}: {protocol.name} has it already; a new landmark has a label of its own"
        )
    return points
