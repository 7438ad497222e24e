"""Where on the mean shapes landmarks nobody trained lie: told by an image in which they are placed, or written down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ..carry import place_of
from ..derived import MapPlace, require_new
from ..errors import ConfigError, LabelError, listed
from ..io import read_radiograph
from ..markups import read_markups, read_named_points
from ..predictor import Predictor
from ..segmenting import dense_readout


def places_on(predictor: Predictor, points: Path, image: Path, label: Path | None = None) -> dict[str, MapPlace]:
    """Places of new landmarks that were placed on an image.

    Args:
        predictor: of a model with uv-maps; it looks at the image from now on.
        points: ``.mrk.json`` with the new landmarks, of any labels that the protocol has not.
        image: on which they were placed.
        label: ``.mrk.json`` with its landmarks of the protocol, which say best where a point is; None: the model's own
            map is asked.

    Raises:
        ModelError: the model has no uv-maps.
        ImageError: the image can't be read.
        LabelError: a file is not markups JSON, a landmark is one of the protocol, or lies in no structure; names it.
    """
    dense_readout(predictor)
    radiograph = read_radiograph(image)
    named = read_named_points(points, radiograph.geometry)
    require_new(tuple(named), predictor.protocol)
    labelled = None if label is None else read_markups(label, predictor.protocol, radiograph.geometry).points
    predictor.set_image(radiograph)
    places = {}
    for name, point in named.items():
        try:
            places[name] = place_of(predictor, point, labelled)
        except LabelError as problem:
            raise LabelError(f"{points.name}, {name}: {problem}") from None
    return places


def read_places(texts: Sequence[str], predictor: Predictor) -> dict[str, MapPlace]:
    """Places written as ``LABEL=STRUCTURE:U,V``: points of the mean shape, whose box is from -1 to 1.

    Raises:
        ModelError: the model has no uv-maps.
        LabelError: a landmark is one of the protocol.
        ConfigError: a text is not of that form, names no structure of the model or a point outside its box, or a label
            is given twice.
    """
    names = dense_readout(predictor).regions.names
    places: dict[str, MapPlace] = {}
    for text in texts:
        label, place = _read_place(text, names)
        if label in places:
            raise ConfigError(f"{text}: {label} is given twice; expected one place for each landmark")
        places[label] = place
    require_new(tuple(places), predictor.protocol)
    return places


def _read_place(text: str, names: Sequence[str]) -> tuple[str, MapPlace]:
    label, _, place = text.partition("=")
    structure, _, numbers = place.rpartition(":")
    uv = _numbers(numbers)
    if not label.strip() or len(label) > 64 or uv is None:
        raise ConfigError(f"{text}: expected LABEL=STRUCTURE:U,V, such as apex=heart:0.2,0.9")
    if structure not in names:
        raise ConfigError(f"{text}: the model has no structure '{structure}'; it has {listed(names, 30)}")
    if max(map(abs, uv)) > 1:
        raise ConfigError(f"{text}: ({uv[0]:g}, {uv[1]:g}) lies outside of the mean shape's box, from -1 to 1")
    return label.strip(), MapPlace(list(names).index(structure), uv)


def _numbers(text: str) -> tuple[float, float] | None:
    """``U,V`` as two finite numbers; None if it is not."""
    try:
        u, v = (float(part) for part in text.split(","))
    except ValueError:
        return None
    return (u, v) if math.isfinite(u) and math.isfinite(v) else None
