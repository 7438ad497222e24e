"""GRAZPEDWRI-DX: radiographs of children's wrists with outlines of 17 bones.

::

    images/PATIENT_TIMESTAMP_STUDY_VIEW....png
    landmarks/(the same name).npy      (K, 2), (x, y) in pixels of that image, or flat (2 K,)

No spacing is given. The name of a file begins with the patient's number (Nagy et al., Scientific Data 9, 2022).
"""

from __future__ import annotations

from pathlib import Path

from ...protocol import Protocol
from ..cases import Case
from .common import Contents
from .contours import read_outlines

_EXPECTED = "graz holds images/NAME.png and landmarks/NAME.npy"
_HINT = "; for outlines of other lengths copy the protocol's file, change its counts, and name the copy as the protocol"


def read(root: Path, protocol: Protocol) -> Contents:
    """Read the data set; it has no splits of its own.

    Raises:
        DataError: a folder is missing, or a label has another number of points than the protocol.
    """
    outlines = read_outlines(root, protocol, _EXPECTED, _HINT)
    cases = [Case(name, path, points, patient=name.split("_")[0]) for name, (path, points) in outlines.items()]
    return cases, {}
