"""DenseSeg: its published size, what its loss wants, and that it learns to segment and to find landmarks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import tiny
from landmarklabel.engine.config import ExperimentConfig, load_experiment
from landmarklabel.engine.report import EpochReport
from landmarklabel.engine.trainer import train
from landmarklabel.errors import ConfigError, ModelError
from landmarklabel.losses import DenseLoss, DenseLossConfig, positive_weights
from landmarklabel.modelfile import save_model
from landmarklabel.networks import DenseSeg, DenseSegConfig, build_network
from landmarklabel.networks.denseseg import split
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol, load_protocol
from landmarklabel.segmenting import segment, uv_maps
from landmarklabel.uvmaps import to_polar

SMALL = {"name": "denseseg", "channels": [8, 16, 32], "features": 8}
SIZE = (64, 48)


def network(protocol: Protocol, **changes: object) -> DenseSeg:
    """A small one that knows the shape of five triangles."""
    torch.manual_seed(0)
    made = build_network(DenseSegConfig.model_validate({**SMALL, **changes}), protocol)
    assert isinstance(made, DenseSeg)
    made.learn_template(triangles())
    return made


def triangles() -> torch.Tensor:
    return torch.from_numpy(np.stack([tiny.triangle_image(seed)[1] for seed in range(5)]))


def loss(made: DenseSeg, **changes: object) -> DenseLoss:
    config = DenseLossConfig.model_validate(changes)
    return DenseLoss(config, made, positive_weights(made, triangles(), SIZE, config.positive))


def perfect(made: DenseSeg, points: torch.Tensor) -> torch.Tensor:
    """The output that a perfect network would have for points (B, K, 2)."""
    wanted = loss(made).targets(points, SIZE)
    logits = torch.where(wanted.masks, 20.0, -20.0)
    return torch.cat([logits, wanted.uv.nan_to_num(0.0).flatten(1, 2)], dim=1)


def test_the_published_number_of_parameters() -> None:
    """6.81 million at five structures."""
    with torch.device("meta"):
        made = build_network(load_experiment("denseseg_jsrt").network, load_protocol("chest_166"))
    assert sum(p.numel() for p in made.parameters()) == 6_811_328


@pytest.mark.parametrize(("changes", "stride"), [({}, 1), ({"backbone": "resnet10t", "pretrained": False}, 2)])
def test_one_tensor_of_masks_and_maps(triangle: Protocol, changes: dict[str, object], stride: int) -> None:
    made = network(triangle, **changes).eval()
    (output,) = made(torch.rand(2, 3, 64, 96))
    logits, uv = split(output)
    assert logits.shape == (2, 1, 64 // stride, 96 // stride)
    assert uv.shape == (2, 1, 2, 64 // stride, 96 // stride)
    assert made.strides == (stride,)


def test_a_perfect_output_costs_its_variation_only(triangle: Protocol) -> None:
    """Whatever is left is total variation, and the hull's last pixels at the landmarks."""
    made, points = network(triangle), triangles()[:2]
    criterion = loss(made)
    wanted = criterion.targets(points, SIZE)
    logits, uv = split(perfect(made, points))
    assert criterion.of_masks(logits, wanted).item() == pytest.approx(0, abs=1e-6)
    assert criterion.at_pixels(uv, wanted.uv, wanted.masks).item() == pytest.approx(0, abs=1e-6)
    # A step along x changes u by 1 / half width and v by little; a step along y the other way round.
    expected = (1 / made.extent).mean().item() / 2
    assert criterion.variation(uv, wanted.masks).item() == pytest.approx(expected, rel=0.35)


def test_each_part_against_an_independent_computation(triangle: Protocol) -> None:
    """Masks, pixels and variation of random outputs by loops over pixels."""
    made, points = network(triangle), triangles()[:1]
    criterion = loss(made)
    wanted = criterion.targets(points, SIZE)
    generator = torch.Generator().manual_seed(1)
    output = torch.randn(1, 3, *SIZE[::-1], generator=generator)
    logits, uv = split(output)
    inside = wanted.masks & torch.isfinite(wanted.uv).all(dim=2)
    rows = [tuple(p) for p in inside[0, 0].nonzero().tolist()]
    dense = np.mean([(uv[0, 0, :, y, x] - wanted.uv[0, 0, :, y, x]).abs().mean().item() for y, x in rows])
    assert criterion.at_pixels(uv, wanted.uv, inside).item() == pytest.approx(dense, rel=1e-5)
    along = []
    for dy, dx in ((0, 1), (1, 0)):
        pairs = [((y, x), (y + dy, x + dx)) for y, x in rows if (y + dy, x + dx) in rows]
        along.append(
            np.mean([(uv[(0, 0, slice(None), *b)] - uv[(0, 0, slice(None), *a)]).abs().mean().item() for a, b in pairs])
        )
    assert criterion.variation(uv, inside).item() == pytest.approx(np.mean(along), rel=1e-5)
    probability, mask = logits[0, 0].double().sigmoid(), wanted.masks[0, 0]
    weight = ((~_masks(made)).sum() / _masks(made).sum()).item()
    cross = -torch.where(mask, weight * probability.log(), (1 - probability).log()).mean().item()
    assert criterion.of_masks(logits, wanted).item() == pytest.approx(cross, rel=1e-4)


def _masks(made: DenseSeg) -> torch.Tensor:
    return torch.from_numpy(np.stack([made.regions.masks(each.numpy(), SIZE) for each in triangles()]))


def test_absent_and_outside_landmarks_count_nowhere(triangle: Protocol) -> None:
    """A structure without a corner has no mask, one half outside has that half; nothing is NaN."""
    made = network(triangle)
    criterion, output = loss(made), perfect(made, triangles()[:1])
    absent = triangles()[:1].clone()
    absent[0, 2] = torch.nan
    assert not criterion.targets(absent, SIZE).known.any()
    outside = triangles()[:1] + torch.tensor([30.0, 0.0])
    for points in (absent, outside, torch.full((1, 3, 2), torch.nan)):
        value = criterion([output.requires_grad_()], (points, torch.ones(1, 2)))
        assert torch.isfinite(value)
        (gradient,) = torch.autograd.grad(value, output)
        assert torch.isfinite(gradient).all()


def test_a_drawn_mask_counts_where_no_landmark_does(triangle: Protocol) -> None:
    made = network(triangle)
    criterion = loss(made)
    points = torch.full((1, 3, 2), torch.nan)
    drawn = torch.zeros(1, 1, *SIZE[::-1], dtype=torch.uint8)
    drawn[..., 10:20, 10:20] = 1
    wanted = criterion.targets(points, SIZE, drawn)
    assert wanted.known.all()
    assert torch.equal(wanted.masks, drawn == 1)
    drawn[:] = 255
    assert not criterion.targets(points, SIZE, drawn).known.any()


def test_images_without_a_structure_say_nothing_of_its_size(triangle: Protocol) -> None:
    """Where a landmark of it is missing, it is not known what is inside; where it is in all, what there is counts."""
    made, points = network(triangle), triangles()
    alone = positive_weights(made, points, SIZE, 1.0)
    without, partly = points.clone(), points.clone()
    without[:] = torch.nan
    partly[:, 2] = torch.nan
    torch.testing.assert_close(positive_weights(made, torch.cat([points, without, partly]), SIZE, 1.0), alone)
    assert (positive_weights(made, torch.cat([without, partly]), SIZE, 1.0) > 1e5).all()


def test_polar_angles_go_the_short_way_round(triangle: Protocol) -> None:
    """A hair beyond +pi and one before -pi are neighbours."""
    made = network(triangle, coordinates="polar")
    criterion = loss(made)
    a, b = torch.tensor([[0.5, 0.99]]), torch.tensor([[0.5, -0.99]])
    assert criterion._difference(a, b, dim=1).abs().max().item() == pytest.approx(0.02, abs=1e-6)
    cartesian = torch.tensor([[-0.3, 1e-3]])
    assert to_polar(cartesian)[0, 1].item() == pytest.approx(1, abs=0.01)


def test_a_network_without_a_shape_says_so(triangle: Protocol) -> None:
    made = build_network(DenseSegConfig.model_validate(SMALL), triangle)
    assert isinstance(made, DenseSeg)
    with pytest.raises(ModelError, match="no mean shape yet"):
        made.mean_shape  # noqa: B018


def test_structures_that_are_not_there_are_refused(triangle: Protocol) -> None:
    with pytest.raises(ConfigError, match="knee"):
        build_network(DenseSegConfig.model_validate({**SMALL, "structures": ["knee"]}), triangle)


def tiny_config(**changes: object) -> ExperimentConfig:
    return tiny.config(
        **{
            "network": SMALL,
            "dense": {"positive": 0.5},
            "method": "tiny_denseseg",
            "epochs": 16,
            "optimizer": {"learning_rate": 5e-3, "schedule": "cosine"},
            **changes,
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize(("coordinates", "factor", "overlap"), [("cartesian", 3, 0.8), ("polar", 1.5, 0.35)])
def test_it_learns(tmp_path: Path, triangle: Protocol, coordinates: str, factor: float, overlap: float) -> None:
    """Landmark errors fall by the factor, and structures overlap the true ones."""
    dataset = tiny.dataset(tmp_path / "data", triangle, 24)
    config = tiny_config(network={**SMALL, "coordinates": coordinates})
    errors: list[float] = []

    def remember(report: EpochReport) -> None:
        errors.append(report.metrics["val_mre"])

    result = train(config, dataset, tmp_path / "run", quiet=True, device="cpu", on_epoch=remember)
    assert min(errors) < max(errors) / factor
    predictor = Predictor.load(result.model, "cpu")
    overlaps = []
    for case in result.validation:
        predictor.set_image(case.radiograph())
        found = segment(predictor)
        assert case.points is not None
        true = predictor.readout.regions.masks(case.points, SIZE)  # type: ignore[attr-defined]
        overlaps.append(2 * (found.masks & true).sum() / (found.masks.sum() + true.sum()))
        regions, maps = uv_maps(predictor)
        assert regions.names == found.names == ("outline",)
        assert np.array_equal(np.isfinite(maps).all(axis=1), found.masks)
    assert np.mean(overlaps) > overlap


def test_a_model_of_half_the_size_keeps_its_mean_shapes(triangle: Protocol, tmp_path: Path) -> None:
    """They are what landmarks are read off by: 16 bits would move those by up to a tenth of a pixel."""
    made = network(triangle)
    config = ExperimentConfig.model_validate({"network": SMALL, "input": {"height": 48, "width": 64}})
    save_model(tmp_path / "half.safetensors", made, config, triangle, {}, {}, half=True)
    stored = load_file(tmp_path / "half.safetensors")
    for name, value in made.named_buffers():
        assert torch.equal(stored[name].nan_to_num(-9), value.nan_to_num(-9)), name
