"""After a correction: the server is asked where the other landmarks go, and again once it is back.

Of a label that is opened again it is asked what no label holds, while the reader looks.
"""

from __future__ import annotations

import time
from typing import Callable

from .client import Client
from .connection import Connection
from .contract import Answer, ServerError
from .describing import described, question_of
from .opening import OpenImage, found
from .topics import POINTS

_RETRY_S = 3.0
_HEAD_START_S = 0.001


class Following:
    """Lets the landmarks that nobody placed follow those that somebody did.

    Args:
        connection: to the server.
        current: gives the image that is open.
        followed: called with it when landmarks have moved.
    """

    def __init__(
        self, connection: Connection, current: Callable[[], OpenImage | None], followed: Callable[[OpenImage], None]
    ) -> None:
        self._connection, self._current, self._when_followed = connection, current, followed
        self._again_at: float | None = None

    def ask(self) -> None:
        """Ask where the others go now; if they are there, what else is to be said of them, if that is not known."""
        opened, connection = self._current(), self._connection
        client, request = connection.client, opened.reading.request() if opened else None
        self._again_at = None
        if opened is None or client is None:
            return
        if request is None:
            self._ask_about(opened, client)
            return
        image, labels, session = opened.image, connection.labels, opened.reading.session
        connection.front.submit(
            lambda: client.refine(image, labels, request.corrections, request.missing, request.previous, session),
            lambda answer: self._followed(opened, answer, request.number),
            self._failed,
            "refine",
        )

    def _ask_about(self, opened: OpenImage, client: Client) -> None:
        question, connection = question_of(opened), self._connection
        if question is not None:
            connection.back.submit(
                lambda: described(question, client, connection.labels),
                lambda answer: self._described(opened, answer, question.request.number),
                self._not_described,
                "refine",
            )

    def ask_first(self) -> None:
        """The same, before what has changed is drawn: the server works meanwhile.

        Of Python's threads one works at a time, so that the question is given a moment to go out.
        """
        self.drop()
        self.ask()
        if self._connection.front.waits_for("refine"):
            time.sleep(_HEAD_START_S)

    def drop(self) -> None:
        """No answer is wanted any more."""
        for worker in (self._connection.front, self._connection.back):
            worker.cancel("refine")
        self._again_at = None

    def poll(self) -> None:
        """Ask again, if the server was away and it is time."""
        if self._again_at is not None and time.monotonic() >= self._again_at:
            self.ask()

    def _followed(self, opened: OpenImage, answer: Answer, number: int) -> None:
        if opened is self._current() and opened.reading.follow(answer, number):
            self._connection.say(found(opened.reading))
            try:
                self._connection.tell(POINTS)
            finally:
                self._when_followed(opened)

    def _failed(self, problem: ServerError) -> None:
        if problem.away:
            self._again_at = time.monotonic() + _RETRY_S
            self._connection.say(
                f"{problem.sentence} What you placed stays; the others follow when the server is back.", True
            )
        else:
            self._connection.say(f"The others do not follow: {problem.sentence}", True)

    def _described(self, opened: OpenImage, answer: Answer, number: int) -> None:
        if opened is self._current() and opened.reading.describe(answer, number):
            self._connection.tell(POINTS)

    def _not_described(self, problem: ServerError) -> None:
        """Nobody waits for it, and nothing is said."""
        if problem.away:
            self._again_at = time.monotonic() + _RETRY_S
