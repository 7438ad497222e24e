"""The loop of reading: connect, open, detect, correct, submit, next. No viewer: whoever shows it listens and polls.

Everything here is called, and everything is handed over, in the thread that calls :meth:`ReadingLoop.poll`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Callable

from .ahead import Ahead
from .client import Client
from .connection import Connection
from .contract import FINAL, Answer, ServerError, ServerInfo
from .drafts import Draft, DraftStore
from .following import Following
from .noting import noted
from .opening import OpenImage, fetch_image, found, take_detection
from .outbox import Outbox, unsent
from .state import Reading
from .topics import IMAGE, MESSAGE, POINTS, SEGMENTATION, SERVER
from .trainings import Trainings
from .worklist import Worklist

_BESIDE = "Some landmarks lie beside the image ({}): drag them in, or mark them as missing."
_NOT_CONNECTED = "Connect to a server first."

#: A submit so soon after an image came was meant for the one before it: a key held down, or pressed twice.
UNREAD_S = 0.7


class ReadingLoop(Connection):
    """A reader at work with one server.

    Args:
        drafts: where what is not yet on the server is kept.
        folder: where images are put; the caller's to delete.
        listener: called with what has changed, a topic of topics.py.
        reader: noted with each label.
    """

    def __init__(self, drafts: DraftStore, folder: Path, listener: Callable[[str], None], reader: str = "") -> None:
        super().__init__(listener, reader)
        self.drafts, self.folder = drafts, Path(folder)
        self.outbox: Outbox | None = None
        self._outboxes: dict[str, Outbox] = {}
        self.worklist, self.trainings = Worklist(self), Trainings(self)
        self.open_image: OpenImage | None = None
        self.segmentation: Path | None = None
        self.saved = ""
        self.unsent_elsewhere = ""
        self.unfinished = ""
        self._ahead = Ahead(self, self._current, self._choosing, self._fetching, self._ahead_came, self._ahead_failed)
        self._following = Following(self, lambda: self.open_image, self._followed)
        self._wanted = ""
        self._uploaded_last: Path | None = None
        self._done: set[str] = set()
        self._skipped: set[str] = set()

    # Connection -----------------------------------------------------------------------------------------------

    def connect(self, address: str, token: str = "") -> None:
        """Ask the server who it is, then for the worklist."""
        try:
            client = Client(address, token)
        except ServerError as problem:
            self.fail(problem)
            return
        self.say(f"Connecting to {client.address} ...")
        self.renew_trial()
        self.trial.submit(client.info, lambda info: self._connected(client, info), self._not_connected, "connect")

    def _connected(self, client: Client, info: ServerInfo) -> None:
        if self.client is not None and (client.address != self.client.address or self._other_protocol(info)):
            self._leave_server()
        self.client, self.server = client, info
        self.outbox = self._outbox_of(client, info)
        self.worklist.offer(info.strategies)
        address = client.address
        self.disk.submit(self.drafts.all, lambda found: self._took_up(found, address), self.fail, "drafts")
        self.say(f"Connected: {info.protocol.title}; {info.completed} of {info.total} images are labelled.")
        self.tell(SERVER)
        self.worklist.refresh()
        self._ask_again()

    def _ask_again(self) -> None:
        """With another token, or the server back, what was refused or failed may be answered."""
        if self.open_image is None:
            return
        if self.open_image.detected:
            self._ahead.look()
        else:
            self.detect()
        self._following.ask()

    def _leave_server(self) -> None:
        """Nothing of this server is shown, nor what is still to come from it."""
        self.renew_front()
        self._ahead.forget()
        self._put_away()
        self.worklist.clear()
        self._wanted = self.unfinished = ""
        self._done.clear()
        self._skipped.clear()

    def _outbox_of(self, client: Client, info: ServerInfo) -> Outbox:
        """One for each server: a second would not know what the first has under way, and the two share files."""
        outbox = self._outboxes.get(client.address)
        if outbox is None:
            outbox = self._outboxes[client.address] = Outbox(
                client, info.protocol.name, self.labels, self.drafts, self.back, self.disk, self.say, self._sent
            )
        outbox.reach(client, info.protocol.name, self.labels)
        return outbox

    def _other_protocol(self, info: ServerInfo) -> bool:
        return self.server is not None and info.protocol != self.server.protocol

    def _not_connected(self, problem: ServerError) -> None:
        self.fail(problem)
        self.tell(SERVER)

    def _took_up(self, found: list[Draft], address: str) -> None:
        """What an earlier run of the program left: unsent work goes out now, the newest unfinished image is next.

        What another server or protocol has not got is named, as it goes out when that is connected.
        """
        assert self.outbox is not None
        drafts = [draft for draft in found if draft.server == address]
        here = (address, self.protocol.name)
        self.unsent_elsewhere = unsent(draft for draft in found if (draft.server, draft.protocol) != here)
        images = self.outbox.take_up(drafts)
        if images:
            self.say(f"Sending what was left from last time: {', '.join(images[:3])}{' ...' * (len(images) > 3)}")
        ours = [draft for draft in drafts if draft.protocol == self.protocol.name]
        unfinished = [draft.image for draft in ours if draft.wanted != FINAL or draft.refused]
        unfinished = [image for image in unfinished if image not in self._done | self._skipped]
        self.unfinished = unfinished[-1] if unfinished else ""
        self.tell(SERVER)

    # Opening --------------------------------------------------------------------------------------------------

    def open(self, image: str) -> None:
        """Show this image, with what there is of its landmarks."""
        if self.client is None:
            self.say(_NOT_CONNECTED, True)
            return
        self._wanted = image
        if self._ahead.ready is not None and self._ahead.image == image:
            self._show(self._ahead.ready)
            return
        self.say(f"Loading {image} ...")
        if self._ahead.image != image:
            self.front.submit(self._fetching(image), self._opened, self._not_opened, "open")

    def open_next(self) -> None:
        """Show what comes next: what was left unfinished, else what the server wants labelled next."""
        if self.client is None:
            self.say(_NOT_CONNECTED, True)
            return
        unfinished, self.unfinished = self.unfinished, ""  # once: the server may no longer have it
        if self.open_image is None and unfinished and unfinished not in self._done:
            self.open(unfinished)
        elif self._ahead.image and self._ahead.image not in self._done:
            self.open(self._ahead.image)
        else:
            self.say("Asking for the next image ...")
            self.front.submit(self._choosing(), self._chosen, self._not_opened, "open")

    def _current(self) -> str:
        return self.open_image.image if self.open_image else ""

    def _choosing(self) -> Callable[[], str | None]:
        """A job that finds the next image: none that is done or open; what was skipped once no other is left."""
        here, skipped = {self._current()} - {""}, self._skipped
        later = [self._done | here, self._done | (here - skipped)] if skipped else []
        return self.worklist.choosing(self._done | here | skipped, *later)

    def _chosen(self, image: str | None) -> None:
        if image is None:
            if self._current() in self._done:
                self._put_away()
            self.say("Every image is labelled. Pick one from the list to look at it again.")
        else:
            self.open(image)

    def _fetching(self, image: str) -> Callable[[], OpenImage]:
        """A job that gets an image with its label, or the draft of this machine, but no prediction."""
        client, drafts, folder, labels = self.client, self.drafts, self.folder, self.labels
        assert client is not None
        return lambda: fetch_image(image, client, drafts, folder, labels)

    def _opened(self, opened: OpenImage) -> None:
        if opened.image == self._wanted:
            self._show(opened)

    def _not_opened(self, problem: ServerError) -> None:
        self._wanted = ""
        self.fail(problem)

    def _ahead_came(self, opened: OpenImage) -> None:
        if opened.image == self._wanted != self._current():
            self._show(opened)

    def _ahead_failed(self, image: str, problem: ServerError) -> None:
        if image and image == self._wanted:
            self._not_opened(problem)

    def _show(self, opened: OpenImage) -> None:
        self._ahead.taken(opened.image)
        self._throw_away(self.open_image)
        self.unfinished = ""
        self._skipped.discard(opened.image)
        self.open_image, self._uploaded_last = opened, None
        opened.started = time.monotonic()
        self._following.drop()
        self.drop_segmentation()
        self.say(opened.note or f"{opened.image}: {len(self.labels)} landmarks.", bool(opened.disagreement))
        self.tell(IMAGE)
        if opened.detected:
            self._following.ask()
            self._ahead.look()
        else:
            self.detect()

    def _throw_away(self, opened: OpenImage | None) -> None:
        """The files of an image that is no longer shown; its pixels are in memory."""
        if opened is not None and opened is not self._ahead.ready:
            folder = opened.file.parent.parent
            self.disk.submit(lambda: shutil.rmtree(folder, ignore_errors=True))

    @property
    def next_is_ready(self) -> bool:
        return self._ahead.ready is not None

    def skip(self) -> None:
        """Leave this image for later, and go on to the next; what has been done to it stays a draft."""
        opened, client, reader = self._require_open(), self.client, self.reader
        assert client is not None
        self.back.submit(lambda: client.skip(opened.image, reader), None, self._not_skipped)
        self._skipped.add(opened.image)
        self.open_next()

    def _not_skipped(self, problem: ServerError) -> None:
        if problem.status not in (404, 405):  # an older server: the image is left out here alone
            self.fail(problem)

    def set_strategy(self, strategy: str) -> None:
        """Another way to choose the next image."""
        if strategy != self.worklist.strategy:
            self._ahead.give_back()
            self._ahead.forget()
            self.worklist.strategy = strategy
            if self.open_image is not None:
                self._ahead.look()

    def close_image(self) -> None:
        """Show none, and have none ready or on its way."""
        self.front.cancel("open")
        self._wanted = ""
        self._ahead.give_back()
        self._ahead.forget()
        self._put_away()

    def _put_away(self) -> None:
        self._following.drop()
        self._throw_away(self.open_image)
        self.open_image, self.segmentation = None, None
        self.tell(IMAGE)

    def upload(self, path: Path) -> None:
        """Put an image of this machine on the server; the last of several is opened, unless another was meanwhile."""
        client = self.client
        if client is None:
            self.say(_NOT_CONNECTED, True)
            return
        self.say(f"Sending {Path(path).name} ...")
        self._uploaded_last = path
        self.long.submit(
            lambda: client.upload(Path(path)), lambda image: self._uploaded(client, path, image), self.fail
        )

    def _uploaded(self, client: Client, path: Path, image: str) -> None:
        if self.client is None or self.client.address != client.address:
            return
        self.worklist.refresh()
        if path is self._uploaded_last:
            self.open(image)
        else:
            self.say(f"{image} is on the server.")

    # Reading --------------------------------------------------------------------------------------------------

    @property
    def reading(self) -> Reading | None:
        return self.open_image.reading if self.open_image else None

    def detect(self) -> None:
        """Find all landmarks anew; those that the reader has settled stay."""
        opened, client = self.open_image, self.client
        if opened is None or client is None:
            return
        again, labels = opened.detected, self.labels
        self.say("Finding the landmarks ...")
        self.front.submit(
            lambda: client.detect(opened.image, labels),
            lambda answer: self._detection_came(opened, answer, again),
            lambda problem: self._detection_failed(opened, problem),
            "detect",
        )

    def _detection_came(self, opened: OpenImage, answer: Answer, again: bool) -> None:
        if opened is not self.open_image:
            return
        if again:
            opened.reading.detected(answer, as_step=True)
        else:
            take_detection(opened, answer)
        self.say(opened.disagreement or found(opened.reading), bool(opened.disagreement))
        self.tell(POINTS)
        if again:
            self._changed()
        else:
            self._following.ask()
            self._ahead.look()

    def _detection_failed(self, opened: OpenImage, problem: ServerError) -> None:
        if opened is self.open_image:
            opened.detected = not problem.away
            self.fail(problem)
            self._ahead.look()

    def place(self, label: str, position: Sequence[float]) -> None:
        """The reader put a landmark here (LPS mm); beside the image means on its edge."""
        opened = self._require_open()
        at, elsewhere = opened.picture.on_image((float(position[0]), float(position[1]), float(position[2])))
        opened.reading.place(label, at)
        if elsewhere:
            self.say(f"{label} was put on the image, beside which it lay.")
        self._changed()

    def confirm(self, labels: Iterable[str] | None = None) -> bool:
        """The reader agrees with these predictions, or all, but those beside the image. Nothing moves for it."""
        opened = self._require_open()
        wanted = opened.reading.labels if labels is None else tuple(labels)
        beside = opened.beside(wanted)
        done = opened.reading.confirm_all([label for label in wanted if label not in beside])
        if done:
            self._keep()
        if beside:
            self.say(_BESIDE.format(_some(beside)), True)
        return done

    def mark_missing(self, label: str) -> None:
        """The reader does not see it in the image; again: does."""
        self._require_open().reading.mark_missing(label)
        self._changed()

    def release(self, label: str) -> None:
        """The reader takes back what was said of it."""
        self._require_open().reading.release(label)
        self._changed()

    def undo(self) -> bool:
        """Take back the last step."""
        done = self._require_open().reading.undo()
        if done:
            self._changed()
        return done

    def redo(self) -> bool:
        """Do again what was taken back."""
        done = self._require_open().reading.redo()
        if done:
            self._changed()
        return done

    def segment(self) -> None:
        """Ask for the structures of the open image."""
        opened, client = self.open_image, self.client
        if opened is None or client is None:
            return
        folder = opened.file.parent.parent

        def came(path: Path) -> None:
            if opened is self.open_image:
                self.segmentation = path
                self.tell(SEGMENTATION)

        self.long.submit(lambda: client.segmentation(opened.image, folder), came, self.fail, "segmentation")

    def drop_segmentation(self) -> None:
        """The structures are not wanted any more."""
        self.long.cancel("segmentation")
        self.segmentation = None

    def _require_open(self) -> OpenImage:
        if self.open_image is None:
            raise ValueError("no image is open")
        return self.open_image

    def _changed(self) -> None:
        """After a step of the reader: let the others follow, show it, keep it."""
        self._following.ask_first()
        self._keep()

    def _followed(self, opened: OpenImage) -> None:
        if opened.reading.touched:
            self._put(opened, final=False)

    # Saving ---------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        try:
            self.tell(POINTS)
        finally:  # whoever draws may fail, and what was done is kept all the same
            self._put(self._require_open(), final=False)

    def _put(self, opened: OpenImage, final: bool) -> None:
        if self.outbox is not None:
            self.outbox.put(opened.reading, noted(opened, self.reader), final)

    def save_draft(self) -> None:
        """Send the draft now."""
        self._put(self._require_open(), final=False)
        if self.outbox is not None:
            self.outbox.hurry()

    def submit(self) -> bool:
        """Send the image as final and go on to the next; False where landmarks are not placed, or nobody looked."""
        opened = self._require_open()
        problem = _unfinished(opened) or _unread(opened)
        if problem:
            self.say(problem, True)
            return False
        assert self.outbox is not None
        self._following.drop()
        self._put(opened, final=True)
        self.outbox.poll()
        self._done.add(opened.image)
        if not self.next_is_ready:
            self._put_away()  # nobody goes on with what is submitted
        self.open_next()
        return True

    def _sent(self, image: str, tag: str) -> None:
        self.saved = f"{time.strftime('%H:%M:%S')}: {image} is on the server as {tag}."
        if self.is_problem and image in self.message:
            self.say(self.saved)
        self.worklist.labelled(image, tag)
        self.tell(MESSAGE)

    # Polling --------------------------------------------------------------------------------------------------

    def poll(self) -> bool:
        """Hand over what has come, and do what is due; whether more is to come. Called by a timer, never waits."""
        self.hand_over()
        if self.outbox is not None:
            self.outbox.poll()
        self._following.poll()
        return self.busy

    def stop(self, wait_s: float = 3.0) -> None:
        """End: what is still to be written is written; what is under way with the server is waited for so long."""
        self._following.drop()
        if self.outbox is not None:
            self.outbox.hurry()
        for worker in (self.front, self.long, self.trial):
            worker.stop()
        self.back.cancel("ahead")
        self._ahead.give_back()
        self.back.finish(wait_s)
        self.poll()  # what the server has by now is noted on the disk
        self.disk.finish(wait_s)


def _unfinished(opened: OpenImage) -> str:
    """Why an image can't be submitted yet; empty if it can."""
    left = [point.label for point in opened.reading.points if point.status == "undefined"]
    if left:
        return f"{len(left)} landmarks are not placed yet ({_some(left)}): place them, or mark them as missing."
    beside = opened.beside()
    return _BESIDE.format(_some(beside)) if beside else ""


def _unread(opened: OpenImage) -> str:
    """Why nobody can have looked at an image yet; empty if somebody can."""
    here = time.monotonic() - opened.started < UNREAD_S
    return f"{opened.image} has only just come: look at it, then submit it." if here else ""


def _some(labels: Sequence[str]) -> str:
    """Up to five of them, and how many more."""
    return ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
