"""The scores of all experiments with their intervals, and the differences between any two of them.

The summary, data/report/summary.json, holds every score that the report, the terminal and docs/results.md show.
"""

from __future__ import annotations

from itertools import combinations
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from earshot.files import rounded
from earshot.metrics import classification, intervals, labels
from earshot.metrics.intervals import RECORDING, RECORDING_CLASS, WINDOW
from earshot.report import events, robustness
from earshot.report.results import Cell, DatasetResults
from earshot.report.scores import PARTS

EXPERIMENT = ["input", "model", "wiring"]
MEAN = ["accuracy", "macro_f1", "loss", "calibration_error", "windows"]


def summarise(datasets: list[DatasetResults], contrasts: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return a list of rows for each of `PARTS`, and `contrasts`.

    `scores`: a row per dataset, experiment, wiring and protocol, over all seeds. `inflation`: published minus grouped
    accuracy of each experiment, over the classes that both test. `comparisons`: every two experiments of one dataset,
    wiring and protocol, and on the datasets elsewhere. `elsewhere`: a row per experiment that was tested there.
    `noise`, `cross_dataset` and `swapped`: see `report.robustness`. `events`, and `calibration` of the grouped
    protocol: see `report.events`. `contrasts`: as params.yaml lists them.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in PARTS}
    for results in datasets:
        cells = by_experiment(results)
        frames = {key: pd.concat([cell.predictions for cell in same]) for key, same in cells.items()}
        found["scores"] += [_score(results, same, frames[key]) for key, same in cells.items()]
        found["inflation"] += [
            {"dataset": results.card.name, **dict(zip(EXPERIMENT, key, strict=True)), **_inflation(*both)}
            for key, both in _both_protocols(frames).items()
        ]
        found["comparisons"] += _comparisons(results, frames)
        ladder = robustness.noise_ladder(results.noise, results.noise_settings["alarm"]) if len(results.noise) else []
        found["noise"] += [{"dataset": results.card.name, **row} for row in ladder]
        found["cross_dataset"] += [
            {"dataset": results.card.name, **row} for row in robustness.cross_dataset(results.cross_dataset)
        ]
        there = _elsewhere(results)
        found["elsewhere"] += [_elsewhere_score(results, key, rows) for key, rows in there.items()]
        found["comparisons"] += _elsewhere_comparisons(results.card.name, there)
        found["swapped"] += (
            [{"dataset": results.card.name, **row} for row in robustness.swapped(results.swapped, results.max_drop)]
            if len(results.swapped)
            else []
        )
        if len(results.events):
            rows = events.found(results.events, results.event_scores)
            found["events"] += [{"dataset": results.card.name, **row} for row in rows]
        found["calibration"] += [
            {"dataset": results.card.name, **dict(zip(EXPERIMENT, key[:3], strict=True)), **row}
            for key, same in cells.items()
            if key[3] == "grouped" and (row := events.calibrated(same))
        ]
    return rounded({**found, "contrasts": contrasts})


def by_experiment(results: DatasetResults) -> dict[tuple[str, ...], list[Cell]]:
    """Return the cells of all seeds by (input, model, wiring, protocol), in the order of `results.cells`."""
    cells: dict[tuple[str, ...], list[Cell]] = {}
    for cell in results.cells:
        cells.setdefault((cell.input, cell.model, cell.wiring, cell.protocol), []).append(cell)
    return cells


def _score(results: DatasetResults, cells: list[Cell], frame: pd.DataFrame) -> dict[str, Any]:
    """Return the row of one experiment and protocol; `frame` holds the predictions of all its cells."""
    seeds = [classification.scores(cell.predictions) for cell in cells]
    recordings = [intervals.pool(cell.predictions, _unit(results)) for cell in cells]
    right = pd.concat(recordings)
    unheard = frame[~frame["heard"]]
    return {
        "dataset": results.card.name,
        "synthetic": results.card.synthetic,
        "task": results.card.task,
        **{name: getattr(cells[0], name) for name in (*EXPERIMENT, "protocol")},
        **{name: _mean([seed[name] for seed in seeds]) for name in MEAN},
        **{name: _mean([seed[name] for seed in seeds]) for name in ("macro_ap", "micro_ap") if name in seeds[0]},
        **_average_precision(cells),
        **_interval("accuracy", intervals.accuracy(frame)),
        **_interval("macro_f1", intervals.macro_f1(frame)),
        "seeds": len(cells),
        "seed_deviation": stdev([seed["accuracy"] for seed in seeds]) if len(seeds) > 1 else None,
        "groups": int(frame["group"].nunique()),
        "recordings": len(recordings[0]),
        "recording_accuracy": float((right["label"] == right["predicted"]).mean()),
        **_interval("recording_accuracy", intervals.accuracy(right)),
        "heard": float(frame["heard"].mean()),
        "unheard_windows": len(unheard) // len(cells),
        "unheard_accuracy": float((unheard["label"] == unheard["predicted"]).mean()) if len(unheard) else None,
        "parameters": cells[0].runs[0]["parameters"],
        "bytes": cells[0].runs[0].get("bytes"),
        "folds": len(cells[0].runs),
    }


def _average_precision(cells: list[Cell]) -> dict[str, float | None]:
    """Return the intervals of the average precision, where the dataset is multi-label."""
    found = intervals.average_precision([cell.predictions for cell in cells])
    return {key: value for name, interval in found.items() for key, value in _interval(name, interval).items()}


def _unit(results: DatasetResults) -> list[str]:
    """Return the columns that say which windows are one recording: of one class, where labels are events."""
    return RECORDING_CLASS if "stretches" in results.counts else RECORDING


def _interval(name: str, interval: intervals.Interval) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _mean(values: list[float | None]) -> float | None:
    return None if None in values else fmean(values)


def _both_protocols(
    frames: dict[tuple[str, ...], pd.DataFrame],
) -> dict[tuple[str, ...], tuple[pd.DataFrame, pd.DataFrame]]:
    return {
        key[:3]: (frame, frames[(*key[:3], "grouped")])
        for key, frame in frames.items()
        if key[3] == "published" and (*key[:3], "grouped") in frames
    }


def _inflation(published: pd.DataFrame, grouped: pd.DataFrame) -> dict[str, Any]:
    """Return published minus grouped accuracy over the classes that both protocols test.

    Of a multi-label dataset over all windows: a window is right or wrong as a whole.
    """
    classes = sorted(set.intersection(*(set(labels.classes_of(x["label"])) for x in (published, grouped))))
    both = [published, grouped]
    if not labels.are_sets(grouped["label"]):
        both = [frame[frame["label"].isin(classes)] for frame in both]
    return {"classes": classes, **intervals.difference(*map(intervals.by_group, both))}


def _comparisons(results: DatasetResults, frames: dict[tuple[str, ...], pd.DataFrame]) -> list[dict[str, Any]]:
    found = []
    units = {"windows": WINDOW, "recordings": _unit(results)}
    groups = {key: intervals.by_group(frame) for key, frame in frames.items()}
    decided = {key: {name: intervals.correct(frame, by) for name, by in units.items()} for key, frame in frames.items()}
    for (key_a, a), (key_b, b) in combinations(groups.items(), 2):
        if key_a[2:] != key_b[2:]:  # of one wiring and protocol
            continue
        found.append(
            {
                "dataset": results.card.name,
                "wiring": key_a[2],
                "protocol": key_a[3],
                "a": "-".join(key_a[:2]),
                "b": "-".join(key_b[:2]),
                **intervals.difference(a, b),
                **{name: intervals.mcnemar(decided[key_a][name], decided[key_b][name]) for name in units},
            }
        )
    return found


def _elsewhere(results: DatasetResults) -> dict[tuple[str, ...], pd.DataFrame]:
    """Return the predictions elsewhere by input, model and wiring: the first, whose models are tested there."""
    wirings: dict[tuple[str, str], str] = {}
    for cell in results.cells:
        wirings.setdefault((cell.input, cell.model), cell.wiring)
    found = robustness.elsewhere(results.cross_dataset, results.elsewhere)
    return {(*key, wirings[key]): rows for key, rows in found.items() if key in wirings}


def _elsewhere_score(results: DatasetResults, key: tuple[str, ...], rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "dataset": results.card.name,
        **dict(zip(EXPERIMENT, key, strict=True)),
        "on": results.elsewhere,
        "test_only": set(results.elsewhere) <= set(results.test_only),
        "accuracy": float((rows["label"] == rows["predicted"]).mean()),
        **_interval("accuracy", intervals.accuracy(rows)),
        "macro_f1": float(classification.by_class(rows)["f1"].mean()),
        **_interval("macro_f1", intervals.macro_f1(rows)),
    }


def _elsewhere_comparisons(dataset: str, there: dict[tuple[str, ...], pd.DataFrame]) -> list[dict[str, Any]]:
    groups = {key: intervals.by_group(rows) for key, rows in there.items()}
    return [
        {
            "dataset": dataset,
            "wiring": key_a[2],
            "protocol": "elsewhere",
            "a": "-".join(key_a[:2]),
            "b": "-".join(key_b[:2]),
            **intervals.difference(a, b),
        }
        for (key_a, a), (key_b, b) in combinations(groups.items(), 2)
        if key_a[2] == key_b[2]
    ]
