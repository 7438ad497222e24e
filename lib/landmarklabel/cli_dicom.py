"""``landmarklabel to-dicom`` and ``from-dicom``: labels as DICOM SR and SEG, and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from .errors import ConfigError, LabelError
from .files import require_place

# pydicom and highdicom take a second to import: each command imports what it needs when it runs.

Protocol = Annotated[str, typer.Option(help="Name of a protocol, or a YAML file.")]

Image = Annotated[Path, typer.Argument(help="The DICOM image that it belongs to.")]
Out = Annotated[Path, typer.Option(help="File to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace that file if it is there already.")]


def to_dicom(
    label: Annotated[Path, typer.Argument(help="Landmarks (.mrk.json), or a label image (.seg.nrrd, .nrrd, .nii.gz).")],
    image: Image,
    protocol: Protocol,
    out: Out,
    patient_module: Annotated[
        bool, typer.Option("--patient-module", help="Name the patient and the study, as the image does.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """A label as a DICOM file: landmarks as structured report (TID 1500), structures as segmentation.

    Example: landmarklabel to-dicom x.mrk.json x.dcm --protocol cephalometric_19 --out x.sr.dcm
    """
    _require_highdicom()
    _require_free(out, (label, image, Path(protocol)), overwrite)
    from .io import dicom_seg, dicom_sr
    from .io.cases import read_structures
    from .io.dicom import read_header
    from .io.headers import read_geometry
    from .markups import read_markups
    from .protocol import load_protocol

    anatomy, header, geometry = load_protocol(protocol), read_header(image), read_geometry(image)
    if label.name.endswith(".json"):
        landmarks = read_markups(label, anatomy, geometry)
        dicom_sr.write_sr(dicom_sr.landmarks_to_sr(landmarks, header, patient_module=patient_module), out)
    else:
        structures = read_structures(label, anatomy, geometry)
        document = dicom_seg.segmentation_to_seg(structures, header, anatomy.name, patient_module=patient_module)
        dicom_seg.write_seg(document, out)
    typer.echo(out)


def from_dicom(
    document: Annotated[Path, typer.Argument(help="DICOM structured report or segmentation.")],
    image: Image,
    protocol: Protocol,
    out: Out,
    overwrite: Overwrite = False,
) -> None:
    """The label of a DICOM file: landmarks as .mrk.json, structures as .seg.nrrd.

    Example: landmarklabel from-dicom x.sr.dcm x.dcm --protocol cephalometric_19 --out x.mrk.json
    """
    _require_highdicom()
    _require_free(out, (document, image, Path(protocol)), overwrite)
    from .io import dicom_seg, dicom_sr
    from .io.cases import closed_structures
    from .io.dicom import read_header
    from .io.headers import read_geometry
    from .io.segmentations import write_segmentation
    from .markups import write_markups
    from .protocol import load_protocol

    anatomy, geometry = load_protocol(protocol), read_geometry(image)
    if read_header(document).get("Modality") == "SEG":
        names, titles = closed_structures(anatomy)
        uid, segmentation = dicom_seg.read_seg(document, geometry, names, titles)
        _require_same_image(uid, read_header(image).SOPInstanceUID, document)
        write_segmentation(segmentation, out)
    else:
        uid, landmarks = dicom_sr.read_sr(document, anatomy)
        _require_same_image(uid, read_header(image).SOPInstanceUID, document)
        write_markups(landmarks, geometry, out)
    typer.echo(out)


def _require_free(out: Path, inputs: Sequence[Path], overwrite: bool) -> None:
    """Check that nothing is lost by writing ``out``: none of the inputs, whatever its path here, and no other file."""
    require_place(out)
    if not out.exists():
        return
    same = next((path for path in inputs if path.exists() and out.samefile(path)), None)
    if same is not None:
        raise ConfigError(f"--out {out} is {same.name} itself, which is only read; name another file")
    if not overwrite:
        raise ConfigError(f"--out {out} is there already; name another file, or replace it with --overwrite")


def _require_same_image(uid: str, given: str, document: Path) -> None:
    if uid != given:
        raise LabelError(f"{document.name} is about the image {uid}; the image given is {given}")


def _require_highdicom() -> None:
    from importlib.util import find_spec

    if find_spec("highdicom") is None:
        raise ConfigError("highdicom is not installed; install landmarklabel[server]")
