"""Saved views of the runs in MLflow: which columns they show, and in which order.

MLflow stores a saved view in a tag of the experiment. The format is its own: a version that changes it shows its
default columns instead, and nothing breaks.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from earshot.tracking.store import SWEEP_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

# Widths of columns in pixels.
RUN = {"attributes.`Run Name`": 480, "runDateAndNestInfo": 140}  # always there, as is "duration"
TESTED = {"metrics.`test_accuracy`": 105, "metrics.`test_macro_f1`": 105}
VALIDATED = {"metrics.`best_val_accuracy`": 130, "metrics.`best_val_macro_f1`": 130, "metrics.`best_epoch`": 95}
SETTINGS = {
    "params.`dataset`": 130,
    "params.`input`": 120,
    "params.`model.name`": 95,
    "params.`model.wiring`": 100,
    "params.`protocol`": 90,
    "params.`seed`": 60,
    "params.`fold`": 60,
}
TUNED = {
    "tags.`earshot.trial`": 105,
    "params.`optimizer.lr`": 100,
    "params.`model.dropout`": 110,
    "params.`model.training.batch_size`": 110,
}


def _view(columns: dict[str, int], **options: Any) -> dict[str, Any]:
    """Return MLflow's state of a view with these columns in this order."""
    ordered = RUN | columns | {"duration": 80}
    shown = {"columnOrder": list(ordered), "columnWidths": ordered, "runsHiddenMode": "FIRST_20_RUNS"}
    return {"selectedColumns": list(columns), **shown, **options}


SCORES = _view(TESTED | VALIDATED | SETTINGS, orderByKey="attributes.start_time", orderByAsc=False)
SWEEPS = _view(
    VALIDATED | TUNED | SETTINGS,
    orderByKey="metrics.`best_val_accuracy`",
    orderByAsc=False,
    searchFilter=f"tags.`{SWEEP_TAG}` IS NOT NULL",
    groupBy={"aggregateFunction": "max", "groupByKeys": [{"mode": "tag", "groupByData": SWEEP_TAG}]},
)
VIEWS = {"earshot-scores": ("Scores", SCORES), "earshot-sweeps": ("Sweeps", SWEEPS)}
VIEW_TAG = "mlflow.sharedViewState."


def save(client: MlflowClient, experiment: Experiment) -> None:
    """Add the views to MLflow's menu "Views" of an experiment; one that is there already is left alone."""
    for key, (name, state) in VIEWS.items():
        wanted = json.dumps(state)
        if _state(experiment.tags.get(VIEW_TAG + key)) != wanted:
            now = int(time.time() * 1000)
            view = {"name": name, "createdAt": now, "updatedAt": now, "state": wanted}
            client.set_experiment_tag(experiment.experiment_id, VIEW_TAG + key, json.dumps(view))


def _state(tag: str | None) -> str | None:
    try:
        return json.loads(tag)["state"] if tag else None
    except (ValueError, KeyError, TypeError):  # written by another version of MLflow
        return None
