"""The film strip of a click: the first answer, one landmark moved, what followed, and what is sure now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landmarklabel.interaction.hypotheses import renamings
from landmarklabel.interaction.posterior import Posterior
from landmarklabel.metrics import radial_errors
from landmarklabel.phantoms import generate
from landmarklabel.pictures import (
    PREDICTED_COLOUR,
    captioned,
    draw_arrows,
    draw_dots,
    draw_regions,
    enlarged,
    regions,
    side_by_side,
)
from landmarklabel.predictor import Predictor

Array = NDArray[np.float64]

_UNSURE = (255, 200, 60)
_CLICKED = (60, 190, 255)
_FINE = 2  # drawn so many times as large, so that lines are smooth
_LETTERS = 15


@dataclass(frozen=True)
class Click:
    """What one click on the worst landmark of an image does. Points are (K, 2) in pixels of ``image``.

    Attributes:
        image: (H, W) of 8 bits, the part around the landmarks.
        index: of the landmark that is clicked, at its true place.
        first, then: all landmarks before and after.
        unsure_first, unsure_then: outlines (K, N, 2) of where each is with a probability of 90 %.
    """

    image: NDArray[np.uint8]
    label: str
    index: int
    true: Array
    first: Array
    then: Array
    unsure_first: Array
    unsure_then: Array

    @property
    def errors(self) -> tuple[Array, Array]:
        """(K,) before and after, in pixels."""
        return radial_errors(self.first, self.true), radial_errors(self.then, self.true)

    @property
    def help(self) -> float:
        """By how much the mean error of the others falls, in pixels."""
        before, after = self.errors
        return float(np.delete(before - after, self.index).mean())


def click(predictor: Predictor, seed: int) -> Click:
    """On a phantom of the predictor's protocol."""
    radiograph, landmarks = generate(predictor.protocol.name, seed)
    true, shape = landmarks.points, predictor.shape
    assert shape is not None, "the sample model holds the shape of its labels"
    predictor.set_image(radiograph)
    prior = shape.in_pixels(radiograph.size)
    names = renamings(predictor.protocol)
    posterior = Posterior(prior, predictor.evidence(), predictor.config.posterior, names)
    first = posterior.given(np.empty(0, dtype=np.intp), np.empty((0, 2)))
    worst = np.array([radial_errors(first.mean, true).argmax()])
    then = posterior.given(worst, true[worst])
    others = np.delete(np.arange(len(true)), worst)
    points = then.mean.copy()
    points[worst] = true[worst]
    corner, image = _around(radiograph.display(), np.concatenate([true, first.mean]))
    return Click(
        image,
        predictor.protocol.labels[worst[0]],
        int(worst[0]),
        true - corner,
        first.mean - corner,
        points - corner,
        regions(first.mean - corner, first.of_points()),
        regions(then.mean[others] - corner, then.of_points()[others]),
    )


def _around(image: NDArray[np.uint8], points: Array, margin: int = 40) -> tuple[Array, NDArray[np.uint8]]:
    """The corner (x, y) and the pixels of the part of an image around points."""
    left, top = np.floor(points.min(axis=0) - margin).clip(0).astype(int)
    right, bottom = np.ceil(points.max(axis=0) + margin).astype(int)
    return np.array([left, top], dtype=float), image[top:bottom, left:right]


def film_strip(model: Path, seeds: range, height: int = 720) -> Image.Image:
    """Of the phantom, among these, on which a click helps the other landmarks most."""
    predictor = Predictor.load(model, "cpu")
    shown = max((click(predictor, seed) for seed in seeds), key=lambda each: each.help)
    before, after = (f"{errors.mean():.1f} px off" for errors in shown.errors)
    farthest = np.linalg.norm(np.delete(shown.then - shown.first, shown.index, axis=0), axis=1).max()
    height *= _FINE
    panels = (
        (_first(shown, height), "1  First answer", ("red: each landmark,", "yellow: its 90 % region")),
        (_clicked(shown, height), "2  One click", (f"the reader moves {shown.label}", "to its place (blue)")),
        (_moved(shown, height), "3  The others follow", (f"up to {farthest:.0f} px, and no", "pass of the network")),
        (_now(shown, height), "4  Now", (f"before: {before}", f"now: {after}")),
    )
    pages = [captioned(picture, title, lines, _LETTERS * _FINE) for picture, title, lines in panels]
    strip = side_by_side(pages, gap=10 * _FINE, ground="white")
    return strip.resize((strip.width // _FINE, strip.height // _FINE), Image.Resampling.LANCZOS)


def _first(shown: Click, height: int) -> Image.Image:
    picture, scale = enlarged(shown.image, height)
    draw_regions(picture, shown.unsure_first, scale, _UNSURE, _FINE)
    draw_dots(picture, shown.first, scale, PREDICTED_COLOUR, 2.0 * _FINE)
    return picture


def _clicked(shown: Click, height: int) -> Image.Image:
    picture, scale = enlarged(shown.image, height)
    place = [shown.index]
    draw_dots(picture, shown.first, scale, PREDICTED_COLOUR, 2.0 * _FINE)
    draw_dots(picture, shown.true[place], scale, _CLICKED, 5.0 * _FINE)
    draw_arrows(picture, shown.first[place], shown.true[place], scale, _CLICKED, 2 * _FINE)
    return picture


def _moved(shown: Click, height: int) -> Image.Image:
    picture, scale = enlarged((shown.image * 0.55).astype(np.uint8), height)  # darker, so that arrows stand out
    draw_arrows(picture, shown.first, shown.then, scale, _UNSURE, round(1.5 * _FINE))
    draw_dots(picture, shown.then[[shown.index]], scale, _CLICKED, 5.0 * _FINE)
    return picture


def _now(shown: Click, height: int) -> Image.Image:
    picture, scale = enlarged(shown.image, height)
    draw_regions(picture, shown.unsure_then, scale, _UNSURE, _FINE)
    draw_dots(picture, shown.then, scale, PREDICTED_COLOUR, 2.0 * _FINE)
    draw_dots(picture, shown.then[[shown.index]], scale, _CLICKED, 5.0 * _FINE)
    return picture
