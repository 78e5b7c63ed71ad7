"""`dvc exp` and DVC's remotes on a real project: as docs/experiments.md says."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import time
from pathlib import Path

import boto3
import pytest
from mlflow import MlflowClient
from moto.server import ThreadedMotoServer

from pipelines import Pipeline

pytestmark = [pytest.mark.process, pytest.mark.long]

STAGE = "evaluate@tunes"
QUEUED = {
    "mfcc-13": ["-S", "features.summary.n_mfcc=13"],
    "narrow": ["-S", "conf/model/ann.yaml:hidden=[32]", "-S", "conf/optimizer/adam.yaml:lr=0.01"],
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Pipeline:
    """A small pipeline that has run, and is committed."""
    made = Pipeline(tmp_path_factory.mktemp("experiments"), ("tunes",))
    made.params(protocols=["grouped"])
    made.repro()
    made.commit()
    return made


def made_by_stages(pipeline: Pipeline) -> dict[Path, bytes]:
    tables = pipeline.data().rglob("*.parquet")
    return {path: path.read_bytes() for path in tables if "cache" not in path.parts}


def ended(status: str) -> bool:
    """Tell from DVC's queue whether no experiment waits or runs."""
    return "Queued" not in status and "Running" not in status


@pytest.fixture(scope="module")
def queued(pipeline) -> Pipeline:
    """The same after two experiments that were queued have run, in copies of it."""
    before = made_by_stages(pipeline)
    for name, changes in QUEUED.items():
        pipeline.run("dvc", "exp", "run", "--queue", "--name", name, *changes, STAGE)
    pipeline.run("dvc", "queue", "start")
    while not ended(status := pipeline.run("dvc", "queue", "status")):
        time.sleep(1)
    assert status.count("Success") == 2, status
    assert "Running stage 'features@tunes'" in pipeline.run("dvc", "queue", "logs", "mfcc-13")
    assert before == made_by_stages(pipeline), "they ran elsewhere"
    assert pipeline.run("git", "status", "--porcelain") == ""
    return pipeline


def test_queued_experiments_log_to_the_same_store_by_their_names(queued):
    client = MlflowClient(f"sqlite:///{queued.data('mlflow', 'mlflow.db')}")
    runs = client.search_runs([client.get_experiment_by_name("genres").experiment_id])
    by_name = {name: [run for run in runs if run.data.tags.get("dvc.exp") == name] for name in [None, *QUEUED]}
    assert [len(found) for found in by_name.values()] == [3, 3, 3], "a run for each fold"
    for name in QUEUED:
        for run in by_name[name]:
            assert run.info.status == "FINISHED" and "test_accuracy" in run.data.metrics
            assert run.data.tags["dvc.stage"] == "train@tunes"
    assert {run.data.params["features.n_mfcc"] for run in by_name["mfcc-13"]} == {"13"}
    assert {run.data.params["model.hidden"] for run in by_name["narrow"]} == {"[32]"}
    assert {run.data.params["model.hidden"] for run in by_name[None]} == {"[256, 128, 64]"}


def test_experiments_can_be_compared(queued):
    shown = queued.run("dvc", "exp", "show", "--only-changed", "--drop", "(conf|data|src)/[^:]*$", "--csv")
    rows = {row["Experiment"] or "workspace": row for row in csv.DictReader(shown.splitlines())}
    assert not [name for name in rows["workspace"] if name.startswith("data/")], "hashes of files"
    assert set(QUEUED) <= set(rows)
    assert rows["mfcc-13"]["features.summary.n_mfcc"] == "13" and rows["narrow"]["hidden"] == "[32]"
    assert [rows[name]["lr"] for name in QUEUED] == ["0.001", "0.01"]
    assert rows["narrow"]["grouped.as_coded.loss"] != rows["workspace"]["grouped.as_coded.loss"]
    difference = json.loads(queued.run("dvc", "metrics", "diff", "HEAD", "narrow", "--json"))
    loss = difference["data/metrics/tunes/summary-ann.json"]["grouped.as_coded.loss"]
    assert loss["diff"] == pytest.approx(loss["new"] - loss["old"]) and loss["diff"] != 0
    assert "n_mfcc" in queued.run("dvc", "params", "diff", "HEAD", "mfcc-13")
    page = queued.run("dvc", "plots", "diff", "HEAD", "narrow").strip().splitlines()[-1]
    assert "validation loss" in Path(page.removeprefix("file://")).read_text()


def test_an_experiment_is_applied_without_being_run_again(queued):
    queued.run("dvc", "exp", "apply", "narrow")
    assert "hidden:\n- 32\n" in (queued.root / "conf" / "model" / "ann.yaml").read_text()
    assert "is up to date" in queued.repro(STAGE) or "didn't change" in queued.repro(STAGE)
    queued.run("git", "checkout", "--", ".")
    queued.run("dvc", "checkout")


def test_an_experiment_in_the_workspace_changes_what_follows_from_it_alone(queued):
    said = queued.run("dvc", "exp", "run", "--name", "quick", "-S", "split.validation_share=0.3", "audit@tunes")
    assert re.findall("Running stage '([a-z]+)", said) == ["code", "split", "audit"]
    queued.run("git", "checkout", "--", ".")
    queued.run("dvc", "checkout")


def test_a_queued_experiment_runs_the_code_it_was_queued_with_on_the_recordings_of_the_workspace(queued):
    code = queued.root / "src" / "earshot" / "stages" / "manifest.py"
    card = "conf/cards/tunes.yaml:title=renamed"  # so that they are copied anew, from a folder that git doesn't know
    queued.run("dvc", "exp", "run", "--queue", "--name", "earlier", "-S", card, "manifest@tunes")
    code.write_text("raise SystemExit('edited after the experiment was queued')\n")
    said = queued.run("dvc", "exp", "run", "--run-all")
    queued.run("git", "checkout", "--", ".")
    assert "Running stage 'manifest@tunes'" in said and "14 files read" in said
    assert "earlier" in queued.run("dvc", "exp", "list", "--name-only")
    queued.run("dvc", "exp", "remove", "earlier")


def second_clone(pipeline: Pipeline, folder) -> None:
    """Clone the project, pull its data, and see that nothing is left to be computed."""
    subprocess.run(["git", "clone", "-q", str(pipeline.root), str(folder)], check=True)
    environment = pipeline.environment | {"EARSHOT_ROOT": str(folder), "PYTHONPATH": str(folder / "src")}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("dvc", "pull", "-q")
    assert re.findall("Running stage '([a-z]+)", run("dvc", "repro")) == ["code"], "and nothing else"
    for name in ("report/index.html", "predictions/tunes/summary-ann.parquet"):
        assert (folder / "data" / name).read_bytes() == pipeline.data(name).read_bytes()
    assert not (folder / "data" / "mlflow").exists(), "runs are MLflow's own"


def test_a_second_clone_pulls_from_a_folder_and_has_nothing_to_compute(queued, tmp_path):
    queued.run("dvc", "remote", "add", "--force", "--default", "store", str(tmp_path / "store"))
    queued.commit()
    queued.run("dvc", "push", "-q")
    second_clone(queued, tmp_path / "clone")


def test_a_second_clone_pulls_from_s3_and_has_nothing_to_compute(queued, tmp_path, monkeypatch):
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    queued.environment |= keys
    try:
        address = f"http://{host}:{port}"
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        s3 = boto3.client("s3", endpoint_url=address)
        s3.create_bucket(Bucket="recordings")
        queued.run("dvc", "remote", "add", "--force", "--default", "store", "s3://recordings/earshot")
        queued.run("dvc", "remote", "modify", "store", "endpointurl", address)
        queued.commit()
        queued.run("dvc", "push", "-q")
        assert s3.list_objects_v2(Bucket="recordings", Prefix="earshot/files/md5/")["KeyCount"] > 20
        second_clone(queued, tmp_path / "clone")
    finally:
        server.stop()
