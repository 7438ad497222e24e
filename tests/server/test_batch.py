"""Batch inference by itself: every image is answered for, counted as failed, or tried later."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import tiny
from landmarklabel.errors import ImageError, RefusedError, RemoteError
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from batch import BatchInference
from datastore import LandmarkDatastore


def test_no_image_is_lost_whatever_fails(tmp_path: Path, triangle: Protocol) -> None:
    store = LandmarkDatastore(str(tiny.write_studies(tmp_path / "studies", triangle, 5, 1)), triangle, False)
    label = Path(store.get_label_uri("image_000", "final")).read_bytes()
    problems: dict[str, Exception] = {
        "image_001": RemoteError("the DICOM server can't be reached"),
        "image_002": ImageError("image_002.png: damaged"),
        "image_003": PermissionError(errno.EACCES, "Permission denied", "/studies/image_003.png"),
        "image_004": RuntimeError("a surprise"),
    }

    def task(request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        if problem := problems.get(request["image_name"]):
            raise problem
        file = tmp_path / "answer.mrk.json"
        file.write_bytes(label)
        return str(file), {"model": {"version": "1"}}

    batch = BatchInference(store, {"landmarks": task}, lambda _: "1", tmp_path / "batch.json")  # type: ignore[dict-item]
    batch.submit("landmarks", "all", {})

    def answered() -> None:
        """By the background, to which a surprise is none, and which lets what is far away rest."""
        while batch.state()["status"] == "RUNNING":
            try:
                batch.step()
            except RuntimeError:
                pass
            except RemoteError:
                if batch.state()["left"] == 1:
                    return

    answered()
    state = batch.state()
    assert (state["status"], state["done"], state["failed"], state["left"]) == ("RUNNING", 4, 3, 1)
    assert state["details"] == ["the DICOM server can't be reached"]
    assert state["failures"] == {
        "image_002": "image_002.png: damaged",
        "image_003": "image image_003: can't be answered for (Permission denied)",
        "image_004": "image image_004: the server failed on it; its log says where",
    }
    del problems["image_001"]
    answered()
    state = batch.state()
    assert (state["status"], state["images"], state["done"], state["failed"]) == ("DONE", 5, 5, 3)
    assert state["details"] == []
    assert json.loads((tmp_path / "batch.json").read_bytes())["done"] == 5


def test_an_image_that_an_archive_does_not_give_ends_no_batch_and_holds_none_up(
    tmp_path: Path, triangle: Protocol
) -> None:
    store = LandmarkDatastore(str(tiny.write_studies(tmp_path / "studies", triangle, 2, 1)), triangle, False)
    label = Path(store.get_label_uri("image_000", "final")).read_bytes()
    asked: list[str] = []

    def task(request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        asked.append(request["image_name"])
        if asked[-1] == "image_000":
            raise RefusedError("the DICOM server answered 500")
        file = tmp_path / "answer.mrk.json"
        file.write_bytes(label)
        return str(file), {"model": {"version": "1"}}

    batch = BatchInference(store, {"landmarks": task}, lambda _: "1", tmp_path / "batch.json")  # type: ignore[dict-item]
    batch.submit("landmarks", "all", {})
    for _ in range(10):
        with suppress(RemoteError):
            batch.step()
    state = batch.state()
    assert (state["status"], state["done"], state["failed"]) == ("DONE", 2, 1)
    assert state["failures"] == {"image_000": "image image_000: the DICOM server answered 500"}
    assert asked == ["image_000", "image_001", "image_000", "image_000"]


@pytest.mark.parametrize("moment", ["while it plans", "before its next image"])
def test_a_batch_that_is_begun_while_another_ends_does_its_own_images(
    tmp_path: Path, triangle: Protocol, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Not those of the other, and it is not done before it has begun."""
    store = LandmarkDatastore(str(tiny.write_studies(tmp_path / "studies", triangle, 4, 1)), triangle, False)
    label = Path(store.get_label_uri("image_000", "final")).read_bytes()
    asked: list[str] = []

    def task(request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        asked.append(request["image_name"])
        file = tmp_path / "answer.mrk.json"
        file.write_bytes(label)
        return str(file), {"model": {"version": "1"}}

    batch = BatchInference(store, {"landmarks": task}, lambda _: "1", tmp_path / "batch.json")  # type: ignore[dict-item]
    batch.submit("landmarks", "unlabeled", {})
    whose, what = (store, "get_unlabeled_images") if moment == "while it plans" else (batch, "_next")
    go_on = getattr(whose, what)

    def begun_anew(*arguments: Any) -> Any:
        monkeypatch.setattr(whose, what, go_on)
        batch.stop()
        batch.submit("landmarks", "labeled", {})
        return go_on(*arguments)

    monkeypatch.setattr(whose, what, begun_anew)
    while batch.step():
        pass
    state = batch.state()
    assert asked == ["image_000"]
    assert (state["status"], state["images"], state["done"], state["left"]) == ("DONE", 1, 1, 0)
