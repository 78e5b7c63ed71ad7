"""`dvc repro` itself, from recordings to the report, on a small project: run, run again, forced, killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from conftest import PROJECT, Project, tone, write_audio

RATE = 4000
BIN = Path(sys.executable).parent


class Pipeline(Project):
    """A small project under git and DVC, with its own recordings.

    With `one` it has one dataset and one experiment alone.
    """

    def __init__(self, root: Path, one: bool = False):
        super().__init__(root)
        shutil.copytree(PROJECT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        (root / "data").mkdir()
        shutil.copy(PROJECT / "data" / ".gitignore", root / "data")
        self.environment = os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root / "src"),
            "EARSHOT_ROOT": str(root),
            "DVC_NO_ANALYTICS": "1",
        }
        self.environment.pop("MLFLOW_TRACKING_URI", None)
        self.run("git", "init", "-q")
        self.run("dvc", "init", "-q")
        features = self.params()["features"]
        features["summary"] |= {"sample_rate": RATE, "n_fft": 512, "hop_length": 256}
        features["log_mel"] |= {"n_mels": 16, "n_fft": 256, "hop_length": 80}
        self.params(
            datasets=["horns"] if one else ["tunes", "horns"],
            audio={"sample_rate": RATE},
            features=features,
            experiments={
                "over_time": {"inputs": ["log_mel"], "models": ["cnn"]},
                "summarised": {"inputs": [] if one else ["summary"], "models": ["ann"]},
            },
            split=self.params()["split"] | {"block_seconds": 8.0, "folds": {"default": 3}},
        )
        for model in ("ann", "cnn"):
            path = root / "conf" / "model" / f"{model}.yaml"
            settings = yaml.safe_load(path.read_text())
            settings["training"]["max_epochs"] = 3
            path.write_text(yaml.safe_dump(settings))
        self.recordings = root / "recordings"
        self.card(
            "tunes",
            task="genres",
            source={"folder": "recordings/tunes"},
            layout={"kind": "class_folders"},
        )
        for number in range(14):
            label = "high" if number % 2 else "low"
            path = self.recordings / "tunes" / label / f"{label}.{number}.wav"
            write_audio(path, tone(1500 if number % 2 else 300, 4, RATE, seed=number), RATE)
        (self.recordings / "tunes" / "high" / "torn.wav").write_bytes(b"RIFF")
        layout = {"kind": "long_recordings", "recordings": {"horn": "horn.wav", "other": "other.wav"}}
        self.card("horns", task="sirens", source={"folder": "recordings/horns"}, layout=layout)
        for label, frequency in (("horn", 900), ("other", 300)):
            sound = tone(frequency, 50, RATE, seed=frequency)  # the same noise in both would be found
            write_audio(self.recordings / "horns" / f"{label}.wav", sound, RATE)

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def repro(self, *arguments: str) -> str:
        return self.run("dvc", "repro", *arguments)

    def start(self) -> subprocess.Popen:
        return subprocess.Popen(["dvc", "repro"], cwd=self.root, env=self.environment, stdout=subprocess.DEVNULL)

    @property
    def lock(self) -> bytes:
        return (self.root / "dvc.lock").read_bytes()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Pipeline:
    """A pipeline that has run once, to the end."""
    made = Pipeline(tmp_path_factory.mktemp("pipeline"))
    made.output = made.repro()
    return made


def test_from_recordings_to_the_comparison(pipeline):
    rows = json.loads(pipeline.data("report", "comparison.json").read_text())
    required = "dataset task input model wiring protocol seed accuracy macro_f1 loss parameters windows epochs"
    assert all(set(required.split()) <= set(row) for row in rows)
    cells = {(row["dataset"], row["input"], row["model"], row["protocol"]) for row in rows}
    assert len(rows) == len(cells) == 2 * 2 * 2
    assert min(row["accuracy"] for row in rows if row["input"] == "summary") > 0.9, "tones are easy to tell apart"
    assert len(pd.read_csv(pipeline.data("report", "comparison.csv"))) == len(rows)
    for said in (
        "tunes: 14 files read, set aside: 1 does not decode",
        "data/report/index.html",
        "make dashboard",
    ):
        assert said in pipeline.output
    page = pipeline.data("report", "index.html").read_text()
    assert "does not decode" in page and "horns" in page


def test_nothing_is_done_again(pipeline):
    before = pipeline.lock
    assert "Data and pipelines are up to date." in pipeline.repro()
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


def test_one_setting_of_one_model_runs_its_cells_alone(pipeline):
    path = pipeline.root / "conf" / "model" / "cnn.yaml"
    before = path.read_text()
    path.write_text(before.replace("dropout: 0.3", "dropout: 0.2"))
    status = json.loads(pipeline.run("dvc", "status", "--json"))
    path.write_text(before)
    assert {name for name in status if name.startswith("train")} == {
        "train@tunes-log_mel-cnn",
        "train@horns-log_mel-cnn",
    }


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Pipeline:
    """A pipeline of one experiment that has run once, to the end."""
    made = Pipeline(tmp_path_factory.mktemp("one"), one=True)
    # as in a shell where the environment was not activated
    made.run("env", "PATH=/usr/bin:/bin", str(BIN / "earshot"), "repro")
    return made


def weights_of(pipeline: Pipeline) -> dict[str, bytes]:
    folder = pipeline.data("models")
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))}


def test_forced_it_gives_the_same_bytes_weights_included(one):
    before, weights = one.lock, weights_of(one)
    shutil.rmtree(one.data("cache"))
    one.repro("--force")
    assert one.lock == before and weights_of(one) == weights and len(weights) == 4


@pytest.mark.parametrize(("stage", "after"), [("download", 0.2), ("features", 1.0), ("experiment", 7.0)])
def test_killed_it_goes_on_to_the_same_end(one, stage, after):
    expected = one.lock
    for folder in (*one.data().glob("*/"), one.root / ".dvc" / "cache"):
        shutil.rmtree(folder)
    (one.root / "dvc.lock").unlink()
    process = one.start()
    child = wait_for(process, f"earshot.{stage}")
    time.sleep(after)
    family = [child, *descendants(child)]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, left = psutil.wait_procs(family, timeout=5)
    assert not [process for process in left if runs(process)], "a stage outlived the dvc that started it"
    one.repro()
    assert one.lock == expected


def runs(process: psutil.Process) -> bool:
    """Tell a process that runs from one that has ended; it stays a zombie where nobody reaps orphans."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(parent: subprocess.Popen, module: str) -> psutil.Process:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and parent.poll() is None:
        for process in descendants(psutil.Process(parent.pid)):
            try:
                if module in process.cmdline():
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


def test_one_file_more_is_the_only_one_that_is_extracted(pipeline):
    path = pipeline.recordings / "tunes" / "low" / "low.99.wav"
    write_audio(path, tone(350, 4, RATE, seed=99), RATE)
    pipeline.repro("--force", "--single-item", "download@tunes")
    output = pipeline.repro()
    assert "tunes: log_mel of 15 recordings, 14 of them kept from before" in output
    assert "horns: log_mel" not in output, "the other dataset is not touched"


def test_features_are_what_pandas_reads(pipeline):
    table = pd.read_parquet(pipeline.data("features", "horns", "log_mel.parquet"))
    assert list(table["recording"]) == ["horn.wav", "other.wav"]
    assert np.isfinite(np.concatenate(list(table["values"]))).all()
