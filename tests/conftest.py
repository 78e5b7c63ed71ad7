"""What several tests use: a project of their own, and small recordings."""

from __future__ import annotations

import copy
import functools
import importlib
import multiprocessing
import multiprocessing.forkserver
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import numpy as np
import psutil
import pytest
import requests
import soundfile
import yaml
from click.testing import CliRunner

from earshot import processes, provenance
from earshot.tracking import store
from servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROJECT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
CHROMIUM = shutil.which("chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
needs_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

# the same examples each time, however busy the machine is
hypothesis.settings.register_profile("reproducible", derandomize=True, deadline=None)
hypothesis.settings.load_profile("reproducible")


# Files that take a minute or more begin first: else the last of them would keep one worker busy and the other idle.
LONGEST = (
    "test_pipeline",
    "test_sweeps",
    "test_cluster",
    "test_real",
    "test_train",
    "test_detection",
    "test_compare",
    "test_memory",
    "test_dashboard",
    "test_onnx",
    "test_pretrained",
    "test_extending",
    "test_tracking",
    "test_several",
    "test_slurm",
    "test_backbone_models",
    "test_trust",
    "test_events",
    "test_operating_point",
    "test_explore",
    "test_cross_dataset",
    "test_cli",
)
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def pytest_configure(config: pytest.Config) -> None:
    """Leave a core to each file where several run side by side: threads of numpy and torch would wait for each other.

    They read it when they are imported, so it holds for workers of pytest-xdist and what they start.
    """
    if config.getoption("numprocesses", None):
        for name in ONE_THREAD:
            os.environ.setdefault(name, "1")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; mark the tests on the shared project with `process`: workers make its features."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker("process")


@functools.cache
def _warm_workers() -> None:
    """Have all pools of this process fork their workers from one that has imported what training needs."""
    with pytest.MonkeyPatch.context() as patch:
        # Python 3.11's fork server looks for what it imports where the environment says, not in this process's sys.path
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        processes.pool(1, "warm").shutdown()
        multiprocessing.forkserver.ensure_running()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    """Refuse Python processes in tests without the mark `process`, so that `make check` stays quick.

    Tools that take milliseconds (git, make, ffmpeg) may run in any test.
    """
    if item.get_closest_marker("process"):
        _warm_workers()
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        begin = subprocess.Popen.__init__

        def refuse(*_, **__):
            pytest.fail("it starts a process: mark the test with `process`")

        def checked(process, command, *rest, **options):
            first = command if isinstance(command, str | os.PathLike) else command[0]
            return (refuse if Path(first).parent == BIN else begin)(process, command, *rest, **options)

        patch.setattr(subprocess.Popen, "__init__", checked)
        patch.setattr(multiprocessing.process.BaseProcess, "start", refuse)
        return (yield)


@functools.cache
def _empty_store() -> bytes:
    """Return an MLflow database without runs: its tables take seconds to make, most of them the disk's."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "mlflow.db"
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        store.connect()
        return path.read_bytes()


def new_store(path: Path) -> str:
    """Write an MLflow store without runs to `path`; return its address."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_empty_store())
    return f"sqlite:///{path}"


def clone(to: Path) -> None:
    """Copy the files of this clone that git has or would add."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (PROJECT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, to / name)


class Project:
    """A project folder with the real conf/, custom/ and params.yaml, and nothing in data/ yet."""

    def __init__(self, root: Path):
        self.root = root
        for name in ("conf", "custom", "params.yaml", "dvc.yaml", ".dvcignore"):
            copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
            copy(PROJECT / name, root / name)

    @classmethod
    def at(cls, root: Path) -> Project:
        """Return the project that is in a folder already."""
        there = cls.__new__(cls)
        there.root = root
        return there

    def params(self, **changes) -> dict:
        """Change sections of params.yaml; return the whole."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text()) | changes
        path.write_text(yaml.safe_dump(params, sort_keys=False))
        return params

    def card(self, name: str, **content) -> None:
        """Write a card."""
        facts = {"title": name, "task": name, "licence": "none", "citation": "none", **content}
        (self.root / "conf" / "cards" / f"{name}.yaml").write_text(yaml.safe_dump(facts))

    def data(self, *parts: str) -> Path:
        return self.root.joinpath("data", *parts)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright  # most tests look at no page

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.setenv("EARSHOT_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Project(tmp_path)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Project:
    """A tiny project (see tiny.py) as it is made, which is copied for each module."""
    from tiny import tiny_project

    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_ROOT", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        new_store(root / "data" / "mlflow" / "mlflow.db")
        return tiny_project(root)


@pytest.fixture(scope="module")
def shared(tiny, tmp_path_factory):
    """A tiny project (see tiny.py) that the tests of a module share."""
    made = copy.copy(tiny)
    made.root = shutil.copytree(tiny.root, tmp_path_factory.mktemp("tiny"), dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_ROOT", str(made.root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield made


@pytest.fixture
def trained_on(shared, tmp_path, monkeypatch):
    """Return the shared project with an MLflow store of the test's own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_store(tmp_path / "mlflow.db"))
    return shared


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """Return the folder of the documentation's site, built as `make site` does it."""
    built = tmp_path_factory.mktemp("site")
    command = [BIN / "mkdocs", "build", "--quiet", "--strict", "--site-dir", built]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture
def mirror(monkeypatch) -> Path:
    """Return the folder of real recordings, or skip."""
    folder = Path(os.environ.get("EARSHOT_MIRROR", PROJECT.parent / "shared" / "mirror"))
    if not folder.is_dir():
        pytest.skip("the real recordings are not here: set EARSHOT_MIRROR to the folder that holds them")
    monkeypatch.setenv("EARSHOT_MIRROR", str(folder))
    return folder


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    """Yield a web server on this machine; no mirror is set."""
    monkeypatch.delenv("EARSHOT_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture
def heeds_ctrl_c():
    """Have this process do what it does on a terminal; whoever started the tests may have Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def started(*command: str, at_most: float = 300, **where) -> Iterator[subprocess.Popen]:
    """Start `python COMMAND`; end it after `at_most` seconds, or with the block. What it says is piped."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | where
    with subprocess.Popen([sys.executable, *command], **streams) as process:
        guard = threading.Timer(at_most, process.kill)
        guard.start()
        try:
            yield process
        finally:
            guard.cancel()
            process.kill()


def forget_custom() -> None:
    """Forget the modules of `custom`, as a new process would."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "custom"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    provenance.code.cache_clear()
    provenance._imports.cache_clear()


def left_running(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Return which of them have not ended in time; a zombie has, which it stays where nobody reaps orphans."""
    deadline = time.monotonic() + seconds
    while (left := [one for one in processes if _runs(one)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def serving(
    *command: str, may_log: bool = False, python: str | Path = sys.executable, **where
) -> Iterator[tuple[str, subprocess.Popen]]:
    """Start a server, `python -m COMMAND --port PORT`; yield its address and process once it answers.

    Parameters
    ----------
    python : the one that runs it
    may_log : whether it may log a traceback, as MLflow's servers do of requests that they answer with 400
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    whole = [python, "-m", *command, "--port", str(port)]
    with tempfile.TemporaryFile("w+") as said:
        server = subprocess.Popen(whole, start_new_session=True, stdout=said, stderr=said, **where)
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 300
            while True:
                try:
                    requests.get(address, timeout=300)
                    break
                except requests.ConnectionError:
                    if server.poll() is not None or time.monotonic() > deadline:
                        said.seek(0)
                        pytest.fail(f"nothing answers at {address}: {said.read()}")
                    time.sleep(0.2)
            yield address, server
            said.seek(0)
            assert may_log or "Traceback" not in said.read()
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
                server.wait(timeout=300)


@contextmanager
def dashboard(root: Path, may_log: bool = False) -> Iterator[tuple[str, subprocess.Popen]]:
    """Start `earshot dashboard` in a project; see `serving`."""
    with serving("earshot.cli", "dashboard", may_log=may_log, cwd=root) as served:
        yield served


def noise(seconds: float, sample_rate: int, seed: int = 0, channels: int = 1) -> np.ndarray:
    """Return white noise of peak 0.5 or so: float32, shape (n, channels)."""
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((round(seconds * sample_rate), channels))).clip(-0.9, 0.9).astype(np.float32)


def invoke(command, *arguments, code: int = 0) -> str:
    """Run a command of click's in this process; return its output once it has ended with `code`."""
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == code, done.output
    return done.output


def tone(frequency: float, seconds: float, sample_rate: int, seed: int = 0) -> np.ndarray:
    """Return a tone in a little noise: float32, shape (n,)."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return (0.3 * np.sin(2 * np.pi * frequency * time)).astype(np.float32) + noise(seconds, sample_rate, seed)[:, 0]


def write_audio(path: Path, samples: np.ndarray, sample_rate: int, **kwargs) -> Path:
    """Write a recording; make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, sample_rate, **kwargs)
    return path
