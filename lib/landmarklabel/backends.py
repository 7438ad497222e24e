"""What runs a network when it answers: PyTorch, or what ``landmarklabel export`` has found to be faster for a model.

An export is two files beside a model NAME.safetensors: NAME.onnx, its network, and NAME.backend.json, which says what
ran it fastest on which machine, and how far its answers were from those of PyTorch in 32 bits. Both are data: nothing
in them can execute code. Where anything does not fit any more, PyTorch answers, and the log says why.
"""

from __future__ import annotations

import logging
import platform
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from .files import sha256

logger = logging.getLogger(__name__)

Library = Literal["torch", "onnxruntime", "openvino"]
Bits = Literal["fp32", "fp16"]

#: The finest maps (1, C, H, W) of one image (1, 3, H, W), without clicks.
Run = Callable[[torch.Tensor], torch.Tensor]


class Backend(NamedTuple):
    """A library, and in how many bits it computes."""

    library: Library
    bits: Bits

    def __str__(self) -> str:
        return f"{self.library} {self.bits}"


class Figures(BaseModel):
    """What was measured of a back end, beside PyTorch in 32 bits on the same images.

    Attributes:
        network_ms: median time of the network for an image.
        maps: greatest difference of any value of the maps, as a part of their greatest value.
        within: part of the landmarks that are within the tolerance.
        farthest_px: the farthest of them, in pixels of the network's input.
        equal: whether it may be chosen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    network_ms: float
    maps: float
    within: float
    farthest_px: float
    equal: bool


class ExportRecord(BaseModel):
    """What NAME.backend.json holds.

    Attributes:
        format: of this record.
        model: version of the model.
        network: SHA-256 of NAME.onnx.
        library, bits: what answers.
        library_version: with which that was measured.
        processor: on which, and on how many ``threads``.
        figures: of every back end that was measured, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    model: str
    network: str
    library: Library
    bits: Bits
    library_version: str
    processor: str
    threads: int
    figures: dict[str, Figures]

    @property
    def backend(self) -> Backend:
        """What answers."""
        return Backend(self.library, self.bits)


class Exported(NamedTuple):
    """A back end that is ready: in how many bits PyTorch computes, or what runs in its place."""

    bits: Bits
    run: Run | None


def network_file(model: Path) -> Path:
    """NAME.onnx."""
    return model.with_suffix(".onnx")


def record_file(model: Path) -> Path:
    """NAME.backend.json."""
    return model.with_suffix(".backend.json")


def exported(model: Path, model_version: str) -> Exported | None:
    """What a model was exported for, if it still fits; None, and a sentence in the log, where it does not.

    Args:
        model: its file.
        model_version: of the weights in it.
    """
    if not record_file(model).is_file():
        return None
    try:
        record = ExportRecord.model_validate_json(record_file(model).read_bytes())
        problem = _misfit(record, model, model_version)
        if problem is None:
            run = None if record.library == "torch" else open_network(network_file(model), record.backend)
            return Exported(record.bits, run)
    except ValidationError:
        problem = "it can't be read"
    except Exception as failure:  # of the library, of whatever kind: PyTorch still answers
        problem = f"{type(failure).__name__}: {failure}"
    logger.warning("%s is not used, PyTorch answers: %s", record_file(model).name, problem)
    return None


def _misfit(record: ExportRecord, model: Path, model_version: str) -> str | None:
    """Why an export does not fit what is here."""
    if record.model != model_version:
        return f"it was made for version {record.model} of the model, which is {model_version} now; export it again"
    if record.processor != processor():
        return f"it was measured on another processor ({record.processor}); export the model here"
    here = library_version(record.library)
    if here != record.library_version:
        return f"it needs {record.library} {record.library_version}, and here is {here or 'none'}"
    if record.library != "torch" and sha256(network_file(model)) != record.network:
        return f"{network_file(model).name} is not the one that was measured"
    return None


def library_version(library: Library) -> str | None:
    """Of a library that is installed; None if it is not."""
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """This machine's processor by its name, and the instructions for vectors that PyTorch finds in it."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def open_network(file: Path, backend: Backend) -> Run:
    """A network of an ONNX file, on as many threads as PyTorch has.

    Several threads may call what is returned.

    Raises:
        ImportError: the library is not installed.
        Exception: its own, where it can't run the network.
    """
    open_it = {"onnxruntime": _with_onnxruntime, "openvino": _with_openvino}[backend.library]
    run = open_it(file, backend.bits)
    return lambda image: torch.from_numpy(run(image.contiguous().numpy()))


def _with_onnxruntime(file: Path, bits: Bits) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    import onnxruntime

    assert bits == "fp32"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that wait without spinning leave the cores to each other when a training runs beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        maps: NDArray[np.float32] = session.run(None, {name: image})[0]
        return maps

    return run


def _with_openvino(file: Path, bits: Bits) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    import openvino

    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "fp16": "f16"}[bits],
        "ENABLE_CPU_PINNING": False,  # a training may want the same cores
    }
    core = openvino.Core()
    network = core.compile_model(core.read_model(str(file)), "CPU", settings)
    requests = threading.local()  # one of them is for one thread

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        if not hasattr(requests, "own"):
            requests.own = network.create_infer_request()
        maps: NDArray[np.float32] = np.array(requests.own.infer([image])[0])
        return maps

    return run


def available() -> tuple[Backend, ...]:
    """What may be measured on this machine; PyTorch in 32 bits comes first."""
    from .precision import made_for

    found = [Backend("torch", "fp32")]
    if made_for("fp16", torch.device("cpu")):
        found.append(Backend("torch", "fp16"))
    if library_version("onnxruntime"):
        found.append(Backend("onnxruntime", "fp32"))
    if library_version("openvino"):
        found += [Backend("openvino", bits) for bits in _bits_of_openvino()]
    return tuple(found)


def _bits_of_openvino() -> tuple[Bits, ...]:
    import openvino

    fast = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("fp32", "fp16") if "FP16" in fast else ("fp32",)
