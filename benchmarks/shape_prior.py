"""The shape of labels alone, no network: what stands for the other landmarks once a few are placed, in many variants.

    python benchmarks/shape_prior.py --data DIR

DIR holds aasce/ and isbi2015/ in their published layouts. Variants are compared on patients held out of the training
part; the one that is best there, the library's and the one it had before on the test part. A minute or two on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from clicks.data import FIGURES, Figures, read_parts
from clicks.rows import CLICKS, DRAWS, FEW_LABELS
from common import write
from shapes.clicking import (
    Array,
    Frame,
    Labels,
    Model,
    Normal,
    by_both,
    by_longer_side,
    by_width_and_height,
    errors_by_clicks,
    framed,
)
from shapes.variants import (
    Plain,
    aligned,
    all_alike,
    by_evidence,
    distances_from,
    exponential,
    gaussians,
    local,
    log_density,
    low_rank,
    matern,
    mixture,
    shrunk,
    slower,
    student,
)

from landmarklabel.interaction.shape_prior import REACH, ShapePrior
from landmarklabel.io.cases import Case
from landmarklabel.io.headers import read_geometry
from landmarklabel.io.splits import hold_out
from landmarklabel.metrics import failure_rate, number_of_clicks

#: Of the training patients, held out to choose by.
VALIDATION_PART, VALIDATION_SEED = 0.25, 2

LIBRARY, BEFORE = "library", "neighbours: three Gaussians, as before"
NOISES = ("equal", "own", "plain")


@dataclass(frozen=True)
class Variant:
    """How labels (N, K, 2), in units of a frame, become a model."""

    learn: Callable[[Array], Model]
    frame: Frame = by_longer_side


def library(shapes: Array) -> Model:
    """As it is. Shapes in units of the longer side are those of an image of one pixel."""
    found = ShapePrior.fit(shapes, np.ones((len(shapes), 2), dtype=int)).distribution
    return Normal(found.mean, found.covariance)


def variants() -> dict[str, Variant]:
    """By the names that they have in the results."""
    before = gaussians((0.5, 1.0), (0.4, 0.3), (0.1, 0.1))
    kernels = {
        "three Gaussians, as before": before,
        "three Gaussians, nearer": gaussians((0.4, 0.7), (0.4, 0.3), (0.2, 0.1)),
        "four Gaussians, nearer": gaussians((0.4, 0.8), (0.4, 0.3), (0.15, 0.1), (0.05, 0.03)),
        "one Gaussian, 0.3": gaussians((1.0, 0.3)),
        "Matern 3/2, 0.5": matern(0.5),
        "Matern 3/2, 1": matern(1.0),
        **{f"exponential, {reach:g}": exponential(reach) for reach in (0.4, 0.5, 0.6, 0.8, 1.0, 2.0)},
    }
    some = tuple(Plain(each) for each in (before, exponential(0.5), exponential(REACH), exponential(1.0)))
    strengths = (10.0, 20.0, 40.0, 80.0, 160.0)
    learned: dict[str, Callable[[Array], Model]] = {
        LIBRARY: library,
        **{f"neighbours: {name}": partial(shrunk, target=Plain(kernel)) for name, kernel in kernels.items()},
        **{f"strength {s:g}": partial(shrunk, strength=s) for s in (5, 10, 20, 30, 60, 80, 160)},
        **{f"strength falls slower, power {p:g}": partial(slower, power=p) for p in (0.5, 0.67, 0.8)},
        "by evidence: strength": partial(by_evidence, strengths=strengths, targets=(Plain(),)),
        "by evidence: strength, neighbours": partial(by_evidence, strengths=strengths, targets=some),
        **{f"own part {own:g}": partial(shrunk, target=Plain(own=own)) for own in (1e-4, 1e-2, 3e-2)},
        **{f"plain by {p}": partial(shrunk, target=Plain(pose=p)) for p in ("similarity", "affine")},
        **{f"low rank {r}, {n} noise": partial(low_rank, rank=r, noise=n) for r in (4, 8, 16) for n in NOISES},
        **{f"aligned, pose x {w:g}": partial(aligned, strength=40.0, wide=w) for w in (1.0, 4.0)},
        "every label counts alike": partial(shrunk, weighing=all_alike),
        **{f"Student-t, {d:g} degrees": partial(shrunk, weighing=student(d)) for d in (4.0, 10.0, 30.0)},
        **{f"mixture of {p}, strength {s:g}": partial(mixture, parts=p, strength=s) for p in (2, 3) for s in (20, 80)},
        **{f"nearest, width {w:g}": partial(local, width=w, strength=40.0) for w in (0.5, 1.0, 2.0)},
    }
    frames = {"width and height": by_width_and_height, "both": by_both}
    others = {f"normalised by {name}": Variant(shrunk, frame) for name, frame in frames.items()}
    return {name: Variant(learn) for name, learn in learned.items()} | others


def labels_of(cases: Sequence[Case]) -> Labels:
    sizes = np.array([read_geometry(case.image).size for case in cases], dtype=np.float64)
    spacing = np.array([case.spacing or (1.0, 1.0) for case in cases])
    return Labels(np.stack([np.asarray(case.points, dtype=np.float64) for case in cases]), sizes, spacing)


@dataclass(frozen=True)
class Found:
    """By draws of labels: errors (draws, N, clicks + 1); of the whole shapes that were not learned from, of normal
    distributions alone, log density and squared Mahalanobis distance a coordinate (draws,)."""

    errors: Array
    log_density: Array
    distance: Array


def evaluated(variant: Variant, training: Labels, test: Labels) -> dict[str, Found]:
    """By how many labels it was learned from."""
    found = {}
    for count in (*FEW_LABELS, len(training)):
        draws = 1 if count == len(training) else DRAWS
        chosen = [np.random.default_rng(seed).permutation(len(training))[:count] for seed in range(draws)]
        columns = zip(*(_evaluated(variant, training[each], test) for each in chosen), strict=True)
        found["all" if count == len(training) else str(count)] = Found(*map(np.array, columns))
    return found


def _evaluated(variant: Variant, training: Labels, test: Labels) -> tuple[Array, float, float]:
    model = variant.learn(framed(training, variant.frame))
    errors = errors_by_clicks(model, variant.frame, test, CLICKS)
    if not isinstance(model, Normal):
        return errors, np.nan, np.nan
    shapes = framed(test, variant.frame)
    density = log_density(model, shapes) / shapes[0].size - np.log(variant.frame(test.sizes)).mean(1)  # in pixels
    return errors, float(density.mean()), float(distances_from(model, shapes).mean() / shapes[0].size)


def summary(found: Found, figures: Figures) -> dict[str, Any]:
    flat = found.errors.reshape(-1, found.errors.shape[-1])
    content = {
        "mre_by_clicks": flat.mean(0).round(3).tolist(),
        **{f"noc@{t:g}": round(float(number_of_clicks(flat, t).mean()), 3) for t in figures.targets},
        f"fr@{figures.targets[0]:g}": round(failure_rate(flat, figures.targets[0]), 2),
    }
    if np.isfinite(found.log_density).all():
        content["log_density"] = round(float(found.log_density.mean()), 3)
        content["squared_distance"] = round(float(found.distance.mean()), 2)
    return content


def against(errors: Array, others: Array) -> dict[str, float]:
    """How much less the error is than the others', a mean over 0 to 10 clicks, in percent; and its standard error.

    Paired by image, each the mean over draws of labels.
    """
    mine, theirs = (each.mean(axis=(0, 2)) for each in (errors, others))
    difference = 100 * (theirs - mine) / theirs.mean()
    return {
        "less_error_percent": round(float(difference.mean()), 2),
        "standard_error": round(float(difference.std(ddof=1) / np.sqrt(len(difference))), 2),
    }


def compared(names: Sequence[str], training: Labels, test: Labels, figures: Figures) -> dict[str, Any]:
    """Figures of each variant, by number of labels, and how it stands to the library's."""
    chosen = variants()
    base = evaluated(chosen[LIBRARY], training, test)
    content = {}
    for name in names:
        found = evaluated(chosen[name], training, test)
        content[name] = {
            labels: {**summary(one, figures), **against(one.errors, base[labels].errors)}
            for labels, one in found.items()
        }
        gains = " ".join(
            f"{row['less_error_percent']:6.2f} ±{row['standard_error']:4.2f}" for row in content[name].values()
        )
        print(f"{name:40s} {gains}", flush=True)
    return content


def gain(content: dict[str, Any], name: str) -> float:
    """Mean over data sets and numbers of labels of how much less the error is."""
    rows = [row for layout in content.values() for row in layout["validation"][name].values()]
    return float(np.mean([row["less_error_percent"] for row in rows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with aasce/ and isbi2015/")
    arguments = parser.parse_args()
    content: dict[str, Any] = {}
    parts = {layout: read_parts(f"{layout}:{arguments.data / layout}") for layout in FIGURES}
    for layout, part in parts.items():
        learned, validation = map(labels_of, hold_out(part.training.cases, VALIDATION_PART, VALIDATION_SEED))
        print(f"{layout}: {len(learned)} labels, validation on {len(validation)}: less error than the library, %")
        content[layout] = {
            "unit": part.figures.unit,
            "training": len(part.training.cases),
            "validation_part": len(validation),
            "test_part": len(part.test),
            "validation": compared(list(variants()), learned, validation, part.figures),
        }
    ranking = sorted(variants(), key=lambda name: -gain(content, name))
    for layout, part in parts.items():
        print(f"{layout}: test on {len(part.test)}")
        names = [LIBRARY, *(name for name in (BEFORE, ranking[0]) if name != LIBRARY)]
        test = labels_of(part.test)
        content[layout]["test"] = compared(names, labels_of(part.training.cases), test, part.figures)
    content["ranking_on_validation"] = {name: round(gain(content, name), 2) for name in ranking}
    print(json.dumps(content["ranking_on_validation"], indent=1))
    print(write("shape_prior", "python benchmarks/shape_prior.py --data DIR", content))


if __name__ == "__main__":
    main()
