"""The structures of a protocol that a composed measurement works on, as indices into its points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ProtocolError, listed

if TYPE_CHECKING:  # a protocol holds measurements, and so knows this package
    from ..protocol import Protocol

Array = NDArray[np.float64]


def vertebrae_of(protocol: Protocol, names: Sequence[str], kind: str) -> tuple[str, ...]:
    """The structures that were named, or all of kind ``vertebra`` in the order of the protocol.

    Raises:
        ProtocolError: a name is of no vertebra, or there are none.
    """
    there = tuple(structure.name for structure in protocol.structures if structure.kind == "vertebra")
    unknown = [name for name in names if name not in there]
    if unknown or not there:
        raise ProtocolError(
            f"{kind}: {listed(unknown) or protocol.name} is not a structure of kind 'vertebra'; "
            f"{protocol.name} has {listed(there, 20) or 'none'}"
        )
    return tuple(names) or there


def outlines(protocol: Protocol, names: Sequence[str], usual: Sequence[str], kind: str) -> tuple[str, ...]:
    """The structures that were named, or the usual ones; as many as those.

    Raises:
        ProtocolError: a name is of no structure, or there are too few or too many.
    """
    chosen = tuple(names) or tuple(usual)
    there = [structure.name for structure in protocol.structures]
    unknown = [name for name in chosen if name not in there]
    if unknown:
        raise ProtocolError(f"{kind}: {protocol.name} has no structure {listed(unknown)}; it has {listed(there, 20)}")
    if len(chosen) != len(usual):
        raise ProtocolError(f"{kind}: expected {len(usual)} structures, such as {listed(usual)}, got {listed(chosen)}")
    return chosen


def require_size(protocol: Protocol, name: str, sizes: Sequence[int], what: str, kind: str) -> None:
    """Raise a ProtocolError unless a structure has one of these numbers of landmarks."""
    count = len(protocol.indices(name))
    if count not in sizes:
        wanted = " or ".join(map(str, sizes))
        raise ProtocolError(f"{kind}: structure '{name}' has {count} landmarks; expected {wanted}: {what}")


def labels_of(protocol: Protocol, names: Sequence[str]) -> tuple[str, ...]:
    """Labels of all landmarks of these structures, in their order, each once."""
    return tuple(dict.fromkeys(protocol.labels[index] for name in names for index in protocol.indices(name)))


def outline_of(points: Array, protocol: Protocol, name: str) -> Array:
    """(N, S, 2), the points of a structure in S sets of points (S, K, 2), in the order of its outline.

    Samples come next to last, so that what is computed of a coordinate runs over them, which is fast.
    """
    coordinates = np.moveaxis(np.asarray(points, dtype=np.float64), 0, -1)[protocol.indices(name)]
    return np.moveaxis(coordinates, -1, -2)


def outlines_of(points: Array, protocol: Protocol, names: Sequence[str]) -> Array:
    """(V, N, S, 2), of V structures of N landmarks each."""
    places = np.stack([protocol.indices(name) for name in names])
    coordinates = np.moveaxis(np.asarray(points, dtype=np.float64), 0, -1)[places]
    return np.moveaxis(coordinates, -1, -2)
