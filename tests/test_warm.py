"""Stages in copies of a process that has imported for them: `cluster.warm`, with the program in copied.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from earshot import processes
from earshot.cluster import warm

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

    def loaded(self) -> Stages:
        """Wait until stages run in copies."""
        while not self.facts()["copied"]:
            pass
        return self

    def waiting(self) -> tuple[subprocess.Popen, psutil.Process]:
        """Return the process of a stage that waits for a signal, and the one that it runs in."""
        process = self.start("wait", str(self.folder / "said"))
        while not (self.folder / "said").exists():
            assert process.poll() is None, process.stderr.read()
        return process, psutil.Process(int((self.folder / "said").read_text()))


@pytest.fixture
def stages(tmp_path):
    with warm.started([*PROGRAM, "serve"], tmp_path, os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}) as found:
        yield Stages(found, tmp_path)


@pytest.fixture
def warmed(stages) -> Stages:
    return stages.loaded()


def test_the_first_stage_runs_by_itself_and_later_ones_in_copies_of_one_process(stages, tmp_path):
    first = stages.facts(GIVEN="a")
    assert not first["copied"] and not first["imported"] and first["parent"] == os.getpid()
    stages.loaded()
    second, third = (stages.facts(GIVEN=name) for name in ("b", "c"))
    assert second["copied"] and second["imported"] and third["copied"]
    assert second["parent"] == third["parent"] != os.getpid() and second["process"] != third["process"]
    assert [found["given"] for found in (first, second, third)] == ["a", "b", "c"]
    assert {found["folder"] for found in (first, second, third)} == {str(tmp_path)}


@pytest.mark.parametrize(
    ("how", "status", "told"), [("0", 0, ""), ("7", 7, ""), ("killed", -9, ""), ("no such file", 1, "no such file\n")]
)
def test_a_stage_ends_as_its_copy_does(warmed, how, status, told):
    assert warmed.run("fail", how) == (status, "", told)


def test_sigterm_lets_a_copy_end_in_order(warmed):
    process, copied = warmed.waiting()
    process.terminate()
    assert process.communicate() == ("", "error: ended by SIGTERM\n")
    assert process.returncode == 1 and not copied.is_running()


def test_ctrl_c_reaches_a_copy_once_as_a_terminal_sends_it(warmed):
    process, copied = warmed.waiting()
    for number in (copied.pid, copied.ppid(), process.pid):
        os.kill(number, signal.SIGINT)
    assert process.communicate() == ("interrupted\n", "")
    assert process.returncode == 3
    assert warmed.facts()["copied"]


def test_a_copy_ends_with_the_stage_that_is_killed(warmed):
    process, copied = warmed.waiting()
    process.kill()
    copied.wait()
    assert warmed.facts()["copied"]


def test_all_end_with_the_process_that_is_copied(warmed):
    process, copied = warmed.waiting()
    os.kill(copied.ppid(), signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    copied.wait()
    assert not warmed.facts()["copied"]


def test_nothing_is_left_after_the_block(tmp_path):
    with warm.started([*PROGRAM, "serve"], tmp_path, os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}) as found:
        stages = Stages(found, tmp_path).loaded()
        process, copied = stages.waiting()
        parent = copied.parent()
    process.wait()
    for one in (copied, parent):
        one.wait()
    assert not Path(found[warm.ADDRESS]).parent.exists()
    assert not stages.facts()["copied"]


def test_where_processes_are_not_forked_each_stage_runs_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "FORKS", False)
    with warm.started([*PROGRAM, "serve"], tmp_path, dict(os.environ)) as found:
        assert found == os.environ
