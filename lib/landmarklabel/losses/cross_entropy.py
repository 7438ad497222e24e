"""Cross-entropies of heat maps, with gradients written by hand: they take a fraction of the time on a processor."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F


def binary_cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over each map of -H log s - (1 - H) log (1 - s), s the sigmoid of the logits (Section 2.1).

    Args:
        logits, target: (..., H, W); no gradient reaches ``target``.

    Returns:
        (...).
    """
    mean: torch.Tensor = _BinaryCrossEntropy.apply(logits, target)
    return mean


class _BinaryCrossEntropy(torch.autograd.Function):
    """log(1 + exp x) - H x, whose derivative is s(x) - H: in few passes over memory."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(logits, target)
        return F.softplus(logits).addcmul_(logits, target, value=-1).mean(dim=(-2, -1))

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        logits, target = ctx.saved_tensors
        pixels = logits.shape[-2] * logits.shape[-1]
        return torch.sigmoid(logits).sub_(target).mul_(upstream[..., None, None] / pixels), None


def spatial_cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy between where a landmark is and where a map says that it may be, a distribution over its pixels.

    Its minimum is an honest one: a map that can't tell two places apart gives each the share of cases that it has.

    Args:
        logits: (..., H, W); the softmax over the pixels of a map is its distribution.
        target: (..., H, W), of any sum above 0, as far as it lies inside the map; no gradient reaches it.

    Returns:
        (...), in nats.
    """
    each: torch.Tensor = _SpatialCrossEntropy.apply(logits, target)
    return each


class _SpatialCrossEntropy(torch.autograd.Function):
    """log sum exp x - sum w x, whose derivative is softmax x - w, in the memory format of the logits."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        total = target.sum(dim=(-2, -1), keepdim=True)
        scale = 1 / total.clamp(min=1e-6)
        highest = logits.amax(dim=(-2, -1), keepdim=True)
        exponentials = (logits - highest).exp_()
        norm = exponentials.sum(dim=(-2, -1), keepdim=True)
        ctx.save_for_backward(exponentials, total * scale / norm, target, scale)
        told = (target * logits).sum(dim=(-2, -1), keepdim=True)
        return (scale * (total * (norm.log() + highest) - told))[..., 0, 0]

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None]:
        exponentials, share, target, scale = ctx.saved_tensors
        upstream = upstream[..., None, None]
        return (exponentials * (upstream * share)).addcmul_(target, -upstream * scale), None
