"""The commands for people."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys

import psutil
import pytest
import requests
from click.testing import CliRunner

from conftest import PROJECT, dashboard
from earshot.cli import main
from earshot.report.scores import KEYS
from earshot.tracking import logger


def run(*arguments: str):
    return CliRunner().invoke(main.main, arguments)


def test_datasets_lists_every_card(project):
    shown = run("datasets").output
    for path in (PROJECT / "conf" / "cards").glob("*.yaml"):
        assert path.stem in shown


def test_the_help_lists_every_command_once(project):
    listed = [command.name for section in main.SECTIONS for command in section.COMMANDS]
    assert sorted(listed) == sorted(main.main.commands)
    shown = run("--help").output
    assert all(f"  {name} " in shown and name + ":" not in shown for name in listed)
    assert all(f"{section.TITLE}:" in shown for section in main.SECTIONS)
    for name in listed:
        help_ = run(name, "--help")
        assert help_.exit_code == 0 and help_.output.split("\n\n")[1].strip()


@pytest.mark.process
def test_the_help_needs_no_library_that_takes_long_to_import():
    heavy = {"torch", "lightning", "mlflow", "hydra", "omegaconf", "pandas", "numpy", "librosa", "sklearn", "starlette"}
    line = "import sys, earshot.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True).stdout.split()
    assert "earshot.cli.training" in loaded and not heavy & set(loaded)


@pytest.mark.process
def test_the_help_of_train_is_hydras_with_all_settings(project):
    command = [sys.executable, "-m", "earshot.cli", "train", "--help"]
    shown = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=True).stdout
    assert "earshot train [OVERRIDE]" in shown and "experiment: " in shown and "optimizer:" in shown


@pytest.mark.process
def test_a_training_that_cannot_be_ends_with_one_line(project):
    line = [sys.executable, "-m", "earshot.cli", "train", "experiment=genres-summary-ann"]
    done = subprocess.run(line, cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and re.fullmatch(r"error: .* is missing.*\n", done.stderr), done.stderr


def test_what_a_program_reads_is_json(project):
    cards = json.loads(run("datasets", "--json").stdout)
    assert {"dataset", "task", "title", "licence"} == set(cards[0]) and len(cards) > 5
    path = project.data("report", "summary.json")
    path.parent.mkdir(parents=True)
    summary = {key: [] for key in KEYS}
    path.write_text(json.dumps(summary))
    assert json.loads(run("report", "--json").stdout) == summary


@pytest.mark.parametrize("words", [["nonsense"], ["predict"], ["serve", "--port", "many"], ["datasets", "--yaml"]])
def test_a_command_that_is_wrong_ends_with_2(project, words):
    done = run(*words)
    assert done.exit_code == 2 and "Traceback" not in done.output and "--help" in done.output


@pytest.mark.process
def test_a_shell_completes_commands_options_and_datasets(project):
    def completed(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_EARSHOT_COMPLETE": "bash_complete"}
        environment = os.environ | words
        found = subprocess.run(["earshot"], env=environment, capture_output=True, text=True, check=False).stdout
        return [one.partition(",")[2] for one in found.splitlines()]

    assert completed("earshot pre") == ["predict"]
    assert "--threshold" in completed("earshot predict --thr")
    assert "synthetic_sirens" in completed("earshot champion synth")


def test_outside_a_project_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("EARSHOT_ROOT", str(tmp_path))
    for command in ("repro", "report", "train"):
        done = run(command)
        assert done.exit_code == 1 and "error: " in done.output and "Traceback" not in done.output


def test_a_dataset_without_a_card_is_named_with_those_that_have_one(project):
    project.params(datasets=["nightingales"])
    done = run("repro")
    assert done.exit_code == 1 and "no dataset is called 'nightingales'" in done.output and "gtzan_mini" in done.output


def test_a_dashboard_without_runs_says_so(project):
    assert "there are no runs yet" in run("dashboard").output


def test_a_dashboard_of_a_server_is_at_the_server(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5999")
    assert "http://127.0.0.1:5999" in run("dashboard").output


@pytest.mark.process
def test_the_dashboard_shows_runs_on_loopback_alone(project):
    with logger.run("sirens", "a run", {}) as logged:
        logged.metrics({"val_loss": 0.5}, step=1)
    with dashboard(project.root) as (address, server):
        experiments = requests.post(
            f"{address}/api/2.0/mlflow/experiments/search", json={"max_results": 10}, timeout=300
        )
        assert "sirens" in {experiment["name"] for experiment in experiments.json()["experiments"]}
        assert "<html" in requests.get(address, timeout=300).text.lower()
        family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        listening = {c.laddr.ip for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}


def test_a_dashboard_on_a_port_that_is_taken_says_so(project):
    project.data("mlflow").mkdir(parents=True)
    project.data("mlflow", "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("dashboard", "--port", str(taken.getsockname()[1]))
    assert done.exit_code == 1 and "Address already in use). Choose another one with --port" in done.output


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_lists_every_target():
    shown = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for target in (
        "install",
        "repro",
        "check",
        "test",
        "dashboard",
        "screenshots",
        "lint",
        "constraints",
        "clean",
    ):
        assert f"{target} " in shown
