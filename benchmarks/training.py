"""How fast the tutorial's networks train, beside plain torch.nn and Keras: examples per second, batches of 32.

`pip install -e '.[bench]'` brings Keras and TensorFlow; without them only earshot is measured. Every trainer is a
process of its own that waits while another is measured; one after another, five times. On one machine earshot is
measured as the pipeline runs it, one training for each core, and as a single training on all cores. Writes
build/bench/training.json.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from measure import answering, in_turns, ratio, table, write

HERE = Path(__file__).parent
CORES = os.cpu_count() or 1
CELLS = list(itertools.product(["waveform", "log_spectrogram"], ["cnn", "lstm"], ["as_described", "as_coded"]))
TARGETS = {("waveform", "cnn"): 2.0}  # times Keras; 2.5 for the others
# for one example: two for a multiplication and addition, forwards and twice as much backwards
GFLOP = {
    ("waveform", "cnn", "as_described"): 3 * 2 * (32000 * 13 * 8 + 16000 * 11 * 8 * 16) / 1e9,
    ("waveform", "cnn", "as_coded"): 3 * 2 * 32000 * 11 * 16 / 1e9,
    ("log_spectrogram", "cnn", "as_described"): 3 * 2 * (199 * 13 * 161 * 8 + 99 * 11 * 8 * 16) / 1e9,
    ("log_spectrogram", "cnn", "as_coded"): 3 * 2 * 199 * 11 * 161 * 16 / 1e9,
    ("waveform", "lstm", "as_described"): 3 * 2 * 200 * 4 * (128 * 288 + 128 * 256 + 64 * 192) / 1e9,
    ("waveform", "lstm", "as_coded"): 3 * 2 * 200 * 4 * 64 * 224 / 1e9,
    ("log_spectrogram", "lstm", "as_described"): 3 * 2 * 199 * 4 * (128 * 289 + 128 * 256 + 64 * 192) / 1e9,
    ("log_spectrogram", "lstm", "as_coded"): 3 * 2 * 199 * 4 * 64 * 225 / 1e9,
}


def gemm_rate() -> float:
    """Return the GFLOP per second of a large matrix product in float32, on one core: the machine's limit."""
    code = (
        "import torch, time; torch.set_num_threads(1); a = torch.randn(2048, 2048); a @ a; s = time.perf_counter()\n"
        "for _ in range(5): a @ a\n"
        "print(5 * 2 * 2048**3 / (time.perf_counter() - s) / 1e9)"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def measured(cell: tuple[str, str, str], has_keras: bool) -> dict[str, list[float]]:
    """Return the examples per second of each way, for an input, a model and a wiring."""
    with ExitStack() as stack:

        def speed(script: str, *arguments: str, processes: int = 1) -> Callable[[], float]:
            asked = stack.enter_context(answering([str(HERE / script), *cell, *arguments], processes))
            return lambda: sum(asked())

        ways = {}
        if has_keras:
            ways["Keras"] = speed("peer_keras.py", "0")
            ways["Keras, one for each core"] = speed("peer_keras.py", "1", processes=CORES)
        ways["plain torch.nn, one training"] = speed("peer_torch.py", str(CORES))
        ways["plain torch.nn, one for each core"] = speed("peer_torch.py", "1", processes=CORES)
        ways["earshot, one training"] = speed("peer_earshot.py", str(CORES), "32-true")
        ways["earshot, one for each core"] = speed("peer_earshot.py", "1", "32-true", processes=CORES)
        return in_turns(ways)


def against(speeds: dict[str, list[float]], kind: str) -> float:
    """Return how many times the speed of plain torch.nn earshot has."""
    return ratio(speeds[f"earshot, {kind}"], speeds[f"plain torch.nn, {kind}"])


def main() -> None:
    """Measure, print and write."""
    has_keras = all(importlib.util.find_spec(name) for name in ("keras", "tensorflow"))
    if not has_keras:
        print("Keras is not installed (pip install -e '.[bench]'): only earshot is measured")
    rate = gemm_rate()
    cells, rows = [], []
    for cell in CELLS:
        speeds = measured(cell, has_keras)
        ours = statistics.median(speeds["earshot, one for each core"])
        facts = {"input": cell[0], "model": cell[1], "wiring": cell[2], "speeds": speeds}
        facts |= {"target": TARGETS.get(cell[:2], 2.5), "of_limit": ours * GFLOP[cell] / (rate * CORES)}
        cells.append(facts)
        told = [f"{name} {statistics.median(values):.0f}/s" for name, values in speeds.items()]
        kinds = ("one training", "one for each core")
        told += ["ratio to plain torch.nn", *(f"{against(speeds, kind):.2f}" for kind in kinds)]
        if has_keras:
            ratios = [ratio(speeds[f"earshot, {kind}"], speeds["Keras"]) for kind in kinds]
            told += [f"ratio to Keras {ratios[0]:.1f} and {ratios[1]:.1f}"]
        rows.append(["-".join(cell), *told, f"{facts['of_limit']:.0%} of the limit"])
        print(*rows[-1], sep="  ", flush=True)
    table(rows)
    write("training", {"gemm_gflops": rate, "cores": CORES, "cells": cells})


if __name__ == "__main__":
    main()
