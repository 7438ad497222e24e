"""Infer task ``landmarks``: every landmark of an image, at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask

from answers import answer, describe, least_confident_first
from memory import ImageMemory
from models import PublishedModel


class LandmarksTask(InferTask):
    """Automatic landmarks by the published model.

    Args:
        model: that answers.
        memory: of what it has seen.
    """

    def __init__(self, model: PublishedModel, memory: ImageMemory) -> None:
        # Type "others": the stock Slicer plugin offers the task in none of its selectors for segmentation.
        super().__init__(
            type="others",
            labels=list(model.protocol.labels),
            dimension=2,
            description=f"Automatic landmarks: {model.protocol.title}",
        )
        self._model, self._memory = model, memory

    def is_valid(self) -> bool:
        """Whether there is a model to answer with; /info/ lists the task only then."""
        return self._model.problem() is None

    def get_path(self, validate: bool = True) -> str | None:
        """The model file; with ``validate``, None if there is none."""
        return str(self._model.path) if self._model.path.is_file() or not validate else None

    def __call__(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Answer for the file ``request["image"]``.

        Raises:
            ModelError: there is no model, or it can't be used.
            ImageError: the file is not a radiograph.
        """
        seen = self._memory.look(Path(request["image"]), self._model)
        assert seen.landmarks is not None
        assert seen.header is not None
        order = least_confident_first(seen.landmarks)
        return answer(seen.landmarks, seen, describe(seen.header), order, seen.timings)
