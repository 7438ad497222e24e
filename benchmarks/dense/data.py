"""What is trained and tested on: real spines and cephalograms, or synthetic chests; and landmarks that are left out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
from clicks.data import Parts
from clicks.data import read_parts as read_real_parts

from landmarklabel.io.cases import Case, LandmarkDataset
from landmarklabel.io.dataset import read_dataset
from landmarklabel.phantoms.studies import write_studies
from landmarklabel.protocol import Protocol

#: Synthetic chests: how many, and the seed of the first; those of the sample data have other seeds.
TRAINING, TEST, FIRST_SEED = 160, 60, 70_000

PHANTOMS = "chest_166"


def read_parts(source: str, work: Path) -> Parts:
    """``aasce:DIR``, ``isbi2015:DIR`` as in the benchmark of clicks; ``phantoms``: chests, made in ``work`` once."""
    if source != "phantoms":
        return read_real_parts(source)
    parts = []
    for name, number, seed in (("train", TRAINING, FIRST_SEED), ("test", TEST, FIRST_SEED + TRAINING)):
        folder = work / "phantoms" / name
        if not (folder / "complete").exists():
            for _ in write_studies(PHANTOMS, number, seed, folder):
                pass
            (folder / "complete").touch()
        parts.append(read_dataset(f"studies:{folder}", PHANTOMS))
    return Parts("phantoms", parts[0], parts[1].trustworthy(), frozenset())


def left_out(protocol: Protocol) -> tuple[str, ...]:
    """Landmarks to leave out: every fourth point of an outline; of cephalograms five from all over the head."""
    if protocol.name == "cephalometric_19":
        return ("Or", "A", "U1", "Gn", "PNS")
    closed = [structure for structure in protocol.structures if structure.closed]
    return tuple(label for structure in closed for label in structure.landmarks[2::4])


def without(protocol: Protocol, labels: Collection[str]) -> Protocol:
    """The protocol without some of its landmarks."""
    gone = set(labels)
    structures = [
        structure.model_copy(update={"landmarks": tuple(label for label in structure.landmarks if label not in gone)})
        for structure in protocol.structures
    ]
    kept = [structure for structure in structures if len(structure.landmarks) >= 2]
    symmetry = protocol.symmetry
    if symmetry is not None:
        pairs = tuple(pair for pair in symmetry.pairs if not gone & set(pair))
        midline = tuple(label for label in symmetry.midline if label not in gone)
        symmetry = symmetry.model_copy(update={"pairs": pairs, "midline": midline})
    return protocol.model_copy(
        update={
            "name": f"{protocol.name}_less",
            "landmarks": tuple(each for each in protocol.landmarks if each.label not in gone),
            "structures": tuple(kept),
            "symmetry": symmetry,
            "rules": (),
        }
    )


def fewer(dataset: LandmarkDataset, labels: Collection[str]) -> LandmarkDataset:
    """A data set whose labels lack some landmarks."""
    keep = np.array([label not in set(labels) for label in dataset.protocol.labels])

    def lessened(case: Case) -> Case:
        return case if case.points is None else replace(case, points=case.points[keep])

    protocol = Protocol.model_validate(without(dataset.protocol, labels).model_dump())
    return LandmarkDataset(dataset.name, protocol, tuple(map(lessened, dataset.cases)), dataset.suspicious)
