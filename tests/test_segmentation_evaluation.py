"""Structures are measured as they are segmented: against computations of their own, in the right unit, by any model."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from skimage.draw import polygon2mask

import tiny
from landmarklabel import cli
from landmarklabel.engine.segmentation_evaluation import evaluate_segmentation, true_masks
from landmarklabel.engine.segmentation_report import plot_structures, print_structures
from landmarklabel.errors import DataError, ModelError
from landmarklabel.io.cases import Case
from landmarklabel.io.segmentations import write_segmentation
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol
from landmarklabel.segmenting import segment
from landmarklabel.uvmaps import Regions


@pytest.fixture(scope="module", params=["denseseg", "unet"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Path:
    """One with masks, and one whose landmarks outline the structure."""
    config = tiny.denseseg_config() if request.param == "denseseg" else tiny.config()
    return tiny.untrained_model(tmp_path_factory.mktemp("model") / "model.safetensors", triangle, config)


@pytest.fixture(scope="module")
def dense_model(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Path:
    return tiny.untrained_model(tmp_path_factory.mktemp("dense") / "m.safetensors", triangle, tiny.denseseg_config())


@pytest.fixture
def cases(tmp_path: Path, triangle: Protocol) -> tuple[Case, ...]:
    return tiny.dataset(tmp_path / "images", triangle, 4).cases


def with_label_image(predictor: Predictor, case: Case, folder: Path) -> Case:
    """The case with what the model itself segments as its final label image."""
    predictor.set_image(case.radiograph())
    path = folder / f"{case.id}.seg.nrrd"
    write_segmentation(segment(predictor), path)
    return replace(case, segmentation=path)


def test_figures_against_a_computation_of_their_own(model: Path, cases: tuple[Case, ...]) -> None:
    """Overlap with the triangle through the true landmarks, and radial errors, image by image."""
    predictor = Predictor.load(model, "cpu")
    evaluation = evaluate_segmentation(predictor, cases)
    overlaps, errors = [], []
    for case in cases:
        predictor.set_image(case.radiograph())
        assert case.points is not None
        true = polygon2mask(tiny.SIZE[::-1], case.points[:, ::-1])
        found = segment(predictor)["outline"]
        both = (found & true).sum()
        overlaps.append(2 * both / (found.sum() + true.sum()))
        errors.append(np.linalg.norm(predictor.predict().landmarks.points - case.points, axis=1).mean())
    assert evaluation.names == ("outline",)
    assert evaluation.ids == tuple(case.id for case in cases)
    assert evaluation.unit == "px"
    # polygon2mask leaves out centres on the border.
    assert evaluation.by_image("dsc") == pytest.approx(np.array(overlaps), abs=0.03)
    assert evaluation.by_image("tre") == pytest.approx(np.array(errors))
    figures = evaluation.figures()
    assert figures["images"] == 4
    assert figures["overall"]["tre"] == pytest.approx(
        {"mean": np.mean(errors), "std": np.std(errors, ddof=1), "count": 4}
    )
    assert figures["by_image"][cases[1].id]["dsc"] == evaluation.by_image("dsc")[1]


def test_a_label_image_is_the_truth_where_there_is_one(model: Path, cases: tuple[Case, ...], tmp_path: Path) -> None:
    """Against what the model itself segments nothing is wrong but landmarks; without any, only overlap is measured."""
    predictor = Predictor.load(model, "cpu")
    drawn = [with_label_image(predictor, case, tmp_path) for case in cases]
    drawn[1] = replace(drawn[1], points=None)
    scores = evaluate_segmentation(predictor, drawn).scores
    assert scores.dsc.tolist() == [[1.0]] * 4
    assert scores.assd.tolist() == scores.hd95.tolist() == [[0.0]] * 4
    assert np.isfinite(scores.tre[:, 0]).tolist() == np.isfinite(scores.asd[:, 0]).tolist() == [True, False, True, True]


SHAPES = Protocol.model_validate(
    {
        "name": "shapes",
        "title": "Two triangles and a corner",
        "landmarks": [{"label": f"{side}{number}", "name": f"{side} {number}"} for side in "LR" for number in range(3)],
        "structures": [
            {"name": "left", "landmarks": ["L0", "L1", "L2"]},
            {"name": "right", "landmarks": ["R0", "R1", "R2"]},
            {"name": "corner", "landmarks": ["L2", "R0", "R1"], "closed": False},
        ],
    }
)
CORNERS = np.array([[5.0, 40], [25, 40], [15, 10], [35, 40], [58, 40], [46, 10]])


@pytest.fixture
def drawn(tmp_path: Path) -> Case:
    """A case in whose label image the left structure alone is drawn."""
    Image.fromarray(tiny.triangle_image(0)[0]).save(tmp_path / "image.png")
    values = np.zeros((1, *tiny.SIZE[::-1]), np.uint8)
    values[0, 20:30, 5:20] = 1
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / "image.nrrd"))
    return Case("image", tmp_path / "image.png", CORNERS.copy(), segmentation=tmp_path / "image.nrrd")


def test_what_is_true_of_each_structure(drawn: Case) -> None:
    """As it is drawn; else by its landmarks, if all are there; else it is not known."""
    regions = Regions.of(SHAPES, ["left", "right", "corner"])
    outlines = regions.masks(CORNERS, tiny.SIZE)
    found = true_masks(drawn, regions, SHAPES, tiny.SIZE)
    assert found.known.all()
    assert (found.masks[0].sum(), found.masks[0, 25, 10]) == (150, True)
    np.testing.assert_array_equal(found.masks[1:], outlines[1:])  # an open one, closed by a line as a model has it
    assert drawn.points is not None
    drawn.points[5] = np.nan
    found = true_masks(drawn, regions, SHAPES, tiny.SIZE)
    assert found.known.tolist() == [True, False, True]
    assert not found.masks[1].any()
    found = true_masks(replace(drawn, points=None), regions, SHAPES, tiny.SIZE)
    assert found.known.tolist() == [True, False, False]


def test_what_nobody_drew_is_neither_missed_nor_spurious(drawn: Case, tmp_path: Path) -> None:
    """It may be there: an overlap of 0 would be one with nothing that anybody knows."""
    model = tiny.untrained_model(tmp_path / "m.safetensors", SHAPES, tiny.config(), seed=3)  # outlines both
    predictor = Predictor.load(model, "cpu")
    known = evaluate_segmentation(predictor, [drawn]).scores
    assert np.isfinite(known.hd95).all()
    assert drawn.points is not None
    drawn.points[5] = np.nan
    scores = evaluate_segmentation(predictor, [drawn]).scores
    np.testing.assert_array_equal(scores.dsc, [[known.dsc[0, 0], np.nan]])
    np.testing.assert_array_equal(scores.hd95, [[known.hd95[0, 0], np.nan]])
    assert not scores.spurious.any()
    assert not scores.missed.any()
    assert np.isfinite(scores.tre).all()  # of the landmarks that are there


def test_mm_only_where_all_spacings_are_known(model: Path, cases: tuple[Case, ...]) -> None:
    """Distances halve with pixels of half a mm; one image without a spacing turns all into pixels."""
    predictor = Predictor.load(model, "cpu")
    in_pixels = evaluate_segmentation(predictor, cases)
    known = [replace(case, spacing=(0.5, 0.5)) for case in cases]
    in_mm = evaluate_segmentation(predictor, known)
    assert in_mm.unit == "mm"
    for measure in ("asd", "assd", "hd95", "tre"):
        assert 2 * in_mm.by_image(measure) == pytest.approx(in_pixels.by_image(measure))
    assert np.array_equal(in_mm.scores.dsc, in_pixels.scores.dsc)
    mixed = evaluate_segmentation(predictor, [*known[:3], cases[3]])
    assert mixed.unit == "px"
    assert np.array_equal(mixed.scores.assd, in_pixels.scores.assd)


def test_some_of_the_images(dense_model: Path, cases: tuple[Case, ...]) -> None:
    evaluation = evaluate_segmentation(Predictor.load(dense_model, "cpu"), cases)
    some = evaluation.subset([True, False, False, True])
    assert some.ids == (cases[0].id, cases[3].id)
    assert np.array_equal(some.scores.dsc, evaluation.scores.dsc[[0, 3]])


def test_what_can_not_be_measured(dense_model: Path, cases: tuple[Case, ...], tmp_path: Path) -> None:
    predictor = Predictor.load(dense_model, "cpu")
    with pytest.raises(DataError, match="no image to evaluate structures on"):
        evaluate_segmentation(predictor, [])
    with pytest.raises(DataError, match="image_002: neither landmarks nor a label image"):
        evaluate_segmentation(predictor, [cases[0], replace(cases[2], points=None)])
    with pytest.raises(DataError, match="image_001 has 4 landmarks, the model has 3"):
        evaluate_segmentation(predictor, [replace(cases[1], points=np.zeros((4, 2)))])
    open_ = tiny.protocol_of(3)
    for config in (tiny.config(), tiny.denseseg_config()):
        path = tiny.untrained_model(tmp_path / f"{config.method}.safetensors", open_, config)
        with pytest.raises(ModelError, match=f"{config.method} segments no closed structure of points_3"):
            evaluate_segmentation(Predictor.load(path, "cpu"), cases)


def test_the_table_and_the_picture(
    dense_model: Path, cases: tuple[Case, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor = Predictor.load(dense_model, "cpu")
    evaluation = evaluate_segmentation(predictor, cases)
    print_structures(evaluation, evaluation.subset([True, False, False, False]))
    printed = capsys.readouterr().out
    dsc = evaluation.figures()["overall"]["dsc"]
    assert f"{100 * dsc['mean']:.1f}±{100 * dsc['std']:.1f}" in printed
    assert "unseen" in printed
    assert "outline" in printed
    plot_structures(predictor, evaluation, cases, tmp_path / "plot.png", "a title")
    assert Image.open(tmp_path / "plot.png").size[0] > 3 * 720
    bare = [replace(with_label_image(predictor, case, tmp_path), points=None) for case in cases]
    with pytest.raises(DataError, match="no picture to draw"):
        plot_structures(predictor, evaluate_segmentation(predictor, bare), bare, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


# The command line --------------------------------------------------------------------------------------------


def test_evaluating_structures_on_the_command_line(dense_model: Path, tmp_path: Path, triangle: Protocol) -> None:
    """A label image counts beside landmarks, and alone; figures are those of the library."""
    studies, out = tiny.write_studies(tmp_path / "studies", triangle, 4, labelled=3), tmp_path / "figures.json"
    values = np.zeros((1, *tiny.SIZE[::-1]), np.uint8)
    values[0, 20:30, 20:40] = 1
    (studies / "labels" / "final_segmentation").mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(values), str(studies / "labels" / "final_segmentation" / "image_003.nrrd"))
    plot = tmp_path / "plot.png"
    options = ["--data", f"studies:{studies}", "--structures", "--json", out, "--segmentation-plot", plot]
    cli.app(["evaluate", str(dense_model), *map(str, options)], standalone_mode=False)
    figures = json.loads(out.read_text())
    assert figures["images"] == 3
    structures = figures["structures"]
    assert structures["images"] == 4
    assert structures["unit"] == "px"
    assert structures["overall"]["dsc"]["count"] == 4
    assert structures["overall"]["tre"]["count"] == 3
    predictor = Predictor.load(dense_model, "cpu")
    predictor.set_image(Case("", studies / "image_003.png").radiograph())
    found, true = segment(predictor)["outline"], values[0] == 1
    dice = 2 * (found & true).sum() / (found.sum() + true.sum())
    assert structures["by_image"]["image_003"]["dsc"] == pytest.approx(dice)
    assert Image.open(plot).format == "PNG"


@pytest.mark.parametrize("method", ["softmin", "local_linear"])
def test_the_decoder_of_uv_maps(dense_model: Path, tmp_path: Path, triangle: Protocol, method: str) -> None:
    studies, out = tiny.write_studies(tmp_path / "studies", triangle, 2), tmp_path / "figures.json"
    options = ["--data", f"studies:{studies}", "--json", str(out), "--decoder", method]
    cli.app(["evaluate", str(dense_model), *options], standalone_mode=False)
    assert json.loads(out.read_text())["decoder"]["method"] == method


def test_a_decoder_of_other_maps_is_refused(
    dense_model: Path, tmp_path: Path, triangle: Protocol, fails: Callable[..., str]
) -> None:
    heatmaps = tiny.untrained_model(tmp_path / "unet.safetensors", triangle, tiny.config())
    sentence = fails("evaluate", dense_model, "--data", "studies:.", "--decoder", "dark")
    assert "--decoder, method: got 'dark'" in sentence
    assert "softmin" in sentence
    sentence = fails("evaluate", heatmaps, "--data", "studies:.", "--decoder", "softmin")
    assert "--decoder, method: got 'softmin'" in sentence
    assert "dark" in sentence


def test_structures_that_are_not_there_are_said_before_the_work(tmp_path: Path, fails: Callable[..., str]) -> None:
    """Before the data are even looked for."""
    model = tiny.untrained_model(tmp_path / "m.safetensors", tiny.protocol_of(3), tiny.config())
    for option in (["--structures"], ["--segmentation-plot", tmp_path / "plot.png"]):
        sentence = fails("evaluate", model, "--data", f"studies:{tmp_path / 'none'}", *option)
        assert "the model tiny segments no closed structure of points_3" in sentence
