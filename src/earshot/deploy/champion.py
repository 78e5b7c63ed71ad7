"""The champion of a dataset: the setting with the best leak-free validation score, as a registered model of MLflow.

A setting is all that a run was made with, its seed and fold apart. It is judged by the mean over all folds of the
grouped protocol's present split: scores of other splits can't be compared with it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from earshot.datasets.card import load_card
from earshot.deploy.package import save
from earshot.errors import EarshotError
from earshot.tracking import store
from earshot.training import run_cache

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCORE = "best_val_accuracy"
LOSS = "best_val_loss"
APART = ("seed", "fold")  # parameters that do not make another setting
MOST_RUNS = 50_000


@dataclass(frozen=True)
class Crowning:
    """What was decided, and why.

    table : a row per setting, the best first, see `settings`
    left_out : runs that can't be compared, and why
    before : the version that was the champion, or None
    version : the champion now
    moved : whether the alias was moved
    """

    table: pd.DataFrame
    left_out: dict[str, int]
    before: str | None
    version: str
    moved: bool


def crown(dataset: str) -> Crowning:
    """Give the alias `champion` to the setting with the best validation score, if it is better than the present one.

    Raises
    ------
    EarshotError
        If MLflow has no setting that was trained on all folds, or the weights of the best one are gone.
    """
    client = store.connect()
    runs, left_out = _runs(client, dataset)
    table = settings(runs)
    if table.empty:
        raise EarshotError(
            f"MLflow at {store.uri()} has no setting that was trained on all folds of the grouped protocol's present "
            f"split of {dataset}. Run `earshot repro` or `earshot search` first"
        )
    best = runs[runs["setting"] == table.iloc[0]["setting"]].sort_values(LOSS, kind="stable").iloc[0]
    before = _champion(client, dataset)
    present = None if before is None else runs.loc[runs["run_id"] == before.run_id, "setting"]
    if present is not None and len(present) and _score(table, present.iloc[0]) >= table.iloc[0]["score"]:
        return Crowning(table, left_out, str(before.version), str(before.version), False)
    version = _register(client, dataset, best, table.iloc[0])
    return Crowning(table, left_out, before and str(before.version), version, True)


def _runs(client: MlflowClient, dataset: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the runs that can be compared, the latest of each setting, seed and fold; and how many can't."""
    splits = run_cache.splits(dataset, "grouped")
    found = client.get_experiment_by_name(load_card(dataset).task)
    asked = f"params.dataset = '{dataset}' AND params.protocol = 'grouped' AND attributes.status = 'FINISHED'"
    logged = client.search_runs([found.experiment_id], asked, max_results=MOST_RUNS) if found else []
    rows = [_row(run) for run in logged]
    fitting = [row for row in rows if splits.get(row["fold"]) == row["split"] and None not in row.values()]
    frame = pd.DataFrame(fitting, columns=["setting", "experiment", *APART, SCORE, LOSS, "run_id", "folder", "split"])
    return frame.drop_duplicates(["setting", *APART]), {"of another split, or incomplete": len(rows) - len(fitting)}


def _row(run: Any) -> dict[str, Any]:
    params, tags, metrics = run.data.params, run.data.tags, run.data.metrics
    return {
        "setting": tuple(sorted((key, value) for key, value in params.items() if key not in APART)),
        "experiment": tags.get("earshot.experiment", "?"),
        "seed": int(params["seed"]),
        "fold": int(params["fold"]),
        SCORE: metrics.get(SCORE),
        LOSS: metrics.get(LOSS),
        "run_id": run.info.run_id,
        "folder": tags.get(store.FOLDER_TAG),
        "split": tags.get(f"{store.DIGEST_TAG}split"),
    }


def settings(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each setting that was trained on all folds, the best first.

    Returns
    -------
    Columns setting, experiment, score (mean over folds and seeds), seeds, runs and differs (the parameters that tell
    a setting from others of its experiment)
    """
    folds = runs["fold"].nunique()
    grouped = runs.groupby("setting", sort=False)
    table = grouped.agg(
        experiment=("experiment", "first"), score=(SCORE, "mean"), seeds=("seed", "nunique"), runs=("run_id", "count")
    ).reset_index()
    whole = table[table["runs"] == table["seeds"] * folds].sort_values("score", ascending=False, kind="stable")
    return whole.assign(differs=_differing(whole)).reset_index(drop=True)


def _differing(table: pd.DataFrame) -> list[str]:
    """Say by which parameters each setting differs from others of its experiment."""
    told = []
    for row in table.itertuples():
        others = table.loc[table["experiment"] == row.experiment, "setting"]
        shared = set.intersection(*map(set, others))
        told.append(" ".join(f"{key}={value}" for key, value in row.setting if (key, value) not in shared))
    return told


def _score(table: pd.DataFrame, setting: tuple) -> float:
    rows = table.loc[table["setting"] == setting, "score"]
    return float(rows.iloc[0]) if len(rows) else -np.inf


def _champion(client: MlflowClient, name: str) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, store.CHAMPION)
    except MlflowException:
        return None


def _register(client: MlflowClient, dataset: str, run: pd.Series, setting: pd.Series) -> str:
    """Register a run's model and make it the champion; return its version."""
    folder = Path(run["folder"])
    if not (folder / "model.safetensors").exists():
        raise EarshotError(f"the weights of run {run['run_id']} are no longer in {folder}: train it again")
    with tempfile.TemporaryDirectory() as made:
        save(folder, Path(made) / store.MODEL)
        client.log_artifacts(run["run_id"], str(Path(made) / store.MODEL), store.MODEL)
    if not client.search_registered_models(f"name = '{dataset}'"):
        client.create_registered_model(dataset, description=f"Models of {dataset}: windows of sound to classes")
    why = f"{setting['experiment']}: {SCORE} {setting['score']:.4f}, mean of {setting['runs']} runs over all folds"
    made = client.create_model_version(
        dataset,
        f"runs:/{run['run_id']}/{store.MODEL}",
        run["run_id"],
        description=why,
        tags={SCORE: f"{setting['score']:.6f}"},
    )
    client.set_registered_model_alias(dataset, store.CHAMPION, made.version)
    return str(made.version)
