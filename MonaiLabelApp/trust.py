"""Which landmarks of an answer need a look, and no click: those that are right to a tolerance, as surely as asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conf_values import probability
from landmarklabel.errors import LabelError
from landmarklabel.interaction.belief import Belief
from landmarklabel.interaction.trust import probability_within
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.radiograph import SpacingSource
from memory import SeenImage

#: The names of the settings.
SETTINGS = ("trust",)

_PLACED = (Status.CORRECTED, Status.CONFIRMED)


@dataclass(frozen=True)
class Trusted:
    """What is trusted of an answer.

    Attributes:
        landmarks: (K,).
        level: how probable it is to be that one of them is right.
        tolerance: error up to which it is, in ``unit``.
        unit: ``mm``, or ``px`` where it is not known what a pixel measures.
    """

    landmarks: NDArray[np.bool_]
    level: float
    tolerance: float
    unit: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON, but for the landmarks."""
        return {"level": self.level, "tolerance": self.tolerance, "unit": self.unit}


@dataclass(frozen=True)
class Trust:
    """Tells landmarks that are trusted.

    Attributes:
        level: how probable it is to be that a trusted landmark is within the tolerance.
    """

    level: float = 0.95

    @classmethod
    def of(cls, conf: Mapping[str, str]) -> Trust:
        """From MONAI Label's settings.

        Raises:
            ConfigError: the level is no probability.
        """
        return cls(probability(conf, "trust", cls.level))

    def require(self, request: Mapping[str, Any]) -> None:
        """Check the tolerance of a request.

        Raises:
            LabelError: it is none.
        """
        given = request.get("tolerance")
        is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
        if given is not None and not (is_number and 0 < given < 1e6):
            raise LabelError(
                "tolerance: expected a number above 0, in mm (in pixels where it is not known what one measures), got "
                f"{str(given)[:60]!r}"
            )

    def __call__(
        self, request: Mapping[str, Any], landmarks: LandmarkSet, seen: SeenImage, known: Belief | None
    ) -> Trusted:
        """What is trusted of an answer: all that a person placed, and what is surely within the request's tolerance.

        Args:
            known: what the answer rests on. Without it, or where nobody has measured how sure it is (too few images to
                validate on, no network), nothing is trusted but what was placed.
        """
        tolerance = float(request.get("tolerance") or landmarks.protocol.radii[0])
        trusted = np.isin([status.value for status in landmarks.status], [status.value for status in _PLACED])
        if known is not None and seen.header is not None and seen.header.config.posterior.is_measured:
            sure = probability_within(known, landmarks.points, tolerance / float(np.mean(seen.spacing)))
            trusted |= np.nan_to_num(sure) >= self.level
        unit = "px" if seen.spacing_source is SpacingSource.UNKNOWN else "mm"
        return Trusted(trusted, self.level, tolerance, unit)
