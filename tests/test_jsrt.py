"""DenseSeg's own protocol on JSRT by one command, on synthetic chests in the layout of the official files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from landmarklabel import cli
from landmarklabel.phantoms import generate

CHESTS, SIDE = 9, 96
SMALL = ["network.channels=[8,16,32]", "network.features=8", "input.height=64", "input.width=64", "epochs=2"]


def write_layout(folder: Path) -> Path:
    """``images/NAME.png`` and ``landmarks/NAME.npy``, as the files are published."""
    (folder / "images").mkdir(parents=True)
    (folder / "landmarks").mkdir()
    for number in range(1, CHESTS + 1):
        radiograph, landmarks = generate("chest_166", 900 + number, (SIDE, SIDE))
        name = f"JPCLN{number:03d}"
        Image.fromarray(radiograph.display()).save(folder / "images" / f"{name}.png")
        np.save(folder / "landmarks" / f"{name}.npy", landmarks.points)
    return folder


@pytest.mark.slow
def test_the_papers_protocol_by_one_command(tmp_path: Path) -> None:
    """Trained on the first part by the order of files, tested on the others; structures and landmarks in mm."""
    data = write_layout(tmp_path / "jsrt")
    changes = [part for change in (*SMALL, "batch_size=2") for part in ("--set", change)]
    run = tmp_path / "run"
    cli.app(["train", "denseseg_jsrt", "--data", f"jsrt:{data}", "--out", str(run), *changes], standalone_mode=False)
    figures = tmp_path / "figures.json"
    arguments = [
        "evaluate",
        str(run / "model.safetensors"),
        "--data",
        f"jsrt:{data}",
        "--structures",
        "--json",
        str(figures),
    ]
    cli.app(arguments, standalone_mode=False)
    content = json.loads(figures.read_text())
    held = json.loads((run / "data.json").read_text())
    assert content["data"]["split"] == "test"
    tested = sorted(content["structures"]["by_image"])
    first = round(CHESTS * 160 / 247)
    assert tested == [f"JPCLN{number:03d}" for number in range(first + 1, CHESTS + 1)]
    assert not set(held["validation"]) & set(tested)
    assert content["structures"]["unit"] == "mm"
    by_structure = content["structures"]["structures"]
    assert list(by_structure) == ["right_lung", "left_lung", "heart", "right_clavicle", "left_clavicle"]
    assert all({"dsc", "asd", "assd", "hd95", "tre"} <= set(each) for each in by_structure.values())
