"""Stage: recordings -> what they share with each other, and how they were recorded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pandas as pd
import soxr
from tqdm import tqdm

from earshot import files, project
from earshot.audio import decode
from earshot.datasets.card import Card, load_card
from earshot.errors import without_traceback
from earshot.leaks import conditions, duplicates
from earshot.leaks.fingerprint import FULL_SCALE, SAMPLE_RATE
from earshot.processes import leave_with_parent
from earshot.settings import read_params, window_of

Described = tuple[np.ndarray, pd.DataFrame]


def listen(card: Card, manifest: pd.DataFrame, window: dict[str, float]) -> Iterator[Described]:
    """Yield for each recording its samples (int16 at the fingerprint's rate) and the conditions of its windows."""
    raw = project.data("raw", card.name)
    for row in tqdm(manifest.itertuples(), total=len(manifest), desc=f"fingerprint {card.label}", disable=None):
        samples, sample_rate = decode.read(raw / row.path)
        mono = samples.mean(axis=1)
        described = conditions.describe(mono, sample_rate, **window)
        described.insert(0, "recording", row.recording)
        narrow = soxr.resample(mono, sample_rate, SAMPLE_RATE)
        yield np.rint(narrow * (FULL_SCALE - 1)).clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16), described


def fingerprint(card: Card, manifest: pd.DataFrame, window: dict[str, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the stretches that sound twice in a dataset (see `search.find`), and the conditions of its windows.

    The samples wait on disk meanwhile, so that memory doesn't grow with the recordings.
    """
    described, kept = [], []
    with tempfile.TemporaryDirectory(prefix="earshot-") as folder:
        for number, (samples, rows) in enumerate(listen(card, manifest, window)):
            path = Path(folder, f"{number}.npy")
            np.save(path, samples, allow_pickle=False)
            described.append(rows)
            kept.append(np.load(path, mmap_mode="r", allow_pickle=False))
        found = duplicates.find(manifest["recording"].tolist(), kept)
        del kept
    return found, pd.concat(described, ignore_index=True)


@click.command()
@click.argument("dataset")
@without_traceback
def main(dataset: str) -> None:
    """Write data/fingerprint/DATASET/duplicates.parquet and conditions.parquet."""
    leave_with_parent()
    card = load_card(dataset)
    manifest = files.read_table(project.data("manifest", f"{dataset}.parquet"))
    manifest = manifest[manifest["status"] == "read"].reset_index(drop=True)
    window = window_of(read_params()["windows"], card.task)
    duplicates, described = fingerprint(card, manifest, dict(window))
    out = project.data("fingerprint", dataset)
    files.write_table(out / "conditions.parquet", described, {"dataset": dataset})
    files.write_table(out / "duplicates.parquet", duplicates, {"dataset": dataset})
    across = (duplicates["recording_a"] != duplicates["recording_b"]).sum()
    print(
        f"{card.label}: {len(duplicates)} stretches sound twice ({duplicates['seconds'].sum():.0f} s), "
        f"{across} of them in two recordings"
    )


if __name__ == "__main__":
    main()
