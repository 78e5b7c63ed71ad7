"""What is logged to MLflow for a run, and how it is sent: at once, or later if the store can't be reached."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from tenacity import Retrying, retry_if_exception_message, stop_after_attempt

from earshot import processes, project
from earshot.errors import EarshotError
from earshot.tracking import address, postgres
from earshot.tracking.address import uri
from earshot.tracking.postgres import LOCK_SECONDS

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROCESS_TAG = "earshot.process"
WEIGHTS_TAG = "earshot.weights"
SWEEP_TAG = "earshot.sweep"
EXPERIMENT_TAG = "dvc.exp"  # DVC's, with a name
FOLDER_TAG = "earshot.folder"  # of the weights and their settings
POINT_TAG = "earshot.operating_point"  # as config.json has it
DIGEST_TAG = "earshot.digest."  # of a fact, see `run_cache.facts`
CHAMPION = "champion"  # the alias of a registered model
MODEL = "model"  # the folder of a run's artifacts that holds it
DEFAULTS = {  # of MLflow's own settings
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a server that is away should not hold up training
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # of what is used, to others
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
DATABASE = "mlflow.store.db.utils"  # the logger that writes with a traceback what is raised as well, and told in a line
MOST_PARAMS, MOST_METRICS = 100, 1000  # that MLflow takes in one call
MOST_ALIKE = 1000  # runs of the same weights, in several sweeps
ALL = "MLflow"  # the lock of what may break the store: two processes that start on a new one at once would, for good
_begun: set[str] = set()  # the databases whose tables this process has seen


@dataclass
class Record:
    """What is logged to MLflow for one run, except its artifacts; times in milliseconds since 1970.

    adds_to : of a record that adds to a run that was logged before: the tags of that run, see `run_tags`
    once : it is not logged where another process has meanwhile logged a run of the same folder, with its `run_tags`
    metrics : name, value, time, step
    """

    experiment: str
    name: str = ""
    adds_to: dict[str, str | None] | None = None
    once: bool = False
    run_id: str | None = None
    started: int = 0
    ended: int | None = None
    status: str = "RUNNING"
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    datasets: list[dict[str, str]] = field(default_factory=list)


def run_tags(weights: str, sweep: str | None = None) -> dict[str, str | None]:
    """Return the tags that identify the run that trained `weights`, among those of other sweeps and DVC experiments.

    Parameters
    ----------
    weights : the sha256 of its safetensors
    sweep : the name of the sweep or search that the run belongs to
    """
    return {WEIGHTS_TAG: weights, SWEEP_TAG: sweep, EXPERIMENT_TAG: os.environ.get("DVC_EXP_NAME")}


class Away(EarshotError):
    """The store or the network does not answer; `reason` is what they say."""

    def __init__(self, error: Exception):
        self.reason = address.told(error)
        super().__init__(f"MLflow at {address.shown()} can't be reached: {self.reason}")


class Deleted(EarshotError):
    """An experiment of MLflow's that was deleted in the dashboard."""

    def __init__(self, name: str):
        super().__init__(
            f"MLflow's experiment '{name}' was deleted in the dashboard. `earshot restore {name}` brings it back with "
            "its runs; to begin a new one, give the dataset's card another task"
        )


def set_defaults() -> None:
    """Set MLflow's own settings as `DEFAULTS` says, where the environment does not."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def connect() -> MlflowClient:
    """Return a client of the store, after one request that it has answered.

    Raises
    ------
    Away
        If it does not.
    """
    set_defaults()
    try:
        from mlflow import MlflowClient

        address.keep_out_of_logs()
        logging.getLogger(DATABASE).setLevel(logging.CRITICAL)
        with nullcontext() if uri() in _begun else locked(ALL):
            client = MlflowClient(uri())
            client.get_experiment("0")
        if postgres.is_one(uri()):
            _begun.add(uri())  # a file may be removed, and made anew
    except Exception as error:  # whatever the store or the network raises
        raise Away(error) from None
    return client


@contextmanager
def answering() -> Iterator[None]:
    """Turn what MLflow raises within the block into an error of one line; also a decorator.

    Raises
    ------
    Away
        In place of it.
    """
    set_defaults()
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, Timeout, *_errors_of_s3()) as error:
        raise Away(error) from None


def _errors_of_s3() -> tuple[type[Exception], ...]:
    """Return what is raised where artifacts are in S3; nothing where its package is not installed."""
    try:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError:
        return ()
    return (Boto3Error, BotoCoreError, ClientError)


def experiment_id(client: MlflowClient, name: str) -> str | None:
    """Return the id of an experiment, or None where there is none yet.

    Raises
    ------
    Deleted
        If it was deleted.
    """
    found = client.get_experiment_by_name(name)
    if found and found.lifecycle_stage == "deleted":
        raise Deleted(name)
    return found.experiment_id if found else None


def restore(name: str) -> bool:
    """Restore an experiment that was deleted; return False where it wasn't.

    Raises
    ------
    EarshotError
        If there is no such experiment.
    """
    with answering():
        client = connect()
        found = client.get_experiment_by_name(name)
        if found is None:
            from mlflow.entities import ViewType

            names = ", ".join(one.name for one in client.search_experiments(ViewType.ALL)) or "none"
            raise EarshotError(f"MLflow has no experiment '{name}'. There are: {names}")
        if found.lifecycle_stage != "deleted":
            return False
        client.restore_experiment(found.experiment_id)
        return True


def locked(what: str) -> AbstractContextManager:
    """Return a lock of the store by its name, which ends with the process; of a server's, one of this folder."""
    if postgres.is_one(uri()):
        return postgres.held(uri(), f"earshot: {what}")
    lock = project.mlflow(".lock" if what == ALL else f".{what}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(lock, timeout=LOCK_SECONDS)


def create(client: MlflowClient, record: Record) -> None:
    """Create a record's run, and its experiment if it doesn't exist; set the record's `run_id`.

    Raises
    ------
    EarshotError
        If it is not known where artifacts belong.
    """
    known = experiment_id(client, record.experiment)
    if known is None:
        with locked(ALL):
            known = experiment_id(client, record.experiment)
            known = known or _new_experiment(client, record.experiment)
    _end_orphans(client, known)
    tags = {PROCESS_TAG: processes.identity(), **record.tags}
    run = client.create_run(known, record.started, tags=tags, run_name=record.name)
    record.run_id = run.info.run_id


def _new_experiment(client: MlflowClient, name: str) -> str:
    """Create an experiment; return its id, also where another machine was quicker."""
    from mlflow.exceptions import MlflowException

    try:
        return client.create_experiment(name, _artifacts())
    except MlflowException:
        if (known := experiment_id(client, name)) is None:
            raise
        return known


def _artifacts() -> str | None:
    """Return where artifacts are stored: beside a file of SQLite, or as is set; None: where the server stores them."""
    if uri().startswith("http"):
        return None
    if found := os.environ.get(address.ARTIFACTS):
        return found
    if uri().startswith("sqlite"):
        return project.mlflow("artifacts").as_uri()
    raise EarshotError(
        f"{address.ARTIFACTS} is not set: set it to where all machines have the artifacts of runs, such as "
        "s3://BUCKET/mlflow"
    )


def _end_orphans(client: MlflowClient, experiment_id: str) -> None:
    """Set the runs of this machine whose process was killed to FAILED."""
    for running in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        run_id, process = running.info.run_id, running.data.tags.get(PROCESS_TAG, "")
        # asked again, since it may have ended its run before it went
        if processes.is_gone(process) and client.get_run(run_id).info.status == "RUNNING":
            client.set_terminated(run_id, status="FAILED")


def find(client: MlflowClient, experiment: str, tags: Mapping[str, str | None]) -> str | None:
    """Return the id of the latest finished run of an experiment with these tags, or None.

    Parameters
    ----------
    tags : values by tag; None for a tag that the run must not have
    """
    known = experiment_id(client, experiment)
    if known is None:
        return None
    # MLflow has no way to write a text with quotes of both kinds: what isn't plain is compared here
    conditions = [
        f"tags.`{key}` = '{value}'" for key, value in tags.items() if value and re.fullmatch(r"[\w.-]+", value)
    ]
    conditions.append("attributes.status = 'FINISHED'")
    for run in client.search_runs([known], " AND ".join(conditions), max_results=MOST_ALIKE):
        if all(run.data.tags.get(key) == value for key, value in tags.items()):
            return run.info.run_id
    return None


def send(client: MlflowClient, record: Record, artifacts: Path, first_metric: int = 0) -> None:
    """Send a record and its artifacts to MLflow; nothing that is there is changed, and the run is ended last.

    Parameters
    ----------
    artifacts : a folder, may be empty
    first_metric : the number of metrics that have been sent before
    """
    if record.adds_to is not None:
        record.run_id = find(client, record.experiment, record.adds_to)
        if record.run_id is None:
            return  # a run that was never logged, or was deleted
    if record.run_id is None:
        create(client, record)
    send_params(client, record)
    send_metrics(client, record, first_metric)
    for key, value in record.tags.items():
        client.set_tag(record.run_id, key, value)
    _send_datasets(client, record)
    if any(artifacts.iterdir()):
        client.log_artifacts(record.run_id, str(artifacts))
    if record.adds_to is None:
        _end(client, record)


def _end(client: MlflowClient, record: Record) -> None:
    """End a record's run; where it is to be logged once, and another process was quicker, delete it instead."""
    if not record.once or record.status != "FINISHED":
        client.set_terminated(record.run_id, record.status, record.ended)
        return
    # the folder too: with another operating point a run may come to the same weights
    alike = {tag: record.tags.get(tag) for tag in (WEIGHTS_TAG, FOLDER_TAG, SWEEP_TAG, EXPERIMENT_TAG)}
    with locked(ALL):
        if find(client, record.experiment, alike) in (None, record.run_id):
            client.set_terminated(record.run_id, record.status, record.ended)
        else:
            client.delete_run(record.run_id)


def send_params(client: MlflowClient, record: Record) -> None:
    """Send a record's parameters."""
    from mlflow.entities import Param

    for batch in _batches([Param(key, value) for key, value in record.params.items()], MOST_PARAMS):
        client.log_batch(record.run_id, params=batch)


def send_metrics(client: MlflowClient, record: Record, first: int) -> None:
    """Send a record's metrics from the `first` on."""
    from mlflow.entities import Metric

    for batch in _batches([Metric(*point) for point in record.metrics[first:]], MOST_METRICS):
        client.log_batch(record.run_id, metrics=batch)


def _batches(entries: list[Any], size: int) -> Iterator[list[Any]]:
    for first in range(0, len(entries), size):
        yield entries[first : first + size]


def _send_datasets(client: MlflowClient, record: Record) -> None:
    from mlflow.data.filesystem_dataset_source import FileSystemDatasetSource  # noqa: F401 (registers sources)
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(name=entry["name"], digest=entry["digest"], source_type="local", source=entry["source"]),
            [InputTag("mlflow.data.context", entry["context"])],
        )
        for entry in record.datasets
    ]
    if inputs:
        # two that log a dataset for the first time at once both find that it is not there
        unique = retry_if_exception_message(match=r"(?is).*unique constraint")
        Retrying(retry=unique, stop=stop_after_attempt(3), reraise=True)(client.log_inputs, record.run_id, inputs)
