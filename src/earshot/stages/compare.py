"""Stage: the scores of all experiments side by side, as a table, a file and a report.

`python -m earshot.compare` reads manifest, predictions and history; MLflow is never asked.
"""

from __future__ import annotations

import json
from statistics import fmean
from typing import Any

import pandas as pd

from earshot import project
from earshot.errors import EarshotError, without_traceback
from earshot.files import replacing, write_json, write_text
from earshot.metrics import classification
from earshot.processes import leave_with_parent
from earshot.report.page import render
from earshot.report.results import Cell, Study, read_study
from earshot.report.scores import side_by_side
from earshot.report.summary import summarise
from earshot.report.terminal import print_table
from earshot.settings import compared, read_params
from earshot.terminal import console

LEGEND = """
difference: published minus grouped; in brackets: 95 % intervals over groups; ≈: it holds 0
report:     data/report/index.html
dashboard:  make dashboard"""
DECIMALS = 6


@without_traceback
def main() -> None:
    """Compare what params.yaml lists: write data/report/ and print the summary."""
    leave_with_parent()
    settings = compared(read_params())
    studies = [read_study(dataset, settings) for dataset in settings["datasets"]]
    rows = [row(study, cell) for study in studies for cell in study.cells]
    write_json(project.data("report", "comparison.json"), rows)
    write_csv(rows)
    found = summarise(studies)
    write_json(project.data("report", "summary.json"), found)
    write_text(project.data("report", "index.html"), render(studies, found))
    print_summary()


def row(study: Study, cell: Cell) -> dict[str, Any]:
    """Return the comparison's row for one cell: what it is, its scores, and what it took."""
    found = {
        "dataset": study.card.name,
        "synthetic": study.card.synthetic,
        "task": study.card.task,
        "experiment": f"{study.card.task}-{cell.input}-{cell.model}",
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


def write_csv(rows: list[dict[str, Any]]) -> None:
    """Write the rows to data/report/comparison.csv, for `dvc plots` and for spreadsheets."""
    with replacing(project.data("report", "comparison.csv")) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")


def print_summary() -> None:
    """Print the comparison that data/report/summary.json holds, and where to read on.

    Raises
    ------
    EarshotError
        If there is no comparison yet.
    """
    print_table(side_by_side(read_summary()))
    console().print(LEGEND)


def read_summary() -> dict[str, list[dict[str, Any]]]:
    """Return the comparison, see `report.summary.summarise`.

    Raises
    ------
    EarshotError
        If there is no comparison yet.
    """
    path = project.data("report", "summary.json")
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise EarshotError(f"{path} is missing. Run `dvc repro` to make it") from None


if __name__ == "__main__":
    main()
