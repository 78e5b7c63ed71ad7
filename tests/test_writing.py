"""How files are written: in one step, so that who reads meanwhile, a kill or a link in DVC's cache find whole ones."""

from __future__ import annotations

import errno
import re
import resource
import shutil
import subprocess
import sys

import pytest

from conftest import PROJECT
from earshot import files
from earshot.errors import without_traceback

PACKAGE = PROJECT / "src" / "earshot"
IN_PLACE = re.compile(
    r"copyfile|shutil\.copy\(|copytree|\.write_(text|bytes)\(|open\((\w+, )?\"[wxa]b?\"|np\.save|to_csv\((?!index)\w"
)
OWN_FOLDERS = {  # that write into a folder of their own, which is moved to its place or removed at the end
    "backbones/backbone.py",
    "datasets/download",
    "datasets/fsd50k_clips.py",
    "datasets/gtzan_artists.py",
    "datasets/synthetic",
    "deploy/package.py",
    "audio/sounds.py",
    "audio/sources.py",
    "inputs/stored.py",
    "leaks",
    "tracking/logger.py",
    "tracking/outbox.py",
    "training/several.py",
    "files.py",
}


def test_nothing_is_written_in_place():
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name in OWN_FOLDERS or any(name.startswith(f"{folder}/") for folder in OWN_FOLDERS):
            continue
        found = [line for line in path.read_text().splitlines() if IN_PLACE.search(line) and "files." not in line]
        # what `files.replacing` yields is called temporary
        assert not [line for line in found if "temporary" not in line and "np.save(file" not in line], name


def test_a_file_that_dvc_has_linked_into_its_cache_stays_as_it_is(tmp_path):
    cached, out, source = tmp_path / "cached", tmp_path / "out", tmp_path / "source"
    cached.write_text("before")
    out.hardlink_to(cached)
    source.write_text("after")
    for write in (lambda: files.copy(source, out), lambda: files.write_text(out, "after")):
        write()
        assert (cached.read_text(), out.read_text()) == ("before", "after")
        out.unlink()
        out.hardlink_to(cached)


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "kept"
    path.write_text("before")
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [one.read_text() for one in tmp_path.iterdir()] == ["before"]


def test_a_write_that_fails_names_the_file(tmp_path):
    path = tmp_path / "kept"
    with pytest.raises(OSError, match="kept"), files.replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.process
@pytest.mark.parametrize("line", ["manifest", "fingerprint", "split", "features", "train"])
def test_a_disk_that_is_full_ends_a_stage_with_a_line(trained_on, tmp_path, line):
    """A limit on the size of files is to a program what a full disk is, but for the word."""
    root = tmp_path / "full"
    shutil.copytree(trained_on.root, root)
    shutil.rmtree(root / "data" / "cache", ignore_errors=True)
    before = {path: path.read_bytes() for path in (root / "data").rglob("*") if path.is_file()}
    done = subprocess.run(
        [sys.executable, "-B", "-m", "earshot.stages", line, "tunes"],
        cwd=root,
        env={
            "PATH": "/usr/bin:/bin",
            "EARSHOT_ROOT": str(root),
            "PYTHONPATH": str(PACKAGE.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "error: " in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert "File too large" in done.stderr or "is the disk full?" in done.stderr
    changed = {path for path, content in before.items() if path.read_bytes() != content}
    assert not changed, "what was there stays"
    assert not list((root / "data").rglob("*.tmp")), "and nothing half is left"


@pytest.mark.parametrize("raised", [MemoryError("Unable to allocate\n2 GiB"), MemoryError()])
def test_too_little_memory_is_told_in_a_line(capsys, raised):
    def work():
        raise raised

    with pytest.raises(SystemExit):
        without_traceback(work)()
    assert re.fullmatch(r"error: not enough memory( Unable to allocate 2 GiB)?\n", capsys.readouterr().err)


@pytest.mark.process
@pytest.mark.parametrize("made", ["processes.pool(1)", "pools.forked(1, int)._pool"])
def test_a_worker_that_waits_ends_quietly_with_ctrl_c(made):
    code = f"""
import os, signal
from earshot import processes
from earshot.cluster import pools
signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    pool = {made}
    worker = pool._processes[pool.submit(os.getpid).result()]
    while worker.is_alive():  # Python doesn't see one that comes just before it waits; the end of the pool ends it then
        os.kill(worker.pid, signal.SIGINT)
        worker.join(0.1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.process
@pytest.mark.parametrize(
    ("made", "begin"),
    [("processes.pool(slots)", "_begin"), ("pools.forked(slots, int)._pool", "begin_forked")],
)
def test_a_worker_that_has_not_begun_ends_quietly_with_ctrl_c(tmp_path, made, begin):
    interrupted = f"""
import signal
from earshot import processes
def begin(*given):
    signal.raise_signal(signal.SIGINT)
    processes.{begin}(*given)
"""
    (tmp_path / "interrupted.py").write_text(interrupted)
    code = f"""
import os, signal
from concurrent.futures import BrokenExecutor
import interrupted
from earshot import processes
from earshot.cluster import pools
signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    pool = pools.Lasting(1, lambda slots: {made})
    pool._pool._initializer = interrupted.begin
    try:
        pool.submit(os.getpid).result()
    except BrokenExecutor:
        print("ended")
    pool.shutdown()  # as every user of a pool does
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("ended\n", "")


@pytest.mark.process
@pytest.mark.parametrize("where", ["processes.pool(1).submit(interrupted.work).result()", "interrupted.work()"])
def test_ctrl_c_while_c_code_calls_back_is_not_lost(tmp_path, where):
    """It could raise nothing through such code, as numba's is when it compiles, and Python would print a traceback."""
    interrupted = """
import ctypes, signal, time
call = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGINT))
def work():
    call()
    while True:
        time.sleep(0.01)
"""
    (tmp_path / "interrupted.py").write_text(interrupted)
    code = f"""
import signal
from concurrent.futures import BrokenExecutor
import interrupted
from earshot import processes
from earshot.errors import heed_dropped
signal.signal(signal.SIGINT, signal.default_int_handler)
heed_dropped()
if __name__ == "__main__":
    try:
        {where}
    except (BrokenExecutor, KeyboardInterrupt):
        print("ended")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("ended\n", "")


@pytest.mark.process
def test_ctrl_c_that_comes_again_waits_until_python_has_told_of_the_first(tmp_path):
    """On a busy machine that takes longer than it waits; in between it would be dropped, with a traceback."""
    code = """
import ctypes, signal, time
from earshot import errors
start = errors._thread.start_new_thread
def slowly(*arguments):
    start(*arguments)
    for _ in range(30):
        time.sleep(0.01)
errors._thread.start_new_thread = slowly
signal.signal(signal.SIGINT, signal.default_int_handler)
errors.heed_dropped()
call = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGINT))
try:
    call()
    time.sleep(60)
except KeyboardInterrupt:
    print("ended")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("ended\n", "")
