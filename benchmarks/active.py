"""How well images are chosen: whether those of which error is expected are wrong, and whether few cover all.

    python benchmarks/active.py --data DIR --models DIR

DIR of the data holds aasce/ and isbi2015/ in their published layouts; that of the models a run folder for each,
``aasce/farnet_light`` and ``isbi2015/farnet_light``. Images are those by which the model of AASCE was chosen, which has
no test labels here, and the first test set of ISBI 2015, which its model has never seen.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import read, write
from numpy.typing import NDArray
from scipy.stats import spearmanr

from landmarklabel.active import Pool, Scorer, appearance, choose, combined
from landmarklabel.interaction.hypotheses import renamings
from landmarklabel.interaction.posterior import Posterior
from landmarklabel.io.dataset import Case, read_dataset
from landmarklabel.landmarks import Points
from landmarklabel.predictor import Predictor

Array = NDArray[np.float64]
CHOSEN, DRAWS = 15, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=list(_CASES), default=list(_CASES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # as the server scores
    results = read("active").get("results", {})
    for name in arguments.sets:
        results[name] = measure(name, arguments.data, arguments.models / name / "farnet_light")
        print(name, json.dumps(results[name], indent=1), flush=True)
        write("active", "python benchmarks/active.py --data DIR --models DIR", {"results": results})


def measure(name: str, data: Path, run: Path) -> dict[str, Any]:
    """Ranks and coverage on one data set."""
    cases = _CASES[name](data, run)
    predictor = Predictor.load(run / "model.safetensors", "cpu")
    scorer, rows, timings = Scorer(predictor), [], []
    for case in cases:
        radiograph = case.radiograph()
        start = time.thread_time()
        look = appearance(radiograph)
        middle = time.thread_time()
        score = scorer(radiograph)
        timings.append((middle - start, time.thread_time() - middle))
        rows.append({**_ways(predictor, radiograph.size), "expected error": score.relative, "look": look})
        rows[-1] |= {"shape": score.shape, "error": _error(predictor, case), "lies": _relative(case, radiograph.size)}
    truth = np.array([row["error"] for row in rows])
    ways = ("expected error", "posterior alone", "disagreement alone", "confidence")
    looks, scoring = np.median(np.array(timings), axis=0)
    return {
        "images": len(cases),
        "spearman_with_true_error": {way: float(spearmanr([row[way] for row in rows], truth)[0]) for way in ways},
        "mean_error_of_the_worst_third": _thirds(np.array([row["expected error"] for row in rows]), truth),
        "coverage": coverage(rows),
        "seconds_of_a_core_per_image": {"appearance": float(looks), "score": float(scoring)},
        "bytes_per_image": 2 * (len(rows[0]["look"]) + len(rows[0]["shape"])),
    }


def _ways(predictor: Predictor, size: tuple[int, int]) -> dict[str, float]:
    """Other numbers by which images could be ranked, the larger the more wrong."""
    assert predictor.shape is not None
    config, landmarks = predictor.config.posterior, predictor.predict().landmarks
    posterior = Posterior(predictor.shape.in_pixels(size), predictor.evidence(), config, renamings(predictor.protocol))
    belief = posterior.given(np.empty(0, dtype=np.intp), np.empty((0, 2)))
    side = max(size)
    return {
        "posterior alone": float(np.sqrt(np.trace(belief.covariances, axis1=1, axis2=2)).mean() / side),
        "disagreement alone": float(np.linalg.norm(landmarks.points - belief.mean, axis=1).mean() / side),
        "confidence": 1 - float(np.mean(landmarks.confidence)),
    }


def _error(predictor: Predictor, case: Case) -> float:
    """Mean radial error of the network's answer, in parts of the image's longer side."""
    points = predictor.predict().landmarks.points
    return float(np.nanmean(np.linalg.norm(points - _points(case), axis=1)) / max(predictor.geometry.size))


def _points(case: Case) -> Points:
    assert case.points is not None
    return case.points


def _relative(case: Case, size: tuple[int, int]) -> Array:
    return np.nan_to_num((_points(case) - np.array(size) / 2) / max(size)).ravel()


def _thirds(expected: Array, truth: Array) -> dict[str, float]:
    """True errors of the third of which most is expected, and of the third of which least is; relative to all."""
    order, third = np.argsort(expected), len(truth) // 3
    parts = {"most": order[-third:], "least": order[:third]}
    return {name: float(truth[part].mean() / truth.mean()) for name, part in parts.items()}


def coverage(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How far true landmarks of an image are from those of the nearest of few chosen ones: mean and largest, r.m.s. a
    coordinate, in parts of the longer side. Chosen without any label."""
    lies = np.stack([row["lies"] for row in rows])
    looks, shapes = (np.stack([row[key] for row in rows]) for key in ("look", "shape"))
    names = [str(index) for index in range(len(rows))]
    errors = np.array([row["expected error"] for row in rows])
    found: dict[str, Any] = {"chosen": CHOSEN}
    for kind, features in (("appearance", combined(looks)), ("appearance and shape", combined(looks, shapes))):
        pool = Pool(names, np.full(len(rows), np.nan), features, features[:0])
        found[f"diverse by {kind}"] = _covered(lies, [c.index for c in choose("diverse", pool, CHOSEN)])
        found[f"k-center by {kind}"] = _covered(lies, _k_center(features))
        mixed = Pool(names, errors, features, features[:1])
        found[f"mixed by {kind}"] = _covered(lies, [c.index for c in choose("mixed", mixed, CHOSEN)])
    truth = (lies - lies.mean(axis=0)).astype(np.float32)
    by_truth = Pool(names, np.full(len(rows), np.nan), truth, truth[:0])
    found["diverse by the true landmarks"] = _covered(lies, [c.index for c in choose("diverse", by_truth, CHOSEN)])
    found["k-center by the true landmarks"] = _covered(lies, _k_center(truth))
    draws = [[c.index for c in choose("random", pool, CHOSEN, seed)] for seed in range(DRAWS)]
    drawn = [_covered(lies, draw) for draw in draws]
    found["random"] = {key: float(np.mean([each[key] for each in drawn])) for key in drawn[0]}
    return found


def _k_center(features: Array) -> list[int]:
    """Always the farthest, beginning in the middle (Gonzalez, 1985; Sener & Savarese, 2018)."""
    chosen = [int(np.linalg.norm(features - features.mean(axis=0), axis=1).argmin())]
    while len(chosen) < CHOSEN:
        apart = np.linalg.norm(features[:, None] - features[chosen], axis=2).min(axis=1)
        chosen.append(int(apart.argmax()))
    return chosen


def _covered(lies: Array, chosen: Sequence[int]) -> dict[str, float]:
    distances = np.sqrt(((lies[:, None] - lies[list(chosen)]) ** 2).mean(axis=2)).min(axis=1)
    return {"mean": float(distances.mean()), "largest": float(distances.max())}


def _aasce(data: Path, run: Path) -> list[Case]:
    held_out = set(json.loads((run / "data.json").read_text())["validation"])
    return [case for case in read_dataset(f"aasce:{data / 'aasce'}").trustworthy() if case.id in held_out]


def _isbi2015(data: Path, run: Path) -> list[Case]:
    return list(read_dataset(f"isbi2015:{data / 'isbi2015'}").split("test1").trustworthy())


_CASES = {"aasce": _aasce, "isbi2015": _isbi2015}

if __name__ == "__main__":
    main()
