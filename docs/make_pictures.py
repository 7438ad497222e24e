"""The pictures in docs/pictures: ``make docs``. Synthetic images only; models are those of the sample data."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cost_pictures import cost_pictures
from dense_pictures import dense_pictures
from film_strip import film_strip
from PIL import Image

from landmarklabel.engine.evaluation import evaluate
from landmarklabel.engine.evaluation_plots import plot_evaluation
from landmarklabel.engine.measuring import measure_images
from landmarklabel.engine.prediction import image_files
from landmarklabel.io.dataset import Case, read_dataset
from landmarklabel.phantoms import generate
from landmarklabel.phantoms.studies import write_studies
from landmarklabel.pictures import overlay, side_by_side
from landmarklabel.predictor import Predictor
from landmarklabel.protocol import load_protocol
from landmarklabel.report import Report, to_png

HERE = Path(__file__).resolve().parent
SAMPLES = HERE.parent / "sample_data"
PICTURES = HERE / "pictures"
PROTOCOLS = ("cephalometric_19", "spine_68", "chest_166")

#: Seeds that neither a sample image nor a training image has.
UNSEEN = 30_000


def samples(protocol: str, count: int = 6, height: int = 420) -> Image.Image:
    """Sample images with their true landmarks."""
    cases = read_dataset(f"studies:{SAMPLES / protocol}", protocol).labelled()[:count]
    return side_by_side([overlay(case.radiograph().display(), None, case.points, height=height) for case in cases])


def predictions(protocol: str, count: int, height: int = 420) -> list[Image.Image]:
    """Images that the sample model has never seen, with what it finds (red) and the truth (green)."""
    predictor = Predictor.load(SAMPLES / "models" / protocol / "landmarks.safetensors")
    pictures = []
    for seed in range(UNSEEN, UNSEEN + count):
        radiograph, true = generate(protocol, seed)
        predictor.set_image(radiograph)
        points = predictor.predict().landmarks.points
        pictures.append(overlay(radiograph.display(), points, true.points, height=height))
    return pictures


def evaluation(protocol: str, path: Path) -> None:
    """The evaluation's own picture, on phantoms that the sample model has never seen."""
    predictor = Predictor.load(SAMPLES / "models" / protocol / "landmarks.safetensors")
    with tempfile.TemporaryDirectory() as folder:
        for _ in write_studies(protocol, 20, UNSEEN, Path(folder), size=(320, 384)):
            pass
        cases: tuple[Case, ...] = read_dataset(f"studies:{folder}", protocol).labelled()
        plot_evaluation(evaluate(predictor, cases), cases, path, f"The sample model of {protocol} on unseen phantoms")


def report(protocol: str, seed: int = UNSEEN) -> Image.Image:
    """The report of what the sample model finds in an image that it has never seen."""
    predictor = Predictor.load(SAMPLES / "models" / protocol / "landmarks.safetensors")
    anatomy = load_protocol(protocol)
    with tempfile.TemporaryDirectory() as folder:
        for _ in write_studies(protocol, 1, seed, Path(folder)):
            pass
        ((name, answer),) = measure_images(image_files([Path(folder)]), anatomy, predictor)
    assert not isinstance(answer, str), answer
    page = to_png(Report(name, answer.radiograph, answer.landmarks, answer.measurements, answer.label), 100)
    return page.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def main() -> None:
    """Draw every picture."""
    PICTURES.mkdir(exist_ok=True)
    for protocol in PROTOCOLS:
        samples(protocol).save(PICTURES / f"samples_{protocol}.png", optimize=True)
    shown = [*predictions("cephalometric_19", 2), *predictions("spine_68", 3), *predictions("chest_166", 1)]
    side_by_side(shown).save(PICTURES / "predictions.png", optimize=True)
    evaluation("cephalometric_19", PICTURES / "evaluation.png")
    sample = SAMPLES / "models" / "spine_68" / "landmarks.safetensors"
    film_strip(sample, range(UNSEEN, UNSEEN + 24)).save(PICTURES / "refine.png", optimize=True)
    chest = SAMPLES / "models" / "chest_166" / "segmentation.safetensors"
    dense_pictures(chest, range(UNSEEN, UNSEEN + 2)).save(PICTURES / "denseseg.png", optimize=True)
    for protocol in PROTOCOLS:
        report(protocol).save(PICTURES / f"report_{protocol}.png", optimize=True)
    list(cost_pictures(PICTURES))
    for path in sorted(PICTURES.iterdir()):
        print(f"{path.name}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
