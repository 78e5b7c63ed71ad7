"""The comparison as a table in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from earshot import project
from earshot.pages.numbers import interval, score, with_interval
from earshot.report.scores import Pair, difference_text, read_summary, side_by_side
from earshot.terminal import console, empty_table

if TYPE_CHECKING:
    import pandas as pd


LEGEND = """
difference: published minus grouped; in brackets: 95 % intervals over groups; ≈: it holds 0
report:     data/report/index.html
dashboard:  earshot dashboard (in a clone also: make dashboard)"""
NUMBERS_ELSEWHERE = [
    "published\naccuracy",
    "grouped\naccuracy",
    "elsewhere\naccuracy",
    "difference",
    "grouped\nmacro-F1",
]
NUMBERS = ["published\naccuracy", "grouped\naccuracy", "difference", "grouped\nrecordings", "grouped\nmacro-F1"]


def print_table(pairs: list[Pair]) -> None:
    """Print a table per dataset, published beside grouped; plain text where stdout is not a terminal."""
    for dataset in dict.fromkeys(pair.shown_dataset for pair in pairs):
        console().print(_table(dataset, [pair for pair in pairs if pair.shown_dataset == dataset]))


def print_inflation(dataset: str) -> None:
    """Print how much of each published score is inflation, if data/report/summary.json has scores of the dataset.

    Raises
    ------
    EarshotError
        If the summary can't be read, or an earlier version wrote it.
    """
    path = project.report("summary.json")
    if not path.exists():
        return
    pairs = [pair for pair in side_by_side(read_summary(path)) if pair.dataset == dataset]
    if not any(pair.inflation for pair in pairs):
        return
    table = empty_table(None)
    table.add_column("  experiment")
    for name in ("published", "on unheard\nwindows alone", "grouped", "inflation"):
        table.add_column(name, justify="right")
    for pair in pairs:
        unheard = f"{score(pair.score('unheard_accuracy', 'published'))} ({pair.score('unheard_windows', 'published')})"
        published, grouped = (score(pair.score("accuracy", protocol)) for protocol in ("published", "grouped"))
        table.add_row(f"  {pair.title}", published, unheard, grouped, difference_text(pair.inflation))
    console().print(table)


def print_cross_dataset(dataset: str, predictions: pd.DataFrame) -> None:
    """Print the scores of a dataset's models on another dataset; see `report.robustness.cross_dataset`."""
    from earshot.report import robustness  # scikit-learn takes seconds, and the pipeline's summary needs none

    rows = robustness.cross_dataset(predictions)
    table = empty_table(f"models of {dataset}, tested on {rows[0]['on']}")
    table.add_column("experiment")
    for name in ("accuracy", "macro-F1", *(f"F1 {label}" for label in rows[0]["f1"])):
        table.add_column(name, justify="right")
    for row in rows:
        accuracy = f"{score(row['accuracy'])} {interval(row['accuracy_low'], row['accuracy_high'])}"
        table.add_row(
            f"{row['input']}-{row['model']}", accuracy, score(row["macro_f1"]), *map(score, row["f1"].values())
        )
    console().print(table)


def _table(dataset: str, pairs: list[Pair]) -> Table:
    with_wiring = len({pair.wiring for pair in pairs}) > 1
    table = empty_table(dataset)
    for name in ["input", "model", *(["wiring"] if with_wiring else [])]:
        table.add_column(name, vertical="top")
    elsewhere = any(pair.elsewhere for pair in pairs)
    for name in NUMBERS_ELSEWHERE if elsewhere else NUMBERS:
        table.add_column(name, justify="right")
    for pair in pairs:
        table.add_row(pair.input, pair.model, *([pair.wiring] if with_wiring else []), *_numbers(pair, elsewhere))
    return table


def _numbers(pair: Pair, elsewhere: bool) -> list[str]:
    published, grouped, there = (
        with_interval(scores, "accuracy")
        for scores in (pair.scores.get("published"), pair.scores.get("grouped"), pair.elsewhere)
    )
    difference, recordings, macro_f1 = (
        difference_text(pair.inflation),
        *(score(pair.score(metric, "grouped")) for metric in ("recording_accuracy", "macro_f1")),
    )
    if elsewhere:  # in place of the recordings: more is wider than a terminal
        return [published, grouped, there, difference, macro_f1]
    return [published, grouped, difference, recordings, macro_f1]


def print_summary() -> None:
    """Print the comparison that data/report/summary.json holds, and where to read on.

    Raises
    ------
    EarshotError
        If there is no comparison yet.
    """
    print_table(side_by_side(read_summary()))
    console().print(LEGEND)
