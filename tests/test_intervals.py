"""Intervals and tests: against theory, against simulated data whose truth is known, and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.metrics import classification, intervals


def predictions(groups: int, windows: int, share, seed: int = 0, alike: bool = False) -> pd.DataFrame:
    """Predictions of two classes; `alike`: all windows of a group are right, or none is."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), windows)
    right = (rng.random(groups)[group] if alike else rng.random(len(group))) < share
    label = np.where(group % 2, "a", "b")
    predicted = np.where(right, label, np.where(label == "a", "b", "a"))
    facts = {
        "fold": 0,
        "recording": group,
        "group": group,
        "start": np.tile(np.arange(windows), groups),
        "seconds": 2.0,
    }
    return pd.DataFrame(
        {
            **facts,
            "label": label,
            "predicted": predicted,
            "p_a": 1.0 * (predicted == "a"),
            "p_b": 1.0 * (predicted == "b"),
        }
    )


def width(interval) -> float:
    return interval[1] - interval[0]


def test_independent_windows_have_the_binomial_interval():
    frame = predictions(2000, 1, 0.8)
    theirs = scipy.stats.binomtest(int((frame["label"] == frame["predicted"]).sum()), 2000).proportion_ci(
        method="wilson"
    )
    assert intervals.accuracy(frame) == pytest.approx((theirs.low, theirs.high), abs=0.005)


def test_windows_that_are_alike_widen_the_interval():
    alone, alike = (intervals.accuracy(predictions(60, 25, 0.8, alike=alike)) for alike in (False, True))
    assert 3.5 < width(alike) / width(alone) < 6.5, "25 equal windows are worth one: the root of 25 is 5"


@pytest.mark.parametrize(("share", "bounds"), [(1, (0.025 ** (1 / 48), 1)), (0, (0, 1 - 0.025 ** (1 / 48)))])
def test_of_groups_without_an_error_as_much_is_known_as_their_number_says(share, bounds):
    for windows in (1, 20):
        assert intervals.accuracy(predictions(48, windows, share)) == pytest.approx(bounds)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    found = [intervals.accuracy(predictions(80, 10, 0.75, seed, alike=True)) for seed in range(120)]
    covered = np.mean([low <= 0.75 <= high for low, high in found])
    assert 0.88 <= covered <= 0.995


def test_one_group_in_a_class_is_not_drawn_and_none_gives_no_interval():
    frame = predictions(41, 5, 0.7)
    alone = frame[(frame["label"] == "b") | (frame["group"] == 1)]
    assert width(intervals.accuracy(alone)) > 0
    assert intervals.accuracy(frame[frame["group"] < 2]) is None


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_scores_lie_in_their_intervals_and_the_same_comes_twice(seed):
    frame = predictions(30, 4, 0.7, seed, alike=True)
    scores = classification.scores(frame)
    for name in ("accuracy", "macro_f1"):
        low, high = getattr(intervals, name)(frame)
        assert 0 <= low <= scores[name] + 0.02 and scores[name] - 0.02 <= high <= 1
        assert getattr(intervals, name)(frame) == (low, high)


def test_seeds_are_averaged_and_not_counted_as_more_data():
    frame = predictions(50, 5, 0.8, alike=True)
    twice = pd.concat([frame.assign(seed=0), frame.assign(seed=1)])
    assert intervals.accuracy(twice) == pytest.approx(intervals.accuracy(frame))


def test_a_paired_difference_is_surer_than_two_scores():
    a = predictions(100, 5, 0.8, alike=True)
    rng = np.random.default_rng(1)
    flipped = rng.random(len(a)) < 0.05
    b = a.assign(predicted=np.where(flipped, np.where(a["predicted"] == "a", "b", "a"), a["predicted"]))
    found = intervals.difference(intervals.by_group(a), intervals.by_group(b))
    assert found["difference"] == pytest.approx(
        classification.scores(a)["accuracy"] - classification.scores(b)["accuracy"]
    )
    assert found["low"] <= found["difference"] <= found["high"]
    assert found["high"] - found["low"] < 0.5 * width(intervals.accuracy(a))
    turned = intervals.difference(intervals.by_group(b), intervals.by_group(a))
    assert turned["difference"] == pytest.approx(-found["difference"])


def test_two_protocols_can_be_compared_that_tested_different_windows():
    grouped = predictions(60, 6, 0.6, alike=True)
    published = grouped.sample(frac=0.3, random_state=0).assign(predicted=lambda f: f["label"])
    found = intervals.difference(intervals.by_group(published), intervals.by_group(grouped))
    assert found["difference"] == pytest.approx(1 - classification.scores(grouped)["accuracy"]) and found["low"] > 0


def test_mcnemar_by_hand():
    a = predictions(20, 1, 1.0)
    b = a.assign(p_a=a["p_a"].where(a["group"] >= 8, 1 - a["p_a"]), p_b=a["p_b"].where(a["group"] >= 8, 1 - a["p_b"]))
    of_a, of_b, of_fewer = (intervals.correct(x, intervals.WINDOW) for x in (a, b, b[b["group"] > 0]))
    assert intervals.mcnemar(of_a, of_b) == {"only_a": 8, "only_b": 0, "p": pytest.approx(2 / 2**8)}
    assert intervals.mcnemar(of_a, of_a) == {"only_a": 0, "only_b": 0, "p": 1.0}
    assert intervals.mcnemar(of_a, of_fewer) is None


def test_windows_are_pooled_into_their_recordings_score():
    frame = predictions(2, 3, 1.0).assign(p_a=[0.9, 0.4, 0.4, 0.6, 0.6, 0.1])
    frame["p_b"] = 1 - frame["p_a"]
    found = intervals.pool(frame, intervals.RECORDING)
    assert found["p_a"].to_numpy() == pytest.approx([0.5667, 0.4333], abs=1e-4)
    assert found["predicted"].tolist() == ["a", "b"] and found["label"].tolist() == ["b", "a"]
