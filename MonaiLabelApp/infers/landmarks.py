"""Infer task ``landmarks``: every landmark of an image, at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask

from answers import answer, describe, least_confident_first, wants_file
from landmarklabel.interaction.belief import Belief
from landmarklabel.interaction.refinement import as_believed, by_gain
from landmarklabel.landmarks import LandmarkSet
from measuring import Measuring
from memory import ImageMemory, SeenImage
from models import PublishedModel
from trust import Trust


class LandmarksTask(InferTask):
    """Automatic landmarks by the published model: by its maps and the shape of its labels together.

    Args:
        model: that answers.
        memory: of what it has seen.
        measuring: of what it finds.
        trust: in what it finds.
    """

    def __init__(self, model: PublishedModel, memory: ImageMemory, measuring: Measuring, trust: Trust) -> None:
        # Type "others": the stock Slicer plugin offers the task in none of its selectors for segmentation.
        super().__init__(
            type="others",
            labels=list(model.protocol.labels),
            dimension=2,
            description=f"Automatic landmarks: {model.protocol.title}",
        )
        self._model, self._memory, self._measuring, self._trust = model, memory, measuring, trust

    def is_valid(self) -> bool:
        """Whether there is a model to answer with; /info/ lists the task only then."""
        return self._model.problem() is None

    def get_path(self, validate: bool = True) -> str | None:
        """The model file; with ``validate``, None if there is none."""
        return str(self._model.path) if self._model.path.is_file() or not validate else None

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Answer for the file ``request["image"]``.

        Raises:
            LabelError: the measurement that is to be surer is none, or the tolerance of what is trusted.
            ModelError: there is no model, or it can't be used.
            ImageError: the file is not a radiograph.
            StorageError: there is no room for the answer's file.
        """
        self._measuring.require(request)
        self._trust.require(request)
        seen = self._memory.look(Path(request["image"]), self._model)
        assert seen.header is not None
        start = time.perf_counter()
        landmarks, known, usual = self._believed(seen)
        self._memory.forget_the_oldest(seen)
        decoded = time.perf_counter()
        measured = self._measuring(landmarks, seen, known)
        order = self._measuring.order(request, landmarks, seen, known, usual)
        trusted = self._trust(request, landmarks, seen, known)
        timings = {
            **seen.timings,
            "decode": seen.timings["decode"] + decoded - start,
            "measure": time.perf_counter() - decoded,
        }
        source, with_file = describe(seen.header), wants_file(request)
        return answer(landmarks, seen, source, order, measured, timings, trusted, with_file=with_file)

    def _believed(self, seen: SeenImage) -> tuple[LandmarkSet, Belief | None, list[str]]:
        """Landmarks where maps and shape of labels have them, what that rests on, and which to look at first.

        Of a model that does not know how landmarks lie in labels: as the network has them.
        """
        assert seen.landmarks is not None
        known = self._measuring.first_look(seen)
        if known is None:
            return seen.landmarks, None, least_confident_first(seen.landmarks)
        protocol = seen.landmarks.protocol
        radius = protocol.radii[0] / float(np.mean(seen.spacing))
        return (
            as_believed(seen.landmarks, known, radius),
            known,
            [protocol.labels[index] for index in by_gain(known)],
        )
