"""How long an answer takes: a clip from a cold start, an hour of sound on one core, and many clips at a server.

Beside the first a script that a user would write (peer_predict.py), in turns. The models are the first of each siren
experiment in this project's data/models, so that it needs `earshot repro`, and the backbone `mn04_as`, which is fetched
where it isn't here (EARSHOT_MIRROR). Linux alone. Writes build/bench/answers.json.
"""

from __future__ import annotations

import functools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import requests
import soundfile
from measure import PROJECT, REPEATS, in_turns, seconds, table, write

from earshot import project
from earshot.errors import without_traceback

DATASET, COLD = "synthetic_sirens", "log_mel-cnn"
RATE, CLIP, HOUR = 16000, 10, 3600  # Hz, seconds
CLIENTS, REQUESTS = 4, 500
EARSHOT = [sys.executable, "-m", "earshot.cli"]


def models() -> dict[str, list[str]]:
    """Return the arguments of `earshot predict` for a model of each experiment, and for the backbone."""
    folders = sorted(project.models(DATASET).iterdir())
    if not folders:
        raise SystemExit(f"error: {project.models(DATASET)} holds no models: run `earshot repro`")
    found = {folder.name: ["--model", str(min(folder.glob("grouped-*")))] for folder in folders}
    return found | {"mn04_as, untrained": ["--backbone", "mn04_as", "--labels", "siren"]}


def noise(path: Path, length: int) -> str:
    """Write noise of so many seconds to a file."""
    rng = np.random.default_rng(0)
    soundfile.write(path, (0.1 * rng.standard_normal(length * RATE)).astype(np.float32), RATE, subtype="PCM_16")
    return str(path)


def process(command: list[str], cores: int) -> tuple[float, float]:
    """Run a command on so many cores; return its seconds and its peak memory in MiB."""
    limited = os.environ | {"OMP_NUM_THREADS": str(cores), "OPENBLAS_NUM_THREADS": str(cores)}
    begun = time.perf_counter()
    allowed = set(sorted(os.sched_getaffinity(0))[:cores])
    running = subprocess.Popen(
        command,
        env=limited,
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=functools.partial(os.sched_setaffinity, 0, allowed),
    )
    _, status, used = os.wait4(running.pid, 0)
    if status:
        raise SystemExit(f"error: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - begun, used.ru_maxrss / 1024


def served(arguments: list[str], clip: str) -> dict[str, float]:
    """Post a clip many times to `earshot serve`; return the requests a second, and median and 99th percentile in s."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([*EARSHOT, "serve", *arguments, "--port", str(port)], stdout=subprocess.DEVNULL)
    address, content = f"http://127.0.0.1:{port}", Path(clip).read_bytes()

    def ask(_: int) -> float:
        def post() -> None:
            requests.post(f"{address}/listen", params={"model": arguments[1]}, data=content).raise_for_status()

        return seconds(post)

    try:
        _until_it_answers(address, server)
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(ask, range(CLIENTS)))  # the model is loaded
            begun = time.perf_counter()
            taken = sorted(pool.map(ask, range(REQUESTS)))
            rate = REQUESTS / (time.perf_counter() - begun)
    finally:
        server.terminate()
        server.wait()
    return {"rate": rate, "p50": statistics.median(taken), "p99": taken[int(0.99 * REQUESTS)]}


def _until_it_answers(address: str, server: subprocess.Popen) -> None:
    while True:
        try:
            requests.get(address)
        except requests.ConnectionError:
            if server.poll() is not None:
                raise SystemExit("error: the server has ended") from None
            time.sleep(0.1)
        else:
            return


@without_traceback
def main() -> None:
    """Measure, print and write."""
    known = models()
    with tempfile.TemporaryDirectory() as name:
        clip, hour = noise(Path(name) / "clip.wav", CLIP), noise(Path(name) / "hour.wav", HOUR)
        cores = os.cpu_count() or 1
        commands = {
            "script": [sys.executable, str(PROJECT / "benchmarks" / "peer_predict.py"), clip],
            "earshot": [*EARSHOT, "predict", *known[COLD], clip],
        }
        ways: dict[str, Callable] = {name: functools.partial(process, line, cores) for name, line in commands.items()}
        for way in ways.values():
            way()  # what is compiled once a machine
        cold = in_turns(ways)
        long = in_turns(
            {name: functools.partial(process, [*EARSHOT, "predict", *given, hour], 1) for name, given in known.items()},
            repeats=3,
        )
        many = [served(known[COLD], clip) for _ in range(REPEATS)]
    rows = [["", "time", "peak memory"]]
    for name, found in [*cold.items(), *long.items()]:
        took, peak = (statistics.median(one) for one in zip(*found, strict=True))
        rows.append([name, f"{took:.2f} s", f"{peak:.0f} MiB"])
    table(rows)
    print({key: round(statistics.median(one[key] for one in many), 3) for key in many[0]})
    write("answers", {"clip": CLIP, "hour": HOUR, "cold": cold, "long": long, "served": many, "clients": CLIENTS})


if __name__ == "__main__":
    main()
