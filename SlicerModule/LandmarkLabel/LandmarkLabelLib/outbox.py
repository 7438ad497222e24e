"""What a reader did, on its way to the server: on the disk at once, on the server as soon as that takes it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Callable

from .client import Client
from .contract import DRAFT, FINAL, ServerError
from .drafts import Draft, DraftStore
from .markups import to_markups
from .state import Reading
from .worker import Worker

#: A draft goes to the server when nothing has been changed for so long.
QUIET_S = 1.5
_FIRST_RETRY_S, _LONGEST_RETRY_S = 2.0, 30.0

# What the server does not say of the label itself: it may be taken another time.
_PASSING = ("unauthorised", "forbidden", "full", "failed", "busy", "not MONAI Label")

Say = Callable[[str, bool], None]


class Outbox:
    """Drafts and final labels of one server.

    Args:
        client: of the server.
        protocol: name of the server's protocol.
        labels: of the protocol.
        store: of the local files.
        sender: thread that talks to the server.
        disk: thread that writes files.
        say: takes a sentence for the reader, and whether it is about something that went wrong.
        sent: called with the image and the tag when the server has a label.
    """

    def __init__(
        self, client: Client, protocol: str, labels: tuple[str, ...], store: DraftStore, sender: Worker, disk: Worker,
        say: Say, sent: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self._client, self._protocol, self._labels = client, protocol, labels
        self._store, self._sender, self._disk = store, sender, disk
        self._say, self._sent = say, sent
        self._waiting: dict[str, Draft] = {}
        self._due: dict[str, float] = {}
        self._there: dict[str, float] = {}  # when what the server has of an image was saved here
        self._retry_s = _FIRST_RETRY_S

    @property
    def waiting(self) -> tuple[str, ...]:
        """Images of which the server does not have everything yet."""
        return tuple(self._waiting)

    def reach(self, client: Client, protocol: str, labels: tuple[str, ...]) -> None:
        """The same server is connected anew, as with another token: what is under way or waits is still this one's.

        What waits for another protocol stays on the disk.
        """
        self._client, self._protocol, self._labels = client, protocol, labels
        self._waiting = {image: draft for image, draft in self._waiting.items() if draft.protocol == protocol}
        self._due = {image: 0.0 for image in self._due if image in self._waiting}

    def take_up(self, drafts: Sequence[Draft]) -> list[str]:
        """What an earlier run of the program could not send goes out now; of which images."""
        unsent = [
            draft for draft in drafts
            if draft.wanted and not draft.refused and draft.protocol == self._protocol
            and draft.image not in self._waiting and draft.saved > self._there.get(draft.image, 0.0)
        ]  # fmt: skip
        for draft in unsent:
            self._waiting[draft.image], self._due[draft.image] = draft, time.monotonic()
        return [draft.image for draft in unsent]

    def put(self, reading: Reading, info: Mapping[str, Any], final: bool) -> None:
        """Keep what there is of a reading, and send it: a final one now, a draft when the reader pauses."""
        draft = Draft(
            self._client.address,
            reading.image,
            self._protocol,
            reading.to_dict(),
            dict(info),
            FINAL if final else DRAFT,
        )
        self._waiting[draft.image] = draft
        self._due[draft.image] = time.monotonic() + (0.0 if final else QUIET_S)
        self._keep(draft)

    def poll(self) -> None:
        """Send what is due."""
        now = time.monotonic()
        for image in [image for image, due in self._due.items() if due <= now]:
            del self._due[image]
            self._send(self._waiting[image])

    def hurry(self) -> None:
        """Everything is due now, as when the program ends."""
        self._due = dict.fromkeys(self._waiting, 0.0)
        self.poll()

    def _keep(self, draft: Draft) -> None:
        def failed(problem: ServerError) -> None:
            self._say(f"The local copy of {draft.image} can't be written: {problem.sentence}", True)

        self._disk.submit(lambda: self._write(draft), None, failed, key=f"keep {draft.image}")

    def _write(self, draft: Draft) -> None:
        try:
            self._store.save(draft)
        except OSError as problem:
            raise ServerError("file", f"{problem.strerror} ({self._store.folder}).") from None

    def _send(self, draft: Draft) -> None:
        self._sender.submit(
            lambda: self._put_label(draft),
            lambda _: self._is_there(draft),
            lambda problem: self._failed(draft, problem),
        )

    def _put_label(self, draft: Draft) -> None:
        try:
            points = Reading.from_dict(draft.reading, self._labels).points
        except ValueError as problem:
            raise ServerError("invalid", f"the local draft can't be used: {problem}") from None
        self._client.save(draft.image, to_markups(points, self._protocol), draft.info, draft.wanted == FINAL)

    def _is_there(self, draft: Draft) -> None:
        self._retry_s, self._there[draft.image] = _FIRST_RETRY_S, draft.saved
        if self._waiting.get(draft.image) is draft:  # nothing has come after it
            del self._waiting[draft.image]
            if draft.wanted == FINAL:
                self._disk.submit(lambda: self._store.remove(draft.server, draft.image), key=f"keep {draft.image}")
            else:
                self._keep(replace(draft, wanted=""))
        self._sent(draft.image, draft.wanted)

    def _failed(self, draft: Draft, problem: ServerError) -> None:
        if self._waiting.get(draft.image) is not draft:
            return  # a later one of the same image is on its way
        if problem.away or problem.kind in _PASSING:
            self._due[draft.image] = time.monotonic() + self._retry_s
            self._retry_s = min(2 * self._retry_s, _LONGEST_RETRY_S)
            self._say(f"{draft.image} is kept on this computer and sent later. {problem.sentence}", True)
        else:
            del self._waiting[draft.image]
            self._keep(replace(draft, refused=problem.sentence))
            self._say(f"The server did not take {draft.image}: {problem.sentence} It is kept on this computer.", True)


def unsent(drafts: Iterable[Draft]) -> str:
    """Where labels of these are still to go; empty if the servers have them all."""
    left = [(draft.server, draft.protocol) for draft in drafts if draft.wanted and not draft.refused]
    where = [f"{left.count(each)} to {each[0]} ({each[1]})" for each in dict.fromkeys(left)]
    return f"Not sent yet, until you connect there: {', '.join(where)}." if where else ""
