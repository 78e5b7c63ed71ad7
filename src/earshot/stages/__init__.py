"""The stages of dvc.yaml, a file each: `python -m earshot.stages.NAME DATASET`, and DVC runs them."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable

import click

from earshot.datasets.card import load_card
from earshot.errors import without_traceback
from earshot.processes import leave_with_parent


def stage(work: Callable[..., None]) -> click.Command:
    """Turn a function into a stage's command; one that takes a `card` is given that of the DATASET on the command line.

    It ends when the process that started it does, and prints a user's errors without a traceback. The command's help is
    the docstring; further arguments are click's decorators below this one.
    """
    per_dataset = "card" in inspect.signature(work).parameters

    @functools.wraps(work)
    def run(dataset: str | None = None, **options: object) -> None:
        leave_with_parent()
        work(*([load_card(dataset)] if dataset else []), **options)

    named = click.argument("dataset")(run) if per_dataset else run
    return click.command()(without_traceback(named))


workers = click.option(
    "--workers",
    type=int,
    default=os.cpu_count,
    help="Processes; by default one for each core. Results do not depend on it.",
)
