"""The panel with its own .ui: every button and every key does its thing, on the real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from panel import Panel
from trouble import Trouble

from LandmarkLabelLib.client import Client

IMAGE = "cephalometric_0020"


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    """A new one, which knows no server."""
    made = Panel(tmp_path)
    yield made
    made.close()


def status(panel: Panel, label: str) -> str:
    return panel.loop.reading[label].status


def test_before_there_is_a_server(panel: Panel) -> None:
    assert panel.ui.messageLabel.text() == "Connect to a server to begin."
    assert not panel.ui.readingFrame.isEnabled()
    assert not panel.ui.openNextButton.isEnabled()
    for name in panel.widget.actions():
        panel.key(name)  # nothing to do, and nothing breaks
    assert panel.loop.open_image is None


@pytest.mark.parametrize(
    ("address", "says"),
    [("127.0.0.1:8000", "did you mean http://127.0.0.1:8000"), ("http://127.0.0.1:9", "Nothing answers")],
)
def test_connections_that_fail_say_why(panel: Panel, address: str, says: str) -> None:
    panel.ui.addressEdit.setText(address)
    panel.ui.connectButton.click()
    panel.wait(lambda: panel.loop.is_problem)
    assert says in panel.ui.messageLabel.text()


def test_connecting_shows_the_worklist_and_keeps_the_address_but_not_the_token(
    panel: Panel, trouble: Trouble, tmp_path: Path
) -> None:
    panel.ui.tokenEdit.setText("verysecret")
    panel.connect(trouble.address + "/")
    table = panel.ui.worklistTable
    rows = {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount())}
    assert rows["cephalometric_0000"] == "final"
    assert rows[IMAGE] == "unlabelled"
    panel.ui.searchEdit.setText("final")
    assert 0 < table.rowCount() < len(rows)
    panel.ui.searchEdit.setText("")
    assert table.rowCount() == len(rows)
    panel.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert trouble.address.encode() in kept
    assert "Bearer verysecret" in trouble.tokens
    assert b"verysecret" not in kept


def test_opening_shows_a_row_for_each_landmark_with_its_state(reading: Panel) -> None:
    table = reading.ui.landmarksTable
    assert table.rowCount() == 19
    assert {table.item(row, 1).text() for row in range(19)} <= {"○ predicted", "○ predicted, sure"}
    assert reading.ui.imageLabel.text() == IMAGE
    assert reading.widget.landmarks.selected == reading.desk.current


def test_table_and_view_select_each_other(reading: Panel) -> None:
    table = reading.ui.landmarksTable
    row = next(row for row in range(19) if table.item(row, 0).text() == "Go")
    table.setCurrentCell(row, 0)
    assert reading.desk.current == "Go"
    x, y, z = reading.loop.reading["Go"].position
    assert reading.view.on_screen((-x, -y, z)) == pytest.approx((300, 350), abs=1.5)
    reading.desk.image.fit()
    reading.view.render()
    x, y, z = reading.loop.reading["N"].position
    reading.view.click(*reading.view.on_screen((-x, -y, z)).round())
    assert reading.widget.landmarks.selected == "N"


def test_sorting_by_confidence_stays_when_landmarks_move(reading: Panel) -> None:
    table = reading.ui.landmarksTable
    table.sortItems(2)
    reading.drag("Go", (30, 20))
    reading.wait(lambda: reading.settled)
    shown = [int(table.item(row, 2).text()) for row in range(19)]
    assert shown == sorted(shown)
    rows = {table.item(row, 0).text(): row for row in range(19)}
    assert table.item(rows["Go"], 1).text() == "◆ corrected"
    assert float(table.item(rows["Go"], 3).text()) == pytest.approx(reading.loop.reading["Go"].moved, abs=0.05)


@pytest.mark.parametrize("by", ["button", "key"])
def test_each_step_of_the_loop(reading: Panel, by: str) -> None:
    def do(name: str) -> None:
        if by == "button":
            button = getattr(reading.ui, f"{name}Button")
            assert button.isEnabled(), name
            button.click()
        else:
            reading.key(name)
        reading.wait(lambda: reading.settled, name)

    do("next")
    label = reading.desk.current
    do("confirm")
    assert status(reading, label) == "confirmed"
    label = reading.desk.current
    do("missing")
    assert status(reading, label) == "missing"
    do("undo")
    assert status(reading, label) == "predicted"
    do("redo")
    assert status(reading, label) == "missing"
    do("place")
    assert reading.desk.points.placing == label
    reading.desk.image.fit()
    reading.view.render()
    reading.view.click(250, 300)
    reading.wait(lambda: reading.settled, "placed")
    assert status(reading, label) == "corrected"
    do("release")
    assert status(reading, label) == "predicted"
    before = reading.loop.reading.now
    (reading.ui.detectButton.click if by == "button" else lambda: reading.key("detect"))()
    reading.wait(lambda: reading.loop.reading.now is not before, "detected anew")
    do("confirmAll")
    assert reading.loop.reading.left == 0
    do("save")
    reading.wait(lambda: not reading.loop.outbox.waiting, "draft")
    client = Client(reading.loop.client.address)
    assert "draft" in client.labels(IMAGE)
    reading.wait(lambda: reading.loop.next_is_ready, "the next image")
    (reading.ui.submitButton.click if by == "button" else lambda: reading.key("submit"))()
    assert reading.loop.open_image.image != IMAGE
    reading.wait(lambda: not reading.loop.outbox.waiting, "final")
    assert "final" in client.labels(IMAGE)
    here = reading.loop.open_image.image
    (reading.ui.openNextButton.click if by == "button" else lambda: reading.key("openNext"))()
    reading.wait(lambda: reading.loop.open_image.image != here, "another")
    here = reading.loop.open_image.image
    (reading.ui.skipButton.click if by == "button" else lambda: reading.key("skip"))()
    reading.wait(lambda: reading.loop.open_image.image != here, "one that was not skipped")


def test_display(reading: Panel) -> None:
    display = reading.desk.image.volume.GetDisplayNode()
    for name, check in (("invert", "invertCheck"), ("lines", "linesCheck"), ("names", "namesCheck")):
        box = getattr(reading.ui, check)
        before = box.isChecked()
        reading.key(name)
        assert box.isChecked() != before
    assert display.GetColorNodeID() == "vtkMRMLColorTableNodeInvertedGrey"
    assert reading.desk.image.lines.GetDisplayNode().GetVisibility()
    before = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    reading.key("window")
    assert reading.ui.windowCombo.currentText() == "Balanced"
    reading.key("window")
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) != before
    reading.key("next")
    assert reading.view.node.GetFieldOfView()[0] < 100
    reading.ui.fitButton.click()
    assert reading.view.node.GetFieldOfView()[0] > 150
    reading.key("next")
    reading.key("fit")
    assert reading.view.node.GetFieldOfView()[0] > 150
    reading.ui.structuresCheck.click()
    reading.wait(lambda: reading.loop.is_problem, "no model of structures here")
    assert "segmentation" in reading.ui.messageLabel.text()


def test_the_landmark_is_where_the_mouse_points(reading: Panel) -> None:
    import slicer

    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if crosshair is None:
        crosshair = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    reading.desk.select("S")
    crosshair.SetCursorPositionRAS([-100.0, -110.0, 0.0])
    reading.key("here")
    assert reading.loop.reading["S"].position == (100.0, 110.0, 0.0)
    assert status(reading, "S") == "corrected"


def test_submitting_before_all_are_placed_says_which(reading: Panel) -> None:
    reading.loop.reading.start_from([])
    reading.ui.submitButton.click()
    assert "19 landmarks are not placed yet (S, N" in reading.ui.messageLabel.text()
    assert reading.loop.open_image.image == IMAGE


def test_every_button_says_its_key(shared_panel: Panel) -> None:
    from LandmarkLabelLib.keys import KEYS

    for name, key in KEYS.items():
        button = getattr(shared_panel.ui, f"{name}Button", None)
        if button is not None:
            assert f"({key.key})" in button.toolTip()
        assert key.key in shared_panel.ui.helpLabel.text()
    assert len({key.key for key in KEYS.values()}) == len(KEYS)


def test_a_key_held_down_acts_once_but_for_undo_and_redo(shared_panel: Panel) -> None:
    shortcuts = zip(shared_panel.widget.actions(), shared_panel.widget.shortcuts, strict=True)
    assert {name for name, shortcut in shortcuts if shortcut.autoRepeat()} == {"undo", "redo"}


def test_the_keys_are_those_of_the_module_only_while_it_is_shown(shared_panel: Panel) -> None:
    shared_panel.widget.exit()
    assert not any(shortcut.isEnabled() for shortcut in shared_panel.widget.shortcuts)
    shared_panel.widget.enter()
    assert all(shortcut.isEnabled() for shortcut in shared_panel.widget.shortcuts)


def test_no_key_is_left_of_a_module_that_is_loaded_anew(tmp_path: Path) -> None:
    """Of two that are the same, Qt would do neither."""
    from PySide6.QtCore import QCoreApplication, QEvent
    from PySide6.QtGui import QShortcut

    panel = Panel(tmp_path)
    assert panel.window.findChildren(QShortcut)
    panel.close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not panel.window.findChildren(QShortcut)


def test_closing_the_scene_puts_the_image_away_and_loses_nothing(reading: Panel, trouble: Trouble) -> None:
    reading.drag("Go", (30, 20))
    placed = reading.loop.reading["Go"].position
    reading.widget.on_scene_closing(None, None)
    assert reading.loop.open_image is None
    assert reading.desk.points is None
    reading.wait(lambda: not reading.loop.outbox.waiting, "draft")
    label = Client(trouble.target).label(IMAGE, "draft")
    assert placed in [tuple(point.get("position", ())) for point in label["markups"][0]["controlPoints"]]


def test_training_is_told_in_words(reading: Panel) -> None:
    reading.ui.progressButton.click()
    reading.wait(lambda: "there is no model" in reading.ui.trainingLabel.text(), "state of training")
    assert reading.ui.trainerCombo.currentText() == "farnet"


def test_the_modules_own_test_runs(panel: Panel) -> None:
    """As Slicer runs it."""
    test = panel.module.LandmarkLabelTest()
    test.setUp()
    test.runTest()
