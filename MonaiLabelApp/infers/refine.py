"""Infer task ``refine``: what the reader placed stays exactly there, and the rest follows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask

from answers import answer, describe, wants_file
from infers.corrections import Corrections, read_corrections, session_of
from landmarklabel.engine.interaction import takes_templates
from landmarklabel.interaction.evidence import MapEvidence
from landmarklabel.interaction.hypotheses import renamings
from landmarklabel.interaction.posterior import Posterior, PosteriorConfig
from landmarklabel.interaction.refinement import Refinement, refine
from landmarklabel.interaction.refiners import Measured, Refiner
from landmarklabel.interaction.shape_prior import ShapePrior
from landmarklabel.measurements.uncertainty import readers_noise
from landmarklabel.protocol import Protocol
from measuring import Measuring
from memory import ImageMemory, SeenImage
from models import PublishedModel
from sessions import SessionImages
from shapes import StudyShape
from templates import Said, StudyTemplates
from trust import Trust


class RefineTask(InferTask):
    """Corrections in, all landmarks out.

    The interactive model sees the corrections, by a pass for each change of them; where there is none, the maps of the
    model of ``landmarks``, or else of ``segmentation``, are read again in their light, together with how landmarks look
    in the study's own labels; where there is no model at all, the labels answer alone, by shape and look; and without a
    label either, nothing moves, and all is to be placed.

    Args:
        protocol: of the landmarks.
        models: the interactive one, then those whose maps stand in for it, the first first.
        memory: of what they have seen.
        study: the shape of the study's own labels.
        templates: how landmarks look in these; None where that does not count.
        measuring: of what is answered.
        trust: in what is answered.
    """

    def __init__(
        self,
        protocol: Protocol,
        models: Sequence[PublishedModel],
        memory: ImageMemory,
        study: StudyShape,
        templates: StudyTemplates | None,
        measuring: Measuring,
        trust: Trust,
    ) -> None:
        super().__init__(
            type="others",
            labels=list(protocol.labels),
            dimension=2,
            description=f"Landmarks that follow corrections: {protocol.title}",
        )
        self._protocol, self._models, self._memory, self._study = protocol, models, memory, study
        self._templates, self._sessions, self._renamings = templates, SessionImages(), renamings(protocol)
        self._measuring, self._trust = measuring, trust

    def is_valid(self) -> bool:
        """Whether there is something to answer by; /info/ lists the task only then."""
        return self.problem() is None

    def problem(self) -> str | None:
        """Why it can't answer, in a sentence; None if it can."""
        model = self._model()
        return None if model is None else model.problem()

    def get_path(self, validate: bool = True) -> str | None:
        """The file of the model that answers; None without one."""
        model = self._model()
        return None if model is None else str(model.path)

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Answer for the file ``request["image"]``, by its :class:`~infers.corrections.Corrections`.

        Raises:
            LabelError: a correction that is no point of the image, or of a label that the protocol has not; or the
                measurement that is to be surer is none, or the tolerance of what is trusted.
            ConflictError: the session is of another image.
            ModelError: the model is damaged or for another protocol.
            ImageError: the file is not a radiograph.
            StorageError: there is no room for the answer's file.
        """
        self._measuring.require(request)
        self._trust.require(request)
        seen = self._memory.look(Path(request["image"]), self._model())
        name, session = str(request.get("image_name", "the image")), session_of(request)
        if session is not None:
            self._sessions.require(session, seen.content, name)
        asked = read_corrections(request, self._protocol, seen.geometry)
        shape = self._shape(seen.shape)
        start = time.perf_counter()
        evidence = seen.given(asked.clicks(self._protocol), asked.session, asked.previous)
        self._memory.forget_the_oldest(seen)
        middle = time.perf_counter()
        said = self._looks(Path(request["image"]), seen, evidence, begun=bool(asked.placed or asked.missing))
        refined = self._refined(asked, seen, shape, evidence, said.evidence if said else None)
        if session is not None:  # only now: what was refused binds no session
            self._sessions.note(session, seen.content, name)
        decoded = time.perf_counter()
        result = (refined.landmarks, seen, refined.known)
        measured = self._measuring(*result)
        order = self._measuring.order(request, *result, refined.review_order)
        trusted = self._trust(request, *result)
        timings = {
            **seen.timings,
            "network": seen.timings["network"] + (middle - start if seen.clicked else 0.0),
            "decode": seen.timings["decode"] + decoded - middle,
            "measure": time.perf_counter() - decoded,
        }
        source, with_file = self._source(seen, shape, said), wants_file(request)
        return answer(refined.landmarks, seen, source, order, measured, timings, trusted, asked.given, with_file)

    def _model(self) -> PublishedModel | None:
        """The first whose file is there. A damaged one refuses to answer; no other answers in its place."""
        return next((model for model in self._models if model.is_there()), None)

    def _shape(self, of_model: ShapePrior | None) -> ShapePrior:
        """Of the study's own labels or of the model's, whichever are more."""
        shapes = [shape for shape in (self._study.shape(), of_model) if shape is not None]
        return max(shapes, key=lambda shape: shape.labels, default=ShapePrior.of_nothing(len(self._protocol)))

    def _looks(self, image: Path, seen: SeenImage, evidence: MapEvidence | None, begun: bool) -> Said | None:
        """What maps and templates say together; None where templates would add nothing."""
        if self._templates is None or not takes_templates(None if seen.header is None else seen.header.config.network):
            return None
        return self._templates.say(image, evidence, begun)

    def _refined(
        self,
        asked: Corrections,
        seen: SeenImage,
        shape: ShapePrior,
        evidence: MapEvidence | None,
        looks: MapEvidence | None,
    ) -> Refinement:
        config = seen.header.config.posterior if seen.header else PosteriorConfig()
        radius = self._protocol.radii[0] / float(np.mean(seen.spacing))
        noise = readers_noise(self._protocol, seen.spacing)
        prior = shape.in_pixels(seen.geometry.size)
        refiner: Refiner = Posterior(prior, evidence, config, self._renamings)
        if looks is not None:
            refiner = Measured(Posterior(prior, looks, config), refiner)
        return refine(
            refiner,
            self._protocol,
            asked.placed,
            asked.missing,
            tolerance=radius,
            noise=noise,  # the others follow what was placed no more closely than that
            unknown=None if evidence is not None else ~shape.known,
        )

    def _source(self, seen: SeenImage, shape: ShapePrior, said: Said | None) -> dict[str, Any]:
        """What the answer comes from; without a network it says so."""
        model = {"name": "shape prior, no network"} if seen.header is None else describe(seen.header)
        known = {"look_of_labels": said.labels} if said and said.labels else {}
        return {**model, "shape_of_labels": shape.labels, **known}
