"""Measurements that take code: what each kind offers, and all of them by the name that a protocol's YAML has for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from .base import Part, Shown
from .chest import Cardiothoracic, LungAreas
from .cobb import Cobb
from .maturation import CervicalMaturation
from .vertebrae import Genant, VertebralHeights

if TYPE_CHECKING:  # a protocol holds measurements, and so knows this package
    from ..protocol import Protocol

Array = NDArray[np.float64]


class Composed(Interface):
    """A kind of measurement with one or more parts, each a value with a name of its own.

    ``structures`` are those that the protocol's YAML names; none means the usual ones.
    """

    def parts(self, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Part, ...]:
        """What it measures: P parts.

        Raises:
            ProtocolError: the protocol has not what this needs.
        """

    def evaluate(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> Array:
        """(S, P), the values of S sets of points (S, K, 2) in mm or pixels; NaN where they define none."""

    def shown(self, points: Array, protocol: Protocol, structures: tuple[str, ...]) -> tuple[Shown, ...]:
        """What each part is shown with, of points (K, 2); lines in their unit."""


#: All kinds.
COMPOSED: Mapping[str, Composed] = MappingProxyType(
    {
        "cobb": Cobb("cobb", end_plates=False),
        "cobb_end_plates": Cobb("cobb_end_plates", end_plates=True),
        "vertebral_heights": VertebralHeights(),
        "genant": Genant(),
        "cervical_maturation": CervicalMaturation(),
        "cardiothoracic": Cardiothoracic(),
        "lung_areas": LungAreas(),
    }
)
