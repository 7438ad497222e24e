"""Corrections over HTTP: what was placed stays to the last digit, the rest follows, and mistakes are said."""

import json
from typing import Any

import numpy as np
import pytest
from servers import Server, prepare

import tiny
from landmarklabel.markups import parse_markups
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry

pytestmark = pytest.mark.slow

PLACED = [31.123456789012345, 11.987654321098765, 0.0]


def by_label(answer: Any) -> dict[str, Any]:
    return {landmark["label"]: landmark for landmark in answer["landmarks"]}


def test_a_click_is_kept_to_the_last_digit_and_the_others_follow(server: Server) -> None:
    before = by_label(server.infer("image_025"))
    moved = [before["top"]["position"][0] + 8, before["top"]["position"][1], 0.0]
    answer = server.refine("image_025", corrections={"top": moved}, previous={}, session="one")
    after = by_label(answer)
    assert after["top"]["position"] == moved
    assert (after["top"]["status"], after["top"]["confidence"]) == ("corrected", 1.0)
    assert {after[label]["status"] for label in ("left", "right")} == {"predicted"}
    assert set(answer["review_order"]) == {"left", "right"}
    assert answer["timings"]["network"] == 0
    assert answer["model"]["version"] == server.infer("image_025")["model"]["version"]
    assert answer["model"]["shape_of_labels"] >= 18


def test_the_file_says_the_same(server: Server, triangle: Protocol) -> None:
    params = json.dumps({"corrections": {"left": PLACED}, "missing": ["right"]})
    response = server("POST", "/infer/refine?image=image_025&output=image", data={"params": params})
    points = {point["label"]: point for point in response.json()["markups"][0]["controlPoints"]}
    assert points["left"]["position"] == PLACED
    assert points["right"]["positionStatus"] == "missing"
    landmarks = parse_markups(response.content, triangle, Geometry(tiny.SIZE))
    assert [status.value for status in landmarks.status] == ["corrected", "missing", "predicted"]


def test_all_corrected_and_none(server: Server) -> None:
    nothing = server.refine("image_025")
    assert len(nothing["review_order"]) == 3
    given = {label: [10.0 + index, 20.0, 0.0] for index, label in enumerate(("left", "right", "top"))}
    everything = server.refine("image_025", corrections=given)
    assert {label: landmark["position"] for label, landmark in by_label(everything).items()} == given
    assert everything["review_order"] == []


def test_contradictory_clicks_stay_where_they_were_put(server: Server) -> None:
    same = {"left": PLACED, "right": PLACED}
    after = by_label(server.refine("image_025", corrections=same))
    assert after["left"]["position"] == after["right"]["position"] == PLACED
    assert np.isfinite(after["top"]["position"]).all()


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"corrections": {"F-1": PLACED}}, "corrections: F-1: not a landmark of triangle"),
        ({"corrections": {"top": [1.0, 2.0]}}, "corrections: top has position [1.0, 2.0]; expected three finite"),
        ({"corrections": {"top": [1e99, 2.0, 0.0]}}, "expected three finite numbers"),
        ({"corrections": {"top": [-30.0, 2.0, 0.0]}}, "corrections: top at (-30.0, 2.0) lies outside the image"),
        ({"corrections": {"top": [3.0, 2.0, 44.0]}}, "44.0 mm from the plane of the image; it belongs to another"),
        ({"corrections": [1]}, "corrections: expected {label: [x, y, z]} in LPS mm, got list"),
        ({"corrections": {"top": PLACED}, "missing": ["top"]}, "top: both placed and missing"),
        ({"missing": ["F-1"]}, "'F-1' is not a landmark of triangle"),
        ({"missing": "top"}, "missing: expected a list of labels, got top"),
        ({"previous": {"F-1": PLACED}}, "previous: F-1: not a landmark of triangle"),
        ({"previous": {"F-1": None}}, "previous: F-1: not a landmark of triangle"),
        ({"previous": {"top": [1.0, "x", 0.0]}}, "previous: top has position [1.0, 'x', 0.0]; expected three finite"),
        ({"previous": {"top": [3.0, 2.0, 44.0]}}, "44.0 mm from the plane of the image; it belongs to another"),
        ({"previous": [1]}, "previous: expected {label: [x, y, z]} in LPS mm, got list"),
        ({"session": 7}, "session: expected a text of up to 200 characters, got '7'"),
        ({"session": ""}, "session: expected a text of up to 200 characters, got ''"),
    ],
)
def test_mistakes(server: Server, params: dict[str, Any], sentence: str) -> None:
    answer = server("POST", "/infer/refine?image=image_025", data={"params": json.dumps(params)})
    assert answer.status_code == 422, answer.text
    assert sentence in answer.json()["detail"]


def test_a_label_twice_is_as_json_has_it(server: Server) -> None:
    """MONAI Label reads the parameters before the app does: of two members of one name the last counts."""
    params = f'{{"corrections": {{"top": [40, 20, 0], "top": {json.dumps(PLACED)}}}}}'
    response = server("POST", "/infer/refine?image=image_025&output=json", data={"params": params})
    assert by_label(response.json())["top"]["position"] == PLACED


def test_the_same_click_again_changes_nothing(server: Server) -> None:
    answers = [server.refine("image_025", corrections={"top": PLACED}, session="twice") for _ in range(2)]
    assert answers[0]["landmarks"] == answers[1]["landmarks"]
    back = server.refine("image_025", corrections={}, session="twice")
    assert back["landmarks"] == server.refine("image_025")["landmarks"]


def test_previous_positions_may_lie_beside_the_image(server: Server) -> None:
    """Predictions may; and they change nothing for a network that sees no clicks."""
    beside = {"left": [-3.0, 20.0, 0.0], "right": None}
    plain = server.refine("image_025", corrections={"left": PLACED})
    assert server.refine("image_025", corrections={"left": PLACED}, previous=beside)["landmarks"] == plain["landmarks"]


def test_corrections_of_another_sessions_image(server: Server) -> None:
    """Images of one size have the same places: only the session tells that these are another's."""
    server.refine("image_025", corrections={"top": PLACED}, session="of 25")
    body = {"params": json.dumps({"corrections": {"top": PLACED}, "session": "of 25"})}
    answer = server("POST", "/infer/refine?image=image_024", data=body)
    assert answer.status_code == 409
    assert "session 'of 25' is of the image image_025, and this is image_024" in answer.json()["detail"]


def test_an_image_that_is_not_there(server: Server) -> None:
    answer = server("POST", "/infer/refine?image=nobody", data={"params": "{}"})
    assert answer.status_code == 404


def test_what_is_trusted(server: Server) -> None:
    """The wider the tolerance, the more; what a person placed, always; and the answer says what it means by it."""
    share = []
    for tolerance in (0.05, 2.0, 40.0):
        for answer in (server.refine("image_025", tolerance=tolerance), server.infer("image_025", tolerance=tolerance)):
            assert answer["trust"] == {"level": 0.95, "tolerance": tolerance, "unit": "px"}
        share.append([landmark["trusted"] for landmark in server.refine("image_025", tolerance=tolerance)["landmarks"]])
    assert (share[0], share[2]) == ([False] * 3, [True] * 3)
    assert sum(share[0]) <= sum(share[1]) <= sum(share[2])
    answer = server.refine("image_025", tolerance=0.05, corrections={"top": PLACED}, missing=["left"])
    assert {label: each["trusted"] for label, each in by_label(answer).items()} == {
        "left": False,
        "right": False,
        "top": True,
    }
    assert server.refine("image_025")["trust"]["tolerance"] == 1.0  # the protocol's first radius


@pytest.mark.parametrize("tolerance", [0, -1, "2", True, [2], 1e9])
def test_a_tolerance_that_is_none(server: Server, tolerance: Any) -> None:
    for task in ("landmarks", "refine", "segmentation"):
        data = {"params": json.dumps({"tolerance": tolerance})}
        answer = server("POST", f"/infer/{task}?image=image_025", data=data)
        assert answer.status_code == 422, answer.text
        assert "tolerance: expected a number above 0, in mm" in answer.json()["detail"]


def test_without_a_network_from_no_label_on(tmp_path: Any, triangle: Protocol) -> None:
    """At first all is to be placed; from the first label on the others follow, as it learns from each that is saved."""
    running = prepare(tmp_path / "s", triangle, images=10, labelled=0)
    points = [{"label": label, "position": [0, 0, 0]} for label in triangle.labels]
    try:
        running.start()
        assert "refine" in running.get("/info/")["models"]
        first = running.refine("image_009", corrections={"right": PLACED})
        assert {label: each["status"] for label, each in by_label(first).items()} == {
            "left": "undefined",
            "right": "corrected",
            "top": "undefined",
        }
        assert by_label(first)["right"]["position"] == PLACED
        assert first["review_order"] == ["left", "top"]
        assert first["model"] == {"name": "shape prior, no network", "shape_of_labels": 0}
        for seed in range(6):
            for point, at in zip(points, tiny.triangle_image(seed)[1], strict=True):
                point["position"] = [*at.tolist(), 0.0]
            markups = {"markups": [{"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": points}]}
            assert running.put_label(f"image_{seed:03d}", markups).status_code == 200
            answered = running.refine("image_009", corrections={"top": PLACED})
            assert answered["model"]["name"] == "shape prior, no network"
            assert answered["model"]["shape_of_labels"] == seed + 1
            assert len(answered["review_order"]) == 2
            moved = [by_label(running.refine("image_009", corrections={"top": [x, 12.0, 0.0]})) for x in (20.0, 40.0)]
            assert moved[0]["left"]["pixel"][0] < moved[1]["left"]["pixel"][0]
        running.wait_until_looked_at("image_009", 6)
        found = by_label(running.refine("image_009"))["right"]["pixel"]
        assert np.linalg.norm(found - tiny.triangle_image(9)[1][1]) < 2
        assert "Traceback" not in running.log.read_text()
    finally:
        running.stop()
