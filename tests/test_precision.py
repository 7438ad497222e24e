"""Answers in 16 bits: where they are allowed, how far they are from those in 32, and what stays in 32."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

import tiny
from landmarklabel import precision as precisions
from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.engine.precision import Precision as TrainingPrecision
from landmarklabel.errors import ModelError
from landmarklabel.networks import build_network
from landmarklabel.networks.base import MapConv
from landmarklabel.precision import Precision, as_precision, number_type
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Radiograph

CPU = torch.device("cpu")
INTERACTIVE = {"name": "interactive", "backbone": "hrnet_w18_small", "pretrained": False, "width": 32, "keys": 16}
CHANGES = {"network": INTERACTIVE, "input": {"height": 32, "width": 64}, "loss": {"name": "bce", "sigma": 2}}
CLICKS = [[14.0, 36.0], [np.nan, np.nan], [np.nan, np.nan]]


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend a processor with these instructions."""

    def pretend(*names: str) -> None:
        monkeypatch.setattr(precisions, "_processor", lambda: dict.fromkeys(names, True))

    return pretend


def predictor(protocol: Protocol, precision: Precision) -> Predictor:
    """Of an interactive network with the same fresh weights each time."""
    torch.manual_seed(0)
    config = ExperimentConfig.model_validate({**tiny.config().model_dump(), **CHANGES})
    return Predictor(build_network(config.network, protocol), config, protocol, "cpu", precision=precision)


def maps(one: Predictor) -> list[torch.Tensor]:
    """Without a click, and with one."""
    one.set_image(Radiograph.from_array(tiny.triangle_image(0)[0]))
    first = one.seen()[0]
    one.set_clicks(CLICKS)
    return [first, one.seen()[0]]


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [((), torch.float32), (("amx_bf16",), torch.float32), (("amx_bf16", "avx512_fp16"), torch.float16)],
)
def test_auto_takes_16_bits_where_the_processor_has_them_and_places_are_kept(
    processor: Callable[..., None], instructions: tuple[str, ...], expected: torch.dtype
) -> None:
    processor(*instructions)
    assert number_type("auto", CPU) is expected


@pytest.mark.parametrize("asked", ["fp16", "bf16"])
def test_16_bits_are_refused_in_a_sentence_where_they_would_be_slow(
    processor: Callable[..., None], asked: Precision
) -> None:
    processor("avx2")
    with pytest.raises(ModelError, match=f"precision {asked} was asked for.*no instructions for it; use auto, or fp32"):
        number_type(asked, CPU)
    assert number_type("fp32", CPU) is torch.float32


def test_an_unknown_precision_is_refused_with_those_there_are() -> None:
    with pytest.raises(ModelError, match="no precision 'half'; expected exported, auto, fp32, fp16, bf16"):
        as_precision("half")
    assert as_precision("bf16") == "bf16"


def test_answers_are_in_32_bits_unless_asked_otherwise(triangle: Protocol) -> None:
    """The predictor's maps are, to the last bit, those of the network itself."""
    one = predictor(triangle, "fp32")
    first, clicked = maps(one)
    assert one._image is not None
    assert one._placement is not None
    with torch.inference_mode():
        inputs = one._inputs(one._image[None])
        points = torch.from_numpy(one._placement.points(np.array(CLICKS))).float()
        shown = torch.zeros_like(first)
        shown[0] = first[0]
        assert torch.equal(one.network(inputs)[-1][0], first)
        assert torch.equal(one.network(inputs, points[None], shown[None])[-1][0], clicked)


@pytest.mark.parametrize(("asked", "most"), [("fp16", 2e-4), ("bf16", 2e-3)])
def test_16_bits_change_maps_by_their_rounding_alone(
    processor: Callable[..., None], triangle: Protocol, asked: Precision, most: float
) -> None:
    """And the same image and clicks give the same maps again, to the last bit."""
    processor("amx_fp16", "amx_bf16")  # others compute in 16 bits, too, only slowly
    expected = maps(predictor(triangle, "fp32"))
    found, again = maps(predictor(triangle, asked)), maps(predictor(triangle, asked))
    for before, after, repeated in zip(expected, found, again, strict=True):
        assert after.dtype is torch.float32
        assert 0 < (before - after).abs().max() < most
        assert torch.equal(after, repeated)


def test_a_network_beyond_the_range_of_16_bits_answers_in_32(
    processor: Callable[..., None], triangle: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    processor("amx_fp16")
    results = []
    for asked in ("fp32", "fp16"):
        one = predictor(triangle, as_precision(asked))
        with torch.no_grad():
            one.network.get_parameter("backbone.net.bn1.weight").mul_(1e6)
        results.append(maps(one))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert "too large for 16 bits" in caplog.text


def test_maps_are_made_in_32_bits_but_not_in_training() -> None:
    torch.manual_seed(0)
    conv = MapConv(4, 2).eval()
    features = torch.randn(1, 4, 5, 6).half()
    expected = conv(features.float())
    with torch.autocast("cpu", torch.float16):
        assert torch.equal(conv.eval()(features), expected)
        assert conv.train()(features).dtype is torch.float16


@pytest.mark.parametrize(
    ("amp", "instructions", "expected"),
    [
        ("native", ("avx512_bf16",), torch.bfloat16),
        ("native", ("amx_bf16",), torch.bfloat16),
        ("native", ("amx_fp16",), torch.float32),
        ("native", (), torch.float32),
        ("auto", ("amx_bf16",), torch.float32),
        ("off", ("amx_bf16",), torch.float32),
        ("bf16", (), torch.bfloat16),
    ],
)
def test_in_how_many_bits_a_run_computes(
    processor: Callable[..., None], amp: str, instructions: tuple[str, ...], expected: torch.dtype
) -> None:
    """Only where the processor is made for it, or it was asked for; what comes out is in 32 bits."""
    processor(*instructions)
    config = ExperimentConfig.model_validate({**tiny.config().model_dump(), "amp": amp})
    seen = []

    def network(image: torch.Tensor) -> list[torch.Tensor]:
        seen.append(image @ image)
        return seen

    [answer] = TrainingPrecision(config.amp, CPU).inferer(torch.eye(3), network)  # type: ignore[arg-type]
    assert seen[0].dtype is expected
    assert answer.dtype is torch.float32
