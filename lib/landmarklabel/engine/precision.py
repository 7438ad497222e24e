"""In how many bits a run computes: mixed precision on a GPU as MONAI does it, or bfloat16 where a processor has it."""

from __future__ import annotations

from typing import Any, Literal

import torch
from monai.inferers import SimpleInferer
from torch import nn

from ..precision import made_for


class Precision:
    """What a run's ``amp`` means on a device.

    MONAI's own mixed precision knows CUDA alone, with 16-bit floats of a small range, whose losses it scales.
    bfloat16 has the range of 32 bits and needs no scaling; here it enters by the inferer, so that the network alone
    is cast and losses stay in 32 bits.

    Args:
        amp: ``auto``, ``off``, ``bf16`` or ``native``; see :class:`~.config.ExperimentConfig`.
        device: of the run.
    """

    def __init__(self, amp: Literal["auto", "off", "bf16", "native"], device: torch.device) -> None:
        self._device = device
        #: Whether MONAI's engines are to cast and to scale the loss.
        self.scaled = amp in ("auto", "native") and device.type == "cuda"
        short = amp == "bf16" or (amp == "native" and device.type == "cpu" and made_for("bf16", device))
        self._type = torch.bfloat16 if short else torch.float16 if self.scaled else None
        #: Runs a network within MONAI's engines; they cast by themselves where they scale.
        self.inferer: SimpleInferer = _Casting(self) if short else SimpleInferer()

    def autocast(self) -> torch.autocast:
        """A context within which networks compute in the run's precision."""
        return torch.autocast(self._device.type, self._type or torch.float32, enabled=self._type is not None)


class _Casting(SimpleInferer):
    def __init__(self, precision: Precision) -> None:
        super().__init__()
        self._precision = precision

    def __call__(self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> list[torch.Tensor]:
        with self._precision.autocast():
            outputs = network(inputs, *args, **kwargs)
        return [maps.float() for maps in outputs]
