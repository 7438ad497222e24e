"""The state of reading one image: landmarks, what a person did with them, undo and redo. No viewer, no server.

Everything is in values that never change; undo gives back the very values that were there before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .contract import CONFIRMED, CORRECTED, MISSING, PREDICTED, STATUSES, UNDEFINED, Answer, Measurement, Position

# A prediction is shown as one to look at if it is less sure than this, and one of the least sure: what a confidence
# means depends on what answered, and a view in which everything calls for a look calls for none.
LOW_CONFIDENCE, _LOW_SHARE = 0.5, 0.2

LOW = "low"

_BY_A_PERSON = (CORRECTED, CONFIRMED)


@dataclass(frozen=True)
class Point:
    """One landmark.

    Attributes:
        position: LPS mm; None where it is missing or undefined.
        status: predicted, corrected, confirmed, missing or undefined.
        confidence: in [0, 1], of the newest answer.
        predicted: where the model first saw it, LPS mm.
        trusted: whether the server is as sure of it as it was told to be.
    """

    label: str
    position: Position | None = None
    status: str = UNDEFINED
    confidence: float | None = None
    predicted: Position | None = None
    trusted: bool = False

    @property
    def sure(self) -> bool:
        """Whether it can do without a look: a prediction that the server trusts."""
        return self.status == PREDICTED and self.trusted

    @property
    def settled(self) -> bool:
        """Whether a person has said what is right."""
        return self.status in (CORRECTED, CONFIRMED, MISSING)

    @property
    def moved(self) -> float | None:
        """Distance from where the model first saw it, in mm of the world."""
        if self.position is None or self.predicted is None:
            return None
        return math.dist(self.position, self.predicted)


@dataclass(frozen=True)
class Snapshot:
    """All of a reading at one moment.

    Attributes:
        order: of review, as the server last recommended it.
        followed: whether the predictions are those that go with what the person has placed.
        described: whether the server has said order and measurements: it has not of a label that is opened again.
    """

    points: tuple[Point, ...]
    order: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    followed: bool = True
    described: bool = False


@dataclass(frozen=True)
class Request:
    """What to ask of ``refine``; ``number`` tells whether an answer is of the newest state."""

    number: int
    corrections: dict[str, Position]
    missing: tuple[str, ...]
    previous: dict[str, Position]


@dataclass
class Reading:
    """One image as it is being read.

    Args:
        image: id on the server.
        labels: of the protocol, in its order.
        session: names this reading to the server.
    """

    image: str
    labels: tuple[str, ...]
    session: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    now: Snapshot = field(init=False)

    def __post_init__(self) -> None:
        self.labels = tuple(self.labels)
        self._index = {label: index for index, label in enumerate(self.labels)}
        self.now = Snapshot(tuple(Point(label) for label in self.labels))
        self._past: list[Snapshot] = []
        self._future: list[Snapshot] = []
        self._number = 0
        self.revision = 0

    # Looking --------------------------------------------------------------------------------------------------

    def __getitem__(self, label: str) -> Point:
        return self.now.points[self.index(label)]

    def index(self, label: str) -> int:
        """Of a label in the protocol.

        Raises:
            KeyError: the protocol has it not.
        """
        return self._index[label]

    @property
    def points(self) -> tuple[Point, ...]:
        return self.now.points

    @property
    def touched(self) -> bool:
        """Whether a person has said anything."""
        return any(point.settled for point in self.points)

    @property
    def left(self) -> int:
        """How many landmarks a person has not yet looked at, and should."""
        return sum(not point.settled and not point.sure for point in self.points)

    def states(self) -> tuple[str, ...]:
        """The status of each landmark, with ``low`` for the predictions that most need a look."""
        doubtful = [
            point for point in self.points
            if point.status == PREDICTED and not point.trusted
            and point.confidence is not None and point.confidence < LOW_CONFIDENCE
        ]  # fmt: skip
        doubtful.sort(key=lambda point: point.confidence or 0.0)
        low = {point.label for point in doubtful[: math.ceil(_LOW_SHARE * len(self.points))]}
        return tuple(LOW if point.label in low else point.status for point in self.points)

    def review_order(self) -> list[str]:
        """All labels, the server's order first, then the least confident first."""
        known = set(self.now.order)
        rest = [point for point in self.points if point.label not in known]
        rest.sort(key=lambda point: -1.0 if point.confidence is None else point.confidence)
        return [*self.now.order, *(point.label for point in rest)]

    def next_to_check(self, current: str | None = None) -> str | None:
        """The landmark to look at next; after ``current`` if that is one of those left.

        None if all are settled, or sure.
        """
        left = [label for label in self.review_order() if not self[label].settled and not self[label].sure]
        if not left:
            return None
        return left[(left.index(current) + 1) % len(left)] if current in left else left[0]

    def next_undefined(self) -> str | None:
        """The first landmark that has not been placed, in the protocol's order."""
        return next((point.label for point in self.points if point.status == UNDEFINED), None)

    # What a person does ---------------------------------------------------------------------------------------

    def place(self, label: str, position: Sequence[float]) -> None:
        """The person says that it is here (LPS mm)."""
        x, y, z = (float(value) for value in position)
        if not all(map(math.isfinite, (x, y, z))):
            raise ValueError(f"{label}: expected three finite numbers in mm, got {position}")
        self._change(label, position=(x, y, z), status=CORRECTED)

    def confirm(self, label: str) -> bool:
        """The person agrees with where it is. False where there is nothing to agree with."""
        return self.confirm_all([label])

    def confirm_all(self, labels: Iterable[str] | None = None) -> bool:
        """The person agrees with all predictions, or those of these labels; one step for undo.

        What is confirmed stays, but the others do not move for it: they follow at the next correction.
        """
        wanted = set(self.labels if labels is None else labels)
        points = tuple(
            replace(point, status=CONFIRMED) if point.label in wanted and point.status == PREDICTED else point
            for point in self.points
        )
        if points == self.points:
            return False
        number = self._number
        self._step(replace(self.now, points=points))
        self._number = number  # an answer that is under way still counts
        return True

    def mark_missing(self, label: str) -> None:
        """The person says that it is not in this image; said again, that it is, where it was predicted."""
        point = self[label]
        if point.status != MISSING:
            self._change(label, position=None, status=MISSING)
        elif point.predicted is not None:
            self._change(label, position=point.predicted, status=PREDICTED)
        else:
            self._change(label, status=UNDEFINED)

    def release(self, label: str) -> None:
        """The person takes back what was said of it: it follows the others again."""
        point = self[label]
        if point.settled:
            placed = point.position or point.predicted
            self._change(label, position=placed, status=PREDICTED if placed else UNDEFINED)

    def undo(self) -> bool:
        """Back to before the last step; False if there was none."""
        return self._travel(self._past, self._future)

    def redo(self) -> bool:
        """Forward again; False if nothing was undone."""
        return self._travel(self._future, self._past)

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    def _travel(self, source: list[Snapshot], target: list[Snapshot]) -> bool:
        if not source:
            return False
        target.append(self.now)
        self.now = source.pop()
        self._touch()
        return True

    def _change(self, label: str, **values: Any) -> None:
        index = self.index(label)
        points = list(self.points)
        points[index] = replace(points[index], **values)
        self._step(replace(self.now, points=tuple(points), followed=False))

    def _step(self, snapshot: Snapshot) -> None:
        self._past.append(self.now)
        self._future.clear()
        self.now = snapshot
        self._touch()

    def _touch(self) -> None:
        self.revision += 1
        self._number += 1

    # What the server says -------------------------------------------------------------------------------------

    def request(self) -> Request | None:
        """What to ask now so that the others follow; None if they have, or there is nothing to follow."""
        return None if self.now.followed else self._request()

    def question(self) -> Request | None:
        """What to ask so that what is shown gets order and measurements; None if it has, or nothing is shown."""
        empty = all(point.status == UNDEFINED for point in self.points)
        return None if self.now.described or not self.now.followed or empty else self._request()

    def _request(self) -> Request:
        placed = {point.label: point for point in self.points if point.status in _BY_A_PERSON}
        corrections = {label: point.position for label, point in placed.items() if point.position is not None}
        missing = tuple(point.label for point in self.points if point.status == MISSING)
        previous = {label: point.predicted for label, point in placed.items() if point.predicted is not None}
        return Request(self._number, corrections, missing, previous)

    def follow(self, answer: Answer, number: int) -> bool:
        """Move what nobody has settled to where the server says; part of the step that asked for it.

        Returns:
            whether the answer was used: it is not if the person has gone on since.
        """
        if number != self._number or self.now.followed:
            return False
        self._adopt(answer)
        return True

    def describe(self, answer: Answer, number: int) -> bool:
        """Take order, measurements and trust of an answer to :meth:`question`; nothing moves.

        Returns:
            whether the answer was used: it is not if the person has gone on since.
        """
        if number != self._number or self.now.described:
            return False
        points = tuple(
            replace(point, trusted=answer.landmarks[point.label].trusted) if point.status == PREDICTED else point
            for point in self.points
        )
        order = answer.review_order or self.now.order
        self.now = replace(self.now, points=points, order=order, measurements=answer.measurements, described=True)
        self.revision += 1
        return True

    def detected(self, answer: Answer, as_step: bool = False) -> None:
        """Take the automatic landmarks, where nobody has settled one.

        Args:
            answer: of ``landmarks``.
            as_step: whether undo takes it back.
        """
        self.model = dict(answer.model)
        now = _with_detection(self.now, answer)
        if as_step:
            self._step(now)
        else:  # undo leads back to what the person did before it came, and not to before it
            self._past = [_with_detection(snapshot, answer) for snapshot in self._past]
            self._future = [_with_detection(snapshot, answer) for snapshot in self._future]
            self.now = now
        self.revision += 1

    def _adopt(self, answer: Answer) -> None:
        self.model = dict(answer.model)
        self.now = _with_answer(self.now, answer, followed=True)
        self.revision += 1

    # Labels and drafts ----------------------------------------------------------------------------------------

    def start_from(self, points: Sequence[Point]) -> None:
        """Begin with these points, as of a label that is opened again; nothing before it can be undone."""
        by_label = {point.label: point for point in points}
        self.now = Snapshot(tuple(by_label.get(label, Point(label)) for label in self.labels))
        self._past.clear()
        self._future.clear()
        self._touch()

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for a draft; without the steps that could be undone."""
        return {
            "image": self.image,
            "session": self.session,
            "model": self.model,
            "order": list(self.now.order),
            "followed": self.now.followed,
            "points": [
                {
                    "label": point.label, "position": point.position, "status": point.status,
                    "confidence": point.confidence, "predicted": point.predicted, "trusted": point.trusted,
                }
                for point in self.points
            ],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], labels: Sequence[str]) -> Reading:
        """Of :meth:`to_dict`.

        Raises:
            ValueError: it is not that, or of other landmarks.
        """
        try:
            points = [_point(each) for each in content["points"]]
            reading = cls(str(content["image"]), tuple(labels), str(content["session"]), dict(content["model"]))
            order = tuple(label for label in content["order"] if label in reading._index)
            followed = bool(content["followed"])
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"a draft that can't be read ({type(problem).__name__}: {problem})") from None
        if [point.label for point in points] != list(labels):
            raise ValueError("a draft of other landmarks than the server's")
        reading.start_from(points)
        reading.now = replace(reading.now, order=order, followed=followed)
        return reading


def _with_detection(snapshot: Snapshot, answer: Answer) -> Snapshot:
    """A snapshot with the automatic landmarks, where nobody has settled one."""
    found = answer.landmarks
    points = tuple(
        replace(point, predicted=found[point.label].position or point.predicted) for point in snapshot.points
    )
    settled = any(point.settled for point in points)
    return _with_answer(replace(snapshot, points=points), answer, followed=not settled)


def _with_answer(snapshot: Snapshot, answer: Answer, followed: bool) -> Snapshot:
    points = tuple(_adopted(point, answer) for point in snapshot.points)
    return Snapshot(points, answer.review_order or snapshot.order, answer.measurements, followed, True)


def _adopted(point: Point, answer: Answer) -> Point:
    """A point as an answer has it; what a person settled stays to the last digit."""
    landmark = answer.landmarks[point.label]
    confidence = landmark.confidence
    if point.settled:
        return replace(point, confidence=confidence if point.status == CONFIRMED else point.confidence)
    if landmark.position is None:
        return replace(point, position=None, status=UNDEFINED, confidence=confidence)
    first = point.predicted or landmark.position
    return replace(
        point, position=landmark.position, status=PREDICTED, confidence=confidence, predicted=first,
        trusted=landmark.trusted,
    )  # fmt: skip


def _point(content: Mapping[str, Any]) -> Point:
    status = content["status"]
    if status not in STATUSES:
        raise ValueError(f"a draft with the status {status!r}")
    position = _position(content["position"])
    if (position is None) != (status in (MISSING, UNDEFINED)):
        raise ValueError(f"a draft in which {content['label']} is {status}, with position {position}")
    confidence = content["confidence"]
    return Point(
        str(content["label"]), position, status, None if confidence is None else float(confidence),
        _position(content["predicted"]), content.get("trusted") is True,
    )  # fmt: skip


def _position(values: Any) -> Position | None:
    if values is None:
        return None
    x, y, z = (float(value) for value in values)
    if not all(map(math.isfinite, (x, y, z))):
        raise ValueError(f"a draft with the position {values}")
    return x, y, z
