"""Published folds: whether a dataset's own folds can be those of the grouped protocol, and if not, why.

Folds that are called train and test, and perhaps validation, are the parts of one split: only `test` is tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

MOST_NAMED = 3
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class PublishedFolds:
    """Whether the published folds are used, and a line that says why (not)."""

    used: bool
    why: str

    def __str__(self) -> str:
        return f"published folds: {'used' if self.used else 'not used'}; {self.why}"


def is_split(folds: pd.Series) -> bool:
    """Whether folds are the parts of one split."""
    return {"train", "test"} <= set(folds.dropna()) <= set(PARTS)


def judge(spans: pd.DataFrame, named: pd.Series) -> PublishedFolds | None:
    """Say whether the published folds of spans are leak-free: no group in two of them. None where there are none.

    In a split a group may be in training and validation: that touches the choice of the checkpoint, and no score.

    Parameters
    ----------
    spans : columns recording, group (after uniting those that share sound) and fold; those that are to be tested
    named : the group that the dataset names, by recording
    """
    if "fold" not in spans or spans["fold"].isna().all():
        return None
    if (lacking := spans.loc[spans["fold"].isna(), "recording"].unique()).size:
        return PublishedFolds(
            False, f"{_counted(len(lacking), 'recording has', 'recordings have')} no fold, {_some(lacking)}"
        )
    if spans["fold"].nunique() < 2:
        return PublishedFolds(False, f"there is only fold {spans['fold'].iloc[0]}")
    folds_of = spans.groupby("group")["fold"].unique()
    torn = folds_of[folds_of.map(len) > 1]
    split = is_split(spans["fold"])
    harmless = torn.map(lambda folds: split and "test" not in folds).astype(bool)
    if harmless.all():
        several = _counted(len(torn), "group is", "groups are") + " in train and validation" if len(torn) else ""
        return PublishedFolds(True, "no group on two sides" + (f" of the test; {several}" if several else ""))
    torn = torn[~harmless]
    described = [_torn(group, list(folds), spans, named) for group, folds in torn.head(MOST_NAMED).items()]
    rest = len(torn) - MOST_NAMED
    return PublishedFolds(False, "; ".join(described) + (f"; and {rest} more" if rest > 0 else ""))


def in_order(folds: pd.Series) -> list[str]:
    """Return the names of folds in the order in which people count: 2 before 10."""
    return sorted(folds.unique(), key=_by_number)


def _torn(group: str, folds: list[str], spans: pd.DataFrame, named: pd.Series) -> str:
    members = sorted(set(named.reindex(spans.loc[spans["group"] == group, "recording"]).dropna()))
    where = " and ".join(sorted(folds, key=_by_number))
    if len(members) > 1:
        return f"groups {_some(members)} share sound and are in folds {where}"
    return f"group {group} is in folds {where}"


def _by_number(fold: str) -> list[tuple[bool, int, str]]:
    parts = re.findall(r"\d+|\D+", fold)
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _some(names: Iterable[str]) -> str:
    names = list(names)
    rest = len(names) - MOST_NAMED
    return ", ".join(map(str, names[:MOST_NAMED])) + (f" and {rest} more" if rest > 0 else "")


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
