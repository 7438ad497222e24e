"""A server in this process, for the loop alone: no network, no scene; it may be away, or hold an answer back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from waiting import wait_until

from LandmarkLabelLib.contract import (
    DRAFT,
    FINAL,
    UNLABELLED,
    Answer,
    Definition,
    Landmark,
    Protocol,
    ServerError,
    ServerInfo,
    WorklistItem,
)
from LandmarkLabelLib.drafts import DraftStore
from LandmarkLabelLib.loop import ReadingLoop

LABELS = ("a", "b")


class PretendServer:
    """Images in a fixed order; which are asked for next.

    Attributes:
        x: where the landmarks are, LPS mm; tells servers apart.
        away: whether it refuses everything.
    """

    def __init__(self, *images: str, protocol: str = "p", x: float = 10.0) -> None:
        self.images, self.x, self.away = list(images), x, False
        self.protocol = Protocol(protocol, protocol, tuple(Definition(label, label, "") for label in LABELS))
        self.labels: dict[tuple[str, str], Any] = {}
        self.asked: list[str] = []
        self._gates: dict[str, threading.Event] = {}

    def hold(self, request: str) -> Callable[[], None]:
        """Let this request hang, until what is returned is called."""
        self._gates[request] = gate = threading.Event()
        return gate.set

    def answer(self, request: str, image: str = "") -> None:
        """Be asked: wait at the gate, and fail if that is what is due."""
        self.asked.append(request)
        if request in self._gates:
            self._gates[request].wait(10)
        if self.away:
            raise ServerError("refused", "Nothing answers.")
        if image and image not in self.images:
            raise ServerError("not found", f"There is no image {image}.", 404)

    def status(self, image: str) -> str:
        return next((tag for tag in (FINAL, DRAFT) if (image, tag) in self.labels), UNLABELLED)

    @property
    def final(self) -> set[str]:
        return {image for image, tag in self.labels if tag == FINAL}


class PretendClient:
    """As ``Client`` has it."""

    def __init__(self, address: str, server: PretendServer) -> None:
        self.address, self.server = address, server

    def info(self) -> ServerInfo:
        self.server.answer("info")
        server = self.server
        return ServerInfo(server.protocol, "1", {}, ("first",), {}, {}, len(server.images), len(server.final))

    def worklist(self) -> list[WorklistItem]:
        self.server.answer("worklist")
        return [WorklistItem(image, self.server.status(image)) for image in self.server.images]

    def leases(self) -> dict[str, str]:
        return {}

    def next_image(self, strategy: str, leave_out: Any = (), reader: str = "") -> str | None:
        self.server.answer("next")
        left = [image for image in self.server.images if image not in leave_out]
        return next((image for image in left if self.server.status(image) != FINAL), None)

    def give_back(self, image: str, reader: str) -> None:
        self.server.answer("give back")

    def skip(self, image: str, reader: str) -> None:
        self.server.answer("skip", image)

    def upload(self, path: Path) -> str:
        self.server.answer("upload")
        self.server.images.append(path.stem)
        return path.stem

    def download(self, image: str, folder: Path) -> Path:
        self.server.answer("download", image)
        path = folder / "image" / "x.nrrd"
        path.parent.mkdir(parents=True)
        sitk.WriteImage(sitk.GetImageFromArray(np.zeros((100, 80), np.uint8)), str(path))
        return path

    def labels(self, image: str) -> dict[str, dict[str, Any]]:
        self.server.answer("labels", image)
        return {tag: {"ts": 1.0} for each, tag in self.server.labels if each == image}

    def label(self, image: str, tag: str) -> Any:
        self.server.answer("label", image)
        return self.server.labels[image, tag]

    def save(self, image: str, markups: Any, info: Any, final: bool) -> None:
        self.server.answer("save", image)
        self.server.labels[image, FINAL if final else DRAFT] = markups

    def detect(self, image: str, labels: Any) -> Answer:
        self.server.answer("detect", image)
        return self._found(labels)

    def refine(self, image: str, labels: Any, *_: Any) -> Answer:
        self.server.answer("refine", image)
        return self._found(labels)

    def segmentation(self, image: str, folder: Path) -> Path:
        self.server.answer("segmentation", image)
        return folder / "structures.seg.nrrd"

    def _found(self, labels: Any) -> Answer:
        found = {label: Landmark(label, (self.server.x, 20.0, 0.0), 0.9, "predicted") for label in labels}
        return Answer(found, tuple(labels), (), {}, 0.0)


class PlainReader:
    """A reader of such servers, by address.

    Args:
        folder: for drafts and images; the same again for the program started anew.
    """

    def __init__(self, folder: Path, servers: dict[str, PretendServer]) -> None:
        self.folder, self.servers = folder, servers
        self.loop = ReadingLoop(DraftStore(folder / "drafts"), folder / "images", lambda what: None, "tester")

    def wait(self, condition: Callable[[], Any], what: str = "") -> None:
        wait_until(self.loop.poll, condition, f"{what}; {self.loop.message}", seconds=8)

    def rest(self) -> None:
        """Until nothing is under way."""
        self.wait(lambda: not self.loop.poll(), "rest")

    def connect(self, address: str) -> None:
        self.loop.connect(address)
        self.wait(lambda: self.loop.client is not None and self.loop.client.address == address, "connected")
        self.rest()

    def open(self, image: str) -> None:
        self.loop.open(image)
        self.rest()
        assert self.image == image

    def next(self) -> str:
        """Which image it is."""
        self.loop.open_next()
        self.rest()
        return self.image

    @property
    def image(self) -> str:
        return self.loop.open_image.image if self.loop.open_image else ""
