"""Synthetic radiographs with exact landmarks: for trying everything without patients' images, and for tests.

Each anatomy is a shape model whose outlines are projected as what X-rays lose on their way through the
patient, and then pass a detector with scatter, noise and development. The landmarks are points of the
outlines that are drawn, so they are exact. All numbers are textbook anatomy; nothing is fitted to images.

    >>> radiograph, landmarks = generate("spine_68", seed=1)
    >>> radiograph.size, len(landmarks)
    ((320, 768), 68)
"""

from __future__ import annotations

import zlib
from functools import cache
from typing import Any
from typing import Protocol as Interface

import numpy as np

from ..errors import ConfigError, listed
from ..landmarks import LandmarkSet, Status
from ..protocol import load_protocol
from ..radiograph import Geometry, Radiograph, SpacingSource
from . import cephalogram, chest, spine
from .canvas import Image
from .detector import Room, draw_exposure, expose
from .view import Array, View

__all__ = ["available", "default_size", "generate"]

SMALLEST = 32  # pixels; below it nothing can be told apart
_protocol = cache(load_protocol)


class Patient(Interface):
    """One patient of an anatomy."""

    @property
    def landmarks(self) -> Array:
        """(K, 2) in mm of the patient's frame, in the protocol's order."""


class Anatomy(Interface):
    """What the module of an anatomy provides.

    Attributes:
        SIZE: (W, H), the usual size in pixels.
        FIELD: (w, h), what such an image shows, in mm.
        ROOM: how its images are taken.
    """

    SIZE: tuple[int, int]
    FIELD: tuple[float, float]
    ROOM: Room

    def draw_patient(self, rng: np.random.Generator) -> Patient:
        """One patient of the anatomy."""

    def draw_view(self, rng: np.random.Generator, patient: Patient, size: tuple[int, int]) -> View:
        """Where the patient stands in the beam, all landmarks on the image."""

    def attenuation(self, rng: np.random.Generator, patient: Patient, view: View) -> Image:
        """(H, W) what lies along each ray, in mm of water."""


_ANATOMIES: dict[str, Any] = {"cephalometric_19": cephalogram, "chest_166": chest, "spine_68": spine}


def available() -> tuple[str, ...]:
    """Names of the protocols for which there are synthetic radiographs."""
    return tuple(_ANATOMIES)


def default_size(protocol_name: str) -> tuple[int, int]:
    """(W, H) in pixels of a protocol's radiographs where no size is asked for.

    Raises:
        ConfigError: there are none of this protocol.
    """
    return _anatomy(protocol_name).SIZE


def generate(protocol_name: str, seed: int, size: tuple[int, int] | None = None) -> tuple[Radiograph, LandmarkSet]:
    """One synthetic radiograph and its landmarks, the same at every call with the same arguments.

    Args:
        protocol_name: one of :func:`available`.
        seed: which patient; not negative. The same seed is the same patient at every size.
        size: (W, H) in pixels, or None for the usual size of the anatomy. The anatomy's field is fitted in,
            so that another aspect ratio shows more at the sides or above and below.

    Returns:
        The radiograph: 16-bit pixels of 12 bits, bright = dense, its spacing in mm. The landmarks: all
        confirmed and on the image.

    Raises:
        ConfigError: there are no phantoms of this protocol, or the seed or the size can't be.
    """
    anatomy = _anatomy(protocol_name)
    size = anatomy.SIZE if size is None else size
    _require_possible(seed, size)
    rng = np.random.default_rng([seed, zlib.crc32(protocol_name.encode())])
    patient = anatomy.draw_patient(rng)
    view = anatomy.draw_view(rng, patient, size)
    exposure = draw_exposure(rng, anatomy.ROOM, view, patient.landmarks)
    # The noise is drawn last, and all before it in numbers that do not depend on the size of the image.
    pixels = expose(anatomy.attenuation(rng, patient, view), view, exposure, rng)
    radiograph = Radiograph(
        pixels,
        Geometry(size=size, spacing=(view.spacing, view.spacing)),
        (view.spacing, view.spacing),
        SpacingSource.GIVEN,
        window=(exposure.base, exposure.base + exposure.span),
        source=f"{protocol_name} phantom {seed}",
    )
    points = view.pixels(patient.landmarks)
    provenance = {"phantom": protocol_name, "seed": seed}
    return radiograph, LandmarkSet.from_points(
        _protocol(protocol_name), points, Status.CONFIRMED, provenance=provenance
    )


def _anatomy(name: str) -> Anatomy:
    if name not in _ANATOMIES:
        raise ConfigError(f"there are no phantoms for '{name}'; choose one of {listed(available())}")
    anatomy: Anatomy = _ANATOMIES[name]
    return anatomy


def _require_possible(seed: int, size: tuple[int, int]) -> None:
    if seed < 0:
        raise ConfigError(f"the seed of a phantom can't be negative, got {seed}; use 0 or more")
    if min(size) < SMALLEST:
        raise ConfigError(
            f"a phantom of {size[0]} x {size[1]} pixels shows nothing; use at least {SMALLEST} x {SMALLEST}"
        )
