"""What it costs to label a data set from nothing: a simulated reader at the real server, and what each part saves.

    python benchmarks/cost.py run --data DIR --work WORK
    python benchmarks/cost.py table --work WORK

DIR holds aasce/ and isbi2015/ in their published layouts. ``run`` goes on where it was cut off, and leaves alone what
is done; ``--sets`` and ``--variants`` choose parts. The product and a few others train; the rest replay the product's
images and models, so that what differs is their doing alone, and cost minutes each; ``again`` changes nothing, and is
what they are compared with.

What is right: on cephalograms 2 mm, the radius by which the challenge of 2015 ranked its results, and about as much as
its two readers differ on average. Spines have no spacing; 20 pixels of the original images are about a fifth of a
vertebra's height there.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from common import RESULTS, read, run_stage, write

from landmarklabel.io.dataset import read_dataset
from landmarklabel.simulation.plots import plot_comparison, plot_simulation
from landmarklabel.simulation.report import comparison, headline, write_report
from landmarklabel.simulation.run import simulate
from landmarklabel.simulation.settings import TITLES, Habits, Settings, as_variant


class Data(NamedTuple):
    """What is labelled, and how exactly."""

    images: int
    tolerance: float
    split: str | None
    what: str


SETS = {
    "aasce": Data(100, 20.0, None, "spines"),
    "isbi2015": Data(100, 2.0, "train", "cephalograms"),
}

#: Those that train by themselves, and those that replay the product.
TRAINED = ("product", "prior-only", "shape-alone", "train-once", "random-strategy")
REPLAYED = (
    "again", "by-hand", "network-only", "no-templates", "no-confirm", "random-order", "oracle-order", "trust",
    "trust-80",
)  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    for name in arguments.sets:
        for variant in [each for each in (*TRAINED, *REPLAYED) if each in arguments.variants]:
            _simulate(name, variant, arguments)
            print(f"{name}, {variant}: {headline(_figures(arguments.work / name / variant))}", flush=True)
            _write(name, arguments)


def _simulate(name: str, variant: str, arguments: argparse.Namespace) -> None:
    data, folder = SETS[name], arguments.work / name
    dataset = read_dataset(f"{name}:{arguments.data / name}")
    dataset = dataset.split(data.split) if data.split else dataset
    settings = settings_of(name, variant, arguments)
    write_report(simulate(settings, dataset, folder / variant, arguments.images or data.images), folder / variant)


def settings_of(name: str, variant: str, arguments: argparse.Namespace) -> Settings:
    """What is simulated of a data set; a replay is at no pace, as nothing trains meanwhile."""
    habits = Habits(tolerance=SETS[name].tolerance)
    if variant in REPLAYED:
        product = str(arguments.work / name / "product")
        return as_variant(Settings(habits=habits, train="off", replay=product), variant)
    paced = habits.model_copy(update={"look_s": arguments.pace[0], "click_s": arguments.pace[1]})
    rest = arguments.wait_for_training
    return as_variant(Settings(habits=paced, train=arguments.train, wait_for_training=rest), variant)


def _figures(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_bytes())
    return content


def _write(name: str, arguments: argparse.Namespace) -> None:
    """Figures of all variants that are done; of an image, a file or a folder nothing is named."""
    found = {}
    for variant in (*TRAINED, *REPLAYED):
        folder = arguments.work / name / variant
        if (folder / "report.json").is_file():
            content = _figures(folder)
            content["settings"]["replay"] = "product" if content["settings"]["replay"] else ""
            found[variant] = content
    load = [round(value, 1) for value in os.getloadavg()]
    about = {"processors": os.cpu_count(), "load_at_the_end": load, "pace_s": list(arguments.pace)}
    write(f"cost_{name}", _command(name, arguments), {**about, "variants": found})


def _command(name: str, arguments: argparse.Namespace) -> str:
    parts = [f"python benchmarks/cost.py run --data DIR --work WORK --sets {name} --train {arguments.train}"]
    parts += [f"--images {arguments.images}"] if arguments.images else []
    parts += ["--wait-for-training"] if arguments.wait_for_training else []
    return " ".join([*parts, f"--pace {arguments.pace[0]:g} {arguments.pace[1]:g}"])


def table(arguments: argparse.Namespace) -> None:
    for name, data in SETS.items():
        variants = read(f"cost_{name}").get("variants", {})
        if not variants:
            continue
        unit = next(iter(variants.values()))["unit"]
        number = next(iter(variants.values()))["images"]
        print(f"## {number} {data.what}, every landmark within {data.tolerance:g} {unit}\n")
        print(comparison(variants, TITLES), "\n")
        folder = arguments.work
        folder.mkdir(parents=True, exist_ok=True)
        if "product" in variants:
            plot_simulation(variants["product"], folder / f"cost_{name}.png", data.what)
        title = f"Clicks to label {number} {data.what}"
        plot_comparison(variants, TITLES, folder / f"cost_{name}_parts.png", title)
        print(f"{folder / f'cost_{name}.png'}, of {RESULTS / f'cost_{name}.json'}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages = parser.add_subparsers(dest="stage", required=True)
    first = stages.add_parser("run", help="label each data set, once for each variant")
    first.add_argument("--data", type=Path, required=True)
    first.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    first.add_argument("--variants", nargs="+", choices=[*TRAINED, *REPLAYED], default=[*TRAINED, *REPLAYED])
    first.add_argument("--images", type=int, help="how many of each; default: 100")
    first.add_argument("--train", default="auto", help="as of landmarklabel simulate")
    first.add_argument("--wait-for-training", action="store_true", help="the reader rests while a training runs")
    first.add_argument("--pace", nargs=2, type=float, default=(0.3, 2.0), help="seconds of a look and of a click")
    first.set_defaults(run=run)
    shown = stages.add_parser("table", help="print the results as Markdown, and draw them into WORK")
    shown.set_defaults(run=table)
    for stage in (first, shown):
        stage.add_argument("--work", type=Path, required=True, help="folder of the simulations")
    arguments = parser.parse_args()
    arguments.work = arguments.work.resolve()
    run_stage(arguments)


if __name__ == "__main__":
    main()
