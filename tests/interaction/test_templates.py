"""Templates of landmarks find them in images that they were not learned from, and know when they do not."""

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform, gaussian_filter

from landmarklabel.engine.config import load_experiment
from landmarklabel.engine.interaction import by_shape, takes_templates
from landmarklabel.interaction.evidence import MapEvidence
from landmarklabel.interaction.gradients import LEVELS, WINDOW, Gradients
from landmarklabel.interaction.posterior import Posterior
from landmarklabel.interaction.refiners import Measured
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.interaction.templates import LabelledLook, Templates
from landmarklabel.radiograph import Geometry, Radiograph


def radiograph(pixels: np.ndarray) -> Radiograph:
    return Radiograph(pixels, Geometry(pixels.shape[::-1]))


#: Height and width of the images, and landmarks (x, y) on what they all show.
SIZE = (240, 300)
LANDMARKS = np.array([[90.0, 70.0], [200.0, 90.0], [150.0, 160.0], [80.0, 180.0]])

_TEXTURE = gaussian_filter(np.random.default_rng(0).normal(size=(400, 400)), 4)


def picture(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The same texture, turned by a few degrees and moved, and noise of its own; and where its landmarks are."""
    rng = np.random.default_rng(seed)
    angle, shift = np.radians(rng.uniform(-4, 4)), rng.uniform(-25, 25, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # of (x, y)
    points = (LANDMARKS - [150, 120]) @ turn.T + [150, 120] + shift
    # A place (x, y) of the image shows turn^-1 (place - centre - shift) + centre of the texture, 50 from its border.
    back = turn.T[::-1, ::-1]  # the same of (row, column)
    offset = np.array([120, 150]) + 50 - back @ (np.array([120, 150]) + shift[::-1])
    pixels = affine_transform(_TEXTURE, back, offset, output_shape=SIZE, mode="reflect")
    pixels = pixels / pixels.std() * 40 + 128 + rng.normal(0, 4, SIZE)
    return np.clip(pixels, 0, 255).astype(np.uint8), points


def seen(seed: int) -> tuple[Gradients, np.ndarray]:
    pixels, points = picture(seed)
    return Gradients.of(radiograph(pixels)), points


def templates(labels: int) -> Templates:
    return Templates.fit([LabelledLook.of(*seen(seed)) for seed in range(labels)])


def anywhere(labels: int) -> Templates:
    """Of labels that point anywhere."""
    rng = np.random.default_rng(0)
    return Templates.fit([LabelledLook.of(seen(seed)[0], rng.uniform(20, 220, (4, 2))) for seed in range(labels)])


def learned_shape() -> ShapePrior:
    return ShapePrior.fit(np.stack([seen(seed)[1] for seed in range(8)]), np.tile(SIZE[::-1], (8, 1)))


# Gradients ---------------------------------------------------------------------------------------------------


def test_scores_are_products_with_the_looks_of_all_places() -> None:
    gradients, _ = seen(0)
    rows = torch.randn(
        LEVELS, 2, gradients.about(np.zeros((1, 2))).shape[-1], generator=torch.Generator().manual_seed(0)
    )
    scores = gradients.scores(rows)
    first, step = gradients.places()
    # Corners of the coarsest cells are corners of all, so that nothing lies between places there; and none is at the
    # border, beyond which the two go on differently.
    coarse = 2 ** (LEVELS - 1)
    margin = WINDOW // 2 * coarse
    rows_, columns = (range(margin, side - margin, coarse) for side in scores.shape[1:])
    places = np.array([[column, row] for row in rows_ for column in columns])
    expected = torch.einsum("lnc,lkc->kn", gradients.about(first + places * step), rows)
    torch.testing.assert_close(scores[:, places[:, 1], places[:, 0]], expected, rtol=1e-3, atol=1e-2)


def test_places_span_the_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (301, 173)).astype(np.uint8)
    gradients = Gradients.of(radiograph(pixels))
    rows, columns = gradients.scores(torch.zeros(LEVELS, 1, gradients.about(np.zeros((1, 2))).shape[-1])).shape[1:]
    first, step = gradients.places()
    np.testing.assert_allclose(first, [-0.5, -0.5])
    np.testing.assert_allclose(first + step * [columns - 1, rows - 1], [172.5, 300.5])


def test_looks_do_not_depend_on_exposure() -> None:
    pixels, points = picture(3)
    bright = radiograph(pixels.astype(np.float32) * 7 + 300)
    torch.testing.assert_close(Gradients.of(bright).about(points), Gradients.of(radiograph(pixels)).about(points))


def test_an_image_without_contrast_looks_like_nothing() -> None:
    gradients = Gradients.of(radiograph(np.full((40, 60), 7, dtype=np.uint8)))
    assert all(torch.equal(level, torch.zeros_like(level)) for level in gradients.levels)


# Templates ---------------------------------------------------------------------------------------------------


def likeliest(evidence: MapEvidence) -> np.ndarray:
    best = evidence.weights.argmax(dim=1)
    return evidence.places[torch.arange(len(best)), best].numpy()


@pytest.mark.parametrize("labels", [2, 3, 12])
def test_they_find_landmarks_in_other_images(labels: int) -> None:
    learned = templates(labels)
    errors = []
    for seed in range(100, 110):
        gradients, points = seen(seed)
        errors.append(np.linalg.norm(likeliest(learned.evidence(gradients)) - points, axis=1))
    assert np.median(errors) < 2  # of 300 pixels
    assert np.max(errors) < 4


def test_they_count_by_how_well_they_find_labels_that_were_left_out() -> None:
    assert anywhere(8).trust < templates(8).trust


def test_labels_that_point_anywhere_move_nothing_far() -> None:
    random, prior, nothing = anywhere(8), learned_shape().in_pixels(SIZE[::-1]), np.empty(0, dtype=np.intp)
    errors = []
    for seed in range(100, 106):
        gradients, points = seen(seed)
        both = (Posterior(prior, evidence) for evidence in (None, random.evidence(gradients)))
        errors.append(
            [np.linalg.norm(each.given(nothing, np.empty((0, 2))).mean - points, axis=1).mean() for each in both]
        )
    alone, moved = np.mean(errors, axis=0)
    assert moved < 1.2 * alone


def test_of_an_absent_landmark_they_say_nothing() -> None:
    absent = []
    for seed in range(4):
        gradients, points = seen(seed)
        points[3] = np.nan
        points[1] = np.nan if seed else points[1]
        absent.append(LabelledLook.of(gradients, points))
    learned, (gradients, _) = Templates.fit(absent), seen(100)
    assert learned.known.tolist() == [True, True, True, False]
    weights = learned.evidence(gradients).weights
    assert weights[3].max() == 0 and weights[:3].max(dim=1).values.min() > 0
    assert np.isfinite(weights.numpy()).all() and np.isfinite(learned.rows.numpy()).all()
    network = MapEvidence(
        torch.full((4, 1, 2), 20.0).double(), torch.full((4, 1), 5.0).double(), torch.tensor([8.0, 8.0]).double()
    )
    said = network.on_grid(*gradients.places(), gradients.scores(learned.rows).shape[1:])
    assert learned.evidence(gradients, network).weights[3].max() == pytest.approx(
        float(said[3].max().expm1()), rel=1e-3
    )


def test_with_a_network_ratios_multiply() -> None:
    """Both are ratios to "anywhere"; where one says nothing, the other is left as it is."""
    learned, (gradients, _) = templates(5), seen(100)
    first, step = gradients.places()
    size = gradients.scores(learned.rows).shape[1:]
    y, x = np.mgrid[0 : SIZE[0] : 2, 0 : SIZE[1] : 2]
    places = torch.from_numpy(np.stack([x, y], axis=-1).reshape(1, -1, 2)).double().repeat(4, 1, 1)
    said = torch.rand(places.shape[:2], generator=torch.Generator().manual_seed(0)).double() * 9
    network = MapEvidence(places, said, torch.tensor([2.0, 2.0]).double())

    def whole(evidence: MapEvidence) -> torch.Tensor:
        column, row = ((evidence.places - torch.from_numpy(first)) / torch.from_numpy(step)).round().long().unbind(-1)
        found = torch.zeros(4, *size).double()
        for index in range(4):
            found[index, row[index], column[index]] = evidence.weights[index]
        return found

    alone, both = (whole(learned.evidence(gradients, each, most=10**6)) for each in (None, network))
    expected = (1 + alone) * network.on_grid(first, step, size).exp() - 1
    torch.testing.assert_close(both, expected, rtol=1e-3, atol=1e-3)


def test_a_network_that_is_very_sure_stays_so() -> None:
    learned, (gradients, points) = templates(3), seen(100)
    at = torch.from_numpy(points)[:, None]
    network = MapEvidence(at, torch.full((4, 1), 1e60, dtype=torch.float64), torch.tensor([4.0, 4.0]).double())
    shape = learned_shape().in_pixels(SIZE[::-1])
    nothing = np.empty(0, dtype=np.intp), np.empty((0, 2))
    known = Posterior(shape, learned.evidence(gradients, network)).given(*nothing)
    np.testing.assert_allclose(known.mean, points, atol=2)
    assert np.isfinite(known.of_points()).all()


def test_the_order_of_labels_does_not_matter() -> None:
    looks = [LabelledLook.of(*seen(seed)) for seed in range(8)]
    one, other = Templates.fit(looks), Templates.fit(looks[::-1])
    assert one.trust == other.trust
    torch.testing.assert_close(one.rows, other.rows, rtol=1e-2, atol=1e-2)


# Where, and how sure -----------------------------------------------------------------------------------------


def test_where_is_of_all_that_is_known_and_how_sure_of_what_was_measured() -> None:
    prior, (gradients, points) = learned_shape().in_pixels(SIZE[::-1]), seen(100)
    where, sure = Posterior(prior, templates(8).evidence(gradients)), Posterior(prior)
    indices = np.array([1])
    one, two, answer = (each.given(indices, points[indices], 0.5) for each in (where, sure, Measured(where, sure)))
    np.testing.assert_array_equal(answer.mean, one.mean)
    np.testing.assert_array_equal(answer.joint.mean.numpy(), one.joint.mean.numpy())
    np.testing.assert_array_equal(answer.of_points(), two.of_points())
    np.testing.assert_array_equal(answer.gains(), two.gains())
    assert not np.array_equal(one.mean, two.mean)


def test_labels_alone_answer_closer_by_shape_and_look_than_by_shape() -> None:
    shape, learned, nothing = learned_shape(), templates(8), np.empty(0, dtype=np.intp)
    errors = []
    for seed in range(100, 108):
        pixels, points = picture(seed)
        answers = (by_shape(shape, known)(radiograph(pixels)) for known in (None, learned))
        errors.append(
            [np.linalg.norm(each.given(nothing, np.empty((0, 2))).mean - points, axis=1).mean() for each in answers]
        )
    by_shape_alone, by_both = np.mean(errors, axis=0)
    assert by_both < by_shape_alone / 5


@pytest.mark.parametrize(
    ("experiment", "added"),
    [
        ("fpn_light", True),
        ("farnet_light", True),
        ("denseseg_light", True),
        ("fpn_shared", False),
        ("interactive_light", False),
    ],
)
def test_they_add_to_maps_that_are_each_landmarks_own_and_see_no_clicks(experiment: str, added: bool) -> None:
    assert takes_templates(load_experiment(experiment).network) is added
    assert takes_templates(None)
