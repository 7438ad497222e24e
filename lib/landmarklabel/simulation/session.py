"""A simulated reader at a real server, from the first image to the last."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RemoteError
from ..io.cases import Case
from ..protocol import Protocol
from .client import Client
from .desk import ServerDesk, points_to_save
from .journal import Event, Journal
from .pace import Pace
from .reader import Reader, Reading, Screen, errors_of
from .replay import Replay
from .settings import Settings
from .studies import Image, open_image
from .training import Training, trains_by


class Session:
    """Labels every image of the studies, one after the other, and logs what it takes.

    Args:
        client: of the server.
        cases: with the truth, by id.
        studies: their folder.
        journal: to be continued; images in it are labelled already.
        replay: says which image is next, in place of the server.
        progress: called after each image.
    """

    def __init__(
        self,
        client: Client,
        protocol: Protocol,
        settings: Settings,
        cases: Mapping[str, Case],
        studies: Path,
        journal: Journal,
        replay: Replay | None = None,
        progress: Callable[[], object] = lambda: None,
    ) -> None:
        self._client, self._protocol, self._settings = client, protocol, settings
        self._cases, self._studies, self._journal, self._progress = cases, studies, journal, progress
        trained = max((event["labels"] for event in journal.of("trained")), default=0)
        self._training = Training.of(settings, client, trained)
        self._pace = Pace(self._busy)
        self._replay, self._training_now, self._asking = replay, False, 0.0
        self._since = time.monotonic()

    def run(self) -> None:
        """Read on until every image has a final label.

        Raises:
            RemoteError: the server fails; the simulation can be continued.
        """
        done = self._journal.of("done")
        self._journal.append([{"event": "session", "labels": len(done)}])
        begun = [name for name in self._client.begun() if name in self._cases]
        if done:  # what was logged last may not have been saved
            last = done[-1]
            self._save(last, open_image(self._cases[last["image"]], self._studies))
            begun = [name for name in begun if name not in {event["image"] for event in done}]
        saving = 0.0
        for _ in range(len(self._cases) - len(done)):
            self._let_train()
            saving = self._label(self._next(begun), saving)
            self._progress()
        self._journal.append([self._ended()])

    def _next(self, begun: list[str]) -> str:
        """The image that was begun and not labelled, or that the server offers; how long it took to say so."""
        number, self._asking = len(self._journal.of("done")), 0.0
        if self._replay is not None:
            return self._replay.image(number)
        if begun:
            return begun.pop()
        start = time.perf_counter()
        name = self._client.next_image(self._settings.strategy, self._settings.seed + number)
        self._asking = time.perf_counter() - start
        if name not in self._cases:
            raise RemoteError(f"the server offers {name}, which is not an image of this simulation")
        return name

    def _label(self, name: str, saving: float) -> float:
        """Read an image and save its label.

        Args:
            saving: seconds that saving the label before took; they are part of the wait for this image.

        Returns:
            the same of this image.
        """
        desk = ServerDesk(self._client, self._protocol, self._settings, name)
        start = time.perf_counter()
        self._client.image(name)
        answer = desk.first()
        screen = None if answer is None else desk.show(answer)
        wait = saving + self._asking + time.perf_counter() - start
        self._training_now = trains_by(self._client.info())  # asked before, it would do what the reader waits for
        image = open_image(self._cases[name], self._studies)
        desk.look_at(image)
        reading = self._read(name, image, screen, desk)
        done = self._done(name, image, reading, desk, wait)
        self._journal.append([*self._acts(name, reading), done])
        return self._save(done, image)

    def _read(self, name: str, image: Image, screen: Screen | None, desk: ServerDesk) -> Reading:
        rng = np.random.default_rng([self._settings.seed, zlib.crc32(name.encode())])
        size, habits = image.geometry.size, self._settings.habits
        return Reader(habits, image.truth, image.spacing, size, rng, self._pace.spend).read(screen, desk)

    def _save(self, done: Event, image: Image) -> float:
        """Store the label of an image that is read; the seconds that it took."""
        desk = ServerDesk(self._client, self._protocol, self._settings, done["image"])
        desk.look_at(image)
        points, placed = np.array(done["points"], dtype=np.float64), np.array(done["placed"], dtype=bool)
        start = time.perf_counter()
        desk.save(points, placed, done["clicks"])
        return time.perf_counter() - start

    # What is logged -----------------------------------------------------------------------------------------

    def _acts(self, name: str, reading: Reading) -> list[Event]:
        """Looks and clicks."""
        events = []
        for act in reading.acts:
            event: Event = {"event": act.kind, "image": name, "landmark": self._protocol.labels[act.index]}
            event["at_s"] = round(act.at, 3)
            if np.isfinite(act.error):
                event["error"] = round(act.error, 3)
            if act.kind != "look":
                event["wait_s"] = round(act.wait, 5)
            events.append(event)
        return events

    def _done(self, name: str, image: Image, reading: Reading, desk: ServerDesk, wait: float) -> Event:
        points = points_to_save(reading, image.geometry.size)
        errors = errors_of(points, image.truth, image.spacing)
        beyond, right = errors > self._settings.habits.tolerance, errors[np.isfinite(errors)]
        return {
            "event": "done",
            "image": name,
            "unit": image.unit,
            "source": desk.source,
            "version": desk.version,
            "training": self._training_now,
            "landmarks": int(np.isfinite(image.truth).all(axis=1).sum()),
            "clicks": reading.clicks,
            "looks": reading.looks,
            "wait_s": round(wait, 5),
            "seconds": self._passed(),
            "beyond_by_hand": int((beyond & reading.placed).sum()),
            "beyond_unseen": int((beyond & ~reading.placed).sum()),
            "mean_error": round(float(right.mean()), 4) if right.size else None,
            "points": [[float(value) if np.isfinite(value) else None for value in point] for point in points],
            "placed": reading.placed.tolist(),
        }

    def _passed(self) -> float:
        """Seconds since the image before was done; of the first one, since the session began."""
        before, self._since = self._since, time.monotonic()
        return round(self._since - before, 2)

    def _ended(self) -> Event:
        kept = ("id", "state", "published", "started", "ended", "metrics", "data", "reason")
        runs = [{key: run.get(key) for key in kept} for run in reversed(self._client.runs())]
        return {"event": "ended", "runs": runs}

    # What goes on beside ------------------------------------------------------------------------------------

    def _let_train(self) -> None:
        labels = len(self._journal.of("done"))
        if self._training.step(labels):
            self._journal.append([{"event": "trained", "labels": self._training.trained}])
        if self._settings.wait_for_training:
            self._training.wait()

    def _busy(self) -> bool:
        """Whether the server has something to do that the reader's time is good for."""
        info = self._client.info()
        scoring: Mapping[str, Any] = info.get("active_learning", {})
        return trains_by(info) or scoring.get("state", "done") != "done"
