"""Flags of the test windows that were heard in training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from earshot.splits.windows import GRID

HEARD = 0.5  # seconds of a window that must sound in the training part too; less is a click or a drum


@dataclass(frozen=True)
class Covered:
    """The stretches of recordings that a table of spans covers."""

    edges: dict[str, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def by(cls, spans: pd.DataFrame) -> Covered:
        """Take spans: columns recording, start and stop (seconds)."""
        return cls({name: _union(rows) for name, rows in spans.groupby("recording")})

    def seconds(self, recording: str, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
        """Return how many seconds of each [start, stop) in a recording are covered."""
        if recording not in self.edges:
            return np.zeros(len(starts))
        times, covered = self.edges[recording]
        return np.interp(stops, times, covered) - np.interp(starts, times, covered)


def _union(spans: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of what spans cover together, and how much is covered up to each."""
    ordered = spans.sort_values("start")
    starts, reach = ordered["start"].to_numpy(), np.maximum.accumulate(ordered["stop"].to_numpy())
    first = np.append(True, starts[1:] > reach[:-1])
    times = np.column_stack([starts[first], reach[np.append(first[1:], True)]]).ravel()
    steps = np.diff(times, prepend=times[0])
    steps[::2] = 0  # between two covered stretches nothing is
    return times, steps.cumsum()


def flag(tested: pd.DataFrame, trained: pd.DataFrame, duplicates: pd.DataFrame) -> pd.DataFrame:
    """Flag the test windows that were heard in training.

    Parameters
    ----------
    tested : columns recording, start, seconds
    trained : columns recording, start and stop
    duplicates : stretches that sound twice, see `duplicates.STRETCH`

    Returns
    -------
    bool columns, in the order of `tested`: `overlap` (shares samples with training), `duplicate` (at least `HEARD`
    seconds of it sound in training at another place) and `group` (its group is trained on; where both have the column)
    """
    covered = Covered.by(trained)
    tested = tested.reset_index(drop=True)
    starts = tested["start"].to_numpy(float)
    stops = starts + tested["seconds"].to_numpy(float)
    overlap, duplicate = np.zeros(len(tested), bool), np.zeros(len(tested), bool)
    places = dict(list(_both_ways(duplicates).groupby("recording")))
    for name, rows in tested.groupby("recording"):
        index = rows.index.to_numpy()[np.argsort(starts[rows.index])]
        overlap[index] = covered.seconds(name, starts[index], stops[index]) > GRID
        for place in places.get(name, pd.DataFrame()).itertuples():
            near = index[np.searchsorted(stops[index], place.start) : np.searchsorted(starts[index], place.stop)]
            heard_from, heard_to = np.maximum(starts[near], place.start), np.minimum(stops[near], place.stop)
            shift = place.other_start - place.start
            heard = covered.seconds(place.other, heard_from + shift, np.maximum(heard_to, heard_from) + shift)
            duplicate[near] |= heard >= HEARD - GRID
    found = {"overlap": overlap, "duplicate": duplicate}
    if "group" in tested and "group" in trained:
        found["group"] = tested["group"].isin(set(trained["group"])).to_numpy()
    return pd.DataFrame(found)


def _both_ways(duplicates: pd.DataFrame) -> pd.DataFrame:
    """Return each stretch twice: recording, start and stop of one place, recording and start of the other."""
    sides = [
        duplicates.rename(
            columns={
                f"recording_{one}": "recording",
                f"start_{one}": "start",
                f"recording_{two}": "other",
                f"start_{two}": "other_start",
            }
        )
        for one, two in ("ab", "ba")
    ]
    both = pd.concat(sides, ignore_index=True)
    return both.assign(stop=both["start"] + both["seconds"])[["recording", "start", "stop", "other", "other_start"]]
