"""Clicks on real radiographs: interactive networks, and one look at the image joined with the shape of labels.

    python benchmarks/interaction.py train --data aasce:DIR --work WORK --method farnet_light --budget 1800
    python benchmarks/interaction.py evaluate --data aasce:DIR --work WORK
    python benchmarks/interaction.py table --work WORK

DIR holds AASCE or ISBI 2015 in its published layout; WORK, another one for each data set, gets a folder for each model,
figures of each row, and plots. A run that was interrupted goes on, one that is finished is left alone; so is a row. The
budget is CPU time of one thread, so that two runs may share two cores. Aggregate figures go to benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import yaml
from clicks.data import FIGURES, Parts, read_parts
from clicks.methods import METHODS, configuration
from clicks.rows import CLICKS, Row, evaluate_row, models_in, rows
from clicks.tables import plot, tables
from clicks.training import train_within
from common import read, run_stage, write

from landmarklabel.errors import ConfigError
from landmarklabel.files import to_json
from landmarklabel.modelfile import load_model


def train(arguments: argparse.Namespace) -> None:
    parts = read_parts(arguments.data)
    config = configuration(arguments.method, parts.layout, dict(map(_change, arguments.set)))
    name = arguments.name or arguments.method
    content = train_within(config, parts.training, arguments.work / name, arguments.budget)
    print(
        f"{name}: best epoch {content['best_epoch']} of {content['epochs']}, validation MRE "
        f"{content['validation'].get('val_mre', float('nan')):.2f} {parts.figures.unit}, {content['cpu_s']:.0f} CPU "
        f"seconds, at most {content['peak_memory_mb']} MB"
    )


def evaluate(arguments: argparse.Namespace) -> None:
    parts = read_parts(arguments.data)
    chosen = rows(models_in(arguments.work), parts.figures, arguments.brief)
    found: dict[str, Any] = {}
    for row, content in _evaluated(chosen, parts, arguments):
        found[row.title] = {key: value for key, value in content.items() if key != "by_image"}
        errors = " ".join(f"{value:.2f}" for value in content["refined"]["mre_by_clicks"])
        print(f"{row.title:55s} {errors}", flush=True)
    content = {
        "data": {
            "name": parts.layout,
            "training": len(parts.training.cases),
            "test": len(parts.test[: arguments.most]),
        },
        "unit": parts.figures.unit,
        "clicks": CLICKS,
        "training": {name: _of_training(arguments.work / name) for name in models_in(arguments.work)},
        "files": {row.title: row.file_name for row in chosen},
        "methods": found,
    }
    brief = " --brief" if arguments.brief else ""
    command = f"python benchmarks/interaction.py evaluate{brief} --data {parts.layout}:DIR --work WORK"
    if arguments.most:
        (arguments.work / f"trial_{parts.layout}.json").write_bytes(to_json(content))
        print(f"a trial on {arguments.most} images; no result was written")
    else:
        print(write(_result(parts.layout), command, json.loads(to_json(content))))


def _evaluated(chosen: list[Row], parts: Parts, arguments: argparse.Namespace) -> Iterator[tuple[Row, dict[str, Any]]]:
    options = (parts, arguments.work, arguments.most, arguments.again)
    if arguments.workers == 1:
        yield from ((row, evaluate_row(row, *options)) for row in chosen)
        return
    with ProcessPoolExecutor(arguments.workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        futures = [(row, pool.submit(evaluate_row, row, *options)) for row in chosen]
        yield from ((row, future.result()) for row, future in futures)


def _of_training(folder: Path) -> dict[str, Any]:
    """What the tables say of a run."""
    run = json.loads((folder / "training.json").read_text())
    network, *_ = load_model(folder / "model.safetensors")
    kept = ("method", "budget_cpu_s", "cpu_s", "epochs", "best_epoch", "peak_memory_mb")
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        **{key: run[key] for key in kept},
        "validation_mre": round(run["validation"]["val_mre"], 3),
    }


def table(arguments: argparse.Namespace) -> None:
    for layout in FIGURES:
        content = read(_result(layout))
        if not content:
            continue
        print(f"{layout}, {content['data']['test']} test images, errors in {content['unit']}\n")
        print("\n\n".join(tables(content)), "\n")
        drawn = plot(arguments.work, layout, content)
        if drawn:
            print(drawn)


def _result(layout: str) -> str:
    return "interaction" if layout == "aasce" else f"interaction_{layout}"


def _change(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: expected KEY=VALUE")
    return key, yaml.safe_load(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages = parser.add_subparsers(dest="stage", required=True)
    one = stages.add_parser("train", help="train one network")
    one.add_argument("--method", choices=METHODS, required=True)
    one.add_argument("--name", help="of its folder in WORK, to try a variant; default: the method")
    one.add_argument("--budget", type=float, default=1800, help="CPU seconds")
    one.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the configuration")
    one.set_defaults(run=train)
    many = stages.add_parser("evaluate", help="evaluate every row that the networks in WORK allow")
    many.add_argument("--most", type=int, help="of the test images, to try; no result is written then")
    many.add_argument("--workers", type=int, default=1, help="processes; latencies are true with one alone")
    many.add_argument("--again", action="store_true", help="also rows that are there, made of the same")
    many.add_argument("--brief", action="store_true", help="of the published recipe, only its own decoding")
    many.set_defaults(run=evaluate)
    shown = stages.add_parser("table", help="print the results as markdown, and write plots to WORK")
    shown.set_defaults(run=table)
    for stage in (one, many):
        stage.add_argument("--data", required=True, help="aasce:DIR or isbi2015:DIR")
    for stage in (one, many, shown):
        stage.add_argument("--work", type=Path, required=True, help="folder of the models")
    return parser


def main() -> None:
    torch.set_num_threads(1)
    run_stage(_parser().parse_args())


if __name__ == "__main__":
    main()
