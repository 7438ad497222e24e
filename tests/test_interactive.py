"""The interactive network: its published size, and what clicks and previous maps do in each of its variants."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

import tiny
from landmarklabel.errors import ConfigError
from landmarklabel.heatmaps import encode
from landmarklabel.networks import InteractiveConfig, InteractiveNetwork, build_network
from landmarklabel.networks.hints import ClickMix, HintEncoder
from landmarklabel.protocol import load_protocol
from landmarklabel.transforms.intensity import SYMMETRIC, to_network

LANDMARKS = 5
CLICK = (20.0, 33.0)
SMALL = {"backbone": "hrnet_w18_small", "pretrained": False, "width": 32, "keys": 16, "hint_sigma": 4}


def network(**changes: object) -> InteractiveNetwork:
    """A small one in evaluation mode, with fresh weights."""
    torch.manual_seed(0)
    made = build_network(InteractiveConfig.model_validate({**SMALL, **changes}), tiny.protocol_of(LANDMARKS)).eval()
    assert isinstance(made, InteractiveNetwork)
    return made


def clicks(batch: int = 1, **at: tuple[float, float]) -> torch.Tensor:
    points = torch.full((batch, LANDMARKS, 2), torch.nan)
    for name, point in at.items():
        points[:, int(name[1:])] = torch.tensor(point)
    return points


def parameters(module: torch.nn.Module | None) -> int:
    assert module is not None
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def test_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        full = build_network(InteractiveConfig(pretrained=False), load_protocol("spine_68"))
    assert isinstance(full, InteractiveNetwork)
    assert parameters(full) == 32_942_889
    assert parameters(full.hints) == 11_473
    assert parameters(full.gate) == 1_939_952
    assert full.backbone.channels == 480


@pytest.mark.parametrize("fusion", ["stem", "image", "late"])
@pytest.mark.parametrize("previous", [True, False])
def test_every_parameter_is_used_even_without_clicks(images: torch.Tensor, fusion: str, previous: bool) -> None:
    made = network(fusion=fusion).train()
    outputs = made(images.expand(2, -1, -1, -1), None, torch.rand(2, LANDMARKS, 64, 96) if previous else None)
    assert [maps.shape for maps in outputs] == [(2, LANDMARKS, 64, 96)] * len(made.strides)
    sum(maps.sum() for maps in outputs).backward()
    assert [name for name, p in made.named_parameters() if p.grad is None] == []


def test_logits_while_training_and_maps_afterwards(images: torch.Tensor) -> None:
    """Of the same weights and statistics: the final maps are the sigmoid of the logits."""
    made = network(dropout=0)
    maps = made(images)[-1]
    made.training = True  # itself alone: its parts keep their statistics
    logits = made(images)[-1]
    assert torch.allclose(logits.sigmoid(), maps, atol=1e-6)
    assert logits.min() < 0


@pytest.mark.parametrize("fusion", ["stem", "image", "late"])
@pytest.mark.parametrize("gate", ["none", "max", "average"])
def test_a_click_changes_the_maps_of_the_others(images: torch.Tensor, fusion: str, gate: str) -> None:
    made = network(fusion=fusion, gate=gate)
    with torch.no_grad():
        before, after = made(images)[-1], made(images, clicks(n1=CLICK))[-1]
    changed = (before - after).abs().amax(dim=(0, 2, 3))
    assert (changed[[0, 2, 3, 4]] > 1e-6).all()


@pytest.mark.parametrize("fusion", ["stem", "image", "late"])
def test_no_clicks_are_the_same_as_none_said(images: torch.Tensor, fusion: str) -> None:
    """Neither are empty previous maps anything."""
    made = network(fusion=fusion)
    with torch.no_grad():
        expected = made(images)[-1]
        assert torch.equal(made(images, clicks())[-1], expected)
        assert torch.allclose(made(images, clicks(), torch.zeros(1, LANDMARKS, 64, 96))[-1], expected, atol=1e-6)


def test_without_clicks_the_stem_is_moved_by_a_constant(images: torch.Tensor) -> None:
    """The fusion sees nothing of the image; but for the border, what it adds is the same everywhere, and little."""
    made = network()
    with torch.no_grad():
        stem = made.backbone.stem(images)
        added = made.hints(stem, clicks(), None) - stem  # type: ignore[arg-type]
    inner = added[:, :, 1:-1, 1:-1]
    assert (inner - inner[:, :, :1, :1]).abs().max() < 1e-6
    assert 0 < added.abs().max() < 0.05


@pytest.mark.parametrize("stride", [1, 4])
def test_only_maps_that_are_not_empty_are_convolved_and_nothing_differs(stride: int) -> None:
    mix = ClickMix(HintEncoder("gaussian", 5), LANDMARKS, 8, previous=True)
    points = torch.cat([clicks(n1=CLICK), clicks(n4=(70.0, 5.0))])
    previous = torch.rand(2, LANDMARKS, 64, 96)
    previous[:, [0, 2]] = 0
    hints = mix.encoder(points, (96, 64), stride)
    shown = F.interpolate(previous, scale_factor=1 / stride, mode="bilinear") if stride > 1 else previous
    expected = mix.mix(torch.cat([shown, hints], dim=1))
    assert torch.allclose(mix(points, previous, (96, 64), stride), expected, atol=1e-5)


@pytest.mark.parametrize("fusion", ["stem", "image", "late"])
@pytest.mark.parametrize(("previous", "seen"), [("modified", True), ("all", True), ("none", False)])
def test_previous_maps_are_seen_where_the_network_has_inputs_for_them(
    images: torch.Tensor, fusion: str, previous: str, seen: bool
) -> None:
    made = network(fusion=fusion, previous=previous)
    maps = torch.zeros(1, LANDMARKS, 64, 96)
    maps[:, 3] = encode(torch.tensor([50.0, 20.0]), (96, 64), 4)
    with torch.no_grad():
        change = (made(images)[-1] - made(images, None, maps)[-1]).abs().max()
    assert (change > 1e-6) == seen


@pytest.mark.parametrize("fusion", ["stem", "image", "late"])
def test_features_can_be_kept_between_clicks(images: torch.Tensor, fusion: str) -> None:
    """The same maps as all at once; kept features are not changed by being used."""
    made = network(fusion=fusion)
    previous = torch.rand(1, LANDMARKS, 64, 96)
    with torch.no_grad():
        features = made.features(images)
        for point in (CLICK, (5.0, 60.0), CLICK):
            parts = made.heads(features, clicks(n2=point), previous)[-1]
            assert torch.equal(parts, made(images, clicks(n2=point), previous)[-1])


def test_a_click_costs_late_fusion_no_backbone(images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    made = network(fusion="late")
    features = made.features(images)

    def refuse(*_: object) -> None:
        raise AssertionError("the backbone ran")

    for part in ("stem", "stage1", "stages"):
        monkeypatch.setattr(made.backbone, part, refuse)
    made.heads(features, clicks(n0=CLICK))


def test_the_gate_by_softmax_shares_one_weight_among_the_channels(images: torch.Tensor) -> None:
    for activation, total in (("sigmoid", None), ("softmax", 1.0)):
        made = network(gate_activation=activation)
        assert made.gate is not None
        first = made.backbone.stage1(made.backbone.stem(images))
        weights = made.gate(torch.ones(1, made.backbone.channels, 1, 1), first, clicks(n0=CLICK))
        assert weights.min() > 0
        assert weights.max() < 1
        if total is not None:
            assert weights.sum().item() == pytest.approx(total, abs=1e-4)


def test_hints() -> None:
    """Gaussian: 1 at the click, exp(-1/2) a sigma away. Distance: falls to 0 at half the longer side. Empty without."""
    points = clicks(n1=CLICK)
    gaussian = HintEncoder("gaussian", 6)(points, (96, 64))[0]
    assert gaussian[1, 33, 20] == 1
    assert gaussian[1, 33, 26].item() == pytest.approx(0.6065, abs=1e-3)
    distance = HintEncoder("distance", 6)(points, (96, 64))[0]
    assert distance[1, 33, 20] == 1
    assert distance[1, 33, 44].item() == pytest.approx(0.5)
    assert distance[1, 33, 68] == 0
    for maps in (gaussian, distance):
        assert maps[[0, 2, 3, 4]].abs().max() == 0


@pytest.mark.parametrize("encoding", ["gaussian", "distance"])
def test_hints_at_stride_4_lie_where_those_at_stride_1_do(encoding: str) -> None:
    encoder = HintEncoder(encoding, 8)  # type: ignore[arg-type]
    full, quarter = encoder(clicks(n1=CLICK), (96, 64)), encoder(clicks(n1=CLICK), (96, 64), 4)
    assert torch.allclose(F.avg_pool2d(full, 4), quarter, atol=0.03)


def test_its_input_is_scaled_to_minus_one_to_one() -> None:
    assert InteractiveNetwork.normalisation == SYMMETRIC
    assert to_network(torch.tensor([[[0.0, 0.5, 1.0]]]), SYMMETRIC)[0, :, 0].tolist() == [[-1, 0, 1]] * 3


def test_another_backbone_is_refused() -> None:
    with pytest.raises(ConfigError, match="the interactive network needs an HRNet, such as hrnet_w32"):
        network(backbone="resnet10t")


def test_its_loss_is_cross_entropy_and_nobody_elses() -> None:
    interactive = {"name": "interactive", **SMALL}
    for changes in ({"network": interactive, "input": {"height": 64, "width": 64}}, {"loss": {"name": "bce"}}):
        with pytest.raises(ValidationError, match="the network interactive needs the loss bce, and no other network"):
            tiny.config(**changes)
