"""The champion of a dataset: the setting with the best leak-free validation score, as a registered model of MLflow.

A setting is the parameters of a run without its seed and fold. Its score is the mean over all folds of the grouped
protocol's present split: scores on other splits can't be compared with it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from earshot.datasets.card import load_card
from earshot.deploy.package import save
from earshot.errors import EarshotError
from earshot.settings import read_params
from earshot.tracking import address, store
from earshot.training import run_cache

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCORE = "best_val_accuracy"
LOSS = "best_val_loss"
REPEATS = ("seed", "fold")  # parameters that do not make another setting
MOST_RUNS = 50_000
MOST_TOLD = 3  # incomplete settings, in an error
COLUMNS = ["setting", "experiment", *REPEATS, SCORE, LOSS, "run_id", "folder", "split", "swept"]


@dataclass(frozen=True)
class Selection:
    """The champion that was selected, and the scores behind it.

    table : a row per setting, the best first, see `settings`
    left_out : number of runs that can't be compared, by the reason
    incomplete : the settings that lack runs, each with what it lacks
    before : the version that was the champion, or None
    version : the version that is the champion now
    moved : whether the alias was moved
    """

    table: pd.DataFrame
    left_out: dict[str, int]
    incomplete: list[str]
    before: str | None
    version: str
    moved: bool


@store.answering()
def select_champion(dataset: str) -> Selection:
    """Move the alias `champion` to the setting with the best validation score, if it is better than the present one.

    Raises
    ------
    EarshotError
        If MLflow has no setting that was trained on all folds, or the weights of the best one are missing.
    """
    client = store.connect()
    with store.locked("champion"):  # of two at once the second finds the champion of the first
        return _select(client, dataset)


def _select(client: MlflowClient, dataset: str) -> Selection:
    runs, left_out = _runs(client, dataset)
    lacking = _lacking(runs, list(run_cache.splits(dataset, "grouped")), read_params()["seeds"])
    table = settings(runs[~runs["setting"].isin(lacking)])
    incomplete = [f"{name}: {what}" for name, what in zip(_names(runs, lacking), lacking.values(), strict=True)]
    if table.empty:
        begun = f" (begun: {'; '.join(incomplete[:MOST_TOLD])})" if incomplete else ""
        raise EarshotError(
            f"MLflow at {address.shown()} has no setting that was trained on all folds of the grouped protocol's "
            f"present split of {dataset}{begun}. Run `earshot repro` or `earshot search` first"
        )
    best = runs[runs["setting"] == table.iloc[0]["setting"]].sort_values(LOSS, kind="stable").iloc[0]
    before = _champion(client, dataset)
    present = None if before is None else runs.loc[runs["run_id"] == before.run_id, "setting"]
    if present is not None and len(present) and _score(table, present.iloc[0]) >= table.iloc[0]["score"]:
        return Selection(table, left_out, incomplete, str(before.version), str(before.version), False)
    version = _register(client, dataset, best, table.iloc[0])
    return Selection(table, left_out, incomplete, before and str(before.version), version, True)


def _runs(client: MlflowClient, dataset: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the runs that can be compared, the latest of each setting, seed and fold; and the number left out."""
    splits = run_cache.splits(dataset, "grouped")
    found = store.experiment_id(client, load_card(dataset).task)
    query = f"params.dataset = '{dataset}' AND params.protocol = 'grouped' AND attributes.status = 'FINISHED'"
    logged = client.search_runs([found], query, max_results=MOST_RUNS) if found else []
    rows = [_row(run) for run in logged]
    fitting = [row for row in rows if splits.get(row["fold"]) == row["split"] and None not in row.values()]
    frame = pd.DataFrame(fitting, columns=COLUMNS)
    return frame.drop_duplicates(["setting", *REPEATS]), {"of another split, or incomplete": len(rows) - len(fitting)}


def _row(run: Any) -> dict[str, Any]:
    params, tags, metrics = run.data.params, run.data.tags, run.data.metrics
    return {
        "setting": tuple(sorted((key, value) for key, value in params.items() if key not in REPEATS)),
        "experiment": tags.get("earshot.experiment", "?"),
        "seed": int(params["seed"]),
        "fold": int(params["fold"]),
        SCORE: metrics.get(SCORE),
        LOSS: metrics.get(LOSS),
        "run_id": run.info.run_id,
        "folder": tags.get(store.FOLDER_TAG),
        "split": tags.get(f"{store.DIGEST_TAG}split"),
        "swept": store.SWEEP_TAG in tags,
    }


def _lacking(runs: pd.DataFrame, folds: list[int], seeds: list[int]) -> dict[tuple, str]:
    """Return the settings that lack runs, each with what it lacks in words.

    A setting needs every fold of the present split for each of its seeds; one that was not trained by a sweep or
    search and has some of the seeds that params.yaml lists needs all of those.
    """
    found = {}
    for setting, rows in runs.groupby("setting", sort=False):
        own = set(rows["seed"])
        wanted = own if rows["swept"].all() or not own & set(seeds) else own | set(seeds)
        there = set(rows[["seed", "fold"]].itertuples(index=False, name=None))
        missing = {seed: [fold for fold in folds if (seed, fold) not in there] for seed in sorted(wanted)}
        if any(missing.values()):
            found[setting] = "lacks " + ", ".join(
                f"seed {seed} fold {'/'.join(map(str, lost))}" for seed, lost in missing.items() if lost
            )
    return found


def _names(runs: pd.DataFrame, chosen: Iterable[tuple]) -> list[str]:
    """Name settings by their experiment, and by the parameters in which they differ from others of it."""
    table = runs.drop_duplicates("setting")[["setting", "experiment"]]
    names = dict(
        zip(table["setting"], (table["experiment"] + " " + pd.Series(_differing(table), table.index)), strict=True)
    )
    return [names[setting].strip() for setting in chosen]


def settings(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each setting, the best first; of `runs`, those of settings that lack none.

    Returns
    -------
    Columns setting, experiment, score (mean over folds and seeds), seeds, runs and differs (the parameters in which
    it differs from other settings of its experiment)
    """
    grouped = runs.groupby("setting", sort=False)
    table = grouped.agg(
        experiment=("experiment", "first"), score=(SCORE, "mean"), seeds=("seed", "nunique"), runs=("run_id", "count")
    ).reset_index()
    ranked = table.sort_values("score", ascending=False, kind="stable")
    return ranked.assign(differs=_differing(ranked)).reset_index(drop=True)


def _differing(table: pd.DataFrame) -> list[str]:
    """Return for each setting the parameters in which it differs from others of its experiment."""
    differing = []
    for row in table.itertuples():
        others = table.loc[table["experiment"] == row.experiment, "setting"]
        shared = set.intersection(*map(set, others))
        differing.append(" ".join(f"{key}={value}" for key, value in row.setting if (key, value) not in shared))
    return differing


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
    with tempfile.TemporaryDirectory() as temporary:
        save(folder, Path(temporary) / store.MODEL)
        client.log_artifacts(run["run_id"], str(Path(temporary) / store.MODEL), store.MODEL)
    if not client.search_registered_models(f"name = '{dataset}'"):
        client.create_registered_model(dataset, description=f"Models of {dataset}: windows of sound to classes")
    score = f"{SCORE} {setting['score']:.4f}, mean of {setting['runs']} runs over all folds"
    version = client.create_model_version(
        dataset,
        f"runs:/{run['run_id']}/{store.MODEL}",
        run["run_id"],
        description=f"{setting['experiment']}: {score}",
        tags={SCORE: f"{setting['score']:.6f}"},
    )
    client.set_registered_model_alias(dataset, store.CHAMPION, version.version)
    return str(version.version)
