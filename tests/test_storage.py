"""Runs and trials in a real Postgres, artifacts and recordings on a real server of S3."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter

import pytest
from mlflow import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from conftest import invoke
from earshot.cli.main import main
from earshot.cluster import remote, start
from earshot.datasets.card import load_card
from earshot.errors import EarshotError
from earshot.settings import read_params
from earshot.tracking import address, logger, outbox, store
from earshot.tracking import postgres as locks
from machines import RUNS, STEPS, log_runs
from shared_stores import *  # noqa: F403 (its fixtures)

PROCESSES = 8


def test_nobody_waits_for_good_for_a_lock_in_postgres(database, monkeypatch):
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.1)
    with (
        locks.held(database, "a"),  # by a process that was paused
        pytest.raises(SQLAlchemyError, match="lock timeout"),
        locks.held(database, "a"),
    ):
        pass
    with locks.held(database, "a"):
        pass


@pytest.mark.process
def test_nothing_is_lost_where_machines_log_to_postgres_and_s3(project, runs_elsewhere, bucket_in_s3, capfd, tmp_path):
    context = multiprocessing.get_context("forkserver")
    start = context.Barrier(PROCESSES)  # all of them meet a database without tables
    workers = []
    for number in range(PROCESSES):
        environment = os.environ | {"EARSHOT_ROOT": str(tmp_path / f"machine{number}")}
        workers.append(context.Process(target=log_runs, args=(environment, number * RUNS, start)))
        workers[-1].start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    said = capfd.readouterr().err
    assert "warning:" not in said and "Traceback" not in said and not outbox.unsent()
    client = MlflowClient(store.uri())
    found = client.search_runs([client.get_experiment_by_name("task").experiment_id], max_results=1000)
    assert Counter(int(run.data.tags["number"]) for run in found) == Counter(range(PROCESSES * RUNS))
    assert {run.info.status for run in found} == {"FINISHED"}
    for run in found:
        number = int(run.data.tags["number"])
        assert run.data.params == {"seed": str(number), "lr": "0.1"}
        assert run.data.metrics == {"train_loss": number + 1 / STEPS, "val_loss": number - 1 / STEPS}
    texts = {path: bucket_in_s3.cat(path).decode() for path in bucket_in_s3.find("bucket/mlflow")}
    assert sorted(texts.values()) == sorted(f"seed: {number}" for number in range(0, PROCESSES * RUNS, 5))


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("params.yaml", read_params),
        ("conf/cards/esc50.yaml", lambda: load_card("esc50")),
        ("conf/cluster/slurm.yaml", lambda: start.read("slurm")),
    ],
)
def test_a_password_in_a_file_of_the_project_is_refused(project, file, read):
    path = project.root / file
    path.write_text(f"{path.read_text()}\nmore: sftp://anna:hunter2@example.org/sounds\n")
    with pytest.raises(EarshotError, match=rf"{path}.*line \d+: the address has a password") as told:
        read()
    assert "hunter2" not in str(told.value) and "\n" not in str(told.value)


def test_no_password_is_sent_to_workers(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://anna:p%40ss%2Fword@db.example.org/runs")
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    sent = remote._environment()
    assert sent["MLFLOW_TRACKING_URI"] == "postgresql://anna@db.example.org/runs"
    assert "hunter2" not in str(sent) and "ss%2Fword" not in str(sent)


def test_passwords_of_all_services_are_hidden(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://anna@127.0.0.1:1/runs")
    monkeypatch.setenv("OPTUNA_STORAGE", "postgresql://anna:hunter2@127.0.0.1:1/trials")
    for name in ("PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, f"secret-{name}")
        assert "secret" not in address.without_passwords(f"no access with secret-{name}")
    assert "hunter2" not in address.without_passwords("hunter2 is wrong")
    assert address.without_passwords("anna runs") == "anna runs", "a name is none"


def test_a_package_that_is_missing_is_named():
    missing = ModuleNotFoundError("No module named 'psycopg'", name="psycopg")
    assert address.told(missing) == "No module named 'psycopg': pip install 'earshot[postgres]'"


@pytest.mark.process
def test_without_a_place_for_artifacts_runs_are_kept(project, runs_elsewhere, monkeypatch, capsys):
    monkeypatch.delenv(address.ARTIFACTS)
    with logger.run("task", "waits", {}):
        pass
    assert f"{address.ARTIFACTS} is not set: set it to where" in capsys.readouterr().err and len(outbox.unsent()) == 1
    monkeypatch.setenv(address.ARTIFACTS, "s3://bucket/mlflow")
    assert invoke(main, "sync") == "sent: waits (task)\n"
