"""The manifest: a row for each recording of a dataset, read, or set aside or left out with a reason."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.api.types import is_list_like

from earshot import files, project
from earshot.datasets import place
from earshot.datasets.card import Card, load_card
from earshot.datasets.layouts import ClassFolders, Events, FeatureTable, Table
from earshot.datasets.stretches import BEYOND, OVERLAP, UNMAPPED, UNREAD, USED, WHOLE
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
    "peak",
    "padded",
    "sha256",
    "status",
    "reason",
    "note",  # on a recording that is used all the same
]
STRETCHES = "stretches"  # a further column where labels are events: those of each recording, see `datasets.stretches`
PARTS = ["recording", "label", "start", "stop", "kind"]


def counts(frame: pd.DataFrame, ignored: dict[str, int] | None = None) -> dict[str, Any]:
    """Count the recordings that were read, by class, those set aside or left out, by reason, and what was `ignored`.

    `without_group` counts the recordings that no split by groups can have, `notes` what is told of some that are used.
    Where labels are events, a recording counts for each of its classes, and `stretches` has the number and the seconds
    of each class's, `not_used` of the others, by their kind.
    """
    recordings = of_status(frame)
    found = {
        "read": len(recordings),
        "without_group": int(recordings["group"].isna().sum()),
        "set_aside": frame["reason"].map(without_details, na_action="ignore").value_counts().sort_index().to_dict(),
        "ignored": ignored or {},
        "padded": int((recordings["padded"] > 0).sum()),
        "notes": recordings["note"].map(without_details, na_action="ignore").value_counts().sort_index().to_dict(),
        "classes": by_class(by_event_class(recordings))
        .drop_duplicates(["recording", "label"])["label"]
        .value_counts()
        .sort_index()
        .to_dict(),
        "seconds": round(float(recordings["seconds"].sum()), 3),
        "warnings": [*_lost_classes(frame), *_noted(recordings), *_too_loud(recordings), *_rates(recordings)],
    }
    if STRETCHES not in frame:
        return found
    parts = stretches(frame)
    parts.loc[parts["kind"].isin(USED) & ~parts["recording"].isin(recordings["recording"]), "kind"] = UNREAD
    parts = parts[parts["label"].notna()]
    used = parts["kind"].isin(USED)
    not_used = _sizes(parts[~used], "kind")
    found["warnings"] += [NOT_USED[kind].format(**size) for kind, size in not_used.items()]
    return found | {"stretches": _sizes(by_class(parts[used]), "label"), "not_used": not_used}


NOT_USED = {
    OVERLAP: "Where events of two classes overlap, neither is used ({stretches} stretches, {seconds:g} s).",
    UNMAPPED: "Labels that `classes` in the card doesn't name are not used ({stretches} stretches, {seconds:g} s).",
    BEYOND: "Labels reach beyond the end of their recording ({stretches}, by {seconds:g} s together); what is beyond "
    "it is left out.",
    UNREAD: "Labels of recordings that are missing or set aside are not used ({stretches}, {seconds:g} s).",
}


def _sizes(parts: pd.DataFrame, by: str) -> dict[str, dict[str, float]]:
    seconds = (parts["stop"] - parts["start"]).groupby(parts[by])
    sizes = pd.DataFrame({"stretches": seconds.size(), "seconds": seconds.sum().round(3)})
    return {key: {"stretches": int(row.stretches), "seconds": float(row.seconds)} for key, row in sizes.iterrows()}


def stretches(recordings: pd.DataFrame) -> pd.DataFrame:
    """Return the stretches of recordings, a row each: columns `PARTS`, start and stop in seconds.

    Where labels are no events, the only one of a recording is the whole of it.
    """
    whole = recordings.assign(start=0.0, stop=recordings["seconds"], kind=WHOLE)
    if STRETCHES not in recordings:
        return whole[PARTS].reset_index(drop=True)
    parts = [
        {"recording": row["recording"]} | dict(one)
        for row in whole.to_dict("records")
        for one in (row[STRETCHES] if is_list_like(row[STRETCHES]) else [row])
    ]
    return pd.DataFrame(parts, columns=PARTS)


def by_event_class(recordings: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each recording and each label of its events; where labels are no events, the recordings.

    Returns
    -------
    The columns of `recordings`, with `label`, `seconds` (of that label) and `start` (of its first stretch)
    """
    if STRETCHES not in recordings:
        return recordings.assign(start=0.0)
    parts = stretches(recordings)
    parts = parts[parts["kind"].isin(USED)].assign(seconds=parts["stop"] - parts["start"])
    each = parts.groupby(["recording", "label"], as_index=False, sort=False)
    found = each.agg(seconds=("seconds", "sum"), start=("start", "first"))
    return found.merge(recordings.drop(columns=["label", "seconds", STRETCHES]), on="recording")


def no_group(card: Card) -> str:
    """Name the table that a recording without a group is not in."""
    layout = card.layout
    if isinstance(layout, ClassFolders | Events | FeatureTable | Table) and layout.groups:
        return f"no group in {layout.groups.file}"
    if isinstance(layout, Table):
        return f"no group in {layout.files}"
    return "no group in the tables of its members" if card.union else "no group"


def without_details(reason: str) -> str:
    """Return the reason for which a recording is set aside without what is particular to it, which follows a colon."""
    faults, known, why_known = reason.partition(" (known: ")
    return faults.partition(": ")[0] + known + why_known


def _lost_classes(frame: pd.DataFrame) -> list[str]:
    """Return warnings about classes of which no recording is left."""
    meant = by_class(frame[(frame["status"] != LEFT_OUT) & frame["label"].notna()])
    lost = meant.groupby("label")["status"].agg(lambda status: len(status) if (status != READ).all() else 0)
    return [f"Class {label} is gone: all of its recordings ({n}) are set aside" for label, n in lost[lost > 0].items()]


def _noted(recordings: pd.DataFrame) -> list[str]:
    """Return a warning about each kind of note, with the first recording that has it."""
    noted = recordings.dropna(subset="note")
    return [
        f"A recording {kind}, which is used as far as it goes: {len(rows)} of {len(recordings)}, the first is "
        f"{rows['path'].iloc[0]}{_details(rows['note'].iloc[0])}. Was it cut off when it was recorded or copied?"
        for kind, rows in noted.groupby(noted["note"].map(without_details))
    ]


def _details(note: str) -> str:
    details = note.partition(": ")[2]
    return f" ({details})" if details else ""


def _too_loud(recordings: pd.DataFrame) -> list[str]:
    """Return a warning about recordings above full scale."""
    loud = recordings[recordings["peak"] > 1]
    if loud.empty:
        return []
    worst = loud.loc[loud["peak"].idxmax()]
    return [above_full_scale(len(loud), worst["path"], worst["peak"])]


def above_full_scale(n: int, worst: str, peak: float) -> str:
    """Return a warning about recordings above full scale: how many, and the worst with its peak."""
    return (
        f"Recordings that go above full scale: {n}, the worst is {worst} with a peak of {peak:.4g} times full scale. "
        "Inputs that are kept as 16 bit (waveform) clip them: scale them down, or take other inputs"
    )


def _rates(recordings: pd.DataFrame) -> list[str]:
    """Return a warning about sample rates that reveal the class."""
    known = recordings[recordings["sample_rate"].notna()]  # of given features it isn't
    rates = (
        by_class(by_event_class(known))
        .groupby("label")["sample_rate"]
        .unique()
        .map(lambda found: tuple(sorted(map(int, found))))
    )
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
    return labels.classes_of(by_event_class(recordings)["label"])


def by_class(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with a class each as their label: of a multi-label dataset a row for each class of a row."""
    return rows.assign(label=rows["label"].map(labels.names_of)).explode("label").dropna(subset="label")
