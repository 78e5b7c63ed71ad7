"""How time and memory grow with the data: extraction and training on 1, 2, 4 and 8 times as much, 1 and 2 processes.

Noise in files of 30 s, each 26 features and log spectrograms; trainings of one epoch on 2 s windows of them. Every
measurement is a process of its own, so that its memory can be read. Writes build/bench/scale.json and
docs/images/scale.png.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.figure import Figure
from measure import PROJECT, answering, table, write

TIMES = [1, 2, 4, 8]
FILES = 60  # of 30 s, at once
EXAMPLES = 1920  # windows of 2 s
REPEATS = 3

EXTRACT = """
import json, resource, sys, time
from pathlib import Path
from earshot import files, inputs
from earshot.datasets.place import Known
from earshot.datasets.reading import PLAIN
from earshot.inputs import extract
from earshot.settings import read_params
name, workers, folder, kept, n = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5])
built = inputs.build(name, read_params(), "genres", clips=name == "summary")
paths = [folder / f"{k}.wav" for k in range(n)]
jobs = [(kept / f"{path.stem}.npy", path, PLAIN, Known(files.digest(path), "")) for path in paths]
start = time.perf_counter()
for _ in extract.extract_all(jobs, built, workers, "bench"):
    pass
taken = time.perf_counter() - start
print(json.dumps([taken, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))
"""
TRAIN = """
import sys, tempfile, time
sys.path.insert(0, "benchmarks")
import windows, torch
from earshot import models
from earshot.models import heads
from earshot.processes import keep_memory
from earshot.settings import compose
from measure import anonymous, answer, seconds
keep_memory()
torch.set_num_threads(1)
name, n = sys.argv[1], int(sys.argv[2])
folder = tempfile.TemporaryDirectory()
cut = windows.mapped(name, n, folder.name)
net = models.faster(models.build(compose(["model=cnn"]).model, False, cut.length, cut.features.rows.shape[1], 2))
optimizer = torch.optim.Adam(net.parameters())
def epoch(count):
    for first in range(0, count, 32):
        x, y = cut[list(range(first, min(first + 32, count)))]
        optimizer.zero_grad()
        heads.loss(net(x), y).backward()
        optimizer.step()
epoch(64)
answer(lambda: [seconds(lambda: epoch(n)), anonymous()])
"""


def called(code: str, *arguments: str) -> list[float]:
    """Return the seconds and the peak of memory (MiB) that a process tells."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def trained(name: str, size: int, workers: int) -> list[float]:
    """Return the seconds and the memory (MiB) of trainings that begin together: of the one that takes longest."""
    with answering(["-c", TRAIN, name, str(size)], workers) as asked:
        return max(asked())


def start_of(sizes: list[int], seconds: list[float]) -> float:
    """Return what a start costs whatever the size: where the line through the measurements begins, not below 0."""
    return max(0.0, float(np.polyfit(sizes, seconds, 1)[1]))


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Return the slope of time over size, both logarithmic: 1 where time grows with the data."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def extraction(folder: Path, name: str, workers: int) -> dict:
    """Measure the extraction of an input by some processes."""
    sizes, found = [FILES * times for times in TIMES], []
    for size in sizes:
        repeats = []
        for _ in range(REPEATS):
            with tempfile.TemporaryDirectory() as kept:
                repeats.append(called(EXTRACT, name, str(workers), str(folder), kept, str(size)))
        found.append([statistics.median(column) for column in zip(*repeats, strict=True)])
    return summary(f"{name}, {workers} process{'es' * (workers > 1)}", "files of 30 s", sizes, found)


def training(name: str, workers: int) -> dict:
    """Measure an epoch of the CNN, in as many trainings side by side as there are workers."""
    sizes, found = [EXAMPLES * times for times in TIMES], []
    for size in sizes:
        repeats = [trained(name, size, workers) for _ in range(REPEATS)]
        found.append([statistics.median(column) for column in zip(*repeats, strict=True)])
    beside = "" if workers == 1 else f", {workers} side by side"
    return summary(f"an epoch of the CNN on {name}{beside}", "windows of 2 s", sizes, found)


def summary(what: str, unit: str, sizes: list[int], found: list[list[float]]) -> dict:
    """Put the measurements of one kind together."""
    seconds, memory = (list(column) for column in zip(*found, strict=True))
    start = start_of(sizes, seconds)
    work = [taken - start for taken in seconds]
    facts = {"what": what, "unit": unit, "sizes": sizes, "seconds": seconds, "mib": memory, "start": start}
    return facts | {"exponent": exponent(sizes, work), "per_second": sizes[-1] / work[-1]}


def plot(found: list[dict]) -> None:
    """Draw time and memory over size into docs/images/scale.png."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for facts in found:
        times = [size / facts["sizes"][0] for size in facts["sizes"]]
        left.loglog(
            times,
            np.subtract(facts["seconds"], facts["start"]),
            "o-",
            label=f"{facts['what']}: exponent {facts['exponent']:.2f}",
        )
        right.semilogx(times, facts["mib"], "o-")
    left.set(xlabel="times the data", ylabel="seconds, without the start")
    right.set(xlabel="times the data", ylabel="peak memory of a process, MiB", ylim=(0, None))
    for axes in (left, right):
        axes.set_xticks(TIMES, [str(times) for times in TIMES])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.savefig(PROJECT / "docs" / "images" / "scale.png", dpi=130)


def main() -> None:
    """Measure, print, draw and write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        for number in range(FILES * TIMES[-1]):
            soundfile.write(folder / f"{number}.wav", 0.1 * rng.standard_normal(30 * 22050), 22050)
        found = [extraction(folder, name, workers) for name in ("summary", "log_spectrogram") for workers in (1, 2)]
        found += [training(name, workers) for name in ("waveform", "log_spectrogram") for workers in (1, 2)]
    for facts in found:
        measured = zip(facts["sizes"], facts["seconds"], facts["mib"], strict=True)
        cells = [f"{size}: {taken:.2f} s, {mib:.0f} MiB" for size, taken, mib in measured]
        table([[facts["what"], f"exponent {facts['exponent']:.2f}", *cells]])
    plot(found)
    write("scale", {"found": found})


if __name__ == "__main__":
    main()
