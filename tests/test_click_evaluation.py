"""Evaluation with simulated readers: what is counted, how it is shown, and the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny
from landmarklabel import cli
from landmarklabel.engine.click_plots import Curves, plot_clicks
from landmarklabel.engine.click_report import figures, print_clicks
from landmarklabel.engine.data import learn_shape
from landmarklabel.engine.interaction import ClickEvaluation, by_shape, evaluate_clicks
from landmarklabel.engine.trainer import train
from landmarklabel.errors import DataError
from landmarklabel.io.dataset import LandmarkDataset
from landmarklabel.protocol import Protocol

#: Errors by clicks of two images of two landmarks, in px: (N, C + 1, K).
ERRORS = np.array([[[40.0, 20], [0, 14], [0, 0]], [[10, 6], [0, 6], [0, 0]]])
#: The same where nothing moves but what is clicked.
BY_HAND = np.array([[[40.0, 20], [0, 20], [0, 0]], [[10, 6], [0, 6], [0, 0]]])


def evaluation(known: bool = False) -> ClickEvaluation:
    """One with these errors, all in x, stated as deviations of 10; landmarks half of the longer side apart."""
    true = np.array([[[0.0, 0], [0, 100]]] * 2)
    placed = np.array([[[0, 0], [1, 0], [1, 1]]] * 2, dtype=bool)
    return ClickEvaluation(
        ids=("a", "b"),
        points=true[:, None] + np.stack([ERRORS, np.zeros_like(ERRORS)], axis=-1),
        by_hand=true[:, None] + np.stack([BY_HAND, np.zeros_like(BY_HAND)], axis=-1),
        true=true,
        sizes=np.array([[100.0, 200]] * 2),
        spacing=np.full((2, 2), 0.5),
        spacing_known=np.array([known, True]),
        deviations=np.where(placed, np.nan, ERRORS / 10),
        clicked=np.array([[0, 1]] * 2),
        seconds=np.array([[1.0, 0.1, 0.3], [3, 0.2, np.nan]]),
    )


def test_figures_by_hand() -> None:
    found = figures(evaluation(), (7, 10))
    assert found["unit"] == "px"
    assert found["refined"] == {
        "mre_by_clicks": [19, 5, 0],
        "NoC2": {"7": 1.0, "10": 0.5},  # 30, 7, 0 and 8, 3, 0
        "FR2": {"7": 0, "10": 0},
    }
    assert found["manual_revision"]["mre_by_clicks"] == [19, 6.5, 0]  # 20 of the first image stays
    # Within 50 % are deviations to 1.18, within 90 % to 2.15: 4, 2, 1, 0.6 at first, then 1.4 and 0.6.
    assert found["calibration"]["0"] == {"50": 50, "68": 50, "90": 75, "95": 75}
    assert found["calibration"]["1"] == {"50": 50, "68": 100, "90": 100, "95": 100}
    assert list(found["calibration"]) == ["0", "1"]
    reach = found["propagation"]["all_clicks"][-1]
    assert (reach["from"], reach["to"], reach["count"], reach["mean_drop"]) == (0.4, None, 2, 3)
    assert found["seconds"] == {"first_answer": 2, "click": 0.2}


def test_millimetres_only_where_all_are_known() -> None:
    """As in any other evaluation."""
    assert evaluation().by_clicks[0, 0] == 30
    assert evaluation(known=True).by_clicks[0, 0] == 15
    assert evaluation(known=True).unit == "mm"


def test_some_of_the_images() -> None:
    kept = evaluation(known=True).subset([False, True])
    assert kept.ids == ("b",)
    assert (kept.unit, kept.by_clicks.tolist()) == ("mm", [[4, 1.5, 0]])


def test_some_of_the_images_are_in_the_unit_of_all() -> None:
    """Else the row of images that a model has not seen stood in mm below one of all images in pixels."""
    kept = evaluation().subset([False, True])  # of this one the spacing is known
    assert (kept.unit, kept.by_clicks.tolist()) == ("px", [[8, 3, 0]])
    assert kept.subset([True]).unit == "px"


def test_tables_hold_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    print_clicks(figures(evaluation(), (7, 10)))
    text = capsys.readouterr().out
    for part in ("19.00", "6.50", "NoC2, refined", "FR2, by hand", "75.0", "over 0.4", "0.200 s"):
        assert part in text


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> LandmarkDataset:
    return tiny.dataset(tmp_path_factory.mktemp("clicks") / "images", triangle, 20)


def test_a_reader_of_an_image_does_not_depend_on_the_others(cases: LandmarkDataset) -> None:
    shape = learn_shape(cases.cases[:12])
    assert shape is not None
    few, many, turned = (
        evaluate_clicks(chosen, by_shape(shape), 3, "random", noise=2, seed=4)
        for chosen in (cases.cases[12:14], cases.cases[12:18], cases.cases[17:11:-1])
    )
    np.testing.assert_array_equal(few.points, many.points[:2])
    np.testing.assert_array_equal(few.points, turned.points[:-3:-1])
    assert few.by_clicks[:, 3].mean() == pytest.approx(2 * np.sqrt(np.pi / 2), rel=0.6)  # nothing but noise is left


def test_by_hand_the_same_reader_clicks(cases: LandmarkDataset) -> None:
    """As far off, on the same landmarks if any comes next; exact and worst first, the worst errors are taken away."""
    shape = learn_shape(cases.cases[:12])
    assert shape is not None
    off, exact = (
        evaluate_clicks(cases.cases[12:], by_shape(shape), 3, order, noise, seed=4)
        for order, noise in (("random", 2.0), ("oracle", 0.0))
    )
    np.testing.assert_array_equal(off.manual[:, 0], off.by_clicks[:, 0])
    np.testing.assert_array_equal(off.by_hand[:, 3], off.points[:, 3])
    assert (off.manual[:, 3] > 0).all()
    worst_first = np.sort(exact.errors[:, 0])[:, ::-1]
    expected = [worst_first[:, click:].sum(axis=1) / 3 for click in range(4)]
    assert exact.manual == pytest.approx(np.stack(expected, axis=1))


def test_nothing_to_evaluate(cases: LandmarkDataset) -> None:
    shape = learn_shape(cases.cases)
    assert shape is not None
    with pytest.raises(DataError, match="no labelled image"):
        evaluate_clicks((), by_shape(shape))


def test_a_plot_of_several_methods(tmp_path: Path) -> None:
    """Each method is drawn: one more changes the picture."""
    one = {"ours": Curves(evaluation().by_clicks, evaluation().manual)}
    plot_clicks(one, tmp_path / "one.png", "px", 40)
    plot_clicks({**one, "by shape": Curves(evaluation().by_clicks * 2)}, tmp_path / "two.png", "px", 40)
    pictures = [np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("one.png", "two.png")]
    assert pictures[0].shape == pictures[1].shape
    assert (pictures[0] != pictures[1]).any(axis=2).sum() > 1000


@pytest.fixture(scope="module")
def model(cases: LandmarkDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("model") / "run"
    return train(tiny.config(epochs=2), cases, run, device="cpu", quiet=True).model


def evaluate(model: Path, studies: Path, *options: object) -> None:
    cli.app(["evaluate", str(model), "--data", f"studies:{studies}", *map(str, options)], standalone_mode=False)


def test_evaluating_clicks_from_the_command_line(model: Path, tmp_path: Path, triangle: Protocol) -> None:
    studies, out, plot = (
        tiny.write_studies(tmp_path / "studies", triangle, 5),
        tmp_path / "out.json",
        tmp_path / "c.png",
    )
    evaluate(model, studies, "--clicks", 2, "--target", 3, "--json", out, "--click-plot", plot)
    clicks = json.loads(out.read_text())["clicks"]
    assert (clicks["order"], clicks["refiner"], clicks["images"]) == ("oracle", "posterior", 5)
    assert set(clicks["posterior"]) > {"sharpness", "floor"}
    refined, manual = clicks["refined"]["mre_by_clicks"], clicks["manual_revision"]["mre_by_clicks"]
    assert refined[0] == manual[0]
    assert refined[2] < refined[0]
    assert Image.open(plot).format == "PNG"


@pytest.mark.slow
def test_readers_of_every_order(model: Path, tmp_path: Path, triangle: Protocol) -> None:
    """After as many clicks as there are landmarks nothing is wrong any more; the same seed gives the same."""
    studies = tiny.write_studies(tmp_path / "studies", triangle, 6)

    def clicks(*options: object) -> dict:
        evaluate(model, studies, "--clicks", 3, "--target", 0.25, "--json", tmp_path / "out.json", *options)
        content: dict = json.loads((tmp_path / "out.json").read_text())["clicks"]
        del content["seconds"]
        return content

    for order in ("oracle", "model", "random"):
        found = clicks("--order", order)
        assert found == clicks("--order", order)
        assert found["refined"]["mre_by_clicks"][3] == 0
        assert found["manual_revision"]["mre_by_clicks"][3] == 0
        assert found["refined"]["FR3"] == {"0.25": 0}
        assert 0 < found["refined"]["NoC3"]["0.25"] <= 3
    assert 0.3 < clicks("--noise", 0.5)["refined"]["mre_by_clicks"][3] < 1.2


def test_a_plain_network_alone_is_revised_by_hand(model: Path, tmp_path: Path, triangle: Protocol) -> None:
    studies, out = tiny.write_studies(tmp_path / "studies", triangle, 4), tmp_path / "out.json"
    evaluate(model, studies, "--clicks", 3, "--refiner", "network", "--json", out)
    clicks = json.loads(out.read_text())["clicks"]
    assert clicks["refined"] == clicks["manual_revision"]
    assert "posterior" not in clicks


def test_options_that_make_no_sense(model: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    options = ("evaluate", model, "--data", f"studies:{tmp_path}")
    assert "--order best: expected one of oracle, model, random" in fails(*options, "--order", "best")
    assert "--refiner magic: expected posterior or network" in fails(*options, "--refiner", "magic")
    assert "--click-plot: there is nothing to draw" in fails(*options, "--click-plot", tmp_path / "x.png")
    assert "there is no folder" in fails(*options, "--clicks", 1, "--click-plot", tmp_path / "none" / "x.png")
