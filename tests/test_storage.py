"""Runs and trials in a real Postgres, artifacts and recordings on a real server of S3."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from urllib.parse import quote

import fsspec
import pytest
from mlflow import MlflowClient
from moto.server import ThreadedMotoServer
from sqlalchemy import NullPool, create_engine, text

import postgres
from earshot.tracking import address, outbox, store
from machines import RUNS, STEPS, log_runs

PROCESSES = 8

pytestmark = pytest.mark.process
needs_postgres = pytest.mark.skipif(postgres.why_not() is not None, reason=postgres.why_not() or "")


@pytest.fixture(scope="module")
def database():
    with postgres.running() as at:
        yield at


@pytest.fixture
def runs_in_postgres(database, request, monkeypatch) -> str:
    """Have runs logged to a new database; return its address, without the password."""
    monkeypatch.setenv("PGPASSWORD", postgres.PASSWORD)
    name = f"runs_{abs(hash(request.node.name))}"
    engine = create_engine(f"postgresql://{postgres.USER}@{database}/postgres", poolclass=NullPool)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql://{postgres.USER}@{database}/{name}")
    return os.environ["MLFLOW_TRACKING_URI"]


@pytest.fixture(scope="module")
def s3_server():
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(s3_server, monkeypatch):
    """A bucket in S3, as fsspec's file system; the keys are in the environment."""
    for name, value in {"ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "s3-secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    system.mkdir("bucket")
    monkeypatch.setenv(address.ARTIFACTS, "s3://bucket/mlflow")
    yield system
    system.rm("bucket", recursive=True)


@needs_postgres
def test_nothing_is_lost_where_machines_log_to_postgres_and_s3(project, runs_in_postgres, bucket, capfd, tmp_path):
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
    texts = {path: bucket.cat(path).decode() for path in bucket.find("bucket/mlflow")}
    assert sorted(texts.values()) == sorted(f"seed: {number}" for number in range(0, PROCESSES * RUNS, 5))
