"""Automatic landmarks and labels over HTTP, and every mistake answered with one sentence."""

import json
import re
import shutil
from email import message_from_bytes
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from servers import Server, publish

import tiny
from landmarklabel.markups import parse_markups
from landmarklabel.modelfile import read_header
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry

pytestmark = pytest.mark.slow
GEOMETRY = Geometry(tiny.SIZE)


def markups_of(server: Server, image: str) -> dict:
    response = server("POST", f"/infer/landmarks?image={image}&output=image")
    assert response.status_code == 200
    content: dict = response.json()
    return content


def test_info_says_what_there_is(server: Server) -> None:
    info = server.get("/info/")
    assert info["name"] == "landmarklabel"
    assert info["labels"] == ["left", "right", "top"]
    assert list(info["models"]) == ["landmarks", "refine", "segmentation"]
    assert list(info["trainers"]) == ["farnet", "interactive", "denseseg"]
    assert info["missing"] == {}
    assert info["datastore"]["total"] == 26
    assert info["datastore"]["completed"] >= 24
    assert [landmark["label"] for landmark in info["protocol"]["landmarks"]] == ["left", "right", "top"]


def test_the_answer_is_as_the_contract_has_it(server: Server, trained: Path) -> None:
    answer = server.infer("image_025")
    assert answer.keys() >= {"landmarks", "review_order", "measurements", "model", "timings"}
    assert [landmark["label"] for landmark in answer["landmarks"]] == ["left", "right", "top"]
    true = tiny.triangle_image(25)[1]
    for landmark, point in zip(answer["landmarks"], true, strict=True):
        assert landmark.keys() == {"label", "position", "pixel", "confidence", "status", "trusted"}
        assert landmark["status"] == "predicted"
        assert landmark["position"] == pytest.approx([*landmark["pixel"], 0.0])
        assert np.hypot(*(np.array(landmark["pixel"]) - point)) < 2
        assert 0 < landmark["confidence"] <= 1
    assert sorted(answer["review_order"]) == ["left", "right", "top"]
    header = read_header(trained)
    assert answer["model"]["version"] == header.version
    assert answer["model"]["protocol"] == "triangle"
    assert answer["model"]["trained_on"]["training_images"] == header.data["training_images"]
    assert {"seen", "trained"} <= header.data.keys()
    assert not {"seen", "trained"} & answer["model"]["trained_on"].keys()
    assert answer["timings"].keys() == {"load", "preprocess", "network", "decode", "measure"}
    assert answer["spacing"] == {"mm_per_pixel": [1.0, 1.0], "source": "unknown"}


def test_nothing_jumps_when_corrections_begin(server: Server) -> None:
    """Who places a landmark where it is shown sees the others stay."""
    server.wait_until_looked_at("image_025", server.get("/datastore/")["completed"])
    first = server.refine("image_025")["landmarks"]
    again = server.refine("image_025", corrections={"top": first[2]["position"]})["landmarks"]
    for before, after in zip(first, again, strict=True):
        assert before["pixel"] == pytest.approx(after["pixel"], abs=0.3)


def test_file_and_json_come_together(server: Server, triangle: Protocol) -> None:
    """As the stock clients ask: multipart with the markups file and the parameters."""
    response = server("POST", "/infer/landmarks?image=image_025")
    message = message_from_bytes(
        b"Content-Type: " + response.headers["content-type"].encode() + b"\r\n\r\n" + response.content
    )
    parts = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}  # type: ignore[union-attr]
    answer = json.loads(parts["params"].get_payload(decode=True))  # type: ignore[union-attr, arg-type]
    assert parts["image"].get_filename().endswith(".mrk.json")  # type: ignore[union-attr]
    landmarks = parse_markups(parts["image"].get_payload(decode=True), triangle, GEOMETRY)  # type: ignore[union-attr, arg-type]
    expected = [landmark["pixel"] for landmark in answer["landmarks"]]
    assert np.allclose(landmarks.points, expected, atol=1e-9)


def test_a_file_sent_along_is_answered(server: Server, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(tiny.triangle_image(40)[0])
    image.SetSpacing((0.2, 0.4))
    image.SetOrigin((10.0, -5.0))
    sitk.WriteImage(image, str(tmp_path / "x.nrrd"))
    with (tmp_path / "x.nrrd").open("rb") as file:
        answer = server("POST", "/infer/landmarks?output=json", files={"file": ("x.nrrd", file)}).json()
    left = answer["landmarks"][0]
    assert left["position"][:2] == pytest.approx([10 + 0.2 * left["pixel"][0], -5 + 0.4 * left["pixel"][1]])
    assert answer["spacing"] == {"mm_per_pixel": [0.2, 0.4], "source": "file"}


def test_a_session_image_is_answered(server: Server, tmp_path: Path) -> None:
    Image.fromarray(tiny.triangle_image(41)[0]).save(tmp_path / "x.png")
    with (tmp_path / "x.png").open("rb") as file:
        session = server("PUT", "/session/", files={"files": ("x.png", file)}).json()["session_id"]
    answer = server("POST", f"/infer/landmarks?session_id={session}&output=json").json()
    assert len(answer["landmarks"]) == 3


def test_a_corrected_label_is_kept_to_the_last_digit(server: Server, triangle: Protocol) -> None:
    markups = markups_of(server, "image_024")
    moved = [31.123456789012345, 11.987654321098765, 0.0]
    markups["markups"][0]["controlPoints"][2].update(position=moved, description="corrected")
    sent = json.dumps(markups).encode()
    assert server.put_label("image_024", sent, user="reader 1", clicks=1).json() == {
        "image": "image_024", "label": "image_024"
    }  # fmt: skip
    stored = server("GET", "/datastore/label?label=image_024&tag=final").content
    assert stored == sent
    landmarks = parse_markups(stored, triangle, GEOMETRY)
    assert landmarks["top"].tolist() == moved[:2]
    info = server.get("/datastore/label/info?label=image_024&tag=final")
    assert (info["clicks"], info["protocol"], info["landmarks"]) == (1, "triangle", {"predicted": 2, "corrected": 1})


def test_missing_landmarks_are_kept_as_missing(server: Server, triangle: Protocol) -> None:
    markups = markups_of(server, "image_001")
    point = markups["markups"][0]["controlPoints"][1]
    point.update(position="", positionStatus="missing")
    assert server.put_label("image_001", markups, tag="draft").status_code == 200
    stored = server("GET", "/datastore/label?label=image_001&tag=draft").content
    assert parse_markups(stored, triangle, GEOMETRY).status[1].value == "missing"
    assert server("DELETE", "/datastore/label?id=image_001&tag=draft").status_code == 200
    assert server("GET", "/datastore/label?label=image_001&tag=draft").status_code == 404


def test_the_next_image_is_one_without_a_label(server: Server) -> None:
    labelled = {
        name for name, entry in server.get("/datastore/?output=all")["objects"].items() if "final" in entry["labels"]
    }
    for strategy in ("random", "first"):
        assert server("POST", f"/activelearning/{strategy}").json()["id"] not in labelled


def test_images_are_uploaded_checked_and_not_replaced(server: Server, tmp_path: Path) -> None:
    def upload(seed: int, name: str = "new one") -> int:
        Image.fromarray(tiny.triangle_image(seed)[0]).save(tmp_path / "x.png")
        with (tmp_path / "x.png").open("rb") as file:
            return server("PUT", f"/datastore/image?image={name}", files={"file": ("x.png", file)}).status_code

    assert upload(50) == 200
    assert len(server.infer("new one")["landmarks"]) == 3
    label = json.dumps(markups_of(server, "new one")).encode()
    assert server.put_label("new one", label).status_code == 200
    # The same image again keeps its label; another one is refused.
    assert upload(50) == 200
    assert upload(51) == 409
    assert server("GET", "/datastore/label?label=new one&tag=final").content == label
    assert server("DELETE", "/datastore/image?id=new one").status_code == 200
    assert server("POST", "/infer/landmarks?image=new one").status_code == 404


def bad_label(server: Server, **changes: object) -> bytes:
    markups = markups_of(server, "image_002")
    markups["markups"][0]["controlPoints"][0].update(changes)
    return json.dumps(markups).encode()


def fewer_points(server: Server) -> bytes:
    markups = markups_of(server, "image_002")
    del markups["markups"][0]["controlPoints"][0]
    return json.dumps(markups).encode()


BAD_LABELS = [
    (lambda s: bad_label(s, label="F-1"), 422, "F-1: not a landmark of triangle, which has left, right, top"),
    (fewer_points, 422, "label of image_002: 2 points, but triangle has 3; left not there"),
    (lambda s: bad_label(s, position=[1000, 5, 0]), 422, r"left at \(1000.0, 5.0\): outside the image"),
    (lambda s: bad_label(s, position=[float("nan"), 5, 0]), 422, r"left has position \[nan, 5, 0\]"),
    (lambda s: bad_label(s, position=[5, 5, 70]), 422, "left lies 70.0 mm from the plane of the image"),
    (lambda s: b"", 422, "label of image_002: the file is empty"),
    (lambda s: b"MZ\x90\x00", 422, "label of image_002: not JSON"),
    (lambda s: b"{}", 422, "it has no list 'markups'"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "status", "sentence"), BAD_LABELS)
def test_bad_labels(server: Server, make, status: int, sentence: str) -> None:  # type: ignore[no-untyped-def]
    before = server("GET", "/datastore/label?label=image_002&tag=final").content
    answer = server.put_label("image_002", make(server))
    assert answer.status_code == status
    assert_sentence(answer.json()["detail"], sentence)
    assert server("GET", "/datastore/label?label=image_002&tag=final").content == before


def assert_sentence(detail: str, expected: str) -> None:
    assert re.search(expected, detail), detail
    assert "\n" not in detail
    assert "Traceback" not in detail


BAD_FILES = {
    "empty": (b"", 422, "the file sent is empty; expected a radiograph"),
    "text": (b"hello\n", 415, "the file sent is a text file; expected a radiograph"),
    "program": (b"MZ\x90\0" + bytes(600), 415, "the file sent is of no known image format"),
    "half a PNG": (b"\x89PNG\r\n\x1a\n" + bytes(40), 422, "the file sent: damaged, can't be decoded"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_images(server: Server, name: str) -> None:
    content, status, sentence = BAD_FILES[name]
    files = {"file": ("x.png", content)}
    answer = server("POST", "/infer/landmarks?output=json", files=files)
    assert answer.status_code == status
    assert_sentence(answer.json()["detail"], sentence)
    answer = server("PUT", "/datastore/image?image=bad", files=files)
    assert answer.status_code == status
    assert_sentence(answer.json()["detail"], sentence.replace("the file sent", "image bad"))
    assert server("GET", "/datastore/image?image=bad").status_code == 404


def test_volumes_and_films_are_refused(server: Server, tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 6, 5), np.uint8)), str(tmp_path / "v.nrrd"))
    with (tmp_path / "v.nrrd").open("rb") as file:
        answer = server("POST", "/infer/landmarks", files={"file": ("v.nrrd", file)})
    assert answer.status_code == 422
    assert_sentence(answer.json()["detail"], "is a volume of 5 x 6 x 4; expected one single 2D image")


REFUSED = [
    ("POST", "/infer/landmarks?image=nobody", 404, r"there is no image 'nobody' in these studies \(\d+ images\)"),
    ("POST", "/infer/landmarks?image=/etc/passwd", 404, "there is no image '/etc/passwd'"),
    ("POST", "/infer/landmarks?image=../studies/image_001.png", 404, "there is no image '../studies"),
    ("POST", "/infer/landmarks", 400, "which image"),
    ("POST", "/infer/everything?image=image_001", 404, "there is no model 'everything'; there are landmarks"),
    ("GET", "/datastore/image/info?image=nobody", 404, "there is no image 'nobody'"),
    (
        "GET",
        "/datastore/label/info?label=image_001&tag=draft",
        404,
        "there is no label 'draft' of the image 'image_001'",
    ),
    ("DELETE", "/datastore/image?id=nobody", 404, "nobody"),
    ("DELETE", "/datastore/label?id=image_001&tag=draft", 404, "there is no label 'draft'"),
    (
        "POST",
        "/activelearning/best",
        404,
        "there is no strategy 'best'; there are mixed, uncertain, diverse, random, first",
    ),
    ("POST", "/train/everything", 404, "there is no train task 'everything'; there are farnet"),
]


@pytest.mark.parametrize(("method", "path", "status", "sentence"), REFUSED)
def test_what_is_not_there(server: Server, method: str, path: str, status: int, sentence: str) -> None:
    answer = server(method, path)
    assert answer.status_code == status, answer.text
    assert_sentence(answer.json()["detail"], sentence)


def test_a_path_in_the_parameters_is_no_image(server: Server) -> None:
    """MONAI Label lets parameters overwrite the image of a request."""
    for params in ({"image": "/etc/passwd"}, {"image": "/etc/passwd", "session": "x"}):
        answer = server("POST", "/infer/landmarks?image=image_001", data={"params": json.dumps(params)})
        assert answer.status_code == 404


def test_names_that_leave_their_folder(server: Server) -> None:
    label = json.dumps(markups_of(server, "image_001"))
    assert server.put_label("image_001", label, tag="../../x").status_code == 400
    with (server.studies / "image_001.png").open("rb") as file:
        answer = server("PUT", "/datastore/image?image=../escaped", files={"file": ("x.png", file)})
    assert answer.status_code == 400
    assert_sentence(answer.json()["detail"], "image id '../escaped': letters, digits")
    assert not list(server.folder.glob("escaped*"))


def test_parameters_that_are_no_json(server: Server) -> None:
    answer = server("POST", "/infer/landmarks?image=image_001", data={"params": "{bad"})
    assert answer.status_code == 400
    assert_sentence(answer.json()["detail"], "the parameters are not valid JSON")


UNKEPT = ["[1]", '"text"', '{"seconds": NaN}', '{"reader": "\\ud800"}', '{"reader": Infinity}']


@pytest.mark.parametrize("params", UNKEPT)
def test_notes_that_can_not_be_kept(server: Server, params: str) -> None:
    """They are refused before anything is written; the index can be read on."""
    label = json.dumps(markups_of(server, "image_002"))
    before = server.get("/datastore/label/info?label=image_002&tag=final")
    with (server.studies / "image_002.png").open("rb") as file:
        image = server("PUT", "/datastore/image?image=noted", files={"file": ("x.png", file)}, data={"params": params})
    files = {"label": ("x.mrk.json", label)}
    put = server("PUT", "/datastore/label?image=image_002&tag=final", files=files, data={"params": params})
    info = server("PUT", "/datastore/label/info?label=image_002&tag=final", data={"info": params})
    for answer in (image, put, info):
        assert answer.status_code == 400, answer.text
        assert "JSON" in answer.json()["detail"]
    assert server.get("/datastore/label/info?label=image_002&tag=final") == before
    assert "noted" not in server.get("/datastore/?output=all")["objects"]


WRONG_KINDS = [
    ("POST", "/infer/landmarks?image=image_001", {"data": {"params": "[1]"}}, 400),
    ("POST", "/infer/landmarks?image=image_001", {"data": {"params": "null"}}, 400),
    ("POST", "/infer/landmarks?image=image_001", {"data": {"params": '{"save_label": true, "label_tag": 5}'}}, 400),
    ("POST", "/infer/landmarks?image=image_001", {"data": {"params": '{"model": ["a"]}'}}, 404),
    ("POST", "/infer/landmarks?image=/tmp/" + 300 * "x", {}, 404),
    ("POST", "/infer/landmarks?image=image_001&output=xml", {}, 422),
    ("POST", "/infer/landmarks?image=image_001&output=dicom_seg", {}, 400),
    ("POST", "/activelearning/random", {"json": {"seed": [1]}}, 400),
    ("PUT", "/datastore/label?tag=final", {"files": {"label": ("x.mrk.json", "{}")}}, 422),
    ("DELETE", "/datastore/image", {}, 422),
    ("POST", "/train/farnet", {"data": "{bad"}, 422),
]


@pytest.mark.parametrize(("method", "path", "options", "status"), WRONG_KINDS)
def test_parameters_of_the_wrong_kind(server: Server, method: str, path: str, options: dict, status: int) -> None:
    answer = server(method, path, **options)
    assert answer.status_code == status, answer.text
    assert_sentence(answer.json()["detail"], "")


@pytest.mark.parametrize("name", [100 * "\u00e4" + "b", "line\n"])
def test_ids_that_no_file_can_have(server: Server, name: str) -> None:
    with (server.studies / "image_001.png").open("rb") as file:
        answer = server("PUT", "/datastore/image", params={"image": name}, files={"file": ("x.png", file)})
    assert answer.status_code == 400, answer.text


def test_a_deleted_image_may_come_back_at_once(server: Server) -> None:
    picture = (server.studies / "image_001.png").read_bytes()
    other = (server.studies / "image_002.png").read_bytes()
    for content in (picture, other, picture):
        put = server("PUT", "/datastore/image?image=again", files={"file": ("x.png", content)})
        assert put.status_code == 200, put.text
        assert server("DELETE", "/datastore/image?id=again").status_code == 200
        assert server("POST", "/infer/landmarks?image=again").status_code == 404


def test_the_ending_of_an_upload_is_that_of_its_content(server: Server) -> None:
    picture = (server.studies / "image_001.png").read_bytes()
    assert server("PUT", "/datastore/image?image=ended", files={"file": ("x.dcm", picture)}).status_code == 200
    assert (server.studies / "ended.png").read_bytes() == picture
    assert server("DELETE", "/datastore/image?id=ended").status_code == 200


def test_files_that_are_renamed_into_place_are_noticed(server: Server) -> None:
    part = server.studies / ".moved.part"
    shutil.copy(server.studies / "image_001.png", part)
    part.rename(server.studies / "moved.png")
    server.wait_for(lambda: "moved" in server.get("/datastore/?output=all")["objects"], 20)
    (server.studies / "moved.png").unlink()
    server.wait_for(lambda: "moved" not in server.get("/datastore/?output=all")["objects"], 20)


def test_a_damaged_model_is_never_served(server: Server, trained: Path) -> None:
    """Nor one of another protocol, nor the one that was loaded before."""
    published = server.models / "triangle" / "landmarks.safetensors"
    version = server.infer("image_001")["model"]["version"]
    try:
        data = bytearray(trained.read_bytes())
        data[-1000] ^= 4
        published.write_bytes(data)
        answer = server("POST", "/infer/landmarks?image=image_001")
        assert answer.status_code == 409
        assert_sentence(answer.json()["detail"], "landmarks.safetensors is damaged: it is not what was saved")
        info = server.get("/info/")
        assert info["models"] == {}
        for task in ("landmarks", "refine", "segmentation"):  # the labels of the study could answer, but not as well
            assert "is damaged" in info["missing"][task]
        answer = server("POST", "/infer/refine?image=image_001")
        assert answer.status_code == 409
        assert_sentence(answer.json()["detail"], "landmarks.safetensors is damaged")
        published.unlink()
        answer = server("POST", "/infer/landmarks?image=image_001")
        assert answer.status_code == 409
        assert_sentence(answer.json()["detail"], "there is no model for 'landmarks' of triangle yet: train one")
    finally:
        publish(server, trained)
    assert server.infer("image_001")["model"]["version"] == version


def test_no_answer_was_a_bare_500(server: Server) -> None:
    """Runs last in this file: nothing that was sent above made the server stumble."""
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "Internal Server Error" not in log


def test_labels_and_their_info_survive_a_restart(server: Server) -> None:
    label = json.dumps(markups_of(server, "image_025")).encode()
    assert server.put_label("image_025", label, user="reader 2", seconds=12.5).status_code == 200
    info = server.get("/datastore/label/info?label=image_025&tag=final")
    server.stop()
    shutil.rmtree(server.folder / "app")
    server.start()
    assert server("GET", "/datastore/label?label=image_025&tag=final").content == label
    assert server.get("/datastore/label/info?label=image_025&tag=final") == info
    assert info["seconds"] == 12.5
