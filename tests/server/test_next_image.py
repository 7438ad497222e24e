"""Which image comes next, in studies that have only begun, and when the index can't be written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import tiny
from landmarklabel.active import STRATEGIES
from landmarklabel.active.leases import Leases, PutOffImages
from landmarklabel.active.scores import Scores
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
