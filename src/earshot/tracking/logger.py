"""Log a run: parameters, metrics, figures.

MLflow is a view of the results: every number is also in a file, and a run that can't be logged is trained all the
same. What could not be sent is stored until `earshot sync` sends it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from earshot import processes
from earshot.errors import EarshotError
from earshot.tracking import address, outbox, store
from earshot.tracking.store import Record

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
Epoch = dict[str, float]  # epoch (from 1), train_loss, train_accuracy, val_loss, val_accuracy
FIRST_SECONDS = 1.0  # until a run is created in MLflow, so that it does not slow down the first steps
LIVE_SECONDS = 2.0  # between two updates of a run during training: an epoch may take milliseconds


class Run:
    """One run that is logged: metrics are sent every few seconds, the rest at its end."""

    def __init__(self, record: Record, artifacts: Path):
        """Take the run's record, and an empty folder for its artifacts."""
        self.record, self.artifacts = record, artifacts
        self._creation = Timer(FIRST_SECONDS, self._try, [self._create])
        self._client: MlflowClient | None = (
            None  # None before the run is created, and after MLflow could not be reached
        )
        self._sent = 0  # metrics
        self._last = time.monotonic()

    def params(self, params: Mapping[str, Any]) -> None:
        """Log flat parameters."""
        self.record.params |= {key: str(value) for key, value in params.items()}

    def metrics(self, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Log a step's metrics; None is left out."""
        now = _now()
        self.record.metrics += [(key, float(value), now, step) for key, value in metrics.items() if value is not None]
        if time.monotonic() - self._last > LIVE_SECONDS and not self._creation.is_alive() and self._client:
            self._try(self._send_metrics)

    def epoch(self, epoch: Epoch) -> None:
        """Log the scores of an epoch."""
        self.metrics({key: value for key, value in epoch.items() if key != "epoch"}, int(epoch["epoch"]))

    def tag(self, key: str, value: str) -> None:
        """Set a tag."""
        self.record.tags[key] = value

    def dataset(self, name: str, digest: str, source: str, context: str) -> None:
        """Log a dataset that the run used; MLflow stores 36 characters of the digest."""
        self.record.datasets.append({"name": name, "digest": digest[:36], "source": source, "context": context})

    def text(self, text: str, name: str) -> None:
        """Log a text as the artifact `name`."""
        self._path(name).write_text(text, encoding="utf-8")

    def figure(self, figure: Figure, name: str) -> None:
        """Log a figure as the artifact `name`."""
        figure.savefig(self._path(name))

    def predictions(self, dataset: str, frame: pd.DataFrame, part: str) -> None:
        """Log figures of predictions (see `predict.table`), and windows with their sound, as artifacts PART/..."""
        from earshot.metrics import labels
        from earshot.tracking import examples, figures

        if not labels.are_sets(frame["label"]):
            self.figure(figures.confusion(frame, part), f"{part}/confusion_matrix.png")
        self.figure(figures.reliability(frame, part), f"{part}/reliability.png")
        self.text(examples.page(dataset, frame, part), f"{part}/examples.html")

    def _path(self, name: str) -> Path:
        path = self.artifacts / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def begin(self) -> None:
        """Create the run in MLflow soon, in a thread: training does not wait for MLflow's long import."""
        self._creation.daemon = True
        self._creation.start()

    @contextmanager
    def system_metrics(self) -> Iterator[None]:
        """Log processor, memory and network every second, as MLflow's metrics `system/...`."""
        self._creation.join()
        if self._client is None:
            yield
            return
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(self.record.run_id, sampling_interval=1, tracking_uri=address.uri())
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()

    def end(self, status: str) -> None:
        """Send the rest, and end the run as FINISHED or FAILED; if that fails, store it for `earshot sync`."""
        if self._creation.is_alive():
            self._creation.cancel()
            self._creation.join()
        self.record.status, self.record.ended = status, _now()
        with processes.undisturbed():
            try:
                store.send(self._client or store.connect(), self.record, self.artifacts, self._sent)
            except Exception as error:  # whatever the store or the network raises
                self._keep(_short(error))

    def _keep(self, why: str) -> None:
        """Store the run for `earshot sync`; what has been trained does not end with that, should it fail too."""
        try:
            folder = outbox.store(self.record, self.artifacts)
        except OSError as error:
            _warn(f"did not take a run ({why}), nor could it be kept for `earshot sync` ({error}): it is not logged")
        else:
            _warn(f"did not take a run ({why}). It is kept in {folder}: `earshot sync` sends it")

    def _create(self) -> None:
        self._client = store.connect()
        store.create(self._client, self.record)

    def _send_metrics(self) -> None:
        store.send_metrics(self._client, self.record, self._sent)
        self._sent, self._last = len(self.record.metrics), time.monotonic()

    def _try(self, send: Callable[[], None]) -> None:
        with processes.undisturbed():
            try:
                send()
            except Exception as error:  # whatever the store or the network raises
                self._client, self._sent = None, 0
                _warn_without(error)


def _now() -> int:
    return int(time.time() * 1000)


def _short(error: Exception) -> str:
    return error.reason if isinstance(error, store.Away) else address.told(error)


def _warn(problem: str) -> None:
    print(f"warning: MLflow at {address.shown()} {problem}", file=sys.stderr)


def _warn_without(error: Exception) -> None:
    refused = isinstance(error, EarshotError) and not isinstance(error, store.Away)
    why = "takes no run" if refused else "can't be reached"
    _warn(f"{why}, going on without it: {_short(error)}")


@contextmanager
def run(
    experiment: str, name: str, tags: Mapping[str, str], system_metrics: bool = False, once: bool = False
) -> Iterator[Run]:
    """Open a run that ends as FINISHED with the block, or as FAILED after an error.

    Parameters
    ----------
    experiment : MLflow's experiment, created if it doesn't exist
    name : the run's name
    tags : the run's tags
    system_metrics : log processor, memory and network every second
    once : see `store.Record`
    """
    with tempfile.TemporaryDirectory() as artifacts:
        opened = Run(Record(experiment, name, once=once, started=_now(), tags=dict(tags)), Path(artifacts))
        opened.begin()
        try:
            with opened.system_metrics() if system_metrics else nullcontext():
                yield opened
        except BaseException:  # also an interrupt: no run stays RUNNING
            opened.end("FAILED")
            raise
        opened.end("FINISHED")


@contextmanager
def continued(experiment: str, weights: str) -> Iterator[Run]:
    """Open the run that trained `weights` to add to it, if there is one; see `store.run_tags`."""
    with tempfile.TemporaryDirectory() as artifacts:
        opened = Run(Record(experiment, adds_to=store.run_tags(weights), started=_now()), Path(artifacts))
        yield opened
        opened.end("FINISHED")


def has(experiment: str, tags: Mapping[str, str | None]) -> bool:
    """Tell whether MLflow has a finished run with these tags, see `store.find`; True where MLflow can't be reached."""
    try:
        return store.find(store.connect(), experiment, tags) is not None
    except Exception as error:  # whatever the store or the network raises
        _warn_without(error)
        return True


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
