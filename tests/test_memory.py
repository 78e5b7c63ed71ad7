"""Data that is far larger than the memory it is allowed: read from a mapped file, never as a whole."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile

from conftest import PROJECT, Project
from earshot import files, inputs
from earshot.inputs import stored
from test_inputs import OWN

pytestmark = pytest.mark.process

LIMIT_MIB = 150  # beyond what the interpreter has with everything imported
HOURS = 13.7  # of sound: as samples of 16 bit ten times the limit
UNDER_A_LIMIT = """
import resource, sys
import numpy as np
import torch
from earshot import project
from earshot.batches import prepare
from earshot.files import read_table
from earshot.settings import compose
from earshot.training import fit

def data_now():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmData"))

cfg = compose(["experiment=sirens-waveform-cnn", "dataset=long", "model.training.max_epochs=1"])
# threads and their stacks are the interpreter's
read_table(project.split("long", "grouped"))
torch.nn.functional.conv1d(torch.ones(4, 1, 99), torch.ones(1, 1, 9, requires_grad=True)).sum().backward()
resource.setrlimit(resource.RLIMIT_DATA, (data_now() + int(sys.argv[1]) * 2**20,) * 2)
data = prepare.load(cfg)
trained = fit.fit(cfg, data, *(prepare.part(cfg, data, part) for part in ("train", "validation")))
print("trained on", trained.settings["windows"]["train"], "windows")
try:
    np.array(data.features.rows)
except MemoryError:
    print("read as a whole it does not fit")
"""


@pytest.fixture
def long_project(tmp_path, monkeypatch) -> Project:
    """A project with waveform features of a recording of many hours, in parts as the stage writes them."""
    monkeypatch.setenv("EARSHOT_ROOT", str(tmp_path))
    project = Project(tmp_path)
    layout = {"kind": "long_recordings", "recordings": {"horn": "a.wav", "other": "b.wav"}}
    project.card("long", task="sirens", source={"folder": "."}, layout=layout)
    built = inputs.build("waveform", project.params(), "sirens", clips=False)
    manifest = pd.DataFrame({"recording": ["a.wav", "b.wav"], "label": ["horn", "other"], "status": "read"})
    manifest["sha256"] = "0"
    piece = np.resize((3000 * np.sin(np.arange(1000))).astype(np.int16), (stored.PART, 1))
    n_pieces = round(HOURS * 3600 * built.sample_rate / stored.PART / 2)
    recipe = inputs.recipe("waveform", built) | {"digest": "0" * 64}
    folder = project.data("features", "long", "waveform")
    part = folder / "part-00000-0.parquet"
    pieces = (stored.tables(name, "0", itertools.repeat(piece, n_pieces), None) for name in manifest["recording"])
    stored.write_part(part, itertools.chain.from_iterable(pieces), recipe)
    stored.write_index(folder, [part], manifest.assign(key="0"), recipe)
    files.write_table(project.data("manifest", "long.parquet"), manifest, {})
    seconds = n_pieces * stored.PART / built.sample_rate
    spans = [
        {"recording": name, "group": name, "label": label, "start": start, "stop": start + 40}
        for name, label in zip(manifest["recording"], manifest["label"], strict=True)
        for start in np.arange(0, seconds - 60, 600.0)
    ]
    split = pd.DataFrame(spans).assign(fold=0)
    split["part"] = np.where(np.arange(len(split)) % 4, "train", "validation")
    files.write_table(project.data("splits", "long", "grouped.parquet"), split, {})
    return project


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the limit on a process's data is Linux's")
def test_a_dataset_ten_times_larger_than_the_memory_trains(long_project):
    command = [sys.executable, "-c", UNDER_A_LIMIT, str(LIMIT_MIB)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=long_project.root, check=False)
    assert done.returncode == 0, done.stderr
    assert "trained on 2379 windows" in done.stdout and "read as a whole it does not fit" in done.stdout
    [mapped] = long_project.data("cache", "rows", "long").rglob("*.npy")
    assert mapped.stat().st_size > 10 * LIMIT_MIB * 2**20


EXTRACT = """
import resource, sys
from pathlib import Path
from earshot import inputs
from earshot.inputs import extract
from earshot.settings import read_params
built = inputs.build(sys.argv[1], read_params(), "sirens", clips=False)
extract.begin()
extract.extract_to(Path("short.npy"), Path("short.flac"), built)
before = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
extract.extract_to(Path("long.npy"), Path("long.flac"), built)
print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024 - before)
"""


@pytest.mark.parametrize("name", OWN)
def test_extraction_takes_no_more_memory_for_a_longer_recording(name, tmp_path):
    minutes = {"short": 4, "long": 24}
    for length, n in minutes.items():
        second = (1000 * np.sin(np.arange(11025) / 9)).astype(np.int16)
        with soundfile.SoundFile(tmp_path / f"{length}.flac", "w", 11025, 1) as file:
            for _ in range(n):
                file.write(np.tile(second, 60))
    environment = {"EARSHOT_ROOT": str(PROJECT), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", EXTRACT, name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 40, "MiB; the samples of 20 minutes alone are 77"
