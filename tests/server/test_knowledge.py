"""What is known of images to choose by: an image that could not be read once is not given up for good."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import tiny
from landmarklabel.active.scores import Scores
from landmarklabel.errors import ImageError
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
