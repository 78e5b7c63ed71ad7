"""Scores under street noise, on other datasets and under swapped recording conditions."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from earshot.metrics import classification, intervals
from earshot.splits.windows import GRID

SECONDS_PER_HOUR = 3600


def noise_ladder(frame: pd.DataFrame, alarm: str) -> list[dict[str, Any]]:
    """Return the scores of the alarms of every experiment at every step of the noise ladder.

    Parameters
    ----------
    frame : the table of the stage `noise`
    alarm : the class to be detected

    Returns
    -------
    A row per input, model and step: `alarm`, `snr_db` (None without noise), `f1`, `recall` with its interval, and
    `false_alarms_per_hour` of the other classes with its interval; means over seeds. An alarm is a run of neighbouring
    windows that are not below the threshold.
    """
    found = []
    for (input_name, model, snr_db), rows in frame.groupby(["input", "model", "snr_db"], sort=False):
        fired = rows["score"] >= rows["threshold"]
        decided = rows.assign(fired=fired, label=rows["label"] == alarm, predicted=fired)
        named = decided[["label", "predicted"]].astype(str)  # intervals take labels that are texts
        low, high = intervals.accuracy(decided.assign(**named)[decided["label"]]) or (None, None)
        found.append(
            {
                "input": input_name,
                "model": model,
                "alarm": alarm,
                "snr_db": None if np.isinf(snr_db) else float(snr_db),
                "f1": fmean(_f1(seed) for _, seed in decided.groupby("seed")),
                "recall": float(decided.loc[decided["label"], "fired"].mean()),
                "recall_low": low,
                "recall_high": high,
                **false_alarms(decided[~decided["label"]]),
            }
        )
    return found


def _f1(decided: pd.DataFrame) -> float:
    right = (decided["fired"] & decided["label"]).sum()
    return float(2 * right / max(decided["fired"].sum() + decided["label"].sum(), 1))


def false_alarms(decided: pd.DataFrame) -> dict[str, float | None]:
    """Return false alarms per hour, and their interval over groups.

    Parameters
    ----------
    decided : windows without anything to detect: columns seed, recording, group, start, seconds and `fired` (bool)
    """
    rows = decided.sort_values(["seed", "recording", "group", "start"])
    before = rows.shift()
    same = (rows[["seed", "recording", "group"]] == before[["seed", "recording", "group"]]).all(axis=1)
    step = rows["start"] - before["start"]
    follows = same & (step <= rows["seconds"] + GRID)
    alarm = rows["fired"] & ~(follows & before["fired"].eq(True))
    heard = np.where(follows, np.minimum(step, rows["seconds"]), rows["seconds"])
    groups = rows.assign(alarm=alarm, heard=heard).groupby("group")[["alarm", "heard"]].sum().astype(float)

    def per_hour(sums: np.ndarray) -> np.ndarray:
        return SECONDS_PER_HOUR * sums[..., 0] / sums[..., 1]

    low, high = intervals.bootstrap(groups.to_numpy(), np.zeros(len(groups)), per_hour) or (None, None)
    return {
        "false_alarms_per_hour": float(per_hour(groups.to_numpy().sum(axis=0))),
        "false_alarms_low": low,
        "false_alarms_high": high,
        "hours": float(groups["heard"].sum() / SECONDS_PER_HOUR / decided["seed"].nunique()),
    }


def cross_dataset(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the scores of every experiment on every other dataset, over all seeds and folds.

    Parameters
    ----------
    frame : the table of the stage `cross_dataset`

    Returns
    -------
    A row per dataset, input and model: `accuracy` with its interval, `macro_f1`, and F1 and recall of each class
    """
    found = []
    for (on, input_name, model), rows in frame.groupby(["on", "input", "model"], sort=False):
        classes = classification.by_class(rows).set_index("class")
        low, high = intervals.accuracy(rows) or (None, None)
        found.append(
            {
                "on": on,
                "input": input_name,
                "model": model,
                "models": int(rows[["seed", "fold"]].drop_duplicates().shape[0]),
                "accuracy": float((rows["label"] == rows["predicted"]).mean()),
                "accuracy_low": low,
                "accuracy_high": high,
                "macro_f1": float(classes["f1"].mean()),
                "f1": classes["f1"].to_dict(),
                "recall": classes["recall"].to_dict(),
            }
        )
    return found


def elsewhere(frame: pd.DataFrame, on: list[str]) -> dict[tuple[str, str], pd.DataFrame]:
    """Return the predictions of every experiment, by input and model, on the datasets that say how it does elsewhere.

    Parameters
    ----------
    frame : the table of the stage `cross_dataset`
    on : names of datasets; where there are several, their windows are one test
    """
    if not on:
        return {}
    there = frame[frame["on"].isin(on)]
    there = there.assign(group=there["on"] + "/" + there["group"])
    return dict(iter(there.groupby(["input", "model"], sort=False)))


def swapped(frame: pd.DataFrame, max_drop: float) -> list[dict[str, Any]]:
    """Return how every experiment does under swapped recording conditions, over all seeds and folds.

    Parameters
    ----------
    frame : the table of the stage `swapped`
    max_drop : of the accuracy; a model passes if its drop is surely no larger

    Returns
    -------
    A row per input and model: `accuracy` with its interval, `as_is`, `drop` with its interval, `max_drop` and `passes`
    """
    found = []
    for (input_name, model), rows in frame.groupby(["input", "model"], sort=False):
        low, high = intervals.accuracy(rows) or (None, None)
        as_is = rows.assign(predicted=rows["as_is"])
        drop = intervals.difference(*map(intervals.by_group, (as_is, rows)))
        found.append(
            {
                "input": input_name,
                "model": model,
                "accuracy": float((rows["label"] == rows["predicted"]).mean()),
                "accuracy_low": low,
                "accuracy_high": high,
                "as_is": float((rows["label"] == rows["as_is"]).mean()),
                "drop": drop["difference"],
                "drop_low": drop["low"],
                "drop_high": drop["high"],
                "max_drop": max_drop,
                "passes": drop["high"] is not None and drop["high"] <= max_drop,
            }
        )
    return found
