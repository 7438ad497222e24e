"""Markups: what is written is read back; what Slicer writes is understood; what is wrong is said."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarklabel.errors import LabelError
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import (
    is_plain_prediction,
    markups_to_dict,
    parse_markups,
    parse_named_points,
    read_markups,
    read_named_points,
    write_markups,
)
from landmarklabel.protocol import Protocol, load_protocol
from landmarklabel.radiograph import Geometry
from strategies import geometries, points_in

GEOMETRY = Geometry((100, 80), (0.2, 0.3), (5.0, -7.0, 0.0))
CEPHALOMETRIC = load_protocol("cephalometric_19")


@given(st.data(), geometries(), st.lists(st.sampled_from(list(Status)), min_size=19, max_size=19))
def test_a_round_trip_keeps_everything(data: st.DataObject, geometry: Geometry, status: list[Status]) -> None:
    points = data.draw(points_in(geometry.size, 19))
    points[[not s.placed for s in status]] = np.nan
    confidence = np.linspace(0, 1, 19)
    before = LandmarkSet(CEPHALOMETRIC, points, tuple(status), confidence)
    text = json.dumps(markups_to_dict(before, geometry)).encode()
    after = parse_markups(text, CEPHALOMETRIC, geometry)
    assert after.status == before.status
    assert np.allclose(after.points, before.points, atol=1e-6, equal_nan=True)
    assert np.allclose(after.confidence, confidence)


def content(triangle: Protocol, **markup: object) -> dict:
    """A markups file of three placed landmarks, with some keys of the markup replaced."""
    landmarks = LandmarkSet.from_points(triangle, [[1, 50], [70, 50], [40, 10]], Status.CONFIRMED)
    result = markups_to_dict(landmarks, GEOMETRY)
    result["markups"][0].update(markup)
    return result


def parse(triangle: Protocol, data: dict) -> LandmarkSet:
    return parse_markups(json.dumps(data).encode(), triangle, GEOMETRY, "label.mrk.json")


def test_the_file_follows_the_schema(triangle: Protocol) -> None:
    data = content(triangle)
    assert data["@schema"].endswith("markups-schema-v1.0.3.json#")
    markup = data["markups"][0]
    assert (markup["type"], markup["coordinateSystem"]) == ("Fiducial", "LPS")
    assert markup["fixedNumberOfControlPoints"] is True
    assert [point["label"] for point in markup["controlPoints"]] == ["left", "right", "top"]
    assert markup["controlPoints"][0]["position"] == pytest.approx([5 + 1 * 0.2, -7 + 50 * 0.3, 0.0])


def test_absent_landmarks_have_no_position(triangle: Protocol) -> None:
    landmarks = LandmarkSet.from_points(triangle, [[1, 50], [np.nan, np.nan], [40, 10]]).without_point(
        "top", Status.UNDEFINED
    )
    points = markups_to_dict(landmarks, GEOMETRY)["markups"][0]["controlPoints"]
    assert [point["positionStatus"] for point in points] == ["defined", "missing", "undefined"]
    assert ["position" in point for point in points] == [True, False, False]


@pytest.mark.parametrize("position", ["", None, [], [0, 0, 0], [1.0, 2.0, 3.0], "absent"])
@pytest.mark.parametrize("state", ["missing", "undefined"])
def test_however_slicer_writes_an_absent_position(triangle: Protocol, position: object, state: str) -> None:
    data = content(triangle)
    point = data["markups"][0]["controlPoints"][1]
    point.update(position=position, positionStatus=state)
    if position == "absent":
        del point["position"]
    landmarks = parse(triangle, data)
    assert landmarks.status[1] is Status(state)
    assert np.isnan(landmarks["right"]).all()


def test_a_point_without_position_and_state_is_undefined(triangle: Protocol) -> None:
    data = content(triangle)
    point = data["markups"][0]["controlPoints"][1]
    point["position"] = ""
    del point["positionStatus"]
    assert parse(triangle, data).status[1] is Status.UNDEFINED


@pytest.mark.parametrize(("system", "sign"), [("LPS", 1), ("RAS", -1), (1, 1), (0, -1), ("1", 1)])
def test_both_coordinate_systems_of_any_schema(triangle: Protocol, system: object, sign: int) -> None:
    data = content(triangle, coordinateSystem=system)
    for point in data["markups"][0]["controlPoints"]:
        x, y, z = point["position"]
        point["position"] = [sign * x, sign * y, z]
    assert parse(triangle, data)["top"] == pytest.approx([40, 10])


@pytest.mark.parametrize("version", ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.1.0"])
def test_any_schema_1_is_read(triangle: Protocol, version: str) -> None:
    data = content(triangle)
    data["@schema"] = f"https://example.org/markups-schema-v{version}.json#"
    assert parse(triangle, data).placed.all()


def test_points_in_another_order_come_back_in_the_protocols(triangle: Protocol) -> None:
    data = content(triangle)
    data["markups"][0]["controlPoints"].reverse()
    assert parse(triangle, data)["left"] == pytest.approx([1, 50])


def test_a_point_that_a_person_made_elsewhere_counts_as_corrected(triangle: Protocol) -> None:
    data = content(triangle)
    data["markups"][0]["controlPoints"][0]["description"] = "my remark"
    assert parse(triangle, data).status == (Status.CORRECTED, Status.CONFIRMED, Status.CONFIRMED)


def test_a_confidence_outside_0_to_1_is_none(triangle: Protocol) -> None:
    data = content(triangle, measurements=[{"name": "confidence", "controlPointValues": [0.5, -1.0, 3.0]}])
    assert np.allclose(parse(triangle, data).confidence, [0.5, np.nan, np.nan], equal_nan=True)


def _unknown(data: dict) -> None:
    data["markups"][0]["controlPoints"][0]["label"] = "F-1"


def _twice(data: dict) -> None:
    data["markups"][0]["controlPoints"][0]["label"] = "top"


def _fewer(data: dict) -> None:
    del data["markups"][0]["controlPoints"][1]


def _nan(data: dict) -> None:
    data["markups"][0]["controlPoints"][0]["position"] = [float("nan"), 0, 0]


def _short(data: dict) -> None:
    data["markups"][0]["controlPoints"][0]["position"] = [1, 2]


def _elsewhere(data: dict) -> None:
    data["markups"][0]["controlPoints"][0]["position"][2] = 44.0


def _huge(data: dict) -> None:
    data["markups"][0]["controlPoints"][0]["position"][0] = 10**400


def _units(data: dict) -> None:
    data["markups"][0]["coordinateUnits"] = "cm"


def _unplaced(data: dict) -> None:
    data["markups"][0]["controlPoints"][0].update(position=None, positionStatus="defined")


def _system(data: dict) -> None:
    data["markups"][0]["coordinateSystem"] = "IJK"


def _line(data: dict) -> None:
    data["markups"][0]["type"] = "Line"


def _two_lists(data: dict) -> None:
    data["markups"].append(data["markups"][0])


def _schema(data: dict) -> None:
    data["@schema"] = "https://example.org/markups-schema-v2.0.0.json#"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_unknown, "label.mrk.json: F-1: not a landmark of triangle, which has left, right, top"),
        (_twice, "top given more than once"),
        (_fewer, r"2 points, but triangle has 3; right not there"),
        (_nan, r"landmark left has position \[nan, 0, 0\]; expected three finite numbers in mm"),
        (_short, r"landmark left has position \[1, 2\]"),
        (_elsewhere, "landmark left lies 44.0 mm from the plane of the image"),
        (_huge, r"landmark left has position \[1000.*; expected three finite numbers in mm"),
        (_units, "coordinateUnits cm; expected mm"),
        (_unplaced, "landmark left has position None; expected three finite numbers"),
        (_system, "coordinateSystem 'IJK'; expected LPS or RAS"),
        (_line, r"expected one point list \(Fiducial\), got 0 \(markups: Line\)"),
        (_two_lists, r"expected one point list \(Fiducial\), got 2"),
        (_schema, "expected any 1.x"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(triangle: Protocol, spoil, sentence: str) -> None:  # type: ignore[no-untyped-def]
    data = content(triangle)
    spoil(data)
    with pytest.raises(LabelError, match=sentence) as caught:
        parse(triangle, data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "the file is empty"),
        (b"  \n", "the file is empty"),
        (b"hello", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[1, 2]", "it has no list 'markups'"),
        (b'{"markups": 3}', "it has no list 'markups'"),
        (b'{"markups": [{"type": "Fiducial", "controlPoints": 5}]}', "'controlPoints' must be a list"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_no_markups_file_is_refused(triangle: Protocol, data: bytes, sentence: str) -> None:
    with pytest.raises(LabelError, match=sentence):
        parse_markups(data, triangle, GEOMETRY)


def test_files(triangle: Protocol, tmp_path: Path) -> None:
    landmarks = LandmarkSet.from_points(triangle, [[1, 50], [70, 50], [40, 10]])
    path = tmp_path / "a.mrk.json"
    write_markups(landmarks, GEOMETRY, path)
    assert np.allclose(read_markups(path, triangle, GEOMETRY).points, landmarks.points)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(LabelError, match="can't be read"):
        read_markups(tmp_path / "b.mrk.json", triangle, GEOMETRY)


NAMES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=64),
    min_size=1,
    max_size=5,
    unique=True,
)


@given(st.data(), geometries(), NAMES, st.sampled_from([("LPS", [1, 1, 1]), ("RAS", [-1, -1, 1])]))
def test_points_that_no_protocol_has_are_found_where_they_were_placed(
    data: st.DataObject, geometry: Geometry, names: list[str], system: tuple[str, list[int]]
) -> None:
    points = data.draw(points_in(geometry.size, len(names)))
    world = [geometry.origin + np.reshape(geometry.direction, (3, 3)) @ [*(p * geometry.spacing), 0] for p in points]
    control_points = [
        {"label": f" {name} ", "position": (place * system[1]).tolist()}
        for name, place in zip(names, world, strict=True)
    ]
    markup = {"type": "Fiducial", "coordinateSystem": system[0], "controlPoints": control_points}
    text = json.dumps({"markups": [markup]}).encode()
    found = parse_named_points(text, geometry)
    assert list(found) == names
    assert np.allclose(list(found.values()), points, atol=1e-5)


def named(*points: dict[str, object]) -> bytes:
    control_points = [{"label": "M", "position": [6.0, -6.0, 0.0], **point} for point in points]
    return json.dumps({"markups": [{"type": "Fiducial", "controlPoints": control_points}]}).encode()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (named(), "new: no points; expected one or more"),
        (named({}, {"label": " M "}), "new: M given more than once"),
        (named({"label": "x" * 65}), "new: 'x{65}' can't be the label of a landmark; expected 1 to 64 characters"),
        (named({"label": " "}), "new: ' ' can't be the label of a landmark"),
        (named({"label": "a\tb"}), r"new: 'a\\tb' can't be the label of a landmark"),
        (named({"label": "\ud800"}), r"new: '\\ud800' can't be the label of a landmark"),
        (named({"label": 7}), "new: '7' can't be the label of a landmark"),
        (named({"label": None}), "new: 'None' can't be the label of a landmark"),
        (named({"position": [1, 2]}), r"new: landmark M has position \[1, 2\]; expected three finite numbers"),
        (named({"positionStatus": "missing"}), "new: landmark M has no position; expected a place on the image"),
        (named({"position": [6.0, -6.0, 9.0]}), "new: landmark M lies 9.0 mm from the plane of the image"),
        (named({"position": [4.0, -6.0, 0.0]}), r"new: M at \(-5.0, 3.3\) lies outside the image, .* \(99, 79\)"),
        (b"", "new: the file is empty"),
        (b'{"markups": [{"type": "Fiducial", "controlPoints": 5}]}', "new: 'controlPoints' must be a list"),
    ],
)
def test_points_that_can_be_no_landmark_are_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(LabelError, match=sentence) as caught:
        parse_named_points(data, GEOMETRY, "new")
    assert "\n" not in str(caught.value)


def test_named_points_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mrk.json"
    path.write_bytes(named({}, {"label": "Cd", "position": [5.0, -7.0, 0.0]}))
    found = read_named_points(path, GEOMETRY)
    assert list(found) == ["M", "Cd"]
    assert np.allclose(list(found.values()), [(5.0, 10 / 3), (0.0, 0.0)])
    with pytest.raises(LabelError, match="b.mrk.json: can't be read"):
        read_named_points(tmp_path / "b.mrk.json", GEOMETRY)


def prediction(triangle: Protocol, path: Path, second: Status = Status.PREDICTED, confidence: float = 0.7) -> Path:
    """A model's answer as it is written; or with another state of the second landmark."""
    points = np.array([[1, 50.3], [70, 50], [40, 10]])
    points[1, :] *= 1 if second.placed else np.nan
    states = (Status.PREDICTED, second, Status.PREDICTED)
    write_markups(LandmarkSet(triangle, points, states, np.array([0.1, confidence, 1])), GEOMETRY, path)
    return path


@pytest.mark.parametrize("given", [(), (Status.PREDICTED, 0.0), (Status.MISSING, 0.0)])
def test_a_models_answer_is_known_as_nobodys_work(triangle: Protocol, tmp_path: Path, given: tuple) -> None:
    """Also one in which it has found nothing of a landmark."""
    assert is_plain_prediction(prediction(triangle, tmp_path / "x.mrk.json", *given))


@pytest.mark.parametrize("confidence", [0.7, np.nan])
@pytest.mark.parametrize("status", [Status.CORRECTED, Status.CONFIRMED, Status.MISSING, Status.UNDEFINED])
def test_one_point_that_a_person_has_settled_makes_it_somebodys(
    triangle: Protocol, tmp_path: Path, status: Status, confidence: float
) -> None:
    assert not is_plain_prediction(prediction(triangle, tmp_path / "x.mrk.json", status, confidence))


def test_what_slicer_has_saved_is_somebodys_whatever_it_calls_its_points(triangle: Protocol, tmp_path: Path) -> None:
    """A point that is dragged there without the module keeps its description."""
    path = prediction(triangle, tmp_path / "x.mrk.json")
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=4))
    assert not is_plain_prediction(path)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b'{"markups": []}', b"[" * 100_000])
def test_a_file_that_can_not_be_read_may_be_somebodys(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.mrk.json").write_bytes(data)
    assert not is_plain_prediction(tmp_path / "x.mrk.json")
    assert not is_plain_prediction(tmp_path)
