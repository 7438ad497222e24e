"""The loop of reading in the real scene and slice view, with a real mouse, against the real server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import vtk
from reader import Reader
from servers_apart import ROOT, SampleServer, prepare, server_python
from trouble import Trouble

import slicer
from landmarklabel.io import read_radiograph
from landmarklabel.io.segmentations import write_segmentation
from landmarklabel.segmentation import Segmentation
from LandmarkLabelLib import following as following_module
from LandmarkLabelLib.client import Client
from LandmarkLabelLib.markups import from_markups
from LandmarkLabelLib.picture import read_picture

IMAGE = "cephalometric_0020"


@pytest.fixture(scope="module")
def server_without_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleServer]:
    """The sample cephalograms and their labels, and no network."""
    server = prepare(tmp_path_factory.mktemp("bare") / "s", "cephalometric_19")
    shutil.rmtree(server.folder / "models")
    try:
        yield server.start()
    finally:
        server.stop()


def test_without_a_network_landmarks_are_where_labels_have_them(
    shared_reader: Reader, server_without_model: SampleServer
) -> None:
    shared_reader.connect(server_without_model.address)
    shared_reader.open(IMAGE)
    points = shared_reader.reading.points
    assert all(point.status == "predicted" and point.position is not None for point in points)
    before = shared_reader.drawn()
    shared_reader.drag("S", (40, 30))
    shared_reader.settle()
    moved = [label for label, at in shared_reader.drawn().items() if label != "S" and at != before[label]]
    assert len(moved) == len(points) - 1


def test_what_lies_beside_the_image_is_not_confirmed_nor_submitted(reader: Reader) -> None:
    reader.open(IMAGE)
    answer = Client(reader.loop.client.address).detect(IMAGE, reader.reading.labels)
    outside = replace(answer.landmarks["Me"], position=(-500.0, 0.0, 0.0))
    reader.reading.detected(replace(answer, landmarks={**answer.landmarks, "Me": outside}), as_step=True)
    reader.loop.confirm()
    assert {point.label for point in reader.reading.points if point.status == "predicted"} == {"Me"}
    assert "Me" in reader.loop.message
    assert reader.loop.submit() is False
    assert "beside the image (Me)" in reader.loop.message
    reader.loop.mark_missing("Me")
    reader.settle()
    assert reader.loop.submit() is True
    reader.saved()


def test_all_landmarks_are_there_on_the_pixels_that_the_server_says(reader: Reader) -> None:
    reader.open(IMAGE)
    node, answer = reader.desk.points.node, Client(reader.loop.client.address).detect(IMAGE, reader.reading.labels)
    assert node.GetFixedNumberOfControlPoints()
    for index, label in enumerate(reader.reading.labels):
        landmark = answer.landmarks[label]
        assert node.GetNthControlPointLabel(index) == label
        assert node.GetNthControlPointDescription(index) == "predicted"
        x, y, z = landmark.position
        assert node.GetNthControlPointPositionWorld(index) == pytest.approx((-x, -y, z), abs=1e-6)
    values = node.GetMeasurement("confidence").GetControlPointValues()
    found = [values.GetValue(index) for index in range(values.GetNumberOfTuples())]
    assert found == pytest.approx([answer.landmarks[label].confidence for label in reader.reading.labels])


def test_a_drag_moves_the_others_and_what_was_corrected_stays(reader: Reader) -> None:
    reader.open(IMAGE)
    before = reader.drawn()
    start = np.round(reader.on_screen("Go"))
    target = reader.view.in_scene(*(start + np.array([30, 20])))
    offset = np.array(reader.view.in_scene(*reader.on_screen("Go"))) - reader.view.in_scene(*start)
    reader.drag("Go", (30, 20))
    placed = reader.reading["Go"]
    assert placed.status == "corrected"
    x, y, z = placed.position
    assert np.abs(np.array([-x, -y, z]) - target).max() < np.abs(offset).max() + 0.4  # within a pixel of the screen
    reader.settle()
    assert reader.drawn()["Go"] == placed.position
    moved = [label for label, at in reader.drawn().items() if at != before[label] and label != "Go"]
    assert len(moved) > 10

    reader.drag("Me", (-15, 10))
    reader.settle()
    again = reader.drawn()["Go"]
    assert max(abs(a - b) for a, b in zip(again, placed.position, strict=True)) <= 1e-6
    assert {point.label for point in reader.reading.points if point.status == "corrected"} == {"Go", "Me"}


def test_a_click_that_moves_nothing_corrects_nothing(reader: Reader) -> None:
    reader.open(IMAGE)
    before = reader.drawn()
    reader.view.click(*np.round(reader.on_screen("S")))
    assert reader.desk.current == "S"
    assert reader.drawn() == before
    assert not reader.reading.touched


def test_a_click_while_an_answer_comes_corrects_nothing(reader: Reader, trouble: Trouble) -> None:
    """The landmark that is held stays under the mouse, and is where the answer has it once let go."""
    reader.open(IMAGE)
    trouble.mode, trouble.slow_s = "slow", 0.2
    before = reader.reading["Me"].position
    reader.drag("Go", (30, 20))
    held = np.round(reader.on_screen("Me"))
    reader.view.drag(held, (0, 0), steps=0, release=False)
    reader.settle()
    assert reader.reading["Me"].position != before == reader.drawn()["Me"]
    reader.view.mouse(*held, "LeftButtonReleaseEvent")
    assert {point.label for point in reader.reading.points if point.status == "corrected"} == {"Go"}
    assert reader.drawn()["Me"] == reader.reading["Me"].position


def test_another_image_while_the_mouse_is_down_is_drawn_as_it_is(reader: Reader) -> None:
    reader.open(IMAGE)
    reader.view.render()
    start = np.round(reader.on_screen("Me"))
    reader.view.drag(start, (40, 30), release=False)
    reader.open("cephalometric_0021")
    reader.view.mouse(*(start + 60), "MouseMoveEvent")
    assert reader.drawn()["Me"] != reader.reading["Me"].position, "the mouse has it still"
    reader.view.mouse(*(start + 60), "LeftButtonReleaseEvent")
    assert reader.drawn() == {point.label: point.position for point in reader.reading.points}
    assert not reader.reading.touched


def test_undo_and_redo_are_exact_over_everything(reader: Reader) -> None:
    reader.open(IMAGE)
    states = [(reader.reading.now, reader.drawn())]

    def step(action) -> None:  # type: ignore[no-untyped-def]
        action()
        reader.settle()
        states.append((reader.reading.now, reader.drawn()))

    step(lambda: reader.drag("Go", (30, 20)))
    step(lambda: (reader.desk.select("Po"), reader.desk.mark_missing()))
    step(lambda: (reader.desk.select("N"), reader.desk.confirm()))
    step(reader.detect_again)
    step(lambda: reader.drag("Me", (-15, 10)))
    step(reader.desk.confirm_all)
    assert len({id(now) for now, _ in states}) == len(states)
    for now, drawn in reversed(states[:-1]):
        reader.desk.undo()
        reader.settle()
        assert reader.reading.now == now
        assert reader.drawn() == drawn
    for now, drawn in states[1:]:
        reader.desk.redo()
        reader.settle()
        assert reader.reading.now == now
        assert reader.drawn() == drawn


def test_missing_has_no_place_and_is_said_to_the_server(reader: Reader) -> None:
    reader.open(IMAGE)
    reader.desk.select("Po")
    reader.desk.mark_missing()
    reader.settle()
    index = reader.reading.index("Po")
    node = reader.desk.points.node
    assert node.GetNthControlPointPositionStatus(index) == slicer.vtkMRMLMarkupsNode.PositionMissing
    assert reader.drawn()["Po"] is None
    assert reader.reading.request() is None
    reader.saved()
    label = from_markups(Client(reader.loop.client.address).label(IMAGE, "draft"), reader.reading.labels)
    assert (label[index].status, label[index].position) == ("missing", None)


def test_one_key_and_a_click_place_what_is_missing(reader: Reader) -> None:
    reader.open(IMAGE)
    reader.desk.select("Po")
    reader.desk.mark_missing()
    reader.settle()
    assert reader.desk.place() == "Po"
    reader.view.click(200, 300)
    reader.settle()
    x, y, z = reader.reading["Po"].position
    assert (-x, -y, z) == pytest.approx(tuple(reader.view.in_scene(200, 300)), abs=0.3)
    assert reader.reading["Po"].status == "corrected"
    assert reader.desk.points.placing is None


def test_an_answer_while_a_landmark_is_being_placed_does_not_take_it_from_the_mouse(reader: Reader) -> None:
    reader.open(IMAGE)
    reader.drag("Go", (20, 15))
    reader.desk.select("Po")
    reader.desk.mark_missing()
    reader.desk.place()
    reader.settle()
    assert reader.desk.points.placing == "Po"
    reader.view.render()
    reader.view.click(220, 320)
    assert reader.reading["Po"].status == "corrected"
    reader.settle()


def test_leaving_place_mode_leaves_everything_as_it_was(reader: Reader) -> None:
    reader.open(IMAGE)
    before, now = reader.drawn(), reader.reading.now
    reader.desk.select("Po")
    reader.desk.place()
    assert reader.drawn() != before
    interaction = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)  # as by Escape
    assert reader.desk.points.placing is None
    assert reader.drawn() == before
    assert reader.reading.now is now


def test_another_image_ends_place_mode(reader: Reader) -> None:
    reader.open(IMAGE)
    reader.desk.select("Po")
    reader.desk.place()
    reader.open("cephalometric_0021")
    assert reader.desk.points.placing is None
    assert reader.drawn()["Po"] == reader.reading["Po"].position


def test_without_a_model_a_click_each_places_all_in_order(reader: Reader) -> None:
    """Undefined points, as where there is nothing to predict with."""
    reader.open(IMAGE)
    reading = reader.reading
    reading.start_from([])
    reader.desk._show_points()
    assert set(reader.drawn().values()) == {None}
    label = reader.desk.place()
    reader.view.render()
    reader.view.click(200, 300)
    assert reading[label].status == "corrected"
    reader.settle()
    assert reading.labels[0] == label
    assert all(point.position is not None for point in reading.points), "the others follow from the labels' shape"


def test_beside_the_image_means_on_its_edge(reader: Reader) -> None:
    reader.open(IMAGE)
    reader.loop.place("S", (-500.0, 20.0, 0.3))
    i, _, k = reader.loop.open_image.picture.pixel(reader.reading["S"].position)
    assert (i, k) == pytest.approx((-0.5, 0), abs=1e-5)
    reader.settle()
    assert not reader.loop.is_problem, reader.loop.message


def test_submit_saves_and_the_next_is_there(reader: Reader) -> None:
    reader.open("cephalometric_0021")
    reader.wait(lambda: reader.loop.next_is_ready, "prefetch")
    reader.drag("Go", (10, 5))
    reader.settle()
    expected = reader.reading.points
    reader.desk.submit()
    assert reader.loop.open_image.image != "cephalometric_0021", "no waiting for the next"
    assert reader.loop.open_image.detected
    reader.saved()
    client = Client(reader.loop.client.address)
    label = from_markups(client.label("cephalometric_0021", "final"), reader.reading.labels)
    assert [(p.label, p.position, p.status) for p in label] == [(p.label, p.position, p.status) for p in expected]
    item = {each.image: each for each in client.worklist()}["cephalometric_0021"]
    assert item.status == "final"
    assert item.labels["final"]["history"][-1]["reader"] == "tester"

    reader.open("cephalometric_0021")
    assert [(p.position, p.status) for p in reader.reading.points] == [(p.position, p.status) for p in expected]
    assert "tester" in reader.loop.open_image.note
    assert len(reader.loop.open_image.history) == 1


def landmarklabel(*arguments: object) -> str:
    """What a command of the server's environment prints."""
    command = [server_python(), "-m", "landmarklabel.cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "lib"), "COLUMNS": "200"}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_history_and_report_know_who_saved_what_from_which_model(
    reader: Reader, ceph_server: SampleServer, tmp_path: Path
) -> None:
    """Also of a label that was opened again, and saved with nothing new from a model."""
    reader.open(IMAGE)
    model = reader.reading.model
    reader.desk.select("Po")
    reader.desk.mark_missing()
    reader.drag("Go", (10, 5))
    reader.settle()
    reader.desk.submit()
    reader.saved()
    reader.open(IMAGE)
    reader.desk.submit()
    reader.saved()
    lines = landmarklabel("labels", "history", ceph_server.studies, IMAGE).splitlines()
    told = f"by tester, from {model['name']} {model['version']}, 2 clicks"
    assert [line.endswith(told) for line in lines[-2:]] == [True, True], lines
    label = ceph_server.studies / "labels/final" / f"{IMAGE}.mrk.json"
    landmarklabel("measure", label, "--protocol", "cephalometric_19", "--report", tmp_path)
    report = (tmp_path / f"{IMAGE}.report.html").read_text()
    assert f"{model['name']}, version {model['version']}" in report
    assert "saved by tester" in report


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_final_label_that_is_opened_again_is_measured_as_it_is_shown(
    reader: Reader, trouble: Trouble, confirmed: bool
) -> None:
    """By one request where a person has settled all; else the study's newest label may have changed what is seen."""
    reader.open(IMAGE)
    reader.drag("Go", (10, 5))
    reader.settle()
    if confirmed:
        reader.desk.confirm_all()
    measured, points = reader.reading.now.measurements, reader.reading.points
    reader.desk.submit()
    reader.saved()
    trouble.asked.clear()
    reader.open(IMAGE)
    reader.wait(lambda: reader.reading.now.measurements, "measurements")
    values = {each.name: each.value for each in measured}
    assert {each.name: each.value for each in reader.reading.now.measurements} == pytest.approx(values)
    assert bool(reader.reading.now.order) != confirmed
    assert [(p.position, p.status) for p in reader.reading.points] == [(p.position, p.status) for p in points]
    assert sum("refine" in asked and IMAGE in asked for asked in trouble.asked) <= 2 - confirmed


def test_what_is_to_be_said_of_a_label_is_said_once_the_server_is_back(
    reader: Reader, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following_module, "_RETRY_S", 0.1)
    reader.open(IMAGE)
    reader.wait(lambda: not reader.loop.poll(), "nothing is under way")
    trouble.vanish()
    reader.reading.start_from(reader.reading.points)
    reader.loop._following.ask()
    reader.wait(lambda: not reader.loop.busy, "the server is away")
    assert not reader.loop.is_problem, reader.loop.message
    trouble.come_back()
    reader.wait(lambda: reader.reading.now.measurements, "the server is back")


def test_killed_and_resumed(tmp_path: Path, trouble: Trouble) -> None:
    """A process of its own, ended by SIGKILL right after its draft reached the disk."""
    program = Path(__file__).with_name("killed_reader.py")
    command = [sys.executable, str(program), trouble.address, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert line.startswith("placed "), line
    x, y, z = (float(value) for value in line.split()[1:])

    reader = Reader(tmp_path)
    reader.connect(trouble.address)
    try:
        reader.wait(lambda: reader.loop.unfinished, "unfinished")
        reader.loop.open_next()
        reader.wait(lambda: reader.loop.open_image, "resumed")
        reader.settle()
        assert reader.loop.open_image.image == "cephalometric_0022"
        assert reader.reading["S"].position == (x, y, z)
        assert reader.reading["S"].status == "corrected"
        assert reader.reading["Po"].status == "missing"
        reader.wait(lambda: reader.reading.now.measurements, "measurements")
        reader.saved()
        client = Client(trouble.address)
        label = from_markups(client.label("cephalometric_0022", "draft"), reader.reading.labels)
        assert label[0].position == (x, y, z)
    finally:
        reader.desk.close()


def slicers_own(scene, path: Path):  # type: ignore[no-untyped-def]
    """The volume as the application's reader makes it."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetScene(scene)
    storage.SetSingleFile(True)
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


def ijk_to_ras(volume) -> np.ndarray:  # type: ignore[no-untyped-def]
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


@pytest.fixture
def oriented(tmp_path: Path) -> Path:
    """A sagittal cephalogram, as its header says, with spacings that differ."""
    path = tmp_path / "oriented.dcm"
    dataset = pydicom.dcmread(ROOT / "sample_data/cephalometric_19/cephalometric_0000.dcm")
    dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    dataset.ImagePositionPatient = [10, -20, 30.5]
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.ImagerPixelSpacing = [0.6, 0.65]
    dataset.save_as(path)
    return path


def test_an_oriented_dicom(reader: Reader, oriented: Path) -> None:
    """Uploaded, shown upright, and each landmark where the volume's own matrix has its pixel, in RAS and in LPS."""
    reader.loop.upload(oriented)
    reader.wait(lambda: reader.loop.open_image and reader.settled, "upload")
    reader.view.render()
    ours, picture = reader.desk.image.volume, reader.loop.open_image.picture
    theirs = slicers_own(reader.view.scene, oriented)
    assert np.allclose(slicer.util.arrayFromVolume(ours), slicer.util.arrayFromVolume(theirs))
    to_ras = [ijk_to_ras(volume) for volume in (ours, theirs)]
    assert np.allclose(to_ras[0], to_ras[1], atol=1e-9)
    assert abs(to_ras[0][0, 0]) < 1e-9, "this image does not lie as others do"

    answer = Client(reader.loop.client.address).detect("oriented", reader.reading.labels)
    for index, label in enumerate(reader.reading.labels):
        landmark = answer.landmarks[label]
        ras = to_ras[1] @ [*landmark.pixel, 0, 1]
        assert reader.desk.points.node.GetNthControlPointPositionWorld(index) == pytest.approx(ras[:3], abs=1e-6)
        assert landmark.position == pytest.approx((-ras[0], -ras[1], ras[2]), abs=1e-6)
    assert reader.loop.open_image.disagreement == ""

    # Upright: the first row on top, the first column on the left.
    corner = reader.view.on_screen(to_ras[0][:3, 3])
    right, down = (reader.view.on_screen((to_ras[0] @ ijk)[:3]) for ijk in ([100, 0, 0, 1], [0, 100, 0, 1]))
    assert right[0] > corner[0] + 50 and right[1] == pytest.approx(corner[1])
    assert down[1] < corner[1] - 50 and down[0] == pytest.approx(corner[0])

    reader.drag("S", (12, 7))
    reader.settle()
    assert not reader.loop.is_problem, reader.loop.message
    i, j, k = picture.pixel(reader.reading["S"].position)
    assert abs(k) < 1e-6
    reader.desk.submit()
    reader.saved()
    saved = from_markups(Client(reader.loop.client.address).label("oriented", "final"), reader.reading.labels)
    assert picture.pixel(saved[0].position) == pytest.approx((i, j, k), abs=1e-9)


def test_display(reader: Reader) -> None:
    """Windows, inversion, lines and magnification change what is drawn, and nothing of the reading."""
    reader.open(IMAGE)
    now, seen = reader.reading.now, [reader.view.pixels().astype(float)]

    def look(action) -> np.ndarray:  # type: ignore[no-untyped-def]
        action()
        seen.append(reader.view.pixels().astype(float))
        return np.abs(seen[-1] - seen[-2]).mean()

    assert look(lambda: reader.desk.image.set_window("Bone")) > 1
    assert look(lambda: reader.desk.image.invert(True)) > 20
    assert look(lambda: reader.desk.image.invert(False)) > 20
    assert look(lambda: reader.desk.show_lines(True)) > 0.1
    assert look(lambda: reader.desk.show_lines(False)) > 0.1
    assert look(lambda: reader.desk.show_names(False)) > 0.1
    label = reader.desk.next_to_check()
    assert look(lambda: None) > 1
    assert reader.on_screen(label) == pytest.approx((300, 350), abs=1.5)
    reader.desk.image.fit()
    assert reader.reading.now is now


def test_structures_lie_over_the_image(reader: Reader, tmp_path: Path) -> None:
    """A label image as the server writes it, on the pixels that it names."""
    reader.open(IMAGE)
    width, height = reader.loop.open_image.picture.size
    geometry = read_radiograph(ROOT / f"sample_data/cephalometric_19/{IMAGE}.nrrd").geometry
    masks = np.zeros((1, height, width), bool)
    masks[0, 100:200, 50:150] = True
    write_segmentation(Segmentation(("box",), ("Box",), masks, geometry, np.array([0.9])), tmp_path / "x.seg.nrrd")
    reader.desk.image.fit()
    before = reader.view.pixels().astype(float)
    reader.desk.image.show_segmentation(tmp_path / "x.seg.nrrd")
    after = reader.view.pixels().astype(float)
    rows, columns = np.nonzero(np.abs(after - before).max(axis=2) > 5)
    to_ras = ijk_to_ras(reader.desk.image.volume)
    left, top = reader.view.on_screen((to_ras @ [49.5, 99.5, 0, 1])[:3])
    right, bottom = reader.view.on_screen((to_ras @ [149.5, 199.5, 0, 1])[:3])
    screen_height = before.shape[0]
    assert (columns.min(), columns.max()) == pytest.approx((left, right), abs=3)
    assert (rows.min(), rows.max()) == pytest.approx((screen_height - top, screen_height - bottom), abs=3)
    reader.desk.show_structures(False)
    assert np.abs(reader.view.pixels() - before).max() == 0


def test_structures_that_come_after_they_were_wanted_are_not_shown(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.open(IMAGE)
    come = threading.Event()
    monkeypatch.setattr(Client, "segmentation", lambda self, image, folder: come.wait(10) and folder / "x.seg.nrrd")
    reader.desk.show_structures(True)
    reader.desk.show_structures(False)
    come.set()
    reader.wait(lambda: not reader.loop.poll())
    assert reader.loop.segmentation is None
    assert not reader.loop.is_problem, reader.loop.message


def test_reading_off_the_main_thread_gives_what_slicer_reads(reader: Reader, tmp_path: Path) -> None:
    for path in sorted((ROOT / "sample_data/cephalometric_19").glob("*_000[03].*")):
        picture, node = read_picture(path), slicers_own(reader.view.scene, path)
        assert np.array_equal(picture.pixels, slicer.util.arrayFromVolume(node)[0])
