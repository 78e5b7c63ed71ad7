"""Runs that MLflow could not take, kept until `earshot sync` sends them."""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earshot import files, project
from earshot.tracking.store import Record, connect, send

if TYPE_CHECKING:
    from mlflow import MlflowClient


def keep(record: Record, artifacts: Path) -> Path:
    """Keep what MLflow did not take in a folder of data/mlflow/unsent, for `sync`."""
    # names are sorted by time: what adds to a run comes after it
    folder = project.mlflow("unsent", f"{record.ended}-{uuid.uuid4().hex[:8]}")
    shutil.copytree(artifacts, folder / "artifacts")
    files.write_text(folder / "record.json", json.dumps(asdict(record), indent=2))  # the last: with it it is whole
    return folder


def unsent() -> list[Path]:
    """List the folders that `keep` made, the oldest first."""
    return sorted(path.parent for path in project.mlflow("unsent").glob("*/record.json"))


def sync(told: Callable[[Record], Any]) -> None:
    """Send what was kept, and tell of each run that has arrived; what is sent is not kept any longer.

    Raises
    ------
    Exception
        Whatever the store or the network raises; the runs that had not arrived stay.
    """
    client = connect()
    for folder in unsent():
        record = Record(**json.loads((folder / "record.json").read_text("utf-8")))
        if record.run_id is not None and not _is_there(client, record.run_id):
            record.run_id = None
        send(client, record, folder / "artifacts")
        shutil.rmtree(folder)
        told(record)


def _is_there(client: MlflowClient, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException):
        return client.get_run(run_id) is not None
    return False
