"""What the first labels save: clicks on the next image, without a network, after one to seven labels.

    python benchmarks/few_labels.py --data aasce:DIR

A simulated reader puts right whatever is farther off than a tolerance, in the tool's own order. Without a label he
places all: 1. Figures are added to benchmarks/results/few_labels.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from clicks.data import read_parts
from common import read, write
from numpy.typing import NDArray

from landmarklabel.interaction.posterior import Posterior
from landmarklabel.interaction.refinement import by_gain
from landmarklabel.interaction.shape_prior import FEWEST_LABELS, ShapePrior
from landmarklabel.io.dataset import Case
from landmarklabel.io.headers import read_geometry

Array = NDArray[np.float64]

LABELS = (1, 2, 3, 4, 5, 7)

#: In pixels of the original images; of ISBI's, ten are one millimetre.
TOLERANCES = (20.0, 40.0)

_SEQUENCES = 25


def clicks(prior: ShapePrior, truth: Array, size: tuple[int, int], tolerance: float) -> int:
    """How many landmarks (K, 2) a reader places until all are within the tolerance."""
    posterior = Posterior(prior.in_pixels(size))
    placed = np.empty(0, dtype=np.intp)
    while True:
        known = posterior.given(placed, truth[placed], tolerance / 10)
        errors = np.hypot(*(known.mean - truth).T)
        wrong = [index for index in by_gain(known) if errors[index] > tolerance and index not in placed]
        if not wrong:
            return len(placed)
        placed = np.append(placed, wrong[0])


def figures(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """The part of the landmarks that is placed by hand, by labels and way of learning from them."""
    whole = [case for case in cases if case.points is not None and np.isfinite(case.points).all()]
    points = np.stack([np.asarray(case.points, dtype=np.float64) for case in whole])
    sizes = np.array([read_geometry(case.image).size for case in whole])
    rng = np.random.default_rng(0)
    sequences = [rng.choice(len(whole), max(LABELS) + 1, replace=False) for _ in range(_SEQUENCES)]
    rows = []
    for labels in LABELS:
        for name, learn in (("few", ShapePrior.of_few), ("fit", ShapePrior.fit)):
            if name == "fit" and labels < FEWEST_LABELS:
                continue
            counts = np.zeros((_SEQUENCES, len(TOLERANCES)))
            for number, sequence in enumerate(sequences):
                known, new = sequence[:labels], sequence[labels]
                prior, size = learn(points[known], sizes[known]), tuple(sizes[new].tolist())
                counts[number] = [clicks(prior, points[new], size, tolerance) for tolerance in TOLERANCES]
            placed = dict(zip(map(str, TOLERANCES), (counts.mean(0) / points.shape[1]).round(3).tolist(), strict=True))
            rows.append({"labels": labels, "learned": name, "placed_by_hand": placed})
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="aasce:DIR or isbi2015:DIR")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    parts = read_parts(arguments.data)
    content = {key: value for key, value in read("few_labels").items() if key not in ("command", "machine")}
    content[parts.layout] = {"unit": "px", "images": _SEQUENCES, "rows": figures(parts.training.cases)}
    print(write("few_labels", "python benchmarks/few_labels.py --data LAYOUT:DIR", content))


if __name__ == "__main__":
    main()
