"""In how many bits a network computes when it answers. In how many it learns says ``engine/precision.py``."""

from __future__ import annotations

from typing import Literal, cast, get_args

import torch

from .errors import ModelError, listed

#: ``auto`` is ``fp16`` where the device is made for it, and ``fp32`` elsewhere. A landmark keeps its place to some
#: hundredths of a pixel with ``fp16``, whose numbers have 11 bits, not with ``bf16``, whose have 8: figures in
#: benchmarks/results/refine_latency.json.
#: ``exported`` is what ``landmarklabel export`` has chosen for a model (:mod:`~landmarklabel.backends`), and ``fp32``
#: where it has not.
Precision = Literal["exported", "auto", "fp32", "fp16", "bf16"]

_TYPES = {"exported": torch.float32, "fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

# By which instructions a processor computes convolutions in 16 bits (oneDNN); without them it would only be slower.
_INSTRUCTIONS = {"fp16": ("amx_fp16", "avx512_fp16"), "bf16": ("amx_bf16", "avx512_bf16")}


def as_precision(name: str) -> Precision:
    """A precision by its name.

    Raises:
        ModelError: there is none of that name.
    """
    for precision in get_args(Precision):
        if name == precision:
            return cast(Precision, precision)
    raise ModelError(f"there is no precision '{name}'; expected {listed(get_args(Precision))}")


def number_type(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of numbers in which a network computes on a device.

    Raises:
        ModelError: the device is not made for it.
    """
    if precision == "auto":
        return torch.float16 if made_for("fp16", device) else torch.float32
    if precision in ("fp16", "bf16") and not made_for(precision, device):
        raise ModelError(
            f"precision {precision} was asked for, but this machine's {device.type} has no instructions for it; "
            "use auto, or fp32"
        )
    return _TYPES[precision]


def made_for(precision: Literal["fp16", "bf16"], device: torch.device) -> bool:
    """Whether a device has instructions by which 16 bits are faster than 32."""
    if device.type == "cuda":
        # Tensor cores: for fp16 from Volta on, for bf16 from Ampere on.
        return torch.cuda.get_device_capability(device) >= {"fp16": (7, 0), "bf16": (8, 0)}[precision]
    return any(_processor().get(name, False) for name in _INSTRUCTIONS[precision])


def _processor() -> dict[str, bool]:
    """What this machine's processor can do; nothing is known of it where PyTorch is too old to say."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    return {} if capabilities is None else dict(capabilities())
