"""Cobb angles of AASCE: from true landmarks against those given, and from predicted ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmarklabel.io.cases import Case, LandmarkDataset
from landmarklabel.io.headers import read_geometry
from landmarklabel.measurements.cobb import Curves, find_curves, spines_of
from landmarklabel.protocol import Protocol

from .clicked import CLICKS, Seen

Array = NDArray[np.float64]

#: Degrees up to which an angle counts as the given one.
SAME = 0.5

_SUSPICIOUS = "suspicious label (left and right of a vertebra swapped): a line has no direction here"
_HALF = "curve selection: the image's half and the level T11 disagree on whether the major curve is the lumbar one"
_NOT = "not explained"


def given(cases: Sequence[Case]) -> Array:
    """(N, 3), the angles that come with the images."""
    return np.array([case.extra["cobb_angles"] for case in cases], dtype=np.float64)


def as_given(curves: Curves) -> Array:
    """(N, 3), in the order of the challenge: the major curve, then upwards, and what is left below it."""
    angles = curves.angles
    return np.where(curves.major[:, None] == 2, angles[:, ::-1], angles[:, [1, 0, 2]])


def halves(cases: Sequence[Case]) -> Array:
    """(N,), y of the middle of each image."""
    return np.array([read_geometry(case.image).size[1] / 2 for case in cases])


def compare(dataset: LandmarkDataset) -> dict[str, Any]:
    """The angles of true landmarks against the given ones: differences, and why the larger ones are."""
    cases = dataset.labelled()
    points = np.stack([np.asarray(case.points) for case in cases])
    spines = spines_of(points, dataset.protocol)
    by_image, by_level = (find_curves(spines, False, half) for half in (halves(cases), None))
    selection = by_image.major != by_level.major
    suspicious = np.array([case.id in dataset.suspicious for case in cases])
    return {
        "images": len(cases),
        "suspicious_labels": int(suspicious.sum()),
        "knowing_the_image": _differences(as_given(by_image), given(cases), suspicious, np.zeros_like(selection)),
        "as_the_tool_measures": _differences(as_given(by_level), given(cases), suspicious, selection),
        "without_suspicious_labels": _differences(
            as_given(by_level)[~suspicious], given(cases)[~suspicious], suspicious[~suspicious], selection[~suspicious]
        ),
        "end_plates": _end_plates(spines_of(points[~suspicious], dataset.protocol)),
    }


def _differences(angles: Array, truth: Array, suspicious: Array, selection: Array) -> dict[str, Any]:
    off = np.abs(angles - truth)
    large = (off > SAME).any(axis=1)
    reasons = Counter(
        _HALF if selection[index] else _SUSPICIOUS if suspicious[index] else _NOT for index in np.flatnonzero(large)
    )
    return {
        "median_difference": round(float(np.median(off)), 4),
        "median_by_angle": np.median(off, axis=0).round(4).tolist(),
        "largest_where_selected_alike": round(float(off[~large].max()), 4),
        "images_with_larger_differences": int(large.sum()),
        "angles_with_larger_differences": int((off > SAME).sum()),
        "reasons": dict(reasons),
    }


def _end_plates(spines: Any) -> dict[str, Any]:
    """How the angles between end plates differ from those between middle lines, of the major curve."""
    middle, plates = (find_curves(spines, end_plates).angles.max(axis=1) for end_plates in (False, True))
    off = plates - middle
    return {"major_mean_difference": round(float(off.mean()), 3), "major_sd": round(float(off.std()), 3)}


def smape(angles: Array, truth: Array) -> float:
    """The challenge's error in %: of each image the sum of differences over the sum of both, then the mean."""
    each = np.abs(angles - truth).sum(axis=1) / (angles + truth).sum(axis=1)
    return round(100 * float(each.mean()), 3)


def predicted(seen: Sequence[Seen], protocol: Protocol) -> dict[str, Any]:
    """SMAPE, and differences of the angles, by clicks."""
    found: dict[str, Any] = {}
    for clicks in CLICKS:
        these = [one for one in seen if one.clicks == clicks]
        cases, points = [one.case for one in these], np.stack([one.points for one in these])
        angles = as_given(find_curves(spines_of(points, protocol), False, halves(cases)))
        off = np.abs(angles - given(cases))
        found[f"clicks_{clicks}"] = {
            "smape": smape(angles, given(cases)),
            "mean_absolute_difference": off.mean(axis=0).round(3).tolist(),
            "median_absolute_difference": np.median(off, axis=0).round(3).tolist(),
        }
    return found


def named(name: str) -> str:
    """Cobb angles each, all heights together, all wedgings together."""
    if name.startswith("cobb"):
        return name
    return "vertebral heights" if "height" in name else "wedging"
