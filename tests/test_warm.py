"""Stages in copies of a process that has imported for them: `cluster.warm`, with the program in copied.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from earshot import processes
from earshot.cluster import warm
from earshot.stages import SERVE

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not processes.FORKS, reason="processes are not forked here"),
]
PROGRAM = [sys.executable, str(Path(__file__).with_name("copied.py"))]


class Stages:
    """Runs stages as DVC does, with the environment that `warm.started` gives."""

    def __init__(self, environment: dict[str, str], folder: Path):
        self.environment, self.folder = environment, folder

    def start(self, *arguments: str, **more) -> subprocess.Popen:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = self.environment | more
        return subprocess.Popen([*PROGRAM, *arguments], cwd=self.folder, env=environment, **streams)

    def run(self, *arguments: str, **more) -> tuple[int, str, str]:
        process = self.start(*arguments, **more)
        said, told = process.communicate()
        return process.returncode, said, told

    def facts(self, **more) -> dict:
        status, said, told = self.run("facts", **more)
        assert status == 0, told
        return json.loads(said)

    def waiting(self) -> tuple[subprocess.Popen, psutil.Process]:
        """Return the process of a stage that waits for a signal, and the one that it runs in."""
        process = self.start("wait", str(self.folder / "said"))
        while not (self.folder / "said").exists():
            assert process.poll() is None, process.stderr.read()
        return process, psutil.Process(int((self.folder / "said").read_text()))


def started(folder: Path, at_once: bool = False, **more):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | more
    return warm.started([*PROGRAM, "serve"], folder, environment, at_once)


@pytest.fixture
def stages(tmp_path):
    with started(tmp_path) as found:
        yield Stages(found, tmp_path)


def test_stages_run_in_copies_of_one_process(stages, tmp_path):
    one, other = (stages.facts(GIVEN=name) for name in ("a", "b"))
    assert one["copied"] and one["imported"] and other["copied"]
    assert one["parent"] == other["parent"] != os.getpid() and one["process"] != other["process"]
    assert [one["given"], other["given"]] == ["a", "b"] and one["folder"] == str(tmp_path)


def test_nothing_is_loaded_before_a_stage_asks(tmp_path):
    loaded = tmp_path / "loaded"
    with started(tmp_path, LOADED=str(loaded)) as found:
        assert not loaded.exists()
        assert Stages(found, tmp_path).facts()["copied"] and loaded.exists()


def test_all_is_loaded_at_once_where_that_is_asked(tmp_path):
    loaded = tmp_path / "loaded"
    with started(tmp_path, at_once=True, LOADED=str(loaded)) as found:
        stages = Stages(found, tmp_path)
        while not stages.facts()["copied"]:  # it runs by itself meanwhile
            pass
        assert loaded.exists() and stages.facts()["copied"]


def test_no_stage_waits_for_what_was_to_be_loaded_at_once(tmp_path):
    with started(tmp_path, at_once=True, ENDLESS="1") as found:
        assert not Stages(found, tmp_path).facts()["copied"]


def test_a_stage_that_runs_by_itself_heeds_ctrl_c_as_ever(tmp_path):
    with started(tmp_path, at_once=True, ENDLESS="1") as found:
        process, itself = Stages(found, tmp_path).waiting()
        assert process.pid == itself.pid
        process.send_signal(signal.SIGINT)
        assert process.communicate() == ("interrupted\n", "") and process.returncode == 3


def test_a_stage_that_waits_ends_quietly_with_ctrl_c(tmp_path):
    loaded = tmp_path / "loaded"
    with started(tmp_path, LOADED=str(loaded), ENDLESS="1") as found:
        process = Stages(found, tmp_path).start("facts")
        while not loaded.exists():
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait() == -signal.SIGINT
    assert process.communicate() == ("", "")


@pytest.mark.parametrize(
    ("how", "status", "told"), [("0", 0, ""), ("7", 7, ""), ("killed", -9, ""), ("no such file", 1, "no such file\n")]
)
def test_a_stage_ends_as_its_copy_does(stages, how, status, told):
    assert stages.run("fail", how) == (status, "", told)


def test_sigterm_lets_a_copy_end_in_order(stages):
    process, copied = stages.waiting()
    process.terminate()
    assert process.communicate() == ("", "error: ended by SIGTERM\n")
    assert process.returncode == 1 and not copied.is_running()


def test_ctrl_c_reaches_a_copy_once_as_a_terminal_sends_it(stages):
    process, copied = stages.waiting()
    for number in (copied.pid, copied.ppid(), process.pid):
        os.kill(number, signal.SIGINT)
    assert process.communicate() == ("interrupted\n", "")
    assert process.returncode == 3
    assert stages.facts()["copied"]


def test_a_copy_ends_with_the_stage_that_is_killed(stages):
    process, copied = stages.waiting()
    process.kill()
    copied.wait()
    assert stages.facts()["copied"]


def test_all_end_with_the_process_that_is_copied(stages):
    process, copied = stages.waiting()
    os.kill(copied.ppid(), signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    copied.wait()
    assert not stages.facts()["copied"]


def test_nothing_is_left_after_the_block(tmp_path):
    with started(tmp_path) as found:
        stages = Stages(found, tmp_path)
        process, copied = stages.waiting()
        parent = copied.parent()
    process.wait()
    for one in (copied, parent):
        one.wait()
    assert not Path(found[warm.ADDRESS]).parent.exists()
    assert not stages.facts()["copied"]


def test_in_a_folder_that_can_hold_no_socket_each_stage_runs_by_itself(tmp_path, monkeypatch):
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with warm.started([*PROGRAM, "serve"], tmp_path, dict(os.environ)) as found:
        assert found == os.environ
    assert not list(long.iterdir())


def test_where_processes_are_not_forked_each_stage_runs_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "FORKS", False)
    with warm.started([*PROGRAM, "serve"], tmp_path, dict(os.environ)) as found:
        assert found == os.environ


def test_earshots_own_stages_import_nothing_where_they_are_called(shared):
    stage = [sys.executable, "-X", "importtime", "-m", "earshot.stages"]  # it tells each import on standard error
    wanted = shared.data("splits", "horns", "grouped.parquet")
    before = wanted.read_bytes()
    wanted.unlink()
    command = [sys.executable, "-m", "earshot.stages", SERVE]
    with warm.started(command, shared.root, os.environ | {"EARSHOT_ROOT": str(shared.root)}) as found:
        ran = subprocess.run([*stage, "split", "horns"], cwd=shared.root, env=found, capture_output=True, text=True)
        wrong = subprocess.run([*stage, "split", "owls"], cwd=shared.root, env=found, capture_output=True, text=True)
    assert ran.returncode == 0 and wanted.read_bytes() == before, ran.stderr
    assert "pandas" not in ran.stderr
    assert wrong.returncode == 1 and "error: no dataset is called 'owls'" in wrong.stderr
