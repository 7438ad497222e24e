"""An image being opened: its file, its landmarks from a draft, a label or a model. Runs off the main thread."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .client import Client
from .contract import Answer, ServerError, WorklistItem
from .drafts import Draft, DraftStore
from .markups import from_markups
from .picture import Picture, read_picture
from .state import Reading


@dataclass
class OpenImage:
    """An image that is open, or ready to be.

    Attributes:
        history: what earlier readers noted with the label, the oldest first.
        detected: the model has answered, or will not.
        note: a sentence on where the landmarks come from.
    """

    image: str
    file: Path
    picture: Picture
    reading: Reading
    history: list[dict[str, Any]] = field(default_factory=list)
    detected: bool = False
    note: str = ""
    started: float = field(default_factory=time.monotonic)
    disagreement: str = ""

    def beside(self, labels: Iterable[str] | None = None) -> list[str]:
        """Which of these landmarks, or all, lie beside the image: the server takes no such point from a person."""
        wanted = set(self.reading.labels if labels is None else labels)
        return [
            point.label
            for point in self.reading.points
            if point.label in wanted and point.position is not None and self.picture.on_image(point.position)[1]
        ]


def fetch_image(image: str, client: Client, drafts: DraftStore, folder: Path, labels: Sequence[str]) -> OpenImage:
    """An image with the newest landmarks that somebody left, if anybody did; no prediction.

    Args:
        image: id.
        client: of the server.
        drafts: of this machine.
        folder: where the image is put, in a folder of its own.
        labels: of the protocol.

    Raises:
        ServerError: it can't be had, or can't be read.
    """
    file = client.download(image, folder / uuid.uuid4().hex)
    opened = OpenImage(image, file, read_picture(file), Reading(image, tuple(labels)))
    return with_label(opened, WorklistItem(image, "", client.labels(image)), client, drafts)


def with_label(opened: OpenImage, item: WorklistItem, client: Client, drafts: DraftStore) -> OpenImage:
    """With the newest there is: a draft of this machine that the server lacks, else the server's label."""
    labels, tag = opened.reading.labels, item.newest
    draft = drafts.load(client.address, opened.image)
    if draft is not None and (draft.wanted or tag is None):
        resumed = _resumed(draft, labels)
        if resumed is not None:
            history = list(draft.info.get("history", []))[:-1]
            when = time.strftime("%H:%M on %Y-%m-%d", time.localtime(draft.saved))
            refused = f" The server had refused it: {draft.refused}" if draft.refused else ""
            return replace(
                opened, reading=resumed, detected=True, history=history,
                note=f"{opened.image}: goes on from {when}.{refused}",
            )  # fmt: skip
    opened.reading.session = uuid.uuid4().hex
    if tag is None:
        return opened
    opened.reading.start_from(from_markups(client.label(opened.image, tag), labels))
    noted, model = item.labels[tag].get("history"), item.labels[tag].get("model")
    history = [entry for entry in noted if isinstance(entry, dict)] if isinstance(noted, list) else []
    opened.reading.model = dict(model) if isinstance(model, dict) else {}
    return replace(opened, detected=True, history=history, note=f"{opened.image}: {_told(tag, history)}")


def _resumed(draft: Draft, labels: Sequence[str]) -> Reading | None:
    try:
        return Reading.from_dict(draft.reading, labels)
    except ValueError:
        return None


def _told(tag: str, history: list[dict[str, Any]]) -> str:
    """A sentence on a label that is opened again."""
    last = history[-1] if history else {}
    by = f" by {last['reader']}" if last.get("reader") else ""
    when = f", {last['time'].replace('T', ' ')}" if isinstance(last.get("time"), str) else ""
    return f"{tag} label{by}{when}."


def detected(opened: OpenImage, client: Client, labels: Sequence[str]) -> OpenImage:
    """With its prediction; without one if the server has no model, which is said when it is opened."""
    try:
        take_detection(opened, client.detect(opened.image, labels))
        opened.note = opened.disagreement or f"{opened.image}: {found(opened.reading)}"
    except ServerError as problem:
        if problem.away:
            raise
        opened.detected, opened.note = True, problem.sentence
    return opened


def take_detection(opened: OpenImage, answer: Answer) -> None:
    """The first answer of ``landmarks``."""
    opened.reading.detected(answer)
    opened.detected = True
    opened.disagreement = _disagreement(opened.picture, answer)


def _disagreement(picture: Picture, answer: Answer) -> str:
    """A sentence if the server and this program do not agree on where the image lies; empty if they do.

    The server stands pictures upright that were stored on their side, in the same place of the world.
    """
    lies = [
        (landmark, picture.pixel(landmark.position))
        for landmark in answer.landmarks.values()
        if landmark.position is not None and landmark.pixel is not None
    ]
    fits = [[_is_at(way, k, landmark.pixel) for way in _ways(i, j, picture.size)] for landmark, (i, j, k) in lies]
    if not fits or any(map(all, zip(*fits))):
        return ""
    landmark, (i, j, _) = next(each for each, fit in zip(lies, fits) if not fit[0])
    return (
        f"Do not go on: the server and this program do not agree on where this image lies ({landmark.label} would be "
        f"at pixel ({i:.1f}, {j:.1f}), not at ({landmark.pixel[0]:.1f}, {landmark.pixel[1]:.1f}))."
    )


def _ways(i: float, j: float, size: tuple[int, int]) -> list[tuple[float, float]]:
    """A pixel as it is, and in the seven other ways in which EXIF lets a picture be stored."""
    width, height = size
    return [way for x in (i, width - 1 - i) for y in (j, height - 1 - j) for way in ((x, y), (y, x))]


def _is_at(place: tuple[float, float], k: float, pixel: Any) -> bool:
    return max(abs(place[0] - pixel[0]), abs(place[1] - pixel[1]), abs(k)) <= 0.01


def found(reading: Reading) -> str:
    """A sentence on what is left to do."""
    return f"{reading.left} of {len(reading.points)} landmarks are left to look at."
