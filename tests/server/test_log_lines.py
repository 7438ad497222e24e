"""The log says what went wrong and where, and never of which image: its id may be a patient's name."""

from __future__ import annotations

import io
import logging
import os
import sys
from pathlib import Path

import pytest

import tiny
from landmarklabel.errors import StorageError
from landmarklabel.io.image_cache import ImageCache
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from datastore import LandmarkDatastore
from gateway.correlation import WithRequestId

NAME = "Doe_Jane_19700101"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def test_tracebacks_have_frames_and_no_messages() -> None:
    written, logger = io.StringIO(), logging.getLogger("for the test")
    logger.propagate = False
    handler = logging.StreamHandler(written)
    handler.setFormatter(WithRequestId(logging.Formatter("%(message)s")))
    logger.addHandler(handler)
    try:
        try:
            Path(f"/nowhere/{NAME}.png").stat()
        except OSError as problem:
            raise StorageError(f"{NAME} is not there") from problem
    except StorageError:
        logger.exception("a request failed")
    lines = written.getvalue().splitlines()
    assert (lines[0], lines[-1]) == ("a request failed", "StorageError")
    assert "FileNotFoundError" in lines
    assert sum("test_log_lines.py" in line for line in lines) == 2
    assert "Doe" not in written.getvalue()


def test_the_store_names_no_image(tmp_path: Path, triangle: Protocol, said: pytest.LogCaptureFixture) -> None:
    """A label without an image, damaged records, and new landmarks that can't be used."""
    studies = tiny.write_studies(tmp_path / "studies", triangle, 2, 2)
    for folder, ending in ((studies, ".png"), (studies / "labels/final", ".mrk.json")):
        (folder / f"image_000{ending}").rename(folder / f"{NAME}{ending}")
    (studies / "labels/final/Doe_John.mrk.json").write_text("{}")
    (studies / "labels/derived").mkdir()
    (studies / f"labels/derived/{NAME}.mrk.json").write_text("hello")
    store = LandmarkDatastore(str(studies), triangle, auto_reload=False)
    label = store.get_label_uri(NAME, "final")
    store.save_label(NAME, label, "final", {})
    store.update_image_info(NAME, {"seen": "once"})
    history = store.store.history_of(NAME)
    for record in history.folder.glob("*.json"):
        if ".mrk." not in record.name:
            record.write_text(f'"{NAME}')
    os.utime(label)
    store.refresh()
    assert history.versions("final") == []
    assert history.image_info() is None
    assert store.derived() == {}
    for expected in (
        "labels/final: files of no image that is here: 1",
        "version 1 of a label 'final' is damaged (JSONDecodeError): landmarklabel labels check says which",
        "what is noted of an image is damaged (JSONDecodeError)",
        "the new landmarks on an image are left out (LabelError)",
    ):
        assert expected in said.messages
    assert "Doe" not in said.text


def test_a_draft_that_can_not_end_is_not_named(
    tmp_path: Path, triangle: Protocol, said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LandmarkDatastore(str(tiny.write_studies(tmp_path / "studies", triangle, 1, 1)), triangle, False)

    def full(name: str, *_: object) -> None:
        raise StorageError(f"the disk is full: the deletion of a label of {name}")

    monkeypatch.setattr(store.store, "_bury", full)
    monkeypatch.setattr(store.store, "_settle", full)
    store.save_label("image_000", store.get_label_uri("image_000", "final"), "final", {})
    assert "a draft stays beside its final label (StorageError)" in said.messages
    assert "after a change the index could not be told all (StorageError)" in said.messages
    assert "image_000" not in said.text


def test_the_cache_names_no_image(tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
    cache = ImageCache(tmp_path / "images", 100)
    for uid in ("1.2.3", "1.2.4"):
        cache.path(uid, lambda path: path.write_bytes(bytes(80)) and None)
    assert said.messages == ["an image of 80 bytes left the cache"]
