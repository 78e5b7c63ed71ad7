"""The stages of dvc.yaml, a file for each: DVC runs `python -m earshot.stages NAME DATASET`."""

from __future__ import annotations

import functools
import inspect
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earshot.errors import without_traceback
from earshot.processes import leave_with_parent

if TYPE_CHECKING:
    from earshot.datasets.card import Card

SERVE = "serve"  # in place of a stage's name, and a socket after it: run stages in copies, see `cluster.warm`


def names() -> list[str]:
    """List the stages, by name."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def stage(work: Callable[..., None]) -> click.Command:
    """Turn a function into a stage's command; if it takes a `card`, the command takes a DATASET.

    The command ends with the process that started it, and prints an `EarshotError` without a traceback. Its help is the
    docstring; further arguments are click's decorators below this one.
    """
    per_dataset = "card" in inspect.signature(work).parameters

    @functools.wraps(work)
    def run(dataset: str | None = None, **options: object) -> None:
        leave_with_parent()
        work(*([_card(dataset)] if dataset else []), **options)

    named = click.argument("dataset")(run) if per_dataset else run
    return click.command()(without_traceback(named))


def _card(dataset: str) -> Card:
    from earshot.datasets.card import load_card  # pandas takes half a second, and not all stages need it

    return load_card(dataset)


def nothing_to_make(card: Card, *folders: Path, read_by_dvc: tuple[Path, ...] = ()) -> None:
    """Make the folders of a stage's results without any, for a dataset that no model is trained on; say so.

    DVC warns of an empty folder each time that it reads it, so that there is a note in each but those (metrics, plots)
    whose files it reads itself.
    """
    from earshot import files

    said = f"{card.label}: nothing to do, it is for testing alone (test_only in its card)"
    for folder in (*folders, *read_by_dvc):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if folder in folders:
            files.write_text(folder / "README.txt", f"{said}\n")
    print(said)


workers = click.option(
    "--workers",
    type=int,
    default=os.cpu_count,
    help="Number of processes; the results do not depend on it. Default: one for each core.",
)
