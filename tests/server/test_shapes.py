"""The shape of a study's labels follows every label that is saved or deleted, whoever looks meanwhile."""

import errno
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from label_files import save_final

import tiny
from landmarklabel.errors import StorageError
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from datastore import LandmarkDatastore
from shapes import StudyShape


@pytest.fixture
def store(tmp_path: Path, triangle: Protocol) -> LandmarkDatastore:
    return LandmarkDatastore(str(tiny.write_studies(tmp_path / "studies", triangle, 7, 6)), triangle, auto_reload=False)


def mean(study: StudyShape) -> list[float]:
    shape = study.shape()
    assert shape is not None
    return shape.distribution.mean.tolist()


def test_it_follows_each_label(store: LandmarkDatastore, tmp_path: Path) -> None:
    study = StudyShape(store)
    seen = [mean(study)]
    save_final(store, tmp_path, "image_006", 6)
    seen.append(mean(study))
    assert study.labels() == 7
    save_final(store, tmp_path, "image_006", 60)
    seen.append(mean(study))
    store.remove_label("image_006", "final")
    assert study.labels() == 6
    assert mean(study) == seen[0]
    assert seen[0] != seen[1] != seen[2]
    for number in range(5):
        store.remove_image(f"image_00{number}")
    assert study.labels() == 1
    assert len(mean(study)) == 3
    store.remove_image("image_005")
    assert (study.labels(), study.shape()) == (0, None)


def test_who_looks_while_a_label_is_saved_sees_the_new_one_afterwards(
    store: LandmarkDatastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is changed first, the file a moment later; somebody looks in between."""
    study = StudyShape(store)
    before, announce = mean(study), store.store._announce

    def announce_and_look(*change):  # type: ignore[no-untyped-def]
        known = announce(*change)
        study.shape()
        return known

    monkeypatch.setattr(store.store, "_announce", announce_and_look)
    save_final(store, tmp_path, "image_000", 60)
    assert mean(study) == mean(StudyShape(store)) != before


def test_labels_that_stay_are_not_looked_at_again(
    store: LandmarkDatastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thousands, each click after anybody's save would ask the file system for all."""
    study, asked, stat = StudyShape(store), set[str](), Path.stat
    store.store.save("image_005", "final", ".mrk.json", b"wrong", {})
    assert study.labels() == 5
    save_final(store, tmp_path, "image_006", 6)

    def ask(path: Path, **more: bool) -> os.stat_result:
        asked.add(path.name)
        return stat(path, **more)

    with monkeypatch.context() as watched:
        watched.setattr(Path, "stat", ask)
        assert study.labels() == 6
    assert {name for name in asked if name.startswith("image_")} == {"image_006.png", "image_006.mrk.json"}


@pytest.mark.parametrize(
    ("whose", "what", "problem"),
    [
        (LandmarkDatastore, "geometry", StorageError("the index of the studies can't be used now")),
        (Path, "read_bytes", OSError(errno.EIO, "Input/output error")),
    ],
)
def test_labels_that_could_not_be_read_for_a_moment_count_again(
    store: LandmarkDatastore, monkeypatch: pytest.MonkeyPatch, whose: type, what: str, problem: Exception
) -> None:
    study = StudyShape(store)

    def fail(*_: object) -> None:
        raise problem

    with monkeypatch.context() as away:
        away.setattr(whose, what, fail)
        assert study.labels() == 0
    store.update_image_info("image_006", {"seen": True})  # anything that changes
    assert study.labels() == 6


def test_it_is_right_after_many_changes_by_two_and_looks_by_two(store: LandmarkDatastore, tmp_path: Path) -> None:
    study, over, failures = StudyShape(store), threading.Event(), list[BaseException]()

    def change(name: str) -> None:
        for seed in range(12):
            save_final(store, tmp_path, name, seed)
            if seed % 3 == 0:
                store.remove_label(name, "final")

    def look() -> None:
        while not over.is_set():
            study.shape()
            assert 5 <= study.labels() <= 7

    def guarded(work, *arguments: str) -> threading.Thread:  # type: ignore[no-untyped-def]
        def run() -> None:
            try:
                work(*arguments)
            except BaseException as problem:
                failures.append(problem)

        return threading.Thread(target=run)

    readers = [guarded(look), guarded(look)]
    writers = [guarded(change, "image_001"), guarded(change, "image_006")]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in readers:
        thread.join()
    assert failures == []
    assert study.labels() == 7
    assert np.array_equal(mean(study), mean(StudyShape(store)))
