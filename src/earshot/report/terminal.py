"""The comparison as a table in the terminal."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from pandas.api.types import is_numeric_dtype
from rich import box
from rich.console import Console
from rich.table import Table

from earshot import project
from earshot.pages.numbers import changed, interval, score, with_interval
from earshot.report import robustness
from earshot.report.scores import Pair, side_by_side

if TYPE_CHECKING:
    import pandas as pd


PLAIN_WIDTH = 100  # columns where the output is not a terminal
NUMBERS = ["published\naccuracy", "grouped\naccuracy", "difference", "grouped\nrecordings", "grouped\nmacro-F1"]


def print_table(pairs: list[Pair]) -> None:
    """Print a table per dataset, published beside grouped; plain text where stdout is not a terminal."""
    for dataset in dict.fromkeys(pair.shown_dataset for pair in pairs):
        console().print(_table(dataset, [pair for pair in pairs if pair.shown_dataset == dataset]))


def print_inflation(dataset: str) -> None:
    """Print how much of each published score is inflation, where data/report/summary.json knows the dataset."""
    path = project.data("report", "summary.json")
    if not path.exists():
        return
    pairs = [pair for pair in side_by_side(json.loads(path.read_text("utf-8"))) if pair.dataset == dataset]
    if not any(pair.inflation for pair in pairs):
        return
    table = _empty(None)
    table.add_column("  experiment")
    for name in ("published", "on unheard\nwindows alone", "grouped", "inflation"):
        table.add_column(name, justify="right")
    for pair in pairs:
        unheard = f"{score(pair.score('unheard_accuracy', 'published'))} ({pair.score('unheard_windows', 'published')})"
        published, grouped = (score(pair.score("accuracy", protocol)) for protocol in ("published", "grouped"))
        table.add_row(f"  {pair.title}", published, unheard, grouped, changed(pair.inflation))
    console().print(table)


def print_elsewhere(dataset: str, predictions: pd.DataFrame) -> None:
    """Print how the models of a dataset do on another one; see `report.street.elsewhere`."""
    rows = robustness.elsewhere(predictions)
    table = _empty(f"models of {dataset}, tested on {rows[0]['on']}")
    table.add_column("experiment")
    for name in ("accuracy", "macro-F1", *(f"F1 {label}" for label in rows[0]["f1"])):
        table.add_column(name, justify="right")
    for row in rows:
        accuracy = f"{score(row['accuracy'])} {interval(row['accuracy_low'], row['accuracy_high'])}"
        table.add_row(
            f"{row['input']}-{row['model']}", accuracy, score(row["macro_f1"]), *map(score, row["f1"].values())
        )
    console().print(table)


def print_frame(title: str, frame: pd.DataFrame) -> None:
    """Print a table as it stands; four digits of fractions, and of dotted names the last part."""
    table = _empty(title)
    for name in frame:
        table.add_column(name.split(".")[-1], justify="right" if is_numeric_dtype(frame[name]) else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row))
    console().print(table)


def console() -> Console:
    """Return a console that takes no text for markup: names come from the user's folders."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False, soft_wrap=False)


def _empty(title: str | None) -> Table:
    """Return a table without columns, in the one style that all have."""
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0, show_edge=False)


def _table(dataset: str, pairs: list[Pair]) -> Table:
    with_wiring = len({pair.wiring for pair in pairs}) > 1
    table = _empty(dataset)
    for name in ["input", "model", *(["wiring"] if with_wiring else [])]:
        table.add_column(name, vertical="top")
    for name in NUMBERS:
        table.add_column(name, justify="right")
    for pair in pairs:
        table.add_row(pair.input, pair.model, *([pair.wiring] if with_wiring else []), *_numbers(pair))
    return table


def _numbers(pair: Pair) -> list[str]:
    return [
        with_interval(pair.scores.get("published"), "accuracy"),
        with_interval(pair.scores.get("grouped"), "accuracy"),
        changed(pair.inflation),
        score(pair.score("recording_accuracy", "grouped")),
        score(pair.score("macro_f1", "grouped")),
    ]
