"""The manifest: a row for each file of a dataset, read, or set aside or left out with a reason."""

from __future__ import annotations

from typing import Any

import pandas as pd

from earshot import files, project
from earshot.datasets import place
from earshot.datasets.card import load_card
from earshot.metrics import labels

READ, SET_ASIDE = "read", "set aside"
LEFT_OUT = "left out"  # as the card or its table says: no fault, so it does not count towards manifest.max_set_aside
COLUMNS = [
    "recording",
    "path",
    "label",
    "group",
    "fold",
    "seconds",
    "sample_rate",
    "channels",
    "sha256",
    "status",
    "reason",
]


def counts(frame: pd.DataFrame) -> dict[str, Any]:
    """Count the files that were read, by class, and those that were set aside or left out, by reason."""
    recordings = of_status(frame)
    return {
        "read": len(recordings),
        "set_aside": frame["reason"].value_counts().sort_index().to_dict(),
        "classes": by_class(recordings)["label"].value_counts().sort_index().to_dict(),
        "seconds": round(float(recordings["seconds"].sum()), 3),
        "warnings": warnings(recordings),
    }


def warnings(recordings: pd.DataFrame) -> list[str]:
    """Return warnings about properties of the recordings that reveal their class."""
    known = by_class(recordings[recordings["sample_rate"].notna()])  # of given features it isn't
    rates = known.groupby("label")["sample_rate"].unique().map(lambda found: tuple(sorted(map(int, found))))
    if rates.nunique() < 2:
        return []
    listed = ", ".join(f"{label} {'/'.join(map(str, found))} Hz" for label, found in rates.items())
    return [
        f"The classes were recorded at different sample rates ({listed}). What reaches above "
        f"{min(map(min, rates)) // 2} Hz, as features at a higher rate do, can tell them apart by the band that one "
        "of them lacks, in both protocols."
    ]


def read(dataset: str) -> pd.DataFrame:
    """Return the recordings of a dataset's manifest that were read: columns `COLUMNS`, rows in the manifest's order.

    Raises
    ------
    EarshotError
        If there is no manifest, or it can't be read.
    """
    return of_status(files.read_table(project.manifest(dataset)))


def of_status(manifest: pd.DataFrame, status: str = READ) -> pd.DataFrame:
    """Return the rows of a manifest that were read, or those of another status."""
    return manifest[manifest["status"] == status].reset_index(drop=True)


def paths(dataset: str) -> place.Paths:
    """Return the path of each recording of a dataset; given features have none."""
    card = load_card(dataset)
    recordings = read(dataset) if card.has_sound else pd.DataFrame(columns=COLUMNS)
    return place.Paths(card, dict(zip(recordings["recording"], recordings["path"], strict=True)))


def classes_of(recordings: pd.DataFrame) -> list[str]:
    """Return the classes of recordings, sorted."""
    return labels.classes_of(recordings["label"])


def by_class(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with a class each as their label: of a multi-label dataset a row for each class of a row."""
    return rows.assign(label=rows["label"].map(labels.names_of)).explode("label").dropna(subset="label")
