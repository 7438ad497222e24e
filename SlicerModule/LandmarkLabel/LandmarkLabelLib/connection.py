"""A server as the parts of the loop share it: who it is, the threads that work for it, and what the reader is told.

Threads work beside the one that calls: what the reader waits for (front), what nobody waits for (back), what takes its
time and is to hold up neither (long), the test of a connection (trial), and the disk. What comes of them is handed over
in the thread that calls :meth:`Connection.hand_over`.
"""

from __future__ import annotations

from typing import Callable

from .client import Client
from .contract import Protocol, ServerError, ServerInfo
from .topics import MESSAGE
from .worker import Worker


class Connection:
    """One reader and the server that was connected last, if any was.

    Args:
        listener: called with what has changed, a topic of topics.py.
        reader: asks for images, and is noted with each label.
    """

    def __init__(self, listener: Callable[[str], None], reader: str = "") -> None:
        self.reader = reader
        self.client: Client | None = None
        self.server: ServerInfo | None = None
        self.front, self.back = Worker("LandmarkLabel front"), Worker("LandmarkLabel back")
        self.long, self.trial = Worker("LandmarkLabel long"), Worker("LandmarkLabel trial")
        self.disk = Worker("LandmarkLabel disk")
        self.message, self.is_problem = "", False
        self._listener = listener

    @property
    def protocol(self) -> Protocol:
        assert self.server is not None
        return self.server.protocol

    @property
    def labels(self) -> tuple[str, ...]:
        return self.protocol.labels

    @property
    def waiting(self) -> bool:
        """Whether the reader is waiting for something."""
        return self.front.busy or self.long.busy or self.trial.busy

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return self.waiting or self.back.busy or self.disk.busy

    def hand_over(self) -> None:
        """Hand over what the threads have done. Never waits."""
        for worker in (self.front, self.disk, self.back, self.long, self.trial):
            worker.poll()

    def renew_front(self) -> None:
        """What is under way in front is given up, and not waited for: it may hang."""
        self.front.stop()
        self.front = Worker("LandmarkLabel front")

    def renew_trial(self) -> None:
        """A test that is under way is given up: its server may hang, and another is to be tested."""
        if self.trial.busy:
            self.trial.stop()
            self.trial = Worker("LandmarkLabel trial")

    def say(self, sentence: str, is_problem: bool = False) -> None:
        """Tell the reader."""
        self.message, self.is_problem = sentence, is_problem
        self.tell(MESSAGE)

    def fail(self, problem: ServerError) -> None:
        """Tell the reader what went wrong."""
        self.say(problem.sentence, True)

    def tell(self, topic: str) -> None:
        """Tell the listener what has changed."""
        self._listener(topic)
