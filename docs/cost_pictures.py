"""What labelling costs, as pictures: of the figures that ``benchmarks/cost.py`` has kept, which name no image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from landmarklabel.simulation.plots import plot_comparison, plot_simulation
from landmarklabel.simulation.settings import TITLES

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"

#: What the images of each data set are.
SETS = {"aasce": "spines", "isbi2015": "cephalograms"}


def cost_pictures(folder: Path) -> Iterator[Path]:
    """A picture of the product, and one of what each part saves, for each data set that was measured."""
    for name, what in SETS.items():
        file = RESULTS / f"cost_{name}.json"
        variants: dict[str, Any] = json.loads(file.read_text())["variants"] if file.exists() else {}
        if "product" in variants:
            plot_simulation(variants["product"], folder / f"cost_{name}.png", what)
            yield folder / f"cost_{name}.png"
        if len(variants) > 1:
            number = next(iter(variants.values()))["images"]
            plot_comparison(
                variants, TITLES, folder / f"cost_{name}_parts.png", f"Clicks to label {number} {what}, from nothing"
            )
            yield folder / f"cost_{name}_parts.png"


def main() -> None:
    """Draw them."""
    folder = Path(__file__).resolve().parent / "pictures"
    folder.mkdir(exist_ok=True)
    for path in cost_pictures(folder):
        print(path.name)


if __name__ == "__main__":
    main()
