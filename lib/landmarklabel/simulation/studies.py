"""What a simulation starts from: a folder of unlabelled images. The truth stays with the simulated reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import DataError, listed
from ..io.cases import Case, LandmarkDataset
from ..io.images import read_radiograph
from ..io.importing import import_dataset
from ..io.layouts.common import images_in
from ..landmarks import Points
from ..metrics import radial_errors
from ..radiograph import Geometry


@dataclass(frozen=True)
class Image:
    """An image of the studies, and what the reader knows of it.

    Attributes:
        truth: (K, 2), in pixels; NaN is not in it.
        geometry: between pixels and the world.
        spacing: (sx, sy), millimetres a pixel; 1 where unknown.
        unit: of errors: mm, or px where the spacing is unknown.
    """

    truth: Points
    geometry: Geometry
    spacing: tuple[float, float]
    unit: str


def choose_cases(dataset: LandmarkDataset, number: int | None, seed: int) -> dict[str, Case]:
    """Cases whose label nothing speaks against, by id: all, or so many drawn at random.

    Raises:
        DataError: there are none, or fewer than are wanted.
    """
    usable = [case for case in dataset.trustworthy() if case.has_landmarks]
    if len(usable) < max(1, number or 0):
        raise DataError(
            f"{dataset.name} has {len(usable)} images whose label is complete and not suspicious, and "
            f"{number or 'some'} are to be labelled"
        )
    drawn = usable if number is None else np.random.default_rng(seed).choice(np.array(usable), number, replace=False)
    return {case.id: case for case in drawn}


def require_one_unit(cases: Mapping[str, Case]) -> None:
    """Check that a tolerance means the same in every image: that the spacing of all is known, or of none.

    Raises:
        DataError: it is known of some.
        ImageError: an image can't be read.
    """
    unknown = [name for name, case in cases.items() if not _spacing_known(case)]
    if 0 < len(unknown) < len(cases):
        raise DataError(
            f"the pixel spacing of {len(unknown)} of the {len(cases)} images is not known ({listed(unknown, 5)}); one "
            "tolerance can't be in mm for some and in pixels for others: take those out, or give their files a spacing"
        )


def _spacing_known(case: Case) -> bool:
    return case.spacing is not None or read_radiograph(case.image).spacing_known


def write_unlabelled(dataset: LandmarkDataset, cases: Mapping[str, Case], studies: Path) -> None:
    """The images alone, as ``landmarklabel import`` would put them; what is there already stays."""
    bare = tuple(replace(case, points=None, segmentation=None) for case in cases.values())
    import_dataset(replace(dataset, cases=bare, suspicious={}), studies)


def readers_differ(cases: Iterable[Case], tolerance: float) -> float | None:
    """The part of the landmarks that two readers of a data set place farther apart than the tolerance; None where it
    has one reader.
    """  # fmt: skip
    apart = []
    for case in cases:
        both = [case.extra.get(name) for name in ("senior", "junior")]
        if both[0] is None or both[1] is None:
            return None
        apart.append(radial_errors(both[0], both[1], np.asarray(case.spacing or (1.0, 1.0))))
    known = np.concatenate(apart)
    return round(float((known[np.isfinite(known)] > tolerance).mean()), 4)


def open_image(case: Case, studies: Path) -> Image:
    """An image as it lies in the studies."""
    assert case.points is not None
    radiograph = read_radiograph(images_in(studies)[case.id])
    unit = "mm" if radiograph.spacing_known else "px"
    return Image(case.points, radiograph.geometry, radiograph.spacing, unit)
