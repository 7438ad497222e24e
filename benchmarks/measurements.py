"""Measurements against what is known of them, on real radiographs.

    python benchmarks/measurements.py cobb --data aasce:DIR
    python benchmarks/measurements.py predicted --data aasce:DIR --model MODEL.safetensors
    python benchmarks/measurements.py isbi --data isbi2015:DIR --model MODEL.safetensors

``cobb``: Cobb angles of the true landmarks against those that come with the images, and why some differ.
``predicted``: those of predictions. ``isbi``: the eight measures of ISBI 2015, of the two readers and of predictions.
Both after 0, 1 and 3 exact clicks on the worst landmark, and on those that the tool asks for, with the coverage of the
stated intervals. MODEL was trained on the training part, as benchmarks/interaction.py divides the data. Aggregate
figures go to benchmarks/results.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from clicks.data import Parts, read_parts
from common import run_stage, write
from measured import cephalograms, spines
from measured.clicked import ORDERS, Tool, figures, look, outside

from landmarklabel.io.dataset import read_dataset
from landmarklabel.modelfile import read_header


def cobb(arguments: argparse.Namespace) -> None:
    content = spines.compare(read_dataset(arguments.data))
    _finish("cobb", arguments, content)
    for key in ("knowing_the_image", "as_the_tool_measures", "without_suspicious_labels"):
        row = content[key]
        print(
            f"{key}: median {row['median_difference']} degrees, {row['images_with_larger_differences']} images differ"
        )
        for reason, count in row["reasons"].items():
            print(f"  {count:4d}  {reason}")


def predicted(arguments: argparse.Namespace) -> None:
    parts = read_parts(arguments.data)
    tool, cases = Tool.load(arguments.model, parts), parts.test[: arguments.most]
    seen = {order: look(cases, tool, order) for order in ORDERS}
    found = figures(seen["worst"], spines.named)
    orders = {order: spines.predicted(each, parts.training.protocol) for order, each in seen.items()}
    content = {"angles": orders.pop("worst"), "measurements": found, "angles_by_order": orders}
    content["coverage_by_order"] = {order: figures(seen[order], spines.named) for order in orders}
    _finish("predicted", arguments, {**_data(arguments, parts, len(seen["worst"])), **content})
    for order, angles in {"worst": content["angles"], **orders}.items():
        for clicks, row in angles.items():
            print(
                f"{order}, {clicks}: SMAPE {row['smape']} %, mean differences {row['mean_absolute_difference']} degrees"
            )
    _show(found)


def isbi(arguments: argparse.Namespace) -> None:
    parts = read_parts(arguments.data)
    protocol = parts.training.protocol
    unseen = tuple(case for case in parts.test if case.id not in parts.leaked)[: arguments.most]
    readers = cephalograms.readers(unseen, protocol)
    tool = Tool.load(arguments.model, parts)
    seen, asked = look(unseen, tool), look(unseen, tool, "asked")
    names = cephalograms.eight(protocol)
    found, also = (figures(each, lambda name: name if name in names else "") for each in (seen, asked))
    content = {"readers": readers, "measurements": found, "coverage_by_order": {"asked": also}}
    _finish("isbi", arguments, {**_data(arguments, parts, len(seen)), **content})
    for name, row in readers.items():
        print(
            f"{name:6s} readers differ by {row['mean_absolute_difference']} {row['unit']}, same class "
            f"{100 * row['same_class']:.0f} %"
        )
    _show(found)


def _data(arguments: argparse.Namespace, parts: Parts, seen: int) -> dict[str, Any]:
    header = read_header(arguments.model)
    images = {"name": parts.layout, "training": len(parts.training.cases), "test": seen // 3}
    return {"data": images, "model": {"method": header.config.method, "version": header.version}}


def _finish(stage: str, arguments: argparse.Namespace, content: dict[str, Any]) -> None:
    if getattr(arguments, "most", None):
        print(f"a trial on {arguments.most} images; no result was written")
        return
    model = " --model MODEL" if stage != "cobb" else ""
    layout = arguments.data.partition(":")[0]
    print(
        write(f"measurements_{stage}", f"python benchmarks/measurements.py {stage} --data {layout}:DIR{model}", content)
    )


def _show(found: dict[str, Any]) -> None:
    for name, rows in found.items():
        for clicks, row in rows.items():
            right = "" if row["right_class"] is None else f", right class {100 * row['right_class']:.0f} %"
            print(
                f"{name:22s} {clicks}: off by {row['mean_absolute_difference']:.3f} {row['unit']} (bias "
                f"{row['bias']:+.3f}), in 68 %: {100 * row['in_68']:.0f} %, in 95 %: {100 * row['in_95']:.0f} %{right}"
            )
    print("off by more than 5 points:", *outside(found), sep="\n  ")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages = parser.add_subparsers(dest="stage", required=True)
    for stage in (cobb, predicted, isbi):
        one = stages.add_parser(stage.__name__)
        one.add_argument("--data", required=True, help="aasce:DIR, or isbi2015:DIR for isbi")
        if stage is not cobb:
            one.add_argument("--model", type=Path, required=True)
            one.add_argument("--most", type=int, help="of the test images, to try; no result is written then")
        one.set_defaults(run=stage)
    return parser


def main() -> None:
    torch.set_num_threads(1)
    run_stage(_parser().parse_args())


if __name__ == "__main__":
    main()
