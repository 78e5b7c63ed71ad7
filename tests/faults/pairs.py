"""Two of each command at once on one project, and what they have made of it."""

from __future__ import annotations

import collections
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from conftest import BIN, PROJECT, Project, new_store
from earshot.tracking import outbox, store
from tiny import FEATURES, RATE, THREE, class_folders

COMMANDS = (  # in this order
    ("earshot.stages", "download", "tunes"),
    ("earshot.stages", "manifest", "tunes"),
    ("earshot.stages", "fingerprint", "tunes"),
    ("earshot.stages", "split", "tunes"),
    ("earshot.stages", "features", "tunes", "summary", "--workers", "2"),
    ("earshot.stages", "train", "tunes", "--workers", "1"),
    ("earshot.stages", "evaluate", "tunes", "--workers", "1"),
    ("earshot.cli", "search", "genres-summary-ann", "dataset=tunes", "--trials", "2", "--workers", "1"),
    ("earshot.cli", "champion", "tunes"),
    ("earshot.cli", "sync"),
    ("earshot.cli", "repro"),
)
NOT_COMPARED = {"cache", "mlflow", "raw", "repro.json", "repro.log"}  # kept, the store, given, when it ran
NOT_THE_SAME = (".lock", ".journal")  # the second, of the trials of a search, says when they were
UNSENT = 3  # runs that wait for `earshot sync`


def project_of(root: Path) -> None:
    """Make a tiny project, of recordings alone, and point this process to it."""
    os.environ["EARSHOT_ROOT"] = str(root)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    made = Project(root)
    params = made.params()
    made.params(
        datasets=["tunes"],
        audio={"sample_rate": RATE},
        protocols=["grouped"],
        seeds=[0],
        features=params["features"] | {"summary": params["features"]["summary"] | FEATURES["summary"]},
        split=params["split"] | {"folds": {"default": 3}},
        experiments={"summarised": {"inputs": ["summary"], "models": ["ann"]}},
    )
    made.card("tunes", task="genres", source={"folder": "recordings"}, layout={"kind": "class_folders"})
    class_folders(root / "recordings", THREE, 15)
    shutil.copytree(PROJECT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    subprocess.run([BIN / "dvc", "init", "--no-scm", "--quiet"], cwd=root, check=True)
    for name, before, after in (
        ("model", "max_epochs: 100", "max_epochs: 3"),
        ("sweep", "max_epochs: {low: 10, high: 150}", "max_epochs: {low: 2, high: 4}"),
    ):
        path = root / "conf" / name / "ann.yaml"
        path.write_text(path.read_text().replace(before, after))
    new_store(made.data("mlflow", "mlflow.db"))
    (root / "nothing").mkdir()
    for number in range(UNSENT):
        tags = {store.WEIGHTS_TAG: f"unsent {number}"}
        record = store.Record("genres", f"unsent {number}", started=1, ended=number, status="FINISHED", tags=tags)
        outbox.store(record, root / "nothing")


def run(root: Path, times: int) -> Iterator[str]:
    """Run each command so many times at once; yield what is wrong: it neither ended well nor was refused in a line."""
    for module, *arguments in COMMANDS:
        whole = [sys.executable, "-m", module, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started = [subprocess.Popen(whole, cwd=root, env=os.environ, **pipes) for _ in range(times)]
        ended = [(process.communicate()[1], process.returncode) for process in started]
        for said, code in ended:
            refused = [line for line in said.splitlines() if line.lower().startswith("error: ")]  # DVC's too
            if (code and len(refused) != 1) or "Traceback" in said or "warning: MLflow" in said:
                yield f"{module} {' '.join(arguments)}: {said}"
        if all(code for _, code in ended):
            yield f"{module} {' '.join(arguments)}: none has done it: {ended}"


def outputs(root: Path) -> dict[str, str]:
    """Return the digest of each file that the commands have made."""
    data = root / "data"
    found = (path for path in sorted(data.rglob("*")) if path.is_file() and path.suffix not in NOT_THE_SAME)
    return {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes().replace(bytes(root), b"")).hexdigest()
        for path in found
        if path.relative_to(data).parts[0] not in NOT_COMPARED
    }


def logged(root: Path) -> dict[str, int]:
    """Return how often MLflow has each run, and the versions of the champion."""
    client = MlflowClient(f"sqlite:///{root / 'data' / 'mlflow' / 'mlflow.db'}")
    runs = client.search_runs([found.experiment_id for found in client.search_experiments()])
    names = (f"{run.info.run_name}, {run.info.status}, tested: {'test_accuracy' in run.data.metrics}" for run in runs)
    versions = (f"version {found.version} of {found.name}" for found in client.search_model_versions())
    return dict(collections.Counter([*names, *versions]))


def two_at_once(root: Path) -> dict[str, Any]:
    """Run each command alone on one project and twice at once on another; return what differs."""
    found = {}
    for times in (1, 2):
        place = root / str(times)
        place.mkdir()
        project_of(place)
        wrong = list(run(place, times))
        found[times] = {"wrong": wrong, "files": outputs(place), "runs": logged(place)}
    alone, together = found[1], found[2]
    return {
        "commands": len(COMMANDS),
        "files": len(alone["files"]),
        "runs": len(alone["runs"]),
        "wrong": alone["wrong"] + together["wrong"],
        "unlike": sorted(key for key, _ in set(alone["files"].items()) ^ set(together["files"].items())),
        "runs_unlike": sorted(str(entry) for entry in set(alone["runs"].items()) ^ set(together["runs"].items())),
    }
