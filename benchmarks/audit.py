"""How long the search for duplicate sound takes, how much memory and disk, and what it finds: exactly and by the index.

Recordings of 2 s are mixed from two pieces each of the real ones in EARSHOT_MIRROR, resampled at random, so that none
is like another. One in `COPIED` is a copy of another, made in one of five ways. The exact search is measured as far as
that is bearable, the index beyond; each measurement is a process of its own. Writes build/bench/audit.json.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from measure import anonymous, table, write
from scale import exponent

from earshot.audio.sounds import Sounds
from earshot.leaks import approximate, duplicates, exact, fingerprint, hints

SIZES = [1000, 2000, 5000, 20_000, 50_000]  # recordings
EXACT = 5000  # as many at most are searched exactly too
LARGEST = 3  # sizes that an exponent is fitted to: in smaller ones there are costs that don't grow
SECONDS = 2.0
COPIED = 20
RATE = fingerprint.SAMPLE_RATE
FOLDERS = ["gtzan_mini", "esc10", "sirens_elsewhere", "sirens_standin"]
MIB = 2**20


def as_mp3(samples: np.ndarray) -> np.ndarray:
    """Return a copy through MP3 at 16 kHz, 6 dB softer."""
    file = io.BytesIO()
    soundfile.write(file, 0.5 * soxr.resample(samples, RATE, 2 * RATE), 2 * RATE, format="MP3")
    file.seek(0)
    return soxr.resample(soundfile.read(file, dtype="float32")[0], 2 * RATE, RATE)


def noisy(samples: np.ndarray) -> np.ndarray:
    """Add white noise, 20 dB below."""
    noise = np.random.default_rng(0).standard_normal(len(samples))
    return samples + 0.1 * np.sqrt((samples**2).mean()) * noise


def shifted(samples: np.ndarray) -> np.ndarray:
    """Begin 0.123 s later."""
    return np.concatenate([1e-3 * np.random.default_rng(0).standard_normal(round(0.123 * RATE)), samples])


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "through MP3, 6 dB softer": as_mp3,
    "with noise at 20 dB": noisy,
    "0.123 s later": shifted,
    "resampled to 5.5 kHz and back": lambda samples: soxr.resample(soxr.resample(samples, RATE, 5512), 5512, RATE),
    "the last two thirds of it": lambda samples: samples[len(samples) // 3 :],
}


def real() -> np.ndarray:
    """Return all the sound of the mirror, one recording after the other: float32, shape (n,), at `RATE`."""
    mirror, found = Path(os.environ["EARSHOT_MIRROR"]), []
    for folder in FOLDERS:
        for path in sorted(path for path in (mirror / folder).rglob("*") if path.suffix in (".wav", ".ogg", ".flac")):
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
            found.append(soxr.resample(samples.mean(axis=1), rate, RATE))
    return np.concatenate(found)


def mixed(sound: np.ndarray, number: int) -> np.ndarray:
    """Mix two pieces of real sound, each 0.6 to 1.6 times as fast: float, shape (SECONDS * RATE,)."""
    rng, n = np.random.default_rng(number), round(SECONDS * RATE)
    whole = np.zeros(n)
    for level in (1, 10 ** (-rng.uniform(0, 20) / 20)):
        speed = rng.uniform(0.6, 1.6)
        first = rng.integers(len(sound) - 2 * n)
        piece = np.interp(first + speed * np.arange(n), np.arange(first, first + 2 * n), sound[first : first + 2 * n])
        whole += level * piece / (np.sqrt((piece**2).mean()) + 1e-4)
    return whole


def recordings(size: int) -> Iterator[np.ndarray]:
    """Yield the samples of recordings, int16; the last in each `COPIED` is a copy of the first."""
    sound = real()
    for number in range(size):
        copied = number % COPIED == COPIED - 1
        samples = mixed(sound, number - COPIED + 1 if copied else number) * 0.08
        if copied:
            samples = list(WAYS.values())[number // COPIED % len(WAYS)](samples)
        yield np.rint(samples.clip(-1, 1) * 32767).astype(np.int16)


class Watch(threading.Thread):
    """The peaks of this process's own memory (without mapped files) and of a folder's size, in MiB."""

    def __init__(self, folder: Path):
        super().__init__(daemon=True)
        self.folder, self.done = folder, threading.Event()
        self.mib, self.disk = 0.0, 0.0

    def run(self) -> None:
        """Look again and again."""
        while not self.done.wait(0.25):
            self.mib = max(self.mib, anonymous())
            sizes = subprocess.run(["du", "-sk", self.folder], capture_output=True, text=True, check=False).stdout
            self.disk = max(self.disk, int(sizes.split()[0]) / 1024)


def measure(path: Path, size: int, exact_hours: float) -> None:
    """Print what a search of the first recordings of a file takes, and the pairs that it finds."""
    edges = np.load(path.with_suffix(".npy"))
    samples = np.memmap(path, np.int16, "r")
    cut = [samples[first:last] for first, last in pairwise(edges[: size + 1])]
    for hours in (0, np.inf):  # imports
        duplicates.find(["a", "b"], cut[:2], hours)
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        watch = Watch(Path(folder))
        watch.start()
        wall, processor = time.perf_counter(), time.process_time()
        found = duplicates.find(list(map(str, range(size))), cut, exact_hours)
        facts = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}
        watch.done.set()
        watch.join()
        tempfile.tempdir = None
    found = found[found["recording_a"] != found["recording_b"]].astype({"recording_a": int, "recording_b": int})
    pairs = found[["recording_a", "recording_b"]].to_numpy().tolist()
    print(json.dumps(facts | {"mib": watch.mib, "disk_mib": watch.disk, "pairs": pairs}))


def called(path: Path, size: int, exact_hours: float) -> dict[str, Any]:
    """Return what `measure` prints in a process of its own."""
    command = [sys.executable, __file__, str(path), str(size), str(exact_hours)]
    # threads that wait for work sleep, or they would count as processor time
    quiet = os.environ | {"OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    return found | {"size": size, "pairs": set(map(tuple, found["pairs"]))}


def planted(size: int) -> dict[str, set[tuple[int, int]]]:
    """Return which recordings are copies of which, by the way they were made."""
    pairs: dict[str, set[tuple[int, int]]] = {way: set() for way in WAYS}
    for number in range(COPIED - 1, size, COPIED):
        pairs[list(WAYS)[number // COPIED % len(WAYS)]].add((number - COPIED + 1, number))
    return pairs


def told(found: dict[str, Any], exactly: dict[str, Any] | None) -> dict[str, Any]:
    """Put a measurement into numbers: what was found of the copies, and of what the exact search finds."""
    pairs = found.pop("pairs")
    ways = planted(found["size"])
    found["copies"] = {way: len(pairs & copies) / len(copies) for way, copies in ways.items()}
    found["other_pairs"] = len(pairs.difference(*ways.values()))
    if exactly:
        found["recall"] = len(pairs & exactly["pairs"]) / len(exactly["pairs"])
    return found


def bytes_of_a_cell() -> float:
    """Return the size of a centroid in the index's graph, and of its own two copies while it is learnt."""
    import faiss

    centroids = np.random.default_rng(0).standard_normal((2000, fingerprint.DIMENSIONS), dtype=np.float32)
    graph = faiss.serialize_index(approximate._graph(centroids)).nbytes
    return (graph + centroids.nbytes + 2 * centroids.astype(float).nbytes) / len(centroids)


def main() -> None:
    """Measure, print and write."""
    found: dict[str, list[dict[str, Any]]] = {"index": [], "exact": []}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "samples")
        made = Sounds(path, recordings(SIZES[-1]))
        np.save(path.with_suffix(".npy"), np.cumsum([0, *map(len, made)]))
        for size in SIZES:
            exactly = called(path, size, np.inf) if size <= EXACT else None
            found["index"].append(told(called(path, size, 0), exactly))
            if exactly:
                found["exact"].append(told(exactly, None))
            for way, rows in found.items():
                if rows[-1]["size"] == size:
                    one = {name: value for name, value in rows[-1].items() if name != "copies"}
                    table([[way, *(f"{name} {value:.4g}" for name, value in one.items())]])
            write("audit", summary(found))


def summary(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return what docs/audit.md is written from."""
    facts: dict[str, Any] = {}
    for way, rows in found.items():
        sizes, seconds = ([one[name] for one in rows[-LARGEST:]] for name in ("size", "cpu_seconds"))
        facts[way] = {"sizes": rows, "exponent": exponent(sizes, seconds) if len(rows) >= LARGEST else None}
    constants = {
        "seconds_each": SECONDS,
        "copied": COPIED,
        "ways": list(WAYS),
        "vectors_per_second": RATE / fingerprint.HOP_LENGTH / exact.INDEX_STRIDE,
        "per_cell": approximate.PER_CELL,
        "cell_bytes": bytes_of_a_cell(),
        "hint_windows": hints.MOST,
    }
    return facts | constants


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    else:
        main()
