"""Runs on their way to MLflow: many processes at once, a server that goes away, and nothing lost on the way."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from unittest import mock

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as MlflowStore

from conftest import new_store, noise, started, write_audio
from earshot import files, processes
from earshot.cli import main
from earshot.tracking import logger, outbox, store
from machines import log_runs

PROCESSES, RUNS, STEPS = 4, 50, 100


@pytest.fixture
def project(project):
    """A project whose MLflow store has its tables already."""
    new_store(project.data("mlflow", "mlflow.db"))
    return project


def all_runs() -> tuple[MlflowClient, list]:
    client = MlflowClient(store.uri())
    experiment = client.get_experiment_by_name("task").experiment_id
    return client, client.search_runs([experiment], run_view_type=ViewType.ALL, max_results=1000)


class MlflowServer:
    """A real `mlflow server` on this machine; it can be stopped, and started again on what it holds."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        self.command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
        self.command += ["--artifacts-destination", str(folder / "served")]
        self.folder = folder

    def start(self) -> None:
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                self.command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.address}/health", timeout=5)
                return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError((self.folder / "server.log").read_text())

    def stop(self) -> None:
        os.killpg(self.process.pid, 9)
        self.process.wait()


@pytest.fixture
def server(tmp_path, monkeypatch):
    made = MlflowServer(tmp_path)
    made.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.address)
    yield made
    if made.process.returncode is None:
        made.stop()


@pytest.mark.parametrize("store", ["sqlite", pytest.param("server", marks=pytest.mark.long)])
@pytest.mark.process
def test_nothing_is_lost_where_many_processes_log(store, project, request, capfd):
    if store == "server":
        request.getfixturevalue("server")
    project.data("mlflow", "mlflow.db").unlink()
    context = multiprocessing.get_context("forkserver")
    start = context.Barrier(PROCESSES)  # all of them meet a store that was never used
    workers = [
        context.Process(target=log_runs, args=(dict(os.environ), n * RUNS, start, RUNS, STEPS))
        for n in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    said = capfd.readouterr().err
    assert "lock" not in said and "warning:" not in said and "Traceback" not in said
    assert not outbox.unsent()
    client, found = all_runs()
    assert sorted(int(run.data.tags["number"]) for run in found) == list(range(PROCESSES * RUNS))
    assert {run.info.status for run in found} == {"FINISHED"}
    for run in found:
        number = int(run.data.tags["number"])
        assert run.data.params == {"seed": str(number), "lr": "0.1"}
        assert run.data.metrics == {"train_loss": number + 1 / STEPS, "val_loss": number - 1 / STEPS}
    for run in found[:: len(found) // 8]:
        points = client.get_metric_history(run.info.run_id, "train_loss")
        assert sorted(point.step for point in points) == list(range(1, STEPS + 1))


@pytest.mark.process
def test_a_server_that_goes_away_loses_nothing(project, server, monkeypatch, capsys):
    monkeypatch.setattr(logger, "LIVE_SECONDS", 0.0)
    monkeypatch.setattr(logger, "FIRST_SECONDS", 0.0)
    with logger.run("task", "unlucky", {"number": "7"}) as run:
        run._creation.join()
        run.params({"seed": 7})
        run.text("seed: 7", "config.yaml")
        run.metrics({"val_loss": 1.0}, 1)
        server.stop()
        for step in (2, 3):
            run.metrics({"val_loss": 1 / step}, step)
        run.tag(store.WEIGHTS_TAG, "abc")
    with logger.continued("task", "abc") as test:
        test.metrics({"test_accuracy": 0.5})
    said = capsys.readouterr().err
    assert said.count("going on without it") == 1 and said.count("`earshot sync` sends it") == 2
    assert len(outbox.unsent()) == 2

    away = CliRunner().invoke(main.main, ["sync"])
    assert away.exit_code == 1 and "took 0 of 2" in away.stderr and len(outbox.unsent()) == 2

    server.start()
    sent = CliRunner().invoke(main.main, ["sync"])
    assert sent.exit_code == 0 and "sent: unlucky (task)" in sent.output, sent.output
    client, (found,) = all_runs()
    assert found.info.status == "FINISHED" and found.data.tags["number"] == "7"
    assert found.data.metrics == {"val_loss": 1 / 3, "test_accuracy": 0.5}
    assert [point.step for point in client.get_metric_history(found.info.run_id, "val_loss")] == [1, 2, 3]
    assert [file.path for file in client.list_artifacts(found.info.run_id)] == ["config.yaml"]
    assert not outbox.unsent() and "there are no unsent runs" in CliRunner().invoke(main.main, ["sync"]).output


def test_a_run_that_was_sent_twice_is_one_run(project, tmp_path):
    record = store.Record("task", "twice", started=1, ended=2, status="FINISHED", params={"a": "1"})
    record.metrics = [("loss", 0.5, 1, 1), ("loss", 0.25, 2, 2)]
    (tmp_path / "none").mkdir()
    client = store.connect()
    store.send(client, record, tmp_path / "none")
    store.send(client, record, tmp_path / "none")
    _, (found,) = all_runs()
    assert found.data.metrics == {"loss": 0.25} and found.info.end_time == 2
    assert len(client.get_metric_history(found.info.run_id, "loss")) == 2


def test_a_run_that_is_to_be_logged_once_is_that_also_by_sync(project, tmp_path):
    tags = {store.WEIGHTS_TAG: "abc", store.SWEEP_TAG: "rates"}
    nothing = tmp_path / "none"
    nothing.mkdir()
    client = store.connect()
    for ended, name in enumerate(("first", "second"), start=2):  # sent in this order
        record = store.Record("task", name, once=True, started=1, ended=ended, status="FINISHED", tags=tags)
        outbox.store(record, nothing)
    assert CliRunner().invoke(main.main, ["sync"]).exit_code == 0 and not outbox.unsent()
    other = store.Record(
        "task", "other", once=True, started=1, ended=2, status="FINISHED", tags=tags | {"dvc.exp": "a"}
    )
    store.send(client, other, nothing)
    store.send(client, other, nothing)
    failed = store.Record("task", "failed", once=True, started=1, ended=2, status="FAILED", tags=tags)
    store.send(client, failed, nothing)
    found = client.search_runs([client.get_experiment_by_name("task").experiment_id])
    assert sorted(run.info.run_name for run in found) == ["failed", "first", "other"]


def test_who_waits_too_long_for_the_store_keeps_its_run(project, monkeypatch, capsys):
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.1)
    with store.locked(store.ALL), logger.run("task", "late", {}, once=True) as run:  # held by a process that was paused
        run.params({"seed": 7})
    told = capsys.readouterr().err
    assert "could not be acquired" in told and "Traceback" not in told and len(outbox.unsent()) == 1


def test_of_two_syncs_at_once_one_is_refused(project, tmp_path):
    (tmp_path / "none").mkdir()
    outbox.store(store.Record("task", "run", started=1, ended=2, status="FINISHED"), tmp_path / "none")
    with outbox.alone():
        done = CliRunner().invoke(main.main, ["sync"])
    assert done.exit_code == 1 and done.stderr == "error: another `earshot sync` is at work: wait for it, or end it\n"
    assert CliRunner().invoke(main.main, ["sync"]).exit_code == 0 and not outbox.unsent()
    assert len(all_runs()[1]) == 1


def test_runs_that_log_a_new_dataset_at_once_are_both_taken(project, monkeypatch, tmp_path):
    dataset = {"name": "birds", "digest": "1", "source": "{}", "context": "train"}
    records = [store.Record("task", name, started=1, ended=2, status="FINISHED", datasets=[dataset]) for name in "ab"]
    nothing = tmp_path / "none"
    nothing.mkdir()
    client, first = store.connect(), MlflowStore._log_inputs_impl

    def between(*arguments):
        """Log the other run's after this one has looked whether the dataset is there."""
        monkeypatch.setattr(MlflowStore, "_log_inputs_impl", first)
        store.send(client, records[1], nothing)
        raise MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.name")

    monkeypatch.setattr(MlflowStore, "_log_inputs_impl", between)
    store.send(client, records[0], nothing)
    _, found = all_runs()
    assert [len(run.inputs.dataset_inputs) for run in found] == [1, 1]


@pytest.mark.process
def test_a_run_whose_process_is_gone_is_ended_by_the_next(project):
    with started("-c", "input()", stdin=subprocess.PIPE) as child:
        name = processes.identity(child.pid)
        client = store.connect()
        store.create(client, store.Record("task", "theirs", tags={store.PROCESS_TAG: name}))
        store.create(client, store.Record("task", "mine"))
        assert {run.info.status for run in all_runs()[1]} == {"RUNNING"}, "both are at work"
    store.create(client, store.Record("task", "next"))
    assert {run.info.run_name: run.info.status for run in all_runs()[1]} == {
        "theirs": "FAILED",
        "mine": "RUNNING",
        "next": "RUNNING",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system notes the time at which a process began")
def test_a_process_is_not_gone_when_the_clock_is_set(monkeypatch):
    monkeypatch.setattr("psutil.Process.create_time", lambda _: time.time() - 3600)
    name = processes.identity()
    monkeypatch.setattr("psutil.Process.create_time", lambda _: time.time() + 3600)
    assert processes.identity() == name and not processes.is_gone(name)
    host, number, start = name.split()
    assert processes.is_gone(f"{host} {number} {start}1"), "one of the same number before it"
    assert not processes.is_gone(f"{host}2 {number} {start}1") and not processes.is_gone("of another version")


def test_a_run_can_be_watched_while_it_trains(project, monkeypatch):
    monkeypatch.setattr(logger, "LIVE_SECONDS", 0.0)
    with logger.run("task", "live", {}, system_metrics=True) as run:
        run.metrics({"val_loss": 1.0}, 1)
        _, (found,) = all_runs()
        assert found.info.status == "RUNNING" and found.data.metrics["val_loss"] == 1.0
        threading.Event().wait(2.5)
    _, (found,) = all_runs()
    assert any(name.startswith("system/") for name in found.data.metrics)


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_does_not_break_off_what_is_being_sent(project, monkeypatch, number):
    send = store.send_metrics

    def interrupted(*arguments) -> None:
        signal.raise_signal(number)  # as if it came in the midst of a transaction
        send(*arguments)

    monkeypatch.setattr(store, "send_metrics", interrupted)
    before = signal.signal(signal.SIGTERM, processes.leave_in_order)
    try:
        with (
            pytest.raises(SystemExit if number == signal.SIGTERM else KeyboardInterrupt),
            logger.run("task", "run", {}) as run,
        ):
            run.metrics({"train_loss": 1.0}, 1)
    finally:
        signal.signal(signal.SIGTERM, before)
    client, (found,) = all_runs()
    assert len(client.get_metric_history(found.info.run_id, "train_loss")) == 1
    assert found.info.status == "FINISHED"  # its training had ended


@pytest.mark.parametrize("last", ["set_terminated", "log_artifacts"])
def test_a_sync_that_is_killed_goes_on_with_the_run_that_it_has_begun(project, tmp_path, monkeypatch, last):
    note = tmp_path / "artifacts" / "note.txt"
    note.parent.mkdir()
    note.write_text("here")
    outbox.store(store.Record("task", "unlucky", started=1, ended=2, status="FINISHED"), note.parent)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        send = getattr(MlflowClient, last)

        def killed(*args):
            send(*args)
            raise KeyboardInterrupt

        patch.setattr(MlflowClient, last, killed)
        outbox.sync(print)
    outbox.sync(print)
    client, (found,) = all_runs()
    assert found.info.status == "FINISHED" and not outbox.unsent()
    assert [file.path for file in client.list_artifacts(found.info.run_id)] == ["note.txt"]


def test_a_run_that_was_sent_is_removed_in_one_step(project, tmp_path, monkeypatch):
    outbox.store(store.Record("task", "sent", started=1, ended=2, status="FINISHED"), tmp_path / "conf")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(outbox.shutil, "rmtree", mock.Mock(side_effect=KeyboardInterrupt))
        outbox.sync(print)
    assert not outbox.unsent()
    [left] = project.data("mlflow", "unsent").iterdir()
    assert files.writer_of(left) == os.getpid(), "`earshot verify` lists it once this process is gone"


def test_a_run_that_could_not_be_kept_leaves_nothing(project, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "write_text", mock.Mock(side_effect=OSError))
    with pytest.raises(OSError):
        outbox.store(store.Record("task", "lost"), tmp_path / "conf")
    assert not [*project.data("mlflow", "unsent").iterdir()]


def test_an_error_of_the_database_is_told_in_a_line(project, capfd):
    with logger.run("birds", "first", {}):
        pass
    with contextlib.closing(sqlite3.connect(project.data("mlflow", "mlflow.db"))) as database:
        database.execute("DROP TABLE metrics")
    with logger.run("birds", "second", {}) as run:
        run.metrics({"loss": 1.0})
    [told] = capfd.readouterr().err.splitlines()
    assert told.startswith("warning: MLflow at ") and "no such table" in told


def test_an_experiment_that_was_deleted_is_told_with_the_way_out(project, capsys):
    with logger.run("birds", "first", {}) as run:
        run.tag(store.WEIGHTS_TAG, "abc")
    client = store.connect()
    client.delete_experiment(client.get_experiment_by_name("birds").experiment_id)
    with logger.run("birds", "second", {}):
        pass
    told = capsys.readouterr().err
    assert "'birds' was deleted in the dashboard. `earshot restore birds`" in told and "another task" in told
    assert "Traceback" not in told and len(outbox.unsent()) == 1
    with pytest.raises(store.Deleted):
        store.find(client, "birds", {store.WEIGHTS_TAG: "abc"})
    failed = CliRunner().invoke(main.main, ["sync"])
    assert failed.exit_code == 1 and "took 0 of 1: MLflow's experiment 'birds' was deleted" in failed.stderr
    assert CliRunner().invoke(main.main, ["restore", "birds"]).output == "restored: birds\n"
    assert CliRunner().invoke(main.main, ["sync"]).exit_code == 0
    assert store.find(client, "birds", {store.WEIGHTS_TAG: "abc"}), "its runs are there again"
    assert "was not deleted" in CliRunner().invoke(main.main, ["restore", "birds"]).output
    assert "no experiment 'owls'. There are: " in CliRunner().invoke(main.main, ["restore", "owls"]).stderr


@pytest.mark.parametrize("value", ["it's", 'so "called"', "both ' and \"", "back\\slash", "a=b; c, d %_ `e`", "ü 😀"])
def test_a_run_is_found_by_tags_of_any_text(project, value):
    for number in range(2):
        with logger.run("birds", "run", {store.SWEEP_TAG: f"{value}{number}", store.WEIGHTS_TAG: "abc"}):
            pass
    client = store.connect()
    wanted = store.find(client, "birds", {store.SWEEP_TAG: f"{value}0", store.WEIGHTS_TAG: "abc"})
    assert client.get_run(wanted).data.tags[store.SWEEP_TAG] == f"{value}0"
    assert store.find(client, "birds", {store.SWEEP_TAG: value}) is None
    assert store.find(client, "birds", {store.SWEEP_TAG: None}) is None


def test_the_projects_path_may_have_any_character(tmp_path, monkeypatch):
    root = tmp_path / "what? 100%20 #1 'so'; a&b=c"
    root.mkdir()
    monkeypatch.setenv("EARSHOT_ROOT", str(root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with logger.run("birds", "run", {}) as run:
        run.text("here", "note.txt")
    assert (root / "data" / "mlflow" / "mlflow.db").is_file()
    assert [path.read_text() for path in root.rglob("note.txt")] == ["here"]
    assert [path.name for path in tmp_path.iterdir()] == [root.name], "nothing is written beside it"


@pytest.mark.parametrize(
    ("uri", "secrets"),
    [
        ("http://anna:hunter2@127.0.0.1:1", ["hunter2"]),
        ("http://anna:p%40ss%2Fword@127.0.0.1:1", ["p%40ss%2Fword", "p@ss/word"]),
        ("http://ghp_token123@127.0.0.1:1", ["ghp_token123"]),
        ("postgresql://anna:hunter2@127.0.0.1:1/runs", ["hunter2"]),
        ("postgresql://anna:p@ss/word@127.0.0.1:1/runs", ["ss/word"]),
        ("mysql+pymysql://anna@127.0.0.1:1/runs?password=hunter2&ssl=1", ["hunter2"]),
        ("no-such-store://anna:hunter2@127.0.0.1/runs", ["hunter2"]),
    ],
)
def test_a_password_is_shown_nowhere_and_a_store_that_is_away_is_one_line(project, monkeypatch, capfd, uri, secrets):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "in-the-environment")
    project.card("birds", source={"folder": "."})
    wav = write_audio(project.root / "a.wav", noise(3, 8000), 8000)
    told = []
    for arguments in (
        ["champion", "birds"],
        ["predict", "--champion", "birds", str(wav)],
        ["predict", "--run", "abc", str(wav)],
        ["serve"],
        ["restore", "birds"],
        ["reproduce", "abc"],
    ):
        done = CliRunner().invoke(main.main, arguments)
        assert done.exit_code == 1 and isinstance(done.exception, SystemExit), (arguments, done.output)
        assert "can't be reached" in done.stderr and done.stderr.count("error: ") == 1 and done.stderr.count("\n") <= 2
        told.append(done.output)
    with logger.run("birds", "run", {"a": "b"}):
        pass
    told.append(CliRunner().invoke(main.main, ["sync"]).output)
    assert len(outbox.unsent()) == 1
    if uri.startswith("http"):
        told.append(CliRunner().invoke(main.main, ["dashboard"]).output)
    logging.getLogger("mlflow").warning("at %s with %s", uri, "in-the-environment")
    told.append("".join(capfd.readouterr()))
    for secret in (*secrets, "in-the-environment"):
        assert secret not in "".join(told)
    assert "127.0.0.1" in told[-2] or "127.0.0.1" in told[-1]
