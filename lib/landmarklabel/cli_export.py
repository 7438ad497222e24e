"""``landmarklabel export``: what runs a model fastest on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# PyTorch and MONAI take seconds to import: each command imports what it needs when it runs.


def export(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of what is written; default: the model's, where it is looked for.")
    ] = None,
    images: Annotated[
        list[Path] | None, typer.Option(help="Images or folders to compare answers on; default: synthetic ones.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="As many as the server has; default: all cores.")] = None,
) -> None:
    """Write a model's network as ONNX, measure what runs it fastest here, and use that from now on.

    Example: landmarklabel export models/spine_68/landmarks.safetensors

    PyTorch in 32 and 16 bits, ONNX Runtime and OpenVINO are compared. Only what gives the same landmarks is chosen.
    """
    import torch
    from rich.console import Console
    from rich.table import Table

    from .engine.exporting import export as run
    from .engine.prediction import image_files
    from .io import read_radiograph

    if threads is not None:
        torch.set_num_threads(threads)
    radiographs = [read_radiograph(path) for path in image_files(images).values()] if images else []
    record, file = run(model, out, radiographs)
    table = Table("back end", "network", "landmarks within 0.1 px", "farthest", "")
    for name, each in record.figures.items():
        said = "chosen" if name == str(record.backend) else "" if each.equal else "other answers"
        table.add_row(
            name, f"{each.network_ms:.1f} ms", f"{100 * each.within:.1f} %", f"{each.farthest_px:.2f} px", said
        )
    Console().print(table)
    typer.echo(str(file))
