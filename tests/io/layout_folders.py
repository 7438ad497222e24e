"""Tiny folders in the published layouts, with made-up images and labels, for the tests of their readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import scipy.io
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from landmarklabel.protocol import Protocol, load_protocol

Points = NDArray[np.float64]

_CEPHALOGRAM = [
    (0.45, 0.30), (0.75, 0.30), (0.70, 0.42), (0.30, 0.42), (0.78, 0.60), (0.74, 0.78), (0.74, 0.86), (0.68, 0.92),
    (0.72, 0.90), (0.38, 0.78), (0.80, 0.68), (0.82, 0.66), (0.88, 0.64), (0.87, 0.70), (0.84, 0.57), (0.80, 0.87),
    (0.52, 0.56), (0.80, 0.55), (0.33, 0.52),
]  # fmt: skip

# Centres of outlines; those not named lie in the middle.
_OUTLINES = {
    "right_lung": (0.25, 0.55), "left_lung": (0.75, 0.55), "heart": (0.5, 0.65), "right_clavicle": (0.3, 0.2),
    "left_clavicle": (0.7, 0.2), "metacarpal_3": (0.5, 0.2), "radius": (0.4, 0.8), "ulna": (0.6, 0.8),
}  # fmt: skip


def plausible_points(name: str, size: tuple[int, int]) -> Points:
    """Points (K, 2) on an image of ``size`` (W, H) that break no rule of a shipped protocol."""
    builders = {"cephalometric_19": _cephalogram, "spine_68": _spine, "hand_37": _hand}
    parts = builders[name]() if name in builders else _outlines(load_protocol(name))
    return np.asarray(parts, dtype=np.float64) * size


def _cephalogram() -> Sequence[tuple[float, float]]:
    return _CEPHALOGRAM


def _spine() -> Points:
    top = np.linspace(0.05, 0.9, 17)
    corners = [[(0.4, y), (0.6, y), (0.4, y + 0.03), (0.6, y + 0.03)] for y in top]
    return np.reshape(corners, (68, 2))


def _hand() -> list[tuple[float, float]]:
    wrist = [(x, 0.9) for x in np.linspace(0.3, 0.7, 5)]
    thumb = [(0.1, y) for y in np.linspace(0.8, 0.5, 4)]
    fingers = [(0.3 + 0.15 * finger, y) for finger in range(4) for y in np.linspace(0.75, 0.1, 7)]
    return wrist + thumb + fingers


def _outlines(protocol: Protocol) -> Points:
    parts = []
    for structure in protocol.structures:
        turn = np.linspace(0, 2 * np.pi, len(structure.landmarks), endpoint=False)
        centre = _OUTLINES.get(structure.name, (0.5, 0.5))
        parts.append(np.stack([np.cos(turn), np.sin(turn)], axis=1) * 0.1 + centre)
    return np.concatenate(parts)


def write_image(path: Path, size: tuple[int, int], seed: int = 0, **options: Any) -> Path:
    """A grey picture of noise, ``size`` (W, H)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size[::-1], dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def write_dicom(path: Path, size: tuple[int, int], patient: str) -> Path:
    """A DX image of zeros whose pixels are 0.5 mm."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        DigitalXRayImageStorageForPresentation,
        generate_uid(),
    )
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    image.Modality, image.PatientID = "DX", patient
    image.PixelSpacing = image.ImagerPixelSpacing = [0.5, 0.5]
    image.Columns, image.Rows = size
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
    image.PixelData = bytes(size[0] * size[1])
    image.is_little_endian, image.is_implicit_VR = True, False
    pydicom.dcmwrite(str(path), image, write_like_original=False)
    return path


def write_text(path: Path, text: str) -> Path:
    """A text file, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def write_isbi2015(
    root: Path,
    images: Mapping[str, Sequence[str]],
    labels: Mapping[str, Mapping[str, Points]],
    size: tuple[int, int] = (60, 72),
) -> Path:
    """``images``: file names of each folder of RawImage; ``labels``: points by reader and number."""
    for index, (folder, names) in enumerate(images.items()):
        for number, name in enumerate(names):
            write_image(root / "RawImage" / folder / name, size, seed=100 * index + number)
    for reader, by_number in labels.items():
        for image, points in by_number.items():
            lines = [f"{x:g},{y:g}" for x, y in points] + ["1"] * 8  # the classes of the 2015 challenge
            write_text(root / "AnnotationsByMD" / f"400_{reader}" / f"{image}.txt", "\n".join(lines) + "\n")
    return root


def write_aasce(root: Path, split: str, points: Mapping[str, Points], size: tuple[int, int] = (80, 200)) -> Path:
    """``points``: pixels by file name; angles of row n are n, n + 1, n + 2."""
    labels = root / "labels" / split
    rows = []
    for number, (name, values) in enumerate(points.items()):
        write_image(root / "data" / split / name, size, seed=number)
        rows.append(",".join(f"{value:.5g}" for value in [*(values[:, 0] / size[0]), *(values[:, 1] / size[1])]))
    write_text(labels / "filenames.csv", "".join(f"{name}\n" for name in points))
    write_text(labels / "landmarks.csv", "".join(f"{row}\n" for row in rows))
    write_text(labels / "angles.csv", "".join(f"{n},{n + 1},{n + 2}\n" for n in range(len(points))))
    for name, values in points.items():
        scipy.io.savemat(labels / f"{name}.mat", {"p2": np.rint(values).astype(np.uint16)})
    return root


def write_outlines(root: Path, points: Mapping[str, Points | None], size: tuple[int, int] = (64, 64)) -> Path:
    """``images/NAME.png`` and ``landmarks/NAME.npy``, as of JSRT and GRAZPEDWRI-DX."""
    (root / "landmarks").mkdir(parents=True, exist_ok=True)
    for number, (name, values) in enumerate(points.items()):
        write_image(root / "images" / f"{name}.png", size, seed=number)
        if values is not None:
            np.save(root / "landmarks" / f"{name}.npy", values)
    return root


def hand_row(name: str, points: Points) -> str:
    """A row of the Digital Hand Atlas's table."""
    return ",".join([name, *(f"{value:.9g}" for value in points.ravel())]) + "\n"
