"""Which image comes next, in studies that have only begun, and when the index can't be written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tiny
from landmarklabel.active import STRATEGIES
from landmarklabel.active.leases import Leases, PutOffImages
from landmarklabel.active.scores import Scores
from landmarklabel.errors import StorageError
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from activelearning.knowledge import ImageKnowledge
from activelearning.next_image import NextImages
from datastore import LandmarkDatastore
from shapes import StudyShape


def next_images(store: LandmarkDatastore) -> NextImages:
    """Of a server that has looked at all that is there."""
    index = store.store.index
    known = ImageKnowledge(store, (), Scores(index), StudyShape(store))
    while known.step():
        pass
    return NextImages(store, known, Leases(index), PutOffImages(index))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_first_image_that_comes_into_empty_studies_is_offered_at_once(
    tmp_path: Path, triangle: Protocol, strategy: str
) -> None:
    """Before anything is known of it."""
    store = LandmarkDatastore(str(tiny.write_studies(tmp_path / "studies", triangle, 0)), triangle, False)
    images = next_images(store)
    assert "id" not in images.next(strategy)
    uploaded = tiny.write_studies(tmp_path / "sent", triangle, 1, 0) / "image_000.png"
    store.add_image("first", str(uploaded), {})
    assert images.next(strategy)["id"] == "first"


@pytest.mark.parametrize("tag", ["final", "draft"])
def test_a_label_is_saved_though_its_lease_can_not_be_noted(
    tmp_path: Path, triangle: Protocol, monkeypatch: pytest.MonkeyPatch, tag: str
) -> None:
    """Else its client would send it again and again."""
    store = LandmarkDatastore(str(tiny.write_studies(tmp_path / "studies", triangle, 2, 1)), triangle, False)
    images = next_images(store)
    image = images.next("first", "anna")["id"]
    label = store.get_label_uri("image_000", "final")
    store.save_label(image, label, tag, {})

    @contextmanager
    def locked() -> Iterator[None]:
        raise StorageError("the index of the studies can't be used now (database is locked); try again")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(store.store.index, "writing", locked)
        images.saved(image)
    assert [lease["image"] for lease in images.leases("anna")] == [image]
