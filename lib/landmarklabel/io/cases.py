"""What reading a data set gives: its images with their labels, the same for every layout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, LabelError, listed
from ..files import sha256
from ..landmarks import Points
from ..protocol import Protocol
from ..radiograph import Geometry, Radiograph, SpacingSource
from ..segmentation import Segmentation
from .headers import read_geometry
from .images import read_radiograph
from .segmentations import read_segmentation


@dataclass(frozen=True, eq=False)
class Case:
    """One image of a data set.

    Attributes:
        id: its name in the data set; unique there.
        image: its file.
        points: (K, 2), (x, y) in pixels of the original image, NaN absent; None if there is no label.
        patient: cases of the same patient must not be in two parts of a split.
        split: the layout's own name of its part: ``train``, ``test1``, ...; "" if it has none.
        spacing: (sx, sy) in mm a pixel that the data set's documentation gives; None: what the file says counts.
        extra: what else the layout has: both readers' points, Cobb angles.
        segmentation: file of the final label image; None if there is none. A case may have it and no points.
    """

    id: str
    image: Path
    points: Points | None = None
    patient: str = ""
    split: str = ""
    spacing: tuple[float, float] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    segmentation: Path | None = None

    @property
    def has_landmarks(self) -> bool:
        """Whether it has a label with a landmark that is placed."""
        return self.points is not None and bool(np.isfinite(self.points).all(axis=1).any())

    def radiograph(self) -> Radiograph:
        """The image, with the documented spacing where there is one.

        Raises:
            ImageError: the file can't be read.
        """
        image = read_radiograph(self.image)
        if self.spacing is None:
            return image
        # What a PNG or JPEG says about its geometry is its printer's resolution; nothing of it is kept.
        geometry = Geometry(image.size, self.spacing)
        return replace(image, geometry=geometry, spacing=self.spacing, spacing_source=SpacingSource.GIVEN)

    def structures(self, protocol: Protocol) -> Segmentation | None:
        """The label image: masks (R, H, W) of the protocol's R closed structures; None if there is none.

        Raises:
            ImageError: the file, or that of the image, can't be read.
            LabelError: it does not fit the image or the protocol.
        """
        if self.segmentation is None:
            return None
        # A label image lies where the image's file says; documented spacing is no part of that.
        return read_structures(self.segmentation, protocol, read_geometry(self.image))


def read_structures(path: Path, protocol: Protocol, geometry: Geometry) -> Segmentation:
    """A label image of the protocol's closed structures, in their order: masks (R, H, W).

    Args:
        path: values 1 to R in that order, or a ``.seg.nrrd`` whose segments are named like them.
        geometry: of the image that it belongs to.

    Raises:
        ImageError: the file can't be read.
        LabelError: it does not fit the image, or the protocol, which may have no closed structure.
    """
    names, titles = closed_structures(protocol)
    if not names:
        raise LabelError(f"{path.name}: a label image, but {protocol.name} has no closed structures to label")
    return read_segmentation(path, geometry, names, titles)


def closed_structures(protocol: Protocol) -> tuple[list[str], list[str]]:
    """Names and titles of the structures that a label image can hold, in their order."""
    closed = [structure for structure in protocol.structures if structure.closed]
    return [structure.name for structure in closed], [structure.title or structure.name for structure in closed]


@dataclass(frozen=True, eq=False)
class LandmarkDataset:
    """Images with labels of one protocol.

    Attributes:
        name: the layout's.
        protocol: the anatomy.
        cases: in the layout's own order.
        suspicious: id, and why its label can't be right. May hold ids of labels whose image is not there.
    """

    name: str
    protocol: Protocol
    cases: tuple[Case, ...]
    suspicious: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.cases)

    def labelled(self) -> tuple[Case, ...]:
        """The cases that have a label, the suspicious ones too."""
        return tuple(case for case in self.cases if case.points is not None)

    def trustworthy(self) -> tuple[Case, ...]:
        """The cases that have a label of which nothing is suspicious."""
        return tuple(case for case in self.labelled() if case.id not in self.suspicious)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the layout's own parts, sorted."""
        return tuple(sorted({case.split for case in self.cases if case.split}))

    def split(self, name: str) -> LandmarkDataset:
        """One of the layout's own parts.

        Raises:
            DataError: there is none of that name; says which there are.
        """
        if name not in self.splits:
            raise DataError(f"{self.name} has no split '{name}'; it has {listed(self.splits) or 'none'}")
        return self.subset(lambda case: case.split == name)

    def subset(self, which: Iterable[str] | Callable[[Case], bool]) -> LandmarkDataset:
        """Some of the cases, in the order that they have here.

        Args:
            which: ids, or a function that says whether a case is kept.

        Raises:
            DataError: an id is not in the data set.
        """
        if callable(which):
            kept = tuple(case for case in self.cases if which(case))
        else:
            ids = {which} if isinstance(which, str) else set(which)
            unknown = sorted(ids - {case.id for case in self.cases})
            if unknown:
                raise DataError(f"{self.name} has no image {listed(unknown)}")
            kept = tuple(case for case in self.cases if case.id in ids)
        ids = {case.id for case in kept}
        reasons = {key: value for key, value in self.suspicious.items() if key in ids}
        return replace(self, cases=kept, suspicious=reasons)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change with the data: the same on every machine, whatever folder they are in.

        A SHA-256 over the protocol's fingerprint and, in the order of the ids, each id, the size of its image file in
        bytes, its points to a thousandth of a pixel, and the SHA-256 of its label image.
        """
        digest = hashlib.sha256(self.protocol.fingerprint.encode())
        for case in sorted(self.cases, key=lambda case: case.id):
            digest.update(f"\n{case.id}\0{case.image.stat().st_size}\0".encode())
            if case.points is not None:
                thousandths = np.rint(np.asarray(case.points, dtype=np.float64) * 1000)
                absent = np.iinfo(np.int64).min
                digest.update(np.where(np.isfinite(thousandths), thousandths, absent).astype("<i8").tobytes())
            if case.segmentation is not None:
                digest.update(f"\0segmentation\0{sha256(case.segmentation)}".encode())
        return digest.hexdigest()[:16]
