"""Everything the comparison needs to know of one dataset, read from what the earlier stages wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from earshot import project
from earshot.datasets.card import Card, load_card
from earshot.errors import EarshotError
from earshot.files import read_recipe, read_table
from earshot.metrics import classification
from earshot.settings import experiments_of

CELL = ["wiring", "protocol", "seed"]
RUN = [*CELL, "fold"]
Key = tuple[str, str, int]  # the values of CELL


@dataclass(frozen=True)
class Cell:
    """One experiment in one setting: its folds' predictions pooled, and a run per fold."""

    input: str
    model: str
    wiring: str
    protocol: str
    seed: int
    predictions: pd.DataFrame
    history: pd.DataFrame
    runs: list[dict[str, Any]]


@dataclass(frozen=True)
class Study:
    """One dataset: its card, the counts of its manifest and what was trained and tested on it.

    `audit` is what the stage of that name found; `noise` and `cross_dataset` are the windows that those stages scored;
    `asked` is what params.yaml asked the noise stage for.
    """

    card: Card
    counts: dict[str, Any]
    cells: list[Cell]
    audit: dict[str, Any]
    noise: pd.DataFrame
    asked: dict[str, Any] | None
    cross_dataset: pd.DataFrame


def read_study(dataset: str, settings: dict[str, Any]) -> Study:
    """Read what params.yaml (`settings`) lists for `dataset`; whatever else lies in data/ is left alone.

    Raises
    ------
    EarshotError
        If a file or a listed run is missing, or a file can't be read.
    """
    manifest = project.manifest_counts(dataset)
    counts = _read(manifest, lambda path: json.loads(path.read_text("utf-8")))
    _checked(manifest, counts, ["read", "set_aside", "classes", "seconds", "warnings"])
    cells = [cell for one in experiments_of(settings) for cell in read_cells(dataset, one.input, one.model, settings)]
    found = project.audit(dataset)
    audit = _checked(found, _read(found, lambda path: json.loads(path.read_text("utf-8"))), ["protocols", "hints"])
    noise = project.noise(dataset)
    other = read_table(project.cross_dataset(dataset))
    asked = read_recipe(noise)["asked"]
    return Study(load_card(dataset), counts, cells, audit, read_table(noise), asked, other)


def read_cells(dataset: str, input_name: str, model: str, settings: dict[str, Any]) -> list[Cell]:
    """Read what params.yaml (`settings`) lists for one experiment on `dataset`.

    Raises
    ------
    EarshotError
        As `read_study` does.
    """
    experiment = f"{input_name}-{model}"
    path = project.predictions(dataset, experiment)
    predictions = _checked(path, read_table(path), [*RUN, "label", "predicted", "heard"])
    _check_classes(path, predictions)
    curves = project.history(dataset, experiment)
    history = _checked(curves, _read(curves, pd.read_csv), [*RUN, "epoch", "train_loss", "val_loss"])
    return [
        Cell(input_name, model, *key, _of(predictions, key), _of(history, key), _runs(path, predictions, key))
        for key in _listed(path, predictions, settings)
    ]


def _listed(path: Path, predictions: pd.DataFrame, settings: dict[str, Any]) -> list[Key]:
    """Return the cells that params.yaml lists; a model without wirings has one that need not be listed."""
    wirings = set(predictions["wiring"])
    wirings = [wiring for wiring in settings["wirings"] if wiring in wirings] or sorted(wirings)
    keys = list(product(wirings, settings["protocols"], settings["seeds"]))
    there = set(predictions[CELL].itertuples(index=False, name=None))
    for wiring, protocol, seed in keys:
        if (wiring, protocol, seed) not in there:
            raise EarshotError(f"{path} lacks protocol {protocol}, wiring {wiring}, seed {seed}. Run `dvc repro`")
    return keys


def _runs(path: Path, predictions: pd.DataFrame, key: Key) -> list[dict[str, Any]]:
    """Return the runs that the file says it was made by; they must be those it has rows of."""
    runs = [run for run in read_recipe(path).get("runs", []) if tuple(run[name] for name in CELL) == key]
    for run in runs:
        _checked(path, run, ["layers"])
    if {run["fold"] for run in runs} != set(_of(predictions, key)["fold"]):
        raise EarshotError(f"{path} has not the folds of its runs for {key}. Delete it and run `dvc repro`")
    return runs


def _of(frame: pd.DataFrame, key: Key) -> pd.DataFrame:
    return frame[(frame[CELL] == list(key)).all(axis=1)]


def _checked(path: Path, content: Any, names: list[str]) -> Any:
    """Return a table or mapping that has all these columns or keys."""
    missing = [name for name in names if name not in content]
    if missing:
        raise EarshotError(f"{path} lacks {', '.join(missing)}. Delete it and run `dvc repro`")
    return content


def _check_classes(path: Path, predictions: pd.DataFrame) -> None:
    unknown = sorted(set(predictions["label"]) - set(classification.classes_of(predictions)))
    if unknown:
        raise EarshotError(f"{path} has no probabilities for the labels {unknown}. Delete it and run `dvc repro`")


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except FileNotFoundError:
        raise EarshotError(f"{path} is missing. Run `dvc repro` to make it") from None
    except (ValueError, OSError) as error:
        raise EarshotError(f"{path} can't be read ({error}). Delete it and run `dvc repro`") from None
