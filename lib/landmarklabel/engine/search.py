"""Search for the loss weights of a network with masks and uv-maps: DenseSeg, Section 3.4, by Optuna's TPE.

Each trial is one training run with other weights, each in [0, 1], and is measured on the run's validation images: the
overlap of structures (DSC) and the mean radial error of landmarks. What is best in both at once is the Pareto front.

Which weights a trial has follows from the seed and from the trials before it, so that a search that was cut off and is
started again has the same trials as one that was not: the trial that was cut off is repeated, its training resumed. On
the CPU their figures are the same to the last bit; on a GPU as near as trainings are there. Another version of Optuna
may choose other weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError, ModelError
from ..files import atomic_path, atomic_write, storage_errors, to_json
from ..io.dataset import LandmarkDataset
from ..predictor import Predictor, pick_device
from .config import ExperimentConfig
from .evaluation import evaluate, machine
from .runfolder import RunFolder
from .segmentation_evaluation import evaluate_segmentation
from .trainer import TrainingResult, train

if TYPE_CHECKING:
    import optuna

#: Of the loss, each in [0, 1].
WEIGHTS = ("segmentation", "mapping", "variation")

RULE = (
    "of the trials that no other beats in both DSC and error, the one nearest to the best DSC and the least error of "
    "them, each scaled by its range among them; of several the first"
)

_INDEX, _PROBLEM, _RUN = "index", "problem", "run"


@dataclass(frozen=True)
class SearchTrial:
    """One training run of a search.

    Attributes:
        number: from 0.
        weights: of the loss, by name.
        dsc: mean over validation images, from 0 to 1.
        mre: mean radial error on the validation images, in the search's unit.
        best_epoch: by which the run is measured.
    """

    number: int
    weights: dict[str, float]
    dsc: float
    mre: float
    best_epoch: int


@dataclass(frozen=True)
class SearchResult:
    """What a search has found.

    Attributes:
        trials: those that could be measured.
        failed: number and reason of those that could not, whose training diverged.
        front: numbers of the trials on the Pareto front, by DSC.
        recommended: the trial that the rule :data:`RULE` takes.
        config: the run that was searched for, of all its epochs, with these weights.
        unit: of errors: mm or px.
    """

    trials: tuple[SearchTrial, ...]
    failed: dict[int, str]
    front: tuple[int, ...]
    recommended: SearchTrial
    config: ExperimentConfig
    unit: str


def pareto_front(dsc: ArrayLike, mre: ArrayLike) -> NDArray[np.intp]:
    """Which of N trials no other beats: none has both a DSC as great and an error as small, and one of them better.

    Returns:
        their places, by rising DSC; of equal ones all.
    """
    gain, loss = np.asarray(dsc, dtype=np.float64), np.asarray(mre, dtype=np.float64)
    as_good = (gain >= gain[:, None]) & (loss <= loss[:, None])
    better = (gain > gain[:, None]) | (loss < loss[:, None])
    front = np.flatnonzero(~(as_good & better).any(axis=1))
    return front[np.lexsort((front, gain[front]))]


def compromise(dsc: ArrayLike, mre: ArrayLike) -> int:
    """Place of the trial that is recommended: see :data:`RULE`."""
    front = np.sort(pareto_front(dsc, mre))
    away = [_scaled(-np.asarray(dsc, dtype=np.float64)[front]), _scaled(np.asarray(mre, dtype=np.float64)[front])]
    return int(front[np.hypot(*away).argmin()])


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0, the least, to 1, the greatest."""
    span = np.ptp(values)
    return (values - values.min()) / span if span > 0 else np.zeros_like(values)


def search(
    config: ExperimentConfig,
    dataset: LandmarkDataset,
    out: Path,
    trials: int,
    seed: int = 0,
    epochs: int | None = None,
    device: str | torch.device | None = None,
    on_trial: Callable[[SearchTrial], None] | None = None,
) -> SearchResult:
    """Search, or go on with the search that is in ``out``.

    Writes ``search.db`` (Optuna's storage), ``trials/N`` (run folders), and after each trial ``search.json``,
    ``pareto.png`` and ``best.yaml``, an experiment to train.

    Args:
        config: of the run; its own weights of the loss do not matter.
        dataset: labelled images. Those of the split that the configuration tests on are never looked at.
        trials: how many in all, those that are there included.
        seed: of the weights; that of each training is the configuration's.
        epochs: of each trial, if not the configuration's.
        on_trial: called after each.

    Raises:
        ConfigError: Optuna is not installed, the network has no uv-maps, ``out`` holds another search, or another
            process uses it.
        DataError: too few labelled images.
        ModelError: there is no such device, or no trial could be measured.
        StorageError: the disk is full, or ``out`` can't be written.
    """
    if config.network.name != "denseseg":
        raise ConfigError(
            f"the loss weights that are searched for are those of denseseg; this run trains {config.network.name}"
        )
    one = _Search(config, dataset, out, seed, epochs, device)
    with storage_errors(out / "search.db", "the search"):
        out.mkdir(parents=True, exist_ok=True)
    with RunFolder(out).locked():
        one.open()
        for trial in one.remaining(trials):
            if on_trial and trial is not None:
                on_trial(trial)
        return one.result()


class _Search:
    """One search; see :func:`search`."""

    def __init__(
        self,
        config: ExperimentConfig,
        dataset: LandmarkDataset,
        out: Path,
        seed: int,
        epochs: int | None,
        device: str | torch.device | None,
    ) -> None:
        self._config, self._out, self._seed, self._device = config, out, seed, pick_device(device)
        self._short = config if epochs is None else config.model_copy(update={"epochs": epochs})
        tested = config.test_on
        self._data = dataset if tested is None else dataset.subset(lambda case: case.split != tested)

    def open(self) -> None:
        """Open the storage; a trial that was cut off counts as none.

        Raises:
            ConfigError: Optuna is not installed, or the storage holds another search.
        """
        self._optuna = _optuna()
        self._study = self._study_in(self._out / "search.db")
        run = self._what_is_searched()
        known = self._study.user_attrs.get(_RUN)
        if known is not None and known != run:
            different = sorted(key for key in run if known.get(key) != run[key])
            raise ConfigError(
                f"{self._out} holds a search with another {', '.join(different)}; resume with the same, or give "
                "another --out"
            )
        self._study.set_user_attr(_RUN, run)
        state = self._optuna.trial.TrialState
        for trial in self._study.get_trials(states=(state.RUNNING,)):
            self._study.tell(trial.number, state=state.FAIL)

    def _study_in(self, path: Path) -> optuna.Study:
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        try:
            return self._optuna.create_study(
                storage=f"sqlite:///{path.resolve()}",
                study_name="loss weights",
                directions=["maximize", "minimize"],
                load_if_exists=True,
            )
        except Exception as problem:  # of SQLAlchemy and Alembic, which have no common one
            reason = str(problem).splitlines()[0]
            raise ConfigError(f"{path} can't be read as a search ({reason}); give another --out") from problem

    def _what_is_searched(self) -> dict[str, Any]:
        """What must be the same for a search to go on."""
        settings = self._short.model_dump(mode="json")
        weights = dict.fromkeys(WEIGHTS)
        content = {key: value for key, value in settings.items() if key not in ("epochs", "dense")}
        return {
            "configuration": {**content, "dense": {**settings["dense"], **weights}},
            "number of epochs": self._short.epochs,
            "seed": self._seed,
            "data set": [self._data.protocol.fingerprint, self._data.fingerprint],
        }

    def remaining(self, trials: int) -> Iterator[SearchTrial | None]:
        """Run trials until there are so many; each is yielded once it is written, None in place of a failed one."""
        while len(self._finished()) < trials:
            yield self._one(len(self._finished()))
            self._write()

    def _finished(self) -> list[optuna.trial.FrozenTrial]:
        """Trials that ran to their end, in their order, also those whose training diverged."""
        complete = self._optuna.trial.TrialState.COMPLETE
        return [each for each in self._study.trials if each.state == complete or _PROBLEM in each.user_attrs]

    def _one(self, index: int) -> SearchTrial | None:
        # A sampler of its own for each trial: what it draws depends on the seed and the trials before, not on when the
        # search was started again.
        own = int(np.random.SeedSequence([self._seed, index]).generate_state(1)[0])
        self._study.sampler = self._optuna.samplers.TPESampler(seed=own)
        trial = self._study.ask()
        trial.set_user_attr(_INDEX, index)
        weights = {name: trial.suggest_float(name, 0.0, 1.0) for name in WEIGHTS}
        folder = RunFolder(self._out / "trials" / f"{index:03d}")
        try:
            found = self._measured(self._trained(weights, folder))
        except ModelError as problem:
            trial.set_user_attr(_PROBLEM, str(problem))
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            return None
        for key, value in found.items():
            trial.set_user_attr(key, value)
        self._study.tell(trial, (found["dsc"], found["mre"]))
        folder.state.unlink(missing_ok=True)  # the greater part of a run, for going on with it
        return SearchTrial(index, weights, found["dsc"], found["mre"], found["best_epoch"])

    def _trained(self, weights: dict[str, float], folder: RunFolder) -> TrainingResult:
        return train(self._with(self._short, weights), self._data, folder.path, device=self._device, quiet=True)

    def _with(self, config: ExperimentConfig, weights: dict[str, float]) -> ExperimentConfig:
        return config.model_copy(update={"dense": config.dense.model_copy(update=weights)})

    def _measured(self, run: TrainingResult) -> dict[str, Any]:
        """Figures on the run's validation images.

        Raises:
            ModelError: one is not a number.
        """
        predictor = Predictor.load(run.model, self._device)
        cases = [case for case in run.validation if case.has_landmarks]
        radial = evaluate(predictor, cases)
        dsc = evaluate_segmentation(predictor, cases).figures()["overall"]["dsc"]["mean"]
        mre = radial.summary().mre
        if not np.isfinite([dsc, mre]).all():
            raise ModelError(f"DSC {dsc:g} and error {mre:g} on the validation images")
        best = {"best_epoch": run.best_epoch, "unit": radial.unit, "validation_images": len(cases)}
        return {"dsc": float(dsc), "mre": float(mre), **best}

    def result(self) -> SearchResult:
        """What the trials so far have found.

        Raises:
            ModelError: none could be measured.
        """
        done = self._finished()
        failed = {each.user_attrs[_INDEX]: each.user_attrs[_PROBLEM] for each in done if _PROBLEM in each.user_attrs}
        measured = [each for each in done if _PROBLEM not in each.user_attrs]
        if not measured:
            reason = next(iter(failed.values()), "none was run")
            raise ModelError(f"none of the {len(done)} trials in {self._out} could be measured: {reason}")
        trials = tuple(map(_trial, measured))
        dsc, mre = [trial.dsc for trial in trials], [trial.mre for trial in trials]
        best = trials[compromise(dsc, mre)]
        front = tuple(trials[place].number for place in pareto_front(dsc, mre))
        unit = measured[0].user_attrs["unit"]
        return SearchResult(trials, failed, front, best, self._with(self._config, best.weights), unit)

    def _write(self) -> None:
        """JSON, picture and experiment of the trials so far."""
        try:
            found = self.result()
        except ModelError:
            return  # the first trials have diverged
        done = self._finished()
        content = {
            "data": {"name": self._data.name, "fingerprint": self._data.fingerprint},
            "method": self._config.method,
            "epochs": self._short.epochs,
            "seed": self._seed,
            "optuna": self._optuna.__version__,
            "machine": machine(),
            "unit": found.unit,
            "validation_images": next(e.user_attrs["validation_images"] for e in done if _PROBLEM not in e.user_attrs),
            "rule": RULE,
            "recommended": asdict(found.recommended),
            "front": found.front,
            "trials": [asdict(trial) for trial in found.trials],
            "failed": [{"number": number, "problem": problem} for number, problem in found.failed.items()],
        }
        atomic_write(self._out / "search.json", to_json(content))
        atomic_write(self._out / "best.yaml", _experiment(found, len(done)).encode())
        plot_search(found, self._out / "pareto.png")


def _trial(stored: optuna.trial.FrozenTrial) -> SearchTrial:
    dsc, mre = stored.values
    return SearchTrial(stored.user_attrs[_INDEX], dict(stored.params), dsc, mre, stored.user_attrs["best_epoch"])


def _experiment(found: SearchResult, trials: int) -> str:
    """The recommended run as a file for ``landmarklabel train``, with a word on where its weights are from."""
    best = found.recommended
    comment = (
        f"# Loss weights of trial {best.number} of {trials} by landmarklabel search: on the validation images\n"
        f"# DSC {100 * best.dsc:.1f} %, mean radial error {best.mre:.3f} {found.unit}.\n"
    )
    return comment + yaml.safe_dump(found.config.model_dump(mode="json"), sort_keys=False)


def plot_search(found: SearchResult, path: Path) -> None:
    """Write all trials by DSC and error as a PNG: the Pareto front as a line, the recommended one as a star."""
    from .search_plots import draw_search  # matplotlib takes a second to import

    with atomic_path(path) as temporary:
        draw_search(found, temporary)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ConfigError("Optuna is not installed; install landmarklabel[search]") from None
    return optuna
