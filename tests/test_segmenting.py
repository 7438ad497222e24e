"""Masks and uv-maps at an image's own size: exact where the network's input is placed, whatever the stride."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from landmarklabel.carry import carried, place_of
from landmarklabel.derived import MapPlace, mean_place, place_on_shape, require_new
from landmarklabel.errors import LabelError, ModelError
from landmarklabel.heatmaps import to_map
from landmarklabel.networks import DenseSegConfig, build_network
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Radiograph
from landmarklabel.segmenting import dense_readout, in_one_piece, masks_from_logits, segment, uv_maps
from landmarklabel.transforms import Placement
from landmarklabel.uvmaps import Regions, Template


@settings(max_examples=30, deadline=None)
@given(
    st.integers(40, 200),
    st.integers(40, 200),
    st.sampled_from(["stretch", "letterbox"]),
    st.sampled_from([1, 2]),
    st.floats(0.2, 0.8),
    st.floats(0.2, 0.8),
)
def test_a_disc_comes_back_where_it_was(width: int, height: int, fit: str, stride: int, x: float, y: float) -> None:
    """Logits that fall linearly from the middle: interpolation keeps their zero line to within a pixel of the map."""
    placement = Placement((width, height), (96, 64), fit)  # type: ignore[arg-type]
    centre, radius = np.array([x * width, y * height]), 0.15 * min(width, height)
    rows, columns = np.mgrid[: 64 // stride, : 96 // stride]
    grid = torch.from_numpy(np.stack([columns, rows], axis=-1)).double()
    at = placement.points_back(((grid + 0.5) * stride - 0.5).numpy())
    logits = torch.from_numpy(radius - np.linalg.norm(at - centre, axis=-1))
    (mask,) = masks_from_logits(logits[None], placement, stride)
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(columns - centre[0], rows - centre[1]) - radius
    margin = stride / placement.scale.min()
    assert mask[distance < -margin].all()
    assert not mask[distance > margin].any()


def test_nothing_inside_is_an_empty_mask() -> None:
    assert not masks_from_logits(torch.full((2, 8, 8), -1.0), Placement((20, 30), (8, 8))).any()


def test_specks_beside_a_structure_are_none_of_it(found: tuple[Predictor, np.ndarray]) -> None:
    """A closed outline is one piece: masks and maps are as without specks; of two pieces the surer one is kept."""
    predictor, _ = found
    masks, maps = segment(predictor).masks, uv_maps(predictor)[1]
    assert predictor._maps is not None
    logits = predictor._maps[0]
    logits[:3, :3], logits[-6:, -2:] = 1.0, 0.5
    assert (logits > 0).sum() > 9 + masks.sum() / 5
    assert np.array_equal(segment(predictor).masks, masks)
    assert np.array_equal(uv_maps(predictor)[1], maps, equal_nan=True)
    pieces = torch.full((1, 20, 20), -3.0)
    pieces[0, :4, :4], pieces[0, 10:13, 10:] = 5.0, 0.01  # 16 pixels, surely; 30 with hardly more than a half
    kept = in_one_piece(pieces)[0] > 0
    assert kept[:4, :4].all()
    assert kept.sum() == 16


def dense_predictor(protocol: Protocol, **changes: object) -> Predictor:
    """An untrained network, which knows a mean shape."""
    torch.manual_seed(0)
    network = {"name": "denseseg", "channels": [8, 16], "features": 8, **changes}
    config = tiny.config(network=network)
    made = build_network(DenseSegConfig.model_validate(network), protocol)
    made.learn_template(torch.from_numpy(np.stack([tiny.triangle_image(seed)[1] for seed in range(5)])))  # type: ignore[operator]
    return Predictor(made, config, protocol, "cpu")


def with_output(predictor: Predictor, points: np.ndarray) -> Predictor:
    """The predictor as if its network had found these points (K, 2), in pixels of its input, perfectly."""
    from landmarklabel.losses import DenseLoss, DenseLossConfig

    network, stride = predictor.network, predictor.readout.stride
    size = tuple(side // stride for side in predictor.config.input.size)
    loss = DenseLoss(DenseLossConfig(), network, torch.ones(1))  # type: ignore[arg-type]
    wanted = loss.targets(to_map(torch.from_numpy(points)[None], stride), size)  # type: ignore[arg-type]
    output = torch.cat([torch.where(wanted.masks, 9.0, -9.0), wanted.uv.nan_to_num(0.0).flatten(1, 2)], dim=1)
    predictor._maps = output[0].float()
    return predictor


@pytest.fixture
def found(triangle: Protocol) -> tuple[Predictor, np.ndarray]:
    """An image of twice the input's size whose structure the network has found, and its landmarks there."""
    predictor = dense_predictor(triangle)
    points = tiny.triangle_image(3)[1]
    large = np.kron(tiny.triangle_image(3)[0], np.ones((2, 2), np.uint8))
    predictor.set_image(Radiograph.from_array(large))
    return with_output(predictor, points), 2 * points + 0.5


def test_structures_landmarks_and_maps_agree(found: tuple[Predictor, np.ndarray]) -> None:
    predictor, points = found
    true = Regions.of(predictor.protocol).masks(points, (128, 96))
    segmentation = segment(predictor)
    assert segmentation.names == ("outline",)
    assert (segmentation.masks ^ true).sum() < 0.1 * true.sum()
    assert np.abs(predictor.predict().landmarks.points - points).max() < 1.5
    regions, maps = uv_maps(predictor)
    assert regions.names == ("outline",)
    assert np.array_equal(np.isfinite(maps[:, 0]), segmentation.masks)


def test_a_new_landmark_is_carried_to_where_the_map_has_it(found: tuple[Predictor, np.ndarray]) -> None:
    """Placed at the middle of one triangle by its landmarks, found at the middle of another."""
    predictor, points = found
    other = tiny.triangle_image(5)[1]
    place = place_of(predictor, points.mean(axis=0), points)
    by_map = place_of(predictor, points.mean(axis=0))
    assert by_map.region == place.region
    assert np.allclose(by_map.uv, place.uv, atol=0.1)
    predictor.set_image(Radiograph.from_array(tiny.triangle_image(5)[0]))
    at, confidence = carried(with_output(predictor, other), {"middle": place})
    assert np.abs(at[0] - other.mean(axis=0)).max() < 0.5
    assert 0 <= confidence[0] <= 1


def test_a_point_beside_all_structures_is_refused(found: tuple[Predictor, np.ndarray]) -> None:
    predictor, points = found
    with pytest.raises(LabelError, match=r"\(2, 2\) lies in none of the structures outline"):
        place_on_shape([2, 2], points, dense_readout(predictor).regions, dense_readout(predictor).mean_shape)
    with pytest.raises(LabelError, match=r"lies in none of the structures that the model sees"):
        place_of(predictor, [2, 2])
    with pytest.raises(LabelError, match="none of the structures"):
        place_of(predictor, [-50, 2])
    with pytest.raises(LabelError, match=r"^\(2, 6\) lies in none of the structures outline"):  # in the image's pixels
        place_of(predictor, [2, 6], points)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 50), st.floats(0.05, 0.9), st.floats(0.05, 0.9))
def test_places_are_barycentric(seed: int, a: float, b: float) -> None:
    """Inside a triangle the place is that of the corners, weighted as the point is."""
    protocol = Protocol.model_validate(
        {
            "name": "corners",
            "title": "Corners",
            "landmarks": [{"label": label, "name": label} for label in "abc"],
            "structures": [{"name": "whole_triangle", "landmarks": list("abc")}],
        }
    )
    corners = np.random.default_rng(seed).uniform(0, 100, (3, 2)) + np.array([[0, 0], [200, 0], [0, 200]])
    regions = Regions.of(protocol)
    template = Template.learn(corners[None], regions)
    weights = np.array([1 - a, a * (1 - b), a * b])
    place = place_on_shape(weights @ corners, corners, regions, template)
    assert np.allclose(place.uv, weights @ template.uv[0], atol=1e-9)


def test_the_middle_of_several_places_is_in_the_structure_of_most() -> None:
    places = [MapPlace(1, (0.0, 0.2)), MapPlace(0, (9.0, 9.0)), MapPlace(1, (0.2, 0.4)), MapPlace(1, (0.1, 5.0))]
    assert mean_place(places) == MapPlace(1, (0.1, 0.4))


def test_a_label_of_the_protocol_is_not_new(triangle: Protocol) -> None:
    with pytest.raises(LabelError, match="top: already a landmark of triangle"):
        require_new(["middle", "top"], triangle)


def test_other_networks_have_structures_but_no_maps(triangle: Protocol) -> None:
    config = tiny.config()
    predictor = Predictor(build_network(config.network, triangle), config, triangle, "cpu")
    predictor.set_image(Radiograph.from_array(tiny.triangle_image(0)[0]))
    assert segment(predictor).masks.shape == (1, 48, 64)
    with pytest.raises(ModelError, match="the model tiny has no uv-maps"):
        uv_maps(predictor)


def test_landmarks_that_outline_nothing_say_so() -> None:
    protocol = tiny.protocol_of(3)
    config = tiny.config()
    predictor = Predictor(build_network(config.network, protocol), config, protocol, "cpu")
    predictor.set_image(Radiograph.from_array(tiny.triangle_image(0)[0]))
    with pytest.raises(ModelError, match="no closed structure"):
        segment(predictor)
