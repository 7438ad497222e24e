"""Looking ahead: the next image is got, with its prediction, while this one is being read."""

from __future__ import annotations

from typing import Callable

from .connection import Connection
from .contract import ServerError
from .opening import OpenImage, detected


class Ahead:
    """The image that comes next: none, one that is coming, or one that is ready.

    Args:
        connection: to the server.
        current: gives the id of the image that is open; empty for none.
        choosing: gives a job that finds the next image; None if there is none.
        fetching: gives a job that gets an image.
        came: called with an image that is ready.
        failed: called with an image that could not be got, and why.
    """

    def __init__(
        self,
        connection: Connection,
        current: Callable[[], str],
        choosing: Callable[[], Callable[[], str | None]],
        fetching: Callable[[str], Callable[[], OpenImage]],
        came: Callable[[OpenImage], None],
        failed: Callable[[str, ServerError], None],
    ) -> None:
        self._connection, self._current = connection, current
        self._choosing, self._fetching = choosing, fetching
        self._when_came, self._when_failed = came, failed
        self.ready: OpenImage | None = None
        self.coming = ""

    @property
    def image(self) -> str:
        """Which it is; empty for none."""
        return self.ready.image if self.ready is not None else self.coming

    def look(self) -> None:
        """Get the next image, unless it is ready or coming."""
        back = self._connection.back
        if self._connection.client is not None and not self.image and not back.waits_for("ahead"):
            back.submit(self._choosing(), self._fetch, None, "ahead")

    def _fetch(self, image: str | None) -> None:
        if image is None or image == self._current():
            return
        self.coming = image
        fetch, client, labels = self._fetching(image), self._connection.client, self._connection.labels
        assert client is not None

        def fetch_and_detect() -> OpenImage:
            opened = fetch()
            return opened if opened.detected else detected(opened, client, labels)

        self._connection.back.submit(fetch_and_detect, self._came, self._failed, "ahead")

    def _came(self, opened: OpenImage) -> None:
        if self.coming == opened.image:
            self.ready, self.coming = opened, ""
            self._when_came(opened)

    def _failed(self, problem: ServerError) -> None:
        image, self.coming = self.coming, ""
        self._when_failed(image, problem)

    def taken(self, image: str) -> None:
        """This image is shown: it is not the next one any more."""
        if self.image == image:
            self.forget()
        elif not self.image:  # what is being chosen was to come after another image, and may be this one
            self._connection.back.cancel("ahead")

    def forget(self) -> None:
        """None is next, and none is coming."""
        self._connection.back.cancel("ahead")
        self.ready, self.coming = None, ""

    def give_back(self) -> None:
        """What would have been next is somebody else's to read."""
        client, reader, image = self._connection.client, self._connection.reader, self.image
        if client is not None and image:
            self._connection.back.submit(lambda: client.give_back(image, reader))
