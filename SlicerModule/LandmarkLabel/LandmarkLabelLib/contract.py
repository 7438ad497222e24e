"""What the server says, read into types of our own: an answer that is not right is refused here, in one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Position = tuple[float, float, float]

PREDICTED, CORRECTED, CONFIRMED = "predicted", "corrected", "confirmed"
MISSING, UNDEFINED = "missing", "undefined"
STATUSES = (PREDICTED, CORRECTED, CONFIRMED, MISSING, UNDEFINED)

NOT_MONAI_LABEL = "There is a web server at this address, but it is not a MONAI Label server."

UNLABELLED, DRAFT, FINAL, LEASED = "unlabelled", "draft", "final", "leased"


class ServerError(Exception):
    """A request that failed.

    Attributes:
        kind: what went wrong, in a word or two; see client.py.
        sentence: the same for the person who reads.
        status: of HTTP, if there was an answer.
    """

    def __init__(self, kind: str, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.kind, self.sentence, self.status = kind, sentence, status

    @property
    def away(self) -> bool:
        """Whether the same request may succeed once the server is back."""
        return self.kind in ("refused", "unreachable", "time-out", "broken off", "unavailable", "nonsense")


@dataclass(frozen=True)
class Definition:
    """A landmark as the protocol has it."""

    label: str
    name: str
    description: str


@dataclass(frozen=True)
class Structure:
    """A line or contour through landmarks."""

    name: str
    title: str
    labels: tuple[str, ...]
    closed: bool


@dataclass(frozen=True)
class Protocol:
    """An anatomy: which landmarks, in which order, and what they outline."""

    name: str
    title: str
    landmarks: tuple[Definition, ...]
    structures: tuple[Structure, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(each.label for each in self.landmarks)


@dataclass(frozen=True)
class ServerInfo:
    """What a server offers.

    Attributes:
        missing: task to why it can't answer yet.
        trainers: name to description.
        training: name to the statistics of its newest run.
    """

    protocol: Protocol
    version: str
    missing: dict[str, str]
    strategies: tuple[str, ...]
    trainers: dict[str, str]
    training: dict[str, dict[str, Any]]
    total: int
    completed: int


@dataclass(frozen=True)
class WorklistItem:
    """An image of the server.

    Attributes:
        status: unlabelled, draft, final or leased.
        labels: tag to what is known of the label.
        file: name of the image's file.
        reader: who has it on lease, if anybody.
    """

    image: str
    status: str
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    file: str = ""
    reader: str = ""

    @property
    def newest(self) -> str | None:
        """The tag to go on from: the newer of draft and final, final where they are of one second."""
        tags = [tag for tag in (DRAFT, FINAL) if tag in self.labels]
        return max(tags, key=lambda tag: (_time(self.labels[tag]), tag == FINAL)) if tags else None


@dataclass(frozen=True)
class Landmark:
    """A landmark of an answer: position in LPS mm, pixel (x, y), confidence in [0, 1]; None where there is none.

    ``trusted``: the server is as sure of it as it was told to be; a server that does not say is not.
    """

    label: str
    position: Position | None
    confidence: float | None
    status: str
    pixel: tuple[float, float] | None = None
    trusted: bool = False


@dataclass(frozen=True)
class Measurement:
    """A clinical measure. ``value`` is None where a landmark that it needs is not there."""

    name: str
    value: float | None
    unit: str
    labels: tuple[str, ...]
    reliable: bool


@dataclass(frozen=True)
class Answer:
    """The JSON of an infer task.

    Attributes:
        landmarks: by label, those of the protocol only.
        review_order: labels, the one to look at first first.
        model: name, version and so on, as the server has them.
        seconds: that the server itself needed.
    """

    landmarks: dict[str, Landmark]
    review_order: tuple[str, ...]
    measurements: tuple[Measurement, ...]
    model: dict[str, Any]
    seconds: float


def nonsense(what: str) -> ServerError:
    """The error of an answer that can't be understood."""
    return ServerError("nonsense", f"The server's answer can't be used: {what}. Nothing was changed.")


def read_info(content: Any) -> ServerInfo:
    """Of ``GET /info/``.

    Raises:
        ServerError: this is no MONAI Label server, or one of another app.
    """
    if not isinstance(content, dict) or "models" not in content or "datastore" not in content:
        raise ServerError("not MONAI Label", NOT_MONAI_LABEL)
    if not isinstance(content.get("protocol"), dict):
        name = str(content.get("name", "without a name"))[:60]
        raise ServerError(
            "another app", f"This MONAI Label server runs the app '{name}'; this module needs landmarklabel's."
        )
    store = _dict(content["datastore"], "the datastore")
    return ServerInfo(
        protocol=read_protocol(content["protocol"]),
        version=str(content.get("version", "")),
        missing={str(task): str(why) for task, why in _dict(content.get("missing"), "missing").items()},
        strategies=tuple(map(str, _dict(content.get("strategies"), "the strategies"))),
        trainers={
            str(name): str(_dict(each, "a trainer").get("description", name))
            for name, each in _dict(content.get("trainers"), "the trainers").items()
        },
        training={
            str(name): _dict(each, "statistics of training")
            for name, each in _dict(content.get("train_stats"), "statistics of training").items()
        },
        total=_count(store.get("total")),
        completed=_count(store.get("completed")),
    )


def read_protocol(content: Mapping[str, Any]) -> Protocol:
    """The protocol of ``GET /info/``.

    Raises:
        ServerError: it has no landmarks, or one twice.
    """
    landmarks = []
    for each in _list(content.get("landmarks"), "the protocol's landmarks"):
        entry = _dict(each, "a landmark of the protocol")
        label = _label(entry.get("label"), "a landmark of the protocol")
        landmarks.append(Definition(label, str(entry.get("name") or label), str(entry.get("description") or "")))
    labels = [each.label for each in landmarks]
    if not labels or len(set(labels)) != len(labels):
        raise nonsense("its protocol has no landmarks, or one of them twice")
    structures = [_structure(each, labels) for each in _list(content.get("structures") or [], "structures")]
    name = str(content.get("name", ""))
    return Protocol(name, str(content.get("title") or name), tuple(landmarks), tuple(structures))


def _structure(content: Any, labels: Sequence[str]) -> Structure:
    entry = _dict(content, "a structure of the protocol")
    members = tuple(str(label) for label in _list(entry.get("landmarks"), "a structure's landmarks"))
    if not set(members) <= set(labels):
        raise nonsense("a structure of its protocol is made of landmarks that the protocol has not")
    name = str(entry.get("name", ""))
    return Structure(name, str(entry.get("title") or name), members, entry.get("closed") is True)


def read_worklist(content: Any) -> list[WorklistItem]:
    """Of ``GET /datastore/?output=all``, by image.

    Raises:
        ServerError: it is not that.
    """
    objects = _dict(_dict(content, "the worklist").get("objects"), "the worklist")
    return [_worklist_item(str(image), _dict(objects[image], "an image of the worklist")) for image in sorted(objects)]


def _worklist_item(image: str, content: Mapping[str, Any]) -> WorklistItem:
    info = _dict(_dict(content.get("image"), "an image").get("info"), "what is known of an image")
    labels = {
        str(tag): _dict(_dict(label, "a label").get("info"), "what is known of a label")
        for tag, label in _dict(content.get("labels"), "labels").items()
    }
    item = WorklistItem(image, UNLABELLED, labels, str(info.get("name", "")))
    return replace(item, status=item.newest or UNLABELLED)


def _time(info: Mapping[str, Any]) -> float:
    value = info.get("ts")
    return float(value) if isinstance(value, (int, float)) else 0.0


def read_answer(content: Any, labels: Sequence[str]) -> Answer:
    """The JSON of an infer task.

    Args:
        content: as parsed.
        labels: of the protocol; landmarks beside it are left out.

    Raises:
        ServerError: it is not that, or lacks a landmark of the protocol.
    """
    entry = _dict(content, "no JSON object")
    landmarks: dict[str, Landmark] = {}
    for each in _list(entry.get("landmarks"), "no landmarks"):
        landmark = read_landmark(_dict(each, "a landmark"))
        if landmark.label in labels:
            landmarks[landmark.label] = landmark
    absent = [label for label in labels if label not in landmarks]
    if absent:
        raise nonsense(f"it lacks {len(absent)} of {len(labels)} landmarks, {absent[0]} first")
    order = [label for label in _optional_list(entry.get("review_order")) if label in labels]
    timings = entry.get("timings")
    seconds = [_number(each) for each in timings.values()] if isinstance(timings, dict) else []
    return Answer(
        landmarks,
        tuple(dict.fromkeys(order)),
        tuple(_measurement(each) for each in _optional_list(entry.get("measurements")) if isinstance(each, dict)),
        _dict(entry.get("model"), "its model"),
        sum(each for each in seconds if each is not None),
    )


def read_landmark(entry: Mapping[str, Any]) -> Landmark:
    """One landmark of an answer.

    Raises:
        ServerError: no label, or a position that is not three finite numbers.
    """
    label = _label(entry.get("label"), "a landmark")
    position = entry.get("position")
    confidence = entry.get("confidence")
    status = entry.get("status")
    if status not in STATUSES:
        raise nonsense(f"{label} has the status {str(status)[:40]!r}")
    return Landmark(
        label,
        None if position is None or status in (MISSING, UNDEFINED) else read_position(position, label),
        _number(confidence),
        status,
        tuple(entry["pixel"]) if _are_numbers(entry.get("pixel"), 2) else None,
        entry.get("trusted") is True,
    )


def read_position(values: Any, label: str) -> Position:
    """Three finite numbers.

    Raises:
        ServerError: it is not that.
    """
    if not _are_numbers(values, 3):
        raise nonsense(f"{label} has the position {str(values)[:60]!r}")
    return float(values[0]), float(values[1]), float(values[2])


def _measurement(entry: Mapping[str, Any]) -> Measurement:
    value, labels = entry.get("value"), entry.get("landmarks")
    return Measurement(
        str(entry.get("title") or entry.get("name", "")),
        _number(value),
        str(entry.get("unit") or ""),
        tuple(map(str, labels)) if isinstance(labels, list) else (),
        entry.get("reliable") is not False,
    )


def _dict(value: Any, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise nonsense(f"{what} is not as expected")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise nonsense(f"{what} is not as expected")
    return value


def _label(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise nonsense(f"{what} has no label")
    return value


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _number(value: Any) -> float | None:
    """A finite number; None for anything else."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)


def _are_numbers(values: Any, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(_number(value) is not None for value in values)


def _optional_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
