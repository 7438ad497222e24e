"""Answers hold measurements of the landmarks as they are answered, with error bars, and ask for what tells most."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from servers import Server

from landmarklabel.measurements.measure import measure
from landmarklabel.protocol import load_protocol
from landmarklabel.resources import resource

pytestmark = pytest.mark.slow

IMAGE = "cephalometric_0022"


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The sample cephalograms and their model."""
    folder, data = tmp_path_factory.mktemp("measured"), resource("sample_data")
    studies = shutil.copytree(data / "cephalometric_19", folder / "studies")
    shutil.copytree(data / "models", folder / "models")
    running = Server(folder, studies, {"protocol": "cephalometric_19", "models": str(folder / "models")})
    try:
        yield running.start()
    finally:
        running.stop()


def named(answer: Any) -> dict[str, Any]:
    return {each["name"]: each for each in answer["measurements"]}


def test_an_answer_measures_its_landmarks(samples: Server) -> None:
    for answer in (samples.infer(IMAGE), samples.refine(IMAGE)):
        points = np.array([each["pixel"] for each in answer["landmarks"]])
        spacing = tuple(answer["spacing"]["mm_per_pixel"])
        known = answer["spacing"]["source"] != "unknown"
        expected = measure(load_protocol("cephalometric_19"), points, spacing if known else None)
        assert [each["value"] for each in answer["measurements"]] == pytest.approx([each.value for each in expected])
        assert {each["unit"] for each in answer["measurements"]} == {"deg", "mm" if known else "px", "", "%"}
        for each in answer["measurements"]:
            low, high = each["interval95"]
            assert low < each["interval68"][0] < each["interval68"][1] < high
            assert each["improve"] in (*each["landmarks"], None)
        assert answer["timings"]["measure"] > 0


def test_what_was_corrected_is_not_asked_for_again(samples: Server) -> None:
    first = samples.refine(IMAGE, measurement="ANB")
    label = next(each for each in first["review_order"] if each in named(first)["ANB"]["landmarks"])
    at = next(each["position"] for each in first["landmarks"] if each["label"] == label)
    after = samples.refine(IMAGE, corrections={label: at}, measurement="ANB")
    assert named(after)["ANB"]["improve"] != label
    assert label not in after["review_order"]
    assert named(after)["ANB"]["sd"] != named(first)["ANB"]["sd"]


def test_a_missing_landmark_leaves_the_rest(samples: Server) -> None:
    found = named(samples.refine(IMAGE, missing=["A"]))
    assert (found["SNA"]["value"], found["ANB"]["value"]) == (None, None)
    assert "A" in found["SNA"]["reason"]
    assert found["SNB"]["value"] is not None


def test_the_review_order_for_one_measurement(samples: Server) -> None:
    for ask in (samples.infer, samples.refine):
        usual, asked = ask(IMAGE), ask(IMAGE, measurement="S_N")
        assert asked["review_order"][0] in named(usual)["S_N"]["landmarks"]
        assert sorted(asked["review_order"]) == sorted(usual["review_order"])
        assert asked["measurements"] == usual["measurements"]


@pytest.mark.parametrize("task", ["landmarks", "refine", "segmentation"])
@pytest.mark.parametrize("name", ["SNC", 3, ["SNA"]])
def test_an_unknown_measurement_is_refused(samples: Server, task: str, name: object) -> None:
    response = samples(
        "POST", f"/infer/{task}?image={IMAGE}&output=json", data={"params": json.dumps({"measurement": name})}
    )
    assert response.status_code == 422
    assert "is not a measurement of cephalometric_19, which has SNA" in response.json()["detail"]
