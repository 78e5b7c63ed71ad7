"""Find the folder of a trained model: that of a run of MLflow, or of a dataset's champion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from earshot import project
from earshot.errors import EarshotError
from earshot.tracking import address, store

if TYPE_CHECKING:
    from mlflow import MlflowClient


def of_run(run_id: str) -> Path:
    """Return the folder of a run's model; where it is missing, download the registered model from MLflow.

    Raises
    ------
    EarshotError
        If MLflow has no such run, or the run has no model.
    """
    from mlflow.exceptions import MlflowException

    client = store.connect()
    try:
        run = client.get_run(run_id)
        folder = Path(run.data.tags.get(store.FOLDER_TAG, ""))
        if (folder / "config.json").exists():
            return folder
        return _downloaded(client, run_id)
    except MlflowException as error:
        why = address.told(error)
        raise EarshotError(f"MLflow at {address.shown()} gives no model of run {run_id}: {why}") from None


def _downloaded(client: MlflowClient, run_id: str) -> Path:
    folder = project.cache("fetched", run_id)
    folder.mkdir(parents=True, exist_ok=True)
    found = list(Path(client.download_artifacts(run_id, f"{store.MODEL}/artifacts", str(folder))).glob("*/config.json"))
    if not found:
        raise EarshotError(f"run {run_id} has no model: neither a folder here, nor a registered one in MLflow")
    return found[0].parent


@store.answering()
def champions() -> dict[str, str]:
    """Return the version of each dataset's champion."""
    if address.is_local() and not project.mlflow("mlflow.db").exists():
        return {}  # MLflow would make the store first
    registered = {model.name: model.aliases for model in store.connect().search_registered_models()}
    return {name: aliases[store.CHAMPION] for name, aliases in registered.items() if store.CHAMPION in aliases}


def champion(dataset: str | None) -> Path:
    """Return the folder of a dataset's champion; of the only one there is, if none is named.

    Raises
    ------
    EarshotError
        If there is none, or several and none is named.
    """
    versions = champions()
    if dataset is None and len(versions) == 1:
        dataset = next(iter(versions))
    if dataset not in versions:
        there = f"there are those of {', '.join(sorted(versions))}" if versions else "there is none yet"
        fault = f"no champion of {dataset}" if dataset else "which champion?"
        raise EarshotError(f"{fault}: {there}. `earshot champion DATASET` makes one; --run and --model name any model")
    with store.answering():
        run_id = store.connect().get_model_version(dataset, versions[dataset]).run_id
    return of_run(run_id)
