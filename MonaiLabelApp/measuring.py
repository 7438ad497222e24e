"""What is measured on the landmarks of an answer, and which landmark makes one measurement surer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from landmarklabel.interaction.belief import Belief
from landmarklabel.interaction.hypotheses import renamings
from landmarklabel.interaction.posterior import Posterior
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.measurements.base import Measurement
from landmarklabel.measurements.measure import measure, require_measurement, surest_first
from landmarklabel.measurements.uncertainty import JointErrors, readers_noise
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import SpacingSource
from memory import SeenImage


class Measuring:
    """Measures answers.

    Args:
        protocol: of the landmarks, whose measurements these are.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._protocol, self._renamings = protocol, renamings(protocol)

    def require(self, request: dict[str, Any]) -> None:
        """Check which measurement a request wants to be surer of.

        Raises:
            LabelError: the protocol has no such measurement.
        """
        if request.get("measurement") is not None:
            require_measurement(self._protocol, request["measurement"])

    def first_look(self, seen: SeenImage) -> Belief | None:
        """What is believed of an image without corrections; None if it is not known how landmarks lie in labels."""
        evidence = seen.evidence if seen.mapped is None else seen.mapped.evidence
        if seen.shape is None or seen.header is None or evidence is None:
            return None
        prior, config = seen.shape.in_pixels(seen.geometry.size), seen.header.config.posterior
        nothing = np.empty(0, dtype=np.intp)
        return Posterior(prior, evidence, config, self._renamings).given(nothing, np.empty((0, 2)))

    def __call__(self, landmarks: LandmarkSet, seen: SeenImage, known: Belief | None) -> tuple[Measurement, ...]:
        """Every measurement, in mm where it is known what a pixel measures.

        Args:
            landmarks: of the answer.
            seen: the image.
            known: what they rest on; without it there are no error bars.
        """
        joint = self._joint(landmarks, seen, known) if self._protocol.measurements else None
        return measure(self._protocol, landmarks.points, _spacing(seen), joint, height=seen.geometry.size[1])

    def order(
        self,
        request: dict[str, Any],
        landmarks: LandmarkSet,
        seen: SeenImage,
        known: Belief | None,
        usual: Sequence[str],
    ) -> list[str]:
        """The review order: the usual one, or the one that makes the measurement of a request surer the fastest."""
        name, joint = request.get("measurement"), self._joint(landmarks, seen, known)
        if name is None or joint is None:
            return list(usual)
        height = seen.geometry.size[1]
        first = surest_first(self._protocol, landmarks.points, _spacing(seen), joint, name, height=height)
        return [label for label in first if label in usual] + [label for label in usual if label not in first]

    def _joint(self, landmarks: LandmarkSet, seen: SeenImage, known: Belief | None) -> JointErrors | None:
        if known is None:
            return None
        placed = [index for index, status in enumerate(landmarks.status) if status is Status.CORRECTED]
        scaling = None if seen.header is None else seen.header.config.posterior.measured
        return JointErrors.of(known, placed, readers_noise(self._protocol, seen.spacing), scaling)


def _spacing(seen: SeenImage) -> tuple[float, float] | None:
    return None if seen.spacing_source is SpacingSource.UNKNOWN else seen.spacing
