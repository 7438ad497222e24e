"""The state of reading: what a person said stays, undo and redo are exact, late answers are not used."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmarklabel.landmarks import Status
from landmarklabel.markups import parse_markups
from landmarklabel.protocol import load_protocol
from landmarklabel.radiograph import Geometry
from LandmarkLabelLib.contract import Answer, Landmark, Measurement, ServerError, read_answer
from LandmarkLabelLib.describing import described, question_of
from LandmarkLabelLib.markups import from_markups, to_markups
from LandmarkLabelLib.opening import OpenImage, take_detection
from LandmarkLabelLib.picture import Picture
from LandmarkLabelLib.state import Point, Reading

settings.register_profile("module", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("module")

LABELS = ("a", "b", "c", "d")


def answer(shift: float = 0.0, confidence: float = 0.9, order: tuple[str, ...] = ("c", "a", "d", "b")) -> Answer:
    """All landmarks in a row, moved by ``shift``."""
    landmarks = {
        label: Landmark(label, (10.0 * index + shift, shift, 0.0), confidence, "predicted")
        for index, label in enumerate(LABELS)
    }
    return Answer(landmarks, order, (), {"version": "1"}, 0.0)


def read() -> Reading:
    reading = Reading("image", LABELS, "session")
    reading.detected(answer())
    return reading


coordinates = st.tuples(*[st.floats(-500, 500)] * 3)
labels = st.sampled_from(LABELS)
steps = st.one_of(
    st.tuples(st.just("place"), labels, coordinates),
    st.tuples(st.sampled_from(["confirm", "mark_missing", "release"]), labels),
    st.tuples(st.sampled_from(["confirm_all", "undo", "redo"])),
    st.tuples(st.sampled_from(["answer", "late answer", "detect"]), st.floats(-5, 5)),
)


def do(reading: Reading, step: tuple) -> None:
    name, *arguments = step
    if name == "answer":
        request = reading.request()
        if request is not None:
            assert reading.follow(answer(arguments[0]), request.number)
    elif name == "late answer":
        assert not reading.follow(answer(arguments[0]), -1)
    elif name == "detect":
        reading.detected(answer(arguments[0]), as_step=True)
    else:
        getattr(reading, name)(*arguments)


@given(st.lists(steps, max_size=30))
def test_what_a_person_placed_or_confirmed_is_moved_by_that_person_only(done: list[tuple]) -> None:
    reading = read()
    for step in done:
        before = {point.label: point for point in reading.points if point.settled}
        do(reading, step)
        if step[0] in ("answer", "late answer", "detect"):
            after = {point.label: point for point in reading.points if point.settled}
            assert {label: (p.position, p.status) for label, p in after.items()} == {
                label: (p.position, p.status) for label, p in before.items()
            }


@given(st.lists(steps, max_size=30))
def test_undo_leads_back_step_by_step_and_redo_forward_to_the_very_same(done: list[tuple]) -> None:
    reading = read()
    for step in done:
        do(reading, step)
    states = [reading.now]
    while reading.undo():
        states.append(reading.now)
    assert [point.status for point in reading.points] == ["predicted"] * len(LABELS)
    for state in reversed(states[:-1]):
        assert reading.redo()
        assert reading.now is state
    assert reading.now is states[0]


@given(st.lists(steps, max_size=20))
def test_a_draft_is_the_reading_again(done: list[tuple]) -> None:
    reading = read()
    for step in done:
        do(reading, step)
    again = Reading.from_dict(json.loads(json.dumps(reading.to_dict())), LABELS)
    assert again.points == reading.points
    assert (again.session, again.model, again.now.order) == (reading.session, reading.model, reading.now.order)
    assert (again.request() is None) == (reading.request() is None)


def test_the_newest_correction_wins() -> None:
    reading = read()
    reading.place("a", (1, 2, 0))
    first = reading.request()
    reading.place("b", (3, 4, 0))
    second = reading.request()
    assert first is not None and second is not None
    assert second.corrections == {"a": (1.0, 2.0, 0.0), "b": (3.0, 4.0, 0.0)}
    assert not reading.follow(answer(99), first.number)
    assert reading["c"].position == (20.0, 0.0, 0.0)
    assert reading.follow(answer(1), second.number)
    assert reading["c"].position == (21.0, 1.0, 0.0)
    assert reading["a"].position == (1.0, 2.0, 0.0)
    assert not reading.follow(answer(50), second.number), "an answer counts once"


def test_one_undo_takes_back_a_drag_and_what_followed_it() -> None:
    reading = read()
    before = reading.points
    reading.place("a", (1, 2, 0))
    reading.follow(answer(5), reading.request().number)  # type: ignore[union-attr]
    reading.undo()
    assert reading.points == before
    assert reading.request() is None


def test_undo_of_what_was_placed_before_the_landmarks_were_found_leaves_them_found() -> None:
    """As where the server takes its time, and a person begins without it."""
    reading = Reading("image", LABELS, "session")
    reading.place("a", (90.0, 80.0, 0.0))
    reading.detected(answer())
    placed = reading.now
    assert reading.undo()
    assert [(point.position, point.status) for point in reading.points] == [
        (point.position, point.status) for point in read().points
    ]
    assert not reading.can_undo
    assert reading.redo()
    assert reading.now == placed
    assert reading["a"].position == (90.0, 80.0, 0.0)


def test_an_answer_to_what_was_undone_is_not_used() -> None:
    reading = read()
    reading.place("a", (1, 2, 0))
    request = reading.request()
    reading.undo()
    before = reading.points
    assert request is not None and not reading.follow(answer(5), request.number)
    assert reading.points == before
    reading.redo()
    assert reading.request() is not None, "the others had not followed yet"


def test_confirming_while_an_answer_is_under_way_loses_neither() -> None:
    reading = read()
    reading.place("a", (1, 2, 0))
    request = reading.request()
    assert request is not None
    reading.confirm("b")
    assert reading.follow(answer(5), request.number)
    assert reading["b"].position == (10.0, 0.0, 0.0)
    assert reading["c"].position == (25.0, 5.0, 0.0)


def test_confirmed_landmarks_are_sent_as_what_does_not_move() -> None:
    reading = read()
    reading.confirm("b")
    assert reading.request() is None
    reading.mark_missing("d")
    request = reading.request()
    assert request is not None
    assert (request.corrections, request.missing) == ({"b": (10.0, 0.0, 0.0)}, ("d",))


def test_missing_and_undefined_never_have_a_place() -> None:
    reading = Reading("image", LABELS)
    assert [point.position for point in reading.points] == [None] * 4
    reading.mark_missing("b")
    reading.detected(answer())
    assert reading["b"] == Point("b", None, "missing", None, (10.0, 0.0, 0.0))
    reading.mark_missing("b")
    assert reading["b"].position == (10.0, 0.0, 0.0)


def test_review_follows_the_server_and_leaves_out_what_is_settled() -> None:
    reading = read()
    assert reading.next_to_check() == "c"
    assert reading.next_to_check("c") == "a"
    assert reading.next_to_check("b") == "c"
    reading.confirm("a")
    assert reading.next_to_check("c") == "d"
    reading.confirm_all()
    assert reading.next_to_check() is None


def test_what_most_needs_a_look_is_little_of_the_whole() -> None:
    reading = Reading("image", LABELS)
    reading.detected(answer(confidence=0.9))
    assert set(reading.states()) == {"predicted"}
    reading.detected(answer(confidence=0.1))
    assert list(reading.states()).count("low") == 1
    reading.confirm_all()
    assert set(reading.states()) == {"confirmed"}


def test_how_far_moved_is_from_where_the_model_first_saw_it() -> None:
    reading = read()
    reading.place("a", (3, 4, 0))
    reading.follow(answer(5), reading.request().number)  # type: ignore[union-attr]
    assert reading["a"].moved == 5.0
    assert reading["b"].moved == pytest.approx(math.hypot(5, 5))


@pytest.mark.parametrize("bad", [(math.nan, 0, 0), (0, math.inf, 0)])
def test_a_place_that_is_none_is_refused(bad: tuple) -> None:
    with pytest.raises(ValueError, match="finite"):
        read().place("a", bad)


# Opened again -------------------------------------------------------------------------------------------------


class OneModel:
    """A client of a server that sees what nobody placed moved by ``shift``, and measures the last two landmarks."""

    def __init__(self, shift: float) -> None:
        self.shift, self.asked = shift, []  # type: ignore[var-annotated]

    def refine(self, image, labels, corrections, missing=(), previous=None, session="") -> Answer:  # type: ignore[no-untyped-def]
        self.asked.append(dict(corrections))
        landmarks = {
            label: replace(each, position=corrections.get(label, each.position), trusted=True)
            for label, each in answer(self.shift).landmarks.items()
        }
        x = [landmarks[label].position[0] for label in LABELS]
        measured = [Measurement("ab", x[1] - x[0], "mm", ("a", "b"), True)]
        measured.append(Measurement("bd", x[3] - x[1], "mm", ("b", "d"), True))
        return replace(answer(self.shift), landmarks=landmarks, measurements=tuple(measured))


def lying(pixel: Callable[[float, float], tuple[float, float]]) -> str:
    """What is said of an image of 60 x 40 pixels, by pixels of the server."""
    places = [(3.0, 7.0), (50.0, 11.0), (20.0, 39.0), (59.0, 0.0)]
    landmarks = {
        label: Landmark(label, (i, j, 0.0), 0.9, "predicted", pixel(i, j))
        for label, (i, j) in zip(LABELS, places, strict=True)
    }
    opened = OpenImage("image", Path("x.jpg"), Picture(np.zeros((40, 60)), np.eye(4), {}), Reading("image", LABELS))
    take_detection(opened, Answer(landmarks, LABELS, (), {}, 0.0))
    return opened.disagreement


def test_a_picture_that_was_stored_on_its_side_lies_where_the_server_has_it() -> None:
    """The server stands it upright: its pixels are others, and its places are the same."""
    assert lying(lambda i, j: (i, j)) == ""
    assert lying(lambda i, j: (j, 59 - i)) == ""
    assert lying(lambda i, j: (59 - i, 39 - j)) == ""


def test_a_picture_that_lies_elsewhere_is_not_gone_on_with() -> None:
    assert "a would be at pixel (3.0, 7.0), not at (3.5, 7.0)" in lying(lambda i, j: (i + 0.5, j))
    assert "Do not go on" in lying(lambda i, j: (59 - i, 39 - j) if i > 10 else (i, j))


def reopened() -> OpenImage:
    """With ``a`` and ``b`` as a person placed them, the others as they were predicted."""
    points = [replace(point, status="corrected" if point.label in "ab" else point.status) for point in read().points]
    reading = Reading("image", LABELS)
    reading.start_from(points)
    picture = Picture(np.zeros((100, 100)), np.eye(4), {})
    return OpenImage("image", Path("image.nrrd"), picture, reading, detected=True)


@pytest.mark.parametrize(("shift", "requests", "sure"), [(0.1, 1, True), (3.0, 2, False)])
def test_a_label_that_is_opened_again_gets_order_and_measurements_and_nothing_moves(
    shift: float, requests: int, sure: bool
) -> None:
    """The measurements are those of what is shown, also where another model would have the landmarks elsewhere."""
    opened, client = reopened(), OneModel(shift)
    reading, before = opened.reading, opened.reading.points
    assert reading.request() is None
    question = question_of(opened)
    assert question is not None
    assert reading.describe(described(question, client, LABELS), question.request.number)  # type: ignore[arg-type]
    assert client.asked[0] == {"a": (0.0, 0.0, 0.0), "b": (10.0, 0.0, 0.0)}
    assert len(client.asked) == requests
    assert [replace(point, trusted=False) for point in reading.points] == list(before)
    assert [point.trusted for point in reading.points] == [False, False, sure, sure]
    assert reading.now.order == ("c", "a", "d", "b")
    values = [(each.name, each.value, each.reliable) for each in reading.now.measurements]
    assert values == [("ab", 10.0, True), ("bd", pytest.approx(20.0, abs=0.2), sure)]
    assert not reading.can_undo
    assert question_of(opened) is None, "once is enough"


def test_a_description_that_comes_late_is_not_used() -> None:
    reading = reopened().reading
    question = reading.question()
    reading.place("c", (1, 2, 0))
    assert question is not None and not reading.describe(answer(), question.number)
    assert reading.question() is None, "it comes with what is asked for the step"
    reading.follow(answer(), reading.request().number)  # type: ignore[union-attr]
    reading.undo()
    assert reading.question() is not None


def test_there_is_nothing_to_ask_of_what_was_just_predicted_nor_of_nothing() -> None:
    assert read().question() is None
    assert Reading("image", LABELS).question() is None


# As labels ----------------------------------------------------------------------------------------------------


def test_the_server_reads_labels_as_they_were_written() -> None:
    """By the library's own reader: positions, states and confidences."""
    protocol, geometry = load_protocol("cephalometric_19"), Geometry((400, 500), (0.13, 0.17), (3.0, -20.0, 0.0))
    reading = Reading("image", protocol.labels)
    world = {label: geometry.pixel_to_world((20.5 + 10 * i, 30.25 + 9 * i)) for i, label in enumerate(protocol.labels)}
    landmarks = {
        label: Landmark(label, tuple(float(v) for v in at), 0.5 + i / 100, "predicted")
        for i, (label, at) in enumerate(world.items())
    }
    reading.detected(Answer(landmarks, (), (), {}, 0.0))
    reading.place("S", world["N"])
    reading.confirm("Go")
    reading.mark_missing("Me")
    content = to_markups(reading.points, protocol.name)

    theirs = parse_markups(json.dumps(content).encode(), protocol, geometry)
    for point, status, confidence in zip(reading.points, theirs.status, theirs.confidence, strict=True):
        assert Status(point.status) == status
        assert confidence == pytest.approx(point.confidence)
        if point.position is not None:
            assert geometry.pixel_to_world(theirs[point.label]) == pytest.approx(point.position, abs=1e-9)
    again = from_markups(json.loads(json.dumps(content)), protocol.labels)
    assert [(p.label, p.position, p.status, p.confidence) for p in again] == [
        (p.label, p.position, p.status, p.confidence) for p in reading.points
    ]


@pytest.mark.parametrize("position", ["", None, [], "absent"])
def test_a_label_that_slicer_saved_has_no_places_where_there_are_none(position: object) -> None:
    points = [{"label": "a", "positionStatus": "missing"}, {"label": "b", "positionStatus": "undefined"}]
    content = {
        "markups": [{"controlPoints": [p if position == "absent" else {**p, "position": position} for p in points]}]
    }
    assert [(p.position, p.status) for p in from_markups(content, ["a", "b"])] == [
        (None, "missing"),
        (None, "undefined"),
    ]


def test_ras_files_are_turned() -> None:
    content = {"markups": [{"coordinateSystem": "RAS", "controlPoints": [{"label": "a", "position": [1, 2, 3]}]}]}
    assert from_markups(content, ["a"]) == [Point("a", (-1.0, -2.0, 3.0), "corrected")]


# Answers that are not right -----------------------------------------------------------------------------------


def good() -> dict:
    return {
        "landmarks": [
            {"label": label, "position": [1, 2, 0], "pixel": [1, 2], "confidence": 0.5, "status": "predicted"}
            for label in LABELS
        ],
        "review_order": ["a"],
        "model": {"name": "m"},
        "measurements": [{"name": "SNA", "value": 82.5, "unit": "degrees", "landmarks": ["a", "b"], "reliable": True}],
    }


def test_a_right_answer_is_read() -> None:
    read = read_answer(good(), LABELS)
    assert read.landmarks["a"].position == (1.0, 2.0, 0.0)
    assert read.measurements[0].value == 82.5


def test_what_the_server_trusts_needs_no_look() -> None:
    """And a server that does not say so, or not in the right way, trusts nothing."""
    content = good()
    for entry, trusted in zip(content["landmarks"], (True, False, "yes", None), strict=True):
        entry.update(confidence=0.1, trusted=trusted)
    reading = Reading("image", LABELS)
    reading.detected(read_answer(content, LABELS))
    assert [point.sure for point in reading.points] == [True, False, False, False]
    assert (reading.left, reading.states()[0]) == (3, "predicted")
    seen = [reading.next_to_check()]
    while seen[-1] is not None:
        reading.confirm(seen[-1])
        seen.append(reading.next_to_check())
    assert seen == ["b", "c", "d", None]
    again = Reading.from_dict(json.loads(json.dumps(reading.to_dict())), LABELS)
    assert again.points == reading.points
    without = reading.to_dict()
    for point in without["points"]:
        del point["trusted"]  # of a draft of an older module
    assert not any(point.sure for point in Reading.from_dict(without, LABELS).points)
    reading.place("a", (1, 2, 3))
    assert not reading["a"].sure


def test_what_can_be_done_without_may_be_anything() -> None:
    """Of a server that is older or newer than this module."""
    read = read_answer({**good(), "review_order": 5, "measurements": "none", "timings": [1], "more": {}}, LABELS)
    assert (read.review_order, read.measurements, read.seconds) == ((), (), 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("landmarks"),
        lambda c: c["landmarks"].pop(),
        lambda c: c["landmarks"][0].update(position=[1, 2]),
        lambda c: c["landmarks"][0].update(position=[1, 2, "x"]),
        lambda c: c["landmarks"][0].update(position=[1, float("nan"), 0]),
        lambda c: c["landmarks"][0].update(status="perhaps"),
        lambda c: c["landmarks"][0].update(label=None),
        lambda c: c.update(model=[]),
        lambda c: c.update(landmarks="none"),
    ],
)
def test_answers_that_are_not_right_are_refused_whole(change) -> None:  # type: ignore[no-untyped-def]
    content = good()
    change(content)
    with pytest.raises(ServerError) as caught:
        read_answer(content, LABELS)
    assert caught.value.kind == "nonsense"
