"""What no label holds and the server can say of it: review order, trust, and measurements of what is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .client import Client
from .contract import Answer
from .opening import OpenImage
from .state import Point, Request

#: An answer is of a landmark that is shown if it has it no farther away, in mm.
SAME_MM = 0.5


@dataclass(frozen=True)
class Question:
    """What to ask of an open image.

    Attributes:
        points: as they are shown.
        beside: labels of those beside the image, which the server takes from nobody.
    """

    image: str
    session: str
    request: Request
    points: tuple[Point, ...]
    beside: tuple[str, ...]


def question_of(opened: OpenImage) -> Question | None:
    """What is to be asked; None if the server has said it all, or is about to."""
    request = opened.reading.question()
    if request is None or not opened.detected:
        return None
    return Question(opened.image, opened.reading.session, request, opened.reading.points, tuple(opened.beside()))


def described(question: Question, client: Client, labels: Sequence[str]) -> Answer:
    """Order and trust given what is settled, and the measurements of what is shown. Runs off the main thread.

    The server may see a landmark elsewhere than the label has it, as with another model: then it is asked once more,
    for measurements where all are; those of such landmarks are not reliable.

    Raises:
        ServerError: it does not answer.
    """
    request, image = question.request, question.image
    answer = client.refine(image, labels, request.corrections, request.missing, request.previous, question.session)
    same = {point.label for point in question.points if point.settled or _is_there(point, answer)}
    measured, reliable = answer.measurements, {each.name for each in answer.measurements if each.reliable}
    if len(same) < len(labels):
        shown = {p.label: p.position for p in question.points if p.position and p.label not in question.beside}
        measured = client.refine(image, labels, shown, request.missing).measurements
    return replace(
        answer,
        landmarks={label: replace(each, trusted=each.trusted and label in same)
                   for label, each in answer.landmarks.items()},
        measurements=tuple(replace(each, reliable=each.name in reliable and same.issuperset(each.labels))
                           for each in measured),
    )  # fmt: skip


def _is_there(point: Point, answer: Answer) -> bool:
    there = answer.landmarks[point.label].position
    return point.position is not None and there is not None and math.dist(point.position, there) <= SAME_MM
