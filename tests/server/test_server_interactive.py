"""The interactive network over HTTP: it is trained, replaces only what is worse, and answers click by click."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import Server, prepare, publish

import tiny
from landmarklabel.markups import parse_markups
from landmarklabel.modelfile import read_header
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry

pytestmark = pytest.mark.slow

TOP, LEFT, RIGHT = [31.123456789012345, 11.987654321098765, 0.0], [13.5, 35.25, 0.0], [47.5, 33.5, 0.0]


@pytest.fixture(scope="module")
def clicked(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Iterator[Server]:
    """A running server without any model, but with labels."""
    running = prepare(tmp_path_factory.mktemp("clicked") / "s", triangle, shape_only="yes")
    try:
        yield running.start()
    finally:
        running.stop()


def places(answer: Any) -> dict[str, Any]:
    return {landmark["label"]: landmark["position"] for landmark in answer["landmarks"]}


def published(server: Server) -> Path:
    return server.models / "triangle" / "refine.safetensors"


def test_what_moves_landmarks_worse_is_not_published(clicked: Server, trained: Path) -> None:
    """One epoch from fresh weights, beside the maps of a network that has learned: that one answers on."""
    file = publish(clicked, trained)
    stats = clicked.train("interactive", epochs=1)
    assert (stats["state"], stats["published"], stats["compared_with"]) == ("done", False, "the model of 'landmarks'")
    assert stats["validation_mre"] > stats["published_mre"]
    assert len(stats["validation_by_clicks"]) == len(stats["published_by_clicks"]) == 6
    assert not published(clicked).exists()
    assert clicked.refine("image_025")["model"]["version"] == read_header(trained).version
    file.unlink()


def test_what_moves_them_better_answers_from_then_on(clicked: Server) -> None:
    before = clicked.refine("image_025")
    assert before["model"]["name"] == "shape prior, no network"
    stats = clicked.train("interactive")
    assert (stats["state"], stats["published"], stats["compared_with"]) == ("done", True, "the labels alone")
    assert stats["validation_mre"] < stats["published_mre"]
    assert stats["validation_by_clicks"][-1] < stats["validation_by_clicks"][0]
    answer = clicked.refine("image_025", corrections={"top": TOP})
    assert answer["model"]["name"] == "tiny_interactive"
    assert answer["model"]["version"] == read_header(published(clicked)).version
    assert places(answer)["top"] == TOP
    info = clicked.get("/info/")
    assert list(info["models"]) == ["refine"]
    assert "train one (POST /train/farnet)" in info["missing"]["landmarks"]
    assert info["train_stats"]["farnet"] == {}
    assert info["trainers"]["interactive"]["config"]["config"][0].endswith("interactive.yaml")


def test_each_change_of_clicks_is_a_pass_and_only_that(clicked: Server) -> None:
    first = clicked.refine("image_024", session="passes")
    assert first["timings"]["preprocess"] > 0
    click = clicked.refine("image_024", session="passes", corrections={"top": TOP})
    assert (click["timings"]["load"], click["timings"]["preprocess"]) == (0, 0)
    again = clicked.refine("image_024", session="passes", corrections={"top": TOP})
    assert again["landmarks"] == click["landmarks"]
    back = clicked.refine("image_024", session="passes")
    assert back["landmarks"] == first["landmarks"]


def test_a_click_taken_back_leaves_no_trace(clicked: Server) -> None:
    one = clicked.refine("image_023", session="undo", corrections={"top": TOP})
    two = clicked.refine("image_023", session="undo", corrections={"top": TOP, "left": LEFT})
    assert places(two)["left"] == LEFT
    undone = clicked.refine("image_023", session="undo", corrections={"top": TOP})
    assert undone["landmarks"] == one["landmarks"]
    absent = clicked.refine("image_023", session="undo", corrections={"top": TOP}, missing=["left"])
    status = {landmark["label"]: landmark["status"] for landmark in absent["landmarks"]}
    assert status == {"left": "missing", "right": "predicted", "top": "corrected"}


def test_previous_positions_are_taken_of_whom_nothing_is_known(clicked: Server) -> None:
    """As after a restart of the server; all labels, none, and null are all right."""
    everywhere = {"left": LEFT, "right": None, "top": [50.0, 40.0, 0.0]}
    for previous in (None, {}, everywhere):
        answer = clicked.refine("image_022", corrections={"top": TOP}, previous=previous, session=None)
        assert places(answer)["top"] == TOP


def test_all_corrected_twice_and_against_each_other(clicked: Server) -> None:
    given = {"left": LEFT, "right": LEFT, "top": TOP}
    for _ in range(2):
        answer = clicked.refine("image_021", corrections=given, session="all")
        assert places(answer) == given
        assert answer["review_order"] == []


def test_a_session_is_of_one_image(clicked: Server) -> None:
    clicked.refine("image_020", session="of 20", corrections={"top": TOP})
    for params in ({"corrections": {"top": TOP}}, {}):
        body = {"params": json.dumps({**params, "session": "of 20"})}
        answer = clicked("POST", "/infer/refine?image=image_019&output=json", data=body)
        assert answer.status_code == 409
        assert "session 'of 20' is of the image image_020, and this is image_019" in answer.json()["detail"]
    assert places(clicked.refine("image_020", session="of 20", corrections={"top": TOP}))["top"] == TOP


def test_a_request_that_was_refused_starts_no_session(clicked: Server) -> None:
    body = {"params": json.dumps({"corrections": {"top": [-30.0, 2.0, 0.0]}, "session": "early"})}
    assert clicked("POST", "/infer/refine?image=image_019", data=body).status_code == 422
    clicked.refine("image_020", session="early")


def test_a_session_of_monai_label_is_one_too(clicked: Server) -> None:
    with (clicked.studies / "image_018.png").open("rb") as file:
        session = clicked("PUT", "/session/", files={"files": ("x.png", file)}).json()["session_id"]
    for corrections in ({"top": TOP}, {"top": TOP, "left": LEFT}):
        body = {"params": json.dumps({"corrections": corrections})}
        answer = clicked("POST", f"/infer/refine?session_id={session}&output=json", data=body)
        assert answer.status_code == 200, answer.text
        assert places(answer.json()).items() >= corrections.items()


def test_refined_markups_come_back_to_the_last_digit(clicked: Server, triangle: Protocol) -> None:
    """Click, markups, label, and back."""
    body = {"params": json.dumps({"corrections": {"top": TOP}, "missing": ["right"], "session": "kept"})}
    sent = clicked("POST", "/infer/refine?image=image_024&output=image", data=body).content
    assert clicked.put_label("image_024", sent).status_code == 200
    stored = clicked("GET", "/datastore/label?label=image_024&tag=final").content
    points = {point["label"]: point for point in json.loads(stored)["markups"][0]["controlPoints"]}
    assert points["top"]["position"] == TOP
    answered = places(clicked.refine("image_024", corrections={"top": TOP}, missing=["right"], session="kept"))
    assert points["left"]["position"] == pytest.approx(answered["left"], abs=1.0)  # the new label has moved the prior
    landmarks = parse_markups(stored, triangle, Geometry(tiny.SIZE))
    assert [status.value for status in landmarks.status] == ["predicted", "missing", "corrected"]
    assert landmarks["top"].tolist() == TOP[:2]


def test_a_damaged_interactive_model_is_not_stood_in_for(clicked: Server) -> None:
    """Not by the shape of labels, and not by the model that was in use."""
    good = published(clicked).read_bytes()
    data = bytearray(good)
    data[-1000] ^= 4
    published(clicked).write_bytes(data)
    try:
        answer = clicked("POST", "/infer/refine?image=image_024", data={"params": "{}"})
        assert answer.status_code == 409
        assert "refine.safetensors is damaged: it is not what was saved" in answer.json()["detail"]
        info = clicked.get("/info/")
        assert "is damaged" in info["missing"]["refine"]
        assert "refine" not in info["models"]
    finally:
        published(clicked).write_bytes(good)
    assert clicked.refine("image_024")["model"]["name"] == "tiny_interactive"


def test_what_training_refuses(clicked: Server) -> None:
    stats = clicked.train("interactive", config="farnet_light")
    assert "farnet_light has the network farnet, which the train task 'interactive' is not for" in stats["reason"]
    assert "Traceback" not in clicked.log.read_text()
