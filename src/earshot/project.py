"""The project's folder, and the path of each artefact in its data/."""

from __future__ import annotations

import os
from pathlib import Path

SHARED = ("cache", "mlflow")  # outputs of no stage; `dvc exp run --temp` and `--queue` run the stages in a copy


def root() -> Path:
    """Return the project's folder: `EARSHOT_ROOT` where set, else the current folder, as always in a stage."""
    return Path("." if "DVC_STAGE" in os.environ else os.environ.get("EARSHOT_ROOT", ".")).resolve()


def workspace() -> Path:
    """Return the folder from which DVC was called, even if a stage runs in a copy of it; else the project's folder."""
    return Path(os.environ["DVC_ROOT"]).resolve() if "DVC_STAGE" in os.environ else root()


def data(kind: str, *parts: str) -> Path:
    """Return `data/KIND/PARTS...`, e.g. `data("splits", "gtzan", "grouped.parquet")`.

    The `SHARED` kinds are in the workspace.
    """
    base = workspace() if kind in SHARED else root()
    return base.joinpath("data", kind, *parts)


def code(stage: str) -> Path:
    """Return the digests of the code that decides what a stage makes."""
    return data("code", f"{stage}.json")


def raw(dataset: str) -> Path:
    """Return the folder of a dataset's original files."""
    return data("raw", dataset)


def manifest(dataset: str) -> Path:
    """Return the table of a dataset's files."""
    return data("manifest", f"{dataset}.parquet")


def manifest_counts(dataset: str) -> Path:
    """Return the counts of a dataset's manifest."""
    return data("manifest", f"{dataset}.json")


def duplicates(dataset: str) -> Path:
    """Return the table of duplicate stretches of sound."""
    return data("fingerprint", dataset, "duplicates.parquet")


def conditions(dataset: str) -> Path:
    """Return the table of the recording conditions of each window."""
    return data("fingerprint", dataset, "conditions.parquet")


def split(dataset: str, protocol: str) -> Path:
    """Return the table of a protocol's train, validation and test parts."""
    return data("splits", dataset, f"{protocol}.parquet")


def audit(dataset: str) -> Path:
    """Return the findings of the leak audit."""
    return data("audit", f"{dataset}.json")


def features(dataset: str, input_name: str) -> Path:
    """Return the folder of an input's features, see `inputs.stored`."""
    return data("features", dataset, input_name)


def models(*parts: str) -> Path:
    """Return the folder of all trained models, of those of a DATASET, or of its experiment INPUT-MODEL."""
    return data("models", *parts)


def history(dataset: str, experiment: str) -> Path:
    """Return the table of an experiment's scores by epoch."""
    return data("history", dataset, f"{experiment}.csv")


def predictions(dataset: str, experiment: str) -> Path:
    """Return the table of an experiment's predictions of test windows."""
    return data("predictions", dataset, f"{experiment}.parquet")


def metrics(dataset: str, experiment: str) -> Path:
    """Return the scores of an experiment's predictions."""
    return data("metrics", dataset, f"{experiment}.json")


def noise(dataset: str) -> Path:
    """Return the table of the scores of test windows in noise."""
    return data("noise", f"{dataset}.parquet")


def events(dataset: str) -> Path:
    """Return the table of the events that models found in soundscapes of the test parts."""
    return data("events", dataset, "events.parquet")


def event_scores(dataset: str) -> Path:
    """Return the table of the scores of models in these soundscapes that need no threshold."""
    return data("events", dataset, "scores.parquet")


def swapped(dataset: str) -> Path:
    """Return the table of the predictions of test windows under swapped recording conditions."""
    return data("swapped", f"{dataset}.parquet")


def cross_dataset(dataset: str) -> Path:
    """Return the table of the predictions of a dataset's models on the windows of other datasets."""
    return data("cross_dataset", f"{dataset}.parquet")


def cost() -> Path:
    """Return the seconds of compute that models take for an hour of sound, which `earshot cost` measures."""
    return data("cost.json")


def report(*parts: str) -> Path:
    """Return the folder of the report, or a file in it."""
    return data("report", *parts)


def cache(*parts: str) -> Path:
    """Return a path in the cache, which the workspace shares with the copies in which DVC runs experiments."""
    return data("cache", *parts)


def mlflow(*parts: str) -> Path:
    """Return a path in the local MLflow store, which is shared as the cache is."""
    return data("mlflow", *parts)


def page(kind: str, *parts: str) -> Path:
    """Return the path of a page that is made on request: of a sound, a dataset or mistakes."""
    return data(kind, *parts)


def search(dataset: str, experiment: str) -> Path:
    """Return the path of the search for an experiment's settings, without a suffix."""
    return data("search", dataset, experiment)


def calls() -> Path:
    """Return the list of calls of the pipeline."""
    return data("repro.json")


def log() -> Path:
    """Return what the latest call of the pipeline that ran a stage has said."""
    return data("repro.log")
