"""What ``monailabel start_server --app MonaiLabelApp`` loads: protocol, models and datastore, wired together.

Settings, as MONAI Label's ``--conf NAME VALUE``:

- ``protocol``: name of a shipped protocol, or a YAML file. Required.
- ``models``: folder of models; by default ``model`` in this app's folder.
- ``experiment``: what the train task ``farnet`` runs by default; itself by default what made the model in use, else
  ``fpn_shared`` where landmarks recur as the corners of vertebrae do, else ``fpn_light``.
- ``interactive_experiment``: what the train task ``interactive`` runs by default; ``interactive_light``.
- ``segmentation_experiment``: what the train task ``denseseg`` runs by default; ``denseseg_light``.
- ``training_threads``: how many threads a training takes; all cores by default, of low priority.
- when the server trains by itself: see :class:`policy.PolicyOptions`; never by default.
- ``trust``: how probable it is to be that a landmark that is called trusted is within the tolerance; 0.95.
- ``shape_only``: whether labels say how landmarks lie, and not how they look; no.
- ``precision``: in how many bits networks answer, ``auto``, ``fp32``, ``fp16`` or ``bf16``; by default ``fp32``.
- those of the gateway: see :class:`gateway.GatewayOptions`.
- ``index``: URL of a PostgreSQL that holds the label store's index, for several servers on one studies folder. The
  environment's ``LANDMARKLABEL_INDEX`` does not show its password to who lists processes. By default a file.
- where the studies are a DICOMweb server: see :class:`dicomweb.DicomWebOptions`.
"""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

import landmarklabel
from activelearning.knowledge import ImageKnowledge
from activelearning.next_image import NextImages
from activelearning.routes import annotating_routes
from activelearning.strategies import seed_of, strategies
from background import Background, Clicks
from batch import BatchInference, batch_routes
from conf_values import whole, yes_or_no
from datastore import LandmarkDatastore
from dicomweb import SETTINGS as DICOMWEB_SETTINGS
from dicomweb import DicomWebDatastore, DicomWebOptions
from gateway import SETTINGS, GatewayOptions, in_server, install
from gateway.guard import caller_of
from gateway.uploads import PutDown
from history import history_routes
from infers.landmarks import LandmarksTask
from infers.refine import RefineTask
from infers.segmentation import SegmentationTask
from landmarklabel.active.leases import Leases, PutOffImages
from landmarklabel.active.scores import Scores
from landmarklabel.errors import ConfigError, ImageError, LandmarkLabelError, NotFoundError, listed
from landmarklabel.precision import Precision, as_precision, number_type
from landmarklabel.predictor import pick_device
from landmarklabel.protocol import load_protocol, shipped_protocols
from landmarklabel.urls import is_url
from measuring import Measuring
from memory import ImageMemory
from models import PublishedModel
from places import DerivedPlaces
from policy import SETTINGS as POLICY_SETTINGS
from policy import PolicyOptions, TrainingPolicy, known_to, training_routes
from routing import add_routes, start_background
from runs import run_routes
from session_folder import SessionFolder
from shapes import StudyShape
from templates import StudyTemplates
from trainers.base import Workplace
from trainers.denseseg import DenseSegTrainTask
from trainers.farnet import FarnetTrainTask, usual_experiment
from trainers.interactive import InteractiveTrainTask
from trainers.progress import note_parent
from trust import SETTINGS as TRUST_SETTINGS
from trust import Trust

logger = logging.getLogger(__name__)

_SETTINGS = (
    "protocol", "models", "experiment", "interactive_experiment", "segmentation_experiment", "training_threads",
    "shape_only", "precision", "index", *SETTINGS, *DICOMWEB_SETTINGS, *POLICY_SETTINGS, *TRUST_SETTINGS, "server_mode",
)  # fmt: skip


class LandmarkApp(MONAILabelApp):
    """Anatomical landmarks on radiographs."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        try:
            self._read_settings(app_dir, studies, conf)
            super().__init__(
                app_dir=app_dir,
                studies=str(self._dicomweb.studies) if self._dicomweb else studies,
                conf=conf,
                name="landmarklabel",
                description=f"Anatomical landmarks: {self.protocol.title}",
                version=landmarklabel.__version__,
                labels=list(self.protocol.labels),
            )
            if in_server():
                install(self, self._gateway)
        except LandmarkLabelError as problem:
            # Whoever starts the server sees the last line: let it be the sentence, not a traceback.
            logger.error("the server can't start: %s", problem)
            raise SystemExit(f"the server can't start: {problem}") from None
        self._policy = self._training_policy()
        self._auto_update_scoring = False  # MONAI Label's own, a process for every next image
        for task, model in self._published.items():
            problem_text = model.problem()
            logger.info("%s: %s", task, problem_text or f"model {model.predictor()[1].version}")
        if in_server():
            note_parent()
            self._segmentation.prepare()
            self._work_in_the_background()

    def _training_policy(self) -> TrainingPolicy:
        model, folder = self._published["landmarks"], Path(self.datastore().store.layout.images)
        return TrainingPolicy(
            self._policy_options,
            self._study.labels,
            known=lambda: known_to(model, self._study.placed(), folder),
            runs=lambda: {name: task.stats() for name, task in self._trainers.items()},
            file=self._models_folder / self.protocol.name / "policy.json",
        )

    def _work_in_the_background(self) -> None:
        background = Background(
            self._clicks, [*([self._templates] if self._templates else []), self._batch, self._knowledge]
        )
        # To begin a training costs nothing that clicks would wait for.
        self._deciding = Background(Clicks(), [self._policy], lowered=False)
        add_routes(
            history_routes(lambda request: caller_of(request).name),
            annotating_routes(self._next_images),
            batch_routes(self._batch, background.wake),
            run_routes(self._models_folder, self.protocol.name, background.wake),
            training_routes(self._policy, self._trainers),
        )
        store = self.datastore()
        start_background(background, self._deciding, *([store] if isinstance(store, DicomWebDatastore) else []))

    def _read_settings(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        unknown = sorted(set(conf) - set(_SETTINGS))
        if unknown:
            raise ConfigError(f"--conf {listed(unknown)}: unknown; known are {listed(_SETTINGS[:-1])}")
        if not conf.get("protocol"):
            raise ConfigError(
                "which landmarks? start with --conf protocol NAME, one of "
                f"{listed(shipped_protocols(), 20)}, or a YAML file"
            )
        self._gateway = GatewayOptions.of(conf)
        self._dicomweb = DicomWebOptions.of(studies, conf) if is_url(studies) else None
        self.protocol = load_protocol(conf["protocol"])
        self._training_threads, self._policy_options = _threads(conf), PolicyOptions.of(conf)
        self._trust, self._shape_only = Trust.of(conf), yes_or_no(conf, "shape_only")
        self._models_folder = Path(conf.get("models") or Path(app_dir) / "model")
        precision = _precision(conf)
        makers = {"landmarks": "farnet", "refine": "interactive", "segmentation": "denseseg"}
        self._published = {
            task: PublishedModel(self._models_folder, self.protocol, task, trainer, precision)
            for task, trainer in makers.items()
        }

    def init_datastore(self) -> Datastore:
        index = self.conf.get("index") or os.environ.get("LANDMARKLABEL_INDEX", "")
        reload = settings.MONAI_LABEL_DATASTORE_AUTO_RELOAD
        if self._dicomweb:
            return DicomWebDatastore(self._dicomweb, self.protocol, auto_reload=reload, index_url=index)
        return LandmarkDatastore(self.studies, self.protocol, reload, index)

    def init_infers(self) -> dict[str, InferTask]:
        store = self.datastore()
        self._clicks, self._study = Clicks(), StudyShape(store)
        self._templates = None if self._shape_only else StudyTemplates(store, self._study)
        self._init_next_images(store)
        tasks = self._tasks(ImageMemory())
        self._refine, self._segmentation = tasks["refine"], tasks["segmentation"]
        # A batch keeps the latest image only: what annotators work on is not forgotten for it.
        state = self._models_folder / self.protocol.name / "batch.json"
        self._batch = BatchInference(store, self._tasks(ImageMemory(0)), self._version, state)
        return dict(tasks)

    def _tasks(self, memory: ImageMemory) -> dict[str, Any]:
        """The infer tasks, over one memory of images."""
        landmarks, refining, segmenting = (self._published[task] for task in ("landmarks", "refine", "segmentation"))
        places = DerivedPlaces(self.datastore(), memory)
        judging = Measuring(self.protocol), self._trust
        models = (refining, landmarks, segmenting)
        return {
            "landmarks": LandmarksTask(landmarks, memory, *judging),
            "refine": RefineTask(self.protocol, models, memory, self._study, self._templates, *judging),
            "segmentation": SegmentationTask(self.protocol, (segmenting, landmarks), memory, places, *judging),
        }

    def _version(self, task: str) -> str:
        """Of the weights that answer a task.

        Raises:
            ModelError: there are none, or they can't be used.
        """
        order = {"landmarks": ("landmarks",), "segmentation": ("segmentation", "landmarks")}
        models = [self._published[name] for name in order.get(task, ("refine", "landmarks", "segmentation"))]
        return next((model for model in models if model.is_there()), models[0]).predictor()[1].version

    def init_trainers(self) -> dict[str, TrainTask]:
        landmarks, refining = self._published["landmarks"], self._published["refine"]
        runs = self._models_folder / self.protocol.name / "runs"
        studies = self._dicomweb.training if self._dicomweb else Path(self.studies)
        place = Workplace(studies, self.conf["protocol"], runs, self._training_threads, self._shape_only)
        experiment = self.conf.get("experiment") or usual_experiment(landmarks)
        interactive = self.conf.get("interactive_experiment") or "interactive_light"
        segmentation = self.conf.get("segmentation_experiment") or "denseseg_light"
        return {
            "farnet": FarnetTrainTask(landmarks, place, experiment),
            "interactive": InteractiveTrainTask(refining, landmarks, place, interactive),
            "denseseg": DenseSegTrainTask(self._published["segmentation"], place, segmentation),
        }

    def init_strategies(self) -> dict[str, Strategy]:
        return strategies(self._next_images)

    def _init_next_images(self, store: LandmarkDatastore) -> None:
        index = store.store.index
        models = [self._published[task] for task in ("landmarks", "segmentation", "refine")]
        self._knowledge = ImageKnowledge(store, models, Scores(index), self._study)
        self._next_images = NextImages(store, self._knowledge, Leases(index), PutOffImages(index))

    def _load_sessions(self, load: bool = False) -> SessionFolder | None:
        return SessionFolder(settings.MONAI_LABEL_SESSION_PATH, settings.MONAI_LABEL_SESSION_EXPIRY) if load else None

    def on_save_label(self, image_id: str, label_id: str) -> None:
        """MONAI Label tells that a label was saved: who has the image keeps it, or is done with it."""
        self._next_images.saved(image_id)
        self._deciding.wake()

    def info(self) -> dict[str, Any]:
        """What a client needs to know; ``missing`` says which tasks can't answer yet, and why."""
        missing = {
            "landmarks": self._published["landmarks"].problem(),
            "refine": self._refine.problem(),
            "segmentation": self._segmentation.problem(),
        }
        protocol = {
            "name": self.protocol.name,
            "title": self.protocol.title,
            "landmarks": [landmark.model_dump() for landmark in self.protocol.landmarks],
            "structures": [structure.model_dump() for structure in self.protocol.structures],
        }
        store = self.datastore()
        return {
            **super().info(),
            **({"dicomweb": store.dicomweb_info()} if isinstance(store, DicomWebDatastore) else {}),
            "protocol": protocol,
            "active_learning": self._knowledge.progress(),
            "training_policy": self._policy.state(),
            "missing": {task: problem for task, problem in missing.items() if problem is not None},
        }

    @property
    def published(self) -> dict[str, PublishedModel]:
        """The models, by the task that answers with them first of all."""
        return dict(self._published)

    def figures(self) -> dict[str, Any]:
        """What is monitored: ``images``, ``labels`` by tag, ``models`` (version by task, "" without)."""
        status = self.datastore().status()
        versions = {
            task: "" if model.problem() else model.predictor()[1].version for task, model in self._published.items()
        }
        return {"images": status["total"], "labels": status["label_tags"], "models": versions}

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Run an infer task on an image of the datastore, of a session, or sent along.

        Raises:
            NotFoundError: there is no such task or image.
            LandmarkLabelError: the answer is to be saved as a label, and can't be.
        """
        wanted = request.get("model")
        task = self._infers.get(wanted) if isinstance(wanted, str) else None
        if task is None:
            raise NotFoundError(f"there is no model '{wanted}'; there are {listed(self._infers)}")
        store = datastore or self.datastore()
        name, path = request.get("image"), self._image_path(request, store)
        # A file that was sent along has a name of the server's making, which means nothing to who sent it.
        named = not isinstance(name, PutDown)
        shown = str(name) if named else "the file sent"
        try:
            with self._clicks.serving():
                file, params = task({**request, "image": str(path), "image_name": shown})
        except ImageError as problem:
            raise problem if named else type(problem)(str(problem).replace(path.name, shown)) from None
        label, tag = file, request.get("label_tag", "original")
        if request.get("save_label") and named:
            info = {"params": params, "user": request.get("user", "")}
            try:
                label = store.save_label(str(name), file, tag, info)
            except BaseException:
                Path(file).unlink(missing_ok=True)  # nobody is sent it
                raise
        return {"label": label, "tag": tag, "file": file, "params": params}

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """The next image to label, for ``request["client_id"]``; without an ``id``, ``detail`` says why there is none.

        Raises:
            NotFoundError: there is no such strategy.
            ConfigError: the seed or the client's name is none.
        """
        strategy = request.get("strategy") or "mixed"
        if not isinstance(strategy, str) or strategy not in self._strategies:
            raise NotFoundError(f"there is no strategy '{strategy}'; there are {listed(self._strategies)}")
        seed_of(request)
        sample: dict[str, Any] = self._strategies[strategy](request, self.datastore())
        return sample

    def batch_infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """A batch from its beginning to its end; see :class:`~batch.BatchInference`."""
        self._batch.submit(request.get("model", ""), request.get("images", "all"), request)
        while self._batch.step():
            pass
        return self._batch.state()

    def bundle_path(self, model: str) -> None:
        """MONAI Label asks this of every task that is submitted: the one place to refuse an unknown one.

        Raises:
            NotFoundError: there is no such task.
        """
        if model is not None and model not in {**self._trainers, **self._infers}:
            raise NotFoundError(f"there is no train task '{model}'; there are {listed(self._trainers)}")

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a train task, usually in a process of its own, whose last line says what went wrong.

        Raises:
            LandmarkLabelError: in the server's own process.
        """
        try:
            if request.get("model") not in self._trainers:
                raise NotFoundError(f"there is no train task '{request.get('model')}'; try {listed(self._trainers)}")
            store = self.datastore()
            with store.for_training() if isinstance(store, DicomWebDatastore) else nullcontext():
                stats: dict[str, Any] = super().train(request)
            return stats
        except LandmarkLabelError as problem:
            if in_server():
                raise
            raise SystemExit(f"training failed: {problem}") from None

    def _image_path(self, request: dict[str, Any], store: Datastore) -> Path:
        """The file of ``request["image"]``: an id of the store, or a file that the server itself has put down."""
        name = request.get("image")
        if isinstance(name, PutDown):
            return name
        if not isinstance(name, str) or not name:
            raise NotFoundError("which image? give image=ID or the id of an open session, or send a file")
        assert isinstance(store, LandmarkDatastore)
        return store.require_image(name)


def _precision(conf: dict[str, str]) -> Precision:
    """In how many bits networks answer.

    Raises:
        ModelError: there is no such precision, or the device is not made for it.
    """
    precision = as_precision(conf.get("precision") or "fp32")
    number_type(precision, pick_device())
    return precision


def _threads(conf: dict[str, str]) -> int:
    """How many threads a training takes.

    Raises:
        ConfigError: it is no number, or more than there are cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return whole(conf, "training_threads", cores, least=1, most=cores)
