"""The files of answers: made where somebody reads them, and left behind by nobody."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from monailabel.config import settings
from servers import prepare, publish
from starlette.requests import Request

import tiny
from landmarklabel.errors import LandmarkLabelError, StorageError
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from gateway import inference
from gateway.guard import _CALLER, NOBODY
from gateway.inference import Asked, Output
from main import LandmarkApp

TASKS = ("landmarks", "refine", "segmentation")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> LandmarkApp:
    """The whole app, of which no server is begun; its models have learned nothing."""
    folder = tmp_path_factory.mktemp("app")
    prepared = prepare(folder / "s", triangle, 2, 1)
    for task, config in (("landmarks", tiny.config()), ("segmentation", tiny.denseseg_config())):
        publish(prepared, tiny.untrained_model(folder / f"{task}.safetensors", triangle, config), task)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "MONAI_LABEL_SESSIONS", False)
        patch.setattr(settings, "MONAI_LABEL_DATASTORE_AUTO_RELOAD", False)
        return LandmarkApp(str(folder / "app"), str(prepared.studies), prepared.conf)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def asked(task: str, output: Output, **params: Any) -> Asked:
    """A request, as the gateway reads it."""
    request = Request({"type": "http", "headers": [], "client": ("127.0.0.1", 1), _CALLER: NOBODY})
    return inference._read(request, task, "image_001", "", json.dumps(params), None, output)


def said(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "timings"}


@pytest.mark.parametrize("task", TASKS)
def test_whom_the_json_is_enough_for_is_answered_without_a_file(
    app: LandmarkApp, temporary: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    """The same as with one, and also where there is no room for any."""
    whole = app.infer(asked(task, Output.all).request)
    assert list(temporary.iterdir()) == [Path(whole["file"])]
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "full"))
    bare = app.infer(asked(task, Output.json).request)
    assert (bare["file"], said(bare["params"])) == (None, said(whole["params"]))
    monkeypatch.setattr(inference, "app_instance", lambda: app)
    assert said(json.loads(inference._work(asked(task, Output.json)).body)) == said(whole["params"])


@pytest.mark.parametrize("output", [Output.all, Output.image])
def test_a_file_that_is_asked_for_is_there_whatever_the_parameters_say(
    app: LandmarkApp, temporary: Path, monkeypatch: pytest.MonkeyPatch, output: Output
) -> None:
    monkeypatch.setattr(inference, "app_instance", lambda: app)
    response = inference._work(asked("landmarks", output, json_only=True))
    content = response.body if output is Output.all else Path(response.path).read_bytes()
    assert b"controlPoints" in content


@pytest.mark.parametrize("task", TASKS)
def test_a_file_that_there_is_no_room_for_is_said_in_a_sentence(
    app: LandmarkApp, temporary: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "gone"))
    with pytest.raises(StorageError, match="there is no folder .*/gone to write the answer to"):
        app.infer(asked(task, Output.all).request)


def test_an_answer_is_saved_as_a_label_also_where_the_json_is_enough(app: LandmarkApp, temporary: Path) -> None:
    request = asked("landmarks", Output.json, save_label=True, label_tag="original").request
    result = app.infer(request)
    saved = Path(app.datastore().get_label_uri("image_001", "original"))
    assert saved.read_bytes() == Path(result["file"]).read_bytes()


def test_an_answer_that_can_not_be_saved_leaves_no_file(app: LandmarkApp, temporary: Path) -> None:
    with pytest.raises(LandmarkLabelError, match="label tag"):
        app.infer(asked("landmarks", Output.json, save_label=True, label_tag="../x").request)
    assert list(temporary.iterdir()) == []


def test_uv_maps_are_refused_by_a_model_that_has_none_also_where_the_json_is_enough(
    app: LandmarkApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.published["segmentation"], "is_there", lambda: False)  # landmarks answer in its place
    with pytest.raises(LandmarkLabelError, match="has no uv-maps"):
        app.infer(asked("segmentation", Output.json, result="uv_map").request)
