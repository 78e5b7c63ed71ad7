"""The protocols: recordings and groups -> train, validation and test parts.

A split is a table of spans of recordings: fold, part, recording, group, label, start, stop (in seconds).
Windows are cut inside the spans later, so no window is on two sides of a split without leaks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from earshot.datasets.card import Card
from earshot.datasets.layouts import ClassFolders, Events, FeatureTable, LongRecordings
from earshot.datasets.manifest import by_class, classes_of
from earshot.errors import EarshotError
from earshot.metrics import labels as label_text
from earshot.schema.params import PROTOCOLS
from earshot.settings import for_task, window_of
from earshot.splits import elsewhere, published_folds, windows
from earshot.splits.published_folds import PARTS
from earshot.splits.spans import SPAN, grouped_by, grouped_spans, labelled, single_windows, train_only, united

MIN_PUBLISHED = 2  # of a class: one to train on, one to test


def published(spans: pd.DataFrame, test_share: float, random_state: int) -> pd.DataFrame:
    """Split at random, stratified, as the tutorials do.

    The test part is the validation part as well, since the tutorials select the checkpoint on it.

    Parameters
    ----------
    spans : one row for each window of a long recording, or for each short recording; columns `SPAN`
    test_share : share of the rows to test
    random_state : scikit-learn's
    """
    train, test = train_test_split(
        np.arange(len(spans)),
        test_size=test_share,
        random_state=random_state,
        stratify=_strata(spans["label"].tolist(), test_share),
    )
    return _table(spans, 0, {"train": train, "validation": test, "test": test})


def _strata(labels: list[str], test_share: float) -> list[str]:
    """Return the class of each label, of a set the rarest of its classes, by which a random split is stratified.

    scikit-learn needs two of each stratum, and no more strata than there are rows on either side. What sets have beyond
    that is one stratum.
    """
    strata = pd.Series(label_text.rarest(labels))
    counts, tested = strata.value_counts(), math.ceil(test_share * len(strata))
    most = max(1, min(tested, len(strata) - tested))
    if len(counts) <= most and counts.min() >= MIN_PUBLISHED:
        return strata.tolist()
    kept = counts[counts >= MIN_PUBLISHED].index[: most - 1]
    joined = strata.where(strata.isin(kept), "")
    if (joined == "").sum() < MIN_PUBLISHED:
        joined = joined.mask(joined == "", counts.index[0])
    return joined.tolist()


def grouped(
    spans: pd.DataFrame,
    n_windows: np.ndarray,
    folds: int | None,
    validation_share: float,
    random_state: int,
    hold_out: list[str] | None = None,
) -> pd.DataFrame:
    """Split into folds, stratified by windows, with no group on two sides; every group is tested once.

    Where the published folds are the parts of one split, that is the only fold, and `test` alone is tested. Where
    members of a union are held out, the test parts are the same.

    Parameters
    ----------
    spans : columns `SPAN`; and `fold` where folds is None
    n_windows : int, shape (len(spans),): number of windows in each span
    folds : number of folds; None: as published, each of the spans' folds is the test part of one
    validation_share : share of the rest that selects the checkpoint
    random_state : scikit-learn's
    hold_out : members of a union: all that is not tested of one, in turn, is a fold's validation part, and no other
        part has any of its groups or recordings but the test part; see `elsewhere.rotation`

    Raises
    ------
    EarshotError
        Where a class has too few groups.
    """
    rows = np.repeat(np.arange(len(spans)), n_windows)
    labels = np.array(label_text.rarest(spans["label"].tolist()), dtype=object)[rows]
    groups = spans["group"].to_numpy()[rows]
    tables = []
    for fold, (rest, test) in enumerate(_tests(spans, rows, labels, groups, folds, random_state)):
        if hold_out:
            train, validation = _elsewhere(spans, rows, rest, hold_out[fold % len(hold_out)])
        else:
            validation = _published_validation(spans, rows, rest) if folds is None else rest[:0]
            if not len(validation):
                _, inner = _first_fold(labels[rest], groups[rest], round(1 / validation_share), random_state)
                validation = rest[inner]
            train = np.setdiff1d(rest, validation)
        parts = {name: np.unique(rows[part]) for name, part in zip(PARTS, (train, validation, test), strict=True)}
        tables.append(_table(spans, fold, parts))
    return pd.concat(tables, ignore_index=True)


def _tests(
    spans: pd.DataFrame, rows: np.ndarray, labels: np.ndarray, groups: np.ndarray, folds: int | None, random_state: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rest, test) for each fold, as positions in `rows`."""
    if folds is None:
        fold_of = spans["fold"].to_numpy()[rows]
        tested = ["test"] if published_folds.is_split(spans["fold"]) else published_folds.in_order(spans["fold"])
        for fold in tested:
            yield np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        return
    yield from StratifiedGroupKFold(folds, shuffle=True, random_state=random_state).split(rows, labels, groups)


def _published_validation(spans: pd.DataFrame, rows: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return those of `rest`, positions in `rows`, that a published split has for validation; none in other folds."""
    if not published_folds.is_split(spans["fold"]):
        return rest[:0]
    return rest[spans["fold"].to_numpy()[rows[rest]] == "validation"]


def _elsewhere(spans: pd.DataFrame, rows: np.ndarray, rest: np.ndarray, member: str) -> tuple[np.ndarray, np.ndarray]:
    """Return training and validation of a fold that holds out a member of a union, as positions in `rows`.

    A group that it shares with another member, since both hold the same sound, trains no model.
    """
    mine = (elsewhere.member_of(spans["recording"]) == member).to_numpy()[rows[rest]]
    group = spans["group"].to_numpy()[rows[rest]]
    return rest[~np.isin(group, np.unique(group[mine]))], rest[mine]


def _first_fold(labels: np.ndarray, groups: np.ndarray, folds: int, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    """Split off one of `folds` parts, or of as many as the rarest class has groups."""
    rarest = min(len(np.unique(groups[labels == label])) for label in np.unique(labels))
    splitter = StratifiedGroupKFold(max(2, min(folds, rarest)), shuffle=True, random_state=random_state)
    return next(splitter.split(labels, labels, groups))


def _table(spans: pd.DataFrame, fold: int, parts: dict[str, np.ndarray]) -> pd.DataFrame:
    tables = [spans.iloc[np.sort(index)][SPAN].assign(fold=fold, part=part) for part, index in parts.items()]
    return pd.concat(tables, ignore_index=True)[["fold", "part", *SPAN]]


def check_groups(spans: pd.DataFrame, classes: Iterable[str], folds: int, dataset: str, shared: int, more: str) -> None:
    """Check that the folds can be made: each part of each fold needs a group of every class.

    Parameters
    ----------
    spans : those that can be tested, with columns label and group
    classes : those that are to be tested
    folds : how many are wanted
    dataset : its name, for the message
    shared : the number of groups that were united with another
    more : how there would be more groups, for the message

    Raises
    ------
    EarshotError
        If not; it names the classes, their numbers of groups, and what is possible.
    """
    groups = by_class(spans).groupby("label")["group"].nunique().reindex(list(classes), fill_value=0)
    needed = max(folds, len(PARTS))
    if len(few := groups[groups < needed]) == 0:
        return
    listed = ", ".join(f"{label} has {number}" for label, number in few.items())
    possible = (
        f"In params.yaml: split.folds of {few.min()} or less is possible"
        if few.min() >= len(PARTS)
        else f"no number of folds is possible below {len(PARTS)} groups in a class: {more}, or leave `grouped` out of "
        "protocols in params.yaml"
    )
    why = f" ({shared} groups share sound with another and count with it; `earshot audit`)" if shared else ""
    raise EarshotError(f"{folds} folds of {dataset} need {needed} groups in every class, but {listed}{why}. {possible}")


def _more_groups(card: Card, recordings: pd.DataFrame, setting: dict[str, Any]) -> str:
    """Say how a dataset would have more groups in a class."""
    layout = card.layout
    if isinstance(layout, ClassFolders | Events | FeatureTable):
        if not layout.groups:
            return "add recordings (without a table of groups, each is one)"
        table = layout.groups.file
        return f"add recordings of other groups, complete {table}, or list the class in layout.groups.train_only"
    if isinstance(layout, LongRecordings) and not layout.segments:
        enough = math.floor(recordings["seconds"].min() / len(PARTS))
        return f"set split.block_seconds ({setting['block_seconds']:g}) to {enough} or less, or take longer recordings"
    return "take recordings of more sources"


def check_published(spans: pd.DataFrame, test_share: float, dataset: str) -> None:
    """Check that a random split has something of every class on both sides.

    Raises
    ------
    EarshotError
        If not; it says what is possible.
    """
    counts = spans["label"].value_counts().sort_index()
    if len(few := counts[counts < MIN_PUBLISHED]):
        listed = ", ".join(f"{label} has {number}" for label, number in few.items())
        raise EarshotError(
            f"the published split of {dataset} needs {MIN_PUBLISHED} recordings or windows in every class, but "
            f"{listed}. Add recordings, or leave `published` out of protocols in params.yaml"
        )
    tested = math.ceil(test_share * len(spans))
    if not len(counts) <= tested <= len(spans) - len(counts):
        raise EarshotError(
            f"split.test_share in params.yaml is {test_share:g}: of {len(spans)} recordings or windows of {dataset} it "
            f"tests {tested}, and both sides need {len(counts)}, one of each class. A share from "
            f"{math.ceil(100 * len(counts) / len(spans)) / 100:g} to "
            f"{math.floor(100 * (1 - len(counts) / len(spans))) / 100:g} is possible"
        )


def check_classes(spans: pd.DataFrame, classes: list[str], dataset: str) -> None:
    """Check that there is a span of every class.

    Raises
    ------
    EarshotError
        If not, as where all events of a class are too short or overlap others.
    """
    if absent := sorted(set(classes) - set(label_text.classes_of(spans["label"]))):
        raise EarshotError(
            f"{dataset}: no window fits into an event of {', '.join(absent)} without sound of another class. In "
            "params.yaml: a shorter windows.TASK.length; or map the class to another in the card"
        )


def check_parts(
    split: pd.DataFrame,
    labels: list[str],
    untested: list[str],
    dataset: str,
    as_published: bool = False,
    held_out: bool = False,
) -> None:
    """Check that no part of a fold lacks a class, since its score would not be comparable.

    Parameters
    ----------
    split : columns fold, part and label at least
    labels : all classes
    untested : classes that are in the training parts only
    dataset : its name, for the message
    as_published : whether the folds are the published ones
    held_out : whether the validation parts are members of a union: two classes of one are enough

    Raises
    ------
    EarshotError
        If one does; it names the fold, the part and the class.
    """
    for (fold, part), rows in split.groupby(["fold", "part"]):
        expected = set(labels) if part == "train" else set(labels) - set(untested)
        there = set(label_text.classes_of(rows["label"]))
        if held_out and part == "validation" and len(there) >= elsewhere.LEAST_CLASSES:
            continue
        if absent := sorted(expected - there):
            remedy = (
                "These are the published folds: take `fold` out of the card to have others made, or list the class "
                "under train_only"
                if as_published
                else "In params.yaml: another split.random_state, fewer split.folds (of the grouped protocol), more "
                "split.test_share (of the published), or shorter split.block_seconds for long recordings"
            )
            raise EarshotError(f"{dataset}: the {part} part of fold {fold} has no {', '.join(absent)}. {remedy}")


def with_train_only(split: pd.DataFrame, spans: pd.DataFrame) -> pd.DataFrame:
    """Add spans to the training part of every fold."""
    added = [_table(spans, fold, {"train": np.arange(len(spans))}) for fold in split["fold"].unique()]
    return pd.concat([split, *added], ignore_index=True)


def make(
    protocol: str, card: Card, recordings: pd.DataFrame, duplicates: pd.DataFrame, params: dict[str, Any], folder: Path
) -> pd.DataFrame:
    """Split a dataset by a protocol, `published` or `grouped`.

    Groups that share a stretch of sound (`duplicates`, see `leaks.duplicates`) are one group if
    `split.unite_duplicates` is true. The folds of the grouped protocol are the published ones where the dataset has
    some and they are leak-free, see `published_folds`. With `split.validation: elsewhere` each fold of a union holds
    out a member, see `elsewhere`.
    """
    setting, window = params["split"], window_of(params["windows"], card.task)
    recordings = recordings.fillna({"seconds": window["length"]})  # a row of given features counts as one window
    if protocol not in PROTOCOLS:
        raise EarshotError(f"protocols in params.yaml: '{protocol}' is none of {', '.join(PROTOCOLS)}")
    spans = grouped_spans(card, recordings, params, folder)
    named = spans["group"].nunique()
    if setting["unite_duplicates"]:
        spans = united(spans, duplicates)
    shared = named - spans["group"].nunique()
    if protocol == "published":
        # it ignores the groups; the group of each window is stored for the audit and for intervals
        whole = labelled(recordings, window)
        if card.clips:
            groups = spans.set_index("recording")["group"]
            spans = whole.assign(group=whole["recording"].map(groups).fillna(whole["recording"]))
        else:
            spans = grouped_by(single_windows(whole, window["length"], window["hop"]), spans)
            spans["group"] = spans["group"].fillna(spans["recording"])
        if not card.multi_label:
            check_published(spans, setting["test_share"], card.name)
        return published(spans, setting["test_share"], setting["random_state"])
    n_windows = np.array([len(windows.starts(s.start, s.stop, **window)) for s in spans.itertuples()])
    kept = {*train_only(card)}
    tested = (n_windows > 0) & spans["label"].map(lambda label: kept.isdisjoint(label_text.names_of(label)))
    judged = published_folds.judge(spans[tested], recordings.set_index("recording")["group"])
    folds = None if judged and judged.used else for_task(setting["folds"], card.task, "split.folds")
    if folds is not None:
        classes = sorted(set(classes_of(recordings)) - set(train_only(card)))
        check_groups(spans[tested], classes, folds, card.name, shared, _more_groups(card, recordings, setting))
    split = grouped(
        spans[tested].reset_index(drop=True),
        n_windows[tested],
        folds,
        setting["validation_share"],
        setting["random_state"],
        elsewhere.rotation(spans[tested], card.name) if elsewhere.asked(card, setting) else None,
    )
    return with_train_only(split, spans[(n_windows > 0) & ~tested])


def judge_folds(split: pd.DataFrame, recordings: pd.DataFrame) -> published_folds.PublishedFolds | None:
    """Say whether a grouped split uses the dataset's published folds, and why; None where it has none.

    Parameters
    ----------
    split : columns recording, part and group at least
    recordings : see `manifest.read`
    """
    by_name = recordings.set_index("recording")
    spans = split.assign(published=split["recording"].map(by_name["fold"]))
    only_one = split["fold"].nunique() == 1  # a published split, since others have two folds or more
    spans = spans[spans["published"].notna() if only_one else spans["part"] == "test"]
    return published_folds.judge(spans.assign(fold=spans["published"]), by_name["group"])
