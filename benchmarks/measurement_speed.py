"""How long all measurements with their intervals take, as in the path of a click, by sampling and by linearisation.

python benchmarks/measurement_speed.py

On phantoms, whose landmarks are believed to lie as the shape of 24 phantoms' labels says, after one click. The two
ways are compared in the standard deviation that they give each value: for the errors as they are, and for tenths of
them, where every value that is smooth is linear. Times are of one thread; "cpu" is what the process itself has used,
and tells less of what else the machine did.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import write
from numpy.typing import NDArray

from landmarklabel.interaction.belief import Belief
from landmarklabel.interaction.posterior import Posterior
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.measurements.measure import measure
from landmarklabel.measurements.plan import Plan, plan_of
from landmarklabel.measurements.uncertainty import SAMPLES, JointErrors
from landmarklabel.phantoms import available, default_size, generate
from landmarklabel.protocol import load_protocol

Array = NDArray[np.float64]

_LABELS, _TIMES, _STEP = 24, 40, 1e-3


def after_a_click(name: str) -> Belief:
    """What is believed of a phantom's landmarks, of which the first is placed."""
    width, height = default_size(name)
    made = [generate(name, seed, (width // 4, height // 4)) for seed in range(_LABELS + 1)]  # small: pixels don't count
    sizes = np.array([radiograph.size for radiograph, _ in made])
    points = np.stack([landmarks.points for _, landmarks in made])
    shape = ShapePrior.fit(points[1:], sizes[1:])
    return Posterior(shape.in_pixels(made[0][0].size)).given(np.array([0]), points[0, :1], noise=0.5)


def linearised(plan: Plan, points: Array, errors: JointErrors) -> Array:
    """(P,), standard deviations by the gradient, of central differences of the same function."""
    count = points.size
    steps = _STEP * np.concatenate([np.eye(count), -np.eye(count)]).reshape(2 * count, -1, 2)
    values = plan.values(points + steps)
    gradient = ((values[:count] - values[count:]) / (2 * _STEP)).T.reshape(-1, len(points), 2)
    together = np.einsum("pki,kir->pr", gradient, errors.factor)
    own = np.einsum("pki,kij,pkj->p", gradient, errors.own, gradient)
    return np.asarray(np.sqrt((together**2).sum(axis=1) + own))


def milliseconds(function: Callable[[], object]) -> dict[str, float]:
    """Of one call among many: the median and the least by the clock, the median of the process's own time."""
    function()
    wall, cpu = [], []
    for _ in range(_TIMES):
        start, used = time.perf_counter(), time.process_time()
        function()
        wall.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.process_time() - used))
    found = {"median": np.median(wall), "least": np.min(wall), "median_cpu": np.median(cpu)}
    return {key: round(float(value), 2) for key, value in found.items()}


def compared(name: str, belief: Belief, part: float) -> dict[str, float]:
    """By how much the two ways differ in the deviations, for errors of a part of their size, over all values."""
    protocol = load_protocol(name)
    errors = JointErrors.of(belief, [0], 0.5).scaled([part, part])
    sampled = np.array([each.sd or np.nan for each in measure(protocol, belief.mean, (1.0, 1.0), errors)])
    ratio = np.abs(sampled / linearised(plan_of(protocol), belief.mean, errors) - 1)
    ratio = ratio[np.isfinite(ratio)]
    return {"median": round(float(np.median(ratio)), 4), "largest": round(float(ratio.max()), 4)}


def main() -> None:
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for name in available():
        protocol, belief = load_protocol(name), after_a_click(name)
        plan = plan_of(protocol)

        def sampled(protocol: Any = protocol, belief: Belief = belief) -> object:
            return measure(protocol, belief.mean, (0.5, 0.5), JointErrors.of(belief, [0], 0.5))

        def by_gradient(plan: Plan = plan, belief: Belief = belief) -> object:
            return linearised(plan, belief.mean, JointErrors.of(belief, [0], 0.5))

        results[name] = {
            "landmarks": len(protocol),
            "values": sum(len(parts) for parts in plan.parts),
            "all_measurements_with_intervals_ms": milliseconds(sampled),
            "deviations_alone_by_linearisation_ms": milliseconds(by_gradient),
            "relative_difference_of_deviations": compared(name, belief, 1.0),
            "relative_difference_for_tenths_of_the_errors": compared(name, belief, 0.1),
        }
        print(name, results[name], flush=True)
    content = {"samples": SAMPLES, "load_average": round(os.getloadavg()[0], 1), "protocols": results}
    print(write("measurement_speed", "python benchmarks/measurement_speed.py", content))


if __name__ == "__main__":
    main()
