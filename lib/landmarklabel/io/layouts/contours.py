"""Images with outlines in NumPy files, the layout of JSRT and of GRAZPEDWRI-DX here: ``images/`` and ``landmarks/``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import DataError
from ...landmarks import Points
from ...protocol import Protocol
from .common import absent_as_nan, images_in, require_count, require_folder, require_images


def read_outlines(root: Path, protocol: Protocol, layout: str, hint: str = "") -> dict[str, tuple[Path, Points | None]]:
    """Image and points (K, 2) of each name, sorted by name; None for an image without a label.

    Args:
        root: holds ``images/NAME.png`` (or another format) and ``landmarks/NAME.npy``.
        layout: what the folder should hold, for messages.
        hint: what to do about another number of points, for messages.

    Raises:
        DataError: a folder is missing, a label has no image, or is not K points.
    """
    images = images_in(require_folder(root, "images", layout=layout))
    folder = require_folder(root, "landmarks", layout=layout)
    labels = {path.stem: path for path in sorted(folder.glob("*.npy")) if not path.name.startswith(".")}
    require_images(labels, images, root / "images")
    return {
        name: (path, read_points(labels[name], protocol, hint) if name in labels else None)
        for name, path in images.items()
    }


def read_points(path: Path, protocol: Protocol, hint: str = "") -> Points:
    """Points (K, 2), (x, y) in pixels, of a ``.npy`` file of shape (K, 2), or (2 K,) as x1, y1, x2, y2, ...

    Raises:
        DataError: it is not a NumPy file of real numbers, or has another shape.
    """
    try:
        values = np.load(path, allow_pickle=False)  # a pickle could run code
    except Exception as problem:  # on a damaged header NumPy raises whatever it runs into, TokenError among others
        raise DataError(f"{path}: not a NumPy file of numbers ({problem})") from None
    if not isinstance(values, np.ndarray) or not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        kind = getattr(values, "dtype", type(values).__name__)
        raise DataError(f"{path}: holds {kind}; expected numbers")
    flat = values.ndim == 1 and values.size % 2 == 0
    if not flat and (values.ndim != 2 or values.shape[1] != 2):
        raise DataError(
            f"{path}: an array {values.shape}; expected ({len(protocol)}, 2) or ({2 * len(protocol)},){hint}"
        )
    points = values.reshape(-1, 2)
    require_count(len(points), protocol, str(path), hint)
    return absent_as_nan(points)
