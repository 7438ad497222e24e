"""The evaluation of structures: what a model segments, or what its landmarks outline, beside the true masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ModelError, listed
from ..io.dataset import Case
from ..landmarks import Points
from ..metrics import MEASURES, SegmentationScores, score_segmentation
from ..predictor import Predictor
from ..protocol import Protocol
from ..readout import DenseReadout
from ..segmenting import segment
from ..uvmaps import Regions

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SegmentationEvaluation:
    """Scores of N images with R structures.

    Attributes:
        names, titles: of the structures.
        ids: of the images.
        scores: each (N, R).
        unit: of distances: mm where the spacing of every image is known, else pixels of the original images.
    """

    names: tuple[str, ...]
    titles: tuple[str, ...]
    ids: tuple[str, ...]
    scores: SegmentationScores
    unit: str

    def subset(self, keep: Iterable[bool]) -> SegmentationEvaluation:
        """Some of the images only, in the same unit."""
        mask = np.fromiter(keep, dtype=bool, count=len(self.ids))
        ids = tuple(name for name, kept in zip(self.ids, mask, strict=True) if kept)
        scores = SegmentationScores(*(getattr(self.scores, field.name)[mask] for field in fields(SegmentationScores)))
        return SegmentationEvaluation(self.names, self.titles, ids, scores, self.unit)

    def by_image(self, measure: str) -> NDArray[np.float64]:
        """Of each image (N,), the mean of a measure over those of its structures that have one; NaN if none has."""
        values = getattr(self.scores, measure)
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1))

    def figures(self) -> dict[str, Any]:
        """Every figure, for JSON: overall, by structure, by image."""
        columns = {measure: self.by_image(measure) for measure in MEASURES}
        by_image = {
            name: {measure: float(column[index]) for measure, column in columns.items()}
            for index, name in enumerate(self.ids)
        }
        return {"unit": self.unit, **self.scores.figures(self.names), "by_image": by_image}


def evaluate_segmentation(
    predictor: Predictor,
    cases: Sequence[Case],
    progress: Callable[[], object] | None = None,
    structures: Sequence[str] | None = None,
) -> SegmentationEvaluation:
    """Segment every image and lay the structures beside the true ones.

    A network with masks is asked for these, any other for the outlines of its landmarks. The true masks are those of
    :func:`true_masks`. The hull of all landmarks is left out.

    Args:
        cases: with a label image, with landmarks, or with both. Without landmarks, ``asd`` and ``tre`` are NaN.
        progress: called after each image.
        structures: which landmarks outline, of a model without masks; None for all closed ones.

    Raises:
        ModelError: the model segments no closed structure.
        DataError: there is no image, or one has neither label, or has other landmarks than the model.
    """
    regions = evaluated_regions(predictor, structures)
    _require_labels(cases, predictor.protocol)
    measured = []
    for case in cases:
        measured.append(_measure(predictor, case, regions))
        if progress:
            progress()
    known = [each.in_mm for each in measured]
    if any(known) and not all(known):  # the few in mm once more, so that all are in pixels
        measured = [_measure(predictor, c, regions, in_mm=False) for c in cases]
    return SegmentationEvaluation(
        names=regions.names,
        titles=regions.titles,
        ids=tuple(case.id for case in cases),
        scores=SegmentationScores.concatenate([each.scores for each in measured]),
        unit="mm" if all(known) else "px",
    )


def evaluated_regions(predictor: Predictor, structures: Sequence[str] | None = None) -> Regions:
    """The closed structures that a model segments, without the hull of all landmarks.

    Raises:
        ModelError: there is none.
    """
    readout = predictor.readout
    seen = readout.regions if isinstance(readout, DenseReadout) else Regions.of(predictor.protocol, structures)
    kept = [index for index, hull in enumerate(seen.hull) if not hull]
    if not kept:
        raise ModelError(
            f"the model {predictor.config.method} segments no closed structure of {predictor.protocol.name}; "
            "structures are measured where a protocol has some of three landmarks or more"
        )
    names, titles = (tuple(each[index] for index in kept) for each in (seen.names, seen.titles))
    members = tuple(seen.members[index] for index in kept)
    return replace(seen, names=names, titles=titles, members=members, hull=(False,) * len(kept), flip_order=None)


class TrueMasks(NamedTuple):
    """What is known of the R structures of an image.

    Attributes:
        masks: (R, H, W); empty where it is not known what is inside.
        known: (R,), whether it is.
    """

    masks: Mask
    known: Mask


def true_masks(case: Case, regions: Regions, protocol: Protocol, size: tuple[int, int]) -> TrueMasks:
    """Of each structure the mask of the label image, where it has a pixel there, else the outline of its landmarks.

    A structure that nobody has drawn and that lacks a landmark is not known, as in training: it may well be there.

    Args:
        regions: structures of the protocol.
        size: (W, H) of the image.

    Raises:
        ImageError: the label image can't be read.
        LabelError: it does not fit the image.
    """
    points, drawn = _points(case, protocol), case.structures(protocol)
    masks = regions.masks(points, size)
    known = np.array([bool(np.isfinite(points[members]).all()) for members in regions.members])
    masks[~known] = False  # part of an outline
    for index, name in enumerate(regions.names):
        if drawn is not None and name in drawn.names and drawn[name].any():
            masks[index], known[index] = drawn[name], True
    return TrueMasks(masks, known)


class _Measured(NamedTuple):
    scores: SegmentationScores
    in_mm: bool


def _measure(predictor: Predictor, case: Case, regions: Regions, in_mm: bool = True) -> _Measured:
    """Scores of one image, in mm if its spacing is known and ``in_mm``, else in pixels."""
    radiograph = case.radiograph()
    predictor.set_image(radiograph)
    in_mm &= radiograph.spacing_known
    found = segment(predictor, regions.names)
    true = true_masks(case, regions, predictor.protocol, radiograph.size)
    scores = score_segmentation(
        np.stack([found[name] for name in regions.names]),
        true.masks,
        radiograph.spacing if in_mm else (1.0, 1.0),
        predictor.predict().landmarks.points,
        _points(case, predictor.protocol),
        regions.members,
        true.known,
    )
    return _Measured(scores, in_mm)


def _points(case: Case, protocol: Protocol) -> Points:
    """True landmarks (K, 2), NaN where there are none."""
    return np.full((len(protocol), 2), np.nan) if case.points is None else np.asarray(case.points, dtype=np.float64)


def _require_labels(cases: Sequence[Case], protocol: Protocol) -> None:
    if not cases:
        raise DataError("there is no image to evaluate structures on")
    bare = [case.id for case in cases if case.segmentation is None and not case.has_landmarks]
    if bare:
        raise DataError(f"{listed(bare, 3)}: neither landmarks nor a label image to compare structures with")
    wrong = next((c for c in cases if c.points is not None and len(c.points) != len(protocol)), None)
    if wrong is not None and wrong.points is not None:
        raise DataError(f"{wrong.id} has {len(wrong.points)} landmarks, the model has {len(protocol)}")
