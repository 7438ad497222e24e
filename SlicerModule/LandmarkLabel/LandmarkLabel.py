"""3D Slicer module: read a worklist of radiographs, correct landmarks, and the others follow.

The work is done in LandmarkLabelLib; here are what Slicer asks of a scripted module: its description, the panel, the
logic, and a test that runs in the application.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import qt
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

import slicer
from LandmarkLabelLib import topics
from LandmarkLabelLib.contract import FINAL, Answer, Landmark
from LandmarkLabelLib.desk import SELECTION, ReadingDesk
from LandmarkLabelLib.keys import KEYS, help_text
from LandmarkLabelLib.parameters import Parameters
from LandmarkLabelLib.picture import WINDOWS
from LandmarkLabelLib.pointlist import ATTRIBUTE, PointList
from LandmarkLabelLib.qtways import connect, value
from LandmarkLabelLib.state import Reading
from LandmarkLabelLib.tables import Table, landmark_row, measurement_row, worklist_row
from LandmarkLabelLib.training import training_text

_BUSY_MS, _IDLE_MS = 4, 50
_ONE_VIEW = "SlicerLayoutOneUpRedSliceView"
_SAMPLES = {"Cephalogram": "cephalogram", "Spine": "spine", "Chest": "chest"}


class LandmarkLabel(ScriptedLoadableModule):
    """What Slicer lists."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "Landmark Label"
        self.parent.categories = ["Active Learning", "Informatics"]
        self.parent.dependencies = []
        self.parent.contributors = ["The authors of landmarklabel"]
        self.parent.helpText = (
            "Anatomical landmarks on radiographs, with a landmarklabel server (MONAI Label). Drag what is wrong; the "
            "other landmarks follow.<br><br>" + help_text()
        )
        self.parent.acknowledgementText = "landmarklabel is free software under the Apache License 2.0."
        startup = getattr(slicer.app, "connect", None)
        if startup is not None:
            startup("startupCompleted()", register_samples)


def register_samples() -> None:
    """Three radiographs in Slicer's list of sample data, of our own making."""
    import SampleData

    folder = Path(__file__).parent / "Resources"
    for title, name in _SAMPLES.items():
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category="Landmark Label",
            sampleName=f"{title} for landmarks",
            thumbnailFileName=str(folder / "Icons" / "LandmarkLabel.png"),
            uris=(folder / "SampleData" / f"{name}.nrrd").as_uri(),
            fileNames=f"{name}.nrrd",
            nodeNames=f"{title} for landmarks",
        )


class LandmarkLabelLogic(ScriptedLoadableModuleLogic):
    """A reading desk in Slicer's scene. Everything that the panel does can be done with it, and without the panel.

    Args:
        folder: for drafts; by default beside Slicer's settings.
        reader: noted with each label.
    """

    def __init__(self, folder: Path | None = None, reader: str = "") -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._images = tempfile.TemporaryDirectory(prefix="LandmarkLabel")
        self.desk = ReadingDesk(slicer.mrmlScene, folder or drafts_folder(), Path(self._images.name), reader)

    @property
    def parameters(self) -> Parameters:
        return Parameters(self.getParameterNode())

    def close(self) -> None:
        """Save what is to be saved and leave the scene."""
        self.desk.close()
        self._images.cleanup()


def drafts_folder() -> Path:
    """Beside Slicer's settings, where what is written stays."""
    return Path(slicer.app.slicerUserSettingsFilePath).parent / "LandmarkLabel" / "drafts"


class LandmarkLabelWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: LandmarkLabelLogic | None = None
        self.shortcuts: list[Any] = []
        self._timer: Any = None

    # Making ---------------------------------------------------------------------------------------------------

    def setup(self) -> None:
        """Build the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/LandmarkLabel.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        self.logic = LandmarkLabelLogic(reader=_user_name())
        self.desk, self.loop = self.logic.desk, self.logic.desk.loop
        self.desk.listen(self.on_change)
        self._make_tables()
        self._connect_buttons()
        self._make_shortcuts()
        self._read_settings()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.on_scene_closing)
        self._timer = qt.QTimer()
        connect(self._timer, "timeout()", self.on_timer)
        self._timer.start(_IDLE_MS)
        self.refresh()

    def _make_tables(self) -> None:
        self.worklist = Table(self.ui.worklistTable, ["Image", "Status"], [210])
        connect(self.ui.worklistTable, "itemDoubleClicked(QTableWidgetItem*)", self.on_open_selected)
        titles = ["Landmark", "State", "Sure, %", "Moved, mm"]
        self.landmarks = Table(
            self.ui.landmarksTable, titles, [90, 130, 60], lambda label: self.desk.select(label, look=True)
        )
        self.measurements = Table(self.ui.measurementsTable, ["Measure", "Value"], [210])

    def actions(self) -> dict[str, Any]:
        """What each key of keys.py and the button of the same name do."""
        return {
            "next": self.desk.next_to_check,
            "confirm": self.desk.confirm,
            "missing": self.desk.mark_missing,
            "place": self.desk.place,
            "here": self.on_here,
            "release": self.desk.release,
            "undo": self.desk.undo,
            "redo": self.desk.redo,
            "confirmAll": self.desk.confirm_all,
            "detect": self.loop.detect,
            "save": self.on_save,
            "submit": self.desk.submit,
            "openNext": self.loop.open_next,
            "skip": self.desk.skip,
            "fit": self.desk.image.fit,
            "invert": lambda: self.ui.invertCheck.toggle(),
            "lines": lambda: self.ui.linesCheck.toggle(),
            "names": lambda: self.ui.namesCheck.toggle(),
            "window": self.on_next_window,
        }

    def _connect_buttons(self) -> None:
        for name, action in self.actions().items():
            button = getattr(self.ui, f"{name}Button", None)
            if button is not None:
                connect(button, "clicked()", lambda *_, action=action: action())
                button.setToolTip(KEYS[name].tip)
        for name, action in {
            "connectButton": self.on_connect, "refreshButton": self.loop.worklist.refresh,
            "openButton": self.on_open_selected, "uploadButton": self.on_upload,
            "trainButton": self.on_train, "stopButton": self.loop.trainings.stop,
            "progressButton": self.loop.trainings.watch, "publishButton": self.on_publish,
        }.items():  # fmt: skip
            connect(getattr(self.ui, name), "clicked()", lambda *_, action=action: action())
        for name, action in {
            "invertCheck": self.on_invert, "linesCheck": self.on_lines, "namesCheck": self.on_names,
            "structuresCheck": self.desk.show_structures,
        }.items():  # fmt: skip
            connect(getattr(self.ui, name), "toggled(bool)", action)
        connect(self.ui.addressEdit, "returnPressed()", self.on_connect)
        connect(self.ui.tokenEdit, "returnPressed()", self.on_connect)
        connect(self.ui.searchEdit, "textChanged(QString)", lambda *_: self._show_worklist())
        connect(self.ui.strategyCombo, "activated(int)", self.on_strategy)
        self.ui.windowCombo.addItems(list(WINDOWS))
        connect(self.ui.windowCombo, "activated(int)", self.on_window)
        self.ui.helpLabel.setText(help_text())

    def _make_shortcuts(self) -> None:
        """Keys of the main window, while this module is the one that is shown."""
        window = slicer.util.mainWindow() or self.parent
        for name, action in self.actions().items():
            shortcut = qt.QShortcut(qt.QKeySequence(KEYS[name].key), window)
            shortcut.setEnabled(False)
            shortcut.setAutoRepeat(name in ("undo", "redo"))  # a key held down submits no second image
            connect(shortcut, "activated()", action)
            self.shortcuts.append(shortcut)

    def _read_settings(self) -> None:
        parameters, settings = self.logic.parameters, qt.QSettings()
        stored = settings.value("LandmarkLabel/address")
        self.ui.addressEdit.setText(str(stored or parameters.text("address")))
        self.ui.invertCheck.setChecked(parameters.flag("inverted"))
        self.ui.linesCheck.setChecked(parameters.flag("lines"))
        self.ui.windowCombo.setCurrentText(parameters.text("window"))
        self.desk.image.window = parameters.text("window")

    # Coming and going -----------------------------------------------------------------------------------------

    def enter(self) -> None:
        """The module is shown."""
        for shortcut in self.shortcuts:
            shortcut.setEnabled(True)
        layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if layout is not None:
            layout.SetViewArrangement(getattr(slicer.vtkMRMLLayoutNode, _ONE_VIEW))

    def exit(self) -> None:
        """Another module is shown; its keys are its own."""
        for shortcut in self.shortcuts:
            shortcut.setEnabled(False)

    def cleanup(self) -> None:
        """Slicer ends, or the module is loaded anew."""
        if self._timer is not None:
            self._timer.stop()
        for shortcut in self.shortcuts:  # they are the main window's, and would outlive the panel
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self.shortcuts.clear()
        self.removeObservers()
        if self.logic is not None:
            self.logic.close()

    def on_scene_closing(self, caller: Any, event: Any) -> None:
        """What is open is put away before the scene is emptied."""
        self.loop.close_image()

    def on_timer(self) -> None:
        """Fetch what the threads have done."""
        busy = self.desk.poll()
        interval = _BUSY_MS if busy else _IDLE_MS
        if value(self._timer, "interval") != interval:
            self._timer.setInterval(interval)

    # What the reader does -------------------------------------------------------------------------------------

    def on_connect(self) -> None:
        """Test the connection and use it."""
        address = str(value(self.ui.addressEdit, "text"))
        self.logic.parameters.set("address", address)
        qt.QSettings().setValue("LandmarkLabel/address", address)
        self.loop.connect(address, str(value(self.ui.tokenEdit, "text")))
        self._hurry()

    def on_open_selected(self, *_: Any) -> None:
        """Open the image that is marked in the list."""
        if self.worklist.selected is not None:
            self.loop.open(self.worklist.selected)
            self._hurry()

    def on_upload(self) -> None:
        """Pick files of this machine; each is sent, the last one opened."""
        paths = qt.QFileDialog.getOpenFileNames(slicer.util.mainWindow(), "Radiographs to upload")
        paths = paths[0] if isinstance(paths, tuple) and paths and isinstance(paths[0], (list, tuple)) else paths
        for path in paths:
            self.loop.upload(Path(path))
        self._hurry()

    def on_save(self) -> None:
        """The draft goes to the server now."""
        if self.loop.open_image is not None:
            self.loop.save_draft()
            self._hurry()

    def on_here(self) -> None:
        """The current landmark is under the mouse."""
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        ras = [0.0, 0.0, 0.0]
        if crosshair is not None and crosshair.GetCursorPositionRAS(ras):
            self.desk.place_at((ras[0], ras[1], ras[2]))

    def on_strategy(self, *_: Any) -> None:
        """Another way to choose the next image."""
        strategy = str(value(self.ui.strategyCombo, "currentText"))
        self.logic.parameters.set("strategy", strategy)
        self.loop.set_strategy(strategy)
        self._hurry()

    def on_window(self, *_: Any) -> None:
        """Another window."""
        name = str(value(self.ui.windowCombo, "currentText"))
        self.logic.parameters.set("window", name)
        self.desk.image.set_window(name)

    def on_next_window(self) -> None:
        """The next window of the list."""
        names = list(WINDOWS)
        at = names.index(str(value(self.ui.windowCombo, "currentText")))
        self.ui.windowCombo.setCurrentText(names[(at + 1) % len(names)])
        self.on_window()

    def on_invert(self, checked: bool) -> None:
        """Black for white."""
        self.logic.parameters.set("inverted", checked)
        self.desk.image.invert(checked)

    def on_lines(self, checked: bool) -> None:
        """Lines and contours through the landmarks."""
        self.logic.parameters.set("lines", checked)
        self.desk.show_lines(checked)

    def on_names(self, checked: bool) -> None:
        """Names beside the landmarks."""
        self.logic.parameters.set("names", checked)
        self.desk.show_names(checked)

    def on_train(self) -> None:
        """Start the training that is chosen."""
        task = str(value(self.ui.trainerCombo, "currentText"))
        if task:
            self.loop.trainings.start(task)
            self._hurry()

    def on_publish(self) -> None:
        """Let the model of the run that is chosen answer."""
        run = str(value(self.ui.runsCombo, "currentText"))
        if run:
            self.loop.trainings.publish(run)
            self._hurry()

    def _hurry(self) -> None:
        self._timer.setInterval(_BUSY_MS)

    # What has changed -----------------------------------------------------------------------------------------

    def on_change(self, what: str) -> None:
        """Show what has changed, and nothing else."""
        {
            topics.MESSAGE: self._show_message,
            topics.SERVER: self._show_server,
            topics.WORKLIST: self._show_worklist,
            topics.IMAGE: self._show_image,
            topics.POINTS: self._show_points,
            topics.TRAINING: self._show_training,
            SELECTION: self._show_selection,
        }.get(what, lambda: None)()
        self._hurry()

    def refresh(self) -> None:
        """Show everything."""
        for show in (self._show_server, self._show_worklist, self._show_image, self._show_message):
            show()

    def _show_message(self) -> None:
        sign = "⚠ " if self.loop.is_problem else ""
        self.ui.messageLabel.setText(sign + (self.loop.message or "Connect to a server to begin."))
        waiting = self.loop.outbox.waiting if self.loop.outbox is not None else ()
        left = f"On its way to the server: {', '.join(waiting[:3])}." if waiting else ""
        self.ui.savedLabel.setText(" ".join(filter(None, (left, self.loop.unsent_elsewhere, self.loop.saved))))

    def _show_server(self) -> None:
        server, connected = self.loop.server, self.loop.server is not None
        for name in ("openNextButton", "openButton", "uploadButton", "refreshButton", "trainButton", "stopButton"):
            getattr(self.ui, name).setEnabled(connected)
        if server is None:
            return
        _fill_combo(self.ui.strategyCombo, server.strategies, self.loop.worklist.strategy)
        _fill_combo(self.ui.trainerCombo, tuple(server.trainers), "")
        self._show_training()

    def _show_training(self) -> None:
        if self.loop.server is not None:
            self.ui.trainingLabel.setText(training_text(self.loop.server))
        runs = tuple(str(run["id"]) for run in self.loop.trainings.runs)
        _fill_combo(self.ui.runsCombo, runs, "")
        for widget in (self.ui.runsCombo, self.ui.publishButton):
            widget.setVisible(bool(runs))

    def _show_worklist(self) -> None:
        wanted = str(value(self.ui.searchEdit, "text")).strip().lower()
        items = [item for item in self.loop.worklist.items if wanted in f"{item.image} {item.status}".lower()]
        self.worklist.show([worklist_row(item) for item in items])
        done = sum(item.status == FINAL for item in self.loop.worklist.items)
        self.ui.worklistLabel.setText(f"{done} of {len(self.loop.worklist.items)} images are final.")
        if self.loop.open_image is not None:
            self.worklist.select(self.loop.open_image.image)

    def _show_image(self) -> None:
        opened = self.loop.open_image
        for widget in (self.ui.readingFrame, self.ui.skipButton):
            widget.setEnabled(opened is not None)
        self.ui.imageLabel.setText(opened.image if opened is not None else "No image is open.")
        self.ui.historyLabel.setText(_history_text(opened.history) if opened is not None else "")
        self.logic.parameters.set("image", opened.image if opened is not None else "")
        self.worklist.select(opened.image if opened is not None else None)
        self.ui.structuresCheck.setChecked(False)
        if self.desk.names_visible is not None:
            self.ui.namesCheck.setChecked(self.desk.names_visible)
        self._show_points()

    def _show_points(self) -> None:
        reading = self.loop.reading
        if reading is None:
            self.landmarks.show([])
            self.measurements.show([])
            return
        names = {each.label: f"{each.name}. {each.description}" for each in self.loop.protocol.landmarks}
        self.landmarks.show(
            [landmark_row(point, state, names[point.label]) for point, state in zip(reading.points, reading.states())]
        )
        self.measurements.show([measurement_row(measure) for measure in reading.now.measurements])
        self.ui.undoButton.setEnabled(reading.can_undo)
        self.ui.redoButton.setEnabled(reading.can_redo)
        self._show_selection()

    def _show_selection(self) -> None:
        self.landmarks.select(self.desk.current)


def _fill_combo(combo: Any, entries: tuple[str, ...], current: str) -> None:
    count = value(combo, "count")
    if tuple(str(combo.itemText(index)) for index in range(count)) != entries:
        combo.clear()
        combo.addItems(list(entries))
    if current:
        combo.setCurrentText(current)


def _history_text(history: list[dict[str, Any]]) -> str:
    """What earlier readers noted, a line each."""
    lines = []
    for entry in history[-5:]:
        counts = ", ".join(f"{entry[what]} {what}" for what in ("corrected", "confirmed", "missing") if entry.get(what))
        who = entry.get("reader") or "somebody"
        lines.append(f"{str(entry.get('time', '')).replace('T', ' ')} {who}: {counts or 'nothing changed'}")
    return "\n".join(lines)


def _user_name() -> str:
    """As Slicer knows the reader, else as the computer does."""
    information = getattr(slicer.app, "userInformation", None)
    information = information() if callable(information) else information
    name = getattr(information, "name", "") if information is not None else ""
    name = name() if callable(name) else name
    return str(name or os.environ.get("USER") or os.environ.get("USERNAME") or "")


class LandmarkLabelTest(ScriptedLoadableModuleTest):
    """What can be tested in any Slicer, without a server."""

    def setUp(self) -> None:
        """An empty scene."""
        slicer.mrmlScene.Clear(0)

    def runTest(self) -> None:
        """Everything."""
        for test in (self.test_points_in_the_scene, self.test_reading, self.test_no_server):
            self.setUp()
            test()
        self.delayDisplay("LandmarkLabel: all tests passed")

    def test_points_in_the_scene(self) -> None:
        """Points lie where they were put, in LPS and RAS, and take their nodes with them."""
        reading = _example()
        points = PointList(slicer.mrmlScene, reading.labels, reading.place, lambda label: None)
        points.show(reading.points, reading.states(), "b")
        assert points.node.GetNthControlPointPositionWorld(1)[0] == -3.0
        assert points.position("b") == (3.0, 4.0, 0.0)
        assert points.node.GetNthControlPointDescription(0) == "predicted"
        points.remove()
        left = [node for node in slicer.util.getNodesByClass("vtkMRMLMarkupsNode") if node.GetAttribute(ATTRIBUTE)]
        assert not left

    def test_reading(self) -> None:
        """What was corrected stays; undo and redo are exact."""
        reading = _example()
        before = reading.points
        reading.place("a", (9, 9, 0))
        after = reading.points
        reading.undo()
        assert reading.points == before
        reading.redo()
        assert reading.points == after

    def test_no_server(self) -> None:
        """A server that is not there is a sentence, and stops nothing."""
        with tempfile.TemporaryDirectory() as folder:
            logic = LandmarkLabelLogic(Path(folder))
            logic.desk.loop.connect("http://127.0.0.1:9")
            for _ in range(500):
                logic.desk.poll()
                if logic.desk.loop.is_problem:
                    break
                slicer.app.processEvents()
                qt.QThread.msleep(10)
            assert "127.0.0.1:9" in logic.desk.loop.message
            logic.close()


def _example() -> Reading:
    reading = Reading("image", ("a", "b"), "session")
    landmarks = {
        label: Landmark(label, (x, y, 0.0), 0.9, "predicted") for label, x, y in (("a", 1.0, 2.0), ("b", 3.0, 4.0))
    }
    reading.detected(Answer(landmarks, ("a", "b"), (), {}, 0.0))
    return reading
