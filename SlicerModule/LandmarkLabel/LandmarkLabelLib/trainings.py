"""Trainings on the server: begin, end, look at, put into use."""

from __future__ import annotations

from typing import Any

from .connection import Connection
from .contract import ServerInfo
from .topics import TRAINING


class Trainings:
    """What trains, and what has trained.

    Args:
        connection: to the server; what it says of itself is brought up to date.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.runs: list[dict[str, Any]] = []

    def start(self, task: str) -> None:
        """Start a training."""
        client = self._connection.client
        if client is not None:
            self._connection.back.submit(lambda: client.train(task), lambda _: self.watch(), self._connection.fail)
            self._connection.say(f"Starting the training of {task} ...")

    def stop(self) -> None:
        """Stop what trains."""
        client = self._connection.client
        if client is not None:
            self._connection.back.submit(client.stop_training, lambda _: self.watch(), self._connection.fail)

    def watch(self) -> None:
        """Ask how the training is getting on."""
        client = self._connection.client
        if client is not None:
            self._connection.back.submit(
                lambda: (client.info(), client.runs()), self._came, self._connection.fail, "training"
            )

    def _came(self, answer: tuple[ServerInfo, list[dict[str, Any]]]) -> None:
        self._connection.server, self.runs = answer
        self._connection.tell(TRAINING)

    def publish(self, run: str) -> None:
        """Let the model of an earlier run answer."""
        client = self._connection.client
        if client is not None:
            self._connection.say(f"The model of {run} is put into use ...")
            self._connection.back.submit(
                lambda: client.publish_run(run), lambda _: self._published(run), self._connection.fail
            )

    def _published(self, run: str) -> None:
        self._connection.say(f"The model of {run} answers now.")
        self.watch()
