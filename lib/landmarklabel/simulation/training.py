"""When the server trains: as it decides itself, or at counts of labels that are told to it from outside."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from .client import Client
from .settings import USUAL_COUNTS, Settings, training_counts

_LOOK_S = 0.5


class Training:
    """Sees to it that the server trains as a simulation says.

    Args:
        client: of the server.
        counts: of labels, at which a training is begun; none where the server decides itself, or never trains.
        trained: at how many labels the last one began that has ended.
    """

    def __init__(self, client: Client, counts: Sequence[int], trained: int = 0) -> None:
        self._client, self._counts, self.trained = client, tuple(counts), trained
        self._begun_at: int | None = None

    @classmethod
    def of(cls, settings: Settings, client: Client, trained: int = 0) -> Training:
        """As the settings say; a server that can't decide for itself is told to train at the usual counts."""
        counts = training_counts(settings.train) or ()
        if settings.train == "auto" and "training_policy" not in client.info():
            counts = USUAL_COUNTS
        return cls(client, counts, trained)

    def step(self, labels: int) -> bool:
        """Begin a training if one is due; whether one that was begun here has ended since the last step."""
        ended = self._begun_at is not None and not is_training(self._client)
        if ended and self._begun_at is not None:
            self.trained, self._begun_at = self._begun_at, None
        if self._begun_at is None and any(self.trained < count <= labels for count in self._counts):
            self._client.train("farnet")
            self._begun_at = labels
        return ended

    def wait(self) -> None:
        """Return when no training runs, nor is about to."""
        while is_training(self._client):
            time.sleep(_LOOK_S)


def is_training(client: Client) -> bool:
    """Whether a training runs now, or is about to with the labels that there are, whoever began it."""
    return client.trains() or trains_by(client.info())


def trains_by(info: Mapping[str, Any]) -> bool:
    """The same, as far as ``/info/`` knows: a training that has just been asked for is not in it yet."""
    states = [stats.get("state") for stats in info.get("train_stats", {}).values() if stats]
    return "running" in [*states, info.get("training_policy", {}).get("state")]
