"""The results on a dataset, read from the files of the earlier stages."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from earshot import project
from earshot.datasets.card import Card, dataset_names, load_card
from earshot.datasets.experiments import experiments_on, left_out
from earshot.errors import EarshotError
from earshot.files import read_json, read_recipe, read_table, reading
from earshot.metrics import classification, labels

CELL = ["wiring", "protocol", "seed"]
RUN = [*CELL, "fold"]
Key = tuple[str, str, int]  # the values of CELL


@dataclass(frozen=True)
class Cell:
    """One experiment with one wiring, protocol and seed: the predictions of all folds, and a run per fold."""

    input: str
    model: str
    wiring: str
    protocol: str
    seed: int
    predictions: pd.DataFrame
    history: pd.DataFrame
    runs: list[dict[str, Any]]


@dataclass(frozen=True)
class DatasetResults:
    """The results on one dataset, with its card and the counts of its manifest.

    `cells` holds the predictions by experiment and setting, `audit` the result of the leak audit; `noise` and
    `cross_dataset` are the windows that the stages of those names scored; `noise_settings` is the task's part of
    `noise` in params.yaml, None where it has none; `events` and `event_scores` are the tables of the stage `events`,
    `event_settings` the task's part of `events` in params.yaml; `left_out` says which experiments the dataset doesn't
    allow; `swapped` is the table of that stage, `max_drop` what it allows; `test_only` those of the other datasets that
    are for testing alone; `seconds` of compute for an hour of sound, by experiment, where `earshot cost` has measured.
    """

    card: Card
    counts: dict[str, Any]
    cells: list[Cell]
    audit: dict[str, Any]
    noise: pd.DataFrame
    noise_settings: dict[str, Any] | None
    cross_dataset: pd.DataFrame
    events: pd.DataFrame
    event_scores: pd.DataFrame
    event_settings: dict[str, Any] | None
    left_out: str
    swapped: pd.DataFrame
    max_drop: float
    test_only: list[str]
    seconds: dict[str, float]

    @property
    def elsewhere(self) -> list[str]:
        """The datasets that say how models do elsewhere: those for testing alone, or if there are none, all others."""
        others = list(self.cross_dataset["on"].unique()) if len(self.cross_dataset) else []
        return [name for name in others if name in self.test_only] or others

    @property
    def multi_label(self) -> bool:
        """Whether a window may have several classes, or none."""
        return labels.are_sets(self.cells[0].predictions["label"])


def read_results(dataset: str, settings: dict[str, Any]) -> DatasetResults:
    """Read what params.yaml (`settings`) lists for `dataset`; other files in data/ are ignored.

    Raises
    ------
    EarshotError
        If a file or a listed run is missing, or a file can't be read.
    """
    manifest = project.manifest_counts(dataset)
    counts = read_json(manifest)
    _checked(manifest, counts, ["read", "set_aside", "classes", "seconds", "warnings"])
    card = load_card(dataset)
    compared = experiments_on(card, settings)
    cells = [cell for one in compared for cell in read_cells(dataset, one.input, one.model, settings)]
    found = project.audit(dataset)
    audit = _checked(found, read_json(found), ["protocols", "hints"])
    noise, swapped = project.noise(dataset), project.swapped(dataset)
    cross_dataset = read_table(project.cross_dataset(dataset))
    return DatasetResults(
        card=card,
        counts=counts,
        cells=cells,
        audit=audit,
        noise=read_table(noise),
        noise_settings=read_recipe(noise)["asked"],
        cross_dataset=cross_dataset,
        events=read_table(project.events(dataset)),
        event_scores=read_table(project.event_scores(dataset)),
        event_settings=read_recipe(project.events(dataset))["asked"],
        left_out=left_out(card, settings),
        swapped=read_table(swapped),
        max_drop=read_recipe(swapped)["max_drop"],
        test_only=[name for name in dataset_names() if load_card(name).test_only],
        seconds=read_json(project.cost()).get(dataset, {}) if project.cost().exists() else {},
    )


def read_cells(dataset: str, input_name: str, model: str, settings: dict[str, Any]) -> list[Cell]:
    """Read what params.yaml (`settings`) lists for one experiment on `dataset`.

    Raises
    ------
    EarshotError
        As `read_results` does.
    """
    experiment = f"{input_name}-{model}"
    path = project.predictions(dataset, experiment)
    predictions = _checked(path, read_table(path), [*RUN, "label", "predicted", "heard"])
    _check_classes(path, predictions)
    curves = project.history(dataset, experiment)
    history = _checked(curves, reading(curves, pd.read_csv), [*RUN, "epoch", "train_loss", "val_loss"])
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
    """Return the runs that the file's recipe lists; they must be those it has rows of."""
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
    unknown = sorted(set(labels.classes_of(predictions["label"])) - set(classification.classes_of(predictions)))
    if unknown:
        raise EarshotError(f"{path} has no probabilities for the labels {unknown}. Delete it and run `dvc repro`")
