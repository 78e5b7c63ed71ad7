"""The comparison: a row of scores for each experiment, protocol, wiring and seed."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from earshot import files
from earshot.metrics import classification
from earshot.report.results import Cell, DatasetResults

DECIMALS = 6


def rows(datasets: list[DatasetResults]) -> list[dict[str, Any]]:
    """Return the rows of all datasets, in the order of params.yaml."""
    return [_row(results, cell) for results in datasets for cell in results.cells]


def _row(results: DatasetResults, cell: Cell) -> dict[str, Any]:
    """Return the comparison's row for one cell: its names, its scores, and the size and length of its training."""
    found = {
        "dataset": results.card.name,
        "synthetic": results.card.synthetic,
        "task": results.card.task,
        "experiment": f"{results.card.task}-{cell.input}-{cell.model}",
        "input": cell.input,
        "model": cell.model,
        "wiring": cell.wiring,
        "protocol": cell.protocol,
        "seed": cell.seed,
        **classification.scores(cell.predictions),
        "parameters": cell.runs[0]["parameters"],
        "folds": len(cell.runs),
        "epochs": fmean(run["epochs"] for run in cell.runs),
        "best_epoch": fmean(run["best_epoch"] for run in cell.runs),
    }
    return {name: round(value, DECIMALS) if isinstance(value, float) else value for name, value in found.items()}


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the rows as CSV, for `dvc plots` and for spreadsheets."""
    with files.replacing(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")
