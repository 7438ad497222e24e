"""The label store when things go wrong: processes killed, disks full, folders read-only, clocks that jump.

Small here; ``make soak`` runs it at full size.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import store_worker
from postgres import Postgres, postgres  # noqa: F401  (a fixture)

from landmarklabel.errors import ConfigError, LandmarkLabelError, StorageError
from landmarklabel.store import LabelStore
from landmarklabel.store.checking import damaged

SOAK = os.environ.get("LANDMARKLABEL_SOAK") == "1"
SAVES, KILLS = (2_000, 20) if SOAK else (60, 3)


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    for number in range(store_worker.IMAGES):
        (folder / f"image_{number:02d}.png").write_bytes(b"image %d" % number)
    return folder


# Killed ---------------------------------------------------------------------------------------------------------


@dataclass
class Crowd:
    """Processes at work on one folder, of which now and then one is killed and another takes its place."""

    studies: Path
    notes: Path
    url: str = ""
    generator: random.Random = field(default_factory=lambda: random.Random(0))
    running: dict[int, tuple[str, subprocess.Popen[bytes]]] = field(default_factory=dict)
    started: int = 0

    def start(self, place: int, role: str, saves: int) -> None:
        notes = self.notes / f"{role}_{self.started}"
        self.started += 1
        command = [sys.executable, store_worker.__file__, role, str(self.studies), self.url]
        command += [str(self.generator.randrange(10**6)), str(notes), str(saves)]
        self.running[place] = role, subprocess.Popen(command, stderr=(self.notes / "errors").open("ab"))

    def kill_one(self, saves: int) -> None:
        place = self.generator.choice(sorted(self.running))
        role, process = self.running[place]
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.start(place, role, saves)

    def acknowledged(self) -> list[tuple[str, int, str]]:
        lines = [line for path in self.notes.glob("write_*") for line in path.read_text().splitlines(keepends=True)]
        return [tuple(json.loads(line)) for line in lines if line.endswith("\n")]

    def stop(self) -> None:
        for _, process in self.running.values():
            process.kill()
            process.wait()


def work_and_kill(crowd: Crowd, writers: int, saves: int, kills: int) -> None:
    """Until so many saves have been acknowledged and so many processes killed."""
    roles = ["write"] * writers + ["read", "score"]
    try:
        for place, role in enumerate(roles):
            crowd.start(place, role, 10**6)
        for kill in range(1, kills + 1):
            due, deadline = saves * kill // kills, time.monotonic() + 500
            while len(crowd.acknowledged()) < due:
                assert time.monotonic() < deadline, (crowd.notes / "errors").read_text()
                time.sleep(0.05)
            time.sleep(crowd.generator.uniform(0, 0.05))
            crowd.kill_one(10**6)
    finally:
        crowd.stop()


def require_all(crowd: Crowd) -> None:
    """Every acknowledged save is there, byte for byte; nothing is half-written; the index says what the files say."""
    assert (crowd.notes / "errors").read_text() == ""
    assert not [path.read_text() for path in crowd.notes.glob("read_*")]
    store = LabelStore(crowd.studies, crowd.url)
    acknowledged, last = crowd.acknowledged(), dict[str, int]()
    for name, number, digest in acknowledged:
        assert hashlib.sha256(store.content(name, "final", number)[0]).hexdigest() == digest
        last[name] = max(number, last.get(name, 0))
    for name, number in last.items():
        label = store.label(name, "final")
        assert label.version is not None
        assert label.version >= number
        assert store.label_file(name, "final").read_bytes() == store.content(name, "final", label.version)[0]
    assert list(damaged(store)) == []
    files = [path for path in (crowd.studies / "labels").rglob("*") if path.is_file()]
    assert [path for path in files if not store_worker.is_whole(path.read_bytes())] == []
    known = list(store.everything())
    if not crowd.url:
        store.close()
        (crowd.studies / ".landmarklabel/index.sqlite").unlink()
        assert list(LabelStore(crowd.studies).everything()) == known


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_processes_that_are_killed_lose_nothing(studies: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    crowd = Crowd(studies, notes)
    work_and_kill(crowd, 4 if SOAK else 2, SAVES, KILLS)
    assert len(crowd.acknowledged()) >= SAVES
    require_all(crowd)


_DIES = """
import os, sys
from landmarklabel.store import LabelStore

store, writings = LabelStore(sys.argv[1]), []
writing = store.index.writing

def dies_before_the_second():
    writings.append(1)
    return writing() if len(writings) < 2 else os._exit(9)

store.index.writing = dies_before_the_second
{change}
"""


@pytest.mark.parametrize(
    "change", ["store.note_label('image_00', 'final', {'score': 2})", "store.note_image('image_00', {'score': 2})"]
)
def test_a_process_that_dies_between_a_note_and_the_index(studies: Path, change: str) -> None:
    """The index says what the files say: to who has the store open, who opens it, and who makes the index anew."""
    store = LabelStore(studies)
    store.save("image_00", "final", ".mrk.json", b"{}", {"score": 1})
    store.note_image("image_00", {"score": 1})
    died = subprocess.run([sys.executable, "-c", _DIES.replace("{change}", change), str(studies)], check=False)
    assert died.returncode == 9
    assert store.notice()
    assert not store.notice()
    open_one = list(store.everything())
    store.close()
    again = LabelStore(studies)
    assert list(again.everything()) == open_one
    again.close()
    (studies / ".landmarklabel/index.sqlite").unlink()
    anew = LabelStore(studies)
    assert list(anew.everything()) == open_one
    scores = anew.image_info("image_00")["score"], anew.label("image_00", "final").info["score"]
    assert sorted(scores) == [1, 2]
    anew.close()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_same_with_a_postgresql(studies: Path, tmp_path: Path, postgres: Postgres) -> None:  # noqa: F811
    """Whose index several processes share, as servers on several machines do."""
    notes = tmp_path / "notes"
    notes.mkdir()
    crowd = Crowd(studies, notes, postgres.url())
    work_and_kill(crowd, 2, SAVES // 2, KILLS)
    require_all(crowd)


@pytest.mark.slow
def test_a_postgresql_is_the_index_of_one_folder(studies: Path, tmp_path: Path, postgres: Postgres) -> None:  # noqa: F811
    url = postgres.url()
    store = LabelStore(studies, url)
    store.save("image_00", "final", ".mrk.json", b"{}", {"user": "a"})
    assert LabelStore(studies, url).label("image_00", "final").info == {"user": "a"}
    with pytest.raises(ConfigError, match="is the index of another studies folder; give each folder its own"):
        LabelStore(tmp_path / "other", url)
    with pytest.raises(LandmarkLabelError, match="can't be used now") as caught:
        LabelStore(tmp_path / "third", postgres.wrong())
    assert "secret" not in str(caught.value)


# Full, read-only --------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here ({mounted.stderr.decode().strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Fill a disk up to so many bytes."""
    filler = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler.write_bytes(bytes(max(free - leave, 0)))
    return filler


def test_a_full_disk_at_every_write(small_disk: Path) -> None:
    """With ever less room, each place where something is written is the one that fails; what was there, stays."""
    studies = small_disk / "studies"
    studies.mkdir()
    (studies / "image.png").write_bytes(b"image")
    store, failed, generator = LabelStore(studies), set[str](), random.Random(1)
    kept = {store.save("image", "final", ".mrk.json", b"first", {}).number: b"first"}
    (small_disk / "new").write_bytes(bytes(9_000))
    for leave in range(30 * 4096, -1, -4096):
        data = bytes(20_000) + generator.randbytes(8)
        filler = fill(small_disk, leave)
        before = (studies / "labels/final/image.mrk.json").read_bytes()
        info = store.image_info("image")
        for change in (
            lambda: kept.update({store.save("image", "final", ".mrk.json", data, {"user": "x" * 3000}).number: data}),  # noqa: B023
            lambda: store.note_image("image", {"note": str(leave) * 500}),  # noqa: B023
            lambda: store.add_image(f"new_{leave}", ".png", small_disk / "new", {}),  # noqa: B023
        ):
            try:
                change()
            except StorageError as problem:
                failed.add(str(problem).replace(str(leave), "N"))
                assert "\n" not in str(problem)
        now = (studies / "labels/final/image.mrk.json").read_bytes()
        assert now in (before, data)
        assert store.image_info("image") in (info, {**info, "note": str(leave) * 500})
        assert store.content("image", "final", max(kept))[0] == now == kept[max(kept)]
        filler.unlink()
        if f"new_{leave}" in store.images():
            store.remove_image(f"new_{leave}")
        for path in (studies / ".landmarklabel/history").glob("new_*/@image.*.png"):
            path.unlink()
        assert [*studies.glob(".*.saving"), *studies.glob("labels/*/.*")] == []
    assert len(failed) >= 3, failed
    assert all("the disk is full" in sentence or "disk I/O error" in sentence for sentence in failed), failed
    for number, data in kept.items():
        assert store.content("image", "final", number)[0] == data
    assert list(damaged(store)) == []
    fill(small_disk, 0)
    (studies / ".landmarklabel/index.sqlite").unlink()
    with pytest.raises(StorageError, match="index of the studies"):
        LabelStore(studies)


def test_a_read_only_folder_is_said_in_one_sentence(small_disk: Path) -> None:
    studies = small_disk / "studies"
    studies.mkdir()
    (studies / "image.png").write_bytes(b"image")
    store = LabelStore(studies)
    store.index.engine.dispose()  # no disk becomes read-only while a file on it is open to be written
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for change in (
        lambda: store.save("image", "final", ".mrk.json", b"{}", {}),
        lambda: store.remove_image("image"),
        lambda: LabelStore(studies),
        lambda: LabelStore(small_disk / "other"),
    ):
        with pytest.raises(StorageError, match=r"^no permission to write .* to /[^\n]*$"):
            change()
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert store.save("image", "final", ".mrk.json", b"{}", {}).number == 1


# Clocks -----------------------------------------------------------------------------------------------------------


def test_versions_are_in_order_whatever_the_clock_says(studies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It jumps back a year and forth ten, and stands still."""
    store, start = LabelStore(studies), time.time_ns()
    year = 365 * 86_400 * 10**9
    for number, jump in enumerate([0, -year, -year, 10 * year, 0, -50 * year], start=1):
        monkeypatch.setattr(time, "time_ns", lambda jump=jump: start + jump)
        monkeypatch.setattr(time, "time", lambda jump=jump: (start + jump) / 1e9)
        data = b"version %d" % number
        assert store.save("image_00", "final", ".mrk.json", data, {}).number == number
        assert store.label_file("image_00", "final").read_bytes() == data
        store.notice()
    (studies / "image_99.png").write_bytes(b"by hand, at another time")
    assert store.notice()
    versions, current = store.history("image_00", "final")
    assert [version.number for version in versions] == [1, 2, 3, 4, 5, 6]
    assert current == 6
    store.close()
    (studies / ".landmarklabel/index.sqlite").unlink()
    again = LabelStore(studies)
    assert again.label("image_00", "final").version == 6
    assert again.content("image_00", "final", 6)[0] == b"version 6"
