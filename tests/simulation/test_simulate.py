"""Whole simulations with real servers: unlabelled images in, final labels out; after a kill it goes on where it was."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import SimpleITK as sitk
import yaml

import tiny
from landmarklabel import cli
from landmarklabel.errors import DataError
from landmarklabel.io.dataset import Case, LandmarkDataset, read_dataset
from landmarklabel.protocol import Protocol
from landmarklabel.simulation.journal import Journal, read_journal
from landmarklabel.simulation.reader import Reader
from landmarklabel.simulation.settings import Habits
from landmarklabel.simulation.studies import choose_cases, readers_differ, require_one_unit, write_unlabelled

IMAGES, TOLERANCE, NOISE = 8, 3.0, 0.4


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Path:
    """A folder with labelled images, its protocol and a training of seconds."""
    folder = tmp_path_factory.mktemp("source")
    tiny.write_studies(folder / "images", triangle, IMAGES)
    (folder / "triangle.yaml").write_text(yaml.safe_dump(triangle.model_dump(mode="json")))
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tiny.config().model_dump(mode="json")))
    return folder


def arguments(source: Path, out: Path, *more: str) -> list[str]:
    command = ["simulate", "--data", f"studies:{source / 'images'}", "--protocol", str(source / "triangle.yaml")]
    # A replay has images and models of the other simulation, and refuses others.
    own = [] if "--replay" in more else ["--experiment", str(source / "tiny.yaml"), "--strategy", "first"]
    return [*command, *own, "--tolerance", str(TOLERANCE), "--noise", str(NOISE), "--out", str(out), *more]


def run(*arguments: str) -> None:
    """The command, in this process; its server is one of its own."""
    try:
        cli.main(list(arguments))
    except SystemExit as end:
        assert end.code in (0, None)


def done(folder: Path) -> list[dict[str, Any]]:
    if not (folder / "log.jsonl").exists():
        return []
    return [event for event in read_journal(folder / "log.jsonl") if event["event"] == "done"]


def wait_for(condition: Callable[[], Any], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def servers_on(folder: Path) -> list[int]:
    """Processes that a simulation has started, whatever became of it."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if "start_server" in words and str(folder / "studies") in words:
            found.append(process.info["pid"])
    return found


def truth_of(source: Path, triangle: Protocol) -> dict[str, np.ndarray]:
    cases = read_dataset(f"studies:{source / 'images'}", triangle).cases
    return {case.id: case.points for case in cases if case.points is not None}


def require_labelled(folder: Path, triangle: Protocol, source: Path) -> None:
    """Every image has the final label that the log says; all within the tolerance, the hand's own slips apart."""
    saved, truth = truth_of_folder(folder, triangle), truth_of(source, triangle)
    images = done(folder)
    assert sorted(event["image"] for event in images) == sorted(saved) == sorted(truth)
    for event in images:
        np.testing.assert_allclose(saved[event["image"]], event["points"], atol=1e-6)
        off = np.hypot(*(saved[event["image"]] - truth[event["image"]]).T)
        assert (off <= TOLERANCE + 5 * NOISE * np.array(event["placed"])).all()
        assert (event["beyond_by_hand"], event["beyond_unseen"]) == ((off > TOLERANCE).sum(), 0)


def truth_of_folder(folder: Path, triangle: Protocol) -> dict[str, np.ndarray]:
    cases = read_dataset(f"studies:{folder / 'studies'}", triangle).cases
    return {case.id: case.points for case in cases if case.points is not None}


@pytest.mark.slow
def test_killed_with_its_server_and_continued(source: Path, tmp_path: Path, triangle: Protocol) -> None:
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "landmarklabel.cli",
        *arguments(source, out, "--train", "off", "--pace", "0", "0.1"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(done(out)) >= 2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = done(out)
    assert len(before) < IMAGES
    if sys.platform == "linux":
        wait_for(lambda: not servers_on(out), 60)
    run(*arguments(source, out, "--train", "off", "--pace", "0", "0.1"))
    assert servers_on(out) == []
    images = done(out)
    assert images[: len(before)] == before
    require_labelled(out, triangle, source)
    sources = [event["source"] for event in images]
    empty = sources.count("nothing")
    assert 0 < empty < IMAGES
    assert sources == ["nothing"] * empty + ["prior"] * (IMAGES - empty)

    truth = truth_of(source, triangle)
    for event in images[:empty]:  # what the same hand does in any run
        rng = np.random.default_rng([0, zlib.crc32(event["image"].encode())])
        reader = Reader(Habits(tolerance=TOLERANCE, noise=NOISE), truth[event["image"]], (1, 1), tiny.SIZE, rng)
        desk: Any = None  # without a prediction nothing is asked of it
        np.testing.assert_allclose(event["points"], reader.read(None, desk).points)
    report = json.loads((out / "report.json").read_bytes())
    assert [event["clicks"] for event in images[:empty]] == [3] * empty
    assert report["clicks"] == sum(event["clicks"] for event in images)
    assert report["trainings"]["number"] == 0
    assert (out / "report.png").stat().st_size > 10_000
    written = (out / "log.jsonl").read_bytes()
    run(*arguments(source, out, "--train", "off", "--pace", "0", "0.1"))  # all is done: nothing more happens
    assert (out / "log.jsonl").read_bytes() == written


@pytest.mark.slow
def test_with_a_training_between(source: Path, tmp_path: Path, triangle: Protocol) -> None:
    out = tmp_path / "run"
    run(*arguments(source, out, "--train", "at:6", "--wait-for-training"))
    require_labelled(out, triangle, source)
    images, report = done(out), json.loads((out / "report.json").read_bytes())
    assert [event["source"] for event in images][5:] == ["prior"] + ["network"] * 2
    assert (report["trainings"]["number"], report["trainings"]["published"]) == (1, 1)
    assert report["by_first_sight"]["network"]["images"] == 2
    assert images[-1]["version"] != images[0]["version"] == ""
    assert list((out / "models" / "triangle").glob("landmarks.safetensors"))

    replay = tmp_path / "again"
    run(*arguments(source, replay, "--replay", str(out), "--variant", "again"))
    keys = ("image", "version", "source", "clicks", "looks", "points")
    assert [[event[key] for key in keys] for event in done(replay)] == [
        [event[key] for key in keys] for event in images
    ]
    assert json.loads((replay / "report.json").read_bytes())["trainings"]["number"] == 0

    by_hand = tmp_path / "by_hand"
    run(*arguments(source, by_hand, "--replay", str(out), "--variant", "by-hand"))
    require_labelled(by_hand, triangle, source)
    again = done(by_hand)
    assert [(event["image"], event["version"]) for event in again] == [(e["image"], e["version"]) for e in images]
    assert json.loads((by_hand / "report.json").read_bytes())["waits"]["click"]["times"] == 0  # nothing followed


def test_the_folder_that_is_labelled_holds_images_alone(tmp_path: Path, triangle: Protocol, source: Path) -> None:
    dataset = read_dataset(f"studies:{source / 'images'}", triangle)
    write_unlabelled(dataset, choose_cases(dataset, 3, 1), tmp_path / "studies")
    files = [path for path in (tmp_path / "studies").rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        assert path.read_bytes() == (source / "images" / path.name).read_bytes()


def test_images_are_drawn_by_the_seed_from_those_that_can_be_right(triangle: Protocol, source: Path) -> None:
    dataset: LandmarkDataset = read_dataset(f"studies:{source / 'images'}", triangle)
    dataset = replace(dataset, suspicious={"image_003": ("upside down",)})
    drawn = [tuple(choose_cases(dataset, 4, seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(choose_cases(dataset, None, 0)) == {case.id for case in dataset.cases} - {"image_003"}
    with pytest.raises(DataError, match="has 7 images whose label is complete and not suspicious, and 8 are to be"):
        choose_cases(dataset, 8, 0)


def test_what_is_wrong_is_said_before_anything_is_made(fails: Callable[..., str], source: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert "--variant magic: there is none" in fails(*arguments(source, out, "--variant", "magic"))
    assert "order" in fails(*arguments(source, out, "--order", "sideways"))
    assert "is not auto, off, or at:" in fails(*arguments(source, out, "--train", "at:9,3"))
    assert "there is no strategy 'mxied'" in fails(*arguments(source, out, "--strategy", "mxied"))
    assert "9 are to be labelled" in fails(*arguments(source, out, "--images", "9"))
    assert "no simulation has begun here" in fails(*arguments(source, out, "--replay", str(tmp_path)))
    replay = ("--replay", str(tmp_path), "--train", "at:3")
    assert "train is off there, not at:3" in fails(*arguments(source, out, *replay))
    assert not (out / "studies").exists()


def test_images_in_mm_and_in_pixels_are_not_mixed(
    fails: Callable[..., str], source: Path, tmp_path: Path, triangle: Protocol
) -> None:
    """Neither a tolerance nor a mean error says anything of both; it is refused before anything is made."""
    mixed, out = tmp_path / "mixed", tmp_path / "run"
    shutil.copytree(source / "images", mixed)
    image = sitk.ReadImage(str(mixed / "image_003.png"))
    image.SetSpacing((0.9, 0.9))
    sitk.WriteImage(image, str(mixed / "image_003.nrrd"))
    (mixed / "image_003.png").unlink()
    said = fails("simulate", "--data", f"studies:{mixed}", *arguments(source, out)[3:])
    assert "the pixel spacing of 7 of the 8 images is not known (image_000, image_001" in said
    assert list(out.iterdir()) == []
    cases = {case.id: case for case in read_dataset(f"studies:{mixed}", triangle).cases}
    known = cases.pop("image_003")
    require_one_unit(cases)
    documented = {name: replace(case, spacing=(0.1, 0.1)) for name, case in cases.items()}
    require_one_unit({**documented, "image_003": known})


def test_a_mistyped_option_of_the_server_leaves_a_folder_that_can_be_used(
    fails: Callable[..., str], source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    said = fails(*arguments(source, out, "--serve-option=--auto-trian"))
    assert "the server did not start: No such option: --auto-trian" in said
    assert not (out / "log.jsonl").exists()


def test_another_simulation_is_refused_before_anything_is_written(
    fails: Callable[..., str], source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    Journal(out / "log.jsonl", {"settings": {}}).append([{"event": "session", "labels": 0}])
    before = (out / "log.jsonl").read_bytes()
    assert "holds a simulation of another" in fails(*arguments(source, out))
    assert [path.name for path in out.iterdir()] == ["log.jsonl"]
    assert (out / "log.jsonl").read_bytes() == before


def test_readers_differ_where_they_are_farther_apart_than_the_tolerance(tmp_path: Path) -> None:
    senior = np.array([[10.0, 10], [20, 20], [30, 30], [np.nan, np.nan]])
    junior = senior + np.array([[0, 21.0], [19, 0], [15, 15], [0, 0]])
    case = Case("a", tmp_path / "a.png", spacing=(0.1, 0.1), extra={"senior": senior, "junior": junior})
    assert readers_differ([case, case], 2.0) == round(2 / 3, 4)
    assert readers_differ([case, replace(case, extra={})], 2.0) is None
