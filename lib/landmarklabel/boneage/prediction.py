"""Bone ages of landmark files, one by one, so that one bad file does not stop the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError, LabelError, LandmarkLabelError, NotFoundError, listed
from ..io.images import read_radiograph
from ..io.layouts.common import images_in
from ..io.layouts.studies import LABEL_SUFFIX, label_suffix
from ..landmarks import Points
from ..markups import read_markups
from ..radiograph import Geometry
from .ensemble import AgeEstimates, BoneAgeEnsemble
from .modelfile import BoneAgeModel

#: Bones so many times smaller or larger than any of training are in another unit, or no such bones.
SIZE_TOLERANCE = 2.0

# World coordinates as they are: of an image whose axes are the world's.
_WORLD = Geometry((1, 1))


class BoneAge(NamedTuple):
    """The age of one image.

    Attributes:
        id: of the image.
        months: age.
        deviation: standard deviation of the distribution over the classes, in months; it is not calibrated.
        notes: what is to be known about this answer, in words.
    """

    id: str
    months: float
    deviation: float
    notes: tuple[str, ...] = ()


def predict_labels(
    model: BoneAgeModel,
    inputs: Sequence[Path],
    images: Path | None = None,
    spacing: float | None = None,
) -> Iterator[tuple[Path, BoneAge | str]]:
    """Ages of landmark files.

    Args:
        inputs: ``ID.mrk.json`` files, and folders, of which every such file at the top is taken.
        images: folder of the images, which say what their pixels and spacing are. Without it the positions in the
            files are taken as they are, as lying in the plane of x and y.
        spacing: mm a pixel, for images that don't say it, or say it wrong; without images, mm for each unit of the
            files. For a model that takes mm.

    Raises:
        DataError: a folder holds no landmark files, there is no folder ``images``, or two of its images have the same
            id, or a spacing is given to a model that takes pixels.
        NotFoundError: there is no such file.

    Yields:
        a file and its age; or the file and why it has none.
    """
    if spacing is not None and model.header.unit == "px":
        raise DataError("the model takes pixels, since its training images had no known spacing; give no spacing")
    if spacing is not None and not (np.isfinite(spacing) and spacing > 0):
        raise DataError(f"a spacing of {spacing:g} mm; expected a positive number")
    if images is not None and not images.is_dir():
        raise DataError(f"{images}: no such folder; expected the folder of the images")
    found = images_in(images) if images is not None else None
    for path in _labels(inputs):
        name = path.name.removesuffix(LABEL_SUFFIX)
        try:
            if found is None:
                points = _without_image(path, model, spacing)
            elif name in found:
                points = _with_image(path, found[name], model, spacing)
            else:
                raise NotFoundError(f"{path.name}: there is no image '{name}' in {images}")
            yield path, estimate_one(model, name, points)
        except LandmarkLabelError as problem:
            yield path, str(problem)


def estimate_one(model: BoneAgeModel, name: str, points: Points) -> BoneAge:
    """The age of landmarks (K, 2) in the unit of the model, NaN absent.

    Raises:
        LabelError: no bone has two landmarks, or the bones are of a size that no training image had.
    """
    ensemble, unit = model.ensemble, model.header.unit
    size = float(ensemble.shapes.size(points[None])[0])
    if not np.isfinite(size):
        raise LabelError(f"{name}: no bone has two landmarks; expected those of {listed(ensemble.shapes.bones.names)}")
    low, high = ensemble.shapes.sizes
    if not low / SIZE_TOLERANCE <= size <= high * SIZE_TOLERANCE:
        raise LabelError(
            f"{name}: the bones are {size:.3g} times as large as the mean of training, where they were {low:.3g} to "
            f"{high:.3g} times; expected landmarks in {'mm (is the spacing right?)' if unit == 'mm' else 'pixels'}"
        )
    estimates = ensemble.estimate(points[None])
    notes = (*_note_on_range(ensemble, estimates), *_note_on_absent(ensemble, points))
    return BoneAge(name, float(estimates.months[0]), float(estimates.deviation[0]), notes)


def _note_on_range(ensemble: BoneAgeEnsemble, estimates: AgeEstimates) -> Iterator[str]:
    classes, likeliest = ensemble.classes, int(estimates.probabilities[0].argmax())
    trained = f"trained on {classes.start:g} to {classes.end:g} months"
    if likeliest == 0:
        yield f"may be younger: {trained}"
    elif likeliest == classes.number - 1:
        yield f"may be older: {trained}"


def _note_on_absent(ensemble: BoneAgeEnsemble, points: Points) -> Iterator[str]:
    shapes = ensemble.shapes
    absent = shapes.bones.absent(points[None])[0] & ~shapes.optional
    if absent.any():
        names = [name for name, gone in zip(shapes.bones.names, absent, strict=True) if gone]
        yield f"without {listed(names)}, which every training image had"


def _labels(inputs: Sequence[Path]) -> Iterator[Path]:
    for path in inputs:
        if path.is_dir():
            found = sorted(each for each in path.iterdir() if label_suffix(each.name) and each.is_file())
            if not found:
                raise DataError(f"{path} holds no landmark files (*{LABEL_SUFFIX})")
            yield from found
        elif path.is_file():
            yield path
        else:
            raise NotFoundError(f"{path}: no such file; expected landmarks (*{LABEL_SUFFIX}), or a folder of them")


def _with_image(label: Path, image: Path, model: BoneAgeModel, spacing: float | None) -> Points:
    radiograph = read_radiograph(image)
    points = read_markups(label, model.header.protocol, radiograph.geometry).points
    if model.header.unit == "px":
        return points
    if spacing is not None:
        return points * spacing
    if not radiograph.spacing_known:
        raise DataError(f"{image.name}: unknown spacing, and the model takes mm; give the mm a pixel (--spacing)")
    return points * radiograph.spacing


def _without_image(label: Path, model: BoneAgeModel, spacing: float | None) -> Points:
    try:
        points = read_markups(label, model.header.protocol, _WORLD).points
    except LabelError as problem:
        if "from the plane of the image" not in str(problem):
            raise
        raise LabelError(f"{label.name}: does not lie in the plane of x and y; name its image (--images)") from None
    return points * (spacing or 1.0)
