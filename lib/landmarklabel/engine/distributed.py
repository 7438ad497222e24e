"""Several processes for one training run, as started by torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import ignite.distributed as idist
import torch


@contextmanager
def processes() -> Iterator[None]:
    """Join the other processes that torchrun started; alone, do nothing."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    idist.initialize("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
        idist.barrier()  # whoever leaves first takes the meeting point of the others along
    finally:
        idist.finalize()
