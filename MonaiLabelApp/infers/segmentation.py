"""Infer task ``segmentation``: the structures of an image, its landmarks, and those that people have added."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask

from answers import (
    answer_file,
    describe,
    landmark_to_json,
    landmarks_to_json,
    least_confident_first,
    markups_file,
    to_json,
    wants_file,
)
from landmarklabel.carry import carried
from landmarklabel.errors import ConfigError, ModelError
from landmarklabel.io.segmentations import write_segmentation
from landmarklabel.io.uvmaps import write_uv_maps
from landmarklabel.landmarks import Status
from landmarklabel.measurements.base import Measurement
from landmarklabel.protocol import Protocol
from landmarklabel.radiograph import SpacingSource
from landmarklabel.readout import DenseReadout
from landmarklabel.segmentation import Segmentation, colour
from landmarklabel.segmenting import outline, outlined, outlines_anything, segment, shown_regions, uv_maps
from measuring import Measuring
from memory import ImageMemory, SeenImage
from models import PublishedModel
from places import DerivedPlaces
from trust import Trust, Trusted

RESULTS = ("segmentation", "uv_map", "landmarks")


class SegmentationTask(InferTask):
    """Structures as a label image.

    By the model of ``segmentation``; where there is none, as the landmarks of the model of ``landmarks`` outline them.

    Args:
        protocol: of the landmarks and structures.
        models: that of ``segmentation``, and that of ``landmarks``.
        memory: of what they have seen.
        places: of the landmarks that people have added.
        measuring: of the protocol's landmarks.
        trust: in those.
    """

    def __init__(
        self,
        protocol: Protocol,
        models: tuple[PublishedModel, PublishedModel],
        memory: ImageMemory,
        places: DerivedPlaces,
        measuring: Measuring,
        trust: Trust,
    ) -> None:
        super().__init__(
            type="segmentation",
            labels=[],
            dimension=2,
            description=f"Structures and landmarks: {protocol.title}",
        )
        self._protocol, self._memory, self._places = protocol, memory, places
        self._measuring, self._trust = measuring, trust
        self._segmentation, self._landmarks = models

    def is_valid(self) -> bool:
        """Whether there is a model to answer with; /info/ lists the task only then."""
        return self.problem() is None

    def problem(self) -> str | None:
        """Why it can't answer, in a sentence; None if it can."""
        try:
            return self._model().problem()
        except ModelError as problem:
            return str(problem)

    def info(self) -> dict[str, Any]:
        """What /info/ says; ``labels`` are the structures of the model that answers now."""
        info: dict[str, Any] = super().info()
        return {**info, "labels": self._structures()}

    def _structures(self) -> list[str]:
        try:
            readout = self._model().predictor()[0].readout
        except ModelError:
            return []
        regions = readout.regions if isinstance(readout, DenseReadout) else outlined(self._protocol)
        return [regions.names[index] for index in shown_regions(regions)]

    def get_path(self, validate: bool = True) -> str | None:
        """The file of the model that answers; None without one."""
        try:
            return str(self._model().path)
        except ModelError:
            return None if validate else str(self._segmentation.path)

    def prepare(self) -> None:
        """Find the places of new landmarks in the background."""
        if self.is_valid():
            self._places.prepare(self._model())

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Answer for the file ``request["image"]`` with what ``request["result"]`` names, a label image by default.

        Raises:
            ConfigError: there is no such result.
            LabelError: the measurement that is to be surer is none, or the tolerance of what is trusted.
            ModelError: there is no model, it can't be used, or uv-maps are asked for and it has none.
            ImageError: the file is not a radiograph.
            StorageError: there is no room for the answer's file.
        """
        self._measuring.require(request)
        self._trust.require(request)
        wanted, path, model = _wanted(request), Path(request["image"]), self._model()
        seen = self._memory.look(path, model)
        if wanted == "uv_map":
            _require_uv_maps(seen)
        start = time.perf_counter()
        derived, underived = self._derived(path, model, seen)
        middle = time.perf_counter()
        segmentation = self._segment(seen)
        file = self._file(wanted, seen, segmentation) if wants_file(request) else None
        segmented = time.perf_counter()
        known = self._measuring.first_look(seen)
        self._memory.forget_the_oldest(seen)
        assert seen.landmarks is not None
        result = (seen.landmarks, seen, known)
        measured = self._measuring(*result)
        order = self._measuring.order(request, *result, least_confident_first(seen.landmarks))
        timings = {
            **seen.timings,
            "decode": seen.timings["decode"] + middle - start,
            "segment": segmented - middle,
            "measure": time.perf_counter() - segmented,
        }
        return file, self._json(seen, derived, order, measured, timings, self._trust(request, *result)) | {
            "structures": _structures_to_json(segmentation, seen),
            "underived": underived,
        }

    def _model(self) -> PublishedModel:
        """The first whose file is there. A damaged one refuses to answer; no other answers in its place."""
        if self._segmentation.is_there():
            return self._segmentation
        if not outlines_anything(self._protocol):
            return self._segmentation  # which says what is missing
        if not self._landmarks.is_there():
            raise ModelError(
                f"{self._segmentation.problem()}; a model of 'landmarks' would do meanwhile, by what its landmarks "
                "outline"
            )
        return self._landmarks

    def _segment(self, seen: SeenImage) -> Segmentation:
        if seen.mapped is not None:
            return segment(seen.mapped.predictor)
        assert seen.landmarks is not None
        return outline(self._protocol, seen.landmarks.points, seen.geometry)

    def _file(self, wanted: str, seen: SeenImage, segmentation: Segmentation) -> str:
        if wanted == "landmarks":
            assert seen.landmarks is not None
            return markups_file(seen.landmarks, seen)
        if wanted == "segmentation":
            with answer_file("segmentation_", ".seg.nrrd") as path:
                write_segmentation(segmentation, path)
            return str(path)
        assert seen.mapped is not None
        regions, maps = uv_maps(seen.mapped.predictor)
        with answer_file("uv_map_", ".nrrd") as path:
            write_uv_maps(regions.names, maps, seen.geometry, path)
        return str(path)

    def _derived(
        self, path: Path, model: PublishedModel, seen: SeenImage
    ) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
        """The landmarks that people have added, where they are in this image; and those it is not known of, and why."""
        places, placed = self._places.of(model), self._places.on(path)
        found = [(label, np.array(point), 1.0, Status.CORRECTED) for label, point in placed.items()]
        asked = {label: place for label, place in places.known.items() if label not in placed}
        if asked and seen.mapped is not None:
            points, confidence = carried(seen.mapped.predictor, asked)
            found += [
                (label, point, float(sure), Status.PREDICTED if np.isfinite(point).all() else Status.MISSING)
                for label, point, sure in zip(asked, points, confidence, strict=True)
            ]
        landmarks = [
            {
                **landmark_to_json(label, seen.geometry.pixel_to_world(point), point, sure, status, label in placed),
                "derived": True,
            }
            for label, point, sure, status in found
        ]
        unknown = {label: reason for label, reason in places.unknown.items() if label not in placed}
        return landmarks, [{"label": label, "reason": reason} for label, reason in unknown.items()]

    def _json(
        self,
        seen: SeenImage,
        derived: list[dict[str, Any]],
        order: list[str],
        measured: tuple[Measurement, ...],
        timings: dict[str, float],
        trusted: Trusted,
    ) -> dict[str, Any]:
        assert seen.landmarks is not None
        assert seen.header is not None
        own = landmarks_to_json(seen.landmarks, seen.geometry.pixel_to_world(seen.landmarks.points), trusted)
        return to_json([*own, *derived], seen, describe(seen.header), order, measured, timings, trusted)


def _wanted(request: dict[str, Any]) -> str:
    wanted = request.get("result", RESULTS[0])
    if wanted not in RESULTS:
        raise ConfigError(f"result: expected one of {', '.join(RESULTS)}, got {str(wanted)[:60]!r}")
    return str(wanted)


def _require_uv_maps(seen: SeenImage) -> None:
    if seen.mapped is None:
        assert seen.header is not None
        raise ModelError(
            f"result uv_map: the model {seen.header.config.method} has no uv-maps; POST /train/denseseg makes one "
            "that has"
        )


def _structures_to_json(segmentation: Segmentation, seen: SeenImage) -> list[dict[str, Any]]:
    """How large each structure is; in mm^2 only where it is known what a pixel measures."""
    known = seen.spacing_source is not SpacingSource.UNKNOWN
    area = seen.spacing[0] * seen.spacing[1]
    structures = []
    for index, (name, title, mask) in enumerate(
        zip(segmentation.names, segmentation.titles, segmentation.masks, strict=True)
    ):
        pixels = int(mask.sum())
        size = {"pixels": pixels, "area_mm2": pixels * area if known else None}
        structures.append({"name": name, "title": title, "colour": list(colour(index)), **size})
    return structures
