"""What is known of images to choose by: an image that could not be read once is not given up for good."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

import pytest

import tiny
from landmarklabel.active.scores import Scores
from landmarklabel.errors import ImageError, RemoteError
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from activelearning import knowledge
from activelearning.knowledge import ImageKnowledge
from datastore import LandmarkDatastore
from shapes import StudyShape


def test_what_could_not_be_read_is_tried_again_by_the_next_server(
    tmp_path: Path, triangle: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LandmarkDatastore(str(tiny.write_studies(tmp_path / "studies", triangle, 3, 0)), triangle, False)
    (tmp_path / "studies" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    store.refresh()

    def looked_through() -> dict[str, str]:
        """By a server that was started just now: what it takes as unreadable."""
        known = ImageKnowledge(store, (), Scores(store.store.index), StudyShape(store))
        while known.step():
            pass
        assert known.progress()["images_known"] == 4
        return known.snapshot().unreadable

    read = knowledge.read_radiograph

    def fails_on_one(path: Path) -> Any:
        if path.name == "image_001.png":
            raise ImageError(f"{path.name}: can't be read (Input/output error)")
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(knowledge, "read_radiograph", fails_on_one)
        assert set(looked_through()) == {"broken", "image_001"}
    assert set(looked_through()) == {"broken"}
    assert set(looked_through()) == {"broken"}


def test_what_can_not_be_fetched_is_unreadable_and_what_is_far_is_tried_later(
    tmp_path: Path, triangle: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an archive with a damaged image, that does not answer for another; or with a file that nobody may read."""
    store = LandmarkDatastore(str(tiny.write_studies(tmp_path / "studies", triangle, 4, 0)), triangle, False)
    scores = Scores(store.store.index)
    known, asked = ImageKnowledge(store, (), scores, StudyShape(store)), list[str]()
    fetch, content, far = store.require_image, scores.content, {"image_002"}

    def fetched(name: str) -> Path:
        asked.append(name)
        if name == "image_000":
            raise ImageError(f"image {name}: damaged DICOM")
        if name in far:
            raise RemoteError("the DICOM server can't be reached")
        return fetch(name)

    def opened(name: str, path: Path) -> str:
        if name == "image_001":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return content(name, path)

    monkeypatch.setattr(store, "require_image", fetched)
    monkeypatch.setattr(scores, "content", opened)
    assert (known.step(), known.step()) == (True, True)
    with pytest.raises(RemoteError):
        known.step()
    assert known.step()
    far.clear()
    while known.step():
        pass
    assert asked == ["image_000", "image_001", "image_002", "image_003", "image_002"]
    store.update_image_info("image_003", {"seen": "once"})  # which changes the studies: it is planned anew
    assert not known.step()
    assert len(asked) == 5
    assert known.snapshot().unreadable == {
        "image_000": "image image_000: damaged DICOM",
        "image_001": "image image_001: can't be read (Permission denied)",
    }
