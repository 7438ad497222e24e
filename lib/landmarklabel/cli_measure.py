"""``landmarklabel measure``: clinical measures of images or labels, as tables and as reports."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_options import Device, PrecisionOption, bar
from .errors import ConfigError
from .files import atomic_path, atomic_write, require_place, storage_errors, to_json

# PyTorch and matplotlib take seconds to import: what needs them imports them when it runs.
if TYPE_CHECKING:
    from .engine.measuring import Answers, Measured
    from .engine.measuring_report import CsvWriter
    from .predictor import Predictor
    from .protocol import Protocol


def measure(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Labels (.mrk.json), folders of them, or studies:DIR; with --model also images and folders."
        ),
    ],
    protocol: Annotated[
        str | None, typer.Option(help="Protocol with the measurements, by name or YAML file; default: the model's.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Model file: predicts landmarks of images, and says how sure those of labels are."),
    ] = None,
    tag: Annotated[str, typer.Option("--studies-tag", help="Which labels of studies:DIR.")] = "final",
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images, where they are not beside their labels.")
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write a row for each measurement of each image; default: print them.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all that is known of each measurement.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for a page of each image: ID.report.html and ID.report.pdf.")
    ] = None,
    device: Device = "auto",
    precision: PrecisionOption = "fp32",
) -> None:
    """Measurements of labels, or of what a model finds in images, with intervals and norms.

    Example: landmarklabel measure folder/ --model runs/light/model.safetensors --csv measured.csv --report reports

    Of labels: landmarklabel measure studies:studies/spine --protocol spine_68 --csv measured.csv --json measured.json
    """
    from .engine.measuring_report import measurements_json

    for output in filter(None, (csv_file, json_file)):
        require_place(output)
    if report is not None:
        with storage_errors(report / "reports", "reports"):
            report.mkdir(parents=True, exist_ok=True)
    predictor = _predictor(model, device, precision)
    anatomy = _protocol(protocol, predictor)
    total, answers = _answers(inputs, anatomy, predictor, tag, images)
    with _table(csv_file, otherwise=not (json_file or report)) as table:
        images_json, failed = _write(answers, table, json_file is not None, report, bar("measuring", total))
    if json_file:
        atomic_write(json_file, to_json(measurements_json(anatomy, images_json, failed)))
    if failed:
        raise typer.Exit(2)


def _predictor(model: Path | None, device: str, precision: str) -> Predictor | None:
    if model is None:
        return None
    from .precision import as_precision
    from .predictor import Predictor

    return Predictor.load(model, device, precision=as_precision(precision))


def _protocol(name: str | None, predictor: Predictor | None) -> Protocol:
    """The protocol that is named, or the model's: as it ships today, since a model may be older than measurements.

    Raises:
        ConfigError: none is named, or it defines no measurements.
        ModelError: the model is for other landmarks.
    """
    from .protocol import load_protocol, shipped_protocols

    if name is not None:
        protocol = load_protocol(name)
    elif predictor is None:
        raise ConfigError("--protocol: expected the protocol of the labels, by name or YAML file, such as spine_68")
    else:
        own = predictor.protocol
        protocol = load_protocol(own.name) if own.name in shipped_protocols() else own
    if predictor is not None and protocol.fingerprint != predictor.protocol.fingerprint:
        raise ConfigError(
            f"the model was trained for the protocol {predictor.protocol.name} ({len(predictor.protocol)} landmarks), "
            f"not for {protocol.name} ({len(protocol)} landmarks)"
        )
    if not protocol.measurements:
        raise ConfigError(
            f"the protocol {protocol.name} defines no measurements; expected 'measurements' in its YAML file"
        )
    return protocol


def _answers(
    inputs: Sequence[str], protocol: Protocol, predictor: Predictor | None, tag: str, images: Path | None
) -> tuple[int, Answers]:
    """How many images there are, and what is measured on each: of labels first, then of images."""
    from .engine.measuring import measure_labels
    from .io.label_files import is_label_input, label_files

    of_labels = [each for each in inputs if predictor is None or is_label_input(each)]
    labels = label_files(of_labels, tag, images) if of_labels else []
    of_images = [Path(each) for each in inputs if each not in of_labels]
    if predictor is None or not of_images:
        return len(labels), measure_labels(labels, protocol, predictor)
    from .engine.measuring import measure_images
    from .engine.prediction import image_files

    files = image_files(of_images)
    both = sorted(files.keys() & {label.name for label in labels})
    if both:
        raise ConfigError(f"the image '{both[0]}' and a label of it are both given; give one of them")

    def all_of_them() -> Answers:
        yield from measure_labels(labels, protocol, predictor)
        yield from measure_images(files, protocol, predictor)

    return len(labels) + len(files), all_of_them()


@contextmanager
def _table(path: Path | None, otherwise: bool) -> Iterator[CsvWriter | None]:
    """Rows of CSV, into a file that is there once all are; ``otherwise`` printed; else None."""
    from .engine.measuring_report import CsvWriter

    if path is None:
        yield CsvWriter(sys.stdout) if otherwise else None
        return
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        yield CsvWriter(file)


def _write(
    answers: Answers, table: CsvWriter | None, keep: bool, report: Path | None, advance: Callable[[], object]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Write rows and pages as answers come; failures are said at once.

    Returns:
        the images as JSON has them, if they are to be kept; and the failures, by image.
    """
    from .engine.measuring_report import image_json

    images, failed = [], {}
    for name, answer in answers:
        if isinstance(answer, str):
            failed[name] = answer
            typer.echo(f"error: {answer}", err=True)
            if table:
                table.write_failed(name, answer)
        else:
            if table:
                table.write(answer)
            if keep:
                images.append(image_json(answer))
            if report:
                _write_page(answer, report)
        advance()
    return images, failed


def _write_page(measured: Measured, folder: Path) -> None:
    from .report import Report, write_report

    write_report(
        Report(measured.name, measured.radiograph, measured.landmarks, measured.measurements, measured.label), folder
    )
