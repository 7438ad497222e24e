"""What is drawn on the X-ray: landmarks, construction lines, outlines, and captions that don't cover each other."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..landmarks import LandmarkSet, Status
from ..measurements.base import Line, Measurement
from ..radiograph import Radiograph

Array = NDArray[np.float64]

#: With more landmarks than this, the structures are named, not the landmarks.
MOST_LABELS = 40

#: Longer side of the X-ray on a page, in pixels, at most: 300 a inch on paper.
LONGEST_SIDE = 1200

# Height of captions in parts of the picture's width; their letters' width in parts of their height.
_LETTERS, _LETTER_WIDTH = 0.026, 0.62
_FEWEST_IN_HEIGHT = 40  # of a wide picture

# Where a caption may stand, as seen from its landmark, best first.
_DIRECTIONS = np.array([(1, 0), (1, -1), (1, 1), (-1, 0), (-1, -1), (-1, 1), (0, -1), (0, 1)], dtype=np.float64)
_DISTANCES = (0.9, 1.7, 2.6)  # in heights of the letters
_COVERS_CAPTION, _COVERS_DOT, _COVERS_LINE, _OFF_IMAGE = 20.0, 4.0, 0.25, 50.0


@dataclass(frozen=True)
class Dot:
    """A landmark, in pixels of the image.

    Attributes:
        by_hand: whether a person placed or confirmed it.
    """

    label: str
    x: float
    y: float
    by_hand: bool


@dataclass(frozen=True)
class Caption:
    """A text whose middle is at (x, y), in pixels of the image."""

    text: str
    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """All that is drawn on an image.

    Attributes:
        size: (W, H) of the image, in pixels.
        dots: landmarks that are placed.
        outlines: of structures, where there are too many landmarks to follow them by eye.
        lines: of measurements, each once, and by the names of which.
    """

    size: tuple[int, int]
    dots: tuple[Dot, ...]
    outlines: tuple[Line, ...]
    lines: tuple[tuple[Line, tuple[str, ...]], ...]
    named: tuple[tuple[str, float, float], ...]

    @classmethod
    def of(cls, radiograph: Radiograph, landmarks: LandmarkSet, measurements: Sequence[Measurement]) -> Drawing:
        """Of an image, its landmarks, and the measurements that are not absent."""
        dots = tuple(
            Dot(label, x, y, status in (Status.CORRECTED, Status.CONFIRMED))
            for label, (x, y), status in zip(landmarks.labels, landmarks.points.tolist(), landmarks.status, strict=True)
            if status.placed
        )
        crowded = len(landmarks) > MOST_LABELS
        outlines = tuple(_outlines(landmarks)) if crowded else ()
        named = tuple(_middles(landmarks)) if crowded else tuple((dot.label, dot.x, dot.y) for dot in dots)
        return cls(radiograph.size, dots, outlines, _different(measurements), named)

    @property
    def letters(self) -> float:
        """Height of captions, in pixels of the image."""
        return _LETTERS * max(self.size[0], self.size[1] * _FEWEST_IN_HEIGHT / 100)

    @property
    def radius(self) -> float:
        """Of landmarks, in pixels of the image."""
        return self.letters * (0.16 if len(self.dots) > MOST_LABELS else 0.24)

    @cached_property
    def captions(self) -> tuple[Caption, ...]:
        """Each near what it names, where it covers least of captions, landmarks and lines, one after the other."""
        dots = np.array([(dot.x, dot.y) for dot in self.dots]).reshape(-1, 2)
        along = _along([line for line, _ in self.lines], self.letters / 3)
        placed: list[Array] = []
        captions = []
        for text, x, y in self.named:
            half = self.letters * np.array([_LETTER_WIDTH * len(text), 1.1]) / 2
            middles = np.array([x, y]) + np.concatenate(
                [_DIRECTIONS * (half + self.letters * (distance - 0.5)) for distance in _DISTANCES]
            )
            costs = [self._cost(middle, half, placed, dots, along) for middle in middles]
            best = middles[int(np.argmin(costs + 0.1 * np.arange(len(costs)) / len(costs)))]
            placed.append(np.concatenate([best - half, best + half]))
            captions.append(Caption(text, float(best[0]), float(best[1])))
        return tuple(captions)

    def _cost(self, middle: Array, half: Array, placed: Sequence[Array], dots: Array, along: Array) -> float:
        """How much a caption with this middle and half its size covers."""
        low, high = middle - half, middle + half
        over = sum(_overlap(low, high, box) for box in placed) / float(np.prod(2 * half))
        outside = bool((low < 0).any() or (high > np.array(self.size)).any())
        return (
            _COVERS_CAPTION * over
            + _COVERS_DOT * _inside(dots, low - self.radius, high + self.radius)
            + _COVERS_LINE * _inside(along, low, high)
            + _OFF_IMAGE * outside
        )


def _outlines(landmarks: LandmarkSet) -> Iterable[Line]:
    """Of each structure, through the landmarks that are placed."""
    for structure in landmarks.protocol.structures:
        points = [landmarks[label] for label in structure.landmarks]
        there = [(float(x), float(y)) for x, y in points if np.isfinite([x, y]).all()]
        if structure.closed and len(there) > 2:
            there.append(there[0])
        if len(there) > 1:
            yield Line(tuple(there))


def _middles(landmarks: LandmarkSet) -> Iterable[tuple[str, float, float]]:
    """What each structure is called, and where: small ones at their right, so that they stay visible."""
    for structure in landmarks.protocol.structures:
        points = np.array([landmarks[label] for label in structure.landmarks])
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            continue
        x, y = points.mean(axis=0)
        if structure.kind == "vertebra":
            x = points[:, 0].max()
        yield structure.name if structure.kind == "vertebra" else structure.title or structure.name, float(x), float(y)


def _different(measurements: Sequence[Measurement]) -> tuple[tuple[Line, tuple[str, ...]], ...]:
    """Each line once, with the names of the measurements that have it, in whichever direction."""
    found: dict[tuple[tuple[float, float], ...], tuple[Line, list[str]]] = {}
    for measurement in measurements:
        for line in measurement.lines if measurement.value is not None else ():
            way = tuple((round(x, 2), round(y, 2)) for x, y in line.points)
            known = found.setdefault(min(way, way[::-1]), (line, []))
            if measurement.name not in known[1]:
                known[1].append(measurement.name)
    return tuple((line, tuple(names)) for line, names in found.values())


def _along(lines: Sequence[Line], step: float) -> Array:
    """Points (N, 2) on lines, about ``step`` from one to the next."""
    points = [np.empty((0, 2))]
    for line in lines:
        for a, b in zip(np.array(line.points), np.array(line.points)[1:], strict=False):
            count = int(np.clip(np.linalg.norm(b - a) / step, 1, 1000)) + 1
            points.append(a + np.linspace(0, 1, count)[:, None] * (b - a))
    return np.concatenate(points)


def _inside(points: Array, low: Array, high: Array) -> int:
    return int(np.count_nonzero(((points > low) & (points < high)).all(axis=1)))


def _overlap(low: Array, high: Array, box: Array) -> float:
    sides = np.minimum(high, box[2:]) - np.maximum(low, box[:2])
    return float(np.prod(np.maximum(sides, 0)))


def shown(radiograph: Radiograph) -> Image.Image:
    """The X-ray in grey levels, as a viewer shows it first, no larger than a page needs."""
    picture = Image.fromarray(radiograph.display())
    scale = LONGEST_SIDE / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return picture


def as_jpeg(picture: Image.Image) -> bytes:
    """A picture as a JPEG file, with no metadata."""
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=92)
    return file.getvalue()
