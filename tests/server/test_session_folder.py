"""Sessions on disk: what is broken, over or none is said in one sentence, and stops nothing."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
import uuid
from pathlib import Path

import pytest
from PIL import Image

import tiny
from landmarklabel.errors import ConfigError, ImageError, NotFoundError
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from session_folder import SessionFolder

HOUR = 3600


@pytest.fixture
def sessions(tmp_path: Path) -> SessionFolder:
    return SessionFolder(str(tmp_path / "sessions"), HOUR)


def image(folder: Path, seed: int = 0) -> str:
    path = folder / f"{seed}.png"
    Image.fromarray(tiny.triangle_image(seed)[0]).save(path)
    return str(path)


def last_used(sessions: SessionFolder, name: str, ago: float) -> None:
    """As if it had been used so many seconds ago."""
    path = Path(sessions.store_path) / name / "meta.info"
    path.write_text(json.dumps({**json.loads(path.read_text()), "last_access_ts": int(time.time() - ago)}))


def test_a_session_lasts_as_long_as_it_is_used(sessions: SessionFolder, tmp_path: Path) -> None:
    name, opened = sessions.add_session(image(tmp_path))
    assert Path(opened.image).is_file()
    last_used(sessions, name, HOUR - 60)
    assert sessions.get_session(name).image == opened.image  # and from now on it lasts another hour
    assert sessions.remove_expired() == 0
    again = SessionFolder(sessions.store_path, HOUR)  # the server was started again
    assert again.get_session(name, update_ts=False).last_access_ts > time.time() - HOUR / 2
    last_used(sessions, name, HOUR + 60)
    with pytest.raises(NotFoundError, match=f"session '{name}' has expired, or never was; PUT /session/"):
        sessions.get_session(name)
    assert sessions, "MONAI Label cleans up only what is true"
    assert sessions.remove_expired() == 1
    assert not Path(opened.path).exists()


def test_a_click_waits_for_no_disk(sessions: SessionFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, opened = sessions.add_session(image(tmp_path))
    described = (Path(sessions.store_path) / name / "meta.info").stat().st_mtime_ns
    assert sessions.get_session(name).image == opened.image
    assert (Path(sessions.store_path) / name / "meta.info").stat().st_mtime_ns == described
    last_used(sessions, name, HOUR / 2)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert sessions.get_session(name).image == opened.image


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"image": 7}',
        '{"image": "/etc/passwd", "expiry": 9e9, "last_access_ts": 9e9}',
        "\0",
    ],
)
def test_a_broken_session_is_over_and_goes_in_time(sessions: SessionFolder, tmp_path: Path, content: str) -> None:
    broken, (sound, _) = str(uuid.uuid4()), sessions.add_session(image(tmp_path))
    folder = Path(sessions.store_path) / broken
    folder.mkdir()
    (folder / "meta.info").write_text(content)
    with pytest.raises(NotFoundError, match="has expired, or never was"):
        sessions.get_session(broken)
    assert sessions.remove_expired() == 0, "it may be one that is just being made"
    os.utime(folder, (0, 0))
    assert sessions.remove_expired() == 1
    assert sessions.get_session(sound).name == sound


@pytest.mark.parametrize("name", ["", ".", "..", "../other", "/etc", "a" * 5000, "x\0y", None, 7])
def test_what_is_no_id_touches_nothing(sessions: SessionFolder, tmp_path: Path, name: object) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (Path(sessions.store_path) / "notes").mkdir(parents=True)
    with pytest.raises(NotFoundError, match="has expired, or never was"):
        sessions.get_session(name)  # type: ignore[arg-type]
    sessions.remove_session(name)  # type: ignore[arg-type]
    os.utime(Path(sessions.store_path) / "notes", (0, 0))
    assert sessions.remove_expired() == 0
    assert other.is_dir()
    assert (Path(sessions.store_path) / "notes").is_dir()


def test_a_session_without_its_image_is_over(sessions: SessionFolder, tmp_path: Path) -> None:
    name, opened = sessions.add_session(image(tmp_path))
    Path(opened.image).unlink()
    with pytest.raises(NotFoundError):
        sessions.get_session(name)


def test_only_a_radiograph_opens_one(sessions: SessionFolder, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ImageError, match=r"text.png is a text file"):
        sessions.add_session(str(tmp_path / "text.png"))
    with pytest.raises(ConfigError, match="archives and several files are not taken"):
        sessions.add_session(image(tmp_path), uncompress=True)
    with pytest.raises(ConfigError, match="archives and several files are not taken"):
        sessions.add_session(str(tmp_path))
    assert not Path(sessions.store_path).exists()
