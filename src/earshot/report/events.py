"""Events found in soundscapes, and probabilities before and after calibration, as rows of the summary."""

from __future__ import annotations

import json
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from earshot.metrics import calibration, classification, event_rates, intervals
from earshot.report.results import Cell

PSDS = ("psds1", "psds2")
TAIL = 100 * (1 - intervals.CONFIDENCE) / 2  # percent


def found(judged: pd.DataFrame, scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return how well every experiment finds events, over all folds and seeds.

    Parameters
    ----------
    judged, scores : the tables of the stage `events`

    Returns
    -------
    A row per input, model and point, `default` or `chosen`: see `event_rates.rates`, where events are numbers of one
    seed; `psds1` and `psds2`, means over runs with their interval from resampled clips; of chosen points `budget`, in
    false alarms per hour, and `val_recall` and `val_false_alarms_per_hour`, the means of what they gave on validation
    """
    rows = []
    for (input_name, model, point), runs in judged.groupby(["input", "model", "point"], sort=False):
        mine = scores[(scores["input"] == input_name) & (scores["model"] == model)]
        rates = event_rates.rates(runs)
        seeds = runs["seed"].nunique()
        rates |= {name: rates[name] / seeds for name in ("events", "missed", "hours")}
        points = [json.loads(each) for each in mine["operating_point"]] if point == "chosen" else []
        rows.append(
            {"input": input_name, "model": model, "point": point, **rates, **_psds(mine), **_on_validation(points)}
        )
    return rows


def _psds(scores: pd.DataFrame) -> dict[str, float]:
    result = {}
    for name in PSDS:
        low, high = np.percentile(np.mean(np.stack(scores[f"{name}_resampled"]), axis=0), [TAIL, 100 - TAIL])
        result |= {name: float(scores[name].mean()), f"{name}_low": float(low), f"{name}_high": float(high)}
    return result


def _on_validation(points: list[dict[str, Any]]) -> dict[str, float]:
    if not points:
        return {}
    names = ("recall", "false_alarms_per_hour")
    return {
        "budget": points[0]["max_false_alarms_per_hour"],
        **{f"val_{name}": fmean(point[name] for point in points) for name in names},
    }


def calibrated(cells: list[Cell]) -> dict[str, Any] | None:
    """Return the calibration error of one experiment's seeds before and after; None where it was not calibrated.

    Parameters
    ----------
    cells : of the grouped protocol, one for each seed
    """
    if not all("calibration" in run for cell in cells for run in cell.runs):
        return None
    fitted = [run["calibration"] for cell in cells for run in cell.runs]
    after = [classification.calibration_error(calibrated_predictions(cell)) for cell in cells]
    before = [classification.calibration_error(cell.predictions) for cell in cells]
    temperatures = [each["temperature"] for each in fitted if "temperature" in each]
    return {
        "method": fitted[0]["method"],
        "temperature": fmean(temperatures) if temperatures else None,
        "before": None if None in before else fmean(before),
        "after": None if None in after else fmean(after),
    }


def calibrated_predictions(cell: Cell) -> pd.DataFrame:
    """Return the predictions of a cell with the probabilities of each fold's own calibration."""
    fitted = {run["fold"]: run["calibration"] for run in cell.runs}
    return pd.concat([calibration.of_table(fitted[fold], rows) for fold, rows in cell.predictions.groupby("fold")])
