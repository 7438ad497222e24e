"""The one training engine: a configuration and a data set in, a run folder out.

Built on MONAI's trainer and evaluator. Everything random follows from the seed and the number of the epoch, so that
a run that was killed and resumed ends with the same weights as one that was not (on the CPU, to the last bit).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from torch.utils.data import DataLoader, DistributedSampler

from ..errors import ConfigError, ModelError, listed
from ..interaction.lowrank import LowRankGaussian
from ..interaction.shape_prior import FEWEST_LABELS, ShapePrior
from ..io.dataset import Case, LandmarkDataset
from ..losses import (
    DenseLoss,
    HeatmapLoss,
    MorphologyLoss,
    MorphologySets,
    TrainingLoss,
    isotropic,
    positive_weights,
)
from ..metrics import summarize
from ..modelfile import load_model, read_header, save_model
from ..networks import FPN, DenseSeg, DenseSegConfig, InteractiveNetwork, LandmarkNetwork, build_network
from ..predictor import pick_device, readout_of, require_protocol
from ..transforms import Augmentation
from ..transforms.intensity import to_network
from ..uvmaps import Regions
from .budget import Budget
from .calibration import calibrate
from .checkpoint import load_state, save_state
from .clicks import TrainingClicks
from .config import ExperimentConfig, OptimizerConfig
from .data import (
    Item,
    MaskReader,
    TrainingImages,
    describe_data,
    fit_input,
    learn_shape,
    learned_from,
    training_and_validation,
)
from .metric import RadialError
from .precision import Precision
from .progress import Progress
from .report import EpochReport, RunReporter, draw_validation
from .runfolder import RunFolder

Batch = tuple[Any, ...]

#: A state to resume from is written when this much time has passed since the last, in seconds, and at the end.
STATE_INTERVAL_S = 60.0


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Attributes:
        model: the file with the best epoch's weights.
        best_epoch: counted from 1.
        metrics: of the best epoch on the validation images.
        validation: the images by which it was chosen.
        epochs: how many were run in all.
    """

    model: Path
    best_epoch: int
    metrics: dict[str, Any]
    validation: tuple[Case, ...] = field(repr=False)
    epochs: int


@dataclass
class _Run:
    """What changes while a run goes on, beside weights."""

    best_epoch: int = 0
    since_best: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The least mean radial error on the validation images so far."""
        return self.metrics.get("val_mre", math.inf)


class Trainer:
    """One training run; see :func:`train`."""

    def __init__(
        self,
        config: ExperimentConfig,
        dataset: LandmarkDataset,
        out: Path,
        device: str | torch.device | None = None,
        start_from: Path | None = None,
        on_epoch: Callable[[EpochReport], None] | None = None,
        quiet: bool = False,
        seconds: float | None = None,
    ) -> None:
        self.config, self.dataset, self.folder = config, dataset, RunFolder(out)
        self.device = idist.device() if idist.get_world_size() > 1 else pick_device(device)
        self.start_from, self.on_epoch = start_from, on_epoch
        self.known_before: dict[str, Any] = {}
        self.progress = Progress(quiet or not self.chief)
        if seconds is not None and idist.get_world_size() > 1:
            raise ConfigError("seconds: a run on several devices goes by its epochs, not by the clock")
        self.run, self.budget = _Run(), Budget(seconds)
        self.state_written = time.monotonic()

    @property
    def chief(self) -> bool:
        """Whether this process writes the run folder; all do the same work otherwise."""
        return idist.get_rank() == 0

    def train(self) -> TrainingResult:
        self.training_cases, self.validation_cases = training_and_validation(self.dataset, self.config)
        self._look_at_start()
        self.config = fit_input(self.config, self.training_cases)
        self.folder.create()
        with self.folder.locked() if self.chief else nullcontext():
            if self.chief:
                self.folder.remember(self.config, self._names_of_data())
            torch.manual_seed(self.config.seed)
            self._prepare_data()
            self._prepare_network()
            self._resume()
            try:
                self._run_epochs()
            finally:
                self.progress.close()
            if self.chief and self.folder.model.is_file():
                calibrate(self.folder.model, self.validation_cases, self.config.posterior)
        idist.barrier()  # the first process writes the model that all of them name
        return self._result()

    def _look_at_start(self) -> None:
        """What the weights to start from know, which must be nothing that is validated by."""
        if self.start_from is None:
            return
        header = read_header(self.start_from)
        self.known_before = {key: header.data[key] for key in ("seen", "trained") if key in header.data}
        learned = learned_from(header.data, self.validation_cases)
        if learned:
            raise ConfigError(
                f"{self.start_from.name} has learned from {len(learned)} of the {len(self.validation_cases)} images "
                f"that are to validate this run ({listed(case.id for case in learned)}), on which it looks better than "
                f"it is; take the seed ({header.config.seed}) and the validation of its own run, or leave out "
                "--start-from"
            )

    def _names_of_data(self) -> dict[str, Any]:
        """What must be the same for a run to go on: figures of epochs on other images can't be compared."""
        return {
            "protocol": self.dataset.protocol.fingerprint,
            "labels": self.dataset.fingerprint,
            "validation": [case.id for case in self.validation_cases],
        }

    def _prepare_data(self) -> None:
        training, validation = self.training_cases, self.validation_cases
        masks = self._mask_reader()
        with self.progress.reading(len(training) + len(validation)) as advance:
            self.training = TrainingImages(training, self.config.input, advance, masks)
            self.validation = TrainingImages(validation, self.config.input, advance)
        self.shape = learn_shape(training)
        self.augmentation = Augmentation(
            self.config.augmentation, self.dataset.protocol, masks.regions if masks else None
        )
        self.generator = torch.Generator()
        # Orders of epochs come from the sampler's own seed and epoch, on one device as on several.
        sampler: DistributedSampler[Item] = DistributedSampler(
            self.training, idist.get_world_size(), idist.get_rank(), shuffle=True, seed=self.config.seed
        )
        self.loader = DataLoader(self.training, self.config.batch_size, sampler=sampler)

    def _mask_reader(self) -> MaskReader | None:
        """What reads label images; None where there are none, or the network does not segment."""
        network, protocol = self.config.network, self.dataset.protocol
        if not isinstance(network, DenseSegConfig) or not any(case.segmentation for case in self.training_cases):
            return None
        return MaskReader(protocol, Regions.of(protocol, network.structures), network.stride)

    def _prepare_network(self) -> None:
        self.network = self._initial_network().place(self.device)
        if isinstance(self.network, FPN) and self.network.shared:
            self.network.learn_shape(self._shape_in_input())
        parallel = torch.nn.parallel.DistributedDataParallel
        self.model = parallel(self.network) if idist.get_world_size() > 1 else self.network
        self.precision = Precision(self.config.amp, self.device)
        self.clicks = TrainingClicks(self.config.clicks, self.config.loss.sigma, self.config.decoder)
        self.loss = self._loss().to(self.device)
        settings = self.config.optimizer
        optimizer = getattr(torch.optim, settings.name)
        self.optimizer: torch.optim.Optimizer = optimizer(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda epoch: learning_rate_factor(
                settings, self.budget.epochs_done(epoch, self.config.epochs), self.config.epochs
            ),
        )

    def _loss(self) -> torch.nn.Module:
        self.morphology: MorphologySets | None = None
        if isinstance(self.network, DenseSeg):
            size, power = self.config.input.size, self.config.dense.positive
            weights = positive_weights(self.network, self._training_points(), size, power)
            return DenseLoss(self.config.dense, self.network, weights)
        return TrainingLoss(HeatmapLoss(self.config.loss, self.network.strides), self._morphology_loss())

    def _shape_in_input(self) -> LowRankGaussian:
        """Where landmarks lie in labels, in pixels of the network's input."""
        points, size = self._training_points().double().numpy(), self.config.input.size
        learn = ShapePrior.fit if len(points) >= FEWEST_LABELS else ShapePrior.of_few
        return learn(points, np.tile(size, (len(points), 1))).in_pixels(size)

    def _training_points(self) -> torch.Tensor:
        """(N, K, 2) of the images with landmarks."""
        cases = enumerate(self.training.cases)
        return torch.stack([self.training[index]["points"] for index, case in cases if case.points is not None])

    def _morphology_loss(self) -> MorphologyLoss | None:
        config = self.config.morphology
        if config.criterion == "none":
            return None
        if config.of_sets:
            items = [self.training[index] for index in range(len(self.training))]
            points, unit = (torch.stack([item[name] for item in items]) for name in ("points", "unit"))
            self.morphology = MorphologySets.choose(
                isotropic(points, unit).double().numpy(), config, self.dataset.protocol
            )
            if not (self.morphology.pairs or self.morphology.triplets):
                raise ConfigError(
                    f"morphology: the criterion {config.criterion} takes no pair and no triplet of landmarks of "
                    f"{self.dataset.protocol.name}"
                )
        stride, sigma = self.network.strides[-1], self.config.loss.sigma
        return MorphologyLoss(config, self.morphology, stride, sigma, logits=self.config.loss.name == "bce")

    def _initial_network(self) -> LandmarkNetwork:
        if self.start_from is None:
            network = build_network(self.config.network, self.dataset.protocol)
            if isinstance(network, DenseSeg):
                network.learn_template(self._training_points())
            return network
        network, header, _ = load_model(self.start_from)
        require_protocol(header, self.dataset.protocol, self.start_from.name)
        old, new = (c.network.model_dump(exclude={"pretrained"}) for c in (header.config, self.config))
        if old != new:
            raise ModelError(f"{self.start_from.name} holds another network than this run trains; start from none")
        if (
            isinstance(network, FPN)
            and network.shared
            and network.kinds.tolist() != self.dataset.protocol.kinds.tolist()
        ):
            raise ModelError(
                f"{self.start_from.name}: other landmarks are of one kind than in this protocol; start from none"
            )
        return network

    def _resume(self) -> None:
        self.first_epoch = 0
        if not self.folder.state.exists():
            return
        state = load_state(self.folder.state)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.run = _Run(**state["run"])
        self.known_before = state.get("known_before", self.known_before)
        self.first_epoch = state["epoch"]
        # The schedule's own rate is that of a run of as many epochs as before; this one may be longer.
        settings = self.config.optimizer
        for group in self.optimizer.param_groups:
            factor = learning_rate_factor(settings, self.first_epoch, self.config.epochs)
            group["lr"] = settings.learning_rate * factor

    def _run_epochs(self) -> None:
        if self.first_epoch >= self.config.epochs or self._out_of_patience():
            return
        self._make_engines()
        self.progress.start(self.config.epochs * len(self.loader), self.first_epoch * len(self.loader))
        self.trainer.state.epoch = self.first_epoch
        self.trainer.state.iteration = self.first_epoch * len(self.loader)
        self.trainer.state.max_epochs = self.config.epochs
        self.budget.begin()
        with self.reporter:
            self.trainer.run()

    def _make_engines(self) -> None:
        self.evaluator = SupervisedEvaluator(
            device=self.device,
            val_data_loader=DataLoader(self.validation, self.config.batch_size),
            network=self.network,
            prepare_batch=self._validation_batch,
            decollate=False,
            amp=self.precision.scaled,
        )
        readout = readout_of(self.network, self.config)
        self.metric = RadialError(readout, output_transform=lambda output: (output["pred"][-1], *output["label"]))
        self.metric.attach(self.evaluator, "val_mre")
        self.trainer = SupervisedTrainer(
            device=self.device,
            max_epochs=self.config.epochs,
            train_data_loader=self.loader,
            network=self.model,
            optimizer=self.optimizer,
            loss_function=self.loss,
            prepare_batch=self._training_batch,
            decollate=False,
            inferer=self.precision.inferer,
            amp=self.precision.scaled,
            optim_set_to_none=True,
        )
        self.reporter = RunReporter(self.folder, self.trainer, self.evaluator, enabled=self.chief)
        self.trainer.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self._after_step)
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)

    def _training_batch(self, batch: Item, device: torch.device, non_blocking: bool, **_: Any) -> Batch:
        images = batch["image"].to(device, non_blocking=non_blocking).float()
        points, unit = (batch[name].to(device, non_blocking=non_blocking) for name in ("points", "unit"))
        masks = batch["masks"].to(device, non_blocking=non_blocking) if "masks" in batch else None
        images, points, masks = self.augmentation.vary(images, points, masks, self.generator)
        inputs = self._inputs(images)
        targets = (points, unit) if masks is None else (points, unit, masks)
        if not isinstance(self.network, InteractiveNetwork):
            return inputs, targets
        with self.precision.autocast():
            hints = self.clicks(self.network, inputs, points, unit, self.generator)
        return inputs, targets, hints, {}

    def _validation_batch(self, batch: Item, device: torch.device, non_blocking: bool, **_: Any) -> Batch:
        images = batch["image"].to(device, non_blocking=non_blocking).float()
        return self._inputs(images), (batch["points"].to(device), batch["unit"].to(device))

    def _inputs(self, images: torch.Tensor) -> torch.Tensor:
        inputs = to_network(images, self.network.normalisation)
        return inputs.contiguous(memory_format=self.network.memory_format)

    def _start_epoch(self, engine: Engine) -> None:
        seed = (self.config.seed * 1_000_003 + engine.state.epoch) * 101 + idist.get_rank()
        torch.manual_seed(seed)  # dropout
        self.generator.manual_seed(seed)  # augmentation, clicks
        self.epoch_started = time.perf_counter()
        self.losses: list[float] = []

    def _after_step(self, engine: Engine) -> None:
        loss = engine.state.output["loss"].item()
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss became {loss} in epoch {engine.state.epoch}; try a lower learning rate "
                f"(it is {self.config.optimizer.learning_rate:g})"
            )
        self.losses.append(loss)
        self.progress.step(loss, self.run.best)

    def _end_epoch(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        row: dict[str, Any] = {
            "epoch": epoch,
            "loss": sum(self.losses) / len(self.losses),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
        }
        self.schedule.step()
        over = self.budget.is_over
        last = over or epoch == self.config.epochs
        if last or (epoch % self.config.validation.every == 0 and self.budget.allows_validation):
            start = time.monotonic()
            row.update(self._validate(epoch))
            self.budget.note_validation(time.monotonic() - start)
        row["seconds"] = round(time.perf_counter() - self.epoch_started, 3)
        self.run.history.append(row)
        stop = over or self._out_of_patience()
        if self.chief:
            self.folder.write_history(self.run.history, {"best_epoch": self.run.best_epoch, **self.run.metrics})
            self._save_state(epoch, last=stop or last)
            if self.on_epoch:
                best = self.run.best_epoch, dict(self.run.metrics)
                self.on_epoch(EpochReport(self.config.epochs, dict(row), *best, self.budget.left))
        if stop:
            engine.terminate()

    def _validate(self, epoch: int) -> dict[str, float]:
        self.evaluator.run()
        # Every process validates on everything; what the first found decides for all.
        mre = float(idist.broadcast(self.evaluator.state.metrics["val_mre"], src=0))
        summary = summarize(self.metric.errors.numpy(), self.dataset.protocol.radii)
        row = {"val_mre": mre, **{f"val_sdr_{radius:g}": rate for radius, rate in summary.sdr.items()}}
        self.run.since_best += 1
        if mre < self.run.best:
            self.run.metrics, self.run.best_epoch, self.run.since_best = row, epoch, 0
            if self.chief:
                self._save_model()
        if self.chief and self.config.validation.pictures:
            shown = range(min(self.config.validation.pictures, len(self.validation)))
            draw_validation(self.folder, epoch, [self.validation[i] for i in shown], self.metric.predicted)
        return row

    def _save_model(self) -> None:
        data = describe_data(self.dataset, self.training_cases, self.validation_cases, self.known_before)
        metrics = {**self.run.metrics, "epoch": self.run.best_epoch, "unit": self.validation.unit_name}
        protocol = self.dataset.protocol
        save_model(self.folder.model, self.network, self.config, protocol, data, metrics, self.shape, self.morphology)

    def _save_state(self, epoch: int, last: bool) -> None:
        if not last and time.monotonic() - self.state_written < STATE_INTERVAL_S:
            return
        state = {
            "epoch": epoch,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "run": asdict(self.run),
            "known_before": self.known_before,
        }
        save_state(self.folder.state, state)
        self.state_written = time.monotonic()

    def _out_of_patience(self) -> bool:
        patience = self.config.validation.patience
        return 0 < patience <= self.run.since_best

    def _result(self) -> TrainingResult:
        if not self.folder.model.is_file():
            raise ModelError(f"{self.folder.path} holds a run that is over, but its model is gone; give another --out")
        return TrainingResult(
            self.folder.model, self.run.best_epoch, dict(self.run.metrics), self.validation_cases, len(self.run.history)
        )


def train(config: ExperimentConfig, dataset: LandmarkDataset, out: Path, **options: Any) -> TrainingResult:
    """Train, or go on with the run that is in ``out``.

    Args:
        config: of the run.
        dataset: labelled images.
        out: the run folder.
        options: ``device``; ``start_from``, a model file whose weights to start from; ``on_epoch``, called with an
            :class:`EpochReport` after each epoch; ``quiet``, no progress bar; ``seconds`` that the epochs may take, by
            which the learning rate's schedule then goes, too.

    Raises:
        DataError: too few labelled images.
        ConfigError: ``out`` holds another run, or another process uses it; or ``seconds`` on several devices; or the
            weights to start from have learned from images that are to validate.
        StorageError: the disk is full, or ``out`` can't be written.
        ModelError: the loss became NaN, or ``start_from`` does not fit.
    """
    return Trainer(config, dataset, out, **options).train()


def learning_rate_factor(settings: OptimizerConfig, epoch: float, epochs: int) -> float:
    """By what to multiply the learning rate after ``epoch`` finished epochs of ``epochs``."""
    done = epoch / epochs
    if settings.schedule == "step":
        return settings.factor ** sum(done >= step for step in settings.steps)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0))) if settings.schedule == "cosine" else 1.0
