"""Multi-label: a window has any number of classes, and is scored as scikit-learn scores sets of classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, log_loss

from earshot.metrics import classification, intervals, labels
from earshot.models import heads

CLASSES = ["crow, carrion", "rain", 'wren "2"']


def predictions(seed: int = 0, n: int = 60) -> pd.DataFrame:
    """Return predictions of windows with any of three classes, a group for every four windows."""
    rng = np.random.default_rng(seed)
    true, p = rng.random((n, 3)) < 0.4, rng.random((n, 3))
    return pd.DataFrame(
        {
            "group": [f"g{number // 4:02}" for number in range(n)],
            "label": labels.from_multi_hot(true, CLASSES),
            "predicted": labels.from_multi_hot(p > 0.5, CLASSES),
            **{f"p_{name}": p[:, number].astype(np.float32) for number, name in enumerate(CLASSES)},
        }
    )


@given(st.lists(st.sets(st.text(min_size=1).filter(lambda name: not name.startswith("["))), max_size=5))
def test_a_set_of_classes_is_the_same_after_it_was_text(sets):
    written = [labels.as_set(each) for each in sets]
    assert [set(labels.names_of(label)) for label in written] == sets
    classes = labels.classes_of(written)
    assert classes == sorted(set().union(*sets))
    assert list(labels.from_multi_hot(labels.multi_hot(written, classes), classes)) == written


def test_a_single_class_is_not_taken_for_a_set():
    assert labels.names_of("crow") == ["crow"] and not labels.are_sets(["crow", "wren"])
    assert labels.rarest(["b", "a", "b"]) == ["b", "a", "b"]


def test_a_split_is_stratified_by_the_rarest_class_of_a_set():
    sets = [{"rain"}, {"rain", "crow"}, {"rain"}, set()]
    assert labels.rarest([labels.as_set(each) for each in sets]) == ["rain", "crow", "rain", ""]


def test_scores_are_scikit_learns():
    frame = predictions()
    found = classification.scores(frame)
    true = labels.multi_hot(frame["label"], CLASSES)
    predicted = labels.multi_hot(frame["predicted"], CLASSES)
    p = frame[[f"p_{name}" for name in CLASSES]].to_numpy(np.float64)
    assert found["accuracy"] == pytest.approx((true == predicted).all(axis=1).mean())
    assert found["macro_f1"] == pytest.approx(f1_score(true, predicted, average="macro"))
    assert found["macro_ap"] == pytest.approx(average_precision_score(true, p, average="macro"))
    assert found["micro_ap"] == pytest.approx(average_precision_score(true, p, average="micro"))
    assert found["loss"] == pytest.approx(np.mean([log_loss(true[:, n], p[:, n]) for n in range(3)]))
    table = classification.by_class(frame).set_index("class")
    assert table["ap"].mean() == pytest.approx(found["macro_ap"]) and list(table["windows"]) == list(true.sum(axis=0))


def test_a_class_that_is_not_tested_has_no_average_precision():
    frame = predictions().assign(label=labels.as_set(["rain"]))
    assert classification.untested_classes(frame) == ["crow, carrion", 'wren "2"']
    assert classification.by_class(frame).set_index("class")["ap"].isna().tolist() == [True, False, True]
    assert classification.scores(frame)["macro_ap"] == 1


def test_probabilities_that_are_no_numbers_give_no_score():
    frame = predictions().assign(p_rain=np.float32("nan"))
    found = classification.scores(frame)
    assert [found[name] for name in ("macro_ap", "micro_ap", "loss", "calibration_error")] == [None] * 4


def test_single_labels_are_scored_as_before():
    assert "macro_ap" not in classification.scores(predictions().assign(label="rain", predicted="rain"))


def test_the_interval_of_macro_f1_holds_it():
    frame = predictions()
    low, high = intervals.macro_f1(frame)
    assert low < classification.scores(frame)["macro_f1"] < high


def test_windows_of_a_recording_vote_for_each_class():
    frame = predictions(n=3).assign(group="g", recording="r", label=labels.as_set(["rain"]))
    votes = [["rain"], ["rain", "crow, carrion"], []]
    pooled = intervals.pool(frame.assign(predicted=[labels.as_set(each) for each in votes]), ["recording"])
    assert pooled["predicted"].tolist() == [labels.as_set(["rain"])]


def test_the_loss_is_the_mean_binary_cross_entropy():
    logits, targets = torch.randn(5, 3), (torch.rand(5, 3) > 0.5).float()
    p = heads.probabilities(logits, multi_label=True)
    expected = log_loss(targets.ravel(), p.ravel().double())
    assert heads.loss(logits, targets).item() == pytest.approx(expected, abs=1e-5)
