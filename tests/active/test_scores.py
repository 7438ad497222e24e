"""What a model says of images, and that it is found out once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from landmarklabel.active import Scorer, appearance
from landmarklabel.active.scores import Scores
from landmarklabel.active.scoring import ImageScore
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.io import read_radiograph
from landmarklabel.modelfile import save_model
from landmarklabel.networks import build_network
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Radiograph
from landmarklabel.store.index import Index


def radiograph(folder: Path, pixels: np.ndarray, name: str = "image") -> Radiograph:
    path = folder / f"{name}.png"
    Image.fromarray(pixels).save(path)
    return read_radiograph(path)


def predictor(folder: Path, protocol: Protocol, shape: bool = True) -> Predictor:
    torch.manual_seed(0)
    config = tiny.config()
    prior = ShapePrior.fit(np.stack([tiny.triangle_image(seed)[1] for seed in range(9)]), np.array([tiny.SIZE] * 9))
    path = folder / "model.safetensors"
    save_model(path, build_network(config.network, protocol), config, protocol, {}, {}, prior if shape else None)
    return Predictor.load(path, "cpu")


def test_an_image_looks_the_same_brighter_and_in_another_size(tmp_path: Path) -> None:
    pixels = tiny.triangle_image(3)[0]
    plain = appearance(radiograph(tmp_path, pixels))
    brighter = appearance(radiograph(tmp_path, (pixels // 2 + 90).astype(np.uint8), "brighter"))
    larger = appearance(radiograph(tmp_path, np.kron(pixels, np.ones((4, 4), np.uint8)), "larger"))
    other = appearance(radiograph(tmp_path, tiny.triangle_image(4)[0], "other"))
    assert plain.shape == (63,)
    assert np.linalg.norm(plain) == pytest.approx(1, rel=1e-5)
    apart = np.linalg.norm(plain - other)
    assert np.linalg.norm(plain - brighter) < apart / 5
    assert np.linalg.norm(plain - larger) < apart / 5
    assert not appearance(radiograph(tmp_path, np.full((40, 40), 7, np.uint8), "flat")).any()


@pytest.mark.parametrize("shape", [True, False])
def test_a_score_is_finite_and_its_errors_in_mm_are_those_in_pixels(
    tmp_path: Path, triangle: Protocol, shape: bool
) -> None:
    scorer = Scorer(predictor(tmp_path, triangle, shape))
    pixels = tiny.triangle_image(3)[0]
    unknown = scorer(radiograph(tmp_path, pixels))
    assert unknown.mm is None
    assert unknown.relative > 0
    assert unknown.shape.shape == ((6,) if shape else (0,))
    path = tmp_path / "known.png"
    Image.fromarray(pixels).save(path, dpi=(254, 254))  # 0.1 mm a pixel
    known = scorer(read_radiograph(path))
    assert known.relative == pytest.approx(unknown.relative, rel=1e-6)
    assert known.mm == pytest.approx(known.relative * max(tiny.SIZE) * 0.1, rel=1e-3)


def test_the_modes_of_the_shape_tell_labels_apart(tmp_path: Path, triangle: Protocol) -> None:
    """In deviations: of labels as the prior knows them, about one; the mean is at zero; an absent one says nothing."""
    scorer = Scorer(predictor(tmp_path, triangle))
    rows = np.stack([scorer.shape(tiny.triangle_image(seed)[1], tiny.SIZE) for seed in range(100, 160)])
    assert np.abs(rows.mean(axis=0)).max() < 1
    assert 0.3 < rows.std(axis=0).mean() < 2
    wild = tiny.triangle_image(3)[1] + 1000
    assert np.abs(scorer.shape(wild, tiny.SIZE)).max() == 4
    assert not scorer.shape(np.full((3, 2), np.nan), tiny.SIZE).any()


def test_what_was_found_out_is_kept(tmp_path: Path) -> None:
    index = Index(tmp_path, "store")
    scores = Scores(index)
    look, score = np.linspace(-1, 1, 63).astype(np.float32), ImageScore(0.25, None, np.ones(8, np.float32))
    scores.note_look("c1", look)
    scores.note_look("c2", look[:0], "c2.png: half of a file")
    scores.note_score("old", "c1", ImageScore(float("nan"), 1.5, look[:0]))
    for _ in range(2):  # two servers find out the same
        scores.note_score("new", "c1", score)
    index.close()
    known = Scores(Index(tmp_path, "store")).known("new")
    assert known.appearance["c1"] == pytest.approx(look, abs=1e-3)
    assert known.problems == {"c2": "c2.png: half of a file"}
    assert known.scores["c1"].relative == 0.25
    assert known.scores["c1"].mm is None
    assert known.scores["c1"].shape.tolist() == [1.0] * 8
    old = Scores(Index(tmp_path, "store"))
    assert np.isnan(old.known("old").scores["c1"].relative)
    assert old.known(None).scores == {}
    old.keep_models(["new"])
    assert old.known("old").scores == {}
    assert list(old.known("new").scores) == ["c1"]


def test_an_image_is_known_by_its_content(tmp_path: Path) -> None:
    """The digest is made again when the file has changed; the same content elsewhere is the same image."""
    scores = Scores(Index(tmp_path, "store"))
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    one.write_bytes(b"first")
    other.write_bytes(b"first")
    first = scores.content("one", one)
    assert scores.content("one", one) == first == scores.content("other", other)
    one.write_bytes(b"second")
    second = scores.content("one", one)
    assert second != first
    assert scores.contents() == {"one": second, "other": first}
    with pytest.raises(FileNotFoundError):
        scores.content("gone", tmp_path / "gone.png")
