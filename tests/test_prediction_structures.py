"""Structures beside landmarks, and landmarks nobody trained, as files: what ``predict`` and ``carry`` write."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image

import tiny
from landmarklabel import cli
from landmarklabel.carry import carried
from landmarklabel.derived import MapPlace
from landmarklabel.engine.trainer import train
from landmarklabel.io import read_radiograph
from landmarklabel.io.cases import read_structures
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import read_markups, read_named_points, write_markups
from landmarklabel.modelfile import save_model
from landmarklabel.networks import DenseSeg, build_network
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry
from landmarklabel.segmenting import segment

GEOMETRY = Geometry(tiny.SIZE)


@pytest.fixture(scope="module")
def dense_model(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Path:
    """Untrained: where its landmarks are means nothing, but it answers as any other."""
    return tiny.untrained_model(tmp_path_factory.mktemp("dense") / "m.safetensors", triangle, tiny.denseseg_config())


@pytest.fixture(scope="module")
def plain_model(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Path:
    return tiny.untrained_model(tmp_path_factory.mktemp("plain") / "m.safetensors", triangle, tiny.config())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of three images: a, b, c."""
    folder = tmp_path / "images"
    folder.mkdir()
    for seed, name in enumerate("abc"):
        Image.fromarray(tiny.triangle_image(seed)[0]).save(folder / f"{name}.png")
    return folder


def succeeds(*arguments: object) -> None:
    cli.app([str(argument) for argument in arguments], standalone_mode=False)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def points_file(path: Path, **places: tuple[float, float]) -> Path:
    """Markups of new landmarks, as a person places them in Slicer."""
    points = [{"label": label, "position": [x, y, 0.0]} for label, (x, y) in places.items()]
    path.write_text(json.dumps({"markups": [{"type": "Fiducial", "controlPoints": points}]}))
    return path


def label_file(path: Path, triangle: Protocol, seed: int) -> Path:
    write_markups(LandmarkSet.from_points(triangle, tiny.triangle_image(seed)[1]), GEOMETRY, path)
    return path


# predict -----------------------------------------------------------------------------------------------------


def test_a_model_with_masks_writes_them_beside_landmarks(dense_model: Path, images: Path, triangle: Protocol) -> None:
    """Into the folder of the images, even twice: its own files are not taken for images."""
    for _ in range(2):
        succeeds("predict", dense_model, images, "--out", images, "--overlay")
    written = [f"{name}{suffix}" for name in "abc" for suffix in (".mrk.json", ".overlay.png", ".png", ".seg.nrrd")]
    assert files(images) == written
    predictor = Predictor.load(dense_model, "cpu")
    radiograph = read_radiograph(images / "b.png")
    predictor.set_image(radiograph)
    read = read_structures(images / "b.seg.nrrd", triangle, radiograph.geometry)
    assert np.array_equal(read.masks, segment(predictor).masks)


def test_any_model_writes_outlines_if_asked(
    plain_model: Path, images: Path, tmp_path: Path, triangle: Protocol
) -> None:
    succeeds("predict", plain_model, images / "a.png", "--out", tmp_path / "plain")
    assert files(tmp_path / "plain") == ["a.mrk.json"]
    succeeds("predict", plain_model, images / "a.png", "--out", tmp_path / "more", "--structures")
    assert files(tmp_path / "more") == ["a.mrk.json", "a.seg.nrrd"]
    predictor = Predictor.load(plain_model, "cpu")
    predictor.set_image(read_radiograph(images / "a.png"))
    read = read_structures(tmp_path / "more" / "a.seg.nrrd", triangle, GEOMETRY)
    assert np.array_equal(read.masks, segment(predictor).masks)


def test_a_picture_shows_what_was_segmented(dense_model: Path, plain_model: Path, images: Path, tmp_path: Path) -> None:
    """In colour where a structure is; without, it is grey but for landmarks."""
    coloured = {}
    for name, model in (("dense", dense_model), ("plain", plain_model)):
        succeeds("predict", model, images / "a.png", "--out", tmp_path / name, "--overlay")
        pixels = np.asarray(Image.open(tmp_path / name / "a.overlay.png")).astype(int)
        coloured[name] = (np.ptp(pixels, axis=2) > 8).mean()
    mask = read_structures_of(dense_model, images / "a.png")
    assert coloured["dense"] == pytest.approx(mask.mean(), abs=0.1)
    assert coloured["plain"] < 0.2


def read_structures_of(model: Path, image: Path) -> np.ndarray:
    predictor = Predictor.load(model, "cpu")
    predictor.set_image(read_radiograph(image))
    return segment(predictor).masks[0]


def test_a_protocol_without_structures(tmp_path: Path, images: Path, fails: Callable[..., str]) -> None:
    model = tiny.untrained_model(tmp_path / "m.safetensors", tiny.protocol_of(3), tiny.config())
    out = tmp_path / "out"
    assert "points_3 has no closed structure" in fails("predict", model, images, "--out", out, "--structures")
    assert files(out) == []


def correct(path: Path, protocol: Protocol) -> bytes:
    """As the module for Slicer leaves a label of which one landmark was placed by hand; its content."""
    placed = LandmarkSet.from_points(protocol, tiny.triangle_image(0)[1]).with_point("top", (30.0, 12.0))
    write_markups(placed, GEOMETRY, path)
    return path.read_bytes()


def test_what_somebody_has_worked_on_is_left_as_it_is(
    plain_model: Path, images: Path, tmp_path: Path, triangle: Protocol, capsys: pytest.CaptureFixture[str]
) -> None:
    """Predicted once, one corrected and one damaged meanwhile, predicted again by another model."""
    out = tmp_path / "out"
    command = ("predict", plain_model, images, "--overlay", "--out", out)
    succeeds(*command)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert "passed by" not in capsys.readouterr().err
    corrected = correct(out / "a.mrk.json", triangle)
    (out / "b.mrk.json").write_bytes(b"{")
    (out / "b.overlay.png").unlink()
    other = tiny.untrained_model(tmp_path / "other.safetensors", triangle, tiny.config(), seed=1)
    succeeds("predict", other, *command[2:])
    assert ((out / "a.mrk.json").read_bytes(), (out / "b.mrk.json").read_bytes()) == (corrected, b"{")
    assert not (out / "b.overlay.png").exists()
    assert (out / "c.mrk.json").read_bytes() != first["c.mrk.json"]
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "2 images were passed by: somebody seems to have worked on a.mrk.json, b.mrk.json "
        "(--overwrite replaces what is there)"
    ]
    assert told.out.splitlines() == [str(out / "c.mrk.json")]
    succeeds(*command, "--overwrite")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_a_landmark_that_a_model_does_not_know_is_nobodys_work(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Uv-maps of labels that never had it find none; their files are written anew as any other."""
    names = ["left", "right", "top", "never"]
    landmarks = [{"label": name, "name": name} for name in names]
    structures = [{"name": "outline", "landmarks": names}]
    four = Protocol.model_validate({"name": "four", "title": "4", "landmarks": landmarks, "structures": structures})
    labels = np.full((5, 4, 2), np.nan)
    labels[:, :3] = [tiny.triangle_image(seed)[1] for seed in range(5)]
    network = build_network(tiny.denseseg_config().network, four)
    assert isinstance(network, DenseSeg)
    network.learn_template(torch.from_numpy(labels))
    save_model(tmp_path / "m.safetensors", network, tiny.denseseg_config(), four, {}, {})
    command = ("predict", tmp_path / "m.safetensors", images / "a.png", "--out", tmp_path / "out")
    succeeds(*command)
    file = tmp_path / "out" / "a.mrk.json"
    assert read_markups(file, four, GEOMETRY).status[3] is Status.MISSING
    before = file.stat().st_mtime_ns
    succeeds(*command)
    assert file.stat().st_mtime_ns > before
    assert "passed by" not in capsys.readouterr().err


def test_no_time_goes_into_an_image_that_is_passed_by(
    plain_model: Path, images: Path, triangle: Protocol, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not even read: this one could not be."""
    (images / "a.png").write_bytes(b"no image")
    correct(images / "a.mrk.json", triangle)
    succeeds("predict", plain_model, images, "--out", images)
    assert (images / "b.mrk.json").exists()
    assert "error" not in capsys.readouterr().err


def test_structures_that_somebody_has_painted_are_left_as_they_are(
    dense_model: Path, plain_model: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    succeeds("predict", dense_model, images / "a.png", "--out", out)
    landmarks = (out / "a.mrk.json").read_bytes()
    sitk.WriteImage(sitk.ReadImage(str(out / "a.seg.nrrd")) * 0, str(out / "a.seg.nrrd"))
    painted = (out / "a.seg.nrrd").read_bytes()
    succeeds("predict", dense_model, images / "a.png", "--out", out)
    assert (out / "a.seg.nrrd").read_bytes() == painted
    succeeds("predict", plain_model, images / "a.png", "--out", out)  # writes no structures
    assert (out / "a.mrk.json").read_bytes() != landmarks
    assert (out / "a.seg.nrrd").read_bytes() == painted
    succeeds("predict", dense_model, images / "a.png", "--out", out, "--overwrite")
    assert (out / "a.seg.nrrd").read_bytes() != painted
    assert (out / "a.mrk.json").read_bytes() == landmarks


def test_final_labels_are_not_replaced_by_predictions(plain_model: Path, tmp_path: Path, triangle: Protocol) -> None:
    studies = tiny.write_studies(tmp_path / "studies", triangle, 3, 2)
    final = studies / "labels" / "final"
    before = {path: path.read_bytes() for path in final.iterdir()}
    succeeds("predict", plain_model, studies, "--out", final)
    assert files(final) == ["image_000.mrk.json", "image_001.mrk.json", "image_002.mrk.json"]
    assert {path: path.read_bytes() for path in before} == before


# carry -------------------------------------------------------------------------------------------------------


def test_new_landmarks_go_to_every_other_image(
    dense_model: Path, images: Path, tmp_path: Path, triangle: Protocol
) -> None:
    """The middle of the labelled triangle is the middle of the mean shape: placed or written down, it is the same."""
    corners = tiny.triangle_image(0)[1]
    new = points_file(tmp_path / "new.mrk.json", middle=tuple(corners.mean(axis=0)), near=tuple(corners[0]))
    label = label_file(tmp_path / "label.mrk.json", triangle, 0)
    options = ("--points", new, "--on", images / "a.png", "--label", label)
    succeeds("carry", dense_model, images, *options, "--out", tmp_path / "placed")
    assert files(tmp_path / "placed") == ["b.mrk.json", "c.mrk.json"]
    predictor = Predictor.load(dense_model, "cpu")
    network = predictor.network
    assert isinstance(network, DenseSeg)
    uv = network.mean_shape.uv[0]
    written = [f"{label}=outline:{u:.9f},{v:.9f}" for label, (u, v) in (("middle", uv.mean(axis=0)), ("near", uv[0]))]
    options = tuple(part for text in written for part in ("--place", text))
    succeeds("carry", dense_model, images, *options, "--out", tmp_path / "written")
    assert files(tmp_path / "written") == ["a.mrk.json", "b.mrk.json", "c.mrk.json"]
    u, v = uv.mean(axis=0)
    for name in "bc":
        placed, other = (
            read_named_points(tmp_path / way / f"{name}.mrk.json", GEOMETRY) for way in ("placed", "written")
        )
        assert list(placed) == list(other) == ["middle", "near"]
        assert np.array(list(placed.values())) == pytest.approx(np.array(list(other.values())), abs=1e-3)
        predictor.set_image(read_radiograph(images / f"{name}.png"))
        expected, _ = carried(predictor, {"middle": MapPlace(0, (float(u), float(v)))})
        assert placed["middle"] == pytest.approx(expected[0].tolist(), abs=1e-3)


def test_what_is_carried_is_a_prediction_with_a_confidence(dense_model: Path, images: Path, tmp_path: Path) -> None:
    succeeds("carry", dense_model, images / "b.png", "--place", "new=outline:0,0", "--out", tmp_path / "out")
    (markup,) = json.loads((tmp_path / "out" / "b.mrk.json").read_bytes())["markups"]
    assert [(point["label"], point["description"]) for point in markup["controlPoints"]] == [("new", "predicted")]
    (confidence,) = markup["measurements"][0]["controlPointValues"]
    assert 0 <= confidence <= 1


def test_carried_landmarks_that_were_corrected_are_left_as_they_are(
    dense_model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ("carry", dense_model, images, "--place", "new=outline:0,0", "--out", out)
    succeeds(*command)
    first = (out / "b.mrk.json").read_bytes()
    corrected = first.replace(b'"predicted"', b'"corrected"')
    (out / "b.mrk.json").write_bytes(corrected)
    (out / "a.mrk.json").unlink()
    succeeds(*command)
    assert files(out) == ["a.mrk.json", "b.mrk.json", "c.mrk.json"]
    assert (out / "b.mrk.json").read_bytes() == corrected != first
    assert "1 images were passed by: somebody seems to have worked on b.mrk.json" in capsys.readouterr().err
    succeeds(*command, "--overwrite")
    assert (out / "b.mrk.json").read_bytes() == first


def test_mistakes_of_placing(
    dense_model: Path, plain_model: Path, images: Path, tmp_path: Path, triangle: Protocol, fails: Callable[..., str]
) -> None:
    label = label_file(tmp_path / "label.mrk.json", triangle, 0)
    outside = points_file(tmp_path / "outside.mrk.json", far=(2.0, 2.0))
    known = points_file(tmp_path / "known.mrk.json", top=(30.0, 30.0))
    on, out = ("--on", images / "a.png"), ("--out", tmp_path / "out")

    def sentence(*options: object, model: Path = dense_model) -> str:
        return fails("carry", model, images, *options, *out)

    assert "tiny has no uv-maps" in sentence("--place", "new=outline:0,0", model=plain_model)
    assert "tiny has no uv-maps" in sentence("--points", outside, *on, model=plain_model)
    assert "top: already a landmark of triangle" in sentence("--points", known, *on)
    assert "top: already a landmark of triangle" in sentence("--place", "top=outline:0,0")
    far = sentence("--points", outside, *on, "--label", label)
    assert far.startswith("outside.mrk.json, far: (2, 2) lies in none of the structures outline")
    assert "expected --points FILE with --on IMAGE, or --place" in sentence()
    assert "one of the two" in sentence("--points", known, *on, "--place", "new=outline:0,0")
    assert "--on IMAGE" in sentence("--points", known)
    assert "--place needs no image" in sentence("--place", "new=outline:0,0", *on)
    assert "can't be read" in sentence("--points", tmp_path / "none.mrk.json", *on)
    assert "expected LABEL=STRUCTURE:U,V" in sentence("--place", "new=outline")
    assert "expected LABEL=STRUCTURE:U,V" in sentence("--place", "new=outline:nan,0")
    assert "no structure 'knee'; it has outline" in sentence("--place", "new=knee:0,0")
    assert "outside of the mean shape's box" in sentence("--place", "new=outline:0,1.5")
    assert "new is given twice" in sentence("--place", "new=outline:0,0", "--place", "new=outline:0,0.1")
    assert files(tmp_path / "out") == []


def test_no_image_to_carry_to(dense_model: Path, images: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    place, out = ("--place", "new=outline:0,0"), ("--out", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    assert "holds no images" in fails("carry", dense_model, tmp_path / "empty", *place, *out)
    assert "none.png" in fails("carry", dense_model, tmp_path / "none.png", *place, *out)
    corners = tiny.triangle_image(0)[1]
    new = points_file(tmp_path / "new.mrk.json", middle=tuple(corners.mean(axis=0)))
    sentence = fails("carry", dense_model, images / "a.png", "--points", new, "--on", images / "a.png", *out)
    assert "no image to carry landmarks to" in sentence


@pytest.mark.slow
def test_a_point_below_the_top_is_found_in_others(tmp_path: Path, images: Path, triangle: Protocol) -> None:
    """By a model that was trained on corners only: much nearer than where the point is in the first image."""
    data = tiny.dataset(tmp_path / "data", triangle, 24)
    model = train(tiny.denseseg_config(), data, tmp_path / "run", device="cpu", quiet=True).model
    seeds = range(24, 40)
    for seed in seeds:
        Image.fromarray(tiny.triangle_image(seed)[0]).save(images / f"{seed}.png")
    below = np.array([0.1, 0.1, 0.8])  # parts of left, right and top
    placed = below @ tiny.triangle_image(0)[1]
    new = points_file(tmp_path / "new.mrk.json", below=tuple(placed))
    label = label_file(tmp_path / "label.mrk.json", triangle, 0)
    options = ("--points", new, "--on", images / "a.png", "--label", label, "--out", tmp_path / "out")
    succeeds("carry", model, images, *options)
    true = np.array([below @ tiny.triangle_image(seed)[1] for seed in seeds])
    found = [read_named_points(tmp_path / "out" / f"{seed}.mrk.json", GEOMETRY)["below"] for seed in seeds]
    errors, away = (np.linalg.norm(points - true, axis=1).mean() for points in (np.array(found), placed))
    assert errors < 0.7 * away
