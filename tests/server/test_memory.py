"""What a model has seen is looked at once, and again when the file or the model changes; the memory is bounded."""

import random
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

import tiny
from landmarklabel.errors import ImageError, ModelError
from landmarklabel.modelfile import load_model, save_model
from landmarklabel.protocol import Protocol
from landmarklabel.resources import resource

sys.path.insert(0, str(resource("MonaiLabelApp")))

from memory import ImageMemory, SeenImage
from models import PublishedModel

pytestmark = pytest.mark.slow


@pytest.fixture
def published(tmp_path: Path, triangle: Protocol, trained: Path) -> PublishedModel:
    model = PublishedModel(tmp_path / "models", triangle, "landmarks")
    model.publish(trained)
    return model


def picture(path: Path, seed: int) -> Path:
    Image.fromarray(tiny.triangle_image(seed)[0]).save(path)
    return path


def test_an_image_is_looked_at_once(published: PublishedModel, tmp_path: Path) -> None:
    memory, image = ImageMemory(), picture(tmp_path / "a.png", 40)
    first, second = memory.look(image, published), memory.look(image, published)
    assert second.evidence is first.evidence
    assert first.timings["network"] > 0
    assert set(second.timings.values()) == {0.0}


def test_another_picture_of_the_same_name_is_looked_at(published: PublishedModel, tmp_path: Path) -> None:
    memory = ImageMemory()
    first = memory.look(picture(tmp_path / "a.png", 40), published)
    picture(tmp_path / "new.png", 41).replace(tmp_path / "a.png")
    second = memory.look(tmp_path / "a.png", published)
    assert first.landmarks is not None
    assert second.landmarks is not None
    assert first.landmarks.points.tolist() != second.landmarks.points.tolist()


def test_another_model_looks_again(published: PublishedModel, tmp_path: Path, trained: Path) -> None:
    memory, image = ImageMemory(), picture(tmp_path / "a.png", 40)
    first = memory.look(image, published)
    network, header, shape = load_model(trained)
    next(network.parameters()).data.add_(0.01)
    save_model(tmp_path / "other.safetensors", network, header.config, header.protocol, header.data, {}, shape)
    published.publish(tmp_path / "other.safetensors")
    second = memory.look(image, published)
    assert first.header is not None
    assert second.header is not None
    assert first.header.version != second.header.version


def test_the_oldest_goes_first(published: PublishedModel, tmp_path: Path) -> None:
    memory = ImageMemory()
    images = [picture(tmp_path / f"{seed}.png", seed) for seed in (40, 41, 42)]
    one = memory.look(images[0], published)
    bounded = ImageMemory(budget=2 * one.bytes)
    first, second = bounded.look(images[0], published), bounded.look(images[1], published)
    bounded.look(images[0], published)
    bounded.look(images[2], published)
    assert bounded.look(images[0], published).evidence is first.evidence
    assert bounded.look(images[1], published).evidence is not second.evidence


def test_a_click_counts_the_image_that_it_is_on_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are remembered: in a lock that everybody waits for."""
    memory, counted = ImageMemory(), list[str]()
    seen = [memory.look(picture(tmp_path / f"{seed}.png", seed), None) for seed in range(5)]

    def count(each: SeenImage) -> int:
        counted.append(each.content)
        return 10_000

    monkeypatch.setattr(SeenImage, "bytes", property(count))
    memory.forget_the_oldest(seen[2])
    assert set(counted) == {seen[2].content}


def test_what_is_counted_is_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images grow, go, come back and can't be read, and the budget holds after each."""
    sizes, draw, memory = dict[str, int](), random.Random(0), ImageMemory(100)
    monkeypatch.setattr(SeenImage, "bytes", property(lambda each: sizes.setdefault(each.content, 10)))
    images = [picture(tmp_path / f"{seed}.png", seed) for seed in range(12)]
    (tmp_path / "bad.png").write_bytes(b"no picture")
    for _ in range(300):
        seen = memory.look(draw.choice(images), None)
        sizes[seen.content] = min(sizes[seen.content] + draw.randrange(30), 150)
        memory.forget_the_oldest(seen)
        with pytest.raises(ImageError):
            memory.look(tmp_path / "bad.png", None)
        kept = [place.seen for place in memory._places.values() if place.seen is not None]
        assert memory._total == sum(each.bytes for each in kept)
        assert memory._total <= 100 or len(kept) == 1
        assert kept[-1].content == seen.content
        for content in sizes.keys() - {each.content for each in kept}:
            sizes[content] = 10


def test_without_a_model_the_image_alone(published: PublishedModel, tmp_path: Path) -> None:
    memory, image = ImageMemory(), picture(tmp_path / "a.png", 40)
    shutil.rmtree(published.path.parent)
    with pytest.raises(ModelError, match="there is no model for 'landmarks'"):
        memory.look(image, published)
    seen = memory.look(image, None)
    assert (seen.evidence, seen.header, seen.geometry.size) == (None, None, tiny.SIZE)


def test_the_same_picture_under_another_name_is_known(published: PublishedModel, tmp_path: Path) -> None:
    """An upload lies in another file each time."""
    memory = ImageMemory()
    first = memory.look(picture(tmp_path / "a.png", 40), published)
    assert memory.look(picture(tmp_path / "b.png", 40), published).evidence is first.evidence


def test_two_who_come_at_once_look_once(published: PublishedModel, tmp_path: Path) -> None:
    memory, image = ImageMemory(), picture(tmp_path / "a.png", 40)
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(lambda _: memory.look(image, published), range(8)))
    assert len({id(each.evidence) for each in seen}) == 1


def test_a_picture_that_can_not_be_read_is_not_remembered(published: PublishedModel, tmp_path: Path) -> None:
    memory = ImageMemory()
    (tmp_path / "a.png").write_bytes(b"no picture")
    for _ in range(2):
        with pytest.raises(ImageError):
            memory.look(tmp_path / "a.png", published)
