"""The label store by itself: what is refused leaves everything as it was, and nobody's change is lost."""

import errno
import json
import logging
import shutil
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from label_files import label_image, markups

import tiny
from landmarklabel.errors import DataError, LabelError, LandmarkLabelError, StorageError
from landmarklabel.io.dataset import read_dataset
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


def files_of(studies: Path) -> dict[Path, bytes]:
    """All that counts: the index follows from it."""
    files = (path for path in studies.rglob("*") if path.is_file() and "index.sqlite" not in path.name)
    return {path: path.read_bytes() for path in files}


def test_with_the_index_unwritable_the_old_label_stays(
    store: LandmarkDatastore, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the label is written already and the index is not."""
    store.save_label("image_000", str(a_label(studies, tmp_path, 0.25)), "final", {"user": "first"})
    before = files_of(studies), store.get_label_info("image_000", "final")

    @contextmanager
    def full() -> Iterator[None]:
        raise StorageError("the disk is full")
        yield

    monkeypatch.setattr(store.store.index, "writing", full)
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
        assert (files_of(studies), store.get_label_info("image_000", "final")) == before
    assert sorted(store.list_images()) == [f"image_{number:03d}" for number in range(6)]


def test_a_damaged_index_is_made_again(studies: Path, triangle: Protocol, tmp_path: Path) -> None:
    """With all that was noted, since the files say it, too; MONAI Label's own index is not relied on."""
    store = LandmarkDatastore(str(studies), triangle, auto_reload=False)
    store.save_label("image_000", str(a_label(studies, tmp_path, 0.25)), "final", {"user": "first"})
    store.update_image_info("image_001", {"seen": "twice"})
    before = store.json()
    store.store.close()
    (studies / "datastore_v2.json").write_text('{"name": "\\ud800"')
    for content in (b"", b"no database" * 1000, (studies / ".landmarklabel/index.sqlite").read_bytes()[:9000]):
        (studies / ".landmarklabel/index.sqlite").write_bytes(content)
        again = LandmarkDatastore(str(studies), triangle, auto_reload=False)
        assert again.get_label_info("image_000", "final")["user"] == "first"
        assert again.get_image_info("image_001")["seen"] == "twice"
        assert again.json()["objects"]["image_000"]["labels"] == before["objects"]["image_000"]["labels"]
        assert again.list_images() == list(before["objects"])
        again.store.close()


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


def test_a_label_that_is_written_over_in_place_is_noticed_once_another_is_saved(
    studies: Path, tmp_path: Path, triangle: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which the folder says nothing: MONAI Label's own store writes like that."""
    monkeypatch.setattr(store_module, "LOOK_S", 0.02)
    monkeypatch.setattr(store_module, "LOOK_THROUGH_S", 0.1)
    store, file = LandmarkDatastore(str(studies), triangle), studies / "labels/final/image_000.mrk.json"
    time.sleep(0.5)  # until all has been looked through that has just changed
    with file.open("ab") as opened:
        opened.write(b"\n")
    store.save_label("image_001", str(a_label(studies, tmp_path, 0.25)), "final", {})
    deadline = time.monotonic() + 20
    while store.store.labels("image_000")["final"].stamp[1] != file.stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def labels_of(store: LandmarkDatastore, image: str) -> set[str]:
    return set(store.get_labels_by_image_id(image))


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".nrrd", ".nii.gz", ".SEG.NRRD"])
def test_a_label_image_lies_beside_the_landmarks(
    store: LandmarkDatastore, studies: Path, tmp_path: Path, suffix: str
) -> None:
    """Neither takes the other's place; a data set that is read from the folder has both."""
    sent = label_image(tmp_path / f"sent{suffix}")
    landmarks = (studies / "labels/final/image_000.mrk.json").read_bytes()
    assert store.save_label("image_000", str(sent), "final", {"user": "reader"}) == "image_000"
    stored = studies / "labels/final_segmentation" / f"image_000{suffix.lower()}"
    assert stored.read_bytes() == sent.read_bytes()
    assert store.get_label_uri("image_000", "final_segmentation") == str(stored.resolve())
    info = store.get_label_info("image_000", "final_segmentation")
    assert (info["user"], info["protocol"], info["structures"]) == ("reader", "triangle", {"outline": 12})
    assert (studies / "labels/final/image_000.mrk.json").read_bytes() == landmarks
    assert store.status()["label_tags"] == {"final": 6, "final_segmentation": 1}
    case = read_dataset(f"studies:{studies}", store.protocol).cases[0]
    assert case.has_landmarks
    assert case.segmentation == stored
    fresh = LandmarkDatastore(str(studies), store.protocol, auto_reload=False)
    assert fresh.get_label_info("image_000", "final_segmentation") == info


def test_a_label_image_alone_labels_no_landmarks(store: LandmarkDatastore, studies: Path, tmp_path: Path) -> None:
    store.remove_label("image_000", "final")
    store.save_label("image_000", str(label_image(tmp_path / "x.nrrd")), "final", {})
    assert "image_000" in store.get_unlabeled_images()
    store.save_label("image_000", str(label_image(tmp_path / "x.nrrd")), "draft", {})
    assert labels_of(store, "image_000") == {"final_segmentation", "draft_segmentation"}


def test_a_label_image_replaces_one_with_another_ending(
    store: LandmarkDatastore, studies: Path, tmp_path: Path
) -> None:
    """Put again under the tag that it is listed with, it stays under that."""
    store.save_label("image_000", str(label_image(tmp_path / "x.nii.gz")), "final", {})
    store.save_label("image_000", str(label_image(tmp_path / "x.seg.nrrd")), "final_segmentation", {})
    (left,) = (studies / "labels/final_segmentation").iterdir()
    assert left.name == "image_000.seg.nrrd"
    assert labels_of(store, "image_000") == {"final", "final_segmentation"}
    store.remove_label("image_000", "final_segmentation")
    assert list((studies / "labels/final_segmentation").iterdir()) == []
    assert labels_of(store, "image_000") == {"final"}


def test_an_id_that_ends_like_a_label_image_is_no_other(
    store: LandmarkDatastore, studies: Path, tmp_path: Path
) -> None:
    """The images x and x.seg have label images of their own."""
    for name in ("x", "x.seg"):
        store.add_image(name, str(studies / "image_001.png"), {})
    store.save_label("x", str(label_image(tmp_path / "one.seg.nrrd")), "final", {"user": "one"})
    store.save_label("x.seg", str(label_image(tmp_path / "two.nrrd")), "final", {"user": "two"})
    fresh = LandmarkDatastore(str(studies), store.protocol, auto_reload=False)
    assert fresh.get_label_info("x", "final_segmentation")["user"] == "one"
    assert fresh.get_label_info("x.seg", "final_segmentation")["user"] == "two"
    segmentations = {case.id: case.segmentation for case in read_dataset(f"studies:{studies}", store.protocol).cases}
    assert str(segmentations["x"]) == fresh.get_label_uri("x", "final_segmentation")
    assert str(segmentations["x.seg"]) == fresh.get_label_uri("x.seg", "final_segmentation")


@pytest.mark.parametrize(
    ("make", "tag", "sentence"),
    [
        (lambda f: label_image(f / "x.nrrd", value=2), "final", "label of image_000 holds the value 2; expected 0"),
        (lambda f: label_image(f / "x.nrrd", size=(64, 49)), "final", "label of image_000 has 64 x 49 pixels, its im"),
        (lambda f: label_image(f / "x.nii.gz"), "derived", "label of image_000: the tag 'derived' is for new landmar"),
        (lambda f: markups(f / "x.nrrd"), "final", "label of image_000 is a text file"),
        (lambda f: label_image(f / "x.nrrd").rename(f / "x.mha"), "final", "image_000: NRRD in a file that .* '.mha'"),
        (lambda f: label_image(f / "x.nrrd").rename(f / "x"), "final", "image_000: NRRD in a file that ends with ''"),
        (lambda f: markups(f / "x.mrk.json"), "final_segmentation", "the tag 'final_segmentation' is for label images"),
        (lambda f: markups(f / "x.mrk.json", M=(1, 1)), "final", "M: not a landmark of triangle"),
        (lambda f: markups(f / "x.mrk.json"), "derived", "label of image_000: no points; expected one or more"),
        (lambda f: markups(f / "x.mrk.json", top=(1, 1)), "derived", "top: triangle has it already; a new landmark"),
        (lambda f: markups(f / "x.mrk.json", M=(66, 1)), "derived", r"image_000: M at \(66.0, 1.0\) lies outside the"),
        (lambda f: label_image(f / "x.nrrd"), "x" * 190, "label tag 'x"),
    ],
)  # fmt: skip
def test_what_is_refused_leaves_all_as_it_was(  # type: ignore[no-untyped-def]
    store: LandmarkDatastore, studies: Path, tmp_path: Path, make, tag: str, sentence: str
) -> None:
    store.save_label("image_000", str(label_image(tmp_path / "good.nrrd")), "final", {})
    assert store.status()["label_tags"]["final_segmentation"] == 1
    before = {path: path.read_bytes() for path in studies.rglob("*") if path.is_file()}
    with pytest.raises(LandmarkLabelError, match=sentence) as caught:
        store.save_label("image_000", str(make(tmp_path)), tag, {})
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in studies.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("name", "length"), [("x.nrrd", 1000), ("x.nii.gz", 20), ("x.seg.nrrd", 60), ("x.nrrd", 0)])
def test_damaged_label_images_are_refused(store: LandmarkDatastore, tmp_path: Path, name: str, length: int) -> None:
    """In words that know nothing of the server's temporary files."""
    sent = label_image(tmp_path / name)
    sent.write_bytes(sent.read_bytes()[:length])
    with pytest.raises(LabelError, match="^label of image_000") as caught:
        store.save_label("image_000", str(sent), "final", {})
    assert name not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert labels_of(store, "image_000") == {"final"}


def test_pixels_of_another_file_are_refused(store: LandmarkDatastore, tmp_path: Path) -> None:
    """A NRRD header may name any file of the machine for its pixels."""
    path = label_image(tmp_path / "x.nhdr")
    assert b"data file" in path.read_bytes()
    with pytest.raises(LabelError, match="label of image_000 keeps its pixels in another file"):
        store.save_label("image_000", str(path.rename(tmp_path / "x.nrrd")), "final", {})


def test_the_ending_is_that_of_the_content(store: LandmarkDatastore, studies: Path, tmp_path: Path) -> None:
    store.save_label("image_000", str(label_image(tmp_path / "x.nrrd").rename(tmp_path / "x.nii.gz")), "final", {})
    assert Path(store.get_label_uri("image_000", "final_segmentation")).name == "image_000.nrrd"


def test_label_images_come_and_go_by_hand(store: LandmarkDatastore, studies: Path, tmp_path: Path) -> None:
    """What is no label of its folder's kind is none."""
    store.save_label("image_001", str(label_image(tmp_path / "x.nrrd")), "final", {"user": "kept"})
    folder = studies / "labels/final_segmentation"
    for name in ("image_000.nii.gz", "image_001.nii.gz", ".image_002.nrrd", "unknown.seg.nrrd"):
        label_image(folder / name)
    label_image(studies / "labels/final/image_003.nrrd")
    shutil.copy(studies / "labels/final/image_004.mrk.json", folder)
    store.refresh()
    assert store.status()["label_tags"] == {"final": 6, "final_segmentation": 2}
    assert Path(store.get_label_uri("image_000", "final_segmentation")).name == "image_000.nii.gz"
    assert store.get_label_info("image_001", "final_segmentation")["user"] == "kept"
    (folder / "image_000.nii.gz").unlink()
    (folder / "image_001.nrrd").unlink()
    store.refresh()
    assert labels_of(store, "image_000") == {"final"}
    assert store.get_label_info("image_001", "final_segmentation")["name"] == "image_001.nii.gz"
    store.remove_image("image_001")
    assert not (folder / "image_001.nii.gz").exists()


def test_new_landmarks_are_kept_for_each_image(store: LandmarkDatastore, studies: Path, tmp_path: Path) -> None:
    """They are nothing to those who train: there they would be landmarks of no protocol."""
    before = read_dataset(f"studies:{studies}", store.protocol).fingerprint
    assert store.derived() == {}
    store.save_label("image_000", str(markups(tmp_path / "a.mrk.json", M=(5, 6), Cd=(7, 8.5))), "derived", {})
    store.save_label("image_001", str(markups(tmp_path / "b.mrk.json", M=(9, 10))), "derived", {"user": "reader"})
    assert store.derived() == {"image_000": {"M": (5, 6), "Cd": (7, 8.5)}, "image_001": {"M": (9, 10)}}
    assert store.get_label_info("image_000", "derived")["derived"] == ["M", "Cd"]
    assert (studies / "labels/derived/image_001.mrk.json").read_bytes() == (tmp_path / "b.mrk.json").read_bytes()
    assert store.status()["label_tags"] == {"final": 6, "derived": 2}
    assert read_dataset(f"studies:{studies}", store.protocol).fingerprint == before
    assert LandmarkDatastore(str(studies), store.protocol, auto_reload=False).derived() == store.derived()
    store.save_label("image_000", str(markups(tmp_path / "a.mrk.json", M=(1, 2))), "derived", {})
    assert store.derived()["image_000"] == {"M": (1, 2)}
    store.remove_label("image_000", "derived")
    store.remove_image("image_001")
    assert store.derived() == {}


def test_a_data_set_is_without_what_was_deleted_a_moment_ago(store: LandmarkDatastore, studies: Path) -> None:
    (studies / "image_001.png").unlink()
    (studies / "labels/final/image_002.mrk.json").unlink()
    file = Path(store.get_dataset_archive(3))
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["image/image_000.png", "label/image_000.mrk.json", "metadata.json"]
        assert archive.read("image/image_000.png") == (studies / "image_000.png").read_bytes()
    assert file.stat().st_mode & 0o077 == 0  # others on this machine are to see none of it
    file.unlink()


def test_a_data_set_of_what_can_not_be_read_names_the_image(
    store: LandmarkDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(Path, "read_bytes", closed)
    with pytest.raises(DataError, match=r"image image_\d+, or its label, can't be read \(Permission denied\)"):
        store.get_dataset_archive(None)


def test_a_data_set_without_room_is_said_and_leaves_nothing(
    store: LandmarkDatastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(StorageError, match="the disk is full: the data set could not be written to"):
        store.get_dataset_archive(None)
    assert not list((tmp_path / "tmp").iterdir())


def test_new_landmarks_that_are_handed_out_are_the_callers_own(store: LandmarkDatastore, tmp_path: Path) -> None:
    store.save_label("image_000", str(markups(tmp_path / "a.mrk.json", M=(5, 6))), "derived", {})
    store.derived()["image_000"].clear()
    store.derived().clear()
    assert store.derived() == {"image_000": {"M": (5, 6)}}


def test_new_landmarks_put_by_hand_that_can_not_be_used_are_left_out(
    store: LandmarkDatastore, studies: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (studies / "labels/derived").mkdir()
    markups(studies / "labels/derived/image_000.mrk.json", top=(5, 6))
    markups(studies / "labels/derived/image_001.mrk.json", M=(5, 6))
    (studies / "labels/derived/image_002.mrk.json").write_text("hello")
    store.refresh()
    with caplog.at_level(logging.WARNING):
        assert store.derived() == {"image_001": {"M": (5, 6)}}
    assert caplog.messages == ["the new landmarks on an image are left out (LabelError)"] * 2


def test_new_landmarks_are_read_once(store: LandmarkDatastore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a label has changed."""
    read: list[str] = []
    original = store_module.read_derived
    monkeypatch.setattr(
        store_module, "read_derived", lambda file, *rest: (read.append(file.name), original(file, *rest))[1]
    )
    store.save_label("image_000", str(markups(tmp_path / "a.mrk.json", M=(5, 6))), "derived", {})
    assert store.derived() == store.derived() == {"image_000": {"M": (5, 6)}}
    assert read == ["image_000.mrk.json"]
    store.save_label("image_000", str(markups(tmp_path / "a.mrk.json", M=(1, 6))), "derived", {})
    assert store.derived() == {"image_000": {"M": (1, 6)}}
    assert len(read) == 2
