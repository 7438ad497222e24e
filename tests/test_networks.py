"""Networks: shapes, strides and widths as published, for every backbone and ablation."""

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

import tiny
from landmarklabel.errors import ConfigError, ModelError
from landmarklabel.networks import FARNetConfig, FPNConfig, NetworkConfig, UNetConfig, build_network
from landmarklabel.networks.backbones import Backbone
from landmarklabel.networks.farnet import MSFA, FARNet, Up


def run(config: NetworkConfig, landmarks: int = 5, size: tuple[int, int] = (64, 96)) -> list[torch.Tensor]:
    """What a network makes of an image, by shape alone: on PyTorch's device without data."""
    with torch.device("meta"):
        network = build_network(config, tiny.protocol_of(landmarks)).eval()
        outputs = network(torch.empty(1, 3, *size))
    assert len(outputs) == len(network.strides)
    for maps, stride in zip(outputs, network.strides, strict=True):
        assert maps.shape == (1, landmarks, size[0] // stride, size[1] // stride)
    return outputs


@pytest.mark.parametrize("backbone", ["densenet121", "densenet169", "resnet101", "resnet152", "vgg16", "vgg19"])
def test_the_papers_backbones(backbone: str) -> None:
    run(FARNetConfig(backbone=backbone, pretrained=False, width=32))


@pytest.mark.parametrize(
    "backbone", ["resnet10t", "mobilenetv3_small_100", "lcnet_100", "efficientnet_b0", "hrnet_w18_small"]
)
def test_other_backbones_of_five_levels(backbone: str) -> None:
    run(FARNetConfig(backbone=backbone, pretrained=False, width=32))


@pytest.mark.parametrize("aggregation", ["concat", "add"])
@pytest.mark.parametrize(("refinement", "strides"), [("fr", (2, 1)), ("fr*", (1,)), ("none", (2,))])
def test_the_ablations(aggregation: str, refinement: str, strides: tuple[int, ...]) -> None:
    config = FARNetConfig(
        backbone="resnet10t", pretrained=False, width=32, aggregation=aggregation, refinement=refinement  # type: ignore[arg-type]
    )  # fmt: skip
    assert build_network(config, tiny.protocol_of(3)).strides == strides
    run(config)


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(),
        UNetConfig(channels=(8, 16), residual_units=0),
        FPNConfig(backbone="resnet10t", pretrained=False),
        FPNConfig(backbone="resnet10t", pretrained=False, stride=2),
    ],
)
def test_the_baselines(config: NetworkConfig) -> None:
    run(config)


def test_levels_of_densenet121() -> None:
    """64, 256, 512, 1024, 1024 channels at strides 2 to 32."""
    backbone = Backbone("densenet121")
    assert backbone.channels == (64, 256, 512, 1024, 1024)
    assert backbone.strides == (2, 4, 8, 16, 32)


def test_vgg_has_levels_0_to_4() -> None:
    """Its first block takes the place of the convolution on the input (paper, 4.3)."""
    with torch.device("meta"):  # no weights are drawn
        network = FARNet(FARNetConfig(backbone="vgg16", pretrained=False, width=32), 3)
    assert network.backbone.strides == (1, 2, 4, 8, 16)
    assert network.first is None
    assert network.first_channels == 64


def channels_of_1x1(module: torch.nn.Module) -> list[tuple[int, int]]:
    convolutions = [m for m in module.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (1, 1)]
    return [(m.in_channels, m.out_channels) for m in convolutions]


def test_widths_of_the_published_aggregation() -> None:
    """Channels along the three paths of MSFA over DenseNet-121 (Fig. 2 and 3)."""
    msfa = MSFA((64, 256, 512, 1024, 1024), 256, "concat")
    assert channels_of_1x1(msfa.start) == [(512, 256)]
    assert channels_of_1x1(msfa.up1) == [(1280, 256), (768, 256), (512, 256)]
    halves = [m for m in msfa.down.modules() if isinstance(m, torch.nn.Conv2d) and m.stride == (2, 2)]
    assert [(m.in_channels, m.out_channels) for m in halves] == [(256, 512), (512, 1024), (1024, 2048)]
    assert channels_of_1x1(msfa.turn) == [(1024, 256)]
    assert channels_of_1x1(msfa.up2) == [(1280, 256), (768, 256), (512, 128), (192, 64)]


def test_width_of_the_refinement() -> None:
    """64 upsampled, 32 of the input, K of the coarse heat maps."""
    network = FARNet(FARNetConfig(backbone="densenet121", pretrained=False), 19)
    assert network.fine[0][0].in_channels == 64 + 32 + 19


def test_every_parameter_is_used() -> None:
    """The released code carries 17.9 M parameters that no gradient reaches; ours has none."""
    network = FARNet(FARNetConfig(backbone="resnet10t", pretrained=False, width=32), 3)
    sum(maps.sum() for maps in network(torch.randn(2, 3, 64, 64))).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_the_fine_maps_are_guided_by_the_coarse_ones() -> None:
    """FR feeds the coarse maps on; FR* does not know them."""
    network = FARNet(FARNetConfig(backbone="resnet10t", pretrained=False, width=32), 3).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = network(image)[1]
        network.coarse[1].bias += 10
        after = network(image)[1]
    assert (before - after).abs().max() > 1e-4


def test_an_unknown_backbone_is_named() -> None:
    with pytest.raises(ConfigError, match="timm has no backbone 'densenet999'; near it: densenet"):
        Backbone("densenet999")


def test_a_backbone_without_five_levels_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"backbone 'convnext_atto' has features at strides \[4, 8, 16, 32\]; needed are"
    ):
        Backbone("convnext_atto")


def test_pretrained_weights_from_a_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import timm

    source = timm.create_model("lcnet_050", pretrained=False)
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    expected = source.conv_stem.weight
    for name in ("weights.safetensors", "weights.pth"):
        backbone = Backbone("lcnet_050", str(tmp_path / name))
        assert torch.equal(backbone.features.conv_stem.weight, expected)


def test_a_pickle_that_could_run_code_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    class Harm:
        def __reduce__(self) -> tuple:
            return (open, (str(tmp_path / "harm"), "w"))

    torch.save({"state_dict": Harm()}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="can't be read as weights"):
        Backbone("lcnet_050", str(tmp_path / "weights.pth"))
    assert not (tmp_path / "harm").exists()


def test_weights_of_another_network_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    save_file({"a": torch.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match="does not hold weights of lcnet_050"):
        Backbone("lcnet_050", str(tmp_path / "weights.safetensors"))
    with pytest.raises(ModelError, match="no file with pretrained weights"):
        Backbone("lcnet_050", str(tmp_path / "nothing.safetensors"))


def test_without_a_network_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="could not be fetched .* give the path of a file with them as 'pretrained'"):
        Backbone("lcnet_050", pretrained=True)


def test_configs_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError, match="aggregation"):
        FARNetConfig(aggregation="mean")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="channels must be positive"):
        UNetConfig(channels=(0, 4))


def test_features_are_merged_as_published() -> None:
    """Double the size of the coarser ones, join, 1x1 (FARNet, Fig. 3a), in whatever order that is computed."""
    torch.manual_seed(0)
    block = Up(6, 4, 8, "concat").double().eval()
    coarse, lateral = torch.randn(2, 6, 5, 7).double(), torch.randn(2, 4, 10, 14).double()
    doubled = torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    expected = block.merge.mix(torch.cat([doubled, lateral], dim=1))
    torch.testing.assert_close(block(coarse, lateral), expected)
