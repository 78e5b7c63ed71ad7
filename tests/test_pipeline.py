"""`dvc repro` itself, from recordings to the report, on a small project: run, run again, forced, killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import psutil
import pytest

from conftest import BIN, left_running, tone, write_audio
from pipelines import RATE, Pipeline

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Pipeline:
    """A pipeline that has run, as in a shell where the environment was not activated."""
    made = Pipeline(tmp_path_factory.mktemp("pipeline"))
    made.output = made.run("env", "PATH=/usr/bin:/bin", str(BIN / "earshot"), "repro")
    return made


def test_from_recordings_to_the_comparison(pipeline):
    rows = json.loads(pipeline.data("report", "comparison.json").read_text())
    required = "dataset task input model wiring protocol seed accuracy macro_f1 loss parameters windows epochs"
    assert all(set(required.split()) <= set(row) for row in rows)
    cells = {(row["dataset"], row["input"], row["model"], row["protocol"]) for row in rows}
    assert len(rows) == len(cells) == 2 * 2 * 2
    assert min(row["accuracy"] for row in rows if row["input"] == "summary") > 0.9, "tones are easy to tell apart"
    assert len(pd.read_csv(pipeline.data("report", "comparison.csv"))) == len(rows)
    lines = pipeline.output.splitlines()
    stages = [line for line in lines if re.match(r"\[[ \d]\d/26\] [\w@]+, [\d.]+ s: ", line)]
    assert len(stages) == 26 and lines[:26] == stages, "a line for each, then the comparison"
    assert all(line.isprintable() for line in lines), "no control characters"
    for said in (
        "s: 14 files read, set aside: 1 does not decode",
        "data/report/index.html",
        "make dashboard",
    ):
        assert said in pipeline.output
    page = pipeline.data("report", "index.html").read_text()
    assert "does not decode" in page and "horns" in page


def test_nothing_is_done_again(pipeline):
    before = pipeline.lock
    assert re.findall("Running stage '([a-z]+)", pipeline.repro()) == ["code"], "which looks whether there is something"
    assert pipeline.lock == before
    shown = pipeline.run("earshot", "repro")
    assert "Nothing has changed since the last comparison" in shown and "tunes" in shown


def test_dvc_shows_metrics_plots_and_params(pipeline):
    shown = json.loads(pipeline.run("dvc", "metrics", "show", "--json"))
    assert "data/metrics/horns/log_mel-cnn.json" in shown[""]["data"]
    plots = json.loads(pipeline.run("dvc", "plots", "show", "--json"))
    assert {"accuracy", "data/history/horns/log_mel-cnn.csv"} <= set(plots["data"])
    pipeline.run("git", "add", "dvc.yaml", "dvc.lock", "params.yaml")
    pipeline.run("git", "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "first")
    before = (pipeline.root / "params.yaml").read_text()
    pipeline.params(seeds=[5])
    changed = pipeline.run("dvc", "params", "diff")
    (pipeline.root / "params.yaml").write_text(before)
    assert "seeds" in changed and "[5]" in changed


@pytest.mark.long
def test_one_setting_of_one_model_trains_its_runs_alone(pipeline):
    path = pipeline.root / "conf" / "model" / "cnn.yaml"
    before, kept = path.read_text(), set(pipeline.data("cache", "runs").iterdir())
    path.write_text(before.replace("dropout: 0.3", "dropout: 0.2"))
    pipeline.repro("train@tunes")
    made = set(pipeline.data("cache", "runs").iterdir()) - kept
    path.write_text(before)
    pipeline.repro("train@tunes")
    assert len(made) == 1 + 3, "a run for each split"
    for folder in made:
        settings = json.loads((folder / "config.json").read_text())
        assert settings["model"]["name"] == "cnn" and settings["model"]["dropout"] == 0.2


def weights_of(pipeline: Pipeline) -> dict[str, bytes]:
    folder = pipeline.data("models", "horns")
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))}


@pytest.mark.long
def test_one_that_was_killed_ends_in_the_same_bytes_weights_included(pipeline, tmp_path):
    killed = Pipeline(tmp_path)
    for stage, after in {"download": 0.2, "features": 1.0, "train": 7.0}.items():  # seconds
        process = killed.start(f"{stage}@horns")
        child = wait_for(process, f"earshot.stages {stage}")
        time.sleep(after)
        family = [child, *descendants(child)]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not left_running(family, 300), "a stage outlived the dvc that started it"
    killed.repro()
    pipeline.repro()
    assert killed.lock == pipeline.lock
    assert weights_of(killed) == weights_of(pipeline) and len(weights_of(killed)) == 2 * 4


@pytest.mark.long
def test_what_is_damaged_is_found_and_made_anew(pipeline):
    def verify(*arguments: str) -> subprocess.CompletedProcess:
        command = [BIN / "earshot", "verify", *arguments]
        return subprocess.run(command, cwd=pipeline.root, capture_output=True, text=True, check=False)

    pipeline.repro()
    before, weights = pipeline.lock, weights_of(pipeline)
    done = verify()
    assert done.returncode == 0 and "files are as they were written" in done.stdout, done.stdout + done.stderr
    damaged = [
        next(pipeline.data("models", "horns", "log_mel-cnn").rglob("*.safetensors")),
        next(pipeline.data("features", "horns", "log_mel").glob("part-*.parquet")),
        pipeline.data("metrics", "horns", "log_mel-cnn.json"),
        pipeline.data("splits", "horns", "grouped.parquet"),
    ]
    for path in damaged:
        path.chmod(0o644)
        with path.open("r+b") as file:  # in place, so that DVC's cache has it too where it is linked to that
            file.seek(path.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
    done = verify()
    assert done.returncode == 1 and all(f"damaged: {path}" in done.stdout for path in damaged), done.stdout
    assert "removed: " in verify("--remove").stdout
    pipeline.repro()
    assert pipeline.lock == before and weights_of(pipeline) == weights
    assert verify().returncode == 0


def wait_for(parent: subprocess.Popen, module: str) -> psutil.Process:
    while parent.poll() is None:
        for process in descendants(psutil.Process(parent.pid)):
            try:
                if module in " ".join(process.cmdline()):
                    return process
            except psutil.Error:
                continue
        time.sleep(0.05)
    pytest.fail(f"{module} did not run")


def descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.mark.long
def test_one_file_more_is_the_only_one_that_is_extracted(pipeline):
    path = pipeline.recordings / "tunes" / "low" / "low.99.wav"
    write_audio(path, tone(350, 4, RATE, seed=99), RATE)
    pipeline.repro("--force", "--single-item", "download@tunes")
    output = pipeline.repro("features")
    assert "tunes: log_mel of 15 recordings, 14 of them kept from before" in output
    assert "horns: log_mel" not in output, "the other dataset is not touched"


def test_features_are_what_pandas_reads(pipeline):
    table = pd.read_parquet(pipeline.data("features", "horns", "log_mel"))
    assert list(table["recording"]) == ["horn.wav", "other.wav"]
    assert np.isfinite(np.concatenate(list(table["values"]))).all()
