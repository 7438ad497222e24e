"""What the first labels save: clicks on the next image, without a network, after one to forty labels.

    python benchmarks/few_labels.py --data aasce:DIR

A simulated reader puts right whatever is farther off than a tolerance, in the tool's own order. Without a label he
places all: 1. The others follow by the shape of labels, and by templates of how landmarks look in them too. Figures are
added to benchmarks/results/few_labels.json.
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
from scipy.stats import chi2

from landmarklabel.interaction.gradients import Gradients
from landmarklabel.interaction.posterior import Posterior
from landmarklabel.interaction.refinement import by_gain
from landmarklabel.interaction.refiners import Measured, Refiner
from landmarklabel.interaction.shape_prior import FEWEST_LABELS, ShapePrior
from landmarklabel.interaction.templates import FEWEST_LABELS as FEWEST_LOOKS
from landmarklabel.interaction.templates import LabelledLook, Templates
from landmarklabel.io.dataset import Case
from landmarklabel.io.headers import read_geometry

Array = NDArray[np.float64]

LABELS = (1, 2, 3, 4, 5, 7, 10, 20, 40)

#: In pixels of the original images; of ISBI's, ten are one millimetre.
TOLERANCES = (20.0, 40.0)

_SEQUENCES = 25


def clicks(refiner: Refiner, truth: Array, tolerance: float) -> int:
    """How many landmarks (K, 2) a reader places until all are within the tolerance."""
    placed = np.empty(0, dtype=np.intp)
    while True:
        known = refiner.given(placed, truth[placed], tolerance / 10)
        errors = np.hypot(*(known.mean - truth).T)
        wrong = [index for index in by_gain(known) if errors[index] > tolerance and index not in placed]
        if not wrong:
            return len(placed)
        placed = np.append(placed, wrong[0])


def within_stated(refiner: Refiner, truth: Array) -> float:
    """Which part of the landmarks lies in the 90 % region that is stated of it before any is placed."""
    known = refiner.given(np.empty(0, dtype=np.intp), np.empty((0, 2)))
    offset = truth - known.mean
    distance = np.einsum("ki,kij,kj->k", offset, np.linalg.inv(known.of_points()), offset)
    return float(np.mean(distance < chi2.ppf(0.9, 2)))


class Images:
    """Images with all their landmarks, and how they look."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = [case for case in cases if case.points is not None and np.isfinite(case.points).all()]
        self.points = np.stack([np.asarray(case.points, dtype=np.float64) for case in self.cases])
        self.sizes = np.array([read_geometry(case.image).size for case in self.cases])
        self._looks: dict[int, tuple[Gradients, LabelledLook]] = {}

    def look(self, index: int) -> tuple[Gradients, LabelledLook]:
        if index not in self._looks:
            gradients = Gradients.of(self.cases[index].radiograph())
            self._looks[index] = gradients, LabelledLook.of(gradients, self.points[index])
        return self._looks[index]

    def by_shape(self, known: NDArray[np.intp], new: int) -> Posterior:
        """What labels of some images say of another by their shape."""
        learn = ShapePrior.fit if len(known) >= FEWEST_LABELS else ShapePrior.of_few
        width, height = self.sizes[new].tolist()
        return Posterior(learn(self.points[known], self.sizes[known]).in_pixels((width, height)))

    def by_shape_and_look(self, known: NDArray[np.intp], new: int) -> Refiner:
        """The same by shape and templates, as the server answers."""
        shape = self.by_shape(known, new)
        templates = Templates.fit([self.look(index)[1] for index in known])
        return Measured(Posterior(shape.prior, templates.evidence(self.look(new)[0])), shape)


def figures(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """The part of the landmarks that is placed by hand, by labels and what is learned from them."""
    images, rng = Images(cases), np.random.default_rng(0)
    sequences = [rng.choice(len(images.cases), max(LABELS) + 1, replace=False) for _ in range(_SEQUENCES)]
    rows = []
    for labels in LABELS:
        ways = {"shape": images.by_shape, "shape and look": images.by_shape_and_look}
        for name, answering in ways.items():
            if name == "shape and look" and labels < FEWEST_LOOKS:
                continue
            counts, held = np.zeros((_SEQUENCES, len(TOLERANCES))), np.zeros(_SEQUENCES)
            for number, sequence in enumerate(sequences):
                new = int(sequence[-1])
                refiner = answering(sequence[:labels], new)
                counts[number] = [clicks(refiner, images.points[new], tolerance) for tolerance in TOLERANCES]
                held[number] = within_stated(refiner, images.points[new])
            placed = (counts.mean(0) / images.points.shape[1]).round(3).tolist()
            by_hand = dict(zip(map(str, TOLERANCES), placed, strict=True))
            rows.append({"labels": labels, "learned": name, "placed_by_hand": by_hand, "held": round(held.mean(), 3)})
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
