"""Label images and new landmarks over HTTP: put, listed, fetched, deleted, and refused with one sentence."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from label_files import label_image, markups
from servers import Server, prepare

from landmarklabel.protocol import Protocol

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Iterator[Server]:
    """A running server of three labelled images, without a model."""
    running = prepare(tmp_path_factory.mktemp("labels") / "s", triangle, images=3, labelled=3)
    try:
        yield running.start()
    finally:
        running.stop()


def put(server: Server, label: Path, tag: str, image: str = "image_001") -> requests.Response:
    files, data = {"label": (label.name, label.read_bytes())}, {"params": '{"user": "reader"}'}
    return server("PUT", f"/datastore/label?image={image}&tag={tag}", files=files, data=data)


def tags(server: Server, image: str = "image_001") -> set[str]:
    return set(server.get("/datastore/?output=all")["objects"][image]["labels"])


@pytest.mark.parametrize(
    ("make", "tag", "kept_as", "noted"),
    [
        (lambda f: label_image(f / "x.seg.nrrd", segment="outline"), "final", "final_segmentation", "structures"),
        (lambda f: label_image(f / "Patient 1.nrrd"), "final", "final_segmentation", "structures"),
        (lambda f: label_image(f / "x.y.nii.gz"), "final", "final_segmentation", "structures"),
        (lambda f: markups(f / "x.mrk.json", M=(5, 6), Cd=(7, 8)), "derived", "derived", "derived"),
    ],
)
def test_labels_of_each_kind_are_kept_and_deleted(
    bare: Server, tmp_path: Path, make: Callable[[Path], Path], tag: str, kept_as: str, noted: str
) -> None:
    """As they were sent, beside the landmarks of the image, which stay as they are."""
    sent, url = make(tmp_path), f"label=image_001&tag={kept_as}"
    landmarks = bare("GET", "/datastore/label?label=image_001&tag=final").content
    completed = bare.get("/datastore/")["completed"]
    answer = put(bare, sent, tag)
    assert (answer.status_code, answer.json()) == (200, {"image": "image_001", "label": "image_001"})
    assert tags(bare) == {"final", kept_as}
    assert bare("GET", f"/datastore/label?{url}").content == sent.read_bytes()
    info = bare.get(f"/datastore/label/info?{url}")
    assert (info["user"], info["protocol"]) == ("reader", "triangle")
    assert info[noted] == {"structures": {"outline": 12}, "derived": ["M", "Cd"]}[noted]
    assert bare("GET", "/datastore/label?label=image_001&tag=final").content == landmarks
    assert bare.get("/datastore/")["completed"] == completed
    assert bare("DELETE", f"/datastore/label?id=image_001&tag={kept_as}").status_code == 200
    assert bare("GET", f"/datastore/label?{url}").status_code == 404
    assert bare("DELETE", f"/datastore/label?id=image_001&tag={kept_as}").status_code == 404
    assert tags(bare) == {"final"}


@pytest.mark.parametrize(
    ("make", "tag", "status", "sentence"),
    [
        (lambda f: label_image(f / "x.nrrd", size=(48, 64)), "final", 422,
         "label of image_002 has 48 x 64 pixels, its image 64 x 48"),
        (lambda f: label_image(f / "x.nii.gz", value=2), "final", 422,
         "label of image_002 holds the value 2; expected 0 (ground) to 1, for outline"),
        (lambda f: label_image(f / "x.seg.nrrd", segment="heart"), "final", 422,
         "label of image_002: the segment 'heart' is no structure of the protocol, which has outline"),
        (lambda f: label_image(f / "x.nrrd"), "../x", 400, "label tag '../x': letters, digits"),
        (lambda f: label_image(f / "x.nrrd"), "derived", 422, "the tag 'derived' is for new landmarks"),
        (lambda f: markups(f / "x.mrk.json", M=(5, 6)), "final", 422, "M: not a landmark of triangle"),
        (lambda f: markups(f / "x.mrk.json", M=(5, 6)), "final_segmentation", 422,
         "the tag 'final_segmentation' is for label images"),
        (lambda f: markups(f / "x.mrk.json", top=(5, 6)), "derived", 422,
         "label of image_002: top: triangle has it already; a new landmark has a label of its own"),
        (lambda f: markups(f / "x.mrk.json", M=(80, 6)), "derived", 422,
         "label of image_002: M at (80.0, 6.0) lies outside the image"),
        (lambda f: markups(f / "x.mrk.json", **{"M" * 65: (5, 6)}), "derived", 422, "can't be the label of a landmark"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    bare: Server, tmp_path: Path, make: Callable[[Path], Path], tag: str, status: int, sentence: str
) -> None:
    answer = put(bare, make(tmp_path), tag, "image_002")
    assert answer.status_code == status
    detail: Any = answer.json()["detail"]
    assert sentence in detail
    assert "\n" not in detail
    assert tags(bare, "image_002") == {"final"}


def test_there_is_no_such_image(bare: Server, tmp_path: Path) -> None:
    for label, tag in ((label_image(tmp_path / "x.nrrd"), "final"), (markups(tmp_path / "a", M=(1, 1)), "derived")):
        assert put(bare, label, tag, "nobody").status_code == 404


def test_files_put_by_hand_are_noticed(bare: Server, tmp_path: Path) -> None:
    """In folders that were not there when the server started."""
    folder = bare.studies / "labels"
    sent = {
        "draft_segmentation": (label_image(tmp_path / "x.nii.gz"), folder / "draft_segmentation/image_000.nii.gz"),
        "derived": (markups(tmp_path / "x.mrk.json", M=(5, 6)), folder / "derived/image_000.mrk.json"),
    }
    for tag, (source, target) in sent.items():
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)
        bare.wait_for(lambda tag=tag: tag in tags(bare, "image_000"), 20)
        assert bare("GET", f"/datastore/label?label=image_000&tag={tag}").content == source.read_bytes()
        target.unlink()
        bare.wait_for(lambda tag=tag: tag not in tags(bare, "image_000"), 20)


def test_both_kinds_survive_a_restart(bare: Server, tmp_path: Path) -> None:
    assert put(bare, label_image(tmp_path / "x.seg.nrrd", segment="outline"), "final").status_code == 200
    assert put(bare, markups(tmp_path / "x.mrk.json", M=(5, 6)), "derived").status_code == 200
    before = bare.get("/datastore/?output=all")["objects"]["image_001"]["labels"]
    log = bare.log.read_text()
    bare.stop()
    bare.start()
    assert before.keys() == {"final", "final_segmentation", "derived"}
    assert bare.get("/datastore/?output=all")["objects"]["image_001"]["labels"] == before
    assert bare("DELETE", "/datastore/image?id=image_001").status_code == 200
    left = [path.name for path in (bare.studies / "labels").rglob("image_001*")]
    assert left == []
    assert "Traceback" not in log
