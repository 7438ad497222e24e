"""uv-maps as a file: a NRRD of floats, with 2 R values a pixel, that lies where its image lies."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..errors import LabelError
from ..files import atomic_path
from ..radiograph import Geometry


def write_uv_maps(names: Sequence[str], maps: NDArray[np.float32], geometry: Geometry, path: Path) -> None:
    """Write uv-maps as a compressed NRRD of one slice.

    The values of a pixel are u and v of the first structure, u and v of the second, and so on: place 2 r is u and place
    2 r + 1 is v of structure r, NaN where the pixel is outside of it. The header's fields ``Structure0_Name``,
    ``Structure1_Name``, ... name the structures in that order.

    Args:
        names: of the R structures.
        maps: (R, 2, H, W), in pixels of the image; the box of a mean shape is [-1, 1]^2.
        geometry: of the image.
        path: ends with ``.nrrd``.

    Raises:
        LabelError: these do not fit each other.
        StorageError: the disk is full, or the folder can't be written.
    """
    width, height = geometry.size
    expected = (len(names), 2, height, width)
    if maps.shape != expected or not names:
        raise LabelError(f"expected uv-maps of {len(names)} structures, {expected}, got {maps.shape}")
    values = np.moveaxis(maps.reshape(-1, height, width), 0, -1)
    image = sitk.GetImageFromArray(np.ascontiguousarray(values, dtype=np.float32)[np.newaxis], isVector=True)
    image.SetSpacing((*geometry.spacing, 1.0))
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    for index, name in enumerate(names):
        image.SetMetaData(f"Structure{index}_Name", name)
    with atomic_path(path, f"the uv-maps {path.name}") as temporary:
        try:
            sitk.WriteImage(image, str(temporary), useCompression=True, compressionLevel=1, imageIO="NrrdImageIO")
        except RuntimeError as problem:  # ITK does not say why it could not write
            full = shutil.disk_usage(path.parent).free < maps.nbytes
            raise OSError(errno.ENOSPC if full else errno.EIO, str(problem).splitlines()[-1].strip()) from problem
