"""JSRT: 247 chest radiographs with 166 points along lungs, heart and clavicles.

::

    images/NAME.png            2048 x 2048 pixels of 0.175 mm; or smaller, the whole field all the same
    landmarks/NAME.npy         (166, 2), (x, y) in pixels of that image, or flat (332,)
    train.txt, test.txt        names, one a line; without these, the split of the paper

The spacing is that of the database (Shiraishi et al., American Journal of Roentgenology 174, 2000), by the image's
size: 2048 pixels are 358.4 mm.
"""

from __future__ import annotations

from pathlib import Path

from ...errors import DataError, listed
from ...protocol import Protocol
from ..cases import Case
from ..headers import read_geometry
from .common import Contents, image_id, read_lines
from .contours import read_outlines

#: Width and height of the field, in mm.
FIELD_MM = 2048 * 0.175

#: The published split: the first 160 names train, the other 87 test.
TRAIN, TOTAL = 160, 247

_EXPECTED = "JSRT holds images/NAME.png and landmarks/NAME.npy"


def read(root: Path, protocol: Protocol) -> Contents:
    """Read the data set.

    Without ``train.txt`` and ``test.txt`` the first 160 names of 247 are ``train`` and the others ``test``; of another
    total, the same part, rounded.

    Raises:
        DataError: a folder is missing, a label is not 166 points, or a list names an image that is not there.
    """
    outlines = read_outlines(root, protocol, _EXPECTED)
    splits = _splits(root, list(outlines))
    cases = [
        Case(name, path, points, patient=name, split=splits.get(name, ""), spacing=_spacing(path))
        for name, (path, points) in outlines.items()
    ]
    return cases, {}


def _spacing(path: Path) -> tuple[float, float]:
    width, height = read_geometry(path).size
    return FIELD_MM / width, FIELD_MM / height


def _splits(root: Path, names: list[str]) -> dict[str, str]:
    """The split of each name; a name that is in no list has none."""
    files = {split: root / f"{split}.txt" for split in ("train", "test")}
    if not any(file.is_file() for file in files.values()):
        first = round(len(names) * TRAIN / TOTAL)
        return {name: "train" if index < first else "test" for index, name in enumerate(names)}
    splits: dict[str, str] = {}
    for split, file in files.items():
        listed_here = [image_id(line) for line in read_lines(file)] if file.is_file() else []
        unknown = [name for name in listed_here if name not in names]
        if unknown:
            raise DataError(f"{file}: {listed(unknown, 5)}: no such image in {root / 'images'}")
        twice = [name for name in listed_here if splits.get(name, split) != split]
        if twice:
            raise DataError(f"{file}: {listed(twice, 5)} also in train.txt; an image is in one split")
        splits.update(dict.fromkeys(listed_here, split))
    return splits
