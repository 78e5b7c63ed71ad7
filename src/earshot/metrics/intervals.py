"""Confidence intervals of scores, differences of two experiments, and McNemar's test.

Windows of one recording are alike, so groups (artists, sources, blocks) are resampled, class by class (the cluster
bootstrap: Davison and Hinkley 1997, section 3.8; percentile intervals). Trainings are not resampled: seeds are
averaged, and their standard deviation is reported beside the interval.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from earshot.metrics import classification, labels

CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 0
BATCH = 250  # resamples at a time; changes nothing but memory
PAIRS = 10**7  # of a resample and a row, at a time; as little
RECORDING = ["recording", "group"]  # a long recording counts once for each of its groups
RECORDING_CLASS = [*RECORDING, "label"]  # and where labels are events, for each of its classes
WINDOW = ["fold", *RECORDING, "start", "seconds"]

Interval = tuple[float, float] | None


def bootstrap(sums: np.ndarray, strata: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Interval:
    """Return the 95 % interval of a statistic of sums over groups.

    Parameters
    ----------
    sums : shape (G, K), the counts of each group
    strata : shape (G,), the class of each group (the first, where events give it several, and the rarest of a set);
        groups are drawn with replacement within their class
    statistic : (..., K) -> (...), of the sums over all groups

    Returns
    -------
    low, high; None where no class has two groups, so that nothing can be resampled
    """
    resampled, single = _members(strata)
    fixed = sum(sums[number] for number in single)

    def of_groups(*indices: np.ndarray, axis: int) -> np.ndarray:
        return statistic(fixed + sum(sums[np.moveaxis(index, axis, -1)].sum(axis=-2) for index in indices))

    return _percentiles(resampled, of_groups)


def weighted_bootstrap(strata: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> Interval:
    """Return the 95 % interval of a statistic that is no function of sums over groups; see `bootstrap`.

    Parameters
    ----------
    strata : shape (G,)
    statistic : (B, G) -> (B,), of how often each group was drawn
    """
    resampled, single = _members(strata)

    def of_groups(*indices: np.ndarray, axis: int) -> np.ndarray:
        drawn = np.concatenate([np.atleast_2d(np.moveaxis(index, axis, -1)) for index in indices], axis=-1)
        weights = np.zeros((len(drawn), len(strata)))
        weights[:, single] = 1
        np.add.at(weights, (np.arange(len(drawn))[:, None], drawn), 1)
        return statistic(weights)

    return _percentiles(resampled, of_groups)


def _members(strata: np.ndarray) -> tuple[list[np.ndarray], list[int]]:
    """Return the groups of each stratum that has several, and those that are alone in theirs."""
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    return [index for index in members if len(index) > 1], [int(index[0]) for index in members if len(index) == 1]


def _percentiles(resampled: list[np.ndarray], of_groups: Callable[..., np.ndarray]) -> Interval:
    if not resampled:
        return None
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
    """Return the interval of the share of rows with the right class; rows of several seeds are averaged.

    Where all are right, or none is, every resample is as well, and the interval would be a point. It is then that of
    Clopper and Pearson (1934) for so many groups: of 48, all right, from 0.926 on.
    """
    table = by_group(frame)
    found = bootstrap(
        table[["right", "rows"]].to_numpy(float), _strata(table["label"]), lambda s: s[..., 0] / s[..., 1]
    )
    if found is None or table["right"].sum() not in (0, table["rows"].sum()):
        return found
    right = len(table) if table["right"].any() else 0
    exact = scipy.stats.binomtest(right, len(table)).proportion_ci(CONFIDENCE, method="exact")
    return float(exact.low), float(exact.high)


def macro_f1(frame: pd.DataFrame) -> Interval:
    """Return the interval of macro-F1, from counts over all rows; see `classification.scores`."""
    classes = classification.classes_of(frame)
    size = len(classes)
    groups, group = np.unique(frame["group"].to_numpy(dtype=str), return_inverse=True)
    true, predicted = (labels.multi_hot(frame[name], classes) for name in ("label", "predicted"))
    counts = np.zeros((len(groups), 2 * size))  # of each class: right, and true plus predicted
    np.add.at(counts, group, np.hstack([true & predicted, true.astype(int) + predicted]))
    strata = _strata(frame.groupby("group", sort=True)["label"].first())

    def statistic(sums: np.ndarray) -> np.ndarray:
        right, named = sums[..., :size], sums[..., size:]
        with np.errstate(invalid="ignore"):
            return np.nanmean(np.where(named > 0, 2 * right / named, np.nan), axis=-1)

    return bootstrap(counts, strata, statistic)


def average_precision(seeds: Sequence[pd.DataFrame]) -> dict[str, Interval]:
    """Return the intervals of `macro_ap` and `micro_ap` of a multi-label dataset; nothing of others.

    Parameters
    ----------
    seeds : the predictions of each seed, of the same windows; the scores are averaged
    """
    scores = [classification.average_precision(frame) for frame in seeds]
    if not scores[0] or any(None in found.values() for found in scores):
        return dict.fromkeys(scores[0])
    strata = _strata(pd.concat(seeds).groupby("group", sort=True)["label"].first())
    return {
        name: weighted_bootstrap(strata, functools.partial(_mean_of_seeds, [ranked(frame) for frame in seeds]))
        for name, ranked in (("macro_ap", _ranked_by_class), ("micro_ap", _ranked_together))
    }


@dataclass(frozen=True)
class _Ranked:
    """Pairs of a window and a class, the most probable first.

    group : its number, of each pair
    true : whether the window has the class
    ends : the last of each run of equally probable pairs
    """

    group: np.ndarray
    true: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, group: np.ndarray, true: np.ndarray, probability: np.ndarray) -> _Ranked:
        order = np.argsort(-probability, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(probability[order]) != 0, True))
        return cls(group[order], true[order], ends)

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        """Return the average precision as scikit-learn defines it, of groups with weights: (B, G) -> (B,)."""
        at_a_time = max(1, PAIRS // len(self.group))
        parts = [self._of(weights[first : first + at_a_time]) for first in range(0, len(weights), at_a_time)]
        return np.concatenate(parts)

    def _of(self, weights: np.ndarray) -> np.ndarray:
        drawn = weights[:, self.group]
        found = np.cumsum(drawn * self.true, axis=1)[:, self.ends]
        named = np.cumsum(drawn, axis=1)[:, self.ends]
        with np.errstate(invalid="ignore"):
            precision = np.where(named > 0, found / named, 0)
            return (np.diff(found, axis=1, prepend=0) * precision).sum(axis=1) / found[:, -1]


def _ranked_by_class(frame: pd.DataFrame) -> list[_Ranked]:
    classes = classification.classes_of(frame)
    _, group = np.unique(frame["group"].to_numpy(dtype=str), return_inverse=True)
    true, p = labels.multi_hot(frame["label"], classes), classification.probabilities_of(frame)
    return [_Ranked.of(group, true[:, n], p[:, n]) for n in range(len(classes)) if true[:, n].any()]


def _ranked_together(frame: pd.DataFrame) -> list[_Ranked]:
    classes = classification.classes_of(frame)
    _, group = np.unique(frame["group"].to_numpy(dtype=str), return_inverse=True)
    true, p = labels.multi_hot(frame["label"], classes), classification.probabilities_of(frame)
    tested = true.any(axis=0)
    return [_Ranked.of(np.repeat(group, tested.sum()), true[:, tested].ravel(), p[:, tested].ravel())]


def _mean_of_seeds(seeds: Sequence[Sequence[_Ranked]], weights: np.ndarray) -> np.ndarray:
    """Return the mean over classes and seeds; of a class that was not drawn nothing is known."""
    found = [np.nanmean([ranked.average_precision(weights) for ranked in seed], axis=0) for seed in seeds]
    return np.mean(found, axis=0)


def difference(a: pd.DataFrame, b: pd.DataFrame) -> dict[str, Any]:
    """Compare the accuracy of two experiments, or of two protocols, by the groups that they were tested on.

    Parameters
    ----------
    a, b : see `by_group`; a group that both tested is resampled for both at once

    Returns
    -------
    `difference` (accuracy of a minus that of b) and its `low` and `high`; None where nothing can be resampled
    """
    names = a.index.union(b.index)
    label = _strata(a["label"].reindex(names).fillna(b["label"].reindex(names)))
    # groups that only one of the two tested are strata of their own, so that neither is ever left with none
    strata = np.array([f"{one} {names[n] in a.index} {names[n] in b.index}" for n, one in enumerate(label)])
    sums = np.column_stack([x[["right", "rows"]].reindex(names, fill_value=0).to_numpy(float) for x in (a, b)])

    def statistic(total: np.ndarray) -> np.ndarray:
        return total[..., 0] / total[..., 1] - total[..., 2] / total[..., 3]

    low, high = bootstrap(sums, strata, statistic) or (None, None)
    return {"difference": float(statistic(sums.sum(axis=0))), "low": low, "high": high}


def _strata(label: pd.Series) -> np.ndarray:
    """Return the stratum of each group: its class, of a multi-label dataset the rarest of its classes."""
    return np.array(labels.rarest(label.tolist()), dtype=object)


def by_group(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each group's label, rows and how many of them are right, of predictions of any number of seeds."""
    counted = {"label": ("label", "first"), "right": ("right", "sum"), "rows": ("right", "size")}
    return frame.assign(right=frame["label"] == frame["predicted"]).groupby("group", sort=True).agg(**counted)


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
