"""The label store by itself: every version kept, what was deleted comes back, and folders are what they are."""

import json
import os
import shlex
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, Table, insert, select
from typer.testing import CliRunner

import tiny
from landmarklabel.cli_labels import app
from landmarklabel.errors import ConfigError, LabelError, LandmarkLabelError, NotFoundError, StorageError
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import markups_to_dict, parse_positions
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry
from landmarklabel.store import METADATA, Action, ConflictError, LabelStore, durable
from landmarklabel.store.checking import damaged
from landmarklabel.store.compare import compare, compare_landmarks
from landmarklabel.store.stock import export_stock_index


@pytest.fixture
def studies(tmp_path: Path, triangle: Protocol) -> Path:
    return tiny.write_studies(tmp_path / "studies", triangle, 3, 1)


@pytest.fixture
def store(studies: Path) -> Iterator[LabelStore]:
    store = LabelStore(studies)
    yield store
    store.close()


def label(protocol: Protocol, points: list[tuple[float, float]]) -> bytes:
    landmarks = LandmarkSet.from_points(protocol, np.array(points), Status.CONFIRMED)
    return json.dumps(markups_to_dict(landmarks, Geometry(tiny.SIZE))).encode()


def save(store: LabelStore, data: bytes, tag: str = "final", name: str = "image_001", **info: object) -> int:
    return store.save(name, tag, ".mrk.json", data, info).number


# Versions -------------------------------------------------------------------------------------------------------


def test_every_save_is_kept_with_who_and_from_what(store: LabelStore) -> None:
    model = {"name": "farnet", "version": "ab12"}
    save(store, b"one", user="ann", model=model, clicks=3)
    save(store, b"two", user="bob", params={"model": model})
    save(store, b"one")
    versions, current = store.history("image_001", "final")
    assert [(each.user, each.model, each.clicks) for each in versions] == [
        ("ann", model, 3), ("bob", model, None), ("", None, None)
    ]  # fmt: skip
    assert current == 3
    assert [store.content("image_001", "final", number)[0] for number in (1, 2, 3)] == [b"one", b"two", b"one"]
    assert all(each.action is Action.SAVED for each in versions)
    assert [each.time for each in versions] == sorted(each.time for each in versions)


def test_an_earlier_version_comes_back_as_a_new_one(store: LabelStore) -> None:
    save(store, b"one", user="ann", note="kept")
    save(store, b"two", user="bob")
    version = store.restore("image_001", "final", 1, "cem")
    assert (version.number, version.restored, version.action, version.user) == (3, 1, Action.RESTORED, "cem")
    assert store.label_file("image_001", "final").read_bytes() == b"one"
    assert store.label("image_001", "final").info["note"] == "kept"
    with pytest.raises(NotFoundError, match="there is no version 9 of the label 'final' of image_001; there are 1, 2"):
        store.restore("image_001", "final", 9)


def test_a_deleted_label_comes_back(store: LabelStore) -> None:
    save(store, b"one", user="ann")
    store.remove_label("image_001", "final", "bob")
    assert store.labels("image_001") == {}
    assert "image_001" in store.unlabelled()
    versions, current = store.history("image_001", "final")
    assert [(each.action, each.user) for each in versions] == [(Action.SAVED, "ann"), (Action.DELETED, "bob")]
    assert current is None
    with pytest.raises(NotFoundError, match="version 2 of 'final' of image_001 says that it was deleted"):
        store.restore("image_001", "final", 2)
    store.undelete("image_001", "final")
    assert store.label_file("image_001", "final").read_bytes() == b"one"
    with pytest.raises(ConflictError, match="has a label 'final'; restore one of its versions instead"):
        store.undelete("image_001", "final")
    with pytest.raises(NotFoundError, match="no label 'final' of the image 'image_002' has been deleted"):
        store.undelete("image_002", "final")


def test_a_label_put_by_hand_is_kept_before_it_is_replaced(store: LabelStore, studies: Path) -> None:
    """One that was there before the store, and one that another program wrote over ours."""
    file = studies / "labels/final/image_000.mrk.json"
    first = file.read_bytes()
    assert store.history("image_000", "final")[1] == 1
    assert store.content("image_000", "final", 1)[0] == first
    save(store, b"ours", name="image_000")
    with file.open("r+b") as opened:  # in place, as MONAI Label's own store writes
        opened.write(b"theirs, longer")
    assert store.label("image_000", "final").version is None
    save(store, b"ours again", name="image_000")
    versions, current = store.history("image_000", "final")
    assert [each.action.value for each in versions] == ["found", "saved", "found", "saved"]
    assert current == 4
    contents = [store.content("image_000", "final", number)[0] for number in (1, 2, 3, 4)]
    assert contents == [first, b"ours", b"theirs, longer", b"ours again"]


@pytest.mark.parametrize("change", ["save", "undelete"])
def test_a_label_put_by_hand_that_nobody_has_noticed_is_kept_too(store: LabelStore, studies: Path, change: str) -> None:
    """It lies in the folder, and the index does not know it yet: it is no less a version."""
    save(store, b"ours")
    store.remove_label("image_001", "final")
    (studies / "labels/final/image_001.mrk.json").write_bytes(b"theirs")
    if change == "save":
        assert save(store, b"ours again") == 4
    else:
        with pytest.raises(ConflictError, match="has a label 'final'; restore one of its versions instead"):
            store.undelete("image_001", "final")
        assert store.restore("image_001", "final", 1).number == 4
    versions, current = store.history("image_001", "final")
    assert [each.action.value for each in versions[:3]] == ["saved", "deleted", "found"]
    assert (store.content("image_001", "final", 3)[0], current) == (b"theirs", 4)
    store.close()
    assert LabelStore(studies).history("image_001", "final") == (versions, 4)


def test_label_images_put_by_hand_are_kept_whatever_they_end_with(store: LabelStore, studies: Path) -> None:
    """Also one that does not count, as there is another; those of the image x.seg are not those of x."""
    tag, folder = "final_segmentation", studies / "labels/final_segmentation"
    shutil.copy(studies / "image_001.png", studies / "image_001.seg.png")
    store.refresh()
    folder.mkdir()
    (folder / "image_001.seg.nrrd").write_bytes(b"of 1")
    assert store.save("image_001.seg", tag, ".nii.gz", b"of 1.seg", {}).number == 1
    assert store.save("image_001", tag, ".nrrd", b"ours", {}).number == 2
    (folder / "image_001.nii.gz").write_bytes(b"beside")
    assert store.save("image_001", tag, ".nii.gz", b"ours again", {}).number == 4
    assert [store.content("image_001", tag, number)[0] for number in (1, 2, 3)] == [b"of 1", b"ours", b"beside"]
    assert sorted(path.name for path in folder.iterdir()) == ["image_001.nii.gz", "image_001.seg.nii.gz"]
    assert (folder / "image_001.seg.nii.gz").read_bytes() == b"of 1.seg"


def test_a_draft_put_by_hand_that_nobody_has_noticed_ends_with_the_final_label(
    store: LabelStore, studies: Path
) -> None:
    (studies / "labels/draft").mkdir()
    (studies / "labels/draft/image_001.mrk.json").write_bytes(b"half")
    save(store, b"whole")
    assert (store.drafts(), list((studies / "labels/draft").iterdir())) == ([], [])
    assert store.content("image_001", "draft", 1)[0] == b"half"


def test_what_is_damaged_in_the_history_is_said(store: LabelStore, studies: Path) -> None:
    for data in (b"one", b"two", b"three"):
        save(store, data)
    folder = studies / ".landmarklabel/history/image_001"
    (folder / "final.000001.mrk.json").write_bytes(b"0ne")
    (folder / "final.000002.json").write_bytes(b"{")
    with pytest.raises(StorageError, match="final.000001.mrk.json is not what was saved"):
        store.content("image_001", "final", 1)
    assert [each.number for each in store.history("image_001", "final")[0]] == [1, 3]
    assert [sentence.count("\n") for sentence in damaged(store)] == [0, 0]
    assert save(store, b"four") == 4


# Drafts ---------------------------------------------------------------------------------------------------------


def test_a_draft_is_resumed_and_ends_with_the_final_label(store: LabelStore) -> None:
    for number in range(30):
        save(store, b"half %d" % number, "draft", user="ann")
    assert [(each.image, each.tag, each.info["user"]) for each in store.drafts()] == [("image_001", "draft", "ann")]
    assert store.label_file("image_001", "draft").read_bytes() == b"half 29"
    assert "image_001" in store.unlabelled()
    assert len(store.history("image_001", "draft")[0]) == 10
    save(store, b"whole", user="bob")
    assert (store.drafts(), set(store.labels("image_001"))) == ([], {"final"})
    assert store.history("image_001", "draft")[0][-1].action is Action.SUPERSEDED
    store.undelete("image_001", "draft")
    assert store.label_file("image_001", "draft").read_bytes() == b"half 29"


# Images ---------------------------------------------------------------------------------------------------------


def test_a_deleted_image_comes_back_with_its_labels(store: LabelStore, studies: Path) -> None:
    pixels = (studies / "image_001.png").read_bytes()
    save(store, b"one", user="ann")
    save(store, b"half", "draft")
    store.remove_image("image_001", "bob")
    assert "image_001" not in store.images()
    assert not (studies / "image_001.png").exists()
    assert not list((studies / "labels").rglob("image_001*"))
    assert not store.refresh()
    assert store.undelete_image("image_001", "cem") == ["draft", "final"]
    assert (studies / "image_001.png").read_bytes() == pixels
    assert store.label_file("image_001", "final").read_bytes() == b"one"
    assert store.restore("image_001", "final", 1).restored == 1
    with pytest.raises(ConflictError, match="there is an image 'image_001'"):
        store.undelete_image("image_001")
    with pytest.raises(NotFoundError, match="no image 'image_009' of these studies has been deleted"):
        store.undelete_image("image_009")


def test_labels_of_a_deleted_image_are_not_those_of_the_next(store: LabelStore, studies: Path) -> None:
    save(store, b"one")
    store.note_image("image_001", {"seen": 1})
    store.remove_image("image_001")
    store.add_image("image_001", ".png", studies / "image_002.png", {"seen": 2})
    assert store.labels("image_001") == {}
    with pytest.raises(NotFoundError, match="no label 'final'"):
        store.history("image_001", "final")
    with pytest.raises(ConflictError, match="version 1 of 'final' belongs to an image 'image_001' that was deleted"):
        store.restore("image_001", "final", 1)
    assert save(store, b"two") == 2
    assert [each.number for each in store.history("image_001", "final")[0]] == [2]
    store.remove_image("image_001")
    store.undelete_image("image_001")
    assert (store.image_info("image_001")["seen"], set(store.labels("image_001"))) == (2, {"final"})


def test_the_same_image_again_keeps_its_labels(store: LabelStore, studies: Path) -> None:
    store.add_image("image_000", ".png", studies / "image_000.png", {})
    assert set(store.labels("image_000")) == {"final"}
    with pytest.raises(ConflictError, match="another id, or delete that one first"):
        store.add_image("image_000", ".png", studies / "image_001.png", {})


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_an_image_put_by_hand_that_nobody_has_noticed_is_not_written_over(
    store: LabelStore, studies: Path, ending: str
) -> None:
    """Neither by another one of its id nor by one that comes back; the same one again is welcome."""
    pixels = (studies / "image_002.png").read_bytes()
    store.remove_image("image_001")
    (studies / f"image_001{ending}").write_bytes(pixels)
    with pytest.raises(ConflictError, match="there is an image 'image_001' in these studies; delete it first"):
        store.undelete_image("image_001")
    (studies / f"guest{ending}").write_bytes(pixels)
    with pytest.raises(ConflictError, match="there is another image 'guest' in these studies"):
        store.add_image("guest", ".png", studies / "image_000.png", {})
    (studies / f"same{ending}").write_bytes(pixels)
    store.add_image("same", ".png", studies / "image_002.png", {})
    names = ["guest", "image_001", "same"]
    assert [store.image_file(name).name for name in names] == [f"{name}{ending}" for name in names]
    assert [store.image_file(name).read_bytes() for name in names] == [pixels] * 3


def test_a_deletion_that_was_cut_off_is_finished(store: LabelStore, studies: Path) -> None:
    """The image has gone to the history already, its label has not."""
    save(store, b"one")
    file = studies / "labels/final/image_001.mrk.json"
    store.remove_image("image_001")
    file.write_bytes(b"one")
    store.refresh()
    assert not file.exists()
    file.write_bytes(b"one")
    store.add_image("image_001", ".png", studies / "image_002.png", {})
    assert not file.exists()
    assert store.labels("image_001") == {}


# Folders --------------------------------------------------------------------------------------------------------


@settings(max_examples=12)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "change", "remove", "image"])), max_size=8))
def test_what_is_done_by_hand_is_noticed(changes: list[tuple[str, str]]) -> None:
    """In any order; a store that has looked each time knows what one knows that is opened afterwards."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        studies = Path(folder)
        for name in "abc":
            (studies / f"{name}.png").write_bytes(b"image")
        store, later = LabelStore(studies), time.time_ns()
        for name, change in changes:
            file, image = studies / f"labels/final/{name}.mrk.json", studies / f"{name}.png"
            if change == "remove":
                file.unlink(missing_ok=True)
            elif change == "image":
                image.rename(studies / f"{name}.hidden") if image.exists() else image.write_bytes(b"image")
            else:
                file.write_bytes(change.encode())
                later += 1_000_000_000
                os.utime(file, ns=(later, later))
            store.refresh() if change == "change" else store.notice()
        again = LabelStore(studies)
        expected = sorted(path.stem for path in studies.glob("*.png"))
        labelled = sorted(path.name[0] for path in studies.glob("labels/final/*") if path.name[0] in expected)
        store.notice()
        for each in (store, again):
            assert (each.images(), each.labelled()) == (expected, labelled)
            each.close()


def test_nothing_to_notice_changes_nothing(store: LabelStore, studies: Path) -> None:
    time.sleep(0.06)  # what has just changed is looked at once more
    store.refresh()
    save(store, b"one")
    revision = store.revision
    assert not store.notice()
    assert store.revision == revision
    (studies / "labels/reviewed").mkdir()
    (studies / "labels/reviewed/image_000.mrk.json").write_bytes(b"{}")
    (studies / "labels/reviewed/.hidden.mrk.json").write_bytes(b"{}")
    (studies / os.fsdecode(b"\xff.png")).write_bytes(b"no text at all")
    assert store.notice()
    assert set(store.labels("image_000")) == {"final", "reviewed"}
    assert len(store.images()) == 3


def test_what_the_store_changes_itself_makes_nobody_look(store: LabelStore, studies: Path) -> None:
    """A folder is looked through for what others put there: with 50,000 labels it takes half a second."""
    time.sleep(0.06)  # what has just changed is looked at once more
    store.refresh()
    for change in (
        lambda: save(store, b"one"),
        lambda: save(store, b"two"),
        lambda: store.remove_label("image_001", "final"),
        lambda: store.undelete("image_001", "final"),
        lambda: store.add_image("guest", ".png", studies / "image_000.png", {}),
        lambda: store.remove_image("image_001"),
        lambda: store.undelete_image("image_001"),
    ):
        change()
        assert store._scanner.changed() == set()


@pytest.mark.parametrize("moment", [0, 1])
@pytest.mark.parametrize("change", ["label", "image"])
def test_what_is_put_by_hand_during_a_change_is_noticed(
    store: LabelStore, studies: Path, monkeypatch: pytest.MonkeyPatch, change: str, moment: int
) -> None:
    """Into the same folder, while the new file is made durable, and while its name is."""
    source = studies / {"label": "labels/final/image_000.mrk.json", "image": "image_000.png"}[change]
    (studies / "image_002.png").rename(studies / "by_hand.png") if change == "label" else None
    time.sleep(0.06)
    store.refresh()
    sync, moments = durable.sync, iter(range(9))

    def put_and_sync(files: Iterable[Path] = (), folders: Iterable[Path] = ()) -> None:
        if next(moments) == moment:
            time.sleep(0.02)  # a file system's clock has steps
            shutil.copy(source, source.with_name(source.name.replace("image_000", "by_hand")))
            time.sleep(0.02)
        sync(files, folders)

    monkeypatch.setattr(durable, "sync", put_and_sync)
    if change == "label":
        save(store, b"one")
    else:
        store.add_image("guest", ".png", studies / "image_001.png", {})
    assert store.notice()
    assert "by_hand" in (store.labelled() if change == "label" else store.images())


def test_a_folder_of_monai_label_opens_as_it_is(studies: Path) -> None:
    """With what its index notes; and it gets an index back that its own store reads."""
    from monailabel.datastore.local import LocalDatastore

    stock = LocalDatastore(str(studies), extensions=["*.png", "*.mrk.json"])
    stock.save_label("image_000", str(studies / "labels/final/image_000.mrk.json"), "original", {"user": "theirs"})
    stock.update_image_info("image_001", {"seen": 2})
    stock.set_name("their name")
    store = LabelStore(studies)
    assert store.identity.name == "their name"
    assert store.label("image_000", "original").info["user"] == "theirs"
    assert store.image_info("image_001")["seen"] == 2
    save(store, b"{}", user="ours")
    export_stock_index(store)
    back = LocalDatastore(str(studies), extensions=["*.png", "*.mrk.json"])
    assert back.get_label_info("image_001", "final")["user"] == "ours"
    assert back.get_label_info("image_000", "original")["user"] == "theirs"
    assert sorted(back.list_images()) == store.images()
    assert sorted(back.get_labels_by_image_id("image_000")) == ["final", "original"]


@pytest.mark.parametrize("copy", [shutil.copy2, shutil.copy])
def test_a_backup_is_opened_without_its_index(store: LabelStore, studies: Path, tmp_path: Path, copy) -> None:  # type: ignore[no-untyped-def]
    """Copied while the store is open, with the files' times and without."""
    for number in range(3):
        save(store, b"version %d" % number, user="ann", clicks=number)
    store.note_image("image_002", {"seen": 1})
    store.remove_image("image_000")
    shutil.copytree(studies, tmp_path / "b", copy_function=copy, ignore=shutil.ignore_patterns("index.sqlite*", "lock"))
    backup = LabelStore(tmp_path / "b")
    assert backup.history("image_001", "final") == store.history("image_001", "final")
    assert backup.label("image_001", "final").info == {"user": "ann", "clicks": 2}
    assert backup.image_info("image_002")["seen"] == 1
    assert backup.undelete_image("image_000") == ["final"]


def test_the_index_may_be_removed_under_way(store: LabelStore, studies: Path) -> None:
    """By hand, or by another process that has found it damaged."""
    save(store, b"one", user="ann")
    for file in (studies / ".landmarklabel").glob("index.sqlite*"):
        file.unlink()
    assert store.label("image_001", "final").info == {"user": "ann"}
    assert save(store, b"two") == 2


def test_nobody_reads_an_index_that_is_not_filled_yet(
    store: LabelStore, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One makes it again; another, who asks meanwhile, waits for it and does not hear that there is nothing."""
    scan, begun, go = store._scanner.scan, threading.Event(), threading.Event()

    def scan_slowly(folders: Iterable[str]) -> bool:
        begun.set()
        assert go.wait(30)
        return scan(folders)

    monkeypatch.setattr(store._scanner, "scan", scan_slowly)
    for file in (studies / ".landmarklabel").glob("index.sqlite*"):
        file.unlink()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.images)
        assert begun.wait(30)
        second = pool.submit(store.images)
        wait([second], timeout=0.3)
        go.set()
        assert first.result() == second.result() == ["image_000", "image_001", "image_002"]


def test_an_index_that_could_not_be_filled_is_filled_next_time(
    store: LabelStore, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise StorageError("the disk is full")

    (studies / ".landmarklabel/index.sqlite").unlink()
    with monkeypatch.context() as full, pytest.raises(StorageError, match="the disk is full"):
        full.setattr(store._scanner, "scan", fail)
        store.images()
    assert store.images() == ["image_000", "image_001", "image_002"]


def test_tables_of_others_lie_in_the_index(store: LabelStore, studies: Path) -> None:
    table = Table("of_others", METADATA, Column("number", Integer))
    store.index.require(table)
    with store.index.writing() as connection:
        connection.execute(insert(table), [{"number": 7}])
    with store.index.reading() as connection:
        assert connection.execute(select(table.c.number)).scalar() == 7
    (studies / ".landmarklabel/index.sqlite").unlink()
    assert store.images()
    with store.index.reading() as connection:
        assert connection.execute(select(table.c.number)).all() == []


def test_a_store_of_a_later_release_is_refused(store: LabelStore, studies: Path) -> None:
    file = studies / ".landmarklabel/store.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "format": 2}))
    with pytest.raises(ConfigError, match="has format 2, this landmarklabel reads up to 1; upgrade it"):
        LabelStore(studies)
    file.write_text("{")
    with pytest.raises(ConfigError, match="store.json: damaged"):
        LabelStore(studies)


@pytest.mark.parametrize("url", ["mysql://a@b/c", "nonsense", "sqlite:///x"])
def test_only_a_postgresql_can_be_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="expected postgresql://user:password@host/database"):
        LabelStore(tmp_path, url)


@pytest.mark.parametrize("name", ["../image_001", "..", ".", "", "a/b", "/etc", "x\0y", "\ud800", "x" * 9000])
def test_names_lead_nowhere(store: LabelStore, studies: Path, name: str) -> None:
    """Neither as an id nor as a tag."""
    save(store, b"one")
    store.remove_image("image_002")
    before = sorted(studies.rglob("*"))
    for change in (
        lambda: store.history(name, "final"),
        lambda: store.history("image_001", name),
        lambda: store.content("image_001", name, 1),
        lambda: store.restore("image_001", f"{name}/final", 1),
        lambda: store.restore("image_000", "../image_001/final", 1),
        lambda: store.undelete("image_001", name),
        lambda: store.undelete_image(name),
        lambda: store.undelete_image(f"image_001/../{name}"),
        lambda: store.remove_image(name),
        lambda: store.remove_label("image_001", name),
        lambda: store.save("image_001", name, ".mrk.json", b"{}", {}),
        lambda: store.save(name, "final", ".mrk.json", b"{}", {}),
        lambda: store.add_image(name, ".png", studies / "image_001.png", {}),
        lambda: store.note_label("image_001", name, {}),
        lambda: store.note_image(name, {}),
    ):
        with pytest.raises(LandmarkLabelError) as caught:
            change()
        assert caught.value.http_status in (400, 404)
    assert sorted(studies.rglob("*")) == before


# Comparing ------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.none() | st.tuples(*[st.floats(-99, 99)] * 3)),
    st.dictionaries(st.sampled_from("abcdef"), st.none() | st.tuples(*[st.floats(-99, 99)] * 3)),
)
def test_moves_are_the_distances_between_places(before: dict, after: dict) -> None:  # type: ignore[type-arg]
    moves, same = compare_landmarks(before, after)
    back, _ = compare_landmarks(after, before)
    assert len(moves) + same == len({**before, **after})
    assert {(each.label, each.distance) for each in moves} == {(each.label, each.distance) for each in back}
    for move in moves:
        if move.distance is not None:
            expected = np.linalg.norm(np.subtract(before[move.label], after[move.label]))
            assert np.isclose(move.distance, expected)
    known = [each.distance for each in moves if each.distance is not None]
    assert known == sorted(known, reverse=True)
    assert all(each.distance is not None for each in moves[len(moves) - len(known) :])


def test_two_versions_are_compared(store: LabelStore, triangle: Protocol) -> None:
    save(store, label(triangle, [(10, 10), (20, 20), (30, 5)]))
    save(store, label(triangle, [(10, 10), (23, 24), (np.nan, np.nan)]))
    found = compare(store, "image_001", "final")
    assert (found.before, found.after, found.same) == (1, 2, 1)
    assert [(move.label, move.distance) for move in found.moved] == [("top", None), ("right", pytest.approx(5))]
    assert compare(store, "image_001", "final", 1, 1).moved == ()
    with pytest.raises(NotFoundError, match="there is no version 7"):
        compare(store, "image_001", "final", 7, 1)
    with pytest.raises(NotFoundError, match="has no version before 1 to compare it with"):
        compare(store, "image_000", "final")


def test_positions_are_those_of_slicer(triangle: Protocol) -> None:
    """Also in its other system of coordinates."""
    points = [{"label": "M", "position": [1.0, 2.0, 3.0]}, {"label": "N", "positionStatus": "missing", "position": ""}]
    for system, place in (("LPS", (1, 2, 3)), ("RAS", (-1, -2, 3))):
        markup = {"type": "Fiducial", "coordinateSystem": system, "controlPoints": points}
        assert parse_positions(json.dumps({"markups": [markup]}).encode()) == {"M": place, "N": None}
    with pytest.raises(LabelError, match="version 1 of 'final' of x: not JSON"):
        parse_positions(b"junk", "version 1 of 'final' of x")


# The command line -----------------------------------------------------------------------------------------------


def test_history_on_the_command_line(studies: Path, triangle: Protocol) -> None:
    store = LabelStore(studies)
    save(store, label(triangle, [(10, 10), (20, 20), (30, 5)]), user="ann", model={"name": "far"}, clicks=2)
    save(store, label(triangle, [(10, 10), (23, 24), (30, 5)]))
    store.close()

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments[:1], str(studies), *arguments[1:]])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    lines = run("history", "image_001").splitlines()
    assert "saved by ann, from far, 2 clicks" in lines[0]
    assert lines[1].startswith("*    2  ")
    assert json.loads(run("history", "image_001", "--json"))["current"] == 2
    assert "right: 5.00" in run("compare", "image_001")
    assert "version 3 is version 1 again" in run("restore", "image_001", "--version", "1", "--user", "bob")
    assert "of version 1" in run("history", "image_001")
    run("delete", "image_001")
    assert "version 3 is there again, as version 5" in run("undelete", "image_001")
    run("delete", "image_001", "--image")
    assert "there again, with final labels" in run("undelete", "image_001", "--image")
    assert "nothing damaged" in run("check")
    assert run("export").strip().endswith("datastore_v2.json")
    with pytest.raises(LandmarkLabelError, match="there is no image 'nobody' in these studies"):
        run("history", "nobody")


def test_the_commands_of_the_page_work(tmp_path: Path, triangle: Protocol, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    studies = tiny.write_studies(tmp_path / "studies/spine", triangle, 1, 0)
    (studies / "image_000.png").rename(studies / "spine_0001.png")
    store = LabelStore(studies)
    for y in (20, 22):
        save(store, label(triangle, [(10, 10), (20, y), (30, 5)]), name="spine_0001")
    page = (Path(__file__).parent.parent / "docs/store.md").read_text()
    commands = page.split("```sh\n")[1].split("```")[0].splitlines()
    assert len(commands) == 10
    for command in commands:
        program, group, *arguments = shlex.split(command)
        assert (program, group) == ("landmarklabel", "labels")
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, (command, result.output, result.exception)
    assert store.label("spine_0001", "final").version == 6
