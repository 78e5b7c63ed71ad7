"""The leak audit: sound that the test part of each split shares with its training part."""

from __future__ import annotations

from itertools import starmap
from typing import Any

import pandas as pd

from earshot import files, project
from earshot.datasets import manifest
from earshot.datasets.card import Card
from earshot.errors import EarshotError
from earshot.leaks import heard, hints
from earshot.settings import read_params, window_of
from earshot.splits import elsewhere
from earshot.splits.left_out import described, left_out, without_window_described
from earshot.splits.protocols import judge_folds
from earshot.splits.spans import windows_of, without_window

LEAK_FREE = ("grouped",)  # protocols that must not leak
REASONS = ("overlap", "duplicate")
MAX_LISTED = 5  # leaking windows in an error


def leaks(split: pd.DataFrame, duplicates: pd.DataFrame, window: dict[str, float]) -> pd.DataFrame:
    """Return a row for each test window: fold, recording, start, seconds, group, why it leaks (see `heard.flag`)."""
    found = []
    for fold, rows in split.groupby("fold"):
        tested = windows_of(rows[rows["part"] == "test"].reset_index(drop=True), window)
        why = heard.flag(tested, rows[rows["part"] == "train"], duplicates)
        found.append(
            pd.concat([tested[["recording", "start", "seconds", "group"]], why.add_prefix("leak_")], axis=1).assign(
                fold=fold
            )
        )
    return pd.concat(found, ignore_index=True)


def summary(table: pd.DataFrame) -> dict[str, float | int]:
    """Return the number of test windows and the shares that leak: for each reason, for any, and by group."""
    share = {reason: float(table[f"leak_{reason}"].mean()) for reason in REASONS}
    any_reason = table[[f"leak_{reason}" for reason in REASONS]].any(axis=1)
    return {
        "windows": len(table),
        **share,
        "leaking": float(any_reason.mean()),
        "group": float(table["leak_group"].mean()),
    }


def audit(card: Card) -> dict[str, Any]:
    """Audit every split of a dataset that params.yaml lists.

    Returns
    -------
    `duplicates` (stretches, seconds, how many are in two recordings, identical files set aside), `protocols`
    (see `summary`), `left_out` (recordings by reason, see `splits.left_out`), `without_window` (events by class),
    `leaking` (for each protocol that must not leak: a line for each of the first leaking windows) and `hints` (see
    `leaks.hints`; none without sound). Where the dataset has published folds, `published_folds` says whether they are
    leak-free and so used; where a union's folds hold out a member for validation, `held_out` names it by fold; where
    features are given, `table` is the name of their file
    """
    params, dataset = read_params(), card.name
    window = dict(window_of(params["windows"], card.task))
    duplicates = files.read_table(project.duplicates(dataset))
    splits = {protocol: files.read_table(project.split(dataset, protocol)) for protocol in params["protocols"]}
    tables = {protocol: leaks(split, duplicates, window) for protocol, split in splits.items()}
    recordings = manifest.read(dataset)
    counts = files.read_json(project.manifest_counts(dataset))
    found = {
        "duplicates": {
            "stretches": len(duplicates),
            "seconds": float(duplicates["seconds"].sum()),
            "across_recordings": int((duplicates["recording_a"] != duplicates["recording_b"]).sum()),
            "identical_files": counts["set_aside"].get("duplicate bytes", 0),
        },
        "protocols": {protocol: summary(table) for protocol, table in tables.items()},
        "left_out": {protocol: left_out(card, recordings, split) for protocol, split in splits.items()},
        "without_window": without_window(recordings, window),
        "leaking": {name: describe_leaking(tables[name]) for name in LEAK_FREE if name in tables},
        "hints": _hints(dataset, splits, window) if card.has_sound else {},
        **({} if card.has_sound else {"table": card.layout.file}),
    }
    if "grouped" in splits and (judged := judge_folds(splits["grouped"], manifest.read(dataset))):
        found["published_folds"] = str(judged)
    if card.union and "grouped" in splits and (members := elsewhere.held_out(splits["grouped"])):
        found["held_out"] = members
    return files.rounded(found)


def describe_leaking(table: pd.DataFrame) -> list[str]:
    """Describe the first leaking windows of a split, a line each."""
    leaking = table[table[[f"leak_{reason}" for reason in (*REASONS, "group")]].any(axis=1)]
    return [
        f"fold {row.fold}: {row.recording} from {row.start:g} s "
        f"({', '.join(reason for reason in (*REASONS, 'group') if getattr(row, f'leak_{reason}'))})"
        for row in leaking.head(MAX_LISTED).itertuples()
    ]


def _hints(dataset: str, splits: dict[str, pd.DataFrame], window: dict[str, float]) -> dict[str, Any]:
    heard = hints.some(manifest.read(dataset), window)
    conditions = files.read_table(project.conditions(dataset), heard and [("recording", "in", heard)])
    conditions = conditions.assign(key=conditions["start"].round(3)).drop(columns="start")

    def part(split: pd.DataFrame, fold: int, name: str) -> pd.DataFrame:
        spans = split[(split["fold"] == fold) & (split["part"] == name)]
        if heard:
            spans = spans[spans["recording"].isin(heard)]
        spans = spans.reset_index(drop=True)
        cut = windows_of(spans, window)
        return cut.assign(key=cut["start"].round(3)).merge(conditions, on=["recording", "key"])

    found: dict[str, Any] = {}
    if "published" in splits:
        found["group"] = hints.group_hint(*(part(splits["published"], 0, name) for name in ("train", "test")))
    if "grouped" in splits:
        folds = sorted(splits["grouped"]["fold"].unique())
        parts = [tuple(part(splits["grouped"], fold, name) for name in ("train", "test")) for fold in folds]
        found["label"] = hints.label_hint(parts)
    return found


def describe(card: Card, found: dict[str, Any]) -> str:
    """Describe the findings of an audit in lines of text."""
    twice = found["duplicates"]
    if "table" in found:
        return _describe_table(card, found)
    said = [
        f"{card.label}: {twice['stretches']} stretches sound twice ({twice['seconds']:.0f} s), "
        f"{twice['across_recordings']} of them in two recordings; {twice['identical_files']} identical files set aside"
    ]
    for protocol, shares in found["protocols"].items():
        said.append(
            f"  {protocol}: {shares['leaking']:.1%} of {shares['windows']} tested windows were heard in training "
            f"({shares['overlap']:.1%} share samples with it, {shares['duplicate']:.1%} sound at another place of it); "
            f"{shares['group']:.1%} have their group there"
        )
    said += _of_folds(found)
    if hint := found["hints"].get("group"):
        said.append(
            f"  hint: the most alike training window is of the same group for {hint['found']:.0%} of the published "
            f"test windows (by chance {hint['chance']:.1%}): windows give their recording away"
        )
    if hint := found["hints"].get("label"):
        said.append(
            f"  hint: level, bandwidth and sample rate alone name the class of unheard groups with a balanced accuracy "
            f"of {hint['balanced_accuracy']:.2f} (by chance {hint['chance']:.2f})"
        )
    return "\n".join(said)


def _of_folds(found: dict[str, Any]) -> list[str]:
    """Say whether the published folds are used, how they are validated, and what a split lacks."""
    said = [found["published_folds"]] if "published_folds" in found else []
    said.append(elsewhere.described(found.get("held_out", [])))
    said += [*starmap(described, found["left_out"].items()), without_window_described(found["without_window"])]
    return [f"  {line}" for line in said if line]


def _describe_table(card: Card, found: dict[str, Any]) -> str:
    """Describe what can be told of a table of features."""
    said = [
        f"{card.label}: there is no sound to be audited, only {found['table']}. "
        f"{found['duplicates']['stretches']} pairs of its rows hold the same numbers; copies that differ aren't found"
    ]
    for protocol, shares in found["protocols"].items():
        said.append(
            f"  {protocol}: {shares['duplicate']:.1%} of {shares['windows']} tested rows are in training too, by their "
            f"numbers; {shares['group']:.1%} have their group there"
        )
    said += _of_folds(found)
    return "\n".join(said)


def check(card: Card, found: dict[str, Any]) -> None:
    """Check that the splits that must not leak do not.

    Raises
    ------
    EarshotError
        If one does; it names the first windows, why they leak, and what to do.
    """
    for protocol, named in found["leaking"].items():
        if named:
            raise EarshotError(
                f"the {protocol} split of {card.name} leaks: training has heard test windows:\n  "
                + "\n  ".join(named)
                + "\nGive what belongs together one group in the card's table of groups, "
                + ("list a copy under the card's known_bad" if card.has_sound else "leave one of two equal rows out")
                + ", or set split.unite_duplicates in params.yaml to true"
            )
