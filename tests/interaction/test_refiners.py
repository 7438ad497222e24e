"""What asks an interactive network for a pass per click. The network is untrained: what it says is not the point."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from landmarklabel.engine.config import ExperimentConfig
from landmarklabel.engine.data import learn_shape
from landmarklabel.interaction.posterior import PosteriorConfig
from landmarklabel.interaction.refinement import by_gain
from landmarklabel.interaction.refiners import ClickedNetwork, ClickedPosterior, Unmoved
from landmarklabel.networks import build_network
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Radiograph

NOTHING = (np.empty(0, dtype=np.intp), np.empty((0, 2)))
CLICK = (np.array([1]), np.array([[40.25, 30.5]]))


@pytest.fixture(scope="module")
def model(triangle: Protocol) -> Predictor:
    config: ExperimentConfig = tiny.config(
        network={"name": "interactive", "backbone": "hrnet_w18_small", "pretrained": False, "hint_sigma": 3},
        loss={"name": "bce", "sigma": 3},
        input={"height": 64, "width": 64},
    )
    torch.manual_seed(0)
    return Predictor(build_network(config.network, triangle), config, triangle, "cpu")


@pytest.fixture
def predictor(model: Predictor) -> Predictor:
    """It looks at an image on which nothing was clicked yet."""
    model.set_image(Radiograph.from_array(tiny.triangle_image(0)[0]))
    return model


def test_a_clicked_network_is_asked_with_the_clicks(predictor: Predictor) -> None:
    refiner = ClickedNetwork(predictor, tiny.SIZE)
    before, after, again = (refiner.given(*clicks).mean for clicks in (NOTHING, CLICK, NOTHING))
    np.testing.assert_array_equal(after[1], CLICK[1][0])
    assert (after[[0, 2]] != before[[0, 2]]).any()
    np.testing.assert_array_equal(again, before)


def test_least_confident_first(predictor: Predictor) -> None:
    known = ClickedNetwork(predictor, tiny.SIZE).given(*CLICK)
    confidence = predictor.predict().landmarks.confidence
    assert by_gain(known).tolist() == np.argsort(confidence).tolist()
    assert by_gain(known)[-1] == 1


def test_what_a_confidence_stands_for(predictor: Predictor) -> None:
    """None: anywhere on the image, whose variance is that of its sides; all: the width of the network's peaks."""
    variance = ClickedNetwork(predictor, tiny.SIZE).given(*CLICK).of_points()
    width = tiny.SIZE[0]
    assert np.diag(variance[1]) == pytest.approx([(3 * width / 64) ** 2] * 2)
    assert (variance[0, 0, 0] - variance[1, 0, 0]) / (width**2 / 12 - variance[1, 0, 0]) == pytest.approx(
        1 - predictor.predict().landmarks.confidence[0]
    )


def test_a_posterior_of_maps_that_see_the_clicks(predictor: Predictor, tmp_path: Path, triangle: Protocol) -> None:
    shape = learn_shape(tiny.dataset(tmp_path / "images", triangle, 10).cases)
    assert shape is not None
    config = PosteriorConfig()
    refiner = ClickedPosterior(predictor, shape.in_pixels(tiny.SIZE), config)
    old = predictor.evidence(config)
    known = refiner.given(*CLICK)
    np.testing.assert_allclose(known.mean[1], CLICK[1][0], atol=1e-6)
    assert (predictor.evidence(config).weights != old.weights).any()


def test_nothing_moves_in_a_manual_revision(predictor: Predictor) -> None:
    refiner = Unmoved.of_network(predictor, tiny.SIZE)
    first = predictor.predict().landmarks.points
    after = refiner.given(*CLICK).mean
    np.testing.assert_array_equal(after[[0, 2]], first[[0, 2]])
    np.testing.assert_array_equal(after[1], CLICK[1][0])
    np.testing.assert_array_equal(refiner.given(*NOTHING).mean, first)
