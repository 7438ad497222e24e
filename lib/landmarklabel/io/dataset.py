"""Reading a data set in the layout in which it is published: ``isbi2015:/data/cephalograms``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, listed
from ..protocol import Protocol, load_protocol
from .cases import Case, LandmarkDataset
from .headers import read_geometry
from .layouts import aasce, graz, hand, isbi2015, jsrt, studies
from .layouts.common import Contents
from .plausibility import misplaced, outliers, suspicious

__all__ = ["LAYOUTS", "Case", "LandmarkDataset", "Layout", "read_dataset"]

#: With fewer labels than this, broken rules say something of the labels, not of the order of their points.
FEWEST_FOR_ORDER = 5


@dataclass(frozen=True)
class Layout:
    """How a data set lies on disk.

    Attributes:
        read: ``read(root, protocol, **options)`` gives the cases, and what is suspicious beyond their geometry.
        protocol: of the labels, unless another is named; None: one has to be named.
        by_order: whether points are told apart by their order in a file, which may not be the protocol's.
        options: names of the options that ``read`` takes.
    """

    read: Callable[..., Contents]
    protocol: str | None
    by_order: bool = True
    options: tuple[str, ...] = ()


#: Every layout that is known.
LAYOUTS: dict[str, Layout] = {
    "isbi2015": Layout(isbi2015.read, "cephalometric_19", options=("reader",)),
    "aasce": Layout(aasce.read, "spine_68"),
    "jsrt": Layout(jsrt.read, "chest_166"),
    "hand": Layout(hand.read, "hand_37", options=("fold",)),
    "graz": Layout(graz.read, "wrist_720"),
    "studies": Layout(studies.read, None, by_order=False),
}


def read_dataset(source: str, protocol: str | Path | Protocol | None = None, **options: Any) -> LandmarkDataset:
    """Read a data set; labels that can't be right are kept, and listed as suspicious.

    Args:
        source: ``LAYOUT:DIR``, LAYOUT one of :data:`LAYOUTS`.
        protocol: the protocol, or its name or file; None: the layout's own.
        **options: of the layout, as ``reader="senior"`` of isbi2015, ``fold=1`` of hand.

    Raises:
        DataError: there is no such layout or folder, the folder is not in that layout, a file is not what it should
            be, or most labels break the protocol's rules.
        ProtocolError: there is no such protocol.
        ImageError: an image is damaged.

    Example:
        >>> read_dataset("isbi2015:/data/cephalograms").split("train")  # doctest: +SKIP
    """
    name, root = _parse(source)
    layout = LAYOUTS[name]
    if protocol is None and layout.protocol is None:
        raise DataError(
            f"{source}: the layout '{name}' does not say which landmarks it holds; name the protocol, for example "
            "protocol='cephalometric_19' (--protocol on the command line)"
        )
    unknown = sorted(set(options) - set(layout.options))
    if unknown:
        raise DataError(
            f"the layout '{name}' has no option {listed(unknown)}; it has {listed(layout.options) or 'none'}"
        )
    anatomy = protocol if isinstance(protocol, Protocol) else load_protocol(protocol or layout.protocol or "")
    try:
        cases, reasons = layout.read(root, anatomy, **options)
    except OSError as problem:
        raise DataError(f"{problem.filename or root}: can't be read ({problem.strerror or problem})") from None
    if not cases:
        raise DataError(f"{root} holds no images of the layout '{name}'")
    _require_unique(cases)
    return LandmarkDataset(name, anatomy, tuple(cases), _examine(cases, reasons, anatomy, layout, root))


def _parse(source: str) -> tuple[str, Path]:
    name, colon, folder = source.partition(":")
    if not colon or not folder:
        raise DataError(f"'{source}' is not a data set; expected LAYOUT:DIR with LAYOUT one of {listed(LAYOUTS)}")
    if name not in LAYOUTS:
        raise DataError(f"'{name}' is not a known layout; expected one of {listed(LAYOUTS)}")
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    return name, root


def _require_unique(cases: Sequence[Case]) -> None:
    seen: dict[str, Path] = {}
    for case in cases:
        if case.id in seen:
            raise DataError(f"two images have the id '{case.id}': {seen[case.id]} and {case.image}; each needs its own")
        seen[case.id] = case.image


def _examine(
    cases: Sequence[Case], reasons: dict[str, tuple[str, ...]], protocol: Protocol, layout: Layout, root: Path
) -> dict[str, tuple[str, ...]]:
    """What is suspicious, in the order of the cases, the layout's own findings first."""
    found = {case_id: list(why) for case_id, why in reasons.items()}
    labelled = [(case, case.points) for case in cases if case.points is not None]
    wrong_order: list[str] = []
    for case, points in labelled:
        size = read_geometry(case.image).size
        found.setdefault(case.id, []).extend(suspicious(protocol, points, size))
        if layout.by_order and (why := misplaced(protocol, points, size)):
            wrong_order.append(f"{case.id}: {why[0]}")
    if len(labelled) >= FEWEST_FOR_ORDER and 2 * len(wrong_order) > len(labelled):
        raise DataError(
            f"{root}: {len(wrong_order)} of {len(labelled)} labels break the rules of the protocol {protocol.name} "
            f"({wrong_order[0]}); the order of the points is not the protocol's, or they are not in pixels (x, y)"
        )
    if labelled:
        for index, why_outlier in outliers(protocol, np.stack([points for _, points in labelled])).items():
            found.setdefault(labelled[index][0].id, []).append(why_outlier)
    return {case_id: tuple(why) for case_id, why in found.items() if why}
