"""Confidence intervals of scores, differences of two experiments, and McNemar's test.

Windows of one recording are alike, so groups (artists, sources, blocks) are resampled, class by class (the cluster
bootstrap: Davison and Hinkley 1997, section 3.8; percentile intervals). Trainings are not resampled: seeds are
averaged, and their standard deviation is reported beside the interval.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from earshot.metrics import classification, labels

CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 0
BATCH = 250  # resamples at a time; changes nothing but memory
RECORDING = ["recording", "group"]  # a long recording counts once for each of its groups
RECORDING_CLASS = [*RECORDING, "label"]  # and where labels are events, for each of its classes
WINDOW = ["fold", *RECORDING, "start", "seconds"]

Interval = tuple[float, float] | None


def bootstrap(sums: np.ndarray, strata: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Interval:
    """Return the 95 % interval of a statistic of sums over groups.

    Parameters
    ----------
    sums : shape (G, K), the counts of each group
    strata : shape (G,), the class of each group (the first, where events give it several); groups are drawn with
        replacement within their class
    statistic : (..., K) -> (...), of the sums over all groups

    Returns
    -------
    low, high; None where no class has two groups, so that nothing can be resampled
    """
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    resampled = [index for index in members if len(index) > 1]
    if not resampled:
        return None
    fixed = sum(sums[index[0]] for index in members if len(index) == 1)

    def of_groups(*indices: np.ndarray, axis: int) -> np.ndarray:
        return statistic(fixed + sum(sums[np.moveaxis(index, axis, -1)].sum(axis=-2) for index in indices))

    found = scipy.stats.bootstrap(
        resampled,
        of_groups,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=BATCH,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def pool(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Average probabilities over all rows with the same `by`, and predict the class with the highest mean.

    Of a multi-label dataset the classes that more than half of the rows predict.

    Returns
    -------
    Columns `by`, group, label, predicted and p_CLASS
    """
    classes = classification.classes_of(frame)
    columns = [classification.PROBABILITY + name for name in classes]
    rows = frame.groupby(by, as_index=False, sort=True)
    kept = [name for name in ("group", "label") if name not in by]
    found = rows.agg(dict.fromkeys(kept, "first") | dict.fromkeys(columns, "mean"))
    if labels.are_sets(frame["label"]):
        votes = frame[by].assign(**dict(zip(columns, labels.multi_hot(frame["predicted"], classes).T, strict=True)))
        shares = votes.groupby(by, sort=True)[columns].mean().to_numpy()
        return found.assign(predicted=labels.from_multi_hot(shares > 0.5, classes))
    return found.assign(predicted=np.array(classes, dtype=object)[found[columns].to_numpy().argmax(axis=1)])


def accuracy(frame: pd.DataFrame) -> Interval:
    """Return the interval of the share of rows with the right class; rows of several seeds are averaged."""
    table = _by_group(frame, frame["label"] == frame["predicted"])
    return bootstrap(
        table[["right", "rows"]].to_numpy(float), table["label"].to_numpy(), lambda s: s[..., 0] / s[..., 1]
    )


def macro_f1(frame: pd.DataFrame) -> Interval:
    """Return the interval of macro-F1, from counts over all rows; see `classification.scores`."""
    classes = classification.classes_of(frame)
    size = len(classes)
    groups, group = np.unique(frame["group"].to_numpy(dtype=str), return_inverse=True)
    true, predicted = (labels.multi_hot(frame[name], classes) for name in ("label", "predicted"))
    counts = np.zeros((len(groups), 2 * size))  # of each class: right, and true plus predicted
    np.add.at(counts, group, np.hstack([true & predicted, true.astype(int) + predicted]))
    strata = frame.groupby("group", sort=True)["label"].first().to_numpy()

    def statistic(sums: np.ndarray) -> np.ndarray:
        right, named = sums[..., :size], sums[..., size:]
        with np.errstate(invalid="ignore"):
            return np.nanmean(np.where(named > 0, 2 * right / named, np.nan), axis=-1)

    return bootstrap(counts, strata, statistic)


def difference(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, Any]:
    """Compare the accuracy of two experiments, or of two protocols, by the groups that they were tested on.

    Parameters
    ----------
    a, b : predictions, of any number of seeds; a group that both tested is resampled for both at once

    Returns
    -------
    `difference` (accuracy of a minus that of b) and its `low` and `high`; None where nothing can be resampled
    """
    both = [_by_group(x, x["label"] == x["predicted"]).set_index("group") for x in (a, b)]
    names = both[0].index.union(both[1].index)
    label = both[0]["label"].reindex(names).fillna(both[1]["label"].reindex(names))
    # groups that only one of the two tested are strata of their own, so that neither is ever left with none
    strata = np.array([f"{one} {names[n] in both[0].index} {names[n] in both[1].index}" for n, one in enumerate(label)])
    sums = np.column_stack([x[["right", "rows"]].reindex(names, fill_value=0).to_numpy(float) for x in both])

    def statistic(total: np.ndarray) -> np.ndarray:
        return total[..., 0] / total[..., 1] - total[..., 2] / total[..., 3]

    low, high = bootstrap(sums, strata, statistic) or (None, None)
    return {"difference": float(statistic(sums.sum(axis=0))), "low": low, "high": high}


def _by_group(frame: pd.DataFrame, right: pd.Series) -> pd.DataFrame:
    """Return group, label, rows and how many of them are right."""
    return (
        frame.assign(right=right)
        .groupby("group", sort=True)
        .agg(label=("label", "first"), right=("right", "sum"), rows=("right", "size"))
        .reset_index()
    )


def correct(frame: pd.DataFrame, by: list[str]) -> pd.Series:
    """Return whether the predictions of `pool` are right: bool, indexed by `by`."""
    found = pool(frame, by)
    return found.assign(right=found["label"] == found["predicted"]).set_index(by)["right"]


def mcnemar(a: pd.Series, b: pd.Series) -> dict[str, Any] | None:
    """Compare two experiments with McNemar's exact test (McNemar 1947), on the cases that only one of them gets right.

    Parameters
    ----------
    a, b : see `correct`; by `WINDOW` p is too small, since the test takes windows as independent

    Returns
    -------
    `only_a`, `only_b` and the two-sided `p`; None where the two have no predictions of the same windows or recordings
    """
    if not a.index.equals(b.index):
        return None
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p = scipy.stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return {"only_a": only_a, "only_b": only_b, "p": float(p)}
