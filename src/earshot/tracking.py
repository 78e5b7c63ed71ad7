"""The one place that knows MLflow.

MLflow is a view of the results: every number also stands in a file, and a run that can't be logged is trained
all the same.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock

from earshot import config

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

PROCESS_TAG = "earshot.process"
WEIGHTS_TAG = "earshot.weights"
MAX_BATCH = 100  # parameters or tags that MLflow takes at once


def local_uri() -> str:
    """Return the address of the project's own store, data/mlflow/mlflow.db."""
    return f"sqlite:///{config.data('mlflow', 'mlflow.db')}"


def uri() -> str:
    """Return where runs are kept: `MLFLOW_TRACKING_URI` where set, else the project's own store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or local_uri()


class Run:
    """One MLflow run. What can't be logged is told once, and does not stop the training."""

    def __init__(self, client: MlflowClient | None, run_id: str | None):
        self._client, self.run_id = client, run_id

    def _log(self, method: str, *args: Any, **kwargs: Any) -> None:
        if self._client is None:
            return
        try:
            getattr(self._client, method)(self.run_id, *args, **kwargs)
        except Exception as error:  # whatever the store or the network raises
            print(
                f"warning: MLflow at {uri()} can't be written to, going on without it: {error}",
                file=sys.stderr,
            )
            self._client = None

    def params(self, params: Mapping[str, Any]) -> None:
        """Log flat parameters."""
        from mlflow.entities import Param

        entries = [Param(key, str(value)) for key, value in params.items()]
        for first in range(0, len(entries), MAX_BATCH):
            self._log("log_batch", params=entries[first : first + MAX_BATCH])

    def metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log a step's metrics in one call."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._log("log_batch", metrics=[Metric(key, value, now, step) for key, value in metrics.items()])

    def tag(self, key: str, value: str) -> None:
        """Set a tag."""
        self._log("set_tag", key, value)

    def dataset(self, name: str, digest: str, source: str, context: str) -> None:
        """Log which data went in; MLflow keeps 36 characters of the digest."""
        from mlflow.data.filesystem_dataset_source import FileSystemDatasetSource  # noqa: F401 (registers sources)
        from mlflow.entities import Dataset, DatasetInput, InputTag

        entry = Dataset(name=name, digest=digest[:36], source_type="local", source=source)
        self._log("log_inputs", datasets=[DatasetInput(entry, [InputTag("mlflow.data.context", context)])])

    def text(self, text: str, name: str) -> None:
        """Keep a text as the artifact `name`."""
        self._log("log_text", text, name)

    def figure(self, figure: Figure, name: str) -> None:
        """Keep a figure as the artifact `name`."""
        self._log("log_figure", figure, name)

    def end(self, status: str) -> None:
        """End the run as FINISHED or FAILED."""
        self._log("set_terminated", status=status)


@contextmanager
def run(experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[Run]:
    """Log what happens inside as one run, which ends as FINISHED, or as FAILED after an error.

    Parameters
    ----------
    experiment : MLflow's experiment, made where it is not there yet
    name : says what the run is
    tags : more of it
    """
    opened = _open(experiment, name, tags)
    try:
        yield opened
    except BaseException:  # also an interrupt: no run stays RUNNING
        opened.end("FAILED")
        raise
    opened.end("FINISHED")


def _open(experiment: str, name: str, tags: Mapping[str, str]) -> Run:
    return Run(*_connected(lambda client: _create(client, experiment, name, tags)))


def _connected(work: Callable[[MlflowClient], str | None]) -> tuple[MlflowClient | None, str | None]:
    """Return a client and what `work` gives, or None twice where MLflow can't be reached.

    Two processes that start on a fresh sqlite file would break it for good, so they take turns here.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a server that is away should not hold up training
    lock = config.data("mlflow", ".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        from mlflow import MlflowClient

        with FileLock(lock):
            client = MlflowClient(uri())
            return client, work(client)
    except Exception as error:  # whatever the store or the network raises
        print(f"warning: MLflow at {uri()} can't be reached, going on without it: {error}", file=sys.stderr)
        return None, None


def _create(client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]) -> str:
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment, _artifacts())
    _end_orphans(client, experiment_id)
    tags = {"mlflow.source.name": "earshot.train", "mlflow.source.git.commit": git_commit(), **tags}
    return client.create_run(experiment_id, run_name=name, tags={PROCESS_TAG: _this_process(), **tags}).info.run_id


def _artifacts() -> str | None:
    """Return where artifacts go: beside a local database; a server knows its own place."""
    return config.data("mlflow", "artifacts").as_uri() if uri().startswith("sqlite") else None


def _this_process() -> str:
    return f"{socket.gethostname()} {os.getpid()} {psutil.Process().create_time():.2f}"


def _end_orphans(client: MlflowClient, experiment_id: str) -> None:
    """End the runs of this machine whose process was killed: they could not do it themselves."""
    for running in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        host, pid, started = (running.data.tags.get(PROCESS_TAG) or "? 0 0").rsplit(" ", 2)
        if host == socket.gethostname() and not _is_alive(int(pid), float(started)):
            client.set_terminated(running.info.run_id, status="FAILED")


def _is_alive(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 0.1
    except psutil.NoSuchProcess:
        return False


def find(experiment: str, weights: str) -> Run | None:
    """Return the latest run that made `weights` (the sha256 of its safetensors), to log more to it."""

    def search(client: MlflowClient) -> str | None:
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return None
        runs = client.search_runs([found.experiment_id], f"tags.`{WEIGHTS_TAG}` = '{weights}'", max_results=1)
        return runs[0].info.run_id if runs else None

    client, run_id = _connected(search)
    return Run(client, run_id) if run_id else None


def git_commit() -> str:
    """Return the commit of the project's folder, or "unknown" outside git."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=config.root(), capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
