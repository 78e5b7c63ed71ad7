"""How long the fingerprint and the audit of a dataset take, and how much memory, by its size.

Recordings of 100 s are made of noise that wanders in level and colour, half of them 16 kHz, one in twenty a copy that
went through MP3. Windows of 2 s slide by 1 s. Prints a table; each size is measured in a process of its own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile

SECONDS = 100
SIZES = (1000, 3000, 10_000)
PROJECT = Path(__file__).parent.parent


def sound(seed: int, sample_rate: int) -> np.ndarray:
    """Return noise whose level and colour wander: float32, shape (SECONDS * sample_rate,)."""
    rng = np.random.default_rng(seed)
    n = SECONDS * sample_rate
    level = np.interp(np.arange(n), np.linspace(0, n, SECONDS * 5), rng.uniform(0.05, 0.4, SECONDS * 5))
    colour = scipy.signal.lfilter([1], [1, -rng.uniform(0.2, 0.9)], rng.standard_normal(n))
    return (0.3 * level * colour / np.abs(colour).max()).astype(np.float32)


def make(root: Path, windows: int) -> None:
    """Write a project with a dataset of two classes and as many windows."""
    for name in ("conf", "params.yaml"):
        subprocess.run(["cp", "-r", str(PROJECT / name), str(root)], check=True)
    card = "title: n\ntask: noise\nlicence: none\ncitation: none\nsource: {folder: .}\nlayout: {kind: class_folders}\n"
    (root / "conf" / "cards" / "noise.yaml").write_text(card)
    for number in range(windows // (SECONDS - 1)):
        folder = root / "data" / "raw" / "noise" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        rate = (16000, 22050)[number % 4 // 2]
        if number % 20 == 19:
            soundfile.write(folder / f"{number}.mp3", 0.5 * sound(number - 2, rate), rate)
        else:
            soundfile.write(folder / f"{number}.wav", sound(number, rate), rate)


def measure(windows: int) -> None:
    """Print one row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make(root, windows)
        environment = os.environ | {"EARSHOT_ROOT": folder}
        spent = {}
        for stage in ("manifest", "fingerprint", "split", "audit"):
            began = time.monotonic()
            command = [sys.executable, "-m", f"earshot.stages.{stage}", "noise"]
            subprocess.run(command, env=environment, check=True, capture_output=True)
            spent[stage] = time.monotonic() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"| {windows} | {spent['fingerprint']:.1f} | {spent['audit']:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(int(sys.argv[1]))
    else:
        print("| windows | fingerprint, s | audit, s | peak memory, MiB |\n|---|---|---|---|", flush=True)
        for size in SIZES:
            subprocess.run([sys.executable, __file__, str(size)], check=True)
