"""Work on a cluster: a real scheduler of Dask and two workers, each a process, that all tests of this file share."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from pathlib import Path

import distributed
import pandas as pd
import psutil
import pytest
import yaml

import on_cluster
from conftest import BIN, PROJECT, Project, invoke, left_running, new_store, started
from earshot.cli.main import main
from earshot.cluster import each as each_module
from earshot.cluster import pools, remote, same, start
from earshot.cluster.each import TRIES, each
from earshot.errors import EarshotError
from earshot.stages import evaluate as evaluate_stage
from earshot.stages import features as features_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import split as split_stage
from earshot.stages import train as train_stage
from pipelines import Pipeline
from tiny import FEATURES, RATE, TWO, class_folders

DOC = (PROJECT / "docs" / "cluster.md").read_text()


def lines(section: str, program: str) -> list[str]:
    """Return the lines to type in a section of docs/cluster.md that begin with a program, after its variables."""
    [text] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", DOC, re.DOTALL | re.MULTILINE)
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    return [line for line in blocks.splitlines() if re.match(rf"([A-Z_]+=\S+ )?{program}", line)]


def test_nothing_else_starts_processes_or_threads_to_share_work():
    package = PROJECT / "src" / "earshot"
    own = {package / "processes.py", *(package / "cluster").glob("*.py")}
    for path in {*package.rglob("*.py")} - own:
        assert not re.search(r"PoolExecutor|processes\.pool\(|import joblib", path.read_text()), path


def test_an_error_of_the_disk_names_what_was_read():
    def fails():
        raise OSError(errno.EIO, "Input/output error")

    with ThreadPoolExecutor(1) as pool, pytest.raises(OSError, match="song.wav"):
        list(each(pool, fails, [()], "", names=["song.wav"]))


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """Start a scheduler and two workers, as docs/cluster.md says; return the scheduler's file."""
    folder = tmp_path_factory.mktemp("cluster")
    file = folder / "data" / "scheduler.json"
    file.parent.mkdir()
    python = os.pathsep.join([str(PROJECT / "src"), str(PROJECT / "tests")])
    of_workers = {
        "PYTHONPATH": python,
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
        "EARSHOT_ROOT": "/nowhere",
    }
    where = {"cwd": folder, "env": os.environ | of_workers, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    [schedule], [work] = (lines("Several machines", f"dask {what}") for what in ("scheduler", "worker"))
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", python)
    with (
        started("-m", *schedule.split(), at_most=1800, **where),  # all tests of this file, on a busy machine
        started("-m", *work.split(), at_most=1800, **where) as workers,
    ):
        with distributed.Client(scheduler_file=str(file), timeout=300) as client:
            client.wait_for_workers(2)
        children = psutil.Process(workers.pid).children(recursive=True)
        yield file
        if file.exists():
            remote._client(str(file)).close()
        workers.terminate()
        workers.wait()
        assert not left_running(children, 120)
    patch.undo()


@pytest.fixture
def cluster(scheduler, monkeypatch) -> Path:
    monkeypatch.setenv(pools.CLUSTER, str(scheduler))
    return scheduler


def on_all(work, done: Path, *more, n: int = 8) -> list:
    done.mkdir(exist_ok=True)
    with pools.spread(2, "on_cluster") as pool:
        todo = [(number, done, *more) for number in range(n)]
        return list(each(pool, work, todo, "test", names=[f"song {number}.wav" for number in range(n)]))


def others(done: Path, n: int = 8) -> bool:
    """Tell whether all but the third are done."""
    return {path.name for path in done.iterdir()} == {str(number) for number in range(n)} - {"3"}


class SlowAtFirst(Executor):
    """Has all that it is given done at once but the first, which is done when all others that were begun are."""

    slots = 2

    def __init__(self):
        self.first, self.begun, self.before = None, 0, 0

    def submit(self, work, *args) -> Future:
        future: Future = Future()
        self.begun += len(args[-1])
        if self.first is None:
            self.first = lambda: future.set_result(work(*args))
        else:
            future.set_result(work(*args))
        return future

    def wait(self, futures, *_):
        if not any(future.done() for future in futures):
            self.before = self.begun
            self.first()
        return wait(futures, 0)


def test_few_results_wait_in_memory_for_a_slow_one(monkeypatch, tmp_path):
    monkeypatch.setattr(each_module, "MOST", 10)
    monkeypatch.setattr(each_module, "HELD", 100)
    for work in (on_cluster.begins, on_cluster.fails):
        pool = SlowAtFirst()
        monkeypatch.setattr(each_module, "wait", pool.wait)
        results = each(pool, work, [(number, tmp_path) for number in range(1000)], "")
        if work is on_cluster.begins:
            assert [*results] == [*range(1000)] and 100 <= pool.before < 150
        else:
            with pytest.raises(EarshotError, match="is out of tune"):
                list(results)
            assert pool.before == 1000, "nobody gets the results after one that failed: none is kept"


@pytest.mark.process
def test_results_come_in_order_from_new_processes_for_each_pool(cluster):
    used = []
    for _ in range(2):
        with pools.spread(2) as pool:
            numbers, pids = zip(*each(pool, on_cluster.process, [(n,) for n in range(500)], ""), strict=True)
        assert numbers == tuple(range(500))
        used.append({*pids})
    assert os.getpid() not in used[0] and not used[0] & used[1]


@pytest.mark.process
@pytest.mark.parametrize("where", ["here", "cluster"])
def test_what_fails_is_named_and_the_others_are_done(where, request, tmp_path):
    if where == "cluster":
        request.getfixturevalue("cluster")
    with pytest.raises(EarshotError, match=r"^song 3.wav: is out of tune$"):
        on_all(on_cluster.fails, tmp_path / "done")
    assert others(tmp_path / "done")


@pytest.mark.process
@pytest.mark.parametrize(
    ("where", "whom"),
    [("here", "process"), ("cluster", "process"), pytest.param("cluster", "worker", marks=pytest.mark.long)],
)
def test_what_kills_each_time_is_named_and_the_others_are_done(where, whom, request, tmp_path):
    if where == "cluster":
        request.getfixturevalue("cluster")
    with pytest.raises(EarshotError, match=rf"^song 3.wav: {TRIES} processes that worked on it were killed"):
        on_all(on_cluster.kills, tmp_path / "done", whom)
    assert others(tmp_path / "done")


def with_tunes(project: Project) -> Project:
    """Give a project some short recordings, for one small experiment."""
    params = project.params(datasets=["tunes"], audio={"sample_rate": RATE}, noise={})
    summary = params["features"]["summary"] | FEATURES["summary"]
    project.params(
        features=params["features"] | {"summary": summary},
        experiments={"summarised": {"inputs": ["summary"], "models": ["ann"]}},
        split=params["split"] | {"folds": {"default": 2}},
        protocols=["grouped"],
        wirings=["as_coded"],
    )
    path = project.root / "conf" / "model" / "ann.yaml"
    model = yaml.safe_load(path.read_text())
    model["training"]["max_epochs"] = 2
    path.write_text(yaml.safe_dump(model))
    project.card("tunes", task="genres", source={"folder": "recordings"}, layout={"kind": "class_folders"})
    for folder in ("data/raw/tunes", "recordings"):
        class_folders(project.root / folder, TWO, 12)
    return project


@pytest.fixture
def tunes(project, monkeypatch) -> Project:
    monkeypatch.chdir(project.root)  # as for DVC
    return with_tunes(project)


STAGES = (manifest_stage, fingerprint_stage, split_stage, features_stage, train_stage, evaluate_stage)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Iterator[Project]:
    """A project with the results of the stages, made here."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_ROOT", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv(pools.CLUSTER, raising=False)
        patch.chdir(root)
        project = with_tunes(Project(root))
        new_store(project.data("mlflow", "mlflow.db"))
        for stage in STAGES:
            invoke(stage.main, "tunes")
        yield project


def made(project) -> dict[str, bytes]:
    """Return what the stages have made."""
    found = [path for path in project.root.joinpath("data").rglob("*") if path.is_file()]
    parts = {path: path.relative_to(project.root / "data").as_posix() for path in found}
    return {name: path.read_bytes() for path, name in parts.items() if not name.startswith(("raw", "mlflow"))}


@pytest.mark.process
def test_a_pipeline_makes_the_same_bytes_although_a_worker_is_killed_in_each_stage(
    finished, cluster, monkeypatch, tmp_path
):
    monkeypatch.setattr(pools, "FEW", 0)
    here = made(finished)
    for folder in finished.data().iterdir():
        if folder.name not in ("raw", "mlflow"):
            shutil.rmtree(folder)
    client = remote._client(str(cluster))
    client.register_plugin(on_cluster.Deadly(str(tmp_path)), name="deadly")
    spread_out = {manifest_stage, fingerprint_stage, features_stage, train_stage, evaluate_stage}
    for stage in STAGES:
        invoke(stage.main, "tunes")
        killed = [*tmp_path.iterdir()]
        assert len(killed) == (stage in spread_out), stage
        for path in killed:
            path.unlink()
    client.unregister_worker_plugin("deadly")
    there = made(finished)
    assert here.keys() == there.keys() and len(here) > 20
    assert not [name for name in here if here[name] != there[name]]


@pytest.mark.process
def test_a_folder_is_predicted_as_here(finished, scheduler, monkeypatch, tmp_path):
    folder = shutil.copytree(finished.root / "recordings", tmp_path / "heard")
    folder.joinpath("low", "a.wav").write_bytes(b"RIFF")
    model = str(next(finished.data("models", "tunes").glob("*/*")))
    for form in ("json", "windows"):
        line = ["predict", "--model", model, "--format", form, str(folder)]
        monkeypatch.delenv(pools.CLUSTER, raising=False)
        here = invoke(main, *line, code=1)
        monkeypatch.setenv(pools.CLUSTER, str(scheduler))
        assert invoke(main, *line, code=1) == here
        assert "a.wav" in here


@pytest.mark.long
@pytest.mark.process
def test_the_runs_of_a_line_are_trained_on_the_cluster(finished, cluster):
    line = [BIN / "earshot", "train", "-m", "experiment=genres-summary-ann", "fold=0,1,7"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=finished.root)
    assert done.returncode == 1 and "error: 1 of 3 runs failed, see above" in done.stderr, done.stderr
    [table] = finished.root.glob("outputs/sweeps/*/runs.csv")
    assert "fold=7 is not in" in done.stderr and {0, 1} == set(pd.read_csv(table)["fold"])


@pytest.mark.long
@pytest.mark.process
def test_what_the_documents_type_ends_in_the_same_lock(tmp_path, scheduler):
    pipeline = Pipeline(tmp_path, datasets=("tunes",))
    shutil.copy(scheduler, pipeline.root / "data")
    locks = set()
    for section in ("A laptop", "One big machine", "Several machines"):
        [line] = lines(section, r"earshot (?:cluster dask earshot )?repro\b")
        for path in (pipeline.root / "dvc.lock", *pipeline.data().glob("manifest/*")):
            path.unlink(missing_ok=True)
        shutil.rmtree(pipeline.root / ".dvc" / "cache", ignore_errors=True)
        pipeline.run("sh", "-c", f"{line} manifest@tunes")
        locks.add(pipeline.lock)
    assert len(locks) == 1 and b"data/manifest/tunes.parquet" in locks.pop()


@pytest.mark.long
@pytest.mark.process
def test_the_whole_pipeline_ends_in_the_same_lock_with_any_number_of_workers(tmp_path):
    pipeline = Pipeline(tmp_path)
    pipeline.repro()
    lock = pipeline.lock
    for workers in (1, 2, 4):
        pipeline.forget()
        pipeline.run("earshot", "cluster", "--workers", str(workers), "dask", "dvc", "repro")
        assert pipeline.lock == lock, f"{workers} workers"


@pytest.mark.process
def test_ctrl_c_cancels_what_waits_and_ends_what_runs(cluster, tmp_path):
    code = (
        "import os, pathlib, signal, sys, on_cluster\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell has what is in the background ignore it
        "from earshot.cluster import pools\n"
        "from earshot.cluster.each import each\n"
        "todo = [(number, pathlib.Path(sys.argv[1]), os.getpid()) for number in range(20)]\n"
        "with pools.spread(2) as pool:\n"
        "    list(each(pool, on_cluster.interrupts, todo, 'test'))\n"
    )
    with started("-c", code, str(tmp_path)) as client:
        assert b"KeyboardInterrupt" in client.communicate()[0]
    begun = [int(path.name) for path in tmp_path.iterdir()]
    assert len(begun) <= 2
    assert not left_running([psutil.Process(pid) for pid in begun if psutil.pid_exists(pid)], 120)


@pytest.mark.process
def test_workers_with_other_code_or_libraries_are_refused_in_a_line(cluster, monkeypatch, tmp_path):
    there = same.facts()
    monkeypatch.setattr(same, "facts", lambda: there | {same.CODE: "0123456789", "numpy": "1.0"})
    code = rf"earshot's code {there[same.CODE]} and not 0123456789"
    told = rf"^a worker of the cluster at \S+ has {code}, numpy \S+ and not 1.0\. "
    with pytest.raises(EarshotError, match=told):
        on_all(on_cluster.fails, tmp_path / "done")


@pytest.mark.process
def test_workers_that_do_not_share_the_folder_are_refused_in_a_line(cluster, monkeypatch, tmp_path):
    monkeypatch.setattr(remote.os, "getcwd", lambda: "/elsewhere")
    with pytest.raises(EarshotError, match=r"can't work in the client's folder /elsewhere \(No such file"):
        on_all(on_cluster.fails, tmp_path / "done")


@pytest.mark.process
@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("tcp://127.0.0.1:1", r"EARSHOT_CLUSTER is tcp://127.0.0.1:1, and no scheduler answers there"),
        ("slurm", r"EARSHOT_CLUSTER is slurm, which is neither a scheduler's address, such as tcp://127.0.0.1:8786"),
    ],
)
def test_a_scheduler_that_is_not_there_is_a_line(address, told, project, monkeypatch):
    monkeypatch.setenv(pools.CLUSTER, address)
    monkeypatch.setattr(remote, "TIMEOUT", 0.2)
    with pytest.raises(EarshotError, match=told):
        pools.spread(1)


def test_without_its_packages_a_cluster_says_what_to_install(monkeypatch):
    monkeypatch.setenv(pools.CLUSTER, "tcp://127.0.0.1:2")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(EarshotError, match=r"pip install 'earshot\[cluster\]'"):
        pools.spread(1)


LISTENING = """
import os, psutil
family = [psutil.Process().parent(), *psutil.Process().parent().children(recursive=True)]
at = {c.laddr.ip for p in family for c in p.net_connections('tcp') if c.status == psutil.CONN_LISTEN}
print(os.environ['EARSHOT_CLUSTER'], at)
raise SystemExit(3)
"""


@pytest.mark.process
def test_a_command_runs_on_a_cluster_of_this_machine_that_no_other_can_reach(project):
    line = [BIN / "earshot", "cluster", "--workers", "1", "dask", sys.executable, "-c", LISTENING]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert re.fullmatch(r"tcp://127\.0\.0\.1:\d+ \{'127\.0\.0\.1'\}\n", done.stdout), done.stdout + done.stderr


def test_the_clusters_of_conf_can_be_read(project):
    for path in (PROJECT / "conf" / "cluster").glob("*.yaml"):
        assert start.read(path.stem).target in (None, *CLASSES)


CLASSES = ("distributed.LocalCluster", "dask_jobqueue.SLURMCluster", "dask_kubernetes.operator.KubeCluster")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"workers": 0}, r"dask.yaml: workers is 0, and must be a number of workers, or null"),
        ({"_target_": "os.system"}, r"dask.yaml: _target_ is os.system, and must name a class of distributed"),
        ({"_target_": "distributed.Nothing"}, r"dask.yaml: _target_ is distributed.Nothing, and distributed has no"),
        ({"nodes": 2}, r"dask.yaml: nodes"),
        ({"options": {"n_cores": 2}}, r"dask.yaml: options.n_cores is no argument of distributed.LocalCluster"),
    ],
)
def test_a_fault_in_the_file_of_a_cluster_is_a_line(change, told, project):
    path = start.path_of("dask")
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    with pytest.raises(EarshotError, match=told), start.started("dask"):
        pass


def test_a_cluster_without_a_file_is_a_line(project):
    with pytest.raises(EarshotError, match=r"pbs.yaml is missing. Clusters there are: dask, kubernetes, local, slurm"):
        start.read("pbs")


@pytest.mark.process
def test_trainings_go_where_there_is_what_they_take(cluster, monkeypatch, tmp_path):
    monkeypatch.setenv(remote.RESOURCES, "GPU=1")
    client = remote._client(str(cluster))
    at = client.run(on_cluster.has_gpus)
    first = min(at)
    client.run(on_cluster.has_gpus, 2, workers=[first])
    with pools.for_runs(1) as pool:
        assert pool.slots == 1, "it has two GPUs and a thread"
        found = [*each(pool, on_cluster.worker, [(n,) for n in range(6)], "")]
        assert {*found} == {at[first]}
    client.run(on_cluster.has_gpus, 0, workers=[first])
    monkeypatch.setenv(remote.RESOURCES, "GPU")
    with pytest.raises(EarshotError, match="EARSHOT_RESOURCES is GPU, and must be like GPU=1"):
        pools.for_runs(1)


@pytest.mark.process
def test_what_a_paused_worker_has_waits_and_the_others_are_done(cluster, tmp_path):
    at = remote._client(str(cluster)).run(os.getpid)
    paused = psutil.Process(min(at.values()))
    paused.suspend()
    done, n = tmp_path / "done", 12
    done.mkdir()

    def go_on() -> None:
        deadline = time.monotonic() + 300
        while len([*done.iterdir()]) < n - 2 and time.monotonic() < deadline:  # a worker has at most two at a time
            time.sleep(0.05)
        paused.resume()

    waiting = threading.Thread(target=go_on)
    waiting.start()
    try:
        assert on_all(on_cluster.begins, done, n=n) == [*range(n)]
    finally:
        paused.resume()
        waiting.join()
    assert {path.read_text() for path in done.iterdir()} == {"once"}


@pytest.mark.process
def test_a_scheduler_that_comes_again_is_waited_for_and_no_longer_than_is_asked(
    scheduler, cluster, monkeypatch, tmp_path, capfd
):
    """The last test on this scheduler."""
    [before] = [one for one in psutil.Process().children() if "scheduler" in one.cmdline()]
    [schedule], [work] = (lines("Several machines", f"dask {what}") for what in ("scheduler", "worker"))
    where = {"cwd": scheduler.parent.parent, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    done, killed = tmp_path / "done", tmp_path / "killed"
    with contextlib.ExitStack() as stack:

        def restart() -> None:
            while not (done.exists() and len([*done.iterdir()]) >= 3):
                time.sleep(0.05)
            before.kill()
            before.wait()
            scheduler.unlink()
            killed.touch()
            for line in (schedule, work):
                stack.enter_context(started("-m", *line.split(), **where))

        other = threading.Thread(target=restart)
        other.start()
        assert on_all(on_cluster.begins, done, killed, n=8) == [*range(8)]
        other.join()
        left = pools.spread(1)
    assert f"the scheduler at {scheduler} is gone; waiting 60 s for it" in capfd.readouterr().err
    scheduler.unlink(missing_ok=True)
    monkeypatch.setenv(remote.WAIT, "0")
    monkeypatch.setattr(remote, "TIMEOUT", 0.2)
    with left, pytest.raises(EarshotError, match="is gone. What was finished is kept: start it, and type the same"):
        list(each(left, on_cluster.process, [(1,)], ""))
    remote._connected.cache_clear()
    monkeypatch.setenv(remote.WAIT, "soon")
    with pytest.raises(EarshotError, match="EARSHOT_CLUSTER_WAIT is soon, and must be a number of seconds"):
        remote._seconds()
