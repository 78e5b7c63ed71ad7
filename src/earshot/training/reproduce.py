"""Retrain a run of MLflow and check that the result is identical."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from earshot import provenance
from earshot.batches import prepare
from earshot.errors import EarshotError
from earshot.tracking import address, store
from earshot.training import fit, run_cache, strong_labels

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SCORES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class Reproduction:
    """A run beside its retraining.

    facts : name, value when the run was logged, value now
    metrics : name of a score, epochs that were logged, epochs that are equal, and the largest difference
    weights : whether they are identical
    """

    facts: list[tuple[str, str, str]]
    metrics: list[tuple[str, int, int, float]]
    weights: bool

    @property
    def identical(self) -> bool:
        """Whether every score of every epoch and the weights are identical."""
        return self.weights and all(logged == equal for _, logged, equal, _ in self.metrics)


def reproduce(run_id: str) -> Reproduction:
    """Retrain a run with its settings on the present data and code; nothing is logged.

    Raises
    ------
    EarshotError
        If there is no such run, it is not a finished training, or its features are missing.
    """
    client, run = _run(run_id)
    cfg = _config(client, run)
    data = prepare.load(cfg)
    windows = {part: prepare.part(cfg, data, part) for part in ("train", "validation")}
    trained = fit.fit(cfg, data, windows["train"], windows["validation"], teach=strong_labels.teacher(cfg, data))
    metrics = [_comparison(client, run, name, [epoch[name] for epoch in trained.epochs]) for name in SCORES]
    identical = run.data.tags.get(store.WEIGHTS_TAG) == fit.digest(trained)
    return Reproduction(_facts(run, cfg, data), metrics, identical)


def _run(run_id: str) -> tuple[MlflowClient, Run]:
    from mlflow.exceptions import MlflowException

    client = store.connect()
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise EarshotError(f"MLflow at {address.shown()} gives no run {run_id}: {address.told(error)}") from None
    if run.info.status != "FINISHED" or store.WEIGHTS_TAG not in run.data.tags:
        raise EarshotError(f"run {run_id} ({run.info.status}) is no training that came to its end")
    return client, run


def _config(client: MlflowClient, run: Run) -> DictConfig:
    from mlflow.exceptions import MlflowException

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = client.download_artifacts(run.info.run_id, "config.yaml", folder)
            return OmegaConf.create(Path(path).read_text("utf-8"))
    except (MlflowException, OSError) as error:
        raise EarshotError(f"run {run.info.run_id} has lost its artifact config.yaml: {error}") from None


def _facts(run: Run, cfg: DictConfig, data: prepare.Data) -> list[tuple[str, str, str]]:
    now = {f"{store.DIGEST_TAG}{name}": digest for name, digest in run_cache.facts(cfg, data).items()}
    now |= {"mlflow.source.git.commit": provenance.commit(), "earshot.machine": provenance.machine()}
    return [
        (name.removeprefix(store.DIGEST_TAG).rpartition(".")[2], run.data.tags.get(name, "unknown"), value)
        for name, value in now.items()
    ]


def _comparison(client: MlflowClient, run: Run, name: str, values: list[float]) -> tuple[str, int, int, float]:
    logged = {point.step: point.value for point in client.get_metric_history(run.info.run_id, name)}
    values_now = dict(enumerate(values, start=1))
    differences = [abs(logged[step] - values_now[step]) if step in values_now else float("inf") for step in logged]
    return name, len(logged), differences.count(0.0), max(differences, default=0.0)
