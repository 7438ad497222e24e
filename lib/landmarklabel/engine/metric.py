"""Radial errors as an ignite metric."""

from __future__ import annotations

from typing import Any

import torch
from ignite.metrics import Metric

from ..readout import Readout


class RadialError(Metric):
    """Mean radial error over a validation pass.

    ``update`` takes (output, points, unit): a network's finest output, true points (B, K, 2) in input pixels and the
    mm of an input pixel (B, 2).

    Args:
        readout: how landmarks are read off the output.

    Attributes:
        errors: (N, K) of the last pass, in mm (pixels of the original where spacing is unknown); NaN where absent.
        predicted: (N, K, 2) in input pixels.
    """

    def __init__(self, readout: Readout, **options: Any) -> None:
        self._readout = readout
        super().__init__(**options)

    def reset(self) -> None:
        self._errors: list[torch.Tensor] = []
        self._points: list[torch.Tensor] = []

    def update(self, output: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
        maps, true, unit = output
        points = self._readout.points(self._readout.ready(maps))[0]
        self._points.append(points.cpu())
        self._errors.append(((points - true) * unit[:, None]).norm(dim=-1).cpu())

    def compute(self) -> float:
        self.errors, self.predicted = torch.cat(self._errors), torch.cat(self._points)
        return float(self.errors.nanmean())
