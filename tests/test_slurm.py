"""The pipeline on a real Slurm of one node, which loses a job in the middle."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

import slurm
from conftest import BIN
from pipelines import Pipeline

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(slurm.why_not() is not None, reason=slurm.why_not() or ""),
]

CANCELS = """
from dataclasses import dataclass
from pathlib import Path
import psutil, subprocess, time
from earshot.inputs.waveform import Waveform

@dataclass(frozen=True)
class Cancels(Waveform):
    def rows(self, blocks):
        job = psutil.Process().parent().parent().environ().get("SLURM_JOB_ID")  # none where a row's size is asked for
        if job and not Path("cancelled").exists():
            Path("cancelled").write_text(job)
            subprocess.run(["scancel", job], check=True)
            time.sleep(60)
        return super().rows(blocks)
"""


def on_slurm(pipeline: Pipeline, *targets: str) -> None:
    """Run a pipeline in jobs of a Slurm of its own, one worker in each."""
    path = pipeline.root / "conf" / "cluster" / "slurm.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["options"] |= {"interface": "lo", "job_directives_skip": ["--mem="]}
    path.write_text(yaml.safe_dump(settings))
    line = [BIN / "earshot", "cluster", "--workers", "1", "slurm", "earshot", "repro", *targets]
    with tempfile.TemporaryDirectory() as folder, slurm.running(Path(folder)) as environment:
        path = f"{BIN}:{environment['PATH']}"
        where = {"cwd": pipeline.root, "env": environment | pipeline.environment | {"PATH": path}}
        done = subprocess.run(line, capture_output=True, text=True, check=False, **where)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_pipeline_ends_in_the_same_lock_although_a_job_is_cancelled(tmp_path):
    pipeline = Pipeline(tmp_path, datasets=("tunes",))
    (pipeline.root / "custom" / "cancels.py").write_text(CANCELS)
    features = pipeline.params()["features"]
    features["cancels"] = {**features["waveform"], "_target_": "custom.cancels.Cancels"}
    experiments = {"new": {"inputs": ["cancels"], "models": ["cnn"]}}
    pipeline.params(features=features, experiments=experiments)
    marker = pipeline.root / "cancelled"
    marker.touch()
    pipeline.repro("features@tunes")
    lock = pipeline.lock
    for path in (pipeline.data("cache"), pipeline.root / ".dvc" / "cache", pipeline.data("features")):
        shutil.rmtree(path)
    for path in (marker, pipeline.root / "dvc.lock"):
        path.unlink()
    on_slurm(pipeline, "features@tunes")
    assert marker.read_text() and pipeline.lock == lock


@pytest.mark.long
def test_the_whole_pipeline_ends_in_the_same_lock(tmp_path):
    pipeline = Pipeline(tmp_path)
    pipeline.repro()
    lock = pipeline.lock
    pipeline.forget()
    on_slurm(pipeline)
    assert pipeline.lock == lock
