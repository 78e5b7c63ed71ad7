"""Processes that log to one store of SQLite at once, and what it has of it."""

from __future__ import annotations

import collections
import multiprocessing
import os
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from conftest import new_store
from earshot.tracking import logger


def log(number: int, metrics: int, start: Any) -> None:
    """Log a run of so many metrics, sent in small parts while others do so, too."""
    logger.FIRST_SECONDS, logger.LIVE_SECONDS = 0.0, 0.002
    start.wait()
    with logger.run("load", str(number), {}) as run:
        run._creation.join()
        for step in range(metrics):
            run.metrics({"loss": number + step / metrics}, step)


def metrics_of(root: Path, processes: int, metrics: int) -> dict[str, int]:
    """Have processes log to one store of SQLite; return how many metrics were lost, and how many are there twice."""
    os.environ["EARSHOT_ROOT"], os.environ["MLFLOW_TRACKING_URI"] = str(root), new_store(root / "mlflow.db")
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(processes)
    workers = [context.Process(target=log, args=(number, metrics, start)) for number in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    client = MlflowClient(os.environ.pop("MLFLOW_TRACKING_URI"))
    found: dict[tuple[str, int, float], int] = collections.Counter()
    for run in client.search_runs([client.get_experiment_by_name("load").experiment_id]):
        for point in client.get_metric_history(run.info.run_id, "loss"):
            found[run.info.run_name, point.step, point.value] += 1
    wanted = {(str(n), step, n + step / metrics) for n in range(processes) for step in range(metrics)}
    return {
        "processes": processes,
        "metrics": metrics,
        "lost": len(wanted - found.keys()),
        "doubled": sum(found.values()) - len(found),
        "unlike": len(found.keys() - wanted),
    }
