"""The images of another simulation in their order, each with the model that it had: what differs is the reader's doing.

Each model has learned from images that come before the first one it sees, as in the simulation that is replayed; in any
other order it could meet images that it was trained on.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..engine.publishing import publish
from ..errors import ConfigError, DataError
from ..modelfile import read_header
from .journal import JOURNAL, read_journal


class Replay:
    """A simulation that is over, to be labelled again in another way.

    Args:
        folder: of that simulation.
        protocol: its name.
        images: that are to be labelled.
        models: folder of the models of the server now.

    Raises:
        ConfigError: it labelled other images.
        DataError: it is not over, or its models are gone.
    """

    def __init__(self, folder: Path, protocol: str, images: Collection[str], models: Path) -> None:
        events = read_journal(folder / JOURNAL)
        self._done = [event for event in events if event["event"] == "done"]
        if not any(event["event"] == "ended" for event in events):
            raise DataError(f"{folder}: this simulation is not over; continue it before it is replayed")
        if {event["image"] for event in self._done} != set(images):
            raise ConfigError(f"{folder}: a simulation on other images; replay it with its own data, number and seed")
        runs = (folder / "models" / protocol / "runs").glob("*/model.safetensors")
        self._models = {read_header(path).version: path for path in runs}
        self._target, self._in_use = models / protocol / "landmarks.safetensors", ""
        if lost := {event["version"] for event in self._done} - {"", *self._models}:
            raise DataError(f"{folder}: the model {min(lost)} of this simulation is gone")

    def image(self, number: int) -> str:
        """The image of that number, from 0, whose model is now in use."""
        event = self._done[number]
        if event["version"] not in ("", self._in_use):
            publish(self._models[event["version"]], self._target)
            self._in_use = event["version"]
        return str(event["image"])
