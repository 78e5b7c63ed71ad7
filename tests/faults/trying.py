"""A small project whose stages and commands are run again and again, each time in a process forked from a warm one."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import importlib
import json
import multiprocessing
import multiprocessing.util
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path

import click
import psutil

from conftest import BIN, Project, new_store, tone, write_audio
from earshot import files, processes
from tiny import FEATURES, RATE

STAGES = ["manifest", "fingerprint", "split", "audit", "features", "train", "evaluate", "noise", "events", "swapped"]
STAGES += ["cross_dataset", "compare"]
COMMANDS = {
    "earshot train": "train experiment=sirens-mfcc-ann dataset=here hydra.run.dir=outputs/one",
    "earshot search": "search sirens-mfcc-ann dataset=here --workers 1",
    "earshot sync": "sync",
    "earshot predict": "predict --model outputs/one --format windows data/raw/here/horn.wav",
    "earshot verify": "verify",
}
PREDICT = "earshot predict"  # makes what it prints
KEPT = {"raw", "cache", "mlflow"}  # folders of data/ of which no stage lists its bytes as its own
PLAN = """trials: 2
batch: 2
startup: 2
metric: loss
space:
  optimizer.lr: {low: 0.0001, high: 0.01, log: true}
"""
FIRST = "the others are done first"  # see `each`
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
HUNG = 600.0  # seconds, after which a try is ended
_loaded: int | None = None  # of a child whose warm parent wants to know: the file that takes the names of its modules


@dataclass(frozen=True)
class Ended:
    """How a command has ended.

    code : its exit code, or the signal that ended it, below 0
    running : processes that it has left
    """

    code: int
    out: str
    err: str
    running: int

    @property
    def lines(self) -> list[str]:
        """What it says of errors: on standard error, but warnings and which file has failed, and of what is damaged."""
        said = [line for line in self.err.splitlines() if line and not line.startswith("warning: ")]
        damaged = [line for line in self.out.splitlines() if line.startswith("damaged: ")]
        return [line for line in said if not line.endswith(FIRST)] + damaged


@dataclass(frozen=True)
class Step:
    """A stage or a command, with what it finds and what it makes.

    before : a copy of data/ and outputs/ as it finds them
    made : the SHA-256 of all that it makes, by path
    names : of all files that there are then
    seconds : that it takes
    """

    name: str
    command: click.Command
    arguments: list[str]
    before: Path
    made: dict[str, str]
    names: set[str]
    seconds: float


def _forked(workers: int, *modules: str) -> ProcessPoolExecutor:
    """Return a pool as `processes.pool` does, forked from this process: another one would have to import first."""
    for module in modules:
        importlib.import_module(module)
    return ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), initializer=_begin)


def _begin() -> None:
    processes._begin(dict(os.environ))
    multiprocessing.util.Finalize(None, _tell_loaded, exitpriority=0)


def _tell_loaded() -> None:
    if _loaded is not None:
        os.write(_loaded, (json.dumps([*sys.modules]) + "\n").encode())


def _work(command: click.Command, arguments: list[str], out: int, err: int, begun: int, loaded: int | None) -> None:
    """Run a command as a process of its own does."""
    global _loaded
    _loaded = loaded
    os.environ["EARSHOT_COMMIT"] = "tried"  # each run would ask git for it
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", buffering=1, closefd=False)
    try:
        os.close(begun)
        command.main(arguments, prog_name="earshot")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what follows is no part of it
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _tell_loaded()


def _content(file: int) -> str:
    with os.fdopen(file, "rb") as opened:
        opened.seek(0)
        return opened.read().decode(errors="replace")


class Tried:
    """The project and its steps."""

    def __init__(self, folder: Path):
        """Make the project in a folder, where nothing has run yet; this process works in it from now on."""
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # what a killed process leaves becomes a child of this one
        self.folder, self.root = folder, folder / "project"
        self.root.mkdir()
        os.environ |= {"EARSHOT_ROOT": str(self.root), "TMPDIR": str(self.root / "tmp")}
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        processes.pool = _forked
        _make(self.root)
        os.chdir(self.root)

    def steps(self, asked: set[str]) -> Iterator[Step]:
        """Run everything, in order, up to the last step that is asked for; yield those that are.

        Raises
        ------
        SystemExit
            If one fails, or makes other bytes when it is run again.
        """
        known = [(name, f"earshot.stages.{name}", [] if name == "compare" else ["here"]) for name in STAGES]
        known += [(name, "earshot.cli.main", line.split()) for name, line in COMMANDS.items()]
        last = max(n for n, (name, *_) in enumerate(known) if name in asked)
        for name, module, arguments in known[: last + 1]:
            command = importlib.import_module(module).main
            if arguments == ["here"]:
                self._undisturbed(command, ["there"])
            if name == "earshot sync":
                _unsent(self.root)
            before = self.folder / name
            shutil.copytree(self.root / "data", before / "data")
            shutil.copytree(self.root / "outputs", before / "outputs")
            made = self.made(name, self._undisturbed(command, arguments))
            step = Step(name, command, arguments, before, made, self.names(), 0)
            if name in asked:
                self.restore(step)
                began = time.perf_counter()
                again = self.made(name, self._undisturbed(command, arguments))
                if changed := {path for path, _ in again.items() ^ made.items()}:
                    raise SystemExit(f"error: {name} makes other bytes each time: {changed}")
                yield dataclasses.replace(step, seconds=time.perf_counter() - began)

    def _undisturbed(self, command: click.Command, arguments: list[str]) -> Ended:
        """Run a command; import here what it has imported, so that the next one finds it."""
        loaded = os.memfd_create("loaded")
        ended = self.run(command, arguments, loaded=loaded)
        names = {name for line in _content(loaded).splitlines() for name in json.loads(line)}
        for name in sorted(names - {*sys.modules}):
            with contextlib.suppress(Exception):  # names that stand for no module
                importlib.import_module(name)
        if ended.code:
            raise SystemExit(f"error: {arguments} ended with {ended.code}: {ended.err}")
        return ended

    def run(
        self,
        command: click.Command,
        arguments: list[str],
        disturb: Callable[[ForkProcess], None] = lambda _: None,
        loaded: int | None = None,
    ) -> Ended:
        """Run a command in a process of its own until it and all that it has started have ended.

        Parameters
        ----------
        disturb : is given the process once it has begun
        loaded : a file that takes the names of its modules
        """
        (self.root / "tmp").mkdir(exist_ok=True)
        out, err = os.memfd_create("out"), os.memfd_create("err")
        waiting, begun = os.pipe()
        work = (command, arguments, out, err, begun, loaded)
        process = multiprocessing.get_context("fork").Process(target=_work, args=work)
        process.start()
        os.close(begun)
        os.read(waiting, 1)  # until it is closed there too
        os.close(waiting)
        disturb(process)
        process.join(HUNG)
        _, left = psutil.wait_procs(psutil.Process().children(recursive=True), HUNG)
        for one in left:
            one.kill()
        psutil.wait_procs(left)
        process.join()
        return Ended(process.exitcode, _content(out), _content(err), len(left))

    def restore(self, step: Step) -> None:
        """Have the project as a step finds it."""
        for name in ("data", "outputs", "tmp"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        shutil.copytree(step.before, self.root, dirs_exist_ok=True)

    def made(self, name: str, ended: Ended) -> dict[str, str]:
        """Return what the step of a name has made, see `Step`; of MLflow's store the runs that have finished."""
        if name == PREDICT:
            return {"printed": ended.out}
        kinds = [kind for kind in (self.root / "data").iterdir() if kind.name not in KEPT]
        paths = [path for kind in kinds for path in kind.rglob("*")]
        paths = [path for path in paths if "trials" not in path.parts and path.suffix != ".lock"]
        paths += [self.root / "outputs" / "one" / name for name in ("config.json", "model.safetensors")]
        whole = [path.relative_to(self.root) for path in paths if path.is_file()]
        found = {str(path): files.digest(self.root / path) for path in whole if not _is_temporary(path)}
        return found | ({"runs": _runs(self.root / "data" / "mlflow" / "mlflow.db")} if name == "earshot sync" else {})

    def names(self) -> set[str]:
        """Return the names of all files but temporary ones and those that MLflow names at random."""
        found = set()
        for folder in ("data", "tmp"):
            for path in (self.root / folder).rglob("*"):
                inside = path.relative_to(self.root)
                of_mlflow = inside.is_relative_to("data/mlflow/artifacts")
                waits = inside.is_relative_to("data/mlflow/unsent") and _is_whole(self.root / Path(*inside.parts[:4]))
                if path.is_file() and not (_is_temporary(inside) or of_mlflow or waits):
                    found.add(str(inside))
        return found


def _is_temporary(inside: Path) -> bool:
    """Tell whether a file or a folder that it is in is what `earshot verify` lists as left over."""
    return any(files.writer_of(Path(part)) is not None for part in inside.parts)


def _is_whole(unsent: Path) -> bool:
    return (unsent / "record.json").exists()


def _runs(database: Path) -> str:
    """Return the finished runs that `earshot sync` has sent, with all that was sent of them."""
    with contextlib.closing(sqlite3.connect(database)) as opened:
        runs = opened.execute(
            "SELECT run_uuid, name FROM runs WHERE status = 'FINISHED' AND name LIKE 'unsent %' ORDER BY name"
        ).fetchall()
        metrics = "SELECT key, value, timestamp, step FROM metrics WHERE run_uuid = ? ORDER BY step"
        params = "SELECT key, value FROM params WHERE run_uuid = ?"
        found = []
        for run, name in runs:
            notes = [path.read_text() for path in database.parent.glob(f"artifacts/{run}/artifacts/*")]
            parts = [opened.execute(query, (run,)).fetchall() for query in (metrics, params)]
            found.append([name, notes, *parts])
    return str(found)


def _make(root: Path) -> None:
    """Write a project of two small datasets of one task."""
    new_store(root / "data" / "mlflow" / "mlflow.db")
    project = Project(root)
    params = project.params()
    sirens = {"alarm": "horn", "background": "other", "inputs": ["mfcc"]}
    events = {"hours": 0.01, "clip_seconds": 20.0, "event_seconds": [2.0, 4.0], "events_per_hour": 400.0, "step": 0.5}
    project.params(
        datasets=["here", "there"],
        audio={"sample_rate": RATE},
        features=params["features"] | {"mfcc": params["features"]["mfcc"] | FEATURES["mfcc"]},
        experiments={"timbre": {"inputs": ["mfcc"], "models": ["ann"]}},
        protocols=["grouped"],
        split=params["split"] | {"block_seconds": 6.0, "folds": {"default": 2}},
        noise={"sirens": sirens | {"snr_db": [0]}},
        events={"sirens": sirens | events | {"snr_db": [5, 20]}},
        swapped=params["swapped"] | {"when": "always"},
    )
    layout = {"kind": "long_recordings", "recordings": {"horn": "horn.wav", "other": "other.wav"}}
    for seed, name in enumerate(("here", "there")):
        project.card(name, task="sirens", source={"folder": "."}, layout=layout)
        write_audio(project.data("raw", name, "horn.wav"), tone(900, 40, RATE, seed=2 * seed), RATE)
        write_audio(project.data("raw", name, "other.wav"), tone(300, 44, RATE, seed=2 * seed + 1), RATE)
    model = root / "conf" / "model" / "ann.yaml"
    model.write_text(model.read_text().replace("max_epochs: 100", "max_epochs: 1"))
    config = root / "conf" / "config.yaml"
    config.write_text(config.read_text().replace("artifacts: true", "artifacts: false"))
    (root / "conf" / "sweep" / "ann.yaml").write_text(PLAN)
    known = root / "conf" / "experiment" / "sirens-mfcc-linear.yaml"
    known.with_name("sirens-mfcc-ann.yaml").write_text(known.read_text().replace("linear", "ann"))
    (root / "outputs").mkdir()
    subprocess.run([BIN / "dvc", "init", "--no-scm", "--quiet"], cwd=root, check=True)


def _unsent(root: Path) -> None:
    """Have two runs wait for `earshot sync`."""
    from earshot.tracking import outbox
    from earshot.tracking.store import Record

    artifacts = root / "tmp" / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    for number in range(2):
        (artifacts / "note.txt").write_text(f"run {number}")
        record = Record("sirens", f"unsent {number}", started=1, ended=2 + number, status="FINISHED")
        record.params |= {"number": str(number)}
        record.metrics += [("loss", 0.5, 1, step) for step in range(3)]
        outbox.store(record, artifacts)
    shutil.rmtree(artifacts)
