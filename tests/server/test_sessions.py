"""Clicks before an interactive network: sessions do not mix, what is taken back is forgotten, memory is bounded."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from landmarklabel.interaction.evidence import MapEvidence
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.modelfile import save_model
from landmarklabel.networks import InteractiveNetwork, build_network
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from datastore import ConflictError
from memory import ImageMemory, SeenImage
from models import PublishedModel
from sessions import SESSIONS_OF_IMAGE, SessionImages

NOT = [np.nan, np.nan]
NONE = np.array([NOT, NOT, NOT])
LEFT = np.array([[20.0, 30.0], NOT, NOT])
BOTH = np.array([[20.0, 30.0], [50.0, 31.0], NOT])
ALL = np.array([[20.0, 30.0], [50.0, 31.0], [33.0, 11.0]])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> PublishedModel:
    """An interactive network that has learned nothing, but sees clicks and previous maps."""
    folder, config = tmp_path_factory.mktemp("untrained"), tiny.interactive_config()
    torch.manual_seed(0)
    network = build_network(config.network, triangle)
    assert isinstance(network, InteractiveNetwork)
    network.hints.mix.mix.weight.data.mul_(20)  # what is shown must be seen in the maps
    shape = ShapePrior.fit(np.stack([tiny.triangle_image(seed)[1] for seed in range(9)]), np.array([tiny.SIZE] * 9))
    save_model(folder / "model.safetensors", network, config, triangle, {}, {}, shape)
    model = PublishedModel(folder / "models", triangle, "refine", "interactive")
    model.publish(folder / "model.safetensors")
    return model


@pytest.fixture
def seen(published: PublishedModel, tmp_path: Path) -> SeenImage:
    return look(ImageMemory(), published, tmp_path, 40)


def look(memory: ImageMemory, model: PublishedModel, folder: Path, seed: int) -> SeenImage:
    path = folder / f"{seed}.png"
    if not path.exists():
        Image.fromarray(tiny.triangle_image(seed)[0]).save(path)
    return memory.look(path, model)


def given(seen: SeenImage, clicks: np.ndarray, session: str | None, previous: np.ndarray | None = None) -> MapEvidence:
    evidence = seen.given(clicks, session, previous)
    assert evidence is not None
    return evidence


def same(a: MapEvidence, b: MapEvidence) -> bool:
    return bool(np.array_equal(a.places, b.places) and np.array_equal(a.weights, b.weights))


def test_the_network_follows_clicks_and_the_pass_before(seen: SeenImage) -> None:
    """The second pass sees the maps of the first, so that two clicks one after the other are not two at once."""
    assert seen.evidence is not None
    first = given(seen, LEFT, "a")
    assert not same(first, seen.evidence)
    assert not same(given(seen, BOTH, "a"), given(seen, BOTH, None))


def test_the_same_again_is_the_same_answer(seen: SeenImage) -> None:
    for clicks in (LEFT, BOTH, ALL):
        assert same(given(seen, clicks, "a"), given(seen, clicks, "a"))


def test_what_is_taken_back_is_forgotten(seen: SeenImage) -> None:
    before = np.array([[11.0, 12.0], [13.0, 14.0], [15.0, 16.0]])
    for previous in (None, before):
        name = f"previous {previous is not None}"
        first = given(seen, LEFT, name, previous)
        given(seen, BOTH, name)
        assert same(given(seen, LEFT, name), first)
        assert seen.evidence is not None
        assert same(given(seen, NONE, name), seen.evidence)


def test_previous_positions_stand_for_maps_that_are_not_kept(seen: SeenImage) -> None:
    before = np.array([[40.0, 8.0], NOT, NOT])
    assert not same(given(seen, LEFT, None, before), given(seen, LEFT, None))
    assert not same(given(seen, LEFT, "new", before), given(seen, LEFT, None))
    given(seen, NONE, "old")
    assert same(given(seen, LEFT, "old", before), given(seen, LEFT, None)), "this session has maps of its own"
    elsewhere = np.array([NOT, NOT, [40.0, 8.0]])
    assert same(given(seen, LEFT, None, elsewhere), given(seen, LEFT, None)), "only those of clicked ones are shown"


def test_sessions_on_one_image_do_not_mix(seen: SeenImage) -> None:
    """Two readers at once: each gets what it would alone."""
    steps = {"a": [LEFT, BOTH, ALL], "b": [ALL[[0, 1, 2]] + 3, LEFT + 5, BOTH + 5]}
    alone = {name: [given(seen, clicks, f"{name} alone") for clicks in clicked] for name, clicked in steps.items()}

    def edit(name: str) -> list[MapEvidence]:
        return [given(seen, clicks, name) for clicks in steps[name]]

    with ThreadPoolExecutor(2) as pool:
        together = dict(zip(steps, pool.map(edit, steps), strict=True))
    for name in steps:
        assert all(map(same, together[name], alone[name]))


def test_clients_on_several_images_at_once(published: PublishedModel, tmp_path: Path) -> None:
    """With too little memory for all of them: images come and go, and every answer is right."""
    expected = {seed: given(look(ImageMemory(), published, tmp_path, seed), BOTH, None) for seed in range(4)}
    memory = ImageMemory(budget=2 * look(ImageMemory(), published, tmp_path, 0).bytes)

    def edit(seed: int) -> bool:
        answers = []
        for number in range(4):
            answers.append(same(given(look(memory, published, tmp_path, seed), BOTH, None), expected[seed]))
            seen = look(memory, published, tmp_path, seed)
            given(seen, LEFT, f"{seed} {number}")
            memory.forget_the_oldest(seen)
        return all(answers)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(edit, range(4)))


def test_memory_counts_sessions(published: PublishedModel, tmp_path: Path) -> None:
    """There is room for two images and one session: with more sessions on one, the other must go."""
    maps = 3 * 64 * 64 * 4
    alone = look(ImageMemory(), published, tmp_path, 40).bytes
    memory = ImageMemory(budget=2 * alone + maps)
    older, newer = (look(memory, published, tmp_path, seed) for seed in (40, 41))
    given(newer, LEFT, "one")
    memory.forget_the_oldest(newer)
    assert look(memory, published, tmp_path, 40).evidence is older.evidence
    assert look(memory, published, tmp_path, 41).evidence is newer.evidence
    for number in range(3 * SESSIONS_OF_IMAGE):
        given(newer, LEFT + number / 10, f"session {number}")
    assert newer.bytes == alone + SESSIONS_OF_IMAGE * maps
    memory.forget_the_oldest(newer)
    assert look(memory, published, tmp_path, 41).evidence is newer.evidence
    assert look(memory, published, tmp_path, 40).evidence is not older.evidence


def test_one_image_with_its_sessions_keeps_to_the_budget(published: PublishedModel, tmp_path: Path) -> None:
    maps = 3 * 64 * 64 * 4
    alone = look(ImageMemory(), published, tmp_path, 40).bytes
    seen = look(ImageMemory(budget=alone + maps), published, tmp_path, 40)
    first = given(seen, LEFT, "a")
    for session in ("b", "c"):
        given(seen, ALL, session)
    assert seen.bytes == alone + maps
    assert same(given(seen, LEFT, "a"), first), "begun anew"


def test_a_session_is_of_one_image() -> None:
    images = SessionImages()
    images.require("s", "1", "first")
    images.require("s", "2", "second")  # nothing was noted: it was only asked for
    images.note("s", "1", "first")
    images.require("s", "1", "first")
    images.require("t", "2", "second")
    with pytest.raises(ConflictError, match="session 's' is of the image first, and this is second"):
        images.require("s", "2", "second")
    with pytest.raises(ConflictError, match="the image first is another than when session 's' began"):
        images.require("s", "3", "first")
