"""How long a training takes to its first step, and how much memory it needs, with 3002 windows of a waveform.

`earshot train` as a user calls it, five times, on noise of the length of the tutorial's recordings; the
files are in the system's cache, as after `dvc repro`. Writes build/bench/loading.json.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from measure import PROJECT, REPEATS, write

from earshot import files, inputs, project
from earshot.inputs import stored
from earshot.settings import read_params

SECONDS = {"emergency.wav": 1375, "non_emergency.wav": 1629}  # as the tutorial's: 1374 + 1628 windows
# what a training is, with a look at the clock after its first step and at its memory at the end
TRAIN = """
import json, os, time
import torch
def peak():
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
with_torch, first = peak(), []
from earshot.training.classifier import Classifier
Classifier.on_train_batch_end = lambda *_: first or first.append(time.time() - float(os.environ["STARTED"]))
from earshot.cli import hydra_train
hydra_train.begin()
print(json.dumps({"first_step_seconds": first[0], "peak_mib": peak() - with_torch}))
"""


def prepare(root: Path) -> None:
    """Make a project whose waveform features are noise, as the pipeline's files hold them."""
    shutil.copytree(PROJECT / "conf", root / "conf")
    shutil.copy(PROJECT / "params.yaml", root)
    built = inputs.build("waveform", read_params(), "sirens", clips=False)
    rng = np.random.default_rng(0)
    manifest = pd.DataFrame({"recording": list(SECONDS), "label": ["emergency", "non_emergency"], "status": "read"})
    manifest["sha256"] = "0"
    recipe = inputs.recipe("waveform", built) | {"digest": "0" * 64}
    dataset = "synthetic_sirens"
    folder = project.data("features", dataset, "waveform")
    part = folder / "part-00000-0.parquet"
    tables = [
        table
        for name, seconds in SECONDS.items()
        for noise in [(0.1 * rng.standard_normal(seconds * built.sample_rate)).astype(np.float32)]
        for table in stored.tables(name, "0", [built.extract(noise)], built.columns)
    ]
    stored.write_part(part, iter(tables), recipe)
    stored.write_index(folder, [part], manifest.assign(key="0"), recipe)
    files.write_table(project.data("manifest", f"{dataset}.parquet"), manifest, {})
    spans = [
        {
            "recording": name,
            "group": name,
            "label": label,
            "fold": 0,
            "part": part,
            "start": start * SECONDS[name],
            "stop": stop * SECONDS[name],
        }
        for name, label in zip(SECONDS, manifest["label"], strict=True)
        for part, start, stop in (("train", 0.0, 0.8), ("validation", 0.8, 1.0))
    ]
    files.write_table(project.data("splits", dataset, "grouped.parquet"), pd.DataFrame(spans), {})


def trained(root: Path, *overrides: str) -> dict[str, float]:
    """Train for an epoch; return what `TRAIN` tells."""
    environment = os.environ | {"STARTED": str(time.time()), "EARSHOT_ROOT": str(root)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    asked = ["experiment=sirens-waveform-cnn", "dataset=synthetic_sirens", "model.training.max_epochs=1"]
    asked += ["hydra.run.dir=out", "mlflow.artifacts=false", *overrides]
    command = [sys.executable, "-c", TRAIN, *asked]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure, print and write."""
    root = Path(tempfile.mkdtemp())
    os.environ["EARSHOT_ROOT"] = str(root)
    try:
        prepare(root)
        first = trained(root)  # makes MLflow's database, and the file that is mapped
        found = [trained(root) for _ in range(REPEATS)]
    finally:
        shutil.rmtree(root)
    medians = {key: statistics.median(one[key] for one in found) for key in first}
    print(
        f"first step after {medians['first_step_seconds']:.1f} s ({first['first_step_seconds']:.1f} s the first time)"
    )
    print(f"peak memory above the interpreter with torch: {medians['peak_mib']:.0f} MiB")
    write("loading", {"windows": sum(SECONDS.values()) - 2, "first": first, "repeats": found, "medians": medians})


if __name__ == "__main__":
    main()
