"""How sample_data/ was made: synthetic radiographs of our own, and models trained on other ones of the same kind.

    python sample_data/make.py data               the images and labels, in seconds
    python sample_data/make.py models             the models, in about an hour on two cores
    python sample_data/make.py models spine_68    one of them
    python sample_data/make.py segmentation       the model that segments chests, in minutes
    python sample_data/make.py weighing           how their maps are weighed, anew, without training: in minutes

Images to train on, and to measure on, have seeds that no sample has.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from landmarklabel.engine.calibration import calibrate
from landmarklabel.engine.config import load_experiment
from landmarklabel.engine.data import describe_data, training_and_validation
from landmarklabel.engine.evaluation import Evaluation, evaluate, machine
from landmarklabel.engine.measuring import measure_images
from landmarklabel.engine.trainer import train
from landmarklabel.errors import ConfigError, DataError
from landmarklabel.io.cases import Case
from landmarklabel.io.dataset import read_dataset
from landmarklabel.measurements.measure import measure
from landmarklabel.modelfile import load_model, read_header, save_model
from landmarklabel.phantoms.studies import write_studies
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import Protocol, load_protocol

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / ".serve" / "training"

#: Protocol and size (W, H) of its images.
SIZES = {"cephalometric_19": (320, 384), "spine_68": (192, 448), "chest_166": (320, 320)}
IMAGES, UNLABELLED, DICOM = 24, 4, 3
FIRST_SEED, TRAINING_SEED, TEST_SEED = 0, 10_000, 20_000
TRAINING_IMAGES, TEST_IMAGES = 400, 60


def make_data(protocol: str) -> None:
    """The studies folder of an anatomy: labels for most, a few images as DICOM."""
    folder = HERE / protocol
    shutil.rmtree(folder, ignore_errors=True)
    for _ in write_studies(protocol, IMAGES, FIRST_SEED, folder, SIZES[protocol], DICOM, UNLABELLED):
        pass
    print(f"{folder.name}: {IMAGES} images, {IMAGES - UNLABELLED} labels")


def make_models(protocol: str) -> None:
    """The models of an anatomy, with their figures beside them."""
    _make_model(protocol, "landmarks", "phantoms")


def make_segmentation(protocol: str) -> None:
    """The model that segments, where the anatomy has outlines; of spines it takes longer to learn than a sample may."""
    if protocol == "chest_166":
        _make_model(protocol, "segmentation", "phantoms_denseseg")


def _make_model(protocol: str, task: str, experiment: str) -> None:
    dataset = read_dataset(f"studies:{_phantoms(protocol, 'training')}", protocol)
    result = train(load_experiment(experiment), dataset, WORK / protocol / f"run_{task}")
    target = _target(protocol, task)
    target.parent.mkdir(parents=True, exist_ok=True)
    header = read_header(result.model)
    _store(result.model, target, describe_data(dataset, *training_and_validation(dataset, header.config)))

    what = "models" if task == "landmarks" else task
    figures = {
        "command": f"python sample_data/make.py {what} {protocol}",
        "training": f"{TRAINING_IMAGES} phantoms from seed {TRAINING_SEED}, {result.epochs} epochs",
        "machine": machine(),
        **_all_figures(target, protocol),
    }
    name = "figures.json" if task == "landmarks" else f"figures_{task}.json"
    target.with_name(name).write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


def weigh_model(protocol: str) -> None:
    """Today's weighing of maps and shape in a model that is there, and its stated regions and errors measured anew.

    The measurements are those of today's protocol, whose landmarks must be the model's.
    """
    target, temporary = _target(protocol), WORK / protocol / "weighed.safetensors"
    dataset = read_dataset(f"studies:{_phantoms(protocol, 'training')}", protocol)
    network, header, shape = load_model(target)
    config = header.config.model_copy(update={"posterior": load_experiment("phantoms").posterior})
    today = load_protocol(protocol)
    if today.labels != header.protocol.labels:
        raise ConfigError(f"{target}: its landmarks are not those of {protocol} any more; train it anew")
    temporary.parent.mkdir(parents=True, exist_ok=True)
    save_model(temporary, network, config, today, header.data, header.metrics, shape)
    calibrate(temporary, training_and_validation(dataset, config)[1], config.posterior)
    _store(temporary, target, header.data)
    file = target.with_name("figures.json")
    figures = {**json.loads(file.read_text()), **_all_figures(target, protocol)}
    file.write_text(json.dumps(figures, indent=1) + "\n")
    print(protocol, read_header(target).config.posterior, json.dumps(figures, indent=1))


def _target(protocol: str, task: str = "landmarks") -> Path:
    return HERE / "models" / protocol / f"{task}.safetensors"


def _store(model: Path, target: Path, data: dict[str, Any]) -> None:
    """A model as it comes with the project: its weights in 16 bits, half the size."""
    network, header, shape = load_model(model)
    save_model(target, network, header.config, header.protocol, data, dict(header.metrics), shape, half=True)


def _phantoms(protocol: str, name: str) -> Path:
    """Phantoms for training or test, at the size of the samples; kept for the next time."""
    number, seed = (TRAINING_IMAGES, TRAINING_SEED) if name == "training" else (TEST_IMAGES, TEST_SEED)
    folder = WORK / protocol / name
    if not (folder / ".complete").exists():
        for _ in write_studies(protocol, number, seed, folder, SIZES[protocol]):
            pass
        (folder / ".complete").touch()
    return folder


def _all_figures(model: Path, protocol: str) -> dict[str, Any]:
    predictor = Predictor.load(model)
    return {
        f"{TEST_IMAGES} phantoms from seed {TEST_SEED}": _figures(predictor, _phantoms(protocol, "test"), protocol),
        f"the {IMAGES - UNLABELLED} labelled samples": _figures(predictor, HERE / protocol, protocol),
    }


def _figures(predictor: Predictor, folder: Path, protocol: str) -> dict[str, Any]:
    cases = read_dataset(f"studies:{folder}", protocol).labelled()
    evaluation: Evaluation = evaluate(predictor, cases)
    summary = evaluation.summary()
    rounded = {f"SDR {radius:g} {evaluation.unit}": round(rate, 1) for radius, rate in summary.sdr.items()}
    errors = {f"MRE ({evaluation.unit})": round(summary.mre, 3), "median": round(summary.median, 3), **rounded}
    return {**errors, **_held(predictor, cases, load_protocol(protocol))}


def _held(predictor: Predictor, cases: Sequence[Case], protocol: Protocol) -> dict[str, float]:
    """How much of the true measurements the intervals of predicted ones hold, in percent."""
    held: dict[str, list[bool]] = {"68 %": [], "95 %": []}
    for case, (name, found) in zip(
        cases, measure_images({case.id: case.image for case in cases}, protocol, predictor), strict=True
    ):
        if isinstance(found, str):
            raise DataError(f"{name}: {found}")
        true = measure(protocol, case.points, found.radiograph.spacing, height=found.radiograph.size[1])
        for said, value in zip(found.measurements, (each.value for each in true), strict=True):
            for level, interval in (("68 %", said.interval68), ("95 %", said.interval95)):
                if value is not None and interval is not None:
                    held[level].append(interval[0] <= value <= interval[1])
    return {f"measurements in their {level}": round(100 * sum(hits) / len(hits), 1) for level, hits in held.items()}


def main() -> None:
    """Make the data or the models, of all protocols or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["data", "models", "segmentation", "weighing"])
    parser.add_argument("protocols", nargs="*", default=list(SIZES))
    arguments = parser.parse_args()
    for protocol in arguments.protocols:
        load_protocol(protocol)
        {"data": make_data, "models": make_models, "segmentation": make_segmentation, "weighing": weigh_model}[
            arguments.what
        ](protocol)


if __name__ == "__main__":
    main()
