"""Making the manifest: every recording of a dataset is decoded, and accepted or set aside with a reason."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from earshot.audio import cut_off, decode
from earshot.audio.level import Level
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets import listing, stretches
from earshot.datasets.card import Card, channel_of, known_bad_of
from earshot.datasets.layouts import ClassFolders
from earshot.datasets.manifest import (
    COLUMNS,
    LEFT_OUT,
    READ,
    SET_ASIDE,
    STRETCHES,
    by_event_class,
    classes_of,
    of_status,
)
from earshot.errors import EarshotError
from earshot.files import digest
from earshot.metrics.labels import are_sets

SHORT = "shorter than a window"
NO_CHANNEL = "has no channel"  # how the words of `decode.mono` begin


@dataclass(frozen=True)
class Rules:
    """What decides whether a recording can be used.

    shortest : in seconds; a shorter recording has no window
    silence_dbfs : dB of full scale; a recording with a lower peak is silent
    channel : what models get of it
    key : of params.yaml, where `shortest` stands
    pads : whether a shorter recording is padded to a window
    """

    shortest: float
    silence_dbfs: float
    channel: decode.Channel = "mix"
    key: str = "windows.default.length"
    pads: bool = False


def examine(path: Path, rules: Rules) -> dict[str, Any]:
    """Decode one recording and return its properties, or why it is set aside; memory does not grow with its length."""
    facts: dict[str, Any] = {"sha256": digest(path), "reason": None}
    if path.stat().st_size == 0:
        return facts | {"reason": "empty"}
    level = Level(rules.channel)
    try:
        sample_rate, decoded = decode.blocks(path)
        deque(level.watch(decoded), maxlen=0)
    except ValueError as error:
        return facts | {"reason": _fault_of_file(str(error))}
    seconds = level.samples / sample_rate
    facts |= {"seconds": seconds, "sample_rate": sample_rate, "channels": level.channels, "peak": level.peak}
    facts["note"] = cut_off.note(path, level.samples, sample_rate)
    facts["padded"] = max(0.0, rules.shortest - seconds) if rules.pads else 0.0
    return facts | {"reason": _fault_of_sound(level, seconds, rules)}


def _fault_of_file(said: str) -> str:
    """Return why a file is set aside that does not decode, with what is known of the cause."""
    return said if said.startswith(NO_CHANNEL) else "does not decode" + f": {said}" * (said != decode.UNRECOGNISED)


def _fault_of_sound(level: Level, seconds: float, rules: Rules) -> str | None:
    if not level.samples:
        return "empty"
    if not level.finite:
        return "not finite"
    if seconds < rules.shortest and not rules.pads:
        return f"{SHORT}: {seconds:.2f} s, and {rules.key} is {rules.shortest}"
    if level.cancels:
        return "silent: its channels cancel out when they are mixed, see `channel` in docs/own-recordings.md"
    if level.peak < 10 ** (rules.silence_dbfs / 20):
        return "silent"
    return None


def _fault_of_label(card: Card, row: dict[str, Any], labels: set[str]) -> str | None:
    """Return why a label is invalid: no class folder, or a file named after another class; None if it is valid."""
    if row["label"] is None and STRETCHES not in row:
        return "no class folder"
    if not isinstance(card.layout, ClassFolders):
        return None
    named_after = Path(row["path"]).name.split(".")[0]
    if card.layout.named_after_class and named_after in labels and named_after != row["label"]:
        return "wrong label folder"
    return None


def build(card: Card, folder: Path, shortest: float, silence_dbfs: float, pads: bool = False) -> pd.DataFrame:
    """Examine all recordings of a dataset.

    Parameters
    ----------
    shortest, silence_dbfs, pads : see `Rules`

    Returns
    -------
    A row for each recording with the columns `COLUMNS`; `status` is "read", "set aside" or "left out". Where labels are
    events, there is a column `STRETCHES` as well, see `stretches.stretches`; None for a recording with one label. Of a
    table of features there is a row for each of its rows, whose length and sample rate nobody knows.
    """
    rows = listing.recordings_of(card, folder)
    if not card.has_sound:
        return pd.DataFrame([{"status": READ, "padded": 0.0} | row for row in rows]).reindex(columns=COLUMNS)
    channel, key = channel_of(card), f"{window_key(card)}.length"

    def rules(row: dict[str, Any]) -> Rules:
        return Rules(shortest, silence_dbfs, channel(row["path"]), key, pads)

    todo = [(folder / row["path"], rules(row)) for row in rows if not row.get("reason")]
    with pools.threads(len(todo), __name__) as pool:
        examined = each(pool, examine, todo, f"manifest {card.name}", "file", [path for path, _ in todo])
        rows = [row if row.get("reason") else row | next(examined) for row in rows]
    rows = [_with_stretches(row) if "annotations" in row else row for row in rows]
    labels = {row["label"] for row in rows if row["label"]}
    known_bad = known_bad_of(card)
    first_with: dict[str, str] = {}
    for row in rows:
        row["reason"] = row["reason"] or _fault_of_label(card, row, labels)
        if row["reason"] is None and first_with.setdefault(row["sha256"], row["recording"]) != row["recording"]:
            row["reason"] = "duplicate bytes"
        if row["reason"] and row["path"] in known_bad:
            row["reason"] += f" (known: {known_bad[row['path']]})"
        row["status"] = row.get("status") or (SET_ASIDE if row["reason"] else READ)
    return pd.DataFrame(rows).reindex(
        columns=[*COLUMNS, *([STRETCHES] if any(STRETCHES in row for row in rows) else [])]
    )


def _with_stretches(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the label and the stretches that its annotations give."""
    if row["reason"]:
        return row | {STRETCHES: stretches.unread(row["annotations"])}
    how = (row["background"], row.get("class_of"), row.get("together", False))
    facts = stretches.facts(row["annotations"], row["seconds"], *how)
    return row | facts | ({"status": LEFT_OUT} if facts["reason"] == stretches.NOT_MAPPED else {})


def window_key(card: Card) -> str:
    """Return the key of params.yaml with a dataset's windows; where it is missing, `default` counts."""
    return f"windows.{card.task or 'default'}"


def check(frame: pd.DataFrame, card: Card, max_set_aside: float) -> None:
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
            f"{len(aside)} of {meant} files of {card.name} were set aside, more than manifest.max_set_aside "
            f"({max_set_aside:g}) in params.yaml allows. {_advice(aside, card)}:\n{listed}"
        )
    classes = classes_of(of_status(frame))
    if len(classes) < 2:
        raise EarshotError(f"{card.name} has recordings of {len(classes)} class(es); a comparison needs two or more")
    if len(classes) < 3 and are_sets(by_event_class(of_status(frame))["label"]):
        raise EarshotError(
            f"{card.name} has the classes {' and '.join(classes)}; a multi-label dataset needs three or more. Or give "
            "each combination of labels a class of its own, without `separator`"
        )


def _advice(aside: pd.DataFrame, card: Card) -> str:
    """Return what to do about recordings that were set aside."""
    short = aside[aside["reason"].str.startswith(SHORT)]
    mend = [] if len(short) == len(aside) else ["Mend or remove them"]
    if len(short):
        key, least = window_key(card), short["seconds"].min()
        mend.append(
            f"Set {key}.length (and hop) in params.yaml to what they last ({least:.2f} s), or {key}.pad to zero"
        )
    return ". ".join([*mend[:-1], f"{mend[-1]}, or raise the limit"])
