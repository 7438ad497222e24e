"""A slice view of 3D Slicer, rendered offscreen, with a mouse: its real scene, logics, widgets and interactor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import numpy as np
import vtk

import slicer

_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
)


class SliceView:
    """The view "Red" of a scene of its own, which is ``slicer.mrmlScene`` from then on."""

    def __init__(self, width: int = 600, height: int = 700) -> None:
        self.size = width, height
        self.scene = slicer.mrmlScene = slicer.vtkMRMLScene()
        self._logics()
        self._window()
        self._image()

    def _logics(self) -> None:
        self.application = slicer.vtkMRMLApplicationLogic()
        self.application.SetMRMLScene(self.scene)
        self._colours, self._markups = slicer.vtkMRMLColorLogic(), slicer.vtkSlicerMarkupsLogic()
        for name, logic in (("Colors", self._colours), ("Markups", self._markups)):
            logic.SetMRMLScene(self.scene)
            self.application.SetModuleLogic(name, logic)
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(self.application)
        self.logic.SetMRMLScene(self.scene)
        self.node = self.logic.AddSliceNode("Red")
        self.node.SetDimensions(*self.size, 1)

    def _window(self) -> None:
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(True)
        self.window.SetMultiSamples(0)
        self.window.SetNumberOfLayers(2)
        self.window.SetSize(*self.size)
        self.renderer = vtk.vtkRenderer()
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(self.application)
        for name in _MANAGERS:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self._managers = factory.InstantiateDisplayableManagers(self.renderer)
        self._managers.SetMRMLDisplayableNode(self.node)
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetDisplayableManagers(self._managers)
        self._style.SetSliceLogic(self.logic)
        self._style.SetInteractor(self.interactor)

    def _image(self) -> None:
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)

    # Looking and touching -------------------------------------------------------------------------------------

    def render(self) -> None:
        # What the logic puts out is another pipeline once there is a volume, or more than one.
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        self.window.Render()

    def on_screen(self, ras: Sequence[float]) -> np.ndarray:
        """Where a position of the scene is drawn: (x, y) from the lower left corner."""
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), inverse)
        return np.array(inverse.MultiplyPoint((*ras, 1))[:2])

    def in_scene(self, x: float, y: float) -> np.ndarray:
        """The position of the scene under a place of the screen, RAS."""
        return np.array(self.node.GetXYToRAS().MultiplyPoint((x, y, 0, 1))[:3])

    def mouse(self, x: float, y: float, event: str) -> None:
        self.interactor.SetEventInformation(round(x), round(y), 0, 0, chr(0), 0, None)
        self.interactor.InvokeEvent(event)

    def drag(self, start: Sequence[float], by: Sequence[float], steps: int = 5, release: bool = True) -> None:
        """Take hold of what is drawn at ``start`` and let it go elsewhere."""
        start, by = np.round(start), np.asarray(by)
        self.mouse(*start, "MouseMoveEvent")
        self.mouse(*start, "LeftButtonPressEvent")
        for share in np.linspace(0, 1, steps + 1)[1:]:
            self.mouse(*(start + share * by), "MouseMoveEvent")
        if release:
            self.mouse(*(start + by), "LeftButtonReleaseEvent")

    def click(self, x: float, y: float) -> None:
        for event in ("MouseMoveEvent", "LeftButtonPressEvent", "LeftButtonReleaseEvent"):
            self.mouse(x, y, event)

    def pixels(self) -> np.ndarray:
        """What is drawn, (H, W, 3), the first row at the top."""
        self.render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height = image.GetDimensions()[:2]
        values = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
        return values.reshape(height, width, -1)[::-1]

    def save(self, path: Path) -> None:
        from PIL import Image

        Image.fromarray(self.pixels()).save(path)
