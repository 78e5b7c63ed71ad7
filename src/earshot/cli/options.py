"""Arguments and options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click

MODEL = [
    click.option("--run", metavar="RUN_ID", help="Use the model of this MLflow run."),
    click.option("--model", metavar="FOLDER", type=click.Path(path_type=Path), help="Use the model in this folder."),
    click.option(
        "--champion", metavar="DATASET", help="Use the champion of this dataset. Default: the only one there is."
    ),
]

workers = click.option(
    "--workers", type=int, default=os.cpu_count, help="Number of processes. Default: one for each core."
)


def with_model(command: Callable) -> Callable:
    """Add the options that name a model to a command, which takes `run`, `model` and `champion`."""
    for option in reversed(MODEL):
        command = option(command)
    return command


def model_folder(run: str | None, model: Path | None, champion: str | None) -> Path:
    """Return the folder of the model that the options name.

    Raises
    ------
    click.UsageError
        If they name several.
    EarshotError
        If there is no such model, see `deploy.find`.
    """
    if sum(value is not None for value in (run, model, champion)) > 1:
        raise click.UsageError("--run, --model and --champion each name a model: give one of them")
    if model:
        return model
    from earshot.deploy import find  # MLflow takes a second

    return find.of_run(run) if run else find.champion(champion)


def complete_dataset(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of datasets that begin with `incomplete`, for the shell's completion."""
    from earshot.datasets.card import dataset_names

    return [name for name in dataset_names() if name.startswith(incomplete)]
