"""Infer task ``refine``: what the reader placed stays exactly there, and the rest follows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask

from answers import answer, describe
from landmarklabel.errors import LabelError, ModelError, listed
from landmarklabel.interaction.posterior import Posterior, PosteriorConfig
from landmarklabel.interaction.refinement import refine
from landmarklabel.interaction.shape_prior import FEWEST_LABELS, ShapePrior
from landmarklabel.markups import pixel_on_image
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry
from memory import ImageMemory, SeenImage
from shapes import StudyShape


class RefineTask(InferTask):
    """Corrections in, all landmarks out; in milliseconds, as the network has seen the image already.

    Args:
        protocol: of the landmarks.
        memory: of what the model has seen.
        study: the shape of the study's own labels.
    """

    def __init__(self, protocol: Protocol, memory: ImageMemory, study: StudyShape) -> None:
        super().__init__(
            type="others",
            labels=list(protocol.labels),
            dimension=2,
            description=f"Landmarks that follow corrections: {protocol.title}",
        )
        self._protocol, self._memory, self._study = protocol, memory, study

    def is_valid(self) -> bool:
        """Whether there is a shape to answer by; /info/ lists the task only then."""
        return self._study.shape() is not None or self._memory.shape() is not None

    def get_path(self, validate: bool = True) -> str | None:
        """It has no model file of its own."""
        return None

    def __call__(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Answer ``corrections`` ({label: [x, y, z]}, LPS mm) and ``missing`` ([label]) of ``request["image"]``.

        Raises:
            LabelError: a correction that is no point of the image, or of a label that the protocol has not.
            ModelError: there are neither enough labels nor a model to learn the shape from.
            ImageError: the file is not a radiograph.
        """
        seen = self._memory.look_with_or_without_model(Path(request["image"]))
        placed = _placed(request.get("corrections"), self._protocol, seen.geometry)
        missing = _missing(request.get("missing"))
        start = time.perf_counter()
        shape = self._shape(seen)
        config = seen.header.config.posterior if seen.header else PosteriorConfig()
        unknown = None if seen.evidence is not None else ~shape.known
        answered = refine(
            Posterior(shape.in_pixels(seen.geometry.size), seen.evidence, config),
            self._protocol,
            placed,
            missing,
            tolerance=self._protocol.radii[0] / float(np.mean(seen.spacing)),
            unknown=unknown,
        )
        timings = {**seen.timings, "decode": seen.timings["decode"] + time.perf_counter() - start}
        given = request.get("corrections")
        return answer(answered.landmarks, seen, _source(seen, shape), answered.review_order, timings, given)

    def _shape(self, seen: SeenImage) -> ShapePrior:
        """Of the study's own labels or of the model's, whichever are more."""
        shapes = [shape for shape in (self._study.shape(), seen.shape) if shape is not None]
        if not shapes:
            raise ModelError(
                f"corrections can't move other landmarks yet: that is learned from {FEWEST_LABELS} final labels, and "
                f"there are {self._study.labels()}"
            )
        return max(shapes, key=lambda shape: shape.labels)


def _source(seen: SeenImage, shape: ShapePrior) -> dict[str, Any]:
    """What the answer comes from; without a network it says so."""
    model = {"name": "shape prior, no network"} if seen.header is None else describe(seen.header)
    return {**model, "shape_of_labels": shape.labels}


def _placed(corrections: Any, protocol: Protocol, geometry: Geometry) -> dict[str, np.ndarray]:
    if corrections is None:
        return {}
    if not isinstance(corrections, dict):
        raise LabelError(f"corrections: expected {{label: [x, y, z]}} in LPS mm, got {type(corrections).__name__}")
    unknown = [label for label in corrections if label not in protocol.labels]
    if unknown:
        known = listed(protocol.labels, 30)
        raise LabelError(f"corrections: {listed(unknown)}: not a landmark of {protocol.name}, which has {known}")
    return {label: pixel_on_image(at, geometry, label, "corrections") for label, at in corrections.items()}


def _missing(labels: Any) -> list[str]:
    if labels is None:
        return []
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise LabelError(f"missing: expected a list of labels, got {str(labels)[:60]}")
    return list(dict.fromkeys(labels))
