"""What differs between two versions of a label: which landmarks moved by how much, which structures changed."""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import ConfigError, NotFoundError
from ..io.cases import read_structures
from ..io.headers import read_geometry
from ..io.layouts.studies import LABEL_SUFFIX
from ..markups import parse_positions
from ..protocol import Protocol
from .reading import StoreReader

Position = tuple[float, float, float]

#: Closer than this a landmark has not moved, in mm: what writing and reading of decimals does.
STILL_MM = 1e-6


@dataclass(frozen=True)
class Move:
    """A landmark that is not where it was.

    Attributes:
        label: of the landmark.
        before, after: LPS in mm (pixels, of an image without spacing); None where it has no place.
        distance: between the two, likewise; None if it was placed or taken away.
    """

    label: str
    before: Position | None
    after: Position | None
    distance: float | None


@dataclass(frozen=True)
class Change:
    """A structure that is not what it was, in pixels: before, after, and how many are in only one of the two."""

    structure: str
    before: int
    after: int
    changed: int


@dataclass(frozen=True)
class Comparison:
    """Two versions of a label, by their numbers.

    Attributes:
        moved: landmarks, those that were placed or taken away first, then the farthest first.
        changed: structures of a label image, in the protocol's order.
        same: how many landmarks or structures are as they were.
    """

    before: int
    after: int
    moved: tuple[Move, ...]
    changed: tuple[Change, ...]
    same: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    store: StoreReader, name: str, tag: str, before: int | None = None, after: int | None = None,
    protocol: Protocol | None = None,
) -> Comparison:  # fmt: skip
    """Compare two versions of the label of an image.

    Args:
        before: a version's number; by default the last one with content before ``after``.
        after: likewise; by default the label as it is now, or the last version of one that was deleted.
        protocol: of label images, which say nothing without it.

    Raises:
        NotFoundError: there are no such versions, or one of them says that the label was deleted.
        LabelError: a version can't be read as a label.
        ConfigError: these are label images, and there is no protocol.
    """
    first, second = _chosen(store, name, tag, before, after)
    (old, suffix), (new, other) = (store.content(name, tag, number) for number in (first, second))
    if LABEL_SUFFIX in (suffix, other):
        where = [f"version {number} of '{tag}' of {name}" for number in (first, second)]
        moved, same = compare_landmarks(parse_positions(old, where[0]), parse_positions(new, where[1]))
        return Comparison(first, second, moved, (), same)
    if protocol is None:
        raise ConfigError(f"'{tag}' holds label images: which protocol's structures are they? Give --protocol")
    changed, same = _compare_structures(store.image_file(name), (old, suffix), (new, other), protocol)
    return Comparison(first, second, (), changed, same)


def _chosen(store: StoreReader, name: str, tag: str, before: int | None, after: int | None) -> tuple[int, int]:
    versions, current = store.history(name, tag)
    full = [version.number for version in versions if version.has_content]
    after = after or current or (full[-1] if full else 0)
    earlier = [number for number in full if number < after]
    if before is None and not earlier:
        raise NotFoundError(f"the label '{tag}' of {name} has no version before {after} to compare it with")
    return before if before is not None else earlier[-1], after


def compare_landmarks(
    before: dict[str, Position | None], after: dict[str, Position | None]
) -> tuple[tuple[Move, ...], int]:
    """Landmarks that moved, and how many did not."""
    moves = []
    for label in dict.fromkeys([*before, *after]):
        old, new = before.get(label), after.get(label)
        distance = math.dist(old, new) if old is not None and new is not None else None
        if old != new and (distance is None or distance > STILL_MM):
            moves.append(Move(label, old, new, distance))
    moves.sort(key=lambda move: -math.inf if move.distance is None else -move.distance)
    return tuple(moves), len(before.keys() | after.keys()) - len(moves)


def _compare_structures(
    image: Path, before: tuple[bytes, str], after: tuple[bytes, str], protocol: Protocol
) -> tuple[tuple[Change, ...], int]:
    geometry, read = read_geometry(image), []
    with tempfile.TemporaryDirectory() as folder:
        for key, (content, suffix) in (("before", before), ("after", after)):
            path = Path(folder) / f"{key}{suffix}"
            path.write_bytes(content)
            read.append(read_structures(path, protocol, geometry))
    changes = [
        Change(title, int(old.sum()), int(new.sum()), int((old != new).sum()))
        for title, old, new in zip(read[0].names, read[0].masks, read[1].masks, strict=True)
    ]
    changed = tuple(change for change in changes if change.changed)
    return changed, len(changes) - len(changed)
