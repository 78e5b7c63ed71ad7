"""Section "Deployment": export a trained model."""

from __future__ import annotations

from pathlib import Path

import click

from earshot.cli import options
from earshot.errors import without_traceback


@click.command(short_help="Export a trained model to ONNX.")
@click.argument("file", metavar="FILE.onnx", type=click.Path(path_type=Path))
@options.with_model
@without_traceback
def export(file: Path, run: str | None, model: Path | None, champion: str | None) -> None:
    """Export a trained model and its features to an ONNX file: samples in, probabilities out."""
    from earshot.deploy.onnx.export import export

    export(options.model_folder(run, model, champion), file)
    print(f"written: {file}")


TITLE = "Deployment"
COMMANDS = (export,)
