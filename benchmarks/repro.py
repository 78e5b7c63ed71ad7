"""Where the time of `make repro` goes: every stage of a fresh clone on the synthetic data, then nothing to do.

Writes build/bench/repro.json.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import PROJECT, REPEATS, seconds, table, write


def environment(root: Path) -> dict[str, str]:
    """Return the environment of the clone's stages: this interpreter, that code."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    code = {"EARSHOT_ROOT": str(root), "PYTHONPATH": str(root / "src")}
    return os.environ | code | {"PATH": path, "PYTHONUNBUFFERED": "1"}


def stages(root: Path) -> tuple[float, dict[str, list[float]]]:
    """Run the pipeline; return its seconds, and those of each kind of stage."""
    command = [sys.executable, "-m", "earshot.cli", "repro", "--verbose"]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=root, env=environment(root), stdout=subprocess.PIPE, text=True)
    starts: list[tuple[str, float]] = []
    for line in process.stdout:
        if found := re.match(r"Running stage '(\w+)", line):
            starts.append((found[1], time.monotonic()))
    if process.wait():
        raise SystemExit(f"error: the pipeline ended with {process.returncode}")
    ended = time.monotonic()
    taken: dict[str, list[float]] = {}
    for (name, start), stop in zip(starts, [start for _, start in starts[1:]] + [ended], strict=True):
        taken.setdefault(name, []).append(stop - start)
    return ended - began, taken


def main() -> None:
    """Measure, print and write."""
    root = Path(tempfile.mkdtemp())
    try:
        subprocess.run(["git", "clone", "-q", str(PROJECT), str(root)], check=True)
        whole, taken = stages(root)
        again = [sys.executable, "-m", "dvc", "repro"]
        quiet = {"cwd": root, "env": environment(root), "check": True, "stdout": subprocess.DEVNULL}
        nothing = [seconds(lambda: subprocess.run(again, **quiet)) for _ in range(REPEATS)]
    finally:
        shutil.rmtree(root)
    rows = [[name, str(len(times)), f"{sum(times):.1f} s"] for name, times in taken.items()]
    table([["stage", "runs", "time"], *rows, ["all", "", f"{whole:.1f} s"]])
    print(f"nothing to do: {statistics.median(nothing):.1f} s")
    write("repro", {"seconds": whole, "stages": taken, "nothing_to_do": nothing})


if __name__ == "__main__":
    main()
