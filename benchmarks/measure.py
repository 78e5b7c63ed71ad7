"""What the benchmarks have in common: timing in turns, and files that say where and when."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from earshot import provenance

PROJECT = Path(__file__).parent.parent
OUT = PROJECT / "build" / "bench"
REPEATS = 5


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(ways: dict[str, Callable[[], float]], repeats: int = REPEATS) -> dict[str, list[float]]:
    """Measure every way once before any is measured again, so that a slow minute of the machine hits all of them.

    Parameters
    ----------
    ways : each returns what is measured
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, measure in ways.items():
            found[name].append(measure())
    return found


def answer(measure: Callable[[], Any]) -> None:
    """Measure each time a line comes in on standard input, until there are no more; say so once that can begin."""
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)


@contextmanager
def answering(arguments: list[str], processes: int = 1) -> Iterator[Callable[[], list]]:
    """Start Python processes that `answer`; yield what has all of them measure at once and returns the answers."""
    command = [sys.executable, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    started = [subprocess.Popen(command, cwd=PROJECT, **pipes) for _ in range(processes)]

    def asked() -> list:
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        return [json.loads(process.stdout.readline()) for process in started]

    try:
        for process in started:
            if process.stdout.readline() != "ready\n":
                raise SystemExit(f"error: {' '.join(command)} does not start")
        yield asked
    finally:
        for process in started:
            process.stdin.close()
            process.wait()


def ratio(others: list[float], ours: list[float]) -> float:
    """Return the median of the ratios of the repeats, other to ours."""
    return statistics.median(other / our for other, our in zip(others, ours, strict=True))


def anonymous(process: int | str = "self") -> float:
    """Return a process's own memory, without mapped files, in MiB; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), 0.0)


def write(name: str, found: dict[str, Any]) -> None:
    """Write build/bench/NAME.json, with the machine, the commit and the day."""
    OUT.mkdir(parents=True, exist_ok=True)
    about = {
        "machine": provenance.machine(),
        "commit": provenance.commit(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    (OUT / f"{name}.json").write_text(json.dumps(about | found, indent=2) + "\n")
    print(f"written: build/bench/{name}.json")


def written(name: str) -> dict[str, Any]:
    """Return what `write` has written to build/bench/NAME.json; nothing where it hasn't."""
    path = OUT / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def table(rows: list[list[str]]) -> None:
    """Print rows in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
