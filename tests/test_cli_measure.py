"""``landmarklabel measure``: labels and images in, tables and pages out; what is bad is named and stops nothing."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from landmarklabel import cli, cli_measure
from landmarklabel.engine.measuring_report import COLUMNS
from landmarklabel.errors import StorageError
from landmarklabel.io.images import read_radiograph
from landmarklabel.io.label_files import label_files
from landmarklabel.markups import read_markups
from landmarklabel.measurements.measure import measure
from landmarklabel.protocol import Protocol, load_protocol
from landmarklabel.resources import resource
from landmarklabel.store import LabelStore

SAMPLES = resource("sample_data")
PROTOCOL = "cephalometric_19"


def run(*arguments: object) -> int:
    """A command's exit status."""
    try:
        cli.main(["measure", *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """Two sample cephalograms with their labels, one a DICOM file with a patient's name."""
    folder = tmp_path / "studies"
    (folder / "labels" / "final").mkdir(parents=True)
    for name in ("cephalometric_0000.dcm", "cephalometric_0003.nrrd"):
        shutil.copy(SAMPLES / PROTOCOL / name, folder)
        label = f"{name.split('.')[0]}.mrk.json"
        shutil.copy(SAMPLES / PROTOCOL / "labels" / "final" / label, folder / "labels" / "final")
    header = pydicom.dcmread(folder / "cephalometric_0000.dcm")
    header.PatientName, header.PatientID = "Mustermann^Erika", "4711-0815"
    header.save_as(folder / "cephalometric_0000.dcm")
    return folder


def test_labels_of_a_studies_folder(studies: Path, tmp_path: Path) -> None:
    info = {"user": "Dr Curie", "ts": 1_700_000_000, "model": {"name": "farnet", "version": "0123456789ab"}}
    index = {"objects": {"cephalometric_0000": {"image": {}, "labels": {"final": {"info": info, "ext": ".mrk.json"}}}}}
    (studies / "datastore_v2.json").write_text(json.dumps(index))
    table, file, pages = tmp_path / "m.csv", tmp_path / "m.json", tmp_path / "pages"
    outputs = ["--csv", table, "--json", file, "--report", pages]
    assert run(f"studies:{studies}", "--protocol", PROTOCOL, *outputs) == 0

    protocol = load_protocol(PROTOCOL)
    content = json.loads(file.read_text())
    assert [image["image"] for image in content["images"]] == ["cephalometric_0000", "cephalometric_0003"]
    assert content["failed"] == []
    found = rows(table)
    assert tuple(found[0]) == COLUMNS
    for image in content["images"]:
        path = next(studies.glob(f"{image['image']}.*"))
        radiograph = read_radiograph(path)
        label = read_markups(studies / "labels" / "final" / f"{path.stem}.mrk.json", protocol, radiograph.geometry)
        expected = measure(protocol, label.points, radiograph.spacing)
        states: dict[str, list[str]] = {state.value: [] for state in label.status}
        for name, state in zip(label.labels, label.status, strict=True):
            states[state.value].append(name)
        assert image["landmarks"] == states
        assert image["measurements"] == json.loads(json.dumps([one.as_dict() for one in expected]))
        of_image = {row["name"]: row for row in found if row["image"] == image["image"]}
        assert of_image.keys() == {one.name for one in expected}
        for one in expected:
            row = of_image[one.name]
            assert one.value is not None
            assert float(row["value"]) == pytest.approx(one.value, rel=1e-5)
            assert (row["unit"], row["category"] or None, row["reason"]) == (one.unit, one.category, "")
    assert content["images"][0]["label"] == {"user": "Dr Curie", "ts": 1_700_000_000, "tag": "final"}
    page = (pages / "cephalometric_0000.report.html").read_text()
    assert "saved by Dr Curie, 2023-11-14 22:13 UTC" in page
    assert "farnet, version 0123456789ab" in page
    assert sorted(path.name for path in pages.iterdir()) == [
        f"cephalometric_000{n}.report.{kind}" for n in (0, 3) for kind in ("html", "pdf")
    ]
    for path in (table, file, *pages.iterdir()):
        assert not re.search(rb"Mustermann|Erika|4711-0815", path.read_bytes())


def test_a_bad_file_stops_nothing_and_is_named(
    studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = studies / "labels" / "final"
    (labels / "cephalometric_0001.mrk.json").write_text("{}")
    (labels / "cephalometric_0002.mrk.json").write_text("{}")
    shutil.copy(SAMPLES / PROTOCOL / "cephalometric_0001.dcm", studies)
    table, file = tmp_path / "m.csv", tmp_path / "m.json"
    assert run(labels, "--protocol", PROTOCOL, "--csv", table, "--json", file) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert [re.search(r"cephalometric_\d+", line)[0] for line in said] == [  # type: ignore[index]
        "cephalometric_0001",
        "cephalometric_0002",
    ]
    assert "no image 'cephalometric_0002'" in said[1]
    content = json.loads(file.read_text())
    assert [image["image"] for image in content["images"]] == ["cephalometric_0000", "cephalometric_0003"]
    assert [failed["image"] for failed in content["failed"]] == ["cephalometric_0001", "cephalometric_0002"]
    reasons = {row["image"]: row["reason"] for row in rows(table) if not row["name"]}
    assert [f"error: {reason}" for reason in reasons.values()] == said


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), StorageError("the disk is full")])
def test_what_is_cut_short_leaves_what_was_there(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    """The table and JSON of the run before stay, whole; no part of a new one is left, but whole pages are."""
    table, file, pages = tmp_path / "m.csv", tmp_path / "m.json", tmp_path / "pages"
    outputs = ["--protocol", PROTOCOL, "--csv", table, "--json", file, "--report", pages]
    written = cli_measure._write_page

    def stopping(measured: object, folder: Path) -> None:
        if any(pages.iterdir()):
            raise stop
        written(measured, folder)  # type: ignore[arg-type]

    table.write_text("old table")
    file.write_text("old JSON")
    monkeypatch.setattr(cli_measure, "_write_page", stopping)
    assert run(f"studies:{studies}", *outputs) == (130 if isinstance(stop, KeyboardInterrupt) else 2)
    assert (table.read_text(), file.read_text()) == ("old table", "old JSON")
    assert sorted(path.name for path in pages.iterdir()) == [f"cephalometric_0000.report.{k}" for k in ("html", "pdf")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "m.json", "pages", "studies"]


def test_rows_are_printed_if_nothing_is_written(studies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    label = studies / "labels" / "final" / "cephalometric_0003.mrk.json"
    assert run(label, "--protocol", PROTOCOL) == 0
    printed = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert {row["image"] for row in printed} == {"cephalometric_0003"}
    assert len(printed) == len(load_protocol(PROTOCOL).measurements)


def test_an_image_with_its_label_beside_it_and_one_in_a_folder_of_images(
    studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label = studies / "labels" / "final" / "cephalometric_0003.mrk.json"
    beside, apart = tmp_path / "beside", tmp_path / "apart"
    beside.mkdir(), apart.mkdir()
    shutil.copy(label, apart)
    shutil.copy(label, beside)
    shutil.copy(studies / "cephalometric_0003.nrrd", beside)
    for arguments in ([beside / "cephalometric_0003.nrrd"], [beside], [apart, "--images", studies]):
        assert run(*arguments, "--protocol", PROTOCOL) == 0
    outputs = capsys.readouterr().out.split(",".join(COLUMNS))[1:]
    assert len(outputs) == 3
    assert len(set(outputs)) == 1


def test_without_spacing_lengths_are_in_pixels(tmp_path: Path, triangle_file: Path) -> None:
    with triangle_file.open("a") as file:
        file.write("measurements:\n  - {name: base, title: Base, distance: [left, right]}\n")
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(tmp_path / "x.png")
    points = [{"label": label, "position": at} for label, at in (("left", [5, 30, 0]), ("right", [35, 70, 0]))]
    points.append({"label": "top", "position": "", "positionStatus": "missing"})  # type: ignore[dict-item]
    markups = {"markups": [{"type": "Fiducial", "controlPoints": points}]}
    (tmp_path / "x.mrk.json").write_text(json.dumps(markups))
    table, file_ = tmp_path / "m.csv", tmp_path / "m.json"
    assert run(tmp_path / "x.mrk.json", "--protocol", triangle_file, "--csv", table, "--json", file_) == 0
    [row] = rows(table)
    assert (float(row["value"]), row["unit"]) == (50.0, "px")
    image = json.loads(file_.read_text())["images"][0]
    assert image["spacing"] == {"mm_per_pixel": None, "source": "unknown"}
    assert image["landmarks"] == {"corrected": ["left", "right"], "missing": ["top"]}


def test_bad_input_gets_one_sentence(
    fails: Callable[..., str], studies: Path, tmp_path: Path, triangle: Protocol, triangle_file: Path
) -> None:
    source = f"studies:{studies}"
    assert "expected the protocol of the labels" in fails("measure", source)
    assert "triangle defines no measurements" in fails("measure", source, "--protocol", triangle_file)
    assert "has no labels 'first'; it has final" in fails(
        "measure", source, "--protocol", PROTOCOL, "--studies-tag", "first"
    )
    assert "is no tag" in fails("measure", source, "--protocol", PROTOCOL, "--studies-tag", "../final")
    assert "images alone need a model" in fails("measure", studies, "--protocol", PROTOCOL)
    assert "no such file" in fails("measure", tmp_path / "none.mrk.json", "--protocol", PROTOCOL)
    assert "no such folder" in fails("measure", f"studies:{tmp_path / 'none'}", "--protocol", PROTOCOL)
    assert "there is no folder" in fails("measure", source, "--protocol", PROTOCOL, "--csv", tmp_path / "no" / "m.csv")
    image = studies / "cephalometric_0000.dcm"
    assert "a model (--model) could predict them" in fails("measure", image, "--protocol", PROTOCOL)
    (studies / "datastore_v2.json").write_text("[]")
    assert "the index of the studies is damaged" in fails("measure", source, "--protocol", PROTOCOL)


def test_who_saved_a_label_the_store_says_as_long_as_it_is_that_label(studies: Path) -> None:
    label, name = studies / "labels" / "final" / "cephalometric_0000.mrk.json", "cephalometric_0000"
    store = LabelStore(studies)
    store.save(name, "final", ".mrk.json", label.read_bytes(), {"user": "Dr Curie", "ts": 1_700_000_000})
    store.close()
    infos = {each.name: each.info for each in label_files([f"studies:{studies}"])}
    assert infos[name] == {"user": "Dr Curie", "ts": 1_700_000_000, "tag": "final"}
    assert infos["cephalometric_0003"] == {"tag": "final"}
    label.write_bytes(label.read_bytes() + b"\n")  # by hand, by nobody knows whom
    assert next(iter(label_files([f"studies:{studies}"]))).info == {"tag": "final"}


def test_two_labels_of_an_image_are_refused(fails: Callable[..., str], studies: Path, tmp_path: Path) -> None:
    label = studies / "labels" / "final" / "cephalometric_0003.mrk.json"
    shutil.copy(label, tmp_path)
    message = fails("measure", label, tmp_path, "--images", studies, "--protocol", PROTOCOL)
    assert "two labels of the image 'cephalometric_0003'" in message


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "landmarklabel measure" in capsys.readouterr().out


@pytest.mark.slow
def test_images_and_a_label_with_a_model(studies: Path, tmp_path: Path) -> None:
    """A model predicts images, and says how sure labels are: surer where a person has placed landmarks."""
    model = SAMPLES / "models" / PROTOCOL / "landmarks.safetensors"
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    table, file, labelled = tmp_path / "m.csv", tmp_path / "m.json", tmp_path / "l.json"
    image = studies / "cephalometric_0000.dcm"
    assert run(image, bad, "--model", model, "--csv", table, "--json", file) == 2
    [predicted] = json.loads(file.read_text())["images"]
    assert predicted["landmarks"].keys() == {"predicted"}
    assert predicted["model"]["version"]
    assert {row["image"] for row in rows(table)} == {"bad", "cephalometric_0000"}
    label = studies / "labels" / "final" / "cephalometric_0000.mrk.json"
    assert run(label, "--model", model, "--json", labelled) == 0
    [placed] = json.loads(labelled.read_text())["images"]
    assert placed["landmarks"].keys() <= {"corrected", "confirmed"}
    for one in (predicted, placed):
        for each in one["measurements"]:
            low, high = each["interval95"]
            assert low < each["value"] < high
    assert all(each["reliable"] is not None for each in predicted["measurements"])
