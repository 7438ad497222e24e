"""Which model answers: published model files of a protocol, and their exchange while the server runs."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from landmarklabel.engine.publishing import previous_of, publish
from landmarklabel.errors import ModelError
from landmarklabel.modelfile import ModelHeader, read_header
from landmarklabel.precision import Precision
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol


class PublishedModel:
    """The model that a task answers with: ``FOLDER/PROTOCOL/TASK.safetensors``.

    Args:
        folder: of all models.
        protocol: that the model must be for.
        task: name of the infer task.
        trainer: name of the train task that makes such models.
        precision: in how many bits its network computes.
    """

    def __init__(
        self, folder: Path, protocol: Protocol, task: str, trainer: str = "farnet", precision: Precision = "fp32"
    ) -> None:
        self.path = folder / protocol.name / f"{task}.safetensors"
        self.protocol, self.task, self.trainer = protocol, task, trainer
        self._precision = precision
        self._loading = threading.Lock()
        self._loaded: tuple[tuple[int, int, int], Predictor, ModelHeader] | None = None

    def predictor(self, device: str | None = None) -> tuple[Predictor, ModelHeader]:
        """The newest published model, ready to run. A file that was replaced since is loaded anew.

        Who asks while another thread loads it gets the one that was in use, and does not wait.

        Raises:
            ModelError: there is none yet, or it is damaged or for another protocol. An older model that was in use
                is not served in place of a damaged one.
        """
        stamp, loaded = self._stamp(), self._loaded
        if loaded is not None and (loaded[0] == stamp or not self._loading.acquire(blocking=False)):
            return loaded[1:]
        if loaded is None:
            self._loading.acquire()
        try:
            return self._load(device)
        finally:
            self._loading.release()

    def _load(self, device: str | None) -> tuple[Predictor, ModelHeader]:
        stamp, loaded = self._stamp(), self._loaded
        if loaded is None or loaded[0] != stamp:  # nobody was faster
            try:
                self._loaded = loaded = (stamp, *self._read(device))
            except ModelError:
                self._loaded = None
                raise
        return loaded[1:]

    def _read(self, device: str | None) -> tuple[Predictor, ModelHeader]:
        """Both of one file, which may be replaced between the two: what is known by a version is kept by it."""
        while True:
            predictor = Predictor.load(self.path, device, protocol=self.protocol, precision=self._precision)
            header = read_header(self.path)
            if header.version == predictor.provenance["version"]:
                return predictor, header

    def is_there(self) -> bool:
        """Whether there is a file at all, sound or damaged: a damaged one stands for no answer, not for another's."""
        return self.path.exists()

    def problem(self) -> str | None:
        """Why there is no model to answer with, in a sentence; None if there is one."""
        try:
            self.predictor()
        except ModelError as problem:
            return str(problem)
        return None

    def versions(self) -> set[str]:
        """Of the model that answers, and of the one before it, as far as they are there and sound."""
        found = set()
        for path in (self.path, previous_of(self.path)):
            with suppress(ModelError):
                found.add(read_header(path).version)
        return found

    def _stamp(self) -> tuple[int, int, int]:
        try:
            status = self.path.stat()
        except OSError:
            raise ModelError(
                f"there is no model for '{self.task}' of {self.protocol.name} yet: train one (POST "
                f"/train/{self.trainer}), or put a model file into the models folder as "
                f"{self.protocol.name}/{self.path.name}"
            ) from None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def publish(self, trained: Path) -> None:
        """Answer with this model from now on, in all processes; see :func:`landmarklabel.engine.publishing.publish`."""
        publish(trained, self.path)
