"""Run commands in a small project of its own, and write what they print into docs/experiments.md: `make docs`.

The project, build/experiments/earshot, is made anew each time: one synthetic dataset, log-mel and a CNN, the grouped
protocol. It has run once and is committed when the page's first command comes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import yaml

from benchmarks.real import PROJECT, copy_project
from earshot.provenance import commit, machine

PLACE = PROJECT / "build" / "experiments"
COPY = PLACE / "earshot"
CHANGES = {
    "datasets": ["synthetic_sirens"],
    "experiments": {
        "over_time": {"inputs": ["log_mel"], "models": ["cnn"]},
        "summarised": {"inputs": [], "models": []},
    },
    "protocols": ["grouped"],
    "noise": {},
}
WIDTH = 116  # columns
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "COLUMNS": str(WIDTH),
    "EARSHOT_COMMIT": commit(),
    "MLFLOW_TRACKING_URI": "",  # the project's own store
    **{f"GIT_{who}_{what}": "earshot" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def project() -> None:
    """Make the project, run its pipeline once and commit it; tell where and when, for the page."""
    shutil.rmtree(PLACE, ignore_errors=True)
    copy_project(COPY)
    (COPY / "dvc.lock").unlink(missing_ok=True)  # of all datasets
    params = COPY / "params.yaml"
    params.write_text(yaml.safe_dump(yaml.safe_load(params.read_text()) | CHANGES, sort_keys=False))
    for command in ("dvc repro", "git add --all", "git commit -qm first", "git branch -M main"):
        run(command)
    print(
        f"""
The output on this page is real: {date.today():%-d %B %Y}, commit {commit()},
{machine()}. It comes from a project with one synthetic
dataset and one experiment (log-mel, CNN, grouped protocol), and is written here by `make docs`.
"""
    )


def run(command: str, folder: str = "earshot") -> str:
    """Run a command in a folder beside or of the project; return what it prints."""
    done = subprocess.run(command, shell=True, cwd=PLACE / folder, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command}\n{done.stdout}{done.stderr}")
    return done.stdout.replace(str(PLACE), "…").strip("\n")


def console(*commands: str, folder: str = "earshot", last: int | None = None) -> None:
    """Print commands, each with its output, as they look in a terminal; of long output the `last` lines."""
    print("\n```console")
    for command in commands:
        print(f"$ {command}")
        lines = run(command, folder).splitlines()
        for line in ["…", *lines[-last:]] if last and len(lines) > last else lines:
            print(line if len(line := line.rstrip()) <= WIDTH else f"{line[: WIDTH - 1]}…")
    print("```\n")


def queue_done() -> None:
    """Wait until no experiment is queued or running."""
    while any(state in run("dvc queue status") for state in ("Queued", "Running")):
        time.sleep(2)
