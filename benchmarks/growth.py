"""How every stage grows: 1, 10 and 100 thousand recordings of a second, by 1, 2 and 4 processes, and by Dask.

Each is a project of its own, whose recordings stay where they are (`copy: false`), and each stage of dvc.yaml is a
process. Measured are its seconds, the peak of its own memory and that of all processes together, and the files below
data/; then what one recording more costs, and how long DVC takes with recordings that are listed and with copied ones.
Writes build/bench/growth.json after each project, and goes on from there if the commit is the same. It takes an hour
and a half; `python benchmarks/growth.py 1000 10000` leaves out the largest.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
import yaml
from measure import PROJECT, anonymous, table, write, written

from earshot import provenance

BIN = Path(sys.executable).parent
WAYS = {  # processes of this machine and workers of Dask, by size
    1000: [("local", 1), ("local", 2), ("local", 4), ("dask", 1), ("dask", 2), ("dask", 4)],
    10_000: [("local", 1), ("local", 2), ("local", 4), ("dask", 2)],
    100_000: [("local", 2), ("dask", 2)],
}
SPREAD = ["download", "manifest", "fingerprint", "split", "audit", "features"]  # those with a task for each recording
RATE, SECONDS = 16000, 1.0
NAME = "growth"


def sound(number: int) -> np.ndarray:
    """Return a recording of one of two classes, a tone below or above 1 kHz in noise: float, (RATE * SECONDS,)."""
    rng = np.random.default_rng(number)
    t = np.arange(round(RATE * SECONDS)) / RATE
    pitch = rng.uniform(1100, 3000) if number % 2 else rng.uniform(150, 900)
    chirp = np.sin(2 * np.pi * (pitch * t + rng.uniform(-300, 300) * t**2))
    return 0.3 * rng.uniform(0.2, 1) * chirp + 0.02 * rng.standard_normal(len(t))


def record(folder: Path, size: int) -> None:
    """Write recordings below class folders, a thousand in each folder of theirs."""
    for number in range(size):
        path = folder / ("high" if number % 2 else "low") / f"{number // 2000:03d}" / f"{number:06d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(number), RATE)


def project(root: Path, recordings: Path, size: int, copy: bool = False) -> None:
    """Make a project of the first recordings, under git and DVC: one experiment, of one epoch."""
    for name in ("conf", "custom", "src", "params.yaml", "dvc.yaml", ".dvcignore"):
        (shutil.copytree if (PROJECT / name).is_dir() else shutil.copy)(PROJECT / name, root / name)
    for path in sorted(recordings.rglob("*.wav"), key=lambda path: path.name)[:size]:
        link = root / "recordings" / path.relative_to(recordings)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.hardlink_to(path)
    card = {"title": NAME, "task": NAME, "licence": "none", "citation": "none", "layout": {"kind": "class_folders"}}
    card["source"] = {"folder": "recordings", "copy": copy}
    (root / "conf" / "cards" / f"{NAME}.yaml").write_text(yaml.safe_dump(card))
    params = yaml.safe_load((root / "params.yaml").read_text())
    params |= {
        "datasets": [NAME],
        "experiments": {"all": {"inputs": ["log_mel"], "models": ["cnn"]}},
        "protocols": ["grouped"],
        "contrasts": [],
        "windows": {"default": {"length": SECONDS, "hop": SECONDS}},
        "noise": {NAME: {"alarm": "high", "background": "low", "snr_db": [0], "inputs": ["log_mel"]}},
    }
    params["split"]["folds"] = {"default": 2}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    path = root / "conf" / "model" / "cnn.yaml"
    model = yaml.safe_load(path.read_text())
    model["training"]["max_epochs"] = 1
    path.write_text(yaml.safe_dump(model))
    for command in (["git", "init", "-q"], [BIN / "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True)


class Watch(threading.Thread):
    """The peaks of memory, in MiB: of one process, of it with all that `root` has begun, and of `root` by itself."""

    def __init__(self, process: psutil.Process, root: psutil.Process):
        super().__init__(daemon=True)
        self.process, self.root, self.done = process, root, threading.Event()
        self.mib, self.all_mib, self.root_mib = 0.0, 0.0, 0.0

    def run(self) -> None:
        """Look again and again."""
        while not self.done.wait(0.2):
            self.mib = max(self.mib, anonymous(self.process.pid))
            self.root_mib = max(self.root_mib, anonymous(self.root.pid))
            family = [self.root, *self.root.children(recursive=True)]
            self.all_mib = max(self.all_mib, sum(anonymous(one.pid) for one in family if one.pid != os.getpid()))


def stage(name: str, workers: int | None) -> dict[str, Any]:
    """Run a stage; return its seconds and its memory, and that of the scheduler where a cluster does its work."""
    command = [sys.executable, "-m", "earshot.stages", name]
    asked = importlib.import_module(f"earshot.stages.{name}").main.params
    command += [NAME] * any(one.name == "dataset" for one in asked)
    command += ["--workers", str(workers)] * (workers is not None and any(one.name == "workers" for one in asked))
    start = time.perf_counter()
    with open("said.txt", "a") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        clustered = "EARSHOT_CLUSTER" in os.environ
        mine = psutil.Process(process.pid)
        watch = Watch(mine, psutil.Process().parent() if clustered else mine)
        watch.start()
        failed = process.wait()
    taken = time.perf_counter() - start
    watch.done.set()
    watch.join()
    if failed:
        raise SystemExit(Path("said.txt").read_text()[-3000:])
    facts = {"seconds": taken, "mib": watch.mib, "all_mib": watch.all_mib}
    return facts | ({"scheduler_mib": watch.root_mib} if clustered else {})


def stages(workers: int | None, names: list[str]) -> None:
    """Run stages of the project that is the current folder, by default all; print what each took."""
    names = names or list(yaml.safe_load(Path("dvc.yaml").read_text())["stages"])
    found: dict[str, Any] = {name: stage(name, workers) for name in names}
    files = [path for path in Path("data").rglob("*") if path.is_file()]
    print(json.dumps({"stages": found, "files": len(files), "mb": sum(path.stat().st_size for path in files) / 1e6}))


def more(root: Path, size: int) -> dict[str, float]:
    """Add a recording to a project whose stages have run; return the seconds of those that read recordings."""
    soundfile.write(root / "recordings" / "low" / "one_more.wav", sound(2 * size), RATE)
    names = ("download", "manifest", "fingerprint", "features")
    return {name: json.loads(called(root, "stage", name))["seconds"] for name in names}


def called(root: Path, *arguments: str, before: list[str | Path] = ()) -> str:
    """Return the last line of what this file prints in a process of its own, in a project."""
    environment = os.environ | {"EARSHOT_ROOT": str(root), "PYTHONPATH": str(root / "src"), "DVC_NO_ANALYTICS": "1"}
    environment |= {"OMP_NUM_THREADS": "1", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    command = [*before, sys.executable, str(Path(__file__).resolve()), *arguments]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout.splitlines()[-1]


def measured(recordings: Path, size: int, workers: int, where: str) -> dict[str, Any]:
    """Run the stages on so many recordings, by processes of this machine or on a cluster of it.

    At the largest size a cluster runs `SPREAD` alone.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        project(root, recordings, size)
        cluster = [BIN / "earshot", "cluster", "--workers", str(workers), "dask"] if where == "dask" else []
        names = SPREAD if cluster and size == max(WAYS) else []
        facts = {"size": size, "where": where, "workers": workers}
        facts |= json.loads(called(root, "stages", "0" if cluster else str(workers), *names, before=cluster))
        return facts | ({"one_more": more(root, size)} if (where, workers) == ("local", 2) else {})


def with_dvc(recordings: Path, size: int) -> dict[str, Any]:
    """Have DVC run the first two stages, once and again, where recordings are copied and where they are listed."""
    found: dict[str, Any] = {"size": size}
    for way in ("copied", "listed"):
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            project(root, recordings, size, copy=way == "copied")
            stages_alone = sum(json.loads(called(root, "stage", one))["seconds"] for one in ("download", "manifest"))
            shutil.rmtree(root / "data")
            found[way] = {"stages": stages_alone, "repro": repro(root), "again": repro(root)}
            found[way]["cached"] = sum(path.is_file() for path in (root / ".dvc" / "cache").rglob("*"))
    return found


def repro(root: Path) -> float:
    """Return the seconds of `dvc repro` up to the manifest."""
    environment = os.environ | {"EARSHOT_ROOT": str(root), "DVC_NO_ANALYTICS": "1"}
    environment |= {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    start = time.perf_counter()
    command = [BIN / "dvc", "repro", f"manifest@{NAME}"]
    subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def shown(facts: dict[str, Any]) -> None:
    """Print what one project took."""
    head = f"{facts['size']} recordings, {facts['workers']} {facts['where']}"
    rows = [[head, *(f"{name} {one['seconds']:.1f} s {one['mib']:.0f} MiB" for name, one in facts["stages"].items())]]
    table(rows)


def known() -> dict[str, list[dict[str, Any]]]:
    """Return what an earlier call has measured of the same commit."""
    found = written(NAME)
    same = found.get("commit") == provenance.commit()
    return {key: found[key] if same else [] for key in ("projects", "dvc")}


def in_order(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return the measurements in the order of the sizes, and of the ways of each."""
    places = [(size, *way) for size, ways in WAYS.items() for way in ways]
    projects = sorted(found["projects"], key=lambda one: places.index((one["size"], one["where"], one["workers"])))
    return {"projects": projects, "dvc": sorted(found["dvc"], key=lambda one: one["size"])}


def main(sizes: list[int]) -> None:
    """Measure, print and write."""
    found = known()
    with tempfile.TemporaryDirectory() as name:
        recordings = Path(name)
        record(recordings, max(sizes))
        for size in sizes:
            done = [(facts["where"], facts["workers"]) for facts in found["projects"] if facts["size"] == size]
            for where, workers in WAYS[size]:
                if (where, workers) not in done:
                    found["projects"].append(measured(recordings, size, workers, where))
                    shown(found["projects"][-1])
                    write(NAME, {"seconds_each": SECONDS, **in_order(found)})
            if size not in [facts["size"] for facts in found["dvc"]]:
                found["dvc"].append(with_dvc(recordings, size))
                write(NAME, {"seconds_each": SECONDS, **in_order(found)})


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stages", workers, *names]:
            stages(int(workers) or None, names)
        case ["stage", one]:
            print(json.dumps(stage(one, None)))
        case sizes:
            main([int(size) for size in sizes] or list(WAYS))
