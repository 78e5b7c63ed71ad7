"""Workers that start afresh, as on macOS and Windows, make what forked ones make."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from conftest import left_running
from earshot import processes
from tiny import log_mel_cnn

pytestmark = pytest.mark.process


def made(root: Path, **environment: str) -> dict[str, bytes]:
    """Run the stages that fan out, with nothing kept; return what they make."""
    for kept in ("cache", "features", "models"):
        shutil.rmtree(root / "data" / kept, ignore_errors=True)
    for stage in ("fingerprint", "features", "train", "evaluate"):
        workers = [] if stage == "fingerprint" else ["--workers", "2"]
        done = subprocess.run(
            [sys.executable, "-m", "earshot.stages", stage, "horns", *workers],
            cwd=root,
            env=os.environ | {"EARSHOT_ROOT": str(root)} | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
    folders = [root / "data" / kind for kind in ("fingerprint", "features", "models", "predictions")]
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_spawned_workers_make_the_same_bytes_as_forked_ones(shared):
    log_mel_cnn(shared, "horns", epochs=1)
    forked, spawned = made(shared.root), made(shared.root, EARSHOT_START="spawn")
    assert any(path.endswith(".safetensors") for path in forked) and spawned == forked


CHILD = """
import sys, threading
sys.platform = "darwin"  # has no call that binds a process to its parent
from earshot import processes
processes.leave_with_parent()
print("ready", flush=True)
threading.Event().wait()
"""
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_process_ends_with_its_parent_where_the_kernel_cant_see_to_it():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    assert not left_running([child], 300)


def test_without_masks_of_signals_work_begins_all_the_same(monkeypatch):
    monkeypatch.setattr(processes, "MASKS", False)
    with processes.begun_quietly():
        assert subprocess.run([sys.executable, "-c", "pass"], check=False).returncode == 0
