"""Predictions for files, one by one, so that one bad image does not stop the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import ImageError, LandmarkLabelError
from ..files import atomic_path
from ..io import IMAGE_SUFFIXES, read_radiograph
from ..io.layouts.common import by_id, image_id, is_image
from ..landmarks import LandmarkSet
from ..markups import write_markups
from ..pictures import overlay
from ..predictor import Predictor
from ..radiograph import Radiograph


def predict_files(
    predictor: Predictor, inputs: Sequence[Path], out: Path, pictures: bool = False
) -> Iterator[tuple[Path, str | None]]:
    """Predict images and write ``ID.mrk.json``, and ``ID.overlay.png`` with the landmarks if wanted, into ``out``.

    Args:
        inputs: image files, and folders, of which every image at the top is taken.

    Raises:
        DataError: two images have the same id, so that one answer would replace the other.
        LandmarkLabelError: a folder holds no images.

    Yields:
        the file written and None; or the image and why it could not be predicted.
    """
    for path in by_id(_images(inputs)).values():
        target = out / f"{image_id(path.name)}.mrk.json"
        try:
            radiograph = read_radiograph(path)
            predictor.set_image(radiograph)
            landmarks = predictor.predict().landmarks
            write_markups(landmarks, radiograph.geometry, target)
            if pictures:
                _draw(radiograph, landmarks, out / f"{image_id(path.name)}.overlay.png")
        except ImageError as problem:
            yield path, str(problem)
        else:
            yield target, None


def _images(inputs: Sequence[Path]) -> Iterator[Path]:
    for path in inputs:
        if not path.is_dir():
            yield path
            continue
        found = sorted(filter(is_image, path.iterdir()))
        if not found:
            raise LandmarkLabelError(f"{path} holds no images ({', '.join(IMAGE_SUFFIXES)})")
        yield from found


def _draw(radiograph: Radiograph, landmarks: LandmarkSet, target: Path) -> None:
    labels = landmarks.labels if len(landmarks) <= 80 else None
    picture = overlay(radiograph.display(), landmarks.points, labels=labels, height=min(1200, radiograph.size[1]))
    with atomic_path(target) as temporary:
        picture.save(temporary, format="PNG")
