"""A sample of tests/faults/machine.py: calls that fail, and kills, in two stages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import PROJECT

FEW = ("--calls=2", "--kills=4", "--endings=4")


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler, cc")
def test_a_call_that_fails_is_told_in_a_line_and_nothing_half_is_taken_for_whole():
    parts = ("src", "tests", "benchmarks")
    done = subprocess.run(
        [sys.executable, PROJECT / "tests" / "faults" / "machine.py", "manifest", "split", *FEW],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(PROJECT / part) for part in parts)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for step in ("manifest", "split"):
        [full] = re.findall(rf"{step} +write: ENOSPC, and from there on +(.*)", done.stdout)
        [killed] = re.findall(rf"{step} +rename: SIGKILL +(.*)", done.stdout)
        assert "'a line'" in full and "'ended by the signal'" in killed
