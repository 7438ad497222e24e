"""What the application has and slicer-core has not, as far as the module needs it: scripted modules, Qt as ``qt``.

PySide6 stands for PythonQt. The module asks properties through ``qtways.value``, so nothing of Qt is changed here.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

import slicer

MODULE = Path(__file__).resolve().parents[3] / "SlicerModule" / "LandmarkLabel"


class _Section(QtWidgets.QGroupBox):
    """Stands for ctkCollapsibleButton."""

    is_collapsed = False

    def setCollapsed(self, collapsed: bool) -> None:
        self.is_collapsed = collapsed
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly):
            child.setHidden(collapsed)

    collapsed = QtCore.Property(bool, lambda self: self.is_collapsed, setCollapsed)
    text = QtCore.Property(str, QtWidgets.QGroupBox.title, QtWidgets.QGroupBox.setTitle)


class _Module:
    def __init__(self, parent: Any) -> None:
        self.parent = parent


class _Widget:
    """Makes a window of its own, as the application does where a module has no parent."""

    def __init__(self, parent: Any = None) -> None:
        self.parent = parent or QtWidgets.QWidget()
        self.layout = QtWidgets.QVBoxLayout(self.parent)
        self.layout.setContentsMargins(0, 0, 0, 0)

    def setup(self) -> None:
        pass

    def resourcePath(self, name: str) -> str:
        return str(MODULE / "Resources" / name)


class _Logic:
    def __init__(self) -> None:
        pass

    def getParameterNode(self) -> Any:
        node = slicer.mrmlScene.GetSingletonNode("LandmarkLabel", "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag("LandmarkLabel")
            node = slicer.mrmlScene.AddNode(node)
        return node


class _Test:
    def delayDisplay(self, message: str) -> None:
        pass


def _load_ui(path: str) -> Any:
    loader = QtUiTools.QUiLoader()
    for name, kind in (("ctkCollapsibleButton", _Section), ("qMRMLWidget", QtWidgets.QWidget)):
        loader.registerCustomWidget(type(name, (kind,), {}))
    panel = loader.load(path)
    for section in panel.findChildren(_Section):
        section.setCollapsed(section.is_collapsed)  # its children came after its properties
    return panel


def _children(widget: Any) -> SimpleNamespace:
    found = {child.objectName(): child for child in widget.findChildren(QtCore.QObject) if child.objectName()}
    return SimpleNamespace(**found)


def install(folder: Path) -> Any:
    """Put it all in place; the application.

    Args:
        folder: where the application would keep its settings.
    """
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    QtCore.QCoreApplication.setOrganizationName("landmarklabel tests")
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, str(folder))
    qt = ModuleType("qt")
    for source in (QtCore, QtGui, QtWidgets):
        for name in dir(source):
            if name.startswith("Q"):
                setattr(qt, name, getattr(source, name))
    sys.modules["qt"] = qt
    scripted = ModuleType("slicer.ScriptedLoadableModule")
    scripted.ScriptedLoadableModule, scripted.ScriptedLoadableModuleWidget = _Module, _Widget  # type: ignore[attr-defined]
    scripted.ScriptedLoadableModuleLogic, scripted.ScriptedLoadableModuleTest = _Logic, _Test  # type: ignore[attr-defined]
    sys.modules["slicer.ScriptedLoadableModule"] = scripted
    slicer.util.loadUI, slicer.util.childWidgetVariables = _load_ui, _children
    window = QtWidgets.QMainWindow()
    slicer.util.mainWindow = lambda: window
    slicer.app = SimpleNamespace(
        slicerUserSettingsFilePath=str(folder / "Slicer.ini"), processEvents=application.processEvents, window=window
    )
    return application
