"""Structures over HTTP: a network that segments is trained, answers, and finds landmarks that nobody trained."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from label_files import markups
from servers import Server, prepare

import tiny
from landmarklabel.io.segmentations import read_segmentation, write_segmentation
from landmarklabel.modelfile import read_header
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry
from landmarklabel.segmentation import Segmentation
from landmarklabel.uvmaps import Regions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Iterator[Server]:
    """A running server that has trained a model of segmentation."""
    running = prepare(tmp_path_factory.mktemp("mapped") / "s", triangle)
    try:
        running.start()
        assert "POST /train/denseseg" in running.get("/info/")["missing"]["segmentation"]
        stats = running.train("denseseg")
        assert (stats["state"], stats["published"], stats["published_mre"]) == ("done", True, None)
        yield running
    finally:
        running.stop()


def file_of(server: Server, image: str, **params: object) -> bytes:
    url = f"/infer/segmentation?image={image}&output=image"
    response = server("POST", url, data={"params": json.dumps(params)})
    assert response.status_code == 200, response.text
    return response.content


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def true_masks(number: int, protocol: Protocol) -> np.ndarray:
    return Regions.of(protocol).masks(tiny.triangle_image(number)[1], tiny.SIZE)


def test_what_was_trained_answers(mapped: Server, tmp_path: Path, triangle: Protocol) -> None:
    """On images that it has not seen: structures, landmarks, and a file that is read back by name."""
    answer = mapped.segment("image_025")
    assert answer["model"]["name"] == "tiny_denseseg"
    published = mapped.models / "triangle" / "segmentation.safetensors"
    assert answer["model"]["version"] == read_header(published).version
    points = np.array([landmark["pixel"] for landmark in answer["landmarks"]])
    assert np.linalg.norm(points - tiny.triangle_image(25)[1], axis=1).mean() < 4
    assert sorted(answer["timings"]) == ["decode", "load", "measure", "network", "preprocess", "segment"]
    path = tmp_path / "answer.seg.nrrd"
    path.write_bytes(file_of(mapped, "image_025"))
    found = read_segmentation(path, Geometry(tiny.SIZE), ["outline"])
    assert overlap(found.masks, true_masks(25, triangle)) > 0.7
    assert sitk.ReadImage(str(path)).GetMetaData("Segment0_Name") == "outline"
    assert answer["structures"][0]["pixels"] == found.masks.sum()
    info = mapped.get("/info/")
    assert "segmentation" not in info["missing"]
    task = info["models"]["segmentation"]
    assert (task["type"], task["labels"]) == ("segmentation", ["outline"])
    again = mapped.segment("image_025")
    assert (again["timings"]["network"], again["landmarks"]) == (0, answer["landmarks"])


def test_corrections_are_answered_by_the_maps(mapped: Server) -> None:
    """Where there is no model of landmarks, what is in the uv-maps follows clicks: the others stay near, it exactly."""
    true = tiny.triangle_image(25)[1]
    answer = mapped.refine("image_025", corrections={"top": [*true[2], 0.0]})
    assert answer["model"]["name"] == "tiny_denseseg"
    points = np.array([landmark["pixel"] for landmark in answer["landmarks"]])
    assert points[2].tolist() == true[2].tolist()
    assert np.linalg.norm(points - true, axis=1).mean() < 4


def test_an_answer_is_a_label(mapped: Server) -> None:
    """As MONAI Label's own clients save them."""
    params = json.dumps({"save_label": True, "label_tag": "original"})
    assert mapped("POST", "/infer/segmentation?image=image_025", data={"params": params}).status_code == 200
    kept = mapped.get("/datastore/?output=all")["objects"]["image_025"]["labels"]
    assert list(kept) == ["original_segmentation"]


def test_uv_maps_on_request(mapped: Server, tmp_path: Path) -> None:
    path = tmp_path / "maps.nrrd"
    path.write_bytes(file_of(mapped, "image_025", result="uv_map"))
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
    left, right, top = (np.rint(landmark["pixel"]).astype(int) for landmark in mapped.segment("image_025")["landmarks"])
    middle = (left + right + top) // 3
    assert values.shape == (*tiny.SIZE[::-1], 2)
    u, v = values[middle[1], middle[0]]
    assert abs(u) < 0.6
    assert -0.4 < v < 1  # the lower two of three corners have v = 1


def test_results_that_are_none(mapped: Server) -> None:
    for result in ("mesh", ["uv_map"]):
        answer = mapped("POST", "/infer/segmentation?image=image_025", data={"params": json.dumps({"result": result})})
        assert answer.status_code == 400
        assert "result: expected one of segmentation, uv_map, landmarks" in answer.json()["detail"]


def test_a_landmark_that_nobody_trained(mapped: Server, tmp_path: Path) -> None:
    """Placed once, in the middle of a triangle, it is found in the middle of others; deleted, it is gone."""

    def put(number: int, **points: tuple[float, float]) -> None:
        label = ("x.mrk.json", markups(tmp_path / "x.mrk.json", **points).read_bytes())
        url = f"/datastore/label?image=image_{number:03d}&tag=derived"
        assert mapped("PUT", url, files={"label": label}).status_code == 200

    def delete(number: int) -> None:
        assert mapped("DELETE", f"/datastore/label?id=image_{number:03d}&tag=derived").status_code == 200

    x, y = tiny.triangle_image(0)[1].mean(axis=0)
    put(0, middle=(x, y), far=(62, 2))
    distances = []
    for number in (24, 25):
        answer = mapped.segment(f"image_{number:03d}")
        (new,) = [landmark for landmark in answer["landmarks"] if landmark.get("derived")]
        assert (new["label"], new["status"]) == ("middle", "predicted")
        assert new["position"][:2] == pytest.approx(new["pixel"])
        distances.append(np.linalg.norm(new["pixel"] - tiny.triangle_image(number)[1].mean(axis=0)))
        (unknown,) = answer["underived"]
        assert unknown["label"] == "far"
    assert np.mean(distances) < 4
    there = {landmark["label"]: landmark for landmark in mapped.segment("image_000")["landmarks"]}
    assert there["middle"]["pixel"] == pytest.approx([x, y], abs=1e-9)
    assert (there["middle"]["status"], there["far"]["pixel"]) == ("corrected", [62, 2])
    put(25, middle=(20.0, 20.0))
    there = {landmark["label"]: landmark for landmark in mapped.segment("image_025")["landmarks"]}
    assert there["middle"]["pixel"] == [20, 20]
    delete(0)
    # An image without final landmarks: the model's own map of it tells the place.
    put(25, middle=tuple(tiny.triangle_image(25)[1].mean(axis=0)))
    new = mapped.segment("image_024")["landmarks"][-1]
    assert np.linalg.norm(new["pixel"] - tiny.triangle_image(24)[1].mean(axis=0)) < 5
    delete(25)
    answer = mapped.segment("image_025")
    assert (len(answer["landmarks"]), answer["underived"]) == (3, [])


def test_label_images_are_trained_on(mapped: Server, tmp_path: Path, triangle: Protocol) -> None:
    """Of an image without landmarks; what comes of one epoch from fresh weights is not published."""
    path = tmp_path / "x.seg.nrrd"
    masks = true_masks(24, triangle)
    write_segmentation(Segmentation(("outline",), ("Outline",), masks, Geometry(tiny.SIZE)), path)
    files = {"label": (path.name, path.read_bytes())}
    assert mapped("PUT", "/datastore/label?image=image_024&tag=final", files=files).status_code == 200
    stats = mapped.train("denseseg", epochs=1, start_from="scratch")
    assert (stats["state"], stats["published"]) == ("done", False)
    folder = mapped.models / "triangle"
    files_of = (folder / "segmentation.safetensors", folder / "runs" / stats["run"] / "model.safetensors")
    before, now = (read_header(file).data["training_images"] for file in files_of)
    assert now == before + 1


def test_outlines_of_landmarks_stand_in(server: Server, tmp_path: Path, triangle: Protocol) -> None:
    """With the model of landmarks alone: what they outline; there is no uv-map, and no new landmark is carried."""
    label = ("x.mrk.json", markups(tmp_path / "x.mrk.json", M=(30, 26)).read_bytes())
    assert server("PUT", "/datastore/label?image=image_000&tag=derived", files={"label": label}).status_code == 200
    answer = server.segment("image_025")
    assert answer["model"] == server.infer("image_025")["model"]
    path = tmp_path / "answer.seg.nrrd"
    path.write_bytes(file_of(server, "image_025"))
    found = read_segmentation(path, Geometry(tiny.SIZE), ["outline"])
    points = np.array([landmark["pixel"] for landmark in answer["landmarks"]])
    assert np.array_equal(found.masks, Regions.of(triangle).masks(points, tiny.SIZE))
    (unknown,) = answer["underived"]
    assert (unknown["label"], "the model tiny has no uv-maps" in unknown["reason"]) == ("M", True)
    refused = server("POST", "/infer/segmentation?image=image_025", data={"params": '{"result": "uv_map"}'})
    assert refused.status_code == 409
    assert "result uv_map: the model tiny has no uv-maps" in refused.json()["detail"]
    assert "segmentation" not in server.get("/info/")["missing"]
