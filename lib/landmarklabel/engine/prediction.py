"""Predictions for files, one by one, so that one bad image does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ..carry import carried
from ..derived import MapPlace, require_new
from ..errors import ImageError, LandmarkLabelError
from ..files import atomic_path
from ..io import IMAGE_SUFFIXES, read_radiograph
from ..io.layouts.common import by_id, image_id, is_image
from ..io.segmentations import saved_elsewhere, write_segmentation
from ..landmarks import LandmarkSet, Status
from ..markups import is_plain_prediction, write_markups
from ..pictures import overlay
from ..predictor import Predictor
from ..protocol import Protocol
from ..radiograph import Radiograph
from ..readout import DenseReadout
from ..segmentation import Segmentation
from ..segmentation_pictures import segmentation_overlay
from ..segmenting import dense_readout, segment

_MARKUPS, _SEGMENTATION, _PICTURE = ".mrk.json", ".seg.nrrd", ".overlay.png"


class Answer(NamedTuple):
    """What became of an image.

    Attributes:
        path: the file written, or left as it was; of an image that could not be predicted, the image.
        problem: why it could not be; "" where it could.
        kept: somebody has worked on the file, and nothing was written.
    """

    path: Path
    problem: str = ""
    kept: bool = False


Answers = Iterator[Answer]


def predict_files(
    predictor: Predictor,
    inputs: Sequence[Path],
    out: Path,
    pictures: bool = False,
    structures: bool = False,
    overwrite: bool = False,
) -> Answers:
    """Predict images and write ``ID.mrk.json`` into ``out``.

    A model with uv-maps writes the structures that it segments as ``ID.seg.nrrd`` beside it. Of an image of which a
    file is there that somebody has worked on, nothing is written.

    Args:
        inputs: image files, and folders, of which every image at the top is taken.
        pictures: write ``ID.overlay.png``, too, with the landmarks and what was segmented.
        structures: write ``ID.seg.nrrd`` of any model: the outlines of its landmarks, where it segments nothing.
        overwrite: replace what somebody has worked on, too.

    Raises:
        DataError: two images have the same id, so that one answer would replace the other.
        ModelError: structures are wanted, but the protocol has no closed one.
        LandmarkLabelError: a folder holds no images.

    Yields:
        an answer for each image, in the order of their ids.
    """
    segmenting = structures or isinstance(predictor.readout, DenseReadout)

    def answer(radiograph: Radiograph, start: Path) -> Path:
        landmarks = predictor.predict().landmarks
        segmentation = segment(predictor) if segmenting else None
        if segmentation is not None:
            write_segmentation(segmentation, _named(start, _SEGMENTATION))
        if pictures:
            _save(_picture(radiograph, landmarks, segmentation), _named(start, _PICTURE))
        write_markups(landmarks, radiograph.geometry, _named(start, _MARKUPS))
        return _named(start, _MARKUPS)

    suffixes = () if overwrite else (_MARKUPS, _SEGMENTATION) if segmenting else (_MARKUPS,)
    return _each(predictor, _images(inputs), out, suffixes, answer)


def carry_files(
    predictor: Predictor,
    places: Mapping[str, MapPlace],
    inputs: Sequence[Path],
    out: Path,
    skip: Path | None = None,
    overwrite: bool = False,
) -> Answers:
    """Carry landmarks nobody trained to images, and write ``ID.mrk.json`` with these landmarks alone into ``out``.

    One that is there and that somebody has worked on is left as it is.

    Args:
        predictor: of a model with uv-maps.
        places: by label, where each landmark lies on the mean shapes.
        inputs: image files, and folders, of which every image at the top is taken.
        skip: an image that they were carried from, and that needs no answer.
        overwrite: replace what somebody has worked on, too.

    Raises:
        ModelError: the model has no uv-maps.
        LabelError: a landmark is already one of the protocol.
        DataError, LandmarkLabelError: as :func:`predict_files`; also where no image is left.

    Yields:
        as :func:`predict_files`.
    """
    dense_readout(predictor)
    require_new(tuple(places), predictor.protocol)
    protocol = _protocol_of(tuple(places), predictor.protocol)
    images = [path for path in _images(inputs) if skip is None or path.resolve() != skip.resolve()]
    if not images:
        raise LandmarkLabelError("there is no image to carry landmarks to, but the one that they were placed on")

    def answer(radiograph: Radiograph, start: Path) -> Path:
        points, confidence = carried(predictor, places)
        landmarks = LandmarkSet.from_points(protocol, points, Status.PREDICTED, confidence)
        write_markups(landmarks, radiograph.geometry, _named(start, _MARKUPS))
        return _named(start, _MARKUPS)

    return _each(predictor, images, out, () if overwrite else (_MARKUPS,), answer)


def _protocol_of(labels: Sequence[str], base: Protocol) -> Protocol:
    """A protocol of these landmarks alone, which no other has."""
    landmarks = [{"label": label, "name": label} for label in labels]
    name = f"{base.name[:56]}_carried"
    return Protocol.model_validate({"name": name, "title": f"{base.title}: carried landmarks", "landmarks": landmarks})


def _each(
    predictor: Predictor,
    images: Sequence[Path],
    out: Path,
    kept: Sequence[str],
    answer: Callable[[Radiograph, Path], Path],
) -> Answers:
    """Show a predictor image after image; ``answer`` writes files that begin with the path it is given.

    An image is passed by where somebody has worked on one of these files with an ending of ``kept``.
    """
    for path in by_id(images).values():
        start = out / image_id(path.name)
        worked_on = next((file for file in (_named(start, suffix) for suffix in kept) if _is_work(file)), None)
        if worked_on is not None:
            yield Answer(worked_on, kept=True)
            continue
        try:
            radiograph = read_radiograph(path)
            predictor.set_image(radiograph)
            target = answer(radiograph, start)
        except ImageError as problem:
            yield Answer(path, str(problem))
        else:
            yield Answer(target)


def _is_work(path: Path) -> bool:
    """Whether a file is there that holds more than what a prediction has written."""
    if not path.exists():
        return False
    return saved_elsewhere(path) if path.name.endswith(_SEGMENTATION) else not is_plain_prediction(path)


def image_files(inputs: Sequence[Path]) -> dict[str, Path]:
    """Images by id: files as given, and of folders every image at the top.

    Raises:
        DataError: two images have the same id.
        LandmarkLabelError: a folder holds no images.
    """
    return by_id(_images(inputs))


def _named(start: Path, suffix: str) -> Path:
    return start.with_name(start.name + suffix)


def _images(inputs: Sequence[Path]) -> list[Path]:
    """Files as given, and of folders those that are images, without what an earlier prediction has left there."""
    images: list[Path] = []
    for path in inputs:
        if not path.is_dir():
            images.append(path)
            continue
        found = [each for each in sorted(path.iterdir()) if is_image(each) and not _is_ours(each)]
        if not found:
            raise LandmarkLabelError(f"{path} holds no images ({', '.join(IMAGE_SUFFIXES)})")
        images += found
    return images


def _is_ours(path: Path) -> bool:
    return path.name.lower().endswith((_SEGMENTATION, _PICTURE))


def _picture(radiograph: Radiograph, landmarks: LandmarkSet, segmentation: Segmentation | None) -> Image.Image:
    height = min(1200, radiograph.size[1])
    if segmentation is not None:
        return segmentation_overlay(radiograph.display(), segmentation.masks, landmarks.points, height=height)
    labels = landmarks.labels if len(landmarks) <= 80 else None
    return overlay(radiograph.display(), landmarks.points, labels=labels, height=height)


def _save(picture: Image.Image, target: Path) -> None:
    with atomic_path(target) as temporary:
        picture.save(temporary, format="PNG")
