"""The loop of reading: connect, open, detect, correct, submit, next. No viewer: whoever shows it listens and polls.

Three threads work beside the one that calls: what the reader waits for (front), what nobody waits for (back), and the
disk. Everything here is called, and everything is handed over, in the thread that calls :meth:`ReadingLoop.poll`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

from .client import Client
from .contract import (
    CONFIRMED,
    CORRECTED,
    DRAFT,
    FINAL,
    LEASED,
    MISSING,
    UNLABELLED,
    Answer,
    Protocol,
    ServerError,
    ServerInfo,
    WorklistItem,
)
from .drafts import Draft, DraftStore
from .opening import OpenImage, detected, fetch_image, found, take_detection
from .outbox import Outbox
from .state import Reading
from .worker import Worker

VERSION = "0.1.0"

# What has changed, as listeners are told.
SERVER, WORKLIST, IMAGE, POINTS, MESSAGE, TRAINING, SEGMENTATION = (
    "server", "worklist", "image", "points", "message", "training", "segmentation",
)  # fmt: skip

_RETRY_S = 3.0
_HEAD_START_S = 0.001

_BESIDE = "Some landmarks lie beside the image ({}): drag them in, or mark them as missing."


class ReadingLoop:
    """A reader at work with one server.

    Args:
        drafts: where what is not yet on the server is kept.
        folder: where images are put; the caller's to delete.
        listener: called with what has changed.
        reader: noted with each label.
    """

    def __init__(self, drafts: DraftStore, folder: Path, listener: Callable[[str], None], reader: str = "") -> None:
        self.drafts, self.folder, self.reader = drafts, Path(folder), reader
        self._listener = listener
        self._front, self._back = Worker("LandmarkLabel front"), Worker("LandmarkLabel back")
        self._disk = Worker("LandmarkLabel disk")
        self.client: Client | None = None
        self.server: ServerInfo | None = None
        self.outbox: Outbox | None = None
        self.worklist: list[WorklistItem] = []
        self.runs: list[dict[str, Any]] = []
        self.open_image: OpenImage | None = None
        self.strategy = ""
        self.message, self.is_problem = "", False
        self.segmentation: Path | None = None
        self.saved = ""
        self.unfinished = ""
        self._ahead: OpenImage | None = None
        self._ahead_is_coming = ""
        self._wanted = ""
        self._done: set[str] = set()
        self._follow_at: float | None = None

    # Connection -----------------------------------------------------------------------------------------------

    def connect(self, address: str, token: str = "") -> None:
        """Ask the server who it is, then for the worklist."""
        try:
            client = Client(address, token)
        except ServerError as problem:
            self._fail(problem)
            return
        self.say(f"Connecting to {client.address} ...")
        self._front.submit(client.info, lambda info: self._connected(client, info), self._not_connected, "connect")

    def _connected(self, client: Client, info: ServerInfo) -> None:
        if self.client is not None and (client.address != self.client.address or self._other_protocol(info)):
            self.close_image()
            self._done.clear()
        self.client, self.server = client, info
        self.outbox = Outbox(
            client, info.protocol.name, self.labels, self.drafts, self._back, self._disk, self.say, self._sent
        )
        if self.strategy not in info.strategies:
            self.strategy = "first" if "first" in info.strategies else next(iter(info.strategies), "")
        self._disk.submit(lambda: self.drafts.of_server(client.address), self._took_up, self._fail)
        self.say(f"Connected: {info.protocol.title}; {info.completed} of {info.total} images are labelled.")
        self._tell(SERVER)
        self.refresh_worklist()
        self._follow()  # with another token, or the server back, what was refused may be answered

    def _other_protocol(self, info: ServerInfo) -> bool:
        return self.server is not None and info.protocol != self.server.protocol

    def _not_connected(self, problem: ServerError) -> None:
        self._fail(problem)
        self._tell(SERVER)

    def _took_up(self, drafts: list[Draft]) -> None:
        """What an earlier run of the program left: unsent work goes out now, the newest unfinished image is next."""
        assert self.outbox is not None
        images = self.outbox.take_up(drafts)
        if images:
            self.say(f"Sending what was left from last time: {', '.join(images[:3])}{' ...' * (len(images) > 3)}")
        unfinished = [draft.image for draft in drafts if draft.wanted != FINAL or draft.refused]
        unfinished = [image for image in unfinished if image not in self._done]
        self.unfinished = unfinished[-1] if unfinished else ""
        self._tell(SERVER)

    @property
    def protocol(self) -> Protocol:
        assert self.server is not None
        return self.server.protocol

    @property
    def labels(self) -> tuple[str, ...]:
        return self.protocol.labels

    def refresh_worklist(self) -> None:
        """Ask for the worklist again."""
        if self.client is not None:
            client, reader = self.client, self.reader
            self._back.submit(
                lambda: with_leases(client.worklist(), client.leases(), reader),
                self._worklist_came, self._fail, "worklist",
            )  # fmt: skip

    def _worklist_came(self, items: list[WorklistItem]) -> None:
        self.worklist = items
        self._tell(WORKLIST)

    def item(self, image: str) -> WorklistItem | None:
        """What the worklist says of an image."""
        return next((item for item in self.worklist if item.image == image), None)

    # Opening --------------------------------------------------------------------------------------------------

    def open(self, image: str) -> None:
        """Show this image, with what there is of its landmarks."""
        if self.client is None:
            self.say("Connect to a server first.", True)
            return
        self._wanted = image
        if self._ahead is not None and self._ahead.image == image:
            self._show(self._ahead)
        elif self._ahead_is_coming == image:
            self.say(f"Loading {image} ...")
        else:
            self.say(f"Loading {image} ...")
            fetch = self._fetching(image)
            self._front.submit(fetch, self._opened, self._not_opened, "open")

    def open_next(self) -> None:
        """Show what comes next: what was left unfinished, else what the server wants labelled next."""
        if self.client is None:
            self.say("Connect to a server first.", True)
            return
        if self.open_image is None and self.unfinished:
            self.open(self.unfinished)
            return
        ahead = self._ahead.image if self._ahead is not None else self._ahead_is_coming
        if ahead and ahead not in self._done:
            self.open(ahead)
            return
        self.say("Asking for the next image ...")
        choose = self._choosing()
        self._front.submit(choose, self._chosen, self._not_opened, "open")

    def _choosing(self) -> Callable[[], str | None]:
        """A job that finds the next image, by the server's strategy, and not one that is open or just done."""
        client, strategy, reader = self.client, self.strategy, self.reader
        assert client is not None
        current = self.open_image.image if self.open_image else ""
        leave_out = [image for image in (current, *sorted(self._done)) if image]

        def choose() -> str | None:
            image = client.next_image(strategy, leave_out, reader) if strategy else None
            if image is not None and image not in leave_out:
                return image
            return _first_left(client.worklist(), leave_out)

        return choose

    def _chosen(self, image: str | None) -> None:
        if image is None:
            if self.open_image is not None and self.open_image.image in self._done:
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
        self._fail(problem)

    def _show(self, opened: OpenImage) -> None:
        if self._ahead is not None and self._ahead.image == opened.image:
            self._ahead = None
        if self._ahead_is_coming == opened.image:
            self._ahead_is_coming = ""
        self._throw_away(self.open_image)
        self.unfinished = ""
        self.open_image, self.segmentation, self._follow_at = opened, None, None
        opened.started = time.monotonic()
        self._front.cancel("refine")
        self._front.cancel("segmentation")
        self.say(opened.note or f"{opened.image}: {len(self.labels)} landmarks.", bool(opened.disagreement))
        self._tell(IMAGE)
        if opened.detected:
            self._follow()
            self._look_ahead()
        else:
            self.detect()

    def _throw_away(self, opened: OpenImage | None) -> None:
        """The files of an image that is no longer shown; its pixels are in memory."""
        if opened is not None and opened is not self._ahead:
            folder = opened.file.parent.parent
            self._disk.submit(lambda: shutil.rmtree(folder, ignore_errors=True))

    def skip(self) -> None:
        """Leave this image for later, and go on to the next; what has been done to it stays a draft."""
        opened, client, reader = self._require_open(), self.client, self.reader
        assert client is not None
        self._back.submit(lambda: client.skip(opened.image, reader), None, self._not_skipped)
        self._done.add(opened.image)
        self.open_next()

    def _not_skipped(self, problem: ServerError) -> None:
        if problem.status not in (404, 405):  # an older server: the image is left out here alone
            self._fail(problem)

    def set_strategy(self, strategy: str) -> None:
        """Another way to choose the next image."""
        if strategy != self.strategy:
            self._give_back_ahead()
            self.strategy, self._ahead, self._ahead_is_coming = strategy, None, ""
            if self.open_image is not None:
                self._look_ahead()

    def close_image(self) -> None:
        """Show none, and have none ready."""
        self._ahead, self._ahead_is_coming = None, ""
        self._put_away()

    def _put_away(self) -> None:
        self._front.cancel("refine")
        self._throw_away(self.open_image)
        self.open_image, self.segmentation, self._follow_at = None, None, None
        self._tell(IMAGE)

    def upload(self, path: Path) -> None:
        """Put an image of this machine on the server and open it."""
        client = self.client
        if client is None:
            self.say("Connect to a server first.", True)
            return
        self.say(f"Sending {Path(path).name} ...")
        self._front.submit(lambda: client.upload(Path(path)), self._uploaded, self._fail)

    def _uploaded(self, image: str) -> None:
        self.refresh_worklist()
        self.open(image)

    # Looking ahead --------------------------------------------------------------------------------------------

    def _look_ahead(self) -> None:
        """Get the next image with its prediction while this one is being read."""
        if self.client is None or self._ahead is not None or self._ahead_is_coming:
            return
        self._back.submit(self._choosing(), self._fetch_ahead, None, "ahead")

    def _fetch_ahead(self, image: str | None) -> None:
        if image is None or (self.open_image and image == self.open_image.image):
            return
        self._ahead_is_coming = image
        fetch, client, labels = self._fetching(image), self.client, self.labels
        assert client is not None

        def fetch_and_detect() -> OpenImage:
            opened = fetch()
            return opened if opened.detected else detected(opened, client, labels)

        self._back.submit(fetch_and_detect, self._ahead_came, self._ahead_failed, "ahead")

    def _ahead_came(self, opened: OpenImage) -> None:
        if self._ahead_is_coming != opened.image:
            return
        self._ahead, self._ahead_is_coming = opened, ""
        if self._wanted == opened.image and (self.open_image is None or self.open_image.image != opened.image):
            self._show(opened)

    def _ahead_failed(self, problem: ServerError) -> None:
        wanted, self._ahead_is_coming = self._ahead_is_coming, ""
        if self._wanted == wanted and wanted:
            self._not_opened(problem)

    @property
    def next_is_ready(self) -> bool:
        return self._ahead is not None

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
        self._front.submit(
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
        self._tell(POINTS)
        if again:
            self._changed()
        else:
            self._follow()
            self._look_ahead()

    def _detection_failed(self, opened: OpenImage, problem: ServerError) -> None:
        if opened is self.open_image:
            opened.detected = not problem.away
            self._fail(problem)
            self._look_ahead()

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
        reading, beside = self._require_open().reading, self._beside(labels)
        wanted = reading.labels if labels is None else labels
        done = reading.confirm_all([label for label in wanted if label not in beside])
        if done:
            self._keep()
        if beside:
            self.say(_BESIDE.format(_some(beside)), True)
        return done

    def _beside(self, labels: Iterable[str] | None = None) -> list[str]:
        """Which of these predictions, or all, lie beside the image: the server takes no such point from a person."""
        opened = self._require_open()
        wanted = set(opened.reading.labels if labels is None else labels)
        return [
            point.label
            for point in opened.reading.points
            if point.label in wanted and point.position is not None and opened.picture.on_image(point.position)[1]
        ]

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

    def _require_open(self) -> OpenImage:
        if self.open_image is None:
            raise ValueError("no image is open")
        return self.open_image

    def _changed(self) -> None:
        """After a step of the reader: let the others follow, show it, keep it.

        In this order: the server works while the step is drawn. Of Python's threads one works at a time, so that the
        question is given a moment to go out.
        """
        self._front.cancel("refine")
        self._follow()
        if self._front.waits_for("refine"):
            time.sleep(_HEAD_START_S)
        self._keep()

    def _keep(self) -> None:
        opened = self._require_open()
        self._tell(POINTS)
        if self.outbox is not None:
            self.outbox.put(opened.reading, self._info(opened), final=False)

    def _follow(self) -> None:
        """Ask where the others go now, if they are not there."""
        opened, client, labels = self.open_image, self.client, self.labels
        request = opened.reading.request() if opened else None
        self._follow_at = None
        if request is None or opened is None or client is None:
            return
        image, session = opened.image, opened.reading.session
        self._front.submit(
            lambda: client.refine(image, labels, request.corrections, request.missing, request.previous, session),
            lambda answer: self._followed(opened, answer, request.number),
            self._not_followed,
            "refine",
        )

    def _followed(self, opened: OpenImage, answer: Answer, number: int) -> None:
        if opened is not self.open_image or not opened.reading.follow(answer, number):
            return
        self.say(found(opened.reading))
        self._tell(POINTS)
        if self.outbox is not None and opened.reading.touched:
            self.outbox.put(opened.reading, self._info(opened), final=False)

    def _not_followed(self, problem: ServerError) -> None:
        if problem.away:
            self._follow_at = time.monotonic() + _RETRY_S
            self.say(f"{problem.sentence} What you placed stays; the others follow when the server is back.", True)
        else:
            self.say(f"The others do not follow: {problem.sentence}", True)

    # Saving ---------------------------------------------------------------------------------------------------

    def save_draft(self) -> None:
        """Send the draft now."""
        opened = self._require_open()
        if self.outbox is not None:
            self.outbox.put(opened.reading, self._info(opened), final=False)
            self.outbox.hurry()

    def submit(self) -> bool:
        """Send the image as final and go on to the next; False where landmarks are still to be placed."""
        opened = self._require_open()
        left = [point.label for point in opened.reading.points if point.status == "undefined"]
        if left:
            self.say(
                f"{len(left)} landmarks are not placed yet ({_some(left)}): place them, or mark them as missing.", True
            )
            return False
        beside = self._beside()
        if beside:
            self.say(_BESIDE.format(_some(beside)), True)
            return False
        assert self.outbox is not None
        self._front.cancel("refine")
        self.outbox.put(opened.reading, self._info(opened), final=True)
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
        self.worklist = [_now_labelled(item, tag) if item.image == image else item for item in self.worklist]
        self._tell(WORKLIST)
        self._tell(MESSAGE)

    def _info(self, opened: OpenImage) -> dict[str, Any]:
        """What is noted with a label: by whom, when, how, and what was noted before."""
        statuses = [point.status for point in opened.reading.points]
        entry = {
            "reader": self.reader,
            "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "seconds": round(time.monotonic() - opened.started, 1),
            "model": opened.reading.model.get("version", ""),
            **{status: statuses.count(status) for status in (CORRECTED, CONFIRMED, MISSING)},
        }
        return {"client": f"SlicerLandmarkLabel {VERSION}", "history": [*opened.history, entry]}

    # Structures, training -------------------------------------------------------------------------------------

    def segment(self) -> None:
        """Ask for the structures of the open image."""
        opened, client = self.open_image, self.client
        if opened is None or client is None:
            return
        folder = opened.file.parent.parent

        def came(path: Path) -> None:
            if opened is self.open_image:
                self.segmentation = path
                self._tell(SEGMENTATION)

        self._front.submit(lambda: client.segmentation(opened.image, folder), came, self._fail, "segmentation")

    def train(self, task: str) -> None:
        """Start a training."""
        client = self.client
        if client is not None:
            self._back.submit(lambda: client.train(task), lambda _: self.watch_training(), self._fail)
            self.say(f"Starting the training of {task} ...")

    def stop_training(self) -> None:
        """Stop what trains."""
        client = self.client
        if client is not None:
            self._back.submit(client.stop_training, lambda _: self.watch_training(), self._fail)

    def watch_training(self) -> None:
        """Ask how the training is getting on."""
        client = self.client
        if client is not None:
            self._back.submit(lambda: (client.info(), client.runs()), self._training_came, self._fail, "training")

    def _training_came(self, answer: tuple[ServerInfo, list[dict[str, Any]]]) -> None:
        self.server, self.runs = answer
        self._tell(TRAINING)

    def publish_run(self, run: str) -> None:
        """Let the model of an earlier run answer."""
        client = self.client
        if client is not None:
            self.say(f"The model of {run} is put into use ...")
            self._back.submit(lambda: client.publish_run(run), lambda _: self._run_published(run), self._fail)

    def _run_published(self, run: str) -> None:
        self.say(f"The model of {run} answers now.")
        self.watch_training()

    # Polling --------------------------------------------------------------------------------------------------

    def poll(self) -> bool:
        """Hand over what has come, and do what is due; whether more is to come. Called by a timer, never waits."""
        for worker in (self._front, self._disk, self._back):
            worker.poll()
        if self.outbox is not None:
            self.outbox.poll()
        if self._follow_at is not None and time.monotonic() >= self._follow_at:
            self._follow()
        return self._front.busy or self._back.busy or self._disk.busy

    @property
    def waiting(self) -> bool:
        """Whether the reader is waiting for something."""
        return self._front.busy

    def stop(self, wait_s: float = 3.0) -> None:
        """End: what is still to be written is written; what is under way with the server is waited for so long."""
        if self.outbox is not None:
            self.outbox.hurry()
        self._front.stop()
        self._back.cancel("ahead")
        self._give_back_ahead()
        self._back.finish(wait_s)
        self.poll()  # what the server has by now is noted on the disk
        self._disk.finish(wait_s)

    def _give_back_ahead(self) -> None:
        """The image that would have been next is somebody else's to read."""
        client, reader = self.client, self.reader
        image = self._ahead.image if self._ahead is not None else self._ahead_is_coming
        if client is not None and image:
            self._back.submit(lambda: client.give_back(image, reader))

    def say(self, sentence: str, is_problem: bool = False) -> None:
        """Tell the reader."""
        self.message, self.is_problem = sentence, is_problem
        self._tell(MESSAGE)

    def _fail(self, problem: ServerError) -> None:
        self.say(problem.sentence, True)

    def _tell(self, what: str) -> None:
        self._listener(what)


def _first_left(items: Sequence[WorklistItem], leave_out: Sequence[str]) -> str | None:
    """The first image that is not final, not with another reader and not left out; drafts first."""
    open_to_all = [item for item in items if item.status in (UNLABELLED, DRAFT) and item.image not in leave_out]
    drafts = [item.image for item in open_to_all if item.status == DRAFT]
    return next(iter([*drafts, *(item.image for item in open_to_all)]), None)


def with_leases(items: Sequence[WorklistItem], leases: dict[str, str], reader: str) -> list[WorklistItem]:
    """The worklist with who else has which image; what this reader has is nobody else's."""
    others = {image: who for image, who in leases.items() if not _own(who, reader)}
    return [
        replace(item, status=LEASED, reader=others[item.image])
        if item.image in others and item.status == UNLABELLED
        else item
        for item in items
    ]


def _some(labels: Sequence[str]) -> str:
    """Up to five of them, and how many more."""
    return ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")


def _now_labelled(item: WorklistItem, tag: str) -> WorklistItem:
    labels = {**item.labels, tag: {**item.labels.get(tag, {}), "ts": time.time()}}
    return replace(item, status=tag, labels=labels)


def _own(who: str, reader: str) -> bool:
    """Whether a lease may be one's own: who gives no name is somebody, at an address that only the server knows."""
    return who.split(" / ")[-1] == reader if reader else who.startswith("somebody at ")
