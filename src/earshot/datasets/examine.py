"""Making the manifest: every file of a dataset is decoded, and accepted or set aside with a reason."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from earshot.audio import decode
from earshot.audio.suffixes import AUDIO_SUFFIXES
from earshot.datasets import listing
from earshot.datasets.card import Card, ClassFolders, known_bad_of
from earshot.datasets.manifest import COLUMNS, LEFT_OUT, READ, SET_ASIDE, classes_of, of_status
from earshot.errors import EarshotError
from earshot.files import digest
from earshot.metrics.labels import are_sets


def examine(path: Path, shortest: float, silence_dbfs: float) -> dict[str, Any]:
    """Decode one file and return its properties, or why it is set aside.

    Parameters
    ----------
    path : the file
    shortest : in seconds; a shorter recording has no window
    silence_dbfs : dB of full scale; a recording with a lower peak is silent
    """
    facts: dict[str, Any] = {"sha256": digest(path), "reason": None}
    if path.stat().st_size == 0:
        return facts | {"reason": "empty"}
    if path.suffix.lower() not in AUDIO_SUFFIXES:
        return facts | {"reason": "not an audio file"}
    try:
        samples, sample_rate = decode.read(path)
    except ValueError:
        return facts | {"reason": "does not decode"}
    frames, channels = samples.shape
    facts |= {"seconds": frames / sample_rate, "sample_rate": sample_rate, "channels": channels}
    return facts | {"reason": _fault_of_samples(samples, frames / sample_rate, shortest, silence_dbfs)}


def _fault_of_samples(samples: np.ndarray, seconds: float, shortest: float, silence_dbfs: float) -> str | None:
    if samples.size == 0:
        return "empty"
    if not np.isfinite(samples).all():
        return "not finite"
    if seconds < shortest:
        return "shorter than a window"
    if np.abs(samples).max() < 10 ** (silence_dbfs / 20):
        return "silent"
    return None


def _fault_of_label(row: dict[str, Any], labels: set[str]) -> str | None:
    """Return why a label is invalid: no class folder, or a file named after another class; None if it is valid."""
    if row["label"] is None:
        return "no class folder"
    named_after = Path(row["path"]).name.split(".")[0]
    if named_after in labels and named_after != row["label"]:
        return "wrong label folder"
    return None


def build(card: Card, folder: Path, shortest: float, silence_dbfs: float) -> pd.DataFrame:
    """Examine all files of a dataset.

    Returns
    -------
    A row for each file with the columns `COLUMNS`; `status` is "read", "set aside" or "left out". Of a table of
    features there is a row for each of its rows, whose length and sample rate nobody knows.
    """
    rows = listing.recordings_of(card, folder)
    if not card.has_sound:
        return pd.DataFrame([{"status": READ} | row for row in rows]).reindex(columns=COLUMNS)
    with ThreadPoolExecutor() as pool:
        examined = pool.map(
            lambda row: {} if row.get("reason") else examine(folder / row["path"], shortest, silence_dbfs), rows
        )
        progress = tqdm(examined, total=len(rows), desc=f"manifest {card.name}", unit="file", disable=None)
        rows = [row | facts for row, facts in zip(rows, progress, strict=True)]
    labels = {row["label"] for row in rows if row["label"]}
    known_bad = known_bad_of(card)
    first_with: dict[str, str] = {}
    for row in rows:
        row["reason"] = row["reason"] or (
            _fault_of_label(row, labels) if isinstance(card.layout, ClassFolders) else None
        )
        if row["reason"] is None and first_with.setdefault(row["sha256"], row["recording"]) != row["recording"]:
            row["reason"] = "duplicate bytes"
        if row["reason"] and row["path"] in known_bad:
            row["reason"] += f" (known: {known_bad[row['path']]})"
        row["status"] = row.get("status") or (SET_ASIDE if row["reason"] else READ)
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def check(frame: pd.DataFrame, dataset: str, max_set_aside: float) -> None:
    """Check that not too much was set aside and at least two classes are left.

    Raises
    ------
    EarshotError
        If not; it names the files, the share and the setting.
    """
    aside, meant = of_status(frame, SET_ASIDE), (frame["status"] != LEFT_OUT).sum()
    if len(aside) > max_set_aside * meant:
        listed = "\n".join(f"  {row.path}: {row.reason}" for row in aside.head(20).itertuples())
        raise EarshotError(
            f"{len(aside)} of {meant} files of {dataset} were set aside, more than manifest.max_set_aside "
            f"({max_set_aside:g}) in params.yaml allows. Mend or remove them, or raise the limit:\n{listed}"
        )
    classes = classes_of(of_status(frame))
    if len(classes) < 2:
        raise EarshotError(f"{dataset} has recordings of {len(classes)} class(es); a comparison needs two or more")
    if len(classes) < 3 and are_sets(of_status(frame)["label"]):
        raise EarshotError(
            f"{dataset} has the classes {' and '.join(classes)}; a multi-label dataset needs three or more. Or give "
            "each combination of labels a class of its own, without `separator`"
        )
