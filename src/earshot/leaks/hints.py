"""How well the recording conditions alone predict the recording and the class of a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from earshot.leaks.conditions import CHANNEL

MOST = 200_000  # windows that the hints are of; they are compared with each other
FEWEST = 1000  # recordings
NEIGHBOURS = 8  # of which the first that shares no samples counts


def some(recordings: pd.DataFrame, window: Mapping[str, float]) -> list[str] | None:
    """Return recordings that have some `MOST` windows together, spread evenly over a dataset; None: all of them.

    They are at least `FEWEST`, whatever their length.

    Parameters
    ----------
    recordings : see `manifest.read`
    window : length and hop
    """
    n_windows = int((recordings["seconds"] // window["hop"]).sum())
    step = min(-(-n_windows // MOST), len(recordings) // FEWEST)
    return recordings["recording"].iloc[::step].tolist() if step > 1 else None


def group_hint(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, float] | None:
    """Return how often the most similar training window, by spectrum and channel, is of a test window's own group.

    Windows that share samples don't count. Where windows reveal their recording, a model that learns recordings
    instead of classes scores well on a random split.

    Parameters
    ----------
    train, test : windows with recording, start, seconds, group and the columns of `conditions.describe`

    Returns
    -------
    `found` and, of a training window drawn at random, `chance`; None where no group is on both sides
    """
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler

    columns = [name for name in train.columns if name in CHANNEL or name.startswith("band_")]
    share = train["group"].value_counts(normalize=True)
    chance = float(test["group"].map(share).fillna(0).mean())
    if chance == 0:
        return None
    scaler = StandardScaler().fit(train[columns])
    near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(train))).fit(scaler.transform(train[columns]))
    found = near.kneighbors(scaler.transform(test[columns]), return_distance=False)
    facts = {name: train[name].to_numpy()[found] for name in ("recording", "start", "group")}
    mine = {name: test[name].to_numpy()[:, None] for name in ("recording", "start", "group", "seconds")}
    apart = (facts["recording"] != mine["recording"]) | (np.abs(facts["start"] - mine["start"]) >= mine["seconds"])
    first = apart.argmax(axis=1)
    rows = np.arange(len(test))
    same = (facts["group"] == mine["group"])[rows, first] & apart[rows, first]
    return {"found": float(same.mean()), "chance": chance}


def label_hint(parts: list[tuple[pd.DataFrame, pd.DataFrame]]) -> dict[str, Any]:
    """Return how well a linear classifier predicts the class from the recording channel alone, on unheard groups.

    Parameters
    ----------
    parts : (train, test) of each fold of the grouped protocol, with label and `conditions.CHANNEL`

    Returns
    -------
    `balanced_accuracy` over all folds' test windows, and the `chance` of one class in as many as are tested
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import recall_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels, predicted = [], []
    for train, test in parts:
        classifier = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
        predicted.append(classifier.fit(train[CHANNEL], train["label"]).predict(test[CHANNEL]))
        labels.append(test["label"].to_numpy())
    label, named = np.concatenate(labels), np.concatenate(predicted)
    tested = np.unique(label)
    recall = recall_score(label, named, labels=tested, average="macro", zero_division=0)
    return {"balanced_accuracy": float(recall), "chance": 1 / len(tested)}
