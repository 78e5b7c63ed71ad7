"""Scores of events by recording: what was found, missed and falsely found, as rates with intervals.

Events of one source are alike, and so are false alarms from one stretch of street: groups are resampled, those of
the events and those of the background apart (`intervals.bootstrap`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from earshot.metrics import events

COLLARS = (0.2, 1.0)  # seconds; the first is DCASE's
CRITERION = 0.5  # of intersections, both ways
MATCHES = {
    **{f"onset_{collar:g}": (collar, None) for collar in COLLARS},
    **{f"onset_offset_{collar:g}": (collar, events.OFFSET_SHARE) for collar in COLLARS},
}
F1 = [*MATCHES, "intersection"]
KINDS = ("labelled", "detected", "background")
COLUMNS = ["kind", "clip", "group", "start", "end", "met", *F1]
SECONDS_PER_HOUR = 3600


def table(labelled: pd.DataFrame, detected: np.ndarray, background: pd.DataFrame) -> pd.DataFrame:
    """Judge detected events.

    Parameters
    ----------
    labelled : columns clip, group, start, end
    detected : (m, 2)
    background : columns clip, group, start, end: what there is besides, of one group each

    Returns
    -------
    Columns `COLUMNS`: a row for each labelled and detected event, and for each stretch of background. `met`: not
    missed, or no false alarm (`events.meeting`). The others: found by that criterion, and of detected events
    `intersection`: relevant. A detected event is of the group of the labelled one that it overlaps, or of the
    background's.
    """
    true = labelled[["start", "end"]].to_numpy(dtype=float).reshape(-1, 2)
    met, right = events.meeting(true, detected)
    found, relevant = events.intersecting(true, detected, CRITERION, CRITERION)
    matched = {name: events.within_collar(true, detected, *how) for name, how in MATCHES.items()}
    rows = [labelled.assign(kind=KINDS[0], met=met, intersection=found, **matched)]
    middles = detected.mean(axis=1)
    if len(detected):
        starts = background["start"].to_numpy()
        under = background.iloc[np.searchsorted(starts, middles, side="right") - 1]
        over = labelled.iloc[events.overlaps(true, detected).argmax(axis=0)] if len(labelled) else under
        group = np.where(right, over["group"].to_numpy(), under["group"].to_numpy())
        facts = {"clip": under["clip"].to_numpy(), "group": group, "start": detected[:, 0], "end": detected[:, 1]}
        rows.append(pd.DataFrame(facts).assign(kind=KINDS[1], met=right, intersection=relevant))
    rows.append(background.assign(kind=KINDS[2]))
    judged = pd.concat(rows, ignore_index=True).reindex(columns=COLUMNS)
    flags = ["met", *F1]
    return judged.assign(**judged[flags].eq(True))


def rates(judged: pd.DataFrame) -> dict[str, float | None]:
    """Return the scores of judged events, of any number of runs, each with its interval: NAME, NAME_low, NAME_high.

    Returns
    -------
    `events` and `missed` (numbers), `hours`; `recall` (the share that is not missed), `false_alarms_per_hour`,
    `detections_per_hour`, and `f1_NAME` for each of `F1`
    """
    from earshot.metrics import intervals  # imports scipy.stats and scikit-learn

    labelled, detected, background = (judged[judged["kind"] == kind] for kind in KINDS)
    sums = (
        pd.DataFrame(
            {
                "events": labelled.groupby("group").size(),
                **{name: labelled.groupby("group")[name].sum() for name in ("met", *F1)},
                "detected": detected.groupby("group").size(),
                "false": (~detected["met"]).groupby(detected["group"]).sum(),
                "irrelevant": (~detected["intersection"]).groupby(detected["group"]).sum(),
                "hours": (background["end"] - background["start"]).groupby(background["group"]).sum()
                / SECONDS_PER_HOUR,
            }
        )
        .fillna(0.0)
        .astype(float)
    )
    place = {name: number for number, name in enumerate(sums.columns)}

    def ratio(above: str, below: str, times: float = 1.0) -> Callable[[np.ndarray], np.ndarray]:
        return lambda s: times * s[..., place[above]] / np.maximum(s[..., place[below]], 1e-12)

    def f1(name: str) -> Callable[[np.ndarray], np.ndarray]:
        def of(s: np.ndarray) -> np.ndarray:
            found, true = s[..., place[name]], s[..., place["events"]]
            named = found + s[..., place["irrelevant"]] if name == "intersection" else s[..., place["detected"]]
            value: np.ndarray = 2 * found / np.maximum(true + named, 1e-12)
            return value

        return of

    statistics = {
        "recall": ratio("met", "events"),
        "false_alarms_per_hour": ratio("false", "hours"),
        "detections_per_hour": ratio("detected", "hours"),
        **{f"f1_{name}": f1(name) for name in F1},
    }
    total = sums.sum()
    strata = np.where(sums["events"] > 0, KINDS[0], KINDS[2])
    result: dict[str, float | None] = {
        "events": float(total["events"]),
        "missed": float(total["events"] - total["met"]),
        "hours": float(total["hours"]),
    }
    for name, statistic in statistics.items():
        low, high = intervals.bootstrap(sums.to_numpy(), strata, statistic) or (None, None)
        result |= {name: float(statistic(total.to_numpy())), f"{name}_low": low, f"{name}_high": high}
    return result
