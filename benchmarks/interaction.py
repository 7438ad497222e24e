"""Clicks on real radiographs: interactive networks, and one look at the image joined with the shape of labels.

    python benchmarks/interaction.py train --data aasce:DIR --work WORK --method farnet_light --budget 1800

DIR holds AASCE or ISBI 2015 in its published layout; WORK gets a folder for each model, a folder a data set. A run that
was interrupted goes on, one that is finished is left alone. The budget is CPU time of one thread, so that two may run
side by side on two cores.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from clicks.data import read_parts
from clicks.methods import METHODS, configuration
from clicks.training import train_within

from landmarklabel.errors import ConfigError, LandmarkLabelError


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
    for stage in (one,):
        stage.add_argument("--data", required=True, help="aasce:DIR or isbi2015:DIR")
        stage.add_argument("--work", type=Path, required=True, help="folder of the models")
    return parser


def main() -> None:
    torch.set_num_threads(1)
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except LandmarkLabelError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
