"""Training over HTTP: the server learns from its labels, and the next answer comes from the new model."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from servers import Server, free_port, prepare, publish

import tiny
from landmarklabel.modelfile import read_header
from landmarklabel.protocol import Protocol

pytestmark = pytest.mark.slow


def error(answer: dict, seed: int) -> float:
    """Median distance of the landmarks of image ``seed`` from where they are."""
    points = np.array([landmark["pixel"] for landmark in answer["landmarks"]])
    return float(np.median(np.linalg.norm(points - tiny.triangle_image(seed)[1], axis=1)))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Iterator[Server]:
    """A running server without any model."""
    running = prepare(tmp_path_factory.mktemp("fresh") / "s", triangle, images=32, labelled=20, shape_only="yes")
    try:
        yield running.start()
    finally:
        running.stop()


def test_from_no_model_to_one_that_learns_from_what_is_saved(fresh: Server, trained: Path) -> None:
    """The whole loop: it says what is missing; labels are put; it is trained; it answers; it gets no worse."""
    info = fresh.get("/info/")
    assert list(info["models"]) == ["refine"]
    assert "there is no model for 'landmarks' of triangle yet" in info["missing"]["landmarks"]
    answer = fresh("POST", "/infer/landmarks?image=image_031")
    assert answer.status_code == 409
    assert "train one (POST /train/farnet)" in answer.json()["detail"]

    template = json.loads((fresh.studies / "labels" / "final" / "image_000.mrk.json").read_text())
    for seed in range(20, 24):
        for control, point in zip(template["markups"][0]["controlPoints"], tiny.triangle_image(seed)[1], strict=True):
            control["position"] = [*point.tolist(), 0.0]
        assert fresh.put_label(f"image_{seed:03d}", template).status_code == 200

    stats = fresh.train()
    assert stats["state"] == "done", stats
    assert stats["labels"] == 24
    assert stats["epoch"] == stats["epochs"] == 8
    assert stats["published"] is True
    by_clicks = stats["validation_by_clicks"]
    assert stats["validation_mre"] == pytest.approx(np.mean(by_clicks), abs=1e-3)
    assert by_clicks[0] < 1.0  # maps and shape together; the metric is of the maps alone
    assert by_clicks[-1] == 0.0  # all three landmarks are placed by then
    first = fresh.infer("image_031")
    assert error(first, 31) < 1.0
    assert first["model"]["trained_on"]["training_images"] + first["model"]["trained_on"]["validation_images"] == 24

    # One epoch from fresh weights is worse: it is not published, and the answer stays.
    stats = fresh.train(epochs=1, start_from="scratch", seed=7)
    assert stats["state"] == "done"
    assert stats["published"] is False
    assert stats["validation_mre"] > stats["published_mre"]
    assert fresh.infer("image_031") | {"timings": None} == first | {"timings": None}

    # Another seed holds out other images, from which the published weights have learned: they are not gone on with.
    stats = fresh.train(epochs=1, seed=7)
    assert stats["state"] == "done"
    assert "began with fresh weights: landmarks.safetensors has learned from" in stats["reason"]

    # Going on from the published weights is better: the next answer comes from the new model, without a restart.
    published = fresh.models / "triangle" / "landmarks.safetensors"
    for attempt in range(4):
        stats = fresh.train(epochs=4 + attempt, learning_rate=0.003)
        assert stats["state"] == "done"
        assert "reason" not in stats
        if stats["published"]:
            break
    assert stats["published"], "four runs on from the published weights were no better"
    second = fresh.infer("image_031")
    assert second["model"]["version"] == read_header(published).version != first["model"]["version"]
    assert read_header(published.with_suffix(".previous.safetensors")).version == first["model"]["version"]


def test_what_training_refuses(fresh: Server) -> None:
    stats = fresh.train(config="../../etc/passwd")
    assert stats["state"] == "failed"
    assert "there is no experiment '../../etc/passwd' on this server" in stats["reason"]
    task = fresh.get("/train/")
    assert task["status"] == "ERROR"
    assert task["details"][-1].startswith("training failed: there is no experiment")
    stats = fresh.train(epochs=-1)
    assert "epochs: got -1; input should be greater than or equal to 1" in stats["reason"]
    stats = fresh.train(epoch=3)
    assert "epoch: no setting of this training, which has config, epochs" in stats["reason"]
    stats = fresh.train(config={"a": 1})
    assert "config must be a name" in stats["reason"]
    stats = fresh.train(seed="x")
    assert "seed: got 'x'" in stats["reason"]
    for params, sentence in (({"gpus": 1}, "gpus: expected text"), ({"name": "x" * 100_000}, "may be 100 kB long")):
        answer = fresh("POST", "/train/farnet", json=params)
        assert answer.status_code == 400
        assert sentence in answer.json()["detail"]
    answer = fresh("POST", "/train/landmarks", json={})
    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no train task 'landmarks'; there are farnet, interactive, denseseg"
    stats = fresh.train(start_from="elsewhere")
    assert "start_from is 'published' or 'scratch', got 'elsewhere'" in stats["reason"]


def test_a_run_can_be_stopped(fresh: Server) -> None:
    """The published model stays as it was."""
    version = fresh.infer("image_031")["model"]["version"]
    assert fresh("POST", "/train/farnet", json={"epochs": 5000}).status_code == 200
    fresh.wait_for(lambda: fresh.get("/info/")["train_stats"]["farnet"].get("epochs") == 5000, 120)
    stats = fresh.get("/info/")["train_stats"]["farnet"]
    assert stats["state"] == "running"
    assert stats["epoch"] >= 1
    assert stats["seconds_left"] > 0
    assert fresh("DELETE", "/train/").status_code == 200
    fresh.wait_for(lambda: fresh.get("/info/")["train_stats"]["farnet"]["state"] == "stopped", 30)
    assert fresh.infer("image_031")["model"]["version"] == version


def test_training_ends_with_its_server(tmp_path: Path, triangle: Protocol) -> None:
    """However the server ends: nobody could stop the run any more. The next server is free to train."""
    running = prepare(tmp_path / "s", triangle)
    try:
        running.start()
        assert running("POST", "/train/farnet", json={"epochs": 5000}).status_code == 200
        running.wait_for(lambda: running.get("/info/")["train_stats"]["farnet"].get("epoch"), 120)
        assert running.process is not None
        running.process.kill()
        running.process.wait()
        running.start()
        running.wait_for(lambda: running.get("/info/")["train_stats"]["farnet"]["state"] == "stopped", 30)
        stats = running.train(epochs=1, device=["auto", "cpu", "cuda"])
        assert (stats["state"], stats["epoch"]) == ("done", 1)
    finally:
        running.stop()


def test_a_full_disk_stops_training_in_words(
    tmp_path: Path, triangle: Protocol, full_disk: Path, trained: Path
) -> None:
    """The models' folder is full: the run fails with a sentence; what was published is served on."""
    running = prepare(tmp_path / "s", triangle)
    published = publish(running, trained)
    published.parent.joinpath("runs").symlink_to(full_disk)
    try:
        running.start()
        submitted = running("POST", "/train/farnet", json={"epochs": 1})
        assert submitted.status_code == 200
        running.wait_for(lambda: running.get("/train/")["status"] == "ERROR", 120)
        assert "the disk is full" in " ".join(running.get("/train/")["details"][-3:])
        assert running.infer("image_001")["model"]["version"] == read_header(trained).version
    finally:
        running.stop()


def test_too_few_labels_are_said(tmp_path: Path, triangle: Protocol) -> None:
    running = prepare(tmp_path / "s", triangle, images=3, labelled=1)
    try:
        running.start()
        stats = running.train()
        assert stats["state"] == "failed"
        assert "1 usable labelled images are too few to train on" in stats["reason"]
    finally:
        running.stop()


# Starting ----------------------------------------------------------------------------------------------------


def refusal(running: Server) -> str:
    """The last line of a server that can't start."""
    process = running.launch()
    assert process.wait(120) != 0
    lines = [line for line in running.log.read_text().splitlines() if line.strip()]
    sentences = [line for line in lines if "the server can't start:" in line]
    assert sentences, "\n".join(lines[-20:])
    return sentences[-1]


def test_a_server_that_can_not_start_says_why(tmp_path: Path, triangle: Protocol) -> None:
    running = prepare(tmp_path / "s", triangle, images=1)
    good = dict(running.conf)
    running.conf = {**good, "protocol": "skull"}
    assert "there is no protocol 'skull'; choose one of" in refusal(running)
    running.conf = {key: value for key, value in good.items() if key != "protocol"}
    assert "which landmarks? start with --conf protocol NAME" in refusal(running)
    running.conf = {**good, "protcol": "x"}
    assert "--conf protcol: unknown" in refusal(running)
    running.conf = {**good, "training_threads": "999"}
    assert "--conf training_threads 999: expected a whole number from 1 to" in refusal(running)
    running.conf = {**good, "precision": "fp8"}
    assert "there is no precision 'fp8'; expected exported, auto, fp32, fp16, bf16" in refusal(running)
    broken = yaml.safe_load(Path(good["protocol"]).read_text())
    broken["symmetry"]["pairs"] = [["left", "rihgt"]]
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(broken))
    running.conf = {**good, "protocol": str(tmp_path / "broken.yaml")}
    assert "'rihgt' is not a landmark of this protocol" in refusal(running)


def test_studies_that_can_not_be_written(tmp_path: Path, triangle: Protocol, read_only_folder: Path) -> None:
    running = prepare(tmp_path / "s", triangle, images=1)
    running.studies = read_only_folder
    assert "no permission to write" in refusal(running)


def test_a_model_of_another_protocol_is_not_served(tmp_path: Path, triangle: Protocol, trained: Path) -> None:
    running = prepare(tmp_path / "s", triangle, images=1)
    running.conf["protocol"] = "cephalometric_19"
    shutil.copytree(publish(running, trained).parent, running.models / "cephalometric_19")
    try:
        running.start()
        answer = running("POST", "/infer/landmarks?image=image_000")
        assert answer.status_code == 409
        assert "trained for the protocol triangle (3 landmarks), not for cephalometric_19" in answer.json()["detail"]
    finally:
        running.stop()


def test_the_commands_own_server_is_the_same(tmp_path: Path, triangle: Protocol, trained: Path) -> None:
    """``landmarklabel serve`` starts it on loopback, with what to try printed first."""
    running = prepare(tmp_path / "s", triangle, images=2)
    publish(running, trained)
    running.port = free_port()
    command = [
        sys.executable,
        "-m",
        "landmarklabel.cli",
        "serve",
        str(running.studies),
        "--protocol",
        running.conf["protocol"],
    ]
    command += ["--models", str(running.models), "--port", str(running.port)]
    with running.log.open("wb") as log:
        running.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path, start_new_session=True)
    try:

        def up() -> bool:
            try:
                return bool(running("GET", "/info/").ok)
            except OSError:
                return False

        running.wait_for(up, 120)
        assert len(running.infer("image_000")["landmarks"]) == 3
        text = running.log.read_text()
        assert f"triangle.yaml at http://127.0.0.1:{running.port}" in text
        assert "Uvicorn running on http://127.0.0.1" in text
    finally:
        running.stop()
