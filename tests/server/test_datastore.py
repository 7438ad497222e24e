"""The label store by itself: what is refused leaves everything as it was, and nobody's change is lost."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import tiny
from landmarklabel.errors import ConfigError, StorageError
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

import datastore as store_module
from datastore import LandmarkDatastore


@pytest.fixture
def studies(tmp_path: Path, triangle: Protocol) -> Path:
    return tiny.write_studies(tmp_path / "studies", triangle, 6, 6)


@pytest.fixture
def store(studies: Path, triangle: Protocol) -> LandmarkDatastore:
    return LandmarkDatastore(str(studies), triangle, auto_reload=False)


def a_label(studies: Path, folder: Path, shift: float) -> Path:
    """The label of image_000, moved."""
    content = json.loads((studies / "labels/final/image_000.mrk.json").read_text())
    for point in content["markups"][0]["controlPoints"]:
        point["position"][0] += shift
    path = folder / f"shifted_{shift}.mrk.json"
    path.write_text(json.dumps(content))
    return path


def test_with_the_index_unwritable_the_old_label_stays(
    store: LandmarkDatastore, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the label is written already and the index is not."""
    store.save_label("image_000", str(a_label(studies, tmp_path, 0.25)), "final", {"user": "first"})
    file = studies / "labels/final/image_000.mrk.json"
    before = file.read_bytes(), store.get_label_info("image_000", "final"), (studies / "datastore_v2.json").read_bytes()

    def full(path: Path, data: bytes, what: str = "") -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(store_module, "atomic_write", full)
    second = str(a_label(studies, tmp_path, 0.5))
    for change in (
        lambda: store.save_label("image_000", second, "final", {"user": "second"}),
        lambda: store.update_label_info("image_000", "final", {"user": "second"}),
        lambda: store.remove_label("image_000", "final"),
        lambda: store.remove_image("image_000"),
        lambda: store.add_image("new", str(studies / "image_001.png"), {}),
    ):
        with pytest.raises(StorageError, match="the disk is full"):
            change()
    after = file.read_bytes(), store.get_label_info("image_000", "final"), (studies / "datastore_v2.json").read_bytes()
    assert after == before
    assert sorted(store.list_images()) == [f"image_{number:03d}" for number in range(6)]
    assert not (studies / "new.png").exists()


def test_a_damaged_index_is_said(studies: Path, triangle: Protocol) -> None:
    LandmarkDatastore(str(studies), triangle, auto_reload=False)
    (studies / "datastore_v2.json").write_text('{"name": "\\ud800"')
    with pytest.raises(ConfigError, match="datastore_v2.json: the index of the studies is damaged .* move it away"):
        LandmarkDatastore(str(studies), triangle, auto_reload=False)


def test_threads_do_not_lose_each_others_changes(store: LandmarkDatastore, studies: Path, tmp_path: Path) -> None:
    """Labels are saved and images come and go while the folder is looked through again and again."""
    label, failures, over = str(a_label(studies, tmp_path, 0.25)), list[BaseException](), threading.Event()

    def guarded(work: Any) -> Any:
        def run() -> None:
            try:
                work()
            except BaseException as problem:
                failures.append(problem)

        return run

    def look() -> None:
        while not over.is_set():
            store.refresh()
            store.status()

    def save(tag: str) -> None:
        for number in range(15):
            store.save_label("image_000", label, f"{tag}{number}", {"user": tag})

    def come_and_go() -> None:
        for _ in range(15):
            store.add_image("guest", str(studies / "image_001.png"), {})
            store.remove_image("guest")

    watcher = threading.Thread(target=guarded(look))
    others = [threading.Thread(target=guarded(lambda tag=tag: save(tag))) for tag in ("a", "b")]
    others.append(threading.Thread(target=guarded(come_and_go)))
    for thread in (watcher, *others):
        thread.start()
    for thread in others:
        thread.join()
    over.set()
    watcher.join()
    assert failures == []
    expected = {f"{tag}{number}" for tag in "ab" for number in range(15)} | {"final"}
    assert set(store.get_labels_by_image_id("image_000")) == expected
    fresh = LandmarkDatastore(str(studies), store.protocol, auto_reload=False)
    assert fresh.get_label_info("image_000", "a3")["user"] == "a"


def test_two_stores_on_one_folder_see_each_other(store: LandmarkDatastore, studies: Path, tmp_path: Path) -> None:
    """As two processes do: neither drops what the other has noted."""
    other = LandmarkDatastore(str(studies), store.protocol, auto_reload=False)
    label = str(a_label(studies, tmp_path, 0.25))
    store.save_label("image_000", label, "one", {"user": "one"})
    other.save_label("image_000", label, "two", {"user": "two"})
    store.update_label_info("image_000", "one", {"seconds": 3})
    for each in (store, LandmarkDatastore(str(studies), store.protocol, auto_reload=False)):
        assert each.get_label_info("image_000", "two")["user"] == "two"
        assert each.get_label_info("image_000", "one")["seconds"] == 3


def test_files_come_and_go_by_hand(store: LandmarkDatastore, studies: Path) -> None:
    (studies / "by_hand.png").write_bytes((studies / "image_001.png").read_bytes())
    (studies / "image_005.png").unlink()
    (studies / "labels/final/image_004.mrk.json").unlink()
    store.refresh()
    assert "by_hand" in store.list_images()
    assert "image_005" not in store.list_images()
    assert "image_004" in store.get_unlabeled_images()
