"""Runs that could not be sent to MLflow, stored until `earshot sync` sends them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from earshot import files, project
from earshot.errors import EarshotError
from earshot.tracking.store import Record, connect, create, send

if TYPE_CHECKING:
    from mlflow import MlflowClient


def store(record: Record, artifacts: Path) -> Path:
    """Store a record and its artifacts in a folder of data/mlflow/unsent, for `sync`; return the folder."""
    # names sort by time: a record that adds to a run comes after the run
    folder = project.mlflow("unsent", f"{record.ended}-{uuid.uuid4().hex[:8]}")
    made = files.temporary_name(folder)
    try:
        shutil.copytree(artifacts, made / "artifacts")
        _write(record, made)
        os.replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _write(record: Record, folder: Path) -> None:
    files.write_text(folder / "record.json", json.dumps(asdict(record), indent=2))


def unsent() -> list[Path]:
    """List the folders that `store` made, the oldest first."""
    return sorted(path.parent for path in project.mlflow("unsent").glob("[!.]*/record.json"))


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let no other process of this folder `sync` within the block: two would send a run twice.

    Raises
    ------
    EarshotError
        If another one is at it.
    """
    project.mlflow("unsent").mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(project.mlflow("unsent", ".lock"), timeout=0):
            yield
    except Timeout:
        raise EarshotError("another `earshot sync` is at work: wait for it, or end it") from None


def sync(report: Callable[[Record], Any]) -> None:
    """Send the stored records, the oldest first, and delete each folder once it was sent.

    Each becomes one run, also where this was killed before.

    Parameters
    ----------
    report : called with each record that was sent

    Raises
    ------
    Exception
        Whatever the store or the network raises; records that were not sent stay.
    """
    client = connect()
    for folder in unsent():
        record = Record(**json.loads((folder / "record.json").read_text("utf-8")))
        if record.adds_to is None and not _exists(client, record.run_id):
            create(client, record)
            _write(record, folder)
        send(client, record, folder / "artifacts")
        sent = files.temporary_name(folder)
        os.replace(folder, sent)  # in one step: half of it could not be sent again
        shutil.rmtree(sent)
        report(record)


def _exists(client: MlflowClient, run_id: str | None) -> bool:
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException):
        return run_id is not None and client.get_run(run_id) is not None
    return False
