"""Makes the pictures of docs/slicer.md, in 3D Slicer's environment: .venv-slicer/bin/python docs/slicer_pictures.py

The panel in its states, and the view before and after a click, with a sample cephalogram, spine and chest.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for folder in ("tests/slicer/module", "SlicerModule/LandmarkLabel"):
    sys.path.insert(0, str(ROOT / folder))

import numpy as np
from PIL import Image

PICTURES = ROOT / "docs" / "pictures"
_SCREENSHOTS = ROOT / "SlicerModule" / "Screenshots"  # where the Extensions Index looks for them
# What is dragged, and by how many pixels of the screen.
_CLICKS = {
    "cephalometric_19": ("cephalometric_0020", "Go", (-14, -22)),
    "spine_68": ("spine_0020", "T8-UR", (18, -6)),
    "chest_166": ("chest_0020", "", (10, 12)),
}


def main() -> None:
    """All of them."""
    from servers_apart import prepare

    rows = []
    with tempfile.TemporaryDirectory() as name:
        for protocol, (image, label, by) in _CLICKS.items():
            server = prepare(Path(name) / protocol, protocol).start()
            try:
                rows.append(_click(Path(name) / f"{protocol}_panel", server.address, image, label, by))
                if protocol == "cephalometric_19":
                    _panel(Path(name) / "panel", server.address, image)
            finally:
                server.stop()
    width = max(row.width for row in rows)
    sheet = Image.new("RGB", (width, sum(row.height for row in rows)))
    top = 0
    for row in rows:
        sheet.paste(row, ((width - row.width) // 2, top))
        top += row.height
    _save(sheet, "slicer_click.png")


def _click(folder: Path, address: str, image: str, label: str, by: tuple[float, float]) -> Image.Image:
    """The view before, with the mouse down, and after."""
    from panel import Panel

    folder.mkdir()
    panel = Panel(folder)
    panel.connect(address)
    panel.open(image)
    panel.desk.show_lines(True)
    label = label if label in panel.loop.reading.labels else panel.loop.reading.next_to_check() or ""
    shots = [panel.view.pixels()]
    x, y, z = panel.desk.points.position(label)
    start = panel.view.on_screen((-x, -y, z))
    panel.view.drag(start, by, release=False)
    shots.append(panel.view.pixels())
    panel.view.mouse(*(np.round(start) + by), "LeftButtonReleaseEvent")
    panel.wait(lambda: panel.settled, "followed")
    shots.append(panel.view.pixels())
    panel.close()
    return Image.fromarray(np.hstack([shot[100:600, :, :3] for shot in shots]))


def _panel(folder: Path, address: str, image: str) -> None:
    """The panel before there is a server, while an image is read, and when the server has gone."""
    from panel import Panel
    from trouble import Trouble

    folder.mkdir()
    trouble = Trouble(address)
    panel = Panel(folder)
    shots = [_grab(panel)]
    panel.connect(trouble.address)
    panel.open(image)
    panel.key("next")
    panel.key("confirm")
    panel.key("missing")
    panel.wait(lambda: panel.settled, "followed")
    panel.desk.image.fit()
    panel.drag("Go", (-14, -22))
    panel.wait(lambda: panel.settled and not panel.loop.outbox.waiting, "followed")
    shots.append(_grab(panel))
    trouble.vanish()
    panel.drag("Me", (-6, 5))
    panel.wait(lambda: panel.loop.is_problem, "the server has gone")
    shots.append(_grab(panel))
    panel.close()
    height = max(shot.shape[0] for shot in shots)
    padded = [np.pad(shot, ((0, height - len(shot)), (8, 8), (0, 0)), constant_values=255) for shot in shots]
    _save(Image.fromarray(np.hstack(padded)), "slicer_panel.png")


def _grab(panel) -> np.ndarray:  # type: ignore[no-untyped-def]
    """The panel as it is painted, (H, W, 3)."""
    from PySide6.QtGui import QImage

    panel.application.processEvents()
    picture = panel.window.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(picture.constBits(), np.uint8).reshape(picture.height(), picture.bytesPerLine())
    return rows[:, : 3 * picture.width()].reshape(picture.height(), picture.width(), 3).copy()


def _save(picture: Image.Image, name: str) -> None:
    path = PICTURES / name
    picture.quantize(256, kmeans=1, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {picture.width} x {picture.height}")
    _SCREENSHOTS.mkdir(exist_ok=True)
    shutil.copy(path, _SCREENSHOTS / name.replace("slicer_", ""))


if __name__ == "__main__":
    main()
