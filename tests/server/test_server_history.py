"""The history of labels over HTTP, on a real server; two servers on one PostgreSQL; a server that is killed."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from label_files import label_image
from postgres import Postgres, postgres  # noqa: F401  (a fixture)
from servers import Server, prepare

from landmarklabel.protocol import Protocol
from landmarklabel.store import LabelStore

pytestmark = pytest.mark.slow

SOAK = os.environ.get("LANDMARKLABEL_SOAK") == "1"
KILLS, WRITERS = (20, 4) if SOAK else (1, 2)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Iterator[Server]:
    """A running server of four labelled images, without a model."""
    running = prepare(tmp_path_factory.mktemp("history") / "s", triangle, images=4, labelled=4)
    try:
        yield running.start()
    finally:
        running.stop()


def moved(server: Server, shift: float, image: str = "image_000") -> Any:
    """An image's first label, moved."""
    content = json.loads(server("GET", f"/datastore/label?label={image}&tag=final").content)
    content["markups"][0]["controlPoints"][0]["position"][0] += shift
    return content


def test_versions_are_listed_fetched_compared_and_restored(bare: Server) -> None:
    first = bare("GET", "/datastore/label?label=image_000&tag=final").content
    assert bare.put_label("image_000", moved(bare, 3), user="ann", clicks=1, model="far").ok
    listed = bare.get("/labels/history?image=image_000")
    assert listed["current"] == 2
    assert [(each["action"], each["user"], each["clicks"]) for each in listed["versions"]] == [
        ("found", "", None), ("saved", "ann", 1)
    ]  # fmt: skip
    assert bare("GET", "/labels/version?image=image_000&version=1").content == first
    compared = bare.get("/labels/compare?image=image_000")
    assert [(each["label"], round(each["distance"], 6)) for each in compared["moved"]] == [("left", 3)]
    assert bare("POST", "/labels/restore?image=image_000&version=1").json()["number"] == 3
    assert bare("GET", "/datastore/label?label=image_000&tag=final").content == first


def test_deletions_are_undone(bare: Server) -> None:
    before = bare("GET", "/datastore/label?label=image_001&tag=final").content
    assert bare("DELETE", "/datastore/label?id=image_001&tag=final").ok
    assert bare("POST", "/labels/undelete?image=image_001").ok
    assert bare("DELETE", "/datastore/image?id=image_001").ok
    assert bare("POST", "/labels/undelete_image?image=image_001").json()["labels"] == ["final"]
    assert bare("GET", "/datastore/label?label=image_001&tag=final").content == before


def test_a_draft_is_kept_until_the_label_is_final(bare: Server) -> None:
    assert bare.put_label("image_002", moved(bare, 1, "image_002"), "draft", user="ann").ok
    assert [(each["image"], each["info"]["user"]) for each in bare.get("/labels/drafts")] == [("image_002", "ann")]
    assert bare("GET", "/datastore/label?label=image_002&tag=draft").ok
    assert bare.put_label("image_002", moved(bare, 2, "image_002")).ok
    assert bare.get("/labels/drafts") == []
    assert bare("GET", "/datastore/label?label=image_002&tag=draft").status_code == 404


def test_label_images_have_a_history_too(bare: Server, tmp_path: Path) -> None:
    for number, value in ((1, 1), (2, 0)):
        sent = label_image(tmp_path / f"{number}.nrrd", value)
        files = {"label": (sent.name, sent.read_bytes())}
        assert bare("PUT", "/datastore/label?image=image_003&tag=final", files=files).ok
    compared = bare.get("/labels/compare?image=image_003&tag=final_segmentation")
    assert compared["changed"] == [{"structure": "outline", "before": 12, "after": 0, "changed": 12}]


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "history?image=nobody", 404, "there is no image 'nobody'"),
        ("GET", "history?image=image_000&tag=../x", 404, "there is no label '../x'"),
        ("GET", "version?image=image_000&version=99", 404, "there is no version 99"),
        ("GET", "version?image=image_000&version=0", 422, "greater than or equal to 1"),
        ("GET", "version?image=..%2F..%2Fetc&version=1", 404, "there is no image"),
        ("POST", "restore?image=image_000&version=99", 404, "there is no version 99"),
        ("POST", "undelete?image=image_000", 409, "restore one of its versions instead"),
        ("POST", "undelete_image?image=nobody", 404, "no image 'nobody' of these studies has been deleted"),
        ("POST", "undelete_image?image=..%2Fx", 404, "no image '../x' of these studies has been deleted"),
    ],
)
def test_what_is_not_there_is_said(bare: Server, method: str, path: str, status: int, sentence: str) -> None:
    answer = bare(method, f"/labels/{path}")
    assert (answer.status_code, sentence in answer.json()["detail"]) == (status, True)


def test_two_servers_share_a_folder_and_a_postgresql(
    tmp_path: Path,
    triangle: Protocol,
    postgres: Postgres,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What one takes, the other has; all that is sent to both at once is kept."""
    monkeypatch.setenv("LANDMARKLABEL_INDEX", postgres.url())
    one = prepare(tmp_path / "one", triangle, images=2, labelled=1)
    other = Server(tmp_path / "other", one.studies, one.conf)
    other.folder.mkdir()
    try:
        one.launch()
        other.start()
        one.wait_for(lambda: _up(one), 120)
        label = moved(one, 1)
        threads = [
            threading.Thread(target=lambda at=at: [at.put_label("image_001", label) for _ in range(10)])  # type: ignore[misc]
            for at in (one, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        histories = [at.get("/labels/history?image=image_001") for at in (one, other)]
        assert histories[0] == histories[1]
        assert [each["number"] for each in histories[0]["versions"]] == list(range(1, 21))
        assert one("DELETE", "/datastore/label?id=image_001&tag=final").ok
        assert other.get("/datastore/")["completed"] == 1
    finally:
        one.stop()
        other.stop()
    assert not (one.studies / ".landmarklabel/index.sqlite").exists()


def _up(server: Server) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{server.port}/info/", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.mark.timeout(3600)
def test_a_server_that_is_killed_has_lost_nothing(bare: Server) -> None:
    """Whatever it has answered for is there, byte for byte, once it runs again, while it trains, too."""
    server, acknowledged = bare, list[tuple[str, bytes]]()
    labels = {f"image_{number:03d}": moved(server, 0, f"image_{number:03d}") for number in range(WRITERS)}
    for kill in range(KILLS):
        over = threading.Event()
        threads = [
            threading.Thread(target=_write, args=(server, name, labels[name], kill, over, acknowledged))
            for name in labels
        ]
        for thread in threads:
            thread.start()
        begin_training(server)
        server.wait_for(lambda kill=kill: len(acknowledged) >= 8 * (kill + 1), 120)  # type: ignore[misc]
        assert server.process is not None
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        over.set()
        for thread in threads:
            thread.join()
        server.start()
        ended = server.get("/info/")["train_stats"]["farnet"]
        assert ended["state"] != "running"
        assert ended["reason"]
        for name in labels:
            versions = server.get(f"/labels/history?image={name}")["versions"]
            assert len(versions) >= sum(each == name for each, _ in acknowledged)
        store = LabelStore(server.studies)
        kept = {
            name: {
                store.content(name, "final", each.number)[0]
                for each in store.history(name, "final")[0]
                if each.has_content
            }
            for name in labels
        }
        store.close()
        assert all(sent in kept[name] for name, sent in acknowledged)
    assert server.train(epochs=1)["state"] == "done"


def begin_training(server: Server) -> None:
    """One that is not over by itself; it reads the labels as they are written."""
    assert server("POST", "/train/farnet", json={"epochs": 10_000}).ok
    server.wait_for(lambda: server.get("/info/")["train_stats"]["farnet"].get("epoch"), 120)


def _write(
    server: Server, name: str, label: Any, kill: int, over: threading.Event, acknowledged: list[tuple[str, bytes]]
) -> None:
    """Save until the server is gone."""
    number = 0
    while not over.is_set():
        number += 1
        data = json.dumps({**label, "sent": f"{name} {kill} {number}"}).encode()
        try:
            if server.put_label(name, data, user=name).ok:
                acknowledged.append((name, data))
        except requests.RequestException:
            return
