"""Calls that fail, and kills: a sample of tests/faults/machine.py in two stages, and all reads of a recording."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import PROJECT
from faults.hostile_audio import FORMATS

FEW = ("--calls=2", "--kills=4", "--endings=4")


pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler, cc"),
]


def faulty(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a part of tests/faults."""
    parts = ("src", "tests", "benchmarks")
    return subprocess.run(
        [sys.executable, PROJECT / "tests" / "faults" / name, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(PROJECT / part) for part in parts)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_call_that_fails_is_told_in_a_line_and_nothing_half_is_taken_for_whole():
    done = faulty("machine.py", "manifest", "split", *FEW)
    assert done.returncode == 0, done.stderr
    for step in ("manifest", "split"):
        [full] = re.findall(rf"{step} +write: ENOSPC, and from there on +(.*)", done.stdout)
        [killed] = re.findall(rf"{step} +rename: SIGKILL +(.*)", done.stdout)
        assert "'a line'" in full and "'ended by the signal'" in killed


def test_a_read_that_fails_is_the_disks_fault_and_not_the_recordings_in_every_format():
    done = faulty("unread.py")
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(.+): (\d+) reads failed, (\d+) were taken for something else", done.stdout, re.MULTILINE)
    assert {name for name, *_ in found} == {*FORMATS}
    assert all(int(n) > 5 and wrong == "0" for _, n, wrong in found), done.stdout
