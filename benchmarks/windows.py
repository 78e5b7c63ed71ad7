"""The windows that every trainer is given: noise, since their values do not change the time that a step takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from earshot import inputs
from earshot.batches.features import Features
from earshot.batches.windows import Windows
from earshot.settings import read_params

EXAMPLES = 640
SECONDS = 2.0
CHUNK = 320  # windows that are made at a time
CLASSES = ["emergency", "non_emergency"]


def windows_of(input_name: str, examples: int = EXAMPLES) -> Windows:
    """Return windows of 2 s, one after another, of two classes."""
    built = inputs.build(input_name, read_params(), "sirens", clips=False)
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal(round(examples * SECONDS * built.sample_rate))).astype(np.float32)
    rows = np.concatenate(list(built.rows([noise])))
    table = pd.DataFrame({"recording": "noise", "start": np.arange(examples) * SECONDS, "seconds": SECONDS})
    table["label"] = rng.choice(CLASSES, examples)
    return Windows(Features(rows, {"noise": 0}), table, built, CLASSES)


def mapped(input_name: str, examples: int, folder: str) -> Windows:
    """Return such windows whose rows are mapped from a file, made some minutes of sound at a time."""
    path = Path(folder) / f"{input_name}-{examples}.npy"
    some = windows_of(input_name, CHUNK)
    step = round(some.built.first_row(SECONDS))
    rows = some.features.rows
    out = np.lib.format.open_memmap(path, "w+", rows.dtype, (examples * step, rows.shape[1]))
    for first in range(0, len(out), CHUNK * step):
        part = out[first : first + len(rows)]
        part[:] = rows[: len(part)]
    out.flush()
    table = pd.concat([some.table] * -(-examples // CHUNK), ignore_index=True)[:examples]
    table["start"] = np.arange(examples) * SECONDS
    return Windows(Features(np.load(path, mmap_mode="r"), {"noise": 0}), table, some.built, CLASSES)
