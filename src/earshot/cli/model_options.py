"""Options that name a trained model, for every command that takes one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

OPTIONS = [
    click.option("--run", metavar="RUN_ID", help="The model of a run of MLflow."),
    click.option("--model", metavar="FOLDER", type=click.Path(path_type=Path), help="The model in a folder."),
    click.option("--champion", metavar="DATASET", help="A dataset's champion; by default the only one there is."),
]


def with_model(command: Callable) -> Callable:
    """Add the options to a command, which takes `run`, `model` and `champion`."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def folder(run: str | None, model: Path | None, champion: str | None) -> Path:
    """Return the folder of the model that the options name.

    Raises
    ------
    click.UsageError
        If they name several.
    EarshotError
        If it can't be had, see `find`.
    """
    if sum(value is not None for value in (run, model, champion)) > 1:
        raise click.UsageError("--run, --model and --champion each name a model: give one of them")
    if model:
        return model
    from earshot.deploy import find  # MLflow takes a second

    return find.of_run(run) if run else find.champion(champion)
