"""How MLflow shows earshot's runs: the columns, the saved views, and what a browser starts with.

MLflow keeps a saved view in a tag of the experiment, and what a browser shows in the browser's local storage. Both
are MLflow's own formats: a version that changes them shows its own columns instead, and nothing breaks.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from earshot.tracking.store import SWEEP_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

# Columns are as wide (in pixels) as what stands in them.
RUN = {"attributes.`Run Name`": 480, "runDateAndNestInfo": 140}  # always there, as is "duration"
TESTED = {"metrics.`test_accuracy`": 105, "metrics.`test_macro_f1`": 105}
VALIDATED = {"metrics.`best_val_accuracy`": 130, "metrics.`best_val_macro_f1`": 130, "metrics.`best_epoch`": 95}
WHAT = {
    "params.`dataset`": 130,
    "params.`input`": 120,
    "params.`model.name`": 95,
    "params.`model.wiring`": 100,
    "params.`protocol`": 90,
    "params.`seed`": 60,
    "params.`fold`": 60,
}
TRIED = {
    "tags.`earshot.trial`": 105,
    "params.`optimizer.lr`": 100,
    "params.`model.dropout`": 110,
    "params.`model.training.batch_size`": 110,
}


def _view(columns: dict[str, int], **more: Any) -> dict[str, Any]:
    """Return what MLflow keeps of a view that has these columns in this order."""
    ordered = RUN | columns | {"duration": 80}
    shown = {"columnOrder": list(ordered), "columnWidths": ordered, "runsHiddenMode": "FIRST_20_RUNS"}
    return {"selectedColumns": list(columns), **shown, **more}


SCORES = _view(TESTED | VALIDATED | WHAT, orderByKey="attributes.start_time", orderByAsc=False)
SWEEPS = _view(
    VALIDATED | TRIED | WHAT,
    orderByKey="metrics.`best_val_accuracy`",
    orderByAsc=False,
    searchFilter=f"tags.`{SWEEP_TAG}` IS NOT NULL",
    groupBy={"aggregateFunction": "max", "groupByKeys": [{"mode": "tag", "groupByData": SWEEP_TAG}]},
)
VIEWS = {"earshot-scores": ("Scores", SCORES), "earshot-sweeps": ("Sweeps", SWEEPS)}
VIEW_TAG = "mlflow.sharedViewState."
# Opened for training rather than for language models, without its assistant, and nothing is reported to its makers.
FIRST_LOOK = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
    "mlflow.settings.telemetry.enabled_v1": False,
    "mlflow.telemetry.info.alert.dismissed_v1": True,
}


def save(client: MlflowClient, experiment: Experiment) -> None:
    """Offer the views in MLflow's menu "Views" of an experiment; what is there already is left."""
    for key, (name, state) in VIEWS.items():
        wanted = json.dumps(state)
        if _state(experiment.tags.get(VIEW_TAG + key)) != wanted:
            now = int(time.time() * 1000)
            view = {"name": name, "createdAt": now, "updatedAt": now, "state": wanted}
            client.set_experiment_tag(experiment.experiment_id, VIEW_TAG + key, json.dumps(view))


def _state(tag: str | None) -> str | None:
    try:
        return json.loads(tag)["state"] if tag else None
    except (ValueError, KeyError, TypeError):  # of another version of MLflow
        return None


def first_look(experiments: list[Experiment]) -> dict[str, Any]:
    """Return what a browser that has not been here keeps: by key of its local storage."""
    ids = [json.dumps([experiment.experiment_id]) for experiment in experiments]
    return FIRST_LOOK | {f"MLflowLocalStorage-1.1-ExperimentPage-{one}-ReactComponentState": SCORES for one in ids}
