"""`earshot doctor`: what would stop a command, or leave something out, is told before, with what mends it."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections import namedtuple

import pytest

from conftest import BIN, PROJECT
from earshot.doctor import in_project, machine
from earshot.doctor.finding import ERROR, OK, WARNING
from earshot.tracking import outbox
from earshot.tracking.store import Record

pytestmark = pytest.mark.process


def found(examine, about: str) -> tuple[str, str, str]:
    """Return level, text and mend of the one finding about something."""
    [one] = [finding for finding in examine() if finding.about == about]
    return one.level, one.said, one.mend


@pytest.fixture
def repository(project):
    """A project under DVC, where all is well."""
    subprocess.run([BIN / "dvc", "init", "--no-scm", "--quiet"], cwd=project.root, check=True)
    return project


def test_where_all_is_well_each_line_says_so(repository):
    assert {finding.level for finding in in_project.examine()} == {OK}
    assert found(machine.examine, "python")[0] == OK


def test_the_command_shows_each_finding_and_fails_where_commands_will(repository):
    said = subprocess.run([BIN / "earshot", "doctor"], cwd=repository.root, capture_output=True, text=True, check=False)
    lines = said.stdout.splitlines()
    assert said.returncode == 0 and not said.stderr, said.stderr
    assert all(line.startswith(("ok ", "warning ", "         -> ")) for line in lines) and len(lines) > 12
    repository.params(protocols=["grouped", "groupd"])
    said = subprocess.run([BIN / "earshot", "doctor"], cwd=repository.root, capture_output=True, text=True, check=False)
    assert said.returncode == 1 and "error    settings: " in said.stdout and "groupd" in said.stdout
    assert said.stderr.startswith("error: 1 of these will stop commands") and "Traceback" not in said.stderr


def test_programs_that_are_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    level, said, mend = found(machine.examine, "git")
    assert level == ERROR and said.startswith("not found") and mend.endswith("git")
    assert found(machine.examine, "ffmpeg")[0] == WARNING


def test_a_version_that_is_not_the_pinned_one_is_named(project):
    pins = (PROJECT / "requirements.txt").read_text()
    (project.root / "requirements.txt").write_text(pins)
    assert found(machine.examine, "requirements.txt")[0] == OK
    (project.root / "requirements.txt").write_text(
        "numpy==1.0.1 ; python_version > '3' \\\n    --hash=sha256:0\nnot-here==1\n"
    )
    level, said, mend = found(machine.examine, "requirements.txt")
    assert level == WARNING and said.startswith("numpy is ") and "not 1.0.1" in said and mend == "make install"


def test_a_package_that_is_missing_or_too_old_is_named(monkeypatch):
    needed = machine.Requirement
    assert machine._wrong(needed("not-here>2")) == "not-here is not installed"
    assert machine._wrong(needed("not-here>2; extra == 's3'")) is None
    assert "earshot takes <1" in machine._wrong(needed("numpy<1"))
    assert machine._wrong(needed("numpy")) is None


def test_a_disk_that_is_nearly_full(monkeypatch):
    usage = namedtuple("usage", "free")
    for free, level in ((5e8, ERROR), (5e9, WARNING), (5e10, OK)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage(free))
        assert found(machine.examine, "disk")[0] == found(machine.examine, "temporary files")[0] == level


def test_a_port_that_is_taken(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(machine.ports, "SERVE", port)
        level, said, mend = found(machine.examine, "earshot serve")
    assert level == WARNING and str(port) in said and mend == f"earshot serve --port {port + 1}"


def test_a_folder_without_a_project(tmp_path, monkeypatch):
    monkeypatch.setenv("EARSHOT_ROOT", str(tmp_path))
    level, said, mend = found(in_project.examine, "project")
    assert level == WARNING and str(tmp_path) in said and mend.startswith("cd ")


def test_a_project_that_is_not_under_dvc_and_whose_data_is_no_folder(project):
    project.data().write_text("not a folder")
    level, said, _ = found(in_project.examine, "repository")
    assert level == ERROR and "dvc init" in said
    level, said, mend = found(in_project.examine, "folder")
    assert level == ERROR and str(project.data()) in said and mend


def test_a_cache_that_can_not_be_linked_keeps_everything_twice(repository, monkeypatch):
    monkeypatch.setattr(in_project.os, "link", refused)
    level, said, mend = found(in_project.examine, "DVC's cache")
    assert level == WARNING and "twice" in said and mend.startswith("dvc cache dir")


def refused(*_):
    raise OSError(18, "Invalid cross-device link")


def test_runs_that_wait_files_that_were_left_and_a_store_that_is_away(repository, monkeypatch, tmp_path):
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    outbox.store(Record("sirens", "waits", started=1, ended=2, status="FINISHED"), artifacts)
    assert found(in_project.examine, "runs") == (WARNING, "1 wait to be sent to MLflow", "earshot sync")
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = repository.data("cache", f".a.{in_project.everything.files.HOST}.{gone.pid}.tmp")
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("half")
    level, said, mend = found(in_project.examine, "left over")
    assert level == WARNING and str(left) in said and mend == "earshot verify --remove"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    level, said, _ = found(in_project.examine, "MLflow's store")
    assert level == ERROR and "127.0.0.1:9" in said and "\n" not in said
