"""How sample_data/ was made: synthetic radiographs of our own, and models trained on other ones of the same kind.

    python sample_data/make.py data               the images and labels, in seconds
    python sample_data/make.py models             the models, in about an hour on two cores
    python sample_data/make.py models spine_68    one of them

Images to train on, and to measure on, have seeds that no sample has.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from landmarklabel.engine.config import load_experiment
from landmarklabel.engine.data import describe_data, training_and_validation
from landmarklabel.engine.evaluation import Evaluation, evaluate, machine
from landmarklabel.engine.trainer import train
from landmarklabel.io.dataset import read_dataset
from landmarklabel.modelfile import load_model, save_model
from landmarklabel.phantoms.studies import write_studies
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import load_protocol

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


def make_model(protocol: str) -> None:
    """The model of an anatomy, with its figures beside it."""
    training, test = (_phantoms(protocol, name) for name in ("training", "test"))
    dataset = read_dataset(f"studies:{training}", protocol)
    result = train(load_experiment("phantoms"), dataset, WORK / protocol / "run")
    target = HERE / "models" / protocol / "landmarks.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    network, header, shape = load_model(result.model)
    data = describe_data(dataset, *training_and_validation(dataset, header.config))
    save_model(target, network, header.config, header.protocol, data, dict(header.metrics), shape, half=True)

    predictor = Predictor.load(target)
    figures = {
        "command": f"python sample_data/make.py models {protocol}",
        "training": f"{TRAINING_IMAGES} phantoms from seed {TRAINING_SEED}, {result.epochs} epochs",
        "machine": machine(),
        f"{TEST_IMAGES} phantoms from seed {TEST_SEED}": _figures(predictor, test, protocol),
        f"the {IMAGES - UNLABELLED} labelled samples": _figures(predictor, HERE / protocol, protocol),
    }
    target.with_name("figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


def _phantoms(protocol: str, name: str) -> Path:
    """Phantoms for training or test, at the size of the samples; kept for the next time."""
    number, seed = (TRAINING_IMAGES, TRAINING_SEED) if name == "training" else (TEST_IMAGES, TEST_SEED)
    folder = WORK / protocol / name
    if not (folder / ".complete").exists():
        for _ in write_studies(protocol, number, seed, folder, SIZES[protocol]):
            pass
        (folder / ".complete").touch()
    return folder


def _figures(predictor: Predictor, folder: Path, protocol: str) -> dict[str, Any]:
    evaluation: Evaluation = evaluate(predictor, read_dataset(f"studies:{folder}", protocol).labelled())
    summary = evaluation.summary()
    rounded = {f"SDR {radius:g} {evaluation.unit}": round(rate, 1) for radius, rate in summary.sdr.items()}
    return {f"MRE ({evaluation.unit})": round(summary.mre, 3), "median": round(summary.median, 3), **rounded}


def main() -> None:
    """Make the data or the models, of all protocols or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["data", "models"])
    parser.add_argument("protocols", nargs="*", default=list(SIZES))
    arguments = parser.parse_args()
    for protocol in arguments.protocols:
        load_protocol(protocol)
        (make_data if arguments.what == "data" else make_model)(protocol)


if __name__ == "__main__":
    main()
