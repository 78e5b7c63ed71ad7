"""Recordings that were read and are in no part of a split, with the reason."""

from __future__ import annotations

import pandas as pd

from earshot.datasets.card import Card
from earshot.datasets.manifest import no_group


def left_out(card: Card, recordings: pd.DataFrame, split: pd.DataFrame) -> dict[str, int]:
    """Count the recordings that a split lacks, by reason.

    Parameters
    ----------
    card : of the dataset
    recordings : those that were read, see `manifest.read`
    split : of one protocol, see `protocols.make`
    """
    absent = recordings[~recordings["recording"].isin(split["recording"])]
    reasons = {True: no_group(card), False: "no stretch of one group is as long as a window"}
    return absent["group"].isna().map(reasons).value_counts().sort_index().to_dict()


def without_window_described(found: dict[str, int]) -> str:
    """Say how many events have no window (see `spans.without_window`); empty where all have one."""
    listed = ", ".join(f"{label} {number}" for label, number in found.items())
    why = "they are shorter than a window, and another class is heard in each that holds them, or the recording ends"
    return f"events without a window: {sum(found.values())} ({listed}); {why}" if found else ""


def described(protocol: str, found: dict[str, int]) -> str:
    """Say how many recordings a protocol's split lacks and why; empty where it lacks none."""
    why = ", ".join(f"{reason}: {number}" if len(found) > 1 else reason for reason, number in found.items())
    return f"recordings not in the {protocol} split: {sum(found.values())} ({why})" if found else ""
