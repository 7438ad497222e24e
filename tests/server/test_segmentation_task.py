"""What the infer task ``segmentation`` remembers, and where new landmarks lie, with a network that has learned nothing.

What is asked here does not depend on how well it maps: places of landmarks come from final labels, and memory counts.
"""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from label_files import markups

import tiny
from landmarklabel.derived import mean_place, place_on_shape
from landmarklabel.errors import ConfigError, LabelError, ModelError
from landmarklabel.io.segmentations import read_segmentation
from landmarklabel.io.uvmaps import write_uv_maps
from landmarklabel.landmarks import LandmarkSet, Status
from landmarklabel.markups import write_markups
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import Geometry
from landmarklabel.resources import resource
from landmarklabel.segmenting import dense_readout

sys.path.insert(0, str(resource("MonaiLabelApp")))

from datastore import LandmarkDatastore
from infers.segmentation import SegmentationTask
from measuring import Measuring
from memory import ImageMemory
from models import PublishedModel
from places import DerivedPlaces
from trust import Trust

NEW = (30.0, 26.0)  # about the middle of every triangle


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory, triangle: Protocol) -> Path:
    """A model with uv-maps that knows the mean shape and nothing else."""
    return tiny.untrained_model(
        tmp_path_factory.mktemp("untrained") / "untrained.safetensors", triangle, tiny.denseseg_config()
    )


class Room:
    """A study with its task, as the app wires them."""

    def __init__(self, folder: Path, protocol: Protocol, budget: int = 1 << 30) -> None:
        self.folder, self.protocol = folder, protocol
        self.studies = tiny.write_studies(folder / "studies", protocol, 4, 3)
        self.store = LandmarkDatastore(str(self.studies), protocol, auto_reload=False)
        self.memory = ImageMemory(budget)
        self.places = DerivedPlaces(self.store, self.memory)
        self.model = PublishedModel(folder / "models", protocol, "segmentation", "denseseg")
        self.landmarks = PublishedModel(folder / "models", protocol, "landmarks")
        self.task = SegmentationTask(
            protocol, (self.model, self.landmarks), self.memory, self.places, Measuring(protocol), Trust()
        )

    def image(self, number: int) -> Path:
        return self.studies / f"image_{number:03d}.png"

    def put(self, number: int, **points: tuple[float, float]) -> None:
        file = markups(self.folder / "new.mrk.json", **points)
        self.store.save_label(f"image_{number:03d}", str(file), "derived", {})


@pytest.fixture
def room(tmp_path: Path, triangle: Protocol, untrained: Path) -> Room:
    made = Room(tmp_path, triangle)
    made.model.publish(untrained)
    return made


# Memory ------------------------------------------------------------------------------------------------------


def test_asking_again_costs_no_pass(room: Room) -> None:
    first, second = (room.task({"image": str(room.image(0))})[1] for _ in range(2))
    assert first["timings"]["network"] > 0
    assert [second["timings"][step] for step in ("load", "preprocess", "network")] == [0, 0, 0]
    assert second["timings"]["segment"] > 0
    assert second["landmarks"] == first["landmarks"]
    assert second["structures"] == first["structures"]


def test_what_is_kept_of_maps_counts(room: Room, tmp_path: Path, triangle: Protocol, untrained: Path) -> None:
    """Output and input of the network, and evidence once it is made; the oldest goes when there is no room."""
    seen = room.memory.look(room.image(0), room.model)
    assert seen.mapped is not None
    pixels = tiny.SIZE[0] * tiny.SIZE[1]
    assert seen.bytes == 10_000 + 4 * pixels * (3 + 1)
    assert seen.given(np.full((3, 2), np.nan), None, None) is seen.mapped.evidence
    assert seen.bytes > 10_000 + 4 * pixels * (3 + 1)
    small = ImageMemory(budget=200_000)  # three of four
    kept = [small.look(room.image(number), room.model).mapped for number in range(4)]
    assert small.look(room.image(3), room.model).mapped is kept[3]
    assert small.look(room.image(0), room.model).mapped is not kept[0]


# Files and JSON ----------------------------------------------------------------------------------------------


def test_the_file_holds_what_the_answer_says(room: Room) -> None:
    file, answer = room.task({"image": str(room.image(0)), "result": "segmentation"})
    assert file.endswith(".seg.nrrd")
    found = read_segmentation(Path(file), Geometry(tiny.SIZE), ["outline"])
    (structure,) = answer["structures"]
    assert structure["name"] == "outline"
    assert structure["pixels"] == found.masks.sum()
    assert structure["area_mm2"] is None  # a PNG says nothing of millimetres
    assert len(structure["colour"]) == 3
    assert answer["model"]["name"] == "tiny_denseseg"
    assert answer["underived"] == []


def test_uv_maps_as_a_file(room: Room) -> None:
    """u and v of the one structure, where it is; NaN elsewhere."""
    label, _ = room.task({"image": str(room.image(0))})
    file, _ = room.task({"image": str(room.image(0)), "result": "uv_map"})
    image = sitk.ReadImage(file)
    assert image.GetMetaData("Structure0_Name") == "outline"
    values = sitk.GetArrayFromImage(image)
    assert values.shape == (1, *tiny.SIZE[::-1], 2)
    assert values.dtype == np.float32
    inside = np.isfinite(values[0]).all(axis=-1)
    assert np.array_equal(inside, read_segmentation(Path(label), Geometry(tiny.SIZE), ["outline"]).masks[0])
    assert np.isnan(values[0][~inside]).all()


def test_uv_maps_lie_on_their_image(tmp_path: Path) -> None:
    geometry = Geometry((5, 4), (0.2, 0.3), (1.5, -2.0, 7.0), (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
    maps = np.random.default_rng(0).random((3, 2, 4, 5), dtype=np.float32)
    maps[1, :, 2] = np.nan
    write_uv_maps(("a", "b", "c"), maps, geometry, tmp_path / "maps.nrrd")
    image = sitk.ReadImage(str(tmp_path / "maps.nrrd"))
    values = sitk.GetArrayFromImage(image)[0]
    for region in range(3):
        for part in range(2):
            assert np.array_equal(values[..., 2 * region + part], maps[region, part], equal_nan=True)
    at = image.TransformContinuousIndexToPhysicalPoint((3.0, 1.0, 0.0))
    assert at == pytest.approx(geometry.pixel_to_world([3.0, 1.0]), abs=1e-9)
    with pytest.raises(LabelError, match=r"uv-maps of 2 structures, \(2, 2, 4, 5\), got \(3, 2, 4, 5\)"):
        write_uv_maps(("a", "b"), maps, geometry, tmp_path / "maps.nrrd")


@pytest.mark.parametrize("result", ["mesh", ["uv_map"], None, 3, {}])
def test_a_result_that_is_none(room: Room, result: object) -> None:
    with pytest.raises(ConfigError, match="result: expected one of segmentation, uv_map, landmarks, got"):
        room.task({"image": str(room.image(0)), "result": result})


# Which model -------------------------------------------------------------------------------------------------


def test_without_any_model(tmp_path: Path, triangle: Protocol) -> None:
    room = Room(tmp_path, triangle)
    problem = room.task.problem()
    assert problem is not None
    assert "there is no model for 'segmentation' of triangle yet: train one (POST /train/denseseg)" in problem
    assert "a model of 'landmarks' would do meanwhile" in problem
    assert not room.task.is_valid()
    with pytest.raises(ModelError, match="POST /train/denseseg"):
        room.task({"image": str(room.image(0))})


def test_landmarks_that_outline_nothing(tmp_path: Path, triangle: Protocol) -> None:
    room = Room(tmp_path, Protocol.model_validate({**triangle.model_dump(), "structures": []}))
    problem = room.task.problem()
    assert problem is not None
    assert "meanwhile" not in problem


def test_labels_are_the_structures_of_the_model_that_answers(tmp_path: Path, triangle: Protocol) -> None:
    """Of a protocol with nothing closed, DenseSeg has the hull of all landmarks."""
    protocol = Protocol.model_validate({**triangle.model_dump(), "structures": []})
    room = Room(tmp_path, protocol)
    assert room.task.info()["labels"] == []
    room.model.publish(tiny.untrained_model(tmp_path / "x.safetensors", protocol, tiny.denseseg_config()))
    assert room.task.info()["labels"] == ["whole"]
    _, answer = room.task({"image": str(room.image(0))})
    assert [structure["name"] for structure in answer["structures"]] == ["whole"]


def test_a_damaged_model_is_no_reason_to_ask_another(room: Room, untrained: Path) -> None:
    room.landmarks.publish(untrained)
    room.model.path.write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"segmentation\.safetensors"):
        room.task({"image": str(room.image(0))})


# New landmarks -----------------------------------------------------------------------------------------------


def test_a_place_by_the_final_landmarks(room: Room) -> None:
    """Of images that have them, the mean over images; the protocol's own computation says the same."""
    room.put(0, new=NEW)
    room.put(1, new=(31.0, 28.0))
    readout = dense_readout(room.model.predictor()[0])
    expected = mean_place(
        [
            place_on_shape(point, tiny.triangle_image(seed)[1], readout.regions, readout.mean_shape)
            for seed, point in ((0, NEW), (1, (31.0, 28.0)))
        ]
    )
    places = room.places.of(room.model)
    assert places.unknown == {}
    assert places.known["new"].region == 0
    assert places.known["new"].uv == pytest.approx(expected.uv, abs=1e-6)


def test_places_are_found_once(room: Room, triangle: Protocol, tmp_path: Path) -> None:
    """Another label changes nothing of them; other final landmarks of their image, and another model, do."""
    room.put(0, new=NEW)
    first = room.places.of(room.model)
    assert room.places.of(room.model) is first
    moved = tiny.triangle_image(0)[1] + [3.0, 0.0]
    for number, points in ((1, tiny.triangle_image(1)[1]), (0, moved)):
        before = room.places.of(room.model)
        file = tmp_path / "label.mrk.json"
        write_markups(LandmarkSet.from_points(triangle, points, Status.CONFIRMED), Geometry(tiny.SIZE), file)
        room.store.save_label(f"image_{number:03d}", str(file), "final", {})
        assert (room.places.of(room.model).known == before.known) == (number == 1)
    other = tiny.untrained_model(tmp_path / "other.safetensors", triangle, tiny.denseseg_config(), seed=1)
    room.model.publish(other)
    assert room.places.of(room.model) is not first


def test_places_are_found_before_anybody_asks(room: Room) -> None:
    """When the server starts: whoever asks first finds the image of a new landmark looked at."""
    room.put(0, new=NEW)
    room.task.prepare()
    for thread in threading.enumerate():
        if thread.name == "places of new landmarks":
            thread.join(20)
    assert room.task({"image": str(room.image(0))})[1]["timings"]["network"] == 0


def test_a_landmark_in_no_structure_stops_nothing(room: Room) -> None:
    """It is answered where it was placed, and named elsewhere with the reason."""
    room.put(0, new=NEW, far=(62.0, 2.0))
    _, elsewhere = room.task({"image": str(room.image(2))})
    labels = [landmark["label"] for landmark in elsewhere["landmarks"]]
    assert labels == ["left", "right", "top", "new"]
    (unknown,) = elsewhere["underived"]
    assert unknown["label"] == "far"
    assert "image_000: (62, 2) lies in none of the structures outline" in unknown["reason"]
    _, there = room.task({"image": str(room.image(0))})
    assert there["underived"] == []
    new, far = there["landmarks"][3:]
    assert (new["pixel"], far["pixel"]) == (list(NEW), [62.0, 2.0])
    assert {(each["status"], each["derived"], each["confidence"]) for each in (new, far)} == {("corrected", True, 1.0)}


def test_in_one_image_it_has_a_place_in_another_none(room: Room) -> None:
    room.put(0, new=NEW)
    room.put(1, new=(62.0, 2.0))
    places = room.places.of(room.model)
    assert (list(places.known), places.unknown) == (["new"], {})


def test_a_deleted_landmark_is_gone(room: Room) -> None:
    room.put(0, new=NEW)
    assert "new" in room.places.of(room.model).known
    room.store.remove_label("image_000", "derived")
    assert room.places.of(room.model).known == {}
    assert len(room.task({"image": str(room.image(0))})[1]["landmarks"]) == 3


def test_an_image_that_is_gone_takes_its_landmark_along(room: Room) -> None:
    """Also where the file was deleted by hand and nobody has noticed yet."""
    room.put(0, new=NEW)
    room.image(0).unlink()
    assert room.places.of(room.model).known == {}


def test_the_markups_file_is_of_the_protocol(room: Room, triangle: Protocol) -> None:
    """So that it can be stored as a label again."""
    room.put(0, new=NEW)
    file, answer = room.task({"image": str(room.image(2)), "result": "landmarks"})
    assert file.endswith(".mrk.json")
    assert len(answer["landmarks"]) == 4
    assert room.store.save_label("image_002", file, "final", {}) == "image_002"
