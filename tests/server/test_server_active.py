"""Active learning, batches and sessions on a running server."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers import Server, prepare, publish

import tiny
from landmarklabel.modelfile import read_header
from landmarklabel.protocol import Protocol

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol, trained: Path) -> Iterator[Server]:
    """A server with a model, 6 labelled images, 8 without a label, and one that can't be read."""
    running = prepare(tmp_path_factory.mktemp("annotated") / "s", triangle, images=14, labelled=6)
    (running.studies / "broken.png").write_bytes((running.studies / "image_000.png").read_bytes()[:200])
    publish(running, trained)
    try:
        yield running.start()
    finally:
        running.stop()


def next_image(server: Server, strategy: str = "mixed", **params: Any) -> dict[str, Any]:
    answer = server("POST", f"/activelearning/{strategy}", json=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def progress(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = server.get("/info/")["active_learning"]
    return found


def label(server: Server, image: str, tag: str = "final") -> None:
    template = json.loads((server.studies / "labels" / "final" / "image_000.mrk.json").read_text())
    points = tiny.triangle_image(int(image[-3:]))[1]
    for control, point in zip(template["markups"][0]["controlPoints"], points, strict=True):
        control["position"] = [*point.tolist(), 0.0]
    assert server.put_label(image, template, tag).status_code == 200


def give_all_back(server: Server) -> None:
    for lease in server.get("/activelearning/leases"):
        assert server("DELETE", f"/activelearning/leases/{lease['image']}?force=true").ok


def test_every_unlabelled_image_is_scored_once(annotated: Server, trained: Path) -> None:
    annotated.wait_for(lambda: progress(annotated)["state"] == "done", 60)
    seen = progress(annotated)
    assert (seen["images_known"], seen["images_scored"], seen["unreadable"]) == (15, 8, 1)
    assert seen["model"] == read_header(trained).version
    assert set(annotated.get("/info/")["strategies"]) == {"mixed", "uncertain", "diverse", "random", "first"}


def test_annotators_get_different_images(annotated: Server) -> None:
    """Eight at once, eight images; then there is none, and the server says why."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: next_image(annotated, client_id=f"reader {n}"), range(8)))
    assert {answer["id"] for answer in answers} == {f"image_{n:03d}" for n in range(6, 14)}
    assert all(answer["strategy"] == "mixed" for answer in answers)
    assert all(answer["expected_error"] > 0 for answer in answers)
    none = next_image(annotated, client_id="one too many")
    assert "id" not in none
    assert none["detail"] == (
        "there is no image to label now: of 9 without a final label 8 are being labelled by others, 1 is unreadable"
    )
    again = next_image(annotated, client_id="reader 3")
    assert (again["id"], again["strategy"]) == (answers[3]["id"], "yours already")
    give_all_back(annotated)


def test_the_surest_is_not_the_first_to_be_asked_for(annotated: Server) -> None:
    """``uncertain`` asks in the order of the errors that it expects."""
    answers = [next_image(annotated, "uncertain", client_id=f"reader {n}") for n in range(8)]
    errors = [answer["expected_error"] for answer in answers]
    assert errors == sorted(errors, reverse=True)
    assert len(set(errors)) > 1
    give_all_back(annotated)


@pytest.mark.parametrize("part", [b"", b'{"client_id":'])
def test_a_request_that_broke_off_takes_no_image(annotated: Server, part: bytes) -> None:
    """Whoever was cut off in the middle of asking has asked nothing: else nobody would have that image for a while."""
    head = f"POST /activelearning/first HTTP/1.1\r\nHost: 127.0.0.1:{annotated.port}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 40\r\n\r\n"
    with socket.create_connection(("127.0.0.1", annotated.port), timeout=20) as connection:
        connection.sendall(head.encode() + part)
        time.sleep(0.3)
    for _ in range(5):
        time.sleep(0.2)
        assert annotated.get("/activelearning/leases") == []


def test_a_draft_keeps_an_image_and_a_final_label_gives_it_up(annotated: Server) -> None:
    image = next_image(annotated, "first", client_id="anna")["id"]
    (before,) = annotated.get("/activelearning/leases?mine=true&client_id=anna")
    time.sleep(1.1)
    label(annotated, image, "draft")
    (after,) = annotated.get("/activelearning/leases?mine=true&client_id=anna")
    assert after["until"] > before["until"]
    assert next_image(annotated, "first", client_id="bert")["id"] != image
    label(annotated, image)
    assert annotated.get("/activelearning/leases?mine=true&client_id=anna") == []
    assert image not in {next_image(annotated, "first", client_id=f"c{n}").get("id") for n in range(7)}
    assert annotated("DELETE", f"/datastore/label?id={image}&tag=final").ok
    give_all_back(annotated)


def test_skipped_images_stay_away_and_postponed_ones_come_last(annotated: Server) -> None:
    put_off = "/activelearning/put_off"
    assert annotated("PUT", f"{put_off}/image_006?reason=a knee&client_id=anna").ok
    assert annotated("PUT", f"{put_off}/image_007?later=true").ok
    listed = {each["image"]: each for each in annotated.get(put_off)}
    assert (listed["image_006"]["for_good"], listed["image_006"]["reason"]) == (True, "a knee")
    order = [next_image(annotated, "first", client_id=f"reader {n}").get("id") for n in range(8)]
    assert order == [f"image_{n:03d}" for n in range(8, 14)] + ["image_007", None]
    held = annotated("PUT", f"{put_off}/image_008?client_id=somebody")
    assert held.status_code == 409
    assert held.json()["detail"] == "image_008 is being labelled by reader 0; it can't be put off now"
    for image in ("image_006", "image_007"):
        assert annotated("DELETE", f"{put_off}/{image}").ok
    assert annotated("DELETE", f"{put_off}/image_006").status_code == 404
    assert annotated("PUT", f"{put_off}/none").status_code == 404
    give_all_back(annotated)


REFUSED = [
    ("POST", "/activelearning/best", {}, 404, "there is no strategy 'best'; there are mixed, uncertain, diverse"),
    ("POST", "/activelearning/random", {"seed": -1}, 400, "seed must be a whole number from 0 on, got '-1'"),
    ("POST", "/activelearning/random", {"client_id": ["x"]}, 400, "client_id must be a name"),
    ("DELETE", "/activelearning/leases/image_006", None, 404, "image_006 is not yours"),
    ("POST", "/batch/infer/none", {}, 404, "there is no model 'none'; there are landmarks, refine, segmentation"),
    ("POST", "/batch/infer/landmarks?images=some", {}, 400, "images is one of all, labeled, unlabeled, got 'some'"),
    ("POST", "/batch/infer/landmarks", {"label_tag": "final"}, 400, "labels of that tag are people's own"),
    ("POST", "/batch/infer/landmarks", {"max_batch_size": "x"}, 400, "max_batch_size must be a whole number"),
    ("GET", "/runs/none", None, 404, "there is no run 'none'; GET /runs/ lists them"),
    ("POST", "/runs/none/publish", None, 404, "there is no run 'none'"),
    (
        "GET",
        "/session/856b778e-cf37-4697-b7fb-cd811be55676",
        None,
        404,
        "has expired, or never was; PUT /session/ with the image opens",
    ),
    ("POST", "/infer/landmarks?session_id=../../etc", None, 404, "session '../../etc' has expired, or never was"),
]


@pytest.mark.parametrize(("method", "path", "content", "status", "sentence"), REFUSED)
def test_what_is_refused(annotated: Server, method: str, path: str, content: Any, status: int, sentence: str) -> None:
    answer = annotated(method, path, json=content)
    assert (answer.status_code, sentence in answer.json()["detail"]) == (status, True), answer.text


def test_the_same_may_be_asked_for_twice_in_a_second(annotated: Server) -> None:
    """Where the stock server answers 500."""
    for _ in range(2):
        assert "id" in next_image(annotated, "random", client_id="quick")
    give_all_back(annotated)


# Batches -----------------------------------------------------------------------------------------------------


def batch(server: Server, query: str = "", **params: Any) -> dict[str, Any]:
    answer = server("POST", f"/batch/infer/landmarks?{query}", json=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_batch_answers_for_a_folder_and_goes_on_where_it_was(annotated: Server) -> None:
    stock = {"device": "cuda", "multi_gpu": True, "gpus": "all", "save_label": True, "max_workers": 1}
    done = batch(annotated, "images=unlabeled&run_sync=true", max_batch_size=4, **stock)
    assert (done["status"], done["images"], done["there_already"], done["done"]) == ("DONE", 4, 0, 4)
    assert list(done["failures"]) == ["broken"]
    assert "broken" in done["failures"]["broken"]
    rest = batch(annotated, "images=unlabeled&run_sync=true", **stock)
    assert (rest["status"], rest["images"], rest["there_already"], rest["failed"]) == ("DONE", 9, 3, 1)
    info = annotated.get("/datastore/label/info?label=image_010&tag=original")
    assert (info["model"], info["version"]) == ("landmarks", progress(annotated)["model"])
    saved = annotated("GET", "/datastore/label?label=image_010&tag=original").json()
    answered = {each["label"]: each["position"] for each in annotated.infer("image_010")["landmarks"]}
    for control in saved["markups"][0]["controlPoints"]:
        assert control["position"] == pytest.approx(answered[control["label"]], abs=1e-6)
    assert annotated.get("/batch/infer")["id"] == rest["id"]
    assert annotated("DELETE", "/batch/infer").json()["status"] == "DONE"


def test_a_batch_goes_on_after_the_server_was_killed(tmp_path: Path, triangle: Protocol, trained: Path) -> None:
    """With the scores and the leases that there were; and a broken session does not stop the server."""
    running = prepare(tmp_path / "s", triangle, images=60, labelled=6)
    publish(running, trained)
    sessions = running.folder / ".cache" / "monailabel" / "sessions"
    for name, content in {
        "half": '{"name": "x',
        "none": None,
        "wrong": "[1]",
        "other": '{"image": "/etc/passwd"}',
    }.items():
        folder = sessions / str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        folder.mkdir(parents=True)
        if content is not None:
            (folder / "meta.info").write_text(content)
        os.utime(folder, (0, 0))
    try:
        running.start()
        batch(running, "images=all")
        assert running("POST", "/batch/infer/landmarks", json={}).status_code == 429
        running.wait_for(lambda: running.get("/batch/infer")["done"] >= 3, 60)
        mine = next_image(running, "first", client_id="anna")["id"]
        assert running.process is not None
        running.process.kill()
        running.process.wait()
        running.start()
        running.wait_for(lambda: running.get("/batch/infer")["status"] != "RUNNING", 120)
        state = running.get("/batch/infer")
        assert (state["status"], state["images"], state["failed"]) == ("DONE", 60, 0)
        assert state["there_already"] >= 3
        assert state["there_already"] + state["done"] == 60
        assert len(list((running.studies / "labels" / "original").glob("*.mrk.json"))) == 60
        assert next_image(running, "first", client_id="bert")["id"] != mine
        assert not list(sessions.iterdir()), "what is left of broken sessions is deleted"
    finally:
        running.stop()


# Sessions ----------------------------------------------------------------------------------------------------


def open_session(server: Server, content: bytes, name: str = "mine.png", expiry: int = 0) -> Any:
    return server("PUT", f"/session/?expiry={expiry}", files={"files": (name, content)})


def test_a_session_is_answered_until_it_expires(annotated: Server) -> None:
    image = (annotated.studies / "image_012.png").read_bytes()
    opened = open_session(annotated, image, expiry=2).json()["session_id"]
    path = f"/infer/landmarks?session_id={opened}&output=json"
    answer = annotated("POST", path)
    assert answer.ok
    known = np.array([each["pixel"] for each in annotated.infer("image_012")["landmarks"]])
    assert np.array([each["pixel"] for each in answer.json()["landmarks"]]) == pytest.approx(known, abs=1e-6)
    annotated.wait_for(lambda: annotated("GET", f"/session/{opened}").status_code == 404, 20)
    over = annotated("POST", path)
    assert over.status_code == 404
    assert f"session '{opened}' has expired" in over.json()["detail"]
    assert annotated("DELETE", f"/session/{opened}").status_code == 404


def test_a_session_is_of_a_radiograph(annotated: Server) -> None:
    refused = open_session(annotated, b"no image at all")
    assert refused.status_code == 415
    assert "the file sent is a text file; expected a radiograph" in refused.json()["detail"]


# Runs --------------------------------------------------------------------------------------------------------


def test_runs_are_listed_and_gone_back_to(annotated: Server, trained: Path) -> None:
    """A run that was killed says so; the model before comes back, and images are scored by it."""
    first = progress(annotated)["model"]
    assert annotated("POST", "/train/farnet", json={"epochs": 5000}).ok
    annotated.wait_for(lambda: annotated.get("/info/")["train_stats"]["farnet"].get("epoch"), 120)
    assert annotated("DELETE", "/train/").ok
    annotated.wait_for(lambda: annotated.get("/runs/")[0]["state"] == "stopped", 30)
    stopped = annotated.get("/runs/")[0]
    assert "ended from outside" in stopped["reason"]
    assert stopped["task"] == "landmarks"
    assert stopped["config"]["epochs"] == 5000
    assert stopped["data"]["training_images"] + stopped["data"]["validation_images"] == 6
    assert not stopped["in_use"]
    rolled = annotated("POST", f"/runs/{stopped['id']}/publish")
    assert rolled.ok, rolled.text
    assert rolled.json()["in_use"] is True
    # Who asks while it is loaded is answered by the one before.
    annotated.wait_for(lambda: annotated.infer("image_012")["model"]["version"] == stopped["version"], 30)
    assert stopped["version"] != first
    annotated.wait_for(lambda: progress(annotated)["model"] == stopped["version"], 30)
    annotated.wait_for(lambda: progress(annotated)["state"] == "done", 60)
    assert progress(annotated)["images_scored"] == 8
    kept = next(run for run in annotated.get("/runs/") if run["version"] == first)
    assert annotated("POST", f"/runs/{kept['id']}/publish").ok
    annotated.wait_for(lambda: annotated.infer("image_012")["model"]["version"] == first, 30)


def test_when_all_is_labelled_that_is_said(annotated: Server) -> None:
    for number in range(6, 14):
        label(annotated, f"image_{number:03d}")
    assert "of 1 without a final label 1 is unreadable" in next_image(annotated)["detail"]
    (annotated.studies / "broken.png").unlink()
    annotated.wait_for(lambda: "broken" not in annotated.get("/datastore/?output=all")["objects"], 30)
    for strategy in ("mixed", "uncertain", "diverse", "random", "first"):
        for _ in range(2):
            assert next_image(annotated, strategy) == {"detail": "all 14 images have a final label", "left": 0}
