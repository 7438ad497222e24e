"""What a whole answer may be wrong by: every vertebra called by its neighbour's name, left called right.

Such an error is one of names, not of places: the landmarks lie on the anatomy, each on that of another. It is no small
step from the truth, and no landmark's own uncertainty tells of it; so each such answer is tried beside the first one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..protocol import Protocol, Structure

Array = NDArray[np.float64]

#: Fewer structures in a row than this are no row whose members could be mistaken for each other.
_FEWEST = 3


def renamings(protocol: Protocol) -> Array:
    """Matrices that give each landmark the place of another.

    Returns:
        (H, K, K); ``matrix @ points`` are the renamed points. Along a row of vertebrae each takes the place of the
        next, or of the one before, and the last one steps out as far as the one beside it. Labels that a flip
        exchanges are exchanged. H is 0 where the protocol allows neither.
    """
    found = [_shifted(row, protocol, step) for row in _rows(protocol) for step in (1, -1)]
    if protocol.symmetry is not None and protocol.symmetry.pairs:
        exchanged = np.eye(len(protocol))
        for left, right in protocol.symmetry.pairs:
            pair = [protocol.index(left), protocol.index(right)]
            exchanged[pair] = exchanged[pair[::-1]]
        found.append(exchanged)
    return np.stack(found) if found else np.empty((0, len(protocol), len(protocol)))


def _rows(protocol: Protocol) -> list[list[Structure]]:
    """Structures that follow each other and look alike."""
    vertebrae = [structure for structure in protocol.structures if structure.kind == "vertebra"]
    return [vertebrae] if len(vertebrae) >= _FEWEST else []


def _shifted(row: Sequence[Structure], protocol: Protocol, step: int) -> Array:
    places = np.array([[protocol.index(label) for label in structure.landmarks] for structure in row])
    matrix = np.eye(len(protocol))
    for index, own in enumerate(places):
        matrix[own] = 0
        if 0 <= index + step < len(places):
            matrix[own, places[index + step]] = 1
        else:  # beyond the end: as far again as from the one before
            matrix[own, own], matrix[own, places[index - step]] = 2, -1
    return matrix


def weighed(scores: torch.Tensor) -> torch.Tensor:
    """Weights (H,) of hypotheses with log scores (H,), of which the first is the answer: none counts more than it."""
    return torch.softmax((scores - scores[0]).clamp(max=0), dim=0)
