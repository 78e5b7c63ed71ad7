"""Scores against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from earshot.metrics import classification


def table(labels: list[str], predicted: list[str], **probabilities: list[float]) -> pd.DataFrame:
    columns = {f"p_{name}": np.array(values, np.float32) for name, values in probabilities.items()}
    return pd.DataFrame({"label": labels, "predicted": predicted, **columns})


def certain(labels: list[str], predicted: list[str], classes: list[str]) -> pd.DataFrame:
    return table(labels, predicted, **{name: [float(p == name) for p in predicted] for name in classes})


def test_perfect_predictions():
    found = classification.scores(certain(["a", "b", "b"], ["a", "b", "b"], ["a", "b"]))
    assert found == {"accuracy": 1.0, "macro_f1": 1.0, "loss": 0.0, "calibration_error": 0.0, "windows": 3}


def test_guessing_costs_the_logarithm_of_the_number_of_classes():
    quarter = {name: [0.25] * 4 for name in "abcd"}
    found = classification.scores(table(list("abcd"), ["a"] * 4, **quarter))
    assert found["accuracy"] == 0.25
    assert found["macro_f1"] == pytest.approx((2 / 5) / 4)  # a: precision 1/4, recall 1; the others 0
    assert found["loss"] == pytest.approx(math.log(4))


def test_a_certain_mistake_costs_what_the_clip_allows():
    found = classification.scores(certain(["a"], ["b"], ["a", "b"]))
    assert found["loss"] == pytest.approx(-math.log(classification.CLIP))


def test_classes_are_the_sorted_probability_columns():
    assert classification.classes_of(certain(["b"], ["b"], ["rock", "b", "p_b"])) == ["b", "p_b", "rock"]


def test_a_class_that_is_not_tested_is_told_and_left_out_of_macro_f1():
    frame = certain(["a", "b"], ["a", "b"], ["a", "b", "c"])
    assert classification.scores(frame)["macro_f1"] == 1.0
    assert classification.untested_classes(frame) == ["c"]


def test_a_class_that_is_predicted_but_not_tested_counts_as_a_mistake():
    assert classification.scores(certain(["a", "a"], ["a", "c"], ["a", "c"]))["macro_f1"] == pytest.approx((2 / 3) / 2)


def test_probabilities_that_are_no_numbers_give_no_loss():
    found = classification.scores(table(["a"], ["a"], a=[math.nan], b=[math.nan]))
    assert found["loss"] is None
    assert found["accuracy"] == 1.0


def test_confusion_has_true_classes_in_rows():
    frame = certain(["a", "a", "b"], ["a", "b", "b"], ["a", "b", "c"])
    assert classification.confusion(frame).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1))
def test_accuracy_is_the_confusion_matrix_diagonal(pairs):
    frame = certain([true for true, _ in pairs], [predicted for _, predicted in pairs], list("abc"))
    counts = classification.confusion(frame)
    assert counts.sum() == len(pairs)
    assert classification.scores(frame)["accuracy"] == pytest.approx(np.trace(counts) / len(pairs))


def test_calibration_error_is_that_of_torchmetrics():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), size=400)
    label = rng.integers(3, size=400)
    columns = {name: probabilities[:, n] for n, name in enumerate("abc")}
    frame = table([*np.array(list("abc"))[label]], [*np.array(list("abc"))[probabilities.argmax(1)]], **columns)
    theirs = multiclass_calibration_error(
        torch.tensor(frame[["p_a", "p_b", "p_c"]].to_numpy()), torch.tensor(label), 3, n_bins=classification.BINS
    )
    assert classification.calibration_error(frame) == pytest.approx(float(theirs), abs=1e-6)
    bins = classification.reliability(frame)
    assert bins["windows"].sum() == 400 and (bins["confidence"].diff().dropna() > 0).all()


def test_certain_and_right_is_calibrated_certain_and_wrong_is_not():
    assert classification.calibration_error(certain(["a", "b"], ["a", "b"], ["a", "b"])) == 0
    assert classification.calibration_error(certain(["a", "b"], ["b", "a"], ["a", "b"])) == 1
    assert classification.calibration_error(table(["a"], ["a"], a=[math.nan], b=[math.nan])) is None


def test_scores_by_class():
    found = classification.by_class(certain(list("aab"), list("abb"), list("abc"))).set_index("class")
    assert found.loc["a", ["precision", "recall", "windows"]].tolist() == [1.0, 0.5, 2]
    assert found.loc["b", "precision"] == 0.5 and math.isnan(found.loc["c", "f1"])
