"""From what the patient weighs along each ray to the pixels that a detector makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from .canvas import Canvas, Image
from .curves import turned
from .fields import spread
from .view import Array, View

DEPTH = 4095  # the brightest of 12 bits
MU = 0.02  # attenuation of water a mm, at some 60 keV


@dataclass(frozen=True)
class Exposure:
    """How one image is taken and developed.

    Attributes:
        photons: quanta a square millimetre where nothing stands in the beam.
        scatter: share of the signal that is scattered.
        low, high: shares of the pixels that are developed as black and as white.
        gamma: of the development; over 1 is darker.
        levelling: share of the slow changes over the image that the processing takes away.
        shoulder: how far the development flattens at its ends, as film does: 0 not, 1 fully.
        base, span: value of black, and what lies between it and white.
        shutter: (4, 2) corners of the collimated field in mm from the centre of the image.
        outside: value, as a share of the range, of what lies outside of it.
    """

    photons: float
    scatter: float
    low: float
    high: float
    gamma: float
    levelling: float
    shoulder: float
    base: float
    span: float
    shutter: Array
    outside: float


@dataclass(frozen=True)
class Room:
    """Ranges from which the exposures of an anatomy are drawn: (low, high) each, as in :class:`Exposure`."""

    photons: tuple[float, float]
    scatter: tuple[float, float]
    low: tuple[float, float] = (0.002, 0.01)
    high: tuple[float, float] = (0.001, 0.01)
    gamma: tuple[float, float] = (0.8, 1.25)
    levelling: tuple[float, float] = (0.3, 0.6)
    shoulder: tuple[float, float] = (0.2, 0.8)
    white_shutter: float = 0.2


def draw_exposure(rng: np.random.Generator, room: Room, view: View, landmarks: Array) -> Exposure:
    """An exposure whose collimation keeps clear of the landmarks (K, 2) in patient mm."""
    return Exposure(
        photons=float(np.exp(rng.uniform(*np.log(room.photons)))),
        scatter=rng.uniform(*room.scatter),
        low=rng.uniform(*room.low),
        high=rng.uniform(*room.high),
        gamma=rng.uniform(*room.gamma),
        levelling=rng.uniform(*room.levelling),
        shoulder=rng.uniform(*room.shoulder),
        base=rng.uniform(20, 250),
        span=rng.uniform(2600, 3800),
        shutter=_shutter(rng, view, landmarks),
        outside=float(rng.random() < room.white_shutter),
    )


def _shutter(rng: np.random.Generator, view: View, landmarks: Array) -> Array:
    frame = View(size=(1, 1), field=(1.0, 1.0), origin=view.origin, angle=view.angle)
    seen = frame.pixels(landmarks)
    half = np.asarray(view.field) / 2
    spare = np.maximum(np.stack([seen.min(axis=0) + half, half - seen.max(axis=0)]) - 12.0, 0.0)
    closed = np.where(rng.random((2, 2)) < 0.45, rng.uniform(0, 14, (2, 2)), -8.0)
    (left, top), (right, bottom) = (
        -half + np.minimum(closed[0], spare[0]),
        half - np.minimum(closed[1], spare[1]),
    )
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return turned(corners, np.deg2rad(rng.normal(0, 0.6)))


def expose(patient: Image, view: View, exposure: Exposure, rng: np.random.Generator) -> NDArray[np.uint16]:
    """(H, W) pixels of 12 bits, bright = dense.

    Args:
        patient: (H, W), mm of water along each ray.
        rng: draws the noise, and nothing else.
    """
    signal = np.exp(-MU * patient)
    signal = signal * (1 - exposure.scatter) + exposure.scatter * _slow(signal, view)
    noise = _correlated(rng, signal.shape)
    quanta = exposure.photons * view.spacing**2
    signal = np.maximum(signal + np.sqrt(signal / quanta) * noise, 0.2 / quanta)
    density = -np.log(signal)
    density -= exposure.levelling * _slow(density, view)
    return _developed(density, _open_field(view, exposure), exposure)


def _slow(signal: Image, view: View) -> Image:
    """What changes over several centimetres only."""
    cells = view.coarse(4.0)
    blurred = gaussian_filter(spread(signal, view, cells), 30.0 / 4.0, mode="nearest", truncate=2.5)
    return spread(blurred, cells, view)


def _correlated(rng: np.random.Generator, shape: tuple[int, ...]) -> Image:
    """Noise of deviation 1 that neighbours share a little, as the light of a scintillator spreads."""
    noise: Image = rng.standard_normal(shape, dtype=np.float32)
    shared = noise.copy()
    for axis in (0, 1):
        shared += np.float32(0.3) * np.roll(noise, 1, axis)
    return shared / np.float32(np.sqrt(1 + 2 * 0.3**2))


def _open_field(view: View, exposure: Exposure) -> Image:
    canvas = Canvas(View(view.size, view.field))
    canvas.add(exposure.shutter)
    return canvas.image()


def _developed(density: Image, shutter: Image, exposure: Exposure) -> NDArray[np.uint16]:
    step = max(1, int(np.sqrt(density.size / 40_000)))
    seen = density[::step, ::step][shutter[::step, ::step] > 0.5]
    low, high = (float(v) for v in np.quantile(seen, (exposure.low, 1 - exposure.high)))
    share = np.clip((density - low) / (high - low), 0.0, 1.06) ** np.float32(exposure.gamma)
    curved = share * share * (3 - 2 * share)
    share = share + np.float32(exposure.shoulder) * (curved - share)
    share = share * shutter + np.float32(exposure.outside) * (1 - shutter)
    return np.clip(np.rint(exposure.base + exposure.span * share), 0, DEPTH).astype(np.uint16)
