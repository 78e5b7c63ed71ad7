"""Section "Deployment": export a trained model."""

from __future__ import annotations

from pathlib import Path

import click

from earshot.cli import options
from earshot.errors import without_traceback


@click.command(short_help="Export a trained model to ONNX, or for a model hub.")
@click.argument("file", metavar="[FILE.onnx]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--hub",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Write a folder for a model hub: a card, the model as ONNX and safetensors, a script.",
)
@options.with_model
@without_traceback
def export(file: Path | None, hub: Path | None, run: str | None, model: Path | None, champion: str | None) -> None:
    """Export a trained model and its features to an ONNX file: samples in, probabilities out."""
    if (file is None) == (hub is None):
        raise click.UsageError("name a file, or a folder with --hub")
    folder = options.model_folder(run, model, champion)
    if hub:
        from earshot.deploy.hub.write import write

        write(folder, hub)
    else:
        from earshot.deploy.onnx.export import export

        export(folder, file)
    print(f"written: {file or hub}")


TITLE = "Deployment"
COMMANDS = (export,)
